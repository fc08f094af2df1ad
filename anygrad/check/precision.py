"""In how many digits f is differentiated: in float64, if it is the same function there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

from anygrad._typing import HostArray
from anygrad.check.claim import ClaimCalls, read_claim
from anygrad.check.compare import Outcome, Setting, TwoSteps
from anygrad.check.task import Estimate, Layout, Probe, Task, magnitudes, root_mean_square
from anygrad.check.taylor import LENGTHS
from anygrad.problem.tree import flatten
from anygrad.schemes import Adaptive, Central, Scheme

_DOUBLE = float(np.finfo(np.float64).eps)
# With a dtype of so few digits, extrapolation finds nothing; steps are then this share of x.
_FEW_DIGITS = 1e-4
_SHARE = 0.2

# How far apart values of the same function in two dtypes may be: so many roundings of the largest value, and of what f
# makes of the rounding of x; and such a share of how much it varies. Slopes may differ by such a share as well.
_ROUNDINGS, _SHARE_OF_CHANGE = 16.0, 0.02
_ALIKE = 1e-3  # of themselves are slopes apart that are the same
_RESOLVED = 8.0  # spacings of the narrower dtype from x, it can tell points apart

# By how much the derivatives along the real and the imaginary axes differ where f is not holomorphic: a share of the
# larger one, and so many times rounding. A step so many times shorter must say the same: near a pole the derivative may
# change as much within one step.
_DIFFERENT, _TIMES_ROUNDING, _SHORTER = 0.1, 100.0, 16.0
_NOT_HOLOMORPHIC = (
    "f returns complex numbers, but is not holomorphic, so it has no complex derivative: let it return a real number,"
    " or check it as a function of the real and imaginary parts"
)


def has_few_digits(task: Task) -> bool:
    """Return whether any array has so few digits that extrapolation finds nothing."""
    return task.eps >= _FEW_DIGITS


def default_scheme(task: Task) -> Scheme:
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
    length = float(np.max(np.abs(direction), initial=0.0)) or 1.0
    # So close to x that the narrower dtype cannot tell points apart, and so far away that it can.
    distances = length * float(np.cbrt(task.eps**2 * wide.eps)), length * _RESOLVED * task.eps
    try:
        line = wide.probe(direction, LENGTHS, repeats=1)
        wide = wide.knowing(line)
        near, far = (wide.along(direction / length, TwoSteps(distance)) for distance in distances)
    except Exception:  # whatever a function raises that was written for another dtype
        return task, probe, 1
    ncalls = line.ncalls + near.ncalls + far.ncalls
    same = not line.failures and _same_values(probe, line, task.eps) and _same_slope(near, far)
    return (wide, line, ncalls) if same else (task, probe, ncalls)


def wide_claim(task: Task, layout: Layout, coarsest: float) -> HostArray | None:
    """Return the claim in the wider dtype, if it can be computed there."""
    try:
        with task.parameters.context(), np.errstate(**task.settings):
            table, eps = read_claim(task, layout, task.claim(task.x))
    except Exception:  # whatever a function raises that was written for another dtype
        return None
    return table if float(np.max(eps, initial=0.0)) < coarsest else None


def rounded_array(
    claim: ClaimCalls, setting: Setting, outcome: Outcome, direction: HostArray
) -> tuple[ClaimCalls, int]:
    """Return a claim that is an array with the effect of rounding, and the calls of f.

    An array cannot be called beside x. But f, in the wider dtype, shows what rounding x to the narrower one does to its
    gradient.
    """
    task, parameters = setting.task, setting.task.parameters
    moves = flatten(task.like_x(2 * claim.coarsest * direction)).leaves
    moved = [
        array + array_namespace(array).asarray(move, dtype=array.dtype, device=device(array))
        for array, move in zip(parameters.arrays, moves, strict=True)
    ]
    beside = replace(setting, task=task.at(moved))
    found = beside.two_steps(np.sqrt(task.eps / claim.coarsest) * setting.sizes)
    numerical = setting.layout.table([one.numerical for one in outcome.comparisons])
    change = setting.layout.largest(np.nan_to_num(np.abs(found.value - numerical), posinf=0.0))
    return replace(claim, rounding=change), found.ncalls


def _in_wider_dtype(task: Task) -> Task:
    parameters = task.parameters
    arrays = [backend.widened(array) for backend, array in zip(parameters.backends, parameters.arrays, strict=True)]

    def promoting(function: Callable[..., Any]) -> Callable[..., Any]:
        for backend, array in dict(zip(parameters.backends, arrays, strict=True)).items():
            function = backend.promoting(function, array)
        return function

    claim = promoting(task.claim) if callable(task.claim) else task.claim
    wide = replace(task.at(arrays), f=promoting(task.f), claim=claim)
    return replace(wide, options=replace(task.options, scheme=default_scheme(wide)))


def _same_values(probe: Probe, wide: Probe, eps: float) -> bool:
    one, other = (np.concatenate([each.repeated[:1], each.values]) for each in (probe, wide))
    if one.shape != other.shape or not (np.all(np.isfinite(one)) and np.all(np.isfinite(other))) or wide.spread:
        return False
    varies = float(np.max(np.abs(one - one[:1]), initial=0.0))
    steepest = float(np.max(wide.changes / np.abs(wide.t), initial=0.0)) if np.all(wide.t) else 0.0
    allowed = _ROUNDINGS * eps * (float(np.max(np.abs(one), initial=0.0)) + steepest) + _SHARE_OF_CHANGE * varies
    return float(np.max(np.abs(one - other), initial=0.0)) <= allowed


def _same_slope(near: Estimate, far: Estimate) -> bool:
    """Return whether f is smooth near x, with the slope that it has a little further away.

    It is not if it rounds, or reads another x; nor is the slope the same if it rounds intermediate results.
    """
    assert near.error is not None
    assert far.error is not None
    size = np.abs(near.value)
    apart, uncertain = near.value - far.value, np.linalg.norm(near.error + far.error)
    # Where f is the difference of larger numbers, their rounding looks rough, but leaves the slope as it is.
    differs = np.abs(apart) > _ALIKE * size
    rough = near.flag("rough") & differs & (size > _SHARE_OF_CHANGE * np.max(size, initial=0.0))
    allowed = _SHARE_OF_CHANGE * np.linalg.norm(size) + uncertain
    return not (np.any(rough) or np.all(near.flag("flat"))) and bool(np.linalg.norm(apart) <= allowed)


def require_holomorphic(task: Task, probe: Probe, direction: HostArray) -> int:
    """Raise if the Cauchy-Riemann equations do not hold for f along a direction; return how often f was called."""
    complex_ones = task.numbers_like_x(
        task.parameters.rebuild(["complex" in str(a.dtype) for a in task.parameters.arrays])
    )
    along = np.where(complex_ones, direction, 0.0)
    if not (np.any(complex_ones) and np.iscomplexobj(probe.values) and np.any(along)):
        return 0
    length, ncalls = float(np.max(np.abs(along))), 0
    for share in (1.0, 1 / _SHORTER):
        step = length * task.eps ** (1 / 3) * share
        real, imaginary = (task.along(way * along / length, TwoSteps(step)) for way in (1, 1j))
        ncalls += real.ncalls + imaginary.ncalls
        noise = _TIMES_ROUNDING * (probe.rounding(task.eps) + probe.spread) / step
        size = np.maximum(np.abs(real.value), np.abs(imaginary.value))
        if not np.any(np.abs(imaginary.value - 1j * real.value) > _DIFFERENT * size + noise):
            return ncalls
    raise ValueError(_NOT_HOLOMORPHIC)
