"""Memory layouts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np


def overlapping(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Return whether two elements of an array may share memory, as in broadcast and expanded arrays.

    Transposes, slices and diagonals of an ordinary array never do: from the smallest stride up, each axis steps
    beyond all that the axes before it reach. Strides may be in bytes or elements.
    """
    reach = 0
    for stride, length in sorted((abs(stride), length) for stride, length in zip(strides, shape, strict=True)):
        if length <= 1:
            continue
        if stride <= reach:
            return True
        reach += stride * (length - 1)
    return False


def multi_indices(elements: range, shape: Sequence[int]) -> Iterable[tuple[int, ...]]:
    """Return the multi-indices of a range of flat indices in C order."""
    if not shape:
        return [()] * len(elements)
    axes = np.unravel_index(np.arange(elements.start, elements.stop), tuple(shape))
    return zip(*(axis.tolist() for axis in axes), strict=True)
