"""Helpers in pure array API, shared by the memories of device arrays and of immutable arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, is_array_api_obj, is_dask_array
from numpy.typing import NDArray

from anygrad._typing import Array, Namespace
from anygrad.backends.base import Backend, Memory, span_of
from anygrad.backends.layout import Elements, Indices, broadcast
from anygrad.backends.values import (
    host_array,
    host_number,
    host_numbers,
    no_complex_counterpart,
    require_one_element,
    require_real,
    require_same_device,
)

# What keeps a device busy of whose memory nothing is known.
CHUNK_BYTES = 2**28


class ArrayApiMemory(Memory):
    """A `Memory` whose working arrays are of x's library, on x's device.

    Parameters
    ----------
    backend
        The library.
    array
        What f is given.
    data
        Another view of its memory, if ``array`` is not what can be computed with and written to.
    rows
        Whether f is given one row at a time.

    Attributes
    ----------
    data
        The array to compute with: ``array`` itself, unless there is another one.
    library
        The name by which messages know the library.
    original
        The elements as they were, an array of one dimension of x's dtype.
    """

    chunk_bytes = CHUNK_BYTES
    original: Array

    def __init__(self, backend: Backend, array: Array, *, data: Array = None, rows: bool = False) -> None:
        data = array if data is None else data
        xp = self.xp = array_namespace(data)
        self.backend = backend
        self.library = backend.name
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

    def own(self, value: object) -> bool:
        """Return whether what f returned is an array of x's library."""
        return self.backend.is_array(value)

    def detached(self, value: Any) -> Any:
        """Return the array (a value of f, or points) detached from any autograd graph."""
        return value

    def compose(self, real: Array, imag: Array) -> Array:
        return composed(real, imag)

    def put(self, flat: Array, where: Any, numbers: Array) -> Array:
        """Return an array of one dimension with numbers in some places: ``flat`` itself, if it can be written.

        The places are a slice, or an integer array as `index_array` makes it.
        """
        raise NotImplementedError

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

    def overlay(self, indices: Array, numbers: Array) -> Array:
        own, xp = self.elements(range(self.size)), self.xp
        if self.complex and xp.isdtype(numbers.dtype, "real floating"):
            own = xp.real(own)
        return self.put(xp.astype(own, numbers.dtype, copy=True), indices, numbers)

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
                whole = xp.astype(whole, self.data.dtype if is_complex else self._real)
        return reshaped(xp, whole, tuple(shape))

    # f's values

    def read(self, value: Any) -> Any:
        """Return a result of f as a 0-d array on x's device, or a Python number; raise if it is not one number."""
        xp, value = self.xp, self.detached(value)
        if not self.own(value):
            number = host_number(value, library=self.library, complex_allowed=self.complex)
            return complex(number) if isinstance(number, (complex, np.complexfloating)) else float(number)
        # Nearly always it is what is wanted, which is quickly seen.
        if value.dtype == self._working and not value.ndim and getattr(value, "device", None) == self.device:
            return value
        require_one_element(value.shape)
        require_same_device(device(value), self.device)
        if not xp.isdtype(value.dtype, "real floating"):
            if xp.isdtype(value.dtype, "complex floating"):
                require_real(value, complex_allowed=self.complex)
            else:
                value = xp.astype(value, self._working)
        return xp.reshape(value, ()) if value.ndim else value

    def read_arrays(self, values: Sequence[Any]) -> Array:
        parts = [reshaped(self.xp, part, (math.prod(part.shape),)) for part in map(self._numbers, values)]
        return self._joined(parts, (0,))

    def read_many(self, value: Any, count: int, *, vector: bool = False) -> Array:
        if not vector:
            return self.xp.asarray(reshaped(self.xp, self._numbers(value), (count,)), copy=True)
        parts = [self._numbers(part) for part in value]
        tables = [reshaped(self.xp, part, (count, math.prod(part.shape[1:]))) for part in parts]
        return self._joined(tables, (count, 0))

    def _numbers(self, value: Any) -> Array:
        """Return an array, a number or a list of numbers that f returned as a working array; raise if it is neither."""
        xp, value = self.xp, self.detached(value)
        if not self.own(value):
            numbers = host_numbers(value, library=self.library, complex_allowed=self.complex)
            dtype = complex_dtype(xp, self._working) if numbers.dtype.kind == "c" else self._working
            return reshaped(xp, xp.asarray(numbers.tolist(), dtype=dtype, device=self.device), numbers.shape)
        require_same_device(device(value), self.device)
        if not xp.isdtype(value.dtype, "complex floating"):
            return xp.astype(value, self._working, copy=False)
        require_real(value, complex_allowed=self.complex)
        return xp.astype(value, complex_dtype(xp, self._working), copy=False)

    def _joined(self, parts: Sequence[Array], nothing: tuple[int, ...]) -> Array:
        """Return a copy of arrays as one, along their last axis."""
        if not parts:
            return self.xp.empty(nothing, dtype=self._working, device=self.device)
        return self.xp.concat(list(parts), axis=-1) if len(parts) > 1 else self.xp.asarray(parts[0], copy=True)

    # What is written to x

    def taken(self, elements: Elements) -> Array:
        """Return the original elements in x's dtype: for a range a view, where the library has views."""
        chosen = span_of(elements)
        if isinstance(chosen, slice):
            return self.original[chosen]
        return self.xp.take(self.original, self.index_array(chosen), axis=0)

    def rounded(self, elements: Elements, part: int | None, numbers: Array) -> Array:
        """Return the elements, of which a part is set to working numbers, in x's dtype."""
        xp, dtype = self.xp, self.data.dtype if part is None else self._real
        with np.errstate(all="ignore"):  # of libraries that are built on NumPy
            numbers = xp.astype(numbers, dtype, copy=False)
            if part is None or not self.complex:
                return numbers
            own = self.taken(elements)
            return self.compose(numbers, xp.imag(own)) if part == 0 else self.compose(xp.real(own), numbers)

    def raw(self, elements: Elements, part: int | None, numbers: Array) -> Iterable[Any]:
        rounded = self.rounded(elements, part, numbers)
        return (rounded[i] for i in range(len(elements)))


