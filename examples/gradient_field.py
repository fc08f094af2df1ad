"""Draw the book's picture: the negative gradient of x0**2 + x1**2 on a grid, to gradient_field.png."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np

import anygrad

mpl.use("Agg")
import matplotlib.pyplot as plt

PICTURE = Path(__file__).with_name("gradient_field.png")


def f(x: np.ndarray) -> float:
    return x[0] ** 2 + x[1] ** 2


def main() -> None:
    x0, x1 = np.meshgrid(np.arange(-2, 2.5, 0.25), np.arange(-2, 2.5, 0.25))
    points = np.stack([x0.ravel(), x1.ravel()], axis=1)  # one point a row
    gradient = anygrad.numerical_gradient_2d(f, points)

    figure, axes = plt.subplots(figsize=(5, 5))
    axes.quiver(points[:, 0], points[:, 1], -gradient[:, 0], -gradient[:, 1], angles="xy", color="#666666")
    axes.set(xlim=(-2, 2), ylim=(-2, 2), xlabel="x0", ylabel="x1", title="negative gradient of x0**2 + x1**2")
    axes.set_aspect("equal")
    axes.grid(visible=True)
    figure.savefig(PICTURE, dpi=120)
    print(f"{len(points)} gradients, largest error {np.abs(gradient - 2 * points).max():.1e}: {PICTURE}")


if __name__ == "__main__":
    main()
