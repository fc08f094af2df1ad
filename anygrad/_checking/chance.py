"""Kinks that are none, but the doing of noise: told by how the slopes on both sides differ, nearer and nearer to x."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from anygrad._checking.comparison import HostArray
from anygrad._checking.confirmed import Suspect, by_element
from anygrad._checking.measured import Measured
from anygrad._checking.opinion import Sides
from anygrad._checking.wider import Setting

Flags: TypeAlias = Mapping[str, HostArray]

# Slopes are first compared at the step at which a kink of the stated size is `_FIRST` times what noise makes of them;
# below `_CLEAR` times the noise divided by the step, a difference says nothing.
_FIRST, _CLEAR = 4096.0, 32.0
_NEARER, _MOST = 4.0, 16
# At a step `_NEARER` times smaller the slopes at a kink differ by as much (`_STAYS`), those of a smooth f by a quarter;
# at a jump their mean grows (`_GROWS`).
_STAYS, _GROWS = 0.75, 1.5
# Elements that are looked at: for each step and side f is opened anew, which may be a message to workers, or a file.
_AT_MOST = 64


def without_chance(setting: Setting, found: Measured) -> tuple[list[Flags], int]:
    """Return flags without the kinks that noise explains, and how often f was called to find that out.

    It does if the slopes on both sides never differ by more than noise makes of them, but as those of a smooth function
    do: by less, the nearer to x. What is claimed has no say in this. Of many kinks the largest are looked at, and what
    most of these are the others are taken to be.
    """
    flags: list[Flags] = list(found.flags)
    if not setting.noise or setting.question.kind != "grad":
        return flags, 0
    suspects = _suspects(found)
    looks = [_looked_at(setting, found, *suspect) for suspect in suspects[:_AT_MOST]]
    sharp = [kink for kink, _ in looks]
    others = [2 * sum(sharp) >= len(sharp)] * (len(suspects) - len(sharp))
    for leaf, own in enumerate(found.flags):
        if "kink" in own:
            flags[leaf] = {**own, "kink": own["kink"].copy()}
    for (leaf, element), kink in zip(suspects, [*sharp, *others], strict=True):
        flags[leaf]["kink"].reshape(-1)[element] = kink
    return flags, sum(calls for _, calls in looks)


def _suspects(found: Measured) -> list[Suspect]:
    """Return the array and the flat index of all kinks, the largest first."""
    places, sizes = [], []
    for leaf, (flags, errors) in enumerate(zip(found.flags, found.errors, strict=True)):
        kinks = np.flatnonzero(flags.get("kink", np.zeros(0, dtype=bool)))
        places += [(leaf, int(element)) for element in kinks]
        sizes += errors.reshape(-1)[kinks].tolist()
    return [places[i] for i in np.argsort(-np.asarray(sizes), kind="stable")]


def _looked_at(setting: Setting, found: Measured, leaf: int, element: int) -> tuple[bool, int]:
    """Return whether one kink is more than noise, and the calls of f."""
    size = float(found.errors[leaf].reshape(-1)[element])
    step = float(np.broadcast_to(found.steps[leaf], found.errors[leaf].shape).reshape(-1)[element])
    step = min(step, _FIRST * setting.noise / size) if 0 < size < math.inf else step
    return _sharp(by_element(setting.question, setting.variables, leaf, element), step, setting.noise)


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
