"""Extrapolation from a fixed number of levels, for lazy and traced arrays, whose values cannot be examined.

The levels do not depend on the values at earlier ones. So the whole tableau is a linear function of the samples, with
coefficients that are known beforehand. It takes a few operations on all lines and levels at once, where the search
takes thousands, each of which would be a node of a lazy library's graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from array_api_compat import device

from anygrad._typing import Array
from anygrad.schemes.adaptive.diagnosis import Derivatives, on_side
from anygrad.schemes.adaptive.kinks import Kinks, bend_at_zero
from anygrad.schemes.adaptive.richardson import CANDIDATES, HIGH, Estimate, Level, Series
from anygrad.schemes.adaptive.search import Facts, Found, Search
from anygrad.schemes.adaptive.start import assumed_noise, choose_sides
from anygrad.schemes.base import Lines, Slopes

# The number of rows of the tableau: enough for most functions to converge.
_ROWS = 9
# The number of latest levels in which a kink is looked for.
_BENDS = 4

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


@lru_cache(maxsize=64)
def tableau(series: Series, levels: int) -> Tableau:
    """Return the entries, in units of the power of the first step that the series is divided by."""
    weights = [Fraction(weight) for weight in series.weights]
    row: list[Coefficients] = []
    noise: list[Coefficients] = []
    values, changes, noises, steps = [], [], [], []
    for last in range(len(weights) - 1, levels):
        growth = series.ratio ** (last * (series.n - series.start))
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
        for value, change, its_noise in own[-CANDIDATES:] if series.n > HIGH else own:
            values.append(value)
            changes.append(change)
            noises.append(its_noise)
            steps.append(series.ratio**-last)
        row, noise = new, new_noise
    return Tableau(tuple(values), tuple(changes), tuple(noises), tuple(steps))


def _sum(a: Coefficients, b: Coefficients, factor: Fraction | int) -> Coefficients:
    return tuple(x + factor * y for x, y in zip(a, b, strict=True))


def differentiate_lazily(lines: Lines, search: Search, steps: Array, noise: float | None) -> Slopes:
    """Return the derivatives of lines whose values cannot be examined: all of them take the same levels."""
    xp, size = lines.xp, assumed_noise(lines, noise)
    if lines.lower is None and lines.upper is None:
        return _fixed_levels(search, lines, steps, size).slopes(xp)
    side, first = choose_sides(lines, steps)
    zero = xp.zeros_like(steps)
    found = _fixed_levels(search, lines, xp.where(side == 0.0, first, zero), size)
    for own in (1, -1):
        here = side == float(own)
        beside = _fixed_levels(on_side(search, own), lines, xp.where(here, first, zero), size)
        found = replace(found.replaced(xp, here, beside), one_sided=found.one_sided | here)
    return found.slopes(xp)


def _fixed_levels(search: Search, lines: Lines, steps: Array, noise: Array) -> Derivatives:
    """Take all levels. Lines with a step of 0 are sampled at x alone: their derivative is NaN."""
    xp, series = lines.xp, search.series
    count = _ROWS + series.window - 1
    base = lines.base() + xp.zeros_like(lines.at)
    levels, stacked = _sample_levels(lines, series, steps, base, count)
    flat = Series(series.start, series.side)  # the noise of the terms themselves
    terms, noises = stacked.term(series), stacked.noise(xp, flat, noise, base, lines.tiny)
    first = xp.abs(levels[0].step)
    best = _best(lines, tableau(series, count), terms, noises)
    power = levels[0].step ** (series.start - series.n)
    size = xp.abs(power)
    best = Estimate(best.value * power, best.change * size, best.rounding * size, best.step * first)
    last = levels[-1]
    rise = last.rise(xp, base)
    condition = 1.0 + lines.scale / xp.abs(last.step) * (rise / (xp.maximum(last.size, rise) + lines.tiny))
    condition = xp.where(xp.isfinite(condition), condition, 1.0)
    bend = 0.0 * condition
    if last.below is not None:
        bends = [level.height / level.step for level in levels[-_BENDS:]]
        unknown = 32.0 * noise * (last.size + xp.abs(base)) * condition / last.step
        bend = bend_at_zero(xp, float(series.ratio), bends, unknown)
    never = bend < 0.0
    facts = Facts(
        step=xp.abs(last.step) + 0.0 * bend,
        size=last.size,
        slope=last.slope(),
        condition=condition,
        bend=bend,
        isolated=never,
        excess=0.0 * bend,
        scatter=0.0 * bend,
        unsettled=0.0 * bend,
        flat=never,
        stalled=never,
        levels=0.0 * bend + float(count),
    )
    nothing = xp.zeros_like(lines.at)
    found = Found(
        index=lines.numbers(),
        best=best,
        facts=facts,
        noise=noise + 0.0 * bend,
        moved=0.0 * bend,
        first=first,
        longest=None,
        leaps=nothing,
        growths=nothing,
        ends=nothing,
    )
    kinks = Kinks(bend > 0.0, bend)
    return Derivatives.of(lines, on_side(search, series.side), found).with_kinks(xp, kinks.found, kinks)


def _sample_levels(lines: Lines, series: Series, steps: Array, base: Array, count: int) -> tuple[list[Level], Level]:
    """Sample all levels in one go. Return them one by one, and as one, stacked along a first axis."""
    xp, at = lines.xp, lines.at
    start, towards = (at, float(series.side)) if series.side else (xp.abs(at), 1.0)
    ratio = float(series.ratio)
    shrunk = xp.asarray([[ratio**level for level in range(count)]], dtype=at.dtype, device=device(at))
    taken = lines.nearest(start + towards * steps / shrunk) - start
    taken = taken if series.side else xp.abs(taken)
    points = [at + taken] if series.side else [at + taken, at - taken]
    samples = lines.sample([table[:, level : level + 1] for level in range(count) for table in points])
    own = [samples[number :: len(points)] for number in range(len(points))]
    nonzero = xp.where(taken == 0.0, 1.0, taken)
    sampled = list(zip(*own, strict=True))
    levels = [Level.of(xp, nonzero[:, level : level + 1], sampled[level], base) for level in range(count)]
    together = xp.permute_dims(nonzero, (1, 0))[:, :, None]
    return levels, Level.of(xp, together, [xp.stack(values) for values in own], base)


def _best(lines: Lines, entries: Tableau, terms: Array, noises: Array) -> Estimate:
    """Return the entry with the least error for each value; steps are in units of the first one."""
    xp = lines.xp
    terms, noises = (xp.permute_dims(table, (1, 2, 0)) for table in (terms, noises))  # the levels are the last axis
    sound = xp.isfinite(terms) & xp.isfinite(noises)
    lost = xp.astype(~sound, noises.dtype)
    terms, noises = xp.where(sound, terms, 0.0 * lost), xp.where(sound, noises, 0.0)
    values = _combined(lines, terms, entries.values)
    changes = xp.abs(_combined(lines, terms, entries.changes))
    noise = _combined(lines, noises, entries.noises)
    steps = xp.asarray([float(step) for step in entries.steps], dtype=noises.dtype, device=device(noises))
    missing = _combined(lines, lost, [[Fraction(c != 0) for c in own] for own in entries.noises]) > 0.0
    error = xp.where(missing, float("inf"), changes + noise)
    least = xp.min(error, axis=-1, keepdims=True)
    chosen = (error == least) & xp.isfinite(least)
    ties = xp.sum(xp.astype(chosen, noise.dtype), axis=-1)
    found, nothing = ties > 0.0, 0.0 * noise
    divisor = xp.where(found, ties, 1.0)

    def of_chosen(entry: Array) -> Array:
        """Return the mean over the chosen entries, of which there may be several with the same error."""
        total = xp.sum(xp.where(chosen, entry, nothing), axis=-1)
        return xp.where(found, total / divisor, float("nan"))

    change = xp.where(found, of_chosen(changes), float("inf"))
    return Estimate(of_chosen(values), change, of_chosen(noise), of_chosen(steps))


def _combined(lines: Lines, of_levels: Array, entries: Sequence[Sequence[Fraction]]) -> Array:
    """Return the linear combinations of the levels, the last axis, that are the entries."""
    columns = [[float(c) for c in column] for column in zip(*entries, strict=True)]
    return lines.xp.matmul(of_levels, lines.xp.asarray(columns, dtype=of_levels.dtype, device=device(of_levels)))
