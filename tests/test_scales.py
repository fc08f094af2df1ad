"""Functions that vary on a much smaller scale than x says: short waves, poles and kinks nearby."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

import anygrad

COUNT = 200
RANDOM = np.random.default_rng(20261126)


def between(low: float, high: float) -> np.ndarray:
    return RANDOM.uniform(low, high, COUNT)


def beside(place: float, nearest: float, farthest: float) -> np.ndarray:
    """Return points on both sides of a place, at distances of all magnitudes."""
    distances = np.exp(RANDOM.uniform(np.log(nearest), np.log(farthest), COUNT))
    return place + distances * RANDOM.choice([-1, 1], COUNT)


# f, its derivative for mpmath, and where.
SMOOTH = {
    "sin(1e4 x)": (lambda x: np.sin(1e4 * x), lambda x: 1e4 * mpmath.cos(1e4 * x), between(0.1, 3)),
    "sin(1e6 x)": (lambda x: np.sin(1e6 * x), lambda x: 1e6 * mpmath.cos(1e6 * x), between(0.1, 3)),
    "sin at 1e5": (np.sin, mpmath.cos, between(0.5e5, 1.5e5)),
    "sin at 1e8": (np.sin, mpmath.cos, between(0.5e8, 1.5e8)),
    "sin(x**2) at 1e3": (lambda x: np.sin(x * x), lambda x: 2 * x * mpmath.cos(x * x), between(500, 2000)),
    "sin(1/x) near 0": (lambda x: np.sin(1 / x), lambda x: -mpmath.cos(1 / x) / x**2, beside(0, 1e-5, 1e-2)),
    "1/(x - 1) near 1": (lambda x: 1 / (x - 1), lambda x: -1 / (x - 1) ** 2, beside(1, 1e-10, 1e-1)),
    "tan up to 1e4": (np.tan, lambda x: 1 + mpmath.tan(x) ** 2, between(-1e4, 1e4)),
    "a small wave on a line": (
        lambda x: x + 1e-3 * np.sin(1e3 * x),
        lambda x: 1 + mpmath.mpf(1e-3) * 1e3 * mpmath.cos(1e3 * x),
        between(0.1, 3),
    ),
    "waves of three lengths": (
        lambda x: np.sin(x) + np.sin(97 * x) + np.sin(5003 * x),
        lambda x: mpmath.cos(x) + 97 * mpmath.cos(97 * x) + 5003 * mpmath.cos(5003 * x),
        between(0, 3),
    ),
}

# f that are two lines, and their slopes below and above 1.
KINKED = {
    "max(x, 1)": (lambda x: np.maximum(x, 1), 0.0, 1.0),
    "|x - 1|": (lambda x: np.abs(x - 1), -1.0, 1.0),
    "3 + a kink": (lambda x: 3 + x + 0.5 * np.abs(x - 1), 0.5, 1.5),
}


def flagged(result: anygrad.Result) -> set[str]:
    return {name for name, flag in result.flags.items() if flag.any()}


@pytest.mark.parametrize("name", SMOOTH)
def test_the_derivative_of_what_varies_fast_is_found_and_its_error_covered(name):
    f, exact, x = SMOOTH[name]
    with mpmath.workdps(40):
        wanted = np.array([float(exact(mpmath.mpf(float(at)))) for at in x])
    result = anygrad.derivative(f, x, full_output=True)
    errors = np.abs(result.value - wanted)
    assert (errors <= result.error).mean() >= 0.99
    assert np.quantile(errors / np.abs(wanted), 0.99) < 1e-6
    assert flagged(result) == set()


@pytest.mark.parametrize("name", KINKED)
def test_beside_a_kink_the_slope_is_that_of_its_side(name):
    f, below, above = KINKED[name]
    x = beside(1, 1e-7, 1)
    result = anygrad.derivative(f, x, full_output=True)
    errors = np.abs(result.value - np.where(x < 1, below, above))
    either = np.stack([result.flags["kink"], result.flags["unconverged"]]).any(axis=0)
    assert ((errors <= result.error) | either).all()
    # Where it is said to be at x, it is nearer than the noise that f seems to have.
    assert either.mean() < 0.15
    assert (errors[~either] < 1e-5).all()


@pytest.mark.parametrize("distance", [1e-16, 1e-15, 1e-14, 1e-13])
@pytest.mark.parametrize("name", KINKED)
def test_next_to_a_kink_the_error_covers_the_slopes_on_both_sides(name, distance):
    """Nearer than f's rounding lets it be told from one at x: as of 0.1 * 3, where f is |x - 0.3|."""
    f, below, above = KINKED[name]
    x = np.array([1 - 5e-17, 1 + 3e-16, 1 - distance, 1 + distance])
    result = anygrad.derivative(f, x, full_output=True)
    assert result.flags["kink"].all()
    assert (np.abs(result.value - below) <= result.error).all()
    assert (np.abs(result.value - above) <= result.error).all()
    assert (result.error < 1.01 * (above - below)).all()


