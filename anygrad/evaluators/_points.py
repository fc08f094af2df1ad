"""Points at which f is to be evaluated: x, with some of its elements set to other numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from anygrad._typing import Array, Namespace


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


def in_columns(
    xp: Namespace, evaluate: Callable[[Points], Iterable[tuple[range, Array]]], points: Points, columns: int
) -> list[Array]:
    """Return f's values at points, those of a sample, as so many arrays, from those of some points at a time."""
    pieces = sorted(evaluate(points), key=lambda piece: piece[0].start)
    values = pieces[0][1] if len(pieces) == 1 else xp.concat([values for _, values in pieces])
    count = len(points) // columns
    return [values[start : start + count, ...] for start in range(0, len(points), count)]
