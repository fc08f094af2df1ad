"""f as functions of one real number each: along its elements, along directions through x, and element by element."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from anygrad._typing import Array
from anygrad.backends.arrays import Elements
from anygrad.backends.base import Points, span_of
from anygrad.problem.problem import Bounds, Problem
from anygrad.schemes.base import Lines


def element_lines(problem: Problem, elements: Elements, part: int = 0) -> Lines:
    """Return f as functions of the real (0) or imaginary (1) part of each of the elements."""
    memory = problem.memory
    xp = memory.xp
    numbers = memory.elements(elements)
    bounds = problem.bounds.of(lambda of_all: chosen(problem, of_all, elements)[:, None])
    own_part = None if problem.scheme.samples_complex else part

    def sample(levels: Sequence[Array]) -> list[Array]:
        return _split(problem.values(Points.of(xp, elements, bounds.clip(xp, levels), own_part)), len(levels))

    def together(levels: Sequence[Array]) -> list[Array]:
        points = [xp.reshape(t, (1, -1)) for t in levels]
        return _split(problem.values(Points.of(xp, elements, points, own_part, len(elements))), len(levels))

    def taken(indices: Array) -> Lines:
        places = memory.indices(indices)
        return element_lines(problem, np.asarray(elements, dtype=np.intp)[places], part)

    return _lines(
        problem,
        sample=sample,
        together=None if problem.rows else together,  # f is given one row at a time
        base=lambda: _table(problem.bases(elements)),
        take=taken,
        at=((xp.real, xp.imag)[part](numbers) if memory.complex else numbers)[:, None],
        scale=xp.abs(numbers)[:, None],
        nearest=lambda levels: memory.round(elements, levels),
        spread=lambda value: chosen(problem, problem.spread(value), elements)[:, None],
        bounds=bounds,
    )


def direction_lines(problem: Problem, elements: Elements, directions: Array) -> Lines:
    """Return f as functions of t along m directions, which change w elements each: (x with these at x + t d).

    Parameters
    ----------
    elements
        The m groups of w elements, one after the other.
    directions
        By how much each element changes with t, (m, w).
    """
    memory = problem.memory
    xp = memory.xp
    count, width = directions.shape
    numbers = memory.elements(range(memory.size))
    if memory.complex and problem.scheme.samples_complex:
        numbers = xp.real(numbers)

    def grouped(of_all: Array) -> Array:
        return xp.reshape(chosen(problem, of_all, elements), (count, width))

    start = grouped(numbers)
    bounds = problem.bounds.of(grouped)
    part = None if memory.complex else 0

    def sample(levels: Sequence[Array]) -> list[Array]:
        if not width:  # x is empty, and f(x) its only value
            return [_table(problem.base())] * len(levels)
        points = bounds.clip(xp, [start + t * directions for t in levels])
        return _split(problem.values(Points.of(xp, elements, points, part, width)), len(levels))

    def together(levels: Sequence[Array]) -> list[Array]:
        points = [start[:1, :] + xp.sum(t * directions, axis=0, keepdims=True) for t in levels]
        return _split(problem.values(Points.of(xp, elements[:width], points, part, width)), len(levels))

    def nearest(t: Array) -> Array:
        """Return the t by which x + t d, in x's dtype, has moved along d: 0 where it is x."""
        if memory.complex:
            return t
        many = t.shape[1]
        points = start[:, :, None] + directions[:, :, None] * t[:, None, :]
        rounded = memory.round(elements, xp.reshape(points, (count * width, many)))
        moved = xp.reshape(rounded, (count, width, many)) - start[:, :, None]
        # Elements that are infinite or NaN count for nothing.
        weights = xp.where(xp.isfinite(moved), directions[:, :, None], 0.0)
        squares = xp.sum(weights * weights, axis=1)
        along = xp.sum(xp.where(weights == 0, 0.0, moved) * weights, axis=1)
        return xp.where(squares > 0, along / xp.where(squares > 0, squares, 1.0), t)

    def taken(indices: Array) -> Lines:
        groups = np.asarray(elements, dtype=np.intp).reshape(count, width)[memory.indices(indices)]
        return direction_lines(problem, groups.reshape(-1), xp.take(directions, indices, axis=0))

    lower, upper = _reach(xp, bounds, start, directions)
    largest = _largest(xp, xp.concat([xp.where(directions == 0, 0.0, start), directions]))
    fastest = largest[count:, ...]
    scale = largest[:count, ...] / xp.where(fastest > 0, fastest, 1.0)
    return _lines(
        problem,
        sample=sample,
        together=together if 0 < width == memory.size else None,
        base=lambda: _table(problem.base()),
        take=taken,
        at=xp.zeros_like(scale),
        scale=scale,
        nearest=nearest,
        spread=_refuse_array,
        bounds=Bounds(lower, upper),
    )


