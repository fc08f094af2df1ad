"""Functions of one real number and the points at which the battery differentiates them.

``f(xp, x)`` is written once, in terms of array API functions whose names mpmath shares: with ``xp`` a library it is
the function under test, with ``xp`` mpmath the exact one. Constants are therefore numbers that float32 holds
exactly, wherever a function is tested in float32: multiples of powers of two, not 0.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Number = Any


@dataclass(frozen=True)
class Function:
    """A function with its points in float64 (``at``) and in float32 (``single``; None: the same).

    At the points ``higher`` its derivatives of order 2 to 6 are taken as well.
    """

    name: str
    f: Callable[[Any, Number], Number]
    at: tuple[float, ...]
    single: tuple[float, ...] | None = None
    higher: tuple[float, ...] = ()


def _product(x: Number, roots: int) -> Number:
    """Return (x - 1)(x - 2)...: Wilkinson's polynomial."""
    result = x - 1
    for root in range(2, roots + 1):
        result = result * (x - root)
    return result


def _horner(x: Number, *coefficients: float) -> Number:
    result = 0 * x + coefficients[0]
    for coefficient in coefficients[1:]:
        result = result * x + coefficient
    return result


_T10 = (512, 0, -1280, 0, 1120, 0, -400, 0, 50, 0, -1)
_EXPANDED = (1, -6, 15, -20, 15, -6, 1)  # (x - 1)**6, whose value near 1 is all cancellation

POLYNOMIALS = (
    Function("3", lambda xp, x: 0 * x + 3, (0.0, 1.0, -1e-8, 1e8)),
    Function("x", lambda xp, x: 1 * x, (0.0, 1.0, -3.7, 1e-8, 1e8, 1e-30)),
    Function("3x - 2", lambda xp, x: 3 * x - 2, (0.0, 0.7, -100.0, 1e-6, 1e6)),
    Function("x**2", lambda xp, x: x**2, (0.0, 1.0, -2.5, 1e-6, 1e6, 1e-12, 12.0), higher=(1.0,)),
    Function("x**3", lambda xp, x: x**3, (0.0, 1.0, -1.0, 0.01, 100.0, 1e5, 1e-5), higher=(0.0, -2.0)),
    Function("(x - 1)**2", lambda xp, x: (x - 1) ** 2, (1.0, 1.5, 0.999, -20.0, 1e4)),
    Function("x**4 - 3x**2 + x", lambda xp, x: x**4 - 3 * x**2 + x, (0.0, 1.0, -1.3, 10.0, 0.17), higher=(1.3,)),
    Function("x**4 + 3x**2 - 10x", lambda xp, x: x**4 + 3 * x**2 - 10 * x, (0.99999, 1.00001)),
    Function("x**7", lambda xp, x: x**7, (0.0, 1.0, 0.1, -2.0, 30.0), higher=(1.0,)),
    Function("x**20", lambda xp, x: x**20, (0.5, 1.0, 2.0, -1.1, 5.0)),
    Function("Chebyshev T10", lambda xp, x: _horner(x, *_T10), (0.0, 0.3, 0.95, 1.0, -0.7, 1.5)),
    Function("(x-1)...(x-8)", lambda xp, x: _product(x, 8), (1.0, 4.5, 0.0, 7.99, -3.0)),
    Function("(x-1)**6 expanded", lambda xp, x: _horner(x, *_EXPANDED), (0.5, 1.1, 2.0, -1.0, 1.3)),
    Function("1e4 x**3 + x**2/128 + 5x", lambda xp, x: 10000 * x**3 + x**2 / 128 + 5 * x, (0.0, 1e-9, 0.01, 1.0)),
)

