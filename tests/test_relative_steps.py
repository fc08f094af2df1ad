"""Steps that are a part of x, default steps at small x, and steps of the complex scheme."""

from __future__ import annotations

import numpy as np
import pytest

import anygrad

X = np.array([1.0, 2.0, 4.0])
SCHEMES = [anygrad.Central, anygrad.Forward, anygrad.Backward]


def cubes(lib):
    return lambda x: lib.xp.sum(x**3)


# The larger of the two; where x is 0, there is no relative one.
RELATIVE = [({"rel_step": 0.25}, [0.25, 0.5, 1.0]), ({"step": 0.5, "rel_step": 0.25}, [0.5, 0.5, 1.0])]


@pytest.mark.parametrize(("steps", "expected"), RELATIVE, ids=["alone", "with a step"])
@pytest.mark.parametrize("make", [*SCHEMES, anygrad.Complex])
def test_a_relative_step(lib, make, steps, expected):
    x = lib.asarray(X, "float32")
    if make is anygrad.Complex and not lib.complex:
        pytest.skip("no complex arrays")
    result = anygrad.numerical_gradient(cubes(lib), x, scheme=make(**steps), full_output=True)
    assert np.array_equal(lib.numpy(result.step), expected)


@pytest.mark.parametrize("make", SCHEMES)
def test_a_relative_step_at_0_is_the_default_or_the_absolute_one(make):
    def taken(**steps):
        return anygrad.numerical_gradient(np.sum, np.zeros(1), scheme=make(**steps), full_output=True).step

    assert taken(rel_step=1e-3) == taken()
    assert taken(rel_step=1e-3, step=0.125) == 0.125


def test_a_relative_step_follows_f_that_varies_with_a_small_x():
    x = np.array([1.45e-7])
    found = anygrad.numerical_gradient(lambda x: -1 / x[0], x, scheme=anygrad.Central(rel_step=1e-5))
    assert found[0] == pytest.approx(1 / x[0] ** 2, rel=1e-8)


def test_relative_steps_of_trees():
    x = {"a": np.array([1.0, 2.0]), "b": 4.0}
    scheme = anygrad.Central(rel_step={"a": [0.5, 0.25], "b": 0.125})
    result = anygrad.numerical_gradient(lambda p: p["a"].sum() * p["b"], x, scheme=scheme, full_output=True)
    assert np.array_equal(result.step["a"], [0.5, 0.5])
    assert result.step["b"] == 0.5


def test_the_complex_step_is_that_along_the_axis_in_question():
    """The imaginary part of (1 + ih)^3 / h is 3 - h^2; the difference of first derivatives of x^4 is 12 x^2 + 4 h^2."""
    one = np.ones(1)
    slope = anygrad.numerical_gradient(lambda x: (x**3).sum(), one, scheme=anygrad.Complex(step=0.5))
    assert slope[0] == pytest.approx(3 - 0.5**2)
    bend = anygrad.hessian(lambda x: (x**4).sum(), one, scheme=anygrad.Complex(step=0.125))
    assert bend[0, 0] == pytest.approx(12 + 4 * 0.125**2)


@pytest.mark.parametrize("make", [*SCHEMES, anygrad.Complex])
@pytest.mark.parametrize(("given", "error"), [("1e-4", TypeError), (True, TypeError), (0.0, ValueError)], ids=repr)
def test_relative_steps_that_are_none(make, given, error):
    with pytest.raises(error, match=r"rel_step is .*, but .* positive"):
        make(rel_step=given)


# Default steps at small x

SMALL = {
    "log": (lambda b: b[0] * np.log(b[1]), lambda b: [np.log(b[1]), b[0] / b[1]], [2.0, 1e-5]),
    "reciprocal": (lambda b: -b[0] / b[1], lambda b: [-1 / b[1], b[0] / b[1] ** 2], [3.0, 1.45e-5]),
    "saturation": (
        lambda b: b[0] / (1 + 1e3 * b[1]),
        lambda b: [1 / (1 + 1e3 * b[1]), -1e3 * b[0] / (1 + 1e3 * b[1]) ** 2],
        [500, 1e-4],
    ),
}


@pytest.mark.parametrize(("order", "bound"), [(2, 1e-5), (4, 1e-8), (6, 1e-8)])
@pytest.mark.parametrize("case", SMALL.values(), ids=SMALL)
def test_steps_fit_an_f_that_varies_with_a_small_x(case, order, bound):
    f, gradient, x = case
    found = anygrad.numerical_gradient(f, np.array(x), scheme=anygrad.Central(order=order))
    assert np.allclose(found, gradient(x), rtol=bound, atol=0)


@pytest.mark.parametrize("size", [1e-3, 1e-5, 1e-8, 1e-15, 1e-300])
@pytest.mark.parametrize("order", [2, 4, 6])
@pytest.mark.parametrize("n", [1, 2])
def test_half_of_the_digits_stay_where_f_varies_with_1(size, order, n):
    found = anygrad.derivative(np.exp, np.array([size]), n, scheme=anygrad.Central(order=order))
    assert found[0] == pytest.approx(np.exp(size), rel=1e-7)
