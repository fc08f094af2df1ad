"""Claimed derivatives beside those found numerically, and the verdict on each element."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np

from anygrad._typing import Array
from anygrad.check.claim import Claim
from anygrad.check.task import Estimate, HostArray, Layout, Probe, Task, flat, on_host
from anygrad.operators.hessian import hessian
from anygrad.problem.result import ConstantFunctionWarning
from anygrad.problem.tree import flatten, is_number
from anygrad.schemes import Adaptive, Scheme
from anygrad.schemes.base import Lines, Slopes

# From the gravest to the least grave; the verdict on an element is the first that holds for it.
VERDICTS = ("wrong", "nonfinite", "kink", "nondeterministic", "noisy", "inconclusive", "agrees")

# How many estimated errors are tolerated: for functions computed in float32, an estimate is sometimes less than a third
# of the error.
CONFIDENCE = 4.0
# The error at a kink covers the slopes of both sides, to so many digits.
_BOTH_SLOPES = 1.01
# An uncertainty that is less than this share of the derivative still tells something.
_RESOLVED = 0.5


@dataclass(frozen=True, eq=False)
class Comparison:
    """Derivatives as claimed and as found numerically, on the host; all arrays are of one shape.

    Attributes
    ----------
    name
        The array in the user's words: ``x``, or ``x['W1']``.
    claimed, numerical
        The derivatives, in float64 or complex128.
    tolerance
        How far apart the two may be, given all that is known of the errors of both.
    """

    name: str
    claimed: HostArray
    numerical: HostArray
    tolerance: HostArray

    @property
    def difference(self) -> HostArray:
        """How far apart the two are."""
        with np.errstate(invalid="ignore"):
            distance: HostArray = np.abs(self.claimed - self.numerical)
        return distance

    @property
    def wrong(self) -> HostArray:
        """Where they differ by more than the tolerance; a derivative that was not found proves nothing."""
        found = np.isfinite(self.numerical) & np.isfinite(self.tolerance)
        beyond: HostArray = found & ~(self.difference <= self.tolerance)
        return beyond

    @property
    def ratio(self) -> HostArray:
        """The difference as a multiple of the tolerance; infinite where one of the two is not finite."""
        with np.errstate(all="ignore"):
            ratio = np.where(self.difference == 0, 0.0, self.difference / self.tolerance)
        return np.nan_to_num(ratio, nan=np.inf, posinf=np.inf)

    def split(self, layout: Layout) -> list[Comparison]:
        """Return one comparison for each array of the user's tree."""
        tables = map(layout.arrays, (self.claimed, self.numerical, self.tolerance))
        return [Comparison(name, *arrays) for name, *arrays in zip(layout.names, *tables, strict=True)]


# Two differences: the cheap way


