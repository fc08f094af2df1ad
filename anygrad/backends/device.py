"""Arrays on a device: perturbed, gathered and combined there, without a synchronisation per element."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anygrad._typing import Array, Namespace
from anygrad.backends.arrays import Elements, complex_dtype, multi_indices
from anygrad.backends.base import Backend, Memory, Points, span_of
from anygrad.backends.functional import CHUNK_BYTES, ArrayApiMemory

# A chunk is a share of the device's memory, between these bounds: larger ones save calls, but f may need many times
# as much.
_LEAST, _MOST, _SHARE = 2**26, 2**30, 128

# With more elements than this a device is faster, though each of a thousand operations takes 10 µs to begin.
HOST_ELEMENTS = 2**14


class DeviceMemory(ArrayApiMemory):
    """A `Memory` on a device whose arrays can be written.

    ``cells`` is ``data``, or a view of it in one dimension where there is one.
    """

    block = 65536
    # Whether f has written to an element that was set: a boolean on the device.
    _written_to: Array = False

    def __init__(
        self,
        backend: Backend,
        array: Array,
        *,
        data: Array = None,
        cells: Array = None,
        in_place: bool,
        rows: bool = False,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        super().__init__(backend, array, data=data, rows=rows)
        self.cells = self.data if cells is None else cells
        self.in_place = in_place
        self.chunk_bytes = chunk_bytes
        # Not a copy of data: that may keep its strides, and not every function of every library is right with those.
        self.original = self.xp.empty(self.size, dtype=self.data.dtype, device=self.device)
        self.original[...] = self.xp.reshape(self.data, (-1,))

    # What differs between libraries

    def hold(self, held: Any) -> Any:
        return self.xp.asarray(held, copy=True)  # a cell that is read may be a view

    def given(self, points: Array) -> Array:
        return points

    def reattach(self) -> bool:
        """Give ``array`` the memory of ``data`` again; return whether f had given it another."""
        return False

    def put(self, flat: Array, where: Any, numbers: Array) -> Array:
        try:
            flat[where] = numbers
        except IndexError:  # the standard does not ask for arrays of indices, though nearly all libraries have them
            for i in range(where.shape[0]):
                flat[int(where[i])] = numbers[i]
        return flat

    # Many points

    def perturbed(self, points: Points) -> Array:
        xp, count = self.xp, len(points)
        table = xp.empty((count, self.row or self.size), dtype=self.data.dtype, device=self.device)
        table[...] = self.originals(points)
        flat = xp.reshape(table, (-1,))  # a view
        for where, numbers in self.placed_by_slices(points):
            self.put(flat, where, numbers)
        return self.given(xp.reshape(table, (count, *self.point_shape)))

    def is_perturbed(self, array: Array, points: Points) -> bool:
        now, expected = self.detached(array), self.perturbed(points)
        with np.errstate(invalid="ignore"):  # of libraries that are built on NumPy
            if bool(all_of(self.xp, now == expected)):  # nearly always: there is no NaN
                return True
        return bool(all_of(self.xp, self._equal(now, expected)))

    # Visits

    def keys(self, elements: Elements) -> tuple[Any, Iterable[Any]]:
        if self.cells.ndim != 1:
            return self.cells, multi_indices(elements, self.data.shape)
        return self.cells, elements if isinstance(elements, range) else elements.tolist()

    def look(self, held: Array, written: Array) -> None:
        self._written_to = (held != written) | self._written_to

    def write_all(self, part: int | None, numbers: Array) -> Array:
        self.data[...] = self.xp.reshape(self.rounded(range(self.size), part, numbers), self.data.shape)
        return self.array

    def holds(self, part: int | None, numbers: Array) -> bool:
        expected = self.xp.reshape(self.rounded(range(self.size), part, numbers), self.data.shape)
        return bool(self.xp.all(self._equal(self.data, expected)))

    def results(self, count: int) -> DeviceResults:
        return DeviceResults(self.xp, count, self._working, self.device)

    def gathered(self, results: DeviceResults) -> Array:
        return results.gathered()

    # Putting x back

    def changed(self, elements: Sequence[int] = (), raw: Sequence[object] = ()) -> bool:
        if self.reattach():
            return True
        now = self.xp.reshape(self.data, (-1,))
        same = self._equal(now, self.original)
        for element, item in zip(map(int, elements), raw, strict=True):
            written = now[element : element + 1]
            same[element] = self.xp.all((written == item) | self.xp.isnan(written))
        if not self.xp.all(same):
            return True
        # A NaN differs from what it was set to as well, and an infinite part may make a complex number NaN.
        return bool(self._written_to) and bool(self.xp.all(self.xp.isfinite(self.original)))

    def restore(self) -> bool:
        changed = True
        try:
            changed = self.changed()
        except (MemoryError, RuntimeError):  # the comparison takes memory, and f may have used it up
            pass
        finally:  # even if nothing has changed: the comparison does not see signs of zeros
            self.data[...] = self.xp.reshape(self.original, self.data.shape)
        return changed

    def _equal(self, a: Array, b: Array) -> Array:
        with np.errstate(invalid="ignore"):  # of libraries that are built on NumPy
            return (a == b) | (self.xp.isnan(a) & self.xp.isnan(b))


class DeviceResults:
    """The values of f, in one buffer on the device. Each is copied as it comes: it may be a view of x."""

    def __init__(self, xp: Namespace, count: int, dtype: Any, on: object) -> None:
        self._xp, self._count, self._dtype, self._device = xp, count, dtype, on
        self._used = 0
        self._buffer: Array = None

    def __len__(self) -> int:
        return self._used

    def append(self, value: Any) -> None:
        if self._buffer is None or getattr(value, "dtype", None) != self._buffer.dtype:
            self._prepare(value)
        self._buffer[self._used, ...] = value
        self._used += 1

    def gathered(self) -> Array:
        if self._buffer is None:
            return self._xp.empty((0,), dtype=self._dtype, device=self._device)
        return self._buffer[: self._used, ...]

    def _prepare(self, value: Any) -> None:
        xp = self._xp
        is_complex = isinstance(value, complex) or (
            hasattr(value, "dtype") and xp.isdtype(value.dtype, "complex floating")
        )
        wide = complex_dtype(xp, self._dtype) if is_complex else self._dtype
        if self._buffer is None:
            shape = (self._count, *getattr(value, "shape", ()))
            self._buffer = xp.empty(shape, dtype=wide, device=self._device)
        elif wide not in (self._dtype, self._buffer.dtype):
            self._buffer = xp.astype(self._buffer, wide)


def computed_on_host(memory: Memory) -> Memory:
    """Return a memory of the same x with NumPy's working arrays, for schemes that look at values all the time.

    A memory that is better left on the device is returned as it is.
    """
    if memory.xp is np or memory.lazy or memory.size > HOST_ELEMENTS:
        return memory
    return HostedMemory(memory)


class HostedMemory(Memory):
    """A `Memory` on a device, computed with on the host.

    The arguments and values of f stay on the device until all values are gathered.
    """

    def __init__(self, memory: Memory) -> None:
        self.inner = memory
        self.backend = memory.backend
        self.array = memory.array
        self.size, self.row = memory.size, memory.row
        self.nbytes, self.chunk_bytes, self.block = memory.nbytes, memory.chunk_bytes, memory.block
        self.in_place, self.complex = memory.in_place, memory.complex
        self.eps, self.tiny = memory.eps, memory.tiny
        self._elements = memory.to_host(memory.elements(range(memory.size)))
        # Whether x's dtype holds all working numbers.
        self._fine = memory.eps <= float(np.finfo(self._elements.dtype).eps)
        # The last points that were copied to the device, here and there.
        self._taken: tuple[Points | None, Any] = (None, None)
        self.results, self.read, self.read_arrays = memory.results, memory.read, memory.read_arrays  # type: ignore[method-assign]
        self.changed, self.restore = memory.changed, memory.restore  # type: ignore[method-assign]

    @property
    def parts(self) -> list[tuple[Memory, slice]]:
        parts = self.inner.parts
        return [(self, parts[0][1])] if parts[0][0] is self.inner else [(HostedMemory(own), at) for own, at in parts]

    def elements(self, elements: Elements) -> NDArray[Any]:
        return self._elements[span_of(elements)]

    def round(self, elements: Elements, numbers: NDArray[Any]) -> NDArray[Any]:
        if self._fine:
            return numbers
        return self.inner.to_host(self.inner.round(elements, self.inner.from_host(numbers)))

    def spread(self, value: object, name: str) -> NDArray[Any]:
        return self.inner.to_host(self.inner.spread(value, name))

    def assemble(self, blocks: Sequence[NDArray[Any]], shape: Sequence[int]) -> Array:
        return self.inner.assemble([self.inner.from_host(block) for block in blocks], shape)

    def evaluate(self, f: Callable[[Any], Any], points: Points, *, vector: bool = False) -> NDArray[Any]:
        try:
            return self.inner.to_host(self.inner.evaluate(f, self.there(points), vector=vector))
        except BaseException:
            self.reached = self.inner.reached
            raise

    def perturbed(self, points: Points) -> Array:
        return self.inner.perturbed(self.there(points))

    def is_perturbed(self, array: Array, points: Points) -> bool:
        return self.inner.is_perturbed(array, self.there(points))

    def vectorised(self, f: Callable[[Any], Any]) -> Callable[[Points], Any] | None:
        many = self.inner.vectorised(f)
        return None if many is None else lambda points: many(self.there(points))

    def read_many(self, value: Any, count: int, *, vector: bool = False) -> NDArray[Any]:
        return self.inner.to_host(self.inner.read_many(value, count, vector=vector))

    def gathered(self, results: Any) -> NDArray[Any]:
        return self.inner.to_host(self.inner.gathered(results))

    def there(self, points: Points) -> Points:
        known, taken = self._taken
        if known is not points:
            numbers = self.inner.from_host(points.numbers) if points.width else points.numbers
            taken = Points(points.elements, numbers, points.part, points.repeat)
            self._taken = points, taken
        assert isinstance(taken, Points)
        return taken


def chunk_bytes_of(total: int) -> int:
    """Return how many bytes of points to give f on a GPU with ``total`` bytes of memory."""
    return min(max(total // _SHARE, _LEAST), _MOST)


def all_of(xp: Namespace, mask: Array) -> Array:
    """Return whether all are true. Row by row first: CuPy uses few threads to reduce to a single number."""
    return xp.all(xp.all(mask, axis=-1) if mask.ndim > 1 else mask)
