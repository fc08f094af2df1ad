"""Adaptive derivatives, in time, points and error, against SciPy, numdifftools and jacobi."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numdifftools
import numpy as np
from _timing import medians, table
from jacobi import jacobi
from scipy import differentiate
from scipy.optimize import rosen, rosen_der

import anygrad

Array = np.ndarray


class Counted:
    """A function that counts the points at which it is evaluated."""

    def __init__(self, f: Callable[[Array], Any], points: Callable[[Array], int]) -> None:
        self.f, self.points, self.count = f, points, 0

    def __call__(self, x: Array) -> Any:
        """Return f(x)."""
        self.count += self.points(x)
        return self.f(x)


def compared(
    contenders: dict[str, Callable[[Any], Array]], f: Any, exact: Array, points: Callable[[Array], int]
) -> list[tuple[str, ...]]:
    """Return rows of time, points and error; the first of the contenders is what times are relative to."""
    took = medians({name: partial(contender, f) for name, contender in contenders.items()}, least=3)
    unit = next(iter(took.values()))
    rows = []
    for name, contender in contenders.items():
        counted = Counted(f, points)
        error = np.abs(contender(counted) - exact) / np.max(np.abs(exact))
        evaluated = f"{counted.count / exact.size:.1f}"
        row = f"{took[name] * 1e3:.1f} ms", f"{took[name] / unit:.2f}", evaluated
        rows.append((name, *row, f"{np.median(error):.1e}", f"{np.max(error):.1e}"))
    return rows


HEADER = ("", "time", "relative", "points an element", "median error", "largest error")


def elementwise() -> None:
    x = np.random.default_rng(0).uniform(-1.0, 1.0, 1_000_000)
    contenders: dict[str, Callable[[Any], Array]] = {
        "anygrad.derivative, Adaptive()": lambda f: anygrad.derivative(f, x),
        "scipy.differentiate.derivative": lambda f: differentiate.derivative(f, x).df,
        "scipy.differentiate.derivative, tightest": lambda f: (
            differentiate.derivative(f, x, tolerances={"rtol": 1e-14, "atol": 1e-14}).df
        ),
    }
    print("\nDerivative of exp at 1,000,000 points (errors relative to the largest)\n")
    print(table(HEADER, compared(contenders, np.exp, np.exp(x), np.size)))


def gradient() -> None:
    x = np.random.default_rng(0).uniform(0.5, 1.5, 100)
    contenders: dict[str, Callable[[Any], Array]] = {
        "anygrad, Adaptive()": lambda f: anygrad.numerical_gradient(f, x, scheme=anygrad.Adaptive()),
        "numdifftools.Gradient": lambda f: numdifftools.Gradient(f)(x),
        "jacobi": lambda f: jacobi(f, x)[0],
    }
    print("\nGradient of Rosenbrock, n = 100 (errors relative to the largest element)\n")
    print(table(HEADER, compared(contenders, rosen, rosen_der(x), lambda x: 1)))


if __name__ == "__main__":
    elementwise()
    gradient()
