"""dpnp: Intel's arrays on any SYCL device, a CPU among them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import dpnp
import numpy as np
from numpy.typing import NDArray

from anygrad._typing import Array
from anygrad.backends._base import Indices
from anygrad.backends._device import DeviceMemory
from anygrad.backends._device_points import DevicePoints, device_points
from anygrad.backends._layout import extent, meeting, overlapping
from anygrad.backends._stacks import CHUNK_BYTES
from anygrad.backends._standard import (
    complex_copy,
    composed_by_assignment,
    dense,
    device_array_reader,
    device_reader,
    wide_copy,
)
from anygrad.backends._vectoriser import Function, Rule

name = "dpnp"
cast_example = "x.astype(float)"
compiled_gradient = None
vectoriser = None


def is_array(x: object) -> bool:
    return isinstance(x, dpnp.ndarray)


def floating(x: Array) -> bool:
    return bool(x.dtype.kind in "fc")


def host(x: Array) -> NDArray[Any]:
    return np.asarray(dpnp.asnumpy(x))


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
    return nullcontext()  # an array carries its queue; there is no current device


def arrival(x: Array) -> Callable[[], AbstractContextManager[object]]:
    return nullcontext


def forkable(x: Array) -> bool:
    return False


def pattern(x: Any) -> Any:
    return host(x) if is_array(x) else x


def sparse(values: Array, rows: Indices, columns: Indices, shape: tuple[int, int], like: Any) -> Any:
    return dense(values, rows, columns, shape)


def memory(x: Array, *, in_place: bool) -> DeviceMemory:
    in_place = in_place and x.flags.writable and not overlapping(x.shape, x.strides, x.itemsize)
    array = x if in_place else dpnp.copy(x, order="K")
    return DeviceMemory(
        array,
        array,
        cells=_Cells(array.reshape(-1) if array.flags.c_contiguous else array),
        visible=in_place,
        read=device_reader(x, name, is_array),
        read_array=device_array_reader(x, name, is_array),
        compose=composed_by_assignment,
    )


def points_about(x: Array, rule: Rule, step: float, *, most: float, max_bytes: int | None) -> DevicePoints | None:
    if x.dtype != np.float64:
        return None
    limit = max_bytes or CHUNK_BYTES
    return device_points(x, rule, step, host=host, most=most, limit=limit)


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


def _extent(x: Array) -> tuple[int, int]:
    return extent(x.data.ptr, x.shape, x.strides, x.itemsize)
