"""Noise in f above its rounding: whether there is any, and how much."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from anygrad._plan import Lines
from anygrad._typing import Array
from anygrad.schemes._extrapolation import Row
from anygrad.schemes._search import Search
from anygrad.schemes._state import State, total

# As many points, this part of x apart: an f computed in float32 has to show its steps, and a wave its smoothness.
_POINTS = 7
_SPACING = 2.0**-20
# Differences of this order are noise alone: of a smooth f they are _SPACING^4 in size.
_ORDER = 4
# (2k)! / (k!)^2: the variance of differences of order k, in units of that of the values.
_VARIANCE = 70.0
# More noise than as many times what was assumed is something else than rounding.
EXPLAINED = 16.0
# Noise close to x that is this part of what it seems to be from afar is the same noise.
_SAME = 0.1


def measured(search: Search, lines: Lines, state: State) -> Array:
    """Return the relative noise of f, (k, p), where it is above what was assumed; 0 where that is not what it is.

    What looks like noise at the steps taken may be a wave, smooth if seen from near; so f is sampled beside x, at 7
    points a line. Differences of neighbouring values, of a high order, are noise alone, as with J. J. More and
    S. M. Wild, *Estimating computational noise*, SIAM J. Sci. Comput. 33 (2011), 1292-1314.
    """
    xp = lines.xp
    away = -1.0 if search.side < 0 else 1.0
    spacing = _SPACING * xp.maximum(state.scale, xp.abs(state.trail[0].step))
    spacing = away * (spacing if state.most is None else xp.minimum(spacing, state.most / (_POINTS + 1)))
    values = list(lines.sample([lines.at + count * spacing for count in range(1, _POINTS + 1)]))
    size = total([xp.abs(value) for value in values]) / _POINTS
    equal = total([xp.astype(new == old, state.at.dtype) for old, new in pairwise(values)])
    values = [value / xp.where(size > 0.0, size, 1.0) for value in values]
    for _ in range(_ORDER):
        values = [new - old for old, new in pairwise(values)]
    squares = total([xp.abs(value) ** 2 for value in values]) / len(values)
    near = xp.sqrt(squares / _VARIANCE)
    far = _scatter(search, lines, state) * state.noise
    # Where most neighbours are equal, f rounds coarsely what it gets: that is noise, although it does not show.
    rounded = (equal >= 0.5 * _POINTS) & (equal < _POINTS - 1.0)
    same = rounded | (near > _SAME * far)
    noise = xp.where(near > far, near, far)
    return xp.where(same & xp.isfinite(noise) & (noise > EXPLAINED * state.noise), noise, 0.0)


def _scatter(search: Search, lines: Lines, state: State) -> Array:
    """Return how many times the noise that was assumed there is, judging by the latest levels.

    Where extrapolation has stopped to make progress, its columns differ by noise. The least of these differences in
    each row, in units of what noise can amount to in it, is the noise; the largest of three rows is taken.
    """
    xp = lines.xp
    row, ratios = Row(), []
    for count in range(search.window, len(state.trail) + 1):
        before, row = row, search.row(lines, replace(state, trail=state.trail[:count], row=row))
        if not row.changes:
            continue
        least = xp.zeros_like(row.noise[0]) + xp.inf
        for change, new, old in zip(row.changes, row.noise, before.noise, strict=False):
            ratio = xp.abs(change) / (new + old)
            least = xp.where(ratio < least, ratio, least)
        ratios.append(least)
    most = xp.ones_like(xp.abs(state.base))
    for ratio in ratios[-3:]:
        most = xp.where((ratio > most) & xp.isfinite(ratio), ratio, most)
    return most
