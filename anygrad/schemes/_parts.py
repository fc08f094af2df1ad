"""Slopes put together from those of some of the lines."""

from __future__ import annotations

from collections.abc import Sequence

from anygrad._plan import Slopes
from anygrad._typing import Array, Namespace


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
