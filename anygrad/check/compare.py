"""Claimed derivatives beside those found numerically, and the verdict on each element."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from anygrad._typing import Array, HostArray
from anygrad.check.claim import Claim
from anygrad.check.task import Estimate, Layout, Probe, Task, on_host
from anygrad.operators.hessian import hessian
from anygrad.problem.result import ConstantFunctionWarning, Result
from anygrad.problem.tree import flatten, is_number
from anygrad.schemes import Scheme
from anygrad.schemes.base import Lines, Slopes

# From the gravest to the least grave; the verdict on an element is the first that holds for it.
VERDICTS = ("wrong", "nonfinite", "kink", "nondeterministic", "noisy", "inconclusive", "agrees")
INCONCLUSIVE, AGREES, FIXED = 5, 6, 7  # what is fixed has no verdict

# How many estimated errors are tolerated: for functions computed in float32, an estimate is sometimes less than a third
# of the error.
CONFIDENCE = 4.0
# The error at a kink covers the slopes of both sides, to so many digits.
_BOTH_SLOPES = 1.01
# An uncertainty that is less than this share of the derivative still tells something.
_RESOLVED = 0.5


@dataclass(frozen=True, eq=False)
class Comparison:
    """Derivatives as claimed and as found numerically, on the host; all arrays are of one shape."""

    name: str  # in the user's words: x, or x['W1']
    claimed: HostArray
    numerical: HostArray
    tolerance: HostArray  # how far apart the two may be, given all that is known of the errors of both
    point: HostArray | None = None  # the elements of x, where hints need them

    @property
    def difference(self) -> HostArray:
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


@dataclass(frozen=True, eq=False)
class Outcome:
    """The comparisons, one for each array or for each direction, and the verdict on each of their elements."""

    comparisons: Sequence[Comparison]
    states: Sequence[HostArray]  # indices into `VERDICTS`
    ncalls: int = 0
    failures: Mapping[str, Exception] = field(default_factory=dict)
    noise: float = 0.0  # of f, as the scheme has found it
    is_rounding: bool = False  # whether f changes by no more than its rounding
    located: Sequence[Comparison] | None = None  # wrong elements along a direction, if they were looked for
    unseen: Sequence[int] = ()  # elements that count too little along all directions
    directional: bool = False

    @property
    def wrong(self) -> bool:
        return any(bool(np.any(state == 0)) for state in self.states)


def compare_elements(setting: Setting, progress: Any) -> Outcome:
    one, layout = settle(setting, progress), setting.layout
    states = np.where(setting.task.free_entries, one.states[0], FIXED)
    return replace(one, comparisons=one.comparisons[0].split(layout), states=layout.arrays(states))


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
        if is_number(self.step):
            return lines.xp.full_like(lines.at, float(self.step))
        return lines.spread(self.step)

    def differentiate(self, lines: Lines, steps: Array, n: int = 1) -> Slopes:
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
        return 1 + 4 * m


_ROUNDINGS = 4.0  # of the largest value: the error of the extrapolated difference, times the step
# The even part of f about x deviates from a parabola by so many roundings, and by a share of the change of f.
_EVEN, _SHARE = 64.0, 0.02
# A difference settles an element if it is known to this share of itself, and to so many times less in few digits.
_PRECISE = 16.0
_LONG = 2.0  # the step, in units of eps**(1/5): the remainder is as large as rounding


@dataclass(frozen=True, eq=False)
class Setting:
    """How f is differentiated, and what it is compared with; f and x may be in a wider dtype than the user's."""

    task: Task
    probe: Probe
    layout: Layout
    claim: Claim  # with respect to all elements, or along the direction
    rtol: float
    few_digits: bool = False  # whether the dtype has too few digits for extrapolation
    direction: HostArray | None = None  # its largest element is 1

    @property
    def deterministic(self) -> bool:
        """Whether f and the claim are the same for the same x."""
        return self.claim.deterministic and not self.probe.spread

    @property
    def scheme(self) -> Scheme:
        """The user's scheme, or the default one; along a direction with the longest step that no element forbids."""
        given = self.task.options.scheme
        scheme: Any = given
        step, v = getattr(scheme, "step", None), self.direction
        if v is None or step is None or is_number(step) or hasattr(step, "steps"):
            return given
        steps = self.task.numbers_like_x(step)[v != 0] / np.abs(v[v != 0])
        chosen: Scheme = replace(scheme, step=float(np.min(steps)) if steps.size else 1.0)
        return chosen

    @property
    def sizes(self) -> HostArray:
        """How far each element may move at most: by |x|; along a direction, until some element has moved as far."""
        sizes, v = self.task.magnitudes, self.direction
        return sizes if v is None else np.min(sizes[v != 0] / np.abs(v[v != 0]), keepdims=True, initial=np.inf)

    @property
    def rounding(self) -> float:
        """The rounding error of a value of f: that of its size, and what f makes of the rounding of x."""
        of_x = self.probe.typical_slope() if self.task.kind == "grad" else 0.0
        return self.probe.rounding(self.task.eps) + self.task.eps * of_x

    def differentiate(self, scheme: Scheme, elements: HostArray | None = None, progress: Any = False) -> Estimate:
        """Differentiate f with respect to all elements, to some, or along the direction."""
        if self.direction is not None:
            return self.task.along(self.direction, scheme)
        if self.task.n > 1:
            return _hessian(self, scheme, progress)
        return self.task.differentiate(scheme, elements, progress)

    def two_steps(self, step: HostArray, elements: HostArray | None = None, progress: Any = False) -> Estimate:
        own = float(step[0]) if self.direction is not None else self.task.like_x(step)
        rounding = self.rounding if self.task.kind == "grad" else 0.0
        return self.differentiate(TwoSteps(own, rounding), elements, progress)

    def with_error(self, progress: Any) -> Estimate:
        """Differentiate by the user's scheme.

        A scheme without an error estimate is used twice, with its own step and with twice that: the error is the
        change, plus what rounding in values of f makes of the n-th derivative.
        """
        scheme, n = self.scheme, self.task.n
        found = self.differentiate(scheme, None, progress)
        if found.error is not None:
            return found
        longer: Any = scheme
        if hasattr(scheme, "step"):
            twice = np.where(found.step > 0, 2 * found.step, 1.0)
            longer = replace(longer, step=float(twice[0]) if self.direction is not None else self.task.like_x(twice))
        other = self.differentiate(longer)
        # Complex steps take no differences, in which rounding would grow.
        rounding = 0.0 if scheme.samples_complex else self.probe.rounding(self.task.eps)
        error = np.abs(found.value - other.value) + 2**n * rounding / found.step**n
        return replace(found, error=error, ncalls=found.ncalls + other.ncalls)

    def compared(self, found: Estimate) -> Comparison:
        """Return the claim beside the derivative that was found, with a tolerance for the errors of both."""
        task, claim, value = self.task, self.claim, found.value
        assert found.error is not None
        finite = np.isfinite(claim.table) & np.isfinite(value)
        size = np.where(finite, np.maximum(np.abs(claim.table), np.abs(value)), 0.0)
        of_values = 2 * self.probe.spread + found.noise()
        of_values += 0.0 if task.options.scheme.samples_complex else self.rounding
        tolerance = claim.error + of_values / found.step**task.n
        # Along a direction the effects of all elements add up, or cancel: one of 225 was off by 4.2 estimated errors.
        smooth = CONFIDENCE * (1 if self.direction is None else 2) * found.error + (4 * task.eps + self.rtol) * size
        tolerance = tolerance + np.where(found.flag("kink"), _BOTH_SLOPES * found.error, smooth)
        tolerance = tolerance + claim.allowed(value, tolerance)
        finite &= found.step > 0  # what is fixed has no step
        return Comparison("", claim.table, value, np.where(finite, tolerance, 0.0))


