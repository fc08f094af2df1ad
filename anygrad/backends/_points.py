"""The interface of the points of a stencil: all of them about a small x, in one array, for one call of f."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from anygrad._typing import Array
from anygrad.backends._vectoriser import Rule

Numbers = NDArray[Any]

# Between these a square is a normal number; beyond, and thirty steps from there, is still a number.
_LEAST_SQUARED, _MOST_SQUARED, _HUGE = 1e-150, 1e150, 1e300


class StencilPoints(Protocol):
    """Copies of x along a leading axis: each with one element set, all elements to their first level, then the next."""

    @property
    def argument(self) -> Array:
        """What f is given."""
        ...

    def read(self, value: object) -> Array | None:
        """Return f's values, if they are what nearly all are: an array with a float64 for each point, on x's device.

        Of an x in the host's memory they are NumPy's.
        """
        ...

    def derived(self, values: Array) -> tuple[Array, bool, bool]:
        """Return the gradient by these values; whether f has written to its argument; whether they may be all alike.

        They may not, if the first and the last one are finite, and differ.
        """
        ...


class PointsAbout(Protocol):
    """What makes the points of a stencil about x."""

    def __call__(
        self, x: Any, rule: Rule, step: float, /, *, most: float, max_bytes: int | None
    ) -> StencilPoints | None:
        """Return them; None if there are more than fit, or x is not of float64 numbers of at most this magnitude."""
        ...


def within(numbers: Numbers, most: float) -> bool:
    """Return whether all numbers are at most so large: NaN is not. They are not either, if the points may overflow."""
    if most > _HUGE:
        return False
    with np.errstate(all="ignore"):
        # As nearly always, and one operation instead of three.
        if _LEAST_SQUARED < most < _MOST_SQUARED and numbers.dot(numbers) <= most * most:
            return True
        return b"\0" not in (abs(numbers) <= most).tobytes()  # numpy.all is written in Python


def combined(rule: Rule, values: Array, step: Any, size: int) -> Array:
    """Return the derivatives by the values at all points."""
    with np.errstate(all="ignore"):  # NaN and inf show in the result
        return rule.combine([values[start : start + size] for start in range(0, values.shape[0], size)], step)
