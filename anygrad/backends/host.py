"""Arrays whose numbers lie in the host's memory: perturbed through its buffers, computed with in NumPy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from anygrad._typing import Array
from anygrad.backends.arrays import Elements, broadcast, multi_indices
from anygrad.backends.base import Backend, Memory, Points, span_of
from anygrad.backends.codec import Codec, Raw, narrowed
from anygrad.backends.returned import host_array, host_number, host_numbers, require_one_element

# Ready-made integers: making new ones would be a tenth of the cost of an element.
_KEYS = tuple(range(4096))
_PLAIN_REAL = frozenset({float, np.float64, np.float32, np.float16, np.longdouble})
_PLAIN_COMPLEX = frozenset({complex, np.complex128, np.complex64, np.clongdouble})
# More than the arrays that f makes of a chunk. glibc can be made to keep 2**25 bytes at most, with its own overhead.
_LARGE, _MOST = 2**22, 2**25 - 2**13
# So few bytes are copied and compared in less time than NumPy takes to begin.
_SMALL = 2**14
# How many bytes of points are compared at a time.
_COMPARED = 2**18


class HostBackend(Backend):
    def number(self, value: Any, memory: HostMemory) -> Any:
        """Return one result of f as a Python or NumPy scalar; raise if it is not one number."""
        if not self.is_array(value):
            return host_number(value, library=self.name)
        require_one_element(value.shape)
        self.require_known(value, memory)
        return value.item()

    def numbers(self, value: Any, memory: HostMemory) -> Raw:
        """Return an array, a number or a list of numbers that f returned as an array of NumPy's."""
        if not self.is_array(value):
            return host_numbers(value, library=self.name)
        self.require_known(value, memory)
        return self.read(value)

    def require_known(self, value: Array, memory: HostMemory) -> None:
        """Raise if f returned an array on another device."""
        raise NotImplementedError

    def read(self, value: Array) -> Raw:
        """Return an array that f returned as one of NumPy's, of a dtype that NumPy knows."""
        raise NotImplementedError

    def from_host(self, numbers: Raw, memory: HostMemory) -> Array:
        """Return numbers, or booleans, on the host as an array like x; real numbers in x's real dtype."""
        raise NotImplementedError

    def points(self, shape: tuple[int, ...], memory: HostMemory) -> Array:
        """Return a new array of this shape, whose memory will be written."""
        return np.empty(shape, memory.array.dtype)

    def given(self, points: Array, memory: HostMemory) -> Array:
        """Return the argument of f for an array of points that has been written."""
        return points

    def stored(self, array: Array, codec: Codec) -> Raw:
        """Return the memory of an array of `points`, viewed as ``codec.storage``."""
        return np.asarray(array.view(codec.storage))


