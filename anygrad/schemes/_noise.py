"""Noise in f above its rounding: whether there is any, and how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import pairwise
from math import sqrt

from anygrad.schemes.base import Lines
from anygrad._typing import Array, Namespace
from anygrad.schemes._extrapolation import Row
from anygrad.schemes._level import every
from anygrad.schemes._search import next_row
from anygrad.schemes._state import State, some, total, weighted
from anygrad.schemes._wanted import Wanted

# Where f is sampled beside x, in units of this part of x: an f computed in float32 has to show its steps, a wave its
# smoothness. Unevenly, as values that are rounded to multiples of a number may be on a straight line at even distances.
_PLACES = (1.0, 2.29, 2.93, 4.11, 5.37, 5.83, 7.07)
_SPACING = 2.0**-20
# Where that is too little for f to change at all: of what it may be too little for, noise is not more than this.
_COARSE = 1e-4
# A smooth f is a cubic beside x, but for _SPACING^4.
_SMOOTH = 3
# Where f seems to be noisy, it is looked at from as many times nearer; again and again only where noise is this part of
# f, as is seen of a wave that is too short, but seldom of noise.
_NEARER, _TIMES, _LARGE = 64.0, 3, 1e-2
# What is left of noise, of which `State.noise` is the most, is seldom less than this part of it.
_FALLEN = 1.0 / 8.0
# Pieces as many times shorter seldom have a jump in them; their slopes are the same up to this part.
_WITHIN, _ALIKE = 8.0, 1e-2
# More noise than as many times what was assumed is something else than rounding.
EXPLAINED = 16.0
# More than as many times is worth measuring.
_MORE = 4.0
# Noise close to x that is this part of what it seems to be from afar is the same noise, seen by chance for less.
_SAME = 0.03
# Nor is it more than so many times that.
_AT_MOST = 10.0


def stalled(xp: Namespace, state: State) -> Array:
    """Return where the latest levels are apart by more than rounding, and none better than one before, (k, p).

    Of the many differences in a tableau that is full of noise some are small by chance: the least is no proof.
    """
    if state.fresh is None or state.condition is None:
        return state.misses < 0.0
    return (state.misses > 0.0) & (state.fresh.change > _MORE * state.fresh.noise * state.condition)


def spacing(xp: Namespace, state: State) -> Array:
    """Return how far apart the places are where f is sampled beside x, (k, 1)."""
    return _SPACING * xp.maximum(state.scale, xp.abs(state.trail[0].step))


def _places(wanted: Wanted, lines: Lines, state: State, apart: Array) -> list[Array]:
    """Return places so far apart, or nearer between bounds, as distances from x."""
    apart = apart if state.most is None else lines.xp.minimum(apart, state.most / (len(_PLACES) + 1))
    return [place * apart if wanted.side >= 0 else -place * apart for place in _PLACES]


def measured(wanted: Wanted, lines: Lines, state: State) -> Array:
    """Return the relative noise of f, (k, p), where it is above what was assumed; 0 where that is not what it is.

    What looks like noise at the steps taken may be a wave, smooth if seen from near; so f is sampled beside x, at 7
    points a line. What is left of their values when a cubic is taken out is noise alone, as are the high differences of
    J. J. More and S. M. Wild, *Estimating computational noise*, SIAM J. Sci. Comput. 33 (2011), 1292-1314; but it
    counts all that noise has there alike, so that it is seldom far below the noise by chance.
    """
    xp = lines.xp
    close = spacing(xp, state)
    near, equal = _residual(wanted, lines, state, close)
    still = equal >= len(_PLACES) - 1.0
    # What is farther out than f was seen to be straight may be another part of it; but it is all that is seen of f that
    # does not change close to x.
    far = xp.where((state.growths > 0.0) & ~still, 1.0, _scatter(wanted, lines, state)) * state.noise
    if lines.any(still):
        # Where f has still been seen to change.
        farther, changed = _residual(wanted, lines, state, xp.maximum(close, xp.abs(state.trail[-1].step)))
        # Or what rounding leaves of terms of the size of 1 that cancel, as in 1 - cos(x).
        left = farther * state.trail[-1].size < EXPLAINED * lines.eps
        coarse = still & ((farther < _COARSE) | left)
        # That far from x, a cubic may leave more than noise.
        near, equal = xp.where(coarse, xp.minimum(farther, _AT_MOST * far), near), xp.where(coarse, changed, equal)
    # Where most neighbours are equal, f rounds coarsely what it gets: that is noise, although it does not show.
    rounded = (equal >= 0.5 * len(_PLACES)) & (equal < len(_PLACES) - 1.0)
    same = rounded | (near > _SAME * far)
    noise = xp.where(near > far, near, far)
    return xp.where(same & xp.isfinite(noise) & (noise > _MORE * state.noise), noise, 0.0)


def smooth_apart(wanted: Wanted, lines: Lines, state: State) -> Array:
    """Return how far apart places beside x are between which f is smooth, (k, 1); 0 where it is noisy there as well.

    Seen from nearer by, noise stays what it is; what a cubic leaves of a wave, or of the flank of a pole, vanishes like
    the fourth power of the distance. Between numbers that f rounds its argument to, it is constant.
    """
    xp = lines.xp
    apart = spacing(xp, state)
    found, condition = xp.zeros_like(apart), 1.0 if state.condition is None else state.condition
    rounding = EXPLAINED * lines.eps * condition + xp.zeros_like(state.noise)
    looked = found == 0.0
    for _ in range(_TIMES):
        apart = apart / _NEARER
        near, equal = _residual(wanted, lines, state, apart)
        less = xp.maximum(state.noise / _NEARER**2, rounding)
        smooth = every(xp, (near < less) & (near < _FALLEN * state.noise) & (equal == 0.0))
        found = xp.where(smooth & looked, apart, found)
        looked = (found == 0.0) & some(xp, state.noise > _LARGE)
        if not lines.any(looked):
            break
    return xp.where(_broken(wanted, lines, state, found), 0.0, found) if lines.any(found > 0.0) else found


def _broken(wanted: Wanted, lines: Lines, state: State, apart: Array) -> Array:
    """Return where f is made of pieces with jumps between them: the same slope on all, but another from far, (k, 1).

    So are values from which rounding has left a straight line: exp(x) - 1 - x, where exp(x) is near 1.
    """
    xp = lines.xp
    places = _places(wanted, lines, state, spacing(xp, state))
    length = (apart if wanted.side >= 0 else -apart) / _WITHIN
    starts = list(lines.sample([lines.at + place for place in places]))
    ends = lines.sample([lines.at + place + length for place in places])
    length = xp.where(length == 0.0, 1.0, length)
    slopes = xp.stack([(end - start) / length for start, end in zip(starts, ends, strict=True)])
    usual = xp.sort(slopes, axis=0)[len(places) // 2, ...]
    alike = xp.sum(xp.astype(xp.abs(slopes - usual) <= _ALIKE * xp.abs(usual), state.at.dtype), axis=0)
    across = (starts[-1] - starts[0]) / (places[-1] - places[0])
    return some(xp, (alike > 0.7 * len(places)) & (xp.abs(across - usual) > 10.0 * _ALIKE * xp.abs(usual)))


def _residual(wanted: Wanted, lines: Lines, state: State, apart: Array) -> tuple[Array, Array]:
    """Return what a cubic leaves of values beside x, as a part of them, and how many are equal to the next: (k, p)."""
    xp = lines.xp
    values = list(lines.sample([lines.at + place for place in _places(wanted, lines, state, apart)]))
    size = total([xp.abs(value) for value in values]) / len(values)
    equal = total([xp.astype(new == old, state.at.dtype) for old, new in pairwise(values)])
    values = [value / xp.where(size > 0.0, size, 1.0) for value in values]
    contrasts = [weighted(weights, values) for weights in _contrasts()]
    return xp.sqrt(total([xp.abs(contrast) ** 2 for contrast in contrasts]) / len(contrasts)), equal


@cache
def _contrasts() -> list[list[float]]:
    """Return what of values at the places no cubic has, as combinations of them that noise has the same variance in."""
    basis: list[list[Fraction]] = []
    for power in range(len(_PLACES)):
        row = [Fraction(place) ** power for place in _PLACES]
        for other in basis:
            share = _product(row, other) / _product(other, other)
            row = [number - share * its for number, its in zip(row, other, strict=True)]
        basis.append(row)
    return [[float(number) / sqrt(_product(row, row)) for number in row] for row in basis[_SMOOTH + 1 :]]


def _product(row: Sequence[Fraction], other: Sequence[Fraction]) -> Fraction:
    return sum((a * b for a, b in zip(row, other, strict=True)), Fraction(0))


def _scatter(wanted: Wanted, lines: Lines, state: State) -> Array:
    """Return how many times the noise that was assumed there is, judging by the latest levels.

    Where extrapolation has stopped to make progress, its columns differ by noise. The least of these differences in
    each row, in units of what noise can amount to in it, is the noise; the largest of three rows is taken.
    """
    xp = lines.xp
    row, ratios = Row(), []
    for count in range(wanted.window, len(state.trail) + 1):
        before, row = row, next_row(wanted, lines, replace(state, trail=state.trail[:count], row=row, leapt=True))
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
