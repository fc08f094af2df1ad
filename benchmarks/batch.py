"""Many points in one call of f: against the book's loop, what a user would batch by hand, SciPy, and vmap by hand."""

from __future__ import annotations

import importlib.util
import sys
import timeit
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from _timing import medians, table, typical
from overhead import in_place_by_hand

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


def of_one_point(n: int) -> dict[str, Callable[[Array], Array]]:
    """Return functions of n numbers as users write them, for one point."""
    images, labels = np.random.default_rng(1).normal(size=(5, 10)), np.arange(5) % max(1, n // 10)
    side = int(n**0.5)
    shift = side * np.eye(side)

    def softmax_net(x: Array) -> Array:
        scores = images @ x.reshape(10, -1)
        scores = scores - scores.max(axis=1, keepdims=True)
        probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        return -np.log(probabilities[np.arange(5), labels] + 1e-7).mean() + (x**2).sum()

    def log_sum_exp(x: Array) -> Array:
        largest = np.max(x)
        return largest + np.log(np.sum(np.exp(x - largest)))

    def spring_chain(x: Array) -> Array:
        return 0.5 * np.sum((np.diff(x) - 0.1) ** 2) + 0.25 * np.sum(x**4)

    def logdet(x: Array) -> Array:
        return np.linalg.slogdet(x[: side * side].reshape(side, side) + shift)[1]

    return {
        "Rosenbrock": lambda x: np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2),
        "softmax net": softmax_net,
        "log-sum-exp": log_sum_exp,
        "spring chain": spring_chain,
        "logdet": logdet,
    }


