"""All points near a small x by one call of f, without a session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from anygrad._typing import Array
from anygrad.backends import Backend, Memory, StencilPoints
from anygrad.evaluators._leading import reader
from anygrad.evaluators._perturb import modified


def gradient_at_once(
    many: Callable[[Any], Any],
    points: StencilPoints,
    x: Array,
    backend: Backend,
    *,
    evaluator: str,
    at_x: Callable[[Memory], Any],
) -> tuple[Array, bool]:
    """Return the gradient, and whether f is blind: returns the same number for all points, and for x itself.

    ``many`` is f of many points, and ``at_x`` calls it for that one number.
    """
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
