"""Several arrays as one memory, whose elements are numbered through."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import accumulate, pairwise
from typing import Any, TypeAlias, TypeGuard

from array_api_compat import device

from anygrad._typing import Array
from anygrad.backends._joint_stack import JointStack
from anygrad.backends._memory import Memory

Items: TypeAlias = Callable[[int, Sequence[int], Sequence[int]], list[Any]]
Numbers: TypeAlias = Callable[[int, Sequence[int], Sequence[int]], Array]
Place = tuple[int, int]  # which of the arrays, and which of its elements


class JointCells:
    """``cells[of_one, key] = raw`` writes one element of one of several arrays, of which ``of_one`` are the cells."""

    def __setitem__(self, place: tuple[Any, Any], raw: object) -> None:
        cells, key = place
        cells[key] = raw

    def __getitem__(self, place: tuple[Any, Any]) -> object:
        cells, key = place
        return cells[key]


class JointMemory:
    """A `Memory` of several."""

    def __init__(self, memories: Sequence[Memory]) -> None:
        self._memories = memories
        self._starts = [0, *accumulate(memory.size for memory in memories)]
        _require_one_place(memories)
        self.array = [memory.array for memory in memories]
        widest = self._widest = min(memories, key=lambda memory: memory.eps)
        self.xp = widest.xp
        self.size = self._starts[-1]
        self.nbytes = sum(memory.nbytes for memory in memories)
        self.chunk_bytes = widest.chunk_bytes
        self.vectoriser = widest.vectoriser
        self.block = min(memory.block for memory in memories)
        self.visible = all(memory.visible for memory in memories)
        self.concrete = all(memory.concrete for memory in memories)
        self.complex = any(memory.complex for memory in memories)
        self.plain = widest.plain
        # Rounding is as coarse as that of the coarsest of them.
        self.eps = max(memory.eps for memory in memories)
        self.tiny = max(memory.tiny for memory in memories)
        writable = all(memory.cells is not None for memory in memories)
        self.cells: Array | None = JointCells() if writable else None
        # What f returns is read, and computed with, in the widest of the dtypes.
        self.results = widest.results
        self.read = widest.read
        self.read_all = widest.read_all
        self.read_many = widest.read_many
        self.gathered = widest.gathered
        self.compose = widest.compose
        self.narrow = widest.narrow
        self.join = widest.join
        self.indices = widest.indices
        self.index_array = widest.index_array

    def window(self, elements: Sequence[int]) -> tuple[Array | None, Iterable[object]]:
        def places(array: int, inner: Sequence[int], _: Sequence[int]) -> list[Any]:
            cells, keys = self._memories[array].window(inner)
            return [(cells, key) for key in keys]

        return self.cells, self._merged(elements, places)

    def elements(self, elements: Sequence[int]) -> Array:
        return self._ordered(elements, lambda array, inner, _: self._memories[array].elements(inner))

    def raw(self, elements: Sequence[int], part: int | None, levels: Array | None) -> Iterable[object]:
        def raw(array: int, inner: Sequence[int], positions: Sequence[int]) -> list[Any]:
            memory = self._memories[array]
            chosen = None if levels is None else self._own(memory, self._taken(levels, positions))
            return list(memory.raw(inner, part, chosen))

        return self._merged(elements, raw)

    def stack(self, rows: int, length: int | None = None) -> JointStack:
        def own(array: int, levels: Array, here: Sequence[int]) -> Array:
            return self._own(self._memories[array], self._taken(levels, here))

        return JointStack([memory.stack(rows) for memory in self._memories], self._groups, own)

    def recorder(self, *_: object) -> None:
        return None

    def fused(self, f: Callable[[Any], Any], rows: int) -> None:
        return None

    def whole(self, part: int | None, levels: Array) -> list[Array]:
        return [memory.whole(part, self._own(memory, levels[span])) for memory, span in self._spans()]

    def holds(self, part: int | None, levels: Array) -> bool:
        return all(memory.holds(part, self._own(memory, levels[span])) for memory, span in self._spans())

    def replaced(self, array: list[Array], element: int, raw: object) -> list[Array]:
        which, inner = self._place(element)
        replaced = self._memories[which].replaced(array[which], inner, raw)
        return [*array[:which], replaced, *array[which + 1 :]]

    def nearest(self, elements: Sequence[int], levels: Array) -> Array:
        def nearest(array: int, inner: Sequence[int], positions: Sequence[int]) -> Array:
            return self._memories[array].nearest(inner, self._taken(levels, positions))

        return self._ordered(elements, nearest)

    def spread(self, value: Sequence[Array], name: str) -> Array:
        return self.xp.concat([memory.spread(part, name) for memory, part in zip(self._memories, value, strict=True)])

    def overlay(self, indices: Array, levels: Array) -> Array:
        raise NotImplementedError("several arrays are not differentiated element by element")

    def any(self, mask: Array) -> bool:
        return self.concrete and self._widest.any(mask)

    def all(self, mask: Array) -> bool:
        return self.concrete and self._widest.all(mask)

    def changed(self, elements: Sequence[int] = (), raw: Sequence[object] = ()) -> bool:
        inner: list[tuple[list[int], list[object]]] = [([], []) for _ in self._memories]
        for element, item in zip(elements, raw, strict=True):
            which, place = self._place(element)
            inner[which][0].append(place)
            inner[which][1].append(item)
        return any(memory.changed(*pair) for memory, pair in zip(self._memories, inner, strict=True))

    def restore(self) -> bool:
        changed: list[bool] = []

        def restore(memory: Memory) -> None:
            changed.append(memory.restore())

        with ExitStack() as stack:  # all of them, whatever comes of one
            for memory in self._memories:
                stack.callback(restore, memory)
        return any(changed)

    def _own(self, memory: Memory, levels: Array) -> Array:
        """Return levels as one of the arrays takes them: a real one beside a complex one has no imaginary part."""
        is_complex = self.xp.isdtype(levels.dtype, "complex floating")
        return self.xp.real(levels) if is_complex and not memory.complex else levels

    def _spans(self) -> Iterable[tuple[Memory, slice]]:
        spans = (slice(*ends) for ends in zip(self._starts, self._starts[1:], strict=False))
        return zip(self._memories, spans, strict=True)

    def _place(self, element: int) -> Place:
        # Of arrays that begin at the same number, all but the last are empty.
        which = bisect_right(self._starts, element) - 1
        return which, element - self._starts[which]

    def _groups(self, elements: Sequence[int]) -> Mapping[int, tuple[Sequence[int], Sequence[int]]]:
        """Return, for each array that has some of the elements, their numbers there and their positions here."""
        if _consecutive(elements):
            return dict(self._pieces(elements))
        groups: dict[int, tuple[list[int], list[int]]] = {}
        for position, element in enumerate(elements):
            which, inner = self._place(element)
            there, here = groups.setdefault(which, ([], []))
            there.append(inner)
            here.append(position)
        return groups

    def _pieces(self, elements: range) -> Iterator[tuple[int, tuple[range, range]]]:
        """Yield the groups of consecutive elements, which are consecutive themselves: as a rule there are many."""
        for which, (begin, end) in enumerate(pairwise(self._starts)):
            first, last = max(begin, elements.start), min(end, elements.stop)
            if first < last:
                there, here = (range(first - start, last - start) for start in (begin, elements.start))
                yield which, (there, here)

    def _merged(self, elements: Sequence[int], items: Items) -> list[Any]:
        merged: list[Any] = [None] * len(elements)
        for which, (there, here) in self._groups(elements).items():
            for position, item in zip(here, items(which, there, here), strict=True):
                merged[position] = item
        return merged

    def _ordered(self, elements: Sequence[int], numbers: Numbers) -> Array:
        groups = self._groups(elements)
        if not groups:
            return self._widest.elements(range(0))
        parts = [numbers(which, there, here) for which, (there, here) in groups.items()]
        if _consecutive(elements):
            return parts[0] if len(parts) == 1 else self.xp.concat(parts)
        here = [position for _, positions in groups.values() for position in positions]
        order = sorted(range(len(here)), key=here.__getitem__)
        return self._taken(self.xp.concat(parts), order)

    def _taken(self, numbers: Array, positions: Sequence[int]) -> Array:
        if isinstance(positions, range):
            return numbers[positions.start : positions.stop, ...]
        if positions == list(range(numbers.shape[0])):
            return numbers
        return self.xp.take(numbers, self.index_array(positions), axis=0)


def _consecutive(elements: Sequence[int]) -> TypeGuard[range]:
    return isinstance(elements, range) and elements.step == 1


def _require_one_place(memories: Sequence[Memory]) -> None:
    """Raise unless all numbers are computed with by one library on one device."""
    numbers = [memory.elements(range(0)) for memory in memories]
    if any(memory.xp is not memories[0].xp for memory in memories):
        raise of_several_libraries()
    if any(device(number) != device(numbers[0]) for number in numbers):
        raise ValueError(
            "the arrays of x are on several devices, but this derivative combines elements of all of them: move them"
            " to one device"
        )


def of_several_libraries() -> TypeError:
    """Return what is raised if the arrays do not know each other."""
    return TypeError(
        "the arrays of x are of several libraries, but this derivative combines elements of all of them: convert them"
        " to one library"
    )
