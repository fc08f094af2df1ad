"""Several arrays as one: for derivatives by elements of more than one of them at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from anygrad._typing import Array
from anygrad.backends._base import Backend, Indices
from anygrad.backends._joint_memory import JointMemory, of_several_libraries
from anygrad.backends._vectoriser import Function


@dataclass(frozen=True)
class Joint:
    """The `Backend` of a list of arrays, whose elements are numbered through."""

    parts: tuple[Backend, ...]
    name: str = "joint"
    cast_example: str = ""
    compiled_gradient: None = None

    def is_array(self, x: object) -> bool:
        return False

    def floating(self, x: Sequence[Array]) -> bool:
        return all(part.floating(array) for part, array in zip(self.parts, x, strict=True))

    def host(self, x: Array) -> np.ndarray[Any, Any]:
        return self.parts[0].host(x)

    def shares_memory(self, x: Array, y: Array) -> bool:
        raise NotImplementedError("a list of arrays is compared array by array")

    def in_host_memory(self, x: Sequence[Array]) -> bool:
        return all(part.in_host_memory(array) for part, array in zip(self.parts, x, strict=True))

    def forkable(self, x: Sequence[Array]) -> bool:
        return all(part.forkable(array) for part, array in zip(self.parts, x, strict=True))

    def memory(self, x: Sequence[Array], *, in_place: bool) -> JointMemory:
        if any(part is not self.parts[0] for part in self.parts):
            raise of_several_libraries()
        memories = [part.memory(array, in_place=in_place) for part, array in zip(self.parts, x, strict=True)]
        return JointMemory(memories)

    def complexified(self, x: Sequence[Array]) -> Sequence[Array]:
        return [part.complexified(array) for part, array in zip(self.parts, x, strict=True)]

    def widened(self, x: Array) -> Array:
        raise NotImplementedError("a list of arrays is widened array by array")

    def promoting(self, f: Function, x: Array) -> Function:
        raise NotImplementedError("a list of arrays is widened array by array")

    def pattern(self, x: Any) -> Any:
        raise NotImplementedError("several arrays have no pattern")

    def sparse(self, values: Array, rows: Indices, columns: Indices, shape: tuple[int, int], like: Any) -> Any:
        raise NotImplementedError("several arrays have no pattern")

    def context(self, x: Sequence[Array]) -> AbstractContextManager[object]:
        stack = ExitStack()
        for part, array in zip(self.parts, x, strict=True):
            stack.enter_context(part.context(array))
        return stack

    def arrival(self, x: Sequence[Array]) -> Callable[[], AbstractContextManager[object]]:
        return partial(_entered, [part.arrival(array) for part, array in zip(self.parts, x, strict=True)])


def _entered(contexts: Sequence[Callable[[], AbstractContextManager[object]]]) -> AbstractContextManager[object]:
    """Return several contexts as one, entered."""
    stack = ExitStack()
    for context in contexts:
        stack.enter_context(context())
    return stack
