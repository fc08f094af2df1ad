"""The derivative that is claimed, and how far its rounding and its variation can be trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from anygrad._typing import PyTree
from anygrad.check.compare import Comparison
from anygrad.check.probe import HostArray, Setting, Task, leaves_on_host, probe_line, spacing
from anygrad.check.taylor import LENGTHS
from anygrad.evaluators import Loop
from anygrad.problem.options import Options
from anygrad.problem.parameters import Parameters
from anygrad.problem.tree import describe_mismatch, flatten
from anygrad.schemes import Central

Named = list[tuple[str, HostArray]]

_SUMMED = 8.0  # roundings of the largest element
# A claim accumulates if each call adds the same to within so many roundings, and adds at least so large a share of the
# largest element, as roundings are often equal, too.
_EVENLY = 8.0
_ADDED = 1e-3
_LONGEST = LENGTHS[:3]  # where f changes most

_STRUCTURES = {
    "grad": "a gradient has the structure of x",
    "jac": "a Jacobian has the structure that anygrad.jacobian returns",
    "hess": "a Hessian has the structure that anygrad.hessian returns",
}


@dataclass(frozen=True, eq=False)
class Claim:
    """The derivative that the user claims, and how exact it can be; lists have an entry for each array.

    Attributes
    ----------
    names, values
        The arrays, and the expressions that name them.
    spread
        How far apart the claims for the same x are.
    rounding
        How much the claim changes when x changes by its own rounding.
    eps
        The spacing at 1 of the claim's dtype, or of x's if that is coarser: it may have been computed in that.
    ncalls
        How often the claim was called.
    wide_values
        The claim computed in a wider dtype; empty if that is not known.
    hidden_rounding
        How large rounding errors of intermediate results may be; empty if f has no more digits than the claim.
    accumulates
        Whether each call at x added the same to the result of the one before.
    """

    names: Sequence[str]
    values: Sequence[HostArray]
    spread: Sequence[HostArray]
    rounding: Sequence[HostArray]
    eps: Sequence[float]
    ncalls: int
    wide_values: Sequence[HostArray] = ()
    hidden_rounding: Sequence[HostArray] = ()
    accumulates: bool = False

    @property
    def deterministic(self) -> bool:
        """Whether the claim was the same for the same x."""
        return not any(np.any(spread) for spread in self.spread)

    def sum_rounding(self, i: int, eps: float) -> float:
        """Return the error of elements of the i-th array that are sums of larger, rounded numbers.

        ``eps`` is the spacing at 1 of the dtype of the numerical derivative: if that is no wider than the claim's, its
        larger error is allowed for anyway.
        """
        if self.eps[i] <= eps:
            return 0.0
        finite = self.values[i][np.isfinite(self.values[i])]
        return _SUMMED * self.eps[i] * float(np.max(np.abs(finite), initial=0.0))

    def allowed_rounding(self, i: int, numerical: HostArray, tolerance: HostArray) -> HostArray | float:
        """Return the error of the i-th array that rounding of intermediate results explains."""
        if not self.hidden_rounding:
            return 0.0
        wide = self.wide_values[i] if self.wide_values else None
        return allowed_rounding(self.hidden_rounding[i], wide, numerical, tolerance)


def allowed_rounding(
    hidden_rounding: HostArray, wide_value: HostArray | None, numerical: HostArray, tolerance: HostArray
) -> HostArray:
    """Return the error that rounding of intermediate results explains: none where the claim in a wider dtype is off.

    That is a mistake, however small. A claim that is not known in a wider dtype may be right.
    """
    if wide_value is None:
        return hidden_rounding
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(wide_value - numerical) <= tolerance, hidden_rounding, 0.0)


def evaluate_claim(claim: Any, name: str, parameters: Parameters, direction: HostArray, bounds: Any = None) -> Claim:
    """Return what a function of x claims, or what is claimed as arrays.

    A function is called three times at x, and twice at x changed by a few roundings along ``direction``.
    """
    if not callable(claim):
        named = _named(claim, name, name)
        zeros = [np.zeros(value.shape) for _, value in named]
        return _of(named, zeros, zeros, _coarser(_spacings(claim), parameters, name), 0)
    seen: list[Named] = []
    claim_eps: list[float] = []

    def record(x: Any) -> float:
        """Keep the claim at x; the number that is returned does not matter."""
        before = _bytes(x)
        returned = claim(x)
        if _bytes(x) != before:
            raise ValueError(
                f"{name} modifies its argument: let it work on a copy, as in lambda x: {name}(x.copy()); x has been put"
                " back to what it was"
            )
        seen.append([(place, value.copy()) for place, value in _named(returned, name, f"{name}(x)")])
        claim_eps[:] = _spacings(returned)
        return 0.0

    options = Options("check_gradient", Central(), Loop(), bounds)
    eps = max(map(spacing, parameters.arrays))
    probe = probe_line(record, parameters, direction, (2 * eps, 4 * eps), options)
    if (coarser := max(claim_eps, default=0.0)) > eps:  # computed in another dtype than x is in, it rounds more
        probe_line(record, parameters, direction, (2 * coarser, 4 * coarser), options, repeats=0)
    at_x, beside = seen[: len(probe.repeated)], seen[len(probe.repeated) :]
    own = _coarser(claim_eps, parameters, name)
    found = _of(at_x[0], _distances(at_x[0], at_x[1:]), _distances(at_x[0], beside), own, len(seen))
    return replace(found, accumulates=_accumulates(at_x, max(own, default=eps)))


def require_structure(claim: Claim, kind: str, names: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> None:
    """Raise unless the claim has the structure and the shapes that a derivative of its kind has here."""
    if cause := describe_mismatch(claim.names, names, [value.shape for value in claim.values], shapes):
        raise ValueError(f"what is claimed has {cause}; {_STRUCTURES[kind]}")


def _spacings(tree: PyTree) -> list[float]:
    return list(map(spacing, flatten(tree).leaves))


def _coarser(eps: Sequence[float], parameters: Parameters, kind: str) -> list[float]:
    """Return the spacings of the claim's dtypes, or of x's arrays where these are coarser."""
    of_x = list(map(spacing, parameters.arrays))
    alike = kind in {"grad", "vjp"} and len(of_x) == len(eps)
    return [max(pair) for pair in zip(eps, of_x if alike else [max(of_x)] * len(eps), strict=True)]


def _named(tree: PyTree, kind: str, name: str) -> Named:
    """Return arrays with the names of x's arrays that they belong to; those of a Jacobian or Hessian with their own."""
    like_x = kind in {"grad", "vjp"}
    return [
        # A mask, such as x > 0 for max(x, 0), is an array of 0 and 1.
        (
            "x" + place.removeprefix(name) if like_x else place.replace("(x)", "", 1),
            np.asarray(value, np.result_type(value, float)),
        )
        for place, value in leaves_on_host(tree, name)
    ]