def real_dtype(xp: Namespace, dtype: Any) -> Any:
    """Return the dtype of the real part."""
    return xp.real(xp.empty(0, dtype=dtype)).dtype if xp.isdtype(dtype, "complex floating") else dtype


def working_dtype(xp: Namespace, x: Array) -> Any:
    """Return the real dtype in which schemes compute: float64 if the device has it, or x's if that is wider."""
    real = real_dtype(xp, x.dtype)
    offered = xp.__array_namespace_info__().dtypes(device=device(x), kind="real floating")
    widest = offered.get("float64", xp.float32)
    return real if xp.finfo(real).eps < xp.finfo(widest).eps else widest


def complex_dtype(xp: Namespace, real: Any) -> Any:
    """Return the complex dtype that holds ``real``."""
    return xp.result_type(real, xp.complex64)


def composed(real: Array, imag: Array) -> Array:
    """Return real + i imag in pure array API. A non-finite imaginary part makes the real one NaN."""
    return real + imag * 1j


def composed_by_assignment(real: Array, imag: Array) -> Array:
    """Return real + i imag, exact everywhere, for libraries whose arrays let their parts be assigned."""
    xp = array_namespace(real)
    numbers = xp.empty_like(real, dtype=complex_dtype(xp, real.dtype))
    numbers.real = real
    numbers.imag = imag
    return numbers


def complex_copy(x: Array) -> Array:
    """Return a copy of a real array in the complex dtype of the same precision; raise if there is no such dtype."""
    xp = array_namespace(x)
    if not xp.isdtype(x.dtype, "real floating") or xp.finfo(x.dtype).bits < 32:
        raise no_complex_counterpart(x.dtype)
    return xp.astype(x, complex_dtype(xp, x.dtype))


def wide_copy(x: Array) -> Array:
    """Return a copy of an array in the dtype in which schemes compute, or its complex counterpart."""
    xp = array_namespace(x)
    wide = working_dtype(xp, x)
    return xp.astype(x, complex_dtype(xp, wide) if xp.isdtype(x.dtype, "complex floating") else wide)


def index_array(x: Array, elements: Iterable[int]) -> Array:
    """Return elements as an integer array on x's device."""
    if is_dask_array(x):  # which are known, so that Dask need not find out what is taken
        return np.asarray(elements, dtype=np.int64)
    xp = array_namespace(x)
    # JAX may have no int64.
    integer = xp.__array_namespace_info__().default_dtypes()["integral"]
    if isinstance(elements, range):
        return xp.arange(elements.start, elements.stop, elements.step, dtype=integer, device=device(x))
    return xp.asarray(np.ascontiguousarray(elements, dtype=np.int64), dtype=integer, device=device(x))


def reshaped(xp: Namespace, x: Array, shape: tuple[int, ...]) -> Array:
    """Reshape. Dask cannot do that to an empty array, of which there is nothing to keep."""
    return xp.reshape(x, shape) if math.prod(shape) else xp.zeros(shape, dtype=x.dtype, device=device(x))


def dense(values: Array, rows: Indices, columns: Indices, shape: tuple[int, int]) -> Array:
    """Return an array of two dimensions that holds values at these places, and 0 (False) elsewhere."""
    xp = array_namespace(values)
    place = np.full(shape[0] * shape[1], rows.size)
    place[rows * shape[1] + columns] = np.arange(rows.size)
    nothing = xp.zeros((1,), dtype=values.dtype, device=device(values))
    padded = xp.concat([values, nothing])
    return reshaped(xp, xp.take(padded, index_array(padded, place), axis=0), shape)
