"""Sparse Jacobians: columns that have no row in common are differentiated together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from anygrad._typing import Array
from anygrad.backends.base import Backend, Memory
from anygrad.backends.layout import Indices
from anygrad.operators.partials import completed
from anygrad.operators.sparse.columns import Columns
from anygrad.operators.sparse.detection import detected
from anygrad.operators.sparse.pattern import Pattern, given
from anygrad.operators.sparse.verification import Contributions, verify
from anygrad.problem.function import Function
from anygrad.problem.options import Options
from anygrad.problem.parameters import Parameters
from anygrad.problem.problem import Problem
from anygrad.problem.result import Counts, arrays_of, assembled, mapped
from anygrad.problem.tree import only
from anygrad.schemes.base import Scheme, Slopes, joined


def sparse_jacobian(parameters: Parameters, function: Function, options: Options, sparsity: Any) -> Any:
    """Return what `jacobian` does for a sparsity."""
    if not parameters.alone:
        raise TypeError(
            f"x consists of {', '.join(parameters.names)}, but with sparsity= it must be one array: ravel them into"
            " one, and take that apart in f"
        )
    [backend], [shape] = parameters.backends, parameters.shapes
    detecting = isinstance(sparsity, str) and sparsity == "detect"
    pattern = None if detecting else given(sparsity, backend, parameters.size)
    groups = 0 if pattern is None else int(np.max(pattern.groups, initial=-1)) + 1
    total = options.scheme.calls(groups) + options.scheme.calls(1)
    with Problem.joint(function, parameters, options, total) as problem:
        memory, scheme = problem.memory, problem.scheme
        columns = Columns.of(problem)
        if pattern is None:
            pattern = detected(columns)
        entries = _Compressed(columns, pattern, function, scheme).entries()
        if memory.size:
            verify(scheme, entries.made, entries.again, named="the pattern found" if detecting else "sparsity")
        slopes, counts = entries.slopes, Counts()
        counts.add(problem)
        if problem.tolerant:
            missing = memory.xp.isnan(slopes.value) & bool(counts.failures)
            slopes = replace(slopes, flags={**slopes.flags, "failed": missing})
            if not memory.any(missing):
                counts.failures = {}
        arrays = _arrays(backend, memory, slopes, pattern, full_output=options.full_output)
        step = memory.assemble([entries.step], shape) if options.full_output else None
        problem.warn_if_constant()
    return assembled([arrays], function.rebuilt, options, function, counts, steps=step)


# Derivatives along the steps of some groups, the places of entries in them, and the columns of these.
_Part: TypeAlias = tuple[Slopes, Indices, Indices]


@dataclass(frozen=True, eq=False)
class _Entries:
    """The entries in the pattern's order, (entries, 1), and the steps of all elements of x, (n,); see `verify`."""

    slopes: Slopes
    step: Array
    made: Contributions
    again: Callable[[float], Contributions]


@dataclass(frozen=True, eq=False)
class _Compressed:
    """A Jacobian of as many columns as there are groups, and the entries that come out of it."""

    columns: Columns
    pattern: Pattern
    function: Function
    scheme: Scheme

    def entries(self) -> _Entries:
        """Differentiate along the steps of one group after the other."""
        memory, xp = self.columns.problem.memory, self.columns.problem.memory.xp
        groups = self.columns.parted(self.pattern.groups)
        order = np.argsort(groups[self.pattern.columns], kind="stable")
        made, steps = Contributions(self.columns, self.pattern.shape[0]), self.columns.steps
        parts, units = [], []
        for table, places, columns in self._tables(groups, order):
            made.add(table, places, columns)
            parts.append(self._entries(table, places, columns))
            units.append(xp.reshape(table.step, (-1,)))

        def again(length: float) -> Contributions:
            other = Contributions(self.columns, self.pattern.shape[0])
            for part in self._tables(groups, order, length):
                other.add(*part)
            return other

        if not parts:
            self._require_shape(self.columns.problem.base().shape[-1])
            nothing = xp.reshape(steps[:0], (0, 1))
            return _Entries(Slopes(value=nothing, step=nothing), 0 * steps, made, again)
        back = memory.index_array(np.argsort(order).tolist())
        slopes = joined(xp, parts).each(lambda table: xp.take(table, back, axis=0))
        # What is in no group takes the last one: no step.
        taken = memory.index_array(np.where(groups < 0, np.max(groups) + 1, groups).tolist())
        step = xp.abs(steps) * xp.take(xp.concat([*units, xp.zeros_like(steps[:1])]), taken, axis=0)
        return _Entries(slopes, step, made, again)

    def _tables(self, groups: Indices, order: Indices, length: float = 1.0) -> Iterator[_Part]:
        """Yield all derivatives along the steps of groups; ``order`` is that of the entries by these."""
        height = self.pattern.shape[0]
        rows, columns = self.pattern.rows[order], self.pattern.columns[order]
        ends = np.searchsorted(groups[columns], np.arange(int(np.max(groups, initial=-1)) + 2))
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
            return self.scheme.differentiate(lines, length * xp.ones_like(lines.at))

        slopes = completed(problem, along)
        self._require_shape(slopes.value.shape[1])
        return slopes

    def _entries(self, table: Slopes, places: Indices, columns: Indices) -> Slopes:
        """Return the derivatives by elements from those along their steps."""
        memory, xp = self.columns.problem.memory, self.columns.problem.memory.xp
        steps = xp.take(self.columns.steps, memory.index_array(columns.tolist()), axis=0)
        chosen = memory.index_array(places.tolist())

        def taken(array: Array) -> Array:
            return xp.take(xp.reshape(array, (-1,)), chosen, axis=0)

        return Slopes(
            value=(taken(table.value) / steps)[:, None],
            step=steps[:, None],
            error=None if table.error is None else (taken(table.error) / xp.abs(steps))[:, None],
            flags={name: taken(flag)[:, None] for name, flag in table.flags.items()},
        )

    def _require_shape(self, height: int) -> None:
        if not self.function.alone:
            raise TypeError("f returned a tree, but with sparsity= it must return one array: ravel its parts into one")
        if height != self.pattern.shape[0]:
            raise ValueError(
                f"sparsity has {self.pattern.shape[0]} rows, but f returned {height} elements: a pattern has a row for"
                " each element of f(x), counted in C order where it has several dimensions"
            )


def _arrays(backend: Backend, memory: Memory, slopes: Slopes, pattern: Pattern, *, full_output: bool) -> Slopes:
    """Return the entries as sparse arrays of x's library."""

    def sparse(entries: Array) -> Array:
        return backend.sparse(entries, pattern.rows, pattern.columns, pattern.shape, pattern.like)

    flat = arrays_of(memory, slopes, (pattern.rows.size,))
    if not full_output:
        return Slopes(value=sparse(flat.value), step=None)
    return mapped([flat], lambda entries: sparse(only(entries)))
