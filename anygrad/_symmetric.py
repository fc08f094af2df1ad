"""Symmetric matrices of derivatives by two elements, in blocks of a tree's arrays by its arrays."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from anygrad._collected import Arrays, array_of, arrays_of
from anygrad._plan import Slopes
from anygrad._pytree import flatten
from anygrad._result import Result
from anygrad._second import concatenated
from anygrad._typing import Array, PyTree
from anygrad._unlike import unlike
from anygrad._variables import Variables
from anygrad.backends import Memory


def blocks(
    memory: Memory, diagonal: Slopes, mixed: Slopes | None, shapes: Sequence[tuple[int, ...]]
) -> list[list[Arrays]]:
    """Return the matrix of a diagonal (n, 1) and what is above it (m, 1), a block for every two shapes."""
    everything = diagonal if mixed is None else concatenated(memory.xp, [diagonal, mixed])
    whole = replace(everything, step=everything.value).each(
        lambda table: _matrix(memory, table, diagonal.value.shape[0])
    )

    def block(rows: slice, columns: slice, shape: tuple[int, ...]) -> Arrays:
        return arrays_of(memory, whole, (rows, columns), shape)

    parts = list(spans(shapes))
    return [[block(rows, columns, above + below) for columns, below in parts] for rows, above in parts]


def vector(memory: Memory, numbers: Array, leaves: Sequence[Array]) -> list[Array]:
    """Return the parts of a column (n, 1), an array like each of the leaves."""
    parts = spans([tuple(leaf.shape) for leaf in leaves])
    return [
        like(array_of(memory, numbers[span, 0], shape), leaf) for leaf, (span, shape) in zip(leaves, parts, strict=True)
    ]


def like(array: Array, leaf: Array) -> Array:
    """Return an array in the dtype of a leaf: derivatives by several together are of the widest one."""
    return array if array.dtype == leaf.dtype else array_namespace(leaf).astype(array, leaf.dtype)


def symmetrised(rows: PyTree, variables: Variables) -> PyTree:
    """Return the mean of a matrix, a tree like x of trees like it, and its transpose; or of all in a `Result`."""
    if not isinstance(rows, Result):
        return _mean(rows, variables)
    return replace(
        rows,
        value=_mean(rows.value, variables),
        error=None if rows.error is None else _mean(rows.error, variables),
        flags={name: _either(flag, variables) for name, flag in rows.flags.items()},
    )


def _mean(rows: PyTree, variables: Variables) -> PyTree:
    return _with_transpose(rows, variables, lambda block, mirrored: (block + mirrored) / 2)


def _either(rows: PyTree, variables: Variables) -> PyTree:
    return _with_transpose(rows, variables, lambda block, mirrored: block | mirrored)


def _with_transpose(rows: PyTree, variables: Variables, combine: Any) -> PyTree:
    table = _table(rows, variables)
    for row, above in zip(table, variables.shapes, strict=True):
        for block, below in zip(row, variables.shapes, strict=True):
            if tuple(block.shape) != above + below:
                given = tuple(block.shape)[: len(block.shape) - len(below)]
                raise ValueError(f"grad returned an array of shape {given} where x has {above}: it must be like x")

    def combined(i: int, j: int) -> Array:
        mirrored = table[j][i]
        first = len(variables.shapes[j])
        axes = (*range(first, mirrored.ndim), *range(first))
        xp = array_namespace(mirrored)
        # Of arrays without axes NumPy makes numbers.
        return xp.asarray(combine(table[i][j], xp.permute_dims(mirrored, axes)))

    places = range(len(table))
    return variables.rebuild([variables.rebuild([combined(i, j) for j in places]) for i in places])


def _table(rows: PyTree, variables: Variables) -> list[list[Array]]:
    """Return the blocks of a matrix; raise if grad has not returned a tree like x."""
    leaves, _ = flatten(rows)
    names = variables.names
    given = [place.removesuffix(names[0].removeprefix("x")) for place, _ in leaves[:: len(names)]]
    if cause := unlike(given, names):
        raise ValueError(f"grad returned {cause}; it must return what is like x")
    blocks = iter(block for _, block in leaves)
    return [[next(blocks) for _ in names] for _ in names]


def _matrix(memory: Memory, numbers: Array, size: int) -> Array:
    """Return the symmetric matrix of its diagonal and what is above it, one after the other in a column.

    Each number of it is looked up, as immutable arrays cannot be assigned to.
    """
    xp = memory.xp
    places = np.diag(np.arange(size))
    rows, columns = np.triu_indices(size, k=1)
    places[rows, columns] = places[columns, rows] = size + np.arange(len(rows))
    return xp.reshape(xp.take(numbers[:, 0], memory.index_array(places.reshape(-1).tolist()), axis=0), (size, size))


def spans(shapes: Sequence[tuple[int, ...]]) -> Iterator[tuple[slice, tuple[int, ...]]]:
    ends = list(accumulate(map(math.prod, shapes), initial=0))
    for start, stop, shape in zip(ends, ends[1:], shapes, strict=False):
        yield slice(start, stop), shape
