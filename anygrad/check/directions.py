"""The check along random directions, and the search for the wrong elements along a wrong one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from anygrad._typing import HostArray
from anygrad.check.claim import root_of_squares
from anygrad.check.compare import Comparison, Outcome, Setting, settle
from anygrad.check.task import Layout
from anygrad.problem.tree import flatten

_LOCATED = 4  # elements that are looked for: others may be wrong as well
_REAL = (
    "f returns real numbers for a complex x, where directions show only the real part of the gradient: leave out"
    " directions=, or write f as a function of the real and imaginary parts"
)


def compare_directions(setting: Setting, count: int, rng: np.random.Generator) -> Outcome:
    """Compare the claim with f along random directions; along a wrong one, look for the wrong elements."""
    if "complex" in " ".join(setting.task.parameters.dtypes) and not np.iscomplexobj(setting.probe.values):
        raise ValueError(_REAL)
    directions = random_directions(setting, count, rng)
    found = [settle(along(setting, v)) for v in directions]
    ncalls = sum(one.ncalls for one in found)
    failures = {name: error for one in found for name, error in one.failures.items()}
    comparisons = [column(one.comparisons[0], f"direction {i + 1}") for i, one in enumerate(found)]
    states = [one.states[0][:, 0] for one in found]
    located = None
    ratios = [np.max(one.ratio * (state == 0), initial=0.0) for one, state in zip(comparisons, states, strict=True)]
    worst = int(np.argmax(ratios))
    if ratios[worst]:
        located, calls = locate(setting, directions[worst], found[worst])
        ncalls += calls
    noise = max(one.noise for one in found)
    unseen = _unseen(setting, directions, comparisons)
    return Outcome(comparisons, states, ncalls, failures, noise, located=located, unseen=unseen, directional=True)


def _unseen(setting: Setting, directions: Sequence[HostArray], comparisons: Sequence[Comparison]) -> list[int]:
    """Return the elements whose derivative could be wrong by as much as it is, and no direction would show it."""
    sizes = np.max(np.nan_to_num(np.abs(setting.claim.table), posinf=0.0), axis=0)
    shown = np.full(sizes.shape, np.inf)  # the smallest mistake that some direction shows
    for v, one in zip(directions, comparisons, strict=True):
        shown = np.minimum(shown, np.min(one.tolerance, initial=np.inf) / np.abs(v))
    found: list[int] = np.flatnonzero(setting.task.free & (sizes > 0) & (shown > sizes)).tolist()
    return found


def along(setting: Setting, v: HostArray) -> Setting:
    return replace(setting, direction=v, claim=setting.claim.along(v, setting.task.eps))


def column(comparison: Comparison, name: str) -> Comparison:
    return Comparison(name, comparison.claimed[:, 0], comparison.numerical[:, 0], comparison.tolerance[:, 0])


def random_directions(setting: Setting, count: int, rng: np.random.Generator) -> list[HostArray]:
    """Return random directions in which every array of x counts: by its size, and less if its slopes are large.

    No array moves by ``eps**(-1/4)`` times more or less than its share: its steps would drown in rounding.
    """
    task, claim = setting.task, setting.claim
    room = max(task.eps, claim.eps) ** -0.25
    table = np.nan_to_num(claim.table, posinf=0.0, neginf=0.0)
    ends = np.cumsum([0, *map(np.size, flatten(task.like_x(task.magnitudes)).leaves)])
    spans = [slice(*span) for span in pairwise(ends)]
    effects = [float(np.max(root_of_squares(table[:, own], task.magnitudes[own]), initial=0.0)) for own in spans]
    middle = float(np.median([effect for effect in effects if effect] or [1.0]))
    weights = task.magnitudes.copy()
    for own, effect in zip(spans, effects, strict=True):
        weights[own] *= min(max(middle / effect, 1 / room), room) if effect else room
    drawn = [
        weights * rng.choice([-1.0, 1.0], weights.size) * rng.uniform(0.5, 1.5, weights.size) for _ in range(count)
    ]
    return [v / np.max(np.abs(v)) for v in drawn]


# The wrong elements


@dataclass(frozen=True, eq=False)
class Span:
    """A part of a direction along which the claim may be wrong: the difference, and its tolerance, (p,)."""

    start: int
    stop: int
    difference: HostArray
    tolerance: HostArray

    @property
    def excess(self) -> float:
        return float(np.max(np.nan_to_num(np.abs(self.difference) / self.tolerance, nan=np.inf), initial=0.0))


def locate(setting: Setting, v: HostArray, whole: Outcome) -> tuple[Sequence[Comparison], int]:
    """Return wrong elements, found by halving: the derivative along one half of a direction tells the other's, too."""
    ncalls, moving = 0, np.flatnonzero(v)

    def slope(start: int, stop: int, *, sure: bool) -> tuple[Comparison, float]:
        """Return the comparison along a part of the direction, made longer, and by how much."""
        nonlocal ncalls
        part = np.zeros_like(v)
        own = moving[start:stop]
        length = float(np.max(np.abs(v[own])))
        part[own] = v[own] / length
        found = settle(along(setting, part), sure=sure)
        ncalls += found.ncalls
        return column(found.comparisons[0], ""), length

    def span(start: int, stop: int, one: Comparison, length: float) -> Span:
        return Span(start, stop, length * (one.claimed - one.numerical), length * one.tolerance)

    elements: list[Comparison] = []
    spans = [span(0, moving.size, column(whole.comparisons[0], ""), 1.0)]
    while spans and len(elements) < _LOCATED:
        outer = spans.pop()
        if outer.stop - outer.start == 1:
            one, _ = slope(outer.start, outer.stop, sure=True)
            element = int(moving[outer.start])
            elements += _element(setting, element, float(np.sign(v[element])), one)
            continue
        middle = (outer.start + outer.stop) // 2
        left = span(outer.start, middle, *slope(outer.start, middle, sure=False))
        rest = outer.difference - left.difference
        right = Span(middle, outer.stop, rest, outer.tolerance + left.tolerance)
        # Along half of a direction less is hidden than along all of it; NaN tells nothing of the other half.
        if (right.excess <= 1 and left.excess <= 1) or not np.all(np.isfinite(rest)):
            right = span(middle, outer.stop, *slope(middle, outer.stop, sure=False))
        spans += sorted((half for half in (left, right) if half.excess > 1), key=lambda half: half.excess)
    return elements, ncalls


def _element(setting: Setting, element: int, sign: float, one: Comparison) -> list[Comparison]:
    if not np.any(one.wrong):
        return []
    row = int(np.argmax(np.where(one.wrong, one.ratio, -1.0)))
    name = _name(setting.layout, row, element)
    return [Comparison(name, sign * one.claimed[row], sign * one.numerical[row], one.tolerance[row])]


def _name(layout: Layout, row: int, element: int) -> str:
    """Return the name of one derivative, as in ``x['W'][0, 3]`` or ``jac[1, 1]``."""
    for name, shape, (rows, columns) in zip(layout.names, layout.shapes, layout.blocks, strict=True):
        if rows.start <= row < rows.stop and columns.start <= element < columns.stop:
            place = (row - rows.start) * (columns.stop - columns.start) + element - columns.start
            index = ", ".join(str(int(i)) for i in np.unravel_index(place, shape))
            return f"{name}[{index}]" if index else name
    raise IndexError(row, element)
