"""Walking over an array of any number of dimensions."""

from __future__ import annotations

import itertools
import numbers
from collections.abc import Iterator
from typing import Any

import numpy as np


def multi_indices(x: Any) -> Iterator[tuple[int, ...]]:
    """Iterate over the multi-indices of an array in C order: the last index changes fastest.

    One loop serves any number of dimensions, as ``numpy.nditer(x, flags=["multi_index"])`` does for NumPy. Only the
    shape of x is looked at: no data is read or moved.

    Parameters
    ----------
    x
        An array of any library, a number, or a nested list of numbers.

    Yields
    ------
    tuple of int
        As many integers as x has dimensions: one empty tuple for a number or a 0-d array, nothing for an empty array.

    Raises
    ------
    TypeError
        If x is none of these.
    ValueError
        If the shape of x is not known (a Dask array before ``compute_chunk_sizes()``).

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> list(anygrad.multi_indices(np.zeros((2, 2))))
    [(0, 0), (0, 1), (1, 0), (1, 1)]
    """
    shape = tuple(x.shape) if hasattr(x, "shape") else _shape_of_numbers(x)
    if not all(isinstance(length, int) for length in shape):
        raise ValueError(f"x has the shape {shape}, but its indices need known lengths: compute them first")
    return itertools.product(*map(range, shape))


def _shape_of_numbers(x: object) -> tuple[int, ...]:
    if isinstance(x, numbers.Number):
        return ()
    try:
        array = np.asarray(x if isinstance(x, (list, tuple)) else None)
    except (ValueError, RuntimeError):  # lists that differ in length; tensors that require their gradient
        array = np.asarray(None)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"x is {x!r:.60}, but an array, a number or a nested list of numbers was expected")
    return array.shape
