"""Objectives that people minimise: of Moré, Garbow and Hillstrom, of CUTEst, NIST's regressions, likelihoods.

Each is a function of an array and the points at which it is differentiated. All are analytic, so that a complex step
gives their gradients to rounding. Data that are not short are drawn from the model at a known parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import arctan, cos, exp, log, sin, sqrt, tanh

Array = np.ndarray[Any, Any]
_RANDOM = np.random.default_rng(20)


@dataclass(frozen=True)
class Problem:
    """A function and the points, (k, n), at which its gradient is compared."""

    name: str
    f: Callable[[Array], Any]
    points: Array

    def gradient(self, x: Array) -> Array:
        """Return the gradient to rounding: ``Im f(x + ih) / h`` subtracts nothing, and h**2 is 0."""
        h = 1e-100
        steps = 1j * h * np.eye(x.size)
        return np.array([self.f(x + step).imag / h for step in steps])


def squares(residuals: Callable[[Array], Any]) -> Callable[[Array], Any]:
    """Return the sum of squares of some residuals."""
    return lambda x: sum(np.sum(part * part) for part in residuals(x))


def regression(model: Callable[[Array, Any], Array], t: Array, at: list[float]) -> Callable[[Array], Any]:
    """Return the sum of squares of a model from data that it gives at ``at``, off by 1 % of their deviation."""
    y = model(np.array(at), t)
    y = y + 0.01 * np.std(y) * _RANDOM.standard_normal(y.shape)
    return lambda b: np.sum((model(b, t) - y) ** 2)


T10 = np.arange(1, 11) / 10
BARD = np.array([0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39])
U15 = np.arange(1.0, 16.0)
KOWALIK_Y = np.array([0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246])
KOWALIK_U = np.array([4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625])
MEYER = np.array(
    [34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872.0]
)
GAUSSIAN = np.array([9, 44, 175, 540, 1295, 2420, 3521, 3989, 3521, 2420, 1295, 540, 175, 44, 9]) / 1e4
I20, I29 = np.arange(1, 21) / 5, np.arange(1, 30) / 29
GRID = np.arange(1, 11) / 11
GULF = np.arange(1, 11) / 100
N5 = np.arange(1.0, 6.0)


def _watson(x: Array) -> Any:
    powers = I29[:, None] ** np.arange(x.size)
    slope = (powers[:, :-1] * np.arange(1, x.size)) @ x[1:]
    return np.sum((slope - (powers @ x) ** 2 - 1) ** 2) + x[0] ** 2 + (x[1] - x[0] ** 2 - 1) ** 2


def _integral(x: Array) -> Any:
    cubes = (x + GRID + 1) ** 3
    below = np.where(GRID[:, None] >= GRID, (1 - GRID[:, None]) * GRID, GRID[:, None] * (1 - GRID))
    return np.sum((x + below @ cubes / 22) ** 2)


def _discrete(x: Array) -> Any:
    padded = np.concatenate([[0], x, [0]])
    return np.sum((2 * x - padded[:-2] - padded[2:] + (x + GRID + 1) ** 3 / 242) ** 2)


def _osborne_1(b: Array, t: Array) -> Array:
    return b[0] + b[1] * exp(-b[3] * t) + b[2] * exp(-b[4] * t)


def _osborne_2(b: Array, t: Array) -> Array:
    peaks = [b[k] * exp(-b[k + 4] * (t - b[k + 7]) ** 2) for k in (1, 2, 3)]
    return b[0] * exp(-b[4] * t) + sum(peaks)


def _helix(x: Array) -> Any:
    angle = arctan(x[1] / x[0]) / (2 * np.pi) + (0.5 if x[0].real < 0 else 0)
    return 100 * ((x[2] - 10 * angle) ** 2 + (sqrt(x[0] ** 2 + x[1] ** 2) - 1) ** 2) + x[2] ** 2


def _trigonometric(x: Array) -> Any:
    return np.sum((x.size - np.sum(cos(x)) + np.arange(1, x.size + 1) * (1 - cos(x)) - sin(x)) ** 2)


def _penalty_2(x: Array) -> Any:
    e = exp(x / 10)
    y = exp(np.arange(2, x.size + 1) / 10) + exp(np.arange(1, x.size) / 10)
    smooth = np.sum((e[1:] + e[:-1] - y) ** 2) + np.sum((e[1:] - exp(-0.1)) ** 2)
    return 1e-5 * smooth + (x[0] - 0.2) ** 2 + (np.sum(np.arange(x.size, 0, -1) * x**2) - 1) ** 2


MORE = {
    "Rosenbrock": (squares(lambda x: (10 * (x[1] - x[0] ** 2), 1 - x[0])), [-1.2, 1]),
    "Freudenstein-Roth": (
        squares(lambda x: (x[0] - 13 + ((5 - x[1]) * x[1] - 2) * x[1], x[0] - 29 + ((x[1] + 1) * x[1] - 14) * x[1])),
        [0.5, -2],
    ),
    "Powell badly scaled": (squares(lambda x: (1e4 * x[0] * x[1] - 1, exp(-x[0]) + exp(-x[1]) - 1.0001)), [1e-5, 1]),
    "Brown badly scaled": (squares(lambda x: (x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2)), [1, 1]),
    "Beale": (squares(lambda x: [y - x[0] * (1 - x[1] ** k) for k, y in ((1, 1.5), (2, 2.25), (3, 2.625))]), [1, 1]),
    "Jennrich-Sampson": (
        squares(lambda x: (2 + 2 * 10 * T10 - exp(10 * T10 * x[0]) - exp(10 * T10 * x[1]),)),
        [0.3, 0.4],
    ),
    "helical valley": (_helix, [-1, 0.1, 0.1]),
    "Bard": (
        squares(lambda x: (BARD - x[0] - U15 / ((16 - U15) * x[1] + np.minimum(U15, 16 - U15) * x[2]),)),
        [1, 1, 1],
    ),
    "Gaussian": (squares(lambda x: (x[0] * exp(-x[1] * ((8 - U15) / 2 - x[2]) ** 2 / 2) - GAUSSIAN,)), [0.4, 1, 0.1]),
    "Meyer": (squares(lambda x: (x[0] * exp(x[1] / (45 + 5 * np.arange(1, 17) + x[2])) - MEYER,)), [0.02, 4000, 250]),
    "Gulf": (
        squares(lambda x: (exp(-(((25 + (-50 * log(GULF)) ** (2 / 3) - x[1]) ** 2) ** (x[2] / 2)) / x[0]) - GULF,)),
        [5, 2.5, 0.15],
    ),
    "Box": (
        squares(lambda x: (exp(-T10 * x[0]) - exp(-T10 * x[1]) - x[2] * (exp(-T10) - exp(-10 * T10)),)),
        [0, 10, 20],
    ),
    "Powell singular": (
        squares(
            lambda x: (x[0] + 10 * x[1], 5**0.5 * (x[2] - x[3]), (x[1] - 2 * x[2]) ** 2, 10**0.5 * (x[0] - x[3]) ** 2)
        ),
        [3, -1, 0, 1],
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
        [-3, -1, -3, -1],
    ),
    "Kowalik-Osborne": (
        squares(
            lambda x: (KOWALIK_Y - x[0] * (KOWALIK_U**2 + KOWALIK_U * x[1]) / (KOWALIK_U**2 + KOWALIK_U * x[2] + x[3]),)
        ),
        [0.25, 0.39, 0.415, 0.39],
    ),
    "Brown-Dennis": (
        squares(lambda x: ((x[0] + I20 * x[1] - exp(I20)) ** 2 + (x[2] + x[3] * sin(I20) - cos(I20)) ** 2,)),
        [25, 5, -5, -1],
    ),
    "Osborne 1": (
        regression(_osborne_1, np.arange(0.0, 330, 10), [0.3754, 1.9358, -1.4647, 0.01287, 0.02212]),
        [0.5, 1.5, -1, 0.01, 0.02],
    ),
    "Osborne 2": (
        regression(
            _osborne_2,
            np.arange(65) / 10,
            [1.31, 0.4315, 0.6336, 0.5993, 0.7539, 0.9056, 1.3651, 4.8248, 2.3988, 4.5689, 5.6754],
        ),
        [1.3, 0.65, 0.65, 0.7, 0.6, 3, 5, 7, 2, 4.5, 5.5],
    ),
    "Biggs EXP6": (
        squares(
            lambda x: (
                x[2] * exp(-T10 * x[0])
                - x[3] * exp(-T10 * x[1])
                + x[5] * exp(-T10 * x[4])
                - exp(-T10)
                + 5 * exp(-10 * T10)
                - 3 * exp(-4 * T10),
            )
        ),
        [1, 2, 1, 1, 1, 1],
    ),
    "Watson": (_watson, [0.1, -0.2, 0.3, 0.1, -0.1, 0.2]),
    "penalty I": (lambda x: 1e-5 * np.sum((x - 1) ** 2) + (np.sum(x * x) - 0.25) ** 2, [1, 2, 3, 4]),
    "penalty II": (_penalty_2, [0.5] * 10),
    "variably dimensioned": (
        lambda x: np.sum((x - 1) ** 2) + (N5 @ (x - 1)) ** 2 + (N5 @ (x - 1)) ** 4,
        [0.8, 0.6, 0.4, 0.2, 0],
    ),
    "trigonometric": (_trigonometric, [0.1] * 10),
    "trigonometric, 100": (_trigonometric, [0.01] * 100),
    "Brown almost linear": (squares(lambda x: (x[:-1] + np.sum(x) - 6, np.prod(x) - 1)), [0.5] * 5),
    "discrete boundary value": (_discrete, list(GRID * (GRID - 1))),
    "discrete integral": (_integral, list(GRID * (GRID - 1))),
    "Broyden tridiagonal": (
        squares(lambda x: ((3 - 2 * x) * x - np.append(0, x[:-1]) - 2 * np.append(x[1:], 0) + 1,)),
        [-1] * 10,
    ),
}


CUTEST = {
    "ARWHEAD": (lambda x: np.sum((x[:-1] ** 2 + x[-1] ** 2) ** 2 - 4 * x[:-1] + 3), [1] * 10),
    "BDQRTIC": (
        lambda x: (
            np.sum((3 - 4 * x[:-4]) ** 2)
            + np.sum((x[:-4] ** 2 + 2 * x[1:-3] ** 2 + 3 * x[2:-2] ** 2 + 4 * x[3:-1] ** 2 + 5 * x[-1] ** 2) ** 2)
        ),
        [1] * 10,
    ),
    "COSINE": (lambda x: np.sum(cos(x[:-1] ** 2 - x[1:] / 2)), [1] * 10),
    "CRAGGLVY": (
        lambda x: (
            np.sum((exp(x[:-3]) - x[1:-2]) ** 4)
            + 100 * np.sum((x[1:-2] - x[2:-1]) ** 6)
            + np.sum(
                (sin(x[2:-1] - x[3:]) / cos(x[2:-1] - x[3:]) + x[2:-1] - x[3:]) ** 4 + x[:-3] ** 8 + (x[3:] - 1) ** 2
            )
        ),
        [1, 2, 2, 2, 2, 2],
    ),
    "DQDRTIC": (lambda x: np.sum(x[:-2] ** 2 + 100 * x[1:-1] ** 2 + 100 * x[2:] ** 2), [3] * 10),
    "EDENSCH": (
        lambda x: 16 + np.sum((x[:-1] - 2) ** 4 + (x[:-1] * x[1:] - 2 * x[1:]) ** 2 + (x[1:] + 1) ** 2),
        [8] * 10,
    ),
    "EG2": (lambda x: np.sum(sin(x[0] + x[:-1] ** 2 - 1)) + 0.5 * sin(x[-1] ** 2), [0.1] * 10),
    "ENGVAL1": (lambda x: np.sum((x[:-1] ** 2 + x[1:] ** 2) ** 2 - 4 * x[:-1] + 3), [2] * 10),
    "FLETCHCR": (lambda x: 100 * np.sum((x[1:] - x[:-1] + 1 - x[:-1] ** 2) ** 2), [0.01] * 10),
    "GENROSE": (lambda x: 1 + np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (x[1:] - 1) ** 2), list(np.arange(1, 11) / 11)),
    "INDEF": (lambda x: 100 * np.sum(sin(x / 100)) + 0.5 * np.sum(cos(2 * x[1:-1] - x[-1] - x[0])), list(GRID)),
    "LIARWHD": (lambda x: np.sum(4 * (x**2 - x[0]) ** 2 + (x - 1) ** 2), [4] * 10),
    "NONDIA": (lambda x: (x[0] - 1) ** 2 + 100 * np.sum((x[0] - x[:-1] ** 2) ** 2), [-1] * 10),
    "QUARTC": (lambda x: np.sum((x - np.arange(x.size)) ** 4), [2.5] * 10),
    "SCHMVETT": (
        lambda x: (
            -np.sum(
                1 / (1 + (x[:-2] - x[1:-1]) ** 2)
                + sin((np.pi * x[1:-1] + x[2:]) / 2)
                + exp(-(((x[:-2] + x[2:]) / x[1:-1] - 2) ** 2))
            )
        ),
        [0.5] * 10,
    ),
    "SINQUAD": (
        lambda x: (
            (x[0] - 1) ** 4
            + np.sum((sin(x[1:-1] - x[-1]) - x[0] ** 2 + x[1:-1] ** 2) ** 2)
            + (x[-1] ** 2 - x[0] ** 2) ** 2
        ),
        [0.1] * 10,
    ),
    "SPARSINE": (
        lambda x: 0.5 * np.sum(np.arange(1, 11) * (sin(x) + sin(np.roll(x, 3)) + sin(np.roll(x, 4))) ** 2),
        [0.5] * 10,
    ),
    "TOINTGSS": (
        lambda x: np.sum((10 / 12 + x[2:] ** 2) * (2 - exp(-((x[:-2] - x[1:-1]) ** 2) / (0.1 + x[2:] ** 2)))),
        [3] * 10,
    ),
    "TRIDIA": (lambda x: (x[0] - 1) ** 2 + np.sum(np.arange(2, 11) * (2 * x[1:] - x[:-1]) ** 2), [1] * 10),
    "BROWNAL": (squares(lambda x: (x[:-1] + np.sum(x) - 11, np.prod(x) - 1)), [0.5] * 10),
    "CLIFF": (lambda x: ((x[0] - 3) / 100) ** 2 - (x[0] - x[1]) + exp(20 * (x[0] - x[1])), [0, -1]),
    "DENSCHNC": (lambda x: (x[0] ** 2 + x[1] ** 2 - 2) ** 2 + (exp(x[0] - 1) + x[1] ** 3 - 2) ** 2, [2, 3]),
    "DENSCHND": (
        lambda x: (
            (x[0] ** 2 + x[1] ** 3 - x[2] ** 4) ** 2
            + (2 * x[0] * x[1] * x[2]) ** 2
            + (2 * x[0] * x[1] - 3 * x[1] * x[2] + x[0] * x[2]) ** 2
        ),
        [10, 10, 10],
    ),
    "DJTL-like barrier": (
        lambda x: (x[0] - 10) ** 3 + (x[1] - 20) ** 3 - log((x[0] - 5) ** 2 + (x[1] - 5) ** 2 - 100),
        [15, 6],
    ),
    "ENGVAL2": (
        lambda x: (
            (x[0] ** 2 + x[1] ** 2 + x[2] ** 2 - 1) ** 2
            + (x[0] ** 2 + x[1] ** 2 + (x[2] - 2) ** 2 - 1) ** 2
            + (x[0] + x[1] + x[2] - 1) ** 2
            + (x[0] + x[1] - x[2] + 1) ** 2
            + (3 * x[1] ** 2 + x[0] ** 3 + (5 * x[2] - x[0] + 1) ** 2 - 36) ** 2
        ),
        [1, 2, 0],
    ),
    "HAIRY": (
        lambda x: (
            30 * sin(7 * x[0]) ** 2 * cos(7 * x[1]) ** 2
            + 100 * sqrt(0.01 + (x[0] - x[1]) ** 2)
            + 100 * sqrt(0.01 + x[0] ** 2)
        ),
        [-5, -7],
    ),
    "HIMMELBB": (lambda x: (x[0] * x[1] * (1 - x[0]) * (1 - x[1] - x[0] * (1 - x[0]) ** 5)) ** 2, [-1.2, 1]),
    "HIMMELBF": (
        lambda b: (
            1e4
            * np.sum(
                (
                    ((b[0] ** 2 + b[1] ** 2 * 1e-3 * U15 + b[2] ** 2 * 1e-6 * U15**2) / (1 + b[3] ** 2 * 1e-3 * U15))
                    / (700 + 60 * U15)
                    - 1
                )
                ** 2
            )
        ),
        [2.7, 90, 1500, 10],
    ),
    "HIMMELBG": (lambda x: exp(-x[0] - x[1]) * (2 * x[0] ** 2 + 3 * x[1] ** 2), [0.5, 0.5]),
    "SISSER": (lambda x: 3 * x[0] ** 4 - 2 * (x[0] * x[1]) ** 2 + 3 * x[1] ** 4, [1, 0.1]),
    "SNAIL": (
        lambda x: (x[0] ** 2 + x[1] ** 2) * (1.1 + sin(5 * sqrt(x[0] ** 2 + x[1] ** 2) - arctan(x[1] / x[0]))),
        [10, 10],
    ),
}


def _rational(b: Array, t: Array) -> Array:
    many = (b.size + 1) // 2
    return sum(b[k] * t**k for k in range(many)) / (1 + sum(b[k] * t ** (k - many + 1) for k in range(many, b.size)))


def _gauss(b: Array, t: Array) -> Array:
    return b[0] * exp(-b[1] * t) + b[2] * exp(-(((t - b[3]) / b[4]) ** 2)) + b[5] * exp(-(((t - b[6]) / b[7]) ** 2))


def _enso(b: Array, t: Array) -> Array:
    waves = [(12.0, b[1], b[2]), (b[3], b[4], b[5]), (b[6], b[7], b[8])]
    return b[0] + sum(p * cos(2 * np.pi * t / c) + q * sin(2 * np.pi * t / c) for c, p, q in waves)


MISRA = np.array([77.6, 114.9, 141.1, 190.8, 239.9, 289, 332.8, 378.4, 434.8, 477.3, 536.8, 593.1, 689.1, 760])
# Models, where they are sampled, and their parameters: two starts, and the certified values.
NIST = {
    "Misra1a": (lambda b, t: b[0] * (1 - exp(-b[1] * t)), MISRA, [500, 1e-4], [250, 5e-4], [238.94, 5.5016e-4]),
    "Misra1b": (
        lambda b, t: b[0] * (1 - (1 + b[1] * t / 2) ** -2),
        MISRA,
        [500, 1e-4],
        [300, 2e-4],
        [337.997, 3.9039e-4],
    ),
    "Misra1c": (
        lambda b, t: b[0] * (1 - 1 / sqrt(1 + 2 * b[1] * t)),
        MISRA,
        [500, 1e-4],
        [600, 2e-4],
        [636.427, 2.0814e-4],
    ),
    "Misra1d": (lambda b, t: b[0] * b[1] * t / (1 + b[1] * t), MISRA, [500, 1e-4], [450, 3e-4], [437.37, 3.0227e-4]),
    "Chwirut": (
        lambda b, t: exp(-b[0] * t) / (b[1] + b[2] * t),
        np.linspace(0.5, 6, 54),
        [0.1, 0.01, 0.02],
        [0.15, 0.008, 0.01],
        [0.16658, 5.1653e-3, 0.01215],
    ),
    "Lanczos": (
        lambda b, t: b[0] * exp(-b[1] * t) + b[2] * exp(-b[3] * t) + b[4] * exp(-b[5] * t),
        np.arange(24) / 20,
        [1.2, 0.3, 5.6, 5.5, 6.5, 7.6],
        [0.5, 0.7, 3.6, 4.2, 4, 6.3],
        [0.0951, 1, 0.8607, 3, 1.5576, 5],
    ),
    "Gauss": (
        _gauss,
        np.arange(1.0, 251),
        [97, 0.009, 100, 65, 20, 70, 178, 16.5],
        [94, 0.0105, 99, 63, 25, 71, 180, 20],
        [98.778, 0.010497, 100.49, 67.481, 23.13, 71.995, 178.998, 18.389],
    ),
    "DanWood": (
        lambda b, t: b[0] * t ** b[1],
        np.array([1.309, 1.471, 1.49, 1.565, 1.611, 1.68]),
        [1, 5],
        [0.7, 4],
        [0.76886, 3.8604],
    ),
    "Kirby2": (
        _rational,
        np.linspace(9.65, 371, 151),
        [2, -0.1, 0.003, -0.001, 1e-5],
        [1.5, -0.15, 0.0025, -0.0015, 2e-5],
        [1.6745, -0.13927, 2.5961e-3, -1.7242e-3, 2.16648e-5],
    ),
    "Hahn1": (
        _rational,
        np.linspace(14, 850, 236),
        [10, -1, 0.05, -1e-5, -0.05, 0.001, -1e-6],
        [1, -0.1, 0.005, -1e-6, -0.005, 1e-4, -1e-7],
        [1.07764, -0.122693, 4.08638e-3, -1.42627e-6, -5.76099e-3, 2.40537e-4, -1.231445e-7],
    ),
    "Thurber": (
        _rational,
        np.linspace(-3, 2.2, 37),
        [1000, 1000, 400, 40, 0.7, 0.3, 0.03],
        [1300, 1500, 500, 75, 1, 0.4, 0.05],
        [1288.14, 1491.08, 583.238, 75.4166, 0.966295, 0.397973, 0.0497273],
    ),
    "Nelson": (
        lambda b, t: b[0] - b[1] * t * exp(-b[2] * (180 + 95 * (t / 64))),
        np.array([1, 2, 4, 8, 16, 32, 48, 64.0]),
        [2, 1e-4, -0.01],
        [2.5, 5e-9, -0.05],
        [2.59068, 5.61777e-9, -0.057701],
    ),
    "MGH17": (
        _osborne_1,
        np.arange(0.0, 330, 10),
        [50, 150, -100, 1, 2],
        [0.5, 1.5, -1, 0.01, 0.02],
        [0.37541, 1.93585, -1.46469, 0.012868, 0.022123],
    ),
    "MGH09": (
        lambda b, t: b[0] * (t**2 + t * b[1]) / (t**2 + t * b[2] + b[3]),
        KOWALIK_U,
        [25, 39, 41.5, 39],
        [0.25, 0.39, 0.415, 0.39],
        [0.192807, 0.191282, 0.123057, 0.136062],
    ),
    "MGH10": (
        lambda b, t: b[0] * exp(b[1] / (t + b[2])),
        np.arange(50.0, 126, 5),
        [2, 4e5, 25000],
        [0.02, 4000, 250],
        [5.60964e-3, 6181.35, 345.224],
    ),
    "Roszman1": (
        lambda b, t: b[0] - b[1] * t - arctan(b[2] / (t - b[3])) / np.pi,
        np.linspace(-4868, 1500, 25),
        [0.1, -1e-5, 1000, -100],
        [0.2, -5e-6, 1200, -150],
        [0.201969, -6.19535e-6, 1204.456, -181.343],
    ),
    "ENSO": (
        _enso,
        np.arange(1.0, 169),
        [11, 3, 0.5, 40, -0.7, -1.3, 25, -0.3, 1.4],
        [10, 3, 0.5, 44, -1.5, 0.5, 26, -0.1, 1.5],
        [10.5107, 3.07621, 0.532801, 44.3111, -1.62314, 0.525545, 26.8876, 0.212323, 1.49669],
    ),
    "BoxBOD": (
        lambda b, t: b[0] * (1 - exp(-b[1] * t)),
        np.array([1, 2, 3, 5, 7, 10.0]),
        [1, 1],
        [100, 0.75],
        [213.809, 0.547237],
    ),
    "Rat42": (
        lambda b, t: b[0] / (1 + exp(b[1] - b[2] * t)),
        np.array([9, 14, 21, 28, 42, 57, 63, 70, 79.0]),
        [100, 1, 0.1],
        [75, 2.5, 0.07],
        [72.4622, 2.61808, 0.0673592],
    ),
    "Rat43": (
        lambda b, t: b[0] / (1 + exp(b[1] - b[2] * t)) ** (1 / b[3]),
        U15,
        [100, 10, 1, 1],
        [700, 5, 0.75, 1.3],
        [699.642, 5.27713, 0.759629, 1.27925],
    ),
    "Eckerle4": (
        lambda b, t: b[0] / b[1] * exp(-(((t - b[2]) / b[1]) ** 2) / 2),
        np.linspace(400, 500, 35),
        [1, 10, 500],
        [1.5, 5, 450],
        [1.55438, 4.08883, 451.541],
    ),
    "Bennett5": (
        lambda b, t: b[0] * (b[1] + t) ** (-1 / b[2]),
        np.linspace(7.45, 50, 154),
        [-2000, 50, 0.8],
        [-1500, 45, 0.85],
        [-2523.51, 46.7366, 0.932185],
    ),
}


NORMAL, UNIFORM = _RANDOM.standard_normal(200), _RANDOM.uniform(size=200)
COVARIATES = np.column_stack([np.ones(200), _RANDOM.standard_normal((200, 2)), 1000 * _RANDOM.uniform(size=200)])
LABELS = (1 / (1 + exp(-COVARIATES @ np.array([0.3, 1, -0.5, 1e-3]))) > UNIFORM).astype(float)
COUNTS = _RANDOM.poisson(exp(COVARIATES @ np.array([0.3, 0.4, -0.2, 1e-3]))).astype(float)
DURATIONS, RETURNS, PROPORTIONS = -log(UNIFORM) * 1e3, 0.01 * NORMAL, UNIFORM * 0.98 + 0.01
SITES = np.linspace(0, 1, 12)
HEIGHTS = sin(6 * SITES) + 0.1 * NORMAL[:12]


def _garch(p: Array) -> Any:
    variance, total = RETURNS.var(), 0.0
    for r in RETURNS:
        total += log(variance) + r * r / variance
        variance = p[0] + p[1] * r * r + p[2] * variance
    return total / 2


def _process(p: Array) -> Any:
    """Return the likelihood of a Gaussian process, by elimination: complex determinants are analytic."""
    distances = (SITES[:, None] - SITES) ** 2
    covariance = p[0] * exp(-distances / (2 * p[1] ** 2)) + p[2] * np.eye(12)
    return HEIGHTS @ np.linalg.solve(covariance, HEIGHTS) / 2 + log(np.linalg.det(covariance)) / 2


def _mixture(p: Array) -> Any:
    y = np.where(UNIFORM < 0.3, NORMAL, 3 + 0.5 * NORMAL)
    low, high = (exp(-(((y - m) / s) ** 2) / 2) / s for m, s in ((p[1], p[2]), (p[3], p[4])))
    return -np.sum(log(p[0] * low + (1 - p[0]) * high))


def _cox(b: Array) -> Any:
    order = np.argsort(DURATIONS)[::-1]
    score = (COVARIATES[:, 1:3] @ b)[order]
    return -np.sum(score - log(np.cumsum(exp(score))))


def _network(p: Array) -> Any:
    """Return the squared error of three hidden units."""
    hidden = tanh(np.outer(COVARIATES[:, 1], p[:3]) + p[3:6])
    return np.sum((hidden @ p[6:9] - sin(2 * COVARIATES[:, 1])) ** 2)


def _logistic(b: Array) -> Any:
    score = COVARIATES @ b
    return np.sum(log(1 + exp(score)) - LABELS * score)


def _bass(p: Array) -> Any:
    e = exp(-(p[0] + p[1]) * U15)
    return np.sum((p[2] * (1 - e) / (1 + p[1] / p[0] * e) - 50 * U15) ** 2)


LIKELIHOODS = {
    "normal, variance": (lambda p: np.sum(log(p[1]) + (RETURNS - p[0]) ** 2 / p[1]) / 2, [0, 1e-4]),
    "normal, deviation": (lambda p: np.sum(log(p[1]) + ((RETURNS - p[0]) / p[1]) ** 2 / 2), [1e-3, 0.01]),
    "exponential": (lambda p: 200 * log(p[0]) + DURATIONS.sum() / p[0], [1000]),
    "exponential, rate": (lambda p: -200 * log(p[0]) + DURATIONS.sum() * p[0], [1e-3]),
    "Weibull": (
        lambda p: -np.sum(log(p[0] / p[1]) + (p[0] - 1) * log(DURATIONS / p[1]) - (DURATIONS / p[1]) ** p[0]),
        [1.3, 900],
    ),
    "Gompertz": (
        lambda p: np.sum(p[0] / p[1] * (exp(p[1] * DURATIONS) - 1) - log(p[0]) - p[1] * DURATIONS),
        [1e-3, 1e-4],
    ),
    "log-normal": (lambda p: np.sum(log(p[1]) + ((log(DURATIONS) - p[0]) / p[1]) ** 2 / 2), [6, 1.2]),
    "Pareto": (lambda p: -np.sum(log(p[0]) + p[0] * log(p[1]) - (p[0] + 1) * log(DURATIONS + p[1])), [1.5, 1000]),
    "Student": (lambda p: np.sum(log(p[0]) + 2.5 * log(1 + (RETURNS / p[0]) ** 2 / 4)), [0.01]),
    "Cauchy": (lambda p: np.sum(log(p[1]) + log(1 + ((RETURNS - p[0]) / p[1]) ** 2)), [0.001, 0.007]),
    "Gumbel": (lambda p: np.sum(log(p[1]) + (DURATIONS - p[0]) / p[1] + exp(-(DURATIONS - p[0]) / p[1])), [600, 700]),
    "Kumaraswamy": (
        lambda p: -np.sum(log(p[0] * p[1]) + (p[0] - 1) * log(PROPORTIONS) + (p[1] - 1) * log(1 - PROPORTIONS ** p[0])),
        [1.1, 0.9],
    ),
    "logistic regression": (_logistic, [0.2, 0.9, -0.4, 8e-4]),
    "Poisson regression": (lambda b: np.sum(exp(COVARIATES @ b) - COUNTS * (COVARIATES @ b)), [0.2, 0.3, -0.1, 9e-4]),
    "negative binomial regression": (
        lambda b: np.sum((COUNTS + 2) * log(2 + exp(COVARIATES @ b)) - COUNTS * (COVARIATES @ b)),
        [0.2, 0.3, -0.1, 9e-4],
    ),
    "GARCH": (_garch, [2e-6, 0.08, 0.88]),
    "AR(1)": (lambda p: np.sum(log(p[1]) + ((RETURNS[1:] - p[0] * RETURNS[:-1]) / p[1]) ** 2 / 2), [0.1, 0.01]),
    "Gaussian process": (_process, [1, 0.3, 0.01]),
    "mixture": (_mixture, [0.3, 0.1, 0.9, 3.1, 0.6]),
    "Cox": (_cox, [0.1, -0.1]),
    "network": (_network, [0.5, -0.3, 1.2, 0.1, 0.2, -0.4, 0.7, -0.6, 0.3]),
    "Bass diffusion": (_bass, [0.003, 0.38, 800]),
    "Arrhenius": (
        regression(lambda b, t: b[0] * exp(-b[1] / (8.314 * t)), np.linspace(300, 500, 21), [1e7, 5e4]),
        [8e6, 4.9e4],
    ),
    "Michaelis-Menten": (
        regression(lambda b, t: b[0] * t / (b[1] + t), np.array([0.02, 0.06, 0.11, 0.22, 0.56, 1.1]), [212.7, 0.0641]),
        [200, 0.05],
    ),
    "decay": (regression(lambda b, t: b[0] * exp(-b[1] * t), np.linspace(0, 3e5, 30), [40, 1e-5]), [50, 2e-5]),
    "diode": (
        regression(lambda b, t: b[0] * (exp(t / b[1]) - 1), np.linspace(0.1, 0.6, 20), [1e-12, 0.0259]),
        [2e-12, 0.027],
    ),
}


def problems() -> Iterator[Problem]:
    """Yield all problems: each at its points, and at points 20 % or less off in every element."""
    random = np.random.default_rng(7)
    models = {name: (regression(model, t, at[-1]), *at) for name, (model, t, *at) in NIST.items()}
    for name, (f, *at) in {**MORE, **CUTEST, **models, **LIKELIHOODS}.items():
        starts = np.array(at, dtype=float)
        near = np.repeat(starts, 3, axis=0)
        yield Problem(name, f, np.concatenate([starts, near * random.uniform(0.8, 1.2, near.shape)]))
