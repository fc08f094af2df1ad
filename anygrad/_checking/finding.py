"""What a check has found out, before it is put into words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from anygrad._checking.comparison import Comparison, HostArray


@dataclass(frozen=True, eq=False)
class Finding:
    """Comparisons, and what each of their elements is; see `judgement.VERDICTS`.

    Attributes
    ----------
    comparisons, states
        For each array; along directions, one of which the elements are the directions.
    located
        Along directions, the elements by which the wrong ones differ, and their places in x: comparisons of one element
        each, of which the name is that of the element.
    directional
        Whether it was checked along directions.
    blind
        Whether f, given copies of x, never returned another value.
    ncalls
        How often f was called.
    """

    comparisons: Sequence[Comparison]
    states: Sequence[HostArray]
    ncalls: int
    located: Sequence[Comparison] = field(default=())
    directional: bool = False
    blind: bool = False

    @property
    def wrong(self) -> bool:
        """Whether any element is further off than the errors of both sides allow."""
        return any(bool(np.any(comparison.wrong)) for comparison in self.comparisons)
