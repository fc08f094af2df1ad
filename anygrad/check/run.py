"""The check itself: from a task to a report."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from anygrad.check.claim import Claim, evaluate_claim, require_structure, unused_arrays, with_wide_values
from anygrad.check.compare import (
    Comparison,
    Conditions,
    Estimate,
    Finding,
    as_table,
    estimate,
    gravest,
    judge,
    judge_constant,
    stack,
)
from anygrad.check.confirm import (
    CONFIDENCE,
    SecondEstimates,
    confirm,
    confirmed_in_own_dtype,
    noise_of,
    widen,
    without_noise_kinks,
)
from anygrad.check.directions import DirectionalCheck, compare_directions
from anygrad.check.probe import HostArray, Setting, Task, on_host, random_direction, require_holomorphic
from anygrad.check.report import CheckReport, make_report
from anygrad.check.taylor import LENGTHS, SHORTER, Taylor, taylor_test, typical_slope, typical_slopes

_ACCUMULATES = (
    "{name} accumulates: each call at x returns as much more than the one before. Let every call begin at zero:"
    " in PyTorch by optimizer.zero_grad(), or x.grad = None, before backward(); elsewhere by a new array instead of +="
    " into one that is kept"
)


def run_check(
    task: Task,
    rng: np.random.Generator,
    started: float,
    *,
    directions: int | None,
    rtol: float,
    progress: Any,
) -> CheckReport:
    """Check a claim."""
    parameters = task.parameters
    parameters.require_some()
    direction = random_direction(parameters, rng)
    claim = evaluate_claim(task.claim, task.name, parameters, direction, task.options.bounds)
    if task.kind == "grad":
        require_structure(claim, task.kind, parameters.names, parameters.shapes)
    probe = task.probe(direction, LENGTHS)
    own = Setting(task, probe)
    setting, calls = widen(own, direction)
    calls += require_holomorphic(task, probe, direction)
    seed = int(rng.integers(2**32))

    def find(setting: Setting, claim: Claim) -> Finding:
        with setting.task.parameters.context():
            if directions is None or not parameters.size:
                return compare_elements(setting, claim, direction, rtol=rtol, progress=progress)
            return compare_directions(
                DirectionalCheck.of(setting, claim, rtol=rtol),
                directions,
                np.random.default_rng(seed),
                typical=typical_slope(setting.probe),
                deterministic=claim.deterministic and not probe.spread,
            )

    wider = setting is not own
    precise = with_wide_values(claim, setting, wider=wider)
    finding, setting, more = _allow_for_noise(find, setting, precise, direction)
    calls += more
    if wider and finding.wrong:
        again = find(own, claim)
        if confirmed_in_own_dtype(finding, again):
            calls += again.ncalls
        else:
            calls += finding.ncalls
            finding, setting = again, own
    test, more = _taylor(own, claim, direction, finding)
    hints, and_more = _hints(own, claim, finding, direction)
    calls += more + and_more
    return make_report(
        finding,
        precise,
        probe,
        test,
        noise=setting.noise,
        tangent_error=_tangent_error(own, finding, direction),
        hints=hints,
        dtypes=() if setting.task is task else setting.task.parameters.dtypes,
        ncalls=probe.ncalls + task.ncalls + calls,
        seconds=time.perf_counter() - started,
    )


def compare_elements(setting: Setting, claim: Claim, direction: HostArray, *, rtol: float, progress: Any) -> Finding:
    """Compare the claim with the numerical derivative, element by element."""
    task, probe = setting.task, setting.probe
    scheme = task.options.scheme
    eps = max(task.eps)
    rounding = probe.rounding(eps)
    name = "x" if task.kind == "grad" else task.name
    # Complex steps take no differences, in which rounding would grow.
    in_steps = 0.0 if scheme.samples_complex else rounding
    found = estimate(task.operator(progress), scheme, name, in_steps, task.n)
    require_structure(claim, task.kind, found.names, [value.shape for value in found.values])
    each = task.eps if task.kind == "grad" else [eps] * len(found.values)
    with np.errstate(all="ignore"):
        varied = [2 * (probe.spread + setting.noise) / step**task.n for step in found.steps]
    comparisons = [_compared(claim, found, i, own, varied[i], rtol=rtol) for i, own in enumerate(each)]
    if found.is_constant:
        return Finding(comparisons, [judge_constant(one) for one in comparisons], found.ncalls, is_constant=True)
    comparisons, calls = confirm(task, comparisons, SecondEstimates(scheme, rounding, eps, task.n))
    typical = _typical(task, found, typical_slopes(probe, direction[: probe.width]))
    bounded = task.options.bounds is not None
    deterministic = claim.deterministic and not probe.spread
    flags, more = without_noise_kinks(setting, found)
    states = [
        judge(comparison, Conditions(own, size, deterministic, bounded))
        for comparison, own, size in zip(comparisons, flags, typical, strict=True)
    ]
    return Finding(comparisons, states, found.ncalls + calls + more)


def _compared(claim: Claim, found: Estimate, i: int, eps: float, noise: HostArray, *, rtol: float) -> Comparison:
    """Return the i-th array as claimed and as found, with all that is known of the errors of both."""
    value, numerical = claim.values[i], found.values[i]
    finite = np.isfinite(value) & np.isfinite(numerical)
    size = np.where(finite, np.maximum(np.abs(value), np.abs(numerical)), 0.0)
    # All of an array varies as much as its most variable element: three calls do not show the variation of each.
    varied = 2 * float(np.max(claim.spread[i], initial=0.0))
    rounded = 4 * (eps + claim.eps[i]) * size + claim.sum_rounding(i, eps)
    smooth = CONFIDENCE * found.errors[i] + 4 * claim.rounding[i]
    # The error at a kink covers the slopes of both sides already.
    kink = found.flags[i].get("kink", np.zeros(value.shape, dtype=bool))
    tolerance = np.where(kink, found.errors[i], smooth) + noise + varied + rounded + rtol * size
    allowed = claim.allowed_rounding(i, numerical, tolerance)
    known = rounded + 4 * claim.rounding[i] + allowed
    return Comparison(claim.names[i], value, numerical, np.where(finite, tolerance + allowed, 0.0), known)


def _typical(task: Task, found: Estimate, slopes: HostArray) -> list[HostArray | float]:
    """Return the typical size of each derivative of a gradient; of other derivatives nothing is known."""
    if task.kind != "grad":
        return [0.0] * len(found.values)
    ends = np.cumsum([0, *(value.size for value in found.values)])
    return [
        slopes[start:stop].reshape(value.shape) if stop <= slopes.size else 0.0
        for start, stop, value in zip(ends, ends[1:], found.values, strict=False)
    ]


def _allow_for_noise(
    find: Callable[[Setting, Claim], Finding], setting: Setting, claim: Claim, direction: HostArray
) -> tuple[Finding, Setting, int]:
    """Return the finding; if something seems wrong, or a kink, and f has noise, one that allows for it."""
    finding = find(setting, claim)
    if gravest(finding.states) not in {"wrong", "kink"} or setting.task.options.scheme.samples_complex:
        return finding, setting, 0
    noise, calls = noise_of(setting, direction)
    if not noise:
        return finding, setting, calls
    setting = replace(setting, noise=noise)
    return find(setting, claim), setting, calls + finding.ncalls


def _taylor(own: Setting, claim: Claim, direction: HostArray, finding: Finding) -> tuple[Taylor | None, int]:
    """Return the Taylor test, at shorter lengths if it fails though nothing is wrong, and how often f was called."""
    test = _test(own, claim, direction)
    if test is None or test.right is not False or finding.wrong:
        return test, 0
    closer = own.task.probe(direction, SHORTER)
    return _test(replace(own, probe=closer), claim, direction), closer.ncalls


def _test(own: Setting, claim: Claim, direction: HostArray) -> Taylor | None:
    task, probe = own.task, own.probe
    if task.kind == "hess":
        return None
    table = as_table(task, claim.values)[:, : probe.width]
    with np.errstate(invalid="ignore"):
        tangent = table @ direction[: probe.width]
    # Of a real function of complex numbers, the real part of its gradient is the derivative along the real axes.
    tangent = tangent if np.any(np.imag(probe.values)) else np.real(tangent)
    return taylor_test(probe, tangent, max(task.eps))


def _tangent_error(own: Setting, finding: Finding, direction: HostArray) -> float:
    """Return the error of the derivative along a direction if all partial derivatives are within their tolerances."""
    if own.task.kind == "hess" or finding.directional:
        return math.inf
    tolerances = as_table(own.task, [comparison.tolerance for comparison in finding.comparisons])
    with np.errstate(all="ignore"):
        return float(np.linalg.norm(tolerances @ np.abs(direction)))


def _hints(own: Setting, claim: Claim, finding: Finding, direction: HostArray) -> tuple[tuple[str, ...], int]:
    """Return what the mistake may be, and how often f was called to find out."""
    task = own.task
    if claim.accumulates:
        return (_ACCUMULATES.format(name=task.name),), 0
    if not finding.wrong:
        return (), 0
    from anygrad.check.hints import hints  # noqa: PLC0415 - needed for wrong gradients alone

    if finding.directional:
        return hints([stack("along directions", finding.comparisons)], unused=[own.probe.is_constant]), 0
    unused, calls = unused_arrays(task, finding.comparisons, direction)
    points = [on_host(array, name) for name, array in task.parameters.by_name.items()]
    return hints(finding.comparisons, points if task.kind == "grad" else (), unused), calls
