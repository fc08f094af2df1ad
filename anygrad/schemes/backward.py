"""Backward differences."""

from __future__ import annotations

from dataclasses import dataclass

from anygrad._plan import Lines, Slopes
from anygrad.schemes._finite import differentiate, validate_order
from anygrad.schemes._stencil import stencil
from anygrad.schemes._step import Step, step_rule


@dataclass(frozen=True)
class Backward:
    """Backward differences: f is sampled at x and below it only.

    Parameters
    ----------
    order
        Order of accuracy, 1 or more. A gradient of n elements costs ``n * order + 1`` calls of f.
    step
        As in `Central`.

    Raises
    ------
    ValueError, TypeError
        As `Central`.

    Notes
    -----
    The weights are those of Fornberg (1988), table 3, mirrored. At equal cost `Central` is more accurate; this
    one serves where f cannot be evaluated above x, or where half the calls matter more than half the digits.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> anygrad.numerical_gradient(lambda x: (x**2).sum(), np.array([3.0]), scheme=anygrad.Backward(order=2)).round(6)
    array([6.])
    """

    order: int = 1
    step: Step = None

    def __post_init__(self) -> None:
        validate_order("Backward", self.order, multiple_of=1)
        step_rule(self.step)

    def differentiate(self, lines: Lines) -> Slopes:
        """Return the derivatives of ``lines``."""
        return differentiate(lines, stencil(tuple(range(0, -self.order - 1, -1))), step_rule(self.step))

    def calls(self, n: int) -> int:
        """Return how often f is called for ``n`` derivatives."""
        return n * self.order + (1 if n else 0)
