"""The same question with more digits: f at x in float64, if it is the same function there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from anygrad._checking.comparison import HostArray
from anygrad._checking.finding import Finding
from anygrad._checking.probe import Probe
from anygrad._checking.question import Question, default_scheme, spacing_of
from anygrad._checking.taylor import LENGTHS
from anygrad._variables import Variables

_DOUBLE = float(np.finfo(np.float64).eps)
# How far values of the same function in two dtypes may be apart: in roundings of the largest of them, and as a share
# of how much it varies.
_ROUNDINGS = 16.0
_SHARE = 0.02
# By how much a value in the wider dtype may be off, in roundings of that.
_FINE_ROUNDINGS = 4.0
# How many points are so near to x that the narrower dtype cannot tell them apart, at each of two distances from each
# other; and how far those are that it can, in its spacings.
_NEAR = 6
_BEYOND = (4.0, 8.0)


@dataclass(frozen=True, eq=False)
class Setting:
    """Where f is differentiated: the question, x, what f returned along a line there, and its noise, if known."""

    question: Question
    variables: Variables
    probe: Probe
    noise: float = 0.0


def widened(setting: Setting, direction: HostArray) -> tuple[Setting, int]:
    """Return the setting with x in a wider dtype, if that leaves f the same function, and the calls that this took.

    It stays as it is if the user has chosen how to differentiate, if f varies from call to call, and if f does not
    take another dtype than x's: because it raises, returns other numbers, or rounds them to the dtype that it knows.
    """
    question, variables, probe = setting.question, setting.variables, setting.probe
    eps = max(spacing_of(variables), default=0.0)
    if question.scheme_given or probe.spread or eps <= _DOUBLE:
        return setting, 0
    there = _in_wider_dtype(question, variables)
    wider = Variables.of(there.x)
    fine = max(spacing_of(wider), default=0.0)
    if fine >= eps:  # the library or the device has no wider one
        return setting, 0
    lengths = (*LENGTHS, *_near(eps, fine), *(eps * k for k in _BEYOND))
    try:
        with wider.context():
            found = there.probe(wider, direction, lengths)
    except Exception:  # whatever an f raises that was written for another dtype
        return setting, 1
    line, nearest, near, beyond = _parted(found)
    noise = _FINE_ROUNDINGS * line.rounding(fine)
    near = nearest if _resolved(nearest, noise) else near
    same = _same(probe, line, eps) and _smooth(near, noise) and _alike(near, beyond, eps, noise)
    return Setting(there, wider, line) if same else setting, found.ncalls


def borne_out(wider: Finding, own: Finding) -> bool:
    """Return whether the derivatives in which a claim is wrong are those found in x's own dtype, to within its errors.

    An f that rounds on the way by some of the elements alone may have passed for one that does not.
    """
    for one, other in zip(wider.comparisons, own.comparisons, strict=True):
        with np.errstate(invalid="ignore"):
            apart = np.abs(one.numerical - other.numerical) > one.tolerance + other.tolerance
        if np.any(apart & one.wrong):
            return False
    return True


def _in_wider_dtype(question: Question, variables: Variables) -> Question:
    arrays = [backend.widened(array) for backend, array in zip(variables.backends, variables.arrays, strict=True)]
    x = variables.rebuild(arrays)

    def promoting(function: Callable[..., Any]) -> Callable[..., Any]:
        for backend, array in dict(zip(variables.backends, arrays, strict=True)).items():
            function = backend.promoting(function, array)
        return function

    claim = promoting(question.claim) if callable(question.claim) else question.claim
    options = replace(question.options, scheme=default_scheme(Variables.of(x)))
    return replace(question, f=promoting(question.f), claim=claim, x=x, options=options)


def _near(eps: float, fine: float) -> list[float]:
    """Return points far below the spacing of one dtype and far above that of the other, and as many less near ones."""
    units = float(np.cbrt(eps**2 * fine)) / _NEAR, eps / _NEAR / 2
    return [unit * (k + 1) for unit in units for k in range(_NEAR)]


def _parted(probe: Probe) -> list[Probe]:
    ends = (0, *(len(LENGTHS) + k * _NEAR for k in range(3)), None)
    parts = map(slice, ends, ends[1:])
    return [replace(probe, t=probe.t[part], values=probe.values[part]) for part in parts]


def _same(probe: Probe, wider: Probe, eps: float) -> bool:
    """Return whether values along the same line are those of the same function, up to rounding."""
    one, other = (np.concatenate([each.repeated[:1], each.values]) for each in (probe, wider))
    if one.shape != other.shape or not (np.all(np.isfinite(one)) and np.all(np.isfinite(other))) or wider.spread:
        return False
    varies = float(np.max(np.abs(one - one[:1]), initial=0.0))
    allowed = _ROUNDINGS * eps * float(np.max(np.abs(one), initial=0.0)) + _SHARE * varies
    return float(np.max(np.abs(one - other), initial=0.0)) <= allowed


def _resolved(near: Probe, noise: float) -> bool:
    """Return whether f changes from each point to the next by far more than rounding does, in the wider dtype."""
    return float(np.linalg.norm(_changes(near))) > noise / _SHARE


def _smooth(near: Probe, noise: float) -> bool:
    """Return whether f changes evenly from each point to the next: not so if it rounds, or keeps to an x of its own."""
    changes = _changes(near)
    if not np.all(np.isfinite(changes)):
        return False
    size, uneven = (float(np.linalg.norm(one)) for one in (changes, changes - np.mean(changes, axis=0)))
    return size > 4 * noise and uneven < _SHARE * size + noise


def _alike(near: Probe, beyond: Probe, eps: float, noise: float) -> bool:
    """Return whether the slope near x is that of what is next to x: not so if f rounds some of what is on its way."""
    if np.any(np.abs(beyond.t) < _BEYOND[0] * eps / 2):  # bounds leave no room
        return False
    *_, slope = _slopes(near)
    first, second = _slopes(beyond)
    allowed = _SHARE * np.linalg.norm(slope) + 2 * np.linalg.norm(second - first) + noise / abs(near.t[-1])
    return float(np.linalg.norm(slope - first)) <= float(allowed)


def _changes(near: Probe) -> HostArray:
    with np.errstate(invalid="ignore"):
        changes: HostArray = np.diff(np.concatenate([near.repeated[:1], near.values]), axis=0)
    return changes


def _slopes(probe: Probe) -> HostArray:
    slopes: HostArray = (probe.values - probe.repeated[0]) / probe.t[:, None]
    return slopes
