"""Hints: the common mistakes that a wrong gradient looks like.

A mistake is named only if it explains all wrong elements of an array, within the tolerance, and would hardly do so by
chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import combinations, zip_longest
from typing import Any

import numpy as np

from anygrad.check.compare import Comparison
from anygrad.check.task import HostArray

Index = tuple[Any, ...]

_MOST = 3  # sentences: more would not help
_NAMED = 4  # arrays named for one mistake


@dataclass(frozen=True, eq=False)
class ArrayComparison:
    """The comparison of one array, of one dimension or more.

    Elements that are not finite on both sides are 0 here, with an infinite tolerance: they fit every pattern. ``point``
    has the elements of x, if they are known and real; ``unused`` says whether f is known not to change with them.
    """

    name: str
    claimed: HostArray
    numerical: HostArray
    tolerance: HostArray
    point: HostArray | None = None
    unused: bool = False

    @classmethod
    def of(cls, one: Comparison, point: HostArray | None = None, *, unused: bool = False) -> ArrayComparison:
        """Return a prepared comparison."""
        claimed, numerical, tolerance = map(np.atleast_1d, (one.claimed, one.numerical, one.tolerance))
        finite = np.isfinite(claimed) & np.isfinite(numerical) & np.isfinite(tolerance)
        zeros = np.where(finite, claimed, 0.0), np.where(finite, numerical, 0.0), np.where(finite, tolerance, np.inf)
        real = None if point is None or np.iscomplexobj(point) else np.atleast_1d(np.asarray(point, float))
        return cls(one.name, *zeros, real, unused)

    def part(self, name: str, index: Index) -> ArrayComparison:
        """Return a part as an array of its own."""
        point = None if self.point is None else self.point[index]
        return ArrayComparison(name, self.claimed[index], self.numerical[index], self.tolerance[index], point)

    @cached_property
    def difference(self) -> HostArray:
        """The claimed derivatives minus the numerical ones."""
        difference: HostArray = self.claimed - self.numerical
        return difference

    @cached_property
    def wrong(self) -> HostArray:
        """Where the difference is beyond the tolerance."""
        wrong: HostArray = ~(np.abs(self.difference) <= self.tolerance)
        return wrong

    @cached_property
    def at(self) -> Index:
        """The indices of the wrong elements."""
        return np.nonzero(self.wrong)

    @cached_property
    def unit(self) -> float:
        """A number of which all wrong derivatives and the numerical ones there are multiples, or 0."""
        values = np.concatenate([self.claimed[self.at], self.numerical[self.at]])
        return _common_unit(values, np.tile(self.tolerance[self.at], 2))

    def fits(self, predicted: HostArray, allowed: HostArray) -> bool:
        """Return whether all claimed derivatives are as predicted; one wrong element is asked first."""
        first = tuple(indices[:1] for indices in self.at)
        if not np.all(np.abs(self.claimed[first] - predicted[first]) <= allowed[first]):
            return False
        return bool(np.all(np.abs(self.claimed - predicted) <= allowed))

    def odds(self, allowed: HostArray) -> HostArray:
        """Return the odds that the wrong elements agree with something else by chance."""
        return _coincidence(np.abs(self.difference[self.at]), allowed[self.at], self.unit)


@dataclass(frozen=True, eq=False)
class Search:
    """All arrays, those with wrong elements that nothing explains yet, and the numbers of terms to recognise."""

    arrays: Sequence[ArrayComparison]
    unexplained: Sequence[ArrayComparison]
    counts: Sequence[tuple[int, str]]


@dataclass(frozen=True, eq=False)
class Explanation:
    """A mistake that explains all that is wrong in one array: where in it, and what, in words."""

    array: ArrayComparison
    place: str
    says: str


Mistake = Callable[[Search], Iterator[Explanation]]
Places = Callable[[ArrayComparison], str]


def hints(
    comparisons: Sequence[Comparison], points: Sequence[HostArray | None] = (), unused: Sequence[bool] = ()
) -> tuple[str, ...]:
    """Name the mistakes that wrong derivatives look like, in at most three sentences, the most specific first.

    ``points`` are the elements of x, for each array, to recognise the derivative of a penalty; ``unused`` says for each
    array whether f is known not to change with it at all.

    Examples
    --------
    >>> import numpy as np
    >>> from anygrad.check.compare import Comparison
    >>> found = np.array([0.3, -1.7, 0.9])
    >>> hints([Comparison("x", 2 * found, found, np.full(3, 1e-9))])
    ('x: the claimed gradient is twice the numerical one: accumulated twice, or a factor 1/2 of f left out',)
    """
    with np.errstate(all="ignore"):
        given = zip_longest(comparisons, points, unused)
        arrays = [ArrayComparison.of(comparison, point, unused=bool(known)) for comparison, point, known in given]
        found = [finding for pair in zip(comparisons, arrays, strict=True) if (finding := _not_finite(*pair))]
        found += _explanations(arrays, [array for array in arrays if array.wrong.any()])
        return tuple(_sentences(found, len(arrays)))[:_MOST]


def _explanations(arrays: Sequence[ArrayComparison], unexplained: list[ArrayComparison]) -> Iterator[Explanation]:
    counts = _counts(arrays)
    yield from _recognised(_MISTAKES, arrays, unexplained, counts)
    blocks = [(array, *block) for array in unexplained if (block := _wrong_block(array)) is not None]
    parts = [part for _, part, _ in blocks]
    for finding in _recognised(_OF_A_PART, arrays, parts, counts):
        yield replace(finding, says=f"{finding.says}; the rest agrees")
    for array, part, filled in blocks:
        gaps = "[[" in part.name  # one of few lists of a vector's elements is no pattern
        if part in parts and filled and not gaps and np.count_nonzero(part.wrong) >= _BLOCK:
            others = "no others" if len(arrays) == 1 else f"no others of {array.name}"
            yield Explanation(part, part.name, f"all elements of this block are wrong, and {others}")


def _recognised(
    mistakes: Sequence[Mistake],
    arrays: Sequence[ArrayComparison],
    unexplained: list[ArrayComparison],
    counts: Sequence[tuple[int, str]],
) -> Iterator[Explanation]:
    for mistake in mistakes:
        for finding in list(mistake(Search(arrays, tuple(unexplained), counts))):
            unexplained.remove(finding.array)
            yield finding


_SMALLEST = 3  # terms of a mean: over two, the number is too common to be recognised


def _counts(arrays: Sequence[ArrayComparison]) -> list[tuple[int, str]]:
    words: dict[int, str] = {}
    for array in arrays:
        for axis, length in enumerate(array.claimed.shape):
            words.setdefault(length, f"the length of {array.name}" + f" along axis {axis}" * (array.claimed.ndim > 1))
    for array in arrays:
        words.setdefault(array.claimed.size, f"the number of elements of {array.name}")
    return [(length, f"{length} is {where}") for length, where in words.items() if length >= _SMALLEST]


def _sentences(found: Iterable[Explanation], total: int) -> Iterator[str]:
    places: dict[str, list[Explanation]] = {}
    for finding in found:
        places.setdefault(finding.says, []).append(finding)
    for says, findings in places.items():
        names = [finding.place for finding in findings]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        everywhere = 1 < total == len(names) and all(one.place == one.array.name for one in findings)
        yield f"{'all arrays' if everywhere else ', '.join(names[:_NAMED]) + more}: {says}"


# No derivatives

_NOT_READ = (
    "f does not change with it at all: it may read another array instead, such as the one that x is a copy of; let it "
    "use its argument, or pass the very array that it reads"
)
_NEVER_COMPUTED = (
    "the claimed gradient is 0 everywhere, where f is not flat: it was never computed, or not written into the array "
    "that is returned"
)
_LEFT_OUT = "the claimed gradient is 0 where f is not flat: elements were left out"


def _not_finite(comparison: Comparison, array: ArrayComparison) -> Explanation | None:
    claimed, numerical = np.atleast_1d(comparison.claimed), np.atleast_1d(comparison.numerical)
    affected = ~np.isfinite(claimed) & np.isfinite(numerical)
    if not affected.any():
        return None
    what = "NaN" if np.isnan(claimed[affected]).any() else "infinite"
    says = f"the claimed gradient is {what} where the numerical one is finite"
    return Explanation(array, _describe(array, affected, ~affected & ~np.isfinite(numerical)), says)


def never_computed(search: Search) -> Iterator[Explanation]:
    """Find zeros in the claim where f is not flat."""
    for array in search.unexplained:
        zero = array.claimed == 0
        if zero.all():
            yield Explanation(array, _describe(array, array.wrong, zero), _NEVER_COMPUTED)
        elif zero[array.wrong].all() and _is_unlikely(array.odds(np.zeros(zero.shape))):
            yield Explanation(array, _describe(array, array.wrong, zero), _LEFT_OUT)


def not_read(search: Search) -> Iterator[Explanation]:
    """Find arrays that f does not change with at all, though the claim says so."""
    for array in search.unexplained:
        if array.unused and np.all(array.claimed[array.at]) and _is_unlikely(array.odds(np.zeros(array.wrong.shape))):
            yield Explanation(array, array.name, _NOT_READ)


# A constant factor, and the complex conjugate

_ROUNDING = 8 * float(np.finfo(float).eps)
# Whole numbers are often multiples of each other; a common factor of all elements is worth naming all the same.
_LIKELY = 0.3
_AGREED = 3  # elements have to agree about an unknown factor, or the weight of a term
_KNOWN = 20.0  # times smaller than a factor is its error, if it is known
# Whole factors up to so many, the samples of a batch, are recognised if they are so close to one.
_COUNTED, _CLOSE = 1e6, 1e-2
_COMMON = (  # the first ones are the most common
    (2.0, "twice the numerical one: accumulated twice, or a factor 1/2 of f left out"),
    (0.5, "half the numerical one: a factor 2 left out, as of the derivative of a square, or one term of two"),
    (-1.0, "minus the numerical one: a wrong sign"),
)


def factor(search: Search) -> Iterator[Explanation]:
    """Find one factor by which all wrong elements are too large; small arrays are evidence only together."""
    common = list(_COMMON)
    for n, words in search.counts:
        common.append((1 / n, f"1/{n} of the numerical one, and {words}: a mean where f has a sum"))
        common.append((float(n), f"{n} times the numerical one, and {words}: a sum where f has a mean"))
    yield from _jointly_or_each(search.unexplained, partial(_diagnose_factor, common))


def _jointly_or_each(
    unexplained: Sequence[ArrayComparison], diagnose: Callable[[ArrayComparison], tuple[str, Places] | None]
) -> Iterator[Explanation]:
    together = diagnose(_join(unexplained)) if len(unexplained) > 1 else None
    for array in unexplained:
        diagnosis = together or diagnose(array)
        if diagnosis is not None:
            says, place = diagnosis
            yield Explanation(array, place(array), says)


def _join(arrays: Sequence[ArrayComparison]) -> ArrayComparison:
    def joined(name: str) -> HostArray:
        return np.concatenate([getattr(array, name).ravel() for array in arrays])

    point = joined("point") if all(array.point is not None for array in arrays) else None
    return ArrayComparison("", joined("claimed"), joined("numerical"), joined("tolerance"), point)


def _diagnose_factor(common: Sequence[tuple[float, str]], array: ArrayComparison) -> tuple[str, Places] | None:
    numerical, tolerance = array.numerical[array.at], array.tolerance[array.at]
    relative = np.where(numerical != 0, tolerance / np.abs(numerical), np.inf)
    best = int(np.argmin(relative))
    estimate = (array.claimed[array.at][best] / numerical[best]).item() if np.isfinite(relative[best]) else math.nan
    error = float(relative[best]) * max(1.0, abs(estimate)) + _ROUNDING * abs(estimate)
    if not math.isfinite(error) or not _has_factor(array, estimate, slack=2.0)[array.at].all():
        return None
    near = [
        (tries, value, says)
        for tries, (value, says) in enumerate(common, 1)
        if abs(value - estimate) <= error and _has_factor(array, value)[array.at].all()
    ]
    if len({value for _, value, _ in near}) == 1:
        tries, value, says = near[0]
        unaffected = _has_factor(array, value) & ~array.wrong
        odds, with_unit = _factor_odds(array, value)
        likely = _LIKELY if (array.wrong | unaffected).all() else _CHANCE
        if _is_unlikely(odds, tries=tries) and _is_unlikely(with_unit, tries=tries, chance=likely):
            return _at_factor(value, says)
    odds, _ = _factor_odds(array, estimate)
    if abs(estimate) > _KNOWN * error and odds.size >= _AGREED and _is_unlikely(odds, spare=1):
        return _at_factor(estimate, _describe_value(estimate, error))
    return None


def _at_factor(value: complex, says: str) -> tuple[str, Places]:
    def place(array: ArrayComparison) -> str:
        return _describe(array, array.wrong, _has_factor(array, value) & ~array.wrong)

    return f"the claimed gradient is {says}", place


def _has_factor(array: ArrayComparison, value: complex, slack: float = 1.0) -> HostArray:
    predicted = value * array.numerical
    allowed = array.tolerance * max(1.0, abs(value)) + _ROUNDING * np.abs(predicted)
    fits: HostArray = np.abs(array.claimed - predicted) <= slack * allowed
    return fits


def _factor_odds(array: ArrayComparison, value: complex) -> tuple[HostArray, HostArray]:
    numerical, tolerance = array.numerical[array.at], array.tolerance[array.at]
    apart = 4 * float(np.max(tolerance, initial=0.0))
    _, chosen = np.unique(np.round(numerical / apart) if apart > 0 else numerical, return_index=True)
    allowed = (tolerance * max(1.0, abs(value)) + _ROUNDING * np.abs(value * numerical))[chosen]
    distance = np.abs(array.difference[array.at])[chosen]
    return _coincidence(distance, allowed, 0.0), _coincidence(distance, allowed, array.unit)


def _describe_value(value: complex, error: float) -> str:
    whole, part = abs(value) > 1, abs(value) < 1
    times, uncertain = (1 / value, error / abs(value) ** 2) if part else (value, error)
    nearest = round(times.real) if abs(times) < _COUNTED else 0
    if nearest > 2 and uncertain < _CLOSE and abs(times - nearest) <= max(uncertain, _CLOSE * 1e-3):
        says = f"{nearest} times" if whole else f"1/{nearest} of"
        other = "a sum over as many for a mean" if whole else "a mean over as many for a sum"
        return f"{says} the numerical one: a constant factor, or {other}"
    return f"{_number(value, error)} times the numerical one: a constant factor"


def _number(value: complex, error: float) -> str:
    if abs(value.imag) <= error:
        value = value.real
    written = [f"{value:.{digits}g}" for digits in range(1, 7)]
    return next((text for text in written if abs(complex(text) - value) <= error), written[-1])


def conjugate(search: Search) -> Iterator[Explanation]:
    """Find complex derivatives that are conjugated."""
    for array in search.unexplained:
        fits = np.iscomplexobj(array.numerical) and array.fits(np.conj(array.numerical), array.tolerance)
        if fits and _is_unlikely(array.odds(array.tolerance)):
            yield Explanation(array, array.name, "the claimed gradient is the complex conjugate of the numerical one")


# The right numbers in other places


def swapped(search: Search) -> Iterator[Explanation]:
    """Find two arrays of one shape that have each other's gradient."""
    explained: list[ArrayComparison] = []
    for one, other in combinations(search.unexplained, 2):
        free = one not in explained and other not in explained
        if free and _is_gradient_of(one, other) and _is_gradient_of(other, one):
            explained += [one, other]
            says = "each has the gradient of the other: the two are swapped"
            yield Explanation(one, one.name, says)
            yield Explanation(other, other.name, says)


