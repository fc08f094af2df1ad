"""Extrapolation from a fixed number of levels, for lazy and traced arrays, whose values cannot be examined.

The levels do not depend on the values at earlier ones. So the whole tableau is a linear function of the samples, with
coefficients that are known beforehand. It takes a few operations on all lines and levels at once, where the search
takes thousands, each of which would be a node of a lazy library's graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache

from array_api_compat import device

from anygrad._typing import Array, Namespace
from anygrad.schemes.adaptive.richardson import CANDIDATES, HIGH, Estimate, Extrapolation, Level, Series
from anygrad.schemes.adaptive.search import State, noise_at, series_at
from anygrad.schemes.base import Lines

# The number of rows of the tableau: enough for most functions to converge.
_ROWS = 9

Coefficients = tuple[Fraction, ...]  # one for each level


@dataclass(frozen=True)
class Tableau:
    """The entries of a tableau as linear combinations of the levels.

    Attributes
    ----------
    values
        The entries.
    changes
        The distance of the previous column's entry from that of the row before.
    noises
        The noise in each entry, from the noise in the levels.
    steps
        The smallest step of each entry, in units of the first step.
    """

    values: tuple[Coefficients, ...]
    changes: tuple[Coefficients, ...]
    noises: tuple[Coefficients, ...]
    steps: tuple[Fraction, ...]


@cache
def tableau(series: Series, n: int, levels: int) -> Tableau:
    """Return the entries for the n-th derivative, in units of the power of the first step that they are divided by."""
    weights = [Fraction(weight) for weight in series.weights(n)]
    row: list[Coefficients] = []
    noise: list[Coefficients] = []
    values, changes, noises, steps = [], [], [], []
    for last in range(len(weights) - 1, levels):
        growth = series.ratio ** (last * (n - series.start))
        first = [Fraction(0)] * levels
        for back, weight in enumerate(weights):
            first[last - back] = weight * growth
        new, new_noise = [tuple(first)], [tuple(map(abs, first))]
        own: list[tuple[Coefficients, Coefficients, Coefficients]] = []
        for column, (old, old_noise) in enumerate(zip(row, noise, strict=True)):
            part = 1 / (series.ratio ** (series.stride * (column + 1)) - 1)
            change = _sum(new[-1], old, -1)
            new.append(_sum(new[-1], change, part))
            new_noise.append(_sum(tuple((1 + part) * c for c in new_noise[-1]), old_noise, part))
            own.append((new[-1], change, new_noise[-1]))
        for value, change, its_noise in own[-CANDIDATES:] if n > HIGH else own:
            values.append(value)
            changes.append(change)
            noises.append(its_noise)
            steps.append(series.ratio**-last)
        row, noise = new, new_noise
    return Tableau(tuple(values), tuple(changes), tuple(noises), tuple(steps))


def _sum(a: Coefficients, b: Coefficients, factor: Fraction | int) -> Coefficients:
    return tuple(x + factor * y for x, y in zip(a, b, strict=True))


def fixed_levels(
    extrapolation: Extrapolation, lines: Lines, steps: Array, noise: Array
) -> tuple[State, Sequence[Array] | None]:
    """Return lines that have taken all levels, and the bends at all levels, (m, p) each, if both sides are sampled.

    Lines with a step of 0 are sampled at x alone: their derivative is NaN.
    """
    xp, series, n = lines.xp, extrapolation.series, extrapolation.n
    count = _ROWS + extrapolation.window - 1
    state = State.start(lines, lines.base(), steps, noise, float(series.ratio))
    stacked, levels = _sample_levels(lines, state, extrapolation.side, count)
    parts, noises = series_at(extrapolation, state, stacked), noise_at(extrapolation, lines, state, stacked)
    parts, noises = (xp.permute_dims(table, (1, 2, 0)) for table in (parts, noises))
    best = _best(lines, tableau(series, n, count), parts, noises)
    first = levels[0].step
    power = 1.0 if n == series.start else first ** (series.start - n)
    best = replace(best.scaled(power), step=best.step * xp.abs(first))
    condition = state.conditioned(lines, levels[-1])
    condition = xp.where(xp.isfinite(condition), condition, 1.0)
    state = replace(state, levels=tuple(levels), age=state.age + float(count), best=best, condition=condition)
    if stacked.below is None:
        return state, None
    bends = stacked.bend(state.base)
    return state, [bends[level, ...] for level in range(count)]


def _sample_levels(lines: Lines, state: State, side: int, count: int) -> tuple[Level, list[Level]]:
    """Sample all levels in one go. Return them as one, stacked along a first axis, and one by one."""
    xp, at = lines.xp, state.at
    start, towards = (at, float(side)) if side else (xp.abs(at), 1.0)
    shrunk = xp.asarray([[state.ratio**level for level in range(count)]], dtype=at.dtype, device=device(at))
    taken = lines.nearest(start + towards * state.step / shrunk) - start
    taken = taken if side else xp.abs(taken)
    points = [at + taken] if side else [at + taken, at - taken]
    samples = lines.sample([table[:, level : level + 1] for level in range(count) for table in points])
    own = [samples[side_of :: len(points)] for side_of in range(len(points))]
    steps = xp.permute_dims(xp.where(taken == 0.0, 1.0, taken), (1, 0))[:, :, None]
    stacked = Level.of(xp, steps, [xp.stack(values) for values in own], state.base)
    return stacked, [
        Level(steps[level, ...], own[0][level], own[1][level] if len(own) > 1 else None, stacked.size[level, ...])
        for level in range(count)
    ]


def _best(lines: Lines, entries: Tableau, parts: Array, noises: Array) -> Estimate:
    """Return the entry with the least error for each value. The levels are the last axis of the arrays."""
    xp = lines.xp
    sound = xp.isfinite(parts) & xp.isfinite(noises)
    lost = xp.astype(~sound, noises.dtype)
    parts, noises = xp.where(sound, parts, 0.0 * lost), xp.where(sound, noises, 0.0)
    values = _combined(xp, parts, entries.values)
    changes = xp.abs(_combined(xp, parts, entries.changes))
    steps = xp.asarray([float(step) for step in entries.steps], dtype=noises.dtype, device=device(noises))
    noise = _combined(xp, noises, entries.noises)
    missing = _combined(xp, lost, [[Fraction(c != 0) for c in own] for own in entries.noises]) > 0.0
    error = xp.where(missing, xp.inf, changes + noise)
    least = xp.min(error, axis=-1, keepdims=True)
    chosen = (error == least) & xp.isfinite(least)
    ties = xp.sum(xp.astype(chosen, noise.dtype), axis=-1)

    found, nothing = ties > 0.0, 0.0 * noise
    divisor = xp.where(found, ties, 1.0)

    def of_chosen(entry: Array) -> Array:
        """Return the mean over the chosen entries, of which there may be several with the same error."""
        total = xp.sum(xp.where(chosen, entry, nothing), axis=-1)
        return xp.where(found, total / divisor, xp.nan)

    truncation = xp.where(found, of_chosen(changes), xp.inf)
    return Estimate(of_chosen(values), truncation, of_chosen(noise), of_chosen(steps))


def _combined(xp: Namespace, of_levels: Array, entries: Sequence[Sequence[Fraction]]) -> Array:
    """Return the linear combinations of the levels, the last axis, that are the entries."""
    columns = [[float(c) for c in column] for column in zip(*entries, strict=True)]
    return xp.matmul(of_levels, xp.asarray(columns, dtype=of_levels.dtype, device=device(of_levels)))
