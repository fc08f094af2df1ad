"""Central, forward and backward differences."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import ClassVar

from anygrad._typing import Array, Namespace
from anygrad.schemes.base import Lines, Slopes, joined
from anygrad.schemes.stencil import Stencil, centred, one_sided
from anygrad.schemes.steps import Step, choose_steps, near_optimal_steps, representable, validate_step


@dataclass(frozen=True)
class _Difference:
    """A finite difference of some order: all but its stencil, which a subclass chooses."""

    order: int = 1
    step: Step = None
    noise: float | None = None
    rel_step: float | Array = None
    samples_complex: ClassVar[bool] = False
    inspects_values: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._validate_order()
        validate_noise(type(self).__name__, self.noise)
        validate_step(self.step)
        validate_step(self.rel_step, "rel_step")

    def steps(self, lines: Lines, n: int = 1) -> Array:
        """Return the step of each line for the n-th derivative."""
        return choose_steps(self.step, self.rel_step, lines, self._stencil(n), self.noise)

    def differentiate(self, lines: Lines, steps: Array, n: int = 1) -> Slopes:
        """Return the n-th derivatives of ``lines``.

        Where the bounds leave no room for the stencil, its steps are shortened, or a one-sided one of the same order is
        taken: whichever has the smaller error.
        """
        stencil = self._stencil(n)
        if lines.lower is None and lines.upper is None:
            return _slopes(lines, steps, stencil)
        return _between_bounds(lines, steps, stencil, self.noise or 0.0)

    def calls(self, m: int, n: int = 1) -> int:
        """Return how often f is called for the n-th derivatives of m lines."""
        return self._stencil(n).calls(m)

    def _stencil(self, n: int) -> Stencil:
        raise NotImplementedError

    def _validate_order(self, multiple_of: int = 1) -> None:
        scheme, order = type(self).__name__, self.order
        if isinstance(order, bool) or not isinstance(order, numbers.Integral):
            raise TypeError(f"{scheme}(order={order!r}): order must be an integer, such as {multiple_of}")
        if order < 1 or order % multiple_of:
            kind = "a positive even number" if multiple_of == 2 else "1 or more"
            raise ValueError(f"{scheme}(order={order!r}): order must be {kind}, such as {multiple_of}")


@dataclass(frozen=True)
class Central(_Difference):
    """Central differences: f is sampled symmetrically about x, and f(x) itself is not needed.

    Parameters
    ----------
    order
        Order of accuracy, an even number: the truncation error shrinks like ``step**order``. A first derivative
        costs ``order`` calls of f for each element.
    step
        Distance between neighbouring points, in units of x: a number, an array of x's shape (or one that can be
        broadcast to it), or a tree like x. None chooses a step for each element that is near-optimal for the order p,
        the derivative n and the dtype. It grows as ``|x|**(n/(p+n))`` where ``|x|`` is above 1, and as ``|x|`` where
        ``|x|`` is large (for high derivatives, from 1 on). It shrinks as ``|x|**(p/(p+n))`` where ``|x|`` is below 1,
        but not below ``eps**(1/(2n))``: an f that varies on a smaller scale needs ``rel_step`` or `Adaptive`. Every
        step is rounded so that x + step is a number of x's dtype, and the difference is divided by the rounded step.
    noise
        Relative error of the values of f, if it is known and larger than rounding: about 1e-6 for a simulation that
        stops at a tolerance of 1e-6. The default step is then chosen for it.
    rel_step
        The step relative to each element: it is ``rel_step * |x|``, and no less than ``step``, if both are given; the
        default step where x is 0 and ``step`` is not given. A number, an array or a tree, as ``step``.

    Raises
    ------
    ValueError
        If ``order`` is not even and positive, ``noise`` not between 0 and 1, ``step`` or ``rel_step`` not positive and
        finite, or (when used) too small to change an element of x.
    TypeError
        If ``order`` is not an integer, ``step`` or ``noise`` not a number.

    See Also
    --------
    Adaptive : chooses the step from values of f, and estimates the error.
    Forward, Backward : evaluate f on one side of x only.

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

    def _stencil(self, n: int) -> Stencil:
        return centred(self.order, n)

    def _validate_order(self, multiple_of: int = 2) -> None:
        super()._validate_order(multiple_of)


@dataclass(frozen=True)
class Forward(_Difference):
    """Forward differences: f is sampled at x and above it only.

    Parameters
    ----------
    order
        Order of accuracy, 1 or more. A gradient of n elements costs ``n * order + 1`` calls of f.
    step, noise, rel_step
        As in `Central`.

    Raises
    ------
    ValueError, TypeError
        As `Central`.

    See Also
    --------
    Central : more accurate at equal cost.

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

    def _stencil(self, n: int) -> Stencil:
        return one_sided(self.order, n, side=1)


@dataclass(frozen=True)
class Backward(_Difference):
    """Backward differences: f is sampled at x and below it only.

    Parameters
    ----------
    order
        Order of accuracy, 1 or more. A gradient of n elements costs ``n * order + 1`` calls of f.
    step, noise, rel_step
        As in `Central`.

    Raises
    ------
    ValueError, TypeError
        As `Central`.

    See Also
    --------
    Central : more accurate at equal cost.

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

    def _stencil(self, n: int) -> Stencil:
        return one_sided(self.order, n, side=-1)


