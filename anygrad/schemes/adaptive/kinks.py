"""Kinks and jumps, where f has a slope on each side at most, but no derivative."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

from anygrad._typing import Array, Namespace
from anygrad.schemes.adaptive.richardson import ABOVE_ROUNDING, FINE, RATIO, Level, largest_value
from anygrad.schemes.adaptive.search import Found
from anygrad.schemes.base import Lines

# A kink has to be seen this close to x as well, in units of the step used: a smooth bend looks straight there.
_CLOSE = 1e-8
# This close suffices where noise hides it nearer by.
_WITHIN = 1.0 / 64.0
# A change of f is known to three digits if it is so many times the rounding of f. Measured noise needs fewer: it is
# already an upper bound.
_DISTINCT, _MEASURED = 1e3, 128.0
# A kink is at most _MUCH times its apparent size. Where it grows by more than _GROWING from level to level, as at a
# cusp, it is at most _CUSP times the size that this growth leads to. It grows at most like this power of the step.
_MUCH, _GROWING, _CUSP, _STEEPEST = 1.25, 1.02, 8.0, 1.1


@dataclass(frozen=True, eq=False)
class Kinks:
    """Whether there is a kink or a jump, and half the difference of its slopes: infinite where it grows on; (m, p)."""

    found: Array
    half: Array


def look_close(lines: Lines, found: Found, size: Array, slope: Array | None) -> Kinks:
    """Look for kinks very close to x, at 4 points for each line.

    ``size`` is half the difference of the slopes that would explain what was seen. With a ``slope``, ``half`` also
    covers its distance from the slopes on both sides.
    """
    xp, base, bent = lines.xp, found.base, found.bend > 0.0
    scale = xp.where(xp.isfinite(lines.scale), lines.scale, 0.0)
    outer, inner = _levels_close_by(lines, found, size)
    wide, close = outer.height / outer.step, inner.height / inner.step
    limit = xp.abs(close + (close - wide) / (float(RATIO) - 1.0))
    large = inner.size + xp.abs(base) + scale * inner.rise(xp, base) / inner.step
    noise = _distinct(lines, found.noise) * large + _DISTINCT * lines.tiny
    kink = (limit > 0.5 * size) & (limit * inner.step > noise)
    if lines.eps < FINE:  # in a coarser dtype, so close to x is not far from the last level
        kink = kink & ((limit < size * _size_limit(xp, found.step, outer, inner)) | ~bent)
    moved = xp.abs(2.0 * (outer.step * outer.slope() - inner.step * inner.slope())) + xp.abs(outer.above - inner.above)
    apart = 2.0 * inner.step * xp.abs(inner.slope())
    jump = (moved < 0.1 * apart) & (apart > noise)
    # The slopes grow apart at a cusp, and at a jump where f(x) is the value of one side.
    endless = jump | (xp.abs(close) > 1.25 * xp.abs(wide))
    rounded = 2.0 * found.noise * (inner.size + xp.abs(base)) / inner.step
    half = rounded + (limit if slope is None else xp.maximum(limit, _farthest_slope(xp, outer, inner, slope)))
    # Where a derivative is known, a kink must be closer to x than the points that gave the derivative.
    near = (outer.step <= found.best.step) | ~found.best.resolved(xp)
    return Kinks((kink | jump) & near, xp.where(endless, float("inf"), half))


def _levels_close_by(lines: Lines, found: Found, size: Array) -> tuple[Level, Level]:
    """Sample f at two steps, as close to x as a kink of that size can still be told from rounding."""
    xp = lines.xp
    size = xp.where(size > 0.0, size, float("inf"))
    distinct = _distinct(lines, largest_value(xp, found.noise))
    last = largest_value(xp, found.step)
    step = 10.0 * distinct * xp.maximum(largest_value(xp, xp.abs(found.base) / size), lines.scale)
    # The kink must also be told from the rounding of f's argument, if that is possible well within the steps taken: its
    # noise is a part of the change of f over a distance as large as x.
    steep = (found.condition - 1.0) * found.size
    step = xp.maximum(step, xp.minimum(10.0 * distinct * largest_value(xp, steep / size), _WITHIN * last))
    step = xp.minimum(xp.maximum(step, _CLOSE * last), found.first)
    outer, inner = (xp.abs(lines.nearest(lines.at + h) - lines.at) for h in (step, step / float(RATIO)))
    samples = lines.sample([lines.at + outer, lines.at - outer, lines.at + inner, lines.at - inner])
    return Level.of(xp, outer, samples[:2], found.base), Level.of(xp, inner, samples[2:], found.base)


def _farthest_slope(xp: Namespace, outer: Level, inner: Level, slope: Array) -> Array:
    """Return the distance of a slope from those on both sides, between points beyond a kink that is close to x."""
    assert outer.below is not None
    assert inner.below is not None
    length = xp.where(outer.step > inner.step, outer.step - inner.step, float("inf"))
    above, below = (outer.above - inner.above) / length, (inner.below - outer.below) / length
    farthest = xp.maximum(xp.abs(above - slope), xp.abs(below - slope))
    return xp.where(length < float("inf"), farthest, 0.0)


def _size_limit(xp: Namespace, last: Array, outer: Level, inner: Level) -> Array:
    """Return the factor by which a kink may exceed its size at the last level, given how it grows close to x.

    The bend of a cusp grows like a power of the step, that of a jump like the inverse of the step.
    """
    close, wide = xp.abs(inner.height / inner.step), xp.abs(outer.height / outer.step)
    gain = close / xp.where(wide > 0.0, wide, 1.0)
    power = xp.log(xp.where(gain > 1.0, gain, 1.0)) / log(RATIO)
    grown = _CUSP * (last / inner.step) ** power
    return xp.where(power < _STEEPEST, xp.where(gain > _GROWING, grown, _MUCH), 0.0)


def _distinct(lines: Lines, noise: Array) -> Array:
    """Return the relative change that f must have for the change to be known."""
    return lines.xp.where(noise > ABOVE_ROUNDING * lines.eps, _MEASURED * noise, _DISTINCT * noise)
