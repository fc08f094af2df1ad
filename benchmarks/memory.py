"""What a gradient allocates beyond x and the result, in arrays of x's size."""

from __future__ import annotations

import tracemalloc

import numpy as np
from _timing import size, table

import anygrad


def peak(x: np.ndarray, **options: object) -> float:
    """Return the peak of what is allocated during a gradient, but for the result, in units of x.nbytes."""
    constant = 1.0
    anygrad.numerical_gradient(lambda x: constant, x[:2], **options)  # imports and caches
    tracemalloc.start()
    anygrad.numerical_gradient(lambda x: constant, x, **options)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / x.nbytes - 1


def main() -> None:
    rows = []
    for n in (100_000, size(1_000_000, 200_000)):
        for name, x in (
            ("float64", np.ones(n)),
            ("float32", np.ones(n, dtype=np.float32)),
            ("float64, strided", np.ones((2, n))[:, ::2].T),
        ):
            rows.append((name, f"{x.size:,}", f"{peak(x):.2f}", "3"))
    fixed = peak(np.ones(2048)) * np.ones(2048).nbytes
    print(f"What a block of elements takes, however large x is: {fixed / 1024:.0f} KiB.\n")
    print(table(("x", "n", "arrays of x's size beyond x and the result", "wanted at most"), rows))


if __name__ == "__main__":
    main()
