"""Errors with the steps that schemes choose: of functions at all scales, and of objectives that people minimise."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import mpmath
import numpy as np
from _real_problems import problems
from _timing import quick, table
from scipy.optimize._numdiff import approx_derivative

import anygrad

Array = np.ndarray[Any, Any]

SIZES = [1e-8, 1e-6, 1e-4, 1e-2, 1.0, 1e2, 1e4, 1e6, 1e8]
# Functions of NumPy's and of mpmath's numbers. Those of the second group vary on the scale of 1.
FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "x**5": lambda lib, x: x**5,
    "1/x": lambda lib, x: 1 / x,
    "sqrt(x)": lambda lib, x: lib.sqrt(x),
    "log(x)": lambda lib, x: lib.log(x),
    "likelihood of a mean": lambda lib, x: 200 * lib.log(x) + 210 * abs(x) / x,
    "likelihood of a variance": lambda lib, x: 100 * lib.log(x) + 1e-4 / x,
    "exp(x)": lambda lib, x: lib.exp(x),
    "sin(x)": lambda lib, x: lib.sin(x),
}
SCHEMES = {
    "Forward()": anygrad.Forward(),
    "Central()": anygrad.Central(),
    "Central(order=4)": anygrad.Central(order=4),
    "Central(order=8)": anygrad.Central(order=8),
}


def relative_error(f: Callable[[Any, Any], Any], size: float, n: int, scheme: Any, dtype: str) -> float:
    """Return the median error at ten points of a size, relative to the n-th derivative's magnitude there."""
    x = (size * np.linspace(1.0, 1.9, 10)).astype(dtype)
    found = anygrad.derivative(partial(f, np), x, n, scheme=scheme).astype(float)
    exact = np.array([float(mpmath.diff(partial(f, mpmath), mpmath.mpf(float(t)), n)) for t in x])
    return float(np.median(np.abs(found - exact)) / np.median(np.abs(exact)))


def scales() -> None:
    """Print the errors for each function, size, n and dtype."""
    for dtype in ("float64", "float32"):
        for n in (1,) if quick() else (1, 2, 3, 4):
            rows = []
            for name, f in FUNCTIONS.items():
                for label, scheme in SCHEMES.items():
                    # exp of more than 100 is no number that anybody differentiates, and a sine has no digits there.
                    errors = [
                        ""
                        if name in {"exp(x)", "sin(x)"} and size > 1e2
                        else f"{relative_error(f, size, n, scheme, dtype):.0e}"
                        for size in SIZES
                    ]
                    rows.append((name, f"`{label}`", *errors))
            print(f"\nRelative errors, n = {n}, {dtype}\n")
            print(table(("f", "scheme", *(f"x = {size:.0e}" for size in SIZES)), rows))


def objectives() -> None:
    """Print quantiles of the errors on real problems, for each point and each element."""
    contenders = {"SciPy approx_derivative, 3-point": lambda f, x: approx_derivative(f, x, method="3-point")}
    for label, scheme in SCHEMES.items():
        contenders[f"anygrad, {label}"] = partial(anygrad.numerical_gradient, scheme=scheme)
    contenders["anygrad, default"] = anygrad.numerical_gradient
    contenders["anygrad, Adaptive()"] = partial(anygrad.numerical_gradient, scheme=anygrad.Adaptive())
    every = list(problems())[:: 10 if quick() else 1]
    points = [(problem.f, x, problem.gradient(x)) for problem in every for x in problem.points]
    rows = []
    for label, gradient in contenders.items():
        whole, single = [], []
        for f, x, exact in points:
            errors = np.abs(gradient(lambda x, f=f: f(x).real, x) - exact)
            errors = np.where(np.isfinite(errors), errors, np.inf)
            whole.append(np.max(errors) / np.max(np.abs(exact)))
            single.extend((errors / np.abs(exact))[exact != 0])
        quantiles = [np.quantile(of, q, method="inverted_cdf") for of in (whole, single) for q in (0.5, 0.95)]
        rows.append((label, *(f"{quantile:.1e}" for quantile in quantiles)))
    print(f"\nGradients of {len(every)} problems at {len(points)} points: median and 95th percentile of\n")
    print(table(("", "largest error / largest element", "", "relative error of an element", ""), rows))


if __name__ == "__main__":
    mpmath.mp.dps = 60
    warnings.simplefilter("ignore", RuntimeWarning)  # steps out of the domain of f are what is measured
    objectives()
    scales()
