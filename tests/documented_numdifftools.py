"""The examples of numdifftools' docstrings."""

from __future__ import annotations

from collections.abc import Callable
from math import e, factorial, sqrt
from typing import Any

import numpy as np
from documented import Example, side_by_side
from problems import like

Array = Any

_DERIVATIVE = "numdifftools.Derivative"
_JACOBIAN = "numdifftools.Jacobian"

_TIMES = np.arange(0, 1, 0.1)
_COLUMN = _TIMES.reshape(-1, 1)
_TANH = np.linspace(-2.0, 2.0, 100)
_NODES = np.linspace(-1.0, 1.0, 25)
_TWO_POINTS = np.array([[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]])


def _residuals(times: np.ndarray) -> Callable[[Any, Array], Array]:
    """Return numdifftools' nonlinear least squares of 1 + 2 exp(0.75 t)."""

    def residuals(xp: Any, c: Array) -> Array:
        t = like(xp, times, c)
        return (c[0] + c[1] * xp.exp(c[2] * t) - (1 + 2 * xp.exp(0.75 * t))) ** 2

    return residuals


def _rosen_105(xp: Any, x: Array) -> Array:
    return (1 - x[0]) ** 2 + 105 * (x[1] - x[0] ** 2) ** 2


def _column(xp: Any, x: Array) -> Array:
    """Return np.vstack((x0 x1 x2**2, x0 x1 x2)), each a number or a row of them."""
    return xp.stack([xp.reshape(row, (-1,)) for row in (x[0] * x[1] * x[2] ** 2, x[0] * x[1] * x[2])])


def _one(at: np.ndarray) -> np.ndarray:
    """Return the Jacobian of x0 x1 x2**2 and x0 x1 x2."""
    a, b, c = at
    return np.array([[b * c**2, a * c**2, 2 * a * b * c], [b * c, a * c, a * b]])


def _tanh_derivative(n: int) -> np.ndarray:
    """Return the n-th derivative of tanh: a polynomial of it, as tanh' = 1 - tanh**2."""
    polynomial = np.polynomial.Polynomial([0, 1])
    for _ in range(n):
        polynomial = polynomial.deriv() * np.polynomial.Polynomial([1, 0, -1])
    return polynomial(np.tanh(_TANH))


NUMDIFFTOOLS = [
    Example("derivative", "exp", lambda xp, x: xp.exp(x), 1.0, e, _DERIVATIVE),
    Example("derivative", "exp", lambda xp, x: xp.exp(x), [1.0, 2.0], [e, e**2], _DERIVATIVE),
    Example("derivative", "x**3 + x**2", lambda xp, x: x**3 + x**2, 1.0, 5.0, _DERIVATIVE),
    Example("derivative", "x**3 + x**2", lambda xp, x: x**3 + x**2, 1.0, 8.0, _DERIVATIVE, {"n": 2}),
    Example("derivative", "exp", lambda xp, x: xp.exp(x), 1.0, e, "numdifftools.info", {"n": 2}),
    Example("derivative", "exp", lambda xp, x: xp.exp(x), 1.0, e, "numdifftools.nd_algopy.Derivative", {"n": 5}),
    Example(
        "derivative",
        "x**3 + x**4",
        lambda xp, x: x**3 + x**4,
        [0.0, 1.0],
        [0.0, 7.0],
        "numdifftools.nd_algopy.Derivative",
    ),
    *(
        Example(
            "derivative", "1/(1 - x)", lambda xp, x: 1 / (1 - x), 0.0, factorial(n), "numdifftools.fornberg", {"n": n}
        )
        for n in range(1, 7)
    ),
    *(
        Example(
            "derivative", "tanh", lambda xp, x: xp.tanh(x), _TANH, _tanh_derivative(n), "numdifftools.info", {"n": n}
        )
        for n in range(1, 10)
    ),
    Example(
        "derivative",
        "exp",
        lambda xp, x: xp.exp(x),
        _NODES,
        np.exp(_NODES),
        "numdifftools.fornberg.fd_derivative",
    ),
    Example(
        "numerical_gradient",
        "sum(x**2)",
        lambda xp, x: xp.sum(x**2),
        [1.0, 2.0, 3.0],
        [2.0, 4.0, 6.0],
        "numdifftools.Gradient",
    ),
    Example(
        "numerical_gradient",
        "sin(x - y) + y exp(x)",
        lambda xp, x: xp.sin(x[0] - x[1]) + x[1] * xp.exp(x[0]),
        [1.0, 1.0],
        [1 + e, e - 1],
        "numdifftools.Gradient",
    ),
    Example("numerical_gradient", "Rosenbrock", _rosen_105, [1.0, 1.0], [0.0, 0.0], "numdifftools.Gradient"),
    Example("jacobian", "least squares", _residuals(_TIMES), [1.0, 2.0, 0.75], np.zeros((10, 3)), _JACOBIAN),
    Example("jacobian", "a column", _residuals(_COLUMN), [1.0, 2.0, 0.75], np.zeros((10, 1, 3)), "numdifftools.info"),
    Example(
        "jacobian", "x0 x1 x2**2", lambda xp, x: x[0] * x[1] * x[2] ** 2, [1.0, 2.0, 3.0], [18.0, 9.0, 12.0], _JACOBIAN
    ),
    Example("jacobian", "vstack", _column, [1.0, 2.0, 3.0], [[[18.0, 9.0, 12.0]], [[6.0, 3.0, 2.0]]], _JACOBIAN),
    Example("jacobian", "vstack", _column, [4.0, 5.0, 6.0], [[[180.0, 144.0, 240.0]], [[30.0, 24.0, 20.0]]], _JACOBIAN),
    Example(
        "jacobian",
        "vstack",
        _column,
        [[1.0], [2.0], [3.0]],
        np.reshape([[18.0, 9.0, 12.0], [6.0, 3.0, 2.0]], (2, 1, 3, 1)),
        _JACOBIAN,
    ),
    Example(
        "jacobian",
        "vstack",
        _column,
        _TWO_POINTS,
        side_by_side([_one(at) for at in _TWO_POINTS.T]),
        "numdifftools.nd_algopy.Jacobian",
    ),
    Example(
        "hessian", "Rosenbrock", _rosen_105, [1.0, 1.0], [[842.0, -420.0], [-420.0, 210.0]], "numdifftools.Hessian"
    ),
    Example(
        "hessian",
        "cos(x - y)",
        lambda xp, x: xp.cos(x[0] - x[1]),
        [0.0, 0.0],
        [[-1.0, 1.0], [1.0, -1.0]],
        "numdifftools.Hessian",
    ),
    Example(
        "hessian",
        "x0 + x1**2 + x2**3",
        lambda xp, x: x[0] + x[1] ** 2 + x[2] ** 3,
        [1.0, 2.0, 3.0],
        np.diag([0.0, 2.0, 18.0]),
        "numdifftools.Hessdiag",
    ),
    Example(
        "jvp", "Rosenbrock", _rosen_105, [1.0, 1.0], 0.0, "numdifftools.directionaldiff", {"v": np.array([1.0, 2.0])}
    ),
    # numdifftools' own test of it: the direction is one of length 1, whatever is given.
    Example(
        "jvp",
        "Rosenbrock",
        _rosen_105,
        [2.0, 3.0],
        743.87633380824832,
        "numdifftools/tests/test_numdifftools.py",
        {"v": np.array([1.0, -1.0]) / sqrt(2)},
    ),
]
