"""Central differences."""

from __future__ import annotations

from dataclasses import dataclass

from anygrad._plan import Lines, Slopes
from anygrad._typing import Array
from anygrad.schemes._finite import differentiate, validate_noise, validate_order
from anygrad.schemes._stencil import Stencil, centred
from anygrad.schemes._step import Step, step_rule


@dataclass(frozen=True)
class Central:
    """Central differences: f is sampled symmetrically about x, and f(x) itself is not needed.

    Parameters
    ----------
    order
        Order of accuracy, an even number: the truncation error shrinks like ``step**order``. A first derivative
        costs ``order`` calls of f for each element.
    step
        Distance between neighbouring points, in units of x. None chooses it for each element: near-optimal for the
        order p, the derivative n and the dtype, growing as ``|x|**(n/(p+n))`` where ``|x|`` is above 1 and as ``|x|``
        where it is large (of high derivatives, from 1 on), and rounded so that x + step is representable. A number, an
        array of x's shape (or one that can be broadcast to it), or a pytree like x, is used as it is, or as near to it
        as x's dtype can come.
    noise
        Relative error of f's values, where that is known and more than rounding: a simulation that stops at a
        tolerance of 1e-6 has about that. The default step is then chosen for it.

    Raises
    ------
    ValueError
        If ``order`` is not even and positive, ``noise`` not between 0 and 1, or ``step`` not positive and finite, or
        (when used) too small to change an element of x.
    TypeError
        If ``order`` is not an integer, ``step`` or ``noise`` not a number.

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
    noise: float | None = None

    def __post_init__(self) -> None:
        validate_order("Central", self.order, multiple_of=2)
        validate_noise("Central", self.noise)
        step_rule(self.step, self.noise)

    @property
    def off_axis(self) -> bool:
        """Whether f is sampled at complex points: it is not."""
        return False

    def steps(self, lines: Lines, n: int = 1) -> Array:
        """Return the step of each line for the n-th derivative."""
        return step_rule(self.step, self.noise).steps(lines, self._stencil(n))

    def uniform_stencil(self) -> tuple[Stencil, float, float] | None:
        """Return the stencil and the step of first derivatives in float64, and up to which magnitude of x it is that.

        None if each element has its own.
        """
        rule = step_rule(self.step, self.noise)
        uniform = vars(type(rule)).get("uniform_step")  # not that of a class that this one is derived from
        step = uniform(rule) if callable(uniform) else None
        return None if step is None else (self._stencil(1), *step)

    def differentiate(self, lines: Lines, steps: Array, n: int = 1) -> Slopes:
        """Return the n-th derivatives of ``lines``."""
        return differentiate(lines, steps, self._stencil(n))

    def calls(self, m: int, n: int = 1) -> int:
        """Return how often f is called for the n-th derivatives of m lines."""
        return self._stencil(n).calls(m)

    def _stencil(self, n: int) -> Stencil:
        return centred(self.order, n)
