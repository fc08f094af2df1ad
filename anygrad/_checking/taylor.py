"""The Taylor test: how f differs from its tangent, along a random direction."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from anygrad._checking.comparison import HostArray
from anygrad._checking.probe import Probe, off_a_polynomial

# From a tenth of x's size down, each a quarter of the one before.
LENGTHS = tuple(0.1 * 4.0**-k for k in range(10))
# Where f may vary on a smaller scale than x does: at lengths of which many are below rounding otherwise.
SHORTER = tuple(0.1 * 4.0**-k for k in range(4, 17))
_ABOVE_ROUNDING = 100.0
# How many of the shortest lengths a parabola is fitted to: what it leaves is noise.
_SHORTEST = 6
# Powers of the length that what is beyond the tangent may be of at a cusp, and how exactly, in logarithms.
_CUSPS = (0.1, 0.95)
_STRAIGHT = 0.05


@dataclass(frozen=True)
class Taylor:
    """How fast |f(x + t d) - f(x) - t g.d| shrinks with t.

    Attributes
    ----------
    slope
        The exponent of t: 2 if g is the gradient (more, if f is nearly linear along d), 1 if it is not; None if what is
        left is all rounding.
    remainder
        The remainder divided by t at the shortest length above rounding: an error of g along d that is larger would
        have been noticed.
    """

    slope: float | None
    remainder: float

    @property
    def right(self) -> bool | None:
        """Whether the slope is that of a gradient; None if there is none."""
        return None if self.slope is None else self.slope > 1.5


@np.errstate(all="ignore")
def taylor(probe: Probe, tangent: HostArray, eps: float) -> Taylor | None:
    """Return the test of a claim that f changes by ``t * tangent``, (p,); None if f is not finite along the line."""
    if not (np.all(np.isfinite(probe.repeated[0])) and np.all(np.isfinite(tangent))):
        return None
    unit = _unit(probe)
    small = replace(probe, repeated=probe.repeated / unit, values=probe.values / unit)
    test = _of_small(small, tangent / unit, eps)
    return None if test is None else replace(test, remainder=unit * test.remainder)


def _unit(probe: Probe) -> float:
    """Return a power of two that is about as large as f is: in units of it, all can be squared."""
    sizes = np.abs(np.concatenate([probe.repeated, probe.values]))
    largest = float(np.max(sizes[np.isfinite(sizes)], initial=0.0))
    return 2.0 ** (math.frexp(largest)[1] - 1) if largest else 1.0


def _of_small(probe: Probe, tangent: HostArray, eps: float) -> Taylor | None:
    base = probe.repeated[0]
    linear = probe.t[:, None] * tangent
    remainders = np.linalg.norm(probe.values - base - linear, axis=1)
    sizes = np.linalg.norm(base) + np.linalg.norm(probe.values, axis=1) + np.linalg.norm(linear, axis=1)
    lengths, certain = np.abs(probe.t), eps * sizes + probe.spread
    test = _test(lengths, remainders, _ABOVE_ROUNDING * certain)
    if test is None or test.right is not False or _of_a_cusp(lengths, remainders):
        return test
    return _test(lengths, remainders, _ABOVE_ROUNDING * (certain + _noise(probe)))


def _test(lengths: HostArray, remainders: HostArray, floor: HostArray) -> Taylor | None:
    """Return the test of remainders, of which those below a floor say nothing."""
    clear = np.isfinite(remainders) & (remainders > floor) & (lengths > 0)
    left = remainders[clear]
    if left.size < 3:
        finite = np.isfinite(remainders) & (lengths > 0)
        largest = float(np.max(np.minimum(remainders, floor)[finite] / lengths[finite], initial=0.0))
        return Taylor(None, largest) if np.any(finite) else None
    shorter = np.flatnonzero(clear)[-1] + 1
    slope, _ = np.polyfit(np.log(lengths[clear][-3:]), np.log(left[-3:]).astype(np.float64), 1)
    if shorter < lengths.size and left[-1] * (lengths[shorter] / lengths[shorter - 1]) ** slope > floor[shorter]:
        return Taylor(None, float(floor[shorter] / lengths[shorter]))  # gone all at once: a kink or a jump further away
    return Taylor(float(slope), float(left[-1] / lengths[clear][-1]))


def _of_a_cusp(lengths: HostArray, remainders: HostArray) -> bool:
    """Return whether the remainder is a power of the length, as noise is not; flat pieces leave the first power."""
    t, left = lengths[-_SHORTEST:], remainders[-_SHORTEST:]
    if t.size < _SHORTEST or not (np.all(t > 0) and np.all(left > 0) and np.all(np.isfinite(left))):
        return False
    power, beyond = np.polyfit(np.log(t), np.log(left).astype(np.float64), 1)
    straight = np.max(np.abs(np.log(left) - power * np.log(t) - beyond)) < _STRAIGHT
    return bool(straight and _CUSPS[0] < power < _CUSPS[1])


def _noise(probe: Probe) -> float:
    """Return how far f next to x is off a parabola, which smooth functions are there, and those with kinks."""
    t, values = probe.t[-_SHORTEST:], probe.values[-_SHORTEST:] - probe.repeated[0]
    if t.size < _SHORTEST or not np.all(np.isfinite(values)) or not np.any(t):
        return 0.0
    return off_a_polynomial(t, values, degree=2)


@np.errstate(all="ignore")
def natural_slope(probe: Probe) -> float:
    """Return of what size the derivative along the line is normally: how f changes with t, not from call to call."""
    changes = np.max(np.abs(probe.values - probe.repeated[0]), axis=1, initial=0.0) - probe.spread
    finite = np.isfinite(changes)
    longest = float(np.max(np.abs(probe.t[finite]), initial=0.0))
    return float(np.max(changes[finite], initial=0.0)) / longest if longest else 0.0


@np.errstate(all="ignore")
def natural_slopes(probe: Probe, direction: HostArray) -> HostArray:
    """Return the same of the derivative by each element, which changes by ``direction`` along the line."""
    speeds = np.abs(direction)
    natural: HostArray = np.where(speeds > 0, natural_slope(probe) / np.where(speeds > 0, speeds, 1.0), 0.0)
    return natural
