"""What is claimed to be the derivative."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from anygrad._checking.comparison import HostArray
from anygrad._checking.hosted import leaves_on_host, spacings
from anygrad._checking.probe import probed
from anygrad._job import Options
from anygrad._typing import PyTree
from anygrad._unlike import unlike
from anygrad._variables import Variables
from anygrad.evaluators import Loop
from anygrad.schemes import Central

Named = list[tuple[str, HostArray]]

_SUMMED = 8.0  # roundings of the largest element
_EVENLY = 8.0  # the same, by which what is added each time may differ
_ADDED = 1e-3  # and as large a share of the largest element at least, as roundings are often equal, too

_STRUCTURES = {
    "grad": "a gradient has the structure of x",
    "jac": "a Jacobian has the structure that anygrad.jacobian returns",
    "hess": "a Hessian has the structure that anygrad.hessian returns",
}


@dataclass(frozen=True, eq=False)
class Claim:
    """What is claimed, and how sure it can be; lists have an entry for each array.

    Attributes
    ----------
    names, values
        The arrays, and the expressions that name them.
    spread
        How far what was returned for the same x is apart.
    rounding
        How much it changes with x changed by its own rounding.
    eps
        The spacing at 1 of the dtype that it is in, or of x's: what has been computed in that may be in another now.
    ncalls
        How often it was called.
    in_digits
        What it is when it is computed in more digits; empty if that is not known.
    on_the_way
        How far it may be off by the roundings of what it is computed from; empty if f has no more digits than it.
    accumulates
        Whether each call at x returned as much more than the one before.
    """

    names: Sequence[str]
    values: Sequence[HostArray]
    spread: Sequence[HostArray]
    rounding: Sequence[HostArray]
    eps: Sequence[float]
    ncalls: int
    in_digits: Sequence[HostArray] = ()
    on_the_way: Sequence[HostArray] = ()
    accumulates: bool = False

    @property
    def deterministic(self) -> bool:
        """Whether the same x gave the same."""
        return not any(np.any(spread) for spread in self.spread)

    def sums(self, number: int, eps: float) -> float:
        """Return how far elements of an array may be off as they are sums of larger numbers, each of them rounded.

        ``eps`` is the spacing at 1 of the dtype in which the derivative is known: if that has not more digits, its
        error, which is larger, is allowed for anyway.
        """
        if self.eps[number] <= eps:
            return 0.0
        finite = self.values[number][np.isfinite(self.values[number])]
        return _SUMMED * self.eps[number] * float(np.max(np.abs(finite), initial=0.0))

    def missed(self, number: int, numerical: HostArray, tolerance: HostArray) -> HostArray | float:
        """Return how far an array may be off by roundings on the way to it."""
        if not self.on_the_way:
            return 0.0
        in_digits = self.in_digits[number] if self.in_digits else None
        return rounded_away(self.on_the_way[number], in_digits, numerical, tolerance)


def rounded_away(
    on_the_way: HostArray, in_digits: HostArray | None, numerical: HostArray, tolerance: HostArray
) -> HostArray:
    """Return what roundings on the way allow for: nothing where a claim is off in more digits, too.

    That is a mistake, however small. A claim that is not known in more digits may be right.
    """
    if in_digits is None:
        return on_the_way
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(in_digits - numerical) <= tolerance, on_the_way, 0.0)


def claimed(claim: Any, name: str, variables: Variables, direction: HostArray, bounds: Any = None) -> Claim:
    """Return what a function of x claims, or what is claimed as arrays.

    A function is called three times at x, and twice at x changed by a few roundings along ``direction``.
    """
    if not callable(claim):
        named = _named(claim, name, name)
        nothing = [np.zeros(value.shape) for _, value in named]
        return _of(named, nothing, nothing, _coarser(spacings(claim), variables, name), 0)
    seen: list[Named] = []
    eps_claimed: list[float] = []

    def kept(x: Any) -> float:
        """Keep what is claimed at x; what is returned is of no interest."""
        before = _bits(x)
        returned = claim(x)
        if _bits(x) != before:
            raise ValueError(
                f"{name} modifies its argument: let it work on a copy, as in lambda x: {name}(x.copy()); x has been put"
                " back to what it was"
            )
        seen.append([(place, value.copy()) for place, value in _named(returned, name, f"{name}(x)")])
        eps_claimed[:] = spacings(returned)
        return 0.0

    eps = max(spacings(list(variables.arrays)))
    probe = probed(kept, variables, direction, (2 * eps, 4 * eps), Options(Central(), Loop(), bounds))
    if (coarser := max(eps_claimed, default=0.0)) > eps:  # computed in another dtype than x is in, it rounds more
        probed(kept, variables, direction, (2 * coarser, 4 * coarser), Options(Central(), Loop(), bounds), repeats=0)
    at_x, beside = seen[: len(probe.repeated)], seen[len(probe.repeated) :]
    own = _coarser(eps_claimed, variables, name)
    found = _of(at_x[0], _distances(at_x[0], at_x[1:]), _distances(at_x[0], beside), own, len(seen))
    return replace(found, accumulates=_accumulates(at_x, max(own, default=eps)))


def require_structure(claim: Claim, kind: str, names: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> None:
    """Raise unless what is claimed has the structure and the shapes that a derivative of its kind has here."""
    if cause := unlike(claim.names, names, [value.shape for value in claim.values], shapes):
        raise ValueError(f"what is claimed has {cause}; {_STRUCTURES[kind]}")


def _coarser(eps: Sequence[float], variables: Variables, kind: str) -> list[float]:
    """Return the spacings of the dtypes of what is claimed, or of x's arrays, where these are coarser."""
    of_x = spacings(list(variables.arrays))
    alike = kind in {"grad", "vjp"} and len(of_x) == len(eps)
    return [max(pair) for pair in zip(eps, of_x if alike else [max(of_x)] * len(eps), strict=True)]


def _named(tree: PyTree, kind: str, name: str) -> Named:
    """Return arrays by the names of those of x that they belong to; those of a Jacobian or a Hessian by their own."""
    own = kind in {"grad", "vjp"}
    return [
        # A mask, as x > 0 is for max(x, 0), is of the numbers 0 and 1.
        (
            "x" + place.removeprefix(name) if own else place.replace("(x)", "", 1),
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
    """Return whether each of three calls at the same x returned as much more than the one before."""
    if len(at_x) < 3:  # an array without elements is looked at once
        return False
    first, second, third = (np.concatenate([np.zeros(0), *(value.ravel() for _, value in one)]) for one in at_x)
    with np.errstate(all="ignore"):
        added, size = second - first, float(np.max(np.abs(third), initial=0.0))
        uneven = float(np.max(np.abs(third - second - added), initial=0.0))
        return uneven <= _EVENLY * eps * size and float(np.max(np.abs(added), initial=0.0)) > _ADDED * size


def _bits(x: PyTree) -> list[bytes]:
    return [value.tobytes() for _, value in leaves_on_host(x, "x")]


def _distances(first: Named, others: Sequence[Named]) -> list[HostArray]:
    """Return the largest distance of any of the others from the first one, for each array; NaN has none."""
    places = [place for place, _ in first]
    for other in others:
        if [place for place, _ in other] != places:
            raise ValueError(
                f"a tree of {', '.join(places)} was claimed at first, but one of"
                f" {', '.join(place for place, _ in other)} later: the same is expected of a derivative at each call"
            )
    return [
        np.max([_distance(value, other[place][1]) for other in others], axis=0, initial=0.0)
        for place, (_, value) in enumerate(first)
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
