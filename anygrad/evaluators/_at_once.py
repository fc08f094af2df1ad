"""All points near a small x by one call of f, without a session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from anygrad._typing import Array
from anygrad.backends import Memory, Stack
from anygrad.evaluators._perturb import modified
from anygrad.evaluators._record import clearly_differ


def at_once(
    many: Callable[[Any], Any],
    stack: Stack,
    memory: Memory,
    levels: Sequence[Array],
    read: Callable[[Any, int], Array],
) -> Sequence[Array] | None:
    """Return f's values with each element in turn set to each of its levels; None if they may all be the same."""
    size, rows = memory.size, memory.size * len(levels)
    starts = range(0, rows, size)
    for start, level in zip(starts, levels, strict=True):
        stack.write(range(start, start + size), range(size), 0, level)
    changed, finished = False, False
    try:
        values = read(many(stack.argument(rows)), rows)
        finished = True
    finally:
        changed = stack.settle(look=finished)
    if changed:
        raise modified()
    columns = [values[start : start + size] for start in starts]
    return columns if clearly_differ(columns) else None
