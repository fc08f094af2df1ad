"""Calling f with elements of its argument changed, one point after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from anygrad._typing import Array
from anygrad.backends import Memory

Columns = list[Iterator[Any]]  # what elements originally hold, and each thing that they are set to in turn
Visit = tuple[Any, ...]  # the key of one element, and its part of the columns
Append = Callable[[Any], object]

_MODIFIED = (
    "f modifies its argument, so that its values are not those of one function of x: let it work on a copy, as in"
    " lambda x: f(x.copy()); x has been put back to what it was"
)


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

    def each(self, argument: Array, elements: Sequence[int], columns: Columns, append: Append, *, last: bool) -> None:
        """Set the elements one by one, the first of all and the last of these with care, those between fast.

        ``columns`` may go on behind these elements. ``last`` says that these end with the last ones.
        """
        first_visit = elements[:0] if self._begun else elements[:1]
        last_visit = elements[len(first_visit) :][-1:] if last else elements[:0]
        between = elements[len(first_visit) : len(elements) - len(last_visit)]
        for visit in self._visits(first_visit, columns):
            self._begun = True
            self._write_watched(argument, visit, append, first=elements[0])
        write = self._write_pairs if len(columns) == 3 else self._write
        write(argument, self._visits(between, columns), append)
        for visit in self._visits(last_visit, columns):
            self._write_watched(argument, visit, append)

    def each_replaced(
        self, argument: Array, elements: Sequence[int], start: int, columns: Columns, append: Append
    ) -> None:
        """Replace the elements one by one, for arrays that cannot be written; ``start`` is the argument's first."""
        for element, (_, _, *points) in zip(elements, self._visits(elements, columns), strict=True):
            for point in points:
                append(self._read(self._f(self._memory.replaced(argument, element - start, point))))

    def groups(self, elements: Sequence[int], columns: Columns, width: int, append: Append) -> None:
        """Set as many elements as ``width`` says at a time."""
        memory = self._memory
        visits = self._visits(elements, columns)
        for start in range(0, len(elements), width):
            group = elements[start : start + width]
            keys, original, *points = zip(*(next(visits) for _ in group), strict=True)
            for point in points:
                append(self._read(self._f_at(group, keys, point)))
            if memory.cells is not None:
                _write(memory.cells, keys, original)

    def whole(self, part: int | None, levels: Sequence[Array], append: Append) -> None:
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
                    raise ValueError(_MODIFIED)
                self._begun = True
                append(self._read(value))
        memory.restore()

    def _f_at(self, elements: Sequence[int], keys: Sequence[Any], raw: Sequence[object]) -> object:
        memory = self._memory
        if memory.cells is None:
            argument = memory.array
            for element, item in zip(elements, raw, strict=True):
                argument = memory.replaced(argument, element, item)
            return self._f(argument)
        _write(memory.cells, keys, raw)
        value = self._f(memory.array)
        if not self._begun:
            self._begun = True
            require_unchanged(memory, elements, raw)
        return value

    def _visits(self, elements: Sequence[int], columns: Columns) -> Iterator[Visit]:
        # Ends with the keys, which come first, and leaves the rest of the columns to the next elements.
        return zip(self._memory.keys(elements), *columns, strict=False)

    def _write(self, argument: Array, visits: Iterator[Visit], append: Append) -> None:
        f, cells, read, plain = self._f, self._memory.cells, self._read, self._plain
        assert cells is not None
        for key, original, *points in visits:
            for point in points:
                cells[key] = point
                value = f(argument)
                # An array may be a view of x, which the next write changes: it is read before.
                append(value if value.__class__ is plain else read(value))
            cells[key] = original

    def _write_pairs(self, argument: Array, visits: Iterator[Visit], append: Append) -> None:
        # As _write, unrolled: this is the loop that nearly every call of the library runs.
        f, cells, read, plain = self._f, self._memory.cells, self._read, self._plain
        assert cells is not None
        for key, original, first, second in visits:
            cells[key] = first
            value = f(argument)
            append(value if value.__class__ is plain else read(value))
            cells[key] = second
            value = f(argument)
            append(value if value.__class__ is plain else read(value))
            cells[key] = original

    def _write_watched(self, argument: Array, visit: Visit, append: Append, first: int | None = None) -> None:
        memory, cells = self._memory, self._memory.cells
        assert cells is not None
        key, original, *points = visit
        for point in points:
            cells[key] = point
            value = self._f(argument)
            if first is not None and point is points[0]:
                require_unchanged(memory, [first], [point])
                self._plain = type(value) if type(value) in self._unread else None
            append(self._read(value))
        held, written = cells[key], points[-1]
        if held != written and written == written:  # noqa: PLR0124 - NaN is not equal to itself
            raise ValueError(_MODIFIED)
        cells[key] = original


def require_unchanged(memory: Memory, elements: Sequence[int] = (), raw: Sequence[object] = ()) -> None:
    """Raise if f has written to its argument: if that is not as we have set it."""
    if memory.changed(elements, raw):
        raise ValueError(_MODIFIED)


def _write(cells: Any, keys: Sequence[Any], raw: Sequence[object]) -> None:
    for key, item in zip(keys, raw, strict=True):
        cells[key] = item
