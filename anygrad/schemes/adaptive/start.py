"""Where the search begins: the first step of each line, and on which side of x it is sampled."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from anygrad._typing import Array
from anygrad.schemes.adaptive.richardson import ABOVE_ROUNDING, HIGH, all_values, largest_value, series_of
from anygrad.schemes.base import Lines
from anygrad.schemes.finite_difference import require_room, room
from anygrad.schemes.steps import given_steps

if TYPE_CHECKING:
    from anygrad.schemes.adaptive import Adaptive

# The first step, as a part of |x|: functions that vary as x does, like its powers, converge from there.
_FIRST = 0.3
# The ratio of the maximal noise to the standard deviation of noise.
MAXIMUM = 2.0
# Under noise wide steps are best: such a search begins with so many times the first step.
WIDER = 3.0
# Lines nearer to a bound than this part of their first step are sampled on the other side only.
_NEAR_BOUND = 1.0 / 16.0

# Whether f varies on the scale of x is asked of f only where the first step is below this. The step grows as long as f
# changes by less than _HARDLY of its value, at first by so much, then by the square of that, and so on; where f changes
# by more than its rounding, so far that it will have changed by a quarter.
_SHORT, _HARDLY, _GROWTH = 1e-3, 1e-6, 2.0**16


def assumed_noise(lines: Lines, noise: float | None) -> Array:
    """Return the largest relative noise of f that is assumed, (m, 1)."""
    return lines.xp.zeros_like(lines.at) + max(lines.eps, MAXIMUM * (noise or 0.0))


def first_steps(lines: Lines, n: int, scheme: Adaptive) -> Array:
    """Return the first step of each line.

    A high derivative takes a window of several levels. Its first step is longer, so that the last one of the window
    does not drown in noise.
    """
    _require_digits(n, lines.eps)
    if scheme.step is not None:
        return given_steps(scheme.step, lines)
    noise = scheme.noise or 0.0
    xp = lines.xp
    size = lines.scale
    factor = _FIRST
    if (
        scheme.rtol
    ):  # three levels of 1/x have an error of rtol; but no step is so short that rounding is more than that
        factor = min(_FIRST, max(0.5 * scheme.rtol**0.25, 100.0 * lines.eps / scheme.rtol))
    factor *= float(series_of(n, 0).ratio) ** ((n - 1) // 2)
    if noise > ABOVE_ROUNDING * lines.eps:
        factor *= WIDER
    # Next to nothing, x has no digits for a step that is a part of it. Where subnormal numbers are flushed to zero, as
    # in callbacks of JAX, tiny is 0 as well: therefore "less or equal".
    small = size <= (1.0 if n > HIGH else lines.tiny / lines.eps)
    first = factor * xp.where(xp.isfinite(size) & ~small, size, 1.0)
    return first if lines.lazy else _on_the_scale_of_f(lines, first, noise)


def _on_the_scale_of_f(lines: Lines, first: Array, noise: float) -> Array:
    """Lengthen very short steps over which f hardly changes: f then varies on the scale of 1 rather than on that of x.

    This takes a point for each line with such a step, and a few more where f varies on another scale.
    """
    xp = lines.xp
    short = (first < _SHORT)[:, 0]
    if not lines.any(short):
        return first
    index = xp.nonzero(short)[0]
    own, step = lines.take(index), xp.take(first, index, axis=0)
    base = own.base()
    rounding, growth = max(lines.eps, noise), _GROWTH
    growing = step > 0.0
    below, above = room(own)
    away = xp.where(above < below, -xp.ones_like(step), xp.ones_like(step))
    while lines.any(growing):
        (values,) = own.sample([own.at + away * step])
        size = largest_value(xp, xp.abs(values)) + largest_value(xp, xp.abs(base))
        change = largest_value(xp, xp.abs(values - base))
        still = all_values(xp, xp.isfinite(values)) & (change <= _HARDLY * size)
        growing = growing & still & (step < _FIRST)
        seen = change > ABOVE_ROUNDING * rounding * size
        reached = 0.5 * _FIRST * step * (size / xp.where(seen, change, 1.0))
        step = xp.where(growing, xp.minimum(xp.where(seen, reached, growth * step), xp.full_like(step, _FIRST)), step)
        growing, growth = growing & ~seen, growth * growth
    order = xp.argsort(xp.concat([index, xp.nonzero(~short)[0]]))
    rest = xp.take(first, xp.nonzero(~short)[0], axis=0)
    return xp.take(xp.concat([step, rest]), order, axis=0)


def _require_digits(n: int, eps: float) -> None:
    """Raise if the derivative can have no correct digit.

    For 1/x and n + 1 points that end at its pole, a rounding of f causes an error of e^n times that rounding in the
    derivative.
    """
    most = int(-math.log(eps))
    if n > most:
        raise ValueError(
            f"n is {n}, but rounding leaves no correct digit of derivatives above n = {most} in the dtype of x: lower"
            " n, or give x in a wider dtype"
        )


def sides(lines: Lines, steps: Array) -> Iterator[tuple[int, Array | None, Array]]:
    """Yield each side of x that is sampled, the indices of its lines (None: all), and their first steps.

    Lines that are near a bound are sampled on the other side only.
    """
    if lines.lower is None and lines.upper is None:
        yield 0, None, steps
        return
    xp = lines.xp
    side, first = choose_sides(lines, steps)
    for own in (0, 1, -1):
        index = xp.nonzero(side[:, 0] == own)[0]
        if index.shape[0]:
            yield own, None if index.shape[0] == side.shape[0] else index, xp.take(first, index, axis=0)


def choose_sides(lines: Lines, steps: Array) -> tuple[Array, Array]:
    """Return which side of x is sampled, above (1), below (-1) or both (0), and the first steps there, (m, 1) each."""
    xp = lines.xp
    below, above = room(lines)
    less, more = xp.minimum(above, below), xp.maximum(above, below)
    near = less < _NEAR_BOUND * steps
    # A bit shorter than the room, because of rounding.
    longest = (1.0 - 4.0 * lines.eps) * xp.where(near, more, less)
    side = xp.where(near, xp.where(above < below, -xp.ones_like(below), xp.ones_like(below)), 0.0)
    first = xp.where(steps < longest, steps, longest)
    require_room(lines, first, above=side >= 0.0)
    return side, first
