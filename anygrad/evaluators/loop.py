"""One call of f after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from anygrad._typing import Array
from anygrad.backends import Backend, Memory

Columns = list[Iterator[Any]]  # what elements originally hold, and each thing that they are set to in turn
Visit = tuple[Any, ...]  # the key of one element, and its part of the columns
Append = Callable[[Any], object]

_MODIFIED = (
    "f modifies its argument, so that its values are not those of one function of x: let it work on a copy, as in"
    " lambda x: f(x.copy()); x has been put back to what it was"
)


@dataclass(frozen=True)
class Loop:
    """Call f at one point after the other, as the book's loop does.

    Parameters
    ----------
    in_place
        Whether x itself is perturbed, one element at a time, so that functions which ignore their argument and
        read the array through a closure (``lambda W: net.loss(x, t)``) see it. Each element is put back to the
        last bit, whatever f raises. If False, or if x cannot be written safely (a read-only, broadcast or
        immutable array), f is given private copies, and a `ConstantFunctionWarning` is issued if its values
        never change.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> anygrad.numerical_gradient(lambda x: x @ x, np.array([1.0, 2.0]), evaluator=anygrad.Loop(in_place=False))
    array([2., 4.])
    """

    in_place: bool = True

    @contextmanager
    def session(
        self, f: Callable[[Any], object], x: Array, backend: Backend, *, batch: bool = False
    ) -> Iterator[LoopSession]:
        """Open f and x for sampling."""
        memory = backend.memory(x, in_place=self.in_place)
        try:
            yield LoopSession(f, memory, batch=batch)
            _require_unchanged(memory)
        finally:
            _restore(memory)


class LoopSession:
    """A `Session` of `Loop`."""

    def __init__(self, f: Callable[[Any], object], memory: Memory, *, batch: bool) -> None:
        self.memory = memory
        self.calls = 0
        self.points = 0
        self._f = f
        # How many elements there are in what f is given; None for all.
        self._length = math.prod(memory.array.shape[1:]) if batch else None
        self._bases: dict[int, Any] = {}
        self._first: Array | None = None
        self._varied = memory.visible
        self._begun = False
        self._plain: type | None = None
        self._settings = np.geterr()

    def base(self, elements: range) -> Array:
        batch = self._length is not None
        results = self.memory.results(len(elements) if batch else 1)
        for sample, argument, run in self._arguments(elements):
            if sample not in self._bases:
                with self._calling():
                    self._bases[sample] = self.memory.read(self._f(argument))
                self._count(1)
                _require_unchanged(self.memory)
            for _ in range(len(run) if batch else 1):
                results.append(self._bases[sample])
        [values] = self._gathered(results, 1)
        return values

    def sample(self, elements: range, part: int, levels: Sequence[Array]) -> Sequence[Array]:
        memory = self.memory
        results = memory.results(len(elements) * len(levels))
        columns = [iter(memory.raw(elements, part, level)) for level in (None, *levels)]
        with self._calling():
            if memory.cells is None:
                self._replace(elements, columns, results.append)
            else:
                self._write_all(elements, columns, results.append)
        self._count(len(elements) * len(levels))
        return self._gathered(results, len(levels))

    def blind(self) -> bool:
        if self._varied or self._first is None or not self.memory.concrete:
            return False
        # x**2 at 0 has the same value at -h and h: f(x) tells it from a constant.
        return not self._differs(self.base(range(1)))

    def _calling(self) -> AbstractContextManager[None]:
        """Return the context in which f is called: NumPy's settings as the user has them."""
        return np.errstate(**self._settings)

    def _count(self, calls: int) -> None:
        self.calls += calls
        self.points += calls

    def _arguments(self, elements: range) -> Iterator[tuple[int, Array, range]]:
        """Split elements into runs that belong to one argument of f: all to x, or each to its row of a batch."""
        if self._length is None:
            yield 0, self.memory.array, elements
            return
        start = elements.start
        while start < elements.stop:
            sample = start // self._length
            run = range(start, min((sample + 1) * self._length, elements.stop))
            yield sample, self.memory.array[sample, ...], run
            start = run.stop

    def _visits(self, run: range, columns: Columns) -> Iterator[Visit]:
        # Ends with the keys, which come first, and leaves the rest of the columns to the next run.
        return zip(self.memory.keys(run), *columns, strict=False)

    def _write_all(self, elements: range, columns: Columns, append: Append) -> None:
        """Write the first element of all and the last of these with care, those between fast."""
        write = self._write_pairs if len(columns) == 3 else self._write
        for _, argument, run in self._arguments(elements):
            first = run[:0] if self._begun else run[:1]
            last = run[len(first) :][-1:] if run.stop == elements.stop else run[:0]
            between = run[len(first) : len(run) - len(last)]
            for visit in self._visits(first, columns):
                self._begun = True
                self._write_watched(argument, visit, append, first=run.start)
            write(argument, self._visits(between, columns), append)
            for visit in self._visits(last, columns):
                self._write_watched(argument, visit, append)

    def _write(self, argument: Array, visits: Iterator[Visit], append: Append) -> None:
        f, cells, read, plain = self._f, self.memory.cells, self.memory.read, self._plain
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
        f, cells, read, plain = self._f, self.memory.cells, self.memory.read, self._plain
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
        """Perturb an element, and see whether f modifies its argument.

        An f that does so at every call is noticed at the first one; one that begins later, when x is compared with
        what it was at the end, except where it has modified the element that is put back last: hence this look at it.
        """
        memory = self.memory
        assert memory.cells is not None
        key, original, *points = visit
        for point in points:
            memory.cells[key] = point
            value = self._f(argument)
            if first is not None and point is points[0]:
                _require_unchanged(memory, first, point)
                self._plain = type(value) if type(value) in memory.plain else None
            append(memory.read(value))
        held, written = memory.cells[key], points[-1]
        if held != written and written == written:  # noqa: PLR0124 - NaN is not equal to itself
            raise ValueError(_MODIFIED)
        memory.cells[key] = original

    def _replace(self, elements: range, columns: Columns, append: Append) -> None:
        for _, argument, run in self._arguments(elements):
            start = 0 if self._length is None else run.start - run.start % self._length
            for element, (_, _, *points) in zip(run, self._visits(run, columns), strict=True):
                for point in points:
                    append(self.memory.read(self._f(self.memory.replaced(argument, element - start, point))))

    def _differs(self, values: Array) -> bool:
        """Return whether any value is not the first one. Those that are not finite make no gradient of 0."""
        xp = self.memory.xp
        return not xp.all((values == self._first) & xp.isfinite(values))

    def _gathered(self, results: Any, columns: int) -> Sequence[Array]:
        values = self.memory.gathered(results, columns)
        if self._first is None:
            self._first = values[0][0]
        if not self._varied and self.memory.concrete:
            self._varied = any(self._differs(column) for column in values)
        return values


def _restore(memory: Memory) -> None:
    """Put x back as a whole, even when that is interrupted: then once more, and only then comes the interrupt."""
    try:
        memory.restore()
    except KeyboardInterrupt:
        _restore(memory)
        raise


def _require_unchanged(memory: Memory, element: int | None = None, raw: object = None) -> None:
    if memory.changed(element, raw):
        raise ValueError(_MODIFIED)
