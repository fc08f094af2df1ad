"""Check the backpropagation of the book's net, with all parameters perturbed in one call of the loss.

Run it with ``python examples/one_call.py``, or ``python examples/one_call.py cupy`` on a GPU: only the creation of the
arrays differs. The loss is a function of its parameters, written for one set of them.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np

import anygrad

Params = dict[str, Any]

# CuPy's arrays go through these functions of NumPy's as well, and stay on the GPU.
xp: Any = importlib.import_module(sys.argv[1] if len(sys.argv) > 1 else "numpy")

RNG = np.random.default_rng(0)
IMAGES = xp.asarray(RNG.normal(size=(100, 8)))
LABELS = xp.asarray(np.eye(4)[RNG.integers(0, 4, 100)])


def start() -> Params:
    """Return the parameters of a net with ten hidden units."""
    return {
        "W1": xp.asarray(RNG.normal(scale=0.5, size=(8, 10))),
        "b1": xp.zeros(10),
        "W2": xp.asarray(RNG.normal(scale=0.5, size=(10, 4))),
        "b2": xp.zeros(4),
    }


def predict(params: Params) -> tuple[Any, Any]:
    """Return what the hidden units and the outputs are: sigmoid and softmax."""
    hidden = 1 / (1 + np.exp(-(IMAGES @ params["W1"] + params["b1"])))
    scores = hidden @ params["W2"] + params["b2"]
    e = np.exp(scores - np.max(scores, axis=1, keepdims=True))
    return hidden, e / np.sum(e, axis=1, keepdims=True)


def loss(params: Params) -> Any:
    """Return the cross-entropy."""
    return -np.sum(LABELS * np.log(predict(params)[1])) / len(LABELS)


def backpropagation(params: Params) -> Params:
    hidden, outputs = predict(params)
    scores = (outputs - LABELS) / len(LABELS)
    below = scores @ params["W2"].T * hidden * (1 - hidden)
    return {"W1": IMAGES.T @ below, "b1": below.sum(axis=0), "W2": hidden.T @ scores, "b2": scores.sum(axis=0)}


def main() -> None:
    params = start()
    result = anygrad.numerical_gradient(loss, params, evaluator=anygrad.Vmap(), full_output=True)
    exact = backpropagation(params)
    error = max(float(abs(result.value[name] - exact[name]).max()) for name in params)
    print(f"{result.npoints} points in {result.ncalls} calls of the loss; largest difference: {error:.1e}")


if __name__ == "__main__":
    main()
