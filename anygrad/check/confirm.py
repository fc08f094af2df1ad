"""Whether a difference is a mistake: second estimates, a wider dtype, and the noise of f."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from anygrad._typing import PyTree
from anygrad.check.compare import Comparison, Estimate, Finding, estimate, estimate_values
from anygrad.check.probe import HostArray, Probe, Setting, Task, default_scheme, polynomial_residual
from anygrad.check.taylor import LENGTHS
from anygrad.operators.directional import along_both_parts
from anygrad.problem.parameters import Parameters
from anygrad.problem.result import Result
from anygrad.schemes import Adaptive, Backward, Central, Forward, Scheme

Differentiate = Callable[..., Result]
Revise = Callable[[Comparison, HostArray, HostArray], Comparison]
Flags: TypeAlias = Mapping[str, HostArray]
Element: TypeAlias = tuple[int, int]  # the position of an array in x, and the flat index of one of its elements

# How many estimated errors are tolerated: for functions computed in float32, an estimate is sometimes less than a third
# of the error.
CONFIDENCE = 4.0

# With as few digits as this, steps are long, and several waves of f may fit in one: f is sampled at others, too.
_FEW_DIGITS = 1e-4
_SHARES = (0.1, 0.4)
_UNSTABLE = 0.5
# With more digits than this, steps become short enough to leave kinks out, and close points are where they should be.
_COARSE = 1e-10
_SHARE = 0.11  # the first step, as a share of |x|: no power of the ratio of Adaptive's steps from where it begins
_SHORT = (1.0, 4.0, 16.0, 64.0, 256.0)  # steps in sqrt(eps) of |x|: kinks may be further away than some of them
_LONGEST = 0.1  # of |x|: further away there is more than kinks
_DOUBT = 2.0
# A derivative that is known to a part _SURE of itself stands against claims that differ by a part _FAR.
_SURE, _FAR = 1e-3, 0.1


# Second estimates


def _clear(comparison: Comparison, value: HostArray, error: HostArray) -> Comparison:
    """Return a comparison in which a claim is not wrong that a second estimate supports against the first."""
    with np.errstate(all="ignore"):
        apart, against = np.abs(comparison.claimed - value), np.abs(comparison.numerical - value)
        cleared = comparison.wrong & (error < against) & (apart <= error + comparison.rounded)
    return replace(
        comparison,
        numerical=np.where(cleared, value, comparison.numerical),
        tolerance=np.where(cleared, np.maximum(comparison.tolerance, error + comparison.rounded), comparison.tolerance),
    )


def _clear_if_near(comparison: Comparison, value: HostArray, error: HostArray) -> Comparison:
    """Return the same, but not for claims far from a converged estimate: the second may have stepped over a peak."""
    size, cleared = np.abs(comparison.numerical), _clear(comparison, value, error)
    with np.errstate(invalid="ignore"):
        far = (comparison.tolerance <= _SURE * size) & (comparison.difference > _FAR * size)
    return replace(
        comparison,
        numerical=np.where(far, comparison.numerical, cleared.numerical),
        tolerance=np.where(far, comparison.tolerance, cleared.tolerance),
    )


def _tolerate_disagreement(comparison: Comparison, value: HostArray, error: HostArray) -> Comparison:
    """Return a comparison with more tolerance where a second estimate differs: the first is no better."""
    with np.errstate(all="ignore"):
        excess = np.maximum(np.abs(value - comparison.numerical) - error, 0.0)
    return _tolerate(comparison, value, excess)


def _tolerate(comparison: Comparison, _: HostArray, error: HostArray) -> Comparison:
    """Return a comparison with more tolerance where the claim is off by no more than such an error explains."""
    with np.errstate(all="ignore"):
        wider = comparison.wrong & (comparison.difference <= comparison.tolerance + _DOUBT * error)
        return replace(comparison, tolerance=comparison.tolerance + np.where(wider, _DOUBT * error, 0.0))


def _tolerate_if_unstable(comparison: Comparison, value: HostArray, error: HostArray) -> Comparison:
    """Return a comparison in which nothing is wrong where another step gives a derivative that differs by half.

    There, the derivative is not known.
    """
    with np.errstate(all="ignore"):
        size = np.maximum(np.abs(value), np.abs(comparison.numerical))
        unknown = comparison.wrong & (np.abs(value - comparison.numerical) - error > _UNSTABLE * size)
        unknown = unknown & np.isfinite(comparison.difference)
        tolerance = np.where(unknown, np.maximum(comparison.tolerance, comparison.difference), comparison.tolerance)
    return replace(comparison, tolerance=tolerance)


@dataclass(frozen=True, eq=False)
class SecondEstimate:
    """Derivatives found in another way, their errors, and the calls of f; lists have an entry for each array.

    ``revise`` changes a comparison according to a value and its error.
    """

    values: list[HostArray]
    errors: list[HostArray]
    ncalls: int
    revise: Revise = _clear


@dataclass(frozen=True, eq=False)
class SecondEstimates:
    """The ways to find a derivative a second time.

    Attributes
    ----------
    scheme
        The scheme that was used first.
    rounding, eps
        The rounding error of a value of f, and the spacing at 1 of its dtype.
    n
        The order of the derivative.
    """

    scheme: Scheme
    rounding: float
    eps: float
    n: int = 1

    def revise(
        self, differentiate: Differentiate, comparisons: list[Comparison], scaled: Callable[[float], PyTree]
    ) -> tuple[list[Comparison], int]:
        """Return comparisons in which a claim is wrong only if no second estimate disputes it, and the calls of f.

        ``scaled`` makes a step of a share of |x|.
        """
        revised, ncalls = comparisons, 0
        for second in self._estimates(differentiate, scaled):
            columns = zip(revised, second.values, second.errors, strict=True)
            revised = [
                second.revise(one, *(table.reshape(one.claimed.shape) for table in tables)) for one, *tables in columns
            ]
            ncalls += second.ncalls
            if not any(np.any(comparison.wrong) for comparison in revised):
                break
        return revised, ncalls

    def _estimates(self, differentiate: Differentiate, scaled: Callable[[float], PyTree]) -> Iterator[SecondEstimate]:
        noise = getattr(self.scheme, "noise", None)
        for scheme in (Adaptive(step=scaled(_SHARE), noise=noise), Central(order=4)):
            found = estimate(differentiate, scheme, "x", self.rounding, self.n)
            errors = [CONFIDENCE * error for error in found.errors]
            yield SecondEstimate(list(found.values), errors, found.ncalls, _clear_if_near)
        if self.n > 1:
            return
        if self.eps > _FEW_DIGITS:
            yield from self._at_other_steps(differentiate, scaled)
        shorter, unit = None, math.sqrt(self.eps)
        for factor in [one for one in _SHORT if one * unit < _LONGEST] if self.eps > _COARSE else _SHORT[1:2]:
            sides = OneSidedSlopes.of(differentiate, scaled(factor * unit), self.rounding)
            yield sides.estimate()
            if shorter is None:
                # Further away than |x|, a function that hardly changes may be flat.
                near = [CONFIDENCE * factor * unit * error for error in sides.rounding]
                yield SecondEstimate(sides.means, near, 0, _tolerate)
            if shorter is not None and self.eps > _COARSE:
                yield SecondEstimate(sides.means, sides.kink_errors(shorter), 0, _tolerate)
            shorter = sides
            if self.eps > _COARSE and factor < _SHORT[-1]:
                yield SecondEstimate(sides.means, sides.rounding, 0, _tolerate_disagreement)

    def _at_other_steps(
        self, differentiate: Differentiate, scaled: Callable[[float], PyTree]
    ) -> Iterator[SecondEstimate]:
        for share in (math.sqrt(self.eps), *_SHARES):
            values, steps, calls = estimate_values(differentiate, Central(step=scaled(share)))
            rounded = [np.broadcast_to(self.rounding / h, a.shape) for h, a in zip(steps, values, strict=True)]
            yield SecondEstimate(values, rounded, calls, _tolerate_if_unstable)


@dataclass(frozen=True, eq=False)
class OneSidedSlopes:
    """The slopes on both sides of x, the rounding error of each, and the calls of f; lists have an entry per array."""

    right: list[HostArray]
    left: list[HostArray]
    rounding: list[HostArray]
    ncalls: int

    @classmethod
    def of(cls, differentiate: Differentiate, step: PyTree, rounding: float) -> OneSidedSlopes:
        """Return the slopes to the points one step away."""
        right, steps, above = estimate_values(differentiate, Forward(order=1, step=step))
        left, _, below = estimate_values(differentiate, Backward(order=1, step=step))
        rounded = [np.broadcast_to(2 * rounding / h, a.shape) for h, a in zip(steps, right, strict=True)]
        return cls(right, left, rounded, above + below)

    @property
    def means(self) -> list[HostArray]:
        """The mean of both slopes."""
        return [(a + b) / 2 for a, b in zip(self.right, self.left, strict=True)]

    @property
    def differences(self) -> list[HostArray]:
        """How far apart the slopes are."""
        return [np.abs(a - b) for a, b in zip(self.right, self.left, strict=True)]

    def estimate(self) -> SecondEstimate:
        """Return the mean: unless a kink is in the way, the derivative is between both slopes."""
        errors = [apart / 2 + rounding for apart, rounding in zip(self.differences, self.rounding, strict=True)]
        return SecondEstimate(self.means, errors, self.ncalls)

    def kink_errors(self, shorter: OneSidedSlopes) -> list[HostArray]:
        """Return the errors due to kinks near x, given the slopes at a quarter of the step.

        The slopes of a smooth function are then a quarter as far apart.
        """
        columns = zip(self.differences, shorter.differences, self.rounding, shorter.rounding, strict=True)
        errors = []
        for own, other, rounding, its_rounding in columns:
            excess = np.abs(own - 4 * other)
            errors.append(np.where(excess > rounding + 4 * its_rounding, excess, 0.0))
        return errors


# Confirmation element by element

_MOST = 64  # elements that are differentiated once more
_IN_A_ROW = 4


def confirm(task: Task, comparisons: Sequence[Comparison], seconds: SecondEstimates) -> tuple[list[Comparison], int]:
    """Return comparisons in which all that is wrong has been confirmed, and the calls of f."""
    if not any(np.any(comparison.wrong) for comparison in comparisons):
        return list(comparisons), 0
    if task.kind == "grad":
        return _confirm_elements(task, comparisons, seconds)

    def scaled(share: float) -> Any:
        return task.parameters.rebuild([share * size for size in task.magnitudes])

    return seconds.revise(task.operator(), list(comparisons), scaled)


def _confirm_elements(
    task: Task, comparisons: Sequence[Comparison], seconds: SecondEstimates
) -> tuple[list[Comparison], int]:
    """Differentiate once more with respect to the elements that tell most."""
    revised, ncalls = list(comparisons), 0
    suspects = _wrong_elements(comparisons)
    confirmed: list[bool] = []
    for i, element in _to_confirm(suspects, confirmed):
        size = float(task.magnitudes[i].reshape(-1)[element])
        [one], calls = seconds.revise(
            partial_derivative(task, i, element), [_element_of(revised[i], element)], size.__mul__
        )
        revised[i] = _with_element(revised[i], element, one)
        ncalls += calls
        confirmed.append(bool(one.wrong[0]))
    if len(suspects) > len(confirmed) and not any(confirmed):
        # The worst were false alarms: error estimates do not suit this f, and the other elements prove nothing.
        revised = [replace(one, tolerance=np.fmax(one.tolerance, np.nan_to_num(one.difference))) for one in revised]
    return revised, ncalls


def _to_confirm(suspects: Sequence[Element], confirmed: Sequence[bool]) -> Iterator[Element]:
    """Yield the worst, then those that are least off, until some in a row are confirmed."""
    worst, least = suspects[:_IN_A_ROW], suspects[: _IN_A_ROW - 1 : -1]
    yield from worst
    for number, suspect in enumerate(least[: _MOST - len(worst)]):
        if number >= _IN_A_ROW and all(confirmed[-_IN_A_ROW:]):
            return
        yield suspect


def _wrong_elements(comparisons: Sequence[Comparison]) -> list[Element]:
    """Return all wrong elements, the worst first."""
    places, ratios = [], []
    for i, comparison in enumerate(comparisons):
        wrong = np.flatnonzero(comparison.wrong)
        places += [(i, int(element)) for element in wrong]
        ratios.append(comparison.ratio.reshape(-1)[wrong])
    order = np.argsort(-np.concatenate(ratios), kind="stable")
    return [places[k] for k in order]


def partial_derivative(task: Task, i: int, element: int) -> Differentiate:
    """Return the partial derivative with respect to one element as a function of the scheme."""
    f, bounds = task.function_of_array(i)
    unit = np.zeros(task.parameters.shapes[i])
    unit.reshape(-1)[element] = 1.0
    evaluator = task.options.evaluator
    return partial(along_both_parts, f, task.parameters.arrays[i], unit, evaluator=evaluator, bounds=bounds)


def _element_of(comparison: Comparison, element: int) -> Comparison:
    """Return the comparison of one element."""
    tables = (array.reshape(-1)[element : element + 1] for array in comparison.arrays)
    return Comparison(comparison.name, *tables)


def _with_element(comparison: Comparison, element: int, one: Comparison) -> Comparison:
    """Return a comparison with that of one of its elements replaced."""
    numerical, tolerance = comparison.numerical.copy(), comparison.tolerance.copy()
    numerical.reshape(-1)[element], tolerance.reshape(-1)[element] = one.numerical[0], one.tolerance[0]
    return replace(comparison, numerical=numerical, tolerance=tolerance)


# f in a wider dtype

_DOUBLE = float(np.finfo(np.float64).eps)
# How far apart values of the same function in two dtypes may be: so many roundings of the largest value, and such a
# share of how much it varies.
_VALUE_ROUNDINGS = 16.0
_VALUE_SHARE = 0.02
_WIDE_ROUNDINGS = 4.0  # the error of a value in the wider dtype, in roundings of that
# So many points, at each of two distances, are so close to x that the narrower dtype cannot tell them apart; these are
# so far from x, in its spacings, that it can.
_NEAR = 6
_RESOLVED_POINTS = (4.0, 8.0)


def widen(setting: Setting, direction: HostArray) -> tuple[Setting, int]:
    """Return the setting with x in a wider dtype, if f is the same function there, and the calls of f.

    It is unchanged if the user chose the scheme, if f varies from call to call, or if f works in x's dtype only:
    because it raises, returns other numbers, or rounds them to the dtype that it knows.
    """
    task, probe = setting.task, setting.probe
    eps = max(task.eps, default=0.0)
    if task.scheme_given or probe.spread or eps <= _DOUBLE:
        return setting, 0
    wide = _in_wider_dtype(task)
    wide_eps = max(wide.eps, default=0.0)
    if wide_eps >= eps:  # the library or the device has no wider dtype
        return setting, 0
    lengths = (*LENGTHS, *_near(eps, wide_eps), *(eps * k for k in _RESOLVED_POINTS))
    try:
        with wide.parameters.context():
            found = wide.probe(direction, lengths)
    except Exception:  # whatever a function raises that was written for another dtype
        return setting, 1
    line, nearest, near, far = _divide(found)
    noise = _WIDE_ROUNDINGS * line.rounding(wide_eps)
    near = nearest if _resolves(nearest, noise) else near
    same = _same_values(probe, line, eps) and _is_smooth(near, noise) and _same_slope(near, far, eps, noise)
    return Setting(wide, line) if same else setting, found.ncalls


def confirmed_in_own_dtype(wide: Finding, own: Finding) -> bool:
    """Return whether the derivatives for which a claim is wrong were found in x's own dtype, too, within its errors.

    An f that rounds intermediate results with respect to only some elements may have passed as one that does not.
    """
    for one, other in zip(wide.comparisons, own.comparisons, strict=True):
        with np.errstate(invalid="ignore"):
            apart = np.abs(one.numerical - other.numerical) > one.tolerance + other.tolerance
        if np.any(apart & one.wrong):
            return False
    return True


def _in_wider_dtype(task: Task) -> Task:
    parameters = task.parameters
    arrays = [backend.widened(array) for backend, array in zip(parameters.backends, parameters.arrays, strict=True)]
    x = parameters.argument(arrays[0] if parameters.alone else arrays)

    def promoting(function: Callable[..., Any]) -> Callable[..., Any]:
        for backend, array in dict(zip(parameters.backends, arrays, strict=True)).items():
            function = backend.promoting(function, array)
        return function

    claim = promoting(task.claim) if callable(task.claim) else task.claim
    options = replace(task.options, scheme=default_scheme(Parameters.of(x)))
    return replace(task, f=promoting(task.f), claim=claim, x=x, options=options)


def _near(eps: float, wide_eps: float) -> list[float]:
    """Return points far below the spacing of one dtype and far above that of the other, and as many that are closer."""
    units = float(np.cbrt(eps**2 * wide_eps)) / _NEAR, eps / _NEAR / 2
    return [unit * (k + 1) for unit in units for k in range(_NEAR)]


def _divide(probe: Probe) -> list[Probe]:
    ends = (0, *(len(LENGTHS) + k * _NEAR for k in range(3)), None)
    parts = map(slice, ends, ends[1:])
    return [replace(probe, t=probe.t[part], values=probe.values[part]) for part in parts]


def _same_values(probe: Probe, wide: Probe, eps: float) -> bool:
    """Return whether the values along a line are those of the same function, up to rounding."""
    one, other = (np.concatenate([each.repeated[:1], each.values]) for each in (probe, wide))
    if one.shape != other.shape or not (np.all(np.isfinite(one)) and np.all(np.isfinite(other))) or wide.spread:
        return False
    varies = float(np.max(np.abs(one - one[:1]), initial=0.0))
    allowed = _VALUE_ROUNDINGS * eps * float(np.max(np.abs(one), initial=0.0)) + _VALUE_SHARE * varies
    return float(np.max(np.abs(one - other), initial=0.0)) <= allowed


def _resolves(near: Probe, noise: float) -> bool:
    """Return whether f changes from each point to the next by far more than it is rounded in the wider dtype."""
    return float(np.linalg.norm(_changes(near))) > noise / _VALUE_SHARE


def _is_smooth(near: Probe, noise: float) -> bool:
    """Return whether f changes evenly from point to point: it does not if it rounds, or reads another x."""
    changes = _changes(near)
    if not np.all(np.isfinite(changes)):
        return False
    size, uneven = (float(np.linalg.norm(one)) for one in (changes, changes - np.mean(changes, axis=0)))
    return size > 4 * noise and uneven < _VALUE_SHARE * size + noise


def _same_slope(near: Probe, far: Probe, eps: float, noise: float) -> bool:
    """Return whether the slope near x is that a little further away: it is not if f rounds intermediate results."""
    if np.any(np.abs(far.t) < _RESOLVED_POINTS[0] * eps / 2):  # bounds leave no room
        return False
    *_, slope = _secants(near)
    first, second = _secants(far)
    allowed = _VALUE_SHARE * np.linalg.norm(slope) + 2 * np.linalg.norm(second - first) + noise / abs(near.t[-1])
    return float(np.linalg.norm(slope - first)) <= float(allowed)


def _changes(near: Probe) -> HostArray:
    with np.errstate(invalid="ignore"):
        changes: HostArray = np.diff(np.concatenate([near.repeated[:1], near.values]), axis=0)
    return changes


def _secants(probe: Probe) -> HostArray:
    secants: HostArray = (probe.values - probe.repeated[0]) / probe.t[:, None]
    return secants


# The noise of f

# Points on a line through x, in units of one of these lengths: uneven, as values that are rounded to multiples of a
# number may lie on a straight line at even distances; in a longer unit, if half of the values are equal.
_PLACES = (1.0, 2.29, 2.93, 4.11, 5.37, 5.83, 7.07, 8.19, 9.61, 10.03)
_UNITS = (2.0**-20, 2.0**-13, 2.0**-8)
# A smooth f is nearly a polynomial there, the more so the higher the degree. Noise is as far from both.
_DEGREES = (3, 6)
_MARGIN = 3.0
# So many units from x, noise is as large as at x, but a function with a cusp at x is smooth: so many times less noise
# there is a cusp.
_AWAY = 64.0
_LESS = 16.0
# Noise is more than so many times the rounding error.
_NOISE_ROUNDINGS = 4.0


def noise_of(setting: Setting, direction: HostArray) -> tuple[float, int]:
    """Return the noise of one value of f, 0 if it is no more than rounding, and how often f was called."""
    eps, ncalls = max(setting.task.eps, default=1.0), 0
    if eps > _COARSE or setting.probe.values.shape[1] != 1:
        return 0.0, ncalls
    for unit in _UNITS:
        probe = _probe_beside(setting, direction, unit)
        ncalls += probe.ncalls
        values = probe.values[:, 0]
        if not np.all(np.isfinite(values)):
            return 0.0, ncalls
        if _varies(probe):
            noise = _residual(probe)
            rounding = max(probe.rounding(eps), eps * float(np.max(np.abs(values))))
            if not noise > _NOISE_ROUNDINGS * rounding:
                return 0.0, ncalls
            away = _probe_beside(setting, direction, unit, _AWAY)
            cusp = np.all(np.isfinite(away.values)) and _varies(away) and _residual(away) < noise / _LESS
            return 0.0 if cusp else noise, ncalls + away.ncalls
    return 0.0, ncalls


def _probe_beside(setting: Setting, direction: HostArray, unit: float, away: float = 0.0) -> Probe:
    """Return f at neighbouring points, so many units away from x."""
    places = [unit * (away + place) for place in _PLACES]
    with setting.task.parameters.context():
        return setting.task.probe(direction, places)


def _varies(probe: Probe) -> bool:
    """Return whether at least half of the values differ."""
    return np.unique(probe.values[:, 0]).size > len(_PLACES) / 2


def _residual(probe: Probe) -> float:
    """Return how far f is from a smooth function."""
    t, values = probe.t, probe.values[:, 0]
    low, high = (polynomial_residual(t - np.mean(t), values, degree) for degree in _DEGREES)
    return min(low, _MARGIN * high)


# Kinks that are noise: recognised by how the difference of the slopes on both sides changes, closer and closer to x

# Slopes are first compared at the step at which a kink of the stated size is `_FIRST` times its noise; differences
# below `_CLEAR` times the noise divided by the step say nothing.
_FIRST, _CLEAR = 4096.0, 32.0
_CLOSER, _MOST_STEPS = 4.0, 16
# At a step `_CLOSER` times shorter the slopes at a kink differ by as much (`_STAYS`), those of a smooth f by a quarter;
# at a jump their mean grows (`_GROWS`).
_STAYS, _GROWS = 0.75, 1.5


def without_noise_kinks(setting: Setting, found: Estimate) -> tuple[list[Flags], int]:
    """Return the flags without the kinks that noise explains, and how often f was called to find out.

    Noise explains a kink if the slopes on both sides never differ by more than noise makes of them, but as those of a
    smooth function do: by less, the closer to x. The claim plays no part in this. The largest kinks are tested, and the
    others are taken for what most of these are.
    """
    flags: list[Flags] = list(found.flags)
    if not setting.noise or setting.task.kind != "grad":
        return flags, 0
    suspects = _kinks(found)
    # Not all: for each step and side f is opened anew, which may be a message to workers, or a file.
    tests = [_test_kink(setting, found, *suspect) for suspect in suspects[:_MOST]]
    sharp = [kink for kink, _ in tests]
    others = [2 * sum(sharp) >= len(sharp)] * (len(suspects) - len(sharp))
    for i, own in enumerate(found.flags):
        if "kink" in own:
            flags[i] = {**own, "kink": own["kink"].copy()}
    for (i, element), kink in zip(suspects, [*sharp, *others], strict=True):
        flags[i]["kink"].reshape(-1)[element] = kink
    return flags, sum(calls for _, calls in tests)


def _kinks(found: Estimate) -> list[Element]:
    """Return all elements with a kink, the largest first."""
    places, sizes = [], []
    for i, (flags, errors) in enumerate(zip(found.flags, found.errors, strict=True)):
        kinks = np.flatnonzero(flags.get("kink", np.zeros(0, dtype=bool)))
        places += [(i, int(element)) for element in kinks]
        sizes += errors.reshape(-1)[kinks].tolist()
    return [places[k] for k in np.argsort(-np.asarray(sizes), kind="stable")]


def _test_kink(setting: Setting, found: Estimate, i: int, element: int) -> tuple[bool, int]:
    """Return whether one kink is more than noise, and the calls of f."""
    size = float(found.errors[i].reshape(-1)[element])
    step = float(np.broadcast_to(found.steps[i], found.errors[i].shape).reshape(-1)[element])
    step = min(step, _FIRST * setting.noise / size) if 0 < size < math.inf else step
    return _is_sharp(partial_derivative(setting.task, i, element), step, setting.noise)


def _is_sharp(differentiate: Differentiate, step: float, noise: float) -> tuple[bool, int]:
    """Return whether f has a kink or a jump that is more than noise, looked for from a step inwards; and the calls."""
    difference_before = mean_before = math.inf
    ncalls = 0
    for _ in range(_MOST_STEPS):
        sides = OneSidedSlopes.of(differentiate, step, 0.0)
        difference, mean = (float(np.max(np.abs(one[0]))) for one in (sides.differences, sides.means))
        ncalls += sides.ncalls
        least = _CLEAR * noise / step
        stays = difference > least and difference > _STAYS * difference_before
        if stays or (mean > least and mean > _GROWS * mean_before):
            return True, ncalls
        if not difference > least and math.isfinite(difference_before):
            return False, ncalls
        difference_before, mean_before, step = difference, mean, step / _CLOSER
    return True, ncalls
