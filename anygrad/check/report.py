"""The report that `check_gradient` returns, as data and in words."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from anygrad.check.compare import VERDICTS, Comparison, Finding, count_verdicts, element_name, gravest
from anygrad.check.probe import HostArray, Probe
from anygrad.check.taylor import Taylor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from anygrad.check.claim import Claim


@dataclass(frozen=True)
class Element:
    """One derivative that was checked.

    Attributes
    ----------
    name
        The element, as in ``x['W'][0, 3]``.
    verdict
        The verdict on it, one of those of `CheckReport`.
    claimed, numerical
        The derivative as claimed and as found numerically.
    error
        The tolerance: how far apart the two may be, given the errors of both.
    ratio
        How far apart they are, as a multiple of the tolerance.
    """

    name: str
    verdict: str
    claimed: complex
    numerical: complex
    error: float
    ratio: float


@dataclass(frozen=True, eq=False)
class CheckReport:
    """Whether a derivative is right, and if not, why not. True if it agrees; printed, a paragraph and a table.

    Attributes
    ----------
    verdict
        The gravest of the verdicts on all elements. ``agrees``: the claim is the numerical derivative, to within the
        errors of both. ``wrong``: it is not. ``kink``: f has no derivative at x, or jumps; the claim lies between the
        slopes on both sides. ``nonfinite``: f, or its derivative, is NaN or infinite. ``nondeterministic``, ``noisy``:
        f varies too much from call to call, or from point to point, to tell. ``inconclusive``: the error is too large
        to tell, for another reason.
    worst
        The elements with the gravest verdicts, the worst first.
    counts
        The number of elements with each verdict; along directions, the number of directions.
    arrays
        The same for each array, by its name; empty along directions, which go through all arrays.
    hints
        What the mistake may be, if it looks like a common one.
    remarks
        Anything else worth knowing.
    taylor
        The Taylor test along a random direction; None for a Hessian, or where f is not finite.
    comparisons
        All derivatives that were compared, an entry for each array; along directions, for each direction.
    states
        The verdict on each element of these: 0 for ``wrong``, 1 for ``nonfinite``, 2 for ``kink``, 3 for
        ``nondeterministic``, 4 for ``noisy``, 5 for ``inconclusive``, 6 for ``agrees``.
    directional
        Whether it was checked along directions.
    ncalls, claim_ncalls
        How often f and the claim were called.
    seconds
        How long it took.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> report = anygrad.check_gradient(lambda x: np.abs(x).sum(), np.sign, np.array([0.0, 1.0]))
    >>> bool(report), report.verdict, report.counts
    (False, 'kink', {'kink': 1, 'agrees': 1})
    """

    verdict: str
    worst: Sequence[Element]
    counts: Mapping[str, int]
    arrays: Mapping[str, Mapping[str, int]]
    hints: Sequence[str]
    remarks: Sequence[str]
    taylor: Taylor | None
    comparisons: Sequence[Comparison]
    states: Sequence[HostArray]
    directional: bool
    ncalls: int
    claim_ncalls: int
    seconds: float

    def __bool__(self) -> bool:
        """Return whether the claim agrees."""
        return self.verdict == "agrees"

    def __str__(self) -> str:
        """Return a paragraph, and a table of the worst elements."""
        return _describe(self)

    __repr__ = __str__

    def as_dict(self) -> dict[str, Any]:
        """Return all but the arrays, to be written as JSON; complex numbers are pairs."""
        return {
            "verdict": self.verdict,
            "worst": [
                {**asdict(one), "claimed": _json(one.claimed), "numerical": _json(one.numerical)} for one in self.worst
            ],
            "counts": dict(self.counts),
            "arrays": {name: dict(counts) for name, counts in self.arrays.items()},
            "hints": list(self.hints),
            "remarks": list(self.remarks),
            "taylor": None if self.taylor is None else asdict(self.taylor),
            "ncalls": self.ncalls,
            "claim_ncalls": self.claim_ncalls,
            "seconds": self.seconds,
        }

    def plot(self) -> Figure:
        """Draw the claim over the numerical derivative, and the error over each array, or the four worst of many.

        The colours stand for the verdicts. For complex numbers, real and imaginary parts are drawn.

        Returns
        -------
        matplotlib.figure.Figure
            The figure; ``report.plot().savefig("check.png")`` saves it.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        from anygrad.plot.check_report import draw_report  # noqa: PLC0415 - pictures are wanted rarely

        return draw_report(self)


