"""Where f may be evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from anygrad._typing import Array


@dataclass(eq=False)
class Box:
    """Between which numbers f may be evaluated: one for each element of x, or None where there is no bound."""

    lower: Array | None = None
    upper: Array | None = None

    def clip(self, xp: Any, numbers: Array) -> Array:
        """Return the numbers moved into the box: a rounding error must not lead out of it."""
        if self.lower is not None:
            numbers = xp.maximum(numbers, self.lower)
        return numbers if self.upper is None else xp.minimum(numbers, self.upper)