def copied(search: Search) -> Iterator[Explanation]:
    """Find an array that has the gradient of another one."""
    for array in search.unexplained:
        source = next((other for other in search.arrays if _is_gradient_of(array, other, len(search.arrays))), None)
        if source is not None:
            yield Explanation(array, array.name, f"the claimed gradient is the numerical one of {source.name}")


def _is_gradient_of(array: ArrayComparison, other: ArrayComparison, tries: int = 1) -> bool:
    if array is other or array.claimed.shape != other.claimed.shape:
        return False
    allowed = np.maximum(array.tolerance, other.tolerance)
    if not array.fits(other.numerical, allowed):
        return False
    return _is_unlikely(_moved_odds(array, other.numerical, allowed), tries=tries)


_AXES = 5  # more can be permuted in too many ways to try
_FORTRAN = "in another order of elements: raveled or reshaped in Fortran order, or transposed before a reshape"


def rearranged(search: Search) -> Iterator[Explanation]:
    """Find arrays whose elements are right, but in the wrong positions, or averaged with those there."""
    for array in search.unexplained:
        ways = list(_arrangements(array.claimed.shape))
        found = next((says for says, move in ways if _is_moved(array, move, len(ways))), None)
        if found is not None:
            yield Explanation(array, array.name, f"the claimed gradient is the numerical one {found}")


