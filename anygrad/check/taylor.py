"""The Taylor test: how fast f departs from its tangent along a random direction."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from anygrad._typing import HostArray
from anygrad.check.claim import root_of_squares
from anygrad.check.task import Probe, Task

# From a tenth of |x| down, each a 32nd of the one before.
LENGTHS = tuple(0.1 * 32.0**-k for k in range(4))
# For an f that varies on a smaller scale than |x|: for others, rounding hides the remainder at many of these.
SHORTER = tuple(0.1 * 4.0**-k for k in range(4, 17))
CLOSE = tuple(0.1 * 2.0**-k for k in range(10))  # where noise hides it at most
_ABOVE_ROUNDING = 100.0


@dataclass(frozen=True)
class Taylor:
    """How fast |f(x + t d) - f(x) - t g.d| shrinks with t.

    ``slope`` is the exponent of t: 2 if g is the gradient (more, if f is nearly linear along d), 1 if it is not; None
    if the remainder is all rounding. ``remainder`` is the remainder divided by t at the shortest length above rounding:
    a larger error of g along d would have been noticed.
    """

    slope: float | None
    remainder: float

    @property
    def right(self) -> bool | None:
        """Whether the slope is the slope of a correct gradient; None if there is no slope."""
        return None if self.slope is None else self.slope > 1.5


def taylor_of(
    task: Task, claimed: HostArray, probe: Probe, direction: HostArray, *, wrong: bool, noise: float
) -> tuple[Taylor | None, int]:
    """Return the Taylor test, and how often f was called for it.

    It is made again at other lengths where f has noise, as measured by `Adaptive`, and where it fails
    though nothing is wrong.
    """
    tangent = claimed @ direction
    # For a real function of complex numbers, the real part of the gradient is the derivative along the real axes.
    tangent = tangent if np.iscomplexobj(probe.values) else np.real(tangent)
    # Points are rounded to x's dtype, which f magnifies.
    rounding = noise + task.eps * float(np.max(root_of_squares(claimed, direction), initial=0.0))
    test = taylor_test(probe, tangent, task.eps, rounding)
    ncalls = 0
    for lengths in [CLOSE, SHORTER] if noise else [SHORTER]:
        fails = test is not None and test.right is False and not wrong
        if test is not None and (fails or lengths is CLOSE):
            closer = task.probe(direction, lengths)
            test, ncalls = taylor_test(closer, tangent, task.eps, rounding), ncalls + closer.ncalls
    return test, ncalls


def taylor_test(probe: Probe, tangent: HostArray, eps: float, noise: float) -> Taylor | None:
    """Test the claim that f changes by ``t * tangent``, (p,); return None if f is not finite along the line."""
    if not (np.all(np.isfinite(probe.repeated[0])) and np.all(np.isfinite(tangent))):
        return None
    sizes = np.abs(np.concatenate([probe.repeated, probe.values]))
    largest = float(np.max(sizes[np.isfinite(sizes)], initial=0.0))
    unit = 2.0 ** (math.frexp(largest)[1] - 1) if largest else 1.0  # in units of it, no square overflows
    base, values, tangent = probe.repeated[0] / unit, probe.values / unit, tangent / unit
    linear = probe.t[:, None] * tangent
    remainders = np.linalg.norm(values - base - linear, axis=1)
    sizes = np.linalg.norm(base) + np.linalg.norm(values, axis=1) + np.linalg.norm(linear, axis=1)
    floor = _ABOVE_ROUNDING * (eps * sizes + (probe.spread + noise) / unit)
    test = _fit(np.abs(probe.t), remainders, floor)
    return None if test is None else replace(test, remainder=unit * test.remainder)


def _fit(lengths: HostArray, remainders: HostArray, floor: HostArray) -> Taylor | None:
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
