"""Kinks that are none, but the doing of noise: told by how the slopes on both sides differ, nearer and nearer to x."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from anygrad._checking.comparison import HostArray
from anygrad._checking.confirmed import by_element
from anygrad._checking.measured import Measured
from anygrad._checking.opinion import Sides
from anygrad._checking.wider import Setting

Flags: TypeAlias = Mapping[str, HostArray]

# As many times the noise, divided by the step, is more than it makes slopes differ by: so it is where they are first
# compared, if a kink is as large as it is said to be, and so it has to be where they are compared last.
_FIRST, _CLEAR = 4096.0, 32.0
_NEARER, _MOST = 4.0, 16
# So nearer to x, slopes on both sides differ by as much at a kink, and by a quarter where f is smooth; their mean is as
# many times as large at a jump, and the same where f is smooth.
_STAYS, _GROWS = 0.75, 1.5


def without_chance(setting: Setting, found: Measured) -> tuple[list[Flags], int]:
    """Return flags without the kinks that noise explains, and how often f was called to find that out.

    It does if the slopes on both sides never differ by more than noise makes of them, but as those of a smooth function
    do: by less, the nearer to x. What is claimed has no say in this.
    """
    flags: list[Flags] = list(found.flags)
    noise, ncalls = setting.noise, 0
    if not noise or setting.question.kind != "grad":
        return flags, ncalls
    for leaf, own in enumerate(found.flags):
        if "kink" not in own:
            continue
        kinks = own["kink"].copy()
        steps = np.broadcast_to(found.steps[leaf], kinks.shape).reshape(-1)
        for element in np.flatnonzero(kinks):
            differentiate = by_element(setting.question, setting.variables, leaf, int(element))
            step, size = float(steps[element]), float(found.errors[leaf].reshape(-1)[element])
            step = min(step, _FIRST * noise / size) if math.isfinite(size) else step
            kinks.reshape(-1)[element], calls = _sharp(differentiate, step, noise)
            ncalls += calls
        flags[leaf] = {**own, "kink": kinks}
    return flags, ncalls


def _sharp(differentiate: Callable[..., Any], step: float, noise: float) -> tuple[bool, int]:
    """Return whether f has a kink or a jump that is more than noise, looked for from a step inwards; and its calls."""
    apart_before = middle_before = math.inf
    ncalls = 0
    for _ in range(_MOST):
        sides = Sides.of(differentiate, step, 0.0)
        apart, middle = (float(np.max(np.abs(one[0]))) for one in (sides.apart, sides.middles))
        ncalls += sides.ncalls
        least = _CLEAR * noise / step
        if (apart > least and apart > _STAYS * apart_before) or (middle > least and middle > _GROWS * middle_before):
            return True, ncalls
        if not apart > least and math.isfinite(apart_before):
            return False, ncalls
        apart_before, middle_before, step = apart, middle, step / _NEARER
    return True, ncalls
