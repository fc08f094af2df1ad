"""CuPy: perturbed, gathered and combined on the device, in its context and on its current stream."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import cupy
import numpy as np
from numpy.typing import NDArray

from anygrad._typing import Array
from anygrad.backends._base import Indices
from anygrad.backends._cupy_kernels import CupyKernels
from anygrad.backends._cupy_recorder import CupyRecorder
from anygrad.backends._device import DeviceMemory
from anygrad.backends._device_points import DevicePoints, device_points
from anygrad.backends._layout import extent, meeting, overlapping
from anygrad.backends._stacks import chunk_bytes_of
from anygrad.backends._standard import (
    complex_copy,
    composed_by_assignment,
    device_array_reader,
    device_reader,
    wide_copy,
)
from anygrad.backends._vectoriser import Function, Rule

name = "cupy"
cast_example = "x.astype(float)"
compiled_gradient = None
vectoriser = None


def is_array(x: object) -> bool:
    return isinstance(x, cupy.ndarray)


def floating(x: Array) -> bool:
    return bool(x.dtype.kind in "fc")


def host(x: Array) -> NDArray[Any]:
    return np.asarray(cupy.asnumpy(x))


def in_host_memory(x: Array) -> bool:
    return False


def shares_memory(x: Array, y: Array) -> bool:
    return meeting(_extent(x), _extent(y))


def complexified(x: Array) -> Array:
    return complex_copy(x)


def widened(x: Array) -> Array:
    return wide_copy(x)


def promoting(f: Function, x: Array) -> Function:
    return f


def context(x: Array) -> AbstractContextManager[object]:
    device: AbstractContextManager[object] = x.device
    return device


def arrival(x: Array) -> Callable[[], AbstractContextManager[object]]:
    return nullcontext


def forkable(x: Array) -> bool:
    return False


def pattern(x: Any) -> Any:
    import cupyx.scipy.sparse  # noqa: PLC0415 - only here

    return x.get() if is_array(x) or cupyx.scipy.sparse.issparse(x) else x


def sparse(values: Array, rows: Indices, columns: Indices, shape: tuple[int, int], like: Any) -> Any:
    import cupyx.scipy.sparse  # noqa: PLC0415 - only here

    entries = values.astype(cupy.float32) if values.dtype == cupy.float16 else values  # there is no smaller one
    starts = np.searchsorted(rows, np.arange(shape[0] + 1))
    return cupyx.scipy.sparse.csr_matrix((entries, cupy.asarray(columns), cupy.asarray(starts)), shape=shape)


def memory(x: Array, *, in_place: bool) -> DeviceMemory:
    in_place = in_place and not overlapping(x.shape, x.strides, x.itemsize)
    array = x if in_place else x.copy(order="K")
    return DeviceMemory(
        array,
        array,
        cells=array.reshape(-1) if array.flags.c_contiguous else array,
        visible=in_place,
        read=device_reader(x, name, is_array),
        read_array=device_array_reader(x, name, is_array),
        compose=composed_by_assignment,
        recorder=CupyRecorder,
        chunk_bytes=_chunk_bytes(x.device.id),
    )


def points_about(x: Array, rule: Rule, step: float, *, most: float, max_bytes: int | None) -> DevicePoints | None:
    if x.dtype != np.float64:
        return None
    limit = max_bytes or _chunk_bytes(x.device.id)
    return device_points(x, rule, step, host=host, most=most, limit=limit, kernels=CupyKernels())


@cache
def _chunk_bytes(device: int) -> int:
    _, total = cupy.cuda.Device(device).mem_info
    return chunk_bytes_of(total)


def _extent(x: Array) -> tuple[int, int]:
    return extent(x.data.ptr, x.shape, x.strides, x.itemsize)