class HostMemory(Memory):
    """A `Memory` on the host.

    ``stored`` is the memory of ``array``, viewed as ``codec.storage``. ``writable`` says whether elements can be
    written through it.
    """

    block = len(_KEYS)
    _returns_complex = False  # whether f has returned a complex number for a real x

    def __init__(
        self,
        backend: HostBackend,
        array: Array,
        stored: Raw,
        codec: Codec,
        *,
        in_place: bool,
        chunk_bytes: int,
        writable: bool = True,
        rows: bool = False,
    ) -> None:
        self.backend: HostBackend = backend
        self.array = array
        self.in_place = in_place
        self.codec = codec
        self.size = stored.size
        self.nbytes = stored.nbytes
        self.chunk_bytes = chunk_bytes
        self.eps, self.tiny = codec.eps, codec.tiny
        self.complex = codec.dtype.kind == "c"
        self.plain = _PLAIN_COMPLEX | _PLAIN_REAL if self.complex else _PLAIN_REAL
        self.row = math.prod(stored.shape[1:]) if rows else None
        contiguous = stored.flags.c_contiguous
        self.stored = stored.reshape(-1) if contiguous else stored
        self._original: Raw = self.stored.flatten() if writable else stored.reshape(-1)
        self.packed = codec.packed
        if writable:
            self.cells = self.stored.data if self.packed and stored.flags.aligned else self.stored

    def elements(self, elements: Elements) -> Raw:
        return self.codec.decode(self._original[span_of(elements)])

    def round(self, elements: Elements, numbers: Raw) -> Raw:
        return self.codec.nearest(numbers)

    def spread(self, value: object, name: str) -> Raw:
        numbers = host_array(value, name).astype(self.codec.working)
        whole: Raw = broadcast(np.broadcast_to, numbers, self.array.shape, name)
        return whole.reshape(-1)

    def any(self, mask: Raw) -> bool:
        return b"\1" in mask.tobytes()  # a quarter of the time of mask.any(), which is written in Python

    def all(self, mask: Raw) -> bool:
        return b"\0" not in mask.tobytes()

    def narrow(self, numbers: Raw) -> Raw:
        return numbers if numbers.dtype == self.codec.dtype else narrowed(numbers, self.codec.dtype)

    def assemble(self, blocks: Sequence[Raw], shape: Sequence[int]) -> Array:
        whole = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        return self.backend.from_host(np.ascontiguousarray(whole).reshape(tuple(shape)), self)

    def perturbed(self, points: Points) -> Array:
        keep_freed_memory(_LARGE)
        shape = self.array.shape if self.row is None else self.array.shape[1:]
        array = self.backend.points((len(points), *shape), self)
        self._write(self.backend.stored(array, self.codec).reshape(len(points), self.row or self.size), points)
        return self.backend.given(array, self)

    def is_perturbed(self, array: Array, points: Points) -> bool:
        if self.cells is None:
            return True
        stored = self.backend.stored(array, self.codec).reshape(len(points), self.row or self.size)
        rows = max(1, _COMPARED // max(1, self.point_bytes))  # not all at once, to save memory
        for start in range(0, len(points), rows):
            some = points[start : start + rows]
            expected = np.empty((len(some), stored.shape[1]), self.codec.storage)
            self._write(expected, some)
            if not same_bits(stored[start : start + rows], expected):
                return False
        return True

    def _write(self, stored: Raw, points: Points) -> None:
        """Write points to a table with a row for each of them."""
        if self.row is None:
            stored[...] = self._original
        else:
            stored[...] = self._original.reshape(-1, self.row)[points.each[:, 0] // self.row]
        flat = stored.reshape(-1)
        for where, raw in self.placed_by_slices(points):
            flat[where] = raw

    def raw(self, elements: Elements, part: int | None, numbers: Raw) -> Iterable[Any]:
        raw = self.rounded(elements, part, numbers)
        return raw.data if self.packed else raw  # both make the items one at a time

    def keys(self, elements: Elements) -> tuple[Any, Iterable[Any]]:
        if self.stored.ndim != 1:
            return self.cells, multi_indices(elements, self.stored.shape)
        if not isinstance(elements, range):
            return self.cells, elements.tolist()
        count = len(elements)
        keys = _KEYS[:count] if count <= len(_KEYS) else range(count)
        return self.cells[elements.start : elements.stop], keys

    def hold(self, held: Any) -> Any:
        return held.copy() if isinstance(held, np.generic) else held  # a void scalar is a view

    def write_all(self, part: int | None, numbers: Raw) -> Array:
        keep_freed_memory(8 * self.nbytes)
        raw = self.rounded(range(self.size), part, numbers).reshape(self.stored.shape)
        if self.cells is None:
            decoded = self.codec.decode(raw.reshape(-1))
            return self.backend.from_host(decoded.reshape(tuple(self.array.shape)), self)
        self.stored[...] = raw
        return self.array

    def holds(self, part: int | None, numbers: Raw) -> bool:
        return self.cells is None or same_bits(self.stored, self.rounded(range(self.size), part, numbers))

    def gathered(self, results: list[Any]) -> Raw:
        if results and isinstance(results[0], np.ndarray):
            return np.array(results)  # for few short arrays in a fifth of the time of np.stack
        dtype = self.codec.working
        if self.complex or self._returns_complex:
            dtype = np.result_type(dtype, *set(map(type, results)))
        return np.array(results, dtype)

    def read(self, value: Any) -> Any:
        if type(value) in self.plain:
            return value
        number = self.backend.number(value, self)
        self._returns_complex = self._returns_complex or isinstance(number, (complex, np.complexfloating))
        return number

    def read_arrays(self, values: Sequence[Any]) -> Raw:
        if len(values) == 1 and isinstance(values[0], float):
            return np.array(values, self.codec.working)
        return self.joined([self.backend.numbers(value, self).reshape(-1) for value in values], (0,))

    def numbers(self, value: Any) -> Raw:
        return self.backend.numbers(value, self)

    def joined(self, parts: Sequence[Raw], nothing: tuple[int, ...]) -> Raw:
        working = self.codec.working
        if len(parts) != 1:
            return np.concatenate([np.empty(nothing, working), *parts], axis=-1)
        [part] = parts
        return part.copy(order="K") if part.dtype == working else part.astype(np.result_type(working, part))

    def changed(self, elements: Sequence[int] = (), raw: Sequence[object] = ()) -> bool:
        if self.cells is None:
            return False
        if self.reattach():
            return True
        expected = self._original
        if len(elements):
            expected = expected.copy()
            for element, item in zip(elements, raw, strict=True):
                expected[element] = item
        return not same_bits(self.stored, expected)

    def reattach(self) -> bool:
        """Give ``array`` its memory and layout again; return whether f had given it others."""
        return False

    def restore(self) -> bool:
        changed = True
        try:
            changed = self.changed()
        except MemoryError:  # the comparison takes memory, and f may have used it up
            pass
        finally:
            if changed and self.cells is not None:
                self.stored[...] = self._original.reshape(self.stored.shape)
        return changed

    def rounded(self, elements: Elements, part: int | None, numbers: Raw) -> Raw:
        if part is None or not self.complex:
            return self.codec.encode(numbers)
        with np.errstate(invalid="ignore"):  # a signalling NaN
            own = self.elements(elements)
        return self.codec.encode(self.compose(*((numbers, own.imag) if part == 0 else (own.real, numbers))))


def same_bits(a: Raw, b: Raw) -> bool:
    if a.nbytes <= _SMALL:
        return a.tobytes() == b.tobytes()
    pattern = "u8" if a.dtype == np.float64 else a.dtype
    differing = a.view(pattern) != b.reshape(a.shape).view(pattern)
    return not np.count_nonzero(differing)  # unlike any(), this is not written in Python


@lru_cache(maxsize=16)
def keep_freed_memory(size: int) -> None:
    """Let the C library keep the memory of freed arrays up to so many bytes.

    glibc returns each larger array to the system until one as large as this has been freed, and getting it anew for
    every call takes longer than f. With other C libraries this does nothing.
    """
    np.empty(min(size, _MOST), dtype=np.uint8)
