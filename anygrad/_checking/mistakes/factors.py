"""A constant factor, and the complex conjugate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from anygrad._checking.comparison import HostArray
from anygrad._checking.mistakes.evidence import coincidence, distinct, hardly_by_chance
from anygrad._checking.mistakes.leaf import Leaf
from anygrad._checking.mistakes.places import where
from anygrad._checking.mistakes.scene import Explanation, Scene, Size, Verdict, jointly_or_each, number

_ROUNDING = 8 * float(np.finfo(float).eps)
# Whole numbers are often multiples of each other; a common factor of all elements is worth naming all the same.
_LIKELY = 0.3
# An unknown factor is one number: as many elements have to agree about it.
_AGREED = 3
# A factor is known if its error is as many times smaller.
_KNOWN = 20.0
# Samples of a batch are fewer, and a factor is a whole number if it is as close to one.
_COUNTED = 1e6
_CLOSE = 1e-2


@dataclass(frozen=True)
class Factor:
    """A factor, and what is said of it."""

    value: complex
    says: str


def factor(scene: Scene) -> Iterator[Explanation]:
    """Find one factor by which all that is wrong is too large."""
    common = [*_COMMON, *_of_sizes(scene.sizes)]
    yield from jointly_or_each(scene.unexplained, partial(_judge, common))


def conjugate(scene: Scene) -> Iterator[Explanation]:
    """Find complex derivatives that are conjugated."""
    for leaf in scene.unexplained:
        conjugated = np.conj(leaf.numerical)
        if not np.iscomplexobj(leaf.numerical) or not leaf.fits(conjugated, leaf.tolerance):
            continue
        at = leaf.sample
        if hardly_by_chance(coincidence(np.abs(leaf.difference[at]), leaf.tolerance[at], leaf.grain)):
            yield Explanation(leaf, leaf.name, "the claimed gradient is the complex conjugate of the numerical one")


def _judge(common: Sequence[Factor], leaf: Leaf) -> Verdict | None:
    found = _factor(leaf, common)
    return None if found is None else (f"the claimed gradient is {found.says}", partial(_where, found.value))


def _factor(leaf: Leaf, common: Sequence[Factor]) -> Factor | None:
    """Return the factor that explains all wrong elements, if there is one."""
    at = leaf.sample
    sizes = np.abs(leaf.numerical[at])
    relative = np.where(sizes > 0, leaf.tolerance[at] / sizes, np.inf)
    best = int(np.argmin(relative))
    if not np.isfinite(relative[best]):
        return None
    estimate = (leaf.claimed[at][best] / leaf.numerical[at][best]).item()
    error = float(relative[best]) * max(1.0, abs(estimate)) + _ROUNDING * abs(estimate)
    if not math.isfinite(error) or not _explains(leaf, estimate, spread=2.0):
        return None
    near = [
        (tries, known)
        for tries, known in enumerate(common, 1)
        if abs(known.value - estimate) <= error and _explains(leaf, known.value)
    ]
    if len({known.value for _, known in near}) == 1 and _is_common(leaf, near[0][1].value, tries=near[0][0]):
        return near[0][1]
    if abs(estimate) > _KNOWN * error and _is_known(leaf, estimate):
        return Factor(estimate, _words(estimate, error))
    return None


def _words(value: complex, error: float) -> str:
    """Say what a factor may be: a whole number, or a part of one, is of a sum or a mean."""
    if _is_whole(value, error):
        return f"{round(value.real)} times the numerical one: a constant factor, or a sum over as many for a mean"
    if _is_whole(1 / value, error / abs(value) ** 2):
        parts = round((1 / value).real)
        return f"1/{parts} of the numerical one: a constant factor, or a mean over as many for a sum"
    return f"{number(value, error)} times the numerical one: a constant factor"


def _is_whole(value: complex, error: float) -> bool:
    """Return whether this is a number that can be counted to, and so certain that there is no other such near it."""
    nearest = round(value.real) if abs(value) < _COUNTED else 0
    return nearest > 2 and error < _CLOSE and abs(value - nearest) <= max(error, _CLOSE * 1e-3)


def _explains(leaf: Leaf, value: complex, spread: float = 1.0) -> bool:
    """Return whether all wrong elements, at least, are as many times too large."""
    for at in (leaf.sample, leaf.wrong):
        predicted = value * leaf.numerical[at]
        allowed = _allowed(leaf.tolerance[at], predicted, value)
        if not (np.abs(leaf.claimed[at] - predicted) <= spread * allowed).all():
            return False
    return True


def _allowed(tolerance: HostArray, predicted: HostArray, value: complex) -> HostArray:
    allowed: HostArray = tolerance * max(1.0, abs(value)) + _ROUNDING * np.abs(predicted)
    return allowed


def _is_common(leaf: Leaf, value: complex, tries: int) -> bool:
    """Return whether the elements are too many, or too exact, to be as many times too large by chance."""
    odds, of_whole_numbers = _odds(leaf, value)
    if not hardly_by_chance(odds, tries=tries):
        return False
    all_of_them = bool((leaf.wrong | _unaffected(leaf, value)).all())
    return hardly_by_chance(of_whole_numbers, tries=tries) or (
        all_of_them and hardly_by_chance(of_whole_numbers, tries=tries, chance=_LIKELY)
    )


def _is_known(leaf: Leaf, value: complex) -> bool:
    _, odds = _odds(leaf, value)
    return odds.size >= _AGREED and hardly_by_chance(odds, spare=1)


def _odds(leaf: Leaf, value: complex) -> tuple[HostArray, HostArray]:
    """Return the odds of distinct elements to have the factor by chance, without and with their grain."""
    at = leaf.sample
    numerical, tolerance, distance = leaf.numerical[at], leaf.tolerance[at], np.abs(leaf.difference[at])
    chosen = distinct(numerical, tolerance)
    allowed = _allowed(tolerance, value * numerical, value)[chosen]
    return coincidence(distance[chosen], allowed, 0.0), coincidence(distance[chosen], allowed, leaf.grain)


def _unaffected(leaf: Leaf, value: complex) -> HostArray:
    """Return where the claimed derivatives agree with the numerical ones, and would with the factor, too."""
    predicted = value * leaf.numerical
    fits: HostArray = np.abs(leaf.claimed - predicted) <= _allowed(leaf.tolerance, predicted, value)
    return fits & ~leaf.wrong


def _where(value: complex, leaf: Leaf) -> str:
    return where(leaf, leaf.wrong, _unaffected(leaf, value))


# The first ones are the most common.
_COMMON = (
    Factor(2.0, "twice the numerical one: accumulated twice, or a factor 1/2 of f left out"),
    Factor(0.5, "half the numerical one: a factor 2 left out, as of the derivative of a square, or one term of two"),
    Factor(-1.0, "minus the numerical one: a wrong sign"),
)


def _of_sizes(sizes: Sequence[Size]) -> Iterator[Factor]:
    """Make factors of the numbers that sums and means may be over."""
    for size in sizes:
        n, words = size.number, f"{size.number} is {size.words}"
        yield Factor(1 / n, f"1/{n} of the numerical one, and {words}: a mean where f has a sum")
        yield Factor(float(n), f"{n} times the numerical one, and {words}: a sum where f has a mean")
    for size in sizes:
        n, words = size.number, f"{size.number} is {size.words}"
        yield Factor(1 / math.sqrt(n), f"1/sqrt({n}) of the numerical one, and {words}")
        yield Factor(math.sqrt(n), f"sqrt({n}) times the numerical one, and {words}")
