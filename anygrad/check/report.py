"""The report that `check_gradient` returns, as data and in words."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from anygrad._typing import HostArray
from anygrad.check.claim import ClaimCalls
from anygrad.check.compare import VERDICTS, Comparison, Outcome, Setting, count_verdicts
from anygrad.check.task import Probe
from anygrad.check.taylor import Taylor
from anygrad.problem.tree import listed

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Finding:
    """Something that a check has found."""

    sentence: str
    verdict: str = ""  # one of those of `CheckReport`; empty if it says nothing of the claim


@dataclass(frozen=True)
class Element:
    """One derivative that was checked: as claimed, as found, and how far apart the two may be."""

    name: str  # as in x['W'][0, 3]
    verdict: str
    claimed: complex
    numerical: complex
    error: float  # the tolerance
    ratio: float  # the difference as a multiple of the tolerance


@dataclass(frozen=True, eq=False)
class CheckReport:
    """Whether a derivative is right, and if not, why not. True if it agrees; printed, a paragraph and a table.

    Attributes
    ----------
    findings
        What was found, the gravest verdict first. Each has a ``sentence``, and the ``verdict`` that it gives: empty if
        it says nothing of the claim.
    worst
        Up to eight elements, or directions, with the gravest verdicts, the worst first. Each has a ``name`` as in
        ``x['W'][0, 3]``, a ``verdict``, the ``claimed`` and the ``numerical`` derivative, the tolerance ``error``, and
        ``ratio``: the difference as a multiple of the tolerance.
    counts
        How many elements, or directions, have each verdict: ``{"wrong": 2, "agrees": 7}``.
    arrays
        The same for each array of x by its name; empty along directions.
    hints
        What the mistake may be, if it looks like a common one.
    taylor
        The Taylor test along a random direction; None for a Hessian, or where f is not finite. Its ``slope`` is the
        power of the step with which the remainder shrinks: 2 for a correct gradient, 1 for a wrong one, None if
        the remainder is all rounding.
    comparisons
        All derivatives that were compared, for each array or direction: NumPy arrays ``claimed``, ``numerical``,
        ``difference`` and ``tolerance``, and the ``name`` of the array.
    states
        The verdict on each of these, as int arrays: 0 for wrong, 1 for nonfinite, 2 for kink, 3 for nondeterministic,
        4 for noisy, 5 for inconclusive, 6 for agrees.
    directional
        Whether it was checked along directions.
    ncalls, claim_ncalls
        How often f and the claim were called.
    seconds
        How long the check took.

    See Also
    --------
    check_gradient : makes the report.

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
        worst = [
            {**asdict(one), "claimed": _json(one.claimed), "numerical": _json(one.numerical)} for one in self.worst
        ]
        return {
            "verdict": self.verdict,
            "findings": [asdict(one) for one in self.findings],
            "worst": worst,
            "remarks": list(self.remarks),
            "taylor": None if self.taylor is None else asdict(self.taylor),
            "counts": self.counts,
            "arrays": self.arrays,
            "hints": self.hints,
            "ncalls": self.ncalls,
            "claim_ncalls": self.claim_ncalls,
            "seconds": self.seconds,
        }

    def plot(self) -> Figure:
        """Return a matplotlib figure: the claim over the numerical derivative, and the difference over each array.

        The colours stand for the verdicts. Of many arrays, the four worst are drawn. It takes matplotlib (ImportError).
        ``report.plot().savefig("check.png")`` saves it.
        """
        from anygrad.plot.check_report import draw_report  # noqa: PLC0415 - pictures are wanted rarely

        return draw_report(self)


def _json(number: complex) -> float | list[float]:
    return number if isinstance(number, float) else [number.real, number.imag]


# Findings

