"""Where a Jacobian may have entries, which of its columns can be perturbed together, and f when they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anygrad._typing import Array
from anygrad.backends.arrays import Elements, Indices
from anygrad.backends.base import host_pattern
from anygrad.operators.partials import filled
from anygrad.problem.lines import direction_lines, element_lines
from anygrad.problem.problem import Problem
from anygrad.schemes.base import Lines, Slopes
from anygrad.schemes.finite_difference import require_room, room

# A row of k entries makes k^2 pairs of columns that exclude each other: of longer rows, no order of columns is made.
_LONG = 500


@dataclass(frozen=True, eq=False)
class Pattern:
    """The entries that a Jacobian may have, and its columns in groups that can be perturbed together."""

    # Where they are, row by row, each once.
    rows: Indices
    columns: Indices
    shape: tuple[int, int]  # the sizes of f(x) and of x
    like: Any = None  # a SciPy sparse array in the format that is wanted of results; None for CSR

    @cached_property
    def groups(self) -> Indices:
        """For each column the number of its group, or -1 for one without entries."""
        return grouped(self)

    def __repr__(self) -> str:
        count = count_groups(self.groups)
        return (
            f"<sparsity of shape {self.shape}: {self.rows.size} entries, columns in {count} group{'s' * (count != 1)}>"
        )


def sparsity(pattern: Any) -> Pattern:
    """Return the pattern of a sparse Jacobian with its columns in groups, to be used many times.

    Parameters
    ----------
    pattern
        As in `jacobian`: a sparse array of SciPy, CuPy, PyTorch or JAX (BCOO), of which all stored entries count, or a
        boolean array of any library.

    Returns
    -------
    Pattern
        An object to be passed to `jacobian` as its ``sparsity``. Finding groups of columns without a common row
        is done only once: it takes a tenth of a second for a tridiagonal pattern of 100,000 columns.

    Raises
    ------
    TypeError, ValueError
        If the pattern is not such an array, or does not have two dimensions.
    ImportError
        If SciPy is not installed.

    See Also
    --------
    jacobian : takes the pattern as ``sparsity``.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> anygrad.sparsity(np.eye(1000) + np.eye(1000, k=1))
    <sparsity of shape (1000, 1000): 1999 entries, columns in 2 groups>
    """
    found = given(pattern, None)
    _ = found.groups
    return found


def given(sparsity: Any, size: int | None) -> Pattern:
    """Return the pattern that the user gave for x of so many elements; raise if it cannot be one."""
    sparse = scipy_sparse()
    if isinstance(sparsity, Pattern):
        _require_columns(sparsity.shape, size)
        return sparsity
    pattern = sparsity if sparse.issparse(sparsity) else host_pattern(sparsity)
    like = pattern if sparse.issparse(sparsity) else None
    if isinstance(pattern, (list, tuple)):
        with suppress(ValueError):  # rows that differ in length
            pattern = np.asarray(pattern)
    if not (sparse.issparse(pattern) or isinstance(pattern, np.ndarray)) or pattern.dtype.kind not in "biufc":
        raise TypeError(
            f"sparsity is {sparsity!r:.60}, but a SciPy sparse array, a boolean array of shape (f(x).size, x.size), or"
            " 'detect' was expected"
        )
    _require_columns(pattern.shape, size)
    # All entries stored in a sparse array count, zeros too: so a Jacobian can be the pattern of the next.
    entries = pattern.tocoo() if sparse.issparse(pattern) else sparse.coo_array(pattern != 0)
    return of_entries(entries.row, entries.col, (int(pattern.shape[0]), int(pattern.shape[1])), like)


def _require_columns(shape: tuple[int, ...], size: int | None) -> None:
    if len(shape) != 2 or size not in (None, shape[1]):
        raise ValueError(
            f"sparsity has the shape {tuple(shape)}, but (f(x).size, {'x.size' if size is None else size}) was"
            " expected: a row for each element of f(x).ravel(), and a column for each element of x.ravel()"
        )


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

    One column after the other gets the first group that none of its rows has yet. That is tried in the order of the
    columns; and, if the longest row allows fewer groups, in the order in which a search reaches them from neighbour to
    neighbour (E. Cuthill and J. McKee, *Reducing the bandwidth of sparse symmetric matrices*,
    Proc. 24th ACM National Conference (1969), 157-172), in which banded patterns that were shuffled are banded again.
    """
    rows, columns, (height, width) = pattern.rows, pattern.columns, pattern.shape
    groups = np.full(width, -1, dtype=np.intp)
    used = np.unique(columns)
    longest = int(np.max(np.bincount(rows, minlength=height), initial=0))
    if longest == used.size:  # a row of all of them: each is a group
        groups[used] = np.arange(used.size)
        return groups
    order = np.argsort(columns, kind="stable")
    ends = np.searchsorted(columns[order], np.arange(width + 1)).tolist()
    by_column = rows[order].tolist()
    rows_of = [by_column[start:end] for start, end in pairwise(ends)]
    groups[used] = _greedy(used.tolist(), rows_of, height)
    if count_groups(groups) > longest:
        again = np.full_like(groups, -1)
        sequence = _neighbours_in_turn(pattern, used)
        again[sequence] = _greedy(sequence.tolist(), rows_of, height)
        groups = min(groups, again, key=count_groups)
    return groups


def _greedy(sequence: list[int], rows_of: list[list[int]], height: int) -> list[int]:
    """Return the group of each column of a sequence. The groups that a row has are the bits of an integer."""
    groups, of_rows = [], [0] * height
    for column in sequence:
        taken = 0
        for row in rows_of[column]:
            taken |= of_rows[row]
        first = ~taken & (taken + 1)  # the lowest bit that is not set
        for row in rows_of[column]:
            of_rows[row] |= first
        groups.append(first.bit_length() - 1)
    return groups


def _neighbours_in_turn(pattern: Pattern, used: Indices) -> Indices:
    sparse = scipy_sparse()
    from scipy.sparse.csgraph import reverse_cuthill_mckee  # noqa: PLC0415 - an extra

    short = np.bincount(pattern.rows, minlength=pattern.shape[0])[pattern.rows] <= _LONG
    rows, columns = pattern.rows[short], pattern.columns[short]
    incidence = sparse.csr_array((np.ones(rows.size, dtype=np.int32), (rows, columns)), shape=pattern.shape)
    reached = reverse_cuthill_mckee(sparse.csr_array(incidence.T @ incidence), symmetric_mode=True)[::-1]
    chosen: Indices = reached[np.isin(reached, used)]
    return chosen


def scipy_sparse() -> Any:
    """Return SciPy's module of sparse arrays, which is needed for nothing else."""
    try:
        import scipy.sparse  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ImportError("sparsity= needs SciPy, which is not installed: pip install scipy") from error
    return scipy.sparse


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
        """Yield some groups at a time, and which elements each of them has, (k, n)."""
        memory = self.problem.memory
        count = count_groups(groups)
        own = memory.index_array(groups)
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
