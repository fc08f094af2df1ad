"""Kinds of functions that once had a wrong derivative without a flag, a hundred members of each and more.

The members are drawn with seeds to which nothing was tuned. Of each kind, 99 % are covered by the error, and at most
0.3 % are wrong by far in silence: by ten times the error, and without a flag.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import anygrad

COUNT = 400


def draw(seed: int, low: float, high: float, count: int = COUNT) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, count)


def magnitudes(seed: int, low: float, high: float, count: int = COUNT) -> np.ndarray:
    return 10 ** draw(seed, low, high, count)


# With their slopes.
BELLS = {
    "normal": (lambda u: np.exp(-u * u / 2), lambda u: -u * np.exp(-u * u / 2)),
    "1/cosh": (
        lambda u: 2 * np.exp(-np.abs(u)) / (1 + np.exp(-2 * np.abs(u))),  # without overflow
        lambda u: -np.tanh(u) / np.cosh(u),
    ),
    "Lorentz": (lambda u: 1 / (1 + u * u), lambda u: -2 * u / (1 + u * u) ** 2),
    "quartic": (lambda u: np.exp(-(u**4)), lambda u: -4 * u**3 * np.exp(-(u**4))),
}


def narrow_peaks(seed, name, height=0.0, narrowest=-4.0):
    bell, slope = BELLS[name]
    center, part = magnitudes(seed, -3, 4), magnitudes(seed + 1, narrowest, -1.7)
    u, width = draw(seed + 2, -2, 2), center * part
    x = center + u * width
    return lambda x: height + bell((x - center) / width), x, slope((x - center) / width) / width, {}


def exp_next_to_nothing(seed):
    x = magnitudes(seed, -250, -5)
    return np.exp, x, np.exp(x), {}


def exp_next_to_a_bound_at_nothing(seed):
    x = magnitudes(seed, -20, -5)
    return np.exp, x, np.exp(x), {"bounds": (0, 1)}


def log_on_its_own_scale(seed):
    x = magnitudes(seed, -100, -3)
    return lambda t: np.log(t / x), x.copy(), 1 / x, {}


def several_scales_at_0(seed):
    scale = magnitudes(seed, -4, -1)
    return lambda x: x * np.exp(-((x / scale) ** 2)), np.zeros(COUNT), np.ones(COUNT), {}


def sines_from_below(seed, n=1):
    x, rate = draw(seed, 0, 10), draw(seed + 1, 0.5, 3)
    exact = rate**n * np.sin(rate * x + n * np.pi / 2)
    return lambda t: np.sin(rate * t), x, exact, {"bounds": (None, x), "n": n}


def kinks_beside_a_flat_piece(seed):
    x = draw(seed, -5, 5)
    level = x + magnitudes(seed + 1, -6, -1) * (1 + np.abs(x))
    return lambda t: np.maximum(level, t), x, np.zeros(COUNT), {}


def rounded_to_six_digits(seed):
    x = draw(seed, -3, 3)
    return lambda t: np.round(np.exp(np.sin(t)), 6), x, np.cos(x) * np.exp(np.sin(x)), {}


def straight_with_a_small_slope(seed):
    a, b, x = draw(seed, 1, 10), magnitudes(seed + 1, -3, 0), draw(seed + 2, 0, 1)
    return lambda t: (a + b * t) - (a + 0.03), x, b, {}


def far_out_sines(seed):
    x = magnitudes(seed, 2, 14)
    return np.sin, x, np.cos(x), {}


KINDS = {
    **{f"narrow peaks, {name}": partial(narrow_peaks, name=name) for name in BELLS},
    **{
        f"narrower peaks on a plateau, {name}": partial(narrow_peaks, name=name, height=5.0, narrowest=-6.0)
        for name in BELLS
    },
    "exp next to nothing": exp_next_to_nothing,
    "exp next to nothing, bounded by 0": exp_next_to_a_bound_at_nothing,
    "log on its own scale": log_on_its_own_scale,
    "several scales at 0": several_scales_at_0,
    "sines from below": sines_from_below,
    "their second derivatives": lambda seed: sines_from_below(seed, 2),
    "their third derivatives": lambda seed: sines_from_below(seed, 3),
    "kinks beside a flat piece": kinks_beside_a_flat_piece,
    "values rounded to six digits": rounded_to_six_digits,
    "straight lines of a small slope": straight_with_a_small_slope,
    "sines far out": far_out_sines,
}


# What falls short of that. A line whose terms cancel has an inner rounding that its values do not show: 96.3 % are
# covered, all others are off by a few roundings. Beyond 1e9 or so, sines are noise to Adaptive, and their error is
# infinite. A kink a millionth away is now and then taken for one at x: the error is half the difference of the slopes.
COVERAGE = {"straight lines of a small slope": 0.95}
USEFUL = {"sines far out": 0.7, "kinks beside a flat piece": 0.85}


@pytest.mark.parametrize("name", KINDS)
def test_what_once_was_wrong_in_silence(name):
    f, x, exact, options = KINDS[name](20271130)
    result = anygrad.derivative(f, x, scheme=anygrad.Adaptive(), full_output=True, **options)
    away = np.abs(result.value - exact)
    flagged = np.any([result.flags[flag] for flag in ("kink", "noisy", "nonfinite", "unconverged")], axis=0)
    assert np.mean(away <= result.error) >= COVERAGE.get(name, 0.99)
    assert np.mean((away > 10 * result.error) & ~flagged) <= 0.003
    size = np.abs(exact) + (np.median(np.abs(exact)) or 1.0)
    assert np.mean(result.error <= 1e-3 * size) >= USEFUL.get(name, 0.9)


def test_each_of_many_values_is_judged_for_itself():
    """Rows of float32 models, of which some vary a hundred times less than others.

    Of those that vary a thousand times less, 2 % are off by more than ten times their error.
    """
    missed, silent, total = 0, 0, 0
    for seed in range(20):
        random = np.random.default_rng([20271130, seed])
        size, at = random.normal(size=30) * 10 ** random.uniform(-2, 0, 30), random.uniform(0.1, 2)
        result = anygrad.jacobian(
            lambda p, size=size: (100 + size * np.sin(p[0])).astype("float32"),
            np.array([at]),
            scheme=anygrad.Adaptive(),
            full_output=True,
        )
        away, error = np.abs(result.value[:, 0] - size * np.cos(at)), result.error[:, 0]
        flagged = result.flags["noisy"][:, 0] | result.flags["unconverged"][:, 0]
        missed, total = missed + np.sum(away > error), total + 30
        silent += np.sum((away > 10 * error) & ~flagged)
    assert missed <= 0.01 * total
    assert silent <= 0.003 * total
