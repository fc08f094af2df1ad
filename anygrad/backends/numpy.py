"""NumPy."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anygrad.backends._base import Indices
from anygrad.backends._codec import narrowed, numpy_codec
from anygrad.backends._host import HostMemory
from anygrad.backends._host_points import COPIED, HostPoints, host_levels
from anygrad.backends._layout import overlapping
from anygrad.backends._scalar import (
    host_number,
    host_numbers,
    no_complex_counterpart,
    require_numbers,
    require_one_element,
    require_real,
)
from anygrad.backends._vectoriser import Function, Rule

# What stays in the cache, with what f makes of it.
_CHUNK_BYTES = 256 * 2**10

name = "numpy"
cast_example = "x.astype(float)"
compiled_gradient = None
vectoriser = None


def is_array(x: object) -> bool:
    return isinstance(x, np.ndarray)


def floating(x: NDArray[Any]) -> bool:
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        raise TypeError(
            "x is a masked array with elements that are masked, which f would be evaluated with: pass x.filled(0.0), or"
            " x.compressed() and let f put its elements where they belong"
        )
    return x.dtype.kind in "fc"


def host(x: NDArray[Any]) -> NDArray[Any]:
    return x


def in_host_memory(x: NDArray[Any]) -> bool:
    return True


def shares_memory(x: NDArray[Any], y: NDArray[Any]) -> bool:
    return np.shares_memory(x, y)


def complexified(x: NDArray[Any]) -> NDArray[Any]:
    if x.dtype.kind == "c" or x.dtype.itemsize < 4:
        raise no_complex_counterpart(x.dtype)
    return x.astype(np.result_type(x.dtype, np.complex64))


def widened(x: NDArray[Any]) -> NDArray[Any]:
    return x.astype(np.result_type(x.dtype, np.float64))


def promoting(f: Function, x: NDArray[Any]) -> Function:
    return f


def context(x: NDArray[Any]) -> AbstractContextManager[object]:
    return nullcontext()


def arrival(x: NDArray[Any]) -> Callable[[], AbstractContextManager[object]]:
    return nullcontext


def forkable(x: NDArray[Any]) -> bool:
    return True


def pattern(x: Any) -> Any:
    return x


def sparse(values: NDArray[Any], rows: Indices, columns: Indices, shape: tuple[int, int], like: Any) -> Any:
    import scipy.sparse  # noqa: PLC0415 - only here

    kind = scipy.sparse.coo_matrix if scipy.sparse.isspmatrix(like) else scipy.sparse.coo_array
    entries = values.astype(np.float32) if values.dtype == np.float16 else values  # SciPy has no smaller one
    return kind((entries, (rows, columns)), shape=shape).asformat("csr" if like is None else like.format)


def memory(x: NDArray[Any], *, in_place: bool) -> HostMemory:
    flags = x.flags
    in_place = in_place and flags.writeable and (flags.forc or not overlapping(x.shape, x.strides, x.itemsize))
    array = x if in_place else x.copy(order="K")
    codec = numpy_codec(x.dtype)

    def read(value: object) -> Any:
        if isinstance(value, np.ndarray):
            require_one_element(value.shape)
            value = _unmasked(value).reshape(())[()]
        return host_number(value, library=name, complex_allowed=x.dtype.kind == "c")

    def read_array(value: object) -> NDArray[Any]:
        if type(value) is np.ndarray and value.dtype == np.float64:  # as nearly always
            return value
        if not isinstance(value, np.ndarray):
            return host_numbers(value, library=name, complex_allowed=x.dtype.kind == "c")
        require_numbers(value.dtype.kind in "biufc", value)
        if value.dtype.kind == "c":
            require_real(value, complex_allowed=x.dtype.kind == "c")
        return _unmasked(value)

    def narrow(values: NDArray[Any]) -> NDArray[Any]:
        return narrowed(values, x.dtype)

    def join(blocks: Sequence[NDArray[Any]], shape: Sequence[int]) -> NDArray[Any]:
        return (blocks[0] if len(blocks) == 1 else np.concatenate(blocks)).reshape(tuple(shape))

    def buffer(shape: tuple[int, ...]) -> tuple[NDArray[Any], NDArray[Any]]:
        points = np.empty(shape, x.dtype)
        return points, points.reshape(shape[0], math.prod(shape[1:])).view(codec.storage)

    # np.asarray: subclasses may redefine indexing (np.matrix) or hide elements (np.ma).
    stored = np.asarray(array).view(codec.storage)
    return HostMemory(
        array,
        stored,
        codec,
        writable=True,
        visible=in_place,
        read=read,
        read_array=read_array,
        narrow=narrow,
        join=join,
        reattach=_reshape(array),
        buffer=buffer,
        given=_as_it_is,
        chunk_bytes=_CHUNK_BYTES,
    )


def points_about(x: NDArray[Any], rule: Rule, step: float, *, most: float, max_bytes: int | None) -> HostPoints | None:
    if x.dtype != np.float64:
        return None
    numbers, shape = np.asarray(x).reshape(-1), x.shape
    levels = host_levels(numbers, rule, step, most=most, limit=min(max_bytes or _CHUNK_BYTES, COPIED))
    if levels is None:
        return None

    def buffer(count: int) -> tuple[NDArray[Any], NDArray[Any]]:
        owner = np.empty((count, numbers.size))
        return owner.reshape(count, *shape), owner  # a view, which cannot be resized

    def read(value: Any, count: int) -> NDArray[Any] | None:
        as_usual = type(value) is np.ndarray and value.dtype == np.float64 and value.shape == (count,)
        return value if as_usual else None

    def result(slopes: NDArray[Any]) -> NDArray[Any]:
        return narrowed(slopes, x.dtype).reshape(shape)

    return HostPoints(numbers, levels, rule, step, buffer=buffer, read=read, result=result)


def _unmasked(values: NDArray[Any]) -> NDArray[Any]:
    """Return an array of any class as a plain one; what is masked is not known."""
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        floating: Any = values.astype(np.result_type(values.dtype, np.float16))
        return np.asarray(floating.filled(np.nan))
    return np.asarray(values)


def _reshape(array: NDArray[Any]) -> Callable[[], bool]:
    """Return what gives ``array`` its shape and dtype again, should f have assigned to them."""
    shape, dtype = array.shape, array.dtype

    def reshape() -> bool:
        if array.shape == shape and array.dtype is dtype:
            return False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy would have nobody assign to them
            array.dtype = dtype  # type: ignore[misc]  # deprecated, and all that there is
            array.shape = shape
        return True

    return reshape


def _as_it_is(points: NDArray[Any]) -> NDArray[Any]:
    return points
