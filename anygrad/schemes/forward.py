"""Forward differences."""

from __future__ import annotations

from dataclasses import dataclass

from anygrad._plan import Lines, Slopes
from anygrad._typing import Array
from anygrad.schemes._finite import differentiate, validate_noise, validate_order
from anygrad.schemes._stencil import Stencil, one_sided
from anygrad.schemes._step import Step, step_rule


@dataclass(frozen=True)
class Forward:
    """Forward differences: f is sampled at x and above it only.

    Parameters
    ----------
    order
        Order of accuracy, 1 or more. A gradient of n elements costs ``n * order + 1`` calls of f.
    step, noise
        As in `Central`.

    Raises
    ------
    ValueError, TypeError
        As `Central`.

    Notes
    -----
    The weights are those of Fornberg (1988), table 3. At equal cost `Central` is more accurate; this one serves
    where f cannot be evaluated below x, or where half the calls matter more than half the digits.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> anygrad.numerical_gradient(lambda x: (x**2).sum(), np.array([3.0]), scheme=anygrad.Forward(order=2)).round(6)
    array([6.])
    """

    order: int = 1
    step: Step = None
    noise: float | None = None

    def __post_init__(self) -> None:
        validate_order("Forward", self.order, multiple_of=1)
        validate_noise("Forward", self.noise)
        step_rule(self.step, self.noise)

    @property
    def off_axis(self) -> bool:
        """Whether f is sampled at complex points: it is not."""
        return False

    def steps(self, lines: Lines, n: int = 1) -> Array:
        """Return the step of each line for the n-th derivative."""
        return step_rule(self.step, self.noise).steps(lines, self._stencil(n))

    def differentiate(self, lines: Lines, steps: Array, n: int = 1) -> Slopes:
        """Return the n-th derivatives of ``lines``."""
        return differentiate(lines, steps, self._stencil(n))

    def calls(self, m: int, n: int = 1) -> int:
        """Return how often f is called for the n-th derivatives of m lines."""
        return self._stencil(n).calls(m)

    def _stencil(self, n: int) -> Stencil:
        return one_sided(self.order, n, side=1)
