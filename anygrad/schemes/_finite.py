"""What the finite-difference schemes share."""

from __future__ import annotations

import numbers

from anygrad._plan import Lines, Slopes
from anygrad.schemes._stencil import Stencil
from anygrad.schemes._step import StepRule


def differentiate(lines: Lines, stencil: Stencil, rule: StepRule) -> Slopes:
    """Sample each line at the stencil's offsets and combine the values."""
    step = rule.steps(lines, stencil)
    sampled = iter(lines.sample([lines.at + offset * step for offset in stencil.offsets if offset]))
    values = [next(sampled) if offset else lines.base() for offset in stencil.offsets]
    return Slopes(value=stencil.combine(values, step), step=step)


def validate_order(scheme: str, order: int, *, multiple_of: int) -> None:
    """Raise unless ``order`` is a positive multiple of ``multiple_of``."""
    if isinstance(order, bool) or not isinstance(order, numbers.Integral):
        raise TypeError(f"{scheme}(order={order!r}): order must be an integer, such as {multiple_of}")
    if order < 1 or order % multiple_of:
        kind = "a positive even number" if multiple_of == 2 else "1 or more"
        raise ValueError(f"{scheme}(order={order!r}): order must be {kind}, such as {multiple_of}")
