"""Finite-difference stencils, solved in exact rational numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, reduce
from math import factorial, lcm
from operator import add

from anygrad._typing import Array


@dataclass(frozen=True)
class Stencil:
    """A rule ``f'(x) ~ sum(numerators[k] * f(x + offsets[k] * h)) / (denominator * h)``.

    The weights are kept as whole numbers over one denominator, as in ``(f(x+h) - f(x-h)) / (2h)``: the numbers are
    then those that a person would write, to the last bit.

    Attributes
    ----------
    offsets
        Sampling points in units of the step, in the order in which they are sampled. 0 stands for f(x).
    numerators, denominator
        The weights.
    order
        Power of h in the truncation error.
    balance
        Ratio of the weights' amplification of rounding errors to their truncation error, which sets the step at
        which the two balance.
    """

    offsets: tuple[int, ...]
    numerators: tuple[float, ...]
    denominator: float
    order: int
    balance: float

    def relative_step(self, eps: float) -> float:
        """Return the near-optimal step for numbers of magnitude 1 with spacing ``eps``.

        It minimises ``C h^p + W eps / h``, where C is the truncation constant and W the sum of the weights'
        magnitudes, for an f whose value and derivatives are all of magnitude 1.
        """
        return float((self.balance * eps) ** (1 / (self.order + 1)))

    def combine(self, values: Sequence[Array], step: Array) -> Array:
        """Return the derivative from the values at each offset."""
        terms = (numerator * value for numerator, value in zip(self.numerators, values, strict=True))
        return reduce(add, terms) / (self.denominator * step)


@cache
def stencil(offsets: tuple[int, ...]) -> Stencil:
    """Return the first-derivative stencil of the highest order on distinct integer ``offsets``.

    The weight of an offset is the derivative at 0 of its Lagrange polynomial. On points symmetric about 0 the
    order is one higher than the number of points says, because the next term cancels; the leading error term is
    therefore looked for, not assumed. (Fornberg, Math. Comp. 51 (1988), 699-706, solves the same weights by
    recursion.)
    """
    weights = [_lagrange_polynomial(offset, offsets)[1] for offset in offsets]
    used = [(offset, weight) for offset, weight in zip(offsets, weights, strict=True) if weight]
    denominator = lcm(*(weight.denominator for _, weight in used))
    order, truncation = _leading_error(used)
    rounding = sum(abs(weight) for _, weight in used)
    return Stencil(
        offsets=tuple(offset for offset, _ in used),
        numerators=tuple(float(weight * denominator) for _, weight in used),
        denominator=float(denominator),
        order=order,
        balance=float(rounding / (order * truncation)),
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


def _leading_error(weights: list[tuple[int, Fraction]]) -> tuple[int, Fraction]:
    """Return p and C of the truncation error ``C * h**p * f^(p+1)(x)``."""
    order = 1
    while not (moment := sum(weight * offset ** (order + 1) for offset, weight in weights)):
        order += 1
    return order, abs(Fraction(moment)) / factorial(order + 1)
