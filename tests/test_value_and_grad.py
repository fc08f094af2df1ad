"""f(x) together with its gradient; gradients with respect to other arguments than the first."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import anygrad

X = np.array([0.5, 1.5, 2.0])
SCHEMES = [anygrad.Central(), anygrad.Forward(), anygrad.Adaptive(), anygrad.Complex()]


def cubes(x, a=1.0):
    return a * (x * x * x).sum()


def powers(x, y, z=1.0):
    return (x * x).sum() * y * z


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: type(scheme).__name__)
def test_the_value_and_the_gradient(lib, scheme):
    x = lib.asarray(X, "float32")
    if scheme.samples_complex and not lib.complex:
        pytest.skip("no complex arrays")

    def f(x):
        return lib.xp.sum(x * x * x)

    value, gradient = anygrad.value_and_grad(f, scheme=scheme)(x)
    assert value.dtype == x.dtype
    assert np.allclose(lib.numpy(value), np.sum(X**3))
    assert np.array_equal(lib.numpy(gradient), lib.numpy(anygrad.numerical_gradient(f, x, scheme=scheme)))


@pytest.mark.parametrize(
    ("scheme", "calls"), [(anygrad.Central(), 7), (anygrad.Forward(), 4)], ids=["central", "forward"]
)
def test_the_value_costs_one_call_at_most(scheme, calls):
    result = anygrad.value_and_grad(cubes, scheme=scheme, full_output=True)(X)[1]
    assert result.ncalls == calls
    assert result.value_at_x == cubes(X)


def test_the_extra_output_comes_with_the_value():
    (value, aux), gradient = anygrad.value_and_grad(lambda x: (cubes(x), "aux"), has_aux=True)(X)
    assert (value, aux) == (cubes(X), "aux")
    assert np.allclose(gradient, 3 * X**2)


def test_scipy_minimises_with_it():
    optimize = pytest.importorskip("scipy.optimize")
    found = optimize.minimize(anygrad.value_and_grad(optimize.rosen), [-1.0, 2.0], jac=True, method="BFGS")
    assert np.allclose(found.x, 1.0, atol=1e-5)


@pytest.mark.parametrize("argnums", [0, 1, 2, -1, (0, 1), (2, 0), (1,)], ids=repr)
def test_argnums_mean_what_they_do_in_jax(argnums):
    arguments = (X, 2.0, 3.0)
    squares = X @ X
    slopes = (2 * X * 6, squares * 3, squares * 2)
    expected = tuple(slopes[i] for i in argnums) if isinstance(argnums, tuple) else slopes[argnums]
    for value, found in (
        (None, anygrad.grad(powers, argnums)(*arguments)),
        anygrad.value_and_grad(powers, argnums=argnums)(*arguments),
    ):
        assert value is None or value == powers(*arguments)
        assert type(found) is tuple if isinstance(argnums, tuple) else True
        for own, right in zip(found, expected, strict=True) if isinstance(argnums, tuple) else [(found, expected)]:
            assert np.allclose(own, right)


def test_keywords_are_passed_on():
    assert np.allclose(anygrad.grad(powers, 1)(X, 2.0, z=3.0), X @ X * 3)


def test_both_can_be_pickled_and_read():
    made = anygrad.value_and_grad(cubes, argnums=(0, 1))
    assert repr(made) == "anygrad.value_and_grad(cubes, argnums=(0, 1))"
    value, gradient = pickle.loads(pickle.dumps(made))(X, 2.0)
    assert value == cubes(X, 2.0)
    assert np.allclose(gradient[0], 6 * X**2)


def test_a_journal_tells_arguments_apart(tmp_path):
    journal = anygrad.Journal(tmp_path / "a.journal", verify=False)
    anygrad.grad(powers, 1, evaluator=journal)(X, 2.0, 3.0)
    with pytest.raises(ValueError, match="arg"):
        anygrad.grad(powers, 1, evaluator=journal)(X + 1, 2.0, 3.0)


@pytest.mark.parametrize("argnums", ["0", True, 1.0, (), (0, "1")], ids=repr)
def test_argnums_that_are_none(argnums):
    with pytest.raises(TypeError, match=r"argnums is .*, but a position"):
        anygrad.grad(powers, argnums)


@pytest.mark.parametrize(("argnums", "words"), [(2, "2 positional"), ((0, -2), "once")], ids=repr)
def test_argnums_that_do_not_fit(argnums, words):
    with pytest.raises(TypeError, match=words):
        anygrad.grad(powers, argnums)(X, 2.0)


def test_value_at_x_is_known_where_it_was_evaluated_or_given():
    full = {"full_output": True}
    assert anygrad.numerical_gradient(cubes, X, **full).value_at_x is None
    assert anygrad.numerical_gradient(cubes, X, f0=cubes(X), **full).value_at_x == cubes(X)
    assert anygrad.hessian(cubes, X, **full).value_at_x == cubes(X)
    assert np.array_equal(anygrad.derivative(np.exp, X, **full).value_at_x, np.exp(X))
    tree = anygrad.jacobian(lambda x: {"a": x**2, "b": x[0]}, X, scheme=anygrad.Forward(), **full).value_at_x
    assert np.array_equal(tree["a"], X**2)
    assert tree["b"] == X[0]
    assert anygrad.hessian(None, X, grad=lambda x: 3 * x**2, scheme=anygrad.Forward(), **full).value_at_x is None