def settle(setting: Setting, progress: Any = False, *, sure: bool = True) -> Outcome:
    """Compare a table with the numerical derivatives; if ``sure``, what seems wrong is looked at more nearly."""
    task, claim = setting.task, setting.claim
    if setting.probe.is_constant:  # only a claim of 0 can agree where f did not see x change
        zero = np.zeros(claim.table.shape)
        return Outcome([Comparison("", claim.table, zero, zero)], [np.where(claim.table == 0, AGREES, INCONCLUSIVE)])
    cheap = not (task.scheme_given or setting.few_digits or task.n > 1)
    if cheap:
        # The fewer digits the claim has to be compared in, the shorter the step may be.
        share = float(np.sqrt(task.eps / claim.eps)) if claim.eps > task.eps else _LONG * task.eps**0.2
        found = setting.two_steps(share * setting.sizes, None, progress)
    else:
        found = setting.with_error(progress)
    comparison, ncalls = setting.compared(found), found.ncalls
    if rounding := _rounding_of_constant(setting, found):
        constant = _settle_rounding(setting, rounding, found)
        if not np.any(constant.states[0] == INCONCLUSIVE):
            return constant
    failures = dict(found.failures)
    if cheap:
        doubtful = np.flatnonzero(~np.all(_is_settled(setting, found, comparison), axis=0))
        if doubtful.size:
            again = setting.differentiate(setting.scheme, doubtful, progress)
            found = _merged(found, again, doubtful)
            ncalls += again.ncalls
            failures |= again.failures
            comparison = setting.compared(found)
    if "kink" in found.flags and found.error is not None:  # rounding can look like a kink
        kink = found.flag("kink") & (found.error * found.step**task.n > _EVEN * setting.rounding)
        found = replace(found, flags={**found.flags, "kink": kink})
    if sure and np.any(comparison.wrong):
        comparison, calls = _confirm(setting, found, comparison)
        comparison, more = _zero_in_steps(setting, comparison)
        ncalls += calls + more
    return Outcome([comparison], [judge(setting, comparison, found.flags)], ncalls, failures, found.noise())


