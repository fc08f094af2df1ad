"""Elements of every size, and those that are no numbers."""

from __future__ import annotations

import numpy as np
import pytest

import anygrad

SCHEMES = [None, anygrad.Central(order=4), anygrad.Forward(), anygrad.Backward()]


@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
def test_nan_and_inf_affect_their_own_entry_only(lib, scheme):
    x = lib.asarray(np.array([1.0, np.nan, 2.0, np.inf, -np.inf, 3.0]), "float32")
    finite = lib.asarray(np.array([1.0, 0.0, 1.0, 0.0, 0.0, 1.0]), "float32")

    def f(x):
        return lib.xp.sum(lib.xp.where(finite > 0, x, lib.xp.zeros_like(x)) ** 2)

    gradient = lib.numpy(anygrad.numerical_gradient(f, x, scheme=scheme))
    assert np.allclose(gradient[[0, 2, 5]], [2, 4, 6], rtol=1e-2)
    assert np.all(gradient[[1, 3, 4]] == 0)  # f does not depend on them


def test_the_derivative_at_infinity_is_that_of_the_limit(lib):
    x = lib.asarray(np.array([np.inf, -np.inf, 0.5]), "float32")
    gradient = lib.numpy(anygrad.numerical_gradient(lambda x: lib.xp.sum(lib.xp.tanh(x)), x))
    assert np.array_equal(gradient[:2], [0, 0])


def test_values_of_f_that_are_not_finite_show_in_the_gradient(lib):
    x = lib.asarray(np.array([1.0, 2.0]), "float32")
    for value in (np.nan, np.inf):
        scale = lib.asarray(np.array([1.0, value]), "float32")
        gradient = lib.numpy(anygrad.numerical_gradient(lambda x: x[1] * scale[1], x))
        assert np.isnan(gradient).all()


@pytest.mark.libraries(lambda lib: "float64" in lib.real)
@pytest.mark.parametrize("scheme", [None, *SCHEMES[1:]], ids=repr)
@pytest.mark.parametrize("magnitude", [0.0, 5e-324, 1e-300, 1e-8, 1.0, 15.0, 17.0, 1e8, 1e13, 1e300])
def test_a_linear_function_at_every_magnitude(lib, scheme, magnitude):
    # Truncation is nil, and rounding is relative to the step, which is at least eps**(1/2) times x.
    x = lib.asarray(np.array([magnitude, -magnitude]), "float64")
    gradient = lib.numpy(anygrad.numerical_gradient(lambda x: x[0] - x[1] / 2, x, scheme=scheme))
    assert np.allclose(gradient, [1, -0.5], rtol=1e-7 if scheme is None or magnitude else 1e-6)


@pytest.mark.libraries(lambda lib: "float64" in lib.real)
def test_the_default_step(lib):
    """1e-4 up to |x| = 16, then eps**(1/3) |x|."""
    values = np.array([0.0, 1e-300, -1.0, 15.0, 20.0, -1e6])
    x = lib.asarray(values, "float64")
    step = lib.numpy(anygrad.numerical_gradient(lib.xp.sum, x, full_output=True).step)
    eps = np.finfo(np.float64).eps
    assert np.array_equal(step[:4], [1e-4] * 4)
    assert np.allclose(step[4:], eps ** (1 / 3) * np.abs(values[4:]), rtol=1e-4)


@pytest.mark.parametrize("scheme", [anygrad.Central(), anygrad.Central(order=8), anygrad.Forward()], ids=repr)
def test_chosen_steps_are_representable(lib, dtype, scheme):
    x = lib.asarray(np.array([0.0, 1.0, 1 / 3, 100.0, 0.001]), dtype)
    result = anygrad.numerical_gradient(lib.xp.sum, x, scheme=scheme, full_output=True)
    moved = x + result.step
    assert np.array_equal(lib.numpy(moved - x), lib.numpy(result.step))


@pytest.mark.parametrize("value", [1.0, 10.0, 300.0, 1000.0, 1500.0])
def test_a_given_step_that_the_dtype_cannot_take_is_not_divided_by(lib, value):
    """In float32 1000 + 1e-4 is 1000.00012."""
    x = lib.asarray(np.array([value, -value]), "float32")
    gradient = anygrad.numerical_gradient(lambda x: float(lib.numpy(x).astype(np.float64).sum()), x, 1e-4)
    assert np.allclose(lib.numpy(gradient), 1, rtol=1e-6)


def test_every_dtype_reaches_what_it_can(lib, dtype):
    values = np.array([0.5, -1.25, 2.0])
    x = lib.asarray(values, dtype)
    result = anygrad.numerical_gradient(lambda x: lib.xp.sum(x**3) / 8, x, full_output=True)
    assert (result.value.dtype, result.value.shape) == (x.dtype, x.shape)
    eps = {"bfloat16": 2.0**-7}.get(dtype) or float(np.finfo(dtype).eps)
    step = lib.numpy(result.step).astype(float)
    # Truncation, six roundings of numbers up to 2, and the rounding of the result.
    bound = step**2 / 8 + 6 * eps * 2 / (2 * step) + 2 * eps
    assert np.all(np.abs(lib.numpy(result.value) - 3 * values**2 / 8) <= bound)


@pytest.mark.skipif(np.finfo(np.longdouble).nmant <= 52, reason="longdouble is float64 on this machine")
@pytest.mark.libraries(lambda lib: lib.name == "numpy")
def test_longdouble_is_not_narrowed(lib):
    x = np.array([1.0, 2.0], dtype=np.longdouble)
    gradient = anygrad.numerical_gradient(lambda x: np.exp(x).sum(), x, scheme=anygrad.Central(order=8))
    assert gradient.dtype == np.longdouble
    assert np.all(np.abs(gradient / np.exp(x) - 1) < 2e-15)  # float64 reaches 1e-13


@pytest.mark.libraries(lambda lib: not lib.lazy)
def test_a_derivative_beyond_the_dtype_is_flagged(lib):
    """1e30 x**2 at 1e20 has a derivative of 2e50, which float32 does not hold; at 1 it has one of 2e30."""
    x = lib.asarray(np.array([1e20, 1.0]), "float32")
    for scheme in (anygrad.Central(), anygrad.Adaptive()):
        result = anygrad.numerical_gradient(
            lambda x: 1e30 * sum(float(number) ** 2 for number in x), x, scheme=scheme, full_output=True
        )
        assert lib.numpy(result.flags["nonfinite"]).tolist() == [True, False]
        assert not np.isfinite(lib.numpy(result.value)[0])
