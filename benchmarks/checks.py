"""Checks of gradients, side by side: false alarms, misses, the smallest mistake that is seen, and time.

Of a sample of the cases, or with ``--quick`` of few; ``python benchmarks/checks.py --all`` takes all, and many minutes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from _check_cases import PROBLEMS, SCALES, Case, right_cases, with_one_element, wrong_cases
from _check_times import times
from _checkers import AGREES, ERROR, UNDECIDED, WRONG, Checker, checkers, installed
from _timing import arguments, quick, table

HALF_DECADE = math.sqrt(10.0)
RANKS = {"largest": 1.0, "middling": 0.5}


@dataclass(frozen=True)
class Extent:
    """How much is compared.

    Attributes
    ----------
    seeds
        How many right gradients of each problem, at each scale.
    most
        At most so many wrong ones of each size; None for all.
    problems
        Of how many problems the right ones are, and those of which one element is wrong; None for all.
    dtypes
        Of which dtypes.
    elements
        Which single elements are made wrong.
    scales
        At how many scales right ones are; None for all.
    """

    seeds: int
    most: int | None
    problems: int | None = None
    dtypes: tuple[str, ...] = tuple(SCALES)
    elements: tuple[str, ...] = ("largest",)
    scales: int | None = None


def set_with_care(checker: Checker, right: Sequence[Case]) -> Checker:
    """Return a tool with the smallest relative tolerance, to half a decade, at which it accepts all of these."""
    steps = -32
    for case in right:
        while steps < 0 and checker.said(case, HALF_DECADE**steps) != AGREES:
            steps += 1
    return replace(checker, tolerance=HALF_DECADE**steps)


def settings(dtype: str, right: Sequence[Case]) -> list[tuple[str, Checker]]:
    """Return each tool as it comes, and set with care, by their names."""
    found = []
    for checker in checkers(dtype):
        found.append((checker.name, checker))
        if checker.takes_tolerance:
            found.append((f"{checker.name}, set with care", set_with_care(checker, right)))
    return found


def cell(checker: Checker, cases: Sequence[Case], bad: str) -> str:
    """Return how many of the cases a tool said the bad thing of."""
    said = Counter(checker.verdict(case) for case in cases)
    neither = ", ".join(f"{said[answer]} {answer}" for answer in (UNDECIDED, ERROR) if said[answer])
    return f"{said[bad]} / {len(cases)}" + (f" ({neither})" if neither else "")


def alarms_and_misses(dtype: str, extent: Extent) -> list[tuple[str, Checker]]:
    """Print the tables of a dtype, and return what is compared in them."""
    of_scales = list(right_cases(dtype, extent.seeds).items())[: extent.scales]
    right = {scale: cases[: extent.problems] for scale, cases in of_scales}
    wrong = wrong_cases(dtype, 1.0, extent.most)
    far = SCALES[dtype][-1]
    wrong[f"total, x of {far:g}"] = wrong_cases(dtype, far, extent.most)["total"]
    tools = settings(dtype, [case for cases in right.values() for case in cases])
    alarms = {name: [cell(tool, cases, WRONG) for cases in right.values()] for name, tool in tools}
    print(f"\n{dtype}: right gradients rejected, by what x is multiplied by\n")
    print(table(("", *(f"{scale:g}" for scale in right)), [(name, *cells) for name, cells in alarms.items()]))
    print(f"\n{dtype}: wrong gradients accepted, by the relative size of the mistake\n")
    misses = [
        (name, _tolerance(tool), *(cell(tool, cases, AGREES) for cases in wrong.values())) for name, tool in tools
    ]
    print(table(("", "relative tolerance", *wrong), misses))
    return tools


def _tolerance(tool: Checker) -> str:
    if tool.tolerance is None:
        return "its own" if tool.takes_tolerance else "none needed"
    return f"{tool.tolerance:.0e}"


def smallest(tool: Checker, dtype: str, rank: float, problems: Sequence[str]) -> str:
    """Return the smallest relative error of an element that a tool sees in all problems, bisected to half a decade."""
    if any(tool.verdict(Case(name, dtype)) == WRONG for name in problems):
        return "rejects right ones"
    unseen, beyond = round(2 * math.log10(np.finfo(dtype).eps)) - 3, 4
    known = beyond
    while known - unseen > 1:
        middle = (unseen + known) // 2
        cases = (with_one_element(name, dtype, rank, HALF_DECADE**middle) for name in problems)
        if all(case is not None and tool.verdict(case) == WRONG for case in cases):
            known = middle
        else:
            unseen = middle
    return "none" if known == beyond else f"{HALF_DECADE**known:.0e}"


def sensitivity(tools: dict[str, list[tuple[str, Checker]]], extent: Extent) -> None:
    """Print the smallest mistake that each tool sees, by dtype."""
    found: dict[str, dict[str, str]] = {}
    elements, problems = extent.elements, list(PROBLEMS)[: extent.problems]
    for dtype, of_dtype in tools.items():
        for name, tool in of_dtype:
            sizes = [smallest(tool, dtype, rank, problems) for rank in map(RANKS.__getitem__, elements)]
            found.setdefault(name, {})[dtype] = sizes[0] if len(set(sizes)) == 1 else ", ".join(sizes)
    print(
        f"\nThe smallest relative error of one element that is seen: of the {' one, and of the '.join(elements)} one\n"
    )
    names = [name for name, _ in max(tools.values(), key=len)]  # a dtype with fewer tools has none of its own
    print(table(("", *tools), [(name, *(found[name].get(dtype, "") for dtype in tools)) for name in names]))


def main(extent: Extent) -> None:
    for name, module in (("PyTorch", "torch"), ("JAX", "jax"), ("SciPy", "scipy")):
        if not installed(module):
            print(f"{name} is left out: it is not installed")
    tools = {dtype: alarms_and_misses(dtype, extent) for dtype in extent.dtypes}
    tools["longdouble"] = settings("longdouble", [Case(name, "longdouble") for name in PROBLEMS])
    sensitivity(tools, extent)
    times()


def wanted() -> Extent:
    """Return what the arguments ask for."""
    if quick():
        return Extent(seeds=1, most=1, problems=1, dtypes=("float32",), scales=1)
    if "--all" in arguments():
        return Extent(seeds=6, most=None, elements=tuple(RANKS))
    return Extent(seeds=1, most=2)


if __name__ == "__main__":
    main(wanted())
