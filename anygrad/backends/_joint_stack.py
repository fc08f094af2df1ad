"""Many points of several arrays at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from anygrad._typing import Array
from anygrad.backends._stack import Rows


class JointStack:
    """A `Stack` of several arrays: a list of stacks of the same length."""

    def __init__(self, stacks: Sequence[Any], groups: Callable[..., Any], own: Callable[..., Array]) -> None:
        self._stacks = stacks
        self._groups = groups
        self._own = own

    def write(self, rows: Rows, elements: Sequence[int], part: int | None, levels: Array) -> None:
        of_each = np.broadcast_to(np.asarray(rows, dtype=np.intp), (len(elements),))
        for array, (there, here) in self._groups(elements).items():
            self._stacks[array].write(of_each[here], there, part, self._own(array, levels, here))

    def fill(self, rows: range, samples: Sequence[int]) -> None:
        raise NotImplementedError("several arrays are no batch")

    def argument(self, count: int) -> list[Array]:
        return [stack.argument(count) for stack in self._stacks]

    def settle(self, *, look: bool) -> bool:
        changed = [stack.settle(look=look) for stack in self._stacks]  # all of them, whatever the first one says
        return any(changed)
