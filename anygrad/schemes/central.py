"""Central differences."""

from __future__ import annotations

from dataclasses import dataclass

from anygrad._plan import Lines, Slopes
from anygrad.schemes._finite import differentiate, validate_order
from anygrad.schemes._stencil import stencil
from anygrad.schemes._step import Step, step_rule


@dataclass(frozen=True)
class Central:
    """Central differences: f is sampled symmetrically about x, and f(x) itself is not needed.

    Parameters
    ----------
    order
        Order of accuracy, an even number: the truncation error shrinks like ``step**order``. Each element costs
        ``order`` calls of f.
    step
        Distance between neighbouring points, in units of x. None chooses it for each element: near-optimal for the
        order p and the dtype, growing as ``|x|**(1/(p+1))`` where |x| is above 1 and as |x| where it is large, and
        rounded so that x + step is representable. A number is used as it is,
        or as near to it as x's dtype can come.

    Raises
    ------
    ValueError
        If ``order`` is not even and positive, or ``step`` not positive and finite, or (when used) too small to
        change an element of x.
    TypeError
        If ``order`` is not an integer or ``step`` not a number.

    Notes
    -----
    The weights are those of B. Fornberg, *Generation of finite difference formulas on arbitrarily spaced grids*,
    Math. Comp. 51 (1988), table 1, for any order, solved in rational numbers.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> x = np.array([0.0, 1.0])
    >>> anygrad.numerical_gradient(lambda x: np.sin(x).sum(), x, scheme=anygrad.Central(order=6)).round(12)
    array([1.        , 0.54030231])
    """

    order: int = 2
    step: Step = None

    def __post_init__(self) -> None:
        validate_order("Central", self.order, multiple_of=2)
        step_rule(self.step)

    def differentiate(self, lines: Lines) -> Slopes:
        """Return the derivatives of ``lines``."""
        return differentiate(lines, stencil(self._offsets()), step_rule(self.step))

    def calls(self, n: int) -> int:
        """Return how often f is called for ``n`` derivatives."""
        return n * self.order

    def _offsets(self) -> tuple[int, ...]:
        reach = range(1, self.order // 2 + 1)
        return tuple(offset for distance in reach for offset in (distance, -distance))
