"""Noise in f above its rounding: whether there is any, and how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import pairwise
from math import sqrt

from anygrad._typing import Array, Namespace
from anygrad.schemes.adaptive.richardson import (
    Extrapolation,
    Row,
    Series,
    all_values,
    any_value,
    sum_of,
    weighted_sum,
)
from anygrad.schemes.adaptive.search import State, next_row, noise_at
from anygrad.schemes.base import Lines

# Where f is sampled beside x, in units of `spacing`. The distances are uneven: at even ones, values that are rounded to
# multiples of a number may lie on a straight line.
_PLACES = (1.0, 2.29, 2.93, 4.11, 5.37, 5.83, 7.07)
# That unit, as a part of x: an f computed in float32 has to show its steps there, and a wave its smoothness.
_SPACING = 2.0**-20
# The most noise there is in an f that does not change at all over the unit.
_COARSE = 1e-4
# Beside x a smooth f is a polynomial of this degree, but for _SPACING^4.
_DEGREE = 3
# Where f seems noisy, it is sampled so many times nearer. That is repeated only where noise is _LARGE as a part of f:
# a wave that is too short often looks like that, noise seldom does.
_NEARER, _TIMES, _LARGE = 64.0, 3, 1e-2
# `State.noise` is the maximal noise. A sample of noise is seldom less than this part of it.
_FALLEN = 1.0 / 8.0
# Pieces of a piecewise f that are so many times shorter seldom contain a jump. Their slopes agree up to _ALIKE.
_SHORTER, _ALIKE = 8.0, 1e-2
# Rounding does not explain noise of more than so many times what was assumed.
ABOVE_ROUNDING = 16.0
# Noise of more than so many times what was assumed is worth a measurement.
_WORTH_MEASURING = 4.0
# Noise close to x that is this part of the noise far out is the same noise, small by chance.
_SAME = 0.03
# Noise is not more than so many times the noise far out.
_AT_MOST = 10.0
# The derivatives for which the even part of f is examined. For even derivatives the truncation errors of the odd part
# are larger than its noise.
_ODD_DERIVATIVES = (1, 3)
# A change of more than so many times the noise is not noise: the even part does not converge at all.
_DIVERGES = 64.0
# The numbers of latest levels and of rows of the even part that are examined.
_EVEN_LEVELS, _EVEN_ROWS = 9, 3


def stalled(xp: Namespace, state: State) -> Array:
    """Return where the latest levels differ by more than rounding, and do not improve the estimate, (k, p).

    In a tableau full of noise some differences are small by chance: the smallest one proves nothing.
    """
    if state.latest is None or state.condition is None:
        return state.misses < 0.0
    change = state.latest.truncation
    return (state.misses > 0.0) & (change > _WORTH_MEASURING * state.latest.noise * state.condition)


def spacing(xp: Namespace, state: State) -> Array:
    """Return the unit of the distances at which f is sampled beside x, (k, 1)."""
    return _SPACING * xp.maximum(state.scale, xp.abs(state.levels[0].step))


def measured_noise(extrapolation: Extrapolation, lines: Lines, state: State) -> Array:
    """Return the relative noise of f, (k, p), where it is above what was assumed; 0 where f is not noisy.

    What looks like noise at the search's steps may be a wave that is smooth from near. So f is sampled at 7 points
    close to x for each line. A cubic is subtracted from the values, and the rest is noise, as are the high differences
    of J. J. More and S. M. Wild, *Estimating computational noise*, SIAM J. Sci. Comput. 33 (2011), 1292-1314. But here
    all parts of the rest have the same weight, so that it is seldom far below the noise by chance.
    """
    xp = lines.xp
    unit = spacing(xp, state)
    near, equal = _cubic_residual(extrapolation, lines, state, unit)
    constant = equal >= len(_PLACES) - 1.0
    # Where the step has grown because f was straight, the scatter farther out may be that of another part of f. But it
    # is all that is known of an f that does not change close to x.
    far = xp.where((state.growths > 0.0) & ~constant, 1.0, _scatter(extrapolation, lines, state)) * state.noise
    if lines.any(constant):
        # The smallest steps at which f was seen to change.
        wide_unit = xp.maximum(unit, xp.abs(state.levels[-1].step))
        wide, changed = _cubic_residual(extrapolation, lines, state, wide_unit)
        # Or the rounding of terms of the size of 1 that cancel, as in 1 - cos(x).
        cancelled = wide * state.levels[-1].size < ABOVE_ROUNDING * lines.eps
        coarse = constant & ((wide < _COARSE) | cancelled)
        # That far from x, f is not a cubic: the rest may be more than noise.
        near, equal = xp.where(coarse, xp.minimum(wide, _AT_MOST * far), near), xp.where(coarse, changed, equal)
    # Where most neighbouring values are equal, f rounds its argument coarsely. That is noise, although it is not seen.
    rounded = (equal >= 0.5 * len(_PLACES)) & (equal < len(_PLACES) - 1.0)
    same = rounded | (near > _SAME * far)
    noise = xp.where(near > far, near, far)
    return xp.where(same & xp.isfinite(noise) & (noise > _WORTH_MEASURING * state.noise), noise, 0.0)


def smooth_spacing(extrapolation: Extrapolation, lines: Lines, state: State) -> Array:
    """Return the unit of distances beside x at which f is smooth, (k, 1); 0 where f is noisy there as well.

    Noise stays the same from nearer. For a wave, or the flank of a pole, the rest after a cubic vanishes like the
    fourth power of the distance. An f that rounds its argument is constant between two of its numbers.
    """
    xp = lines.xp
    unit = spacing(xp, state)
    found, condition = xp.zeros_like(unit), 1.0 if state.condition is None else state.condition
    rounding = ABOVE_ROUNDING * lines.eps * condition + xp.zeros_like(state.noise)
    searching = found == 0.0
    for _ in range(_TIMES):
        unit = unit / _NEARER
        near, equal = _cubic_residual(extrapolation, lines, state, unit)
        less = xp.maximum(state.noise / _NEARER**2, rounding)
        smooth = all_values(xp, (near < less) & (near < _FALLEN * state.noise) & (equal == 0.0))
        found = xp.where(smooth & searching, unit, found)
        searching = (found == 0.0) & any_value(xp, state.noise > _LARGE)
        if not lines.any(searching):
            break
    if not lines.any(found > 0.0):
        return found
    return xp.where(_piecewise(extrapolation, lines, state, found), 0.0, found)


def _places(extrapolation: Extrapolation, lines: Lines, state: State, unit: Array) -> list[Array]:
    """Return the distances from x of the points beside it. Bounds may make them shorter."""
    unit = unit if state.longest is None else lines.xp.minimum(unit, state.longest / (len(_PLACES) + 1))
    return [place * unit if extrapolation.side >= 0 else -place * unit for place in _PLACES]


def _piecewise(extrapolation: Extrapolation, lines: Lines, state: State, unit: Array) -> Array:
    """Return where f consists of pieces with jumps between them, (k, 1): the slope of the pieces is not that of f.

    Rounding makes such pieces of a straight line in exp(x) - 1 - x, where exp(x) is near 1.
    """
    xp = lines.xp
    places = _places(extrapolation, lines, state, spacing(xp, state))
    length = (unit if extrapolation.side >= 0 else -unit) / _SHORTER
    starts = list(lines.sample([lines.at + place for place in places]))
    ends = lines.sample([lines.at + place + length for place in places])
    length = xp.where(length == 0.0, 1.0, length)
    slopes = xp.stack([(end - start) / length for start, end in zip(starts, ends, strict=True)])
    median = xp.sort(slopes, axis=0)[len(places) // 2, ...]
    alike = xp.sum(xp.astype(xp.abs(slopes - median) <= _ALIKE * xp.abs(median), state.at.dtype), axis=0)
    across = (starts[-1] - starts[0]) / (places[-1] - places[0])
    return any_value(xp, (alike > 0.7 * len(places)) & (xp.abs(across - median) > 10.0 * _ALIKE * xp.abs(median)))


def _cubic_residual(extrapolation: Extrapolation, lines: Lines, state: State, unit: Array) -> tuple[Array, Array]:
    """Return the relative rest of values beside x after a cubic, and how many values equal the next; (k, p) both."""
    xp = lines.xp
    values = list(lines.sample([lines.at + place for place in _places(extrapolation, lines, state, unit)]))
    size = sum_of([xp.abs(value) for value in values]) / len(values)
    equal = sum_of([xp.astype(new == old, state.at.dtype) for old, new in pairwise(values)])
    values = [value / xp.where(size > 0.0, size, 1.0) for value in values]
    contrasts = [weighted_sum(weights, values) for weights in _contrasts()]
    return xp.sqrt(sum_of([xp.abs(contrast) ** 2 for contrast in contrasts]) / len(contrasts)), equal


@cache
def _contrasts() -> list[list[float]]:
    """Return the combinations of values at the places that vanish for cubics. Noise has the same variance in each."""
    basis: list[list[Fraction]] = []
    for power in range(len(_PLACES)):
        row = [Fraction(place) ** power for place in _PLACES]
        for other in basis:
            share = _product(row, other) / _product(other, other)
            row = [number - share * its for number, its in zip(row, other, strict=True)]
        basis.append(row)
    return [[float(number) / sqrt(_product(row, row)) for number in row] for row in basis[_DEGREE + 1 :]]


def _product(row: Sequence[Fraction], other: Sequence[Fraction]) -> Fraction:
    return sum((a * b for a, b in zip(row, other, strict=True)), Fraction(0))


def _scatter(extrapolation: Extrapolation, lines: Lines, state: State) -> Array:
    """Return the noise in the latest levels, in units of what was assumed.

    Where extrapolation no longer makes progress, its columns differ by noise. The smallest of these differences in a
    row, in units of what noise can cause there, is the noise; the largest of three rows is taken.
    """
    xp = lines.xp
    row, ratios = Row(), []
    for count in range(extrapolation.window, len(state.levels) + 1):
        earlier = replace(state, levels=state.levels[:count], row=row, leapt=True)
        before, row = row, next_row(extrapolation, lines, earlier)
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


# The odd part of f, f(x+h) - f(x-h), gives the derivative. In a tableau full of noise it may agree with the previous
# row by accident: it is then taken to have converged, with too small an error. The even part of the same samples has
# its own noise, and seldom agrees at the same time. It costs no points.


def even_scatter(extrapolation: Extrapolation, lines: Lines, state: State, bends: Sequence[Array]) -> Array:
    """Return the noise in the even part of f, in units of what was assumed, (k, p); 0 where it is not more.

    ``bends`` are those of all levels. Divided by their steps they are the series of an even derivative.
    """
    xp = lines.xp
    scatter = 0.0 * xp.abs(state.base)
    if extrapolation.side or extrapolation.n not in _ODD_DERIVATIVES or state.condition is None:
        return scatter
    even = replace(extrapolation, n=extrapolation.n + 1)
    latest = zip(bends[-_EVEN_LEVELS:], state.levels[-_EVEN_LEVELS:], strict=True)
    values = [bend / level.step for bend, level in latest]
    noises = [noise_at(even, lines, state, level) * state.condition for level in state.levels[-_EVEN_ROWS:]]
    for age in range(even.window + 2, len(values) + 1):
        here = state.age >= float(age) if age == len(values) else state.age == float(age)
        if lines.any(here):
            scatter = xp.where(here, _even_scatter(lines, even, values[-age:], noises), scatter)
    return scatter


def _even_scatter(lines: Lines, even: Extrapolation, values: Sequence[Array], noises: Sequence[Array]) -> Array:
    """Return the largest scatter of the last rows; 0 if the very last one shows none."""
    xp = lines.xp
    most = _last_change(xp, even, values, noises[-1])
    found = (most > 1.0) & (most < _DIVERGES)
    if not lines.any(found):
        return xp.zeros_like(most)
    for before in range(1, min(_EVEN_ROWS, len(values) - even.window - 1)):
        earlier = _last_change(xp, even, values[:-before], noises[-1 - before])
        most = xp.where((earlier > most) & (earlier < _DIVERGES), earlier, most)
    return xp.where(found, most, 0.0)


def _last_change(xp: Namespace, even: Extrapolation, values: Sequence[Array], noise: Array) -> Array:
    """Return the change of the tableau's last entry, in units of what noise can cause in it."""
    weights, gain = _last_change_weights(even.series, even.n, len(values))
    return xp.abs(weighted_sum(weights, values)) / (gain * noise)


@cache
def _last_change_weights(series: Series, n: int, levels: int) -> tuple[Sequence[float], float]:
    """Return the weights of the levels in that change, and its noise in units of the last level's noise.

    The weights are right up to a common factor. All values are taken to have the same size, so that the noise of a
    level is divided by the square of its step.
    """
    weights = series.weights(n)
    values: list[list[float]] = []
    noises: list[list[float]] = []
    change: list[float] = []
    for last in range(len(weights) - 1, levels):
        first, power = [0.0] * levels, float(series.ratio) ** (last * (n - series.start))
        for back, weight in enumerate(weights):
            first[last - back] = weight * power
        new, noise = [first], [[abs(number) for number in first]]
        for gain, old, old_noise in zip(series.gains, values, noises, strict=False):
            change = [a - b for a, b in zip(new[-1], old, strict=True)]
            new.append([a + c / gain for a, c in zip(new[-1], change, strict=True)])
            noise.append([(1.0 + 1.0 / gain) * a + b / gain for a, b in zip(noise[-1], old_noise, strict=True)])
        values, noises = new, noise
    ratio = float(series.ratio)
    return change, sum(number / ratio ** (2 * back) for back, number in enumerate(reversed(noises[-1])))
