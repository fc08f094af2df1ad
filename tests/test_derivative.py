"""Derivatives of functions that work element by element."""

from __future__ import annotations

import functools
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import LAYOUTS
from random_examples import examples
from tried import TRIED

import anygrad

POINTS = np.array([[0.25, -1.5], [2.0, 0.75]])
DOUBLE = pytest.mark.libraries(lambda lib: "float64" in lib.real)


def sines_derivative(n, x):
    return np.sin(x + n * np.pi / 2)


@DOUBLE
@pytest.mark.parametrize("order", [2, 6])
def test_the_first_eight_derivatives_of_a_sine(lib, layout, order):
    x = LAYOUTS[layout](lib, POINTS, "float64")
    before, scheme, eps = lib.bits(x), anygrad.Central(order=order), np.finfo(np.float64).eps
    for n in (1, 2) if lib.slow else range(1, 9):
        result = anygrad.derivative(lib.xp.sin, x, n, scheme=scheme, full_output=True)
        # Rounding, of 4 eps and weights that sum up to less than 2^(order + 2n), meets a truncation that is as large.
        step = lib.numpy(result.step)
        bound = step**order + 2.0 ** (order + 2 * n) * eps / step**n
        assert np.all(np.abs(lib.numpy(result.value) - sines_derivative(n, POINTS)) <= bound)
        assert np.max(bound) < 0.6
        assert (result.value.shape, result.value.dtype) == (x.shape, x.dtype)
        assert lib.bits(x) == before


@pytest.mark.parametrize("size", [1, 5000])
@pytest.mark.parametrize(("n", "calls"), [(1, 2), (2, 3), (3, 4), (6, 7)])
def test_the_number_of_calls_does_not_depend_on_the_size(lib, size, n, calls):
    """n + 1 points for the n-th derivative; for odd n, x itself is none of them."""
    x = lib.asarray(np.linspace(0, 1, size), "float32")
    result = anygrad.derivative(lib.xp.exp, x, n, scheme=anygrad.Central(), full_output=True)
    assert (result.ncalls, result.npoints) == (calls, calls)


@DOUBLE
def test_the_number_of_calls_of_adaptive_is_that_of_the_element_that_takes_most(lib):
    def calls(size):
        x = lib.asarray(np.linspace(1, 2, size), "float64")
        return anygrad.derivative(lib.xp.exp, x, full_output=True).ncalls

    assert calls(2) <= calls(500) <= 30


@pytest.mark.parametrize("tried", TRIED, ids=repr)
def test_every_scheme_in_every_dtype(lib, tried):
    for dtype in {"float32", "float64"} & set(lib.real):
        x, eps = lib.asarray(POINTS, dtype), np.finfo(dtype).eps
        for n in (1, 2):
            result = anygrad.derivative(lib.xp.sin, x, n, scheme=tried.scheme, full_output=True)
            bound = tried.error(np.cosh(1), 4, eps, lib.numpy(result.step), n) + eps
            assert np.all(np.abs(lib.numpy(result.value) - sines_derivative(n, POINTS)) <= bound)
            if tried.first:
                assert result.ncalls == tried.calls(lib, 1, n)


@examples(25)
@given(coefficients=st.lists(st.integers(-8, 8), max_size=4).map(lambda rest: [*rest, 1, 2]), n=st.integers(1, 4))
def test_polynomials_have_the_derivatives_of_their_coefficients(coefficients, n):
    x, polynomial = np.array([-1.0, 0.0, 0.5, 1.0]), np.polynomial.Polynomial(coefficients)
    result = anygrad.derivative(polynomial, x, n, scheme=anygrad.Central(order=4), full_output=True)
    # No truncation below degree n + 4; of rounding 2^(order + 2n) times as much as in a value of f, below 8 * 6 * 2^5.
    bound = 2 ** (4 + 2 * n) * 12 * np.finfo(np.float64).eps * 1536 / np.min(result.step) ** n
    assert np.all(np.abs(result.value - polynomial.deriv(n)(x)) <= bound)


def test_numbers_and_lists():
    assert anygrad.derivative(math.exp, 0.5) == pytest.approx(math.exp(0.5), rel=1e-9)
    assert anygrad.derivative(np.sin, 0.5, np.int64(2)) == pytest.approx(-np.sin(0.5), abs=1e-6)
    assert np.allclose(anygrad.derivative(lambda x: [x[0] ** 2, x[1] ** 3], [1, 2]), [2, 12])


@pytest.mark.parametrize("scheme", [anygrad.Adaptive(), anygrad.Central()], ids=repr)
def test_a_number_reaches_f_as_a_number(scheme):
    """One that is hashable, and of which `math.floor` makes an index."""
    squares = functools.cache(lambda x: x**2)
    assert anygrad.derivative(squares, 3.0, scheme=scheme) == pytest.approx(6)
    if scheme == anygrad.Central():
        assert anygrad.derivative(lambda x: x * [1, 2, 3][math.floor(x)], 2.5, scheme=scheme) == pytest.approx(3)