def _of(
    named: Named, spread: Sequence[HostArray], rounding: Sequence[HostArray], eps: Sequence[float], ncalls: int
) -> Claim:
    names, values = [place for place, _ in named], [value for _, value in named]
    return Claim(names, values, spread, rounding, eps, ncalls)


def _accumulates(at_x: Sequence[Named], eps: float) -> bool:
    """Return whether each of three calls at the same x added the same to the result of the one before."""
    if len(at_x) < 3:  # for an empty array there is only one call
        return False
    first, second, third = (np.concatenate([np.zeros(0), *(value.ravel() for _, value in one)]) for one in at_x)
    with np.errstate(all="ignore"):
        added, size = second - first, float(np.max(np.abs(third), initial=0.0))
        uneven = float(np.max(np.abs(third - second - added), initial=0.0))
        return uneven <= _EVENLY * eps * size and float(np.max(np.abs(added), initial=0.0)) > _ADDED * size


def _bytes(x: PyTree) -> list[bytes]:
    return [value.tobytes() for _, value in leaves_on_host(x, "x")]


def _distances(first: Named, others: Sequence[Named]) -> list[HostArray]:
    """Return the largest distance of any of the others from the first, for each array; NaN counts as no distance."""
    places = [place for place, _ in first]
    for other in others:
        if [place for place, _ in other] != places:
            raise ValueError(
                f"a tree of {', '.join(places)} was claimed at first, but one of"
                f" {', '.join(place for place, _ in other)} later: the same is expected of a derivative at each call"
            )
    return [
        np.max([_distance(value, other[i][1]) for other in others], axis=0, initial=0.0)
        for i, (_, value) in enumerate(first)
    ]