def _slopes(lines: Lines, steps: Array, stencil: Stencil, *, turned: bool = False) -> Slopes:
    values = lines.sample(stencil.points(lines.at, steps))
    if 0 in stencil.offsets:
        sampled = iter(values)
        values = [next(sampled) if offset else lines.base() for offset in stencil.offsets]
    value = stencil.combine(values, steps)
    if not lines.flags:
        return Slopes(value=value, step=steps)
    nonfinite = ~lines.xp.isfinite(value)
    one_sided = nonfinite | True if turned else nonfinite & False
    return Slopes(value=value, step=steps, flags={"nonfinite": nonfinite, "one_sided": one_sided})


def _between_bounds(lines: Lines, steps: Array, stencil: Stencil, noise: float) -> Slopes:
    """Take the stencil where it fits; elsewhere with shorter steps, or a one-sided one, if that is more exact."""
    xp = lines.xp
    stencils = [stencil, *(one_sided(stencil.order, stencil.n, side=side) for side in (1, -1))]
    below, above = room(lines)
    noise = max(lines.eps, noise)
    scale = near_optimal_steps(lines, stencil, noise) / stencil.relative_step(noise)
    fitting, errors = [], []
    for candidate in stencils:
        most = xp.full_like(steps, float("inf"))
        for reach, limit in ((candidate.below, below), (candidate.above, above)):
            most = xp.minimum(most, limit / reach) if reach else most
        own = xp.where(steps > most, representable(most, lines), steps)
        fitting.append(own)
        errors.append(candidate.error(xp.maximum(own / scale, xp.full_like(own, lines.eps**2)), noise))  # none is 0
    best = xp.argmin(xp.concat(errors, axis=1), axis=1, keepdims=True)
    best = xp.where(fitting[0] == steps, 0, best)
    steps = xp.where(best == 0, fitting[0], xp.where(best == 1, fitting[1], fitting[2]))
    require_room(lines, steps, above=best < 2)
    if lines.lazy:  # it cannot be seen which are which: all of each
        first, up, down = (_slopes(lines, steps, some, turned=some is not stencil) for some in stencils)
        return _selected(xp, best == 0, first, _selected(xp, best == 1, up, down))
    parts, indices = [], []
    for number, chosen in enumerate(stencils):
        own = xp.nonzero(best[:, 0] == number)[0]
        if own.shape[0]:
            own_steps = xp.take(steps, own, axis=0)
            parts.append(_slopes(lines.take(own), own_steps, chosen, turned=number > 0))
            indices.append(own)
    if len(parts) == 1:
        return parts[0]
    order = xp.argsort(xp.concat(indices))  # without an assignment by index, which immutable arrays lack
    return joined(xp, parts).each(lambda array: xp.take(array, order, axis=0))


def _selected(xp: Namespace, mask: Array, yes: Slopes, no: Slopes) -> Slopes:
    return Slopes.of(lambda one, other: xp.where(mask, one, other), yes, no)


def room(lines: Lines) -> tuple[Array, Array]:
    """Return how far each line may be sampled below and above, (m, 1) each."""
    endless = lines.xp.full_like(lines.at, float("inf"))
    below = endless if lines.lower is None else lines.at - lines.lower
    above = endless if lines.upper is None else lines.upper - lines.at
    return below, above


def require_room(lines: Lines, steps: Array, *, above: Array) -> None:
    """Raise if a step, above x or below it, has become so small between the bounds that it does not change x."""
    xp = lines.xp
    moved = lines.nearest(xp.where(above, lines.at + steps, lines.at - steps))
    if lines.any(xp.isfinite(lines.at) & (moved == lines.at)):
        raise ValueError(
            "the bounds leave no room for a step: the two bounds of an element of x are equal or nearly so, or a"
            " direction leaves them on both sides. Widen the bounds, fix that element with fixed=, or give another"
            " direction"
        )


def validate_noise(scheme: str, noise: float | None) -> None:
    """Raise unless ``noise`` is None or a relative error."""
    if noise is None:
        return
    if isinstance(noise, bool) or not isinstance(noise, numbers.Real):
        raise TypeError(f"{scheme}(noise={noise!r}): noise must be the relative error of f, such as 1e-6, or None")
    if not 0 <= noise < 1:
        raise ValueError(f"{scheme}(noise={noise!r}): noise must be 0 or more and below 1, such as 1e-6")
