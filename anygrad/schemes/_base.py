"""The interface of a scheme."""

from __future__ import annotations

from typing import Protocol

from anygrad._plan import Lines, Slopes
from anygrad._typing import Array


class Scheme(Protocol):
    """A frozen object that differentiates functions of one variable from samples of them.

    Attributes
    ----------
    off_axis
        Whether f is sampled at complex points, off the real axis.

    A scheme may have ``examines`` as well: whether it looks at f's values to find out where to sample next. Of small
    arrays on a device, the host then computes with them.
    """

    @property
    def off_axis(self) -> bool: ...

    def steps(self, lines: Lines, n: int = 1) -> Array:
        """Return the step that the n-th derivative of each line begins with, (m, 1)."""
        ...

    def differentiate(self, lines: Lines, steps: Array, n: int = 1) -> Slopes:
        """Sample ``lines``, beginning with ``steps``, and return their n-th derivatives at ``lines.at``."""
        ...

    def calls(self, m: int, n: int = 1) -> int:
        """Return how often f is called for the n-th derivatives of m lines; about how often, where that depends."""
        ...
