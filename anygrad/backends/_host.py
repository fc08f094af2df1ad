"""Arrays whose numbers lie in the host's memory: perturbed through its buffers, computed with in NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from anygrad._typing import Array
from anygrad.backends._codec import Codec, Raw, composed, overlaid, same_bits
from anygrad.backends._host_stack import HostStack, keep_freed_memory
from anygrad.backends._layout import broadcast, multi_indices, positions
from anygrad.backends._scalar import host_array
from anygrad.backends._stack import Stack
from anygrad.backends._vectoriser import Vectoriser

# Bit patterns and float64 are written through memoryviews, which cost a third of an ndarray's item assignment.
_PACKABLE = frozenset("dBHILQ")
# Integers that are there already: making new ones is a tenth of what an element costs.
_KEYS = tuple(range(4096))
_PLAIN_REAL = frozenset({float, np.float64, np.float32, np.float16, np.longdouble})
_PLAIN_COMPLEX = frozenset({complex, np.complex128, np.complex64, np.clongdouble})


class HostMemory:
    """A `Memory` on the host.

    Parameters
    ----------
    array
        What f is given.
    stored
        The memory of ``array``, viewed as ``codec.storage``; a view if it is to be written.
    codec
        The meaning of that memory.
    writable
        Whether elements can be written through ``stored``; if not, ``replace`` makes perturbed arrays.
    visible
        Whether ``array`` is the caller's own.
    read, read_array
        Reads one result of f as a Python or NumPy scalar; an array of any shape as NumPy's.
    narrow, join
        As in `Memory`.
    replace
        ``replace(array, element, number)`` returns a new array with one element replaced.
    reattach
        Gives ``array`` the memory ``stored`` again, and returns whether it had been given another.
    buffer
        ``buffer(shape)`` returns a new array of x's dtype, and its memory, as ``stored`` is viewed.
    given
        Makes what f is given of a part of that.
    chunk_bytes, vectoriser
        As in `Memory`.
    """

    xp = np
    block = len(_KEYS)
    concrete = True

    def __init__(
        self,
        array: Array,
        stored: Raw,
        codec: Codec,
        *,
        writable: bool,
        visible: bool,
        read: Callable[[object], Any],
        read_array: Callable[[object], Raw],
        narrow: Callable[[Raw], Array],
        join: Callable[[Sequence[Array], Sequence[int]], Array],
        replace: Callable[[Array, int, object], Array] | None = None,
        reattach: Callable[[], bool] = bool,
        buffer: Callable[[tuple[int, ...]], tuple[Array, Raw]],
        given: Callable[[Array], Array],
        chunk_bytes: int,
        vectoriser: Vectoriser | None = None,
    ) -> None:
        self.array = array
        self.visible = visible
        self.read = read
        self.narrow = narrow
        self.join = join
        self.codec = codec
        self.size = stored.size
        self.nbytes = stored.nbytes
        self.chunk_bytes = chunk_bytes
        self.vectoriser = vectoriser
        self.eps = codec.eps
        self.tiny = codec.tiny
        self.complex = codec.dtype.kind == "c"
        self.plain = _PLAIN_COMPLEX | _PLAIN_REAL if self.complex else _PLAIN_REAL
        self._packable = _packable(codec.storage)
        self._read_array = read_array
        self._stored = stored.reshape(-1) if stored.flags.c_contiguous else stored
        self._original: Raw = self._stored.flatten() if writable else stored.reshape(-1)
        self._replace = replace
        self._reattach = reattach
        self._buffer = buffer
        self._given = given
        self.cells: Array | None = None
        if writable:
            self.cells = self._stored.data if self._packable and self._stored.flags.aligned else self._stored

    def window(self, elements: Sequence[int]) -> tuple[Array | None, Iterable[object]]:
        if self._stored.ndim != 1:
            return self.cells, multi_indices(elements, self._stored.shape)
        span = positions(elements)
        if self.cells is None or isinstance(span, list) or len(elements) > len(_KEYS):
            return self.cells, elements
        return self.cells[span], _KEYS[: len(elements)]

    def elements(self, elements: Sequence[int]) -> Raw:
        return self.codec.decode(self._original[positions(elements)])

    def raw(self, elements: Sequence[int], part: int | None, levels: Raw | None) -> Iterable[object]:
        raw = self._original[positions(elements)] if levels is None else self._encoded(elements, part, levels)
        return raw.data if self._packable else raw  # both make the items one at a time

    def stack(self, rows: int, length: int | None = None) -> HostStack:
        shape = self.array.shape if length is None else self.array.shape[1:]
        array, stored = self._buffer((rows, *shape))
        samples = (1, self.size) if length is None else (-1, length)
        original = self._original.reshape(samples)
        return HostStack(array, stored, original, self._encoded, self._given, private=self.cells is None)

    def fused(self, f: Callable[[Any], Any], rows: int) -> tuple[Callable[[Any], Any], Stack] | None:
        fused = None if self.vectoriser is None else self.vectoriser.fused
        return None if fused is None else fused(f, rows, self._encoded)

    def whole(self, part: int | None, levels: Raw) -> Array:
        keep_freed_memory(8 * self.nbytes)
        raw = self._encoded(range(self.size), part, levels).reshape(self._stored.shape)
        if self.cells is None:
            return self.join([self.narrow(self.codec.decode(raw.reshape(-1)))], self.array.shape)
        self._stored[...] = raw
        return self.array

    def holds(self, part: int | None, levels: Raw) -> bool:
        raw = self._encoded(range(self.size), part, levels)
        return self.cells is None or same_bits(self._stored, raw)

    def nearest(self, elements: Sequence[int], levels: Raw) -> Raw:
        return self.codec.nearest(levels)

    def spread(self, value: Array, name: str) -> Raw:
        numbers = host_array(value, name).astype(self.codec.working)
        whole: Raw = broadcast(np.broadcast_to, numbers, self.array.shape, name)
        return whole.reshape(-1)

    def overlay(self, indices: Raw, levels: Raw) -> Raw:
        return overlaid(self.elements(range(self.size)), indices, levels)

    def index_array(self, elements: Sequence[int]) -> Raw:
        return np.asarray(elements, dtype=np.intp)

    def indices(self, indices: Raw) -> list[int]:
        listed: list[int] = indices.tolist()
        return listed

    def replaced(self, array: Array, element: int, raw: object) -> Array:
        assert self._replace is not None
        return self._replace(array, element, raw)

    def any(self, mask: Raw) -> bool:
        return b"\1" in mask.tobytes()  # a quarter of the time of mask.any(), which is written in Python

    def all(self, mask: Raw) -> bool:
        return b"\0" not in mask.tobytes()

    def results(self, count: int) -> list[Any]:
        return []

    def recorder(self, *_: object) -> None:
        return None

    def read_all(self, values: Sequence[object]) -> Raw:
        working = self.codec.working
        parts = [np.asarray(part).reshape(-1) for part in map(self._read_array, values)]
        if not parts:
            return np.empty(0, working)
        # Copied once: what f returned may be x itself.
        dtype = np.result_type(working, *parts)
        return parts[0].astype(dtype) if len(parts) == 1 else np.concatenate(parts).astype(dtype, copy=False)

    def read_many(self, values: Sequence[object], count: int) -> Raw:
        working = self.codec.working
        parts = [np.asarray(part) for part in map(self._read_array, values)]
        # Copied once: what f returned may be a view of its argument.
        if len(parts) == 1:
            [part] = parts
            table: Raw = part.astype(working if part.dtype == working else np.result_type(working, part))
            return table.reshape(count, math.prod(part.shape[1:]))
        if not parts:
            return np.empty((count, 0), working)
        tables = [part.reshape(count, math.prod(part.shape[1:])) for part in parts]
        return np.concatenate(tables, axis=1).astype(np.result_type(working, *tables), copy=False)

    def gathered(self, results: Any, columns: int) -> Sequence[Raw]:
        if isinstance(results[0], np.ndarray):
            if len(results) == columns:
                return [result[None] for result in results]
            values = np.stack(results)
            return [values[start::columns] for start in range(columns)]
        if self.complex:
            values = np.asarray(results, dtype=np.result_type(self.codec.working, *set(map(type, results))))
        else:
            values = np.fromiter(results, dtype=self.codec.working, count=len(results))
        return [values[start::columns] for start in range(columns)]

    def compose(self, real: Raw, imag: Raw) -> Raw:
        return composed(real, imag)

    def changed(self, elements: Sequence[int] = (), raw: Sequence[object] = ()) -> bool:
        if self.cells is None:
            return False
        if self._reattach():
            return True
        expected = self._original
        if elements:
            expected = expected.copy()
            for element, item in zip(elements, raw, strict=True):
                expected[element] = item
        return not same_bits(self._stored, expected)

    def restore(self) -> bool:
        changed = True
        try:
            changed = self.changed()  # this takes memory, which f may have run out of
        finally:
            if changed:
                self._stored[...] = self._original.reshape(self._stored.shape)
        return changed

    def _encoded(self, elements: Sequence[int], part: int | None, levels: Raw) -> Raw:
        if part is None or not self.complex:
            return self.codec.encode(levels)
        numbers = self.elements(elements)
        parts = (levels, numbers.imag) if part == 0 else (numbers.real, levels)
        return self.codec.encode(composed(*parts))


def _packable(dtype: np.dtype[Any]) -> bool:
    return dtype.isbuiltin == 1 and dtype.isnative and dtype.char in _PACKABLE
