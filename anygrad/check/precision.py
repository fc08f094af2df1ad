"""In how many digits f is differentiated: in float64, if it is the same function there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from anygrad.check.claim import Returned
from anygrad.check.taylor import LENGTHS
from anygrad.check.task import HostArray, Probe, Task, magnitudes, root_mean_square
from anygrad.problem.parameters import Parameters
from anygrad.schemes import Adaptive, Central, Scheme

_DOUBLE = float(np.finfo(np.float64).eps)
# With a dtype of so few digits, extrapolation finds nothing; steps are then this share of x.
_FEW_DIGITS = 1e-4
_SHARE = 0.2

# How far apart values of the same function in two dtypes may be: so many roundings of the largest value, and of what f
# makes of the rounding of x; and such a share of how much it varies.
_VALUE_ROUNDINGS = 16.0
_VALUE_SHARE = 0.02
_WIDE_ROUNDINGS = 4.0  # the error of a value in the wider dtype, in roundings of that
# So many points, at each of two distances, are so close to x that the narrower dtype cannot tell them apart; these are
# so far from x, in its spacings, that it can.
_NEAR = 6
_RESOLVED = (4.0, 8.0)


def has_few_digits(task: Task) -> bool:
    """Return whether any array has so few digits that extrapolation finds nothing."""
    return task.eps >= _FEW_DIGITS


def default_scheme(task: Task) -> Scheme:
    """Return the scheme for x if the user chose none."""
    if not has_few_digits(task):
        return Adaptive()
    steps = [_SHARE * np.maximum(size, root_mean_square(size) / 2) for size in magnitudes(task.parameters)]
    return Central(step=task.parameters.rebuild(steps))


def widened(task: Task, probe: Probe, direction: HostArray) -> tuple[Task, Probe, int]:
    """Return the task with x in a wider dtype, if f is the same function there, f along a line, and the calls of f.

    The task is the same if the user chose the scheme, if f varies from call to call, or if f works in x's dtype only:
    because it raises, returns other numbers, or rounds them to the dtype that it knows.
    """
    if task.scheme_given or probe.spread or task.eps <= _DOUBLE:
        return task, probe, 0
    wide = _in_wider_dtype(task)
    if wide.eps >= task.eps:  # the library or the device has no wider dtype
        return task, probe, 0
    near = float(np.cbrt(task.eps**2 * wide.eps)), task.eps / 2
    units = [distance / _NEAR * (k + 1) for distance in near for k in range(_NEAR)]
    try:
        found = wide.probe(direction, (*LENGTHS, *units, *(task.eps * k for k in _RESOLVED)))
    except Exception:  # whatever a function raises that was written for another dtype
        return task, probe, 1
    if found.failures:
        return task, probe, found.ncalls
    ends = (0, *(len(LENGTHS) + k * _NEAR for k in range(3)), None)
    line, nearest, nearby, far = (
        replace(found, t=found.t[start:stop], values=found.values[start:stop])
        for start, stop in zip(ends, ends[1:], strict=False)
    )
    noise = _WIDE_ROUNDINGS * line.rounding(wide.eps)
    near_x = nearest if _size(nearest) > noise / _VALUE_SHARE else nearby
    same = (
        _same_values(probe, line, task.eps) and _is_smooth(near_x, noise) and _same_slope(near_x, far, task.eps, noise)
    )
    return (wide, line, found.ncalls) if same else (task, probe, found.ncalls)


def wide_claim(task: Task) -> Returned | None:
    """Return the claim in the wider dtype, if it can be computed there."""
    try:
        with task.parameters.context(), np.errstate(**task.settings):
            return Returned.of(task, task.claim(task.x))
    except Exception:  # whatever a function raises that was written for another dtype
        return None


def _in_wider_dtype(task: Task) -> Task:
    parameters = task.parameters
    arrays = [backend.widened(array) for backend, array in zip(parameters.backends, parameters.arrays, strict=True)]
    x = parameters.argument(arrays[0] if parameters.alone else arrays)

    def promoting(function: Callable[..., Any]) -> Callable[..., Any]:
        for backend, array in dict(zip(parameters.backends, arrays, strict=True)).items():
            function = backend.promoting(function, array)
        return function

    claim = promoting(task.claim) if callable(task.claim) else task.claim
    wide = replace(task, f=promoting(task.f), claim=claim, x=x)
    return replace(wide, options=replace(task.options, scheme=default_scheme(wide)))


def _same_values(probe: Probe, wide: Probe, eps: float) -> bool:
    """Return whether the values along a line are those of the same function, up to rounding."""
    one, other = (np.concatenate([each.repeated[:1], each.values]) for each in (probe, wide))
    if one.shape != other.shape or not (np.all(np.isfinite(one)) and np.all(np.isfinite(other))) or wide.spread:
        return False
    varies = float(np.max(np.abs(one - one[:1]), initial=0.0))
    steepest = float(np.max(wide.changes / np.abs(wide.t), initial=0.0)) if np.all(wide.t) else 0.0
    allowed = _VALUE_ROUNDINGS * eps * (float(np.max(np.abs(one), initial=0.0)) + steepest) + _VALUE_SHARE * varies
    return float(np.max(np.abs(one - other), initial=0.0)) <= allowed


def _is_smooth(near: Probe, noise: float) -> bool:
    """Return whether f changes evenly from point to point: it does not if it rounds, or reads another x."""
    changes = _changes(near)
    if not np.all(np.isfinite(changes)):
        return False
    uneven = float(np.linalg.norm(changes - np.mean(changes, axis=0)))
    return _size(near) > 4 * noise and uneven < _VALUE_SHARE * _size(near) + noise


def _same_slope(near: Probe, far: Probe, eps: float, noise: float) -> bool:
    """Return whether the slope near x is that a little further away: it is not if f rounds intermediate results."""
    if np.any(np.abs(far.t) < _RESOLVED[0] * eps / 2):  # bounds leave no room
        return False
    *_, slope = _secants(near)
    first, second = _secants(far)
    allowed = _VALUE_SHARE * np.linalg.norm(slope) + 2 * np.linalg.norm(second - first) + noise / abs(near.t[-1])
    return float(np.linalg.norm(slope - first)) <= float(allowed)


def _changes(near: Probe) -> HostArray:
    changes: HostArray = np.diff(np.concatenate([near.repeated[:1], near.values]), axis=0)
    return changes


def _size(near: Probe) -> float:
    return float(np.linalg.norm(_changes(near)))


def _secants(probe: Probe) -> HostArray:
    secants: HostArray = (probe.values - probe.repeated[0]) / probe.t[:, None]
    return secants
