"""The values of f on a device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anygrad._typing import Array, Namespace
from anygrad.backends._scalar import neither_real_nor_holomorphic
from anygrad.backends._standard import complex_dtype


class DeviceResults:
    """The values of f, each written into one buffer on the device as it comes."""

    def __init__(self, xp: Namespace, count: int, dtype: Any, on: object) -> None:
        self._xp, self._count, self._dtype, self._device = xp, count, dtype, on
        self._used = 0
        self._buffer: Array = None
        self._holds_complex = False

    def append(self, value: Array) -> None:
        """Write one value behind the others."""
        if self._buffer is None or getattr(value, "dtype", None) != self._buffer.dtype:
            self._prepare(value)
        self._buffer[self._used, ...] = value
        self._used += 1

    def like(self, count: int) -> Array:
        """Return an empty buffer for so many values like those that there are."""
        return self._xp.empty((count, *self._buffer.shape[1:]), dtype=self._buffer.dtype, device=self._device)

    def extend(self, values: Array) -> None:
        """Write values of such a buffer behind the others."""
        stop = self._used + values.shape[0]
        self._buffer[self._used : stop, ...] = values
        self._used = stop

    def columns(self, count: int) -> Sequence[Array]:
        """Return every ``count``-th value, ``count`` times."""
        return [self._buffer[start::count, ...] for start in range(count)]

    def _prepare(self, value: Array) -> None:
        """Make a buffer for values like the first one; raise if a later one does not fit."""
        is_complex = self._is_complex(value)
        if self._buffer is None:
            dtype = complex_dtype(self._xp, self._dtype) if is_complex else self._dtype
            shape = (self._count, *getattr(value, "shape", ()))
            self._buffer = self._xp.empty(shape, dtype=dtype, device=self._device)
            self._holds_complex = is_complex
        if is_complex and not self._holds_complex:
            raise neither_real_nor_holomorphic()

    def _is_complex(self, value: Array) -> bool:
        if isinstance(value, (float, complex)):
            return isinstance(value, complex)
        return bool(self._xp.isdtype(value.dtype, "complex floating"))
