"""What an operator asks of a scheme, and what it gets back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from anygrad._typing import Array, Namespace


@dataclass(frozen=True)
class Lines:
    """Functions of one real number, to be differentiated side by side.

    For a gradient the i-th one is ``t -> f(x with its i-th element set to t)``. The scheme decides where
    they are sampled; it knows neither ``f`` nor ``x`` nor the library of the arrays it is given, all of
    which have shape (m,) and the working precision (float64 wherever the device has it).

    Attributes
    ----------
    xp
        The array API namespace of all arrays here.
    at
        Where the derivatives are wanted.
    scale
        How large the numbers are that ``at`` belongs to: what "small step" is measured against.
    eps
        Spacing at 1 of the dtype in which the samples are taken.
    tiny
        Smallest positive number of that dtype.
    sample
        ``sample((t1, ..., tk))`` samples each function at k points and returns k arrays of values.
    base
        The values at ``at`` itself: ``f(x)`` for all, evaluated once however often it is asked for.
    nearest
        Rounds points to the numbers that the dtype of ``x`` can hold.
    any
        Whether any element of a mask is true; False where looking would force a lazy computation.
    """

    xp: Namespace
    at: Array
    scale: Array
    eps: float
    tiny: float
    sample: Callable[[Sequence[Array]], Sequence[Array]]
    base: Callable[[], Array]
    nearest: Callable[[Array], Array]
    any: Callable[[Array], bool]


@dataclass(frozen=True)
class Slopes:
    """The derivatives of `Lines`: arrays of shape (m,)."""

    value: Array
    step: Array
