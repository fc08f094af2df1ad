"""Memory layouts."""

from __future__ import annotations

from collections.abc import Sequence


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
