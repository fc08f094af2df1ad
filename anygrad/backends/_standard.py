"""What memories on a device, and immutable ones, have in common: pure array API."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, is_array_api_obj, is_dask_array
from numpy.typing import NDArray

from anygrad._typing import Array, Namespace
from anygrad.backends._layout import broadcast, positions
from anygrad.backends._scalar import (
    host_array,
    host_number,
    host_numbers,
    no_complex_counterpart,
    require_one_element,
    require_real,
    require_same_device,
)


def real_dtype(xp: Namespace, dtype: Any) -> Any:
    """Return the dtype of the real part."""
    return xp.real(xp.empty(0, dtype=dtype)).dtype if xp.isdtype(dtype, "complex floating") else dtype


def working_dtype(xp: Namespace, x: Array) -> Any:
    """Return the real dtype in which schemes compute: float64 if the device has it, or x's if that is wider."""
    real = real_dtype(xp, x.dtype)
    offered = xp.__array_namespace_info__().dtypes(device=device(x), kind="real floating")
    widest = offered.get("float64", xp.float32)
    return real if xp.finfo(real).eps < xp.finfo(widest).eps else widest


def complex_dtype(xp: Namespace, real: Any) -> Any:
    """Return the complex dtype that holds ``real``."""
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


def with_part(numbers: Array, part: int, levels: Array, compose: Callable[[Array, Array], Array] = composed) -> Array:
    """Return complex numbers with their real (0) or imaginary (1) part replaced."""
    xp = array_namespace(numbers)
    return compose(levels, xp.imag(numbers)) if part == 0 else compose(xp.real(numbers), levels)


def device_reader(x: Array, library: str, is_own: Callable[[object], bool]) -> Callable[[Any], Any]:
    """Return what reads one result of f as a 0-d array on x's device or a Python number, and raises for all else."""
    xp, on, working = array_namespace(x), device(x), working_dtype(array_namespace(x), x)
    x_is_complex = xp.isdtype(x.dtype, "complex floating")

    def read(value: Any) -> Any:
        # Nearly always it is what is wanted, which is quickly seen.
        if is_own(value) and value.dtype == working and not value.ndim and getattr(value, "device", None) == on:
            return value
        if not is_own(value):
            number = host_number(value, library=library, complex_allowed=x_is_complex)
            return complex(number) if isinstance(number, (complex, np.complexfloating)) else float(number)
        require_one_element(value.shape)
        require_same_device(device(value), on)
        if not xp.isdtype(value.dtype, "real floating"):
            if xp.isdtype(value.dtype, "complex floating"):
                require_real(value, complex_allowed=x_is_complex)
            else:
                value = xp.astype(value, working)
        return xp.reshape(value, ()) if value.ndim else value

    return read


def device_array_reader(x: Array, library: str, is_own: Callable[[object], bool]) -> Callable[[Any], Any]:
    """Return what reads an array that f returned as one of one dimension on its device, and raises for all else."""
    xp, on, working = array_namespace(x), device(x), working_dtype(array_namespace(x), x)
    x_is_complex = xp.isdtype(x.dtype, "complex floating")

    def read_array(value: Any) -> Any:
        if not is_own(value):
            numbers = host_numbers(value, library=library, complex_allowed=x_is_complex)
            dtype = complex_dtype(xp, working) if numbers.dtype.kind == "c" else working
            value = xp.asarray(numbers.reshape(-1).tolist(), dtype=dtype, device=on)
        require_same_device(device(value), on)
        if xp.isdtype(value.dtype, "complex floating"):
            require_real(value, complex_allowed=x_is_complex)
            return xp.reshape(xp.astype(value, complex_dtype(xp, working), copy=False), (-1,))
        return xp.reshape(xp.astype(value, working, copy=False), (-1,))

    return read_array


def complex_copy(x: Array) -> Array:
    """Return a copy of a real array in the complex dtype of the same precision; raise if there is none."""
    xp = array_namespace(x)
    if not xp.isdtype(x.dtype, "real floating") or xp.finfo(x.dtype).bits < 32:
        raise no_complex_counterpart(x.dtype)
    return xp.astype(x, complex_dtype(xp, x.dtype))


