"""Functions whose values are not as exact as their dtype: the errors that Adaptive estimates, and the check."""

from __future__ import annotations

import numpy as np
import pytest
from rough import CANCELLED, ROUGH, noise

import anygrad
from anygrad import check_gradient

SLOPES = np.random.default_rng(0).uniform(1, 2, 20)


def adaptive(f, x):
    return anygrad.numerical_gradient(f, x, scheme=anygrad.Adaptive(), full_output=True)


@pytest.mark.parametrize("name", ROUGH)
def test_the_error_of_what_has_fewer_digits_is_covered(name):
    f, gradient, places = ROUGH[name]
    within = [np.abs(result.value - gradient(x)) <= result.error for x in places for result in [adaptive(f, x)]]
    assert np.mean(within) > 0.98


@pytest.mark.parametrize(("size", "share"), [(1e-12, 0.85), (1e-11, 0.95), (1e-10, 0.98), (1e-8, 0.98), (1e-4, 0.98)])
def test_the_error_of_a_little_noise_is_covered(size, share):
    x, exact = np.array([1.0, -2.0, 0.5]), np.array([3.0, 12.0, 0.75])
    results = [adaptive(lambda x, seed=seed: (x**3).sum() + size * noise(x, seed), x) for seed in range(20)]
    assert np.mean([np.abs(result.value - exact) <= result.error for result in results]) > share


BENT = {
    "abs": (lambda x: 1 + (SLOPES * np.abs(x)).sum(), np.zeros(20), lambda slopes: (-slopes, slopes)),
    "relu": (lambda x: 1 + (SLOPES * np.maximum(x, 0)).sum(), np.zeros(20), lambda slopes: (0 * slopes, slopes)),
    "bent parabola": (
        lambda x: (SLOPES * np.maximum(x - 1, 0) + x**2).sum() / 20,
        np.ones(20),
        lambda slopes: (0.1 + 0 * slopes, 0.1 + slopes / 20),
    ),
}


@pytest.mark.parametrize("size", [1e-13, 1e-11, 1e-9, 1e-7, 1e-6])
@pytest.mark.parametrize("name", BENT)
def test_a_kink_that_is_more_than_noise_is_found(name, size):
    """Nobody has said how noisy f is: the steps at which a kink stands out are those of the search that knows it."""
    f, x, slopes = BENT[name]
    result = adaptive(lambda x: f(x) + size * noise(x), x)
    assert np.all(result.flags["kink"])
    for slope in slopes(SLOPES):
        assert np.all(np.abs(result.value - slope) <= result.error)


@pytest.mark.parametrize("name", ["abs", "relu"])
def test_so_it_is_if_noise_is_a_ten_thousandth_of_f(name):
    f, x, _ = BENT[name]
    assert np.all(adaptive(lambda x: f(x) + 1e-4 * noise(x), x).flags["kink"])
    one = adaptive(lambda x: np.maximum(x - 1, 0).sum() + (x**2).sum() + 1e-4 * noise(x), np.ones(1))
    assert one.flags["kink"]


SMOOTH = {
    "line": (lambda x: 3 * x + 1, 0.3),
    "exp": (np.exp, 1.0),
    "sin": (np.sin, 2.0),
    "foot of a parabola": (lambda x: 1 + x**2, 0.0),
    "top of a hill": (lambda x: np.exp(-(x**2)), 0.0),
}


@pytest.mark.parametrize("size", [1e-10, 1e-6, 1e-2])
@pytest.mark.parametrize("name", SMOOTH)
def test_noise_alone_is_no_kink(name, size):
    f, place = SMOOTH[name]
    random = np.random.default_rng(3)
    x = np.full(300, place)
    result = anygrad.derivative(lambda t: f(t) + size * random.standard_normal(t.shape), x, full_output=True)
    assert np.all(result.flags["noisy"])
    assert not np.any(result.flags["kink"])


INSIDE = {
    "exp(x) - 1": (lambda x: np.exp(x) - 1, np.exp, (1e-3, 0.1)),
    "x - sin(x)": (lambda x: x - np.sin(x), lambda x: 2 * np.sin(x / 2) ** 2, (0.01, 1)),
    "1 - cos(x)": (lambda x: 1 - np.cos(x), np.sin, (0.01, 1)),
    "two exps": (
        lambda x: np.exp(x) - 1.001 * np.exp(0.999 * x),
        lambda x: np.exp(x) - 1.001 * 0.999 * np.exp(0.999 * x),
        (0.1, 5),
    ),
}


@pytest.mark.parametrize("name", INSIDE)
def test_the_error_of_what_rounds_inside_is_covered(name):
    """A tableau full of such noise agrees with itself by chance now and then."""
    f, exact, (low, high) = INSIDE[name]
    x = np.random.default_rng(7).uniform(low, high, 500)
    result = anygrad.derivative(f, x, full_output=True)
    assert np.mean(np.abs(result.value - exact(x)) <= result.error) > 0.97