def pointwise_lines(problem: Problem, indices: Array | None = None) -> Lines:
    """Return an elementwise f as one function for each element: all are evaluated by one call of f.

    With ``indices``, the functions of those elements alone; f is called with all of x all the same.
    """
    memory = problem.memory
    xp = memory.xp
    every = range(memory.size)

    def own(of_all: Array) -> Array:
        return of_all if indices is None else xp.take(of_all, indices, axis=0)

    def values(of_all: Array) -> Array:
        return own(xp.reshape(of_all, (-1,)))[:, None]

    numbers = own(memory.elements(every))
    bounds = problem.bounds.of(lambda of_all: own(of_all)[:, None])
    part = None if problem.scheme.samples_complex else 0

    def sample(levels: Sequence[Array]) -> list[Array]:
        flat = [t[:, 0] for t in bounds.clip(xp, levels)]
        points = [(t if indices is None else memory.overlay(indices, t))[None, :] for t in flat]
        found = problem.values(Points.of(xp, every, points, part, memory.size))
        return [values(found[i, ...]) for i in range(len(levels))]

    return _lines(
        problem,
        sample=sample,
        base=lambda: values(problem.base()),
        take=lambda some: pointwise_lines(problem, some if indices is None else xp.take(indices, some, axis=0)),
        shared=True,
        at=(xp.real(numbers) if memory.complex else numbers)[:, None],
        scale=xp.abs(numbers)[:, None],
        nearest=lambda levels: memory.round(every, levels),
        spread=lambda value: own(problem.spread(value))[:, None],
        bounds=bounds,
    )


def chosen(problem: Problem, of_all: Array, elements: Elements) -> Array:
    """Return what belongs to some elements of what belongs to all."""
    if isinstance(elements, range):
        return of_all[span_of(elements)]
    return problem.memory.xp.take(of_all, problem.memory.index_array(elements), axis=0)


def _lines(problem: Problem, *, bounds: Bounds, **own: Any) -> Lines:
    memory = problem.memory
    return Lines(
        xp=memory.xp,
        eps=memory.eps,
        tiny=memory.tiny,
        any=memory.any,
        all=memory.all,
        compose=memory.compose if problem.scheme.samples_complex else None,
        lazy=memory.lazy,
        lower=bounds.lower,
        upper=bounds.upper,
        flags=problem.options.full_output,
        **own,
    )


def _split(values: Array, count: int) -> list[Array]:
    """Return the values at each level, (m, p), of those at all points."""
    if values.ndim == 1:
        return [values[i::count, None] for i in range(count)]
    return [values] if count == 1 else [values[i::count, ...] for i in range(count)]


def _table(values: Array) -> Array:
    """Return values as (m, p), whether f returns one number or several."""
    return values if values.ndim == 2 else values[:, None]


def _largest(xp: Any, table: Array) -> Array:
    """Return the largest magnitude of each row that is finite, (m, 1)."""
    sizes = xp.where(xp.isfinite(table), xp.abs(table), 0.0)
    return xp.max(sizes, axis=1, keepdims=True) if table.shape[1] else xp.sum(sizes, axis=1, keepdims=True)


def _reach(xp: Any, bounds: Bounds, start: Array, directions: Array) -> tuple[Array | None, Array | None]:
    """Return between which t all elements stay within their bounds, (m, 1) each."""
    if (bounds.lower is None and bounds.upper is None) or not start.shape[1]:
        return None, None
    infinite = xp.full_like(start, float("inf"))
    below = infinite if bounds.lower is None else start - bounds.lower
    above = infinite if bounds.upper is None else bounds.upper - start
    speed = xp.where(directions == 0, 1.0, xp.abs(directions))
    still = directions == 0
    forward = xp.where(still, infinite, xp.where(directions > 0, above, below) / speed)
    backward = xp.where(still, infinite, xp.where(directions > 0, below, above) / speed)
    return -xp.min(backward, axis=1, keepdims=True), xp.min(forward, axis=1, keepdims=True)


def _refuse_array(value: object) -> Array:
    raise TypeError(
        f"the step is {value!r:.60}, but a direction has one step for all elements: give one number such as 1e-4, or"
        " None for the default"
    )
