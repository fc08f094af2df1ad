"""Functions that people minimise, with gradients written by hand: test functions, nonlinear fits and likelihoods.

``REAL`` has (f, gradient, x) by name, in float64. Fits are of the models of NIST's StRD and of the test functions of
More, Garbow and Hillstrom, with data made up here; a gradient of residuals is ``J.T @ r``.
"""

from __future__ import annotations

import numpy as np
from numpy import cos, exp, log, sin, sqrt, tanh

T = np.linspace(0.1, 4.0, 14)
RNG = np.random.default_rng(5)
DESIGN = RNG.normal(size=(40, 4))
LABELS = (RNG.random(40) < 0.4).astype(float)
COUNTS = RNG.poisson(3.0, 40).astype(float)
TIMES = RNG.exponential(2.0, 40)
FIELD = RNG.normal(size=12)


def fit(model, columns, b0):
    """Return the sum of squares of a model of T and b, whose derivatives by b are the columns."""
    data = model(np.asarray(b0)) * (1 + 0.05 * sin(7 * T))
    return (
        lambda b: ((model(b) - data) ** 2).sum(),
        lambda b: 2 * np.stack(columns(b)) @ (model(b) - data),
    )


def likelihood(value, slope):
    """Return minus a log likelihood of a linear predictor, and its gradient."""
    return lambda b: value(DESIGN @ b).sum(), lambda b: DESIGN.T @ slope(DESIGN @ b)


def ahead(a):
    return np.append(a[1:], 0.0)


def rosenbrock_slope(x):
    bent = x[1:] - x[:-1] ** 2
    return np.append(-400 * x[:-1] * bent - 2 * (1 - x[:-1]), 0.0) + np.append(0.0, 200 * bent)


def powell_slope(x):
    a, b, c, d = x[0] + 10 * x[1], x[2] - x[3], x[1] - 2 * x[2], x[0] - x[3]
    return np.array(
        [2 * a + 40 * d**3, 20 * a + 4 * c**3, 10 * b - 8 * c**3, -10 * b - 40 * d**3],
    )


def wood_slope(x):
    a, b = x[1] - x[0] ** 2, x[3] - x[2] ** 2
    s, d = x[1] + x[3] - 2, x[1] - x[3]
    return np.array(
        [
            -400 * a * x[0] - 2 * (1 - x[0]),
            200 * a + 20 * s + 0.2 * d,
            -360 * b * x[2] - 2 * (1 - x[2]),
            180 * b + 20 * s - 0.2 * d,
        ]
    )


