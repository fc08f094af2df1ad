"""Gradients of the Rosenbrock function, in time and error, against other packages at equal order."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numdifftools
import numpy as np
from _timing import medians, table
from scipy.optimize import rosen, rosen_der
from scipy.optimize._numdiff import approx_derivative
from statsmodels.tools.numdiff import approx_fprime

import anygrad

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import reference

CONTENDERS: dict[str, Callable[[np.ndarray], Any]] = {
    "anygrad, default": partial(anygrad.numerical_gradient, rosen),
    "anygrad, Central()": partial(anygrad.numerical_gradient, rosen, scheme=anygrad.Central()),
    "the book's loop": partial(reference.numerical_gradient, rosen),
    "SciPy approx_derivative, 3-point": partial(approx_derivative, rosen, method="3-point"),
    "statsmodels approx_fprime, centered": lambda x: approx_fprime(x, rosen, centered=True),
    "numdifftools Gradient, one step": numdifftools.Gradient(
        rosen, order=2, step=numdifftools.MinStepGenerator(num_steps=1)
    ),
    "numdifftools Gradient, default": numdifftools.Gradient(rosen),
    "anygrad, Central(order=4)": partial(anygrad.numerical_gradient, rosen, scheme=anygrad.Central(order=4)),
}


def main() -> None:
    for n in (100, 1_000):
        x = np.random.default_rng(0).uniform(0.5, 1.5, n)
        exact = rosen_der(x)
        slow = {"numdifftools Gradient, default"} if n > 100 else set()
        took = medians(
            {name: partial(gradient, x) for name, gradient in CONTENDERS.items() if name not in slow}, least=3
        )
        unit = took["anygrad, default"]
        rows = []
        for name, seconds in took.items():
            error = np.max(np.abs(CONTENDERS[name](x) - exact)) / np.max(np.abs(exact))
            rows.append((name, f"{seconds * 1e3:.2f} ms", f"{seconds / unit:.2f}", f"{error:.1e}"))
        print(f"\nRosenbrock, n = {n:,}\n")
        print(table(("", "time", "relative to anygrad's default", "largest error / largest element"), rows))


if __name__ == "__main__":
    main()
