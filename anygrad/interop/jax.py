"""f as a function that JAX can compile and differentiate: callbacks to f, and the rule for their derivative."""

from __future__ import annotations

import functools
import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anygrad._typing import Bounds
from anygrad.evaluators import Evaluator, Loop
from anygrad.interop._products import Restriction, no_second_derivative, numbers_of, vjp
from anygrad.operators.gradient import call_repr
from anygrad.problem.options import Options, require_callable
from anygrad.schemes import Central, Scheme

if TYPE_CHECKING:
    import jax

Leaves = Sequence[Any]
Structure = Any  # how positional and keyword arguments consist of leaves: a jax.tree_util.PyTreeDef


def jax_function(
    f: Callable[..., Any],
    *,
    shape: tuple[int, ...] = (),
    dtype: Any = None,
    scheme: Scheme = Central(),
    evaluator: Evaluator = Loop(in_place=False),
    bounds: Bounds = None,
) -> Callable[..., Any]:
    """Return f as a function that JAX can compile and differentiate, whatever f does inside.

    Parameters
    ----------
    f
        Function of NumPy arrays that returns a number, a list of numbers or an array. Floating arguments arrive in
        float64 (complex128), whatever they are in JAX, so that the step can be small. f must use its arguments, return
        the same for the same ones, and leave them alone. It must not call JAX, which can deadlock there. Arguments are
        arrays, numbers or pytrees of these; bind all other arguments of f beforehand, for example with
        ``functools.partial``.
    shape
        The shape of what f returns, which JAX must know before f is called: by default, f returns one number.
    dtype
        The dtype of the result. By default that of the arguments, real for complex ones.
    scheme, evaluator
        As in `numerical_gradient`, for NumPy arrays. With `Batch`, all arguments have a leading axis, in the forward
        pass one of length 1.
    bounds
        ``(lower, upper)``, each None, a number or array for all arguments, or a tuple with one of these for each
        array among the arguments, in the order of ``jax.tree.leaves``.

    Returns
    -------
    callable
        A function of the same arguments that returns a JAX array. It can be pickled if f can.

    Raises
    ------
    ImportError
        If JAX is not installed.
    TypeError, ValueError
        If f is not a function, or an option is wrong. When it is called: if an argument is not an array.
    NotImplementedError
        If the derivative is differentiated once more: see `hessian` and `hvp` for that.
    jax.errors.JaxRuntimeError
        With the text of the exception, if f raises, or returns something of another shape than ``shape``.

    Warns
    -----
    ConstantFunctionWarning
        As `numerical_gradient`, when the gradient is computed.

    See Also
    --------
    torch_function : the same for PyTorch.

    Notes
    -----
    The value calls f once. The gradient calls it as often as the scheme does for a gradient with respect to the
    arguments asked for, however many elements f returns: with the default scheme twice for each element.

    It is a ``jax.custom_vjp`` around ``jax.pure_callback``: ``jax.jit``, ``grad``, ``value_and_grad``, ``vjp`` and
    ``jacrev`` work; under ``jax.vmap``, f is called at one point after the other. Forward mode
    does not: JAX would derive the gradient from its rule by transposing it, and a callback cannot be transposed.

    Examples
    --------
    >>> import anygrad
    >>> import jax
    >>> simulate = anygrad.jax_function(lambda x: float(x[0]) ** 2 * float(x[1]))
    >>> loss = jax.jit(lambda x: simulate(x) ** 2 + simulate(x))
    >>> print(jax.grad(loss)(jax.numpy.array([1.0, 2.0])).round(3))
    [20.  5.]
    """
    require_callable(f)
    options = Options("jax_function", scheme, evaluator, bounds)
    try:
        import jax  # noqa: F401
    except ImportError as error:
        raise ImportError("jax_function needs JAX, which cannot be imported: pip install jax") from error
    return JaxFunction(f, shape, dtype, options)


class JaxFunction:
    """f, differentiable in reverse mode."""

    def __init__(self, f: Callable[..., Any], shape: tuple[int, ...], dtype: Any, options: Options) -> None:
        import jax

        self._f = f
        self._shape = _checked_shape(shape)
        self._dtype = _checked_dtype(dtype)
        self.options = options
        functools.update_wrapper(self, f, updated=())
        # What is known when JAX traces comes first.
        self._differentiable = jax.custom_vjp(self._value, nondiff_argnums=(0,))
        self._differentiable.defvjp(self._value_and_residuals, self._cotangents, symbolic_zeros=True)
        self._product_once = jax.custom_vjp(self._product, nondiff_argnums=(0, 1))
        self._product_once.defvjp(lambda *args: (self._product(*args), None), _no_second_derivative)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return f's value, as an array of JAX."""
        import jax

        leaves, structure = jax.tree.flatten((args, kwargs))
        return self._differentiable(structure, [_array(leaf) for leaf in leaves])

    def __repr__(self) -> str:
        options = self.options
        given = {"shape": self._shape, "dtype": self._dtype, "scheme": options.scheme}
        return call_repr("jax_function", self._f, given | {"evaluator": options.evaluator, "bounds": options.bounds})

    def __reduce__(self) -> tuple[type[JaxFunction], tuple[Any, ...]]:
        return JaxFunction, (self._f, self._shape, self._dtype, self.options)

    def _value(self, structure: Structure, leaves: Leaves) -> Any:
        import jax

        result = jax.ShapeDtypeStruct(self._shape, _result_dtype(leaves, self._dtype))
        return jax.pure_callback(Value(self, structure, result), result, leaves, vmap_method="sequential")

    def _value_and_residuals(self, structure: Structure, primals: Leaves) -> tuple[Any, tuple[Leaves, Leaves]]:
        leaves = [primal.value for primal in primals]
        # Residuals must be arrays. Their structure can tell more: which leaves need a gradient.
        needed = [() if primal.perturbed and _floating(primal.value) else None for primal in primals]
        return self._differentiable(structure, leaves), (leaves, needed)

    def _cotangents(self, structure: Structure, residuals: tuple[Leaves, Leaves], weights: Any) -> tuple[Leaves]:
        import jax

        leaves, needed = residuals
        places = tuple(place for place, mark in enumerate(needed) if mark is not None)
        if not places or isinstance(weights, jax.custom_derivatives.SymbolicZero):
            return ([None] * len(leaves),)
        products = iter(self._product_once(structure, places, leaves, weights))
        return ([None if mark is None else next(products) for mark in needed],)

    def _product(self, structure: Structure, places: tuple[int, ...], leaves: Leaves, weights: Any) -> Any:
        import jax

        results = [jax.ShapeDtypeStruct(leaves[place].shape, leaves[place].dtype) for place in places]
        return jax.pure_callback(Product(self, structure, places), results, leaves, weights, vmap_method="sequential")

    def restriction(self, structure: Structure, leaves: Leaves, places: Sequence[int]) -> Restriction:
        """Return f as a function of some of the leaves."""
        import jax

        arguments = functools.partial(jax.tree.unflatten, structure)
        leading = self.options.evaluator.leading
        return Restriction(self._f, leading, [_given(leaf) for leaf in leaves], places, arguments, numbers_of)


