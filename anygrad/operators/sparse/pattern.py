"""Where a Jacobian may have entries, which of its columns can be perturbed together, and f when they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anygrad._typing import Array
from anygrad.backends.arrays import Elements, Indices
from anygrad.backends.base import Backend
from anygrad.operators.partials import filled
from anygrad.problem.lines import direction_lines, element_lines
from anygrad.problem.problem import Problem
from anygrad.schemes.base import Lines, Slopes
from anygrad.schemes.finite_difference import require_room, room

# A row of k entries makes k^2 pairs of columns that exclude each other. Of longer rows than this, each column gets a
# group of its own instead.
_LONG = 500


@dataclass(frozen=True, eq=False)
class Pattern:
    """The entries of a sparse Jacobian."""

    # Where they are, row by row, each once.
    rows: Indices
    columns: Indices
    shape: tuple[int, int]  # the sizes of f(x) and of x
    like: Any = None  # a SciPy sparse array in the format that is wanted of results; None for CSR

    @property
    def groups(self) -> Indices:
        """For each column the number of its group, or -1 for one without entries."""
        # Those who iterate ask for the same pattern over and over.
        return _remembered(self.rows.tobytes(), self.columns.tobytes(), self.shape)


def given(sparsity: Any, backend: Backend, size: int) -> Pattern:
    """Return the pattern that the user gave for x of so many elements; raise if it cannot be one."""
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
    # All entries stored in a sparse array count, zeros too: so a Jacobian can be the pattern of the next.
    entries = pattern.tocoo() if sparse.issparse(pattern) else sparse.coo_array(pattern != 0)
    return of_entries(entries.row, entries.col, (int(pattern.shape[0]), size), like)


def of_columns(pattern: Pattern, columns: Elements) -> Pattern:
    """Return the pattern with entries in these columns alone."""
    if isinstance(columns, range):
        return pattern
    kept = np.isin(pattern.columns, columns)
    return Pattern(pattern.rows[kept], pattern.columns[kept], pattern.shape, pattern.like)


def count_groups(groups: Indices) -> int:
    """Return how many groups there are."""
    return int(np.max(groups, initial=-1)) + 1


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
    For chordal graphs (banded, block diagonal and arrow patterns make these) this needs the fewest colours.
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


@dataclass(frozen=True, eq=False)
class Columns:
    """All elements of x with a step for each."""

    problem: Problem
    steps: Array  # the steps, (n,), negative where there is more room between the bounds below than above
    # Which elements are so near a bound that a scheme may have to keep to one side of them, (n,).
    near: NDArray[np.bool_]

    @classmethod
    def of(cls, problem: Problem) -> Columns:
        """Return the columns with the steps that the scheme would take for each element alone.

        Along one line there is one side and one step for all elements, in units of their own: those near a bound must
        not turn and shorten those of others. So they are made a group of their own, point to where there is room, and
        have steps that fit there.
        """
        memory, xp, scheme = problem.memory, problem.memory.xp, problem.scheme
        elements = problem.elements
        lines = element_lines(problem, elements)
        steps = scheme.steps(lines)
        near = np.zeros(memory.size, dtype=bool)
        if lines.lower is not None or lines.upper is not None:
            below, above = room(lines)
            reach = scheme.calls(1) * steps  # stencils have no gaps: k values are within k steps
            up = (above >= reach) | (above >= below)
            most = xp.where(up, above, below) / scheme.calls(1)
            if not lines.lazy:
                places = memory.indices(xp.nonzero(xp.reshape(xp.minimum(below, above) < reach, (-1,)))[0])
                near[np.asarray(elements, dtype=np.intp)[places]] = True
            steps = xp.where(steps > most, most, steps)
            require_room(lines, steps, above=up)
            steps = xp.where(up, steps, -steps)
        # Fixed elements have a step of 0.
        return cls(problem, xp.reshape(filled(problem, Slopes(steps, steps)).value, (-1,)), near)

    def parted(self, groups: Indices) -> Indices:
        """Return the groups with elements near a bound in ones of their own."""
        kept = groups >= 0
        _, parted = np.unique(2 * groups[kept] + self.near[kept], return_inverse=True)
        whole = groups.copy()
        whole[kept] = parted
        return whole

    def blocks(self, groups: Indices, height: int) -> Iterator[tuple[range, Array]]:
        """Yield some groups at a time, and for each of these which elements are in it, (k, n)."""
        memory = self.problem.memory
        count = count_groups(groups)
        own = memory.index_array(groups.tolist())
        length = max(self.problem.calls.together, memory.block // max(1, memory.size, height))
        for start in range(0, count, length):
            block = range(start, min(start + length, count))
            yield block, own[None, :] == memory.index_array(block)[:, None]

    def lines(self, directions: Array) -> Lines:
        """Return f along directions, (k, n)."""
        size, count = self.problem.memory.size, directions.shape[0]
        every = range(size) if count == 1 else np.tile(np.arange(size), count)
        return direction_lines(self.problem, every, directions)

    def values(self, directions: Array) -> Array:
        """Return f at x plus each of the directions, (k, p); off the real axis, if that is where f is sampled."""
        lines = self.lines(directions)
        ones = lines.xp.ones_like(lines.at)
        [values] = lines.sample([ones if lines.compose is None else lines.compose(0 * ones, ones)])
        return values
