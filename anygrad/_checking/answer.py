"""The way from a question to a report."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from anygrad._checking.along import along
from anygrad._checking.claim import Claim, claimed, require_structure
from anygrad._checking.comparison import HostArray, joined
from anygrad._checking.digits import with_digits
from anygrad._checking.directions import along_directions
from anygrad._checking.finding import Finding
from anygrad._checking.holomorphic import require_holomorphic
from anygrad._checking.hosted import on_host
from anygrad._checking.judgement import verdict_of
from anygrad._checking.question import Question, random_direction, spacing_of
from anygrad._checking.report import CheckReport
from anygrad._checking.reporting import reported
from anygrad._checking.roughness import roughness
from anygrad._checking.still import still, unchanged
from anygrad._checking.tables import table_of
from anygrad._checking.taylor import LENGTHS, SHORTER, Taylor, natural_slope, taylor
from anygrad._checking.whole import whole
from anygrad._checking.wider import Setting, borne_out, widened
from anygrad._variables import Variables

_ACCUMULATES = (
    "{name} accumulates: each call at x returns as much more than the one before. Let every call begin at zero:"
    " in PyTorch by optimizer.zero_grad(), or x.grad = None, before backward(); elsewhere by a new array instead of +="
    " into one that is kept"
)


def answered(
    question: Question,
    rng: np.random.Generator,
    started: float,
    *,
    directions: int | None,
    rtol: float,
    progress: Any,
) -> CheckReport:
    """Return what there is to say of a claim."""
    variables = Variables.of(question.x)
    variables.require_some()
    direction = random_direction(variables, rng)
    claim = claimed(question.claim, question.name, variables, direction, question.options.bounds)
    if question.kind == "grad":
        require_structure(claim, question.kind, variables.names, variables.shapes)
    probe = question.probe(variables, direction, LENGTHS)
    own = Setting(question, variables, probe)
    setting, calls = widened(own, direction)
    calls += require_holomorphic(question, variables, probe, direction)
    chosen = int(rng.integers(2**32))

    def found_in(setting: Setting, claim: Claim) -> Finding:
        with setting.variables.context():
            if directions is None or not setting.variables.size:
                return whole(setting, claim, direction, rtol=rtol, progress=progress)
            return along_directions(
                along(setting, claim, rtol=rtol),
                directions,
                np.random.default_rng(chosen),
                natural=natural_slope(setting.probe),
                deterministic=claim.deterministic and not probe.spread,
            )

    wider = setting is not own
    precise = with_digits(claim, setting, again=wider)
    finding, setting, more = _noise_allowed_for(found_in, setting, precise, direction)
    calls += more
    if wider and finding.wrong:
        finding, setting, more = _borne_out(finding, setting, found_in(own, claim), own)
        calls += more
    test, more = _tested(own, claim, direction, finding)
    said, and_more = _hints(own, claim, finding, direction)
    calls += more + and_more
    return reported(
        finding,
        precise,
        probe,
        test,
        noise=setting.noise,
        tangent_error=_tangent_error(own, finding, direction),
        hints=said,
        dtypes=() if setting.variables is variables else setting.variables.dtypes,
        ncalls=probe.ncalls + question.ncalls + calls,
        seconds=time.perf_counter() - started,
    )


def _hints(own: Setting, claim: Claim, finding: Finding, direction: HostArray) -> tuple[tuple[str, ...], int]:
    """Return what the mistake may be, and how often f was called to find out."""
    question, variables = own.question, own.variables
    if claim.accumulates:
        return (_ACCUMULATES.format(name=question.name),), 0
    if not finding.wrong:
        return (), 0
    from anygrad._checking.mistakes.hints import hints  # noqa: PLC0415 - a dozen modules, needed for wrong gradients alone

    if finding.directional:
        return hints([joined("along directions", finding.comparisons)], still=[unchanged(own.probe)]), 0
    known, calls = still(question, variables, finding.comparisons, direction)
    points = [on_host(array, name) for name, array in zip(variables.names, variables.arrays, strict=True)]
    return hints(finding.comparisons, points if question.kind == "grad" else (), known), calls


def _noise_allowed_for(
    found_in: Callable[[Setting, Claim], Finding], setting: Setting, claim: Claim, direction: HostArray
) -> tuple[Finding, Setting, int]:
    """Return what is found; where something seems wrong, or a kink, with f's noise allowed for, if it has some."""
    finding = found_in(setting, claim)
    if verdict_of(finding.states) not in {"wrong", "kink"} or setting.question.options.scheme.off_axis:
        return finding, setting, 0
    noise, calls = roughness(setting, direction)
    if not noise:
        return finding, setting, calls
    setting = replace(setting, noise=noise)
    return found_in(setting, claim), setting, calls + finding.ncalls


def _borne_out(finding: Finding, setting: Setting, again: Finding, own: Setting) -> tuple[Finding, Setting, int]:
    """Return what is found in more digits, if that bears out what is found ``again`` in x's own; or else that."""
    if borne_out(finding, again):
        return finding, setting, again.ncalls
    return again, own, finding.ncalls


def _tested(own: Setting, claim: Claim, direction: HostArray, finding: Finding) -> tuple[Taylor | None, int]:
    """Return the Taylor test, at shorter lengths if it fails though nothing is wrong, and how often f was called."""
    test = _test(own, claim, direction)
    if test is None or test.right is not False or finding.wrong:
        return test, 0
    closer = own.question.probe(own.variables, direction, SHORTER)
    return _test(replace(own, probe=closer), claim, direction), closer.ncalls


def _test(own: Setting, claim: Claim, direction: HostArray) -> Taylor | None:
    question, variables, probe = own.question, own.variables, own.probe
    if question.kind == "hess":
        return None
    table = table_of(question, variables, claim.values)[:, : probe.width]
    with np.errstate(invalid="ignore"):
        tangent = table @ direction[: probe.width]
    # Of a real function of complex numbers, the real part of its gradient is the derivative along the real axes.
    tangent = tangent if np.any(np.imag(probe.values)) else np.real(tangent)
    return taylor(probe, tangent, max(spacing_of(variables)))


def _tangent_error(own: Setting, finding: Finding, direction: HostArray) -> float:
    """Return how far a derivative along the direction may be off, if those by the elements are not wrong."""
    if own.question.kind == "hess" or finding.directional:
        return math.inf
    tolerances = table_of(own.question, own.variables, [comparison.tolerance for comparison in finding.comparisons])
    with np.errstate(all="ignore"):
        return float(np.linalg.norm(tolerances @ np.abs(direction)))
