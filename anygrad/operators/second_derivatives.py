"""Second derivatives along the elements of x, and by polarization those by two directions at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, islice
from typing import TypeVar

import numpy as np
from array_api_compat import array_namespace

from anygrad._typing import Array, Namespace
from anygrad.backends.base import Memory
from anygrad.operators.partials import nothing
from anygrad.problem.function import spans
from anygrad.problem.lines import direction_lines, element_lines
from anygrad.problem.problem import Problem
from anygrad.schemes.base import Lines, Scheme, Slopes, joined

Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class Curvatures:
    """Second derivatives along m lines, and the steps that were set out with, (m, 1), signed: towards more room."""

    slopes: Slopes
    steps: Array

    def at(self, xp: Namespace, indices: Array) -> Curvatures:
        """Return the second derivatives of some of the lines."""
        return Curvatures(
            self.slopes.each(lambda table: xp.take(table, indices, axis=0)), xp.take(self.steps, indices, axis=0)
        )


def along_elements(problem: Problem) -> Curvatures:
    """Return the second derivatives with respect to each element: the diagonal of the Hessian."""
    memory, elements = problem.memory, problem.elements
    if not len(elements):
        slopes = nothing(problem, problem.base().shape[-1] if problem.vector else 1)
        return Curvatures(slopes, slopes.step)
    parts = [
        _along(element_lines(problem, elements[start : start + memory.block]), problem.scheme)
        for start in range(0, len(elements), memory.block)
    ]
    slopes = joined(memory.xp, [part.slopes for part in parts])
    return Curvatures(slopes, memory.xp.concat([part.steps for part in parts]))


def along_direction(problem: Problem, direction: Array) -> Curvatures:
    """Return the second derivative along a direction (1, n)."""
    xp = problem.memory.xp

    def spread(value: object) -> Array:
        """Return the longest step along the direction that changes no element by more than its own."""
        own = xp.reshape(problem.spread(value), (1, -1))
        still = direction == 0
        return xp.min(
            xp.where(still, xp.max(own), own / xp.where(still, 1.0, xp.abs(direction))), axis=1, keepdims=True
        )

    lines = direction_lines(problem, range(problem.memory.size), direction)
    return _along(replace(lines, spread=spread), problem.scheme)


def along_pairs(problem: Problem, diagonal: Curvatures) -> Slopes | None:
    """Return the derivatives with respect to elements i and j for all i < j, in the order of `itertools.combinations`.

    They are of shape (m, p); None, if there are not two elements.

    At second order the points are those of M. Abramowitz and I. A. Stegun, *Handbook of Mathematical Functions*
    (1964), equation 25.3.27.
    """
    memory, xp = problem.memory, problem.memory.xp
    parts = []
    elements = np.asarray(problem.elements, dtype=np.intp)
    length = max(1, memory.block // max(1, problem.function.size))
    for pairs in _batches(combinations(range(len(elements)), 2), length):
        table = np.asarray(pairs, dtype=np.intp)
        first, second = (diagonal.at(xp, memory.index_array(table[:, side])) for side in (0, 1))
        directions = xp.concat([first.steps, second.steps], axis=1)
        both = direction_lines(problem, elements[table.reshape(-1)], directions)
        parts.append(_mixed(both, problem.scheme, first, second))
    return joined(xp, parts) if parts else None


def along_elements_and(problem: Problem, diagonal: Curvatures, direction: Array, along: Curvatures) -> Slopes:
    """Return the derivatives with respect to each element and along a direction (1, n), (n, 1).

    The second derivatives ``along`` the direction are known.
    """
    memory, xp = problem.memory, problem.memory.xp
    elements = np.asarray(problem.elements, dtype=np.intp)
    if not elements.size:
        return diagonal.slopes
    every = memory.index_array(range(memory.size))[None, :]
    parts = []
    # Each line changes all elements.
    for own in _batches(range(elements.size), max(problem.calls.together, memory.block // memory.size)):
        first = diagonal.at(xp, memory.index_array(own))
        chosen = memory.index_array(elements[own])
        directions = xp.where(every == chosen[:, None], first.steps, 0.0) + along.steps * direction
        both = direction_lines(problem, np.tile(np.arange(memory.size), len(own)), directions)
        parts.append(_mixed(both, problem.scheme, first, along))
    return joined(xp, parts)


def vector(memory: Memory, numbers: Array, leaves: Sequence[Array]) -> list[Array]:
    """Return the parts of a column (n, 1), an array like each of the leaves."""
    parts = spans([tuple(leaf.shape) for leaf in leaves])
    return [
        like(memory.assemble([numbers[span, 0]], shape), leaf)
        for leaf, (span, shape) in zip(leaves, parts, strict=True)
    ]


def like(array: Array, leaf: Array) -> Array:
    """Return an array in the dtype of a leaf: derivatives with respect to several together are of the widest one."""
    xp = array_namespace(leaf)
    if array.dtype == leaf.dtype or xp.isdtype(array.dtype, "complex floating"):
        return array
    return xp.astype(array, leaf.dtype)


def _along(lines: Lines, scheme: Scheme) -> Curvatures:
    steps = scheme.steps(lines, 2)
    return Curvatures(scheme.differentiate(lines, steps, 2), towards_room(lines, steps))


def _mixed(both: Lines, scheme: Scheme, first: Curvatures, second: Curvatures) -> Slopes:
    """Return the mixed derivatives along u and v by polarization, from lines along u + v.

    The second derivative along u + v is that along u, that along v, and twice the mixed one.
    """
    along_both = scheme.differentiate(both, both.xp.ones_like(both.at), 2)
    u, v = first.steps, second.steps
    # Divided by one after the other: their product may be too small for a number.
    value = (along_both.value - u * u * first.slopes.value - v * v * second.slopes.value) / u / v / 2
    error = None
    if along_both.error is not None:
        error = along_both.error + u * u * first.slopes.error + v * v * second.slopes.error
        error = error / both.xp.abs(u) / both.xp.abs(v) / 2
    flags = {
        name: flag | first.slopes.flags[name] | second.slopes.flags[name] for name, flag in along_both.flags.items()
    }
    return Slopes(value=value, step=first.slopes.step, error=error, flags=flags)


def towards_room(lines: Lines, steps: Array) -> Array:
    """Return the steps, negative where there is more room below than above."""
    if lines.lower is None or lines.upper is None:
        return steps if lines.upper is None else -steps
    return lines.xp.where(lines.upper - lines.at >= lines.at - lines.lower, steps, -steps)


def _batches(items: Iterable[Item], length: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, length)):
        yield batch
