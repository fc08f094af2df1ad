"""Noise in f above its rounding: whether there is any, and how much.

Apparent noise at the steps of a search may be a wave that is smooth close to x. So f is sampled at 7 points close
to x for each line, and a cubic is subtracted from the values. The rest is noise, as are the high differences of
J. J. More and S. M. Wild, *Estimating computational noise*, SIAM J. Sci. Comput. 33 (2011), 1292-1314. But here all
parts of the rest have the same weight, so that it is seldom far below the noise by chance. Noise stays what it is when
f is sampled from nearer; the rest of a wave vanishes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from anygrad._typing import Array, Namespace
from anygrad.schemes.adaptive.richardson import (
    ABOVE_ROUNDING,
    WORTH_MEASURING,
    all_values,
    any_value,
    largest_value,
    weighted_sum,
)
from anygrad.schemes.adaptive.search import Found
from anygrad.schemes.base import Lines

# Where f is sampled beside x, in units of a spacing. The distances are uneven: at even ones, values that are rounded to
# multiples of a number may lie on a straight line.
_PLACES = (1.0, 2.29, 2.93, 4.11, 5.37, 5.83, 7.07)
# That spacing, as a part of x: an f computed in float32 has to show its steps there, and a wave its smoothness.
SPACING = 2.0**-20
# The most noise there is in an f that does not change at all over the spacing: it is rounded to two digits.
_COARSE = 3e-2
# Beside x a smooth f is a polynomial of this degree, but for SPACING^4.
_DEGREE = 3
# Where f seems noisy, it is sampled so many times nearer. That is repeated only where noise is _LARGE as a part of f:
# a wave that is too short often looks like that, noise seldom does.
_NEARER, _TIMES, _LARGE = 64.0, 3, 1e-2
# The noise assumed is the maximal noise. A sample of noise is seldom less than this part of it.
_FALLEN = 1.0 / 8.0
# Pieces of a piecewise f that are so many times shorter seldom contain a jump. Their slopes agree up to _ALIKE.
_SHORTER, _ALIKE = 8.0, 1e-2
# Noise close to x that is this part of the noise far out is the same noise, small by chance.
_SAME = 0.03
# Noise is not more than so many times the noise far out.
_AT_MOST = 10.0


@dataclass(frozen=True, eq=False)
class Beside:
    """Lines that are sampled beside x: above it, or below where ``side`` is -1, and not farther than ``longest``."""

    lines: Lines
    side: int
    longest: Array | None

    def places(self, unit: Array) -> list[Array]:
        """Return the distances from x of the points. Bounds may make them shorter."""
        unit = unit if self.longest is None else self.lines.xp.minimum(unit, self.longest / (len(_PLACES) + 1))
        return [place * unit if self.side >= 0 else -place * unit for place in _PLACES]

    def rest(self, unit: Array) -> tuple[Array, Array]:
        """Return the relative rest of the values after a cubic, and how many values equal the next; (m, p) both."""
        xp, lines = self.lines.xp, self.lines
        values = list(lines.sample([lines.at + place for place in self.places(unit)]))
        size = weighted_sum([1.0 / len(values)] * len(values), [xp.abs(value) for value in values])
        equal = 0.0 * size
        for old, new in pairwise(values):
            equal = equal + xp.astype(new == old, size.dtype)
        values = [value / xp.where(size > 0.0, size, 1.0) for value in values]
        squares = 0.0 * size
        for weights in _contrasts():
            squares = squares + xp.abs(weighted_sum(weights, values)) ** 2
        return xp.sqrt(squares / len(_contrasts())), equal


@lru_cache(maxsize=1)
def _contrasts() -> list[list[float]]:
    """Return the combinations of values at the places that vanish for cubics. Noise has the same variance in each."""
    powers = np.vander(np.asarray(_PLACES), _DEGREE + 1).T
    rows: list[list[float]] = np.linalg.svd(powers)[2][_DEGREE + 1 :].tolist()
    return rows


def spacing(xp: Namespace, lines: Lines, first: Array) -> Array:
    """Return the unit of the distances at which f is sampled beside x, (m, 1)."""
    return SPACING * xp.maximum(xp.where(xp.isfinite(lines.scale), lines.scale, 0.0), first)


def measured_noise(beside: Beside, unit: Array, found: Found) -> Array:
    """Return the relative noise of f, (m, p), where it is above what the search has assumed; 0 where f is not noisy."""
    xp, lines = beside.lines.xp, beside.lines
    near, equal = beside.rest(unit)
    constant = equal >= len(_PLACES) - 1.0
    # Where the step has grown because f was straight, the scatter farther out may be that of another part of f. But it
    # is all that is known of an f that does not change close to x.
    unseen = ((found.growths > 0.0) & ~constant) | ~(found.scatter > 1.0)
    scatter = found.noise * xp.where(unseen, 1.0, found.scatter)
    if lines.any(constant):
        seen = xp.where(found.flat, found.moved, found.step)  # the smallest steps over which f was seen to change
        wide, changed = beside.rest(xp.maximum(unit, largest_value(xp, seen)))
        # Or the rounding of terms of the size of 1 that cancel, as in 1 - cos(x).
        cancelled = wide * found.size < ABOVE_ROUNDING * lines.eps
        coarse = constant & (found.moved > 0.0) & ((wide < _COARSE) | cancelled)
        # That far from x, f is not a cubic: the rest may be more than noise.
        most = xp.where(found.flat, wide, xp.minimum(wide, _AT_MOST * scatter))
        near, equal = xp.where(coarse, most, near), xp.where(coarse, changed, equal)
    # Where most neighbouring values are equal, f rounds its argument coarsely. That is noise, although it is not seen.
    rounded = (equal >= 0.5 * len(_PLACES)) & (equal < len(_PLACES) - 1.0)
    same = rounded | (near > _SAME * scatter)
    most = xp.where(near > scatter, near, scatter)
    return xp.where(same & xp.isfinite(most) & (most > WORTH_MEASURING * found.noise), most, 0.0)


def smooth_spacing(beside: Beside, unit: Array, noise: Array, condition: Array) -> Array:
    """Return the unit of distances beside x at which f is smooth, (m, 1); 0 where f is noisy there as well.

    Noise stays the same from nearer. For a wave, or the flank of a pole, the rest after a cubic vanishes like the
    fourth power of the distance. An f that rounds its argument is constant between two of its numbers.
    """
    xp, lines = beside.lines.xp, beside.lines
    found = xp.zeros_like(unit)
    searching = found == 0.0
    nearer = unit
    for _ in range(_TIMES):
        nearer = nearer / _NEARER
        near, equal = beside.rest(nearer)
        less = xp.maximum(noise / _NEARER**2, ABOVE_ROUNDING * lines.eps * condition)
        smooth = all_values(xp, (near < less) & (near < _FALLEN * noise) & (equal == 0.0))
        found = xp.where(smooth & searching, nearer, found)
        searching = (found == 0.0) & any_value(xp, noise > _LARGE)
        if not lines.any(searching):
            break
    if not lines.any(found > 0.0):
        return found
    return xp.where(_piecewise(beside, unit, found), 0.0, found)


def _piecewise(beside: Beside, unit: Array, length: Array) -> Array:
    """Return where f consists of pieces with jumps between them, (m, 1): the slope of the pieces is not that of f.

    Rounding makes such pieces of a straight line in exp(x) - 1 - x, where exp(x) is near 1.
    """
    xp, lines = beside.lines.xp, beside.lines
    places = beside.places(unit)
    length = (length if beside.side >= 0 else -length) / _SHORTER
    starts = list(lines.sample([lines.at + place for place in places]))
    ends = lines.sample([lines.at + place + length for place in places])
    length = xp.where(length == 0.0, 1.0, length)
    slopes = xp.stack([(end - start) / length for start, end in zip(starts, ends, strict=True)])
    median = xp.sort(slopes, axis=0)[len(places) // 2, ...]
    alike = xp.sum(xp.astype(xp.abs(slopes - median) <= _ALIKE * xp.abs(median), unit.dtype), axis=0)
    across = (starts[-1] - starts[0]) / (places[-1] - places[0])
    return any_value(xp, (alike > 0.7 * len(places)) & (xp.abs(across - median) > 10.0 * _ALIKE * xp.abs(median)))