def wide_copy(x: Array) -> Array:
    """Return a copy of an array in the dtype in which schemes compute, or its complex counterpart."""
    xp = array_namespace(x)
    wide = working_dtype(xp, x)
    return xp.astype(x, complex_dtype(xp, wide) if xp.isdtype(x.dtype, "complex floating") else wide)


def taken(flat: Array, elements: Sequence[int]) -> Array:
    """Return elements of an array of one dimension: for a range a view, where the library has views."""
    chosen = positions(elements)
    if isinstance(chosen, slice):
        return flat[chosen]
    return array_namespace(flat).take(flat, index_array(flat, chosen), axis=0)


def as_levels(numbers: Array, levels: Array) -> Array:
    """Return a copy of numbers in the dtype of levels: of complex ones the real parts, where the levels are real."""
    xp = array_namespace(numbers)
    if xp.isdtype(numbers.dtype, "complex floating") and xp.isdtype(levels.dtype, "real floating"):
        numbers = xp.real(numbers)
    return xp.astype(numbers, levels.dtype, copy=True)


def scattered(flat: Array, indices: Array, numbers: Array) -> Array:
    """Write numbers into the places of an integer array, and return the array of one dimension that they are in."""
    try:
        flat[indices] = numbers
    except IndexError:  # the standard leaves this to the libraries, nearly all of which have it
        for i in range(indices.shape[0]):
            flat[int(indices[i])] = numbers[i]
    return flat


def index_array(x: Array, elements: Sequence[int]) -> Array:
    """Return elements as an integer array on x's device."""
    if is_dask_array(x):
        return np.asarray(elements, dtype=np.int64)  # which are known, so that Dask need not find out what is taken
    xp = array_namespace(x)
    # JAX may have no int64.
    integer = xp.__array_namespace_info__().default_dtypes()["integral"]
    if isinstance(elements, range):
        return xp.arange(elements.start, elements.stop, elements.step, dtype=integer, device=device(x))
    return xp.asarray(list(elements), dtype=integer, device=device(x))


def flattened(parts: Sequence[Array], xp: Namespace, dtype: Any, on: object) -> Array:
    """Return a copy of arrays of one dimension as one."""
    if not parts:
        return xp.empty(0, dtype=dtype, device=on)
    return xp.concat(list(parts)) if len(parts) > 1 else xp.asarray(parts[0], copy=True)


def spread(value: Array, name: str, x: Array) -> Array:
    """Return a number, or an array that can be broadcast to x's shape, as a working number for each element."""
    xp, working = array_namespace(x), working_dtype(array_namespace(x), x)
    if is_array_api_obj(value) and array_namespace(value) is xp:
        require_same_device(device(value), device(x))
        numbers = xp.astype(value, working)
    else:
        numbers = xp.asarray(host_array(value, name).tolist(), dtype=working, device=device(x))
    return reshaped(xp, broadcast(xp.broadcast_to, numbers, x.shape, name), (math.prod(x.shape),))


def reshaped(xp: Namespace, x: Array, shape: tuple[int, ...]) -> Array:
    """Reshape. Dask cannot do that to an empty array, of which there is nothing to keep."""
    return xp.reshape(x, shape) if math.prod(shape) else xp.zeros(shape, dtype=x.dtype, device=device(x))


def dense(values: Array, rows: NDArray[np.intp], columns: NDArray[np.intp], shape: tuple[int, int]) -> Array:
    """Return an array of two dimensions that holds values at these places, and 0 (False) elsewhere."""
    xp = array_namespace(values)
    place = np.full(shape[0] * shape[1], rows.size)
    place[rows * shape[1] + columns] = np.arange(rows.size)
    nothing = xp.zeros((1,), dtype=values.dtype, device=device(values))
    padded = xp.concat([values, nothing])
    return reshaped(xp, xp.take(padded, index_array(padded, place.tolist()), axis=0), shape)


def index_list(indices: Array) -> list[int]:
    """Return an integer array of one dimension as a list."""
    if hasattr(indices, "tolist"):
        listed: list[int] = indices.tolist()
        return listed
    return [int(indices[i]) for i in range(indices.shape[0])]
