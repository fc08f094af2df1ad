"""The same question with more digits: f at x in float64, if it is the same function there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from anygrad._checking.comparison import HostArray
from anygrad._checking.probe import Probe
from anygrad._checking.question import Question, default_scheme, spacing_of
from anygrad._checking.taylor import LENGTHS
from anygrad._variables import Variables

# How far values of the same function in two dtypes may be apart: in roundings of the largest of them, and as a share
# of how much it varies.
_ROUNDINGS = 16.0
_SHARE = 0.02


@dataclass(frozen=True, eq=False)
class Setting:
    """Where f is differentiated: the question, x, and what f returned along a line there."""

    question: Question
    variables: Variables
    probe: Probe


def widened(setting: Setting, direction: HostArray) -> tuple[Setting, int]:
    """Return the setting with x in a wider dtype, if that leaves f the same function, and the calls that this took.

    It stays as it is if the user has chosen how to differentiate, if f varies from call to call, and if f does not
    take another dtype than x's: because it raises, or returns other numbers.
    """
    question, variables, probe = setting.question, setting.variables, setting.probe
    if question.scheme_given or probe.spread:
        return setting, 0
    arrays = [backend.widened(array) for backend, array in zip(variables.backends, variables.arrays, strict=True)]
    x = variables.rebuild(arrays)
    wider = Variables.of(x)
    if max(spacing_of(wider), default=0.0) >= max(spacing_of(variables), default=0.0):
        return setting, 0
    there = replace(question, x=x, options=replace(question.options, scheme=default_scheme(wider)))
    try:
        found = there.probe(wider, direction, LENGTHS)
    except Exception:  # whatever an f raises that was written for another dtype
        return setting, 1
    same = _same(probe, found, max(spacing_of(variables)))
    return Setting(there, wider, found) if same else setting, found.ncalls


def _same(probe: Probe, wider: Probe, eps: float) -> bool:
    """Return whether values along the same line are those of the same function, up to rounding."""
    one, other = (np.concatenate([each.repeated[:1], each.values]) for each in (probe, wider))
    if one.shape != other.shape or not (np.all(np.isfinite(one)) and np.all(np.isfinite(other))) or wider.spread:
        return False
    varies, still = (float(np.max(np.abs(values - values[:1]), initial=0.0)) for values in (one, other))
    if varies and not still:  # f has kept to an x of its own
        return False
    allowed = _ROUNDINGS * eps * float(np.max(np.abs(one), initial=0.0)) + _SHARE * varies
    return float(np.max(np.abs(one - other), initial=0.0)) <= allowed
