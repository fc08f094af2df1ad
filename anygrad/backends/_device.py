"""Arrays on a device: perturbed, gathered and combined there, without a synchronisation per element."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

from anygrad._typing import Array
from anygrad.backends._device_results import DeviceResults
from anygrad.backends._layout import multi_indices
from anygrad.backends._recorder import Recorder, Route
from anygrad.backends._stacks import CHUNK_BYTES, DeviceStack, many_read
from anygrad.backends._standard import (
    as_levels,
    complex_dtype,
    composed,
    flattened,
    index_array,
    index_list,
    real_dtype,
    scattered,
    spread,
    taken,
    with_part,
    working_dtype,
)
from anygrad.backends._vectoriser import Vectoriser


def _as_it_is(points: Array) -> Array:
    return points


class DeviceMemory:
    """A `Memory` on a device whose arrays can be written.

    Parameters
    ----------
    array
        What f is given.
    data
        The array to write: ``array`` itself, or another view of its memory.
    cells
        ``data``, or a one-dimensional view of it where there is one.
    visible
        Whether ``array`` is the caller's own.
    read, read_array
        Reads one result of f as a 0-d array or a Python number; an array of any shape as one of one dimension.
    compose
        Makes complex numbers of real and imaginary parts.
    reattach
        Gives ``array`` the memory of ``data`` again, and returns whether it had been given another.
    given
        Makes what f is given of a part of a buffer of many points.
    vectoriser
        As in `Memory`.
    recorder
        Makes a recorder of ``data``, its route and a buffer for values; None if the library has none.
    chunk_bytes
        As in `Memory`.
    """

    block = 65536
    concrete = True
    plain: frozenset[type] = frozenset()

    def __init__(
        self,
        array: Array,
        data: Array,
        *,
        cells: Array,
        visible: bool,
        read: Callable[[Any], Any],
        read_array: Callable[[Any], Any],
        compose: Callable[[Array, Array], Array] = composed,
        reattach: Callable[[], bool] = bool,
        given: Callable[[Array], Array] = _as_it_is,
        vectoriser: Vectoriser | None = None,
        recorder: Callable[[Any, Route, Any], Recorder] | None = None,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        xp = self.xp = array_namespace(data)
        self.array = array
        self.visible = visible
        self.cells: Array | None = cells
        self.read = read
        self._read_array = read_array
        self.size = math.prod(data.shape)
        self.complex = xp.isdtype(data.dtype, "complex floating")
        self._data = data
        self.compose = compose
        self._reattach = reattach
        self._given = given
        self.vectoriser = vectoriser
        self._recorder = recorder
        self.chunk_bytes = chunk_bytes
        self._real = real_dtype(xp, data.dtype)
        self._working = working_dtype(xp, data)
        # Not a copy of data: that may keep strides, with which not all functions of all libraries can be trusted.
        self._original = xp.empty(self.size, dtype=data.dtype, device=device(data))
        self._original[...] = xp.reshape(data, (-1,))
        limits = xp.finfo(self._real)
        self.eps = float(limits.eps)
        self.tiny = float(limits.smallest_normal) * self.eps
        self.nbytes = self.size * limits.bits // 8 * (2 if self.complex else 1)

    def window(self, elements: Sequence[int]) -> tuple[Array | None, Iterable[object]]:
        if self.cells is not None and self.cells.ndim == 1:
            return self.cells, elements
        return self.cells, multi_indices(elements, self._data.shape)

    def elements(self, elements: Sequence[int]) -> Array:
        dtype = complex_dtype(self.xp, self._working) if self.complex else self._working
        return self.xp.astype(taken(self._original, elements), dtype, copy=False)

    def raw(self, elements: Sequence[int], part: int | None, levels: Array | None) -> Iterable[object]:
        numbers = taken(self._original, elements) if levels is None else self._rounded(elements, part, levels)
        return (numbers[i] for i in range(len(elements)))

    def stack(self, rows: int, length: int | None = None) -> DeviceStack:
        samples = 1 if length is None else self._data.shape[0]
        shape = self._data.shape if length is None else self._data.shape[1:]
        return DeviceStack(self._original, rows, tuple(shape), samples, rounded=self._rounded, given=self._given)

    def fused(self, f: Callable[[Any], Any], rows: int) -> None:
        return None

    def whole(self, part: int | None, levels: Array) -> Array:
        numbers = self._rounded(range(self.size), part, levels)
        self._data[...] = self.xp.reshape(numbers, self._data.shape)
        return self.array

    def replaced(self, array: Array, element: int, raw: object) -> Array:
        raise NotImplementedError("arrays of this library are written in place")

    def holds(self, part: int | None, levels: Array) -> bool:
        return self._equal(self.xp.reshape(self._rounded(range(self.size), part, levels), self._data.shape))

    def nearest(self, elements: Sequence[int], levels: Array) -> Array:
        return self.xp.astype(self.xp.astype(levels, self._real, copy=False), self._working, copy=False)

    def spread(self, value: Array, name: str) -> Array:
        return spread(value, name, self._data)

    def overlay(self, indices: Array, levels: Array) -> Array:
        return scattered(as_levels(self.elements(range(self.size)), levels), indices, levels)

    def index_array(self, elements: Sequence[int]) -> Array:
        return index_array(self._data, elements)

    def indices(self, indices: Array) -> list[int]:
        return index_list(indices)

    def any(self, mask: Array) -> bool:
        return bool(self.xp.any(mask))

    def all(self, mask: Array) -> bool:
        return bool(self.xp.all(mask))

    def read_all(self, values: Sequence[object]) -> Array:
        return flattened([self._read_array(value) for value in values], self.xp, self._working, device(self._data))

    def read_many(self, values: Sequence[object], count: int) -> Array:
        parts = [self._read_array(value) for value in values]
        return many_read(parts, count, self.xp, self._working, device(self._data))

    def results(self, count: int) -> DeviceResults:
        return DeviceResults(self.xp, count, self._working, device(self._data))

    def recorder(
        self, elements: Sequence[int], part: int | None, levels: Sequence[Array], results: Any
    ) -> Recorder | None:
        if self._recorder is None:
            return None
        numbers = [self._rounded(elements, part, level) for level in levels]
        route = Route.through(index_array(self._data, elements), numbers, taken(self._original, elements))
        return self._recorder(self._data, route, results.like(len(elements) * len(levels)))

    def gathered(self, results: Any, columns: int) -> Sequence[Array]:
        gathered: Sequence[Array] = results.columns(columns)
        return gathered

    def narrow(self, values: Array) -> Array:
        if self.xp.isdtype(values.dtype, "bool"):
            return values
        is_complex = self.xp.isdtype(values.dtype, "complex floating")
        return self.xp.astype(values, self._data.dtype if is_complex else self._real)

    def join(self, blocks: Sequence[Array], shape: Sequence[int]) -> Array:
        return self.xp.reshape(blocks[0] if len(blocks) == 1 else self.xp.concat(list(blocks)), tuple(shape))

    def changed(self, elements: Sequence[int] = (), raw: Sequence[object] = ()) -> bool:
        if self._reattach():
            return True
        now = self.xp.reshape(self._data, (-1,))
        with np.errstate(invalid="ignore"):  # of libraries that are built on NumPy
            same = (now == self._original) | (self.xp.isnan(now) & self.xp.isnan(self._original))
            for element, item in zip(elements, raw, strict=True):
                written = now[element : element + 1]
                same[element] = self.xp.all((written == item) | self.xp.isnan(written))
        return not self.xp.all(same)

    def restore(self) -> bool:
        try:
            return self.changed()  # this takes memory, which f may have run out of
        finally:  # also if not: signs of zeros do not show in that
            self._data[...] = self.xp.reshape(self._original, self._data.shape)

    def _rounded(self, elements: Sequence[int], part: int | None, levels: Array) -> Array:
        if part is None:
            return self.xp.astype(levels, self._data.dtype, copy=False)
        levels = self.xp.astype(levels, self._real, copy=False)
        if not self.complex:
            return levels
        return with_part(taken(self._original, elements), part, levels, self.compose)

    def _equal(self, numbers: Array) -> bool:
        with np.errstate(invalid="ignore"):  # of libraries that are built on NumPy
            return bool(self.xp.all((self._data == numbers) | (self.xp.isnan(self._data) & self.xp.isnan(numbers))))
