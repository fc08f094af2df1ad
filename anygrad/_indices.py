"""Walking over an array of any number of dimensions."""

from __future__ import annotations

import itertools
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
    if x is None or isinstance(x, (str, bytes, dict)):
        raise TypeError(f"x is {x!r:.60}, but an array, a number or a nested list of numbers was expected")
    shape = tuple(x.shape) if hasattr(x, "shape") else np.shape(x)
    if not all(isinstance(length, int) for length in shape):
        raise ValueError(f"x has the shape {shape}, but its indices need known lengths: compute them first")
    return itertools.product(*map(range, shape))
