"""Extrapolation from a fixed number of levels, for lazy and traced arrays, whose values cannot be examined.

The levels do not depend on the values at earlier ones. So all of them are stacked along a first axis, and a column of
the tableau takes a few operations, where the search takes thousands, each of which would be a node of a lazy graph.
"""

from __future__ import annotations

from dataclasses import replace

from array_api_compat import device

from anygrad._typing import Array
from anygrad.schemes.adaptive.diagnosis import Derivatives, on_side
from anygrad.schemes.adaptive.kinks import Kinks
from anygrad.schemes.adaptive.richardson import CANDIDATES, HIGH, LEAST_CHANGE, Estimate, Level, Series, weighted_sum
from anygrad.schemes.adaptive.search import BENDS, Search, State, found_of, noted_now
from anygrad.schemes.adaptive.start import assumed_noise, choose_sides
from anygrad.schemes.base import Lines, Slopes

# The number of rows of the tableau: enough for most functions to converge.
_ROWS = 9


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
    """Take all levels. Lines with a step of 0 are sampled only at x: their results mean nothing."""
    xp, series = lines.xp, search.series
    state = State.start(search, lines, lines.numbers(), lines.base(), (steps, noise))
    stacked = _sample_levels(lines, series, steps, state.base)
    state.best = _best(lines, series, stacked, stacked.noise(xp, series, noise, state.base, lines.tiny))
    levels = stacked.height.shape[0]
    latest = range(levels - BENDS, levels)
    state.heights = tuple(stacked.height[number, ...] for number in latest)
    state.steps = tuple(stacked.step[number, ...] for number in latest)
    below = None if stacked.below is None else stacked.below[-1, ...]
    state.level = Level(state.steps[-1], stacked.above[-1, ...], below, stacked.size[-1, ...], state.heights[-1])
    condition = state.condition(lines)
    state.noted = noted_now(lines, series, state, xp.where(xp.isfinite(condition), condition, 1.0))
    found = found_of(lines, series, state)
    found = replace(found, first=xp.abs(stacked.step[0, ...]), levels=xp.full_like(found.bend, float(levels)))
    kinks = Kinks(found.bend > 0.0, found.bend)
    return Derivatives.of(lines, search, found).with_kinks(xp, kinks.found, kinks)


def _sample_levels(lines: Lines, series: Series, steps: Array, base: Array) -> Level:
    """Sample all levels in one go, and return them as one."""
    xp, at, count = lines.xp, lines.at, _ROWS + series.window - 1
    start, towards = (at, float(series.side)) if series.side else (xp.abs(at), 1.0)
    shrunk = xp.asarray([[float(series.ratio) ** level for level in range(count)]], dtype=at.dtype, device=device(at))
    taken = lines.nearest(start + towards * steps / shrunk) - start
    taken = taken if series.side else xp.abs(taken)
    points = [at + taken] if series.side else [at + taken, at - taken]
    samples = lines.sample([table[:, level : level + 1] for table in points for level in range(count)])
    sides = [xp.stack(samples[start : start + count]) for start in range(0, len(samples), count)]
    taken = xp.where(taken == 0.0, 1.0, taken)
    return Level.of(xp, xp.permute_dims(taken, (1, 0))[:, :, None], sides, base)


def _best(lines: Lines, series: Series, levels: Level, noise: Array) -> Estimate:
    """Return the entry of the tableau with the least error for each value; ``noise`` is that in f / h^n."""
    xp, window = lines.xp, series.window
    terms, count = levels.term(series), noise.shape[0]
    parts = [terms[window - 1 - back : count - back, ...] for back in range(window)]
    steps = xp.abs(levels.step[window - 1 :, ...])
    column = weighted_sum(series.weights, parts) / levels.step[window - 1 :, ...] ** (series.n - series.start)
    entries: list[tuple[Array, ...]] = []
    before = None
    for number, gain in enumerate(series.gains[: _ROWS - 1]):
        difference = column[1:, ...] - column[:-1, ...]
        column = column[1:, ...] + difference / gain
        change, level = xp.abs(difference), window + number
        if before is not None and (series.side or series.n > HIGH):
            change = xp.maximum(change, LEAST_CHANGE * before[1:, ...])
        own, earlier = series.noise[number + 1]
        rounding = own * noise[level:, ...] + earlier * noise[level - 1 : -1, ...]
        kept = CANDIDATES if series.n > HIGH else _ROWS
        step = steps[number + 1 :, ...] + 0.0 * change
        entries.append(tuple(entry[:kept, ...] for entry in (column, change, rounding, step)))
        before = xp.abs(difference)
    value, change, rounding, step = (xp.concat(parts) for parts in zip(*entries, strict=True))
    error = change + rounding
    error = xp.where(xp.isfinite(error), error, float("inf"))
    smallest = xp.min(error, axis=0, keepdims=True)
    chosen = (error == smallest) & xp.isfinite(smallest)
    # Several entries may have the same error: then their mean counts.
    ties = xp.sum(xp.astype(chosen, error.dtype), axis=0)
    known = ties > 0.0

    def of_chosen(table: Array, unknown: float) -> Array:
        total = xp.sum(xp.where(chosen, table, xp.zeros_like(table)), axis=0)
        return xp.where(known, total / xp.where(known, ties, 1.0), unknown)

    endless = float("inf")
    return Estimate(
        of_chosen(value, float("nan")),
        of_chosen(change, endless),
        of_chosen(rounding, endless),
        of_chosen(step, endless),
    )