@pytest.mark.parametrize("relative", [3e-15, 1e-14, 1e-13])
def test_the_error_of_noise_of_a_few_roundings_is_covered(relative):
    random = np.random.default_rng(3)
    x = random.uniform(0.05, 5, 1000)
    result = anygrad.derivative(
        lambda t: np.log1p(t) * (1 + relative * random.standard_normal(t.shape)), x, full_output=True
    )
    assert np.mean(np.abs(result.value - 1 / (1 + x)) <= result.error) > 0.95


@pytest.mark.parametrize("name", ROUGH | CANCELLED)
def test_right_gradients_agree_and_wrong_ones_do_not(name):
    f, gradient, places = (ROUGH | CANCELLED)[name]

    def off_by_a_twentieth(x):
        return gradient(x) * np.where(np.arange(x.size) == 1, 1.05, 1.0)

    assert {check_gradient(f, gradient, x).verdict for x in places[:6]} == {"agrees"}
    assert {check_gradient(f, off_by_a_twentieth, x).verdict for x in places[:2]} == {"wrong"}


def test_the_noise_is_told():
    f, gradient, places = ROUGH["sines in float32"]
    reports = [check_gradient(f, lambda x: 1.05 * gradient(x), x) for x in places[:2]]
    assert all("The values of f have noise" in str(report) for report in reports)
    assert not any("float64" in str(report) for report in reports)  # which x is already
    assert not any("flat in steps" in str(report) for report in reports)  # though values next to x are equal


def test_a_sum_that_cancels():
    x = np.linspace(-1, 1, 100)
    counts = check_gradient(lambda x: np.sum(x**3), lambda x: 3 * x**2, x).counts
    assert counts["agrees"] >= 98
    assert counts.keys() <= {"agrees", "inconclusive"}  # of the least of them little is left


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("directions", [None, 2])
def test_nothing_overflows_that_f_does_not(directions):
    def check(f, gradient, x):
        return check_gradient(f, gradient, np.asarray(x), directions=directions).verdict

    assert check(lambda x: 1e160 * np.sum(x**3), lambda x: 3e160 * x**2, [1.0, 2.0]) == "agrees"
    assert check(np.sum, np.ones_like, [1e200, 2e200]) == "agrees"
    assert check(lambda x: np.inf, np.ones_like, [1.0, 2.0]) == "nonfinite"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [1e300, 1e200, 1e-200, 1e-300])
@pytest.mark.parametrize("directions", [None, 2])
def test_a_wrong_gradient_of_a_very_large_or_a_very_small_f_is_wrong(size, directions):
    x = np.array([0.3, 1.0])
    report = check_gradient(lambda x: np.sin(x).sum() * size, lambda x: np.cos(x) * 2 * size, x, directions=directions)
    assert report.verdict == "wrong"
    assert report.counts == {"wrong": 2}
    assert "twice the numerical one" in report.hints[0]
    assert report.taylor.slope == pytest.approx(1.0, abs=0.05)
    assert check_gradient(lambda x: np.sin(x).sum() * size, lambda x: np.cos(x) * size, x, directions=directions)


@pytest.mark.parametrize("x", [[1e300, 1e-300], [1e160, 1e-160], [0.0, 1.0]])
@pytest.mark.parametrize("directions", [None, 2])
def test_floating_point_errors_of_the_check_s_own_are_not_raised(x, directions):
    with np.errstate(all="raise"):
        assert check_gradient(lambda x: x.sum(), np.ones_like, np.asarray(x), directions=directions)
        wrong = check_gradient(lambda x: x.sum(), lambda x: np.full(2, 2.0), np.asarray(x), directions=directions)
    assert wrong.verdict == "wrong"


# --- kinks where f varies on a smaller scale than x ------------------------------------------------------------------


def test_a_kink_that_others_are_near():
    knots = np.arange(1990.0, 2026.0)
    values = np.cumsum(np.cos(knots))
    slopes = np.diff(values)
    result = anygrad.derivative(lambda x: np.interp(x, knots, values), knots[1:-1].copy(), full_output=True)
    assert np.all(result.flags["kink"])
    assert np.all(result.error >= 0.999 * np.abs(np.diff(slopes)) / 2)
    clipped = anygrad.derivative(lambda x: np.clip(x, 99, 100), np.array([100.0]), full_output=True)
    assert clipped.flags["kink"].all()
    assert clipped.error == pytest.approx(0.5, rel=1e-3)


def test_far_from_0_the_taylor_test_is_near_enough():
    x = np.random.default_rng(0).normal(size=5) + 1e6
    assert check_gradient(np.std, lambda x: (x - x.mean()) / 5 / x.std(), x)
    assert check_gradient(lambda x: np.sin(x).sum(), np.cos, np.array([1.0, 1e8]))
    no_tangent = check_gradient(lambda x: float(np.sqrt(abs(x[0] * x[1]))), np.zeros_like, np.zeros(2))
    assert no_tangent.verdict == "kink"
    assert "no tangent" in str(no_tangent)
    assert "0 of 2" not in str(no_tangent)
