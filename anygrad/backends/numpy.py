"""NumPy."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anygrad.backends.arrays import Indices, extent, overlapping
from anygrad.backends.codec import Raw, narrowed, numpy_codec
from anygrad.backends.host import HostBackend, HostMemory
from anygrad.backends.returned import (
    host_number,
    require_numbers,
    require_one_element,
)

# Points and f's temporary arrays stay in the cache.
_CHUNK_BYTES = 256 * 2**10


class NumpyBackend(HostBackend):
    name = "numpy"

    def is_array(self, x: object) -> bool:
        return isinstance(x, np.ndarray)

    def floating(self, x: NDArray[Any]) -> bool:
        if type(x) is not np.ndarray:
            _require_plain_numbers(x)
        return x.dtype.kind in "fc"

    def memory(self, x: NDArray[Any], *, in_place: bool, rows: bool = False) -> HostMemory:
        in_place = in_place and self.writable(x)
        array = x if in_place else x.copy(order="K")
        return NumpyMemory(self, array, in_place=in_place, rows=rows)

    def writable(self, x: NDArray[Any]) -> bool:
        flags = x.flags
        return flags.writeable and (flags.forc or not overlapping(x.shape, x.strides, x.itemsize))

    def host(self, x: NDArray[Any]) -> NDArray[Any]:
        return x

    def on_host(self, x: NDArray[Any]) -> bool:
        return True

    def extent(self, x: NDArray[Any]) -> tuple[object, int, int]:
        return "cpu", *extent(x.ctypes.data, x.shape, x.strides, x.itemsize)

    def interleaved(self, x: NDArray[Any], y: NDArray[Any]) -> bool:
        return not np.shares_memory(x, y)

    def forkable(self, x: NDArray[Any]) -> bool:
        return True

    def sparse(self, values: NDArray[Any], rows: Indices, columns: Indices, shape: tuple[int, int], like: Any) -> Any:
        import scipy.sparse  # noqa: PLC0415 - an extra

        kind = scipy.sparse.coo_matrix if scipy.sparse.isspmatrix(like) else scipy.sparse.coo_array
        entries = values.astype(np.float32) if values.dtype == np.float16 else values  # SciPy has no smaller one
        return kind((entries, (rows, columns)), shape=shape).asformat("csr" if like is None else like.format)

    def number(self, value: Any, memory: HostMemory) -> Any:
        if isinstance(value, np.ndarray):
            require_one_element(value.shape)
            value = _unmasked(value).reshape(())[()]
        return host_number(value, library=self.name)

    def numbers(self, value: Any, memory: HostMemory) -> Raw:
        if type(value) is np.ndarray and value.dtype == memory.codec.working:  # as nearly always
            return value
        return super().numbers(value, memory)

    def require_known(self, value: NDArray[Any], memory: HostMemory) -> None:
        require_numbers(value)

    def read(self, value: NDArray[Any]) -> Raw:
        return _unmasked(value)

    def from_host(self, numbers: Raw, memory: HostMemory) -> NDArray[Any]:
        dtype = memory.array.dtype
        result = numbers if numbers.dtype == dtype else narrowed(numbers, dtype)
        if memory.stored.ndim == 1 or result.shape != memory.array.shape:
            return result
        array = np.empty_like(memory.array, result.dtype, subok=False)  # in the layout of x, as zeros_like(x) has it
        array[...] = result
        return array


class NumpyMemory(HostMemory):
    """A `HostMemory` that gives an array its shape, strides and dtype again, should f have assigned to them."""

    def __init__(self, backend: NumpyBackend, array: NDArray[Any], *, in_place: bool, rows: bool) -> None:
        self._layout = array.shape, array.strides, array.dtype
        codec = numpy_codec(array.dtype)
        # np.asarray: subclasses may redefine indexing (np.matrix) or hide elements (np.ma).
        stored = np.asarray(array)
        if codec.storage is not stored.dtype:
            stored = stored.view(codec.storage)
        super().__init__(backend, array, stored, codec, in_place=in_place, chunk_bytes=_CHUNK_BYTES, rows=rows)

    def reattach(self) -> bool:
        array, (shape, strides, dtype) = self.array, self._layout
        if array.shape == shape and array.strides == strides and array.dtype is dtype:
            return False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy deprecates these assignments
            array.dtype = dtype
            array.shape = shape
            array.strides = strides
        return True


def _require_plain_numbers(x: Any) -> None:
    """Raise for arrays of derived classes that carry more than numbers."""
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        raise TypeError(
            "x is a masked array with masked elements, which have no values: pass x.filled(0.0), or pass"
            " x.compressed() and let f put the elements back in place"
        )
    _require_no_unit(x, "x has", "pass x.{}, and let f attach the unit to its argument")


def _require_no_unit(values: Any, subject: str, advice: str) -> None:
    for unit, numbers in (("unit", "value"), ("units", "magnitude")):
        if hasattr(values, unit) and hasattr(values, numbers):
            raise TypeError(
                f"{subject} the unit {getattr(values, unit)}, but plain numbers were expected: {advice.format(numbers)}"
            )


def _unmasked(values: NDArray[Any]) -> NDArray[Any]:
    """Return an array of any class as a plain one, with NaN for masked elements."""
    if type(values) is not np.ndarray:
        _require_no_unit(values, "f returned an array with", "return its .{}, in the same unit at all points")
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        floating: Any = values.astype(np.result_type(values.dtype, np.float16))
        return np.asarray(floating.filled(np.nan))
    return np.asarray(values)


BACKEND = NumpyBackend()
