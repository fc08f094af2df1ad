"""All points near a small x by one call of f, without a session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from anygrad._typing import Array
from anygrad.backends import Backend, Memory, Rule
from anygrad.evaluators._leading import reader
from anygrad.evaluators._perturb import modified


def gradient_at_once(
    many: Callable[[Any], Any],
    x: Array,
    backend: Backend,
    rule: Rule,
    step: float,
    *,
    most: float,
    max_bytes: int | None,
    evaluator: str,
    at_x: Callable[[Memory], Any],
) -> tuple[Array, bool] | None:
    """Return the gradient, and whether f is blind: returns the same number for all points, and for x itself.

    None, and f has not been called, where the backend has no such points. ``many`` is f of many points, and ``at_x``
    calls it for that one number.
    """
    if backend.points_about is None:
        return None
    with backend.context(x):
        points = backend.points_about(x, rule, step, most=most, max_bytes=max_bytes)
        if points is None:
            return None
        count = points.argument.shape[0]
        with np.errstate():  # what f changes of the settings ends with the call
            value = many(points.argument)
        values = points.read(value)
        if values is None:
            values = _looked_at(value, count, backend.memory(x, in_place=False), evaluator)
        gradient, changed, alike = points.derived(values)
        if changed:
            raise modified()
        return gradient, alike and _blind(values, backend, lambda: at_x(backend.memory(x, in_place=False)))


def _looked_at(value: object, count: int, memory: Memory, evaluator: str) -> Array:
    """Return what f returned as numbers; raise if it is not one for each point."""
    with np.errstate(all="ignore"):
        return reader(memory, vector=False, evaluator=evaluator)(value, count)


def _blind(values: Array, backend: Backend, at_x: Callable[[], Any]) -> bool:
    """Return whether all values are one finite number, and that at x as well."""
    numbers = values if isinstance(values, np.ndarray) else backend.host(values)
    first = numbers[0]  # no view of them: f may write its next values to where these are
    if not np.isfinite(first) or not (numbers == first).all():
        return False
    with np.errstate():
        return bool(at_x() == first)
