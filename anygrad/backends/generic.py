"""Any other library, in nothing but the array API standard."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, is_array_api_obj, is_dask_array, is_lazy_array, is_writeable_array
from numpy.typing import NDArray

from anygrad._typing import Array
from anygrad.backends._base import Indices
from anygrad.backends._device import DeviceMemory
from anygrad.backends._functional import FunctionalMemory
from anygrad.backends._standard import complex_copy, dense, device_array_reader, device_reader, wide_copy
from anygrad.backends._vectoriser import Function

name = "generic"
cast_example = "xp.astype(x, xp.float64), with xp the namespace of x"
compiled_gradient = None
vectoriser = None
points_about = None


def is_array(x: object) -> bool:
    return bool(is_array_api_obj(x)) and not isinstance(x, numbers.Number)  # NumPy's scalars are taken for arrays


def floating(x: Array) -> bool:
    if not all(isinstance(length, int) for length in x.shape):
        raise ValueError(
            f"x has the shape {x.shape}, but a gradient needs to know how many elements there are: compute the"
            " lengths first (in Dask: x.compute_chunk_sizes())"
        )
    return bool(array_namespace(x).isdtype(x.dtype, ("real floating", "complex floating")))


def host(x: Array) -> NDArray[Any]:
    try:
        return np.asarray(x)
    except (RuntimeError, TypeError):  # on a device from which the standard knows no way but one element at a time
        xp = array_namespace(x)
        flat = xp.reshape(x, (-1,))
        kinds: dict[str, type] = {"bool": bool, "integral": int, "real floating": float, "complex floating": complex}
        item = next(item for kind, item in kinds.items() if xp.isdtype(x.dtype, kind))
        items = [item(flat[i]) for i in range(flat.shape[0])]
        return np.asarray(items, dtype=str(x.dtype).rpartition(".")[2]).reshape(x.shape)


def in_host_memory(x: Array) -> bool:
    return False


def shares_memory(x: Array, y: Array) -> bool:
    return x is y and math.prod(x.shape) > 0  # the standard does not let us look further


def complexified(x: Array) -> Array:
    return complex_copy(x)


def widened(x: Array) -> Array:
    return wide_copy(x)


def promoting(f: Function, x: Array) -> Function:
    return f


def context(x: Array) -> AbstractContextManager[object]:
    return nullcontext()


def arrival(x: Array) -> Callable[[], AbstractContextManager[object]]:
    return nullcontext


def forkable(x: Array) -> bool:
    return True


def pattern(x: Any) -> Any:
    return host(x) if is_array(x) else x


def sparse(values: Array, rows: Indices, columns: Indices, shape: tuple[int, int], like: Any) -> Any:
    return dense(values, rows, columns, shape)


def memory(x: Array, *, in_place: bool) -> DeviceMemory | FunctionalMemory:
    xp = array_namespace(x)
    own = type(x)
    library = own.__module__.partition(".")[0]
    read = device_reader(x, library, lambda value: isinstance(value, own))
    read_array = device_array_reader(x, library, lambda value: isinstance(value, own))
    if is_lazy_array(x) or not is_writeable_array(x):
        concrete = not is_lazy_array(x)
        return FunctionalMemory(x, read=read, read_array=read_array, replace=_replace, concrete=concrete)
    in_place = in_place and _accepts_writes(x)
    array = x if in_place else xp.asarray(x, copy=True)
    return DeviceMemory(array, array, cells=array, visible=in_place, read=read, read_array=read_array)


def _accepts_writes(x: Array) -> bool:
    """Return whether x's own memory can be written. A view of memory shared by its elements refuses, too."""
    if not math.prod(x.shape):
        return False
    first = (0,) * x.ndim
    try:
        x[first] = x[first]
    except (TypeError, ValueError):
        return False
    return True


def _replace(x: Array, element: Any, number: Any) -> Array:
    xp = array_namespace(x)
    if is_dask_array(x):  # as lazily, in one step
        x = x.copy()
        x[np.unravel_index(element, x.shape) if isinstance(element, int) else element] = number
        return x
    positions = xp.reshape(xp.arange(math.prod(x.shape), device=device(x)), x.shape)
    if isinstance(element, int):
        return xp.where(positions == element, number, x)
    for i in range(element.shape[0]):
        x = xp.where(positions == element[i], number[i], x)
    return x
