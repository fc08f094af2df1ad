"""Calling f with elements of its argument changed, one point after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from anygrad._typing import Array
from anygrad.backends import Memory, Results
from anygrad.evaluators._base import Brief

Columns = list[Iterator[Any]]  # each thing that elements are set to in turn, and what they originally hold
Visits = Iterator[tuple[Any, ...]]  # the key of one element after the other, and its part of the columns


class Perturber:
    """Calls f at perturbed points, and appends its values to results.

    An f that modifies its argument at every call is noticed at the first one; one that begins later, when x is compared
    with what it was at the end, except where it has modified the element that is put back last: hence the look at that.
    """

    def __init__(
        self, f: Callable[[Any], object], memory: Memory, read: Callable[[Any], Any], unread: frozenset[type]
    ) -> None:
        self._f = f
        self._memory = memory
        self._read = read
        # Types of results that are kept as they are, unread; and which of them f returned first.
        self._unread = unread
        self._begun = False
        self._plain: type | None = None

    def each(self, argument: Array, elements: Sequence[int], columns: Columns, results: Results, *, last: bool) -> None:
        """Set the elements one by one, the first of all and the last of these with care, those between fast.

        ``columns`` may go on behind these elements. ``last`` says that these end with the last ones.
        """
        start = 0 if self._begun else 1
        stop = max(start, len(elements) - last)
        if start:
            self._begun = True
            self._write_watched(argument, elements[:start], columns, results, first=True)
        if start < stop:
            write = self._write_pairs if len(columns) == 3 else self._write
            write(argument, elements[start:stop], columns, results)
        if stop < len(elements):
            self._write_watched(argument, elements[stop:], columns, results)

    def each_replaced(
        self, argument: Array, elements: Sequence[int], start: int, columns: Columns, results: Results
    ) -> None:
        """Replace the elements one by one, for arrays that cannot be written; ``start`` is the argument's first."""
        _, visits = self._visits(elements, columns)
        for element, (_, *points, _) in zip(elements, visits, strict=True):
            for point in points:
                results.append(self._read(self._f(self._memory.replaced(argument, element - start, point))))

    def groups(self, elements: Sequence[int], columns: Columns, width: int, results: Results) -> None:
        """Set as many elements as ``width`` says at a time."""
        cells, visits = self._visits(elements, columns)
        for start in range(0, len(elements), width):
            group = elements[start : start + width]
            keys, *points, original = zip(*(next(visits) for _ in group), strict=True)
            for point in points:
                results.append(self._read(self._f_at(group, cells, keys, point)))
            if cells is not None:
                _write(cells, keys, original)

    def whole(self, part: int | None, levels: Sequence[Array], results: Results) -> None:
        """Set all elements at a time, once for each x's worth of levels."""
        memory = self._memory
        size = memory.size
        for start in range(0, levels[0].shape[0], size):
            for level in levels:
                own = level[start : start + size]
                with np.errstate(all="ignore"):  # f alone runs under the user's settings
                    argument = memory.whole(part, own)
                value = self._f(argument)
                if not self._begun and not memory.holds(part, own):
                    raise modified()
                self._begun = True
                results.append(self._read(value))
        memory.restore()

    def _f_at(self, elements: Sequence[int], cells: Any, keys: Sequence[Any], raw: Sequence[object]) -> object:
        memory = self._memory
        if cells is None:
            argument = memory.array
            for element, item in zip(elements, raw, strict=True):
                argument = memory.replaced(argument, element, item)
            return self._f(argument)
        _write(cells, keys, raw)
        value = self._f(memory.array)
        if not self._begun:
            self._begun = True
            require_unchanged(memory, elements, raw)
        return value

    def _visits(self, elements: Sequence[int], columns: Columns) -> tuple[Any, Visits]:
        cells, keys = self._memory.window(elements)
        # Ends with the keys, which come first, and leaves the rest of the columns to the next elements.
        return cells, zip(keys, *columns, strict=False)

    def _write(self, argument: Array, elements: Sequence[int], columns: Columns, results: Results) -> None:
        f, read, plain = self._f, self._read, self._plain
        cells, visits = self._visits(elements, columns)
        for key, *points, original in visits:
            for point in points:
                cells[key] = point
                value = f(argument)
                # An array may be a view of x, which the next write changes: it is read before.
                results.append(value if value.__class__ is plain else read(value))
            cells[key] = original

    def _write_pairs(self, argument: Array, elements: Sequence[int], columns: Columns, results: Results) -> None:
        # As _write, unrolled: this is the loop that nearly every call of the library runs.
        f, read, plain = self._f, self._read, self._plain
        cells, visits = self._visits(elements, columns)
        # The first point is written as it is unpacked: a name for it would take longer.
        for key, cells[key], second, original in visits:
            value = f(argument)
            results.append(value if value.__class__ is plain else read(value))
            cells[key] = second  # noqa: PLW2901 - see above
            value = f(argument)
            results.append(value if value.__class__ is plain else read(value))
            cells[key] = original  # noqa: PLW2901 - see above

    def _write_watched(
        self, argument: Array, elements: Sequence[int], columns: Columns, results: Results, *, first: bool = False
    ) -> None:
        cells, visits = self._visits(elements, columns)
        for key, *points, original in visits:
            for point in points:
                cells[key] = point
                value = self._f(argument)
                if first and point is points[0]:
                    require_unchanged(self._memory, elements, [point])
                    self._plain = type(value) if type(value) in self._unread else None
                results.append(value if type(value) is self._plain else self._read(value))
            held, written = cells[key], points[-1]
            if held != written and written == written:  # noqa: PLR0124 - NaN is not equal to itself
                raise modified()
            cells[key] = original


def derived(f: Callable[[Any], object], memory: Memory, brief: Brief) -> list[Array]:
    """Return the derivatives by the elements of each block; x is compared with what it was at the end."""
    perturber = Perturber(f, memory, memory.read, memory.plain)
    slopes, size, changed = [], memory.size, True
    try:
        for start in range(0, size, memory.block):
            elements = range(start, min(start + memory.block, size))
            levels = brief.points(elements)
            columns = [iter(memory.raw(elements, 0, level)) for level in (*levels, None)]
            results = memory.results(len(elements) * len(levels))
            with brief.calling():
                perturber.each(memory.array, elements, columns, results, last=elements.stop == size)
            slopes.append(brief.slope(memory.gathered(results, len(levels))))
    finally:
        changed = restored(memory)
    if changed:
        raise modified()
    return slopes


def modified() -> ValueError:
    """Return the error for an f that writes to its argument."""
    return ValueError(
        "f modifies its argument, or another thread has changed x meanwhile, so that its values are not those of one"
        " function of x: let it work on a copy, as in lambda x: f(x.copy()), or f(x.clone()) of tensors; x has been put"
        " back to what it was"
    )


def require_unchanged(memory: Memory, elements: Sequence[int] = (), raw: Sequence[object] = ()) -> None:
    """Raise if f has written to its argument: if that is not as we have set it."""
    if memory.changed(elements, raw):
        raise modified()


def restored(memory: Memory) -> bool:
    """Put x back as a whole, and return whether it was changed.

    Even when that is interrupted: then it is done once more, and only then comes the interrupt.
    """
    try:
        return memory.restore()
    except KeyboardInterrupt:
        restored(memory)
        raise


def _write(cells: Any, keys: Sequence[Any], raw: Sequence[object]) -> None:
    for key, item in zip(keys, raw, strict=True):
        cells[key] = item
