"""JAX: arrays are immutable, so each perturbed one is made by a compiled update."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from anygrad.backends._base import Indices
from anygrad.backends._codec import narrowed
from anygrad.backends._functional import FunctionalMemory
from anygrad.backends._host import HostMemory
from anygrad.backends._host_points import HostPoints
from anygrad.backends._jax_codec import codec_of
from anygrad.backends._jax_modes import under
from anygrad.backends._jax_points import host_points
from anygrad.backends._jax_vectoriser import gradient_in_one, vectoriser_of
from anygrad.backends._points import within
from anygrad.backends._scalar import (
    host_number,
    host_numbers,
    no_complex_counterpart,
    require_one_element,
    require_real,
    require_same_device,
)
from anygrad.backends._stacks import CHUNK_BYTES
from anygrad.backends._standard import device_array_reader, device_reader, wide_copy
from anygrad.backends._vectoriser import Function, Rule

name = "jax"
cast_example = "x.astype(float)"
vectoriser = None  # it depends on x

# On the CPU, where a call costs more than one of NumPy's and XLA needs less memory for the same.
_CHUNK_BYTES = 2**23


def is_array(x: object) -> bool:
    return isinstance(x, jax.Array)


def floating(x: jax.Array) -> bool:
    return bool(jnp.issubdtype(x.dtype, jnp.inexact))


def host(x: jax.Array) -> NDArray[Any]:
    return np.asarray(x)


def in_host_memory(x: jax.Array) -> bool:
    return not isinstance(x, jax.core.Tracer) and _is_here(x.sharding)


def shares_memory(x: jax.Array, y: jax.Array) -> bool:
    return False  # nothing is written


def complexified(x: jax.Array) -> jax.Array:
    if jnp.iscomplexobj(x) or x.dtype.itemsize < 4:
        raise no_complex_counterpart(x.dtype)
    return x.astype(jnp.result_type(x.dtype, jnp.complex64))


def widened(x: jax.Array) -> jax.Array:
    with _with_float64():
        return wide_copy(x)


def promoting(f: Function, x: jax.Array) -> Function:
    return f


def context(x: jax.Array) -> AbstractContextManager[object]:
    return arrival(x)()


def arrival(x: jax.Array) -> Callable[[], AbstractContextManager[object]]:
    return _with_float64 if x.dtype.name in {"float64", "complex128"} else nullcontext


def _with_float64() -> AbstractContextManager[object]:
    """Return the context in which there is float64."""
    return under(True)


def forkable(x: jax.Array) -> bool:
    return False  # JAX has threads, which are not there after a fork, but their locks are


def compiled_gradient(
    f: Function, x: jax.Array, rule: Rule, step: float, *, most: float, max_bytes: int | None
) -> jax.Array | None:
    if x.dtype != np.float64 or not jax.config.jax_enable_x64 or isinstance(x, jax.core.Tracer):
        return None
    if len(x.sharding.device_set) > 1:  # how the gradient would be distributed is XLA's choice
        return None
    if not within(np.asarray(x).reshape(-1), most):
        return None
    chunk_bytes = _CHUNK_BYTES if in_host_memory(x) else CHUNK_BYTES
    return gradient_in_one(f, x, rule, step, chunk_bytes if max_bytes is None else max_bytes)


def points_about(x: jax.Array, rule: Rule, step: float, *, most: float, max_bytes: int | None) -> HostPoints | None:
    if x.dtype != np.float64 or not in_host_memory(x):
        return None
    limit = max_bytes or _CHUNK_BYTES
    return host_points(x, rule, step, given=_given(x), joined=_joined(x), most=most, limit=limit)


def pattern(x: Any) -> Any:
    from jax.experimental.sparse import BCOO  # noqa: PLC0415 - only here

    if isinstance(x, BCOO):
        import scipy.sparse  # noqa: PLC0415 - likewise

        if x.n_batch or x.n_dense:
            return host(x.todense())
        places = np.asarray(x.indices)
        inside = np.all(places < x.shape, axis=1)  # where there are more than entries, they are filled up from outside
        return scipy.sparse.coo_array((np.asarray(x.data)[inside], places[inside].T), shape=x.shape)
    return host(x) if is_array(x) else x


def sparse(values: jax.Array, rows: Indices, columns: Indices, shape: tuple[int, int], like: Any) -> Any:
    from jax.experimental.sparse import BCOO  # noqa: PLC0415 - only here

    places = jnp.asarray(np.stack([rows, columns], axis=1).astype(np.int32))
    entries = values.astype(np.uint8) if values.dtype == bool else values  # those of booleans cannot be made dense
    return BCOO((entries, places), shape=shape, indices_sorted=True, unique_indices=True)


def memory(x: jax.Array, *, in_place: bool) -> HostMemory | FunctionalMemory:
    if in_host_memory(x):
        return _on_host(x)
    own = x.copy()  # inside of a function that is being traced, this is as well, whatever x is
    return FunctionalMemory(
        own,
        read=device_reader(own, name, is_array),
        read_array=device_array_reader(own, name, is_array),
        replace=_replace,
        concrete=not isinstance(own, jax.core.Tracer),
        vectoriser=vectoriser_of(own),
    )


@lru_cache(maxsize=32)
def _is_here(sharding: jax.sharding.Sharding) -> bool:
    return sharding.is_fully_addressable and all(device.platform == "cpu" for device in sharding.device_set)


def _on_host(x: jax.Array) -> HostMemory:
    codec = codec_of(x.dtype)

    def read(value: object) -> Any:
        if not isinstance(value, jax.Array):
            return host_number(value, library=name, complex_allowed=codec.dtype.kind == "c")
        require_one_element(value.shape)
        return checked(value).item()

    def read_array(value: object) -> NDArray[Any]:
        if not isinstance(value, jax.Array):
            return host_numbers(value, library=name, complex_allowed=codec.dtype.kind == "c")
        array = np.asarray(checked(value))
        return array if array.dtype.isbuiltin == 1 else array.astype(np.float64)

    def checked(value: jax.Array) -> jax.Array:
        if isinstance(value, jax.core.Tracer):
            raise TypeError(
                "f returned a traced value, but x is an array of numbers, which is not part of what is being traced:"
                " make x an argument of the function that is transformed, or differentiate outside of it"
            )
        require_same_device(value.devices(), x.devices())
        if jnp.iscomplexobj(value):
            require_real(value, complex_allowed=codec.dtype.kind == "c")
        return value

    def narrow(values: NDArray[Any]) -> NDArray[Any]:
        return narrowed(values, x.dtype)

    joined = _joined(x)

    def join(blocks: Sequence[NDArray[Any]], shape: Sequence[int]) -> jax.Array:
        return joined(np.concatenate(blocks).reshape(tuple(shape)))

    def buffer(shape: tuple[int, ...]) -> tuple[NDArray[Any], NDArray[Any]]:
        points = np.empty(shape, x.dtype)
        return points, points.reshape(shape[0], math.prod(shape[1:]))

    stored = np.asarray(x)
    return HostMemory(
        x,
        stored,
        codec,
        writable=False,
        visible=False,
        read=read,
        read_array=read_array,
        narrow=narrow,
        join=join,
        replace=_replace,
        buffer=buffer,
        given=_given(x),
        chunk_bytes=_CHUNK_BYTES,
        vectoriser=vectoriser_of(x),
    )


def _joined(x: jax.Array) -> Callable[[NDArray[Any]], jax.Array]:
    """Return what makes an array like x of numbers on the host."""
    return lambda numbers: jax.device_put(numbers, x.sharding) if x.committed else jnp.asarray(numbers)


def _given(x: jax.Array) -> Callable[[NDArray[Any]], jax.Array]:
    """Return what makes what f is given of a buffer on the host."""

    def given(points: NDArray[Any]) -> jax.Array:
        # A copy: jax.device_put alone may use the memory of a NumPy array, which is written to later.
        array = jnp.array(points)
        return jax.device_put(array, _everywhere(x)) if x.committed else array

    return given


def _everywhere(x: jax.Array) -> Any:
    """Return where an array is to be put to be on all devices that x is on."""
    if isinstance(x.sharding, jax.sharding.NamedSharding):
        return jax.sharding.NamedSharding(x.sharding.mesh, jax.sharding.PartitionSpec())
    return next(iter(x.devices()))


def _replaced(x: jax.Array, element: int, number: Any) -> jax.Array:
    return x.reshape(-1).at[element].set(number).reshape(x.shape)


_replace = jax.jit(_replaced)