# Dataclasses, for JAX compiles equal callbacks once.
@dataclass(frozen=True)
class Value:
    """Called by JAX for f's value."""

    function: JaxFunction
    structure: Structure
    result: jax.ShapeDtypeStruct

    def __call__(self, leaves: Leaves) -> NDArray[Any]:
        """Return f's value."""
        restriction = self.function.restriction(self.structure, leaves, range(len(leaves)))
        value = numbers_of(restriction.value())
        value = value[0] if restriction.leading else value
        shape, dtype = self.result.shape, self.result.dtype
        if value.shape != shape and not (value.size == math.prod(shape) == 1):
            raise ValueError(
                f"f returned an array of shape {value.shape}, but shape is {shape}: write jax_function(f,"
                f" shape={value.shape})"
            )
        if value.dtype.kind == "c" and dtype.kind != "c":
            raise TypeError(
                "f returned complex numbers, but real ones were expected: write jax_function(f, dtype=complex)"
            )
        return value.reshape(shape).astype(dtype)


@dataclass(frozen=True)
class Product:
    """Called by JAX for the product of weights with f's Jacobian with respect to some of the leaves."""

    function: JaxFunction
    structure: Structure
    places: tuple[int, ...]

    def __call__(self, leaves: Leaves, weights: Any) -> list[NDArray[Any]]:
        """Return the product, for each of the leaves."""
        restriction = self.function.restriction(self.structure, leaves, self.places)
        gradients = vjp(restriction, numbers_of(weights), self.function.options)
        # JAX's gradient with respect to a complex number is the conjugate of d/d(Re x) + i·d/d(Im x).
        return [
            gradient.conj().astype(leaves[place].dtype) for place, gradient in zip(self.places, gradients, strict=True)
        ]


def _checked_shape(shape: Any) -> tuple[int, ...]:
    lengths = shape if isinstance(shape, tuple) else (None,)
    if not all(isinstance(length, numbers.Integral) and int(length) >= 0 for length in lengths):
        raise TypeError(
            f"shape is {shape!r:.60}, but a tuple of lengths was expected: () for a number, (3,) for an array of three"
        )
    return tuple(lengths)


def _checked_dtype(dtype: Any) -> Any:
    import jax.numpy as jnp

    try:
        known = dtype is None or jnp.issubdtype(dtype, jnp.inexact)
    except TypeError:  # there is no such dtype
        known = False
    if not known:
        raise TypeError(
            f"dtype is {dtype!r:.60}, but JAX differentiates only floating and complex numbers: write dtype=float or"
            " dtype=complex, or None for the dtype of the arguments"
        )
    return dtype


def _given(leaf: Any) -> NDArray[Any]:
    """Return a leaf as f is given it: in the widest precision, and read-only."""
    array = np.asarray(leaf)
    if _floating(leaf):
        array = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
        array.flags.writeable = False
    return array


def _array(leaf: Any) -> jax.Array:
    import jax

    if not isinstance(leaf, (jax.Array, np.ndarray, np.generic, numbers.Number)):
        raise TypeError(
            f"an argument is or holds {leaf!r:.60}, but JAX passes only arrays and numbers: bind the argument before,"
            " as in jax_function(functools.partial(f, option=value))"
        )
    return jax.numpy.asarray(leaf)


def _floating(leaf: Any) -> bool:
    import jax.numpy as jnp

    return bool(jnp.issubdtype(leaf.dtype, jnp.inexact))


def _result_dtype(leaves: Leaves, dtype: Any) -> Any:
    import jax
    import jax.numpy as jnp

    if dtype is not None:
        return jax.dtypes.canonicalize_dtype(dtype)
    own = [leaf for leaf in leaves if _floating(leaf)]
    return jnp.finfo(jnp.result_type(*own) if own else jnp.result_type(float)).dtype


def _no_second_derivative(*_: Any) -> Any:
    raise no_second_derivative("jax_function")
