"""The way from a question to a report."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import numpy as np

from anygrad._checking.along import along, table_of
from anygrad._checking.claim import Claim, claimed, require_structure
from anygrad._checking.comparison import HostArray, joined
from anygrad._checking.digits import with_digits
from anygrad._checking.directions import along_directions
from anygrad._checking.finding import Finding
from anygrad._checking.holomorphic import require_holomorphic
from anygrad._checking.hosted import on_host
from anygrad._checking.judgement import verdict_of
from anygrad._checking.probe import Probe
from anygrad._checking.question import Question, random_direction, spacing_of
from anygrad._checking.report import CheckReport
from anygrad._checking.reporting import reported
from anygrad._checking.roughness import roughness
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
    finding = found_in(setting, precise)
    if verdict_of(finding.states) in {"wrong", "kink"} and not question.options.scheme.off_axis:
        noise, more = roughness(setting, direction)
        calls += more
        if noise:
            setting, calls = replace(setting, noise=noise), calls + finding.ncalls
            finding = found_in(setting, precise)
    if wider and finding.wrong:
        again = found_in(own, claim)
        if borne_out(finding, again):
            calls += again.ncalls
        else:
            setting, finding, calls = own, again, calls + finding.ncalls
    test = _tested(question, variables, claim, probe, direction)
    if test is not None and test.right is False and not finding.wrong:
        closer = question.probe(variables, direction, SHORTER)
        test, calls = _tested(question, variables, claim, closer, direction), calls + closer.ncalls
    return reported(
        finding,
        precise,
        probe,
        test,
        noise=setting.noise,
        tangent_error=_tangent_error(question, variables, finding, direction),
        hints=_hints(question, variables, claim, finding),
        dtypes=() if setting.variables is variables else setting.variables.dtypes,
        ncalls=probe.ncalls + question.ncalls + calls,
        seconds=time.perf_counter() - started,
    )


def _hints(question: Question, variables: Variables, claim: Claim, finding: Finding) -> tuple[str, ...]:
    """Return what the mistake may be."""
    if claim.accumulates:
        return (_ACCUMULATES.format(name=question.name),)
    if not finding.wrong:
        return ()
    from anygrad._checking.mistakes.hints import hints  # noqa: PLC0415 - a dozen modules, needed for wrong gradients alone

    if finding.directional:
        return hints([joined("along directions", finding.comparisons)])
    own = question.kind == "grad"
    points = [on_host(array, name) for name, array in zip(variables.names, variables.arrays, strict=True)]
    return hints(finding.comparisons, points=points if own else ())


def _tested(
    question: Question, variables: Variables, claim: Claim, probe: Probe, direction: HostArray
) -> Taylor | None:
    if question.kind == "hess":
        return None
    table = table_of(question, variables, claim.values)[:, : probe.width]
    with np.errstate(invalid="ignore"):
        tangent = table @ direction[: probe.width]
    # Of a real function of complex numbers, the real part of its gradient is the derivative along the real axes.
    tangent = tangent if np.any(np.imag(probe.values)) else np.real(tangent)
    return taylor(probe, tangent, max(spacing_of(variables)))


def _tangent_error(question: Question, variables: Variables, finding: Finding, direction: HostArray) -> float:
    """Return how far a derivative along the direction may be off, if those by the elements are not wrong."""
    if question.kind == "hess" or finding.directional:
        return math.inf
    tolerances = table_of(question, variables, [comparison.tolerance for comparison in finding.comparisons])
    with np.errstate(all="ignore"):
        return float(np.linalg.norm(tolerances @ np.abs(direction)))
