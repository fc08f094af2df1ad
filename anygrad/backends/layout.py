"""Memory layouts: where the elements of an array lie."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from anygrad._typing import Array

Indices: TypeAlias = NDArray[np.intp]
# Flat indices in C order: a range where they follow each other, which costs no memory.
Elements: TypeAlias = range | Indices


def extent(start: int, shape: Sequence[int], strides: Sequence[int], itemsize: int) -> tuple[int, int]:
    """Return the first byte of an array and the one behind its last; nothing for an empty array."""
    if not all(shape):
        return start, start
    low = high = 0
    for length, stride in zip(shape, strides, strict=True):
        if stride < 0:
            low += stride * (length - 1)
        else:
            high += stride * (length - 1)
    return start + low, start + high + itemsize


def overlapping(shape: Sequence[int], strides: Sequence[int], itemsize: int = 1) -> bool:
    """Return whether two elements of an array may share memory, as in broadcast and expanded arrays.

    Transposes, slices and diagonals of an ordinary array never do: from the smallest stride up, each axis steps
    beyond all that the axes before it reach. Strides are in units of which an element has ``itemsize``.
    """
    reach = itemsize - 1
    for stride, length in sorted((abs(stride), length) for stride, length in zip(strides, shape, strict=True)):
        if length <= 1:
            continue
        if stride <= reach:
            return True
        reach += stride * (length - 1)
    return False


def multi_indices(elements: Elements, shape: Sequence[int]) -> Iterable[tuple[int, ...]]:
    if not shape:
        return [()] * len(elements)
    axes = np.unravel_index(np.asarray(elements, dtype=np.intp), tuple(shape))
    return zip(*(axis.tolist() for axis in axes), strict=True)


def broadcast(
    broadcast_to: Callable[[Array, tuple[int, ...]], Array], value: Array, shape: Sequence[int], name: str
) -> Array:
    try:
        return broadcast_to(value, tuple(shape))
    except (ValueError, RuntimeError, TypeError):
        raise ValueError(
            f"{name} has the shape {tuple(value.shape)}, but a number or an array of x's shape {tuple(shape)} was"
            " expected"
        ) from None


def size_of(shape: Sequence[int]) -> int:
    return math.prod(shape)
