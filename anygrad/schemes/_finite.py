"""What the finite-difference schemes share."""

from __future__ import annotations

import numbers
from dataclasses import dataclass

from anygrad._plan import Lines, Slopes
from anygrad._typing import Array
from anygrad.schemes._bounds import require_room, room
from anygrad.schemes._parts import joined, selected
from anygrad.schemes._stencil import Stencil, one_sided


@dataclass(frozen=True, eq=False)
class Stencils:
    """The stencil that a scheme is named for, and those above and below x that bounds may turn it to."""

    nominal: Stencil
    above: Stencil
    below: Stencil

    @classmethod
    def around(cls, nominal: Stencil) -> Stencils:
        """Return a stencil with the one-sided ones of its order."""
        order, n = nominal.order, nominal.n
        return cls(nominal, one_sided(order, n, side=1), one_sided(order, n, side=-1))


def differentiate(lines: Lines, steps: Array, nominal: Stencil) -> Slopes:
    """Sample each line at the offsets of a stencil, and combine the values.

    Where there is no room for it between the bounds, it is a one-sided stencil of the same order that is taken; and
    where there is no room for that either, the side with more room, and a step that fits.
    """
    if lines.lower is None and lines.upper is None:
        return _slopes(lines, steps, nominal, turned=False)
    return _between_bounds(lines, steps, Stencils.around(nominal))


def _slopes(lines: Lines, steps: Array, stencil: Stencil, *, turned: bool) -> Slopes:
    sampled = iter(lines.sample(stencil.points(lines.at, steps)))
    values = [next(sampled) if offset else lines.base() for offset in stencil.offsets]
    value = stencil.combine(values, steps)
    nonfinite = ~lines.xp.isfinite(value)
    one_sided = nonfinite | True if turned else nonfinite & False
    return Slopes(value=value, step=steps, flags={"nonfinite": nonfinite, "one_sided": one_sided})


def _between_bounds(lines: Lines, steps: Array, stencils: Stencils) -> Slopes:
    xp = lines.xp
    nominal, above, steps = _chosen(lines, steps, stencils)
    turned = {True: stencils.above, False: stencils.below}
    if not lines.concrete:  # it cannot be seen which are which: all of each
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


def _chosen(lines: Lines, steps: Array, stencils: Stencils) -> tuple[Array, Array, Array]:
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
