"""Adaptive derivatives, in time, points and error, against SciPy, numdifftools and jacobi."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numdifftools
import numpy as np
from _timing import arguments, medians, medians_apart, size, table, typical
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


Contender = Callable[[Any], Array]

POINTS = np.random.default_rng(0).uniform(-1.0, 1.0, size(1_000_000, 10_000))
ELEMENTWISE: dict[str, Contender] = {
    "anygrad.derivative, Adaptive()": lambda f: anygrad.derivative(f, POINTS),
    "scipy.differentiate.derivative": lambda f: differentiate.derivative(f, POINTS).df,
    "scipy.differentiate.derivative, rtol 1e-13": lambda f: (
        differentiate.derivative(f, POINTS, tolerances={"rtol": 1e-13, "atol": 1e-13}).df
    ),
}
HEADER = ("", "time", "relative", "points an element", "median error", "mean error", "largest error")


def rows(
    contenders: dict[str, Contender], took: dict[str, float], f: Any, exact: Array, points: Callable[[Array], int]
) -> list[tuple[str, ...]]:
    """Return rows of time, points and error; the first of the contenders is what times are relative to."""
    unit = next(iter(took.values()))
    found = []
    for name, contender in contenders.items():
        counted = Counted(f, points)
        error = np.abs(contender(counted) - exact) / np.max(np.abs(exact))
        evaluated = f"{counted.count / exact.size:.1f}"
        row = f"{took[name] * 1e3:.1f} ms", f"{took[name] / unit:.2f}", evaluated
        found.append((name, *row, *(f"{figure(error):.1e}" for figure in (np.median, np.mean, np.max))))
    return found


def elementwise() -> None:
    took = medians_apart(__file__, ELEMENTWISE)
    print(f"\nDerivative of exp at {POINTS.size:,} points (errors relative to the largest), a process each\n")
    print(table(HEADER, rows(ELEMENTWISE, took, np.exp, np.exp(POINTS), np.size)))


def gradient() -> None:
    x = np.random.default_rng(0).uniform(0.5, 1.5, 100)
    contenders: dict[str, Contender] = {
        "anygrad, Adaptive()": lambda f: anygrad.numerical_gradient(f, x, scheme=anygrad.Adaptive()),
        "numdifftools.Gradient": lambda f: numdifftools.Gradient(f)(x),
        "jacobi": lambda f: jacobi(f, x)[0],
    }
    took = medians({name: partial(contender, rosen) for name, contender in contenders.items()}, least=3)
    print("\nGradient of Rosenbrock, n = 100 (errors relative to the largest element)\n")
    print(table(HEADER, rows(contenders, took, rosen, rosen_der(x), lambda x: 1)))


def rosenbrock(x: Array) -> Array:
    """Rosenbrock's function of points along the last axis."""
    return np.sum(100 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1 - x[..., :-1]) ** 2, axis=-1)


def beside_others() -> None:
    """Print how long small and batched problems take in units of the time of another package."""
    two, ten = np.array([0.7, 1.3]), np.linspace(-1.0, 1.0, 10)
    pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "gradient of two elements, Loop / numdifftools.Gradient": (
            lambda: anygrad.numerical_gradient(rosen, two, scheme=anygrad.Adaptive()),
            lambda: numdifftools.Gradient(rosen)(two),
        ),
        "derivative of exp, 10 points / scipy.differentiate.derivative": (
            lambda: anygrad.derivative(np.exp, ten),
            lambda: differentiate.derivative(np.exp, ten),
        ),
    }
    for n in 10, 100:
        x = np.random.default_rng(0).uniform(0.5, 1.5, n)
        pairs[f"gradient of Rosenbrock, Batch, n = {n} / scipy.differentiate.jacobian"] = (
            lambda x=x: anygrad.numerical_gradient(rosenbrock, x, scheme=anygrad.Adaptive(), evaluator=anygrad.Batch()),
            lambda x=x: differentiate.jacobian(lambda points: rosenbrock(np.moveaxis(points, 0, -1)), x),
        )
    found = []
    for name, (own, other) in pairs.items():
        took = medians({"own": own, "other": other})
        found.append((name, f"{took['own'] / took['other']:.2f}"))
    print("\nTimes in units of another package's, side by side\n")
    print(table(("", "ratio"), found))


if __name__ == "__main__":
    if arguments():
        [name] = arguments()
        print(typical(partial(ELEMENTWISE[name], np.exp)))
    else:
        elementwise()
        gradient()
        beside_others()
