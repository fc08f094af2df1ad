"""Draw the negative gradient of x[0]**2 + x[1]**2 as in *Deep Learning from Scratch*, to gradient_field.png."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np

import anygrad

mpl.use("Agg")

PICTURE = Path(__file__).with_name("gradient_field.png")


def f(x: np.ndarray) -> float:
    return x[0] ** 2 + x[1] ** 2


def main() -> None:
    axes = anygrad.plot.gradient_field(f, (-2, 2), (-2, 2), points=17)
    axes.set_title("negative gradient of x[0]**2 + x[1]**2")
    axes.figure.savefig(PICTURE, dpi=120)
    print(f"The picture is in {PICTURE}")


if __name__ == "__main__":
    main()
