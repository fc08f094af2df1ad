"""Central, forward and backward differences."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from anygrad._typing import Array, Namespace
from anygrad.schemes.base import Lines, Slopes
from anygrad.schemes.stencil import Stencil, centred, one_sided
from anygrad.schemes.steps import Step, step_rule


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
        array of x's shape (or one that can be broadcast to it), or a pytree like x, is used as near as x + step comes
        to it, and differences are divided by the step as taken.
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
    samples_complex: ClassVar[bool] = False
    inspects_values: ClassVar[bool] = False

    def __post_init__(self) -> None:
        validate_order("Central", self.order, multiple_of=2)
        validate_noise("Central", self.noise)
        step_rule(self.step, self.noise)

    def steps(self, lines: Lines, n: int = 1) -> Array:
        """Return the step of each line for the n-th derivative."""
        return step_rule(self.step, self.noise).steps(lines, self._stencil(n))

    def differentiate(self, lines: Lines, steps: Array, n: int = 1) -> Slopes:
        """Return the n-th derivatives of ``lines``."""
        return _differentiate(lines, steps, self._stencil(n))

    def calls(self, m: int, n: int = 1) -> int:
        """Return how often f is called for the n-th derivatives of m lines."""
        return self._stencil(n).calls(m)

    def _stencil(self, n: int) -> Stencil:
        return centred(self.order, n)


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
    samples_complex: ClassVar[bool] = False
    inspects_values: ClassVar[bool] = False

    def __post_init__(self) -> None:
        validate_order("Forward", self.order, multiple_of=1)
        validate_noise("Forward", self.noise)
        step_rule(self.step, self.noise)

    def steps(self, lines: Lines, n: int = 1) -> Array:
        """Return the step of each line for the n-th derivative."""
        return step_rule(self.step, self.noise).steps(lines, self._stencil(n))

    def differentiate(self, lines: Lines, steps: Array, n: int = 1) -> Slopes:
        """Return the n-th derivatives of ``lines``."""
        return _differentiate(lines, steps, self._stencil(n))

    def calls(self, m: int, n: int = 1) -> int:
        """Return how often f is called for the n-th derivatives of m lines."""
        return self._stencil(n).calls(m)

    def _stencil(self, n: int) -> Stencil:
        return one_sided(self.order, n, side=1)


@dataclass(frozen=True)
class Backward:
    """Backward differences: f is sampled at x and below it only.

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
    noise: float | None = None
    samples_complex: ClassVar[bool] = False
    inspects_values: ClassVar[bool] = False

    def __post_init__(self) -> None:
        validate_order("Backward", self.order, multiple_of=1)
        validate_noise("Backward", self.noise)
        step_rule(self.step, self.noise)

    def steps(self, lines: Lines, n: int = 1) -> Array:
        """Return the step of each line for the n-th derivative."""
        return step_rule(self.step, self.noise).steps(lines, self._stencil(n))

    def differentiate(self, lines: Lines, steps: Array, n: int = 1) -> Slopes:
        """Return the n-th derivatives of ``lines``."""
        return _differentiate(lines, steps, self._stencil(n))

    def calls(self, m: int, n: int = 1) -> int:
        """Return how often f is called for the n-th derivatives of m lines."""
        return self._stencil(n).calls(m)

    def _stencil(self, n: int) -> Stencil:
        return one_sided(self.order, n, side=-1)


@dataclass(frozen=True, eq=False)
class _Stencils:
    """The stencil that a scheme is named for, and those above and below x that bounds may turn it to."""

    nominal: Stencil
    above: Stencil
    below: Stencil

    @classmethod
    def around(cls, nominal: Stencil) -> _Stencils:
        """Return a stencil with the one-sided ones of its order."""
        order, n = nominal.order, nominal.n
        return cls(nominal, one_sided(order, n, side=1), one_sided(order, n, side=-1))


def _differentiate(lines: Lines, steps: Array, nominal: Stencil) -> Slopes:
    """Sample each line at the offsets of a stencil, and combine the values.

    Where there is no room for it between the bounds, it is a one-sided stencil of the same order that is taken; and
    where there is no room for that either, the side with more room, and a step that fits.
    """
    if lines.lower is None and lines.upper is None:
        return _slopes(lines, steps, nominal, turned=False)
    return _between_bounds(lines, steps, _Stencils.around(nominal))


