"""Where a Jacobian may have other entries than 0, and which of its columns can be perturbed together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from anygrad.backends.base import Backend
from anygrad.backends.layout import Indices

# A row of k entries makes k^2 pairs of columns that exclude each other. Of longer rows than this, each column gets a
# group of its own instead.
_LONG = 500


@dataclass(frozen=True, eq=False)
class Pattern:
    """The entries of a sparse Jacobian.

    Attributes
    ----------
    rows, columns
        Where they are, row by row, each once.
    shape
        The sizes of f(x) and of x.
    like
        A SciPy sparse array of the format in which results are wanted; None for CSR.
    """

    rows: Indices
    columns: Indices
    shape: tuple[int, int]
    like: Any = None

    @property
    def groups(self) -> Indices:
        """For each column the number of its group, or -1 for one without entries."""
        # Those who iterate ask for the same pattern over and over.
        return _remembered(self.rows.tobytes(), self.columns.tobytes(), self.shape)


def given(sparsity: Any, backend: Backend, size: int) -> Pattern:
    """Return the pattern that the user gave for x of so many elements; raise if it is none."""
    sparse, _ = libraries()
    pattern = sparsity if sparse.issparse(sparsity) else backend.pattern(sparsity)
    like = pattern if sparse.issparse(sparsity) else None
    if isinstance(pattern, (list, tuple)):
        pattern = np.asarray(pattern)
    if not (sparse.issparse(pattern) or isinstance(pattern, np.ndarray)) or pattern.dtype.kind not in "biufc":
        raise TypeError(
            f"sparsity is {sparsity!r:.60}, but a SciPy sparse array, a boolean array with a row for each element of"
            " f(x) and a column for each of x, or 'detect' was expected"
        )
    if pattern.ndim != 2 or pattern.shape[1] != size:
        raise ValueError(
            f"sparsity has the shape {tuple(pattern.shape)}, but x has {size} elements: a pattern has a row for each"
            " element of f(x) and a column for each of x, counted in C order where these have several dimensions"
        )
    # What is stored in a sparse array is part of the pattern, zeros too: so a Jacobian can be the pattern of the next.
    entries = pattern.tocoo() if sparse.issparse(pattern) else sparse.coo_array(pattern != 0)
    return of_entries(entries.row, entries.col, (int(pattern.shape[0]), size), like)


def of_entries(rows: Indices, columns: Indices, shape: tuple[int, int], like: Any = None) -> Pattern:
    """Return the pattern of entries in any order."""
    ordered = rows.astype(np.int64) * max(1, shape[1]) + columns
    if not np.all(ordered[1:] > ordered[:-1]):
        ordered = np.unique(ordered)
    first, second = np.divmod(ordered, max(1, shape[1]))
    return Pattern(first.astype(np.intp), second.astype(np.intp), shape, like)


def grouped(pattern: Pattern) -> Indices:
    """Return the number of a group for each column, so that no two of a group have an entry in the same row.

    The graph of columns that meet in a row is coloured greedily, the columns with fewest neighbours last: D. W. Matula
    and L. L. Beck, *Smallest-last ordering and clustering and graph coloring algorithms*, J. ACM 30 (1983), 417-427.
    Of chordal graphs, which those of banded, block diagonal and arrow patterns are, this needs the fewest colours.
    """
    sparse, networkx = libraries()
    rows, columns, (height, width) = pattern.rows, pattern.columns, pattern.shape
    groups = np.full(width, -1, dtype=np.intp)
    lengths = np.bincount(rows, minlength=height)
    # The columns of one row need a group each anyway; where that row has most columns, colouring saves next to nothing.
    long = lengths > max(_LONG, width // 2)
    alone = np.unique(columns[long[rows]])
    groups[alone] = np.arange(alone.size)
    rest = groups[columns] < 0
    ones = np.ones(np.count_nonzero(rest), dtype=np.int32)
    incidence = sparse.csr_array((ones, (rows[rest], columns[rest])), shape=pattern.shape)
    meetings = (incidence.T @ incidence).tocoo()
    once = meetings.row < meetings.col
    graph = networkx.Graph()
    graph.add_nodes_from(np.unique(columns[rest]).tolist())
    graph.add_edges_from(zip(meetings.row[once].tolist(), meetings.col[once].tolist(), strict=True))
    for column, colour in networkx.greedy_color(graph, strategy="smallest_last").items():
        groups[column] = alone.size + colour
    return groups


def libraries() -> Sequence[Any]:
    """Return SciPy's module of sparse arrays and networkx, which are needed for nothing else."""
    try:
        import networkx  # noqa: PLC0415 - an extra
        import scipy.sparse  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ImportError(
            f"sparsity= needs SciPy and networkx, but {error.name} is not installed: write pip install '.[sparse]' in a"
            " checkout of anygrad, or pip install scipy networkx"
        ) from error
    return scipy.sparse, networkx


@lru_cache(maxsize=2)
def _remembered(rows: bytes, columns: bytes, shape: tuple[int, int]) -> Indices:
    groups = grouped(Pattern(np.frombuffer(rows, np.intp), np.frombuffer(columns, np.intp), shape))
    groups.flags.writeable = False
    return groups
