"""Gradients by one array that are claimed to be those by another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from anygrad._checking.mistakes.evidence import coincidence, frequency, hardly_by_chance
from anygrad._checking.mistakes.leaf import Leaf
from anygrad._checking.mistakes.scene import Explanation, Scene


def swapped(scene: Scene) -> Iterator[Explanation]:
    """Find two arrays of one shape, each of which has the other's gradient."""
    explained: list[Leaf] = []
    for one, other in combinations(scene.unexplained, 2):
        if one in explained or other in explained or not (_is_of(one, other, 1) and _is_of(other, one, 1)):
            continue
        explained += [one, other]
        says = "each has the gradient of the other: the two are swapped"
        yield Explanation(one, one.name, says)
        yield Explanation(other, other.name, says)


def copied(scene: Scene) -> Iterator[Explanation]:
    """Find an array that has the gradient of another one."""
    for leaf in scene.unexplained:
        source = next((other for other in scene.leaves if _is_of(leaf, other, len(scene.leaves))), None)
        if source is not None:
            yield Explanation(leaf, leaf.name, f"the claimed gradient is the numerical one of {source.name}")


def _is_of(leaf: Leaf, other: Leaf, tries: int) -> bool:
    """Return whether what is claimed of one array has been found for the other."""
    if leaf is other or leaf.claimed.shape != other.claimed.shape or not _may_be_of(leaf, other):
        return False
    allowed = np.maximum(leaf.tolerance, other.tolerance)
    if not leaf.fits(other.numerical, allowed):
        return False
    at = leaf.sample
    odds = np.maximum(
        coincidence(np.abs(leaf.difference[at]), allowed[at], leaf.grain),
        frequency(leaf.claimed[at], other.numerical, allowed[at]),
    )
    return hardly_by_chance(odds, tries=tries)


def _may_be_of(leaf: Leaf, other: Leaf) -> bool:
    """Return whether that holds for one wrong element: there may be many pairs of arrays."""
    at = leaf.first
    return bool(abs(leaf.claimed[at] - other.numerical[at]) <= max(leaf.tolerance[at], other.tolerance[at]))