def _slopes(lines: Lines, steps: Array, stencil: Stencil, *, turned: bool) -> Slopes:
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


def _between_bounds(lines: Lines, steps: Array, stencils: _Stencils) -> Slopes:
    xp = lines.xp
    nominal, above, steps = _chosen(lines, steps, stencils)
    turned = {True: stencils.above, False: stencils.below}
    if lines.lazy:  # it cannot be seen which are which: all of each
        sides = [_slopes(lines, steps, turned[side], turned=True) for side in (True, False)]
        return selected(xp, nominal, _slopes(lines, steps, stencils.nominal, turned=False), selected(xp, above, *sides))
    parts, indices = [], []
    groups = ((nominal, stencils.nominal), (~nominal & above, stencils.above), (~nominal & ~above, stencils.below))
    for mask, stencil in groups:
        own = xp.nonzero(mask[:, 0])[0]
        if own.shape[0]:
            own_steps = xp.take(steps, own, axis=0)
            parts.append(_slopes(lines.take(own), own_steps, stencil, turned=stencil is not stencils.nominal))
            indices.append(own)
    return joined(xp, parts, indices)


def _chosen(lines: Lines, steps: Array, stencils: _Stencils) -> tuple[Array, Array, Array]:
    """Return which lines have room for the nominal stencil, which others go above, and the steps, (m, 1) each."""
    xp = lines.xp
    room_below, room_above = room(lines)
    nominal = (stencils.nominal.below * steps <= room_below) & (stencils.nominal.above * steps <= room_above)
    reach = float(stencils.above.above)
    above = (reach * steps <= room_above) | (room_above >= room_below)
    most = xp.where(above, room_above, room_below) / reach
    squeezed = ~nominal & (steps > most)
    steps = xp.where(squeezed, most, steps)
    require_room(lines, steps, above=above)
    return nominal, above, steps


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
            "the bounds leave no room: they meet, or nearly so, at an element of x, or a direction leads out of them"
            " on both sides: widen them, leave that element out of x, or give another direction"
        )


def joined(xp: Namespace, parts: Sequence[Slopes], indices: Sequence[Array]) -> Slopes:
    """Return the slopes of all lines in order, from parts of which it is known which lines they are of."""
    if len(parts) == 1:
        return parts[0]
    # Without an assignment by index, which immutable arrays lack.
    order = xp.argsort(xp.concat(list(indices)))

    def ordered(arrays: Sequence[Array]) -> Array:
        return xp.take(xp.concat(list(arrays)), order, axis=0)

    return Slopes(
        value=ordered([part.value for part in parts]),
        step=ordered([part.step for part in parts]),
        error=None if parts[0].error is None else ordered([part.error for part in parts]),
        flags={name: ordered([part.flags[name] for part in parts]) for name in parts[0].flags},
    )


def selected(xp: Namespace, mask: Array, yes: Slopes, no: Slopes) -> Slopes:
    """Return the slopes of ``yes`` where the mask is true, and of ``no`` elsewhere."""
    return Slopes(
        value=xp.where(mask, yes.value, no.value),
        step=xp.where(mask, yes.step, no.step),
        error=None if yes.error is None else xp.where(mask, yes.error, no.error),
        flags={name: xp.where(mask, flag, no.flags[name]) for name, flag in yes.flags.items()},
    )


def validate_order(scheme: str, order: int, *, multiple_of: int) -> None:
    """Raise unless ``order`` is a positive multiple of ``multiple_of``."""
    if isinstance(order, bool) or not isinstance(order, numbers.Integral):
        raise TypeError(f"{scheme}(order={order!r}): order must be an integer, such as {multiple_of}")
    if order < 1 or order % multiple_of:
        kind = "a positive even number" if multiple_of == 2 else "1 or more"
        raise ValueError(f"{scheme}(order={order!r}): order must be {kind}, such as {multiple_of}")


def validate_noise(scheme: str, noise: float | None) -> None:
    """Raise unless ``noise`` is None or a relative error."""
    if noise is None:
        return
    if isinstance(noise, bool) or not isinstance(noise, numbers.Real):
        raise TypeError(f"{scheme}(noise={noise!r}): noise must be the relative error of f, such as 1e-6, or None")
    if not 0 <= noise < 1:
        raise ValueError(f"{scheme}(noise={noise!r}): noise must be a relative error of f in [0, 1), such as 1e-6")
