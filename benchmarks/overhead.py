"""What a gradient costs beyond the calls of f, against the loop that a user would write."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _timing import medians, table

import anygrad

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import reference

Array = Any
VALUE = np.float64(1.5)


def constant(x: Array) -> np.float64:
    """Cost next to nothing, so that the overhead is what is measured; return what NumPy's functions return."""
    return VALUE


def bare(f: Callable[[Array], object], x: Array, calls: int) -> None:
    for _ in range(calls // 2):
        f(x)
        f(x)


def numpy_rows() -> list[tuple[str, ...]]:
    rows = []
    layouts = {
        "contiguous": lambda n: np.ones(n),
        "contiguous, 2-d": lambda n: np.ones((n // 10, 10)),
        "strided": lambda n: np.ones(2 * n)[::2],
        "transposed, 2-d": lambda n: np.ones((10, n // 10)).T,
    }
    for n in (1_000, 100_000):
        for layout, make in layouts.items():
            x = make(n)
            took = medians(
                {
                    "calls": lambda: bare(constant, x, 2 * n),
                    "reference": lambda: reference.numerical_gradient(constant, x),
                    "anygrad": lambda: anygrad.numerical_gradient(constant, x),
                }
            )
            theirs, ours = ((took[name] - took["calls"]) / n * 1e6 for name in ("reference", "anygrad"))
            target = "0.3" if layout.startswith("contiguous") else "1"
            rows.append(
                (f"NumPy, {layout}", f"{n:,}", f"{theirs:.2f} µs", f"{ours:.2f} µs", f"{ours / theirs:.2f}", target)
            )
    return rows


def torch_loop(f: Callable[[Array], Array], x: Array) -> Array:
    """Differentiate as a user of PyTorch would."""
    import torch

    h = 1e-4
    grad = torch.zeros_like(x)
    flat, out = x.view(-1), grad.view(-1)
    for i in range(flat.numel()):
        value = flat[i].item()
        flat[i] = value + h
        above = f(x)
        flat[i] = value - h
        below = f(x)
        out[i] = (above - below) / (2 * h)
        flat[i] = value
    return grad


def jax_loop(f: Callable[[Array], Array], x: Array) -> Array:
    """Differentiate as a user of JAX would."""
    import jax.numpy as jnp

    h = 1e-4
    return jnp.stack([(f(x.at[i].add(h)) - f(x.at[i].add(-h))) / (2 * h) for i in range(x.size)])


def other_row(name: str, x: Array, value: Array, loop: Callable[..., Array]) -> tuple[str, ...]:
    n = x.shape[0]

    def f(x: Array) -> Array:
        return value if n else x

    took = medians(
        {
            "calls": lambda: bare(f, x, 2 * n),
            "loop": lambda: loop(f, x),
            "anygrad": lambda: anygrad.numerical_gradient(f, x),
        },
        least=3,
    )
    theirs, ours = ((took[key] - took["calls"]) / n * 1e6 for key in ("loop", "anygrad"))
    return name, f"{n:,}", f"{theirs:.2f} µs", f"{ours:.2f} µs", f"{ours / theirs:.2f}", "1"


def main() -> None:
    rows = numpy_rows()
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed: left out")
    else:
        for n in (1_000, 10_000):
            rows.append(
                other_row("PyTorch", torch.ones(n, dtype=torch.float64), torch.tensor(1.5).double(), torch_loop)
            )
    try:
        import jax
    except ImportError:
        print("JAX is not installed: left out")
    else:
        import warnings

        warnings.simplefilter("ignore", anygrad.ConstantFunctionWarning)
        for n in (100, 1_000):
            rows.append(other_row("JAX", jax.numpy.ones(n), jax.numpy.asarray(1.5), jax_loop))
    print(table(("array", "n", "loop by hand, per element", "anygrad, per element", "ratio", "at most"), rows))


if __name__ == "__main__":
    main()
