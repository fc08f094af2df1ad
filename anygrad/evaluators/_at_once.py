"""All points near a small x by one call of f, without a session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from anygrad._typing import Array
from anygrad.backends import Memory, Stack
from anygrad.evaluators._base import Brief
from anygrad.evaluators._perturb import modified
from anygrad.evaluators._record import Record


@dataclass(eq=False)
class AtOnce:
    """f of many points.

    Attributes
    ----------
    many, stack
        The function, and what its argument is made by.
    memory
        The elements of x.
    read
        Takes what f returned for so many points to an array with a number for each.
    brief
        What is wanted.
    at_x
        Calls f with x itself; None if it is to be called with one of many points for that.
    """

    many: Callable[[Any], Any]
    stack: Stack
    memory: Memory
    read: Callable[[Any, int], Array]
    brief: Brief
    at_x: Callable[[], object] | None = None

    def derived(self, levels: Sequence[Array]) -> tuple[Sequence[Array], bool]:
        """Return the derivatives by all elements, set to each of their levels, and whether f may not have seen that."""
        size = self.memory.size
        starts = range(0, size * len(levels), size)
        for start, level in zip(starts, levels, strict=True):
            self.stack.write(range(start, start + size), range(size), 0, level)
        values = self._called(size * len(levels))
        columns = [values[start : start + size] for start in starts]
        record = Record(self.memory)
        record.look(columns)
        return [self.brief.slope(columns)], record.blind(self._base)

    def _called(self, count: int) -> Array:
        changed, finished = False, False
        try:
            with self.brief.calling():
                value = self.many(self.stack.argument(count))
            values = self.read(value, count)
            finished = True
        finally:
            changed = self.stack.settle(look=finished)
        if changed:
            raise modified()
        return values

    def _base(self) -> Array:
        if self.at_x is None:
            return self._called(1)
        with self.brief.calling():
            value = self.at_x()
        results = self.memory.results(1)
        results.append(self.memory.read(value))
        [base] = self.memory.gathered(results, 1)
        return base