def _distance(one: HostArray, other: HostArray) -> HostArray:
    if one.shape != other.shape:
        raise ValueError(
            f"an array of shape {one.shape} was claimed at x, but one of shape {other.shape} next to it: the same is"
            " expected of a derivative at all points"
        )
    with np.errstate(all="ignore"):
        distance: HostArray = np.nan_to_num(np.abs(other - one), nan=0.0, posinf=0.0)
    return distance


# A claim in fewer digits than f


def with_wide_values(claim: Claim, setting: Setting, *, wider: bool) -> Claim:
    """Return a claim with its hidden rounding errors, if its dtype is narrower than the one f is differentiated in.

    If that dtype is ``wider`` than x's own, the claim is called once more, in it.

    A derivative may be small because larger numbers cancel, each of them rounded: these are assumed to be as large as
    f divided by x.
    """
    task = setting.task
    if max(claim.eps, default=0.0) <= max(task.eps):
        return claim
    known = [task.magnitudes[i % len(task.magnitudes)] for i in range(len(claim.values))]
    pairs = list(zip(claim.values, known, strict=True))
    fits = all(value.shape[value.ndim - size.ndim :] == size.shape for value, size in pairs)
    if task.kind == "hess" or not fits:
        return claim
    hidden_rounding = [
        np.broadcast_to(setting.probe.rounding(eps) / size, value.shape)
        for eps, (value, size) in zip(claim.eps, pairs, strict=True)
    ]
    called = wider and callable(task.claim)
    wide_values = _wide_values(claim, task) if called else ()
    return replace(claim, hidden_rounding=hidden_rounding, wide_values=wide_values, ncalls=claim.ncalls + called)


def _wide_values(claim: Claim, task: Task) -> Sequence[HostArray]:
    try:
        with task.parameters.context():
            returned = task.claim(task.x)
            values = [value for _, value in leaves_on_host(returned, task.name)]
            coarsest = max(_spacings(returned), default=0.0)
    except Exception:  # whatever a function raises that was written for another dtype
        return ()
    alike = [value.shape for value in values] == [value.shape for value in claim.values]
    return values if alike and coarsest < max(claim.eps, default=0.0) else ()


# Arrays that f does not use


def unused_arrays(task: Task, comparisons: Sequence[Comparison], direction: HostArray) -> tuple[list[bool], int]:
    """Return which arrays of x f does not change with at all, though the claim says so, and the calls of f."""
    parameters = task.parameters
    ends = np.cumsum([0, *map(math.prod, parameters.shapes)])
    unused, ncalls = [], 0
    for number, comparison in enumerate(comparisons):
        if np.any(comparison.numerical) or not np.any(comparison.wrong):
            unused.append(False)
            continue
        i = number % len(parameters.arrays)
        f, bounds = task.function_of_array(i)
        probe = probe_line(
            f,
            Parameters.of(parameters.arrays[i]),
            direction[ends[i] : ends[i + 1]],
            _LONGEST,
            replace(task.options, bounds=bounds),
            vector=task.vector,
            repeats=1,
        )
        unused.append(probe.is_constant)
        ncalls += probe.ncalls
    return unused, ncalls
