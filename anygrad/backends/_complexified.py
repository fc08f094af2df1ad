"""Real arrays, perturbed in the complex plane."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from anygrad._typing import Array
from anygrad.backends._base import Opener
from anygrad.backends._memory import Memory


@dataclass(frozen=True)
class Complexified:
    """The `Opener` of an array whose complex counterpart is perturbed in its place. It is always a copy."""

    real: Opener

    @property
    def name(self) -> str:
        return self.real.name

    def host(self, x: Array) -> np.ndarray[Any, Any]:
        return self.real.host(x)

    def forkable(self, x: Array) -> bool:
        return self.real.forkable(x)

    def memory(self, x: Array, *, in_place: bool) -> Memory:
        return self.real.memory(self.real.complexified(x), in_place=False)

    def complexified(self, x: Array) -> Array:
        return self.real.complexified(x)

    def context(self, x: Array) -> AbstractContextManager[object]:
        return self.real.context(x)

    def arrival(self, x: Array) -> Callable[[], AbstractContextManager[object]]:
        return self.real.arrival(x)