def test_holomorphic_functions_have_the_complex_derivative():
    z = np.array([1 + 1j, 2 - 0.5j])
    assert np.allclose(anygrad.derivative(np.exp, z), np.exp(z), rtol=1e-8)
    assert np.allclose(anygrad.derivative(np.exp, z, 2), np.exp(z), rtol=1e-6)


def test_nan_affects_its_own_element_only(lib):
    x = lib.asarray(np.array([1.0, np.nan, 2.0]), "float32")
    with np.errstate(invalid="ignore"):
        value = lib.numpy(anygrad.derivative(lambda x: x**2, x))
    assert np.allclose(value[[0, 2]], [2, 4], rtol=1e-3)
    assert np.isnan(value[1])


def test_an_empty_x_has_an_empty_derivative(lib):
    none = lib.asarray(np.empty((0, 2)), "float32")
    result = anygrad.derivative(lib.xp.sin, none, full_output=True)
    assert (result.value.shape, result.step.shape, result.ncalls) == ((0, 2), (0, 2), 0)


# --- high derivatives ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "exact"),
    [
        (np.exp, lambda n, x: np.exp(x)),
        (np.sin, sines_derivative),
        (np.reciprocal, lambda n, x: (-1.0) ** n * math.factorial(n) / x ** (n + 1)),
    ],
    ids=["exp", "sin", "1/x"],
)
def test_high_derivatives_that_drown_in_rounding_are_flagged(f, exact):
    """A value that is not flagged is off by less than its size, and its error covers that."""
    x = np.array([0.1, 0.5, 1.0, 2.0, -1.5, 10.0])
    for n in (14, 18, 22, 30, 36):
        with np.errstate(over="ignore"):
            result = anygrad.derivative(f, x, n, full_output=True)
        flagged = np.any(list(result.flags.values()), axis=0)
        off, expected = np.abs(result.value - exact(n, x)), np.abs(exact(n, x))
        assert np.all(flagged | ((off < expected) & (off <= result.error)))


def test_high_derivatives_that_are_0_are_not_flagged():
    x = np.array([0.0, 0.5, -2.0, 30.0])
    for n in (5, 8, 12):
        result = anygrad.derivative(lambda x: x**3 - x, x, n, full_output=True)
        assert np.all(np.abs(result.value) <= result.error)
        assert not result.flags["unconverged"].any()


@pytest.mark.parametrize(("dtype", "most"), [("float16", 6), ("float32", 15), ("float64", 36)])
def test_derivatives_of_which_the_dtype_has_no_digit_left_are_refused(dtype, most):
    x = np.array([0.5, 2.0], dtype)
    with np.errstate(all="ignore"):
        anygrad.derivative(np.sin, x, most)
        with pytest.raises(ValueError, match=rf"n is {most + 1}, but .* above n = {most} .*wider dtype"):
            anygrad.derivative(np.sin, x, most + 1)


# --- mistakes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "error", "message"),
    [
        (0, ValueError, "n is 0, but it must be 1 or more"),
        (1.5, TypeError, "n is 1.5, but an integer was expected"),
        (True, TypeError, "n is True, but an integer was expected"),
        ("2", TypeError, "n is '2', but an integer was expected"),
    ],
)
def test_derivatives_that_do_not_exist_are_refused(n, error, message):
    with pytest.raises(error, match=message):
        anygrad.derivative(np.sin, 0.5, n)


@pytest.mark.parametrize(
    "f",
    [np.sum, lambda x: x[:1], lambda x: np.outer(x, x), lambda x: (x, x)],
    ids=["one number", "fewer numbers", "a matrix", "a pair"],
)
def test_functions_that_do_not_work_element_by_element_are_refused(f):
    x = np.array([1.0, 2.0])
    with pytest.raises(ValueError, match=r"shape \(2,\), but the shape of x was expected.*(jacobian|_gradient)"):
        anygrad.derivative(f, x)
    assert np.array_equal(x, [1, 2])


def test_none_and_trees_are_refused():
    with pytest.raises(TypeError, match=r"^f returned None, but an array like x was expected: does it lack"):
        anygrad.derivative(lambda x: None, np.ones(3))
    with pytest.raises(TypeError, match="x is a dict, but one array was expected"):
        anygrad.derivative(np.sin, {"a": 1.0})


def test_the_memory_that_adaptive_takes():
    x = np.random.default_rng(0).uniform(-1.0, 1.0, 2**18)
    anygrad.derivative(np.exp, x[:10])
    tracemalloc.start()
    anygrad.derivative(np.exp, x)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # All levels until the first lines end, and the tableau of the latest one: not that of the level before as well.
    assert peak <= 70 * x.nbytes
