"""Many points in one call of f: against the book's loop, what a user would batch by hand, SciPy, and vmap by hand."""

from __future__ import annotations

import importlib.util
import sys
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from _timing import medians, table

import anygrad

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import reference

Array = Any
H = 1e-4


def rosenbrock(x: Array) -> Array:
    """Return it for one point, or for many along a leading axis."""
    return (100.0 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1.0 - x[..., :-1]) ** 2).sum(-1)


def start(n: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, n)


def by_hand(x: np.ndarray) -> np.ndarray:
    """Differentiate with all points in one dense array."""
    offsets = H * np.eye(x.size)
    values = rosenbrock(np.concatenate([x + offsets, x - offsets]))
    return (values[: x.size] - values[x.size :]) / (2 * H)


def numpy_rows() -> list[tuple[str, ...]]:
    rows = []
    for n, at_least in ((20, "8"), (100, "5"), (1000, "2")):
        x = start(n)
        took = medians(
            {
                "loop": partial(reference.numerical_gradient, rosenbrock, x),
                "hand": partial(by_hand, x),
                "batch": partial(anygrad.numerical_gradient, rosenbrock, x, evaluator=anygrad.Batch()),
            }
        )
        faster, relative = took["loop"] / took["batch"], took["batch"] / took["hand"]
        times = (f"{took[name] * 1e3:.3f} ms" for name in ("loop", "hand", "batch"))
        rows.append((f"{n:,}", *times, f"{faster:.1f}", at_least, f"{relative:.2f}", "1.3" if n < 1000 else "1"))
    return rows


def peak(function: Callable[[], object]) -> int:
    tracemalloc.start()
    function()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def scipy_rows() -> list[tuple[str, ...]]:
    from scipy.differentiate import jacobian

    rows = []
    for n in (20, 100, 300):
        x = start(n)
        functions = {
            "scipy": partial(jacobian, lambda x: rosenbrock(np.moveaxis(x, 0, -1)), x),
            "batch": partial(anygrad.numerical_gradient, rosenbrock, x, evaluator=anygrad.Batch()),
            "eighth": partial(
                anygrad.numerical_gradient, rosenbrock, x, evaluator=anygrad.Batch(), scheme=anygrad.Central(order=8)
            ),
            "adaptive": partial(
                anygrad.numerical_gradient, rosenbrock, x, evaluator=anygrad.Batch(), scheme=anygrad.Adaptive()
            ),
        }
        took = medians(functions, seconds=3, least=3)
        for name, label in (
            ("scipy", "scipy.differentiate.jacobian"),
            ("batch", "Batch()"),
            ("eighth", "Batch(), Central(order=8)"),
            ("adaptive", "Batch(), Adaptive()"),
        ):
            memory = f"{peak(functions[name]) / 2**20:.1f} MiB"
            rows.append((f"{n:,}", label, f"{took[name] * 1e3:.2f} ms", f"{took['scipy'] / took[name]:.1f}", memory))
    return rows


def torch_rows() -> list[tuple[str, ...]]:
    import torch

    def hand(x: Array) -> Array:
        n = x.shape[0]
        offsets = H * torch.eye(n, dtype=x.dtype, device=x.device)
        values = torch.func.vmap(rosenbrock)(torch.cat([x + offsets, x - offsets]))
        return (values[:n] - values[n:]) / (2 * H)

    return [_vmap_row("PyTorch", hand, torch.from_numpy(start(n)), rosenbrock) for n in (20, 100, 1000)]


def jax_rows() -> list[tuple[str, ...]]:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    f = jax.jit(rosenbrock)

    @jax.jit
    def hand(x: Array) -> Array:
        n = x.shape[0]
        offsets = H * jnp.eye(n)
        values = jax.vmap(f)(jnp.concatenate([x + offsets, x - offsets]))
        return (values[:n] - values[n:]) / (2 * H)

    return [_vmap_row("JAX", hand, jnp.asarray(start(n)), f) for n in (20, 100, 1000)]


def _vmap_row(name: str, hand: Callable[[Array], Array], x: Array, f: Callable[[Array], Array]) -> tuple[str, ...]:
    def finished(gradient: Callable[[], Array]) -> float:
        return float(gradient()[0])

    took = medians(
        {
            "hand": partial(finished, partial(hand, x)),
            "vmap": partial(finished, partial(anygrad.numerical_gradient, f, x, evaluator=anygrad.Vmap())),
        },
        least=3,
    )
    ours, theirs = (f"{took[key] * 1e3:.3f} ms" for key in ("vmap", "hand"))
    return name, f"{x.shape[0]:,}", theirs, ours, f"{took['vmap'] / took['hand']:.2f}", "1.15"


def cupy_rows() -> list[tuple[str, ...]]:
    """Measure the loop on 1,000 elements at most, and scale it up: with 100,000 it takes minutes."""
    import cupy

    if not cupy.is_available():
        print("CuPy is left out: it finds no CUDA device\n")
        return []
    rows = []
    for n in (1_000, 100_000):
        x = cupy.asarray(start(n))
        part = min(n, 1_000)

        def loop(x: Array = x, part: int = part) -> None:
            for i in range(part):
                kept = x[i].copy()
                for level in (kept + H, kept - H):
                    x[i] = level
                    rosenbrock(x)
                x[i] = kept
            cupy.cuda.Device().synchronize()

        def batch(x: Array = x) -> None:
            anygrad.numerical_gradient(rosenbrock, x, evaluator=anygrad.Batch())
            cupy.cuda.Device().synchronize()

        loop(), batch()
        began = time.perf_counter()
        loop()
        between = time.perf_counter()
        batch()
        of_loop, of_batch = (between - began) * n / part, time.perf_counter() - between
        properties = cupy.cuda.runtime.getDeviceProperties(0)
        # Two transfers a cycle; every point is read once at least.
        bandwidth = 2 * properties["memoryClockRate"] * 1e3 * properties["memoryBusWidth"] / 8
        share = 2 * n * x.nbytes / of_batch / bandwidth
        times = f"{of_loop:.3f} s", f"{of_batch:.4f} s"
        rows.append((properties["name"].decode(), f"{n:,}", *times, f"{of_loop / of_batch:.0f}", "300", f"{share:.0%}"))
    return rows


def main() -> None:
    header = ("n", "the book's loop", "by hand", "Batch", "loop / Batch", "wanted", "Batch / hand", "wanted at most")
    print("Rosenbrock, NumPy\n\n" + table(header, numpy_rows()))
    print("\nAgainst SciPy\n\n" + table(("n", "", "time", "times as fast", "peak memory"), scipy_rows()) + "\n")
    rows = []
    for library, more in (("torch", torch_rows), ("jax", jax_rows)):
        if importlib.util.find_spec(library):
            rows += more()
        else:
            print(f"{library} is not installed: left out\n")
    print("Vmap\n\n" + table(("library", "n", "by hand", "Vmap", "ratio", "wanted at most"), rows) + "\n")
    if not importlib.util.find_spec("cupy"):
        print("CuPy is not installed: left out")
    elif on_device := cupy_rows():
        print(table(("device", "n", "loop", "Batch", "ratio", "wanted at least", "bandwidth"), on_device))


if __name__ == "__main__":
    main()
