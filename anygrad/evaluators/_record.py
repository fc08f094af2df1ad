"""What a session has learnt: how often f was called, what it returned for x itself, and whether its values vary."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from array_api_compat import array_namespace, is_array_api_obj

from anygrad._typing import Array
from anygrad.backends import Memory


class Record:
    """The account of a session.

    Attributes
    ----------
    calls, points
        How often f has been called, and at how many points it has been evaluated.
    known
        What f returned, unpacked, for x itself, if it has been called for that; in a batch, for each row of x by its
        number.
    failed
        The elements of which a point could not be evaluated.
    tolerant
        Whether points that could not be evaluated have the value NaN, instead of being an error.
    """

    def __init__(self, memory: Memory) -> None:
        self.calls = 0
        self.points = 0
        self.known: dict[int, object] = {}
        self.failed: set[int] = set()
        self.tolerant = False
        self._memory = memory
        self._first: Array | None = None
        self._varied = memory.visible

    @property
    def counts(self) -> dict[str, Any]:
        """What `Result` says of them, and whether any point failed; None where that is an error."""
        return {"ncalls": self.calls, "npoints": self.points, "failed": bool(self.failed) if self.tolerant else None}

    def count(self, points: int, calls: int | None = None) -> None:
        """Add points, and calls if they are not as many."""
        self.points += points
        self.calls += points if calls is None else calls

    def keep(self, sample: int, value: object) -> None:
        """Keep what f returned for x, or a row of it."""
        self.known[sample] = _kept(value)

    def look(self, columns: Sequence[Array]) -> None:
        """Note whether any value differs from the first of all."""
        if self._first is None:
            self._first = columns[0][0, ...]
        if not self._varied and self._memory.concrete:
            self._varied = _clearly_differ(columns) or any(self._differs(column) for column in columns)

    def blind(self, base: Callable[[], Array]) -> bool:
        """Return whether all values, and f(x) as well, are the same although f has been given copies."""
        if self._varied or self._first is None or not self._memory.concrete:
            return False
        if not self._memory.size or not math.prod(self._first.shape):  # nothing to see, or nothing to show it
            return False
        # x**2 at 0 has the same value at -h and h: f(x) tells it from a constant.
        return not self._differs(base())

    def _differs(self, values: Array) -> bool:
        """Return whether any value is not the first one. Those that are not finite make no gradient of 0."""
        xp = self._memory.xp
        return not xp.all((values == self._first) & xp.isfinite(values))


def _clearly_differ(columns: Sequence[Array]) -> bool:
    """Return whether the first number and the last one do, as they nearly always do: looking at all takes longer."""
    first, last = columns[0][0, ...], columns[-1][-1, ...]
    # One number is fetched from a device, not two answers.
    return first.ndim == 0 and 0 < float(abs(first - last)) < math.inf


def _kept(value: Any) -> Any:
    """Return what f returned such that later calls cannot change it: f may return the same array each time."""
    if isinstance(value, list):
        return [_kept(part) for part in value]
    return array_namespace(value).astype(value, value.dtype, copy=True) if is_array_api_obj(value) else value
