"""Arrays that are immutable, lazy or traced: each perturbed array is a new one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, is_dask_array

from anygrad._typing import Array
from anygrad.backends.array_api import ArrayApiMemory, reshaped
from anygrad.backends.base import Backend, Points


class FunctionalMemory(ArrayApiMemory):
    """A `Memory` that writes nothing.

    Parameters
    ----------
    backend
        The library.
    array
        x, of which f is given copies.
    lazy
        Whether values cannot be looked at without forcing a lazy computation.
    rows
        Whether f is given one row at a time.
    """

    def __init__(self, backend: Backend, array: Array, *, lazy: bool, rows: bool = False) -> None:
        # A copy: f may assign to a lazy array, and JAX may be told to donate one.
        super().__init__(backend, array_namespace(array).asarray(array, copy=True), rows=rows)
        self.lazy = lazy
        self.block = max(1, self.size)  # a library that works lazily is best given everything at once
        self.original = reshaped(self.xp, array, (self.size,))

    def replaced(self, array: Array, element: int, raw: object) -> Array:
        if is_dask_array(array):  # as lazily, in one step
            array = array.copy()
            array[np.unravel_index(element, array.shape)] = raw
            return array
        return self.xp.where(_positions(array) == element, raw, array)

    def put(self, flat: Array, where: Any, numbers: Array) -> Array:
        if is_dask_array(flat):
            flat = flat.copy()
            flat[where] = numbers
            return flat
        positions = _positions(flat)
        for i in range(where.shape[0]):
            flat = self.xp.where(positions == where[i], numbers[i], flat)
        return flat

    def perturbed(self, points: Points) -> Array:
        xp, count, length = self.xp, len(points), self.row or self.size
        each = points.each if points.width else None
        originals = reshaped(xp, self.original, (self.size // length if length else 1, length))
        if self.row is not None and each is not None:
            originals = xp.take(originals, self.index_array(each[:, 0] // length), axis=0)
        flat = reshaped(xp, xp.broadcast_to(originals, (count, length)), (count * length,))
        if each is not None:
            places = np.arange(count)[:, None] * length + (each if self.row is None else each % length)
            numbers = self.rounded(each.reshape(-1), points.part, xp.reshape(points.numbers, (-1,)))
            flat = self.put(flat, self.index_array(places.reshape(-1)), numbers)
        shape = self.array.shape if self.row is None else self.array.shape[1:]
        return reshaped(xp, flat, (count, *shape))

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


def _positions(x: Array) -> Array:
    """Return the flat index of each element, in x's shape."""
    xp = array_namespace(x)
    return xp.reshape(xp.arange(math.prod(x.shape), device=device(x)), x.shape)
