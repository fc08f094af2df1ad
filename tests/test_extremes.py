"""Numbers that are not finite, at the end of the range, or 0; and arrays of many elements; together with options."""

from __future__ import annotations

import numpy as np
import pytest

import anygrad

SCHEMES = [None, anygrad.Central(order=4), anygrad.Forward(), anygrad.Adaptive()]


# The array API has no other way to put parts together than that sum.
COMPOSES = pytest.mark.libraries(lambda lib: "complex128" in lib.complex and not lib.lazy and "strict" not in lib.name)


@COMPOSES
@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
@pytest.mark.parametrize("evaluator", [anygrad.Loop(), anygrad.Loop(in_place=False), anygrad.Batch()], ids=repr)
def test_an_infinite_imaginary_part_reaches_f_as_it_is(lib, scheme, evaluator):
    """The sum of a real part and i times infinity would have the real part NaN."""
    z = lib.asarray(np.array([complex(1, np.inf)]), "complex128")
    seen = []

    def f(z):
        seen.append(lib.numpy(z).reshape(-1).copy())
        return lib.xp.sum(z, axis=-1)

    anygrad.numerical_gradient(f, z, scheme=scheme, evaluator=evaluator)
    numbers = np.concatenate(seen)
    assert np.all(np.isposinf(numbers.imag))
    assert np.all(np.isfinite(numbers.real))


@pytest.mark.parametrize("scheme", [anygrad.Backward(order=1), anygrad.Backward(order=2)], ids=repr)
@pytest.mark.libraries(lambda lib: "float64" in lib.real and not lib.lazy)
def test_backward_differences_at_the_largest_number(lib, scheme):
    """Above it there is none: nothing there may be asked for."""
    x, unit = lib.asarray(np.array([np.finfo("float64").max]), "float64"), 2.0**-1000
    result = anygrad.numerical_gradient(lambda x: lib.xp.sum(x * unit), x, scheme=scheme, full_output=True)
    assert np.allclose(lib.numpy(result.value) / unit, 1, rtol=1e-2)
    assert np.all(np.isfinite(lib.numpy(result.step)))
    assert not lib.numpy(result.flags["nonfinite"]).any()


@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
@pytest.mark.parametrize(
    ("infinite", "bounds"),
    [(np.inf, (0, None)), (np.inf, (0, np.inf)), (-np.inf, (None, 5)), (-np.inf, (-np.inf, 5))],
)
def test_the_derivative_at_an_infinite_x_between_bounds_is_nan(infinite, bounds, scheme):
    x = np.array([infinite, 1.0])
    result = anygrad.derivative(lambda x: x**2, x, scheme=scheme or anygrad.Central(), bounds=bounds, full_output=True)
    assert np.isnan(result.value[0])
    assert result.value[1] == pytest.approx(2, rel=1e-6)
    assert result.flags["nonfinite"].tolist() == [True, False]
    gradient = anygrad.numerical_gradient(lambda x: np.sum(x**2), x, scheme=scheme, bounds=bounds)
    assert np.isnan(gradient[0])


@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (lambda x: np.exp(x) + x, 2),
        (lambda x: 0 * x, 0),
        (lambda x: 1 + 0 * x, 0),
        (lambda x: np.where(x > 1e-3, 1, 0), 0),
    ],
    ids=["exp", "zero", "one", "zero nearby"],
)
def test_extended_precision_at_zero(f, slope):
    """Its smallest number is 0 as a Python float, but nothing may be divided by that."""
    x = np.zeros(2, "longdouble")
    result = anygrad.derivative(f, x, full_output=True)
    assert result.value.dtype == x.dtype
    assert np.all(np.abs(result.value - slope) <= result.error)
    assert np.all(result.error < 1e-15)
    assert not any(flag.any() for flag in result.flags.values())


@pytest.mark.parametrize(
    ("power", "dtype"),
    [
        (3, "float64"),
        (5, "float64"),
        (3, "longdouble"),
        pytest.param(
            5,
            "longdouble",
            marks=pytest.mark.xfail(
                np.finfo("longdouble").eps < np.finfo("float64").eps,
                strict=True,
                reason="the factors of the tableau are rounded to float64: what they leave of h^4 is taken for noise",
            ),
        ),
    ],
)
def test_a_power_is_no_noise_at_zero(power, dtype):
    result = anygrad.derivative(lambda x: x**power, np.zeros(1, dtype), full_output=True)
    assert result.error[0] < 1e-15
    assert not any(flag.any() for flag in result.flags.values())


def test_a_product_with_the_hessian_of_more_elements_than_are_handled_at_a_time():
    """Without a gradient, each of its numbers takes points of which all elements are other ones."""
    x = np.linspace(0, 1, 4097)
    product = anygrad.hvp(lambda x: x[0] * x[1] + x[-1] ** 2, x, np.ones(4097))
    expected = np.zeros(4097)
    expected[[0, 1, -1]] = 1, 1, 2
    assert np.allclose(product, expected, atol=1e-4)
