"""What JAX makes of an f of one point: one of many, compiled together with what sets the elements of x."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from anygrad.backends._stacks import LevelStack
from anygrad.backends._vectoriser import Function, Rounded, Rule, Vectoriser

# Not all that looks like one: of a method `self` is an argument, and may have changed.
_JITTED = type(jax.jit(lambda x: x))
# Steps beyond these, or one divided by them, XLA may take for 0.
_LEAST, _MOST = 1e-150, 1e150


def vectoriser_of(x: jax.Array) -> Vectoriser:
    """Return how JAX makes an f of many points near x of an f of one."""
    return Vectoriser(lambda f: jax.jit(jax.vmap(f)), _compiles, partial(_fused, x))


def _compiles(f: object) -> bool:
    return isinstance(f, _JITTED)


def _fused(x: jax.Array, f: Function, rows: int, rounded: Rounded) -> tuple[Function, LevelStack]:
    """Return an f of points that are made where it is called, so that XLA makes one loop of both.

    What is compiled of a compiled function is kept: it does not change. Others may be closures over what does.
    """
    many = _compiled(f) if _compiles(f) else _at_levels(f)

    def of_levels(argument: tuple[int, Any, Any]) -> Any:
        count, elements, levels = argument
        values = many(x, elements, levels)
        return values if count == rows else jax.tree.map(lambda value: value[:count], values)

    return of_levels, LevelStack(rows, rounded)


def _at_levels(f: Function) -> Callable[..., Any]:
    def one(x: jax.Array, elements: jax.Array, levels: jax.Array) -> Any:
        return f(_with(x, elements, levels))

    many: Callable[..., Any] = jax.jit(jax.vmap(one, in_axes=(None, 0, 0)))
    return many


_compiled = lru_cache(maxsize=32)(_at_levels)


def _with(x: jax.Array, elements: jax.Array, levels: jax.Array) -> jax.Array:
    if elements.shape[0] == 1:  # unlike a scatter, this becomes part of the loops in which f reads x
        places = jnp.arange(x.size, dtype=elements.dtype).reshape(x.shape)
        return jnp.where(places == elements[0], levels[0], x)
    return x.reshape(-1).at[elements].set(levels).reshape(x.shape)


@dataclass(eq=False)
class _Gradient:
    """A gradient that is compiled as a whole.

    Attributes
    ----------
    function
        Takes x and the step to it.
    varies
        Whether f has been seen to depend on its argument. What is compiled does so always, or never.
    """

    function: Callable[[jax.Array, jax.Array], jax.Array]
    varies: bool = False


def gradient_in_one(f: Function, x: jax.Array, rule: Rule, step: float, limit: int) -> jax.Array | None:
    """Return the gradient at x by one call of what is compiled for that, with points of ``limit`` bytes.

    None if that cannot be had, or if all is 0 or NaN and f has not been seen to depend on its argument.
    """
    rows = limit // (x.size * np.dtype(np.float64).itemsize)
    if not rows or not _compiles(f) or not _LEAST < step < _MOST:
        return None
    try:
        gradient = _gradient(f, rule, x.shape, rows)
        value = gradient.function(x, _number(step))
    except Exception:  # whatever it is, it is raised on the way on which f's values are looked at
        return None
    if isinstance(value, jax.core.Tracer):
        return None
    if not gradient.varies:
        gradient.varies = bool(np.any(np.abs(np.asarray(value)) > 0))
    return value if gradient.varies else None


@lru_cache(maxsize=32)
def _gradient(f: Function, rule: Rule, shape: tuple[int, ...], rows: int) -> _Gradient:
    def gradient(x: jax.Array, step: jax.Array) -> jax.Array:
        def one(point: tuple[jax.Array, jax.Array]) -> jax.Array:
            return _number_of(f(_with(x, *point)))

        levels = rule.points(x.reshape(-1), step)
        elements = jnp.tile(jnp.arange(x.size, dtype=np.int32), len(levels))
        points = elements[:, None], jnp.concatenate(levels)[:, None]
        chunks = -(-elements.size // rows)
        many = jax.vmap(one) if chunks == 1 else partial(jax.lax.map, one, batch_size=-(-elements.size // chunks))
        values = many(points)
        return rule.combine(jnp.split(values, len(levels)), step).reshape(shape)

    return _Gradient(jax.jit(gradient))


def _number_of(value: Any) -> jax.Array:
    """Return what f returned, as the reader of values does; raise if it must have a look at that."""
    if not jnp.issubdtype(value.dtype, jnp.floating):
        raise TypeError(value.dtype)
    number: jax.Array = value.reshape(()).astype(np.float64)
    return number


@lru_cache(maxsize=32)
def _number(number: float) -> jax.Array:
    with jax.ensure_compile_time_eval():  # it is kept: no tracer, wherever it is first asked for
        return jnp.asarray(number, dtype=np.float64)
