"""dpnp: Intel's arrays on any SYCL device, a CPU among them."""

from __future__ import annotations

from typing import Any

import dpnp
import numpy as np
from numpy.typing import NDArray

from anygrad._typing import Array
from anygrad.backends.arrays import composed, extent, overlapping
from anygrad.backends.base import Backend
from anygrad.backends.device import DeviceMemory


class DpnpBackend(Backend):
    name = "dpnp"

    def is_array(self, x: object) -> bool:
        return isinstance(x, dpnp.ndarray)

    def memory(self, x: Array, *, in_place: bool, rows: bool = False) -> DeviceMemory:
        in_place = in_place and self.writable(x)
        array = x if in_place else dpnp.copy(x, order="K")
        cells = _Cells(array.reshape(-1) if array.flags.c_contiguous else array)
        return DpnpMemory(self, array, cells=cells, in_place=in_place, rows=rows)

    def writable(self, x: Array) -> bool:
        return bool(x.flags.writable) and not overlapping(x.shape, x.strides, x.itemsize)

    def host(self, x: Array) -> NDArray[Any]:
        return np.asarray(dpnp.asnumpy(x))

    def extent(self, x: Array) -> tuple[object, int, int]:
        return str(x.device), *extent(x.data.ptr, x.shape, x.strides, x.itemsize)


class DpnpMemory(DeviceMemory):
    def compose(self, real: Array, imag: Array) -> Array:
        return composed(self.xp, real, imag)


class _Cells:
    """An array, writing to which is waited for.

    What dpnp keeps of a write until that is done is let go of by threads that want Python's lock. They are few, and so
    are those that the next operation may wait for, with the lock: several pending writes, and both wait for ever.
    """

    def __init__(self, array: Array) -> None:
        self.ndim = array.ndim
        self._array = array
        self._wait = array.sycl_queue.wait

    def __getitem__(self, key: Any) -> Array:
        return self._array[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._array[key] = value
        self._wait()


BACKEND = DpnpBackend()
