"""The error, the steps and the flags of results: that they say of each derivative what is known of it."""

from __future__ import annotations

import numpy as np
import pytest

import anygrad

ADAPTIVE = {"scheme": anygrad.Adaptive(), "full_output": True}


# --- a real f of complex x ---------------------------------------------------------------------------------------


PARTS = {"real": lambda z: z.real, "imaginary": lambda z: z.imag}


@pytest.mark.parametrize("noisy", PARTS)
def test_the_error_of_a_complex_gradient_covers_that_along_either_axis(noisy):
    """Along one of the axes f has noise, and its derivative an error that is as large; along the other it has none."""
    z = np.array([1 + 1j, 2 + 3j])

    def f(z):
        noise = 1e-9 * np.sin(1e9 * PARTS[noisy](z))
        return float(np.sum(z.real + z.imag + np.exp(PARTS[noisy](z)) * (1 + noise)))

    result = anygrad.numerical_gradient(f, z, **ADAPTIVE)
    slopes = (1 + 1j) + (1 if noisy == "real" else 1j) * np.exp(PARTS[noisy](z))
    assert np.all(np.abs(result.value - slopes) > 1e-11)
    assert np.all(np.abs(result.value - slopes) <= result.error)
    assert result.flags["noisy"].all()


@pytest.mark.parametrize("bent", PARTS)
def test_a_kink_along_either_axis_is_flagged(bent):
    z = np.array([1 + 1j, 3 + 3j])
    result = anygrad.numerical_gradient(
        lambda z: float(np.sum(z.real + z.imag + np.abs(PARTS[bent](z) - 1))), z, **ADAPTIVE
    )
    assert result.flags["kink"].tolist() == [True, False]
    assert result.error[0] >= 1  # half of what the slopes differ by
    assert result.error[1] < 1e-10


# --- second derivatives ------------------------------------------------------------------------------------------


def test_the_error_of_a_laplacian_is_the_sum_over_its_terms():
    x = np.linspace(0.5, 1.5, 9)

    def f(x):
        return np.exp(x).sum()

    whole, terms = anygrad.laplacian(f, x, **ADAPTIVE), anygrad.hessian(f, x, **ADAPTIVE)
    assert whole.value == pytest.approx(np.trace(terms.value), rel=1e-12)
    assert whole.error == pytest.approx(np.trace(terms.error), rel=1e-12)


def test_a_laplacian_is_flagged_if_one_of_its_terms_is():
    result = anygrad.laplacian(lambda x: np.sum(np.abs(x)), np.array([1.0, 0.0, 2.0]), **ADAPTIVE)
    assert result.flags["kink"]


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_the_error_of_a_mixed_second_derivative_is_that_of_the_others_on_every_scale(size):
    """Of a function of x + y, all of them are the same, and from as far away."""
    x = np.array([size, size])
    result = anygrad.hessian(lambda x: np.exp((x[0] + x[1]) / size), x, **ADAPTIVE)
    mixed, own = result.error[0, 1], result.error[0, 0]
    assert np.all(np.abs(result.value - np.exp(2) / size**2) <= result.error)
    assert own < mixed < 4 * own
    assert result.error[1, 0] == mixed


def test_the_error_of_a_mixed_second_derivative_is_that_of_the_others_for_elements_of_several_sizes():
    x = np.array([1e-3, 1e3])
    result = anygrad.hessian(lambda x: np.exp(x[0] / 1e-3 + x[1] / 1e3), x, **ADAPTIVE)
    relative = result.error * np.outer(x, x)
    assert np.all(np.abs(result.value * np.outer(x, x) - np.exp(2)) <= relative)
    assert np.max(relative) < 4 * np.min(relative)


def test_flags_of_a_hessian_made_of_a_gradient_are_symmetric():
    """The first number of this gradient has a kink by y, the second one none by x."""
    result = anygrad.hessian(
        None, np.array([1.0, 0.0]), grad=lambda x: np.stack([np.abs(x[1]) + x[0], x[0] + x[1]]), **ADAPTIVE
    )
    assert result.flags["kink"].tolist() == [[False, True], [True, False]]
    assert np.array_equal(result.error, result.error.T)