_SHOWN = 8
MANY_CALLS, LONG = 20_000, 10.0  # beyond these, directions= is proposed
_SAYS = {
    "wrong": "Wrong: {share} {differ} from the numerical derivative by more than the tolerance.",
    "nonfinite": "Not finite: f or its derivative is NaN or infinite for {share}, so there is nothing to compare.",
    "kink": "Kink: f has no derivative at x for {share}: the slopes on both sides differ, or f jumps. The claim lies"
    " between them, or is 0 or NaN by convention. Check at another x.",
    "nondeterministic": "Not deterministic: f or the claim varies too much from call to call for a verdict on"
    " {share}.{seed}",
    "noisy": "Noisy: f varies too much from point to point for a verdict on {share}. Compute f with more digits, in a"
    " wider dtype if there is one.",
    "inconclusive": "Inconclusive: the errors are too large for a verdict on {share}. Compute f with more digits, in a"
    " wider dtype if there is one, or check at another x.",
    "agrees": "Agrees: {all} with the numerical derivative, within the tolerance.",
    # Instead of these, for some functions
    "kink everywhere": "Kink: f has a kink with respect to all {total:,} elements, as a network has where all of its"
    " weights are 0. The claim there is a convention. Check at another x, such as a random one.",
    "no tangent": "Kink: {all} with the partial derivatives of f, but f has no tangent at x: along a random direction,"
    " it changes by another amount than they predict. Check at another x.",
    "rounding": "Agrees: f does not change beyond its rounding, and the claim is zero within that rounding. This shows"
    " little: check a weighted output instead, with vjp=.",
    "nothing seen": "Inconclusive: f was given copies of x, and returned the same value for all of them. It may read x"
    " through a closure instead of its argument: write it as a function of its argument, or pass a writable array.",
    # Remarks
    "f varies": "f is not deterministic: its values at x differ by {spread:.1e}.",
    "claim varies": "The claim is not deterministic: it differs by {spread:.1e} from call to call at x.",
    "tolerant": "The tolerance is larger than the derivative for {count:,} {noun}: a mistake below {most:.1e} may not"
    " show.",
    "unseen": "Along the directions, a mistake as large as the derivative itself would not show for {count:,} {noun} of"
    " x, such as {name}. Without directions=, every element is checked.",
    "wider": "f was differentiated in {dtypes}, where it is the same function with more digits.",
    "raises": "f raised {error} at some points near x, which count as NaN. These points differ from x in {where}.",
    "noise": "The values of f have noise of about {noise:.0e}, which the tolerance allows for.",
    "constant": "f was given copies of x, and returned the same value for all of them: it is constant, or reads x"
    " through a closure instead of its argument.",
    "located": "The wrong elements were found by halving a direction: others may be wrong as well. Without directions=,"
    " every element is checked.",
    "not located": "Halving a direction did not find the wrong elements: each is off by less than the error along a"
    " part of the direction. Without directions=, every element is checked.",
    "many calls": "With directions=3, the number of calls does not depend on the size of x.",
}


