"""Real arrays, perturbed in the complex plane."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from anygrad._typing import Array
from anygrad.backends._base import Backend, Indices
from anygrad.backends._memory import Memory
from anygrad.backends._vectoriser import Function


@dataclass(frozen=True)
class Complexified:
    """The `Backend` of an array whose complex counterpart is perturbed in its place. It is always a copy."""

    real: Backend
    name: str = "complexified"
    cast_example: str = ""
    compiled_gradient: None = None

    def is_array(self, x: object) -> bool:
        return self.real.is_array(x)

    def floating(self, x: Array) -> bool:
        return self.real.floating(x)

    def host(self, x: Array) -> np.ndarray[Any, Any]:
        return self.real.host(x)

    def shares_memory(self, x: Array, y: Array) -> bool:
        return False

    def in_host_memory(self, x: Array) -> bool:
        return self.real.in_host_memory(x)

    def forkable(self, x: Array) -> bool:
        return self.real.forkable(x)

    def memory(self, x: Array, *, in_place: bool) -> Memory:
        return self.real.memory(self.real.complexified(x), in_place=False)

    def complexified(self, x: Array) -> Array:
        return self.real.complexified(x)

    def widened(self, x: Array) -> Array:
        return self.real.widened(x)

    def promoting(self, f: Function, x: Array) -> Function:
        return self.real.promoting(f, x)

    def pattern(self, x: Any) -> Any:
        return self.real.pattern(x)

    def sparse(self, values: Array, rows: Indices, columns: Indices, shape: tuple[int, int], like: Any) -> Any:
        return self.real.sparse(values, rows, columns, shape, like)

    def context(self, x: Array) -> AbstractContextManager[object]:
        return self.real.context(x)

    def arrival(self, x: Array) -> Callable[[], AbstractContextManager[object]]:
        return self.real.arrival(x)
