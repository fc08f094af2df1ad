"""The loop: f is called at one point after the other, with the elements of its argument set in place.

Values are read before the next write, as f may return a view of x. What an element holds is read when it is visited,
and put back afterwards: whatever f has written to other elements is still there at the end, and noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from anygrad._typing import Array
from anygrad.backends.base import Memory, Points

# How often it is tried to put x back, which a signal's handler may interrupt each time.
_PATIENCE = 10_000

Function = Callable[[Any], Any]
Read = Callable[[Any], Any]


def visit(memory: Memory, f: Function, points: Points, *, vector: bool) -> Array:
    """Return f's values, as `Memory.evaluate` does; x is put back whatever f raises."""
    results = memory.results(len(points))
    read = memory.read_arrays if vector else memory.read
    plain = frozenset() if vector else memory.plain
    try:
        if not points.width:
            results.append(read(f(memory.array)))
            require_unchanged(memory)
        elif points.width == memory.size > 1:
            _visit_all(memory, f, points, read, results)
        elif memory.cells is None:
            _visit_replaced(memory, f, points, read, results)
        elif points.width > 1:
            _visit_groups(memory, f, points, read, results)
        else:
            for argument, run in arguments(memory, points):
                _visit_elements(memory, f, argument, run, read, plain, results)
    except BaseException:
        memory.reached = len(results)
        restored(memory)
        raise
    return memory.gathered(results)


def arguments(memory: Memory, points: Points) -> Iterator[tuple[Array, Points]]:
    """Yield what f is given, and the points that belong to it: all to x, or each to its row."""
    if memory.row is None:
        yield memory.array, points
        return
    rows = np.asarray(points.elements) // memory.row
    ends = [*(np.flatnonzero(np.diff(rows)) + 1).tolist(), len(rows)]
    for start, end in zip([0, *ends], ends, strict=False):
        yield memory.array[int(rows[start]), ...], points[start * points.repeat : end * points.repeat]


def _visit_elements(
    memory: Memory, f: Function, argument: Array, points: Points, read: Read, plain: frozenset[type], results: Any
) -> None:
    """Set one element at a time."""
    repeat = points.repeat
    columns = [memory.raw(points.elements, points.part, points.numbers[i::repeat, 0]) for i in range(repeat)]
    cells, keys = memory.keys(points.elements)
    if type(cells) is not memoryview:
        visits = zip(keys, *columns, strict=True)
        _visit_slowly(memory, f, argument, cells, visits, read, results)
        return
    # What each element holds is read as the loop comes to it: a memoryview makes its items one by one.
    held = cells if isinstance(points.elements, range) else map(cells.__getitem__, keys)
    visits = zip(keys, *columns, held, strict=True)
    visit_cells = _visit_pairs if repeat == 2 else _visit_cells
    if not memory.looked_at:  # an f that writes to x at every call is not called for all elements first
        memory.looked_at = True
        visit_cells(f, argument, cells, [next(visits)], read, None, results)
        require_unchanged(memory)
        memory.kind = type(results[-1]) if type(results[-1]) in plain else None
    visit_cells(f, argument, cells, visits, read, memory.kind, results)


def _visit_pairs(
    f: Function, argument: Array, cells: memoryview, visits: Any, read: Read, kind: type | None, results: list[Any]
) -> None:
    # As _visit_cells, unrolled: this is the loop that nearly every call of the library runs.
    for key, first, second, held in visits:
        cells[key] = first
        value = f(argument)
        results.append(value if value.__class__ is kind else read(value))
        if cells[key] != first:
            _require_held(cells[key], first)
        cells[key] = second
        value = f(argument)
        results.append(value if value.__class__ is kind else read(value))
        if cells[key] != second:
            _require_held(cells[key], second)
        cells[key] = held


