"""A tridiagonal Jacobian: all of its columns, its three groups of them, and SciPy's groups."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from _timing import medians, table
from scipy.optimize._numdiff import approx_derivative, group_columns

import anygrad


def broyden(x: np.ndarray) -> np.ndarray:
    """Return Broyden's tridiagonal function (J. J. More et al., ACM TOMS 7 (1981), 17-41, number 30)."""
    y = (3 - 2 * x) * x + 1
    y[1:] -= x[:-1]
    y[:-1] -= 2 * x[1:]
    return y


def exact(x: np.ndarray) -> np.ndarray:
    n = x.size
    return np.diag(3 - 4 * x) - np.diag(np.ones(n - 1), -1) - 2 * np.diag(np.ones(n - 1), 1)


def main() -> None:
    n = 1000
    x = np.random.default_rng(0).uniform(0.5, 1.5, n)
    pattern = sp.diags_array([np.ones(n - 1), np.ones(n), np.ones(n - 1)], offsets=[-1, 0, 1]).tocsr()
    groups = group_columns(pattern)  # SciPy's own order is a random one
    contenders: dict[str, Callable[[Any], Any]] = {
        "anygrad, sparsity=pattern": partial(anygrad.jacobian, x=x, sparsity=pattern),
        'anygrad, sparsity="detect"': partial(anygrad.jacobian, x=x, sparsity="detect"),
        "anygrad, dense": partial(anygrad.jacobian, x=x),
        "SciPy approx_derivative, sparsity": lambda f: approx_derivative(f, x, method="3-point", sparsity=pattern),
        "the same, groups known": lambda f: approx_derivative(f, x, method="3-point", sparsity=(pattern, groups)),
        "SciPy approx_derivative, dense": lambda f: approx_derivative(f, x, method="3-point"),
    }
    took = medians({name: partial(contender, broyden) for name, contender in contenders.items()}, least=5)
    rows = []
    for name, contender in contenders.items():
        calls: list[int] = []
        jacobian = contender(lambda x, calls=calls: calls.append(1) or broyden(x))
        error = np.max(np.abs((jacobian.toarray() if sp.issparse(jacobian) else jacobian) - exact(x)))
        relative = took[name] / took["anygrad, sparsity=pattern"]
        rows.append((name, f"{took[name] * 1e3:.2f} ms", f"{relative:.1f}", f"{len(calls):,}", f"{error:.1e}"))
    print(f"\nTridiagonal Jacobian, n = {n:,}\n")
    print(table(("", "time", "relative", "calls", "largest error"), rows))


if __name__ == "__main__":
    main()