@dataclass(frozen=True)
class TwoSteps:
    """Central differences at a step and at half of it, extrapolated, with an error that their change and rounding give.

    The flag ``rough`` marks functions that are not smooth within the step, as far as four points and f(x) show it: in a
    smooth one, what is even about x grows as the square of the step. ``flat`` marks those that do not change at all.
    ``rounding`` is that of a value of f, where it is more than its size says.
    """

    step: Any
    rounding: float = 0.0
    samples_complex: ClassVar[bool] = False
    inspects_values: ClassVar[bool] = True

    def steps(self, lines: Lines, n: int = 1) -> Array:
        """Return the longer step of each line."""
        if is_number(self.step):
            return lines.xp.full_like(lines.at, float(self.step))
        return lines.spread(self.step)

    def differentiate(self, lines: Lines, steps: Array, n: int = 1) -> Slopes:
        """Return the first derivatives of ``lines``."""
        xp, at = lines.xp, lines.at
        far = [lines.nearest(at + steps), lines.nearest(at - steps)]
        near = [lines.nearest(at + steps / 2), lines.nearest(at - steps / 2)]
        base = lines.base()
        up, down, near_up, near_down = lines.sample([*far, *near])
        slope, near_slope = (up - down) / (far[0] - far[1]), (near_up - near_down) / (near[0] - near[1])
        # Not a ratio of 4 where the dtype of x has rounded the points.
        ratio = ((far[0] - far[1]) / (near[0] - near[1])) ** 2
        value = near_slope + (near_slope - slope) / (ratio - 1.0)
        size = xp.maximum(xp.maximum(xp.abs(up), xp.abs(down)), xp.abs(base))
        # The next term is smaller than this one by about as much as this one is smaller than the slope.
        change = xp.abs(near_slope - slope) * (4.0 / 3.0)
        truncation = change * xp.minimum(change / xp.maximum(xp.abs(value), lines.tiny), xp.ones_like(change))
        rounding = xp.maximum(lines.eps * size, xp.full_like(size, self.rounding))
        even, near_even = up + down - 2.0 * base, near_up + near_down - 2.0 * base
        allowed = _EVEN * rounding + _SHARE * (change * steps + xp.abs(even))
        rough = ~(xp.abs(even - ratio * near_even) <= allowed)
        if lines.lower is not None:
            rough = rough | (far[1] < lines.lower)
        if lines.upper is not None:
            rough = rough | (far[0] > lines.upper)
        still = (up == base) & (down == base) & (near_up == base) & (near_down == base)
        flags = {"rough": rough, "flat": still, "nonfinite": ~xp.isfinite(value)}
        return Slopes(value, steps, truncation + _ROUNDINGS * rounding / steps, flags)

    def calls(self, m: int, n: int = 1) -> int:
        """Return how often f is called."""
        return 1 + 4 * m


_ROUNDINGS = 4.0  # of the largest value: the error of the extrapolated difference, times the step
# What is even about x deviates from a parabola by so many roundings, and by a share of what the function changes.
_EVEN, _SHARE = 64.0, 0.02
# A difference settles an element if it is known to this share of itself, and to so many times less in few digits.
_PRECISE = 16.0
_LONG = 2.0  # the step, in units of eps**(1/5): the remainder is as large as rounding


def with_error(
    differentiate: Callable[[Scheme], Estimate],
    scheme: Scheme,
    setting: Setting,
    as_step: Callable[[HostArray], Any],
) -> Estimate:
    """Differentiate by a scheme.

    A scheme without an error estimate is used twice, with its own step and with twice that: the error is the change,
    plus what rounding in values of f makes of the n-th derivative.
    """
    found = differentiate(scheme)
    if found.error is not None:
        return found
    longer: Any = scheme
    if dataclasses.is_dataclass(scheme) and hasattr(scheme, "step"):
        longer = dataclasses.replace(scheme, step=as_step(2 * found.step))
    other = differentiate(longer)
    # Complex steps take no differences, in which rounding would grow.
    rounding = 0.0 if scheme.samples_complex else setting.probe.rounding(setting.task.eps)
    error = np.abs(found.value - other.value) + 2**setting.task.n * rounding / found.step**setting.task.n
    return replace(found, error=error, ncalls=found.ncalls + other.ncalls)


# The comparison


