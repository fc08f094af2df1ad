"""The check along random directions, and the search for the wrong elements along a wrong one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from operator import mul
from typing import Any

import numpy as np

from anygrad.check.claim import Claim, allowed_rounding
from anygrad.check.compare import (
    Comparison,
    Conditions,
    Estimate,
    Finding,
    as_table,
    concatenate,
    estimate,
    flat,
    judge,
    judge_constant,
    root_of_squares,
    split,
    split_like_x,
)
from anygrad.check.confirm import CONFIDENCE, SecondEstimates
from anygrad.check.probe import HostArray, Setting, Task, on_host
from anygrad.operators.directional import jvp
from anygrad.problem.parameters import Parameters
from anygrad.problem.result import Result
from anygrad.problem.tree import is_number
from anygrad.schemes import Scheme

_LOCATED = 4  # elements that are looked for: others may be wrong as well


@dataclass(frozen=True, eq=False)
class Slope:
    """The derivatives of the p values of f along one direction.

    Attributes
    ----------
    comparison
        As claimed and as found, (p,).
    flags
        The flags of the scheme, (p,) each.
    typical
        The typical size of the derivatives: the root of the sum of squares of the terms that add up to them, (p,).
    is_constant, ncalls
        Whether f, given copies of x, always returned the same value; how often it was called.
    """

    comparison: Comparison
    flags: Mapping[str, HostArray]
    typical: HostArray
    is_constant: bool
    ncalls: int


@dataclass(frozen=True, eq=False)
class DirectionalCheck:
    """f and the claim as functions of a direction through all n elements of x.

    Attributes
    ----------
    task
        What is checked.
    table, uncertainty
        The claim for the p values of f, and its error, (p, n).
    spread, rounding
        How far apart the values of f at the same x are, and how well they are rounded.
    wide_values, hidden_rounding
        As in `Claim`, (p, n).
    seconds
        How a wrong derivative is found a second time.
    eps, rtol
        The spacing at 1 of the dtypes, and the relative difference to be tolerated besides.
    """

    task: Task
    table: HostArray
    uncertainty: HostArray
    wide_values: HostArray | None
    hidden_rounding: HostArray
    spread: float
    rounding: float
    seconds: SecondEstimates
    eps: float
    rtol: float

    @classmethod
    def of(cls, setting: Setting, claim: Claim, *, rtol: float) -> DirectionalCheck:
        """Return the check of a claim."""
        task, probe = setting.task, setting.probe
        eps = max(task.eps)
        errors = [
            4 * rounding + 2 * float(np.max(spread, initial=0.0)) + claim.sum_rounding(i, eps)
            for i, (rounding, spread) in enumerate(zip(claim.rounding, claim.spread, strict=True))
        ]
        table = as_table(task, claim.values)
        return cls(
            task,
            table=table,
            uncertainty=as_table(task, errors),
            wide_values=as_table(task, claim.wide_values) if claim.wide_values else None,
            hidden_rounding=as_table(task, claim.hidden_rounding) if claim.hidden_rounding else np.zeros_like(table),
            spread=probe.spread + setting.noise,
            rounding=0.0 if task.options.scheme.samples_complex else probe.rounding(eps),
            seconds=SecondEstimates(task.options.scheme, probe.rounding(eps), eps),
            eps=max([*task.eps, *claim.eps]),
            rtol=rtol,
        )

    def slope(self, v: HostArray, *, confirm: bool = True) -> Slope:
        """Differentiate f along v, (n,); with ``confirm``, a wrong slope is found a second time."""
        task = self.task
        tree = task.parameters.rebuild(split_like_x(task.parameters, v))
        options: dict[str, Any] = {"evaluator": task.options.evaluator, "bounds": task.options.bounds}
        differentiate: Callable[..., Result] = partial(jvp, task.f, task.x, tree, full_output=True, **options)
        scheme = _with_one_step(task.options.scheme, task.parameters, v)
        found = estimate(differentiate, scheme, "f(x)", self.rounding)
        comparison, ncalls = self._compared(v, found), found.ncalls
        if confirm and np.any(comparison.wrong) and not found.is_constant:
            sizes = [value.size for value in found.values]
            parts, calls = self.seconds.revise(differentiate, split(comparison, sizes), partial(mul, self._length(v)))
            comparison, ncalls = concatenate(parts), ncalls + calls
        flags = {name: flat([flag[name] for flag in found.flags]) for name in found.flags[0]}
        return Slope(comparison, flags, root_of_squares(self.table, v), found.is_constant, ncalls)

    def random_directions(self, count: int, rng: np.random.Generator) -> list[HostArray]:
        """Return random directions in which every array of x counts: by its size, and less if its slopes are large.

        No array moves by ``eps**(-1/4)`` times more or less than its share: its steps would drown in rounding.
        """
        room = self.eps**-0.25
        scales = [size.reshape(-1) for size in self.task.magnitudes]
        ends = np.cumsum([0, *(scale.size for scale in scales)])
        finite = np.nan_to_num(self.table, posinf=0.0, neginf=0.0)
        effects = [
            float(np.max(root_of_squares(finite[:, start:stop], scale), initial=0.0))
            for start, stop, scale in zip(ends, ends[1:], scales, strict=False)
        ]
        middle = float(np.median([effect for effect in effects if effect] or [1.0]))
        shares = [min(max(middle / effect, 1 / room), room) if effect else room for effect in effects]
        weights = np.concatenate([np.zeros(0), *(share * scale for share, scale in zip(shares, scales, strict=True))])
        return [
            weights * rng.choice([-1.0, 1.0], weights.size) * rng.uniform(0.5, 1.5, weights.size) for _ in range(count)
        ]

    def _compared(self, v: HostArray, found: Estimate) -> Comparison:
        """Return the claim along v beside what was found."""
        numerical, error, claimed = flat(found.values), flat(found.errors), self.table @ v
        self._require_alike(claimed, numerical)
        # Independent roundings add up as the root of the sum of their squares.
        rounded = root_of_squares(np.hypot(self.uncertainty, 4 * self.eps * np.abs(self.table)), v)
        size = np.maximum(np.abs(claimed), np.abs(numerical))
        with np.errstate(all="ignore"):
            varied = 2 * self.spread * float(np.max(np.abs(v))) / float(np.max(found.steps[0]))
        # The effects of all elements add up, or cancel: of 225 directions, one was off by 4.2 times the estimate.
        tolerance = 2 * CONFIDENCE * error + rounded + (4 * self.eps + self.rtol) * size
        tolerance = tolerance + (varied if self.spread else 0.0)
        wide = None if self.wide_values is None else self.wide_values @ v
        allowed = allowed_rounding(root_of_squares(self.hidden_rounding, v), wide, numerical, tolerance)
        tolerance, rounded = tolerance + allowed, rounded + allowed
        tolerance, rounded = (np.where(np.isfinite(claimed), one, 0.0) for one in (tolerance, rounded))
        return Comparison("", claimed, numerical, tolerance, rounded)

    def _require_alike(self, claimed: HostArray, numerical: HostArray) -> None:
        is_complex = any("complex" in dtype for dtype in self.task.parameters.dtypes)
        if is_complex and not np.iscomplexobj(numerical):
            raise ValueError(
                "f returns real numbers for a complex x, of which a direction shows the real parts of the gradient"
                " alone: leave out directions=, or write f as a function of real and imaginary part"
            )
        if claimed.shape != numerical.shape:
            raise ValueError(
                f"what is claimed has {claimed.size} rows, but f returned {numerical.size} elements: a Jacobian has the"
                " shape f(x).shape + x.shape"
            )

    def _length(self, v: HostArray) -> float:
        """Return the step along v that moves some element by its magnitude, and none by more."""
        moved = v != 0
        sizes = flat(self.task.magnitudes)
        return float(np.min(sizes[moved] / np.abs(v[moved])) * np.max(np.abs(v)))


def _with_one_step(scheme: Scheme, parameters: Parameters, v: HostArray) -> Scheme:
    """Return a scheme with one step in place of one per element: the longest that moves no element by more than its."""
    step = getattr(scheme, "step", None)
    if step is None or is_number(step) or hasattr(step, "steps") or not dataclasses.is_dataclass(scheme):
        return scheme
    leaves = zip(parameters.leaves_of(step, "the step"), parameters.shapes, strict=True)
    steps = flat([np.broadcast_to(on_host(leaf, "the step"), shape) for leaf, shape in leaves])
    moved = v != 0
    lengths = steps[moved] / np.abs(v[moved])
    one: Scheme = dataclasses.replace(scheme, step=float(np.min(lengths, initial=1.0) * np.max(np.abs(v))))
    return one


@dataclass(frozen=True, eq=False)
class Span:
    """A part of a direction along which the claim is wrong: the difference, and its tolerance, (p,)."""

    start: int
    stop: int
    difference: HostArray
    tolerance: HostArray

    @classmethod
    def of(cls, start: int, stop: int, slope: Slope) -> Span:
        """Return the part along which this slope was found."""
        comparison = slope.comparison
        return cls(start, stop, comparison.claimed - comparison.numerical, comparison.tolerance)


def compare_directions(
    check: DirectionalCheck, count: int, rng: np.random.Generator, *, typical: float, deterministic: bool
) -> Finding:
    """Compare the claim with f along random directions; along a wrong one, look for the wrong elements."""
    directions = check.random_directions(count, rng)
    slopes = [check.slope(v) for v in directions]
    ncalls = sum(one.ncalls for one in slopes)
    comparisons = [replace(one.comparison, name=f"direction {i + 1}") for i, one in enumerate(slopes)]
    if all(one.is_constant for one in slopes):
        states = [judge_constant(one) for one in comparisons]
        return Finding(comparisons, states, ncalls, directional=True, is_constant=True)
    bounded = check.task.options.bounds is not None
    states = [
        judge(one.comparison, Conditions(one.flags, np.maximum(typical, one.typical), deterministic, bounded))
        for one in slopes
    ]
    located: list[Comparison] = []
    worst = max(range(count), key=lambda i: float(np.max(slopes[i].comparison.ratio, initial=0.0)))
    if np.any(slopes[worst].comparison.wrong):
        with np.errstate(invalid="ignore"):  # the claim may be infinite
            located, calls = _locate(check, directions[worst], slopes[worst])
        ncalls += calls
    return Finding(comparisons, states, ncalls, located=located, directional=True)


def _locate(check: DirectionalCheck, v: HostArray, whole: Slope) -> tuple[list[Comparison], int]:
    """Return wrong elements, found by halving: the derivative along one half of a direction tells the other's, too."""
    elements: list[Comparison] = []
    spans, ncalls = [Span.of(0, v.size, whole)], 0
    while spans and len(elements) < _LOCATED:
        span = spans.pop()
        if span.stop - span.start == 1:
            slope = check.slope(_part(v, span.start, span.stop))
            ncalls += slope.ncalls
            elements += _element(check, v, span.start, slope)
            continue
        middle = (span.start + span.stop) // 2
        slope = check.slope(_part(v, span.start, middle), confirm=False)
        ncalls += slope.ncalls
        left = Span.of(span.start, middle, slope)
        right = Span(middle, span.stop, span.difference - left.difference, span.tolerance + left.tolerance)
        halves = [half for half in (left, right) if np.any(np.abs(half.difference) > half.tolerance)]
        spans += sorted(halves, key=lambda half: float(np.max(np.abs(half.difference) / half.tolerance)))
    return elements, ncalls


def _part(v: HostArray, start: int, stop: int) -> HostArray:
    part = np.zeros_like(v)
    part[start:stop] = v[start:stop]
    return part


def _element(check: DirectionalCheck, v: HostArray, element: int, slope: Slope) -> list[Comparison]:
    """Return the partial derivative of the value of f for which it is most wrong; nothing, if it is right for all."""
    comparison = slope.comparison
    if not np.any(comparison.wrong):
        return []
    row = int(np.argmax(np.where(comparison.wrong, comparison.ratio, -1.0)))
    claimed, numerical, tolerance, rounded = (array[row : row + 1] for array in comparison.arrays)
    length = v[element]
    return [
        Comparison(
            _name(check.task, row, element),
            claimed / length,
            numerical / length,
            tolerance / abs(length),
            rounded / abs(length),
        )
    ]


def _name(task: Task, row: int, element: int) -> str:
    """Return the expression that names an element of x, and with it a value of f, if there are several."""
    name = task.parameters.element_name(element)
    return name if task.kind == "grad" else f"value {row} of f by {name}"
