"""Kinks and jumps, where f has a slope on each side, if that, but no derivative; and values that stand alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log

from anygrad.schemes.base import Lines
from anygrad._typing import Array, Namespace
from anygrad.schemes._extrapolation import RATIO
from anygrad.schemes._judging import FINE
from anygrad.schemes._level import Level
from anygrad.schemes._noise import EXPLAINED
from anygrad.schemes._state import State, widest

# Levels that a kink is looked for in.
_LEVELS, _FEWEST = 4, 3
# A kink has to be seen this close to x as well, in units of the step used: a smooth bend looks straight there.
_CLOSE = 1e-8
# Where that is hard to tell, this close will do.
_WITHIN = 1.0 / 64.0
# By how many times its rounding f has to change for the change to be known to three digits. Of noise that was measured
# fewer will do: there may be more rounding than f's values say.
_DISTINCT, _MEASURED = 1e3, 128.0
# Heights of f(x) above its surroundings that differ by less, as a part, are the same.
_ALIKE = 0.1
# A kink is not more than as many times what it seemed to be; where it grows by as much from level to level, as at a
# cusp, as many times what it should have grown to; and never by more than this power of the step.
_MUCH, _GROWING, _CUSP, _STEEPEST = 1.25, 1.02, 8.0, 1.1


@dataclass(frozen=True, eq=False)
class Kink:
    """Whether there is a kink or a jump, and half of what the slopes differ by: infinity, where they grow on."""

    found: Array
    half: Array


def bends_of(state: State) -> Sequence[Array]:
    """Return the bends at all levels; none where the points are on one side."""
    return [] if state.trail[-1].below is None else [level.bend(state.base) for level in state.trail]


def suspected(lines: Lines, state: State, bends: Sequence[Array] | None = None) -> Array:
    """Return half of what the slopes on both sides seem to differ by; 0 where they do not, (k, p).

    The first levels are judged by, and the last. ``bends`` are those of all levels, (k, p) each, if they are known.
    """
    xp = lines.xp
    if len(state.trail) < _FEWEST or state.trail[-1].below is None:
        return 0.0 * xp.abs(state.base)
    levels = len(state.trail)
    count = min(levels, _LEVELS)

    def difference(start: int, stop: int) -> Array:
        column = [level.bend(state.base) for level in state.trail[start:stop]] if bends is None else bends[start:stop]
        return _difference(lines, state, state.trail[stop - 1], column)

    last = xp.where(state.age >= float(count), difference(levels - count, levels), 0.0)
    if count > _FEWEST:  # lines that have converged as soon as they could after a leap
        soon = state.age == float(_FEWEST)
        last = xp.where(soon, difference(levels - _FEWEST, levels), last) if lines.any(soon) else last
    if levels < 2 * _LEVELS:
        return last
    first = xp.where(_in_a_row(xp, state), difference(0, _LEVELS), 0.0)
    return xp.where(last > 0.0, last, first)


def _in_a_row(xp: Namespace, state: State) -> Array:
    """Return whether there is no leap among the first levels."""
    shrunk = state.trail[_LEVELS - 1].step / state.trail[0].step * state.ratio ** (_LEVELS - 1)
    return xp.abs(shrunk - 1.0) < 0.1


def _difference(lines: Lines, state: State, level: Level, bends: Sequence[Array]) -> Array:
    """Return half of the difference of the slopes in the limit of small steps; 0 where it vanishes.

    Given the bends at levels that end with this one: a series k + c h + d h^3 + e h^5 + ... of the step, with a k that
    is 0 where f is smooth.
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

    It is seen of f(x) alone, then, that f varies on a smaller scale: next to a pole, or on a narrow peak. The latest
    levels are judged by, and those that the estimate is made of: later ones may have come near enough since.
    """
    xp = lines.xp
    never = xp.abs(state.base) < 0.0
    if len(state.trail) < 3 or state.trail[-1].below is None:
        return never
    heights = [level.step * level.bend(state.base) for level in state.trail]
    alike = [xp.abs(after - before) < _ALIKE * xp.abs(after) for before, after in pairwise(heights)]
    reached, alone = state.chosen(xp).step, never
    for last in range(2, len(heights)):
        level = state.trail[last]
        same = alike[last - 1] & alike[last - 2]
        same = same if last == len(heights) - 1 else same & (reached >= level.step)
        if lines.any(same):
            rounded = level.size + xp.abs(state.base) + state.scale * level.steepness(xp, state.base)
            alone = alone | (same & (xp.abs(heights[last]) > 32.0 * state.noise * rounded))
    return alone


def crossing(xp: Namespace, state: State) -> Array:
    """Return where f goes through its value at x, and does not turn there: up on one side and down on the other."""
    level = state.trail[-1]
    if level.below is None:
        return xp.abs(state.base) < 0.0
    above, below = xp.abs(level.above - state.base), xp.abs(level.below - state.base)
    return xp.abs(level.above - level.below) > xp.maximum(above, below)


def confirmed(lines: Lines, state: State, size: Array, known: Array, slope: Array | None) -> Kink:
    """Look for a kink of a size very close to x: 4 points a line. Where the size is known it has to be that.

    The slopes on both sides are then no farther from ``slope`` than the half of the kink that is returned.
    """
    xp = lines.xp
    outer, inner = _close_by(lines, state, size)
    wide, close = outer.bend(state.base), inner.bend(state.base)
    limit = xp.abs(close + (close - wide) / (float(RATIO) - 1.0))
    # f may round its argument, as sin(1e5 * x) does.
    argument = state.scale * inner.steepness(xp, state.base)
    large = inner.size + xp.abs(state.base) + argument
    noise = _distinct(lines, state.noise) * large + _DISTINCT * lines.tiny
    chosen = state.chosen(xp)
    near = (outer.step <= chosen.step) | ~chosen.seen(xp)
    kink = (limit > 0.5 * size) & (limit * inner.step > noise)
    if lines.eps < FINE:  # else so close to x is not far from the last level
        kink = kink & ((limit < size * _most(xp, state, outer, inner)) | ~known)
    moved = xp.abs(2.0 * (outer.step * outer.slope(state.base) - inner.step * inner.slope(state.base)))
    moved = moved + xp.abs(outer.above - inner.above)
    apart = 2.0 * inner.step * xp.abs(inner.slope(state.base))
    jump = (moved < 0.1 * apart) & (apart > noise)
    # The difference of the slopes grows on at a cusp, and at a jump that f(x) is on one side of.
    endless = jump | (xp.abs(close) > 1.25 * xp.abs(wide))
    rounded = 2.0 * state.noise * (inner.size + xp.abs(state.base)) / inner.step
    half = rounded + (limit if slope is None else xp.maximum(limit, _farthest(xp, outer, inner, slope)))
    return Kink((kink | jump) & near, xp.where(endless, xp.inf, half))


def _farthest(xp: Namespace, outer: Level, inner: Level, slope: Array) -> Array:
    """Return how far from a slope those on both sides are, between points that lie beyond a kink close to x."""
    assert outer.below is not None
    assert inner.below is not None
    length = xp.where(outer.step > inner.step, outer.step - inner.step, xp.inf)
    above, below = (outer.above - inner.above) / length, (inner.below - outer.below) / length
    farthest = xp.maximum(xp.abs(above - slope), xp.abs(below - slope))
    return xp.where(length < xp.inf, farthest, 0.0)


def _most(xp: Namespace, state: State, outer: Level, inner: Level) -> Array:
    """Return by how much a kink may exceed what it seemed to be at the last level, by how it grows so close to x.

    The bend of a cusp grows like a power of the step, at a jump like its inverse.
    """
    close, wide = xp.abs(inner.bend(state.base)), xp.abs(outer.bend(state.base))
    gain = close / xp.where(wide > 0.0, wide, 1.0)
    power = xp.log(xp.where(gain > 1.0, gain, 1.0)) / log(RATIO)
    grown = _CUSP * (xp.abs(state.trail[-1].step) / inner.step) ** power
    return xp.where(power < _STEEPEST, xp.where(gain > _GROWING, grown, _MUCH), 0.0)


def _distinct(lines: Lines, noise: Array) -> Array:
    """Return by which part of itself f has to change for the change to be known."""
    return lines.xp.where(noise > EXPLAINED * lines.eps, _MEASURED * noise, _DISTINCT * noise)


def _close_by(lines: Lines, state: State, size: Array) -> tuple[Level, Level]:
    """Sample f as close to x as a kink of that size can still be told from rounding."""
    xp = lines.xp
    least = xp.abs(state.base) / xp.where(size > 0.0, size, xp.inf)
    distinct = _distinct(lines, widest(xp, state.noise))
    step = 10.0 * distinct * xp.maximum(widest(xp, least), state.scale)
    first, last = state.trail[0].step, state.trail[-1].step
    # Than from what comes of rounding its argument, too, if that is well within the steps taken.
    steep = state.scale * state.trail[-1].steepness(xp, state.base) / xp.where(size > 0.0, size, xp.inf)
    step = xp.maximum(step, xp.minimum(10.0 * distinct * widest(xp, steep), _WITHIN * last))
    step = xp.minimum(xp.maximum(step, _CLOSE * last), first)
    outer, inner = (xp.abs(lines.nearest(state.at + h) - state.at) for h in (step, step / float(RATIO)))
    samples = lines.sample([state.at + outer, state.at - outer, state.at + inner, state.at - inner])
    return Level.of(xp, outer, samples[:2], state.base), Level.of(xp, inner, samples[2:], state.base)
