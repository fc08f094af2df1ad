"""Hessians of the Rosenbrock function, in time, points and error, against numdifftools and SciPy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numdifftools
import numpy as np
from _timing import medians, size, table
from adaptive import Counted
from scipy import differentiate
from scipy.optimize import rosen, rosen_hess

import anygrad


def main() -> None:
    for n in (10, size(50, 12)):
        x = np.random.default_rng(0).uniform(0.5, 1.5, n)
        exact = rosen_hess(x)
        contenders: dict[str, Callable[[Any], np.ndarray]] = {
            "anygrad, Central()": partial(anygrad.hessian, x=x),
            "anygrad, Central(order=4)": partial(anygrad.hessian, x=x, scheme=anygrad.Central(order=4)),
            "anygrad, Adaptive()": partial(anygrad.hessian, x=x, scheme=anygrad.Adaptive()),
            "numdifftools.Hessian": lambda f, x=x: numdifftools.Hessian(f)(x),
            # It gives f many points at once: arrays of shape (n, ...).
            "scipy.differentiate.hessian": lambda f, x=x: differentiate.hessian(f, x).ddf,
        }
        took = medians({name: partial(contender, rosen) for name, contender in contenders.items()}, least=3)
        rows = []
        for name, contender in contenders.items():
            counted = Counted(rosen, lambda x: x.size // x.shape[0])
            error = np.max(np.abs(contender(counted) - exact)) / np.max(np.abs(exact))
            relative = took[name] / took["anygrad, Central()"]
            rows.append((name, f"{took[name] * 1e3:.1f} ms", f"{relative:.1f}", f"{counted.count:,}", f"{error:.1e}"))
        print(f"\nHessian of Rosenbrock, n = {n}\n")
        print(table(("", "time", "relative", "points", "largest error / largest element"), rows))


if __name__ == "__main__":
    main()
