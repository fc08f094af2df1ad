"""Products of vectors with the Jacobian of an f that is known by its values alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from anygrad._typing import Array
from anygrad.operators import directional
from anygrad.operators.partials import partials
from anygrad.problem.function import Function, qualname_of
from anygrad.problem.options import Options
from anygrad.problem.parameters import Parameters
from anygrad.problem.result import arrays_of

Arguments = tuple[Sequence[Any], Mapping[str, Any]]


@dataclass(eq=False)
class Restriction:
    """f as a function of some of the arrays among its arguments. All other arguments are fixed.

    Evaluators are given this in place of f, and can send it to other processes.
    """

    f: Callable[..., object]
    leading: bool  # whether f takes many points, and returns many values, along a leading axis
    arrays: Sequence[Array]  # all arrays among the arguments, of one library,
    places: Sequence[int]  # and which of them vary
    arguments: Callable[[Sequence[Array]], Arguments]  # makes f's arguments of such arrays
    read: Callable[[object], Array]  # makes an array, of float64 or complex128, of what f returns

    def __post_init__(self) -> None:
        self.__qualname__ = qualname_of(self.f)

    @property
    def varied(self) -> tuple[Array, ...]:
        """The arrays that vary."""
        return tuple(self.arrays[place] for place in self.places)

    def __call__(self, varied: Sequence[Array]) -> Array:
        return self.read(self.returned(varied))

    def value(self) -> object:
        """Call f with its own arguments, or with one point of them along a leading axis."""
        return self.returned([array[None] for array in self.varied] if self.leading else self.varied)

    def returned(self, varied: Sequence[Array]) -> object:
        """Call f with other arrays in the places of those that vary."""
        arrays = list(self.arrays)
        if self.leading and varied:
            count = varied[0].shape[0]
            arrays = [array_namespace(array).broadcast_to(array, (count, *array.shape)) for array in arrays]
        for place, array in zip(self.places, varied, strict=True):
            arrays[place] = array
        args, kwargs = self.arguments(arrays)
        return self.f(*args, **kwargs)


class WeightedSum:
    """The sum of what f returns, each element times its weight; for complex weights, its real part."""

    def __init__(self, restriction: Restriction, weights: Array) -> None:
        self.restriction = restriction
        self.weights = weights
        self.__qualname__ = qualname_of(restriction.f)
        self.real = not array_namespace(weights).isdtype(weights.dtype, "complex floating")
        alone = self.real and not weights.shape and not restriction.leading
        self.weight = float(weights) if alone else None

    def __call__(self, varied: Sequence[Array]) -> Array:
        returned = self.restriction.returned(varied)
        if type(returned) is float and self.weight is not None:  # a simulator's usual result, and much the fastest
            return returned * self.weight
        # Methods that NumPy and PyTorch share: to look for a namespace takes longer than all of this.
        value = self.restriction.read(returned)
        points = tuple(value.shape[:1]) if self.restriction.leading else ()
        expected = (*points, *self.weights.shape)
        if tuple(value.shape) != expected:
            raise ValueError(
                f"f returned an array of shape {tuple(value.shape)} at one point and of shape {expected} at another:"
                " let it return the same shape at all points"
            )
        total = (value * self.weights).reshape((*points, math.prod(self.weights.shape))).sum(-1)
        # With real weights the total is complex for the complex step, which needs the imaginary part.
        return total if self.real else total.real


def vjp(restriction: Restriction, weights: Array, options: Options) -> tuple[Array, ...]:
    """Return the product of ``weights``, an array like what f returns, with f's Jacobian, for each array that varies.

    It is the gradient of one number, and takes as many calls of f as any other. Weights of 0 take none.
    """
    if not bool((weights != 0).any()):
        return tuple(array_namespace(array).zeros_like(array) for array in restriction.varied)
    own = _options_for("vjp", restriction, options, weights=weights)
    found = partials(Function(WeightedSum(restriction, weights)), Parameters.of(restriction.varied), own)
    if found.unseen:
        # The sum is constant, as that of probabilities is. jvp warns if f is.
        jvp(restriction, [_ones_like(array) for array in restriction.varied], options)
    return tuple(arrays_of(*part).value for part in found.parts)


def jvp(restriction: Restriction, tangents: Sequence[Array], options: Options) -> Array:
    """Return the product of f's Jacobian with ``tangents``, an array like each of those that vary."""
    own = _options_for("jvp", restriction, options)
    return directional.jvp(
        restriction, restriction.varied, tuple(tangents), scheme=own.scheme, evaluator=own.evaluator, bounds=own.bounds
    )


def _options_for(operator: str, restriction: Restriction, options: Options, **also: Any) -> Options:
    """Return the options for an operator, with the bounds of the arrays that vary."""

    def of_varied(bound: Any) -> tuple[Any, ...]:
        if not isinstance(bound, tuple):
            return (bound,) * len(restriction.places)
        if len(bound) != len(restriction.arrays):
            raise ValueError(
                f"a bound is {bound!r:.60}, but the number of arrays among the arguments is {len(restriction.arrays)}:"
                " give a bound for each of them, None for those without one, or one number for all"
            )
        return tuple(bound[place] for place in restriction.places)

    bounds = options.bounds
    if bounds is not None:
        bounds = of_varied(bounds[0]), of_varied(bounds[1])
    return replace(options, operator=operator, bounds=bounds, also=also)


def _ones_like(array: Array) -> Array:
    xp = array_namespace(array)
    return xp.ones_like(xp.real(array) if xp.isdtype(array.dtype, "complex floating") else array)


def numbers_of(returned: object) -> NDArray[Any]:
    """Return a number, list of numbers or array that f returned as a new array of NumPy; raise for anything else."""
    try:
        array = np.asarray(returned)
        if array.dtype.kind in "biufcV":  # V: bfloat16 and others that NumPy itself does not have
            return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64, order="C")
    except (TypeError, ValueError):  # an array on a device, a list whose parts differ in length, records
        pass
    hint = ": does it lack a return statement?" if returned is None else ""
    kind = "None" if returned is None else f"a {type(returned).__qualname__} ({returned!r:.60})"
    raise TypeError(f"f returned {kind}, but a number or one array of numbers was expected{hint}")


def no_second_derivative(function: str) -> NotImplementedError:
    return NotImplementedError(
        f"a function made by {function} can be differentiated only once: for second derivatives, use"
        " anygrad.hessian(f, x) or anygrad.hvp(f, x, v)"
    )