def _is_settled(setting: Setting, found: Estimate, comparison: Comparison) -> HostArray:
    """Return where the cheap difference is exact enough, and the claim agrees with it: all others are looked at again.

    A derivative of 0 is believed only where f does not change at all: the difference may step over a peak.
    """
    assert found.error is not None
    precise = found.error <= np.sqrt(max(setting.task.eps, setting.claim.eps)) / _PRECISE * np.abs(found.value)
    agrees = precise & ~found.flag("rough") & (comparison.difference <= comparison.tolerance)
    flat = found.flag("flat") & (comparison.claimed == 0) & (setting.probe.typical_slope() > 0)
    settled: HostArray = agrees | flat
    return settled


def _hessian(setting: Setting, scheme: Scheme, progress: Any) -> Estimate:
    task, evaluator, bounds = setting.task, setting.task.options.evaluator, setting.task.options.bounds
    with np.errstate(**task.settings), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantFunctionWarning)
        result: Result = hessian(
            task.f,
            task.x,
            scheme=scheme,
            evaluator=evaluator,
            bounds=bounds,
            fixed=task.fixed,
            progress=progress,
            full_output=True,
        )

    def table(tree: Any) -> HostArray:
        return setting.layout.table([on_host(leaf, "the derivative") for leaf in flatten(tree).leaves])

    known = dict(result.flags) if result.error is None else {"error": result.error, **result.flags}
    tables = np.stack([table(result.value), *map(table, known.values())])
    return Estimate.of(tables, np.abs(task.numbers_like_x(result.step)), list(known), result.ncalls, result.failures)


def _merged(first: Estimate, second: Estimate, elements: HostArray) -> Estimate:
    def put(of_all: HostArray, some: HostArray) -> HostArray:
        table = of_all.astype(np.result_type(of_all, some))
        table[..., elements] = some
        return table

    assert first.error is not None
    assert second.error is not None
    nothing = np.zeros(first.value.shape, dtype=bool)
    return replace(
        first,
        value=put(first.value, second.value),
        error=put(first.error, second.error),
        step=put(first.step, second.step),
        flags={name: put(nothing, flag) for name, flag in second.flags.items()},
    )


