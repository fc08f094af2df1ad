"""Derivatives of several kinds, compared between evaluators to the last bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import optree

import anygrad

X = np.array([[0.3, -1.2, 2.0], [1.5, 0.7, -0.4]])


def of_number(lib: Any) -> Callable[[Any], Any]:
    xp = lib.xp
    return lambda x: xp.sum(xp.sin(x) * x**2)


def of_array(lib: Any) -> Callable[[Any], Any]:
    xp = lib.xp
    return lambda x: {"table": xp.permute_dims(x**3, (1, 0)), "total": xp.sum(x)}


def of_tree(lib: Any) -> Callable[[Any], Any]:
    xp = lib.xp
    return lambda p: (xp.sum(p["w"] ** 3) + xp.sum(p["b"]), "extra")


# Each is called with a library, the array X and an evaluator.
DERIVATIVES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "jacobian, f0 known": lambda lib, x, evaluator: anygrad.jacobian(
        of_array(lib), x, f0=of_array(lib)(x), scheme=anygrad.Forward(), evaluator=evaluator, full_output=True
    ),
    "a tree, with aux": lambda lib, x, evaluator: anygrad.numerical_gradient(
        of_tree(lib), {"w": x, "b": x + 1}, has_aux=True, evaluator=evaluator, full_output=True
    ),
    "adaptive": lambda lib, x, evaluator: anygrad.numerical_gradient(
        of_number(lib), x, scheme=anygrad.Adaptive(), evaluator=evaluator, full_output=True
    ),
}


def bits(lib: Any, result: Any) -> Any:
    """Return all that a derivative consists of, each array as bytes."""
    if isinstance(result, tuple):  # (result, aux)
        return [bits(lib, part) for part in result]
    if not dataclasses.is_dataclass(result):
        return result
    trees = (result.value, result.error, result.step, dict(result.flags))
    return [
        [lib.bits(leaf) if hasattr(leaf, "shape") else leaf for leaf in optree.tree_leaves(trees)],
        result.ncalls,
        result.npoints,
    ]


def require_equal(lib: Any, name: str, evaluator: Any) -> None:
    """Compare one of DERIVATIVES with the same by `Loop`.

    That comes first: dpnp stops for ever if several threads at once are the first to use one of its modules.
    """
    x = lib.asarray(X, "float32")
    before, differentiate = lib.bits(x), DERIVATIVES[name]
    expected = bits(lib, differentiate(lib, x, anygrad.Loop()))
    assert bits(lib, differentiate(lib, x, evaluator)) == expected
    assert lib.bits(x) == before
