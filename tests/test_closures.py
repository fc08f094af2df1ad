"""The book's idiom, a loss that reads the parameters through a closure: seen in place, and warned of elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from problems import TwoLayerNet

import anygrad
from anygrad import ConstantFunctionWarning

WRITABLE = pytest.mark.libraries(lambda lib: lib.writable)
COPIES = anygrad.Loop(in_place=False)
GRADIENTS = (anygrad.numerical_gradient, anygrad.numerical_gradient_1d, anygrad.numerical_gradient_2d)


@WRITABLE
def test_a_network_in_the_books_style_has_the_gradient_of_backpropagation(lib):
    start = TwoLayerNet.start()
    net = TwoLayerNet(lib.xp, {key: lib.asarray(value, "float64") for key, value in start.items()})
    x, t = lib.asarray(net.images, "float64"), lib.asarray(net.labels, "float64")

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
def test_a_closure_sees_the_perturbation_under_every_scheme_and_in_a_column(lib, scheme):
    matrix = lib.asarray(np.array([[1.0, 2.0], [3.0, 4.0]]), "float32")
    gradient = anygrad.numerical_gradient(lambda _: lib.xp.sum(matrix**2), matrix[:, 1], scheme=scheme)
    assert np.allclose(lib.numpy(gradient), [4, 8], rtol=1e-2)


# --- who is warned ------------------------------------------------------------------------------------------------


@pytest.mark.libraries(lambda lib: not lib.lazy)
def test_the_warning_of_copies_says_where_and_what_to_do(lib):
    w = lib.asarray(np.array([1.0, 2.0]), "float32")
    with pytest.warns(ConstantFunctionWarning, match=r"closure.*Loop\(in_place=True\)") as caught:
        gradient = anygrad.numerical_gradient(lambda _: lib.xp.sum(w**2), w, evaluator=COPIES)
    assert caught[0].filename == __file__
    assert np.array_equal(lib.numpy(gradient), [0, 0])


@pytest.mark.parametrize(
    "differentiate",
    [
        *GRADIENTS,
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


@pytest.mark.parametrize(
    "x", [[3.0, 4.0], 3.0, (2.0, [1.0]), {"a": 3.0, "b": 2.0}, {"a": np.ones(2), "b": [1.0]}, np.float32(3)], ids=repr
)
@pytest.mark.parametrize(
    "operator", [anygrad.numerical_gradient, anygrad.jacobian, anygrad.hessian, anygrad.laplacian, anygrad.grad]
)
def test_an_f_that_reads_the_original_numbers_is_noticed(x, operator):
    differentiate = operator(lambda _: 9.0) if operator is anygrad.grad else lambda x: operator(lambda _: 9.0, x)
    with pytest.warns(ConstantFunctionWarning, match="copies of x") as caught:
        differentiate(x)
    assert caught[0].filename == __file__


def test_a_copied_array_that_is_not_seen_beside_one_that_is_has_its_name_in_the_warning():
    params = {"w": np.array([1.0, 2.0]), "b": np.broadcast_to(3.0, (2,))}
    with pytest.warns(ConstantFunctionWarning, match=r"copies of x\['b'\]: either"):
        anygrad.numerical_gradient(lambda _: (params["w"] * params["b"]).sum(), params)


@pytest.mark.parametrize("evaluator", [COPIES, anygrad.Batch()], ids=repr)
def test_an_f_that_is_constant_along_a_direction_is_noticed(evaluator):
    with pytest.warns(ConstantFunctionWarning):
        anygrad.jvp(lambda x: np.ones(x.shape[:-1]), np.ones(3), np.ones(3), evaluator=evaluator)


@pytest.mark.parametrize("inner", [anygrad.Batch(), anygrad.Batch(max_bytes=48), COPIES], ids=repr)
def test_a_constant_f_is_noticed_through_a_journal(tmp_path, inner):
    def f(x):
        return np.ones(x.shape[:-1])

    journal = anygrad.Journal(tmp_path / "journal", inner)
    for _ in range(2):  # evaluated, and taken from the file
        with pytest.warns(ConstantFunctionWarning, match="copies of x"):
            assert np.array_equal(anygrad.numerical_gradient(f, np.ones(3), evaluator=journal), np.zeros(3))


# --- who is not ---------------------------------------------------------------------------------------------------


def test_an_even_function_at_zero_is_not_taken_for_a_constant_one(lib):
    """All its values are the same, but f(x) is another: it does see its argument."""
    x = lib.asarray(np.zeros(3), "float32")
    result = anygrad.numerical_gradient(lambda x: lib.xp.sum(x**2), x, evaluator=COPIES, full_output=True)
    assert np.array_equal(lib.numpy(result.value), [0, 0, 0])


@pytest.mark.libraries(lambda lib: not lib.lazy)
def test_along_no_direction_nothing_changes_and_nobody_is_warned(lib):
    x, nowhere = (lib.asarray(numbers, "float32") for numbers in (np.ones(3), np.zeros(3)))
    for value in (
        anygrad.jvp(lambda x: x**2, x, nowhere, evaluator=COPIES),
        anygrad.hvp(lambda x: lib.xp.sum(x**2), x, nowhere, evaluator=COPIES),
        anygrad.hvp(None, x, nowhere, grad=lambda x: 2 * x, evaluator=COPIES),
    ):
        assert np.array_equal(lib.numpy(value), [0, 0, 0])


@pytest.mark.parametrize("evaluator", [COPIES, anygrad.Batch()], ids=repr)
@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_an_f_that_is_nowhere_finite_is_not_taken_for_a_constant_one(evaluator, value):
    def f(x):
        return np.full(x.shape[:-1], value)

    for scheme in (None, None, anygrad.Forward(), anygrad.Adaptive()):  # seen before, f may be called another way
        assert np.all(np.isnan(anygrad.numerical_gradient(f, np.ones(3), scheme=scheme, evaluator=evaluator)))


@WRITABLE
def test_nobody_is_warned_of_a_constant_f_of_an_x_that_is_perturbed_in_place(lib):
    x = lib.asarray(np.ones(3), "float32")
    assert np.array_equal(lib.numpy(anygrad.numerical_gradient(lambda x: 1.0, x)), [0, 0, 0])


@pytest.mark.parametrize("operator", [anygrad.numerical_gradient, anygrad.hessian])
@pytest.mark.parametrize("x", [[0.0, 0.0], {"a": 0.0, "b": [1.0]}], ids=repr)
def test_nobody_is_warned_of_one_array_or_row_that_f_does_not_depend_on(operator, x):
    operator(lambda x: x["a"] ** 2 if isinstance(x, dict) else x[0] ** 2, x)
    rows = np.array([[0.0, 0.0], [1.0, 1.0]])
    rows.flags.writeable = False
    anygrad.numerical_gradient_2d(lambda x: max(0.0, x[0] - 0.5), rows)


@pytest.mark.parametrize("options", [{"in_place": "no"}, {"graph": 1}, {"in_place": None}])
def test_a_switch_is_on_or_off(options):
    [(name, value)] = options.items()
    with pytest.raises(TypeError, match=rf"Loop\({name}={value!r}\): {name} must be True or False"):
        anygrad.Loop(**options)
    anygrad.Loop(in_place=np.True_)
