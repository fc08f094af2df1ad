"""Functions with analytic gradients, written once in array API terms, to be differentiated on every library.

All numbers are multiples of 1/64, so that float64, float32 and bfloat16 hold them exactly and every library
differentiates the same function at the same point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import device

Array = Any


@dataclass(frozen=True)
class Problem:
    """A function with its gradient.

    Attributes
    ----------
    f
        ``f(xp, x)``: the function, in terms of the array API namespace ``xp``.
    x
        Where to differentiate it.
    gradient
        The analytic gradient, in NumPy.
    third
        A bound on the magnitude of the third derivative by each element, near x.
    magnitude, operations
        f is computed in at most ``operations`` roundings, of numbers whose magnitudes sum up to ``magnitude``.
    """

    name: str
    f: Callable[[Any, Array], Array]
    x: np.ndarray
    gradient: Callable[[np.ndarray], np.ndarray]
    third: float
    magnitude: float
    operations: int

    def __repr__(self) -> str:
        return self.name

    def on(self, lib: Any) -> Callable[[Array], Array]:
        """Return the function of one library's arrays."""
        return lambda x: self.f(lib.xp, x)

    def bound(self, step: np.ndarray | float, eps: float) -> np.ndarray | float:
        """Bound the error of a central difference with this step, in a dtype with this spacing.

        Truncation is h^2/6 times the third derivative; half again, as that is taken near x. Each of the two values
        carries ``operations`` roundings of at most eps/2 of ``magnitude``, and their difference is divided by 2h.
        The result is rounded once.
        """
        largest = np.max(np.abs(self.gradient(self.x)), initial=0.0)
        return 1.5 * self.third * step**2 / 6 + self.operations * eps * self.magnitude / (2 * step) + eps * largest


def grid(*shape: int, seed: int, low: int = -80, high: int = 80) -> np.ndarray:
    """Return random multiples of 1/64."""
    return np.random.default_rng(seed).integers(low, high, size=shape, endpoint=True) / 64


def like(xp: Any, a: np.ndarray, x: Array) -> Array:
    """Return a constant as an array of x's library, dtype and device."""
    return xp.asarray(a.tolist(), dtype=x.dtype, device=device(x))


# --- functions ----------------------------------------------------------------------------------------------------

_A = grid(5, 5, seed=1)
_KERNEL = grid(3, seed=2)
_WEIGHTS = grid(2, 3, 2, 2, seed=3)
_T = grid(6, seed=4)


def _book(xp: Any, x: Array) -> Array:
    return x[0] ** 2 + x[1] ** 2


def _rosenbrock(xp: Any, x: Array) -> Array:
    return xp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def _rosenbrock_gradient(x: np.ndarray) -> np.ndarray:
    g = np.zeros_like(x)
    inner = x[1:] - x[:-1] ** 2
    g[:-1] += -400 * x[:-1] * inner - 2 * (1 - x[:-1])
    g[1:] += 200 * inner
    return g


def _logsumexp(xp: Any, x: Array) -> Array:
    largest = xp.max(x)
    return largest + xp.log(xp.sum(xp.exp(x - largest)))


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _convolution(xp: Any, x: Array) -> Array:
    k = like(xp, _KERNEL, x)
    return xp.sum((k[0] * x[2:] + k[1] * x[1:-1] + k[2] * x[:-2]) ** 2)


def _convolution_gradient(x: np.ndarray) -> np.ndarray:
    residual = np.convolve(x, _KERNEL, mode="valid")
    return 2 * np.convolve(residual, _KERNEL[::-1], mode="full")


def _four_dimensions(xp: Any, x: Array) -> Array:
    return xp.sum(like(xp, _WEIGHTS, x) * xp.sin(x))


def _quadratic_form(xp: Any, x: Array) -> Array:
    return xp.sum(x * (like(xp, _A, x) @ x))


def _fit(xp: Any, x: Array) -> Array:
    """Least squares of a decaying exponential, as in a laboratory."""
    t = like(xp, np.abs(_T), x)
    return xp.sum((x[0] * xp.exp(-x[1] * t) - t) ** 2)


def _fit_gradient(x: np.ndarray) -> np.ndarray:
    t = np.abs(_T)
    decay = np.exp(-x[1] * t)
    residual = x[0] * decay - t
    return np.array([np.sum(2 * residual * decay), np.sum(-2 * residual * x[0] * t * decay)])


def _himmelblau(xp: Any, x: Array) -> Array:
    return (x[0] ** 2 + x[1] - 11.0) ** 2 + (x[0] + x[1] ** 2 - 7.0) ** 2


def _himmelblau_gradient(x: np.ndarray) -> np.ndarray:
    a, b = x[0] ** 2 + x[1] - 11, x[0] + x[1] ** 2 - 7
    return np.array([4 * x[0] * a + 2 * b, 2 * a + 4 * x[1] * b])