# One confirmation

_LOOKED_AT = 64  # elements that are looked at once more
_NEARER = (3.0, 30.0, 300.0, 3000.0)
# In few digits steps are long, and several waves of f may fit in one: all of these are looked at.
_OTHERS = (0.5, 2.0, 3.0, 7.0, 20.0)
_COARSE = 1e-10  # in fewer digits than this, f may seem flat further away than |x|
_SURE = 1e-3  # a trend that is known to this part of itself


def _confirm(setting: Setting, found: Estimate, comparison: Comparison) -> tuple[Comparison, int]:
    """Look nearer at what is wrong, with shorter steps, until f is smooth; and return how often f was called.

    Where that differs by more than both errors, the first estimate is not what it seems: the tolerance grows by the
    difference, and where that is half of it, the derivative is not known. Where both agree, nothing changes.
    """
    wrong = comparison.wrong & ~found.flag("kink") & ~found.flag("noisy") & np.isfinite(comparison.difference)
    suspects = np.flatnonzero(np.any(wrong, axis=0))
    if not suspects.size or setting.task.n > 1 or setting.task.options.scheme.samples_complex:
        return comparison, 0
    assert found.error is not None
    ratio = np.max(np.where(wrong, comparison.ratio, 0.0), axis=0)[suspects]
    order = suspects[np.argsort(-ratio, kind="stable")]
    chosen = left = np.unique(np.concatenate([order[: _LOOKED_AT // 2], order[-_LOOKED_AT // 2 :]]))
    tolerance, ncalls = comparison.tolerance.copy(), 0
    nearest, far = np.minimum(found.step, setting.sizes), (found.step > setting.sizes) & (setting.task.eps > _COARSE)
    for factor in _OTHERS if setting.few_digits else _NEARER:
        other = setting.two_steps(nearest / factor, left)
        assert other.error is not None
        ncalls += other.ncalls
        apart = np.abs(other.value - found.value[:, left])
        rough = other.flag("rough") & (not setting.few_digits)
        doubtful = wrong[:, left] & ~rough & (apart > found.error[:, left] + other.error)
        tolerance[:, left] += np.where(doubtful, apart, np.where(far[left] & wrong[:, left], other.error, 0.0))
        unknown = doubtful & (apart > _RESOLVED * np.maximum(np.abs(other.value), np.abs(found.value[:, left])))
        difference = comparison.difference[:, left]
        tolerance[:, left] = np.where(unknown, np.maximum(tolerance[:, left], difference), tolerance[:, left])
        left = left if setting.few_digits else left[np.any(wrong[:, left] & rough, axis=0)]
        if not left.size:
            break
    revised = replace(comparison, tolerance=tolerance)
    if suspects.size > chosen.size and not np.any(revised.wrong[:, chosen]):
        # Error estimates do not suit this f, and the other elements prove nothing.
        revised = replace(revised, tolerance=np.where(wrong, np.fmax(tolerance, comparison.difference), tolerance))
    return revised, ncalls


def _zero_in_steps(setting: Setting, comparison: Comparison) -> tuple[Comparison, int]:
    """Return 0 as the derivative of an f that is flat in steps where that is claimed, and how often f was called.

    Such an f has a trend as well, which is known to a few digits at best.
    """
    near = setting.probe.flat_in_steps(setting.task.eps)
    known = comparison.wrong & (comparison.tolerance <= _SURE * np.abs(comparison.numerical))
    if not near or np.any(comparison.claimed) or np.any(known) or setting.task.n > 1:
        return comparison, 0
    nearest = setting.two_steps(near * setting.sizes)
    flat = nearest.flag("flat")
    numerical, tolerance = (np.where(flat, 0.0, table) for table in (comparison.numerical, comparison.tolerance))
    return Comparison("", comparison.claimed, numerical, tolerance), nearest.ncalls


# Verdicts


def judge(setting: Setting, comparison: Comparison, flags: Mapping[str, HostArray]) -> HostArray:
    claimed = comparison.claimed

    def flag(name: str) -> HostArray:
        return flags.get(name, np.zeros(claimed.shape, dtype=bool))

    unresolved = _unresolved(setting, comparison)
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
    state = np.full(claimed.shape, AGREES)
    for verdict, holds in reasons.items():
        state = np.where(holds, VERDICTS.index(verdict), state)
    return state


def _unresolved(setting: Setting, comparison: Comparison) -> HostArray:
    """Return where the tolerance is so large that any claim as large as derivatives of this f would agree."""
    claimed, numerical = np.abs(comparison.claimed), np.abs(comparison.numerical)
    if not setting.deterministic:  # the derivative found may come from the variation
        numerical = np.maximum(numerical - comparison.tolerance, 0.0)
    # A derivative of 0 is small compared with what is typical of f.
    typical = setting.probe.typical_slope() / setting.sizes if setting.task.kind == "grad" else 0.0
    largest = float(np.max(numerical[np.isfinite(numerical)], initial=0.0))
    size = np.maximum(np.maximum(claimed, setting.claim.uncancelled), np.maximum(largest, typical))
    flat = (claimed == 0) & (comparison.numerical == 0)
    unresolved: HostArray = (comparison.tolerance > _RESOLVED * size) & ~flat
    return unresolved


# Functions that are constant but for rounding, as the sum of a layer norm

_STILL = 64.0  # times rounding of the largest number that there is
_GROWS = 32.0  # times as much at a tenth of |x| as at a millionth: then it is no rounding
_ZERO = 16.0  # times its own rounding: what a claim of 0 is within


def _rounding_of_constant(setting: Setting, found: Estimate) -> float:
    """Return how much f changes, if that is no more than rounding; 0 for all other functions."""
    task, probe = setting.task, setting.probe
    changes = probe.changes
    known = np.all(np.isfinite(changes)) and np.all(np.isfinite(found.value))
    if setting.direction is not None or setting.few_digits or probe.spread or not known:
        return 0.0
    most = max(float(np.max(changes, initial=0.0)), probe.rounding(task.eps))
    largest = max(1.0, probe.rounding(1.0), float(np.max(task.magnitudes, initial=0.0)))
    grows = most > _GROWS * max(float(np.max(changes[changes.size // 2 :], initial=0.0)), probe.rounding(task.eps))
    moves = np.any(np.abs(found.value) * found.step > _ZERO * most)
    return 0.0 if grows or moves or most > _STILL * task.eps * largest * task.magnitudes.size else most


def _settle_rounding(setting: Setting, rounding: float, found: Estimate) -> Outcome:
    """Compare the claim with 0, which is all that rounding leaves of a derivative.

    A claim that its own rounding does not explain is not known to be 0, unless f itself is nothing but rounding.
    """
    claim, reach = setting.claim, float(np.max(np.abs(setting.probe.t)))
    uncertain = float(np.max(claim.error, initial=0.0))
    zero = np.zeros(claim.table.shape)
    tolerance = CONFIDENCE * rounding / (reach * setting.sizes) + uncertain + zero
    rounds = np.zeros(zero.shape, dtype=bool)
    if claim.wide is not None:  # if that is 0, all of the narrower one is rounding
        rounds = np.abs(claim.wide) <= tolerance
    comparison = Comparison(
        "", claim.table, zero, tolerance + claim.intermediate + np.where(rounds, np.abs(claim.table), 0.0)
    )
    itself = setting.probe.rounding(1.0) <= _STILL * rounding
    explained = rounds | (np.abs(claim.table) <= _ZERO * uncertain) | itself
    states = np.where(comparison.wrong, VERDICTS.index("wrong"), np.where(explained, AGREES, INCONCLUSIVE))
    return Outcome([comparison], [states], found.ncalls, found.failures, is_rounding=True)


def count_verdicts(states: Sequence[HostArray]) -> dict[str, int]:
    counts = [sum(int(np.sum(state == number)) for state in states) for number in range(len(VERDICTS))]
    return {verdict: count for verdict, count in zip(VERDICTS, counts, strict=True) if count}
