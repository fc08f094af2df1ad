"""Where functions have a derivative and where not: the table that Chainer's tests of its gradient check hold."""

from __future__ import annotations

import math

import numpy as np
import pytest

import anygrad

# Each function with its derivative; at a kink, with one between those of both sides.
FUNCTIONS = {
    "zero": (np.zeros_like, np.zeros_like),
    "linear": (lambda x: 2 * x, lambda x: np.full_like(x, 2.0)),
    "quadratic": (lambda x: x * x + 2.0, lambda x: 2 * x),
    "cubic": (lambda x: -3 * x**3 + 2 * x**2 + 1, lambda x: -9 * x**2 + 4 * x),
    "abs": (np.abs, np.sign),
    "step": (lambda x: np.where(x > 0, 1.0, 0.0), np.zeros_like),
    "clip": (lambda x: np.clip(x, 0.0, 1.0), lambda x: np.where((x > 0) & (x < 1), 1.0, 0.0)),
    "floor": (np.floor, np.zeros_like),
    "exp": (np.exp, np.exp),
    "log": (np.log, lambda x: 1 / x),
    "tan": (np.tan, lambda x: 1 + np.tan(x) ** 2),
    "nan_segment": (lambda x: np.where((x > -1) & (x < 1), np.nan, 1.0), np.zeros_like),
}
DRAWN = np.random.default_rng(0).normal(size=(3, 2))
NEAR, NEARER = 1.2e-3, 0.8e-3  # Chainer's step is 1e-3; here the step shrinks until there is no kink within it

FACTS = [
    *[("zero", x, "agrees") for x in (-100.0, 100.0, 0.0, 1e-4, DRAWN, DRAWN[0, 0])],
    *[("linear", x, "agrees") for x in (-100.0, 100.0, 0.0, DRAWN, DRAWN[0, 0])],
    ("linear", math.inf, "nonfinite"),
    *[("quadratic", x, "agrees") for x in (-100.0, 100.0, 0.0)],
    *[("cubic", x, "agrees") for x in (-100.0, 100.0, 0.0)],
    ("abs", 0.0, "kink"),
    ("abs", np.array([[3.0, 1.0], [0.0, 2.0]]), "kink"),
    *[("abs", x, "agrees") for x in (NEARER, -NEARER, NEAR, -NEAR, 100.0, -100.0)],
    ("step", 0.0, "kink"),
    *[("step", x, "agrees") for x in (NEARER, -NEARER, NEAR, -NEAR, 100.0, -100.0)],
    ("clip", 0.0, "kink"),
    ("clip", 1.0, "kink"),
    ("clip", 0.5, "agrees"),
    ("floor", 0.0, "kink"),
    *[("floor", 100 + x, "agrees") for x in (NEARER, -NEARER, NEAR, -NEAR)],
    *[("exp", x, "agrees") for x in (-100.0, 0.0, 13.0)],
    ("log", 100.0, "agrees"),
    ("log", 1e-3, "agrees"),
    ("log", 0.0, "nonfinite"),
    ("log", -10.0, "nonfinite"),
    *[("tan", x, "agrees") for x in (NEAR, NEARER, 1.5 * math.pi + 1e-3, 1.5 * math.pi - 1e-3)],
    *[("tan", 1.5 * math.pi + x, "agrees") for x in (NEARER, -NEARER)],
    ("nan_segment", 0.0, "nonfinite"),
    ("nan_segment", -1.0, "nonfinite"),
    ("nan_segment", 1.0, "nonfinite"),
]


@pytest.mark.parametrize(("name", "x", "verdict"), FACTS, ids=[f"{name}-{np.ravel(x)[0]:.4g}" for name, x, _ in FACTS])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_differentiable_agrees_and_what_is_not_is_named(name, x, verdict):
    f, derivative = FUNCTIONS[name]
    x = np.atleast_1d(np.asarray(x, dtype=float))
    assert anygrad.check_gradient(lambda x: np.sum(f(x)), derivative, x).verdict == verdict


@pytest.mark.parametrize("x", [math.pi / 2, -math.pi / 2, 1.5 * math.pi])
def test_next_to_a_pole_that_no_number_lies_between_nothing_is_said_to_agree(x):
    f, derivative = FUNCTIONS["tan"]
    assert not anygrad.check_gradient(lambda x: np.sum(f(x)), derivative, np.array([x]))


@pytest.mark.parametrize(("name", "x"), [(name, x) for name, x, verdict in FACTS if verdict == "agrees"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_same_derivative_with_a_digit_wrong_is_wrong(name, x):
    f, derivative = FUNCTIONS[name]
    x = np.atleast_1d(np.asarray(x, dtype=float))
    report = anygrad.check_gradient(lambda x: np.sum(f(x)), lambda x: derivative(x) * (1 + 1e-6) + 2.5e-6, x)
    assert report.verdict == "wrong"
    assert report.counts["wrong"] == x.size
