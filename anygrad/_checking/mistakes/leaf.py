"""One array of the tree, made ready to look for mistakes in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from anygrad._checking.comparison import Comparison, HostArray
from anygrad._checking.mistakes.evidence import grain

# As many of the wrong elements tell whether a mistake is worth looking at everywhere.
_SAMPLE = 4096

Index = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Leaf:
    """What is claimed of one array of one dimension or more, beside what was found.

    Elements that are not finite on both sides are 0 here, with an infinite tolerance: they fit everything.

    Attributes
    ----------
    name
        The array in the user's words.
    claimed, numerical, tolerance
        As in `Comparison`.
    point
        The elements of x, if they are known and real.
    still
        Whether f is known not to change with the array.
    """

    name: str
    claimed: HostArray
    numerical: HostArray
    tolerance: HostArray
    point: HostArray | None = None
    still: bool = False

    @classmethod
    def of(cls, comparison: Comparison, point: HostArray | None = None, *, still: bool = False) -> Leaf:
        """Return a comparison, made ready."""
        claimed, numerical, tolerance = map(
            np.atleast_1d, (comparison.claimed, comparison.numerical, comparison.tolerance)
        )
        finite = np.isfinite(claimed) & np.isfinite(numerical) & np.isfinite(tolerance)
        return cls(
            comparison.name,
            np.where(finite, claimed, 0.0),
            np.where(finite, numerical, 0.0),
            np.where(finite, tolerance, np.inf),
            None if point is None or np.iscomplexobj(point) else np.atleast_1d(np.asarray(point, float)),
            still,
        )

    def part(self, name: str, index: Index) -> Leaf:
        """Return a part of it as an array by itself."""
        point = None if self.point is None else self.point[index]
        return Leaf(name, self.claimed[index], self.numerical[index], self.tolerance[index], point)

    @cached_property
    def difference(self) -> HostArray:
        """The claimed derivatives less those found."""
        difference: HostArray = self.claimed - self.numerical
        return difference

    @cached_property
    def wrong(self) -> HostArray:
        """Where they are further apart than their errors allow."""
        wrong: HostArray = ~(np.abs(self.difference) <= self.tolerance)
        return wrong

    @cached_property
    def sample(self) -> Index:
        """The indices of wrong elements, but of no more than a few thousand."""
        return few(self.wrong)

    @cached_property
    def first(self) -> tuple[int, ...]:
        """The indices of one wrong element."""
        return tuple(int(indices[0]) for indices in self.sample)

    @cached_property
    def grain(self) -> float:
        """A number of which the wrong derivatives and those found there are all multiples, or 0."""
        at = self.sample
        values = np.concatenate([self.claimed[at], self.numerical[at]])
        return grain(values, np.tile(self.tolerance[at], 2))

    def fits(self, predicted: HostArray, allowed: HostArray) -> bool:
        """Return whether the claimed derivatives are all as predicted."""
        at = self.sample
        first = np.abs(self.claimed[at] - predicted[at]) <= allowed[at]
        return bool(first.all() and (np.abs(self.claimed - predicted) <= allowed).all())


def few(mask: HostArray) -> Index:
    """Return the indices of elements that are True, spread out evenly where there are many."""
    places = np.flatnonzero(mask)
    if places.size > _SAMPLE:
        places = places[np.linspace(0, places.size - 1, _SAMPLE).astype(int)]
    return np.unravel_index(places, mask.shape)


def joined(leaves: Sequence[Leaf]) -> Leaf:
    """Return several arrays as one of one dimension."""
    points = [leaf.point for leaf in leaves]
    known = [point.ravel() for point in points if point is not None]
    return Leaf(
        "",
        np.concatenate([leaf.claimed.ravel() for leaf in leaves]),
        np.concatenate([leaf.numerical.ravel() for leaf in leaves]),
        np.concatenate([leaf.tolerance.ravel() for leaf in leaves]),
        np.concatenate(known) if len(known) == len(points) else None,
    )
