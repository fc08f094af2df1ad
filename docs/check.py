"""Draw the picture of ``checking.md``: ``python docs/check.py [FOLDER]``."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

import anygrad


def main(folder: Path) -> None:
    """Draw a check of a gradient with two rows left out."""
    mpl.use("Agg")
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(32, 10))
    params = {"W": rng.normal(size=(10, 20))}

    def loss(p: dict[str, np.ndarray]) -> float:
        return float((np.tanh(inputs @ p["W"]) ** 2).sum())

    def grad(p: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        tanh = np.tanh(inputs @ p["W"])
        weights = inputs.T @ (2 * tanh * (1 - tanh**2))
        weights[2:4] = 0
        return {"W": weights}

    anygrad.check_gradient(loss, grad, params).plot().savefig(folder / "check.png", dpi=100)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
