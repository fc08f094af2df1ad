"""What a differentiation returns when asked for everything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from anygrad._typing import PyTree


@dataclass(frozen=True, eq=False)
class Result:
    """A derivative and how it came about.

    All arrays are of x's library, on x's device; where x, or what f returns, is a pytree, each of them is one as well.

    Attributes
    ----------
    value
        The derivative.
    error
        Estimate of the absolute error of each element, or None where the scheme makes none.
    step
        The step taken for each element, in units of x, like x; along a direction, one number.
    flags
        From a flag's name to booleans like ``value``: ``nonfinite``, ``one_sided``; of `Adaptive` also ``kink``,
        ``noisy`` and ``unconverged``; of `Journal` ``failed``.
    ncalls
        How often f was called.
    npoints
        At how many points f was evaluated.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> result = anygrad.derivative(np.abs, np.array([0.0, 2.0]), full_output=True)
    >>> result.value, result.flags["kink"], result.ncalls
    (array([0., 1.]), array([ True, False]), 11)
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
