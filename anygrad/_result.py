"""What a differentiation returns when asked for everything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from anygrad._typing import PyTree


@dataclass(frozen=True)
class Result:
    """A derivative and how it came about.

    All arrays are of x's library, on x's device; for a pytree x each of them is a pytree like it.

    Attributes
    ----------
    value
        The derivative.
    error
        Estimate of the absolute error of each element, or None where the scheme makes none.
    step
        The step taken for each element, in units of x.
    flags
        From a flag's name to a boolean array of x's shape.
    ncalls
        How often f was called.
    npoints
        At how many points f was evaluated.
    """

    value: PyTree
    error: PyTree | None
    step: PyTree
    flags: Mapping[str, PyTree]
    ncalls: int
    npoints: int


class ConstantFunctionWarning(UserWarning):
    """f was given perturbed copies of x, yet every value it returned is the same.

    Either f is constant, or it reads x through a closure and so never saw the perturbations.
    """
