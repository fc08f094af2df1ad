"""The examples of SciPy's docstrings: scipy.differentiate and the differences in scipy.optimize."""

from __future__ import annotations

from math import cos, inf, pi, sin
from typing import Any

import numpy as np
from documented import Example, side_by_side
from problems import like

Array = Any

_LINE = np.linspace(1.0, 2.0, 5)
_GRID = np.broadcast_to(np.arange(1.0, 5.0), (5, 4))
_POWERS = np.broadcast_to(np.arange(1.0, 6.0).reshape(-1, 1), (5, 4))
_WAVES = np.array([1.0, 5.0, 10.0, 20.0])
_HALVES = np.full(3, 0.5)
_RANDOM = np.random.default_rng(389252938452)
_POINT, _POINTS = _RANDOM.random(3), _RANDOM.random((3, 10))
_MORE_POINTS = np.random.default_rng(4589245925010).random((3, 10))


def _rosen(xp: Any, x: Array) -> Array:
    return xp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2, axis=0)


def _rosen_hessian(x: np.ndarray) -> np.ndarray:
    result = np.zeros((x.size, x.size))
    for i in range(x.size - 1):
        result[i, i] += 1200 * x[i] ** 2 - 400 * x[i + 1] + 2
        result[i + 1, i + 1] += 200
        result[i, i + 1] = result[i + 1, i] = -400 * x[i]
    return result


def _example_4(xp: Any, x: Array) -> Array:
    return xp.stack([x[0], 5 * x[2], 4 * x[1] ** 2 - 2 * x[2], x[2] * xp.sin(x[0])])


def _example_4_jacobian(x: np.ndarray) -> np.ndarray:
    return np.array([[1, 0, 0], [0, 0, 5], [0, 8 * x[1], -2], [x[2] * cos(x[0]), 0, sin(x[0])]])


def _four_waves(xp: Any, x: Array) -> Array:
    """Return a function of each element: "vector-valued" in SciPy's terms, elementwise in anygrad's."""
    return xp.stack([x[0], xp.sin(3 * x[1]), x[2] + xp.sin(10 * x[2]), xp.sin(20 * x[3]) * (x[3] - 1) ** 2])


def _turning(xp: Any, x: Array) -> Array:
    return xp.stack([x[0] * xp.sin(x[1]), x[0] * xp.cos(2 * x[1])])


SCIPY = [
    Example("derivative", "exp", lambda xp, x: xp.exp(x), _LINE, np.exp(_LINE), "scipy.differentiate.derivative"),
    Example(
        "derivative",
        "x**p",
        lambda xp, x: x ** like(xp, _POWERS, x),
        _GRID.copy(),
        _POWERS * _GRID ** (_POWERS - 1),
        "scipy.differentiate.derivative",
    ),
    Example(
        "derivative",
        "sin(c x)",
        lambda xp, x: xp.sin(like(xp, _WAVES, x) * x),
        np.zeros(4),
        _WAVES,
        "scipy.differentiate.derivative",
    ),
    Example(
        "derivative",
        "four waves",
        _four_waves,
        np.zeros(4),
        [1.0, 3.0, 11.0, 20.0],
        "scipy.differentiate.derivative, preserve_shape",
    ),
    Example("jacobian", "Rosenbrock", _rosen, _HALVES, [-51.0, -1.0, 50.0], "scipy.differentiate.jacobian"),
    Example("numerical_gradient", "Rosenbrock", _rosen, _HALVES, [-51.0, -1.0, 50.0], "scipy.differentiate.jacobian"),
    Example("jacobian", "example 4", _example_4, _POINT, _example_4_jacobian(_POINT), "scipy.differentiate.jacobian"),
    Example(
        "jacobian",
        "example 4 side by side",
        _example_4,
        _POINTS,
        side_by_side([_example_4_jacobian(at) for at in _POINTS.T]),
        "scipy.differentiate.jacobian",
    ),
    Example("hessian", "Rosenbrock", _rosen, _HALVES, _rosen_hessian(_HALVES), "scipy.differentiate.hessian"),
    *(
        Example(
            "hessian", f"Rosenbrock at {at.round(3)}", _rosen, at, _rosen_hessian(at), "scipy.differentiate.hessian"
        )
        for at in _MORE_POINTS.T
    ),
    Example(
        "numerical_gradient",
        "x0**2 + 200 x1**2",
        lambda xp, x: x[0] ** 2 + 200 * x[1] ** 2,
        np.ones(2),
        [2.0, 400.0],
        "scipy.optimize.approx_fprime",
    ),
    Example(
        "numerical_gradient",
        "x0**2 - x1**3/2",
        lambda xp, x: x[0] ** 2 - 0.5 * x[1] ** 3,
        [1.5, -1.5],
        [3.0, -3.375],
        "scipy.optimize.check_grad",
    ),
    Example(
        "jvp",
        "x0**2 - x1**3/2",
        lambda xp, x: x[0] ** 2 - 0.5 * x[1] ** 3,
        [1.5, -1.5],
        3 * 0.6 + 3.375 * 0.8,
        "scipy.optimize.check_grad, direction",
        {"v": np.array([0.6, -0.8])},
    ),
    Example(
        "jacobian",
        "(x0 sin(x1), x0 cos(2 x1))",
        _turning,
        [1.0, pi / 2],
        [[1.0, 0.0], [-1.0, 0.0]],
        "scipy.optimize._numdiff.approx_derivative",
    ),
    *(
        Example(
            "numerical_gradient",
            "x**2 if x >= 1 else x",
            lambda xp, x: xp.where(x >= 1, x**2, x),
            1.0,
            answer,
            "scipy.optimize._numdiff.approx_derivative",
            {"bounds": bounds},
        )
        for bounds, answer in (((-inf, 1.0), 1.0), ((1.0, inf), 2.0))
    ),
]
