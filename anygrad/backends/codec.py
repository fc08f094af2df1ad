"""The translation of elements, as they lie in the host's memory, to numbers and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Raw = NDArray[Any]

# The formats of bit patterns and of float64.
_PACKED = frozenset("dBHILQ")


@dataclass(frozen=True, eq=False)
class Codec:
    """The translation of elements, as they lie in memory, to numbers and back."""

    dtype: np.dtype[Any]  # NumPy's dtype of x, or of numbers that hold all of x's
    working: np.dtype[Any]  # the real dtype in which schemes compute
    storage: np.dtype[Any]  # the dtype by which elements are copied: a bit pattern, so that a NaN keeps its payload
    # Storage to numbers; numbers to storage, rounded to x's dtype.
    decode: Callable[[Raw], Raw]
    encode: Callable[[Raw], Raw]
    nearest: Callable[[Raw], Raw]
    # The spacing at 1 of x's dtype, and its smallest positive number.
    eps: float
    tiny: float

    @cached_property
    def packed(self) -> bool:
        """Whether stored elements can be written through a memoryview, in a third of the time of an ndarray's item."""
        return self.storage.isbuiltin == 1 and self.storage.isnative and self.storage.char in _PACKED


@cache
def numpy_codec(dtype: np.dtype[Any]) -> Codec:
    return codec_of(dtype, bit_pattern(dtype), np.finfo(real_dtype(dtype)))


def codec_of(dtype: np.dtype[Any], storage: np.dtype[Any], limits: Any) -> Codec:
    """Return the codec of a dtype that NumPy converts from and to; ``limits`` is its finfo."""
    real = real_dtype(dtype)
    working = np.result_type(dtype, np.float64)
    real_working = np.result_type(real, np.float64)

    def decode(raw: Raw) -> Raw:
        return cast(raw.view(dtype), working)

    def encode(numbers: Raw) -> Raw:
        return cast(numbers, dtype).view(storage)

    def nearest(numbers: Raw) -> Raw:
        return cast(numbers, real).astype(real_working, copy=False)

    # That of longdouble is 0 as a Python float.
    tiny = float(limits.smallest_subnormal) or math.ulp(0.0)
    eps = float(limits.eps)
    if working == dtype == storage:  # float64, where nothing is to be done
        return Codec(dtype, real_working, storage, np.asarray, np.asarray, np.asarray, eps, tiny)
    return Codec(dtype, real_working, storage, decode, encode, nearest, eps, tiny)


def real_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.empty(0, dtype).real.dtype


def bit_pattern(dtype: np.dtype[Any]) -> np.dtype[Any]:
    if dtype == np.float64 and dtype.isnative:
        return dtype
    return np.dtype(f"{'u' if dtype.itemsize <= 8 else 'V'}{dtype.itemsize}")


def cast(numbers: Raw, dtype: np.dtype[Any]) -> Raw:
    """Convert to another dtype. Overflow gives inf, as it does in the dtype's own arithmetic: no warning."""
    if numbers.dtype == dtype:
        return numbers
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return numbers.astype(dtype, copy=False)


def narrowed(values: Raw, dtype: np.dtype[Any]) -> Raw:
    """Convert numbers to a dtype, or to its real or complex counterpart. Booleans stay what they are."""
    if values.dtype == dtype or values.dtype.kind == "b":
        return values
    if values.dtype.kind == "c":
        return cast(values, np.result_type(dtype, np.complex64))
    return cast(values, real_dtype(dtype))
