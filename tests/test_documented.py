"""The examples out of the documentation of numdifftools and SciPy, with their answers.

Answers have the shapes of anygrad's operators: a Jacobian has f's shape followed by x's, and a direction is not
normalised.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import cos, e, factorial, inf, pi, sin, sqrt
from typing import Any

import numpy as np
import pytest

import anygrad


@dataclass(frozen=True)
class Example:
    """``operator(f, x, **options)`` is ``answer``."""

    operator: str
    name: str
    f: Any
    x: Any
    answer: Any
    options: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"{self.operator} of {self.name}" + "".join(f", {name}={v}" for name, v in self.options.items())


LINE, TANH = np.linspace(1.0, 2.0, 5), np.linspace(-2.0, 2.0, 100)
POWERS = np.arange(1.0, 6.0).reshape(-1, 1)
TIMES = np.arange(0, 1, 0.1)
WAVES = np.array([1.0, 5.0, 10.0, 20.0])


def tanh_derivative(n: int) -> np.ndarray:
    """Return the n-th derivative of tanh: a polynomial of it, as tanh' = 1 - tanh**2."""
    polynomial = np.polynomial.Polynomial([0, 1])
    for _ in range(n):
        polynomial = polynomial.deriv() * np.polynomial.Polynomial([1, 0, -1])
    return polynomial(np.tanh(TANH))


def rosen(x):
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def rosen_105(x):
    return (1 - x[0]) ** 2 + 105 * (x[1] - x[0] ** 2) ** 2


def example_4(x):
    return np.stack([x[0], 5 * x[2], 4 * x[1] ** 2 - 2 * x[2], x[2] * np.sin(x[0])])


def column(x):
    """Return two rows, of as many numbers as a row of x has."""
    return np.vstack((x[0] * x[1] * x[2] ** 2, x[0] * x[1] * x[2]))


def residuals(c):
    return (c[0] + c[1] * np.exp(c[2] * TIMES) - (1 + 2 * np.exp(0.75 * TIMES))) ** 2


def one_or_square(x):
    return np.where(x >= 1, x**2, x)


HALVES = [0.5, 0.5, 0.5]
ROSEN_HESSIAN = [[102.0, -200.0, 0.0], [-200.0, 302.0, -200.0], [0.0, -200.0, 200.0]]
EXAMPLE_4 = [[1, 0, 0], [0, 0, 5], [0, 4.0, -2], [0.5 * cos(0.5), 0, sin(0.5)]]
EXAMPLES = [
    # numdifftools
    Example("derivative", "exp", np.exp, [1.0, 2.0], [e, e**2]),
    Example("derivative", "x**3 + x**2", lambda x: x**3 + x**2, 1.0, 8.0, {"n": 2}),
    Example("derivative", "exp", np.exp, 1.0, e, {"n": 5}),
    Example("derivative", "x**3 + x**4", lambda x: x**3 + x**4, [0.0, 1.0], [0.0, 7.0]),
    *(Example("derivative", "1/(1 - x)", lambda x: 1 / (1 - x), 0.0, factorial(n), {"n": n}) for n in range(1, 7)),
    *(Example("derivative", "tanh", np.tanh, TANH, tanh_derivative(n), {"n": n}) for n in range(1, 10)),
    Example("numerical_gradient", "sum(x**2)", lambda x: np.sum(x**2), [1.0, 2.0, 3.0], [2.0, 4.0, 6.0]),
    Example("jacobian", "least squares", residuals, [1.0, 2.0, 0.75], np.zeros((10, 3))),
    Example("jacobian", "vstack", column, [1.0, 2.0, 3.0], [[[18.0, 9.0, 12.0]], [[6.0, 3.0, 2.0]]]),
    Example("hessian", "Rosenbrock", rosen_105, [1.0, 1.0], [[842.0, -420.0], [-420.0, 210.0]]),
    Example("hessian", "cos(x - y)", lambda x: np.cos(x[0] - x[1]), [0.0, 0.0], [[-1.0, 1.0], [1.0, -1.0]]),
    Example("jvp", "Rosenbrock", rosen_105, [2.0, 3.0], 743.87633380824832, {"v": np.array([1.0, -1.0]) / sqrt(2)}),
    # scipy.differentiate and scipy.optimize
    Example("derivative", "x**p", lambda x: x**POWERS, np.ones((5, 4)) * LINE[:4], POWERS * LINE[:4] ** (POWERS - 1)),
    Example("derivative", "sin(c x)", lambda x: np.sin(WAVES * x), np.zeros(4), WAVES),
    Example("jacobian", "example 4", example_4, HALVES, EXAMPLE_4),
    Example("numerical_gradient", "Rosenbrock", rosen, HALVES, [-51.0, -1.0, 50.0]),
    Example("hessian", "Rosenbrock", rosen, HALVES, ROSEN_HESSIAN),
    Example(
        "jacobian",
        "(x0 sin(x1), x0 cos(2 x1))",
        lambda x: np.stack([x[0] * np.sin(x[1]), x[0] * np.cos(2 * x[1])]),
        [1.0, pi / 2],
        [[1.0, 0.0], [-1.0, 0.0]],
    ),
    Example("numerical_gradient", "x up to 1, x**2 above", one_or_square, 1.0, 1.0, {"bounds": (-inf, 1.0)}),
    Example("numerical_gradient", "x up to 1, x**2 above", one_or_square, 1.0, 2.0, {"bounds": (1.0, inf)}),
]