@dataclass(frozen=True, eq=False)
class Setting:
    """How f is differentiated: the task, in x's dtype or a wider one, f along a line there, and the claim.

    ``few_digits`` says whether the dtype has too few digits for extrapolation.
    """

    task: Task
    probe: Probe
    layout: Layout
    claim: Claim
    rtol: float
    few_digits: bool = False

    @property
    def deterministic(self) -> bool:
        """Whether f and the claim are the same for the same x."""
        return self.claim.deterministic and not self.probe.spread

    @property
    def rounding(self) -> float:
        """The rounding error of a value of f: that of its size, and what f makes of the rounding of x."""
        of_x = self.probe.typical_slope() if self.task.kind == "grad" else 0.0
        return self.probe.rounding(self.task.eps) + self.task.eps * of_x

    def two_steps(self, step: HostArray | float) -> TwoSteps:
        """Return the cheap scheme with a step for all elements, or one along a direction."""
        own = step if isinstance(step, float) else self.task.like_x(step)
        return TwoSteps(own, self.rounding if self.task.kind == "grad" else 0.0)

    def compared(self, found: Estimate) -> Comparison:
        """Return the claim beside what was found, with all that is known of the errors of both."""
        task, claim, value = self.task, self.claim, found.value
        assert found.error is not None
        finite = np.isfinite(claim.table) & np.isfinite(value)
        size = np.where(finite, np.maximum(np.abs(claim.table), np.abs(value)), 0.0)
        varied = 2 * self.probe.spread / found.step**task.n if self.probe.spread else 0.0
        rounding = self.rounding / found.step**task.n if not task.options.scheme.samples_complex else 0.0
        rounding = rounding + found.noise() / found.step**task.n
        smooth = CONFIDENCE * found.error + rounding + (4 * task.eps + self.rtol) * size + claim.error + varied
        tolerance = np.where(found.flag("kink"), _BOTH_SLOPES * found.error + claim.error + varied, smooth)
        tolerance = tolerance + claim.allowed(value, tolerance)
        return Comparison("", claim.table, value, np.where(finite, tolerance, 0.0))


@dataclass(frozen=True, eq=False)
class Outcome:
    """The comparisons, and the verdict on each of their elements, as an index into `VERDICTS`.

    Attributes
    ----------
    comparisons, states
        For each array; along directions, one entry for each direction.
    ncalls, failures
        How often f was called, and what it has raised.
    located
        Along directions, the wrong elements: comparisons of one element each, whose name is that of the element; None
        where they were not looked for.
    directional
        Whether it was checked along directions.
    is_constant
        Whether f, given copies of x, always returned the same value.
    is_rounding
        Whether f changes by no more than its rounding.
    """

    comparisons: Sequence[Comparison]
    states: Sequence[HostArray]
    ncalls: int
    failures: Mapping[str, Exception] = field(default_factory=dict)
    located: Sequence[Comparison] | None = None
    directional: bool = False
    is_constant: bool = False
    is_rounding: bool = False

    @property
    def wrong(self) -> bool:
        """Whether any element is wrong."""
        return any(bool(np.any(state == 0)) for state in self.states)


def cheap_step(setting: Setting) -> float:
    """Return the longer step as a share of |x|: the shorter, the fewer digits the claim has to be compared in."""
    eps, eps_of_claim = setting.task.eps, setting.claim.eps
    return float(np.sqrt(eps / eps_of_claim)) if eps_of_claim > eps else _LONG * eps**0.2


def _hessian(setting: Setting, scheme: Scheme, progress: Any) -> Estimate:
    task = setting.task
    function = partial(
        hessian,
        task.f,
        task.x,
        scheme=scheme,
        evaluator=task.options.evaluator,
        bounds=task.options.bounds,
        progress=progress,
        full_output=True,
    )
    is_constant = False
    with np.errstate(**task.settings), warnings.catch_warnings():
        warnings.simplefilter("error", ConstantFunctionWarning)
        try:
            result = function()
        except ConstantFunctionWarning:
            warnings.simplefilter("ignore", ConstantFunctionWarning)
            result, is_constant = function(), True

    def table(tree: Any) -> HostArray:
        return setting.layout.table([on_host(leaf, "the derivative") for leaf in flatten(tree).leaves])

    known = dict(result.flags) if result.error is None else {"error": result.error, **result.flags}
    step = flat([np.abs(on_host(leaf, "the step")) for leaf in flatten(result.step).leaves])
    tables = np.stack([table(result.value), *map(table, known.values())])
    return Estimate.of(tables, step, list(known), is_constant, result.ncalls, result.failures)


