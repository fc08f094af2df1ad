"""Whether a Jacobian has entries that its pattern lacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from anygrad._typing import Array
from anygrad.backends.layout import Indices
from anygrad.operators.sparse.columns import Columns
from anygrad.schemes.base import Lines, Scheme, Slopes

# How far the derivative along the direction may be from the sum of a row's contributions, relative to these.
_RELATIVE = 1e-3
# Allowed for rounding: as many roundings of one value of f, for each entry of the row and for the sum.
_ROUNDING = 8.0
# Truncation and rounding are taken to be at most _VARIATION times what changes when the steps are these times as long.
_LENGTHS = (0.7, 0.5, 0.35)
_VARIATION = 10.0


@dataclass(eq=False)
class Contributions:
    """What the entries of a Jacobian make of the derivative along a random direction, block by block.

    Attributes
    ----------
    columns
        The elements of x, and their steps.
    height
        The size of f(x).
    direction
        The direction, (1, n).
    expected
        The derivative along it, (1, p).
    size
        The sum of what the entries contribute to it, without their signs, (1, p).
    magnitude
        How large the terms may be that f(x) is a sum of, (1, p).
    error
        The sum of the estimates of the error, (1, p).
    entries
        How many entries a row has, (1, p).
    """

    columns: Columns
    height: int
    direction: Array = field(init=False)
    expected: Array = 0.0
    size: Array = 0.0
    magnitude: Array = 0.0
    error: Array = 0.0
    entries: Array = 0

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
        """Add derivatives along the steps of groups, (k, p), in which entries of these columns are in these places."""
        memory, xp = self.columns.problem.memory, self.columns.problem.memory.xp
        if memory.lazy:  # nothing will be verified
            return
        shape = table.value.shape
        column_at = np.full(shape[0] * shape[1], memory.size)
        column_at[places] = columns
        index = memory.index_array(column_at.tolist())
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


def verify(scheme: Scheme, made: Contributions, again: Callable[[float], Contributions], *, named: str) -> None:
    """Raise if the derivative along the direction is not what the entries make it.

    ``again`` makes the contributions with steps of another length, should that be needed.
    """
    problem = made.columns.problem
    memory, xp = problem.memory, problem.memory.xp
    if memory.lazy or not made.height:
        return
    along, largest = _along(scheme, made, 1.0)
    allowed = _RELATIVE * made.size + made.error + (0.0 if along.error is None else along.error)
    if not problem.scheme.samples_complex:  # where there is no difference in which rounding would show
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
        raise ValueError(
            f"{named} lacks entries of the Jacobian: along a random direction, the derivative of element {row} of f(x)"
            f" is off by {float(off[0, row] / xp.abs(along.value)[0, row]):.2g} of it: give a pattern that has all"
            " entries that may be other than 0, or leave sparsity out where f has no derivative at x, or is noisy"
        )


def _expected(xp: Array, made: Contributions, along: Slopes) -> Array:
    """Return the derivative along the direction from the entries, without derivatives by imaginary parts."""
    is_complex = [
        hasattr(array, "dtype") and xp.isdtype(array.dtype, "complex floating")
        for array in (made.expected, along.value)
    ]
    return xp.real(made.expected) if is_complex == [True, False] else made.expected


def _along(scheme: Scheme, made: Contributions, length: float) -> tuple[Slopes, Array]:
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
