"""Makes the tables and the picture of choosing-a-scheme.md: ``python docs/choosing_a_scheme.py [FOLDER]``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import anygrad

SCHEMES = {
    "the default (the book's step)": None,
    "Forward()": anygrad.Forward(),
    "Forward(order=2)": anygrad.Forward(order=2),
    "Central()": anygrad.Central(),
    "Central(order=4)": anygrad.Central(order=4),
    "Central(order=8)": anygrad.Central(order=8),
    "Adaptive()": anygrad.Adaptive(),
    "Complex()": anygrad.Complex(),
}


def table() -> str:
    """Return what each scheme costs and gives, on the gradient of a sum of exp(sin(x)) at 300 points."""
    lines = ["| scheme | calls of f an element | error in float64 | error in float32 |", "| --- | --- | --- | --- |"]
    for name, scheme in SCHEMES.items():
        errors = []
        for dtype in (np.float64, np.float32):
            x = np.linspace(0.1, 3.0, 300).astype(dtype)
            # Each element by itself, so that the sum's rounding is not what is measured.
            results = [
                anygrad.numerical_gradient(lambda t: np.exp(np.sin(t)), element, scheme=scheme, full_output=True)
                for element in x
            ]
            exact = np.cos(x.astype(float)) * np.exp(np.sin(x.astype(float)))
            errors.append(np.median(np.abs([float(result.value) for result in results] - exact) / np.abs(exact)))
            if dtype is np.float64:
                calls = np.median([result.ncalls for result in results])
        fixed = {"Forward()": "1", "Forward(order=2)": "2", "Complex()": "1"}  # f(x), and a check, are for all elements
        lines.append(f"| `{name}` | {fixed.get(name, f'{calls:.0f}')} | {errors[0]:.0e} | {errors[1]:.0e} |")
    return "\n".join(lines)


def second_derivatives() -> str:
    """Return the same of the second derivative."""
    names = ("Central()", "Central(order=4)", "Adaptive()", "Complex()")
    lines = ["| scheme | calls of f | error |", "| --- | --- | --- |"]
    x = np.linspace(0.1, 3.0, 300)
    exact = (np.cos(x) ** 2 - np.sin(x)) * np.exp(np.sin(x))
    for name in names:
        results = [
            anygrad.hessian(lambda t: np.exp(np.sin(t)), element, scheme=SCHEMES[name], full_output=True)
            for element in x
        ]
        error = np.median(np.abs([float(result.value) for result in results] - exact) / np.abs(exact))
        calls = np.median([result.ncalls for result in results])
        lines.append(f"| `{name}` | {calls:.0f} | {error:.0e} |")
    return "\n".join(lines)


def f(x: np.ndarray) -> float:
    """Return the function of the page's example."""
    return float(np.exp(x[0]) + np.sin(x[1]))


def picture(path: Path) -> None:
    """Draw the error against the step, for two schemes side by side."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    x = np.array([0.5, 100.0])
    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
    for ax, scheme in zip(axes, (anygrad.Central(), anygrad.Central(order=6)), strict=True):
        anygrad.plot.step_study(f, x, scheme=scheme, ax=ax)
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    print(table())
    print(f"\nSecond derivatives\n\n{second_derivatives()}")
    picture(folder / "step-study.png")
    print(f"\nThe picture is in {folder / 'step-study.png'}")