PAIRS = {
    "Rosenbrock": (
        lambda x: (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum(),
        rosenbrock_slope,
        [[-1.2, 1.0], [0.5, 2.0, -1.5, 0.3, 1.1], RNG.normal(size=20), 30 * RNG.normal(size=6)],
    ),
    "Powell singular": (
        lambda x: (x[0] + 10 * x[1]) ** 2 + 5 * (x[2] - x[3]) ** 2 + (x[1] - 2 * x[2]) ** 4 + 10 * (x[0] - x[3]) ** 4,
        powell_slope,
        [[3.0, -1.0, 0.5, 1.0], [0.1, 0.02, -0.3, 0.7], [30.0, -10.0, 2.0, 10.0]],
    ),
    "Wood": (
        lambda x: (
            100 * (x[1] - x[0] ** 2) ** 2
            + (1 - x[0]) ** 2
            + 90 * (x[3] - x[2] ** 2) ** 2
            + (1 - x[2]) ** 2
            + 10 * (x[1] + x[3] - 2) ** 2
            + 0.1 * (x[1] - x[3]) ** 2
        ),
        wood_slope,
        [[-3.0, -1.0, -3.0, -1.0], [0.7, 1.2, 0.4, -2.0], [5.0, 8.0, -2.0, 3.0]],
    ),
    "Beale": (
        lambda x: sum((c - x[0] * (1 - x[1] ** k)) ** 2 for k, c in ((1, 1.5), (2, 2.25), (3, 2.625))),
        lambda x: sum(
            2 * (c - x[0] * (1 - x[1] ** k)) * np.array([x[1] ** k - 1, k * x[0] * x[1] ** (k - 1)])
            for k, c in ((1, 1.5), (2, 2.25), (3, 2.625))
        ),
        [[1.0, 0.8], [4.0, 1.5], [-2.0, -1.3]],
    ),
    "Trigonometric sum": (
        lambda x: (x**2 / 2 + 0.3 * sin(3 * x) * np.roll(x, 1)).sum(),
        lambda x: x + 0.9 * cos(3 * x) * np.roll(x, 1) + 0.3 * np.roll(sin(3 * x), -1),
        [FIELD, [0.3, 1.4, -2.0], 5 * FIELD],
    ),
    "Variably dimensioned": (
        lambda x: ((x - 1) ** 2).sum() + (w := (np.arange(1, x.size + 1) * (x - 1)).sum()) ** 2 + w**4,
        lambda x: (
            2 * (x - 1) + np.arange(1, x.size + 1) * (2 * (w := (np.arange(1, x.size + 1) * (x - 1)).sum()) + 4 * w**3)
        ),
        [1 - np.arange(1, 7) / 6, 1 + 0.1 * FIELD, [0.2, 2.0]],
    ),
    "Brown almost linear": (
        lambda x: ((x + x.sum() - x.size - 1)[:-1] ** 2).sum() + (x.prod() - 1) ** 2,
        lambda x: (
            np.append(2 * (x + x.sum() - x.size - 1)[:-1], 0.0)
            + 2 * (x + x.sum() - x.size - 1)[:-1].sum()
            + 2 * (x.prod() - 1) * x.prod() / x
        ),
        [[0.5, 0.6, 0.7, 0.8, 0.9], [1.2, 0.8, -1.1], np.linspace(0.6, 1.3, 8)],
    ),
    "Chebyquad-like cosines": (
        lambda x: sum((cos(k * x).mean() - 1 / (k * k + 1)) ** 2 for k in range(1, 6)),
        lambda x: sum(2 * (cos(k * x).mean() - 1 / (k * k + 1)) * (-k * sin(k * x) / x.size) for k in range(1, 6)),
        [np.linspace(0.2, 2.5, 7), FIELD, [0.4, 1.7]],
    ),
    "Bratu": (
        lambda x: ((ahead(x) - x) ** 2).sum() / 2 + x[0] ** 2 / 2 - 0.1 * exp(x).sum(),
        lambda x: (
            (x - ahead(x)) + np.append(0.0, (x[1:] - x[:-1])) - 0.1 * exp(x) + np.append(x[0], np.zeros(x.size - 1))
        ),
        [FIELD, np.linspace(0.1, 1, 9), 0.01 * FIELD],
    ),
    "Quartic with cross terms": (
        lambda x: (x**4).sum() / 4 + (x.sum()) ** 2 / 2 - (x * np.arange(x.size)).sum(),
        lambda x: x**3 + x.sum() - np.arange(x.size),
        [FIELD, [1.0, 2.0, 3.0], 100 * FIELD, 1e-3 * FIELD],
    ),
    "Log barrier": (
        lambda x: x.sum() - 0.1 * log(x).sum() - 0.1 * log(10 - x.sum()),
        lambda x: 1 - 0.1 / x + 0.1 / (10 - x.sum()),
        [[0.5, 1.0, 2.0], [1e-3, 3.0, 0.2, 2.0], np.linspace(0.1, 1, 9)],
    ),
    "Entropy": (
        lambda x: (x * log(x / x.sum())).sum(),
        lambda x: log(x / x.sum()),
        [[0.2, 0.5, 0.3], np.linspace(1, 9, 9), [1e-4, 2.0]],
    ),
    "Softplus network": (
        lambda w: (log(1 + exp(DESIGN @ w[:4])) * w[4] - COUNTS) @ (log(1 + exp(DESIGN @ w[:4])) * w[4] - COUNTS) / 40,
        lambda w: np.append(
            DESIGN.T
            @ ((a := 2 * (log(1 + exp(DESIGN @ w[:4])) * w[4] - COUNTS) / 40) * w[4] / (1 + exp(-DESIGN @ w[:4]))),
            a @ log(1 + exp(DESIGN @ w[:4])),
        ),
        [[0.3, -0.2, 0.5, 0.1, 1.5], RNG.normal(size=5), 0.1 * RNG.normal(size=5)],
    ),
    "Log-sum-exp": (
        lambda x: log(exp(DESIGN @ x).sum()) + x @ x / 20,
        lambda x: DESIGN.T @ (exp(DESIGN @ x) / exp(DESIGN @ x).sum()) + x / 10,
        [[0.3, -0.2, 0.5, 0.1], RNG.normal(size=4), 0.01 * RNG.normal(size=4)],
    ),
    "Huber": (
        lambda x: (sqrt(1 + (DESIGN @ x - COUNTS) ** 2) - 1).sum(),
        lambda x: DESIGN.T @ ((DESIGN @ x - COUNTS) / sqrt(1 + (DESIGN @ x - COUNTS) ** 2)),
        [[0.3, -0.2, 0.5, 0.1], 10 * RNG.normal(size=4), np.ones(4)],
    ),
    "Determinant": (
        lambda x: -log(np.linalg.det(np.diag(x) + 0.3)) + x.sum(),
        lambda x: 1 - np.diag(np.linalg.inv(np.diag(x) + 0.3)),
        [[1.0, 2.0, 0.7], np.linspace(0.5, 3, 6), [5.0, 0.1]],
    ),
    "Misra1a": (
        *fit(
            lambda b: b[0] * (1 - exp(-b[1] * T)),
            lambda b: (1 - exp(-b[1] * T), b[0] * T * exp(-b[1] * T)),
            [2.4, 0.6],
        ),
        [[2.0, 0.5], [5.0, 0.1], [240.0, 5.5e-4]],
    ),
    "Lanczos": (
        *fit(
            lambda b: b[0] * exp(-b[1] * T) + b[2] * exp(-b[3] * T),
            lambda b: (exp(-b[1] * T), -b[0] * T * exp(-b[1] * T), exp(-b[3] * T), -b[2] * T * exp(-b[3] * T)),
            [1.2, 0.3, 5.6, 1.5],
        ),
        [[1.0, 0.5, 4.0, 2.0], [0.1, 1.0, 0.8, 3.0], [5.0, 0.2, -2.0, 0.7]],
    ),
    "Gauss": (
        *fit(
            lambda b: b[0] * exp(-(((T - b[1]) / b[2]) ** 2)),
            lambda b: (
                exp(-(((T - b[1]) / b[2]) ** 2)),
                b[0] * exp(-(((T - b[1]) / b[2]) ** 2)) * 2 * (T - b[1]) / b[2] ** 2,
                b[0] * exp(-(((T - b[1]) / b[2]) ** 2)) * 2 * (T - b[1]) ** 2 / b[2] ** 3,
            ),
            [2.0, 1.5, 0.8],
        ),
        [[1.0, 2.0, 1.0], [100.0, 1.7, 0.5], [0.3, 3.0, 2.0]],
    ),
    "Rat42": (
        *fit(
            lambda b: b[0] / (1 + exp(b[1] - b[2] * T)),
            lambda b: (
                1 / (1 + exp(b[1] - b[2] * T)),
                -b[0] * exp(b[1] - b[2] * T) / (1 + exp(b[1] - b[2] * T)) ** 2,
                b[0] * T * exp(b[1] - b[2] * T) / (1 + exp(b[1] - b[2] * T)) ** 2,
            ),
            [7.0, 2.5, 1.4],
        ),
        [[6.0, 2.0, 1.0], [72.0, 2.6, 0.67], [1.0, 1.0, 0.1]],
    ),
    "Enso": (
        *fit(
            lambda b: b[0] + b[1] * cos(b[2] * T) + b[3] * sin(b[2] * T),
            lambda b: (
                np.ones_like(T),
                cos(b[2] * T),
                T * (b[3] * cos(b[2] * T) - b[1] * sin(b[2] * T)),
                sin(b[2] * T),
            ),
            [10.0, 3.0, 2.0, 0.5],
        ),
        [[11.0, 3.0, 1.8, 0.5], [1.0, 0.1, 6.0, -0.2], [0.2, 4.0, 0.3, 3.0]],
    ),
    "logistic likelihood": (
        *likelihood(lambda z: log(1 + exp(z)) - LABELS * z, lambda z: 1 / (1 + exp(-z)) - LABELS),
        [[0.1, -0.5, 0.3, 1.0], np.zeros(4) + 0.01, 3 * RNG.normal(size=4)],
    ),
    "Poisson likelihood": (
        *likelihood(lambda z: exp(z) - COUNTS * z, lambda z: exp(z) - COUNTS),
        [[0.1, -0.5, 0.3, 0.2], np.full(4, 0.01), RNG.normal(size=4)],
    ),
    "Weibull likelihood": (
        lambda b: (-b[0] + (1 - exp(b[0])) * (log(TIMES) - b[1]) + b[1] + exp(exp(b[0]) * (log(TIMES) - b[1]))).sum(),
        lambda b: (lambda k, z: np.array([(-1 - k * z + k * z * exp(k * z)).sum(), (k - k * exp(k * z)).sum()]))(  # noqa: PLC3002
            exp(b[0]), log(TIMES) - b[1]
        ),
        [[0.1, 0.7], [-0.4, 1.5], [0.6, 0.2]],
    ),
    "Normal likelihood": (
        lambda b: ((TIMES - b[0]) ** 2).sum() / (2 * b[1] ** 2) + 40 * log(b[1]),
        lambda b: np.array([-(TIMES - b[0]).sum() / b[1] ** 2, -((TIMES - b[0]) ** 2).sum() / b[1] ** 3 + 40 / b[1]]),
        [[2.0, 2.0], [1.0, 0.5], [50.0, 10.0]],
    ),
    "Student likelihood": (
        *likelihood(
            lambda z: 2 * log(1 + (COUNTS - z) ** 2 / 3), lambda z: -4 * (COUNTS - z) / (3 + (COUNTS - z) ** 2)
        ),
        [[0.1, -0.5, 0.3, 0.2], [1.0, 2.0, 0.3, -1.0], 0.1 * RNG.normal(size=4)],
    ),
    "Probit-like tanh": (
        *likelihood(lambda z: (tanh(z) - LABELS) ** 2, lambda z: 2 * (tanh(z) - LABELS) * (1 - tanh(z) ** 2)),
        [[0.1, -0.5, 0.3, 0.2], RNG.normal(size=4), [0.01, 0.02, -0.03, 0.01]],
    ),
}

REAL = {
    f"{name} {k}": (f, gradient, np.array(x, dtype=float))
    for name, (f, gradient, points) in PAIRS.items()
    for k, x in enumerate(points)
}


def mistakes(right):
    """Yield five mistakes: one element off by a millionth, its sign, zeros, two swapped, all doubled."""
    largest, least = int(np.argmax(np.abs(right))), int(np.argmin(np.abs(right)))
    for name, place, factor in (("a millionth", largest, 1 + 1e-6), ("sign", largest, -1.0)):
        wrong = right.copy()
        wrong[place] *= factor
        yield name, wrong
    yield "zeros", 0 * right
    wrong = right.copy()
    wrong[[largest, least]] = wrong[[least, largest]]
    yield "swapped", wrong
    yield "doubled", 2 * right