def _is_moved(array: ArrayComparison, move: Callable[[HostArray], HostArray], tries: int) -> bool:
    predicted, allowed = move(array.numerical), np.maximum(array.tolerance, move(array.tolerance))
    if not array.fits(predicted, allowed):
        return False
    # Some arrangement explains a single number among zeros, or the ends of a block.
    return _is_unlikely(_moved_odds(array, predicted, allowed), spare=1, tries=tries)


def _arrangements(shape: Sequence[int]) -> Iterator[tuple[str, Callable[[HostArray], HostArray]]]:
    axes = [axis for axis, length in enumerate(shape) if length > 1]
    if not axes or len(shape) > _AXES:
        return
    for one, other in combinations(axes, 2):
        if shape[one] == shape[other]:
            which = "" if len(shape) == 2 else f": its axes {one} and {other} are exchanged"
            yield f"transposed{which}", partial(np.swapaxes, axis1=one, axis2=other)
    for count in range(1, len(axes) + 1):
        for chosen in combinations(axes, count):
            along = f" along ax{'is' if count == 1 else 'es'} {', '.join(map(str, chosen))}" if len(shape) > 1 else ""
            yield f"reversed{along}", partial(np.flip, axis=chosen)
    if len(axes) > 1:
        yield _FORTRAN, lambda array: array.ravel(order="F").reshape(array.shape)
        yield _FORTRAN, lambda array: array.ravel().reshape(array.shape, order="F")
    if len(shape) == 2 and shape[0] == shape[1]:
        says = (
            "symmetrised: f reads one triangle of a matrix that is taken to be symmetric; check f of the triangle alone"
        )
        yield says, lambda array: (array + array.T) / 2
        yield says, lambda array: array + array.T
        yield says, lambda array: array + array.T - np.diag(np.diag(array))