def make_report(
    setting: Setting,
    outcome: Outcome,
    claim: ClaimCalls,
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
    findings = _on_claim(setting, outcome, counts, claim)
    gravest = next(iter(counts), "agrees")
    smooth = taylor is None or taylor.right is not False or outcome.directional or gravest != "agrees"
    if not smooth and taylor is not None and taylor.remainder > _tangent_error(setting, outcome, direction):
        findings = [Finding(_SAYS["no tangent"].format(all=_agree(outcome, sum(counts.values()))), "kink")]
    findings += map(Finding, _remarks(setting, outcome, claim, own, settled=gravest == "agrees"))
    if not outcome.directional and setting.task.n == 1 and (ncalls > MANY_CALLS or seconds > LONG):
        findings.append(Finding(_SAYS["many calls"]))
    return CheckReport(
        findings=tuple(findings),
        worst=_worst(outcome),
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


def _on_claim(setting: Setting, outcome: Outcome, counts: Mapping[str, int], claim: ClaimCalls) -> list[Finding]:
    total, noun = sum(counts.values()), _noun(outcome)
    findings = []
    for verdict, count in counts.items() or {"agrees": 0}.items():
        key = verdict
        if verdict == "kink" and count == total > 1:
            key = "kink everywhere"
        elif verdict == "agrees" and outcome.is_rounding:
            key = "rounding"
        elif verdict == "inconclusive" and setting.probe.is_constant:
            key = "nothing seen"
        sentence = _SAYS[key].format(
            share=f"the only {noun}" if total == 1 else f"{count:,} of {total:,} {noun}s",
            differ="differs" if count == 1 else "differ",
            all=_agree(outcome, total),
            total=total,
            seed="" if claim.accumulates else " Fix the random numbers: set the seed in each call, switch dropout off.",
        )
        findings.append(Finding(sentence, verdict))
    return findings


def _noun(outcome: Outcome) -> str:
    return "direction" if outcome.directional else "element"


def _agree(outcome: Outcome, total: int) -> str:
    noun = _noun(outcome)
    return f"the only {noun} agrees" if total == 1 else f"all {total:,} {noun}s agree"


def _remarks(setting: Setting, outcome: Outcome, claim: ClaimCalls, own: Probe, *, settled: bool) -> Iterator[str]:
    if own.spread:
        yield _SAYS["f varies"].format(spread=own.spread)
    spread = float(np.max(claim.spread, initial=0.0))
    if spread and not claim.accumulates:
        yield _SAYS["claim varies"].format(spread=spread)
    large = [one.tolerance[(one.tolerance > np.abs(one.numerical)) & (one.claimed != 0)] for one in outcome.comparisons]
    tolerant = np.concatenate([np.zeros(0), *large])
    if settled and tolerant.size and not outcome.is_rounding:
        noun = _noun(outcome) + "s" * (tolerant.size > 1)
        yield _SAYS["tolerant"].format(count=tolerant.size, noun=noun, most=float(np.max(tolerant)))
    if settled and len(outcome.unseen) and not outcome.is_rounding:
        name, noun = (
            setting.task.parameters.element_name(outcome.unseen[0]),
            "element" + "s" * (len(outcome.unseen) > 1),
        )
        yield _SAYS["unseen"].format(count=len(outcome.unseen), noun=noun, name=name)
    if setting.task.eps < claim.coarsest and setting.probe is not own:
        yield _SAYS["wider"].format(dtypes=" and ".join(setting.task.parameters.dtypes))
    failures = {**own.failures, **outcome.failures}
    if failures:
        error = next(iter(failures.values()))
        yield _SAYS["raises"].format(error=f"{type(error).__name__} ({error})", where=listed(list(failures)))
    if outcome.noise:
        yield _SAYS["noise"].format(noise=outcome.noise)
    if settled and setting.probe.is_constant:
        yield _SAYS["constant"]
    if outcome.located is not None:
        yield _SAYS["located" if outcome.located else "not located"]


def _tangent_error(setting: Setting, outcome: Outcome, direction: HostArray) -> float:
    tolerances = setting.layout.table([one.tolerance for one in outcome.comparisons])
    with np.errstate(all="ignore"):
        return float(np.linalg.norm(tolerances @ np.abs(direction)))


def _worst(outcome: Outcome) -> tuple[Element, ...]:
    if outcome.located:
        elements = [_element(comparison, 0, "wrong") for comparison in outcome.located]
        return tuple(sorted(elements, key=_gravity))
    elements = []
    for comparison, state in zip(outcome.comparisons, outcome.states, strict=True):
        flat, ratio = state.reshape(-1), comparison.ratio.reshape(-1)
        bad = np.flatnonzero(flat < VERDICTS.index("agrees"))
        order = np.lexsort((-ratio[bad], flat[bad]))[:_SHOWN]
        elements += [_element(comparison, int(i), VERDICTS[flat[i]]) for i in bad[order]]
    return tuple(sorted(elements, key=_gravity)[:_SHOWN])


def _gravity(element: Element) -> tuple[int, float]:
    return VERDICTS.index(element.verdict), -element.ratio


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
        if not counts:  # all of it is fixed, or it is empty
            continue
        gravest, total = next(iter(counts)), sum(counts.values())
        share = "" if counts[gravest] == total else f" ({counts[gravest]:,} of {total:,})"
        by_verdict.setdefault(gravest, []).append(name + share)
    parts = [f"{verdict}: {listed(by_verdict[verdict])}" for verdict in VERDICTS if verdict in by_verdict]
    return [f"Array by array: {'; '.join(parts)}."]


def _taylor(report: CheckReport) -> list[str]:
    test = report.taylor
    if test is None:
        return []
    if test.slope is None:
        return ["Taylor test: no verdict, as along a random direction the remainder is within the rounding of f."]
    shrinks = f"Taylor test: the remainder shrinks as step**{test.slope:.2f}"
    if test.right:
        return [f"{shrinks} (a correct gradient gives 2): passed; an error above {test.remainder:.0e} would show."]
    if report.verdict == "wrong":
        return [f"{shrinks} (a correct gradient gives 2): FAILED."]
    return [f"{shrinks} (a smooth f gives 2)."]


def _effort(report: CheckReport) -> str:
    calls = f"{report.ncalls:,} call{'' if report.ncalls == 1 else 's'}"
    return f"{calls} of f and {report.claim_ncalls:,} of the claim, in {report.seconds:.2g} s."
