"""The book's idiom: a loss that ignores its argument and reads the parameters through a closure."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from problems import TwoLayerNet

import anygrad
from anygrad import ConstantFunctionWarning

WRITABLE = pytest.mark.libraries(lambda lib: lib.writable)


@WRITABLE
def test_a_network_in_the_books_style(lib):
    name = "float64"
    start = TwoLayerNet.start()
    net = TwoLayerNet(lib.xp, {key: lib.asarray(value, name) for key, value in start.items()})
    x, t = lib.asarray(net.images, name), lib.asarray(net.labels, name)

    def loss_w(w):
        return net.loss(x, t)

    expected = TwoLayerNet.gradient(start)
    grads = {key: anygrad.numerical_gradient(loss_w, net.params[key]) for key in net.params}
    together = anygrad.numerical_gradient(loss_w, net.params)
    for key, analytic in expected.items():
        # h^2/6 times the third derivative is about 1e-9 here, rounding 1e-12.
        assert np.average(np.abs(lib.numpy(grads[key]) - analytic)) < 1e-8
        assert np.array_equal(lib.numpy(together[key]), lib.numpy(grads[key]))
        assert np.array_equal(lib.numpy(net.params[key]), start[key])


@WRITABLE
@pytest.mark.parametrize("scheme", [anygrad.Central(order=4), anygrad.Forward(), anygrad.Backward()], ids=repr)
def test_a_closure_under_every_scheme(lib, scheme):
    w = lib.asarray(np.array([1.0, 2.0]), "float32")
    gradient = anygrad.numerical_gradient(lambda _: lib.xp.sum(w**2), w, scheme=scheme)
    assert np.allclose(lib.numpy(gradient), [2, 4], rtol=1e-2)


@WRITABLE
def test_a_closure_over_strided_memory(lib):
    matrix = lib.asarray(np.array([[1.0, 2.0], [3.0, 4.0]]), "float32")
    column = matrix[:, 1]
    gradient = anygrad.numerical_gradient(lambda _: lib.xp.sum(matrix**2), column)
    assert np.allclose(lib.numpy(gradient), [4, 8], rtol=1e-2)


@WRITABLE
def test_a_constant_function_of_writable_x_is_no_reason_to_warn(lib):
    x = lib.asarray(np.ones(3), "float32")
    assert np.array_equal(lib.numpy(anygrad.numerical_gradient(lambda x: 1.0, x)), [0, 0, 0])


@pytest.mark.libraries(lambda lib: not lib.lazy)
def test_copies_hide_the_perturbation_from_a_closure(lib):
    w = lib.asarray(np.array([1.0, 2.0]), "float32")
    with pytest.warns(ConstantFunctionWarning, match=r"closure.*Loop\(in_place=True\)") as caught:
        gradient = anygrad.numerical_gradient(lambda _: lib.xp.sum(w**2), w, evaluator=anygrad.Loop(in_place=False))
    assert caught[0].filename == __file__
    assert np.array_equal(lib.numpy(gradient), [0, 0])


@pytest.mark.libraries(lambda lib: lib.name == "jax")
def test_immutable_arrays_hide_the_perturbation_from_a_closure(lib):
    w = lib.asarray(np.array([1.0, 2.0]), "float32")
    for differentiate in (
        anygrad.numerical_gradient,
        anygrad.numerical_gradient_1d,
        anygrad.numerical_gradient_2d,
    ):
        with pytest.warns(ConstantFunctionWarning) as caught:
            differentiate(lambda _: lib.xp.sum(w**2), w)
        assert caught[0].filename == __file__


@pytest.mark.parametrize(
    "differentiate",
    [
        anygrad.numerical_gradient,
        anygrad.numerical_gradient_1d,
        anygrad.numerical_gradient_2d,
        anygrad.jacobian,
        anygrad.hessian,
        anygrad.laplacian,
        anygrad.derivative,
        lambda f, x: anygrad.jvp(f, x, np.ones(2)),
        lambda f, x: anygrad.hvp(f, x, np.ones(2)),
    ],
)
def test_read_only_memory_hides_the_perturbation_from_a_closure(differentiate):
    w = np.array([1.0, 2.0])
    w.flags.writeable = False
    with pytest.warns(ConstantFunctionWarning) as caught:
        differentiate(lambda x: np.sum(w**2) + (0 * x if differentiate is anygrad.derivative else 0), w)
    assert caught[0].filename == __file__


def test_an_even_function_at_zero_is_no_reason_to_warn(lib):
    """All its values are the same, but f(x) is another: it does see its argument."""
    x = lib.asarray(np.zeros(3), "float32")
    result = anygrad.numerical_gradient(
        lambda x: lib.xp.sum(x**2), x, evaluator=anygrad.Loop(in_place=False), full_output=True
    )
    assert np.array_equal(lib.numpy(result.value), [0, 0, 0])


def test_one_constant_leaf_is_no_reason_to_warn():
    tree = {"used": [1.0, 2.0], "unused": [3.0]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gradient = anygrad.numerical_gradient(lambda p: (p["used"] ** 2).sum(), tree)
    assert np.array_equal(gradient["unused"], [0])


def test_a_copied_leaf_that_is_not_seen_beside_one_that_is():
    params = {"w": np.array([1.0, 2.0]), "b": np.broadcast_to(3.0, (2,))}
    with pytest.warns(ConstantFunctionWarning, match=r"copies of x\['b'\], and"):
        anygrad.numerical_gradient(lambda _: (params["w"] * params["b"]).sum(), params)


def test_one_constant_row_is_no_reason_to_warn():
    X = np.array([[0.0, 0.0], [1.0, 1.0]])
    X.flags.writeable = False
    anygrad.numerical_gradient_2d(lambda x: max(0.0, x[0] - 0.5), X)


@pytest.mark.parametrize("options", [{"in_place": "no"}, {"graph": 1}, {"in_place": None}])
def test_a_switch_is_on_or_off(options):
    [(name, value)] = options.items()
    with pytest.raises(TypeError, match=rf"Loop\({name}={value!r}\): {name} must be True or False"):
        anygrad.Loop(**options)
    anygrad.Loop(in_place=np.True_)
