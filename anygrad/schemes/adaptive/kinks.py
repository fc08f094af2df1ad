"""Kinks and jumps, where f has a slope on each side at most but no derivative; and isolated values of f."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log

from anygrad._typing import Array, Namespace
from anygrad.schemes.adaptive.noise import ABOVE_ROUNDING
from anygrad.schemes.adaptive.richardson import RATIO, Level, largest_value
from anygrad.schemes.adaptive.search import FINE, State
from anygrad.schemes.base import Lines

# The numbers of levels in which a kink is looked for, usually and at least.
_LEVELS, _FEWEST = 4, 3
# A kink has to be seen this close to x as well, in units of the step used: a smooth bend looks straight there.
_CLOSE = 1e-8
# This close suffices where noise hides it nearer by.
_WITHIN = 1.0 / 64.0
# A change of f is known to three digits if it is so many times the rounding of f. Measured noise needs fewer: it is
# already an upper bound.
_DISTINCT, _MEASURED = 1e3, 128.0
# Heights of f(x) above its surroundings are the same if they differ by less than this part.
_ALIKE = 0.1
# A kink is at most _MUCH times what it seemed to be. Where it grows by more than _GROWING from level to level, as at a
# cusp, it is at most _CUSP times what it should have grown to. It grows at most like this power of the step.
_MUCH, _GROWING, _CUSP, _STEEPEST = 1.25, 1.02, 8.0, 1.1


@dataclass(frozen=True, eq=False)
class Kink:
    """Whether there is a kink or a jump, and half the difference of its slopes: infinite where it grows on."""

    found: Array
    half: Array


def bends_of(state: State) -> Sequence[Array]:
    """Return the bends at all levels; none where all points are on one side of x."""
    return [] if state.levels[-1].below is None else [level.bend(state.base) for level in state.levels]


def suspected_kink(lines: Lines, state: State, bends: Sequence[Array] | None = None) -> Array:
    """Return half the difference that the one-sided slopes seem to have; 0 where they seem equal, (k, p).

    The first levels are examined, and the last. ``bends`` are those of all levels, (k, p) each, if they are known.
    """
    xp = lines.xp
    if len(state.levels) < _FEWEST or state.levels[-1].below is None:
        return 0.0 * xp.abs(state.base)
    levels = len(state.levels)
    count = min(levels, _LEVELS)

    def difference(start: int, stop: int) -> Array:
        column = [level.bend(state.base) for level in state.levels[start:stop]] if bends is None else bends[start:stop]
        return _limit_of_bends(lines, state, state.levels[stop - 1], column)

    last = xp.where(state.age >= float(count), difference(levels - count, levels), 0.0)
    if count > _FEWEST:  # lines that have converged as soon as possible after a leap
        soon = state.age == float(_FEWEST)
        last = xp.where(soon, difference(levels - _FEWEST, levels), last) if lines.any(soon) else last
    if levels < 2 * _LEVELS:
        return last
    first = xp.where(_without_leap(xp, state), difference(0, _LEVELS), 0.0)
    return xp.where(last > 0.0, last, first)


def _without_leap(xp: Namespace, state: State) -> Array:
    """Return where there is no leap among the first levels."""
    shrunk = state.levels[_LEVELS - 1].step / state.levels[0].step * state.ratio ** (_LEVELS - 1)
    return xp.abs(shrunk - 1.0) < 0.1


def _limit_of_bends(lines: Lines, state: State, level: Level, bends: Sequence[Array]) -> Array:
    """Return the bend in the limit of small steps; 0 where it vanishes.

    The bends at levels that end with this one are a series k + c h + d h^3 + e h^5 + ... of the step. Where f is
    smooth, k is 0.
    """
    xp, column = lines.xp, list(bends)
    # The bend of a smooth f shrinks like the step; at a kink it stays.
    stays = xp.abs(column[-1]) > state.ratio**-0.5 * xp.abs(column[-2])
    change = column[-1]
    for power in range(1, 2 * len(bends) - 2, 2):
        gain = state.ratio**power - 1.0
        change = column[-1] - column[-2]
        column = [new + (new - old) / gain for old, new in pairwise(column)]
    size = xp.abs(column[-1])
    noise = 32.0 * state.noise / level.step
    noise = noise * (level.size + xp.abs(state.base)) * state.conditioned(lines, level)
    return xp.where((size > noise) & (stays | (size > 4.0 * xp.abs(change))), size, 0.0)


def isolated(lines: Lines, state: State) -> Array:
    """Return where f(x) is as far from the values around it as it was two levels before, (k, p).

    Only f(x) shows then that f varies on a smaller scale: next to a pole, or on a narrow peak. The latest levels are
    examined, and those of the estimate: later ones may have come near enough since.
    """
    xp = lines.xp
    never = xp.abs(state.base) < 0.0
    if len(state.levels) < 3 or state.levels[-1].below is None:
        return never
    heights = [level.step * level.bend(state.base) for level in state.levels]
    alike = [xp.abs(after - before) < _ALIKE * xp.abs(after) for before, after in pairwise(heights)]
    reached, found = state.chosen(xp).step, never
    for last in range(2, len(heights)):
        level = state.levels[last]
        same = alike[last - 1] & alike[last - 2]
        same = same if last == len(heights) - 1 else same & (reached >= level.step)
        if lines.any(same):
            rounded = level.size + xp.abs(state.base) + state.scale * level.steepness(xp, state.base)
            found = found | (same & (xp.abs(heights[last]) > 32.0 * state.noise * rounded))
    return found


def monotonic(xp: Namespace, state: State) -> Array:
    """Return where f goes up on one side of x and down on the other."""
    level = state.levels[-1]
    if level.below is None:
        return xp.abs(state.base) < 0.0
    above, below = xp.abs(level.above - state.base), xp.abs(level.below - state.base)
    return xp.abs(level.above - level.below) > xp.maximum(above, below)


def confirmed_kink(lines: Lines, state: State, size: Array, known: Array, slope: Array | None) -> Kink:
    """Look for a kink very close to x, at 4 points for each line. Where its size is ``known``, it must have that size.

    With a ``slope`` given, the returned half also covers its distance from the slopes on both sides.
    """
    xp = lines.xp
    outer, inner = _levels_close_by(lines, state, size)
    wide, close = outer.bend(state.base), inner.bend(state.base)
    limit = xp.abs(close + (close - wide) / (float(RATIO) - 1.0))
    # f may round its argument, as sin(1e5 * x) does.
    argument = state.scale * inner.steepness(xp, state.base)
    large = inner.size + xp.abs(state.base) + argument
    noise = _distinct(lines, state.noise) * large + _DISTINCT * lines.tiny
    chosen = state.chosen(xp)
    near = (outer.step <= chosen.step) | ~chosen.resolved(xp)
    kink = (limit > 0.5 * size) & (limit * inner.step > noise)
    if lines.eps < FINE:  # in a coarser dtype, so close to x is not far from the last level
        kink = kink & ((limit < size * _size_limit(xp, state, outer, inner)) | ~known)
    moved = xp.abs(2.0 * (outer.step * outer.slope(state.base) - inner.step * inner.slope(state.base)))
    moved = moved + xp.abs(outer.above - inner.above)
    apart = 2.0 * inner.step * xp.abs(inner.slope(state.base))
    jump = (moved < 0.1 * apart) & (apart > noise)
    # The slopes grow apart at a cusp, and at a jump where f(x) is the value of one side.
    endless = jump | (xp.abs(close) > 1.25 * xp.abs(wide))
    rounded = 2.0 * state.noise * (inner.size + xp.abs(state.base)) / inner.step
    half = rounded + (limit if slope is None else xp.maximum(limit, _farthest_slope(xp, outer, inner, slope)))
    return Kink((kink | jump) & near, xp.where(endless, xp.inf, half))


def _farthest_slope(xp: Namespace, outer: Level, inner: Level, slope: Array) -> Array:
    """Return the distance of a slope from those on both sides, between points beyond a kink that is close to x."""
    assert outer.below is not None
    assert inner.below is not None
    length = xp.where(outer.step > inner.step, outer.step - inner.step, xp.inf)
    above, below = (outer.above - inner.above) / length, (inner.below - outer.below) / length
    farthest = xp.maximum(xp.abs(above - slope), xp.abs(below - slope))
    return xp.where(length < xp.inf, farthest, 0.0)


def _size_limit(xp: Namespace, state: State, outer: Level, inner: Level) -> Array:
    """Return by which factor a kink may exceed its size at the last level, given how it grows close to x.

    The bend of a cusp grows like a power of the step, that of a jump like the inverse of the step.
    """
    close, wide = xp.abs(inner.bend(state.base)), xp.abs(outer.bend(state.base))
    gain = close / xp.where(wide > 0.0, wide, 1.0)
    power = xp.log(xp.where(gain > 1.0, gain, 1.0)) / log(RATIO)
    grown = _CUSP * (xp.abs(state.levels[-1].step) / inner.step) ** power
    return xp.where(power < _STEEPEST, xp.where(gain > _GROWING, grown, _MUCH), 0.0)


def _distinct(lines: Lines, noise: Array) -> Array:
    """Return the relative change that f must have for the change to be known."""
    return lines.xp.where(noise > ABOVE_ROUNDING * lines.eps, _MEASURED * noise, _DISTINCT * noise)


def _levels_close_by(lines: Lines, state: State, size: Array) -> tuple[Level, Level]:
    """Sample f at two steps, as close to x as a kink of that size can still be told from rounding."""
    xp = lines.xp
    least = xp.abs(state.base) / xp.where(size > 0.0, size, xp.inf)
    distinct = _distinct(lines, largest_value(xp, state.noise))
    step = 10.0 * distinct * xp.maximum(largest_value(xp, least), state.scale)
    first, last = state.levels[0].step, state.levels[-1].step
    # The kink must also be told from the rounding of f's argument, if that is possible well within the steps taken.
    steep = state.scale * state.levels[-1].steepness(xp, state.base) / xp.where(size > 0.0, size, xp.inf)
    step = xp.maximum(step, xp.minimum(10.0 * distinct * largest_value(xp, steep), _WITHIN * last))
    step = xp.minimum(xp.maximum(step, _CLOSE * last), first)
    outer, inner = (xp.abs(lines.nearest(state.at + h) - state.at) for h in (step, step / float(RATIO)))
    samples = lines.sample([state.at + outer, state.at - outer, state.at + inner, state.at - inner])
    return Level.of(xp, outer, samples[:2], state.base), Level.of(xp, inner, samples[2:], state.base)
