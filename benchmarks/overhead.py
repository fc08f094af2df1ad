"""What a derivative costs beyond the calls of f: beside SciPy, the calls alone and the loop that a user would write."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from _timing import imports, medians, size, table

import anygrad

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import reference

Array = Any
Function = Callable[[Array], Any]


def bare(f: Function, x: Array, n: int) -> None:
    """Call f as often as a gradient of n elements does."""
    for _ in range(n):
        f(x)
        f(x)


def finished(gradient: Callable[[Function, Array], Array], f: Function, x: Array) -> float:
    """Compute a gradient and wait for the device to be done with it."""
    return float(gradient(f, x).reshape(-1)[0])


def row(name: str, f: Function, x: Array, by_hand: Callable[[Function, Array], Array], at_most: str) -> tuple[str, ...]:
    n = np.size(x) if isinstance(x, np.ndarray) else x.shape[0]
    took = medians(
        {
            "calls": partial(bare, f, x, n),
            "by hand": partial(finished, by_hand, f, x),
            "anygrad": partial(finished, anygrad.numerical_gradient, f, x),
        },
        least=3,
    )
    theirs, ours = ((took[key] - took["calls"]) / n * 1e6 for key in ("by hand", "anygrad"))
    return name, f"{n:,}", f"{theirs:.2f} µs", f"{ours:.2f} µs", f"{ours / theirs:.2f}", at_most


def numpy_rows() -> list[tuple[str, ...]]:
    # f costs next to nothing, so that what is measured is the rest; it returns what NumPy's functions return.
    value = np.float64(1.5)
    rows = []
    for n in (1_000, size(100_000, 5_000)):
        for layout, x, at_most in (
            ("contiguous", np.ones(n), "0.3"),
            ("contiguous, 2-d", np.ones((n // 10, 10)), "0.3"),
            ("contiguous, 4-d", np.ones((10, 10, 2, n // 200)), "0.3"),
            ("strided", np.ones(2 * n)[::2], "1"),
            ("transposed, 2-d", np.ones((10, n // 10)).T, "1"),
        ):
            rows.append(row(f"NumPy, {layout}", lambda _: value, x, reference.numerical_gradient, at_most))
    return rows


def in_place_by_hand(f: Function, x: Array) -> Array:
    """Differentiate as a user of PyTorch or CuPy would."""
    h = 1e-4
    grad = 0 * x
    for i in range(x.shape[0]):
        value = float(x[i])
        x[i] = value + h
        above = f(x)
        x[i] = value - h
        below = f(x)
        grad[i] = (above - below) / (2 * h)
        x[i] = value
    return grad


def torch_rows() -> list[tuple[str, ...]]:
    import torch

    rows = []
    for device in ("cpu", "cuda"):
        if device == "cuda" and not torch.cuda.is_available():
            print("PyTorch on CUDA is left out: it finds no device\n")
            break
        value = torch.tensor(1.5, dtype=torch.float64, device=device)
        name = "PyTorch" if device == "cpu" else f"PyTorch on {torch.cuda.get_device_name()}"
        for n in (1_000, size(10_000, 2_000)):
            x = torch.ones(n, dtype=torch.float64, device=device)
            rows.append(row(name, lambda _, value=value: value, x, in_place_by_hand, "1"))
    return rows


def cupy_rows() -> list[tuple[str, ...]]:
    import cupy

    if not cupy.is_available():
        print("CuPy is left out: it finds no CUDA device\n")
        return []
    value = cupy.asarray(1.5)
    name = f"CuPy on {cupy.cuda.runtime.getDeviceProperties(0)['name'].decode()}"
    return [row(name, lambda _: value, cupy.ones(n), in_place_by_hand, "1") for n in (1_000, 10_000)]


def jax_by_hand(f: Function, x: Array) -> Array:
    import jax.numpy as jnp

    h = 1e-4
    return jnp.stack([(f(x.at[i].add(h)) - f(x.at[i].add(-h))) / (2 * h) for i in range(x.size)])


def jax_rows() -> list[tuple[str, ...]]:
    import jax.numpy as jnp

    # This f is constant on purpose, and the warning that says so is right.
    warnings.simplefilter("ignore", anygrad.ConstantFunctionWarning)
    value = jnp.asarray(1.5)
    return [row("JAX", lambda _: value, jnp.ones(n), jax_by_hand, "1") for n in (100, size(1_000, 200))]


def ratio(what: str, took: dict[str, float], ours: str, theirs: str) -> tuple[str, ...]:
    """Return a row of two functions that were measured side by side."""
    times = (f"{took[key] * 1e6:,.1f} µs" for key in (ours, theirs))
    return what, ours, theirs, *times, f"{took[ours] / took[theirs]:.2f}"


def small_rows() -> list[tuple[str, ...]]:
    """Measure derivatives that take few calls of a fast f: getting ready takes longer than they do."""
    from scipy.optimize._numdiff import approx_derivative as scipys

    scipy_3_point = partial(scipys, method="3-point")

    def f(x: Array) -> Any:
        return x[0] * x[1]

    def squares(x: Array) -> Array:
        return x * x

    x, x20 = np.array([3.0, 4.0]), np.arange(1.0, 21.0)
    gradients = medians(
        {
            "numerical_gradient": partial(anygrad.numerical_gradient, f, x),
            "numerical_gradient_1d": partial(anygrad.numerical_gradient_1d, f, x),
            "numerical_gradient_2d": partial(anygrad.numerical_gradient_2d, f, x[None]),
            "grad(f)(x)": lambda: anygrad.grad(f)(x),
            "approx_derivative": partial(scipy_3_point, f, x),
        }
    )
    pairs = [
        ("numerical_gradient", "approx_derivative"),
        ("grad(f)(x)", "approx_derivative"),
        ("numerical_gradient_1d", "numerical_gradient"),
        ("numerical_gradient_2d", "numerical_gradient"),
    ]
    rows = [ratio("gradient, n = 2", gradients, *pair) for pair in pairs]
    for at in (x, x20):
        took = medians(
            {
                "jacobian": partial(anygrad.jacobian, squares, at),
                "approx_derivative": partial(scipy_3_point, squares, at),
            }
        )
        rows.append(ratio(f"Jacobian, {len(at)} by {len(at)}", took, *took))
    took = medians(
        {
            "hessian": partial(anygrad.hessian, f, x),
            "approx_derivative of it": partial(scipy_3_point, partial(scipy_3_point, f), x),
        }
    )
    return [*rows, ratio("Hessian, n = 2", took, *took)]


def tree_by_hand(f: Function, arrays: list[Array]) -> list[Array]:
    return [in_place_by_hand(lambda _: f(arrays), x) for x in arrays]


def larger_rows() -> list[tuple[str, ...]]:
    """Measure an f of about 20 µs, a tree of many small arrays, and what importing takes."""
    x = np.linspace(-3.0, 3.0, 1_000)

    def waves(x: Array) -> Any:
        return (np.sin(x) * np.exp(x)).sum()

    took = medians(
        {
            "numerical_gradient": partial(anygrad.numerical_gradient, waves, x),
            "2n calls": partial(bare, waves, x, len(x)),
        }
    )
    each = took["2n calls"] / (2 * len(x)) * 1e6
    rows = [ratio(f"gradient, n = 1,000, f of {each:.0f} µs", took, *took)]
    value, arrays = np.float64(1.5), [np.ones(2) for _ in range(size(2_000, 200))]
    took = medians(
        {
            "numerical_gradient": partial(anygrad.numerical_gradient, lambda _: value, arrays),
            "by hand": partial(tree_by_hand, lambda _: value, arrays),
        }
    )
    rows.append(ratio(f"a tree of {len(arrays):,} arrays of 2 elements", took, *took))
    took = imports("anygrad", "numpy")
    return [*rows, ratio("import", took, *took)]


def main() -> None:
    header = ("what", "anygrad", "beside it", "anygrad's time", "its time", "ratio")
    print(table(header, [*small_rows(), *larger_rows()]) + "\n")
    rows = numpy_rows()
    for library, more in (("torch", torch_rows), ("jax", jax_rows), ("cupy", cupy_rows)):
        if importlib.util.find_spec(library):
            rows += more()
        else:
            print(f"{library} is not installed: left out\n")
    print(table(("array", "n", "by hand, per element", "anygrad, per element", "ratio", "wanted at most"), rows))


if __name__ == "__main__":
    main()
