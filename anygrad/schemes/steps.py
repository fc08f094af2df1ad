"""Step rules: how far from x a stencil reaches."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from anygrad._typing import Array
from anygrad.schemes.base import Lines
from anygrad.schemes.stencil import Stencil


class StepRule(Protocol):
    """A frozen object that chooses one step for each line."""

    def steps(self, lines: Lines, stencil: Stencil) -> Array:
        """Return positive steps of shape (m, 1)."""
        ...


Step: TypeAlias = float | Array | StepRule | None


def choose_steps(step: Step, rel_step: float | Array, lines: Lines, stencil: Stencil, noise: float | None) -> Array:
    """Return the step of each line, (m, 1), for the ``step=``, ``rel_step=`` and ``noise=`` of a scheme."""
    if step is None:
        steps = near_optimal_steps(lines, stencil, noise or 0.0)
    else:
        rule: Any = step
        steps = rule.steps(lines, stencil) if hasattr(step, "steps") else given_steps(step, lines)
    if rel_step is None:
        return steps
    relative = relative_steps(rel_step, lines)
    chosen = lines.xp.where(relative > (0.0 if step is None else steps), relative, steps)
    require_change(lines, chosen)
    return representable(chosen, lines)


def relative_steps(rel_step: float | Array, lines: Lines) -> Array:
    """Return ``rel_step * |x|``, 0 where x is not finite."""
    relative = spread_steps(rel_step, lines) * lines.scale
    return lines.xp.where(lines.xp.isfinite(relative), relative, 0.0)


def near_optimal_steps(lines: Lines, stencil: Stencil, noise: float = 0.0) -> Array:
    """Return the steps that balance truncation and rounding for the stencil's order p and the dtype.

    It is not known on which scale f varies: that of x, as a power of x does, or that of 1, as a sine does. Relative to
    the n-th derivative, an f of scale s has a rounding of about eps (s / h)^n and a truncation of (h / s)^p. With X =
    |x|, the larger rounding meets the larger truncation where h grows as X^(n/(p+n)) above 1 and as X^(p/(p+n)) below.
    x = 0 has no scale, and is taken for 1.

    At a large X nothing is left of the derivative unless h grows as X does; at a small one h must not shrink until
    nothing is left at the scale 1. So the step is never below what leaves, at the larger of X and 1, a rounding of
    sqrt(eps), or of what there is at 1, if that is more. ``noise`` is the relative error of f's values; it takes the
    place of eps where it is larger.
    """
    xp, n, p = lines.xp, stencil.n, stencil.order
    noise = max(lines.eps, noise)
    relative = stencil.relative_step(noise)
    least = min(relative, noise ** (0.5 / n))
    large = scale_of(lines)
    small = xp.where((lines.scale > 0) & (lines.scale < 1), lines.scale, 1.0)
    balanced = relative * large ** (n / (p + n)) * small ** (p / (p + n))
    return representable(xp.maximum(balanced, least * large), lines)


@dataclass(frozen=True)
class ReferenceStep:
    """The step of *Deep Learning from Scratch*: 1e-4, grown only where that would drown in rounding.

    1e-4 is used, unrounded, as long as it is at least ``eps**(1/3) * max(1, |x|)``: for float64 up to |x| = 16. An h
    that the user gave is used as it is, as far as x's dtype can take it.
    """

    h: float | None = None

    def __post_init__(self) -> None:
        if self.h is not None:
            require_positive(self.h)

    def steps(self, lines: Lines, stencil: Stencil) -> Array:
        xp = lines.xp
        if self.h is not None:
            h = xp.full_like(lines.at, float(self.h))
            require_change(lines, h)
            # In a narrower dtype than the working one x + h may be another number, and be off by a fifth of h.
            above = lines.at + h
            taken = lines.nearest(above)
            return xp.where(xp.isfinite(taken) & (taken != above), taken - lines.at, h)
        relative = lines.eps ** (1 / 3)
        if relative <= 1e-4 and lines.all(lines.scale <= 1e-4 / relative):  # nearly always, and much faster
            return xp.full_like(lines.at, 1e-4)
        needed = relative * scale_of(lines)
        return xp.where(needed > 1e-4, representable(needed, lines), 1e-4)


def validate_step(step: Step, name: str = "the step") -> None:
    """Raise unless that can be the ``step=`` or ``rel_step=`` of a scheme; an array is checked when x is known."""
    if isinstance(step, (bool, str, bytes, complex)):
        raise TypeError(f"{name} is {step!r}, but a positive number such as 1e-4 was expected, or None for the default")
    if isinstance(step, numbers.Real):
        require_positive(step, name)


def require_positive(step: Any, name: str = "the step") -> None:
    """Raise unless a step is positive and finite."""
    if not 0 < as_float(step) < math.inf:
        raise ValueError(
            f"{name} is {step!r:.60}, but a positive finite number such as 1e-4 was expected, or None for the default"
        )


def given_steps(given: float | Array, lines: Lines) -> Array:
    """Return a step that the user gave as one for each line; raise if it does not change x.

    x + step may be another number than was asked for, in float32 by a fifth of the step: the step taken, and divided
    by, is the distance from x to that number.
    """
    size = spread_steps(given, lines)
    require_change(lines, size)
    return representable(size, lines)


def spread_steps(given: float | Array, lines: Lines) -> Array:
    """Return what the user gave, a number or an array like x, as one for each line; raise unless all are positive."""
    xp = lines.xp
    size = xp.full_like(lines.at, float(given)) if isinstance(given, numbers.Real) else lines.spread(given)
    if lines.any(~((size > 0) & xp.isfinite(size))):
        raise ValueError("a step is not positive and finite: give numbers such as 1e-4, or None for the default")
    return size


def require_change(lines: Lines, size: Array) -> None:
    """Raise if steps leave x unchanged."""
    xp = lines.xp
    above, below = lines.nearest(lines.at + size), lines.nearest(lines.at - size)
    drowned = xp.isfinite(lines.at) & ((above == lines.at) | (below == lines.at))
    if lines.any(drowned):
        element = float(xp.max(xp.where(drowned, lines.scale, 0.0)))
        step = float(xp.min(xp.where(drowned, size, float("inf"))))
        raise ValueError(
            f"the step {step!r} is too small: in the dtype of x, it does not change an element of magnitude"
            f" {element!r}, which needs a step of at least {_spacing(element, lines)!r}"
        )


def as_float(number: Any) -> float:
    """Return a number as a float: infinity, if it is too large for one."""
    try:
        return float(number)
    except OverflowError:
        return math.inf


def representable(step: Array, lines: Lines) -> Array:
    """Round each step so that x + step is a number of x's dtype: the step taken is then the step divided by."""
    xp = lines.xp
    rounded = lines.nearest(lines.at + step) - lines.at
    return xp.where(xp.isfinite(rounded), rounded, step)


def scale_of(lines: Lines) -> Array:
    """Return |x| where it is finite and above 1, elsewhere 1."""
    xp = lines.xp
    return xp.where(xp.isfinite(lines.scale) & (lines.scale > 1.0), lines.scale, 1.0)


def _spacing(magnitude: float, lines: Lines) -> float:
    """Return the distance from ``magnitude`` to the next larger number of x's dtype."""
    if magnitude < lines.tiny:
        return lines.tiny
    _, exponent = math.frexp(magnitude)
    return max(math.ldexp(lines.eps, exponent - 1), lines.tiny)