# Errors relative to the largest answer, by the order of the derivative. The sources compare to 1e-5 (np.allclose).
ADAPTIVE = {1: 1e-10, 2: 1e-8, 3: 1e-9, 4: 1e-8, 5: 1e-6, 6: 1e-5}
DEFAULT = {1: 1e-5, 2: 1e-4}  # of second order
# Beyond the sixth, values may be off where they are flagged.
HIGHER = {"adaptive": 1e-2, "default": 0.2}
# What cancels inside of f, as in a square of residuals, leaves more rounding than the values of f say.
ROUNDING = 16


def differentiate(example: Example, **options):
    operator = getattr(anygrad, example.operator)
    options = dict(example.options) | options
    direction = [options.pop("v")] if "v" in options else []
    return operator(example.f, np.asarray(example.x, dtype=np.float64), *direction, **options)


def scale(example: Example) -> float:
    """Return the largest of the answers, or 1: the sources compare their zeros with an absolute tolerance, too."""
    return max(1.0, np.max(np.abs(example.answer)))


def order(example: Example) -> int:
    return example.options.get("n", 2 if example.operator == "hessian" else 1)


@pytest.mark.parametrize("example", EXAMPLES, ids=repr)
def test_adaptive_answers_and_their_errors(example):
    result = differentiate(example, scheme=anygrad.Adaptive(), full_output=True)
    assert np.shape(result.value) == np.shape(example.answer)
    off, flagged = np.abs(result.value - np.asarray(example.answer)), result.flags["unconverged"]
    if order(example) <= 8:
        tolerance = ADAPTIVE.get(order(example), HIGHER["adaptive"])
        assert np.all((off <= tolerance * scale(example)) | (flagged & (order(example) > 6)))
    missed = (off > result.error + ROUNDING * np.spacing(scale(example))) & ~flagged
    assert np.mean(missed) <= (0.01 if order(example) <= 4 else 0.05), (result.value, example.answer, result.error)


@pytest.mark.parametrize("example", [example for example in EXAMPLES if order(example) <= 6], ids=repr)
def test_default_answers(example):
    value = differentiate(example)
    assert np.shape(value) == np.shape(example.answer)
    tolerance = DEFAULT.get(order(example), HIGHER["default"])
    assert np.allclose(value, example.answer, rtol=0, atol=tolerance * scale(example))
