"""Examples out of the documentation of numdifftools and SciPy, with their answers.

Functions are ``f(xp, x)``, in array API terms. Answers have the shapes of anygrad's operators: a Jacobian has f's
shape followed by x's, of a Hessian's diagonal the whole is asked, a direction is not normalised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = Any


@dataclass(frozen=True)
class Example:
    """``operator(f, x, **options)`` is ``answer``; ``source`` says where this is documented."""

    operator: str
    name: str
    f: Callable[[Any, Array], Array]
    x: Any
    answer: Any
    source: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        options = "".join(f", {name}={value}" for name, value in self.options.items())
        return f"{self.operator} of {self.name}{options} ({self.source})"


def side_by_side(jacobians: list[np.ndarray]) -> np.ndarray:
    """Return the Jacobian (p, k, m, k) of k functions side by side, none of which sees the others' columns."""
    result = np.zeros((jacobians[0].shape[0], len(jacobians), jacobians[0].shape[1], len(jacobians)))
    for k, jacobian in enumerate(jacobians):
        result[:, k, :, k] = jacobian
    return result