def vmap_rows() -> list[tuple[str, ...]]:
    """Compare Loop and Vmap on NumPy: the whole gradient, and f alone at its points."""
    rows = []
    for n, at_least in ((10, 2.0), (100, 3.5), (1000, 0.9)):
        x = start(n)
        points = np.repeat(x[None], min(2 * n, 2**15 // n), axis=0) + H
        for name, f in of_one_point(n).items():
            took = medians(
                {
                    "loop": partial(anygrad.numerical_gradient, f, x),
                    "vmap": partial(anygrad.numerical_gradient, f, x, evaluator=anygrad.Vmap()),
                    "each": lambda f=f, points=points: [f(point) for point in points],
                    "many": partial(anygrad.vmap(f), points),
                },
                least=3,
            )
            wanted = 2.5 if (name, n) == ("softmax net", 100) else at_least
            times = (f"{took[key] * 1e3:.3f} ms" for key in ("loop", "vmap"))
            ratios = (f"{took['loop'] / took['vmap']:.1f}", str(wanted), f"{took['each'] / took['many']:.1f}")
            rows.append((name, f"{n:,}", *times, *ratios))
    return rows


def operation_rows() -> list[tuple[str, ...]]:
    """Compare an operation with a batched array of two points and the same with an array of one."""
    x, matrix = np.linspace(0.1, 0.9, 4), np.ones((4, 4))
    operations: dict[str, tuple[Callable[[Array], Array], int]] = {
        "x * x": (lambda x: x * x, 1),
        "x.sum()": (lambda x: x.sum(), 3),
        "np.exp(x)": (np.exp, 3),
        "x[1:]": (lambda x: x[1:], 8),
        "np.sum(x)": (np.sum, 8),
        "np.mean(x)": (np.mean, 8),
        "np.max(x)": (np.max, 8),
        "np.where(x > 0, x, 0)": (lambda x: np.where(x > 0, x, 0), 8),
        "np.maximum(x, 0)": (lambda x: np.maximum(x, 0), 8),
        "matrix @ x": (lambda x: matrix @ x, 8),
        "x @ x": (lambda x: x @ x, 8),
        "np.dot(x, x)": (lambda x: np.dot(x, x), 8),
        "np.stack([x, x])": (lambda x: np.stack([x, x]), 8),
        "np.concatenate([x, x])": (lambda x: np.concatenate([x, x]), 8),
        "np.linalg.norm(x)": (np.linalg.norm, 8),
        "x.reshape(2, 2)": (lambda x: x.reshape(2, 2), 8),
        "np.cumsum(x)": (np.cumsum, 8),
        "np.zeros_like(x)": (np.zeros_like, 8),
    }
    rows = []
    for name, (operation, at_most) in operations.items():
        times: dict[bool, float] = {}

        def timed(x: Array, operation: Any = operation, times: dict[bool, float] = times) -> Array:
            took = min(timeit.repeat(lambda: operation(x), number=500, repeat=20)) / 500
            times[type(x) is np.ndarray] = took
            return x[0]

        anygrad.vmap(timed)(np.stack([x, x]))  # which calls it for one point alone as well
        more = (times[False] - times[True]) * 1e6
        rows.append((name, f"{times[True] * 1e6:.1f}", f"{times[False] * 1e6:.1f}", f"{more:.1f}", str(at_most)))
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


def in_one_kernel() -> Callable[[Array], Array]:
    """Return Rosenbrock's function as users of CuPy write one that is to be fast: x is read once."""
    import cupy

    kernel = cupy.ReductionKernel(
        "T low, T high",
        "T value",
        "100 * (high - low * low) * (high - low * low) + (1 - low) * (1 - low)",
        "a + b",
        "value = a",
        "0",
        "rosenbrock",
    )
    return lambda x: kernel(x[..., :-1], x[..., 1:], axis=-1)


def at(f: Callable[[Array], Array], x: Array, _: Array) -> Array:
    """Return f at x, whatever else is asked for."""
    return f(x)


def synchronised(function: Callable[[], object]) -> float:
    """Return the time that a function takes until the device has done all of it."""
    import cupy

    def finished() -> None:
        function()
        cupy.cuda.Device().synchronize()

    return typical(finished, least=3)


def cupy_rows() -> list[tuple[str, ...]]:
    """Measure what calls f for one point at a time on 1,000 elements, and scale it up."""
    import cupy

    if not cupy.is_available():
        print("CuPy is left out: it finds no CUDA device\n")
        return []
    properties = cupy.cuda.runtime.getDeviceProperties(0)
    # Two transfers a cycle; every point is read once at least.
    bandwidth = 2 * properties["memoryClockRate"] * 1e3 * properties["memoryBusWidth"] / 8
    rows, gradient = [], anygrad.numerical_gradient
    for name, f in (("Rosenbrock", rosenbrock), ("the same in one kernel", in_one_kernel())):
        for n in (1_000, 100_000):
            x = cupy.asarray(start(n))
            head, f_of_x = x[:1_000], partial(at, f, x)  # which sees these change, as part of x
            took = {
                "the book's loop": n / head.size * synchronised(partial(in_place_by_hand, f_of_x, head)),
                "Loop()": n / head.size * synchronised(partial(gradient, f_of_x, head)),
                "Loop(graph=True)": synchronised(partial(gradient, f, x, evaluator=anygrad.Loop(graph=True))),
                "Batch()": synchronised(partial(gradient, f, x, evaluator=anygrad.Batch())),
            }
            for by, wanted in (("the book's loop", ""), ("Loop()", ""), ("Loop(graph=True)", "10"), ("Batch()", "300")):
                share = 2 * n * x.nbytes / took[by] / bandwidth
                faster = took["the book's loop"] / took[by]
                rows.append((name, f"{n:,}", by, f"{took[by]:.4f} s", f"{faster:.1f}", wanted, f"{share:.0%}"))
    print(f"CuPy on an {properties['name'].decode()}\n")
    return rows


def main() -> None:
    header = ("n", "the book's loop", "by hand", "Batch", "loop / Batch", "wanted", "Batch / hand", "wanted at most")
    print("Rosenbrock, NumPy\n\n" + table(header, numpy_rows()))
    print("\nAgainst SciPy\n\n" + table(("n", "", "time", "times as fast", "peak memory"), scipy_rows()) + "\n")
    header = ("f", "n", "Loop", "Vmap", "Loop / Vmap", "wanted", "f alone: each / vmap")
    print("f of one point, NumPy\n\n" + table(header, vmap_rows()) + "\n")
    header = ("operation", "one point, µs", "two points", "more", "wanted at most")
    print("An operation\n\n" + table(header, operation_rows()) + "\n")
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
        header = ("f", "n", "by", "time", "times as fast", "wanted at least", "bandwidth")
        print(table(header, on_device))


if __name__ == "__main__":
    main()
