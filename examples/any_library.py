"""Check one gradient on NumPy, PyTorch, JAX or CuPy. Only the creation of the array differs.

Run it with ``python examples/any_library.py torch``.
"""

from __future__ import annotations

import sys
from typing import Any

import anygrad

NUMBERS = [[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]]


def create(library: str) -> Any:
    """Return the same numbers as an array of the library named."""
    if library == "numpy":
        import numpy

        return numpy.array(NUMBERS)
    if library == "torch":
        import torch

        return torch.tensor(NUMBERS, dtype=torch.float64, device="cuda" if torch.cuda.is_available() else "cpu")
    if library == "jax":
        import jax

        return jax.numpy.array(NUMBERS)
    if library == "cupy":
        import cupy

        return cupy.array(NUMBERS)
    raise SystemExit(f"any_library.py knows numpy, torch, jax and cupy, but not {library!r}")


def f(x: Any) -> Any:
    return (x**3).sum()


def gradient_by_hand(x: Any) -> Any:
    return 3 * x**2


def main() -> None:
    x = create(sys.argv[1] if len(sys.argv) > 1 else "numpy")
    numerical = anygrad.numerical_gradient(f, x)
    print(numerical)
    print("largest difference from the gradient by hand:", float(abs(numerical - gradient_by_hand(x)).max()))


if __name__ == "__main__":
    main()
