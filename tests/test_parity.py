"""Every library, problem and layout against the reference, the book's loop in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from array_api_compat import array_namespace, device
from layouts import LAYOUTS
from problems import PROBLEMS, Problem

import anygrad


def reference_gradient(problem: Problem) -> np.ndarray:
    import array_api_compat.numpy as xp

    return reference.numerical_gradient(lambda x: problem.f(xp, x), problem.x.copy())


@pytest.mark.parity
@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_every_library_gives_the_reference_to_rounding(lib, layout, problem):
    for dtype in ["float32"] if lib.lazy else set(lib.real) & {"float32", "float64"}:
        x = LAYOUTS[layout](lib, problem.x, dtype)
        result = anygrad.numerical_gradient(problem.on(lib), x, full_output=True)
        gradient, step = lib.numpy(result.value), lib.numpy(result.step)

        # Both carry the error of a central difference: this one in x's dtype, the reference in float64.
        eps = np.finfo(dtype).eps
        bound = problem.bound(step, eps) + problem.bound(reference.H, np.finfo(np.float64).eps)
        assert np.all(np.abs(gradient - reference_gradient(problem)) <= bound)
        assert np.all(np.abs(gradient - problem.gradient(problem.x)) <= problem.bound(step, eps))

        assert (result.value.shape, result.value.dtype) == (x.shape, x.dtype)
        assert device(result.value) == device(x)
        assert array_namespace(result.value) is array_namespace(x)
        assert np.array_equal(lib.numpy(x), problem.x)


@pytest.mark.libraries(lambda lib: lib.name == "numpy")
@pytest.mark.parametrize("h", [None, 1e-4, 1e-5])
@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_numpy_float64_gives_the_reference_to_the_last_bit(lib, layout, problem, h):
    x = LAYOUTS[layout](lib, problem.x, "float64")
    expected = reference.numerical_gradient(problem.on(lib), x, reference.H if h is None else h)
    assert np.array_equal(anygrad.numerical_gradient(problem.on(lib), x, h), expected)


@pytest.mark.libraries(lambda lib: lib.name == "numpy")
def test_an_x_of_several_blocks_gives_the_reference_to_the_last_bit(lib, layout):
    x = LAYOUTS[layout](lib, np.linspace(-1, 1, 10_000).reshape(100, 100), "float64")
    before = x.copy()

    def f(x):  # of the first and the last elements of x and of its blocks
        return np.sin(x[0, 0]) + np.cos(x[40, 95] * x[40, 96]) + x[81, 91] * x[81, 92] ** 2 + np.exp(x[99, 99])

    assert np.array_equal(anygrad.numerical_gradient(f, x), reference.numerical_gradient(f, x))
    assert np.array_equal(x, before)


def test_one_sample_gives_the_reference_to_the_last_bit():
    x = np.array([3.0, -4.0, 0.1])

    def f(x):
        return x[0] ** 2 * x[1] + np.sin(x[2])

    assert np.array_equal(anygrad.numerical_gradient_1d(f, x), reference.numerical_gradient_1d(f, x))


def test_the_reference_fails_where_anygrad_does_not():
    f = np.sum
    large = np.array([1e13])
    assert reference.numerical_gradient(f, large.copy())[0] == 0
    assert anygrad.numerical_gradient(f, large)[0] == pytest.approx(1, rel=1e-9)
