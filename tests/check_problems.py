"""Functions of dicts of arrays with gradients written by hand, as people write them, to be checked.

Each is made for a library, a dtype and a scale, which x is multiplied by and f divides by again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from libraries import Library

Tree = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Problem:
    """A function, its gradient, and where: x is of the library's arrays."""

    f: Callable[[Tree], Any]
    grad: Callable[[Tree], Tree]
    x: Tree


def network(lib: Library, dtype: str, scale: float, rng: np.random.Generator) -> Problem:
    """Two layers, tanh, and the mean of squares over a batch of eight."""
    xp = lib.xp
    data = {"inputs": rng.normal(size=(8, 4)), "targets": rng.normal(size=(8, 3))}
    inputs, targets = (lib.asarray(array, dtype) for array in data.values())
    x = {
        "W1": rng.normal(size=(4, 5)),
        "b1": rng.normal(size=(5,)),
        "W2": rng.normal(size=(5, 3)),
        "b2": rng.normal(size=(3,)),
    }

    def layers(p):
        hidden = xp.tanh(inputs @ (p["W1"] / scale) + p["b1"] / scale)
        return hidden, hidden @ (p["W2"] / scale) + p["b2"] / scale - targets

    def f(p):
        return xp.sum(layers(p)[1] ** 2) / 8

    def grad(p):
        hidden, off = layers(p)
        d_off = off / 4
        d_hidden = (d_off @ xp.permute_dims(p["W2"] / scale, (1, 0))) * (1 - hidden**2)
        return {
            "W1": xp.permute_dims(inputs, (1, 0)) @ d_hidden / scale,
            "b1": xp.sum(d_hidden, axis=0) / scale,
            "W2": xp.permute_dims(hidden, (1, 0)) @ d_off / scale,
            "b2": xp.sum(d_off, axis=0) / scale,
        }

    return Problem(f, grad, _given(lib, dtype, scale, x))


def regression(lib: Library, dtype: str, scale: float, rng: np.random.Generator, n: int = 5) -> Problem:
    """Softmax and cross entropy, with weight decay, of a square weight."""
    xp = lib.xp
    inputs = lib.asarray(rng.normal(size=(6, n)), dtype)
    targets = lib.asarray(np.eye(n)[rng.integers(0, n, 6)], dtype)

    def shifted(p):
        scores = inputs @ (p["W"] / scale) + p["b"] / scale
        return scores - xp.max(scores, axis=1, keepdims=True)

    def f(p):
        scores = shifted(p)
        entropy = xp.sum(xp.log(xp.sum(xp.exp(scores), axis=1))) - xp.sum(targets * scores)
        return entropy / 6 + xp.sum((p["W"] / scale) ** 2) / 20

    def grad(p):
        powers = xp.exp(shifted(p))
        d_scores = (powers / xp.sum(powers, axis=1, keepdims=True) - targets) / 6
        return {
            "W": (xp.permute_dims(inputs, (1, 0)) @ d_scores + p["W"] / scale / 10) / scale,
            "b": xp.sum(d_scores, axis=0) / scale,
        }

    x = {"W": rng.normal(size=(n, n)), "b": rng.normal(size=(n,))}
    return Problem(f, grad, _given(lib, dtype, scale, x))


def simulation(lib: Library, dtype: str, scale: float, rng: np.random.Generator) -> Problem:
    """A field of three dimensions, a profile and a number: products, sines and exponentials."""
    xp = lib.xp
    weights = lib.asarray(rng.normal(size=(2, 3, 3)), dtype)

    def f(p):
        field, profile, number = (p[key] / scale for key in ("field", "profile", "number"))
        return xp.sum(weights * xp.sin(field)) * number + xp.sum(xp.exp(profile) * profile)

    def grad(p):
        field, profile, number = (p[key] / scale for key in ("field", "profile", "number"))
        return {
            "field": weights * xp.cos(field) * number / scale,
            "profile": xp.exp(profile) * (1 + profile) / scale,
            "number": xp.sum(weights * xp.sin(field)) / scale,
        }

    x = {"field": rng.normal(size=(2, 3, 3)), "profile": rng.normal(size=(7,)), "number": np.array(1.5)}
    return Problem(f, grad, _given(lib, dtype, scale, x))


def chain(lib: Library, dtype: str, scale: float, rng: np.random.Generator, n: int = 10) -> Problem:
    """Rosenbrock's function, of which neighbours are coupled."""
    xp = lib.xp

    def f(p):
        x = p["x"] / scale
        return xp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    def grad(p):
        x = p["x"] / scale
        bent = x[1:] - x[:-1] ** 2
        zero = xp.zeros_like(x[:1])
        inner = xp.concat([-400 * x[:-1] * bent - 2 * (1 - x[:-1]), zero])
        return {"x": (inner + xp.concat([zero, 200 * bent])) / scale}

    return Problem(f, grad, _given(lib, dtype, scale, {"x": rng.normal(size=(n,))}))


def distances(lib: Library, dtype: str, scale: float, rng: np.random.Generator) -> Problem:
    """The energy of points that attract each other: square roots and quotients."""
    xp = lib.xp
    masses = lib.asarray(rng.uniform(0.5, 2.0, size=(5, 5)), dtype)

    def apart(p):
        points = p["points"] / scale
        off = points[:, None, :] - points[None, :, :]
        return off, xp.sqrt(xp.sum(off**2, axis=2) + 1)

    def f(p):
        return -xp.sum(masses / apart(p)[1])

    def grad(p):
        off, length = apart(p)
        pull = (masses + xp.permute_dims(masses, (1, 0))) / length**3
        return {"points": xp.sum(pull[:, :, None] * off, axis=1) / scale}

    return Problem(f, grad, _given(lib, dtype, scale, {"points": rng.normal(size=(5, 3))}))


def _given(lib: Library, dtype: str, scale: float, x: dict[str, np.ndarray]) -> Tree:
    return {key: lib.asarray(array * scale, dtype) for key, array in x.items()}


PROBLEMS = {function.__name__: function for function in (network, regression, simulation, chain, distances)}
