"""The points of a stencil as arrays of JAX, made in the host's memory."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np

from anygrad.backends._host_points import HostPoints, host_levels
from anygrad.backends._points import Numbers
from anygrad.backends._vectoriser import Rule


def host_points(
    x: jax.Array,
    rule: Rule,
    step: float,
    *,
    given: Callable[[Numbers], jax.Array],
    joined: Callable[[Numbers], jax.Array],
    most: float,
    limit: int,
) -> HostPoints | None:
    """Return the points about an array of float64 on the CPU that take ``limit`` bytes at most.

    ``given`` makes what f is given of a buffer on the host; ``joined``, an array like x of its numbers.
    """
    numbers = np.asarray(x).reshape(-1)
    levels = host_levels(numbers, rule, step, most=most, limit=limit)
    if levels is None:
        return None

    def buffer(count: int) -> tuple[Numbers, Numbers]:
        points = np.empty((count, *x.shape))
        return points, points

    def read(value: object, count: int) -> Numbers | None:
        if not isinstance(value, jax.Array) or isinstance(value, jax.core.Tracer):
            return None
        as_usual = value.dtype == np.float64 and value.shape == (count,) and value.devices() == x.devices()
        return np.asarray(value) if as_usual else None

    def result(slopes: Numbers) -> jax.Array:
        return joined(slopes.astype(np.float64, copy=False).reshape(x.shape))

    return HostPoints(numbers, levels, rule, step, buffer=buffer, read=read, result=result, given=given, private=True)
