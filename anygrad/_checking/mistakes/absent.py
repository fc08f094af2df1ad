"""Derivatives that are no numbers, and zeros where f is not flat."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from anygrad._checking.comparison import Comparison
from anygrad._checking.mistakes.evidence import coincidence, hardly_by_chance
from anygrad._checking.mistakes.leaf import Leaf
from anygrad._checking.mistakes.places import where
from anygrad._checking.mistakes.scene import Explanation, Scene


def not_finite(comparison: Comparison, leaf: Leaf) -> Explanation | None:
    """Find NaN or infinity claimed where f has a finite derivative."""
    claimed, numerical = np.atleast_1d(comparison.claimed), np.atleast_1d(comparison.numerical)
    affected = ~np.isfinite(claimed) & np.isfinite(numerical)
    if not affected.any():
        return None
    what = "NaN" if np.isnan(claimed[affected]).any() else "infinite"
    says = f"the claimed gradient is {what} where the numerical one is finite"
    return Explanation(leaf, where(leaf, affected, ~affected & ~np.isfinite(numerical)), says)


def never_computed(scene: Scene) -> Iterator[Explanation]:
    """Find zeros claimed where f is not flat."""
    for leaf in scene.unexplained:
        zero = leaf.claimed == 0
        if not zero[leaf.sample].all() or not zero[leaf.wrong].all():
            continue
        if zero.all():
            yield Explanation(leaf, where(leaf, leaf.wrong, zero), _NEVER)
            continue
        size = np.abs(leaf.numerical[leaf.sample])
        if hardly_by_chance(coincidence(size, np.zeros_like(size), leaf.grain)):
            yield Explanation(leaf, where(leaf, leaf.wrong, zero), _LEFT_OUT)


def not_read(scene: Scene) -> Iterator[Explanation]:
    """Find arrays with which f does not change at all, where the claim is that it does."""
    for leaf in scene.unexplained:
        size = np.abs(leaf.claimed[leaf.sample])
        if not leaf.still or not np.all(size):
            continue
        if hardly_by_chance(coincidence(size, np.zeros_like(size), leaf.grain)):
            yield Explanation(leaf, leaf.name, _NOT_READ)


_NOT_READ = (
    "f does not change with it at all: it may read another array instead, such as the one that x is a copy of; let it "
    "use its argument, or pass the very array that it reads"
)
_NEVER = (
    "the claimed gradient is 0 everywhere, where f is not flat: it was never computed, or not written into the array "
    "that is returned"
)
_LEFT_OUT = "the claimed gradient is 0 where f is not flat: elements were left out"
