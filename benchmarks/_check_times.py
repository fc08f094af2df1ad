"""How long one check of a right gradient takes, and how often it calls f."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from _check_cases import NUMPY, PROBLEMS, Library, Problem
from _checkers import by_anygrad, by_jax, by_scipy, by_torch, installed, jax_library, torch_library
from _timing import medians, size, table

N = size(100, 10)
OURS: dict[str, Callable[[Problem], str]] = {
    "anygrad.check_gradient": by_anygrad,
    "anygrad.check_gradient, directions=3": partial(by_anygrad, directions=3),
}


def times() -> None:
    """Print a row for each tool, beside check_gradient on the same library."""
    rows = on_numpy()
    rows += on_torch() if installed("torch") else []
    rows += on_jax() if installed("jax") else []
    print(f"\nOne check of a right gradient, n = {N}, float64: Rosenbrock's function\n")
    print(table(("x of", "by", "time", "relative", "calls of f", "says"), rows))


def on_numpy() -> list[tuple[str, ...]]:
    theirs = {
        "SciPy's check_grad": by_scipy,
        'SciPy\'s check_grad, direction="random"': partial(by_scipy, direction="random"),
    }
    return _rows("NumPy", _problem(NUMPY), theirs if installed("scipy") else {})


def on_torch() -> list[tuple[str, ...]]:
    theirs = {
        "PyTorch's gradcheck": by_torch,
        "PyTorch's gradcheck, fast_mode=True": partial(by_torch, fast=True),
    }
    return _rows("PyTorch", _problem(torch_library()), theirs)


def on_jax() -> list[tuple[str, ...]]:
    import jax

    problem = _problem(jax_library())
    compiled = replace(problem, f=jax.jit(problem.f), grad=jax.jit(problem.grad))
    return _rows("JAX, compiled", compiled, {"JAX's check_grads": by_jax})


def _problem(lib: Library) -> Problem:
    return PROBLEMS["chain"](lib, "float64", 1.0, np.random.default_rng(0), N)


def _rows(library: str, problem: Problem, theirs: Mapping[str, Callable[[Problem], str]]) -> list[tuple[str, ...]]:
    checks = {**OURS, **theirs}
    took = medians({name: partial(check, problem) for name, check in checks.items()}, seconds=0.5, least=3)
    unit = took["anygrad.check_gradient"]
    rows = []
    for name, check in checks.items():
        calls: list[int] = []

        def counted(x: Any, calls: list[int] = calls) -> Any:
            calls.append(1)
            return problem.f(x)

        said = check(replace(problem, f=counted))
        rows.append((library, name, f"{took[name] * 1e3:.1f} ms", f"{took[name] / unit:.2f}", f"{len(calls):,}", said))
    return rows
