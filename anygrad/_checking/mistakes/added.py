"""Terms that are missing, or that f does not have."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from anygrad._checking.comparison import HostArray
from anygrad._checking.mistakes.evidence import coincidence, distinct, hardly_by_chance
from anygrad._checking.mistakes.leaf import Leaf, few
from anygrad._checking.mistakes.places import everywhere
from anygrad._checking.mistakes.scene import Explanation, Scene, Verdict, jointly_or_each, number

# The weight of a term is one number: as many elements have to agree about it.
_AGREED = 3


def squares(scene: Scene) -> Iterator[Explanation]:
    """Find a multiple of x that is missing or extra: the derivative of a penalty of its squares."""
    judge = partial(_multiple, np.positive, "x: an L2 term (weight decay)")
    yield from jointly_or_each(_with_points(scene), judge)


def magnitudes(scene: Scene) -> Iterator[Explanation]:
    """Find a multiple of the signs of x that is missing or extra: the derivative of a penalty of its magnitudes."""
    judge = partial(_multiple, np.sign, "the sign of x: an L1 term")
    yield from jointly_or_each(_with_points(scene), judge)


def _with_points(scene: Scene) -> list[Leaf]:
    return [leaf for leaf in scene.unexplained if leaf.point is not None]


def _multiple(term: Callable[[HostArray], HostArray], words: str, leaf: Leaf) -> Verdict | None:
    """Return what is said if all that is wrong is a multiple of one term."""
    assert leaf.point is not None
    at, terms = leaf.sample, term(leaf.point)
    relative = np.where(terms[at] != 0, leaf.tolerance[at] / np.abs(terms[at]), np.inf)
    best = int(np.argmin(relative))
    error = float(relative[best])
    if not math.isfinite(error) or (terms[at] == terms[at][best]).all():  # that would be a constant
        return None
    weight = (leaf.difference[at][best] / terms[at][best]).item()
    predicted = leaf.numerical + weight * terms
    allowed = leaf.tolerance + error * np.abs(terms)
    chosen = distinct(leaf.point[at], np.zeros(1))
    odds = coincidence(np.abs(leaf.difference[at]), allowed[at], leaf.grain)[chosen]
    if not leaf.fits(predicted, allowed) or odds.size < _AGREED or not hardly_by_chance(odds, spare=1):
        return None
    missing = "missing" if weight.real < 0 else "extra"
    says = f"the claimed gradient is off by {number(weight, error)} times {words} is {missing}"
    return says, everywhere


def constant(scene: Scene) -> Iterator[Explanation]:
    """Find differences that are constant along some axes."""
    for leaf in scene.unexplained:
        long = [axis for axis, length in enumerate(leaf.claimed.shape) if length > 1]
        axes = [axis for axis in long if _is_constant(leaf, axis)]
        if axes:
            yield Explanation(leaf, leaf.name, _says(leaf, axes, long))


def _is_constant(leaf: Leaf, axis: int) -> bool:
    """Return whether the differences do not change along an axis, and not by chance."""
    best = np.expand_dims(np.argmin(leaf.tolerance, axis=axis), axis)
    reference = np.take_along_axis(leaf.difference, best, axis)
    allowed = leaf.tolerance + np.take_along_axis(leaf.tolerance, best, axis)
    if not leaf.fits(leaf.numerical + reference, allowed):
        return False
    others = leaf.wrong.copy()
    np.put_along_axis(others, best, False, axis)
    at = few(others)
    return hardly_by_chance(coincidence(np.abs(leaf.difference[at]), allowed[at], leaf.grain))


def _says(leaf: Leaf, axes: Sequence[int], long: Sequence[int]) -> str:
    if len(axes) == len(long):
        at = leaf.first
        off = number(leaf.difference[at].item(), float(leaf.tolerance[at]))
        return f"the claimed gradient is off by one constant, {off}: a constant term is missing or extra"
    if leaf.claimed.ndim == 2:
        line = ("column", "row")[axes[0]]
        return (
            f"the claimed gradient is off by a constant per {line}: a term is missing or extra that is constant there"
        )
    along = ", ".join(map(str, axes))
    return (
        f"the claimed gradient is off by what is constant along {'axis' if len(axes) == 1 else 'axes'} {along}: "
        "such a term is missing or extra"
    )
