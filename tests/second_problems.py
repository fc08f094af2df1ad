"""Functions with analytic gradients, Hessians and Jacobians, written once in array API terms.

As in `problems`, all numbers are multiples of 1/64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from problems import grid, like

Array = Any


@dataclass(frozen=True)
class Second:
    """A function that returns one number, with its first and second derivatives.

    Attributes
    ----------
    f
        ``f(xp, x)``: the function, in terms of the array API namespace ``xp``.
    x
        Where to differentiate it.
    gradient, hessian
        The analytic derivatives at an x, in NumPy, of shape ``x.shape`` and ``x.shape + x.shape``.
    magnitude
        A bound on |f| for all complex arguments whose elements are within 1 of those of x.
    operations
        In how many roundings f is computed, at most.
    """

    name: str
    f: Callable[[Any, Array], Array]
    x: np.ndarray
    gradient: Callable[[np.ndarray], np.ndarray]
    hessian: Callable[[np.ndarray], np.ndarray]
    magnitude: float
    operations: int = 40

    def __repr__(self) -> str:
        return self.name

    def on(self, lib: Any) -> Callable[[Array], Array]:
        """Return the function of one library's arrays."""
        return lambda x: self.f(lib.xp, x)


@dataclass(frozen=True)
class Vector:
    """A function that returns an array, with its Jacobian of shape ``f(x).shape + x.shape``; else as `Second`."""

    name: str
    f: Callable[[Any, Array], Array]
    x: np.ndarray
    jacobian: Callable[[np.ndarray], np.ndarray]
    magnitude: float
    operations: int = 40

    def __repr__(self) -> str:
        return self.name

    def on(self, lib: Any) -> Callable[[Array], Array]:
        """Return the function of one library's arrays."""
        return lambda x: self.f(lib.xp, x)


_A = grid(4, 4, seed=31)
_W = grid(2, 2, seed=32)
_B = grid(3, 4, seed=33)
_SQUARE = grid(2, 2, seed=34)
_LINE = grid(4, seed=35)
_PAIR = np.array([2.5, 1.5])
_POSITIVE = grid(3, seed=36, low=32)
_FAR = np.cosh(1.0)  # of |sin| and |cos|, within 1 of the real axis
_IDENTITY = np.eye(4).reshape(2, 2, 2, 2)


def _quadratic(xp: Any, x: Array) -> Array:
    return xp.sum(x * (like(xp, _A, x) @ x))


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


def _product_hessian(x: np.ndarray) -> np.ndarray:
    return np.prod(x) / np.outer(x, x) * (1 - np.eye(len(x)))


SECOND = [
    Second(
        "quadratic form",
        _quadratic,
        _LINE,
        lambda x: (_A + _A.T) @ x,
        lambda x: _A + _A.T,
        float((np.abs(_LINE) + 1) @ np.abs(_A) @ (np.abs(_LINE) + 1)),
    ),
    Second("Himmelblau", _himmelblau, _PAIR, _himmelblau_gradient, _himmelblau_hessian, 1000),
    Second(
        "waves on a square",
        _waves,
        _SQUARE,
        lambda x: _W * np.cos(x) + np.sum(x) / 4,
        lambda x: 0.25 - (_W * np.sin(x))[..., None, None] * _IDENTITY,
        float(np.sum(np.abs(_W)) * _FAR + (np.sum(np.abs(_SQUARE) + 1)) ** 2 / 8),
    ),
    Second(
        "product",
        lambda xp, x: xp.prod(x),
        _POSITIVE,
        lambda x: np.prod(x) / x,
        _product_hessian,
        float(np.prod(_POSITIVE + 1)),
    ),
    Second("sine of a 0-d array", lambda xp, x: xp.sin(x), np.array(0.5), np.cos, lambda x: -np.sin(x), _FAR),
]
WAVES = SECOND[2]

VECTOR = [
    Vector(
        "linear map",
        lambda xp, x: like(xp, _B, x) @ x,
        _LINE,
        lambda x: _B,
        float(np.max(np.abs(_B) @ (np.abs(_LINE) + 1))),
    ),
    Vector(
        "polar coordinates",
        lambda xp, x: xp.stack([x[0] * xp.cos(x[1]), x[0] * xp.sin(x[1])]),
        _PAIR,
        lambda x: np.array([[np.cos(x[1]), -x[0] * np.sin(x[1])], [np.sin(x[1]), x[0] * np.cos(x[1])]]),
        3.5 * _FAR,
    ),
    Vector(
        "cubes of a square, transposed",
        # CuPy's x**3 of complex numbers left of the imaginary axis loses what Complex adds to them.
        lambda xp, x: xp.permute_dims(x * x * x, (1, 0)),
        _SQUARE,
        lambda x: np.einsum("kl,klij->lkij", 3 * x**2, _IDENTITY),
        float(np.max(np.abs(_SQUARE) + 1) ** 3),
    ),
    Vector("sine of a 0-d array", lambda xp, x: xp.sin(x), np.array(0.5), np.cos, _FAR),
]
CUBES = VECTOR[2]
