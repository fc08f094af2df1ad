"""Several arrays as one: for derivatives by elements of more than one of them at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from anygrad._typing import Array
from anygrad.backends._base import Backend
from anygrad.backends._joint_memory import JointMemory, of_several_libraries


@dataclass(frozen=True)
class Joint:
    """The `Opener` of a list of arrays, whose elements are numbered through."""

    parts: tuple[Backend, ...]

    @property
    def name(self) -> str:
        return " and ".join(dict.fromkeys(part.name for part in self.parts))

    def host(self, x: Array) -> np.ndarray[Any, Any]:
        return self.parts[0].host(x)

    def forkable(self, x: Sequence[Array]) -> bool:
        return all(part.forkable(array) for part, array in zip(self.parts, x, strict=True))

    def memory(self, x: Sequence[Array], *, in_place: bool) -> JointMemory:
        if any(part is not self.parts[0] for part in self.parts):
            raise of_several_libraries()
        memories = [part.memory(array, in_place=in_place) for part, array in zip(self.parts, x, strict=True)]
        return JointMemory(memories)

    def complexified(self, x: Sequence[Array]) -> Sequence[Array]:
        return [part.complexified(array) for part, array in zip(self.parts, x, strict=True)]

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
