"""The interface of a stack: many points at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np

from anygrad._typing import Array

Rows: TypeAlias = int | range | np.ndarray[Any, np.dtype[np.intp]]


class Stack(Protocol):
    """Copies of x along a leading axis, some of whose elements are set: many points at a time."""

    def write(self, rows: Rows, elements: Sequence[int], part: int | None, levels: Array) -> None:
        """Set an element of each of these copies to its level; ``rows`` is one number if all are in that copy."""
        ...

    def fill(self, rows: range, samples: Sequence[int]) -> None:
        """Make these copies ones of other samples of a batch; needed before anything is written to them."""
        ...

    def argument(self, count: int) -> Array:
        """Return what f is given: the first ``count`` copies."""
        ...

    def settle(self, *, look: bool) -> bool:
        """Put back what was set; with ``look``, return whether the copies differed from what had been made of them."""
        ...
