"""Helpers in pure array API."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, is_dask_array

from anygrad._typing import Array, Namespace
from anygrad.backends.layout import Indices
from anygrad.backends.values import no_complex_counterpart


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


def composed(real: Array, imag: Array) -> Array:
    """Return real + i imag in pure array API. A non-finite imaginary part makes the real one NaN."""
    return real + imag * 1j


def composed_by_assignment(real: Array, imag: Array) -> Array:
    """Return real + i imag, exact everywhere, for libraries whose arrays let their parts be assigned."""
    xp = array_namespace(real)
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
    if is_dask_array(x):  # which are known, so that Dask need not find out what is taken
        return np.asarray(elements, dtype=np.int64)
    xp = array_namespace(x)
    # JAX may have no int64.
    integer = xp.__array_namespace_info__().default_dtypes()["integral"]
    if isinstance(elements, range):
        return xp.arange(elements.start, elements.stop, elements.step, dtype=integer, device=device(x))
    return xp.asarray(np.ascontiguousarray(elements, dtype=np.int64), dtype=integer, device=device(x))


def reshaped(xp: Namespace, x: Array, shape: tuple[int, ...]) -> Array:
    """Reshape. Dask cannot do that to an empty array, of which there is nothing to keep."""
    return xp.reshape(x, shape) if math.prod(shape) else xp.zeros(shape, dtype=x.dtype, device=device(x))


def dense(values: Array, rows: Indices, columns: Indices, shape: tuple[int, int]) -> Array:
    """Return an array of two dimensions that holds values at these places, and 0 (False) elsewhere."""
    xp = array_namespace(values)
    place = np.full(shape[0] * shape[1], rows.size)
    place[rows * shape[1] + columns] = np.arange(rows.size)
    nothing = xp.zeros((1,), dtype=values.dtype, device=device(values))
    padded = xp.concat([values, nothing])
    return reshaped(xp, xp.take(padded, index_array(padded, place), axis=0), shape)