# Terms that are missing, or that f does not have


def l2_term(search: Search) -> Iterator[Explanation]:
    """Find a multiple of x that is missing or extra: the derivative of an L2 penalty."""
    return _penalty(search, np.positive, "x: an L2 term (weight decay)")


def l1_term(search: Search) -> Iterator[Explanation]:
    """Find a multiple of the signs of x that is missing or extra: the derivative of an L1 penalty."""
    return _penalty(search, np.sign, "the sign of x: an L1 term")


def _penalty(search: Search, term: Callable[[HostArray], HostArray], words: str) -> Iterator[Explanation]:
    with_points = [array for array in search.unexplained if array.point is not None]
    return _jointly_or_each(with_points, partial(_multiple, term, words))


def _multiple(term: Callable[[HostArray], HostArray], words: str, array: ArrayComparison) -> tuple[str, Places] | None:
    assert array.point is not None
    at, terms = array.at, term(array.point)
    relative = np.where(terms[at] != 0, array.tolerance[at] / np.abs(terms[at]), np.inf)
    best = int(np.argmin(relative))
    error = float(relative[best])
    if not math.isfinite(error) or (terms[at] == terms[at][best]).all():  # that would be a constant
        return None
    weight = (array.difference[at][best] / terms[at][best]).item()
    allowed = array.tolerance + error * np.abs(terms)
    _, chosen = np.unique(array.point[at], return_index=True)
    odds = array.odds(allowed)[chosen]
    if not array.fits(array.numerical + weight * terms, allowed) or odds.size < _AGREED:
        return None
    missing = "missing" if weight.real < 0 else "extra"
    says = f"the claimed gradient is off by {_number(weight, error)} times {words} is {missing}"
    return (says, lambda one: one.name) if _is_unlikely(odds, spare=1) else None


