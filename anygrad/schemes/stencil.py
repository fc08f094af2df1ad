"""Finite-difference stencils, solved in exact rational numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import factorial, lcm

from anygrad._typing import Array

# The weights of so many points on one side sum up to 1e16; those of high derivatives do so sooner.
_MOST = 60


@dataclass(frozen=True, eq=False)
class Stencil:
    """A rule: the n-th derivative of f at x is ``sum(numerators[k] * f(x + offsets[k] * h)) / (denominator * h**n)``.

    The weights are kept as whole numbers over one denominator, as in ``(f(x+h) - f(x-h)) / (2h)``: the numbers are
    then those that a person would write, to the last bit.
    """

    # Sampling points in units of the step, in the order in which they are sampled. 0 stands for f(x).
    offsets: tuple[int, ...]
    # The weights.
    numerators: tuple[float, ...]
    denominator: float
    n: int  # which derivative
    order: int  # power of h in the truncation error
    truncation: float  # C
    rounding: float  # W

    def relative_step(self, eps: float) -> float:
        """Return the near-optimal step for numbers of magnitude 1 with spacing ``eps``.

        It minimises ``C h^p + W eps / h^n``, where C is the truncation constant and W the sum of the weights'
        magnitudes, for an f of magnitude 1 whose n-th derivative has Taylor coefficients of magnitude 1, as log
        has at 1. Those of sin and exp shrink, but few objectives are as smooth, and for these a step that is too
        long costs more than one that is too short.
        """
        balance = self.n * self.rounding / (self.order * self.truncation)
        return float((balance * eps) ** (1 / (self.order + self.n)))

    def error(self, step: Array, eps: float) -> Array:
        """Return the error with some steps, in the same model."""
        return self.truncation * step**self.order + self.rounding * eps / step**self.n

    def calls(self, m: int) -> int:
        """Return how often f is called for m lines: f(x) is one call for all."""
        own = len(self.offsets) - (0 in self.offsets)
        return m * own + (1 if m and 0 in self.offsets else 0)

    @property
    def below(self) -> int:
        """How many steps the stencil reaches below x."""
        return -min(self.offsets)

    @property
    def above(self) -> int:
        """How many steps the stencil reaches above x."""
        return max(self.offsets)

    def points(self, at: Array, step: Array) -> list[Array]:
        """Return the points to sample, without ``at`` itself."""
        return [
            at + step if offset == 1 else at - step if offset == -1 else at + offset * step
            for offset in self.offsets
            if offset
        ]

    def combine(self, values: Sequence[Array], step: Array) -> Array:
        """Return the derivative from the values at each offset."""
        first, *others = self.numerators
        total = values[0] if first == 1 else first * values[0]
        for number, value in zip(others, values[1:], strict=True):
            total = _plus(total, number, value)
        return total / (self.denominator * (step if self.n == 1 else step**self.n))


def _plus(total: Array, number: float, array: Array) -> Array:
    """Return the total and a multiple of the array: by 1 and -1, which most weights are, it is not multiplied."""
    if number == 1:
        return total + array
    return total - array if number == -1 else total + number * array


@cache
def stencil(offsets: tuple[int, ...], n: int = 1) -> Stencil:
    """Return the stencil of the highest order for the n-th derivative on distinct integer ``offsets``.

    The weight of an offset is the n-th derivative at 0 of its Lagrange polynomial. On points symmetric about 0 the
    order is one higher than the number of points says, because the next term cancels; the leading error term is
    therefore looked for, not assumed. (Fornberg, Math. Comp. 51 (1988), 699-706, solves the same weights by
    recursion.)
    """
    if len(offsets) > _MOST:
        raise ValueError(
            f"this order and n need {len(offsets)} points, but beyond {_MOST} rounding leaves no correct digit: lower"
            " them, or use anygrad.Adaptive()"
        )
    weights = [factorial(n) * _lagrange_polynomial(offset, offsets)[n] for offset in offsets]
    used = [(offset, weight) for offset, weight in zip(offsets, weights, strict=True) if weight]
    denominator = lcm(*(weight.denominator for _, weight in used))
    order, truncation = _leading_error(used, n)
    rounding = sum(abs(weight) for _, weight in used)
    return Stencil(
        offsets=tuple(offset for offset, _ in used),
        numerators=tuple(float(weight * denominator) for _, weight in used),
        denominator=float(denominator),
        n=n,
        order=order,
        truncation=float(truncation),
        rounding=float(rounding),
    )


def _lagrange_polynomial(node: int, nodes: tuple[int, ...]) -> list[Fraction]:
    """Return the coefficients, lowest power first, of the polynomial that is 1 at ``node`` and 0 at the others."""
    coefficients = [Fraction(1)]
    for other in nodes:
        if other == node:
            continue
        shifted = [Fraction(0), *coefficients]
        scaled = [-other * coefficient for coefficient in coefficients] + [Fraction(0)]
        coefficients = [(a + b) / (node - other) for a, b in zip(shifted, scaled, strict=True)]
    return coefficients


def _leading_error(weights: list[tuple[int, Fraction]], n: int) -> tuple[int, Fraction]:
    """Return p and C of the truncation error ``C * h**p * f^(p+n)(x) / p!``."""
    order = 1
    while not (moment := sum(weight * offset ** (order + n) for offset, weight in weights)):
        order += 1
    return order, abs(Fraction(moment)) * factorial(order) / factorial(order + n)


@cache
def centred(order: int, n: int = 1) -> Stencil:
    """Return the symmetric stencil of an even order. f(x) is a point of it for even n only."""
    reach = range(1, (order + n - 1) // 2 + 1)
    pairs = tuple(offset for distance in reach for offset in (distance, -distance))
    return stencil(pairs if n % 2 else (0, *pairs), n)


@cache
def one_sided(order: int, n: int = 1, *, side: int) -> Stencil:
    """Return the stencil of an order on x and the points above it (side 1) or below it (side -1)."""
    return stencil(tuple(side * distance for distance in range(order + n)), n)
