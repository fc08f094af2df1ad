"""Noise in f that is more than its rounding: what it shows between neighbouring points."""

from __future__ import annotations

import numpy as np

from anygrad._checking.comparison import HostArray
from anygrad._checking.probe import off_a_polynomial
from anygrad._checking.question import spacing_of
from anygrad._checking.wider import Setting

# Where f is evaluated on a line through x, in units of one of these lengths: unevenly, as values that are rounded to
# multiples of a number may be on a straight line at even distances; farther away, if half of them are the same.
_PLACES = (1.0, 2.29, 2.93, 4.11, 5.37, 5.83, 7.07, 8.19, 9.61, 10.03)
_UNITS = (2.0**-20, 2.0**-13, 2.0**-8)
# A smooth f is nearly a polynomial there: the higher its degree, the more so. Noise is off both alike.
_DEGREES = (3, 6)
_MARGIN = 3.0
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
        places = [unit * place for place in _PLACES]
        with setting.variables.context():
            probe = setting.question.probe(setting.variables, direction, places)
        values, ncalls = probe.values[:, 0], ncalls + probe.ncalls
        if not np.all(np.isfinite(values)):
            return 0.0, ncalls
        if np.unique(values).size > len(places) / 2:
            close, closer = (off_a_polynomial(probe.t, values, degree) for degree in _DEGREES)
            noise = min(close, _MARGIN * closer)
            rounding = max(probe.rounding(eps), eps * float(np.max(np.abs(values))))
            return noise if noise > _ROUNDINGS * rounding else 0.0, ncalls
    return 0.0, ncalls
