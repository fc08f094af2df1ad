"""CuPy: perturbed, gathered and combined on the device, in its context and on its current stream."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import cupy
import numpy as np
from numpy.typing import NDArray

from anygrad._typing import Array
from anygrad.backends.arrays import Indices, composed, extent, overlapping
from anygrad.backends.base import Backend
from anygrad.backends.device import DeviceMemory, chunk_bytes_of


class CupyBackend(Backend):
    name = "cupy"

    def is_array(self, x: object) -> bool:
        return isinstance(x, cupy.ndarray)

    def memory(self, x: Array, *, in_place: bool, rows: bool = False) -> DeviceMemory:
        in_place = in_place and self.writable(x)
        array = x if in_place else x.copy(order="K")
        return CupyMemory(
            self,
            array,
            cells=array.reshape(-1) if array.flags.c_contiguous else array,
            in_place=in_place,
            rows=rows,
            chunk_bytes=_chunk_bytes(x.device.id),
        )

    def writable(self, x: Array) -> bool:
        return not overlapping(x.shape, x.strides, x.itemsize)

    def host(self, x: Array) -> NDArray[Any]:
        return np.asarray(cupy.asnumpy(x))

    def extent(self, x: Array) -> tuple[object, int, int]:
        return x.device.id, *extent(x.data.ptr, x.shape, x.strides, x.itemsize)

    def context(self, x: Array) -> AbstractContextManager[object]:
        device: AbstractContextManager[object] = x.device
        return device

    def pattern(self, x: Any) -> Any:
        import cupyx.scipy.sparse  # noqa: PLC0415 - only here

        return x.get() if self.is_array(x) or cupyx.scipy.sparse.issparse(x) else x

    def sparse(self, values: Array, rows: Indices, columns: Indices, shape: tuple[int, int], like: Any) -> Any:
        import cupyx.scipy.sparse  # noqa: PLC0415 - only here

        entries = values.astype(cupy.float32) if values.dtype == cupy.float16 else values  # there is no smaller one
        starts = np.searchsorted(rows, np.arange(shape[0] + 1))
        return cupyx.scipy.sparse.csr_matrix((entries, cupy.asarray(columns), cupy.asarray(starts)), shape=shape)


class CupyMemory(DeviceMemory):
    def hold(self, held: Any) -> Any:
        return held.copy()

    def compose(self, real: Array, imag: Array) -> Array:
        return composed(self.xp, real, imag)


@cache
def _chunk_bytes(device: int) -> int:
    _, total = cupy.cuda.Device(device).mem_info
    return chunk_bytes_of(total)


BACKEND = CupyBackend()
