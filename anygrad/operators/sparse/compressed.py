"""Sparse Jacobians: columns that have no row in common are differentiated together, and the pattern is verified."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from anygrad._typing import Array
from anygrad.backends.arrays import Indices
from anygrad.backends.base import Backend, Memory
from anygrad.operators.partials import completed, nothing
from anygrad.operators.sparse.detection import detected
from anygrad.operators.sparse.pattern import Columns, Pattern, count_groups, given, of_columns
from anygrad.problem.function import Function
from anygrad.problem.options import Options
from anygrad.problem.parameters import Parameters
from anygrad.problem.problem import Problem
from anygrad.problem.result import Counts, arrays_of, assembled, mapped
from anygrad.problem.tree import only
from anygrad.schemes.base import Lines, Scheme, Slopes, joined

# How far the derivative along the direction may be from the sum of a row's contributions, relative to these.
_RELATIVE = 1e-3
# Allowed for rounding: as many roundings of one value of f, for each entry of the row and for the sum.
_ROUNDING = 8.0
# Truncation and rounding are taken to be at most _VARIATION times what changes when the steps are these times as long.
_LENGTHS = (0.7, 0.5, 0.35)
_VARIATION = 10.0


def sparse_jacobian(parameters: Parameters, function: Function, options: Options, sparsity: Any) -> Any:
    """Return what `jacobian` does for a sparsity."""
    if not parameters.alone:
        raise TypeError(
            f"x consists of {', '.join(parameters.names)}, but with sparsity= it must be one array: concatenate them,"
            " and let f split the array"
        )
    [backend], [shape] = parameters.backends, parameters.shapes
    detecting = isinstance(sparsity, str) and sparsity == "detect"
    pattern = None if detecting else of_columns(given(sparsity, parameters.size), parameters.elements)
    groups = 0 if pattern is None else count_groups(pattern.groups)
    total = options.scheme.calls(groups) + options.scheme.calls(1)
    with Problem.joint(function, parameters, options, total) as problem:
        memory = problem.memory
        columns = Columns.of(problem)
        if pattern is None:
            pattern = detected(columns)
        jacobian = _Compressed(columns, pattern)
        made = _Contributions(columns, pattern.shape[0])
        slopes, steps = jacobian.entries(made)
        if len(problem.elements):
            _verify(made, jacobian.contributions, named="the pattern found" if detecting else "sparsity")
        counts = Counts()
        counts.add(problem)
        if problem.tolerant:
            missing = memory.xp.isnan(slopes.value) & bool(counts.failures)
            slopes = replace(slopes, flags={**slopes.flags, "failed": missing})
            if not memory.any(missing):
                counts.failures = {}
        arrays = _arrays(backend, memory, slopes, pattern, full_output=options.full_output)
        step = memory.assemble([steps], shape) if options.full_output else None
        problem.warn_if_constant()
    return assembled([arrays], function.rebuilt, options, function, counts, steps=step)


# Derivatives along the steps of some groups, the places of the entries in them, and the columns of the entries.
_Part: TypeAlias = tuple[Slopes, Indices, Indices]


@dataclass(frozen=True, eq=False)
class _Compressed:
    """A Jacobian of as many columns as there are groups, and the entries that come out of it."""

    columns: Columns
    pattern: Pattern

    @cached_property
    def groups(self) -> Indices:
        """The group of each column, with elements near a bound in ones of their own."""
        return self.columns.parted(self.pattern.groups)

    @cached_property
    def order(self) -> Indices:
        """The order of the entries by the groups of their columns."""
        return np.argsort(self.groups[self.pattern.columns], kind="stable")

    def entries(self, made: _Contributions) -> tuple[Slopes, Array]:
        """Differentiate along the steps of one group after the other, and note what each contributes.

        Returns the entries in the pattern's order, (entries, 1), and the steps of all elements of x, (n,).
        """
        problem, steps = self.columns.problem, self.columns.steps
        memory, xp = problem.memory, problem.memory.xp
        parts, units = [], []
        for table, places, columns in self._tables():
            made.add(table, places, columns)
            parts.append(self._entries(table, places, columns))
            units.append(xp.reshape(table.step, (-1,)))
        if not parts:
            self._require_shape(problem.base().shape[-1])
            return nothing(problem), 0 * steps
        back = memory.index_array(np.argsort(self.order))
        slopes = joined(xp, parts).each(lambda table: xp.take(table, back, axis=0))
        # Columns without a group take the last step, which is 0.
        groups = np.where(self.groups < 0, count_groups(self.groups), self.groups)
        taken = memory.index_array(groups)
        return slopes, xp.abs(steps) * xp.take(xp.concat([*units, xp.zeros_like(steps[:1])]), taken, axis=0)

    def contributions(self, length: float) -> _Contributions:
        """Return what the entries contribute, computed with steps of another length."""
        made = _Contributions(self.columns, self.pattern.shape[0])
        for part in self._tables(length):
            made.add(*part)
        return made

    def _tables(self, length: float = 1.0) -> Iterator[_Part]:
        height, groups = self.pattern.shape[0], self.groups
        rows, columns = self.pattern.rows[self.order], self.pattern.columns[self.order]
        ends = np.searchsorted(groups[columns], np.arange(count_groups(groups) + 1))
        for block, chosen in self.columns.blocks(groups, height):
            table = self._differentiated(chosen, length)
            own = slice(int(ends[block.start]), int(ends[block.stop]))
            yield table, (groups[columns[own]] - block.start) * height + rows[own], columns[own]

    def _differentiated(self, chosen: Array, length: float) -> Slopes:
        problem = self.columns.problem
        memory, xp = problem.memory, problem.memory.xp
        directions = xp.where(chosen, self.columns.steps, xp.zeros_like(self.columns.steps))

        def along(part: int) -> Slopes:
            lines = self.columns.lines(memory.compose(0 * directions, directions) if part else directions)
            return problem.scheme.differentiate(lines, length * xp.ones_like(lines.at))

        slopes = completed(problem, along)
        self._require_shape(slopes.value.shape[1])
        return slopes

    def _entries(self, table: Slopes, places: Indices, columns: Indices) -> Slopes:
        memory, xp = self.columns.problem.memory, self.columns.problem.memory.xp
        steps = xp.take(self.columns.steps, memory.index_array(columns), axis=0)
        chosen = memory.index_array(places)

        def taken(array: Array) -> Array:
            return xp.take(xp.reshape(array, (-1,)), chosen, axis=0)

        return Slopes(
            value=(taken(table.value) / steps)[:, None],
            step=steps[:, None],
            error=None if table.error is None else (taken(table.error) / xp.abs(steps))[:, None],
            flags={name: taken(flag)[:, None] for name, flag in table.flags.items()},
        )

    def _require_shape(self, height: int) -> None:
        if not self.columns.problem.function.alone:
            raise TypeError("f returned a tree, but with sparsity= it must return one array: concatenate its parts")
        if height != self.pattern.shape[0]:
            raise ValueError(
                f"sparsity has {self.pattern.shape[0]} rows, but f returned {height} elements: give it a row for each"
                " element of f(x).ravel()"
            )


def _arrays(backend: Backend, memory: Memory, slopes: Slopes, pattern: Pattern, *, full_output: bool) -> Slopes:
    def sparse(entries: Array) -> Array:
        return backend.sparse(entries, pattern.rows, pattern.columns, pattern.shape, pattern.like)

    flat = arrays_of(memory, slopes, (pattern.rows.size,))
    if not full_output:
        return Slopes(value=sparse(flat.value), step=None)
    return mapped([flat], lambda entries: sparse(only(entries)))


@dataclass(eq=False)
class _Contributions:
    """The derivative along a random direction, as the entries of a Jacobian give it, block by block.

    ``height`` is the size of f(x), and ``direction`` is of shape (1, n). The others are of shape (1, p).
    """

    columns: Columns
    height: int
    direction: Array = field(init=False)
    expected: Array = 0.0  # the derivative along the direction
    size: Array = 0.0  # the sum of the magnitudes of what the entries contribute to it
    magnitude: Array = 0.0  # how large the terms may be that f(x) is a sum of
    error: Array = 0.0  # the sum of the estimates of the error
    entries: Array = 0  # how many entries a row has

    def __post_init__(self) -> None:
        problem = self.columns.problem
        memory, xp = problem.memory, problem.memory.xp
        random = np.random.default_rng(1)  # the same calls of f each time
        shape = tuple(memory.array.shape)
        weights = random.uniform(0.5, 1.0, shape)
        if problem.bounds.lower is None and problem.bounds.upper is None:
            weights *= random.choice([-1.0, 1.0], shape)  # elsewhere steps point to where there is room
        spread = memory.spread(weights, "a weight")
        magnitudes = xp.abs(memory.elements(range(memory.size))) / xp.abs(self.columns.steps)
        # With a last one for the places without an entry.
        self._padded = [xp.concat([part, xp.zeros_like(spread[:1])]) for part in (spread, magnitudes)]
        self.direction = xp.reshape(self.columns.steps * spread, (1, -1))

    def add(self, table: Slopes, places: Indices, columns: Indices) -> None:
        """Add derivatives along the steps of groups, (k, p), with the places of entries in them and their columns."""
        memory, xp = self.columns.problem.memory, self.columns.problem.memory.xp
        if memory.lazy:  # nothing will be verified
            return
        shape = table.value.shape
        column_at = np.full(shape[0] * shape[1], memory.size)
        column_at[places] = columns
        index = memory.index_array(column_at)
        weights, magnitudes = (xp.reshape(xp.take(part, index, axis=0), shape) for part in self._padded)

        def total(numbers: Array, factors: Array) -> Array:
            # Not 0 * NaN where there is no entry.
            products = xp.where(weights == 0, xp.zeros_like(numbers), numbers) * factors
            return xp.sum(products, axis=0, keepdims=True)

        self.expected = self.expected + total(table.value, weights)
        self.size = self.size + total(xp.abs(table.value), xp.abs(weights))
        self.magnitude = self.magnitude + total(xp.abs(table.value), magnitudes)
        if table.error is not None:
            self.error = self.error + total(table.error, xp.abs(weights))
        self.entries = self.entries + xp.sum(xp.astype(weights != 0, weights.dtype), axis=0, keepdims=True)


def _verify(made: _Contributions, again: Callable[[float], _Contributions], *, named: str) -> None:
    """Raise if the derivative along the direction is not what the entries make it.

    ``again`` makes the contributions with steps of another length, should that be needed.
    """
    problem = made.columns.problem
    memory, xp, scheme = problem.memory, problem.memory.xp, problem.scheme
    if memory.lazy or not made.height:
        return
    along, largest = _along(scheme, made, 1.0)
    allowed = _RELATIVE * made.size + made.error + (0.0 if along.error is None else along.error)
    if not scheme.samples_complex:  # a complex step takes no difference, so rounding does not show
        noise = max(memory.eps, getattr(scheme, "noise", None) or 0.0)
        allowed = allowed + _ROUNDING * noise * (1 + made.entries) * (largest + made.magnitude)
    off = xp.abs(along.value - _expected(xp, made, along))
    wrong = (off > allowed) & xp.isfinite(off)
    if not bool(xp.any(wrong)):
        return
    # Steps that are too large for f, or too small, make no wrong pattern: what an entry makes is the same with others.
    for length in _LENGTHS:
        shorter, made_shorter = _along(scheme, made, length)[0], again(length)
        varied = xp.abs(along.value - shorter.value) + xp.abs(made.expected - made_shorter.expected)
        still_off = xp.abs(shorter.value - _expected(xp, made_shorter, shorter))
        wrong = wrong & (xp.minimum(off, still_off) > allowed + _VARIATION * varied)
    if bool(xp.any(wrong)):
        row = int(memory.indices(xp.nonzero(xp.reshape(wrong, (-1,)))[0])[0])
        [(_, shape)] = problem.function.outputs
        place = ", ".join(str(int(i)) for i in np.unravel_index(row, shape or (1,)))
        raise ValueError(
            f"{named} lacks entries of the Jacobian: along a random direction, the derivative of f(x)[{place}] has a"
            f" relative error of {float(off[0, row] / xp.abs(along.value)[0, row]):.2g}. Give a pattern with all"
            " entries that may differ from 0, or leave sparsity= out if f is noisy or has no derivative at x"
        )


def _expected(xp: Array, made: _Contributions, along: Slopes) -> Array:
    """Return the derivative along the direction from the entries, without imaginary parts if f is real."""
    is_complex = [
        hasattr(array, "dtype") and xp.isdtype(array.dtype, "complex floating")
        for array in (made.expected, along.value)
    ]
    return xp.real(made.expected) if is_complex == [True, False] else made.expected


def _along(scheme: Scheme, made: _Contributions, length: float) -> tuple[Slopes, Array]:
    """Return the derivative along the direction, and the largest magnitude of each value sampled for it, (1, p)."""
    xp = made.columns.problem.memory.xp
    seen: list[Array] = []

    def recorded(lines: Lines) -> Lines:
        def sample(levels: Sequence[Array]) -> Sequence[Array]:
            tables = lines.sample(levels)
            seen.extend(xp.abs(table) for table in tables)
            return tables

        return replace(lines, sample=sample, take=lambda indices: recorded(lines.take(indices)))

    lines = recorded(made.columns.lines(made.direction))
    slopes = scheme.differentiate(lines, length * xp.ones_like(lines.at))
    largest = xp.max(xp.concat(seen), axis=0, keepdims=True)
    return slopes, xp.where(xp.isfinite(largest), largest, xp.zeros_like(largest))
