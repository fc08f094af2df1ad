"""Extrapolation of lines whose values cannot be looked at, as lazy and traced arrays cannot.

Levels do not depend on what the ones before have shown. So the whole tableau is a linear function of the samples, with
coefficients that are known beforehand: a few operations on all lines and levels at once, where the search takes
thousands, each of which would be a node of a lazy library's graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache

from array_api_compat import device

from anygrad.schemes.base import Lines
from anygrad._typing import Array, Namespace
from anygrad.schemes._extrapolation import CANDIDATES, HIGH, Estimate, Series
from anygrad.schemes._level import Level
from anygrad.schemes._search import noise_at, series_at
from anygrad.schemes._state import State
from anygrad.schemes._wanted import Wanted

# Levels of the first column of the tableau: enough for most functions to converge.
_LEVELS = 9

Coefficients = tuple[Fraction, ...]  # one for each level


@dataclass(frozen=True)
class Tableau:
    """The entries of a tableau, each by the coefficients of the levels that it is a sum of.

    Attributes
    ----------
    values, changes, noises
        The entry; how far the one that it was extrapolated from is from that of the row before; and what noise amounts
        to in it, of the noise in the levels.
    steps
        The smallest step that it is made of, as a part of the first one.
    """

    values: tuple[Coefficients, ...]
    changes: tuple[Coefficients, ...]
    noises: tuple[Coefficients, ...]
    steps: tuple[Fraction, ...]


@cache
def tableau(series: Series, n: int, levels: int) -> Tableau:
    """Return the entries for the n-th derivative, in units of the first step to the power that it is divided by."""
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


def extrapolated(lines: Lines, wanted: Wanted, steps: Array, noise: Array) -> tuple[State, Sequence[Array] | None]:
    """Return lines that have taken all levels; those with a step of 0 are sampled at x alone, and not a number.

    With them come the bends at all levels, (m, p) each, where both sides of x are sampled.
    """
    xp, series, n = lines.xp, wanted.series, wanted.n
    levels = _LEVELS + wanted.window - 1
    state = State.start(lines, lines.base(), steps, noise, float(series.ratio))
    together, trail = _sampled(lines, state, wanted.side, levels)
    parts, noises = series_at(wanted, state, together), noise_at(wanted, lines, state, together)
    best = _best(lines, tableau(series, n, levels), *(xp.permute_dims(table, (1, 2, 0)) for table in (parts, noises)))
    first = trail[0].step
    power = 1.0 if n == series.start else first ** (series.start - n)
    best = replace(best.scaled(power), step=best.step * xp.abs(first))
    condition = state.conditioned(lines, trail[-1])
    condition = xp.where(xp.isfinite(condition), condition, 1.0)
    state = replace(state, trail=tuple(trail), age=state.age + float(levels), best=best, condition=condition)
    if together.below is None:
        return state, None
    bends = together.bend(state.base)
    return state, [bends[level, ...] for level in range(levels)]


def _sampled(lines: Lines, state: State, side: int, count: int) -> tuple[Level, list[Level]]:
    """Sample all levels in one go; return them as one, whose arrays have them along a first axis, and one by one."""
    xp, at = lines.xp, state.at
    start, towards = (at, float(side)) if side else (xp.abs(at), 1.0)
    shrunk = xp.asarray([[state.ratio**level for level in range(count)]], dtype=at.dtype, device=device(at))
    taken = lines.nearest(start + towards * state.step / shrunk) - start
    taken = taken if side else xp.abs(taken)
    points = [at + taken] if side else [at + taken, at - taken]
    samples = lines.sample([table[:, level : level + 1] for level in range(count) for table in points])
    own = [samples[side_of :: len(points)] for side_of in range(len(points))]
    steps = xp.permute_dims(xp.where(taken == 0.0, 1.0, taken), (1, 0))[:, :, None]
    together = Level.of(xp, steps, [xp.stack(values) for values in own], state.base)
    return together, [
        Level(steps[level, ...], own[0][level], own[1][level] if len(own) > 1 else None, together.size[level, ...])
        for level in range(count)
    ]


def _best(lines: Lines, entries: Tableau, parts: Array, noises: Array) -> Estimate:
    """Return the entry of the least error for each value; the levels are the last axis."""
    xp = lines.xp
    sound = xp.isfinite(parts) & xp.isfinite(noises)
    lost = xp.astype(~sound, noises.dtype)
    parts, noises = xp.where(sound, parts, 0.0 * lost), xp.where(sound, noises, 0.0)
    values = _combined(xp, parts, entries.values)
    changes = xp.abs(_combined(xp, parts, entries.changes))
    steps = xp.asarray([float(r) for r in entries.steps], dtype=noises.dtype, device=device(noises))
    noise = _combined(xp, noises, entries.noises)
    missing = _combined(xp, lost, [[Fraction(c != 0) for c in own] for own in entries.noises]) > 0.0
    error = xp.where(missing, xp.inf, changes + noise)
    least = xp.min(error, axis=-1, keepdims=True)
    chosen = (error == least) & xp.isfinite(least)
    ties = xp.sum(xp.astype(chosen, noise.dtype), axis=-1)

    found, nothing = ties > 0.0, 0.0 * noise
    divisor = xp.where(found, ties, 1.0)

    def of_chosen(entry: Array) -> Array:
        total = xp.sum(xp.where(chosen, entry, nothing), axis=-1)
        return xp.where(found, total / divisor, xp.nan)

    change = xp.where(found, of_chosen(changes), xp.inf)
    return Estimate(of_chosen(values), change, of_chosen(noise), of_chosen(steps))


def _combined(xp: Namespace, of_levels: Array, entries: Sequence[Sequence[Fraction]]) -> Array:
    """Return the sums over levels, the last axis, with the coefficients of each entry."""
    columns = [[float(c) for c in column] for column in zip(*entries, strict=True)]
    return xp.matmul(of_levels, xp.asarray(columns, dtype=of_levels.dtype, device=device(of_levels)))


def _sum(a: Coefficients, b: Coefficients, factor: Fraction | int) -> Coefficients:
    return tuple(x + factor * y for x, y in zip(a, b, strict=True))