def constant_term(search: Search) -> Iterator[Explanation]:
    """Find differences that are constant."""
    for array in search.unexplained:
        best = int(np.argmin(array.tolerance[array.at]))
        off, error = array.difference[array.at][best].item(), float(array.tolerance[array.at][best])
        allowed = array.tolerance + error
        odds = np.delete(array.odds(allowed), best)
        if array.wrong.size > 1 and array.fits(array.numerical + off, allowed) and _is_unlikely(odds):
            says = f"off by one constant, {_number(off, error)}: a constant term is missing or extra"
            yield Explanation(array, array.name, f"the claimed gradient is {says}")


# Chance

_CHANCE = 1e-4  # a pattern that appears by chance as often as this is not worth a hint
_SHARPEST = 1e-6  # no element is better evidence than this
_UNITS = (1.0, 0.5, 0.25, 0.1)  # of gradients of whole numbers, halves or tenths, as in many small examples
_CLEAR = 8.0  # times smaller than a unit are the errors of its multiples, if these are recognised


def _is_unlikely(odds: HostArray, *, spare: int = 0, tries: int = 1, chance: float = _CHANCE) -> bool:
    """Return whether numbers that agree by chance with these odds, each, would hardly all agree in one of some tries.

    ``spare`` of them have been used to find out what to compare with, and are no evidence.
    """
    information = np.sort(-np.log(np.clip(odds, _SHARPEST, 1.0)))
    return float(information[: information.size - spare].sum()) > math.log(tries / chance)


