"""The Taylor test: how fast f departs from its tangent along a random direction."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from anygrad.check.task import HostArray, Probe, Task

# From a tenth of |x| down, each an eighth of the one before.
LENGTHS = tuple(0.1 * 8.0**-k for k in range(7))
# For an f that varies on a smaller scale than |x|: for others, rounding hides the remainder at many of these.
SHORTER = tuple(0.1 * 4.0**-k for k in range(4, 17))
_ABOVE_ROUNDING = 100.0
# A parabola is fitted to so many of the shortest lengths: its residual is noise.
_SHORTEST = 5
# At a cusp the remainder is a power of the length between these, and log-log points lie as straight as this.
_CUSPS = (0.1, 0.95)
_STRAIGHT = 0.05


@dataclass(frozen=True)
class Taylor:
    """How fast |f(x + t d) - f(x) - t g.d| shrinks with t.

    Attributes
    ----------
    slope
        The exponent of t: 2 if g is the gradient (more, if f is nearly linear along d), 1 if it is not; None if the
        remainder is all rounding.
    remainder
        The remainder divided by t at the shortest length above rounding: a larger error of g along d would have been
        noticed.
    """

    slope: float | None
    remainder: float

    @property
    def right(self) -> bool | None:
        """Whether the slope is that of a gradient; None if there is none."""
        return None if self.slope is None else self.slope > 1.5


def taylor_of(
    task: Task, claimed: HostArray, probe: Probe, direction: HostArray, *, wrong: bool
) -> tuple[Taylor | None, int]:
    """Return the Taylor test, at shorter lengths if it fails though nothing is wrong, and how often f was called."""
    if task.kind == "hess":
        return None, 0
    tangent = claimed @ direction
    # Of a real function of complex numbers, the real part of its gradient is the derivative along the real axes.
    tangent = tangent if np.iscomplexobj(probe.values) else np.real(tangent)
    test = taylor_test(probe, tangent, task.eps)
    if test is None or test.right is not False or wrong:
        return test, 0
    closer = task.probe(direction, SHORTER)
    return taylor_test(closer, tangent, task.eps), closer.ncalls


def taylor_test(probe: Probe, tangent: HostArray, eps: float) -> Taylor | None:
    """Test the claim that f changes by ``t * tangent``, (p,); return None if f is not finite along the line."""
    if not (np.all(np.isfinite(probe.repeated[0])) and np.all(np.isfinite(tangent))):
        return None
    unit = _power_of_two(probe)
    small = replace(probe, repeated=probe.repeated / unit, values=probe.values / unit)
    test = _test_scaled(small, tangent / unit, eps)
    return None if test is None else replace(test, remainder=unit * test.remainder)


def _power_of_two(probe: Probe) -> float:
    """Return a power of two about as large as f: in units of it, no square overflows."""
    sizes = np.abs(np.concatenate([probe.repeated, probe.values]))
    largest = float(np.max(sizes[np.isfinite(sizes)], initial=0.0))
    return 2.0 ** (math.frexp(largest)[1] - 1) if largest else 1.0


def _test_scaled(probe: Probe, tangent: HostArray, eps: float) -> Taylor | None:
    base = probe.repeated[0]
    linear = probe.t[:, None] * tangent
    remainders = np.linalg.norm(probe.values - base - linear, axis=1)
    sizes = np.linalg.norm(base) + np.linalg.norm(probe.values, axis=1) + np.linalg.norm(linear, axis=1)
    lengths, rounding = np.abs(probe.t), eps * sizes + probe.spread
    test = _fit(lengths, remainders, _ABOVE_ROUNDING * rounding)
    if test is None or test.right is not False or _is_cusp(lengths, remainders):
        return test
    return _fit(lengths, remainders, _ABOVE_ROUNDING * (rounding + _noise(probe)))


def _fit(lengths: HostArray, remainders: HostArray, floor: HostArray) -> Taylor | None:
    """Fit the slope of the remainders that are above a floor; those below say nothing."""
    clear = np.isfinite(remainders) & (remainders > floor) & (lengths > 0)
    left = remainders[clear]
    if left.size < 3:
        finite = np.isfinite(remainders) & (lengths > 0)
        largest = float(np.max(np.minimum(remainders, floor)[finite] / lengths[finite], initial=0.0))
        return Taylor(None, largest) if np.any(finite) else None
    shorter = np.flatnonzero(clear)[-1] + 1
    slope, _ = np.polyfit(np.log(lengths[clear][-3:]), np.log(left[-3:]).astype(np.float64), 1)
    if shorter < lengths.size and left[-1] * (lengths[shorter] / lengths[shorter - 1]) ** slope > floor[shorter]:
        # It vanishes suddenly: there is a kink or a jump further away.
        return Taylor(None, float(floor[shorter] / lengths[shorter]))
    return Taylor(float(slope), float(left[-1] / lengths[clear][-1]))


def _is_cusp(lengths: HostArray, remainders: HostArray) -> bool:
    """Return whether the remainder is a power of the length, unlike noise; flat pieces leave the first power."""
    t, left = lengths[-_SHORTEST:], remainders[-_SHORTEST:]
    if t.size < _SHORTEST or not (np.all(t > 0) and np.all(left > 0) and np.all(np.isfinite(left))):
        return False
    power, beyond = np.polyfit(np.log(t), np.log(left).astype(np.float64), 1)
    straight = np.max(np.abs(np.log(left) - power * np.log(t) - beyond)) < _STRAIGHT
    return bool(straight and _CUSPS[0] < power < _CUSPS[1])


def _noise(probe: Probe) -> float:
    """Return how far f next to x is from a parabola: smooth functions, and those with kinks, are nearly one there."""
    t, values = probe.t[-_SHORTEST:], probe.values[-_SHORTEST:] - probe.repeated[0]
    if t.size < _SHORTEST or not np.all(np.isfinite(values)) or not np.any(t):
        return 0.0
    powers = np.vander(t / np.max(np.abs(t)), 3)
    values = values.astype(complex if np.iscomplexobj(values) else float)  # LAPACK has no others
    left = values - powers @ np.linalg.lstsq(powers, values, rcond=None)[0]
    return float(np.linalg.norm(left) / np.sqrt(t.size - 3))