def _visit_cells(
    f: Function, argument: Array, cells: memoryview, visits: Any, read: Read, kind: type | None, results: list[Any]
) -> None:
    for key, *numbers, held in visits:
        for number in numbers:
            cells[key] = number
            value = f(argument)
            results.append(value if value.__class__ is kind else read(value))
            if cells[key] != number:
                _require_held(cells[key], number)
        cells[key] = held


def _visit_slowly(
    memory: Memory, f: Function, argument: Array, cells: Any, visits: Any, read: Read, results: Any
) -> None:
    for key, *numbers in visits:
        held = memory.hold(cells[key])
        for number in numbers:
            cells[key] = number
            results.append(read(f(argument)))
        cells[key] = held
        if not memory.looked_at:
            memory.looked_at = True
            require_unchanged(memory)


def _visit_groups(memory: Memory, f: Function, points: Points, read: Read, results: Any) -> None:
    """Set as many elements as the points are wide at a time."""
    width, repeat = points.width, points.repeat
    cells, keys = memory.keys(points.elements)
    keys = list(keys)
    flat = [memory.xp.reshape(points.numbers[i::repeat, ...], (-1,)) for i in range(repeat)]
    columns = [iter(memory.raw(points.elements, points.part, numbers)) for numbers in flat]
    for start in range(0, len(keys), width):
        group = keys[start : start + width]
        held = [memory.hold(cells[key]) for key in group]
        for column in columns:
            numbers = [next(column) for _ in group]
            for key, number in zip(group, numbers, strict=True):
                cells[key] = number
            value = f(memory.array)
            if not memory.looked_at:
                memory.looked_at = True
                require_unchanged(memory, points.elements[start : start + width], numbers)
            results.append(read(value))
        for key, number in zip(group, held, strict=True):
            cells[key] = number


def _visit_replaced(memory: Memory, f: Function, points: Points, read: Read, results: Any) -> None:
    """Replace elements one by one, for arrays that cannot be written."""
    for argument, run in arguments(memory, points):
        elements = run.each if memory.row is None else run.each % memory.row
        numbers = memory.raw(run.each.reshape(-1), run.part, memory.xp.reshape(run.numbers, (-1,)))
        remaining = iter(numbers)
        for group in elements.tolist():
            point = argument
            for element in group:
                point = memory.replaced(point, element, next(remaining))
            results.append(read(f(point)))


def _visit_all(memory: Memory, f: Function, points: Points, read: Read, results: Any) -> None:
    """Set all elements at a time."""
    for i in range(len(points)):
        numbers = points.numbers[i, ...]
        with np.errstate(all="ignore"):  # f alone runs under the caller's settings
            argument = memory.write_all(points.part, numbers)
        value = f(argument)
        _require(memory.holds(points.part, numbers))
        results.append(read(value))
    memory.restore()


def modified() -> ValueError:
    """Return the error for an f that writes to its argument."""
    return ValueError(
        "f modifies its argument, or another thread has changed x meanwhile, so that its values are not those of one"
        " function of x: let it work on a copy, as in lambda x: f(x.copy()), or f(x.clone()) of tensors; x has been put"
        " back to what it was"
    )


def _require(holds: bool) -> None:
    if not holds:
        raise modified()


def require_unchanged(memory: Memory, elements: Sequence[int] = (), raw: Sequence[object] = ()) -> None:
    """Raise if f has written to its argument: if that is not as we have set it."""
    if memory.changed(elements, raw):
        raise modified()


def restored(memory: Memory) -> bool:
    """Put x back as a whole, and return whether it was changed; what interrupts this is raised when it is done."""
    interrupt: BaseException | None = None
    for _ in range(_PATIENCE):
        try:
            try:
                changed = memory.restore()
                if interrupt is None:
                    return changed
                break
            except BaseException as error:  # a signal's handler may raise anything, and at any time
                interrupt = error
        except BaseException as error:
            interrupt = error
    assert interrupt is not None
    raise interrupt


def _require_held(held: Any, written: Any) -> None:
    """Raise if an element is not what it was set to. NaN is not equal to itself."""
    if held == held or written == written:  # noqa: PLR0124
        raise modified()
