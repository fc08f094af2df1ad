"""The interface of a scheme."""

from __future__ import annotations

from typing import Protocol

from anygrad._plan import Lines, Slopes


class Scheme(Protocol):
    """A frozen object that differentiates functions of one variable from samples of them."""

    def differentiate(self, lines: Lines) -> Slopes:
        """Sample ``lines`` and return their derivatives at ``lines.at``."""
        ...

    def calls(self, n: int) -> int:
        """How often f is called for n derivatives."""
        ...