# --- rounding --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "dtype"), [(1, "float32"), (1, "float64"), (2, "float64")])
def test_the_rounding_of_an_extrapolated_value_is_that_of_all_it_is_made_of_at_its_worst(n, dtype):
    """A power of x at 0 has the same difference quotient q at all steps, each of them off by eps q at most.

    Of steps h and h / r, the extrapolated value is (r^2 q - q) / (r^2 - 1), and its error (r^2 + 1) / (r^2 - 1) eps q.
    """
    result = anygrad.derivative(lambda x: x**n, np.zeros(1, dtype), n, **ADAPTIVE)
    assert result.value[0] == n
    assert result.error[0] == pytest.approx(n * np.finfo(dtype).eps * (2.1**2 + 1) / (2.1**2 - 1), rel=1e-3)


@pytest.mark.parametrize("size", [1.0, 1e6])
def test_the_rounding_of_a_large_constant_counts_the_more_the_nearer_the_points_are(size):
    """The quotient of the shorter step is off by eps f / h then, and that of the other one by an r-th of it."""
    result = anygrad.derivative(lambda x: size + 0 * x, np.zeros(1), **ADAPTIVE)
    at_worst = np.finfo(float).eps * size / result.step[0] * (2.1**2 + 1 / 2.1) / (2.1**2 - 1)
    assert result.error[0] == pytest.approx(at_worst, rel=1e-3)


# --- along directions, and several elements at a time -------------------------------------------------------------


@pytest.mark.parametrize("length", [2.0**-20, 2.0**20])
def test_the_error_of_a_derivative_along_a_direction_is_as_many_times_that_along_a_shorter_one(length):
    x, v = np.array([1.0, 2.0]), np.array([1.0, 0.5])
    along_unit = anygrad.jvp(np.exp, x, v, **ADAPTIVE)
    along = anygrad.jvp(np.exp, x, length * v, **ADAPTIVE)
    assert np.all(along_unit.error > 0)
    assert np.array_equal(along.value, length * along_unit.value)
    assert np.array_equal(along.error, abs(length) * along_unit.error)


def test_the_derivative_along_the_opposite_direction_has_the_opposite_sign():
    """To rounding: x + t d is rounded otherwise than x - t d, and the step is divided by as it is taken."""
    x, v = np.array([1.0, 2.0]), np.array([1.0, 0.5])
    along, opposite = (anygrad.jvp(np.exp, x, sign * v, **ADAPTIVE) for sign in (1.0, -1.0))
    assert np.allclose(opposite.value, -along.value, rtol=1e-12)
    assert np.all((opposite.error > 0) & (opposite.error < 2 * along.error))


@pytest.mark.parametrize("length", [2.0**-20, 2.0**20])
def test_so_is_the_error_of_a_product_with_the_hessian(length):
    x, v = np.array([1.0, 2.0]), np.array([1.0, 0.5])

    def f(x):
        return np.exp(x).sum() * x[0]

    along_unit, along = (anygrad.hvp(f, x, vector, **ADAPTIVE) for vector in (v, length * v))
    assert np.all(along_unit.error > 0)
    assert np.array_equal(along.error, length * along_unit.error)


@pytest.mark.parametrize("bounds", [(None, [1.0, 2.0, 3.0]), ([1.0, 2.0, 3.0], None), ([0, 0, 0], [1.0, 9.0, 3.0])])
def test_errors_and_steps_of_a_sparse_jacobian_are_positive_near_bounds(bounds):
    """Even where f is sampled below x."""
    pytest.importorskip("scipy")
    x = np.array([1.0, 2.0, 3.0])
    result = anygrad.jacobian(np.exp, x, sparsity=np.eye(3), bounds=bounds, **ADAPTIVE)
    errors, values = result.error.toarray().diagonal(), result.value.toarray().diagonal()
    assert np.all(errors > 0)
    assert np.all(np.abs(values - np.exp(x)) <= errors)
    assert np.all(errors < 1e-6)
    assert np.all(result.step > 0)
