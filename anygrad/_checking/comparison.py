"""What is claimed, beside what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

HostArray: TypeAlias = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class Comparison:
    """One array of derivatives as claimed and as found numerically, on the host; all of them are of its shape.

    Attributes
    ----------
    name
        The array in the user's words: ``x``, or ``x['W1']``.
    claimed, numerical
        The derivatives, in float64 or complex128.
    tolerance
        How far the two may be apart for all that is known of the errors of both.
    rounded
        How far what is claimed may be off by its own rounding; a part of the tolerance.
    """

    name: str
    claimed: HostArray
    numerical: HostArray
    tolerance: HostArray
    rounded: HostArray

    @property
    def difference(self) -> HostArray:
        """How far the two are apart."""
        with np.errstate(invalid="ignore"):
            distance: HostArray = np.abs(self.claimed - self.numerical)
        return distance

    @property
    def wrong(self) -> HostArray:
        """Where they are further apart than the errors of both allow; what was not found is no proof."""
        found = np.isfinite(self.numerical) & np.isfinite(self.tolerance)
        beyond: HostArray = found & ~(self.difference <= self.tolerance)
        return beyond

    @property
    def ratio(self) -> HostArray:
        """The difference as a multiple of what is tolerated; infinite where one of the two is not finite."""
        with np.errstate(all="ignore"):
            ratio = np.where(self.difference == 0, 0.0, self.difference / self.tolerance)
        return np.nan_to_num(ratio, nan=np.inf, posinf=np.inf)


def joined(name: str, comparisons: Sequence[Comparison]) -> Comparison:
    """Return comparisons of the same shape as one, with an axis more."""
    return Comparison(
        name,
        np.stack([one.claimed for one in comparisons]),
        np.stack([one.numerical for one in comparisons]),
        np.stack([one.tolerance for one in comparisons]),
        np.stack([one.rounded for one in comparisons]),
    )