def compare_elements(setting: Setting, progress: Any) -> Outcome:
    """Compare the claim with the numerical derivative, element by element."""
    task, layout = setting.task, setting.layout
    cheap = not (task.scheme_given or setting.few_digits or task.n > 1)
    if cheap:
        found = task.differentiate(setting.two_steps(cheap_step(setting) * task.magnitudes), None, progress)
    else:
        found = with_error(
            lambda scheme: (
                _hessian(setting, scheme, progress) if task.n > 1 else task.differentiate(scheme, None, progress)
            ),
            task.options.scheme,
            setting,
            task.like_x,
        )
    comparison, ncalls = setting.compared(found), found.ncalls
    if found.is_constant:
        states = judge_constant(comparison)
        return Outcome(comparison.split(layout), layout.arrays(states), ncalls, found.failures, is_constant=True)
    if rounding := rounding_of_constant(setting, found):
        comparison = _of_constant(setting, rounding)
        states = _judge_rounding(setting, comparison)
        return Outcome(comparison.split(layout), layout.arrays(states), ncalls, found.failures, is_rounding=True)
    failures = dict(found.failures)
    if cheap:
        doubtful = np.flatnonzero(~np.all(is_settled(setting, found, comparison), axis=0))
        if doubtful.size:
            again = task.differentiate(task.options.scheme, doubtful, progress)
            found, ncalls = _merged(found, again, doubtful), ncalls + again.ncalls
            failures |= again.failures
            comparison = setting.compared(found)

    def nearer(step: HostArray, elements: HostArray) -> Estimate:
        return task.differentiate(setting.two_steps(step), elements)

    comparison, calls = confirm(setting, found, comparison, nearer)
    if np.any(comparison.wrong):
        comparison, more = zero_in_steps(setting, comparison)
        calls += more
    speeds = np.abs(setting.task.magnitudes)
    typical = setting.probe.typical_slope() / speeds if task.kind == "grad" else np.zeros(found.value.shape[1])
    states = judge(setting, comparison, found.flags, typical)
    return Outcome(comparison.split(layout), layout.arrays(states), ncalls + calls, failures)


def is_settled(setting: Setting, found: Estimate, comparison: Comparison) -> HostArray:
    """Return where the cheap difference is exact enough, and the claim agrees with it: all others are looked at again.

    A derivative of 0 is believed only where f does not change at all: it may step over a peak.
    """
    assert found.error is not None
    precise = found.error <= np.sqrt(max(setting.task.eps, setting.claim.eps)) / _PRECISE * np.abs(found.value)
    moves = setting.probe.typical_slope() > 0
    flat = found.flag("flat") & (comparison.claimed == 0) & moves
    settled: HostArray = (precise & ~found.flag("rough") & (comparison.difference <= comparison.tolerance)) | flat
    return settled


def _merged(first: Estimate, second: Estimate, elements: HostArray) -> Estimate:
    """Return estimates with those of some elements replaced."""

    def put(of_all: HostArray, some: HostArray) -> HostArray:
        table = of_all.astype(np.result_type(of_all, some))
        table[..., elements] = some
        return table

    assert first.error is not None and second.error is not None
    nothing = np.zeros(first.value.shape, dtype=bool)
    return replace(
        first,
        value=put(first.value, second.value),
        error=put(first.error, second.error),
        step=put(first.step, second.step),
        flags={name: put(nothing, flag) for name, flag in second.flags.items()},
    )


# One confirmation

_MOST = 64  # elements that are looked at once more
_NEARER = (3.0, 30.0, 300.0, 3000.0)


