"""Draw the picture of ``checking.md``: ``python docs/check.py [FOLDER]``."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

import anygrad


def main(folder: Path) -> None:
    """Draw the check of a gradient that lacks two rows."""
    mpl.use("Agg")
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(32, 10))
    params = {"W": rng.normal(size=(10, 20)), "b": np.zeros(20)}

    def loss(p: dict[str, np.ndarray]) -> float:
        return float((np.tanh(inputs @ p["W"] + p["b"]) ** 2).sum())

    def grad(p: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        tanh = np.tanh(inputs @ p["W"] + p["b"])
        d = 2 * tanh * (1 - tanh**2)
        weights = inputs.T @ d
        weights[2:4] = 0
        return {"W": weights, "b": d.sum(axis=0)}

    anygrad.check_gradient(loss, grad, params).plot().savefig(folder / "check.png", dpi=100)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
