"""Points at which f is to be evaluated: x, with some of its elements set to other numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anygrad._typing import Array, Namespace

if TYPE_CHECKING:
    from anygrad.evaluators._base import Session


@dataclass(eq=False)
class Points:
    """Points that differ from x by ``width`` elements each.

    Attributes
    ----------
    elements
        The elements that are set, those of one point after those of the other.
    part
        Which part of them is set: 0 the real one, 1 the imaginary one, None both.
    numbers
        What each of them is set to, a working array of one dimension.
    width
        How many elements of a point are set.
    """

    elements: Sequence[int]
    part: int | None
    numbers: Array
    width: int = 1

    @classmethod
    def of(
        cls, xp: Namespace, elements: Sequence[int], part: int | None, levels: Sequence[Array], width: int
    ) -> Points:
        """Return the points of a sample: all for the first level, then all for the next."""
        if len(levels) == 1:
            return cls(elements, part, levels[0], width)
        return cls(list(elements) * len(levels), part, xp.concat(list(levels)), width)

    def __len__(self) -> int:
        return len(self.elements) // self.width

    def taken(self, start: int, stop: int) -> Points:
        """Return those from ``start`` on and before ``stop``."""
        span = slice(start * self.width, stop * self.width)
        return Points(self.elements[span], self.part, self.numbers[span], self.width)


def sampled(
    session: Session, elements: Sequence[int], part: int | None, levels: Sequence[Array], width: int
) -> list[Array]:
    """Return what `Session.sample` does, of a session that evaluates some points at a time."""
    if not width:  # x is empty, and f(x) its only value
        return [session.base(range(1))] * len(levels)
    xp = session.memory.xp
    points = Points.of(xp, elements, part, levels, width)
    pieces = sorted(session.evaluate(points), key=lambda piece: piece[0].start)
    parts: list[Array] = [values for _, values in pieces]
    values = parts[0] if len(parts) == 1 else xp.concat(parts)
    count = len(points) // len(levels)
    return [values[start : start + count, ...] for start in range(0, len(points), count)]
