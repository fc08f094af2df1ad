"""Noise, as the even part of f shows it, of which the derivative is not read.

The odd part, f(x+h) - f(x-h), may by chance agree with the previous row in a tableau that is full of noise: it is taken
to have converged, with an error that is too small. The even part of the same samples has noise of its own, and seldom
agrees as well. It costs no points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from anygrad.schemes.base import Lines
from anygrad._typing import Array, Namespace
from anygrad.schemes._extrapolation import Series
from anygrad.schemes._search import noise_at
from anygrad.schemes._state import State, weighted
from anygrad.schemes._wanted import Wanted

# The derivatives for which it is looked at: of even ones the odd part has larger errors of truncation than noise.
_ODD = (1, 3)
# What it is off by as many times more than noise can is no noise: it does not converge at all.
_UNEVEN = 64.0
# How many of the latest levels are looked at, and in how many rows.
_LEVELS, _ROWS = 9, 3


def scatter_of_even_part(wanted: Wanted, lines: Lines, state: State, bends: Sequence[Array]) -> Array:
    """Return how many times the noise that was assumed the even part of f has, (k, p); 0 where it has no more.

    ``bends`` are those of all levels, which by their steps are the series of an even derivative.
    """
    xp = lines.xp
    scatter = 0.0 * xp.abs(state.base)
    if wanted.side or wanted.n not in _ODD or state.condition is None:
        return scatter
    even = replace(wanted, n=wanted.n + 1)
    latest = zip(bends[-_LEVELS:], state.trail[-_LEVELS:], strict=True)
    values = [bend / level.step for bend, level in latest]
    noises = [noise_at(even, lines, state, level) * state.condition for level in state.trail[-_ROWS:]]
    for age in range(even.window + 2, len(values) + 1):
        here = state.age >= float(age) if age == len(values) else state.age == float(age)
        if lines.any(here):
            scatter = xp.where(here, _scatter(lines, even, values[-age:], noises), scatter)
    return scatter


def _scatter(lines: Lines, even: Wanted, values: Sequence[Array], noises: Sequence[Array]) -> Array:
    """Return that of the given levels: the largest of the last rows, or 0 if the last one shows none."""
    xp = lines.xp
    most = _change(xp, even, values, noises[-1])
    found = (most > 1.0) & (most < _UNEVEN)
    if not lines.any(found):
        return xp.zeros_like(most)
    for before in range(1, min(_ROWS, len(values) - even.window - 1)):
        earlier = _change(xp, even, values[:-before], noises[-1 - before])
        most = xp.where((earlier > most) & (earlier < _UNEVEN), earlier, most)
    return xp.where(found, most, 0.0)


def _change(xp: Namespace, even: Wanted, values: Sequence[Array], noise: Array) -> Array:
    """Return by how much the last entry of the tableau of these levels changes, in units of what noise can."""
    weights, more = _last_change(even.series, even.n, len(values))
    return xp.abs(weighted(weights, values)) / (more * noise)


@cache
def _last_change(series: Series, n: int, levels: int) -> tuple[Sequence[float], float]:
    """Return the weights of the levels in that change, and how much noise it has, in units of the last level's.

    The weights are up to a factor; the values of one size, so that noise is divided by the square of the step.
    """
    weights = series.weights(n)
    values: list[list[float]] = []
    noises: list[list[float]] = []
    change: list[float] = []
    for last in range(len(weights) - 1, levels):
        first, power = [0.0] * levels, float(series.ratio) ** (last * (n - series.start))
        for back, weight in enumerate(weights):
            first[last - back] = weight * power
        new, noise = [first], [[abs(number) for number in first]]
        for gain, old, old_noise in zip(series.gains, values, noises, strict=False):
            change = [a - b for a, b in zip(new[-1], old, strict=True)]
            new.append([a + c / gain for a, c in zip(new[-1], change, strict=True)])
            noise.append([(1.0 + 1.0 / gain) * a + b / gain for a, b in zip(noise[-1], old_noise, strict=True)])
        values, noises = new, noise
    ratio = float(series.ratio)
    return change, sum(number / ratio ** (2 * back) for back, number in enumerate(reversed(noises[-1])))
