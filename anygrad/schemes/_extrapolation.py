"""Extrapolation of a power series, sampled at shrinking steps, to the step 0."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, cached_property
from math import factorial

from anygrad.schemes.base import Lines
from anygrad._typing import Array, Namespace

# By how much the step shrinks from level to level. Not by 2: of a wave sampled less than once in a period all levels
# would be multiples of the last one, and extrapolate smoothly to the derivative of another wave.
# 2.1, but for a fraction that a quotient of whole numbers, as of values that are all multiples of one, never is.
RATIO = Fraction(1101005, 2**19)
# A high derivative takes a window of several levels: the nearer they are, the less noise the innermost has.
_CLOSER_RATIO = Fraction(734003, 2**19)  # 1.4, likewise
HIGH = 2
# Of a high derivative only as many of the last columns are believed: the more there are, the more agree by accident.
CANDIDATES = 3
# A derivative has been seen where its error is at most this part of it.
SEEN = 0.1
# Beyond this many columns the outermost steps of a window differ by 300: its widest point adds nothing any more.
_COLUMNS = 9


def ratio(n: int) -> Fraction:
    """Return by how much the step shrinks from level to level for the n-th derivative."""
    return RATIO if n <= HIGH else _CLOSER_RATIO


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
        """Return the weights, latest level first, that n! c_n h^(n-s) is the sum of, with ``series / h^s`` each.

        That is the first column of the tableau: a window of as many levels as there are coefficients up to c_n.
        """
        return _weights((n - self.start) // self.stride, self.ratio**self.stride, factorial(n))

    @cached_property
    def gains(self) -> tuple[float, ...]:
        """By how much the leading error of each column shrinks from level to level, less 1."""
        return tuple(float(self.ratio ** (self.stride * (column + 1)) - 1) for column in range(_COLUMNS))


@cache
def _weights(degree: int, ratio: Fraction, scale: int) -> tuple[float, ...]:
    """Return the weights that read ``scale`` times the leading coefficient off a polynomial at powers of a ratio."""
    nodes = [ratio**level for level in range(degree + 1)]
    weights = []
    for node in nodes:
        leading = Fraction(scale)  # coefficient of the node's Lagrange polynomial
        for other in nodes:
            if other != node:
                leading /= node - other
        weights.append(float(leading))
    return tuple(weights)


@dataclass(frozen=True, eq=False)
class Estimate:
    """Values, (m, p), with what is known of each.

    Attributes
    ----------
    change
        How far it is from the estimate of one order less, one level before: the truncation error, overestimated.
    noise
        What the noise in the values of f can amount to in it.
    step
        The smallest step it is made of.
    """

    value: Array
    change: Array
    noise: Array
    step: Array

    @cached_property
    def error(self) -> Array:
        """Truncation and noise together."""
        return self.change + self.noise

    def seen(self, xp: Namespace) -> Array:
        """Return whether it is more than an error."""
        return self.error <= SEEN * xp.abs(self.value)

    def surer(self, xp: Namespace, other: Estimate) -> Array:
        """Return where its relative error is less than that of ``other``."""
        return self.error / xp.abs(self.value) < other.error / xp.abs(other.value)

    def replaced(self, xp: Namespace, mask: Array, other: Estimate) -> Estimate:
        """Return ``other`` where the mask is true."""
        return Estimate(
            value=xp.where(mask, other.value, self.value),
            change=xp.where(mask, other.change, self.change),
            noise=xp.where(mask, other.noise, self.noise),
            step=xp.where(mask, other.step, self.step),
        )

    def scaled(self, factor: Array) -> Estimate:
        """Return the estimate times a factor."""
        size = abs(factor)
        return Estimate(self.value * factor, self.change * size, self.noise * size, self.step)

    def dropped(self, xp: Namespace, mask: Array) -> Estimate:
        """Return no estimate where the mask is true: anything is better."""
        return replace(self, change=xp.where(mask, xp.inf, self.change))


@dataclass(frozen=True, eq=False)
class Row:
    """A row of the tableau: estimates from windows of more and more of the latest levels.

    Attributes
    ----------
    values, noise
        The estimates, and what noise can amount to in them.
    changes
        How far each column, but the last, is from where it was in the previous row.
    """

    values: tuple[Array, ...] = ()
    noise: tuple[Array, ...] = ()
    changes: tuple[Array, ...] = ()

    def extended(self, series: Series, value: Array, noise: Array) -> Row:
        """Return the next row, of which ``value`` is the first column: the recursion of Neville and Richardson.

        Noise takes the same way, at its worst: the noise of a difference is the sum of both.
        """
        values, noises, changes = [value], [noise], []
        for column, (old, old_noise) in enumerate(zip(self.values[: _COLUMNS - 1], self.noise, strict=False)):
            part = 1.0 / series.gains[column]
            changes.append(values[-1] - old)
            values.append(values[-1] + part * changes[-1])
            noises.append((1.0 + part) * noises[-1] + part * old_noise)
        return Row(tuple(values), tuple(noises), tuple(changes))

    def forgotten(self, xp: Namespace, mask: Array) -> Row:
        """Return a row that knows nothing where the mask is true: what is extended from it is not a number."""
        return replace(self, values=tuple(xp.where(mask, xp.nan, value) for value in self.values))

    def best(self, lines: Lines, step: Array, candidates: int) -> Estimate:
        """Return the best of so many of the last entries of each value; an error that is no number is never the least.

        The change from the previous row is its error as C. J. F. Ridders has it, *Accurate computation of F'(x) and
        F'(x) F''(x)*, Adv. Eng. Software 4 (1982), 75-76. It is that of an estimate of one order less.
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
