"""JAX: arrays are immutable, so each perturbed one is made by a compiled update."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from anygrad.backends.arrays import Indices, wide_copy
from anygrad.backends.base import Memory, Points
from anygrad.backends.codec import Codec, Raw, codec_of, narrowed
from anygrad.backends.functional import FunctionalMemory
from anygrad.backends.host import HostBackend, HostMemory
from anygrad.backends.returned import require_same_device

# For the CPU: a call costs more than one of NumPy's, and XLA needs less memory for the same.
_CHUNK_BYTES = 2**23
# The type itself, not all that looks like it: a compiled method has `self` as an argument, which may have changed.
_JITTED = type(jax.jit(lambda x: x))

Function = Callable[[Any], Any]


class JaxBackend(HostBackend):
    name = "jax"

    def is_array(self, x: object) -> bool:
        return isinstance(x, jax.Array)

    def floating(self, x: jax.Array) -> bool:
        return bool(jnp.issubdtype(x.dtype, jnp.inexact))

    def memory(self, x: jax.Array, *, in_place: bool, rows: bool = False) -> Memory:
        if self.on_host(x):
            return JaxMemory(self, x, rows=rows)
        own = x.copy()  # inside a function that is being traced, every copy is traced
        return JaxFunctionalMemory(self, own, lazy=isinstance(own, jax.core.Tracer), rows=rows)

    def host(self, x: jax.Array) -> NDArray[Any]:
        return np.asarray(x)

    def on_host(self, x: jax.Array) -> bool:
        return not isinstance(x, jax.core.Tracer) and _is_here(x.sharding)

    def extent(self, x: jax.Array) -> None:
        return None  # nothing is written

    def widened(self, x: jax.Array) -> jax.Array:
        with _float64(True):
            return wide_copy(x)

    def arrival(self, x: jax.Array) -> Callable[[], AbstractContextManager[object]]:
        return _float64 if x.dtype.name in {"float64", "complex128"} else nullcontext

    def vmap(self, f: Function, x: jax.Array) -> Function:
        many: Function = jax.jit(jax.vmap(f))
        return many

    def compiles(self, f: object) -> bool:
        return isinstance(f, _JITTED)

    def pattern(self, x: Any) -> Any:
        from jax.experimental.sparse import BCOO  # noqa: PLC0415 - for sparse Jacobians alone

        if not isinstance(x, BCOO):
            return self.host(x) if self.is_array(x) else x
        if x.n_batch or x.n_dense:
            return self.host(x.todense())
        import scipy.sparse  # noqa: PLC0415 - an extra

        places = np.asarray(x.indices)
        inside = np.all(places < x.shape, axis=1)  # JAX pads with entries whose indices lie outside
        return scipy.sparse.coo_array((np.asarray(x.data)[inside], places[inside].T), shape=x.shape)

    def sparse(self, values: jax.Array, rows: Indices, columns: Indices, shape: tuple[int, int], like: Any) -> Any:
        from jax.experimental.sparse import BCOO  # noqa: PLC0415 - for sparse Jacobians alone

        places = jnp.asarray(np.stack([rows, columns], axis=1).astype(np.int32))
        entries = values.astype(np.uint8) if values.dtype == bool else values  # BCOO cannot make booleans dense
        return BCOO((entries, places), shape=shape, indices_sorted=True, unique_indices=True)

    # What a `HostMemory` asks for

    def require_known(self, value: jax.Array, memory: HostMemory) -> None:
        if isinstance(value, jax.core.Tracer):
            raise TypeError(
                "f returned a traced value, but x itself is not traced: make x an argument of the function that JAX"
                " transforms, or call anygrad outside of it"
            )
        require_same_device(value.devices(), memory.array.devices())

    def read(self, value: jax.Array) -> Raw:
        array = np.asarray(value)
        return array if array.dtype.isbuiltin == 1 else array.astype(np.float64)

    def from_host(self, numbers: Raw, memory: HostMemory) -> jax.Array:
        x = memory.array
        own = narrowed(numbers, x.dtype)
        return jax.device_put(own, _distributed(x, own.shape)) if x.committed else jnp.asarray(own)

    def given(self, points: NDArray[Any], memory: HostMemory) -> jax.Array:
        x = memory.array
        return jax.device_put(points, _everywhere(x)) if x.committed else jnp.asarray(points)

    # Modes

    def modes(self) -> bool | None:
        return jax.config.jax_enable_x64 or None

    def under(self, modes: object) -> AbstractContextManager[object]:
        return _float64(bool(modes))


class JaxMemory(HostMemory):
    def __init__(self, backend: JaxBackend, x: jax.Array, *, rows: bool) -> None:
        stored, codec = np.asarray(x), _codec_of(x.dtype)
        super().__init__(backend, x, stored, codec, in_place=False, writable=False, chunk_bytes=_CHUNK_BYTES, rows=rows)

    def replaced(self, array: jax.Array, element: Any, raw: object) -> jax.Array:
        replaced: jax.Array = _replaced(array, element, raw)
        return replaced

    def vectorised(self, f: Function) -> Callable[[Points], Any] | None:
        return super().vectorised(f) if self.row is not None else _vectorised(self, f)


class JaxFunctionalMemory(FunctionalMemory):
    def replaced(self, array: jax.Array, element: Any, raw: object) -> jax.Array:
        replaced: jax.Array = _replaced(array, element, raw)
        return replaced

    def put(self, flat: jax.Array, where: jax.Array, numbers: jax.Array) -> jax.Array:
        return self.replaced(flat, where, numbers)

    def vectorised(self, f: Function) -> Callable[[Points], Any] | None:
        return super().vectorised(f) if self.row is not None else _vectorised(self, f)


def _float64(enabled: bool = True) -> AbstractContextManager[object]:
    if jax.config.jax_enable_x64 == enabled:  # entering a context, even to no effect, makes JAX compile anew
        return nullcontext()
    enabling = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64  # before 0.8
    context: AbstractContextManager[object] = enabling(enabled)
    return context


# Where arrays are


@lru_cache(maxsize=32)
def _is_here(sharding: jax.sharding.Sharding) -> bool:
    return sharding.is_fully_addressable and all(device.platform == "cpu" for device in sharding.device_set)


def _everywhere(x: jax.Array) -> Any:
    """Return a placement on every device that x is on."""
    if isinstance(x.sharding, jax.sharding.NamedSharding):
        return jax.sharding.NamedSharding(x.sharding.mesh, jax.sharding.PartitionSpec())
    return next(iter(x.devices()))


def _distributed(x: jax.Array, shape: tuple[int, ...]) -> Any:
    """Return the placement of derivatives: their last axes are x's, and are distributed as x is."""
    if shape == x.shape or not isinstance(x.sharding, jax.sharding.NamedSharding):
        return x.sharding
    before = len(shape) - x.ndim
    if before < 0 or shape[before:] != x.shape:
        return _everywhere(x)
    return jax.sharding.NamedSharding(x.sharding.mesh, jax.sharding.PartitionSpec(*[None] * before, *x.sharding.spec))