def confirm(
    setting: Setting,
    found: Estimate,
    comparison: Comparison,
    differentiate: Callable[[HostArray, HostArray], Estimate],
) -> tuple[Comparison, int]:
    """Look nearer at what is wrong, with shorter steps, until f is smooth; and return how often f was called.

    Where that differs by more than both errors, the first estimate is not what it seems: the tolerance grows by the
    difference. It never shrinks, and where both agree, nothing changes.
    """
    wrong = comparison.wrong & ~found.flag("kink") & ~found.flag("noisy") & np.isfinite(comparison.difference)
    suspects = np.flatnonzero(np.any(wrong, axis=0))
    if not suspects.size or setting.task.n > 1 or setting.task.options.scheme.samples_complex:
        return comparison, 0
    assert found.error is not None
    ratio = np.max(np.where(wrong, comparison.ratio, 0.0), axis=0)[suspects]
    order = suspects[np.argsort(-ratio, kind="stable")]
    chosen = open_ones = np.unique(np.concatenate([order[: _MOST // 2], order[-_MOST // 2 :]]))
    tolerance, ncalls = comparison.tolerance.copy(), 0
    for factor in _NEARER:
        nearer = differentiate(found.step / factor, open_ones)
        assert nearer.error is not None
        ncalls += nearer.ncalls
        apart = np.abs(nearer.value - found.value[:, open_ones])
        rough = nearer.flag("rough")
        doubtful = wrong[:, open_ones] & ~rough & (apart > found.error[:, open_ones] + nearer.error)
        tolerance[:, open_ones] += np.where(doubtful, apart, 0.0)
        open_ones = open_ones[np.any(wrong[:, open_ones] & rough, axis=0)]
        if not open_ones.size:
            break
    revised = replace(comparison, tolerance=tolerance)
    if suspects.size > chosen.size and not np.any(revised.wrong[:, chosen]):
        # Error estimates do not suit this f, and the other elements prove nothing.
        revised = replace(revised, tolerance=np.where(wrong, np.fmax(tolerance, comparison.difference), tolerance))
    return revised, ncalls


def zero_in_steps(setting: Setting, comparison: Comparison) -> tuple[Comparison, int]:
    """Return 0 as the derivative of an f that is flat in steps where that is claimed, and how often f was called.

    Such an f has a trend as well, which is known to a few digits at best.
    """
    changes, known = setting.probe.changes, comparison.tolerance <= _SURE * np.abs(comparison.numerical)
    if setting.task.n > 1 or np.any(comparison.claimed) or np.any(changes[-3:]) or np.any(known & comparison.wrong):
        return comparison, 0
    step = float(np.abs(setting.probe.t[-1])) * setting.task.magnitudes
    nearest = setting.task.differentiate(setting.two_steps(step))
    flat = nearest.flag("flat")
    return replace(
        comparison,
        numerical=np.where(flat, 0.0, comparison.numerical),
        tolerance=np.where(flat, 0.0, comparison.tolerance),
    ), nearest.ncalls


_SURE = 1e-3


# Verdicts


def judge(setting: Setting, comparison: Comparison, flags: Mapping[str, HostArray], typical: HostArray) -> HostArray:
    """Return the verdict on each element, as an index into `VERDICTS`.

    ``typical`` is the typical size of such a derivative of f: a derivative of 0 is small compared with it.
    """
    claimed = comparison.claimed

    def flag(name: str) -> HostArray:
        return flags.get(name, np.zeros(claimed.shape, dtype=bool))

    unresolved = _unresolved(setting, comparison, typical)
    by_convention = flag("kink") & ((claimed == 0) | np.isnan(claimed))
    reasons = {
        "inconclusive": unresolved,
        "noisy": unresolved & flag("noisy"),
        "kink": flag("kink"),
        "nondeterministic": unresolved & (not setting.deterministic),  # which may have made a kink
        # f ends at x, where no bounds say so.
        "nonfinite": ~np.isfinite(comparison.numerical) | (flag("one_sided") & (setting.task.options.bounds is None)),
        "wrong": comparison.wrong & ~by_convention,
    }
    state = np.full(claimed.shape, VERDICTS.index("agrees"))
    for verdict, holds in reasons.items():
        state = np.where(holds, VERDICTS.index(verdict), state)
    return state


def judge_constant(comparison: Comparison) -> HostArray:
    """Return the verdicts where f did not see x change: only a claim of 0 can agree."""
    return np.where(comparison.claimed == 0, VERDICTS.index("agrees"), VERDICTS.index("inconclusive"))


def _unresolved(setting: Setting, comparison: Comparison, typical: HostArray) -> HostArray:
    """Return where the tolerance is so large that any claim as large as derivatives of this f would agree."""
    claimed, numerical = np.abs(comparison.claimed), np.abs(comparison.numerical)
    if not setting.deterministic:  # the derivative found may come from the variation
        numerical = np.maximum(numerical - comparison.tolerance, 0.0)
    largest = float(np.max(numerical[np.isfinite(numerical)], initial=0.0))
    size = np.maximum(claimed, np.maximum(largest, typical))
    flat = (claimed == 0) & (comparison.numerical == 0)
    unresolved: HostArray = (comparison.tolerance > _RESOLVED * size) & ~flat
    return unresolved


# Functions that are constant but for rounding, as the sum of a layer norm

_STILL = 64.0  # times rounding of the largest number that there is
_GROWS = 32.0  # times as much at a tenth of |x| as at a millionth: then it is no rounding
_ZERO = 16.0  # times its own rounding: what a claim of 0 is within


def rounding_of_constant(setting: Setting, found: Estimate | None = None) -> float:
    """Return how much f changes, if that is no more than rounding; 0 for all other functions."""
    task, probe = setting.task, setting.probe
    changes = probe.changes
    if setting.few_digits or probe.spread or not changes.size or not np.all(np.isfinite(changes)):
        return 0.0
    most = float(np.max(changes))
    half = changes.size // 2
    largest = max(1.0, float(np.max(np.abs(probe.repeated))), float(np.max(task.magnitudes, initial=0.0)))
    rounding = _STILL * task.eps * largest * task.magnitudes.size
    if not 0 < most <= min(rounding, _GROWS * float(np.max(changes[half:]))):
        return 0.0
    moves = found is not None and np.any(np.abs(found.value) * found.step > _ZERO * most)
    return 0.0 if moves else most


def _of_constant(setting: Setting, rounding: float) -> Comparison:
    """Return the claim beside 0, which is all that rounding leaves of a derivative."""
    claim, reach = setting.claim, float(np.max(np.abs(setting.probe.t)))
    tolerance = CONFIDENCE * rounding / (reach * setting.task.magnitudes) + float(np.max(claim.error, initial=0.0))
    zero = np.zeros(claim.table.shape)
    tolerance = np.broadcast_to(tolerance, claim.table.shape) + claim.allowed(
        zero, np.broadcast_to(tolerance, claim.table.shape)
    )
    return Comparison("", claim.table, zero, tolerance)


def _judge_rounding(setting: Setting, comparison: Comparison) -> HostArray:
    """Return the verdicts on such an f: a claim that its own rounding does not explain is not known to be 0."""
    size = np.abs(comparison.claimed)
    small = _ZERO * float(np.max(setting.claim.error, initial=0.0))
    itself = setting.probe.rounding(1.0) <= _STILL * float(np.max(setting.probe.changes))
    state = np.where((size <= small) | itself, VERDICTS.index("agrees"), VERDICTS.index("inconclusive"))
    return np.where(comparison.wrong, VERDICTS.index("wrong"), state)


def gravest(states: Sequence[HostArray]) -> str:
    """Return the gravest verdict of all."""
    return VERDICTS[min((int(np.min(state)) for state in states if state.size), default=len(VERDICTS) - 1)]


def count_verdicts(states: Sequence[HostArray]) -> dict[str, int]:
    """Return the number of elements with each verdict that occurs."""
    counts = [sum(int(np.sum(state == number)) for state in states) for number in range(len(VERDICTS))]
    return {verdict: count for verdict, count in zip(VERDICTS, counts, strict=True) if count}
