"""f as functions of one real number each: by its elements, along directions through x, and element by element."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from anygrad._box import Box
from anygrad._plan import Lines
from anygrad._typing import Array
from anygrad.backends import Memory
from anygrad.evaluators import Session


@dataclass(eq=False)
class Space:
    """All that lines through one x share.

    Attributes
    ----------
    session
        f and x, opened for sampling.
    box
        Where f may be evaluated.
    off_axis
        Whether elements are set to complex numbers.
    """

    session: Session
    box: Box = field(default_factory=Box)
    off_axis: bool = False
    _spread: dict[int, tuple[object, Array]] = field(default_factory=dict, repr=False)

    @property
    def memory(self) -> Memory:
        """X's elements."""
        return self.session.memory

    def lines(self, sample: Any, base: Any, take: Any, **own: Any) -> Lines:
        """Return lines with what is the same for all of them filled in."""
        memory = self.memory
        return Lines(
            xp=memory.xp,
            eps=memory.eps,
            tiny=memory.tiny,
            sample=sample,
            base=base,
            take=take,
            any=memory.any,
            all=memory.all,
            compose=memory.compose if self.off_axis else None,
            concrete=memory.concrete,
            **own,
        )

    def spread(self, value: object, name: str = "the step") -> Array:
        """Return a number or an array like x as a number for each element. Blocks ask for the same one in turn."""
        key = id(value)
        if key not in self._spread:
            self._spread[key] = value, self.memory.spread(value, name)
        return self._spread[key][1]


def element_lines(space: Space, elements: Sequence[int], part: int = 0) -> Lines:
    """Return f as functions of the real (0) or imaginary (1) part of each of the elements."""
    memory, session = space.memory, space.session
    xp = memory.xp
    numbers = memory.elements(elements)
    set_part = None if space.off_axis else part

    def own(of_all: Array | None) -> Array | None:
        return None if of_all is None else _column(_chosen(memory, of_all, elements))

    box = Box(own(space.box.lower), own(space.box.upper))

    def sample(levels: Sequence[Array]) -> list[Array]:
        points = [box.clip(xp, t)[:, 0] for t in levels]
        return _tables(session.sample(elements, set_part, points))

    return space.lines(
        sample=sample,
        base=lambda: _table(session.base(elements)),
        take=lambda indices: element_lines(space, [elements[i] for i in memory.indices(indices)], part),
        at=_column((xp.real, xp.imag)[part](numbers) if memory.complex else numbers),
        scale=_column(xp.abs(numbers)),
        nearest=lambda levels: memory.nearest(elements, levels),
        spread=lambda value: own(space.spread(value)),
        lower=box.lower,
        upper=box.upper,
    )


def direction_lines(space: Space, elements: Sequence[int], directions: Array) -> Lines:
    """Return f as functions of t along m directions, which change w elements each: (x with these at x + t d).

    Parameters
    ----------
    elements
        The m groups of w elements, one after the other.
    directions
        By how much each element changes with t, (m, w).
    """
    memory, session = space.memory, space.session
    xp = memory.xp
    count, width = directions.shape
    numbers = memory.elements(range(memory.size))
    if memory.complex and space.off_axis:
        numbers = xp.real(numbers)
    start = xp.reshape(_chosen(memory, numbers, elements), (count, width))
    chosen = [
        None if bound is None else xp.reshape(_chosen(memory, bound, elements), (count, width))
        for bound in (space.box.lower, space.box.upper)
    ]
    box = Box(*chosen)

    def points(t: Array) -> Array:
        return xp.reshape(box.clip(xp, start + t * directions), (-1,))

    def nearest(t: Array) -> Array:
        """Return t; but 0 where x + t d, in x's dtype, is x."""
        if memory.complex:
            return t
        many = t.shape[1]
        points = start[:, :, None] + directions[:, :, None] * t[:, None, :]
        rounded = memory.nearest(elements, xp.reshape(points, (count * width, many)))
        moved = xp.any(xp.reshape(rounded, (count, width, many)) != start[:, :, None], axis=1)
        return xp.where(moved | xp.all(directions == 0, axis=1, keepdims=True), t, xp.zeros_like(t))

    def taken(indices: Array) -> Lines:
        listed = memory.indices(indices)
        groups = [element for i in listed for element in elements[i * width : (i + 1) * width]]
        return direction_lines(space, groups, xp.take(directions, indices, axis=0))

    lower, upper = _reach(xp, box, start, directions)
    fastest = _largest(xp, directions)
    scale = _largest(xp, xp.where(directions == 0, 0.0, start)) / xp.where(fastest > 0, fastest, 1.0)
    part = None if memory.complex else 0
    return space.lines(
        sample=lambda levels: _tables(session.sample(elements, part, [points(t) for t in levels], width)),
        base=lambda: _table(session.base(range(1))),
        take=taken,
        at=xp.zeros_like(scale),
        scale=scale,
        nearest=nearest,
        spread=_refuse_array,
        lower=lower,
        upper=upper,
    )