# --- the book's network -------------------------------------------------------------------------------------------


class TwoLayerNet:
    """The two-layer net of the book's chapter 4: sigmoid, softmax, cross-entropy; parameters in ``params``."""

    images = grid(4, 5, seed=5)
    labels = np.eye(3)[[0, 2, 1, 2]]

    def __init__(self, xp: Any, params: dict[str, Array]) -> None:
        self.xp = xp
        self.params = params

    @classmethod
    def start(cls) -> dict[str, np.ndarray]:
        """Return the parameters to start from."""
        return {"W1": grid(5, 4, seed=6), "b1": grid(4, seed=7), "W2": grid(4, 3, seed=8), "b2": grid(3, seed=9)}

    def predict(self, x: Array) -> Array:
        xp, p = self.xp, self.params
        hidden = 1 / (1 + xp.exp(-(x @ p["W1"] + p["b1"])))
        scores = hidden @ p["W2"] + p["b2"]
        e = xp.exp(scores - xp.max(scores, axis=-1, keepdims=True))
        return e / xp.sum(e, axis=-1, keepdims=True)

    def loss(self, x: Array, t: Array) -> Array:
        xp = self.xp
        return -xp.sum(t * xp.log(self.predict(x))) / x.shape[0]

    @classmethod
    def gradient(cls, params: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the gradient of the loss by backpropagation."""
        x, t = cls.images, cls.labels
        hidden = 1 / (1 + np.exp(-(x @ params["W1"] + params["b1"])))
        scores = (_softmax(hidden @ params["W2"] + params["b2"]) - t) / len(x)
        below = scores @ params["W2"].T * hidden * (1 - hidden)
        return {"W1": x.T @ below, "b1": below.sum(0), "W2": hidden.T @ scores, "b2": scores.sum(0)}


def _net_loss(xp: Any, w1: Array) -> Array:
    params = {name: like(xp, value, w1) for name, value in TwoLayerNet.start().items()} | {"W1": w1}
    return TwoLayerNet(xp, params).loss(like(xp, TwoLayerNet.images, w1), like(xp, TwoLayerNet.labels, w1))


def _net_gradient(w1: np.ndarray) -> np.ndarray:
    return TwoLayerNet.gradient(TwoLayerNet.start() | {"W1": w1})["W1"]


# --- the list -----------------------------------------------------------------------------------------------------

PROBLEMS = [
    Problem("book's x0**2 + x1**2", _book, np.array([3.0, 4.0]), lambda x: 2 * x, 0, 25, 3),
    Problem("sum of squares", lambda xp, x: xp.sum(x**2), grid(3, 4, seed=10), lambda x: 2 * x, 0, 20, 13),
    Problem("sum of cubes", lambda xp, x: xp.sum(x * x * x), grid(7, seed=11), lambda x: 3 * x**2, 6, 15, 16),
    Problem("sin of a 0-d array", lambda xp, x: xp.sin(x), np.array(0.5), np.cos, 1, 1, 4),
    Problem("Rosenbrock", _rosenbrock, grid(8, seed=12), _rosenbrock_gradient, 4000, 3000, 40),
    Problem("Himmelblau", _himmelblau, np.array([2.5, 1.5]), _himmelblau_gradient, 80, 400, 14),
    Problem("logsumexp", _logsumexp, grid(6, seed=13), _softmax, 1, 20, 20),
    Problem("two-layer net", _net_loss, TwoLayerNet.start()["W1"], _net_gradient, 2, 20, 60),
    Problem("convolution", _convolution, grid(9, seed=14), _convolution_gradient, 0, 80, 30),
    Problem("4-d array", _four_dimensions, grid(2, 3, 2, 2, seed=15), lambda x: _WEIGHTS * np.cos(x), 1.25, 30, 30),
    Problem("quadratic form", _quadratic_form, grid(5, seed=16), lambda x: (_A + _A.T) @ x, 0, 40, 30),
    Problem("product", lambda xp, x: xp.prod(x), grid(5, seed=17, low=32), lambda x: np.prod(x) / x, 0, 4, 5),
    Problem(
        "length",
        lambda xp, x: xp.sqrt(xp.sum(x**2)),
        grid(2, 3, seed=18, low=32),
        lambda x: x / np.sqrt(np.sum(x**2)),
        3,
        10,
        10,
    ),
    Problem("log barrier", lambda xp, x: -xp.sum(xp.log(x)), grid(6, seed=19, low=48), lambda x: -1 / x, 5, 5, 16),
    Problem("exponential fit", _fit, np.array([1.5, 0.75]), _fit_gradient, 60, 30, 40),
]
