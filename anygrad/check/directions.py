"""The check along random directions, and the search for the wrong elements along a wrong one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from anygrad.check.compare import (
    CONFIDENCE,
    Comparison,
    Outcome,
    Setting,
    cheap_step,
    confirm,
    is_settled,
    judge,
    judge_constant,
    with_error,
)
from anygrad.check.task import Estimate, HostArray, flat, on_host
from anygrad.problem.tree import flatten, is_number
from anygrad.schemes import Scheme

_LOCATED = 4  # elements that are looked for: others may be wrong as well
_REAL = (
    "f returns real numbers for a complex x, of which a direction shows the real parts of the gradient alone: leave out"
    " directions=, or write f as a function of real and imaginary part"
)


@dataclass(frozen=True, eq=False)
class Slope:
    """The derivatives of the values of f along a direction, (p, 1) each: as claimed and found, and the flags."""

    comparison: Comparison
    found: Estimate
    ncalls: int


@dataclass(frozen=True, eq=False)
class Directions:
    """f and the claim as functions of a direction through all n elements of x."""

    setting: Setting

    @cached_property
    def _uncertainty(self) -> HostArray:
        """The error of each element of the claim, (p, n)."""
        claim, task = self.setting.claim, self.setting.task
        return np.hypot(claim.error, 4 * max(task.eps, claim.eps) * np.abs(claim.table))

    def slope(self, v: HostArray, *, sure: bool = True) -> Slope:
        """Differentiate f along v, (n,); if ``sure``, what seems wrong is looked at more nearly."""
        task = self.setting.task
        scheme = _with_one_step(task.options.scheme, v, task.like_x)
        ncalls = 0
        if not (task.scheme_given or self.setting.few_digits):
            found = self._estimate(v, self.setting.two_steps(cheap_step(self.setting) * self._length(v)))
            comparison = self._compared(v, found)
            if found.is_constant or np.all(is_settled(self.setting, found, comparison)):
                return Slope(comparison, found, found.ncalls)
            ncalls = found.ncalls
        found = self._estimate(v, scheme)
        comparison = self._compared(v, found)
        ncalls += found.ncalls
        if sure and not found.is_constant:
            comparison, calls = confirm(
                self.setting,
                found,
                comparison,
                lambda step, _: self._estimate(v, self.setting.two_steps(float(step[0]))),
            )
            ncalls += calls
        return Slope(comparison, found, ncalls)

    def random_directions(self, count: int, rng: np.random.Generator) -> list[HostArray]:
        """Return random directions in which every array of x counts: by its size, and less if its slopes are large.

        No array moves by ``eps**(-1/4)`` times more or less than its share: its steps would drown in rounding.
        """
        task, claim = self.setting.task, self.setting.claim
        room = max(task.eps, claim.eps) ** -0.25
        finite = np.nan_to_num(claim.table, posinf=0.0, neginf=0.0)
        ends = np.cumsum([0, *map(np.size, flatten(task.like_x(task.magnitudes)).leaves)])
        spans = [slice(*ends_of) for ends_of in zip(ends, ends[1:], strict=False)]
        effects = [float(np.max(_root_of_squares(finite[:, own], task.magnitudes[own]), initial=0.0)) for own in spans]
        middle = float(np.median([effect for effect in effects if effect] or [1.0]))
        weights = task.magnitudes.copy()
        for own, effect in zip(spans, effects, strict=True):
            weights[own] *= min(max(middle / effect, 1 / room), room) if effect else room
        return [
            weights * rng.choice([-1.0, 1.0], weights.size) * rng.uniform(0.5, 1.5, weights.size) for _ in range(count)
        ]

    def _estimate(self, v: HostArray, scheme: Scheme) -> Estimate:
        return with_error(
            lambda scheme: self.setting.task.along(v, scheme), scheme, self.setting, lambda step: float(step[0])
        )

    def _compared(self, v: HostArray, found: Estimate) -> Comparison:
        """Return the claim along v beside what was found."""
        setting, claim, numerical = self.setting, self.setting.claim, found.value
        claimed = (claim.table @ v)[:, None]
        if any("complex" in dtype for dtype in setting.task.parameters.dtypes) and not np.iscomplexobj(numerical):
            raise ValueError(_REAL)
        assert found.error is not None
        # Independent roundings add up as the root of the sum of their squares.
        rounded = _root_of_squares(self._uncertainty, v)[:, None]
        size = np.maximum(np.abs(claimed), np.abs(numerical))
        varied = (
            2 * setting.probe.spread * float(np.max(np.abs(v))) / float(found.step[0]) if setting.probe.spread else 0
        )
        # The effects of all elements add up, or cancel: of 225 directions, one was off by 4.2 times the estimate.
        eps = max(setting.task.eps, claim.eps)
        tolerance = 2 * CONFIDENCE * found.error + rounded + (4 * eps + setting.rtol) * size + varied
        hidden = _root_of_squares(claim.hidden, v)[:, None]
        wide = None if claim.wide is None else (claim.wide @ v)[:, None]
        tolerance = tolerance + replace(claim, table=claimed, hidden=hidden, wide=wide).allowed(numerical, tolerance)
        return Comparison("", claimed, numerical, np.where(np.isfinite(claimed), tolerance, 0.0))

    def _length(self, v: HostArray) -> float:
        """Return the step along v that moves some element by its magnitude, and none by more."""
        moved = v != 0
        sizes = self.setting.task.magnitudes
        return float(np.min(sizes[moved] / np.abs(v[moved])) * np.max(np.abs(v)))

    def verdict(self, v: HostArray, slope: Slope) -> HostArray:
        """Return the verdict on each value along v, (p,)."""
        typical = np.maximum(self.setting.probe.typical_slope(), _root_of_squares(self.setting.claim.table, v)[:, None])
        state: HostArray = judge(self.setting, slope.comparison, slope.found.flags, typical)[:, 0]
        return state


def _root_of_squares(table: HostArray, v: HostArray) -> HostArray:
    """Return the root of the sum of squares of the terms of ``table @ v``, whose squares may overflow."""
    sizes, lengths = np.abs(table), np.abs(v)
    most, longest = (float(np.max(one[np.isfinite(one)], initial=0.0)) or 1.0 for one in (sizes, lengths))
    root: HostArray = most * longest * np.sqrt((sizes / most) ** 2 @ (lengths / longest) ** 2)
    return root


def _with_one_step(scheme: Scheme, v: HostArray, like_x: Callable[[HostArray], Any]) -> Scheme:
    """Return a scheme with one step in place of one per element: the longest that moves no element by more than its."""
    step = getattr(scheme, "step", None)
    if step is None or is_number(step) or hasattr(step, "steps") or not dataclasses.is_dataclass(scheme):
        return scheme
    shapes = [np.shape(part) for part in flatten(like_x(v)).leaves]
    leaves = flatten(step).leaves
    steps = flat(
        [np.broadcast_to(on_host(leaf, "the step"), shape) for leaf, shape in zip(leaves, shapes, strict=True)]
    )
    moved = v != 0
    one = float(np.min(steps[moved] / np.abs(v[moved]), initial=1.0) * np.max(np.abs(v)))
    chosen: Scheme = dataclasses.replace(scheme, step=one)
    return chosen


@dataclass(frozen=True, eq=False)
class Span:
    """A part of a direction along which the claim may be wrong: the difference, and its tolerance, (p,)."""

    start: int
    stop: int
    difference: HostArray
    tolerance: HostArray

    @property
    def excess(self) -> float:
        """How many times the tolerance the difference is."""
        return float(np.max(np.nan_to_num(np.abs(self.difference) / self.tolerance, nan=np.inf), initial=0.0))


def compare_directions(setting: Setting, count: int, rng: np.random.Generator) -> Outcome:
    """Compare the claim with f along random directions; along a wrong one, look for the wrong elements."""
    check = Directions(setting)
    directions = check.random_directions(count, rng)
    slopes = [check.slope(v) for v in directions]
    ncalls = sum(one.ncalls for one in slopes)
    failures = {name: error for one in slopes for name, error in one.found.failures.items()}
    parts = [_column(one.comparison, f"direction {i + 1}") for i, one in enumerate(slopes)]
    if all(one.found.is_constant for one in slopes):
        states = [judge_constant(one) for one in parts]
        return Outcome(parts, states, ncalls, failures, directional=True, is_constant=True)
    states = [check.verdict(v, one) for v, one in zip(directions, slopes, strict=True)]
    worst = max(range(count), key=lambda i: float(np.max(parts[i].ratio * (states[i] == 0), initial=0.0)))
    located = None
    if np.any(states[worst] == 0):
        located, calls = _locate(check, directions[worst], slopes[worst])
        ncalls += calls
    return Outcome(parts, states, ncalls, failures, located=located, directional=True)


def _column(comparison: Comparison, name: str) -> Comparison:
    return Comparison(name, comparison.claimed[:, 0], comparison.numerical[:, 0], comparison.tolerance[:, 0])


def _locate(check: Directions, v: HostArray, whole: Slope) -> tuple[list[Comparison], int]:
    """Return wrong elements, found by halving: the derivative along one half of a direction tells the other's, too."""

    def span(start: int, stop: int, slope: Slope) -> Span:
        one = _column(slope.comparison, "")
        return Span(start, stop, one.claimed - one.numerical, one.tolerance)

    def part(start: int, stop: int) -> HostArray:
        cut = np.zeros_like(v)
        cut[start:stop] = v[start:stop]
        return cut

    elements: list[Comparison] = []
    spans, ncalls = [span(0, v.size, whole)], 0
    while spans and len(elements) < _LOCATED:
        one = spans.pop()
        if one.stop - one.start == 1:
            slope = check.slope(part(one.start, one.stop))
            ncalls += slope.ncalls
            elements += _element(check, v[one.start], one.start, slope)
            continue
        middle = (one.start + one.stop) // 2
        slope = check.slope(part(one.start, middle), sure=False)
        ncalls += slope.ncalls
        left = span(one.start, middle, slope)
        right = Span(middle, one.stop, one.difference - left.difference, one.tolerance + left.tolerance)
        spans += sorted((half for half in (left, right) if half.excess > 1), key=lambda half: half.excess)
    return elements, ncalls


def _element(check: Directions, length: float, element: int, slope: Slope) -> list[Comparison]:
    """Return the partial derivative of the value of f for which it is most wrong; nothing, if it is right for all."""
    one = slope.comparison
    if not np.any(one.wrong):
        return []
    row = int(np.argmax(np.where(one.wrong, one.ratio, -1.0)))
    task = check.setting.task
    name = task.parameters.element_name(element)
    name = name if task.kind == "grad" else f"value {row} of f by {name}"
    claimed, numerical, tolerance = (table[row] for table in (one.claimed, one.numerical, one.tolerance))
    return [Comparison(name, claimed / length, numerical / length, tolerance / abs(length))]
