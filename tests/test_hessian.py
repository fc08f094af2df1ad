"""Second derivatives: hessian, hvp and laplacian."""

from __future__ import annotations

import numpy as np
import pytest
from problems import SECOND
from tried import TRIED

import anygrad

X = np.array([1.5, -0.75, 2.0])
BY_SCHEME = pytest.mark.parametrize("tried", TRIED, ids=repr)
# Those that a gradient may be given to.
WITH_GRAD = [anygrad.hessian, lambda f, x, **options: anygrad.hvp(f, x, x, **options)]
EACH = [anygrad.hessian, anygrad.laplacian, lambda f, x: anygrad.hvp(f, x, X)]


def cubic(x):
    """x0**2 x1 + x1 x2**3, in what any library has."""
    return x[0] ** 2 * x[1] + x[1] * x[2] ** 3


def cubic_hessian(x):
    a, b, c = x
    return np.array([[2 * b, 2 * a, 0], [2 * a, 0, 3 * c**2], [0, 3 * c**2, 6 * b * c]])


def cubic_gradient(lib):
    return lambda x: lib.xp.stack([2 * x[0] * x[1], x[0] ** 2 + x[2] ** 3, 3 * x[1] * x[2] ** 2])


def widest(lib):
    return "float64" if "float64" in lib.real else "float32"


def rounding(lib, magnitude):
    """Bound the error of a second derivative by `Central()`, in x of the library's widest ordinary dtype."""
    return 2e3 * magnitude * np.finfo(widest(lib)).eps ** 0.5


@BY_SCHEME
@pytest.mark.parametrize("problem", SECOND, ids=str)
def test_a_hessian_is_symmetric_to_the_last_bit(lib, problem, tried):
    bounded = (float(problem.x.min()), None)
    every = [None, bounded]
    if lib.slow:  # one at a time is varied: the case with more to decide, of one scheme
        every = [bounded if tried.scheme == anygrad.Central() else None]
    for bounds in [None] if tried.samples_complex else every:
        x = lib.asarray(problem.x, "float32")
        hessian = lib.numpy(anygrad.hessian(problem.on(lib), x, scheme=tried.scheme, bounds=bounds))
        square = hessian.reshape(problem.x.size, problem.x.size)
        assert np.array_equal(square, square.T)


@BY_SCHEME
def test_the_derivative_of_a_gradient_is_as_exact_as_a_first_one(lib, tried):
    """f is not called."""
    x = lib.asarray(X, widest(lib))
    result = anygrad.hessian(None, x, grad=cubic_gradient(lib), scheme=tried.scheme, full_output=True)
    # grad is below 40 within 1 of x, and computed in at most 6 operations.
    eps = np.finfo(widest(lib)).eps
    bound = tried.error(40, 6, eps, lib.numpy(result.step)) + 20 * eps
    value = lib.numpy(result.value)
    assert np.all(np.abs(value - cubic_hessian(X)) <= bound)
    assert np.array_equal(value, value.T)
    if not tried.samples_complex and tried.first:
        assert result.ncalls == tried.calls(lib, 3)
        product = anygrad.hvp(None, x, x, grad=cubic_gradient(lib), scheme=tried.scheme, full_output=True)
        assert product.ncalls == tried.calls(lib, 1)


def test_the_hessian_of_a_tree_is_a_tree_of_trees_symmetric_across_its_arrays(lib):
    x = {"a": lib.asarray(np.array([1.0, 2.0]), "float32"), "b": (lib.asarray(np.array([[3.0]]), "float32"),)}

    def f(p):
        return lib.xp.sum(p["a"] ** 2) * lib.xp.sum(p["b"][0])

    def gradient(p):
        return {"a": 2 * p["a"] * lib.xp.sum(p["b"][0]), "b": (lib.xp.reshape(lib.xp.sum(p["a"] ** 2), (1, 1)),)}

    for hessian in (anygrad.hessian(f, x), anygrad.hessian(f, x, grad=gradient)):
        parts = hessian["a"]["a"], hessian["a"]["b"][0], hessian["b"][0]["a"], hessian["b"][0]["b"][0]
        assert [part.shape for part in parts] == [(2, 2), (2, 1, 1), (1, 1, 2), (1, 1, 1, 1)]
        expected = [6 * np.eye(2), np.reshape([2.0, 4.0], (2, 1, 1)), np.reshape([2.0, 4.0], (1, 1, 2)), 0]
        for part, analytic in zip(parts, expected, strict=True):
            assert np.allclose(lib.numpy(part), analytic, atol=0.05)
        assert np.array_equal(lib.numpy(parts[1]).ravel(), lib.numpy(parts[2]).ravel())