RATIONALS = (
    Function(
        "1/x", lambda xp, x: 1 / x, (1e-8, 1e-3, 1.0, -2.0, 0.01, 1e3, 1e8), (1e-6, 1e-3, 1.0, -2.0, 1e3), (1.0, 0.01)
    ),
    Function("1/x**2", lambda xp, x: 1 / x**2, (1e-4, 0.1, 1.0, -3.0, 1e4)),
    Function("1/(x - 1)", lambda xp, x: 1 / (x - 1), (1.001, 0.999, 1.1, 2.0, 0.0, -50.0), higher=(1.1, 0.0)),
    Function("1/(1 + 25x**2)", lambda xp, x: 1 / (1 + 25 * x**2), (0.0, 0.2, 1.0, -0.5, 5.0, 0.05), higher=(0.2,)),
    Function(
        "Lorentzian of width 1/1024",
        lambda xp, x: 1 / (1 + (1024 * x) ** 2),
        (0.0, 1e-4, 1e-3, -2e-3, 0.01, 0.1, 1.0),
    ),
    Function("x/(1 + x**2)", lambda xp, x: x / (1 + x**2), (0.0, 1.0, 0.5, -3.0, 40.0)),
    Function("(1 - x)/(1 + x)", lambda xp, x: (1 - x) / (1 + x), (-0.99, 0.0, 1.0, 9.0, 1e3)),
    Function("x + 1/x", lambda xp, x: x + 1 / x, (1.0, 0.01, 0.9, 30.0, -2.0)),
)

ROOTS_AND_LOGARITHMS = (
    Function("log(x)", lambda xp, x: xp.log(x), (1e-10, 1e-3, 0.3, 1.0, 2.0, 1e3, 1e10), higher=(1.0, 1e-3, 50.0)),
    Function("sqrt(x)", lambda xp, x: xp.sqrt(x), (1e-10, 1e-3, 0.3, 1.0, 2.0, 1e3, 1e10), higher=(1.0, 1e-3)),
    Function("log1p(x)", lambda xp, x: xp.log1p(x), (-0.999, 0.0, 1e-8, 1.0, 1e6)),
    Function("x log(x)", lambda xp, x: x * xp.log(x), (1e-3, 0.36787944117144233, 1.0, 10.0, 1e5)),
    Function("log(x)**2", lambda xp, x: xp.log(x) ** 2, (1.0, 0.1, 1e-4, 3.0, 1e4)),
    Function("log(log(x))", lambda xp, x: xp.log(xp.log(x)), (1.01, 2.0, 10.0, 1e3)),
    Function("x**2 log(x)", lambda xp, x: x**2 * xp.log(x), (1.0, 0.01, 0.6, 12.0)),
    Function("x**0.125", lambda xp, x: x**0.125, (1e-6, 0.01, 1.0, 20.0, 1e6), higher=(1.0,)),
    Function("x**1.5", lambda xp, x: x**1.5, (1e-8, 0.01, 1.0, 20.0, 1e6)),
    Function("x**-2.5", lambda xp, x: x**-2.5, (1e-3, 0.1, 1.0, 7.0, 1e4)),
    Function("sqrt(x**2 + 1/8192)", lambda xp, x: xp.sqrt(x * x + 1 / 8192), (0.0, 1e-3, 0.01, 1.0, -10.0, -0.1)),
    Function("sqrt(1 + x**2)", lambda xp, x: xp.sqrt(1 + x**2), (0.0, 1.0, -0.01, 50.0, 1e4), higher=(0.0, 1.0)),
    Function("sqrt(1 - x**2)", lambda xp, x: xp.sqrt(1 - x**2), (0.0, 0.5, 0.999, -0.9, 0.99999)),
    Function("asin(x)", lambda xp, x: xp.asin(x), (0.0, 0.5, 0.99, -0.9, 0.9999)),
)

