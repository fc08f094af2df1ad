"""Many points in one call of f, a chunk of them after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from anygrad._typing import Array
from anygrad.backends import Memory, Stack
from anygrad.evaluators._base import Target
from anygrad.evaluators._perturb import modified
from anygrad.evaluators._points import Points
from anygrad.evaluators._record import Record

Many = Callable[[Any], Any]  # f of what a stack makes, unpacked: a value, or a list of arrays, with a leading axis
Levels = Sequence[tuple[Sequence[int], Array]]  # elements, and what they are set to
Check = Callable[[Array, Callable[[], Array]], None]


class ChunkSession:
    """A `Session` in which f is given many points at a time, and the context that it lasts for.

    Parameters
    ----------
    target, memory
        What is sampled. x itself is left alone.
    prepare
        Takes a number of rows to f of as many points, and the stack of these.
    at_x
        Returns f(x), unpacked, of one call of f; None if it is to be called with one of many points for that.
    limit
        How many points there are in a chunk at most.
    read
        Takes what f returned for so many points to an array with a row, or a number, for each of them.
    check
        Looks at the values of the first chunk of several points; it may ask for those of the first one alone.
    """

    in_place = False
    together = 1

    def __init__(
        self,
        target: Target,
        memory: Memory,
        *,
        prepare: Callable[[int], tuple[Many, Stack]],
        at_x: Callable[[], object] | None = None,
        limit: int,
        read: Callable[[Any, int], Array],
        check: Check | None = None,
    ) -> None:
        self.memory = memory
        self.record = Record(memory)
        self._vector = target.vector
        self._done = target.done
        self._prepare = prepare
        self._at_x = at_x
        self._limit = limit
        self._read = read
        self._check = check
        self._length = math.prod(target.x.shape[1:]) if target.batch else None
        self._many: Many | None = None
        self._stack: Stack | None = None
        self._rows = 0
        self._unseen = True  # whether f may have written to what it is given, since that was last looked at
        self._looked = False
        self._bases: dict[int, Array] = {}
        self._settings = np.geterr()

    def __enter__(self) -> ChunkSession:
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        if failed is None:
            self._look()

    def know(self, value: object) -> None:
        self.record.known[0] = value
        results = self.memory.results(1)
        # What is unpacked of a vector function is a list, which types do not tell from a number.
        read: Callable[[Any], Array] = self.memory.read_all if self._vector else self.memory.read
        results.append(read(value))
        [self._bases[0]] = self.memory.gathered(results, 1)

    def base(self, elements: Sequence[int]) -> Array:
        if self._length is None:
            return self._base_of_x()
        return self._bases_of(_samples(elements, self._length))

    def sample(
        self, elements: Sequence[int], part: int | None, levels: Sequence[Array], width: int = 1
    ) -> Sequence[Array]:
        if not width:  # x is empty, and f(x) its only value
            return [self.base(range(1))] * len(levels)
        count = len(elements) // width
        parts = [(elements, level) for level in levels]
        with self._calling():
            chunks = [self._chunk(parts, part, width, span) for span in self._spans(count * len(levels))]
        values = chunks[0] if len(chunks) == 1 else self.memory.xp.concat(chunks)
        columns = [values[start : start + count, ...] for start in range(0, count * len(levels), count)]
        self.record.look(columns)
        return columns

    def evaluate(self, points: Points, *, tolerant: bool = False) -> Iterator[tuple[range, Array | Exception]]:
        levels = [(points.elements, points.numbers)]
        spans = list(self._spans(len(points)))
        while spans:
            span = spans.pop(0)
            try:
                with self._calling():
                    values = self._chunk(levels, points.part, points.width, span)
            except Exception as error:
                if not tolerant:
                    raise
                if len(span) > 1:  # which of them it was shows when each is on its own
                    spans[:0] = [range(i, i + 1) for i in span]
                else:
                    yield span, error
            else:
                self.record.look([values])
                yield span, values

    def blind(self) -> bool:
        return self.record.blind(lambda: self.base(range(1)))

    def _spans(self, total: int) -> Iterator[range]:
        """Split a number of points evenly into chunks, and get ready for these."""
        chunks = -(-total // self._limit)
        rows = -(-total // chunks)
        self._get_ready(rows)
        return (range(start, min(start + rows, total)) for start in range(0, total, rows))

    def _calling(self) -> AbstractContextManager[None]:
        """Return the context in which f is called: NumPy's settings as the user has them."""
        return np.errstate(**self._settings)

    def _get_ready(self, rows: int) -> None:
        if rows > self._rows:
            self._look()
            self._many, self._stack = self._prepare(rows)
            self._rows = rows

    def _chunk(self, levels: Levels, part: int | None, width: int, span: range) -> Array:
        """Return f's values at some of the points, by one call."""
        assert self._stack is not None
        row, start, stop = 0, span.start, span.stop
        for elements, own in levels:
            points = len(elements) // width
            if start < points and stop > 0:
                chosen = slice(max(start, 0) * width, min(stop, points) * width)
                some = elements[chosen]
                rows = range(row, row + len(some) // width)
                if self._length is not None:
                    self._stack.fill(rows, _samples(some, self._length))
                self._stack.write(_rows(rows, width), some, part, own[chosen])
                row = rows.stop
            start, stop = start - points, stop - points
        _, values = self._called(row)
        if self._check is not None and row > 1:
            check, self._check = self._check, None
            check(values, lambda: self._chunk(levels, part, width, range(span.start, span.start + 1)))
        return values

    def _called(self, count: int) -> tuple[Any, Array]:
        """Call f with what has been written, and put that back; return what it returned, and that as numbers."""
        assert self._stack is not None
        assert self._many is not None
        changed, finished = False, False
        try:
            value = self._many(self._stack.argument(count))
            self.record.count(count, 1)
            values = self._read(value, count)
            finished = True
        finally:
            changed = self._stack.settle(look=finished and not self._looked)
        if changed:
            raise modified()
        self._unseen = self._looked
        self._looked = True
        if self._done is not None:
            self._done(count)
        return value, values

    def _look(self) -> None:
        """Raise if f has written to the points that it was given after the first ones."""
        if self._stack is not None and self._looked and self._unseen and self._stack.settle(look=True):
            raise modified()

    def _base_of_x(self) -> Array:
        if 0 in self._bases:
            return self._bases[0]
        if self._at_x is None:
            self._get_ready(1)
            with self._calling():
                value, self._bases[0] = self._called(1)
            self.record.keep(0, [_first(part) for part in value] if self._vector else _first(value))
            return self._bases[0]
        with self._calling():
            value = self._at_x()
        self.know(value)
        self.record.keep(0, value)
        self.record.count(1)
        if self._done is not None:
            self._done(1)
        return self._bases[0]

    def _bases_of(self, samples: Sequence[int]) -> Array:
        xp = self.memory.xp
        missing = [sample for sample in dict.fromkeys(samples) if sample not in self._bases]
        for span in self._spans(len(missing)) if missing else ():
            own = missing[span.start : span.stop]
            assert self._stack is not None
            self._stack.fill(range(len(own)), own)
            with self._calling():
                _, values = self._called(len(own))
            self._bases |= {sample: values[i : i + 1, ...] for i, sample in enumerate(own)}
        numbered = {sample: i for i, sample in enumerate(dict.fromkeys(samples))}
        distinct = xp.concat([self._bases[sample] for sample in numbered])
        return xp.take(distinct, self.memory.index_array([numbered[sample] for sample in samples]), axis=0)


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) else value[0, ...]


def _rows(rows: range, width: int) -> Any:
    """Return the row of each of the elements that are set."""
    if width == 1:
        return rows
    return rows.start if len(rows) == 1 else np.repeat(np.arange(rows.start, rows.stop), width)


def _samples(elements: Sequence[int], length: int) -> list[int]:
    listed: list[int] = (np.asarray(elements) // length).tolist()
    return listed
