"""The check of every element."""

from __future__ import annotations

from typing import Any

import numpy as np

from anygrad._checking.chance import without_chance
from anygrad._checking.claim import Claim, require_structure
from anygrad._checking.comparison import Comparison, HostArray
from anygrad._checking.confirmed import confirmed
from anygrad._checking.finding import Finding
from anygrad._checking.judgement import Circumstances, judged, unseen
from anygrad._checking.measured import Measured, measured
from anygrad._checking.opinion import CONFIDENCE, Others
from anygrad._checking.question import Question, spacing_of
from anygrad._checking.taylor import natural_slopes
from anygrad._checking.wider import Setting


def whole(setting: Setting, claim: Claim, direction: HostArray, *, rtol: float, progress: Any) -> Finding:
    """Compare what is claimed with what is found, element by element."""
    question, variables, probe = setting.question, setting.variables, setting.probe
    eps = spacing_of(variables)
    scheme = question.options.scheme
    rounding = probe.rounding(max(eps))
    name = "x" if question.kind == "grad" else question.name
    # Complex steps take no differences, in which rounding would grow.
    in_steps = 0.0 if scheme.off_axis else rounding
    found = measured(question.operator(progress), scheme, name, in_steps, question.n)
    require_structure(claim, question.kind, found.names, [value.shape for value in found.values])
    each = eps if question.kind == "grad" else [max(eps)] * len(found.values)
    with np.errstate(all="ignore"):
        varied = [2 * (probe.spread + setting.noise) / step**question.n for step in found.steps]
    comparisons = [_compared(claim, found, i, own, varied[i], rtol=rtol) for i, own in enumerate(each)]
    if found.blind:
        return Finding(comparisons, [unseen(one) for one in comparisons], found.ncalls, blind=True)
    others = Others(scheme, rounding, max(eps), question.n)
    comparisons, calls = confirmed(question, variables, comparisons, others)
    natural = _natural(question, found, natural_slopes(probe, direction[: probe.width]))
    bounded = question.options.bounds is not None
    deterministic = claim.deterministic and not probe.spread
    flags, more = without_chance(setting, found)
    states = [
        judged(comparison, Circumstances(own, size, deterministic, bounded))
        for comparison, own, size in zip(comparisons, flags, natural, strict=True)
    ]
    return Finding(comparisons, states, found.ncalls + calls + more)


def _compared(claim: Claim, found: Measured, i: int, eps: float, noise: HostArray, *, rtol: float) -> Comparison:
    """Return one of the arrays as claimed and as found, with all that is known of the errors of both."""
    value, numerical = claim.values[i], found.values[i]
    finite = np.isfinite(value) & np.isfinite(numerical)
    size = np.where(finite, np.maximum(np.abs(value), np.abs(numerical)), 0.0)
    # All of an array varies as much as its most variable element: three calls do not show the variation of each.
    varied = 2 * float(np.max(claim.spread[i], initial=0.0))
    rounded = 4 * (eps + claim.eps[i]) * size + claim.sums(i, eps)
    smooth = CONFIDENCE * found.errors[i] + 4 * claim.rounding[i]
    # The error at a kink covers the slopes of both sides already.
    kink = found.flags[i].get("kink", np.zeros(value.shape, dtype=bool))
    tolerance = np.where(kink, found.errors[i], smooth) + noise + varied + rounded + rtol * size
    missed = claim.missed(i, numerical, tolerance)
    known = rounded + 4 * claim.rounding[i] + missed
    return Comparison(claim.names[i], value, numerical, np.where(finite, tolerance + missed, 0.0), known)


def _natural(question: Question, found: Measured, slopes: HostArray) -> list[HostArray | float]:
    """Return the size that is normal for each derivative of a gradient; nothing is known of others."""
    if question.kind != "grad":
        return [0.0] * len(found.values)
    ends = np.cumsum([0, *(value.size for value in found.values)])
    return [
        slopes[start:stop].reshape(value.shape) if stop <= slopes.size else 0.0
        for start, stop, value in zip(ends, ends[1:], found.values, strict=False)
    ]
