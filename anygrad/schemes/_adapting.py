"""What `Adaptive` does: the first steps, the sides of x that are sampled, and the search on each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

from anygrad.schemes.base import Lines, Slopes
from anygrad._typing import Array, Namespace
from anygrad.schemes.finite_difference import require_room, room
from anygrad.schemes._diagnosis import Diagnosis
from anygrad.schemes._extrapolation import HIGH, ratio
from anygrad.schemes._findings import Finding, beside, together
from anygrad.schemes._kinks import Kink, suspected
from anygrad.schemes._noise import EXPLAINED
from anygrad.schemes.steps import given_steps
from anygrad.schemes._under_noise import MOST, WIDER
from anygrad.schemes._unseen import extrapolated
from anygrad.schemes._wanted import Wanted

# The first step, as a part of |x|: functions that vary with x, like its powers, converge from there.
_FIRST = 0.3
# Lines nearer to a bound than this part of their first step are sampled on the other side alone.
_NEAR = 1.0 / 16.0
# A high derivative takes as many more levels for each order to be seen at all.
_MORE = 4


class Settings(Protocol):
    """The parameters of `Adaptive`."""

    @property
    def step(self) -> Any: ...

    @property
    def noise(self) -> float | None: ...

    @property
    def levels(self) -> int: ...


def first_steps(scheme: Settings, lines: Lines, n: int = 1) -> Array:
    """Return the first step of each line.

    A high derivative takes a window of several levels: the first one is farther out, for the last one not to
    drown in noise.
    """
    _require_digits(n, lines.eps)
    if scheme.step is not None:
        return given_steps(scheme.step, lines)
    xp = lines.xp
    size = lines.scale
    factor = _FIRST * float(ratio(n)) ** ((n - 1) // 2)
    if (scheme.noise or 0.0) > EXPLAINED * lines.eps:
        factor *= WIDER
    # What is next to nothing has no digits for a step that is a part of it. Where subnormal numbers are flushed to
    # zero, as in callbacks of JAX, tiny is 0 as well: not less, but equal.
    small = size <= (1.0 if n > HIGH else lines.tiny / lines.eps)
    return factor * xp.where(xp.isfinite(size) & ~small, size, 1.0)


def _require_digits(n: int, eps: float) -> None:
    """Raise if no digit can be left.

    Of 1/x, n + 1 points that end at its pole make a rounding of f as large as e^n times that of the derivative.
    """
    most = int(-math.log(eps))
    if n > most:
        raise ValueError(
            f"n is {n}, but of derivatives beyond the {most}th rounding leaves no digit in x's dtype, whose numbers are"
            f" {eps:.1e} apart at 1: give x in a wider dtype, or derive a formula"
        )


def differentiate(scheme: Settings, lines: Lines, steps: Array, n: int = 1) -> Slopes:
    """Return the n-th derivatives of ``lines``, beginning with ``steps``."""
    xp = lines.xp
    noise = xp.zeros_like(lines.at) + max(lines.eps, MOST * (scheme.noise or 0.0))
    if lines.lazy:
        return _without_looking(scheme, lines, steps, noise, n)
    # What f has no number for at x itself leads the steps of all its values astray.
    unknown = xp.any(~xp.isfinite(lines.base()), axis=0)
    if unknown.shape[0] == 1 or not lines.any(unknown) or lines.all(unknown):
        return _found(scheme, lines, steps, noise, n).slopes(xp)
    groups = [xp.nonzero(~unknown)[0], xp.nonzero(unknown)[0]]
    apart = beside(xp, [_found(scheme, lines.of_values(group), steps, noise, n) for group in groups])
    return apart.of_values(xp, xp.argsort(xp.concat(groups))).slopes(xp)


def _found(scheme: Settings, lines: Lines, steps: Array, noise: Array, n: int) -> Finding:
    """Differentiate lines whose values can be looked at."""
    xp = lines.xp
    if lines.lower is None and lines.upper is None:
        return together(xp, list(_diagnosis(scheme, n, 0).run(lines, steps, noise)))
    findings: list[Finding] = []
    for side, indices, first in _Sides.of(lines, steps).groups(xp):
        some = lines if indices.shape[0] == lines.at.shape[0] else lines.take(indices)
        found = _diagnosis(scheme, n, side).run(some, first, xp.take(noise, indices, axis=0))
        findings.extend(replace(part, index=xp.take(indices, part.index)) for part in found)
    return together(xp, findings)


def _diagnosis(scheme: Settings, n: int, side: int) -> Diagnosis:
    return Diagnosis(_wanted(scheme, n, side), noise_known=scheme.noise is not None)


def _wanted(scheme: Settings, n: int, side: int) -> Wanted:
    return Wanted(n, side, scheme.levels + _MORE * (n - 1))


def _without_looking(scheme: Settings, lines: Lines, steps: Array, noise: Array, n: int) -> Slopes:
    """Differentiate without looking at what comes out: no line ends before the others, and none is examined."""
    xp = lines.xp
    if lines.lower is None and lines.upper is None:
        return _unexamined(lines, _wanted(scheme, n, 0), steps, noise).slopes(xp)
    sides = _Sides.of(lines, steps)
    none = xp.zeros_like(steps)
    found = _unexamined(lines, _wanted(scheme, n, 0), xp.where(sides.near, none, sides.first), noise)
    for side in (1, -1):
        here = sides.near & (sides.side == side)
        beside = _unexamined(lines, _wanted(scheme, n, side), xp.where(here, sides.first, none), noise)
        found = replace(found.revised(xp, here, beside), one_sided=found.one_sided | here)
    return found.slopes(xp)


def _unexamined(lines: Lines, wanted: Wanted, steps: Array, noise: Array) -> Finding:
    state, bends = extrapolated(lines, wanted, steps, noise)
    half = suspected(lines, state, bends)
    return Finding.of(lines.xp, state, wanted).bent(lines.xp, half > 0.0, Kink(half > 0.0, half))


@dataclass(frozen=True, eq=False)
class _Sides:
    """On which side of x lines are sampled, (m, 1): above (1), below (-1), or both (0); and how far at most."""

    near: Array
    side: Array
    first: Array

    @classmethod
    def of(cls, lines: Lines, steps: Array) -> _Sides:
        """Return the sides with room for steps; steps are a bit shorter than the room, for rounding not to end it."""
        xp = lines.xp
        below, above = room(lines)
        less, more = xp.where(above < below, above, below), xp.where(above < below, below, above)
        near = less < _NEAR * steps
        most = (1.0 - 4.0 * lines.eps) * xp.where(near, more, less)
        one = xp.ones_like(lines.at)
        side = xp.where(near, xp.where(above < below, -one, one), 0.0)
        first = xp.where(steps < most, steps, most)
        require_room(lines, first, above=side >= 0.0)
        return cls(near, side, first)

    def groups(self, xp: Namespace) -> Iterator[tuple[int, Array, Array]]:
        """Yield the sides, the indices of their lines, and the first steps of these."""
        for side in (0, 1, -1):
            indices = xp.nonzero(self.side[:, 0] == side)[0]
            if indices.shape[0]:
                yield side, indices, xp.take(self.first, indices, axis=0)
