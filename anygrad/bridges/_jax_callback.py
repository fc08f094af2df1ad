"""What `jax_function` makes: callbacks to f, and the rule by which JAX differentiates them."""

from __future__ import annotations

import functools
import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from anygrad._job import Options
from anygrad.bridges._named import written
from anygrad.bridges._opaque import Section, numbers_of, transposed

Leaves = Sequence[Any]
Structure = Any  # how positional and keyword arguments consist of leaves: a jax.tree_util.PyTreeDef


class JaxFunction:
    """f, differentiable in reverse mode."""

    def __init__(self, f: Callable[..., Any], shape: tuple[int, ...], dtype: Any, options: Options) -> None:
        self._f = f
        self._shape = _checked_shape(shape)
        self._dtype = _checked_dtype(dtype)
        self.options = options
        functools.update_wrapper(self, f, updated=())
        # What is known when JAX traces comes first.
        self._differentiable = jax.custom_vjp(self._value, nondiff_argnums=(0,))
        self._differentiable.defvjp(self._value_and_residuals, self._cotangents, symbolic_zeros=True)
        self._product_once = jax.custom_vjp(self._product, nondiff_argnums=(0, 1))
        self._product_once.defvjp(self._product_and_nothing, _no_second_derivative)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        leaves, structure = jax.tree.flatten((args, kwargs))
        return self._differentiable(structure, [_array(leaf) for leaf in leaves])

    def __repr__(self) -> str:
        options = self.options
        given = {"shape": self._shape, "dtype": self._dtype, "scheme": options.scheme}
        return written("jax_function", self._f, given | {"evaluator": options.evaluator, "bounds": options.bounds})

    def __reduce__(self) -> tuple[type[JaxFunction], tuple[Any, ...]]:
        return JaxFunction, (self._f, self._shape, self._dtype, self.options)

    def _value(self, structure: Structure, leaves: Leaves) -> Any:
        result = jax.ShapeDtypeStruct(self._shape, _result_dtype(leaves, self._dtype))
        return jax.pure_callback(Value(self, structure, result), result, leaves, vmap_method="sequential")

    def _value_and_residuals(self, structure: Structure, primals: Leaves) -> tuple[Any, tuple[Leaves, Leaves]]:
        leaves = [primal.value for primal in primals]
        # Residuals are arrays; what is no array must be told by their structure.
        wanted = [() if primal.perturbed and _floating(primal.value) else None for primal in primals]
        return self._differentiable(structure, leaves), (leaves, wanted)

    def _cotangents(self, structure: Structure, residuals: tuple[Leaves, Leaves], weights: Any) -> tuple[Leaves]:
        leaves, wanted = residuals
        places = tuple(place for place, mark in enumerate(wanted) if mark is not None)
        if not places or isinstance(weights, jax.custom_derivatives.SymbolicZero):
            return ([None] * len(leaves),)
        products = iter(self._product_once(structure, places, leaves, weights))
        return ([None if mark is None else next(products) for mark in wanted],)

    def _product(self, structure: Structure, places: tuple[int, ...], leaves: Leaves, weights: Any) -> Any:
        results = [jax.ShapeDtypeStruct(leaves[place].shape, leaves[place].dtype) for place in places]
        return jax.pure_callback(Product(self, structure, places), results, leaves, weights, vmap_method="sequential")

    def _product_and_nothing(self, *args: Any) -> tuple[Any, None]:
        return self._product(*args), None

    def section(self, structure: Structure, leaves: Leaves, places: Sequence[int]) -> Section:
        """Return f as a function of some of the leaves, which are as the user's f is given them."""
        arguments = functools.partial(jax.tree.unflatten, structure)
        leading = self.options.evaluator.leading
        return Section(self._f, leading, [_given(leaf) for leaf in leaves], places, arguments, numbers_of)


# JAX compiles equal callbacks once.
@dataclass(frozen=True)
class Value:
    """Called by JAX for f's value."""

    function: JaxFunction
    structure: Structure
    result: jax.ShapeDtypeStruct

    def __call__(self, leaves: Leaves) -> NDArray[Any]:
        section = self.function.section(self.structure, leaves, range(len(leaves)))
        value = section.value()
        shape, dtype = self.result.shape, self.result.dtype
        if value.shape != shape and not (value.size == math.prod(shape) == 1):
            raise ValueError(
                f"f returned an array of shape {value.shape}, but {shape} was said: write jax_function(f,"
                f" shape={value.shape})"
            )
        if value.dtype.kind == "c" and not jnp.issubdtype(dtype, jnp.complexfloating):
            raise TypeError(
                f"f returned complex numbers, but {dtype} was expected: write jax_function(f, dtype=complex), or return"
                " a real number"
            )
        narrowed: NDArray[Any] = value.reshape(shape).astype(dtype)
        return narrowed


@dataclass(frozen=True)
class Product:
    """Called by JAX for the product of weights with f's Jacobian, by the leaves in certain places."""

    function: JaxFunction
    structure: Structure
    places: tuple[int, ...]

    def __call__(self, leaves: Leaves, weights: Any) -> list[NDArray[Any]]:
        section = self.function.section(self.structure, leaves, self.places)
        gradients = transposed(section, numbers_of(weights), self.function.options)
        # JAX's gradient by a complex number is the conjugate of d/d(Re x) + i·d/d(Im x).
        return [
            gradient.conj().astype(leaves[place].dtype) for place, gradient in zip(self.places, gradients, strict=True)
        ]


def _checked_shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, tuple) or not all(isinstance(length, numbers.Integral) for length in shape):
        raise TypeError(
            f"shape is {shape!r:.60}, but a tuple of integers was expected: () for a number, (3,) for an array of three"
        )
    if any(length < 0 for length in shape):
        raise ValueError(f"shape is {shape!r:.60}, but JAX must know each length of what f returns: write them out")
    return shape


def _checked_dtype(dtype: Any) -> Any:
    try:
        known = dtype is None or jnp.issubdtype(dtype, jnp.inexact)
    except TypeError:  # there is no such dtype
        known = False
    if not known:
        raise TypeError(
            f"dtype is {dtype!r:.60}, through which JAX has no derivative: give a floating or complex one, or None for"
            " that of the arguments"
        )
    return dtype


def _given(leaf: Any) -> NDArray[Any]:
    """Return a leaf as f is given it: in the widest precision, and not to be written to."""
    array = np.asarray(leaf)
    if _floating(leaf):
        array = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
        array.flags.writeable = False
    return array


def _array(leaf: Any) -> jax.Array:
    if not isinstance(leaf, (jax.Array, np.ndarray, np.generic, numbers.Number)):
        raise TypeError(
            f"an argument is or holds {leaf!r:.60}, but JAX passes arrays and numbers only: bind it before, as in"
            " jax_function(functools.partial(f, option=value))"
        )
    return jnp.asarray(leaf)


def _floating(leaf: Any) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jnp.inexact))


def _result_dtype(leaves: Leaves, dtype: Any) -> Any:
    if dtype is not None:
        return jax.dtypes.canonicalize_dtype(dtype)
    own = [leaf for leaf in leaves if _floating(leaf)]
    return jnp.finfo(jnp.result_type(*own) if own else jnp.result_type(float)).dtype


def _no_second_derivative(*_: Any) -> Any:
    raise NotImplementedError(
        "a function made by jax_function was differentiated twice, but only its first derivative is there: use"
        " anygrad.hessian(f, x) or anygrad.hvp(f, x, v)"
    )