# Elements


@cache
def _codec_of(dtype: np.dtype[Any]) -> Codec:
    # NumPy's finfo does not know bfloat16.
    codec = codec_of(dtype, dtype, jnp.finfo(dtype))
    return replace(codec, dtype=np.result_type(dtype, np.float64))


def _with_replaced(x: jax.Array, elements: Any, numbers: Any) -> jax.Array:
    return x.reshape(-1).at[elements].set(numbers).reshape(x.shape)


_replaced = jax.jit(_with_replaced)


# Vmap


def _vectorised(memory: Memory, f: Function) -> Callable[[Points], Any]:
    """Return f as a function of points that are made inside the compiled call, so that XLA fuses the two.

    The result is kept for a function that was compiled already: it does not change, as a closure over objects may.
    """
    many = _compiled(f) if isinstance(f, _JITTED) else _at_numbers(f)
    lengths: dict[int, int] = {}

    def of_points(points: Points) -> Any:
        count, width, xp = len(points), points.width, memory.xp
        elements = points.each
        numbers = memory.rounded(elements.reshape(-1), points.part, xp.reshape(points.numbers, (-1,)))
        numbers = xp.reshape(numbers, elements.shape)
        # A shorter chunk is padded with its last point, so that f is compiled once.
        length = lengths[width] = max(count, lengths.get(width, 0))
        if missing := length - count:
            elements = np.concatenate([elements, elements[-1:].repeat(missing, axis=0)])
            numbers = xp.concat([numbers, xp.repeat(numbers[-1:, ...], missing, axis=0)])
        values = many(memory.array, elements.astype(np.int32), numbers)
        return jax.tree.map(lambda value: value[:count], values) if missing else values

    return of_points


def _at_numbers(f: Function) -> Callable[[jax.Array, Any, Any], Any]:
    def one(x: jax.Array, elements: jax.Array, numbers: jax.Array) -> Any:
        return f(_with(x, elements, numbers))

    many: Callable[[jax.Array, Any, Any], Any] = jax.jit(jax.vmap(one, in_axes=(None, 0, 0)))
    return many


_compiled = lru_cache(maxsize=32)(_at_numbers)


def _with(x: jax.Array, elements: jax.Array, numbers: jax.Array) -> jax.Array:
    if elements.shape[0] == 1:  # unlike a scatter, this becomes part of the loops in which f reads x
        places = jnp.arange(x.size, dtype=elements.dtype).reshape(x.shape)
        return jnp.where(places == elements[0], numbers[0], x)
    return _with_replaced(x, elements, numbers)


BACKEND = JaxBackend()
