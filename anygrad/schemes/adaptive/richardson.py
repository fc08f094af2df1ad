"""Richardson extrapolation: a power series, sampled at shrinking steps, is extrapolated to the step 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from math import factorial

from anygrad._typing import Array, Namespace
from anygrad.schemes.base import Lines

# The ratio of consecutive steps is not 2. All steps would then be multiples of the last one, and for a wave sampled
# less than once in a period the tableau would converge smoothly to the derivative of another wave. It is 2.1, but for
# a fraction that no quotient of small whole numbers equals: f may round its values to multiples of a number.
RATIO = Fraction(1101005, 2**19)
# So many times the change in the tableau covers the truncation error. Above the fourth derivative the change says less:
# consecutive windows share most of their points.
_SAFETY, _FOURTH, _HIGH_SAFETY = 3.0, 4, 10.0
# A derivative above this order takes a window of several levels. The nearer they are, the less noise the innermost has.
HIGH = 2
_HIGH_RATIO = Fraction(734003, 2**19)  # 1.4, likewise
# Only so many of a high derivative's last columns are candidates: among more, some agree by accident.
CANDIDATES = 3
# With more columns the outermost step of a window is over 300 times the innermost: it adds nothing any more.
_COLUMNS = 9
# Rounding does not explain noise of more than so many times what was assumed.
ABOVE_ROUNDING = 16.0
# Noise of more than so many times what was assumed is worth a measurement.
WORTH_MEASURING = 4.0
# In dtypes coarser than this, a longer step may step over a kink.
FINE = 1e-10
# A derivative is resolved where its error is at most this part of it.
RESOLVED = 0.1
# A change that depends on one side of x only, or on a window of levels, may pass through 0 by accident. It is taken to
# be at least this part of the change one column before.
LEAST_CHANGE = 0.03


@dataclass(frozen=True)
class Series:
    """The power series in the step h from which the n-th derivative is extrapolated.

    f(x+h) - f(x-h) gives the odd derivatives, f(x+h) - 2 f(x) + f(x-h) the even ones, and f(x+h) - f(x) all of them
    from one side. Each is ``c_s h^s + c_(s+d) h^(s+d) + ...``, and the n-th derivative is n! c_n.
    """

    n: int
    side: int = 0  # 0 samples f on both sides of x, 1 above it only, -1 below it only

    @property
    def start(self) -> int:
        """The lowest power s."""
        return 1 if self.side else 2 - self.n % 2

    @property
    def stride(self) -> int:
        """The distance d of consecutive powers."""
        return 1 if self.side else 2

    @property
    def safety(self) -> float:
        """So many times the change in the tableau covers the truncation error."""
        return _SAFETY if self.n <= _FOURTH else _HIGH_SAFETY

    @cached_property
    def ratio(self) -> Fraction:
        """The ratio of consecutive steps."""
        return RATIO if self.n <= HIGH else _HIGH_RATIO

    @cached_property
    def weights(self) -> tuple[float, ...]:
        """The weights, latest level first, with which ``series / h^s`` sums up to n! c_n h^(n-s).

        That sum is the first column of the tableau. Its window has one level for each coefficient up to c_n.
        """
        degree, base = (self.n - self.start) // self.stride, self.ratio**self.stride
        return tuple(float(factorial(self.n) * weight) for weight in leading_coefficient(degree, base))

    @property
    def window(self) -> int:
        """The number of levels in a window."""
        return len(self.weights)

    @cached_property
    def gains(self) -> tuple[float, ...]:
        """The factor by which the leading error of each column shrinks from level to level, less 1."""
        return tuple(float(self.ratio ** (self.stride * (column + 1)) - 1) for column in range(_COLUMNS))

    @cached_property
    def noise(self) -> tuple[tuple[float, float], ...]:
        """The worst noise in each column, from that in f / h^n at the latest level and at the one before.

        At earlier levels it is taken to shrink as 1 / h^n does.
        """
        farther = float(self.ratio) ** -self.n
        own, before = abs(self.weights[0]), 0.0
        for back, weight in enumerate(self.weights[1:]):
            before += abs(weight) * float(self.ratio) ** (-self.start * back)
        noise = [(own, before)]
        for gain in self.gains:
            before = before * (1.0 + 1.0 / gain) + (own + before * farther) / gain
            own *= 1.0 + 1.0 / gain
            noise.append((own, before))
        return tuple(noise)

    @cached_property
    def even_noise(self) -> tuple[float, ...]:
        """The worst noise in each column of f itself, extrapolated to x, from that in f."""
        noise = [1.0]
        for gain in self.gains:
            noise.append(noise[-1] * (1.0 + 2.0 / gain))
        return tuple(noise)


@lru_cache(maxsize=128)
def series_of(n: int, side: int) -> Series:
    """Return a series whose constants are computed once."""
    return Series(n, side)


@lru_cache(maxsize=256)
def leading_coefficient(degree: int, ratio: Fraction) -> tuple[Fraction, ...]:
    """Return the weights of a polynomial's values at 1, r, r^2, ... that give its leading coefficient."""
    nodes = [ratio**level for level in range(degree + 1)]
    weights = []
    for node in nodes:
        weight = Fraction(1)
        for other in nodes:
            if other != node:
                weight /= node - other
        weights.append(weight)
    return tuple(weights)


def all_values(xp: Namespace, mask: Array) -> Array:
    """Return whether the mask is true for all values of a line, (m, 1). One value needs no reduction."""
    return mask if mask.shape[1] == 1 else xp.all(mask, axis=1, keepdims=True)


