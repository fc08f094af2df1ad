"""The documented examples of numdifftools and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from documented import Example
from documented_numdifftools import NUMDIFFTOOLS
from documented_scipy import SCIPY

import anygrad

EXAMPLES = NUMDIFFTOOLS + SCIPY

# Errors relative to the largest answer, by the order of the derivative. The sources compare to 1e-5 (np.allclose).
ADAPTIVE = {1: 1e-10, 2: 1e-8, 3: 1e-9, 4: 1e-8, 5: 1e-6, 6: 1e-5}
DEFAULT = {1: 1e-5, 2: 1e-4}  # of second order
# Beyond the sixth, values may be off where they are flagged.
HIGHER = {"adaptive": 1e-2, "default": 0.2}

# What cancels inside of f, as in a square of residuals, leaves more rounding than the values of f say.
ROUNDING = 16


def differentiate(example: Example, **options):
    operator = getattr(anygrad, example.operator)
    x = np.asarray(example.x, dtype=np.float64)
    options = dict(example.options) | options
    direction = [options.pop("v")] if "v" in options else []
    return operator(lambda x: example.f(np, x), x, *direction, **options)


def scale(example: Example) -> float:
    """The largest of the answers, or 1: numdifftools and SciPy, too, compare their zeros with an absolute tolerance."""
    return max(1.0, np.max(np.abs(example.answer)))


def order(example: Example) -> int:
    return example.options.get("n", 2 if example.operator == "hessian" else 1)


@pytest.mark.parametrize("example", [example for example in EXAMPLES if order(example) <= 8], ids=repr)
def test_adaptively(example):
    result = differentiate(example, scheme=anygrad.Adaptive(), full_output=True)
    assert np.shape(result.value) == np.shape(example.answer)
    tolerance = ADAPTIVE.get(order(example), HIGHER["adaptive"])
    near = np.abs(result.value - np.asarray(example.answer)) <= tolerance * scale(example)
    assert np.all(near | (result.flags["unconverged"] & (order(example) > 6)))


@pytest.mark.parametrize("example", EXAMPLES, ids=repr)
def test_adaptive_estimates(example):
    result = differentiate(example, scheme=anygrad.Adaptive(), full_output=True)
    missed = np.abs(result.value - np.asarray(example.answer)) > result.error + ROUNDING * np.spacing(scale(example))
    missed = missed & ~result.flags["unconverged"]
    assert np.mean(missed) <= (0.01 if order(example) <= 4 else 0.05), (result.value, example.answer, result.error)


@pytest.mark.parametrize("example", [example for example in EXAMPLES if order(example) <= 6], ids=repr)
def test_by_default(example):
    value = differentiate(example)
    assert np.shape(value) == np.shape(example.answer)
    tolerance = DEFAULT.get(order(example), HIGHER["default"])
    assert np.allclose(value, example.answer, rtol=0, atol=tolerance * scale(example))


def test_nothing_is_left_out():
    assert len(NUMDIFFTOOLS) >= 30
    assert len(SCIPY) >= 20
    operators = {"derivative", "numerical_gradient", "jacobian", "hessian", "jvp"}
    assert {example.operator for example in EXAMPLES} == operators