def pointwise_lines(space: Space, indices: Array | None = None) -> Lines:
    """Return an elementwise f as one function for each element: all are evaluated by one call of f.

    With ``indices``, the functions of those elements alone; f is called with all of x all the same.
    """
    memory, session = space.memory, space.session
    xp = memory.xp
    every = range(memory.size)
    numbers = memory.elements(every)
    numbers = numbers if indices is None else xp.take(numbers, indices, axis=0)
    part = None if space.off_axis else 0

    def own(of_all: Array | None) -> Array | None:
        if of_all is None:
            return None
        return _column(of_all if indices is None else xp.take(of_all, indices, axis=0))

    box = Box(own(space.box.lower), own(space.box.upper))

    def values(of_all: Array) -> Array:
        column = xp.reshape(of_all, (-1,))
        return _column(column if indices is None else xp.take(column, indices, axis=0))

    def points(t: Array) -> Array:
        flat = box.clip(xp, t)[:, 0]
        return flat if indices is None else memory.overlay(indices, flat)

    def taken(chosen: Array) -> Lines:
        return pointwise_lines(space, chosen if indices is None else xp.take(indices, chosen, axis=0))

    return space.lines(
        sample=lambda levels: [values(v) for v in session.sample(every, part, [points(t) for t in levels], len(every))],
        base=lambda: values(session.base(every)),
        take=taken,
        shared=True,
        at=_column(xp.real(numbers) if memory.complex else numbers),
        scale=_column(xp.abs(numbers)),
        nearest=lambda levels: memory.nearest(every, levels),
        spread=lambda value: own(space.spread(value)),
        lower=box.lower,
        upper=box.upper,
    )


def _column(numbers: Array) -> Array:
    return numbers[:, None]


def _table(values: Array) -> Array:
    """Return values as (m, p), whether f returns one number or several."""
    return values if values.ndim == 2 else values[:, None]


def _tables(columns: Sequence[Array]) -> list[Array]:
    return [_table(values) for values in columns]


def _chosen(memory: Memory, of_all: Array, elements: Sequence[int]) -> Array:
    if isinstance(elements, range):
        return of_all[elements.start : elements.stop]
    return memory.xp.take(of_all, memory.index_array(elements), axis=0)


def _largest(xp: Any, table: Array) -> Array:
    """Return the largest magnitude of each row that is finite, (m, 1)."""
    sizes = xp.where(xp.isfinite(table), xp.abs(table), 0.0)
    return xp.max(sizes, axis=1, keepdims=True) if table.shape[1] else xp.sum(sizes, axis=1, keepdims=True)


def _reach(xp: Any, box: Box, start: Array, directions: Array) -> tuple[Array | None, Array | None]:
    """Return between which t all elements stay in the box, (m, 1) each."""
    if (box.lower is None and box.upper is None) or not start.shape[1]:
        return None, None
    infinite = xp.full_like(start, float("inf"))
    below = infinite if box.lower is None else start - box.lower
    above = infinite if box.upper is None else box.upper - start
    speed = xp.where(directions == 0, 1.0, xp.abs(directions))
    still = directions == 0
    forward = xp.where(still, infinite, xp.where(directions > 0, above, below) / speed)
    backward = xp.where(still, infinite, xp.where(directions > 0, below, above) / speed)
    return -xp.min(backward, axis=1, keepdims=True), xp.min(forward, axis=1, keepdims=True)


def _refuse_array(value: object) -> Array:
    raise TypeError(
        f"the step is {value!r:.60}, but along a direction there is one step for all elements: give one number,"
        " in units of x, or None for the default"
    )