def any_value(xp: Namespace, mask: Array) -> Array:
    """Return whether the mask is true for any value of a line, (m, 1)."""
    return mask if mask.shape[1] == 1 else xp.any(mask, axis=1, keepdims=True)


def largest_value(xp: Namespace, values: Array) -> Array:
    """Return the largest finite number of each line, (m, 1)."""
    finite = xp.where(xp.isfinite(values), values, 0.0)
    return finite if values.shape[1] == 1 else xp.max(finite, axis=1, keepdims=True)


def weighted_sum(weights: Sequence[float], values: Sequence[Array]) -> Array:
    """Return a weighted sum, level by level: a matrix product would round a line alone otherwise than among others."""
    result = weights[0] * values[0] if weights[0] != 1.0 else values[0]
    for weight, value in zip(weights[1:], values[1:], strict=True):
        result = result + weight * value
    return result


@dataclass(frozen=True, eq=False)
class Level:
    """The samples at one step h, (m, p)."""

    step: Array  # (m, 1), with a sign where all points are on one side of x
    above: Array  # f(x+h)
    below: Array | None  # f(x-h); None where all points are on one side
    size: Array  # their magnitude
    height: Array  # how far their mean lies above f(x)

    @classmethod
    def of(cls, xp: Namespace, step: Array, samples: Sequence[Array], base: Array) -> Level:
        """Return the level of samples on one side or on both."""
        above = samples[0]
        if len(samples) == 1:
            return cls(step, above, None, 0.5 * xp.abs(above) + 0.5 * xp.abs(base), above - base)
        below = samples[1]
        size = 0.5 * xp.abs(above) + 0.5 * xp.abs(below)
        return cls(step, above, below, size, 0.5 * ((above - base) + (below - base)))

    def slope(self) -> Array:
        return self.height / self.step if self.below is None else (self.above - self.below) / (2.0 * self.step)

    def rise(self, xp: Namespace, base: Array) -> Array:
        """Return the mean change of f on both sides: f may go up and come down again."""
        if self.below is None:
            return xp.abs(self.height)
        return 0.5 * xp.abs(self.above - base) + 0.5 * xp.abs(self.below - base)

    def term(self, series: Series) -> Array:
        """Return the series, divided by the power of the step that it starts with."""
        return self.height / self.step / self.step if series.start == 2 else self.slope()

    def noise(self, xp: Namespace, series: Series, relative: Array, base: Array, tiny: float) -> Array:
        """Return the error that relative noise in f can cause in the series, divided by h^n."""
        noise = relative * (self.size + xp.abs(base)) if series.start == 2 else relative * self.size
        noise = (2.0 * noise if series.side else noise) + tiny
        step = xp.abs(self.step) if series.side else self.step
        return noise / step if series.n == 1 else noise / step**series.n


@dataclass(frozen=True, eq=False)
class Estimate:
    """Estimates of derivatives, (m, p)."""

    value: Array
    change: (
        Array  # the truncation error, overestimated: the change from the estimate of one order less, one level before
    )
    rounding: Array  # the error that noise in the values of f can cause
    step: Array  # the smallest step that the estimate is made of

    @classmethod
    def unknown(cls, xp: Namespace, base: Array) -> Estimate:
        """Return estimates that any other is better than."""
        endless = xp.full_like(xp.abs(base), float("inf"))
        return cls(base * float("nan"), endless, endless, endless)

    @property
    def error(self) -> Array:
        return self.change + self.rounding

    def resolved(self, xp: Namespace) -> Array:
        """Return whether the value is clearly more than its error."""
        return self.error <= RESOLVED * xp.abs(self.value)


def next_row(series: Series, row: Sequence[Array], first: Array) -> tuple[tuple[Array, ...], list[Array]]:
    """Return the next row of the tableau, which begins with ``first``, and the change of each column but the last.

    The recursion is E. H. Neville's: each column removes one more power of the step from the error.
    """
    values, changes = [first], []
    for gain, old in zip(series.gains[: _COLUMNS - 1], row, strict=False):
        changes.append(values[-1] - old)
        values.append(values[-1] + changes[-1] / gain)
    return tuple(values), changes


def best_entry(
    lines: Lines, series: Series, row: Sequence[Array], changes: Sequence[Array], noise: tuple[Array, Array]
) -> Estimate:
    """Return the entry of a row with the least error, for each value.

    ``noise`` is that in f / h^n at the latest level, and at the one before.

    The error of an entry is the change of the column before it, and its noise. See C. J. F. Ridders, *Accurate
    computation of F'(x) and F'(x) F''(x)*, Adv. Eng. Software 4 (1982), 75-76. An error of NaN is never the least.
    """
    xp = lines.xp

    def noise_in(column: int) -> Array:
        own, before = series.noise[column]
        return own * noise[0] + before * noise[1]

    first = max(0, len(changes) - CANDIDATES) if series.n > HIGH else 0
    bounded = bool(series.side) or series.n > HIGH
    endless = xp.full_like(noise[0], float("inf"))
    value, change, rounding, least = row[0], endless, noise_in(first + 1), endless
    for column in range(first, len(changes)):
        own = xp.abs(changes[column])
        if bounded and column:
            own = xp.maximum(own, LEAST_CHANGE * xp.abs(changes[column - 1]))
        its_rounding = noise_in(column + 1)
        error = own + its_rounding
        better = error < least
        if lines.all(better):
            value, change, rounding, least = row[column + 1], own, its_rounding, error
        elif lines.any(better):
            value, change = xp.where(better, row[column + 1], value), xp.where(better, own, change)
            rounding, least = xp.where(better, its_rounding, rounding), xp.where(better, error, least)
    return Estimate(value, change, rounding, xp.zeros_like(change))
