"""Noise in f above its rounding: whether there is any, and how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from anygrad._plan import Lines
from anygrad._typing import Array, Namespace
from anygrad.schemes._extrapolation import Row
from anygrad.schemes._search import Search
from anygrad.schemes._state import State, total

# As many points, this part of x apart: an f computed in float32 has to show its steps, and a wave its smoothness.
_POINTS = 7
_SPACING = 2.0**-20
# Orthogonal polynomials of degree 4 to 6 on 7 points, and the sums of their squares: what values have of them is noise
# alone, as a smooth f has _SPACING^4 at most.
_CONTRASTS = (
    ((3, -7, 1, 6, 1, -7, 3), 154.0),
    ((-1, 4, -5, 0, 5, -4, 1), 84.0),
    ((1, -6, 15, -20, 15, -6, 1), 924.0),
)
# More noise than as many times what was assumed is something else than rounding.
EXPLAINED = 16.0
# Noise close to x that is this part of what it seems to be from afar is the same noise, seen by chance for less.
_SAME = 0.03


def measured(search: Search, lines: Lines, state: State) -> Array:
    """Return the relative noise of f, (k, p), where it is above what was assumed; 0 where that is not what it is.

    What looks like noise at the steps taken may be a wave, smooth if seen from near; so f is sampled beside x, at 7
    points a line. What is left of their values when a cubic is taken out is noise alone, as are the high differences of
    J. J. More and S. M. Wild, *Estimating computational noise*, SIAM J. Sci. Comput. 33 (2011), 1292-1314; but it
    counts all that noise has there alike, so that it is seldom far below the noise by chance.
    """
    xp = lines.xp
    away = -1.0 if search.side < 0 else 1.0
    spacing = _SPACING * xp.maximum(state.scale, xp.abs(state.trail[0].step))
    spacing = away * (spacing if state.most is None else xp.minimum(spacing, state.most / (_POINTS + 1)))
    values = list(lines.sample([lines.at + count * spacing for count in range(1, _POINTS + 1)]))
    size = total([xp.abs(value) for value in values]) / _POINTS
    equal = total([xp.astype(new == old, state.at.dtype) for old, new in pairwise(values)])
    values = [value / xp.where(size > 0.0, size, 1.0) for value in values]
    near = _left_of_a_cubic(xp, values)
    far = _scatter(search, lines, state) * state.noise
    # Where most neighbours are equal, f rounds coarsely what it gets: that is noise, although it does not show.
    rounded = (equal >= 0.5 * _POINTS) & (equal < _POINTS - 1.0)
    same = rounded | (near > _SAME * far)
    noise = xp.where(near > far, near, far)
    return xp.where(same & xp.isfinite(noise) & (noise > EXPLAINED * state.noise), noise, 0.0)


def _left_of_a_cubic(xp: Namespace, values: Sequence[Array]) -> Array:
    """Return the standard deviation of 7 values, one after the other, about the cubic that is nearest to them."""
    contrasts = [
        (total([float(weight) * value for weight, value in zip(weights, values, strict=True)]), squares)
        for weights, squares in _CONTRASTS
    ]
    return xp.sqrt(total([xp.abs(contrast) ** 2 / squares for contrast, squares in contrasts]) / len(contrasts))


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
