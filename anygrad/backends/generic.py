"""Any other library, through the array API standard alone."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_array_api_obj, is_lazy_array, is_writeable_array
from numpy.typing import NDArray

from anygrad._typing import Array
from anygrad.backends.base import Backend, Memory
from anygrad.backends.device import DeviceMemory
from anygrad.backends.functional import FunctionalMemory


class GenericBackend(Backend):
    name = "generic"
    cast_example = "xp.astype({x}, xp.float64) with xp = {x}.__array_namespace__()"

    def is_array(self, x: object) -> bool:
        return bool(is_array_api_obj(x)) and not isinstance(x, numbers.Number)  # NumPy's scalars count as arrays

    def is_like(self, value: object, x: Array) -> bool:
        return isinstance(value, type(x))

    def library(self, x: Array) -> str:
        return type(x).__module__.partition(".")[0]

    def floating(self, x: Array) -> bool:
        if not all(isinstance(length, int) for length in x.shape):
            raise ValueError(
                f"x has the shape {x.shape}, but the length of each axis must be known: compute the lengths first, in"
                " Dask with x.compute_chunk_sizes()"
            )
        return bool(array_namespace(x).isdtype(x.dtype, ("real floating", "complex floating")))

    def memory(self, x: Array, *, in_place: bool, rows: bool = False) -> Memory:
        if is_lazy_array(x) or not is_writeable_array(x):
            return FunctionalMemory(self, x, lazy=is_lazy_array(x), rows=rows)
        in_place = in_place and self.writable(x)
        array = x if in_place else array_namespace(x).asarray(x, copy=True)
        return DeviceMemory(self, array, in_place=in_place, rows=rows)

    def writable(self, x: Array) -> bool:
        """Return whether x's own memory can be written, by trying: a view whose elements share memory refuses, too."""
        if is_lazy_array(x) or not is_writeable_array(x) or not math.prod(x.shape):
            return False
        first = (0,) * x.ndim
        try:
            x[first] = x[first]
        except (TypeError, ValueError):
            return False
        return True

    def host(self, x: Array) -> NDArray[Any]:
        try:
            return np.asarray(x)
        except (RuntimeError, TypeError):  # x is on another device
            return np.from_dlpack(x, device="cpu", copy=True)

    def extent(self, x: Array) -> tuple[object, int, int] | None:
        # The standard does not show memory: an array is known to share some only with itself.
        return ("object", id(x), id(x) + 1) if math.prod(x.shape) else None

    def forkable(self, x: Array) -> bool:
        return True


BACKEND = GenericBackend()
