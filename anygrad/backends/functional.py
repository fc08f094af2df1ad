"""Arrays computed with by their own library, where they are; among them those that are immutable, lazy or traced."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, is_array_api_obj, is_dask_array
from numpy.typing import NDArray

from anygrad._typing import Array
from anygrad.backends.arrays import (
    Elements,
    Indices,
    broadcast,
    complex_dtype,
    index_array,
    real_dtype,
    reshaped,
    working_dtype,
)
from anygrad.backends.base import Backend, Memory, Points, span_of
from anygrad.backends.returned import (
    host_array,
    host_number,
    host_numbers,
    require_one_element,
    require_same_device,
)

# So many bytes of points keep a device busy, where its memory is not known.
CHUNK_BYTES = 2**28


class ArrayApiMemory(Memory):
    """A `Memory` whose working arrays are of x's library, on x's device."""

    chunk_bytes = CHUNK_BYTES
    data: Array  # the array to compute with and to write to: ``array`` itself, or another view of its memory
    original: Array  # the elements as they were, an array of one dimension of x's dtype
    library: str  # the name by which messages know the library

    def __init__(self, backend: Backend, array: Array, *, data: Array = None, rows: bool = False) -> None:
        data = array if data is None else data
        xp = self.xp = array_namespace(data)
        self.backend = backend
        self.library = backend.library(array)
        self.array = array
        self.size = math.prod(data.shape)
        self.row = math.prod(data.shape[1:]) if rows else None
        self.complex = xp.isdtype(data.dtype, "complex floating")
        self.data = data
        self.device = device(data)
        self._real = real_dtype(xp, data.dtype)
        self._working = working_dtype(xp, data)
        limits = xp.finfo(self._real)
        self.eps = float(limits.eps)
        self.tiny = float(limits.smallest_normal) * self.eps
        self.nbytes = self.size * limits.bits // 8 * (2 if self.complex else 1)

    # What differs between libraries

    def detached(self, value: Any) -> Any:
        """Return an array, or another value of f, detached from any autograd graph."""
        return value

    def compose(self, real: Array, imag: Array) -> Array:
        return real + imag * 1j  # the standard has no other way; an infinite imaginary part makes the real one NaN

    # Numbers

    def elements(self, elements: Elements) -> Array:
        wide = complex_dtype(self.xp, self._working) if self.complex else self._working
        return self.xp.astype(self.taken(elements), wide, copy=False)

    def round(self, elements: Elements, numbers: Array) -> Array:
        return self.xp.astype(self.xp.astype(numbers, self._real, copy=False), self._working, copy=False)

    def spread(self, value: object, name: str) -> Array:
        xp, shape = self.xp, tuple(self.data.shape)
        numbers: Array = value
        if is_array_api_obj(value) and array_namespace(value) is xp:
            require_same_device(device(numbers), self.device)
            numbers = xp.astype(numbers, self._working)
        else:
            numbers = xp.asarray(host_array(value, name).tolist(), dtype=self._working, device=self.device)
        return reshaped(xp, broadcast(xp.broadcast_to, numbers, shape, name), (self.size,))

    def index_array(self, elements: Iterable[int]) -> Array:
        return index_array(self.data, elements)

    def indices(self, indices: Array) -> Indices:
        return np.asarray(self.backend.host(indices), dtype=np.intp)

    def to_host(self, numbers: Array) -> NDArray[Any]:
        return self.backend.host(numbers)

    def from_host(self, numbers: NDArray[Any]) -> Array:
        return self.xp.asarray(np.ascontiguousarray(numbers), device=self.device)

    def assemble(self, blocks: Sequence[Array], shape: Sequence[int]) -> Array:
        xp = self.xp
        whole = blocks[0] if len(blocks) == 1 else xp.concat(list(blocks))
        if not xp.isdtype(whole.dtype, "bool"):
            is_complex = xp.isdtype(whole.dtype, "complex floating")
            with np.errstate(all="ignore"):  # of libraries that are built on NumPy
                whole = xp.astype(whole, complex_dtype(xp, self._real) if is_complex else self._real)
        return reshaped(xp, whole, tuple(shape))

    # f's values

    def read(self, value: Any) -> Any:
        """Return a result of f as a 0-d array on x's device, or a Python number; raise if it is not one number."""
        xp, value = self.xp, self.detached(value)
        if not self.backend.is_like(value, self.array):
            number = host_number(value, library=self.library)
            return complex(number) if isinstance(number, (complex, np.complexfloating)) else float(number)
        # Nearly always it can be returned as it is: the quick test comes first.
        if value.dtype == self._working and not value.ndim and getattr(value, "device", None) == self.device:
            return value
        require_one_element(value.shape)
        require_same_device(device(value), self.device)
        if not xp.isdtype(value.dtype, ("real floating", "complex floating")):
            value = xp.astype(value, self._working)
        return xp.reshape(value, ()) if value.ndim else value

    def read_arrays(self, values: Sequence[Any]) -> Array:
        parts = [reshaped(self.xp, part, (math.prod(part.shape),)) for part in map(self.numbers, values)]
        return self.joined(parts, (0,))

    def numbers(self, value: Any) -> Array:
        xp, value = self.xp, self.detached(value)
        if not self.backend.is_like(value, self.array):
            numbers = host_numbers(value, library=self.library)
            dtype = complex_dtype(xp, self._working) if numbers.dtype.kind == "c" else self._working
            return reshaped(xp, xp.asarray(numbers.tolist(), dtype=dtype, device=self.device), numbers.shape)
        require_same_device(device(value), self.device)
        if not xp.isdtype(value.dtype, "complex floating"):
            return xp.astype(value, self._working, copy=False)
        return xp.astype(value, complex_dtype(xp, self._working), copy=False)

    def joined(self, parts: Sequence[Array], nothing: tuple[int, ...]) -> Array:
        if not parts:
            return self.xp.empty(nothing, dtype=self._working, device=self.device)
        return self.xp.concat(list(parts), axis=-1) if len(parts) > 1 else self.xp.asarray(parts[0], copy=True)

    # Numbers to be written to x

    def taken(self, elements: Elements) -> Array:
        """Return the original elements in x's dtype; those of a range are a view, if the library has views."""
        chosen = span_of(elements)
        if isinstance(chosen, slice):
            return self.original[chosen]
        return self.xp.take(self.original, self.index_array(chosen), axis=0)

    def rounded(self, elements: Elements, part: int | None, numbers: Array) -> Array:
        xp, dtype = self.xp, self.data.dtype if part is None else self._real
        with np.errstate(all="ignore"):  # of libraries that are built on NumPy
            numbers = xp.astype(numbers, dtype, copy=False)
            if part is None or not self.complex:
                return numbers
            own = self.taken(elements)
            return self.compose(numbers, xp.imag(own)) if part == 0 else self.compose(xp.real(own), numbers)

    def originals(self, points: Points) -> Array:
        """Return the original x, (1, size), or the row that each point belongs to, (k, size)."""
        if self.row is None:
            return self.original[None, :]
        rows = self.xp.reshape(self.original, (-1, self.row))
        return self.xp.take(rows, self.index_array(points.each[:, 0] // self.row), axis=0)

    @property
    def point_shape(self) -> tuple[int, ...]:
        return tuple(self.data.shape if self.row is None else self.data.shape[1:])

    def raw(self, elements: Elements, part: int | None, numbers: Array) -> Iterable[Any]:
        rounded = self.rounded(elements, part, numbers)
        return (rounded[i] for i in range(len(elements)))


class FunctionalMemory(ArrayApiMemory):
    """A `Memory` that writes nothing: each perturbed array is a new one."""

    def __init__(self, backend: Backend, array: Array, *, lazy: bool, rows: bool = False) -> None:
        # A copy: f may assign to a lazy array, or have JAX donate one.
        super().__init__(backend, array_namespace(array).asarray(array, copy=True), rows=rows)
        self.lazy = lazy
        self.block = max(1, self.size)  # lazy libraries do best with everything at once
        self.original = reshaped(self.xp, array, (self.size,))

    def replaced(self, array: Array, element: Any, raw: object) -> Array:
        if is_dask_array(array):  # as lazy as the rest, but in one step
            array = array.copy()
            array[np.unravel_index(element, array.shape)] = raw
            return array
        positions = self.xp.reshape(self.xp.arange(math.prod(array.shape), device=device(array)), array.shape)
        return self.xp.where(positions == element, raw, array)

    def put(self, flat: Array, where: Any, numbers: Array) -> Array:
        if is_dask_array(flat):
            flat = flat.copy()
            flat[where] = numbers
            return flat
        for i in range(where.shape[0]):
            flat = self.replaced(flat, where[i], numbers[i])
        return flat

    def perturbed(self, points: Points) -> Array:
        xp, count, length = self.xp, len(points), self.row or self.size
        flat = reshaped(xp, xp.broadcast_to(self.originals(points), (count, length)), (count * length,))
        if points.width:
            flat = self.put(flat, *self.placed(points))
        return reshaped(xp, flat, (count, *self.point_shape))

    def is_perturbed(self, array: Array, points: Points) -> bool:
        return True

    def write_all(self, part: int | None, numbers: Array) -> Array:
        return reshaped(self.xp, self.rounded(range(self.size), part, numbers), tuple(self.array.shape))

    def holds(self, part: int | None, numbers: Array) -> bool:
        return True

    def gathered(self, results: Sequence[Any]) -> Array:
        xp = self.xp
        if not results:
            return xp.empty((0,), dtype=self._working, device=self.device)
        values = xp.stack([value if hasattr(value, "dtype") else xp.asarray(value) for value in results])
        return xp.astype(values, xp.result_type(self._working, values.dtype), copy=False)
