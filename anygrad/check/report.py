"""The report that `check_gradient` returns, as data and in words."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from anygrad.check.claim import Calls
from anygrad.check.compare import VERDICTS, Comparison, Outcome, Setting, count_verdicts
from anygrad.check.task import HostArray, Probe
from anygrad.check.taylor import Taylor

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Finding:
    """Something that a check has found, in a sentence.

    ``verdict`` is what it means for the claim, one of those of `CheckReport`; empty if it means nothing.
    """

    sentence: str
    verdict: str = ""


@dataclass(frozen=True)
class Element:
    """One derivative that was checked: as claimed, as found, and how far apart the two may be.

    ``name`` is the element, as in ``x['W'][0, 3]``; ``error`` is the tolerance, and ``ratio`` the difference as a
    multiple of it.
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
    findings
        What was found, a sentence each: what it means for the claim, the gravest verdict first; then anything else.
    worst
        The elements with the gravest verdicts, the worst first.
    counts, arrays
        The number of elements with each verdict, in all and for each array by its name; along directions, the number
        of directions.
    hints
        What the mistake may be, if it looks like a common one.
    taylor
        The Taylor test along a random direction; None for a Hessian, or where f is not finite.
    comparisons, states
        All derivatives that were compared, an entry for each array; along directions, for each direction. The verdict
        on each: 0 for ``wrong``, 1 for ``nonfinite``, 2 for ``kink``, 3 for ``nondeterministic``, 4 for ``noisy``, 5
        for ``inconclusive``, 6 for ``agrees``.
    directional
        Whether it was checked along directions.
    ncalls, claim_ncalls, seconds
        How often f and the claim were called, and how long it took.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> report = anygrad.check_gradient(lambda x: np.abs(x).sum(), np.sign, np.array([0.0, 1.0]))
    >>> bool(report), report.verdict, report.counts
    (False, 'kink', {'kink': 1, 'agrees': 1})
    """

    findings: Sequence[Finding]
    worst: Sequence[Element]
    counts: Mapping[str, int]
    arrays: Mapping[str, Mapping[str, int]]
    hints: Sequence[str]
    taylor: Taylor | None
    comparisons: Sequence[Comparison]
    states: Sequence[HostArray]
    directional: bool
    ncalls: int
    claim_ncalls: int
    seconds: float

    @property
    def verdict(self) -> str:
        """The gravest verdict of all findings.

        ``agrees``: the claim is the numerical derivative, within the errors of both. ``wrong``: it is not. ``kink``: f
        has no derivative at x, or jumps; the claim lies between the slopes on both sides, or is a convention.
        ``nonfinite``: f, or its derivative, is NaN or infinite. ``nondeterministic``, ``noisy``: f varies too much from
        call to call, or from point to point, to tell. ``inconclusive``: the error is too large to tell.
        """
        return min((one.verdict for one in self.findings if one.verdict), key=VERDICTS.index)

    @property
    def remarks(self) -> tuple[str, ...]:
        """The sentences of findings that mean nothing for the claim."""
        return tuple(one.sentence for one in self.findings if not one.verdict)

    def __bool__(self) -> bool:
        """Return whether the claim agrees."""
        return self.verdict == "agrees"

    def __str__(self) -> str:
        """Return a paragraph, and a table of the worst elements."""
        verdict = " ".join(one.sentence for one in self.findings if one.verdict == self.verdict)
        blocks = [textwrap.fill(verdict, _WIDTH), *([_table(self.worst)] if self.worst else [])]
        more = [*_arrays(self), *self.hints, *self.remarks, *_taylor(self), _effort(self)]
        return "\n\n".join([*blocks, "\n".join(textwrap.fill(line, _WIDTH, subsequent_indent="  ") for line in more)])

    __repr__ = __str__

    def as_dict(self) -> dict[str, Any]:
        """Return all but the arrays, to be written as JSON; complex numbers are pairs."""
        return {
            "verdict": self.verdict,
            "findings": [asdict(one) for one in self.findings],
            "worst": [
                {**asdict(one), "claimed": _json(one.claimed), "numerical": _json(one.numerical)} for one in self.worst
            ],
            "remarks": list(self.remarks),
            "taylor": None if self.taylor is None else asdict(self.taylor),
            **{
                name: getattr(self, name) for name in ("counts", "arrays", "hints", "ncalls", "claim_ncalls", "seconds")
            },
        }

    def plot(self) -> Figure:
        """Return a matplotlib figure: the claim over the numerical derivative, and the difference over each array.

        The colours stand for the verdicts. Of many arrays, the four worst are drawn. It takes matplotlib (ImportError).
        ``report.plot().savefig("check.png")`` saves it.
        """
        from anygrad.plot.check_report import draw_report  # noqa: PLC0415 - pictures are wanted rarely

        return draw_report(self)


_PLAIN = ("counts", "arrays", "hints", "ncalls", "claim_ncalls", "seconds")


def _json(number: complex) -> float | list[float]:
    return number if isinstance(number, float) else [number.real, number.imag]


# Findings

_SHOWN = 8
MANY_CALLS, LONG = 20_000, 10.0  # beyond these, directions= is proposed
_SENTENCES = {
    "wrong": "Wrong: {share} {differ} from the numerical derivative by more than the tolerance.",
    "nonfinite": "Not finite: f or its derivative is NaN or infinite for {share}, so there is nothing to compare.",
    "kink": "Kink: f has no derivative at x for {share}: the slopes on both sides differ, or f jumps. The claim lies"
    " between them, or is 0 or NaN by convention. Check at another x.",
    "nondeterministic": "Not deterministic: f or the claim varies too much from call to call to tell for"
    " {share}.{seed}",
    "noisy": "Noisy: f varies too much from point to point to tell for {share}. Compute f more exactly, in a wider"
    " dtype if there is one.",
    "inconclusive": "Inconclusive: the errors are too large to tell for {share}. Compute f more exactly, in a wider"
    " dtype if there is one, or check at another x.",
    "agrees": "Agrees: {all} with the numerical derivative, within the tolerance.",
}
_EVERY_KINK = (
    "Kink: f has a kink with respect to all {total:,} elements, as a network has where all of its weights are 0. The"
    " claim is a convention there. Check at another x, such as a random one."
)
_ROUNDING = (
    "Agrees: f does not change beyond its rounding, and the claim is zero to within that. Such a check shows little:"
    " check a weighted output instead, with vjp=."
)
_CONSTANT = (
    "Every value of f is the same, and f was given copies of x: it may read x through a closure instead of its"
    " argument, and then there is nothing to compare. Write it as a function of its argument, or pass a writable array."
)
_NO_TANGENT = (
    "Kink: {all} with the partial derivatives of f, but f has no tangent at x: along a random direction it changes"
    " otherwise. Check at another x."
)


_NOT_LOCATED = "looked for by halving the direction, and not found: each is off by less than the errors along a part"


def make_report(
    setting: Setting,
    outcome: Outcome,
    claim: Calls,
    taylor: Taylor | None,
    hints: Sequence[str],
    *,
    own: Probe,
    direction: HostArray,
    ncalls: int,
    claim_ncalls: int,
    seconds: float,
) -> CheckReport:
    """Return the report: the findings, and what they say of which elements."""
    counts = count_verdicts(outcome.states)
    findings = _on_claim(outcome, counts, claim)
    gravest = next(iter(counts), "agrees")
    smooth = taylor is None or taylor.right is not False or outcome.directional or gravest != "agrees"
    if not smooth and taylor is not None and taylor.remainder > _tangent_error(setting, outcome, direction):
        findings = [Finding(_NO_TANGENT.format(all=_agree(outcome, sum(counts.values()))), "kink")]
    findings += map(Finding, _remarks(setting, outcome, claim, own, settled=gravest == "agrees"))
    if not outcome.directional and setting.task.n == 1 and (ncalls > MANY_CALLS or seconds > LONG):
        findings.append(Finding("With directions=3, the number of calls does not depend on the size of x."))
    return CheckReport(
        findings=tuple(findings),
        worst=_located(outcome) or _worst(outcome),
        counts=counts,
        arrays={}
        if outcome.directional
        else {one.name: count_verdicts([s]) for one, s in zip(outcome.comparisons, outcome.states, strict=True)},
        hints=tuple(hints),
        taylor=taylor,
        comparisons=tuple(outcome.comparisons),
        states=tuple(outcome.states),
        directional=outcome.directional,
        ncalls=ncalls,
        claim_ncalls=claim_ncalls,
        seconds=seconds,
    )


def _on_claim(outcome: Outcome, counts: Mapping[str, int], claim: Calls) -> list[Finding]:
    total, noun = sum(counts.values()), "direction" if outcome.directional else "element"
    findings = []
    for verdict, count in counts.items() or {"agrees": 0}.items():
        sentence = _SENTENCES[verdict]
        if verdict == "kink" and count == total > 1:
            sentence = _EVERY_KINK
        elif verdict == "agrees" and outcome.is_rounding:
            sentence = _ROUNDING
        told = sentence.format(
            share=f"the only {noun}" if total == 1 else f"{count:,} of {total:,} {noun}s",
            differ="differs" if count == 1 else "differ",
            all=_agree(outcome, total),
            total=total,
            seed="" if claim.accumulates else " Fix the random numbers: a seed for each call, no dropout.",
        )
        findings.append(Finding(told, verdict))
    return findings


def _agree(outcome: Outcome, total: int) -> str:
    noun = "direction" if outcome.directional else "element"
    return f"the only {noun} agrees" if total == 1 else f"all {total:,} {noun}s agree"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _remarks(setting: Setting, outcome: Outcome, claim: Calls, own: Probe, *, settled: bool) -> list[str]:
    remarks = []
    spread = float(np.max(claim.spread, initial=0.0))
    if own.spread:
        remarks.append(f"f is not deterministic: its values at x differ by {own.spread:.1e}.")
    if spread and not claim.accumulates:
        remarks.append(f"The claim is not deterministic: it differs by {spread:.1e} from call to call at x.")
    large = [one.tolerance[(one.tolerance > np.abs(one.numerical)) & (one.claimed != 0)] for one in outcome.comparisons]
    count, most = sum(part.size for part in large), max((float(np.max(part, initial=0.0)) for part in large), default=0)
    if settled and count and not outcome.is_rounding:
        remarks.append(
            f"The tolerance is larger than the derivative for {count:,}, up to {most:.1e}: a smaller mistake does not"
            " show."
        )
    if setting.task.eps < claim.coarsest and setting.probe is not own:
        dtypes = " and ".join(setting.task.parameters.dtypes)
        remarks.append(f"f was differentiated in {dtypes}, where it is the same function with more digits.")
    failures = {**own.failures, **outcome.failures}
    if failures:
        error = next(iter(failures.values()))
        remarks.append(
            f"f raised {type(error).__name__} ({error}) at some points around x, which counts as NaN there: the points"
            f" changed {_listed(list(failures))}."
        )
    if outcome.noise:
        remarks.append(f"f has noise of about {outcome.noise:.0e} in its values, which the tolerance allows for.")
    if setting.probe.is_constant:
        remarks.append(_CONSTANT)
    if outcome.located is not None:
        found = "found by halving a direction: others may be wrong as well" if outcome.located else _NOT_LOCATED
        remarks.append(f"The wrong elements were {found}. Without directions=, every element is checked.")
    return remarks


def _tangent_error(setting: Setting, outcome: Outcome, direction: HostArray) -> float:
    tolerances = setting.layout.table([one.tolerance for one in outcome.comparisons])
    with np.errstate(all="ignore"):
        return float(np.linalg.norm(tolerances @ np.abs(direction)))


def _worst(outcome: Outcome) -> tuple[Element, ...]:
    found = []
    for comparison, state in zip(outcome.comparisons, outcome.states, strict=True):
        flat, ratio = state.reshape(-1), comparison.ratio.reshape(-1)
        bad = np.flatnonzero(flat < VERDICTS.index("agrees"))
        order = np.lexsort((-ratio[bad], flat[bad]))[:_SHOWN]
        found += [(int(flat[i]), -float(ratio[i]), _element(comparison, int(i), VERDICTS[flat[i]])) for i in bad[order]]
    return tuple(element for _, _, element in sorted(found, key=lambda entry: entry[:2])[:_SHOWN])


def _located(outcome: Outcome) -> tuple[Element, ...]:
    elements = [_element(comparison, 0, "wrong") for comparison in outcome.located or ()]
    return tuple(sorted(elements, key=lambda element: -element.ratio))


def _element(comparison: Comparison, place: int, verdict: str) -> Element:
    def at(array: HostArray) -> complex:
        number = array.reshape(-1)[place]
        return complex(number) if np.iscomplexobj(array) else float(number) + 0.0  # no -0

    shape = comparison.claimed.shape
    indices = ", ".join(str(int(i)) for i in np.unravel_index(place, shape))
    return Element(
        name=comparison.name if comparison.claimed.size == 1 or not shape else f"{comparison.name}[{indices}]",
        verdict=verdict,
        claimed=at(comparison.claimed),
        numerical=at(comparison.numerical),
        error=float(comparison.tolerance.reshape(-1)[place]),
        ratio=float(comparison.ratio.reshape(-1)[place]),
    )


# In words

_NAMED = 4  # arrays with the same verdict
_WIDTH = 88  # of a paragraph
_HEADINGS = ("", "claimed", "numerical", "difference", "tolerance", "verdict")


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
    size, difference = abs(element.numerical), abs(element.claimed - element.numerical)
    # As many digits as show the difference, plus one.
    digits = next((d for d in range(6, 17) if not difference or difference > size * 10.0 ** (2 - d)), 17)
    numbers = (f"{element.claimed:.{digits}g}", f"{element.numerical:.{digits}g}")
    return element.name, *numbers, f"{difference:.1e}", f"{element.error:.1e}", element.verdict


def _arrays(report: CheckReport) -> list[str]:
    if len(report.counts) < 2 or len(report.arrays) < 2:
        return []
    by_verdict: dict[str, list[str]] = {}
    for name, counts in report.arrays.items():
        gravest, total = next(iter(counts), "agrees"), sum(counts.values())
        share = "" if counts.get(gravest, 0) == total else f" ({counts[gravest]:,} of {total:,})"
        by_verdict.setdefault(gravest, []).append(name + share)
    parts = [f"{verdict}: {_listed(by_verdict[verdict])}" for verdict in VERDICTS if verdict in by_verdict]
    return [f"Array by array: {'; '.join(parts)}."]


def _taylor(report: CheckReport) -> list[str]:
    test = report.taylor
    if test is None:
        return []
    if test.slope is None:
        return ["Taylor test: along a random direction, f is linear to within its rounding."]
    shrinks = f"Taylor test: the remainder shrinks as step**{test.slope:.2f}"
    if test.right:
        return [f"{shrinks} (a correct gradient gives 2): passed; an error above {test.remainder:.0e} would show."]
    if report.verdict == "wrong":
        return [f"{shrinks} (a correct gradient gives 2): FAILED."]
    return [f"{shrinks} (2 where f is smooth)."]


def _effort(report: CheckReport) -> str:
    calls = f"{report.ncalls:,} call{'' if report.ncalls == 1 else 's'}"
    return f"{calls} of f and {report.claim_ncalls:,} of the claim, in {report.seconds:.2g} s."
