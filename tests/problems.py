"""Functions with analytic derivatives, written once in array API terms, to be differentiated on every library.

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
Derivative = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A function with its derivatives.

    Attributes
    ----------
    f
        ``f(xp, x)``: the function, in terms of the array API namespace ``xp``.
    x
        Where to differentiate it.
    gradient, hessian, jacobian
        The analytic derivatives at an x, in NumPy, of shape ``x.shape``, ``x.shape + x.shape`` and
        ``f(x).shape + x.shape``; None where a list of problems has no use for them.
    magnitude, operations
        f is computed in at most ``operations`` roundings, of numbers whose magnitudes sum up to ``magnitude``. In
        `SECOND` and `VECTOR` that also bounds |f| for all complex arguments whose elements are within 1 of those of x.
    third
        A bound on the third derivative with respect to each element, near x.
    """

    name: str
    f: Callable[[Any, Array], Array]
    x: np.ndarray
    gradient: Derivative | None = None
    hessian: Derivative | None = None
    jacobian: Derivative | None = None
    magnitude: float
    operations: int = 40
    third: float = 0.0

    def __repr__(self) -> str:
        return self.name.replace(" ", "-")

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

_KERNEL = grid(3, seed=2)
_WEIGHTS = grid(2, 3, 2, 2, seed=3)


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


# --- gradients ----------------------------------------------------------------------------------------------------

_GRADIENTS = [
    # name, f, x, gradient, third, magnitude, operations
    ("book's x0**2 + x1**2", _book, np.array([3.0, 4.0]), lambda x: 2 * x, 0, 25, 3),
    ("sum of cubes", lambda xp, x: xp.sum(x * x * x), grid(7, seed=11), lambda x: 3 * x**2, 6, 15, 16),
    ("sine of a 0-d array", lambda xp, x: xp.sin(x), np.array(0.5), np.cos, 1, 1, 4),
    ("Rosenbrock", _rosenbrock, grid(8, seed=12), _rosenbrock_gradient, 4000, 3000, 40),
    ("logsumexp", _logsumexp, grid(6, seed=13), _softmax, 1, 20, 20),
    ("two-layer net", _net_loss, TwoLayerNet.start()["W1"], _net_gradient, 2, 20, 60),
    ("convolution", _convolution, grid(9, seed=14), _convolution_gradient, 0, 80, 30),
    ("4-d array", _four_dimensions, grid(2, 3, 2, 2, seed=15), lambda x: _WEIGHTS * np.cos(x), 1.25, 30, 30),
    ("log barrier", lambda xp, x: -xp.sum(xp.log(x)), grid(6, seed=19, low=48), lambda x: -1 / x, 5, 5, 16),
]
PROBLEMS = [
    Problem(name=name, f=f, x=x, gradient=gradient, third=third, magnitude=magnitude, operations=operations)
    for name, f, x, gradient, third, magnitude, operations in _GRADIENTS
]

# --- second derivatives and functions of several values -----------------------------------------------------------

_A = grid(4, 4, seed=31)
_W = grid(2, 2, seed=32)
_B = grid(3, 4, seed=33)
_SQUARE = grid(2, 2, seed=34)
_LINE = grid(4, seed=35)
_PAIR = np.array([2.5, 1.5])
_POSITIVE = grid(3, seed=36, low=32)
_FAR = np.cosh(1.0)  # of |sin| and |cos|, within 1 of the real axis
_IDENTITY = np.eye(4).reshape(2, 2, 2, 2)


def _himmelblau(xp: Any, x: Array) -> Array:
    return (x[0] ** 2 + x[1] - 11.0) ** 2 + (x[0] + x[1] ** 2 - 7.0) ** 2


def _himmelblau_gradient(x: np.ndarray) -> np.ndarray:
    a, b = x[0] ** 2 + x[1] - 11, x[0] + x[1] ** 2 - 7
    return np.array([4 * x[0] * a + 2 * b, 2 * a + 4 * x[1] * b])


def _himmelblau_hessian(x: np.ndarray) -> np.ndarray:
    mixed = 4 * x[0] + 4 * x[1]
    return np.array([[12 * x[0] ** 2 + 4 * x[1] - 42, mixed], [mixed, 4 * x[0] + 12 * x[1] ** 2 - 26]])


def _waves(xp: Any, x: Array) -> Array:
    """Every element matters by itself, and together with every other."""
    return xp.sum(like(xp, _W, x) * xp.sin(x)) + xp.sum(x) ** 2 / 8


SECOND = [
    Problem(
        name="quadratic form",
        f=lambda xp, x: xp.sum(x * (like(xp, _A, x) @ x)),
        x=_LINE,
        gradient=lambda x: (_A + _A.T) @ x,
        hessian=lambda x: _A + _A.T,
        magnitude=float((np.abs(_LINE) + 1) @ np.abs(_A) @ (np.abs(_LINE) + 1)),
    ),
    Problem(
        name="Himmelblau",
        f=_himmelblau,
        x=_PAIR,
        gradient=_himmelblau_gradient,
        hessian=_himmelblau_hessian,
        magnitude=1000,
    ),
    Problem(
        name="waves on a square",
        f=_waves,
        x=_SQUARE,
        gradient=lambda x: _W * np.cos(x) + np.sum(x) / 4,
        hessian=lambda x: 0.25 - (_W * np.sin(x))[..., None, None] * _IDENTITY,
        magnitude=float(np.sum(np.abs(_W)) * _FAR + (np.sum(np.abs(_SQUARE) + 1)) ** 2 / 8),
    ),
    Problem(
        name="product",
        f=lambda xp, x: xp.prod(x),
        x=_POSITIVE,
        gradient=lambda x: np.prod(x) / x,
        hessian=lambda x: np.prod(x) / np.outer(x, x) * (1 - np.eye(len(x))),
        magnitude=float(np.prod(_POSITIVE + 1)),
    ),
    Problem(
        name="sine of a 0-d array",
        f=lambda xp, x: xp.sin(x),
        x=np.array(0.5),
        gradient=np.cos,
        hessian=lambda x: -np.sin(x),
        magnitude=_FAR,
    ),
]
WAVES = SECOND[2]

VECTOR = [
    Problem(
        name="linear map",
        f=lambda xp, x: like(xp, _B, x) @ x,
        x=_LINE,
        jacobian=lambda x: _B,
        magnitude=float(np.max(np.abs(_B) @ (np.abs(_LINE) + 1))),
    ),
    Problem(
        name="polar coordinates",
        f=lambda xp, x: xp.stack([x[0] * xp.cos(x[1]), x[0] * xp.sin(x[1])]),
        x=_PAIR,
        jacobian=lambda x: np.array([[np.cos(x[1]), -x[0] * np.sin(x[1])], [np.sin(x[1]), x[0] * np.cos(x[1])]]),
        magnitude=3.5 * _FAR,
    ),
    Problem(
        name="cubes of a square, transposed",
        # CuPy's x**3 of complex numbers left of the imaginary axis loses what Complex adds to them.
        f=lambda xp, x: xp.permute_dims(x * x * x, (1, 0)),
        x=_SQUARE,
        jacobian=lambda x: np.einsum("kl,klij->lkij", 3 * x**2, _IDENTITY),
        magnitude=float(np.max(np.abs(_SQUARE) + 1) ** 3),
    ),
    Problem(
        name="sine of a 0-d array",
        f=lambda xp, x: xp.sin(x),
        x=np.array(0.5),
        jacobian=np.cos,
        magnitude=_FAR,
    ),
]
CUBES = VECTOR[2]