def _json(number: complex) -> float | list[float]:
    return number if isinstance(number, float) else [number.real, number.imag]


# From findings to a report

_SHOWN = 8
_CONSTANT = (
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


def make_report(
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
    """Return the report on a finding."""
    verdict = gravest(finding.states)
    remarks = [*_variations(claim, probe), *(_uncertainty(finding) if verdict == "agrees" else ())]
    if noise:
        remarks.append(_NOISE.format(noise))
    if dtypes:
        remarks.append(_WIDER.format(" and ".join(dtypes)))
    if finding.is_constant:
        remarks.append(_CONSTANT)
    elif finding.located:
        remarks.append(_LOCATED)
    if verdict == "agrees" and taylor is not None and taylor.right is False and taylor.remainder > tangent_error:
        verdict = "kink"
        remarks.append(_NO_TANGENT)
    return CheckReport(
        verdict=verdict,
        worst=_located(finding) or _worst(finding),
        counts=count_verdicts(finding.states),
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
    return {comparison.name: count_verdicts([state]) for comparison, state in pairs}


def _uncertainty(finding: Finding) -> list[str]:
    """Say for how many elements the tolerance is larger than the derivative."""
    tolerances = [
        one.tolerance[(one.tolerance > np.abs(one.numerical)) & (one.claimed != 0)] for one in finding.comparisons
    ]
    large = np.concatenate([np.zeros(0), *tolerances])
    if not large.size:
        return []
    return [
        f"Of {large.size:,} what is tolerated is more than the derivative itself, up to {np.max(large):.1e}: a smaller"
        " mistake does not show."
    ]


def _variations(claim: Claim, probe: Probe) -> list[str]:
    remarks = []
    if probe.spread:
        remarks.append(f"f is not deterministic: its values at x differ by {probe.spread:.1e}, which is allowed for.")
    if not (claim.deterministic or claim.accumulates):
        spread = max(float(np.max(one, initial=0.0)) for one in claim.spread)
        remarks.append(f"What is claimed is not deterministic: it differs by {spread:.1e} at x, which is allowed for.")
    return remarks


def _worst(finding: Finding) -> tuple[Element, ...]:
    """Return the elements that do not agree, the gravest and furthest off first."""
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
        name=comparison.name if comparison.claimed.size == 1 else element_name(comparison.name, place, shape),
        verdict=verdict,
        claimed=at(comparison.claimed),
        numerical=at(comparison.numerical),
        error=float(comparison.tolerance.reshape(-1)[place]),
        ratio=float(comparison.ratio.reshape(-1)[place]),
    )


# In words

_KINK_OF_TANGENT = (
    "Kink: f has a derivative by each element, and what is claimed is right for {every}, but it has no tangent at x."
    " Check at another x."
)
_SENTENCES = {
    "agrees": "Agrees: what is claimed is what was found numerically for {every}, to within the errors of both.",
    "wrong": "Wrong: {share} {differ} from what was found numerically by more than the errors of both allow.",
    "kink": "Kink: f has no derivative at x for {share}: the slopes on both sides differ, or f jumps."
    " What is claimed lies between them. Check at another x.",
    "nonfinite": "Not finite: f or its derivative is NaN or infinite for {share}: nothing to compare.",
    "nondeterministic": "Not deterministic: f or what is claimed varies too much from call to call to tell for"
    " {share}.",
    "noisy": "Noisy: f varies too much from point to point to tell for {share}. Compute it more exactly, in"
    " a wider dtype if there is one.",
    "inconclusive": "Inconclusive: for {share} the errors are too large to tell. Compute f more exactly, in"
    " a wider dtype if there is one, or check at another x.",
}
_NO_SEED = " Fix the random numbers: a seed for each call, no dropout."
_NAMED = 4  # arrays with the same verdict
_WIDTH = 88  # of a paragraph
_HEADINGS = ("", "claimed", "numerical", "certain to", "off by", "verdict")


def _describe(report: CheckReport) -> str:
    """Return a paragraph, a table of the worst elements, and the rest."""
    blocks = [textwrap.fill(_verdict(report), _WIDTH)]
    if report.worst:
        blocks.append(_table(report.worst))
    more = [*_arrays(report), *report.hints, *report.remarks, *_taylor(report.taylor), _effort(report)]
    return "\n\n".join([*blocks, "\n".join(textwrap.fill(line, _WIDTH, subsequent_indent="  ") for line in more)])


def _verdict(report: CheckReport) -> str:
    total = sum(report.counts.values())
    noun = "direction" if report.directional else "element"
    totals = f"{total:,} {noun}{'' if total == 1 else 's'}"
    every = f"the only {noun}" if total == 1 else f"all {totals}"
    count = report.counts.get(report.verdict, 0)
    share = every if total == 1 else f"{count:,} of {totals}"
    sentence = _KINK_OF_TANGENT if report.verdict == "kink" and not count else _SENTENCES[report.verdict]
    advice = _NO_SEED if report.verdict == "nondeterministic" and not report.hints else ""
    return sentence.format(share=share, differ="differs" if count == 1 else "differ", every=every) + advice


def _table(elements: Sequence[Element]) -> str:
    rows = [_HEADINGS, *map(_row, elements)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in {0, 5} else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _row(element: Element) -> tuple[str, ...]:
    difference = abs(element.claimed - element.numerical)
    digits = _digits(element)
    return (
        element.name,
        f"{element.claimed:.{digits}g}",
        f"{element.numerical:.{digits}g}",
        f"{element.error:.1e}",
        f"{difference:.1e}",
        element.verdict,
    )


def _digits(element: Element) -> int:
    """Return how many digits show the difference, plus one."""
    size, difference = abs(element.numerical), abs(element.claimed - element.numerical)
    return next((digits for digits in range(6, 17) if not difference or difference > size * 10.0 ** (2 - digits)), 17)


def _arrays(report: CheckReport) -> list[str]:
    """Say which arrays agree and which do not, if there are several and they differ."""
    alike = report.counts.get(report.verdict) == sum(report.counts.values())
    if alike or len(report.arrays) < 2:
        return []
    by_verdict: dict[str, list[str]] = {}
    for name, counts in report.arrays.items():
        gravest, total = next(iter(counts), "agrees"), sum(counts.values())
        share = "" if counts.get(gravest, 0) == total else f" ({counts[gravest]:,} of {total:,})"
        by_verdict.setdefault(gravest, []).append(name + share)
    parts = [f"{verdict}: {_named(by_verdict[verdict])}" for verdict in VERDICTS if verdict in by_verdict]
    return [f"Array by array: {'; '.join(parts)}."]


def _named(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _taylor(test: Taylor | None) -> list[str]:
    if test is None:
        return []
    if test.slope is None:
        return ["Taylor test: along a random direction, what f has beyond its tangent is rounding."]
    judgement = (
        f"right; an error of more than {test.remainder:.0e} would show"
        if test.right
        else f"not right, but off by {test.remainder:.0e} along it"
    )
    return [
        f"Taylor test: along a random direction, what f has beyond its tangent shrinks as step**{test.slope:.2f} (2 is"
        f" right, 1 is not): {judgement}."
    ]


def _effort(report: CheckReport) -> str:
    calls = f"{report.ncalls:,} call{'' if report.ncalls == 1 else 's'}"
    return f"{calls} of f and {report.claim_ncalls:,} of what is claimed, in {report.seconds:.2g} s."
