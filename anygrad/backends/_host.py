"""Arrays whose numbers lie in the host's memory: perturbed through its buffers, computed with in NumPy."""

from __future__ import annotations

from array import array as packed_array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anygrad._typing import Array
from anygrad.backends._layout import multi_indices

Raw = NDArray[Any]

# Bit patterns and float64 are written through memoryviews, which cost a third of an ndarray's item assignment.
_PACKABLE = frozenset("dBHILQ")
_PLAIN_REAL = frozenset({float, np.float64, np.float32, np.float16, np.longdouble})
_PLAIN_COMPLEX = frozenset({complex, np.complex128, np.complex64, np.clongdouble})


@dataclass(frozen=True)
class Codec:
    """How elements as they lie in memory translate to numbers and back.

    Attributes
    ----------
    dtype
        NumPy's dtype of x, or of numbers that hold all of x's.
    storage
        The dtype by which elements are copied: a bit pattern, so that a NaN keeps its payload.
    decode, encode
        Storage to numbers; numbers to storage, rounded to x's dtype.
    eps, tiny
        Spacing at 1 of x's dtype, and its smallest positive number.
    """

    dtype: np.dtype[Any]
    storage: np.dtype[Any]
    decode: Callable[[Raw], Raw]
    encode: Callable[[Raw], Raw]
    nearest: Callable[[Raw], Raw]
    eps: float
    tiny: float

    @property
    def working(self) -> np.dtype[Any]:
        """The real dtype in which schemes compute."""
        return np.result_type(real_dtype(self.dtype), np.float64)


@cache
def numpy_codec(dtype: np.dtype[Any]) -> Codec:
    """Return the codec of a dtype that NumPy knows."""
    real = real_dtype(dtype)
    working = np.result_type(dtype, np.float64)
    real_working = np.result_type(real, np.float64)
    storage = bit_pattern(dtype)
    limits = np.finfo(real)

    def decode(raw: Raw) -> Raw:
        return raw.view(dtype).astype(working, copy=False)

    def encode(numbers: Raw) -> Raw:
        return cast(numbers, dtype).view(storage)

    def nearest(numbers: Raw) -> Raw:
        return cast(numbers, real).astype(real_working, copy=False)

    return Codec(dtype, storage, decode, encode, nearest, float(limits.eps), float(limits.smallest_subnormal))


def real_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of the real part."""
    return np.empty(0, dtype).real.dtype


def bit_pattern(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype by which elements are copied."""
    if dtype == np.float64 and dtype.isnative:
        return dtype
    return np.dtype(f"{'u' if dtype.itemsize <= 8 else 'V'}{dtype.itemsize}")


def cast(numbers: Raw, dtype: np.dtype[Any]) -> Raw:
    """Round to a narrower dtype. Overflow gives inf, as it does in the dtype's own arithmetic: no warning."""
    if numbers.dtype == dtype:
        return numbers
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return numbers.astype(dtype, copy=False)


def composed(real: Raw, imag: Raw) -> Raw:
    """Return real + i imag; unlike the sum, exact where a part is not finite."""
    numbers = np.empty(real.shape, dtype=np.result_type(real, imag, np.complex64))
    numbers.real = real
    numbers.imag = imag
    return numbers


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
    read
        Reads one result of f as a Python or NumPy scalar.
    narrow, join
        As in `Memory`.
    replace
        ``replace(array, element, number)`` returns a new array with one element replaced.
    reattach
        Gives ``array`` the memory ``stored`` again, and returns whether it had been given another.
    """

    xp = np
    block = 2048
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
        narrow: Callable[[Raw], Array],
        join: Callable[[Sequence[Array]], Array],
        replace: Callable[[Array, int, object], Array] | None = None,
        reattach: Callable[[], bool] = bool,
    ) -> None:
        self.array = array
        self.visible = visible
        self.read = read
        self.narrow = narrow
        self.join = join
        self.codec = codec
        self.eps = codec.eps
        self.tiny = codec.tiny
        self.complex = codec.dtype.kind == "c"
        self.plain = _PLAIN_COMPLEX | _PLAIN_REAL if self.complex else _PLAIN_REAL
        self.nearest = codec.nearest
        self._stored = stored.reshape(-1) if stored.flags.c_contiguous else stored
        self._original: Raw = self._stored.flatten() if writable else stored.reshape(-1)
        self._replace = replace
        self._reattach = reattach
        self.cells: Array | None = None
        if writable:
            packable = _packable(codec.storage) and self._stored.flags.aligned
            self.cells = self._stored.data if packable else self._stored

    def keys(self, elements: range) -> Iterable[object]:
        if self._stored.ndim == 1:
            return elements
        return multi_indices(elements, self._stored.shape)

    def elements(self, elements: range) -> Raw:
        return self.codec.decode(self._original[elements.start : elements.stop])

    def raw(self, elements: range, part: int, levels: Raw | None) -> Iterable[object]:
        if levels is None:
            return _items(self._original[elements.start : elements.stop])
        if not self.complex:
            return _items(self.codec.encode(levels))
        numbers = self.elements(elements)
        parts = (levels, numbers.imag) if part == 0 else (numbers.real, levels)
        return _items(self.codec.encode(composed(*parts)))

    def replaced(self, array: Array, element: int, raw: object) -> Array:
        assert self._replace is not None
        return self._replace(array, element, raw)

    def results(self, count: int) -> list[Any]:
        return []

    def gathered(self, results: Any, columns: int) -> Sequence[Raw]:
        if self.complex:
            values = np.asarray(results, dtype=np.result_type(self.codec.working, *set(map(type, results))))
        else:
            values = np.fromiter(results, dtype=self.codec.working, count=len(results))
        return list(values.reshape(-1, columns).T)

    def compose(self, real: Raw, imag: Raw) -> Raw:
        return composed(real, imag)

    def changed(self, element: int | None = None, raw: object = None) -> bool:
        if self.cells is None:
            return False
        if self._reattach():
            return True
        expected = self._original.reshape(self._stored.shape)
        if element is None:
            return not _same_bits(self._stored, expected)
        original = self._original[element]
        try:
            self._original[element] = raw
            return not _same_bits(self._stored, expected)
        finally:
            self._original[element] = original

    def restore(self) -> None:
        self._reattach()
        if self.cells is not None:
            self._stored[...] = self._original.reshape(self._stored.shape)


def _packable(dtype: np.dtype[Any]) -> bool:
    return dtype.isbuiltin == 1 and dtype.isnative and dtype.char in _PACKABLE


def _items(raw: Raw) -> Iterable[object]:
    """Iterate over elements as objects that ``cells`` takes, made one at a time where possible."""
    if not _packable(raw.dtype):
        return iter(raw)
    packed = packed_array(raw.dtype.char)
    packed.frombytes(raw.tobytes())
    return packed


def _same_bits(a: Raw, b: Raw) -> bool:
    pattern = "u8" if a.dtype == np.float64 else a.dtype
    return not (a.view(pattern) != b.view(pattern)).any()
