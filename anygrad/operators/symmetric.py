"""Symmetric matrices of derivatives by two elements, in blocks of a tree's arrays by its arrays."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from anygrad._typing import Array, PyTree
from anygrad.backends.base import Memory
from anygrad.problem.parameters import Parameters
from anygrad.problem.result import Derivatives, Result, joined
from anygrad.problem.tree import describe_mismatch, flatten
from anygrad.schemes.base import Slopes


def blocks(
    memory: Memory, diagonal: Slopes, mixed: Slopes | None, shapes: Sequence[tuple[int, ...]]
) -> list[list[Derivatives]]:
    """Return the matrix of a diagonal (n, 1) and what is above it (m, 1), a block for every two shapes."""
    everything = diagonal if mixed is None else joined(memory, [diagonal, mixed])
    whole = everything.each_value(lambda table: _matrix(memory, table, diagonal.value.shape[0]))

    def block(rows: slice, columns: slice, shape: tuple[int, ...]) -> Derivatives:
        return Derivatives.of(memory, whole.each_value(lambda table: table[rows, columns]), shape)

    parts = list(spans(shapes))
    return [[block(rows, columns, above + below) for columns, below in parts] for rows, above in parts]


def vector(memory: Memory, numbers: Array, leaves: Sequence[Array]) -> list[Array]:
    """Return the parts of a column (n, 1), an array like each of the leaves."""
    parts = spans([tuple(leaf.shape) for leaf in leaves])
    return [
        like(memory.assemble([numbers[span, 0]], shape), leaf)
        for leaf, (span, shape) in zip(leaves, parts, strict=True)
    ]


def like(array: Array, leaf: Array) -> Array:
    """Return an array in the dtype of a leaf: derivatives by several together are of the widest one."""
    return array if array.dtype == leaf.dtype else array_namespace(leaf).astype(array, leaf.dtype)


def symmetrised(rows: PyTree, parameters: Parameters) -> PyTree:
    """Return the mean of a matrix, a tree like x of trees like it, and its transpose; or of all in a `Result`."""
    if not isinstance(rows, Result):
        return _mean(rows, parameters)
    return replace(
        rows,
        value=_mean(rows.value, parameters),
        error=None if rows.error is None else _mean(rows.error, parameters),
        flags={name: _either(flag, parameters) for name, flag in rows.flags.items()},
    )


def _mean(rows: PyTree, parameters: Parameters) -> PyTree:
    return _with_transpose(rows, parameters, lambda block, mirrored: (block + mirrored) / 2)


def _either(rows: PyTree, parameters: Parameters) -> PyTree:
    return _with_transpose(rows, parameters, lambda block, mirrored: block | mirrored)


def _with_transpose(rows: PyTree, parameters: Parameters, combine: Any) -> PyTree:
    table = _table(rows, parameters)
    for row, above in zip(table, parameters.shapes, strict=True):
        for block, below in zip(row, parameters.shapes, strict=True):
            if tuple(block.shape) != above + below:
                given = tuple(block.shape)[: len(block.shape) - len(below)]
                raise ValueError(
                    f"grad returned an array of shape {given} where x has {above}: it must have the shape of x"
                )

    def combined(i: int, j: int) -> Array:
        mirrored = table[j][i]
        first = len(parameters.shapes[j])
        axes = (*range(first, mirrored.ndim), *range(first))
        xp = array_namespace(mirrored)
        # Of arrays without axes NumPy makes numbers.
        return xp.asarray(combine(table[i][j], xp.permute_dims(mirrored, axes)))

    places = range(len(table))
    return parameters.rebuild([parameters.rebuild([combined(i, j) for j in places]) for i in places])


def _table(rows: PyTree, parameters: Parameters) -> list[list[Array]]:
    """Return the blocks of a matrix; raise if grad has not returned a tree like x."""
    tree = flatten(rows)
    names = parameters.names
    given = [place.removesuffix(names[0].removeprefix("x")) for place in tree.names[:: len(names)]]
    if cause := describe_mismatch(given, names):
        raise ValueError(f"grad returned {cause}: it must return an array with the structure and shapes of x")
    blocks = iter(tree.leaves)
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
    """Yield where each array lies among the elements of all, and its shape."""
    ends = list(accumulate(map(math.prod, shapes), initial=0))
    for start, stop, shape in zip(ends, ends[1:], shapes, strict=False):
        yield slice(start, stop), shape