EXPONENTIALS = (
    Function("exp(x)", lambda xp, x: xp.exp(x), (-30.0, -5.0, 0.0, 1.0, 10.0, 50.0), higher=(0.0, 1.0, -5.0)),
    Function("exp(4x)", lambda xp, x: xp.exp(4 * x), (1.0, 0.0, -3.0, 5.0)),
    Function(
        "exp(100x)",
        lambda xp, x: xp.exp(100 * x),
        (-1.0, 0.0, 0.01, 0.1, 0.5, 1.0),
        (-0.5, 0.0, 0.01, 0.1, 0.5),
        (0.0, 0.1),
    ),
    Function("exp(-x/2**20)", lambda xp, x: xp.exp(-x / 1048576), (0.0, 1.0, 1e6, 1e7, -1e6, 100.0)),
    Function("exp(-x**2)", lambda xp, x: xp.exp(-(x**2)), (0.0, 0.5, 1.0, 5.0, -3.0), higher=(0.0, 0.5, 2.0)),
    Function("exp(x**2)", lambda xp, x: xp.exp(x**2), (0.0, 1.0, -2.0, 4.0)),
    Function("bump at 3 of width 1/8", lambda xp, x: xp.exp(-32 * (x - 3) ** 2), (3.0, 2.9, 2.5, 3.6, 2.0, 1.5)),
    Function("expm1(x)", lambda xp, x: xp.expm1(x), (0.0, 1e-8, 1.0, -20.0, 5.0)),
    Function("expm1(x)**2", lambda xp, x: xp.expm1(x) ** 2, (-8.0, 0.0, 0.5, -1.0)),
    Function(
        "expm1(x)**2 + (1/sqrt(1+x**2) - 1)**2",
        lambda xp, x: xp.expm1(x) ** 2 + (1 / xp.sqrt(1 + x**2) - 1) ** 2,
        (1.0, 0.0, 0.001, -2.0, 5.0),
    ),
    Function("x exp(-x)", lambda xp, x: x * xp.exp(-x), (0.0, 1.0, 5.0, 30.0, -4.0), higher=(1.0,)),
    Function("logistic", lambda xp, x: 1 / (1 + xp.exp(-x)), (0.0, 1.0, -5.0, 10.0, 20.0, -30.0), higher=(0.0, 2.0)),
    Function("softplus", lambda xp, x: xp.log1p(xp.exp(x)), (-20.0, -5.0, 0.0, 5.0, 20.0), higher=(0.0,)),
    Function("exp(exp(x))", lambda xp, x: xp.exp(xp.exp(x)), (-1.0, 0.0, 1.0, 1.5, -10.0)),
    Function("exp(1/x)", lambda xp, x: xp.exp(1 / x), (0.1, 0.5, 1.0, -1.0, 30.0)),
    Function("exp(-1/x)", lambda xp, x: xp.exp(-1 / x), (0.05, 0.2, 1.0, 10.0, 100.0)),
    Function("x**x", lambda xp, x: xp.exp(x * xp.log(x)), (0.01, 0.5, 1.0, 5.0, 15.0)),
)

WAVES = (
    Function("sin(x)", lambda xp, x: xp.sin(x), (0.0, 1e-8, 1.0, 1.5707963267948966, 1e3, 1e5), higher=(0.0, 1.0, 1e3)),
    Function("cos(x)", lambda xp, x: xp.cos(x), (0.0, 1e-8, 1.0, 3.0, 1e4), higher=(0.0,)),
    Function("sin(100x)", lambda xp, x: xp.sin(100 * x), (0.0, 0.1, 1.0, 10.0, -0.03), higher=(0.1,)),
    Function("sin(x**2)", lambda xp, x: xp.sin(x**2), (0.0, 1.0, 3.0, 10.0, 30.0)),
    Function("sin(1/x)", lambda xp, x: xp.sin(1 / x), (0.1, 0.03, 1.0, 5.0, -0.3)),
    Function("sin(x)/x", lambda xp, x: xp.sin(x) / x, (1e-3, 1.0, 10.0, 100.0, -4.0)),
    Function("exp(sin(x))", lambda xp, x: xp.exp(xp.sin(x)), (0.0, 1.0, 1.6, -20.0, 500.0)),
    Function("cos(x) exp(-x/4)", lambda xp, x: xp.cos(x) * xp.exp(-x / 4), (0.0, 1.0, 3.0, 30.0, -8.0)),
    Function("sin(x) + sin(1024x)/1024", lambda xp, x: xp.sin(x) + xp.sin(1024 * x) / 1024, (0.0, 0.2, 1.0, 4.0)),
    Function("1000 + sin(x)", lambda xp, x: 1000 + xp.sin(x), (0.0, 1.0, 1.5, 50.0)),
    Function("1e8 + sin(x)", lambda xp, x: 1e8 + xp.sin(x), (0.0, 1.0, 1.5, 50.0), ()),
    Function("(1 - cos(x))/x**2", lambda xp, x: (1 - xp.cos(x)) / x**2, (0.05, 0.5, 1.0, 6.0), (0.5, 1.0, 6.0)),
    Function("tan(x)", lambda xp, x: xp.tan(x), (0.0, 1.0, 1.5, 1.57, -1.2), higher=(0.5,)),
    Function("atan(x)", lambda xp, x: xp.atan(x), (0.0, 0.5, 1.0, -20.0, 1e4), higher=(0.5,)),
    Function("atan(1024x)", lambda xp, x: xp.atan(1024 * x), (0.0, 1e-4, 1e-3, -0.01, 0.1, 1.0)),
)

