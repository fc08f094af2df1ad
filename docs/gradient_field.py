"""Makes the picture of pictures.md: ``python docs/gradient_field.py [FOLDER]``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import anygrad


def bowl(x: np.ndarray) -> float:
    """Return the book's function of two variables."""
    return x[0] ** 2 + x[1] ** 2


def hills(x: np.ndarray) -> float:
    """Have several minima, in a bowl."""
    return np.sin(2 * x[0]) * np.cos(1.5 * x[1]) + 0.1 * (x @ x)


def picture(path: Path) -> None:
    """Draw both functions side by side."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 5.6), layout="constrained")
    anygrad.plot.gradient_field(bowl, (-2, 2), (-2, 2), ax=left)
    left.set_title("negative gradient of x[0]**2 + x[1]**2")
    anygrad.plot.gradient_field(hills, (-3, 3), (-3, 3), ax=right)
    right.set_title("negative gradient of a function with several minima")
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    picture(folder / "gradient-field.png")
    print(f"The picture is in {folder / 'gradient-field.png'}")
