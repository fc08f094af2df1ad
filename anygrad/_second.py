"""Second derivatives along the elements of x, and by polarization those by two directions at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, islice
from typing import TypeVar

from anygrad._lines import Space, direction_lines, element_lines
from anygrad._plan import Lines, Slopes
from anygrad._typing import Array, Namespace
from anygrad.schemes import Scheme

Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class Curvatures:
    """Second derivatives along m lines, and the steps that were set out with, (m, 1), signed: towards more room."""

    slopes: Slopes
    steps: Array

    def at(self, xp: Namespace, indices: Array) -> Curvatures:
        """Return those of some of the lines."""
        return Curvatures(
            self.slopes.each(lambda table: xp.take(table, indices, axis=0)), xp.take(self.steps, indices, axis=0)
        )


def along_elements(space: Space, scheme: Scheme) -> Curvatures:
    """Return the second derivatives by each element: the diagonal of the Hessian."""
    memory = space.memory
    if not memory.size:
        real = memory.xp.real if memory.complex else memory.xp.asarray
        nothing = memory.xp.reshape(real(memory.elements(range(0))), (0, 1))
        return Curvatures(Slopes(value=nothing, step=nothing), nothing)
    parts = [
        _along(element_lines(space, range(start, min(start + memory.block, memory.size))), scheme)
        for start in range(0, memory.size, memory.block)
    ]
    slopes = concatenated(memory.xp, [part.slopes for part in parts])
    return Curvatures(slopes, memory.xp.concat([part.steps for part in parts]))


def along_direction(space: Space, scheme: Scheme, direction: Array) -> Curvatures:
    """Return the second derivative along a direction (1, n), with a scale (1, 1)."""
    xp = space.memory.xp

    def spread(value: object) -> Array:
        """Return the longest step along the direction that changes no element by more than its own."""
        own = xp.reshape(space.spread(value), (1, -1))
        still = direction == 0
        return xp.min(
            xp.where(still, xp.max(own), own / xp.where(still, 1.0, xp.abs(direction))), axis=1, keepdims=True
        )

    lines = direction_lines(space, range(space.memory.size), direction)
    return _along(replace(lines, spread=spread), scheme)


def by_pairs(space: Space, scheme: Scheme, diagonal: Curvatures) -> Slopes | None:
    """Return the derivatives by elements i and j for all i < j, in the order of `itertools.combinations`, (m, 1).

    None, if there are not two elements.

    At second order the points are those of M. Abramowitz and I. A. Stegun, *Handbook of Mathematical Functions*
    (1964), equation 25.3.27.
    """
    memory, xp = space.memory, space.memory.xp
    parts = []
    for pairs in _batches(combinations(range(memory.size), 2), memory.block):
        first, second = (diagonal.at(xp, memory.index_array([pair[side] for pair in pairs])) for side in (0, 1))
        elements = [element for pair in pairs for element in pair]
        directions = xp.concat([first.steps, second.steps], axis=1)
        both = direction_lines(space, elements, directions)
        parts.append(_mixed(both, scheme, first, second))
    return concatenated(xp, parts) if parts else None


def by_direction(space: Space, scheme: Scheme, diagonal: Curvatures, direction: Array, along: Curvatures) -> Slopes:
    """Return the derivatives by each element and along a direction (1, n) of which the second one is known, (n, 1)."""
    memory, xp = space.memory, space.memory.xp
    if not memory.size:
        return diagonal.slopes
    every = memory.index_array(range(memory.size))[None, :]
    parts = []
    for own in _batches(
        range(memory.size), max(space.session.together, memory.block // memory.size)
    ):  # each changes all elements
        chosen = memory.index_array(own)
        first = diagonal.at(xp, chosen)
        directions = xp.where(every == chosen[:, None], first.steps, 0.0) + along.steps * direction
        elements = list(range(memory.size)) * len(own)
        both = direction_lines(space, elements, directions)
        parts.append(_mixed(both, scheme, first, along))
    return concatenated(xp, parts)


def concatenated(xp: Namespace, parts: Sequence[Slopes]) -> Slopes:
    """Return the slopes of all parts, one after the other."""
    if len(parts) == 1:
        return parts[0]
    errors = [part.error for part in parts if part.error is not None]
    return Slopes(
        value=xp.concat([part.value for part in parts]),
        step=xp.concat([part.step for part in parts]),
        error=xp.concat(errors) if errors else None,
        flags={name: xp.concat([part.flags[name] for part in parts]) for name in parts[0].flags},
    )


def _along(lines: Lines, scheme: Scheme) -> Curvatures:
    steps = scheme.steps(lines, 2)
    return Curvatures(scheme.differentiate(lines, steps, 2), _towards_room(lines, steps))


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


def _towards_room(lines: Lines, steps: Array) -> Array:
    """Return the steps, negative where there is more room below than above."""
    if lines.lower is None or lines.upper is None:
        return steps if lines.upper is None else -steps
    return lines.xp.where(lines.upper - lines.at >= lines.at - lines.lower, steps, -steps)


def _batches(items: Iterable[Item], length: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, length)):
        yield batch
