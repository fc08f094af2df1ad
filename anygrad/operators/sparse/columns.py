"""The columns of a Jacobian, perturbed together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anygrad._typing import Array
from anygrad.backends.layout import Indices
from anygrad.problem.lines import direction_lines, element_lines
from anygrad.problem.problem import Problem
from anygrad.schemes.base import Lines
from anygrad.schemes.finite_difference import require_room, room


@dataclass(frozen=True, eq=False)
class Columns:
    """All elements of x with a step for each.

    Attributes
    ----------
    problem
        f and x.
    steps
        The steps, (n,), negative where there is more room between the bounds below than above.
    near
        Which elements are so near a bound that a scheme may have to keep to one side of them, (n,).
    """

    problem: Problem
    steps: Array
    near: NDArray[np.bool_]

    @classmethod
    def of(cls, problem: Problem) -> Columns:
        """Return the columns with the steps that the scheme would take for each element alone.

        Along one line there is one side and one step for all elements, in units of their own: those near a bound must
        not turn and shorten those of others. So they are made a group of their own, point to where there is room, and
        have steps that fit there.
        """
        memory, xp, scheme = problem.memory, problem.memory.xp, problem.scheme
        lines = element_lines(problem, range(memory.size))
        steps = scheme.steps(lines)
        near = np.zeros(memory.size, dtype=bool)
        if lines.lower is not None or lines.upper is not None:
            below, above = room(lines)
            reach = scheme.calls(1) * steps  # stencils have no gaps: k values are within k steps
            up = (above >= reach) | (above >= below)
            most = xp.where(up, above, below) / scheme.calls(1)
            if not lines.lazy:
                near[memory.indices(xp.nonzero(xp.reshape(xp.minimum(below, above) < reach, (-1,)))[0])] = True
            steps = xp.where(steps > most, most, steps)
            require_room(lines, steps, above=up)
            steps = xp.where(up, steps, -steps)
        return cls(problem, xp.reshape(steps, (-1,)), near)

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
        count = int(np.max(groups, initial=-1)) + 1
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
