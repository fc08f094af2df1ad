"""Where elements are, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anygrad._checking.comparison import HostArray
from anygrad._checking.mistakes.leaf import Index, Leaf

# As many indices are listed, before it becomes unreadable.
_LISTED = 6
_FEW = 3


def everywhere(leaf: Leaf) -> str:
    """Return the words for all elements."""
    return leaf.name


def where(leaf: Leaf, affected: HostArray, indifferent: HostArray) -> str:
    """Return the words for the elements that are affected; to others it makes no difference whether they are."""
    if (affected | indifferent).all():
        return everywhere(leaf)
    region = block(affected, affected | indifferent)
    if region is not None:
        return f"{leaf.name}[{region.words}]"
    count = int(np.count_nonzero(affected))
    first = np.unravel_index(int(np.argmax(affected)), affected.shape)
    return f"{count} of the {affected.size} elements of {leaf.name} (the first is [{', '.join(map(str, first))}])"


@dataclass(frozen=True, eq=False)
class Block:
    """The elements at some indices along each axis, as a subscript in words and as an index."""

    words: str
    index: Index


def block(affected: HostArray, candidates: HostArray) -> Block | None:
    """Return the block that holds all affected elements and none but candidates, if there is one."""
    blocks = (hull(affected), _block(_places(affected), affected.shape))
    return next((found for found in blocks if found is not None and candidates[found.index].all()), None)


def hull(affected: HostArray) -> Block:
    """Return the least block without gaps that holds all affected elements."""
    found = _block([np.arange(places[0], places[-1] + 1) for places in _places(affected)], affected.shape)
    assert found is not None
    return found


def _places(affected: HostArray) -> list[HostArray]:
    """Return the indices along each axis at which there are affected elements."""
    axes = range(affected.ndim)
    return [np.flatnonzero(affected.any(axis=tuple(other for other in axes if other != axis))) for axis in axes]


def _block(places: Sequence[HostArray], shape: Sequence[int]) -> Block | None:
    """Return the block at these indices, unless there are no short words for it."""
    words = [_subscript(indices, length) for indices, length in zip(places, shape, strict=True)]
    readable = [word for word in words if word is not None]
    if len(readable) < len(words) or sum("[" in word for word in readable) > 1:
        return None
    return Block(", ".join(readable), np.ix_(*places))


def _subscript(indices: HostArray, length: int) -> str | None:
    """Return the words for indices along one axis, unless they are many in no order."""
    start, stop = int(indices[0]), int(indices[-1]) + 1
    if indices.size == length:
        return ":"
    if indices.size == 1:
        return str(start)
    bounds = f"{start or ''}:{'' if stop == length else stop}"
    steps = np.unique(np.diff(indices))
    if steps.size == 1 and steps[0] == 1:
        return bounds
    if steps.size == 1 and indices.size >= _FEW:
        return f"{bounds}:{steps[0]}"
    return f"[{', '.join(map(str, indices))}]" if indices.size <= _LISTED else None


def log_chance(affected: HostArray, indifferent: HostArray, region: Block) -> float:
    """Return the logarithm of the part that such blocks are of all ways to choose as many elements."""
    count = int(np.count_nonzero(affected))
    total = affected.size - int(np.count_nonzero(indifferent & ~affected))
    ways = [_choices(np.ravel(places), length) for places, length in zip(region.index, affected.shape, strict=True)]
    return sum(ways) - (_log_factorial(total) - _log_factorial(count) - _log_factorial(total - count))


def _choices(indices: HostArray, length: int) -> float:
    """Return the logarithm of the number of similar choices of indices along an axis."""
    if indices.size == 1 or (np.diff(indices) == 1).all():
        return math.log(length - indices.size + 1)
    if (np.diff(indices, 2) == 0).all() and indices.size >= _FEW:
        return 2 * math.log(length)
    return length * math.log(2)


def _log_factorial(number: int) -> float:
    return math.lgamma(number + 1)
