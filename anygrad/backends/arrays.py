"""Arrays of any library: where their elements lie, and helpers in pure array API."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
from array_api_compat import array_namespace, device, is_dask_array
from numpy.typing import NDArray

from anygrad._typing import Array, Namespace
from anygrad.backends.returned import no_complex_counterpart

Indices: TypeAlias = NDArray[np.intp]
# Flat indices in C order: a range where they follow each other, which costs no memory.
Elements: TypeAlias = range | Indices


def extent(start: int, shape: Sequence[int], strides: Sequence[int], itemsize: int) -> tuple[int, int]:
    """Return the first byte of an array and the one behind its last; the same for an empty array."""
    if not all(shape):
        return start, start
    reaches = [stride * (length - 1) for length, stride in zip(shape, strides, strict=True)]
    low, high = sum(min(reach, 0) for reach in reaches), sum(max(reach, 0) for reach in reaches)
    return start + low, start + high + itemsize


def overlapping(shape: Sequence[int], strides: Sequence[int], itemsize: int = 1) -> bool:
    """Return whether two elements of an array may share memory, as in broadcast and expanded arrays.

    Transposes, slices and diagonals of an ordinary array never do: from the smallest stride up, each axis steps
    beyond everything that the axes before it reach. An element is ``itemsize`` units of the strides long.
    """
    reach = itemsize - 1
    for stride, length in sorted((abs(stride), length) for stride, length in zip(strides, shape, strict=True)):
        if length <= 1:
            continue
        if stride <= reach:
            return True
        reach += stride * (length - 1)
    return False


def multi_indices(elements: Elements, shape: Sequence[int]) -> Iterable[tuple[int, ...]]:
    if not shape:
        return [()] * len(elements)
    axes = np.unravel_index(np.asarray(elements, dtype=np.intp), tuple(shape))
    return zip(*(axis.tolist() for axis in axes), strict=True)


def broadcast(
    broadcast_to: Callable[[Array, tuple[int, ...]], Array], value: Array, shape: Sequence[int], name: str
) -> Array:
    try:
        return broadcast_to(value, tuple(shape))
    except (ValueError, RuntimeError, TypeError):
        raise ValueError(
            f"{name} has the shape {tuple(value.shape)}, but a number or an array of x's shape {tuple(shape)} was"
            " expected"
        ) from None


def real_dtype(xp: Namespace, dtype: Any) -> Any:
    return xp.real(xp.empty(0, dtype=dtype)).dtype if xp.isdtype(dtype, "complex floating") else dtype


def working_dtype(xp: Namespace, x: Array) -> Any:
    """Return the real dtype in which schemes compute: float64 if the device has it, or x's if that is wider."""
    real = real_dtype(xp, x.dtype)
    offered = xp.__array_namespace_info__().dtypes(device=device(x), kind="real floating")
    widest = offered.get("float64", xp.float32)
    return real if xp.finfo(real).eps < xp.finfo(widest).eps else widest


def complex_dtype(xp: Namespace, real: Any) -> Any:
    return xp.result_type(real, xp.complex64)


def composed(xp: Namespace, real: Array, imag: Array) -> Array:
    """Return real + i imag, for libraries whose arrays let their parts be assigned.

    Unlike the sum, this is exact where a part is not finite.
    """
    numbers = xp.empty_like(real, dtype=complex_dtype(xp, real.dtype))
    numbers.real = real
    numbers.imag = imag
    return numbers


def complex_copy(x: Array) -> Array:
    xp = array_namespace(x)
    if not xp.isdtype(x.dtype, "real floating") or xp.finfo(x.dtype).bits < 32:
        raise no_complex_counterpart(x.dtype)
    return xp.astype(x, complex_dtype(xp, x.dtype))


def wide_copy(x: Array) -> Array:
    xp = array_namespace(x)
    wide = working_dtype(xp, x)
    return xp.astype(x, complex_dtype(xp, wide) if xp.isdtype(x.dtype, "complex floating") else wide)


def index_array(x: Array, elements: Iterable[int]) -> Array:
    if is_dask_array(x):  # indices of NumPy's tell Dask at once what is taken
        return np.asarray(elements, dtype=np.int64)
    xp = array_namespace(x)
    # JAX may have no int64.
    integer = xp.__array_namespace_info__().default_dtypes()["integral"]
    if isinstance(elements, range):
        return xp.arange(elements.start, elements.stop, elements.step, dtype=integer, device=device(x))
    return xp.asarray(np.ascontiguousarray(elements, dtype=np.int64), dtype=integer, device=device(x))


def reshaped(xp: Namespace, x: Array, shape: tuple[int, ...]) -> Array:
    """Reshape an array. Dask cannot reshape an empty one, so that is made anew."""
    return xp.reshape(x, shape) if math.prod(shape) else xp.zeros(shape, dtype=x.dtype, device=device(x))


def dense(values: Array, rows: Indices, columns: Indices, shape: tuple[int, int]) -> Array:
    """Return an array of two dimensions that holds values at these places, and 0 (False) elsewhere."""
    xp = array_namespace(values)
    place = np.full(shape[0] * shape[1], rows.size)
    place[rows * shape[1] + columns] = np.arange(rows.size)
    nothing = xp.zeros((1,), dtype=values.dtype, device=device(values))
    padded = xp.concat([values, nothing])
    return reshaped(xp, xp.take(padded, index_array(padded, place), axis=0), shape)
