"""Finding the pattern of a Jacobian from values of f near x."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anygrad._typing import Array
from anygrad.backends.arrays import Indices
from anygrad.operators.sparse.pattern import Columns, Pattern, count_groups, grouped, of_entries


def detected(columns: Columns) -> Pattern:
    """Return where f depends on x, as far as it shows within a step of x.

    The pattern found at one random point is checked at a second one; if that shows more, the second point is searched
    as well. It remains a heuristic: f may depend elsewhere on elements that it does not depend on here.
    """
    if columns.problem.memory.lazy:
        raise TypeError("sparsity is 'detect', but x is a lazy or traced array without known values: give a pattern")
    random = np.random.default_rng(0)  # the same calls of f each time
    first = _Point.near(columns, random)
    pattern = first.pattern()
    second = _Point.near(columns, random)
    if second.agrees(pattern):
        return pattern
    more = second.pattern()
    return of_entries(
        np.concatenate([pattern.rows, more.rows]), np.concatenate([pattern.columns, more.columns]), pattern.shape
    )


@dataclass(frozen=True, eq=False)
class _Point:
    columns: Columns  # all columns and their steps
    # The differences from x of the point, and of its elements when they are moved, (n,) each.
    here: Array
    moved: Array
    values: Array  # f at the point, (1, p)

    @classmethod
    def near(cls, columns: Columns, random: np.random.Generator) -> _Point:
        """Return a point less than a step from x, in no element the same, and call f there."""
        memory = columns.problem.memory
        shape = tuple(memory.array.shape)
        here, moved = (
            columns.steps * memory.spread(random.uniform(*range_, shape), "a random number")
            for range_ in ((0.5, 0.7), (0.8, 1.0))
        )
        return cls(columns, here, moved, columns.values(memory.xp.reshape(here, (1, -1))))

    def pattern(self) -> Pattern:
        """Find which element of f(x) depends on which block of elements of x, and then halve the blocks.

        Blocks that no element of f(x) has in common are changed together. This is the method of J. Gillis and
        M. Diehl, *Hierarchical seeding for efficient sparsity pattern recovery in automatic differentiation*, SIAM
        Workshop on Combinatorial Scientific Computing (2014), with values of f in the place of derivatives.
        """
        size, height = self.columns.problem.memory.size, self.values.shape[1]
        length = 1 << max(0, size - 1).bit_length()
        # Blocks of all columns: the first halves are looked at for each row.
        rows, blocks = np.arange(height if size else 0), np.zeros(height if size else 0, dtype=np.intp)
        while length > 1:
            length //= 2
            rows, blocks = np.repeat(rows, 2), np.repeat(2 * blocks, 2) + np.tile([0, 1], blocks.size)
            inside = blocks * length < size
            candidates = of_entries(rows[inside], blocks[inside], (height, -(-size // length)))
            groups = grouped(candidates)
            seen = self._changed(groups[np.arange(size) // length])
            rows, blocks = candidates.rows, candidates.columns
            kept = seen[groups[blocks], rows]
            rows, blocks = rows[kept], blocks[kept]
        return of_entries(rows, blocks, (height, size))

    def agrees(self, pattern: Pattern) -> bool:
        """Return whether each group of columns, and all without entries, change nothing but where they have entries."""
        groups = pattern.groups
        count = count_groups(groups)
        seen = self._changed(np.where(groups < 0, count, groups))
        seen[groups[pattern.columns], pattern.rows] = False
        return not seen.any()

    def _changed(self, groups: Indices) -> NDArray[np.bool_]:
        """Return which element of f(x) changes with each group of elements of x, (groups, p).

        Elements that are not finite count as changed: they have no derivative, which is not the same as 0.
        """
        xp, memory = self.columns.problem.memory.xp, self.columns.problem.memory
        count = count_groups(groups)
        seen = np.zeros((count, self.values.shape[1]), dtype=bool)
        for block, chosen in self.columns.blocks(groups, seen.shape[1]):
            values = self.columns.values(xp.where(chosen, self.moved, self.here))
            same = (values == self.values) & xp.isfinite(values)
            places = memory.indices(xp.nonzero(xp.reshape(~same, (-1,)))[0])
            seen[block.start : block.stop].reshape(-1)[places] = True
        return seen
