"""Memory layouts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from anygrad._typing import Array
from anygrad.backends._stack import Rows


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


def positions(elements: Sequence[int]) -> slice | list[int]:
    """Return what to index an array of one dimension with: for a range a slice, which copies nothing."""
    if isinstance(elements, range) and elements.step == 1:
        return slice(elements.start, elements.stop)
    return list(elements)


def places(rows: Rows, elements: Sequence[int], length: int) -> slice | np.ndarray[Any, np.dtype[np.intp]]:
    """Return what to index the flat memory of rows of a length with, to get one element of each row, or all of one.

    Elements are counted on from row to row of x itself, of which those of a table are copies.
    """
    if isinstance(elements, range) and elements.step == 1 and elements.stop <= length:
        if isinstance(rows, int):
            return slice(rows * length + elements.start, rows * length + elements.stop)
        if isinstance(rows, range):  # down the diagonal, which copies nothing
            start = rows.start * length + elements.start
            return slice(start, start + len(rows) * (length + 1) - length, length + 1)
    return np.asarray(rows, dtype=np.intp) * length + np.asarray(elements, dtype=np.intp) % length


def broadcast(
    broadcast_to: Callable[[Array, tuple[int, ...]], Array], value: Array, shape: Sequence[int], name: str
) -> Array:
    """Return ``value`` in a shape; raise if it does not fit."""
    try:
        return broadcast_to(value, tuple(shape))
    except (ValueError, RuntimeError, TypeError):
        raise ValueError(
            f"{name} has the shape {tuple(value.shape)}, but a number or an array of x's shape {tuple(shape)} was"
            " expected"
        ) from None


def multi_indices(elements: Sequence[int], shape: Sequence[int]) -> Iterable[tuple[int, ...]]:
    """Return the multi-indices of flat indices in C order."""
    if not shape:
        return [()] * len(elements)
    axes = np.unravel_index(np.asarray(elements, dtype=np.intp), tuple(shape))
    return zip(*(axis.tolist() for axis in axes), strict=True)


def extent(start: int, shape: Sequence[int], strides: Sequence[int], itemsize: int) -> tuple[int, int]:
    """Return the first byte of an array and the one behind its last; nothing for an empty array."""
    if not all(shape):
        return start, start
    reaches = [stride * (length - 1) for stride, length in zip(strides, shape, strict=True)]
    low, high = sum(min(reach, 0) for reach in reaches), sum(max(reach, 0) for reach in reaches)
    return start + low, start + high + itemsize


def meeting(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Return whether two extents have a byte in common."""
    return max(a[0], b[0]) < min(a[1], b[1])