def _coincidence(distance: HostArray, allowed: HostArray, unit: float) -> HostArray:
    odds: HostArray = np.clip((allowed + unit) / (distance + unit), 0.0, 1.0)
    return odds


def _moved_odds(array: ArrayComparison, among: HostArray, allowed: HostArray) -> HostArray:
    """Return the odds that wrong elements equal others of an array by chance: many of these may be equal."""
    values, ordered, at = np.real(array.claimed[array.at]), np.sort(np.real(among), axis=None), array.at
    equal = np.searchsorted(ordered, values + allowed[at], side="right") - np.searchsorted(
        ordered, values - allowed[at]
    )
    share = np.clip(equal - 1, 0, None) / max(1, among.size - 1)
    odds: HostArray = np.maximum(array.odds(allowed), share)
    return odds


def _common_unit(values: HostArray, tolerance: HostArray) -> float:
    if np.iscomplexobj(values):
        values, tolerance = np.concatenate([values.real, values.imag]), np.concatenate([tolerance, tolerance])
    for unit in _UNITS:
        remainder = np.abs(values - unit * np.round(values / unit))
        if (tolerance < unit / _CLEAR).all() and (remainder <= tolerance).all():
            return unit
    return 0.0


# Blocks

_LISTED = 6  # more indices than this would make an unreadable list
_FEW = 3  # places at even distances
_BLOCK = 3  # wrong elements make a block


def _describe(array: ArrayComparison, affected: HostArray, indifferent: HostArray) -> str:
    if (affected | indifferent).all():
        return array.name
    for indices in _blocks(affected):
        if (affected | indifferent)[np.ix_(*indices)].all():
            return f"{array.name}[{_subscripts(indices, affected.shape)}]"
    first = np.unravel_index(int(np.argmax(affected)), affected.shape)
    count = int(np.count_nonzero(affected))
    return f"{count} of the {affected.size} elements of {array.name} (the first is [{', '.join(map(str, first))}])"


def _wrong_block(array: ArrayComparison) -> tuple[ArrayComparison, bool] | None:
    """Return the block that holds the wrong elements, if that is not the whole array, and whether all of it is wrong.

    Elements that are 0 on both sides are no exception: an activation may be off for them.
    """
    flat = (array.claimed == 0) & (np.abs(array.numerical) <= array.tolerance)
    filled = [indices for indices in _blocks(array.wrong) if (array.wrong | flat)[np.ix_(*indices)].all()]
    indices = filled[0] if filled else _blocks(array.wrong)[0]
    part = array.part(f"{array.name}[{_subscripts(indices, array.wrong.shape)}]", np.ix_(*indices))
    return (part, bool(filled)) if part.claimed.size < array.claimed.size else None


def _blocks(affected: HostArray) -> list[list[HostArray]]:
    axes = range(affected.ndim)
    own = [np.flatnonzero(affected.any(axis=tuple(other for other in axes if other != axis))) for axis in axes]
    whole = [np.arange(indices[0], indices[-1] + 1) for indices in own]
    return [indices for indices in (whole, own) if _subscripts(indices, affected.shape)]


def _subscripts(indices: Sequence[HostArray], shape: Sequence[int]) -> str:
    words = [_subscript(own, length) for own, length in zip(indices, shape, strict=True)]
    return ", ".join(words) if all(words) and sum("[" in word for word in words) < 2 else ""


def _subscript(indices: HostArray, length: int) -> str:
    start, stop = int(indices[0]), int(indices[-1]) + 1
    if indices.size == length:
        return ":"
    if indices.size == 1:
        return str(start)
    bounds = f"{start or ''}:{'' if stop == length else stop}"
    steps = np.unique(np.diff(indices))
    if steps.size == 1 and steps[0] == 1:
        return bounds
    if steps.size == 1 and indices.size >= _FEW:
        return f"{bounds}:{steps[0]}"
    return f"[{', '.join(map(str, indices))}]" if indices.size <= _LISTED else ""


# From the most specific mistake to the least. Mistakes of a part can also explain only the wrong part of an array.
_OF_A_PART: tuple[Mistake, ...] = (conjugate, rearranged, l2_term, l1_term, constant_term)
_MISTAKES: tuple[Mistake, ...] = (never_computed, not_read, swapped, factor, copied, *_OF_A_PART)
