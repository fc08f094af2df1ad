"""What is wanted of lines."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from anygrad.schemes._extrapolation import Series, ratio

# Two estimates may agree by accident: convergence is believed of the third one on.
_CONFIRMED = 3


@dataclass(frozen=True, eq=False)
class Wanted:
    """Which derivative of lines is wanted, and how many levels it may take.

    Attributes
    ----------
    n
        Which derivative is wanted.
    side
        0 to take points on both sides of x, 1 or -1 to take them on one.
    levels
        How many levels there may be.
    widens
        Whether the step may grow.
    """

    n: int
    side: int
    levels: int
    widens: bool = True

    @cached_property
    def series(self) -> Series:
        """The series that the derivative is read from."""
        return Series(1, 1, ratio(self.n)) if self.side else Series(2 - self.n % 2, 2, ratio(self.n))

    @cached_property
    def weights(self) -> tuple[float, ...]:
        """The weights of the levels that an estimate takes, of the latest first."""
        return self.series.weights(self.n)

    @property
    def window(self) -> int:
        """How many levels an estimate takes."""
        return len(self.weights)

    @property
    def soonest(self) -> int:
        """After how many levels an estimate is settled at the soonest."""
        return _CONFIRMED + self.window - 1