@pytest.mark.parametrize("full", [False, True])
def test_products_are_in_the_dtype_of_each_array_of_x(full):
    x = {"a": np.array([1.0, 2.0], np.float32), "b": np.array([3.0, 4.0])}
    v = {"a": np.array([1.0, 1.0]), "b": np.array([0.0, 1.0])}

    def gradient(p):
        return {"a": p["b"] ** 2, "b": 2 * p["a"] * p["b"]}

    for f, grad in ((lambda p: (p["a"] * p["b"] ** 2).sum(), None), (None, gradient)):
        found = anygrad.hvp(f, x, v, grad=grad, full_output=full)
        value = found.value if full else found
        assert {key: part.dtype for key, part in value.items()} == {"a": np.float32, "b": np.float64}
        assert np.allclose(value["a"], [0, 8], atol=0.05)
        assert np.allclose(value["b"], [6, 8 + 4], atol=0.05)
    found = anygrad.hessian(None, np.array(2.0), grad=lambda x: 3 * x**2, full_output=full)
    assert isinstance(found.value if full else found, np.ndarray)


def test_the_laplacian_is_one_number_with_one_flag_each(lib):
    x = lib.asarray(X, widest(lib))
    result = anygrad.laplacian(cubic, x, full_output=True)
    assert lib.numpy(result.value) == pytest.approx(np.trace(cubic_hessian(X)), abs=float(rounding(lib, 30)))
    assert (result.value.shape, result.value.dtype, result.step.shape) == ((), x.dtype, (3,))
    assert all(flag.shape == () for flag in result.flags.values())


def test_second_derivatives_of_an_empty_x(lib):
    none = lib.asarray(np.empty((0, 2)), "float32")
    assert anygrad.hessian(lambda x: 1.0, none).shape == (0, 2, 0, 2)
    assert anygrad.hvp(lambda x: 1.0, none, none).shape == (0, 2)
    assert lib.numpy(anygrad.laplacian(lambda x: 1.0, none)) == 0


# --- mistakes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", WITH_GRAD)
@pytest.mark.parametrize(
    ("grad", "error", "message"),
    [
        (lambda x: {"x": x}, ValueError, "grad returned"),
        (lambda x: x[:2], ValueError, "grad returned"),
        (lambda x: x.sum(), ValueError, "grad returned"),
        (lambda x: None, TypeError, r"^grad returned None, but an array.*lack a return statement"),
        (anygrad.grad(lambda x: None), TypeError, r"^f returned None, but one number"),
        (3, TypeError, "^grad is an int, but a function of x that returns"),
    ],
)
def test_a_gradient_that_is_not_like_x_is_refused(operator, grad, error, message):
    with pytest.raises(error, match=message):
        operator(None, X.copy(), grad=grad)


def test_one_gradient_for_a_tree_of_arrays_that_are_alike_is_refused():
    x = {"a": np.array([1.0, 2.0]), "b": np.array([3.0, 4.0])}
    with pytest.raises(ValueError, match=r"grad returned.*x\['a'\], x\['b'\]"):
        anygrad.hessian(None, x, grad=lambda p: p["a"] * p["b"])


@pytest.mark.parametrize("operator", EACH)
def test_second_derivatives_of_several_values_or_complex_numbers_are_refused(operator):
    if operator is not anygrad.hessian:
        with pytest.raises(ValueError, match=r"shape \(3,\).*jacobian"):
            operator(lambda x: x, X.copy())
    with pytest.raises(TypeError, match=r"complex128.*real and imaginary parts"):
        operator(lambda z: abs(z).sum(), X + 1j)
