"""A report in words."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from anygrad._checking.judgement import VERDICTS
from anygrad._checking.report import CheckReport, Element
from anygrad._checking.taylor import Taylor

_NO_TANGENT = (
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
_NAMED = 4  # arrays of which the same is said
_WIDTH = 88  # of a paragraph
_HEADINGS = ("", "claimed", "numerical", "certain to", "off by", "verdict")


def described(report: CheckReport) -> str:
    """Return a paragraph, a table of the worst elements, and what else there is to say."""
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
    sentence = _NO_TANGENT if report.verdict == "kink" and not count else _SENTENCES[report.verdict]
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
    """Return how many digits show the difference, and one more."""
    size, difference = abs(element.numerical), abs(element.claimed - element.numerical)
    return next((digits for digits in range(6, 17) if not difference or difference > size * 10.0 ** (2 - digits)), 17)


def _arrays(report: CheckReport) -> list[str]:
    """Say which arrays agree and which do not, if there are several and not all are alike."""
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
