"""Several arrays as one memory, with one numbering of their elements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device
from numpy.typing import NDArray

from anygrad._typing import Array
from anygrad.backends.arrays import Elements, Indices
from anygrad.backends.base import Backend, Memory, Points

# The index of an array, some of its elements, and their positions among the elements that were asked for.
Group = tuple[int, Elements, slice | Indices]


class JointCells:
    """``cells[of_one, key] = number`` writes an element of one of several arrays, whose own cells are ``of_one``."""

    def __setitem__(self, place: tuple[Any, Any], number: object) -> None:
        cells, key = place
        cells[key] = number

    def __getitem__(self, place: tuple[Any, Any]) -> object:
        cells, key = place
        return cells[key]


class JointMemory(Memory):
    """A `Memory` of several others, of one library and on one device.

    The widest of the dtypes is used for f's values and all computations, the coarsest for the choice of steps.
    """

    def __init__(self, memories: Sequence[Memory]) -> None:
        self._memories = memories
        self._left: list[Memory] = []
        self._changed = False
        self._starts = np.asarray([0, *accumulate(memory.size for memory in memories)], dtype=np.intp)
        widest = self._widest = min(memories, key=lambda memory: memory.eps)
        self.backend = widest.backend
        self.array = [memory.array for memory in memories]
        self.xp = widest.xp
        self.size = int(self._starts[-1])
        self.nbytes = sum(memory.nbytes for memory in memories)
        self.chunk_bytes = widest.chunk_bytes
        self.block = min(memory.block for memory in memories)
        self.in_place = all(memory.in_place for memory in memories)
        self.lazy = any(memory.lazy for memory in memories)
        self.complex = any(memory.complex for memory in memories)
        self.plain = widest.plain
        self.eps = max(memory.eps for memory in memories)
        self.tiny = max(memory.tiny for memory in memories)
        self.cells = JointCells() if all(memory.cells is not None for memory in memories) else None
        self.results, self.gathered = widest.results, widest.gathered  # type: ignore[method-assign]
        self.read, self.read_arrays, self.read_many = widest.read, widest.read_arrays, widest.read_many  # type: ignore[method-assign]
        self.compose, self.assemble = widest.compose, widest.assemble  # type: ignore[method-assign]
        self.hold, self.look = widest.hold, widest.look  # type: ignore[method-assign]
        self.index_array, self.indices = widest.index_array, widest.indices  # type: ignore[method-assign]
        self.to_host, self.from_host = widest.to_host, widest.from_host  # type: ignore[method-assign]

    @classmethod
    def of(cls, arrays: Sequence[Array], backends: Sequence[Backend], *, in_place: bool) -> JointMemory:
        """Open arrays together; raise if they are of several libraries or on several devices."""
        if any(backend is not backends[0] for backend in backends):
            raise _of_several_libraries()
        memories = [backend.memory(array, in_place=in_place) for array, backend in zip(arrays, backends, strict=True)]
        if any(memory.xp is not memories[0].xp for memory in memories):
            raise _of_several_libraries()
        if not backends[0].on_host(arrays[0]) and len({str(device(array)) for array in arrays}) > 1:
            raise ValueError(
                "the arrays of x are on several devices, but this derivative combines elements of all of them: move"
                " them to one device"
            )
        return cls(memories)

    @property
    def parts(self) -> list[tuple[Memory, slice]]:
        spans = zip(self._starts[:-1].tolist(), self._starts[1:].tolist(), strict=True)
        return [(memory, slice(*span)) for memory, span in zip(self._memories, spans, strict=True)]

    def elements(self, elements: Elements) -> Array:
        return self._ordered(elements, lambda memory, own, _: memory.elements(own))

    def round(self, elements: Elements, numbers: Array) -> Array:
        if all(memory.eps <= self._widest.eps for memory in self._memories):
            return self._widest.round(elements, numbers)
        return self._ordered(elements, lambda memory, own, here: memory.round(own, self._taken(numbers, here)))

    def spread(self, value: Any, name: str) -> Array:
        values = (
            value if isinstance(value, list) and len(value) == len(self._memories) else [value] * len(self._memories)
        )
        if all(v is values[0] for v in values) and isinstance(values[0], (int, float)):
            numbers = self._widest.elements(range(0))
            real = self.xp.real(numbers) if self.complex else numbers
            return self.xp.full((self.size,), float(values[0]), dtype=real.dtype, device=device(real))
        return self.xp.concat([memory.spread(own, name) for memory, own in zip(self._memories, values, strict=True)])

    def perturbed(self, points: Points) -> list[Array]:
        """Return an array of points for each array. An array that no point sets is repeated without a copy."""
        count = len(points)
        tables = [
            array_namespace(memory.array).broadcast_to(memory.array, (count, *memory.array.shape))
            for memory in self._memories
        ]
        if not points.width:
            return tables
        each = points.each
        which = np.searchsorted(self._starts, each, side="right") - 1
        for i in np.unique(which).tolist():
            memory, own = self._memories[i], which == i
            counts = own.sum(axis=1)
            if counts.min() == counts.max():  # every point sets the same number of this array's elements
                chosen = self._taken(self.xp.reshape(points.numbers, (-1,)), np.flatnonzero(own))
                numbers = self.xp.reshape(chosen, (count, -1))
                inner = Points(self._inner(each[own], i), self._real(memory, numbers), points.part)
                tables[i] = memory.perturbed(inner)
            else:
                tables[i] = self._rows(memory, i, points, own)
        return tables

    def is_perturbed(self, array: Array, points: Points) -> bool:
        expected = self.perturbed(points)
        backend = self.backend
        return all(
            bool(np.array_equal(backend.host(now), backend.host(then), equal_nan=True))
            for now, then in zip(array, expected, strict=True)
        )

    def chunks(self, points: Points, max_bytes: int) -> Iterator[slice]:
        if points.width != 1:
            yield from super().chunks(points, max_bytes)
            return
        # A chunk sets one array only: the others then take no memory.
        which = np.searchsorted(self._starts, np.asarray(points.elements), side="right") - 1
        ends = [*(np.flatnonzero(np.diff(which)) + 1).tolist(), len(which)]
        for start, end in zip([0, *ends], ends, strict=False):
            own = slice(start * points.repeat, end * points.repeat)
            for inner in self._memories[int(which[start])].chunks(points[own], max_bytes):
                yield slice(own.start + inner.start, own.start + inner.stop)

    @property
    def point_bytes(self) -> int:
        return max((memory.nbytes for memory in self._memories), default=0)

    def runs(self, points: Points) -> Iterable[tuple[Memory, Points]]:
        if not isinstance(points.elements, range):
            return [(self, points)]
        repeat = points.repeat
        found = []
        for i, own, here in self._groups(points.elements):
            assert isinstance(here, slice)
            numbers = points.numbers[here.start * repeat : here.stop * repeat, ...]
            memory = self._memories[i]
            found.append((memory, Points(own, self._real(memory, numbers), points.part, repeat)))
        return found

    def raw(self, elements: Elements, part: int | None, numbers: Array) -> Iterable[Any]:
        merged: list[Any] = [None] * len(elements)
        for i, own, here in self._groups(elements):
            memory = self._memories[i]
            self._put(merged, here, list(memory.raw(own, part, self._real(memory, self._taken(numbers, here)))))
        return merged

    def keys(self, elements: Elements) -> tuple[Any, Iterable[Any]]:
        merged: list[Any] = [None] * len(elements)
        for i, own, here in self._groups(elements):
            cells, keys = self._memories[i].keys(own)
            self._put(merged, here, [(cells, key) for key in keys])
        return self.cells, merged

    def replaced(self, array: list[Array], element: int, raw: object) -> list[Array]:
        i = int(np.searchsorted(self._starts, element, side="right")) - 1
        replaced = self._memories[i].replaced(array[i], element - int(self._starts[i]), raw)
        return [*array[:i], replaced, *array[i + 1 :]]

    def write_all(self, part: int | None, numbers: Array) -> list[Array]:
        written = [memory.write_all(part, self._real(memory, numbers[span])) for memory, span in self.parts]
        return written if self.cells is None else self.array

    def holds(self, part: int | None, numbers: Array) -> bool:
        return all(memory.holds(part, self._real(memory, numbers[span])) for memory, span in self.parts)

    def changed(self, elements: Sequence[int] = (), raw: Sequence[object] = ()) -> bool:
        own: list[tuple[list[int], list[object]]] = [([], []) for _ in self._memories]
        for element, item in zip(elements, raw, strict=True):
            i = int(np.searchsorted(self._starts, element, side="right")) - 1
            own[i][0].append(int(element - self._starts[i]))
            own[i][1].append(item)
        return any(memory.changed(*pair) for memory, pair in zip(self._memories, own, strict=True))

    def restore(self) -> bool:
        # Interrupted, this goes on where it stopped: signals may come too often for one attempt to put all back.
        left = self._left = self._left or list(self._memories)
        while left:
            self._changed |= left[-1].restore()
            left.pop()
        changed, self._changed = self._changed, False
        return changed

    def _real(self, memory: Memory, numbers: Array) -> Array:
        """Return the real parts of complex numbers for an array that is real, beside others that are complex."""
        if memory.complex or not self.complex or not self.xp.isdtype(numbers.dtype, "complex floating"):
            return numbers
        return self.xp.real(numbers)

    def _rows(self, memory: Memory, i: int, points: Points, own: NDArray[np.bool_]) -> Array:
        """Return the points of one array one by one, as they set different numbers of its elements."""
        xp = array_namespace(memory.array)
        rows, each = [], points.each
        for k in range(len(points)):
            if not own[k].any():
                rows.append(memory.array[None, ...])
                continue
            numbers = self._taken(points.numbers[k, ...], np.flatnonzero(own[k]))
            inner = Points(self._inner(each[k][own[k]], i), self._real(memory, numbers)[None, :], points.part)
            rows.append(memory.perturbed(inner))
        return xp.concat(rows, axis=0)

    def _inner(self, elements: Indices, i: int) -> Elements:
        """Return elements in the numbering of one of the arrays, as a range if they follow each other."""
        inner: Indices = elements - self._starts[i]
        if len(inner) and np.array_equal(inner, np.arange(inner[0], inner[0] + len(inner))):
            return range(int(inner[0]), int(inner[0]) + len(inner))
        return inner

    def _groups(self, elements: Elements) -> Iterator[Group]:
        """Yield each array that has some of the elements, in its own numbering, and their positions among all."""
        if isinstance(elements, range):
            first = int(np.searchsorted(self._starts, elements.start, side="right")) - 1
            starts = self._starts
            for i in range(max(first, 0), len(self._memories)):
                begin, end = max(int(starts[i]), elements.start), min(int(starts[i + 1]), elements.stop)
                if begin >= elements.stop:
                    return
                if begin < end:
                    own = range(begin - int(starts[i]), end - int(starts[i]))
                    yield i, own, slice(begin - elements.start, end - elements.start)
            return
        which = np.searchsorted(self._starts, elements, side="right") - 1
        for i in np.unique(which).tolist():
            here = np.flatnonzero(which == i)
            yield i, elements[here] - self._starts[i], here

    def _put(self, merged: list[Any], here: slice | Indices, items: Sequence[Any]) -> None:
        if isinstance(here, slice):
            merged[here] = items
        else:
            for position, item in zip(here.tolist(), items, strict=True):
                merged[position] = item

    def _ordered(self, elements: Elements, numbers: Any) -> Array:
        groups = list(self._groups(elements))
        if not groups:
            return self._widest.elements(range(0))
        parts = [numbers(self._memories[i], own, here) for i, own, here in groups]
        whole = parts[0] if len(parts) == 1 else self.xp.concat(parts)
        if isinstance(elements, range) or len(parts) == 1:
            return whole
        positions = np.concatenate([here for _, _, here in groups])
        return self._taken(whole, np.argsort(positions))

    def _taken(self, numbers: Array, positions: slice | Indices) -> Array:
        if isinstance(positions, slice):
            return numbers[positions, ...]
        return self.xp.take(numbers, self.index_array(positions), axis=0)


def _of_several_libraries() -> TypeError:
    return TypeError(
        "the arrays of x are of several libraries, but this derivative combines elements of all of them: convert them"
        " to one library"
    )
