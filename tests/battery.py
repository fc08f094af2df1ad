"""The battery: a thousand derivatives with their exact values, to measure a scheme by.

``CASES`` are first derivatives in float64 and float32, ``HIGHER`` those of order 2 to 6 in float64. ``UNSEEN`` are
first derivatives of other functions: a scheme that is good at ``CASES`` because it was tuned to them is not good at
these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from math import factorial
from typing import Any

import mpmath
import numpy as np
from battery_functions import FUNCTIONS, Function
from battery_unseen import FUNCTIONS as UNSEEN_FUNCTIONS

Number = Any


@dataclass(frozen=True)
class Case:
    """The ``n``-th derivative of a function, computed in ``dtype``, at a point that this dtype holds."""

    name: str
    f: Callable[[Any, Number], Number]
    at: float
    dtype: str = "float64"
    n: int = 1

    def __repr__(self) -> str:
        order = f" (n={self.n})" if self.n > 1 else ""
        return f"{self.name} at {self.at:.9g} in {self.dtype}{order}"

    @property
    def exact(self) -> float:
        """The derivative, to the last bit of float64."""
        return exact(self.f, self.at, self.n)

    @property
    def reach(self) -> float:
        """Which error is within reach: see `reach`."""
        return reach(self.f, self.at, self.n, float(np.finfo(self.dtype).eps))


@cache
def exact(f: Callable[[Any, Number], Number], at: float, n: int = 1) -> float:
    """Return the n-th derivative, by mpmath.

    mpmath's differences of high precision leave a number near 0, not 0, of a derivative that vanishes; that number
    shrinks with the precision, any other stays.
    """
    rough, fine = (_difference(f, at, n, digits) for digits in (50, 80))
    if fine == rough or abs(fine - rough) <= 1e-25 * abs(fine):
        return float(fine)
    if abs(fine) < 1e-20 * abs(rough):
        return 0.0
    raise ArithmeticError(f"mpmath has no {n}-th derivative at {at}: {rough} and {fine}")


def _difference(f: Callable[[Any, Number], Number], at: float, n: int, digits: int) -> mpmath.mpf:
    with mpmath.workdps(digits):
        return mpmath.diff(lambda x: f(mpmath, x), mpmath.mpf(at), n)


@cache
def reach(f: Callable[[Any, Number], Number], at: float, n: int, eps: float) -> float:
    """Return the error of a central difference of eighth order at the best step, to about a digit.

    At the step h the values of f carry an error of eps times their magnitude, and of the same in an inner argument
    as x is: that is divided by h^n. The remainder of Taylor's series begins with the power n + 8 of h. The best step
    is the largest at which the remainder is no larger than the noise; it is at most max(1, |x|) for polynomials of a
    low degree, which have no remainder. Values that cancel inside of f (1 - cos x) are not accounted for.
    """
    with mpmath.workdps(30):
        terms = mpmath.taylor(lambda x: f(mpmath, x), mpmath.mpf(at), n + 12, chop=False)
    coefficients = np.abs(np.array([float(term) for term in terms]))
    steps = 2.0 ** np.arange(-60, 61)
    with np.errstate(over="ignore", invalid="ignore"):
        powers = coefficients * steps[:, None] ** np.arange(n + 13)
        noise = eps * (np.sum(powers[:, : n + 8], axis=1) + abs(at) * coefficients[1])
        remainder = np.sum(powers[:, n + 8 :], axis=1)
        errors = factorial(n) * (noise + remainder) / steps**n
    bounded = (remainder > 1e-25 * noise) | (steps <= max(1.0, abs(at)))
    balanced = np.flatnonzero((remainder <= noise) & bounded)
    return float(errors[balanced[-1]] if balanced.size else np.nanmin(errors))


def _first(functions: Iterable[Function]) -> list[Case]:
    return [
        Case(function.name, function.f, float(np.dtype(dtype).type(at)), dtype)
        for function in functions
        for dtype, points in (
            ("float64", function.at),
            ("float32", function.at if function.single is None else function.single),
        )
        for at in points
    ]


CASES = _first(FUNCTIONS)
UNSEEN = _first(UNSEEN_FUNCTIONS)
HIGHER = [
    Case(function.name, function.f, at, n=n) for function in FUNCTIONS for n in range(2, 7) for at in function.higher
]
