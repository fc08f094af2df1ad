"""Richardson extrapolation: a power series, sampled at shrinking steps, is extrapolated to the step 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, cached_property
from math import factorial

from anygrad._typing import Array, Namespace
from anygrad.schemes.base import Lines

# The ratio of consecutive steps. It is not 2: for a wave sampled less than once in a period, all steps would then be
# multiples of the last one, and the tableau would converge smoothly to the derivative of another wave.
# It is 2.1, but for a fraction that no quotient of small whole numbers equals: f may round its values to multiples.
RATIO = Fraction(1101005, 2**19)
# A derivative above this order takes a window of several levels. The nearer they are, the less noise the innermost has.
HIGH = 2
_HIGH_RATIO = Fraction(734003, 2**19)  # 1.4, likewise
# Only so many of a high derivative's last columns are candidates: among more, some agree by accident.
CANDIDATES = 3
# A derivative is resolved where its error is at most this part of it.
RESOLVED = 0.1
# With more columns the outermost step of a window is over 300 times the innermost: it adds nothing any more.
_COLUMNS = 9
# Two estimates may agree by accident. Convergence is believed from the third one on.
_CONFIRMED = 3


def ratio(n: int) -> Fraction:
    """Return the ratio of consecutive steps for the n-th derivative."""
    return RATIO if n <= HIGH else _HIGH_RATIO


def all_values(xp: Namespace, mask: Array) -> Array:
    """Return whether the mask is true for all values of a line, (k, 1). One value needs no reduction."""
    return mask if mask.shape[1] == 1 else xp.all(mask, axis=1, keepdims=True)


def any_value(xp: Namespace, mask: Array) -> Array:
    """Return whether the mask is true for any value of a line, (k, 1)."""
    return mask if mask.shape[1] == 1 else xp.any(mask, axis=1, keepdims=True)


def largest_value(xp: Namespace, values: Array) -> Array:
    """Return the largest finite number of each line, (k, 1)."""
    return xp.max(xp.where(xp.isfinite(values), values, 0.0), axis=1, keepdims=True)


def weighted_sum(weights: Sequence[float], values: Sequence[Array]) -> Array:
    """Return a weighted sum of arrays. One array with the weight 1, as for a first derivative, is not multiplied."""
    pairs = zip(weights, values, strict=True)
    return sum_of([value if weight == 1.0 else weight * value for weight, value in pairs])


def sum_of(values: Sequence[Array]) -> Array:
    """Return the sum of arrays. The built-in sum would begin with an integer."""
    result = values[0]
    for value in values[1:]:
        result = result + value
    return result


@dataclass(frozen=True)
class Series:
    """A function ``c_s h^s + c_(s+d) h^(s+d) + ...`` of the step h, with ``start`` s and ``stride`` d.

    f(x+h) - f(x-h) is one with s = 1 and d = 2, f(x+h) - 2 f(x) + f(x-h) one with s = d = 2, and f(x+h) - f(x) one
    with s = d = 1. The n-th derivative of f at x is n! c_n.
    """

    start: int
    stride: int
    ratio: Fraction

    def weights(self, n: int) -> tuple[float, ...]:
        """Return the weights, latest level first, with which ``series / h^s`` sums up to n! c_n h^(n-s).

        That sum is the first column of the tableau. Its window has one level for each coefficient up to c_n.
        """
        return _weights((n - self.start) // self.stride, self.ratio**self.stride, factorial(n))

    @cached_property
    def gains(self) -> tuple[float, ...]:
        """The factor by which the leading error of each column shrinks from level to level, less 1."""
        return tuple(float(self.ratio ** (self.stride * (column + 1)) - 1) for column in range(_COLUMNS))


@cache
def _weights(degree: int, ratio: Fraction, scale: int) -> tuple[float, ...]:
    """Return the weights that give ``scale`` times the leading coefficient of a polynomial, from powers of a ratio."""
    nodes = [ratio**level for level in range(degree + 1)]
    weights = []
    for node in nodes:
        leading = Fraction(scale)  # the leading coefficient of the node's Lagrange polynomial
        for other in nodes:
            if other != node:
                leading /= node - other
        weights.append(float(leading))
    return tuple(weights)


@dataclass(frozen=True, eq=False)
class Extrapolation:
    """Which derivative is extrapolated, from which side of x, and from how many levels at most.

    Attributes
    ----------
    n
        The order of the derivative.
    side
        0 samples f on both sides of x, 1 above it only, -1 below it only.
    levels
        The maximal number of levels.
    widens
        Whether the step may grow.
    """

    n: int
    side: int
    levels: int
    widens: bool = True

    @cached_property
    def series(self) -> Series:
        """The series of which the derivative is a coefficient."""
        return Series(1, 1, ratio(self.n)) if self.side else Series(2 - self.n % 2, 2, ratio(self.n))

    @cached_property
    def weights(self) -> tuple[float, ...]:
        """The weights of the levels in an estimate, latest level first."""
        return self.series.weights(self.n)

    @property
    def window(self) -> int:
        """The number of levels that one estimate takes."""
        return len(self.weights)

    @property
    def soonest(self) -> int:
        """The number of levels after which an estimate may count as converged."""
        return _CONFIRMED + self.window - 1


@dataclass(frozen=True, eq=False)
class Level:
    """The samples at one step h.

    Attributes
    ----------
    step
        The step, (k, 1); it has a sign where all points are on one side of x.
    above, below
        f(x+h) and f(x-h), (k, p); ``below`` is None where all points are on one side.
    size
        The magnitude of the samples, (k, p).
    """

    step: Array
    above: Array
    below: Array | None
    size: Array

    @classmethod
    def of(cls, xp: Namespace, step: Array, samples: Sequence[Array], base: Array) -> Level:
        """Return the level of one array of samples or two."""
        above, below = samples[0], samples[1] if len(samples) > 1 else None
        return cls(step, above, below, 0.5 * xp.abs(above) + 0.5 * xp.abs(base if below is None else below))

    def finite(self, xp: Namespace) -> Array:
        """Return whether all samples of a line are finite, (k, 1)."""
        return all_values(xp, xp.isfinite(self.size))

    def slope(self, base: Array) -> Array:
        """Return the difference quotient."""
        return (self.above - base) / self.step if self.below is None else (self.above - self.below) / (2.0 * self.step)

    def steepness(self, xp: Namespace, base: Array) -> Array:
        """Return the mean magnitude of the one-sided slopes: f may go up and come down again."""
        change = xp.abs(self.above - base)
        if self.below is None:
            return change / xp.abs(self.step)
        return (0.5 * change + 0.5 * xp.abs(self.below - base)) / self.step

    def bend(self, base: Array) -> Array:
        """Return half the difference of the one-sided slopes. It stays at a kink; for a smooth f it shrinks with h."""
        return 0.5 * ((self.above - base) + (self.below - base)) / self.step


@dataclass(frozen=True, eq=False)
class Estimate:
    """Estimates of derivatives, (k, p), with their errors.

    Attributes
    ----------
    truncation
        The distance from the estimate of one order less, one level before: the truncation error, overestimated.
    noise
        The error that noise in the values of f can cause.
    step
        The smallest step of the estimate.
    """

    value: Array
    truncation: Array
    noise: Array
    step: Array

    @cached_property
    def error(self) -> Array:
        """The truncation error and the noise together."""
        return self.truncation + self.noise

    def resolved(self, xp: Namespace) -> Array:
        """Return whether the value is clearly more than its error."""
        return self.error <= RESOLVED * xp.abs(self.value)

    def more_accurate(self, xp: Namespace, other: Estimate) -> Array:
        """Return where the relative error is less than that of ``other``."""
        return self.error / xp.abs(self.value) < other.error / xp.abs(other.value)

    def replaced(self, xp: Namespace, mask: Array, other: Estimate) -> Estimate:
        """Return ``other`` where the mask is true."""
        return Estimate(
            value=xp.where(mask, other.value, self.value),
            truncation=xp.where(mask, other.truncation, self.truncation),
            noise=xp.where(mask, other.noise, self.noise),
            step=xp.where(mask, other.step, self.step),
        )

    def scaled(self, factor: Array) -> Estimate:
        """Return the estimate times a factor."""
        size = abs(factor)
        return Estimate(self.value * factor, self.truncation * size, self.noise * size, self.step)

    def discarded(self, xp: Namespace, mask: Array) -> Estimate:
        """Return the estimate with an infinite error where the mask is true."""
        return replace(self, truncation=xp.where(mask, xp.inf, self.truncation))


@dataclass(frozen=True, eq=False)
class Row:
    """A row of the tableau: estimates from windows of more and more of the latest levels.

    Attributes
    ----------
    values, noise
        The estimates, and the errors that noise can cause in them.
    changes
        How far each column, except the last, is from its value in the previous row.
    """

    values: tuple[Array, ...] = ()
    noise: tuple[Array, ...] = ()
    changes: tuple[Array, ...] = ()

    def extended(self, series: Series, value: Array, noise: Array) -> Row:
        """Return the next row, of which ``value`` is the first column: the recursion of Neville and Richardson.

        The noise follows the same recursion in the worst case: the noise of a difference is the sum of both.
        """
        values, noises, changes = [value], [noise], []
        for column, (old, old_noise) in enumerate(zip(self.values[: _COLUMNS - 1], self.noise, strict=False)):
            part = 1.0 / series.gains[column]
            changes.append(values[-1] - old)
            values.append(values[-1] + part * changes[-1])
            noises.append((1.0 + part) * noises[-1] + part * old_noise)
        return Row(tuple(values), tuple(noises), tuple(changes))

    def cleared(self, xp: Namespace, mask: Array) -> Row:
        """Return the row with NaN where the mask is true, so that the next rows have no estimate from it."""
        return replace(self, values=tuple(xp.where(mask, xp.nan, value) for value in self.values))

    def best(self, lines: Lines, step: Array, candidates: int) -> Estimate:
        """Return the best of the last ``candidates`` entries for each value. An error of NaN is never the least.

        The error of an entry is its change from the previous row, as in C. J. F. Ridders, *Accurate computation of
        F'(x) and F'(x) F''(x)*, Adv. Eng. Software 4 (1982), 75-76. It is the error of an estimate of one order less.
        """
        xp = lines.xp
        first = max(0, len(self.changes) - candidates)
        changes, noises = self.changes[first:], self.noise[first + 1 :]
        change: Array | None = xp.abs(changes[0])
        best, noise = self.values[first + 1], noises[0]
        least = change + noise
        sound = least < xp.inf
        if not lines.all(sound):
            best, change = xp.where(sound, best, self.values[0]), xp.where(sound, change, xp.inf)
            least = change + noise
        for value, new, other in zip(self.values[first + 2 :], changes[1:], noises[1:], strict=True):
            error = xp.abs(new) + other
            better = error < least
            if lines.all(better):
                best, change, noise, least = value, xp.abs(new), other, error
            elif lines.any(better):
                best, least = xp.where(better, value, best), xp.where(better, error, least)
                noise, change = xp.where(better, other, noise), None
        return Estimate(best, least - noise if change is None else change, noise, step)
