"""Noise in f that is more than its rounding: what it shows between neighbouring points."""

from __future__ import annotations

import numpy as np

from anygrad._checking.comparison import HostArray
from anygrad._checking.probe import Probe, off_a_polynomial
from anygrad._checking.question import spacing_of
from anygrad._checking.wider import Setting

# Where f is evaluated on a line through x, in units of one of these lengths: unevenly, as values that are rounded to
# multiples of a number may be on a straight line at even distances; farther away, if half of them are the same.
_PLACES = (1.0, 2.29, 2.93, 4.11, 5.37, 5.83, 7.07, 8.19, 9.61, 10.03)
_UNITS = (2.0**-20, 2.0**-13, 2.0**-8)
# A smooth f is nearly a polynomial there: the higher its degree, the more so. Noise is off both alike.
_DEGREES = (3, 6)
_MARGIN = 3.0
# That far from x, in the same units, noise is as large, but a cusp at x is smooth: so many times less is none.
_AWAY = 64.0
_LESS = 16.0
# As many times what rounding explains is noise.
_ROUNDINGS = 4.0
# With fewer digits, points as close are not where they should be.
_COARSE = 1e-10


def roughness(setting: Setting, direction: HostArray) -> tuple[float, int]:
    """Return the noise of one value of f, 0 if it is no more than rounding, and how often f was called."""
    eps, ncalls = max(spacing_of(setting.variables), default=1.0), 0
    if eps > _COARSE or setting.probe.values.shape[1] != 1:
        return 0.0, ncalls
    for unit in _UNITS:
        probe = _beside(setting, direction, unit)
        ncalls += probe.ncalls
        values = probe.values[:, 0]
        if not np.all(np.isfinite(values)):
            return 0.0, ncalls
        if _varies(probe):
            noise = _off(probe)
            rounding = max(probe.rounding(eps), eps * float(np.max(np.abs(values))))
            if not noise > _ROUNDINGS * rounding:
                return 0.0, ncalls
            away = _beside(setting, direction, unit, _AWAY)
            cusp = np.all(np.isfinite(away.values)) and _varies(away) and _off(away) < noise / _LESS
            return 0.0 if cusp else noise, ncalls + away.ncalls
    return 0.0, ncalls


def _beside(setting: Setting, direction: HostArray, unit: float, away: float = 0.0) -> Probe:
    """Return f at neighbouring points, as many units away from x."""
    places = [unit * (away + place) for place in _PLACES]
    with setting.variables.context():
        return setting.question.probe(setting.variables, direction, places)


def _varies(probe: Probe) -> bool:
    """Return whether f is not the same at half of the points."""
    return np.unique(probe.values[:, 0]).size > len(_PLACES) / 2


def _off(probe: Probe) -> float:
    """Return how far f is off a smooth function."""
    t, values = probe.t, probe.values[:, 0]
    close, closer = (off_a_polynomial(t - np.mean(t), values, degree) for degree in _DEGREES)
    return min(close, _MARGIN * closer)
