"""The right numbers a few places away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from anygrad._checking.comparison import HostArray
from anygrad._checking.mistakes.evidence import hardly_by_chance
from anygrad._checking.mistakes.leaf import Index, Leaf, joined
from anygrad._checking.mistakes.rearranged import moved_odds
from anygrad._checking.mistakes.scene import Explanation, Scene

# Of the places that an element may have come from, as many are tried.
_TRIED = 8
# But no more of them are looked at than this.
_SEEN = 1000
# A shift needs elements that move, and elements that they come from.
_SHORTEST = 3


@dataclass(frozen=True)
class Shift:
    """Elements moved along an axis, and what is in the places that they have left.

    Attributes
    ----------
    axis
        The axis.
    by
        How far, towards higher indices.
    filling
        What the places have got that were left: `_WRAPPED`, `_ZERO`, `_REPEATED` or `_KEPT`.
    """

    axis: int
    by: int
    filling: str

    def __call__(self, array: HostArray) -> HostArray:
        """Return an array with its elements moved."""
        moved = np.roll(array, self.by, self.axis)
        if self.filling == _WRAPPED:
            return moved
        first = self.by > 0
        left = self._at(slice(None, self.by) if first else slice(self.by, None))
        if self.filling == _ZERO:
            moved[left] = 0
        elif self.filling == _REPEATED:
            moved[left] = array[self._at(slice(None, 1) if first else slice(-1, None))]
        else:
            moved[left] = array[left]
        return moved

    def _at(self, indices: slice) -> Index:
        return (*(slice(None),) * self.axis, indices)


_WRAPPED = "around the end"
_ZERO = "with zeros in the places left"
_REPEATED = "with the edge repeated"
_KEPT = "and the places left are as they were"
_FILLINGS = (_WRAPPED, _ZERO, _REPEATED, _KEPT)


def shifted(scene: Scene) -> Iterator[Explanation]:
    """Find arrays whose elements are some places away from where they belong."""
    for leaf in scene.unexplained:
        found = _shift(leaf)
        if found is not None:
            yield Explanation(leaf, leaf.name, found)


def _shift(leaf: Leaf) -> str | None:
    shape = leaf.claimed.shape
    for axis in range(len(shape)):
        shift = _along(leaf, axis)
        if shift is not None:
            return _says(shift, f" along axis {axis}" if len(shape) > 1 else "")
    shift = _along(joined([leaf]), 0) if len(shape) > 1 else None
    return None if shift is None else _says(shift, " in the order of its elements in memory")


def _says(shift: Shift, along: str) -> str:
    off = abs(shift.by)
    return (
        f"the claimed gradient is the numerical one shifted by {shift.by}{along}, {shift.filling}: "
        f"an index is off by {off}"
    )


def _along(leaf: Leaf, axis: int) -> Shift | None:
    if leaf.claimed.shape[axis] < _SHORTEST:
        return None
    for by in _distances(leaf, axis):
        if not _overlaps(leaf, axis, by):
            continue
        for shift in (Shift(axis, by, filling) for filling in _FILLINGS):
            if leaf.fits(shift(leaf.numerical), np.maximum(leaf.tolerance, shift(leaf.tolerance))):
                return shift
    return None


def _distances(leaf: Leaf, axis: int) -> list[int]:
    """Return how far elements may have been moved: by one, or as the largest of the wrong ones has been."""
    length = leaf.claimed.shape[axis]
    sizes = np.abs(leaf.claimed[leaf.sample])
    largest = tuple(int(indices[np.argmax(sizes)]) for indices in leaf.sample)
    line: Index = (*largest[:axis], slice(None), *largest[axis + 1 :])
    allowed = np.maximum(leaf.tolerance[line], leaf.tolerance[largest])
    sources = np.flatnonzero(np.abs(leaf.numerical[line] - leaf.claimed[largest]) <= allowed)
    nearest = sorted((largest[axis] - int(source) for source in sources[:_SEEN]), key=abs)
    around = [by - length if by > 0 else by + length for by in nearest]
    ways = sorted({1, -1, *nearest, *around} - {0}, key=lambda by: (abs(by), -by))
    return ways[:_TRIED]


def _overlaps(leaf: Leaf, axis: int, by: int) -> bool:
    """Return whether wrong elements are what they would have been moved from, and not by chance."""
    source = leaf.sample[axis] - by
    inside = (source >= 0) & (source < leaf.claimed.shape[axis])
    at = tuple(indices[inside] for indices in leaf.sample)
    origin = (*at[:axis], source[inside], *at[axis + 1 :])
    allowed = np.maximum(leaf.tolerance[at], leaf.tolerance[origin])
    if not (np.abs(leaf.claimed[at] - leaf.numerical[origin]) <= allowed).all():
        return False
    return hardly_by_chance(moved_odds(leaf, at, allowed), spare=1, tries=_TRIED)