HYPERBOLICS = (
    Function("tanh(x)", lambda xp, x: xp.tanh(x), (0.0, 1.0, 3.0, 7.0, 10.0, -15.0), higher=(0.0, 1.0)),
    Function("tanh(50x)", lambda xp, x: xp.tanh(50 * x), (0.0, 0.01, 0.05, -0.1, 0.2)),
    Function("sinh(x)", lambda xp, x: xp.sinh(x), (0.0, 1.0, 10.0, -20.0)),
    Function("cosh(x)", lambda xp, x: xp.cosh(x), (0.0, 1e-6, 1.0, -10.0)),
    Function("1/cosh(x)", lambda xp, x: 1 / xp.cosh(x), (0.0, 1.0, 5.0, -15.0)),
    Function("asinh(1024x)", lambda xp, x: xp.asinh(1024 * x), (0.0, 1e-3, 0.1, -5.0)),
    Function("atanh(x)", lambda xp, x: xp.atanh(x), (0.0, 0.5, 0.999, -0.99)),
)

SCALES = (
    Function("1e-300 x", lambda xp, x: 1e-300 * x, (0.0, 1.0, -1e3, 1e6), ()),
    Function("1e300 x", lambda xp, x: 1e300 * x, (0.0, 1.0, -1e3, 1e-6), ()),
    Function("1e-200 sin(x)", lambda xp, x: 1e-200 * xp.sin(x), (0.0, 1.0, 20.0), ()),
    Function("1e200 exp(x)", lambda xp, x: 1e200 * xp.exp(x), (0.0, 1.0, -20.0), ()),
    Function("2**-80 sin(x)", lambda xp, x: 2.0**-80 * xp.sin(x), (0.0, 1.0, 20.0)),
    Function("2**80 exp(x)", lambda xp, x: 2.0**80 * xp.exp(x), (0.0, 1.0, -20.0)),
    Function("sin(2**20 x)", lambda xp, x: xp.sin(1048576 * x), (0.0, 1e-6, -3e-6, 1e-4)),
    Function("log(1 + 2**30 x)", lambda xp, x: xp.log(1 + 2.0**30 * x), (1e-9, 1e-6, 1e-3, 1.0)),
    Function("sqrt(1 + (x/2**40)**2)", lambda xp, x: xp.sqrt(1 + (x / 2.0**40) ** 2), (1e12, -3e12, 1e11)),
    Function("exp(x/2**40)", lambda xp, x: xp.exp(x / 2.0**40), (1e12, -1e13, 3e10)),
)

FUNCTIONS = POLYNOMIALS + RATIONALS + ROOTS_AND_LOGARITHMS + EXPONENTIALS + WAVES + HYPERBOLICS + SCALES
