"""Second derivatives: hessian, hvp and laplacian."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import TwoLayerNet, grid, like
from random_examples import examples
from second_problems import SECOND
from tried import TRIED

import anygrad

X = np.array([1.5, -0.75, 2.0])


def cubic(x):
    """x0**2 x1 + x1 x2**3, in what any library has."""
    return x[0] ** 2 * x[1] + x[1] * x[2] ** 3


def cubic_hessian(x):
    a, b, c = x
    return np.array([[2 * b, 2 * a, 0], [2 * a, 0, 3 * c**2], [0, 3 * c**2, 6 * b * c]])


def cubic_gradient(lib):
    return lambda x: lib.xp.stack([2 * x[0] * x[1], x[0] ** 2 + x[2] ** 3, 3 * x[1] * x[2] ** 2])


def rounding(lib, magnitude):
    """Bound the error of a second derivative by `Central()`, in x of the library's widest ordinary dtype."""
    eps = np.finfo("float64" if "float64" in lib.real else "float32").eps
    return 2e3 * magnitude * eps**0.5


def widest(lib):
    return "float64" if "float64" in lib.real else "float32"


# --- hessian ------------------------------------------------------------------------------------------------------


@examples(20)
@given(n=st.integers(0, 4), seed=st.integers(0, 999))
def test_the_hessian_of_a_quadratic_form_is_the_sum_of_its_matrix_and_the_transpose(lib, n, seed):
    matrix, x = grid(n, n, seed=seed), lib.asarray(grid(n, seed=seed + 1), widest(lib))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", anygrad.ConstantFunctionWarning)  # a matrix of zeros makes a constant
        result = anygrad.hessian(
            lambda x: lib.xp.sum(x * (like(lib.xp, matrix, x) @ x)) if n else 1.0, x, full_output=True
        )
    assert result.value.shape == (n, n)
    assert np.allclose(lib.numpy(result.value), matrix + matrix.T, atol=rounding(lib, n**2))
    assert result.ncalls == 1 + 2 * n + n * (n - 1)


def test_ten_variables_take_111_points(lib):
    x = lib.asarray(grid(10, seed=43), "float32")
    result = anygrad.hessian(lambda x: lib.xp.sum(x**2), x, full_output=True)
    assert (result.ncalls, result.npoints) == (111, 111)


@pytest.mark.parametrize("problem", SECOND, ids=str)
@pytest.mark.parametrize("tried", TRIED, ids=repr)
def test_symmetric_to_the_last_bit(lib, problem, tried):
    bounded = (float(problem.x.min()), None)
    every = [None, bounded]
    if lib.slow:  # one at a time is varied: the case with more to decide, of one scheme
        every = [bounded if tried.scheme == anygrad.Central() else None]
    for bounds in [None] if tried.samples_complex else every:
        x = lib.asarray(problem.x, "float32")
        hessian = lib.numpy(anygrad.hessian(problem.on(lib), x, scheme=tried.scheme, bounds=bounds))
        square = hessian.reshape(problem.x.size, problem.x.size)
        assert np.array_equal(square, square.T)


@pytest.mark.parametrize("tried", TRIED, ids=repr)
def test_the_derivative_of_a_gradient(lib, tried):
    """No second differences: as exact as a first derivative. f is not called."""
    x = lib.asarray(X, widest(lib))
    result = anygrad.hessian(None, x, grad=cubic_gradient(lib), scheme=tried.scheme, full_output=True)
    eps = np.finfo(widest(lib)).eps
    # grad is below 40 within 1 of x, and computed in at most 6 operations.
    bound = tried.error(40, 6, eps, lib.numpy(result.step)) + 20 * eps
    value = lib.numpy(result.value)
    assert np.all(np.abs(value - cubic_hessian(X)) <= bound)
    assert np.array_equal(value, value.T)
    if not tried.samples_complex and tried.first:
        assert result.ncalls == tried.calls(lib, 3)


def test_trees_and_their_gradients(lib):
    """A tree like x of trees like x; symmetric across its leaves too."""
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


def test_the_books_network_agrees_with_its_gradient():
    """The Hessian from values of the loss, and from the gradients of backpropagation."""
    params = TwoLayerNet.start()
    net_of = lambda p: TwoLayerNet(np, p).loss(TwoLayerNet.images, TwoLayerNet.labels)  # noqa: E731 - two lines below
    from_values = anygrad.hessian(net_of, params)
    from_gradients = anygrad.hessian(net_of, params, grad=TwoLayerNet.gradient)
    for i in params:
        for j in params:
            assert np.allclose(from_values[i][j], from_gradients[i][j], atol=1e-6)


def test_leaves_of_different_precision():
    x = {"a": np.array([1.0, 2.0], np.float32), "b": np.array([3.0, 4.0])}
    v = {"a": np.array([1.0, 1.0]), "b": np.array([0.0, 1.0])}
    result = anygrad.hvp(lambda p: (p["a"] * p["b"] ** 2).sum(), x, v, full_output=True)
    assert {key: part.dtype for key, part in result.value.items()} == {"a": np.float32, "b": np.float64}
    assert {key: part.dtype for key, part in result.step.items()} == {"a": np.float32, "b": np.float64}
    assert np.allclose(result.value["a"], [0, 8], atol=0.05)
    assert np.allclose(result.value["b"], [6, 8 + 4], atol=0.05)


# --- hvp and laplacian --------------------------------------------------------------------------------------------


