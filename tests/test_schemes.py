"""Schemes: their weights, orders and steps."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from fractions import Fraction

import numpy as np
import pytest

import anygrad
from anygrad.schemes.stencil import stencil

# Fornberg, Math. Comp. 51 (1988), tables 1 and 3: first derivatives.
CENTRAL = {
    2: {-1: "-1/2", 1: "1/2"},
    4: {-2: "1/12", -1: "-2/3", 1: "2/3", 2: "-1/12"},
    6: {-3: "-1/60", -2: "3/20", -1: "-3/4", 1: "3/4", 2: "-3/20", 3: "1/60"},
    8: {-4: "1/280", -3: "-4/105", -2: "1/5", -1: "-4/5", 1: "4/5", 2: "-1/5", 3: "4/105", 4: "-1/280"},
}
FORWARD = {
    1: {0: "-1", 1: "1"},
    2: {0: "-3/2", 1: "2", 2: "-1/2"},
    3: {0: "-11/6", 1: "3", 2: "-3/2", 3: "1/3"},
    4: {0: "-25/12", 1: "4", 2: "-3", 3: "4/3", 4: "-1/4"},
}


def weights(offsets):
    solved = stencil(tuple(offsets))
    return {
        offset: Fraction(numerator) / Fraction(solved.denominator)
        for offset, numerator in zip(solved.offsets, solved.numerators, strict=True)
    }


@pytest.mark.parametrize("order", CENTRAL)
def test_central_weights_are_fornbergs(order):
    reach = range(-order // 2, order // 2 + 1)
    assert weights(reach) == {offset: Fraction(weight) for offset, weight in CENTRAL[order].items()}
    assert stencil(tuple(reach)).order == order


@pytest.mark.parametrize("order", FORWARD)
def test_one_sided_weights_are_fornbergs(order):
    expected = {offset: Fraction(weight) for offset, weight in FORWARD[order].items()}
    assert weights(range(order + 1)) == expected
    assert weights(range(0, -order - 1, -1)) == {-offset: -weight for offset, weight in expected.items()}
    assert stencil(tuple(range(order + 1))).order == order


@pytest.mark.parametrize(
    ("scheme", "degree", "calls"),
    [
        (anygrad.Central(order=2, step=0.5), 2, 2),
        (anygrad.Central(order=4, step=0.5), 4, 4),
        (anygrad.Central(order=8, step=0.5), 8, 8),
        (anygrad.Central(order=12, step=0.5), 12, 12),
        (anygrad.Forward(order=1, step=0.5), 1, 2),
        (anygrad.Forward(order=3, step=0.5), 3, 4),
        (anygrad.Backward(order=2, step=0.5), 2, 3),
        (anygrad.Backward(order=5, step=0.5), 5, 6),
    ],
    ids=repr,
)
def test_polynomials_up_to_the_order_are_exact(lib, scheme, degree, calls):
    """A scheme of order p is exact for polynomials of degree p, and for those of degree p + 1 it is not."""
    x = lib.asarray(np.array(0.25), lib.real[-1])

    def power(degree):
        return anygrad.numerical_gradient(lambda x: x**degree, x, scheme=scheme, full_output=True)

    exact, inexact = power(degree), power(degree + 1)
    tolerance = 1e-4 if "float64" not in lib.real else 1e-9
    assert lib.numpy(exact.value) == pytest.approx(degree * 0.25 ** (degree - 1), abs=tolerance * 2.0**degree)
    assert abs(lib.numpy(inexact.value) - (degree + 1) * 0.25**degree) > 100 * tolerance * 2.0**-degree
    assert exact.ncalls == exact.npoints == calls


@pytest.mark.libraries(lambda lib: "float64" in lib.real)
@pytest.mark.parametrize(
    ("scheme", "error"),
    [
        # eps**(p/(p+1)) times the sum of weights, with a factor of 10 of leeway.
        (anygrad.Forward(), 3e-7),
        (anygrad.Backward(order=2), 1e-9),
        (anygrad.Central(), 1e-9),
        (anygrad.Central(order=4), 3e-12),
        (anygrad.Central(order=6), 3e-13),
        (anygrad.Central(order=8), 1e-13),
        (anygrad.Central(order=12), 1e-13),
    ],
    ids=repr,
)
def test_the_default_step_is_near_optimal(lib, scheme, error):
    x = lib.asarray(np.array([0.0, 0.5, 1.0, -2.0]), "float64")
    gradient = lib.numpy(anygrad.numerical_gradient(lambda x: lib.xp.sum(lib.xp.sin(x)), x, scheme=scheme))
    expected = np.cos(lib.numpy(x))
    assert np.max(np.abs(gradient - expected)) < error


@pytest.mark.parametrize("make", [anygrad.Central, anygrad.Forward, anygrad.Backward])
def test_no_step_a_hundred_times_off_is_much_better(make):
    """Measured, not computed: of steps over many orders of magnitude the default one is nearly the best."""
    order = 4 if make is anygrad.Central else 2
    x = np.linspace(0.5, 1.5, 20)

    def error(step):
        gradient = anygrad.numerical_gradient(lambda x: np.exp(x).sum() / 20, x, scheme=make(order=order, step=step))
        return np.median(np.abs(20 * gradient - np.exp(x)))

    best = min(error(step) for step in np.logspace(-9, 0, 40))
    assert error(None) < 10 * best


@pytest.mark.libraries(lambda lib: lib.name in {"numpy", "torch"})
def test_an_array_larger_than_a_block_is_no_special_case(lib):
    """Blocks are of 2048 elements on the host."""
    for size in (2047, 2048, 2049, 4097):
        x = lib.asarray(np.linspace(0.0, 1.0, size), "float64")
        for scheme in (None, anygrad.Central(order=4), anygrad.Forward(order=2)):
            result = anygrad.numerical_gradient(lambda x: lib.xp.sum(x**2), x, scheme=scheme, full_output=True)
            assert np.allclose(lib.numpy(result.value), 2 * lib.numpy(x), atol=1e-5)
            assert result.ncalls == (2 * size if scheme is None else scheme.calls(size))


@pytest.mark.parametrize("scheme", [anygrad.Central(order=300), anygrad.Forward(order=100)], ids=repr)
def test_stencils_of_too_many_points_are_refused(scheme):
    with pytest.raises(ValueError, match=r"ask for \d+ points.*more than 60 leave no digit"):
        anygrad.numerical_gradient(lambda x: x[0], np.ones(1), scheme=scheme)
    with pytest.raises(ValueError, match="ask for 201 points"):
        anygrad.derivative(np.exp, 1.0, n=200, scheme=anygrad.Central())


def test_schemes_are_values():
    assert anygrad.Central(order=4) == anygrad.Central(order=4)
    assert repr(anygrad.Central(order=4)) == "Central(order=4, step=None, noise=None, rel_step=None)"
    assert repr(anygrad.Loop()) == "Loop(in_place=True, graph=False, on_error='raise')"
    with pytest.raises(FrozenInstanceError):
        anygrad.Central().order = 4
