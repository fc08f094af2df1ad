"""The derivatives as found numerically, with their errors, on the host."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anygrad._checking.comparison import HostArray
from anygrad._checking.hosted import leaves_on_host, together_on_host
from anygrad._pytree import flatten
from anygrad._result import ConstantFunctionWarning, Result
from anygrad._typing import Array, PyTree
from anygrad.schemes import Scheme


@dataclass(frozen=True, eq=False)
class Measured:
    """Derivatives found numerically; lists have an entry for each array.

    Attributes
    ----------
    names, values, errors
        The arrays, the expressions that name them, and estimates of the absolute error of each element.
    steps
        The steps taken, which can be broadcast to the values; one number for all of them if they are of other shapes.
    flags
        Those of the scheme.
    blind
        Whether f, given copies of x, never returned another value.
    ncalls
        How often f was called.
    """

    names: Sequence[str]
    values: Sequence[HostArray]
    errors: Sequence[HostArray]
    steps: Sequence[HostArray]
    flags: Sequence[Mapping[str, HostArray]]
    blind: bool
    ncalls: int


def measured(differentiate: Callable[..., Result], scheme: Scheme, name: str, rounding: float, n: int = 1) -> Measured:
    """Return what an operator finds by a scheme.

    A scheme that makes no estimate of its error is used twice, at its own step and at twice that: the error is how much
    that changes, and what rounding in values of f makes of the n-th derivative; ``rounding`` is that of one value.
    """
    result, blind = _with(differentiate, scheme)
    other = _with(differentiate, _doubled(scheme, result))[0] if result.error is None else None
    second = result.error if other is None else other.value
    columns = [_leaves(tree) for tree in (result.value, second, *result.flags.values())]
    tables = [together_on_host(arrays, name) for arrays in zip(*columns, strict=True)]
    values, errors = [table[0] for table in tables], [table[1] for table in tables]
    steps = _steps(result.step, values)
    if other is None:
        errors = [np.abs(error) for error in errors]  # as complex numbers where x is
    else:
        errors = [
            np.abs(value - wide) + 2**n * rounding / step**n
            for value, wide, step in zip(values, errors, steps, strict=True)
        ]
    return Measured(
        names=[place for place, _ in flatten(result.value, name)[0]],
        values=values,
        errors=errors,
        steps=steps,
        flags=[dict(zip(result.flags, table[2:], strict=True)) for table in tables],
        blind=blind,
        ncalls=result.ncalls + (other.ncalls if other else 0),
    )


def values_of(differentiate: Callable[..., Result], scheme: Scheme) -> tuple[list[HostArray], list[HostArray], int]:
    """Return the values alone that an operator finds by a scheme, the steps taken, and the calls of f."""
    result, _ = _with(differentiate, scheme)
    values = [value for _, value in leaves_on_host(result.value, "the derivative")]
    return values, _steps(result.step, values), result.ncalls


def _leaves(tree: PyTree) -> list[Array]:
    return [leaf for _, leaf in flatten(tree)[0]]


def _steps(tree: PyTree, values: Sequence[HostArray]) -> list[HostArray]:
    steps = [np.abs(step) for _, step in leaves_on_host(tree, "the step")]
    if len(steps) == len(values) and all(map(_fits, steps, values)):
        return steps
    smallest = min((float(np.min(step[step > 0], initial=np.inf)) for step in steps), default=np.inf)
    return [np.asarray(smallest) for _ in values]


def _fits(step: HostArray, value: HostArray) -> bool:
    return step.ndim <= value.ndim and value.shape[value.ndim - step.ndim :] == step.shape


def _doubled(scheme: Scheme, result: Result) -> Scheme:
    """Return the scheme with steps twice as long as those taken; itself, if it has none."""
    if not (dataclasses.is_dataclass(scheme) and hasattr(scheme, "step")):
        return scheme
    leaves, rebuild = flatten(result.step, "the step")
    doubled: Scheme = dataclasses.replace(scheme, step=rebuild(_twice(leaf) for _, leaf in leaves))
    return doubled


def _twice(step: Array) -> Array | float:
    """Return twice a step; along a direction it is a number, and none of a device."""
    return 2 * step if step.ndim else 2 * float(step)


def _with(differentiate: Callable[..., Result], scheme: Scheme) -> tuple[Result, bool]:
    """Return the result, and whether f was blind: then it is found a second time, without the warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConstantFunctionWarning)
        try:
            return differentiate(scheme=scheme), False
        except ConstantFunctionWarning:
            warnings.simplefilter("ignore", ConstantFunctionWarning)
            return differentiate(scheme=scheme), True