@examples(20)
@given(seed=st.integers(0, 999))
def test_a_product_with_a_vector_is_the_product_with_the_matrix(lib, seed):
    x, v = (lib.asarray(grid(3, seed=seed + i), widest(lib)) for i in range(2))
    expected = cubic_hessian(lib.numpy(x)) @ lib.numpy(v)
    tolerance = rounding(lib, 10 * (1 + float(np.max(np.abs(lib.numpy(v))))))
    assert np.allclose(lib.numpy(anygrad.hvp(cubic, x, v)), expected, atol=tolerance)
    assert np.allclose(lib.numpy(anygrad.hvp(None, x, v, grad=cubic_gradient(lib))), expected, atol=tolerance)


@pytest.mark.parametrize("size", [1, 10, 1000])
def test_with_the_gradient_a_product_takes_two_calls(lib, size):
    x = lib.asarray(np.ones(size), "float32")
    result = anygrad.hvp(None, x, x, grad=lambda x: x**3, full_output=True)
    assert (result.ncalls, result.npoints) == (2, 2)
    assert np.allclose(lib.numpy(result.value), 3, rtol=1e-2)


@pytest.mark.parametrize("size", [1, 2, 10])
def test_without_it_a_product_takes_4n_and_3(lib, size):
    x = lib.asarray(np.ones(size), "float32")
    assert anygrad.hvp(lambda x: lib.xp.sum(x**2), x, x, full_output=True).ncalls == 4 * size + 3


def test_the_laplacian_is_the_trace(lib):
    x = lib.asarray(X, widest(lib))
    result = anygrad.laplacian(cubic, x, full_output=True)
    assert lib.numpy(result.value) == pytest.approx(np.trace(cubic_hessian(X)), abs=float(rounding(lib, 30)))
    assert (result.value.shape, result.value.dtype, result.step.shape) == ((), x.dtype, (3,))
    assert (result.ncalls, result.npoints) == (7, 7)
    assert all(flag.shape == () for flag in result.flags.values())


def test_nothing_at_all(lib):
    none = lib.asarray(np.empty((0, 2)), "float32")
    assert anygrad.hessian(lambda x: 1.0, none).shape == (0, 2, 0, 2)
    assert anygrad.hvp(lambda x: 1.0, none, none).shape == (0, 2)
    assert lib.numpy(anygrad.laplacian(lambda x: 1.0, none)) == 0


# --- mistakes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grad", [lambda x: {"x": x}, lambda x: (x, x), lambda x: x[:2], lambda x: x.sum()])
def test_a_gradient_that_is_not_like_x(grad):
    for operator in (anygrad.hessian, lambda f, x, grad: anygrad.hvp(f, x, x, grad=grad)):
        with pytest.raises(ValueError, match="grad returned"):
            operator(None, X.copy(), grad=grad)


def test_what_a_gradient_returns_is_said_of_it():
    for operator in (anygrad.hessian, lambda f, x, grad: anygrad.hvp(f, x, x, grad=grad)):
        with pytest.raises(TypeError, match=r"^grad returned None, but an array.*lack a return statement"):
            operator(None, X.copy(), grad=lambda x: None)
        with pytest.raises(TypeError, match=r"^f returned None, but one number"):  # which is what grad is made of
            operator(None, X.copy(), grad=anygrad.grad(lambda x: None))


@pytest.mark.parametrize("grad", [3, np.ones(2)])
def test_a_gradient_that_is_no_function(grad):
    for operator in (anygrad.hessian, lambda f, x, **options: anygrad.hvp(f, x, x, **options)):
        with pytest.raises(TypeError, match=r"^grad is an? (int|ndarray), but a function of x that returns"):
            operator(None, X.copy(), grad=grad)


def test_one_gradient_for_a_tree_of_arrays_that_are_alike():
    x = {"a": np.array([1.0, 2.0]), "b": np.array([3.0, 4.0])}
    with pytest.raises(ValueError, match=r"grad returned.*x\['a'\], x\['b'\]"):
        anygrad.hessian(None, x, grad=lambda p: p["a"] * p["b"])


def test_several_values():
    for operator in (anygrad.laplacian, lambda f, x: anygrad.hvp(f, x, x)):
        with pytest.raises(ValueError, match=r"shape \(3,\).*jacobian"):
            operator(lambda x: x, X.copy())


def test_complex_x():
    z = X + 1j
    for operator in (anygrad.hessian, anygrad.laplacian, lambda f, x: anygrad.hvp(f, x, X)):
        with pytest.raises(TypeError, match=r"complex128.*real and the imaginary part"):
            operator(lambda z: abs(z).sum(), z)


def test_arrays_that_share_memory():
    w = np.array([1.0, 2.0])
    for operator in (anygrad.hessian, anygrad.laplacian, lambda f, x: anygrad.jvp(f, x, x)):
        with pytest.raises(ValueError, match=r"share memory.*copy"):
            operator(lambda p: (p["a"] * p["b"]).sum(), {"a": w, "b": w})
    assert np.array_equal(w, [1, 2])


def test_with_the_gradient_results_are_like_those_without():
    """Arrays, of no axes as well, and in the dtype of each array of x."""
    for full in False, True:
        found = anygrad.hessian(None, np.array(2.0), grad=lambda x: 3 * x**2, full_output=full)
        assert isinstance(found.value if full else found, np.ndarray)
        x = np.array([2.0], dtype="float32"), np.array([1.0])
        found = anygrad.hvp(None, x, (x[0] / 2, x[1]), grad=lambda x: (2 * x[0], x[1] ** 2), full_output=full)
        assert [part.dtype for part in (found.value if full else found)] == [np.float32, np.float64]
