"""Arrays on a device, whose numbers are computed with on the host: for schemes that look at them all the time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from array_api_compat import device
from numpy.typing import NDArray

from anygrad._typing import Array, Namespace
from anygrad.backends._codec import composed, overlaid
from anygrad.backends._layout import positions
from anygrad.backends._memory import Memory, Results
from anygrad.backends._recorder import Recorder
from anygrad.backends._stack import Rows, Stack

Numbers = NDArray[Any]
Host = Callable[[Array], Numbers]

# Of more elements than this a device is faster, though each of a thousand operations takes 10 µs to begin.
_MOST = 2**14


def examined(memory: Memory, host: Host) -> Memory:
    """Return a memory of the same x whose working arrays are NumPy's; or itself, where it is better left on the device.

    ``host`` takes arrays of the library to the host.
    """
    if memory.xp is np or not memory.concrete or memory.size > _MOST:
        return memory
    return ExaminedMemory(memory, host)


class ExaminedMemory:
    """A `Memory` of an array on a device. What f is given, and what it returns, stays there until all is gathered.

    Parameters
    ----------
    memory
        The array, opened.
    host
        Takes arrays of its library to the host.
    """

    xp: Namespace = np
    concrete = True

    def __init__(self, memory: Memory, host: Host) -> None:
        self._memory = memory
        self._host = host
        own = memory.elements(range(memory.size))
        self._device = device(own)
        self._elements = host(own)
        self.array = memory.array
        self.size = memory.size
        self.nbytes = memory.nbytes
        self.chunk_bytes = memory.chunk_bytes
        self.vectoriser = memory.vectoriser
        self.visible = memory.visible
        self.cells = memory.cells
        self.block = memory.block
        self.plain = memory.plain
        self.complex = memory.complex
        self.eps = memory.eps
        self.tiny = memory.tiny
        # Whether all working numbers are numbers of x's dtype.
        self._fine = memory.eps <= float(np.finfo(self._elements.dtype).eps)

    def window(self, elements: Sequence[int]) -> tuple[Array | None, Iterable[object]]:
        return self._memory.window(elements)

    def elements(self, elements: Sequence[int]) -> Numbers:
        return self._elements[positions(elements)]

    def raw(self, elements: Sequence[int], part: int | None, levels: Numbers | None) -> Iterable[object]:
        return self._memory.raw(elements, part, None if levels is None else self._there(levels))

    def replaced(self, array: Array, element: int, raw: object) -> Array:
        return self._memory.replaced(array, element, raw)

    def stack(self, rows: int, length: int | None = None) -> Stack:
        return ExaminedStack(self._memory.stack(rows, length), self._there)

    def fused(self, f: Callable[[Any], Any], rows: int) -> tuple[Callable[[Any], Any], Stack] | None:
        fused = self._memory.fused(f, rows)
        if fused is None:
            return None
        many, stack = fused
        return many, ExaminedStack(stack, self._there)

    def whole(self, part: int | None, levels: Numbers) -> Array:
        return self._memory.whole(part, self._there(levels))

    def holds(self, part: int | None, levels: Numbers) -> bool:
        return self._memory.holds(part, self._there(levels))

    def nearest(self, elements: Sequence[int], levels: Numbers) -> Numbers:
        return levels if self._fine else self._host(self._memory.nearest(elements, self._there(levels)))

    def spread(self, value: Array, name: str) -> Numbers:
        return self._host(self._memory.spread(value, name))

    def overlay(self, indices: Numbers, levels: Numbers) -> Numbers:
        return overlaid(self._elements, indices, levels)

    def indices(self, indices: Numbers) -> list[int]:
        listed: list[int] = indices.tolist()
        return listed

    def index_array(self, elements: Sequence[int]) -> Numbers:
        return np.asarray(elements, dtype=np.intp)

    def any(self, mask: Numbers) -> bool:
        return bool(mask.any())

    def all(self, mask: Numbers) -> bool:
        return bool(mask.all())

    def results(self, count: int) -> Results:
        return self._memory.results(count)

    def recorder(
        self, elements: Sequence[int], part: int | None, levels: Sequence[Numbers], results: Any
    ) -> Recorder | None:
        return self._memory.recorder(elements, part, [self._there(level) for level in levels], results)

    def read(self, value: object) -> Array:
        return self._memory.read(value)

    def read_all(self, values: Sequence[object]) -> Array:
        return self._memory.read_all(values)

    def read_many(self, values: Sequence[object], count: int) -> Numbers:
        return self._host(self._memory.read_many(values, count))

    def gathered(self, results: Results, columns: int) -> Sequence[Numbers]:
        return [self._host(column) for column in self._memory.gathered(results, columns)]

    def compose(self, real: Numbers, imag: Numbers) -> Numbers:
        return composed(real, imag)

    def narrow(self, values: Numbers) -> Array:
        return self._memory.narrow(self._there(values))

    def join(self, blocks: Sequence[Array], shape: Sequence[int]) -> Array:
        return self._memory.join(blocks, shape)

    def changed(self, elements: Sequence[int] = (), raw: Sequence[object] = ()) -> bool:
        return self._memory.changed(elements, raw)

    def restore(self) -> bool:
        return self._memory.restore()

    def _there(self, numbers: Numbers) -> Array:
        """Return numbers as an array on the device."""
        return self._memory.xp.asarray(np.ascontiguousarray(numbers), device=self._device)


class ExaminedStack:
    """A `Stack` on a device, whose levels come from the host."""

    def __init__(self, stack: Stack, there: Callable[[Numbers], Array]) -> None:
        self._stack = stack
        self._there = there

    def write(self, rows: Rows, elements: Sequence[int], part: int | None, levels: Numbers) -> None:
        self._stack.write(rows, elements, part, self._there(levels))

    def fill(self, rows: range, samples: Sequence[int]) -> None:
        self._stack.fill(rows, samples)

    def argument(self, count: int) -> Array:
        return self._stack.argument(count)

    def settle(self, *, look: bool) -> bool:
        return self._stack.settle(look=look)
