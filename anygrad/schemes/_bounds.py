"""Room between bounds."""

from __future__ import annotations

from anygrad._plan import Lines
from anygrad._typing import Array


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
