"""Kinks and jumps, where f has a slope on each side at most, but no derivative."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log

from anygrad._typing import Array, Namespace
from anygrad.schemes.adaptive.richardson import ABOVE_ROUNDING, FINE, RATIO, Level, largest_value
from anygrad.schemes.base import Lines

# A kink has to be seen this close to x as well, in units of the step used: a smooth bend looks straight there.
_CLOSE = 1e-8
# This close suffices where noise hides it nearer by.
_WITHIN = 1.0 / 64.0
# A change of f is known to three digits if it is so many times the rounding of f. Measured noise needs fewer: it is
# already an upper bound.
_DISTINCT, _MEASURED = 1e3, 128.0
# A kink is at most _MUCH times what it seemed to be. Where it grows by more than _GROWING from level to level, as at a
# cusp, it is at most _CUSP times what it should have grown to. It grows at most like this power of the step.
_MUCH, _GROWING, _CUSP, _STEEPEST = 1.25, 1.02, 8.0, 1.1


def bend_at_zero(xp: Namespace, ratio: float, bends: Sequence[Array], noise: Array) -> Array:
    """Return the bend, half the difference of the one-sided slopes, in the limit of small steps; 0 where it vanishes.

    The bends at consecutive levels are a series k + c h + d h^3 + e h^5 + ... of the step. Where f is smooth, k is 0.
    Bends below ``noise`` are not known.
    """
    column = list(bends)
    # The bend of a smooth f shrinks like the step; at a kink it stays.
    stays = xp.abs(column[-1]) > ratio**-0.5 * xp.abs(column[-2])
    change = column[-1]
    for power in range(1, 2 * len(bends) - 2, 2):
        change = column[-1] - column[-2]
        column = [new + (new - old) / (ratio**power - 1.0) for old, new in pairwise(column)]
    size = xp.abs(column[-1])
    return xp.where((size > noise) & (stays | (size > 4.0 * xp.abs(change))), size, 0.0)


@dataclass(frozen=True, eq=False)
class Suspect:
    """Where a kink is suspected, and what the search has seen there, (m, p)."""

    base: Array  # f(x)
    noise: Array  # its relative noise
    first: Array  # the first step of the search, (m, 1)
    last: Array  # the last one
    steep: Array  # the change of f over a distance as large as x: if f rounds its argument, its noise is a part of that
    size: Array  # half the difference of the slopes that would explain what was seen
    bent: Array  # the slopes were seen to differ by that, rather than the error being as large
    within: Array  # how close to x the kink has to be: a derivative is known that was found from there


@dataclass(frozen=True, eq=False)
class Kinks:
    """Whether there is a kink or a jump, and half the difference of its slopes: infinite where it grows on; (m, p)."""

    found: Array
    half: Array


def look_close(lines: Lines, suspect: Suspect, slope: Array | None) -> Kinks:
    """Look for kinks very close to x, at 4 points for each line.

    With a ``slope`` given, ``half`` also covers its distance from the slopes on both sides.
    """
    xp, base, size = lines.xp, suspect.base, suspect.size
    scale = xp.where(xp.isfinite(lines.scale), lines.scale, 0.0)
    outer, inner = _levels_close_by(lines, suspect)
    wide, close = outer.height / outer.step, inner.height / inner.step
    limit = xp.abs(close + (close - wide) / (float(RATIO) - 1.0))
    large = inner.size + xp.abs(base) + scale * inner.rise(xp, base) / inner.step
    noise = _distinct(lines, suspect.noise) * large + _DISTINCT * lines.tiny
    kink = (limit > 0.5 * size) & (limit * inner.step > noise)
    if lines.eps < FINE:  # in a coarser dtype, so close to x is not far from the last level
        kink = kink & ((limit < size * _size_limit(xp, suspect, outer, inner)) | ~suspect.bent)
    moved = xp.abs(2.0 * (outer.step * outer.slope() - inner.step * inner.slope())) + xp.abs(outer.above - inner.above)
    apart = 2.0 * inner.step * xp.abs(inner.slope())
    jump = (moved < 0.1 * apart) & (apart > noise)
    # The slopes grow apart at a cusp, and at a jump where f(x) is the value of one side.
    endless = jump | (xp.abs(close) > 1.25 * xp.abs(wide))
    rounded = 2.0 * suspect.noise * (inner.size + xp.abs(base)) / inner.step
    half = rounded + (limit if slope is None else xp.maximum(limit, _farthest_slope(xp, outer, inner, slope)))
    near = outer.step <= suspect.within
    return Kinks((kink | jump) & near, xp.where(endless, float("inf"), half))


def _levels_close_by(lines: Lines, suspect: Suspect) -> tuple[Level, Level]:
    """Sample f at two steps, as close to x as a kink of that size can still be told from rounding."""
    xp = lines.xp
    size = xp.where(suspect.size > 0.0, suspect.size, float("inf"))
    distinct = _distinct(lines, largest_value(xp, suspect.noise))
    last = largest_value(xp, suspect.last)
    step = 10.0 * distinct * xp.maximum(largest_value(xp, xp.abs(suspect.base) / size), lines.scale)
    # The kink must also be told from the rounding of f's argument, if that is possible well within the steps taken.
    step = xp.maximum(step, xp.minimum(10.0 * distinct * largest_value(xp, suspect.steep / size), _WITHIN * last))
    step = xp.minimum(xp.maximum(step, _CLOSE * last), suspect.first)
    outer, inner = (xp.abs(lines.nearest(lines.at + h) - lines.at) for h in (step, step / float(RATIO)))
    samples = lines.sample([lines.at + outer, lines.at - outer, lines.at + inner, lines.at - inner])
    return Level.of(xp, outer, samples[:2], suspect.base), Level.of(xp, inner, samples[2:], suspect.base)


def _farthest_slope(xp: Namespace, outer: Level, inner: Level, slope: Array) -> Array:
    """Return the distance of a slope from those on both sides, between points beyond a kink that is close to x."""
    assert outer.below is not None
    assert inner.below is not None
    length = xp.where(outer.step > inner.step, outer.step - inner.step, float("inf"))
    above, below = (outer.above - inner.above) / length, (inner.below - outer.below) / length
    farthest = xp.maximum(xp.abs(above - slope), xp.abs(below - slope))
    return xp.where(length < float("inf"), farthest, 0.0)


def _size_limit(xp: Namespace, suspect: Suspect, outer: Level, inner: Level) -> Array:
    """Return by which factor a kink may exceed its size at the last level, given how it grows close to x.

    The bend of a cusp grows like a power of the step, that of a jump like the inverse of the step.
    """
    close, wide = xp.abs(inner.height / inner.step), xp.abs(outer.height / outer.step)
    gain = close / xp.where(wide > 0.0, wide, 1.0)
    power = xp.log(xp.where(gain > 1.0, gain, 1.0)) / log(RATIO)
    grown = _CUSP * (suspect.last / inner.step) ** power
    return xp.where(power < _STEEPEST, xp.where(gain > _GROWING, grown, _MUCH), 0.0)


def _distinct(lines: Lines, noise: Array) -> Array:
    """Return the relative change that f must have for the change to be known."""
    return lines.xp.where(noise > ABOVE_ROUNDING * lines.eps, _MEASURED * noise, _DISTINCT * noise)