@pytest.mark.parametrize("width", [2.0**-8, 2.0**-10])
def test_a_narrow_peak_is_seen_in_single_precision(width):
    """Of which the first steps see f(x) alone."""
    center = np.float32(0.6875)
    x = (center + width * np.linspace(-1, 1, 20)).astype("float32")
    result = anygrad.derivative(lambda x: np.exp(-(((x - center) / np.float32(width)) ** 2)), x, full_output=True)
    distance = (x.astype("float64") - float(center)) / width
    exact = -2 / width * distance * np.exp(-(distance**2))
    assert (np.abs(result.value - exact) <= result.error).all()
    assert (np.abs(result.value - exact) < 0.01 / width).all()


def test_farther_out_than_f_is_straight_there_is_no_noise():
    """Of float32 and a small slope, that is soon: f is bent there, and no two levels agree."""
    x = np.linspace(-1.2, -0.8, 41, dtype="float32")
    slopes = (1 / (1 + np.exp(-x)) - 0.005).astype("float32")
    result = anygrad.derivative(lambda t: np.logaddexp(np.float32(0), t) - slopes * t + 1, x, full_output=True)
    exact = 1 / (1 + np.exp(-x.astype("float64"))) - slopes
    assert (np.abs(result.value - exact) <= result.error).all()
    assert (result.error < 1e-4).all()
    assert flagged(result) == set()


@pytest.mark.parametrize("cusp", [lambda d: d**0.5, lambda d: d**0.9, lambda d: -d * np.log(d + 1e-300)])
def test_a_cusp_is_a_kink_however_slowly_it_grows(cusp):
    places = between(0.1, 10)
    result = anygrad.derivative(lambda x: np.sin(x) + cusp(np.abs(x - places)), places.copy(), full_output=True)
    assert result.flags["kink"].all()


@pytest.mark.parametrize(("frequency", "low", "high"), [(1e4, 1, 10), (1e5, 1, 10), (1e5, 1e-3, 0.1), (1e6, 1e-3, 0.1)])
def test_a_wave_too_small_for_its_slope_to_be_seen_from_close_by_is_seldom_taken_for_a_kink(frequency, low, high):
    x = np.concatenate([between(low, high) for _ in range(3)])
    result = anygrad.derivative(lambda x: 5 + x + 1e-8 * np.sin(frequency * x), x, full_output=True)
    assert result.flags["kink"].mean() < 0.1
    assert (np.abs(result.value - 1 - 1e-8 * frequency * np.cos(frequency * x)) <= result.error).mean() > 0.9


def test_pieces_with_jumps_between_them_are_noise():
    x = between(1e-7, 1e-6)
    # Between the numbers that np.exp is rounded to, this falls like -x.
    result = anygrad.derivative(lambda x: np.exp(x) - 1 - x, x, full_output=True)
    assert result.flags["noisy"].mean() > 0.98
    assert (np.abs(result.value - np.expm1(x)) <= result.error).mean() > 0.98


@pytest.mark.parametrize("other", [0.15, 0.7, 1.9])
def test_what_is_found_does_not_depend_on_what_else_is_looked_for(other):
    def f(x):
        return x * x + 1e-3 * np.sin(1e8 * x)

    alone = anygrad.derivative(f, np.array([0.5]), full_output=True)
    beside_another = anygrad.derivative(f, np.array([0.5, other]), full_output=True)
    assert alone.value[0] == beside_another.value[0]
    assert alone.error[0] == beside_another.error[0]
    assert all(alone.flags[name][0] == beside_another.flags[name][0] for name in alone.flags)


def test_a_pole_is_no_kink_in_higher_derivatives():
    x = beside(1, 1e-6, 1)
    for n in 2, 3, 4:
        assert not anygrad.derivative(lambda x: 1 / (x - 1), x, n, full_output=True).flags["kink"].any()
