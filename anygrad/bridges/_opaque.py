"""Functions of which nothing is known but their values, and products of vectors with their Jacobians."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from anygrad._directional import jvp
from anygrad._function import Function
from anygrad._job import Options
from anygrad._jobs import jobs_of, require_distinct
from anygrad._run import differentiated, unseen_arrays
from anygrad._typing import Array
from anygrad._variables import Variables

Arguments = tuple[Sequence[Any], Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class Section:
    """f as a function of some of the arrays among its arguments, all else being kept.

    Attributes
    ----------
    f
        The function, and with it ``options``: how it is differentiated.
    arrays, places
        All arrays among the arguments, of one library; and which of them vary.
    arguments
        Makes f's positional and keyword arguments of such arrays.
    read
        Makes an array of that library, of float64 or complex128, of what f returns.
    """

    f: Callable[..., object]
    options: Options
    arrays: Sequence[Array]
    places: Sequence[int]
    arguments: Callable[[Sequence[Array]], Arguments]
    read: Callable[[object], Array]

    @property
    def varied(self) -> tuple[Array, ...]:
        """The arrays that vary."""
        return tuple(self.arrays[place] for place in self.places)

    @property
    def leading(self) -> bool:
        """Whether f takes many points, and returns many values, along a leading axis."""
        return self.options.evaluator.leading

    @property
    def own_options(self) -> Options:
        """The options, with the bounds of the arrays that vary."""
        options, bounds = self.options, self.options.bounds
        if bounds is not None:
            bounds = self._of_varied(bounds[0]), self._of_varied(bounds[1])
        return Options(options.scheme, options.evaluator, bounds, plan={"operator": "a product with the Jacobian"})

    def __call__(self, varied: Sequence[Array]) -> Array:
        return self.read(self.returned(varied))

    def value(self) -> Array:
        """Return what f returns for its arguments as they are."""
        if not self.leading:
            return self(self.varied)
        return self([array[None] for array in self.varied])[0]

    def returned(self, varied: Sequence[Array]) -> object:
        """Return what f returns."""
        arrays = list(self.arrays)
        if self.leading and varied:
            count = varied[0].shape[0]
            arrays = [array_namespace(array).broadcast_to(array, (count, *array.shape)) for array in arrays]
        for place, array in zip(self.places, varied, strict=True):
            arrays[place] = array
        args, kwargs = self.arguments(arrays)
        return self.f(*args, **kwargs)

    def _of_varied(self, bound: Any) -> tuple[Any, ...]:
        if not isinstance(bound, tuple):
            return (bound,) * len(self.places)
        if len(bound) != len(self.arrays):
            raise ValueError(
                f"a bound is the tuple {bound!r:.60}, but there are {len(self.arrays)} arrays among the arguments:"
                " give one bound for each of these, None for those without one, or one number for all"
            )
        return tuple(bound[place] for place in self.places)


@dataclass(frozen=True, eq=False)
class Weighted:
    """The sum of what a section returns, each element times its weight; if weights are complex, its real part."""

    section: Section
    weights: Array

    def __call__(self, varied: Sequence[Array]) -> Array:
        value = self.section(varied)
        points = tuple(value.shape[:1]) if self.section.leading else ()
        wanted = (*points, *self.weights.shape)
        if tuple(value.shape) != wanted:
            raise ValueError(
                f"f returned an array of shape {tuple(value.shape)} at one point and of shape {wanted} at another: the"
                " derivative needs the same at all points"
            )
        xp = array_namespace(value, self.weights)
        total = xp.sum(xp.reshape(value * self.weights, (*points, math.prod(self.weights.shape))), axis=-1)
        # With real weights a total is complex at points off the axis, where the imaginary part is what is wanted.
        return xp.real(total) if xp.isdtype(self.weights.dtype, "complex floating") else total


def transposed(section: Section, weights: Array) -> tuple[Array, ...]:
    """Return the product of ``weights``, an array like what f returns, with f's Jacobian, by each array that varies.

    It is the gradient of one number, and calls f as often as that of any other. Weights of 0 need no call.
    """
    xp = array_namespace(weights)
    if not bool(xp.any(weights != 0)):
        return tuple(array_namespace(array).zeros_like(array) for array in section.varied)
    options = section.own_options
    variables, function = Variables.of(section.varied), Function(Weighted(section, weights))
    jobs = jobs_of(variables, function, options)
    parts = differentiated(jobs, function, options)
    require_distinct(variables, [part.in_place for part in parts])
    if unseen_arrays(jobs, parts):
        # The sum does not change; whether f does, or has to be warned of, its values along some direction tell.
        directional(section, [_ones_like(array) for array in section.varied])
    return tuple(part.arrays.value for part in parts)


def directional(section: Section, tangents: Sequence[Array]) -> Array:
    """Return the product of f's Jacobian with ``tangents``, an array like each of those that vary."""
    options = section.own_options
    return jvp(
        section,
        section.varied,
        tuple(tangents),
        scheme=options.scheme,
        evaluator=options.evaluator,
        bounds=options.bounds,
    )


def _ones_like(array: Array) -> Array:
    xp = array_namespace(array)
    return xp.ones_like(xp.real(array) if xp.isdtype(array.dtype, "complex floating") else array)


def numbers_of(returned: object) -> NDArray[Any]:
    """Return a number, list of numbers or array that f returned as a new array of NumPy; raise if it is none."""
    try:
        array = np.asarray(returned)
        if array.dtype.kind in "biufcV":  # V: bfloat16 and others that NumPy itself does not have
            return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64, order="C")
    except (TypeError, ValueError):  # an array on a device, a list whose parts differ in length, records
        pass
    hint = ": does it lack a return statement?" if returned is None else f" ({returned!r:.60})."
    kind = "None" if returned is None else f"a {type(returned).__qualname__}"
    raise TypeError(f"f returned {kind}, but a number or one array of numbers was expected{hint}")
