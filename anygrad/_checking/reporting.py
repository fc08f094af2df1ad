"""A report, made of what has been found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anygrad._checking.claim import Claim
from anygrad._checking.comparison import Comparison, HostArray
from anygrad._checking.directions import indexed
from anygrad._checking.finding import Finding
from anygrad._checking.judgement import VERDICTS, counted, verdict_of
from anygrad._checking.probe import Probe
from anygrad._checking.report import CheckReport, Element
from anygrad._checking.taylor import Taylor

_SHOWN = 8
_BLIND = (
    "Every value of f is the same, and it was given copies of x: it may read x through a closure instead of its"
    " argument, and then there is nothing to compare. Write it as a function of its argument, or pass a writable array."
)
_NOISE = "f has noise: its values at neighbouring points are {:.1e} off a smooth function's, which is allowed for."
_WIDER = "f was differentiated in {}, in which it is the same function with more digits."
_LOCATED = "Found by halving a direction: others may be wrong as well. Without directions= every element is checked."
_NO_TANGENT = (
    "Along a random direction f changes otherwise than its derivatives by the elements say: it has these, but no"
    " tangent at x."
)


def reported(
    finding: Finding,
    claim: Claim,
    probe: Probe,
    taylor: Taylor | None,
    *,
    noise: float,
    tangent_error: float,
    hints: Sequence[str],
    dtypes: Sequence[str],
    ncalls: int,
    seconds: float,
) -> CheckReport:
    """Return what has been found as a report."""
    verdict = verdict_of(finding.states)
    remarks = [*_variation(claim, probe), *(_uncertainty(finding) if verdict == "agrees" else ())]
    if noise:
        remarks.append(_NOISE.format(noise))
    if dtypes:
        remarks.append(_WIDER.format(" and ".join(dtypes)))
    if finding.blind:
        remarks.append(_BLIND)
    elif finding.located:
        remarks.append(_LOCATED)
    if verdict == "agrees" and taylor is not None and taylor.right is False and taylor.remainder > tangent_error:
        verdict = "kink"
        remarks.append(_NO_TANGENT)
    return CheckReport(
        verdict=verdict,
        worst=_located(finding) or _worst(finding),
        counts=counted(finding.states),
        arrays=_by_array(finding),
        hints=tuple(hints) if verdict == "wrong" or claim.accumulates else (),
        remarks=tuple(remarks),
        taylor=taylor,
        comparisons=tuple(finding.comparisons),
        states=tuple(finding.states),
        directional=finding.directional,
        ncalls=finding.ncalls + ncalls,
        claim_ncalls=claim.ncalls,
        seconds=seconds,
    )


def _by_array(finding: Finding) -> dict[str, dict[str, int]]:
    pairs = () if finding.directional else zip(finding.comparisons, finding.states, strict=True)
    return {comparison.name: counted([state]) for comparison, state in pairs}


def _uncertainty(finding: Finding) -> list[str]:
    """Say of how many elements little but the size is known."""
    vague = np.concatenate([np.zeros(0), *map(_vague, finding.comparisons)])
    if not vague.size:
        return []
    return [
        f"Of {vague.size:,} what is tolerated is more than the derivative itself, up to {np.max(vague):.1e}: a smaller"
        " mistake does not show."
    ]


def _vague(comparison: Comparison) -> HostArray:
    vague: HostArray = (comparison.tolerance > np.abs(comparison.numerical)) & (comparison.claimed != 0)
    return comparison.tolerance[vague]


def _variation(claim: Claim, probe: Probe) -> list[str]:
    remarks = []
    if probe.spread:
        remarks.append(f"f is not deterministic: its values at x differ by {probe.spread:.1e}, which is allowed for.")
    if not (claim.deterministic or claim.accumulates):
        spread = max(float(np.max(one, initial=0.0)) for one in claim.spread)
        remarks.append(f"What is claimed is not deterministic: it differs by {spread:.1e} at x, which is allowed for.")
    return remarks


def _worst(finding: Finding) -> tuple[Element, ...]:
    """Return the elements that are not right, the gravest and furthest off first; none, if all are right."""
    found = []
    for comparison, state in zip(finding.comparisons, finding.states, strict=True):
        flat, ratio = state.reshape(-1), comparison.ratio.reshape(-1)
        bad = np.flatnonzero(flat < VERDICTS.index("agrees"))
        order = np.lexsort((-ratio[bad], flat[bad]))[:_SHOWN]
        found += [(int(flat[i]), -float(ratio[i]), _element(comparison, int(i), VERDICTS[flat[i]])) for i in bad[order]]
    return tuple(element for _, _, element in sorted(found, key=lambda entry: entry[:2])[:_SHOWN])


def _located(finding: Finding) -> tuple[Element, ...]:
    elements = [_element(comparison, 0, "wrong") for comparison in finding.located]
    return tuple(sorted(elements, key=lambda element: -element.ratio))


def _element(comparison: Comparison, place: int, verdict: str) -> Element:
    def at(array: HostArray) -> complex:
        number = array.reshape(-1)[place]
        return complex(number) if np.iscomplexobj(array) else float(number) + 0.0  # no -0

    shape = comparison.claimed.shape
    return Element(
        name=comparison.name if comparison.claimed.size == 1 else indexed(comparison.name, place, shape),
        verdict=verdict,
        claimed=at(comparison.claimed),
        numerical=at(comparison.numerical),
        error=float(comparison.tolerance.reshape(-1)[place]),
        ratio=float(comparison.ratio.reshape(-1)[place]),
    )
