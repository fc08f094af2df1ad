"""Hints: the common mistakes that a wrong gradient looks like."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations, permutations, zip_longest

import numpy as np

from anygrad.check.compare import Comparison
from anygrad.check.task import HostArray
from anygrad.check.wrong_elements import (
    ArrayComparison,
    Index,
    bounding_block,
    coincidence,
    describe,
    distinct,
    everywhere,
    find_block,
    frequency,
    join,
    log_odds,
    number,
    sample_of,
    unlikely,
)

_MOST = 3  # sentences: more would not help
_NAMED = 4  # arrays named for one mistake
_SMALLEST = 3  # terms of a mean: over two, the number is too common to be recognised
# The place of wrong elements is a fact, not a guess: a block is mentioned if they would seldom form one by chance.
_SELDOM = float(np.log(3e-3))


@dataclass(frozen=True)
class Count:
    """A number of terms that a sum or a mean in f may have, and where it comes from, in words."""

    number: int
    words: str


@dataclass(frozen=True, eq=False)
class Search:
    """All arrays, those with wrong elements that nothing explains yet, and the numbers of terms to recognise."""

    arrays: Sequence[ArrayComparison]
    unexplained: Sequence[ArrayComparison]
    counts: Sequence[Count]


@dataclass(frozen=True, eq=False)
class Explanation:
    """A mistake that explains all that is wrong in one array: where in it, and what, in words."""

    array: ArrayComparison
    place: str
    says: str


Mistake = Callable[[Search], Iterator[Explanation]]
# What a mistake is, in words, and what describes where it is in an array.
Diagnosis = tuple[str, Callable[[ArrayComparison], str]]
Diagnose = Callable[[ArrayComparison], Diagnosis | None]


def _jointly_or_each(unexplained: Sequence[ArrayComparison], diagnose: Diagnose) -> Iterator[Explanation]:
    """Look for a mistake with the same number in all arrays, as small ones are no evidence alone; or else in each."""
    together = diagnose(join(unexplained)) if len(unexplained) > 1 else None
    for array in unexplained:
        diagnosis = together or diagnose(array)
        if diagnosis is not None:
            says, place = diagnosis
            yield Explanation(array, place(array), says)


def hints(
    comparisons: Sequence[Comparison], points: Sequence[HostArray | None] = (), unused: Sequence[bool] = ()
) -> tuple[str, ...]:
    """Name the mistakes that wrong derivatives look like.

    A mistake is named only if it explains all wrong elements of an array, within the tolerance, and would hardly do so
    by chance. f is not called.

    Parameters
    ----------
    comparisons
        The arrays of the tree.
    points
        The elements of x, for each array, to recognise the derivative of a penalty; None where they are not known.
    unused
        Whether f is known not to change with the array at all, for each array.

    Returns
    -------
    tuple of str
        At most three sentences, the most specific first; none if nothing is wrong, or no known mistake fits.

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
        counts = _counts(arrays)
        found = [finding for pair in zip(comparisons, arrays, strict=True) if (finding := not_finite(*pair))]
        found += _explanations(arrays, [array for array in arrays if array.wrong.any()], counts)
        return tuple(_sentences(found, len(arrays)))[:_MOST]


def _explanations(
    arrays: Sequence[ArrayComparison], wrong: Sequence[ArrayComparison], counts: Sequence[Count]
) -> Iterator[Explanation]:
    """Find a mistake for each array, or else for the part of it that is wrong, or else say which part that is."""
    unexplained = list(wrong)
    yield from _recognised(_MISTAKES, arrays, unexplained, counts)
    parts = [part for array in unexplained if (part := _part(array)) is not None]
    unrecognised = [part.array for part in parts]
    for finding in _recognised(_OF_A_PART, arrays, unrecognised, counts):
        yield replace(finding, says=f"{finding.says}; the rest agrees")
    for part in parts:
        if part.filled and part.array in unrecognised:
            others = "no others" if len(arrays) == 1 else f"no others of {part.whole}"
            yield Explanation(part.array, part.array.name, f"all elements of this block are wrong, and {others}")


def _recognised(
    mistakes: Sequence[Mistake],
    arrays: Sequence[ArrayComparison],
    unexplained: list[ArrayComparison],
    counts: Sequence[Count],
) -> Iterator[Explanation]:
    """Look for one mistake after the other, and remove what they explain from ``unexplained``."""
    for mistake in mistakes:
        for finding in list(mistake(Search(arrays, tuple(unexplained), counts))):
            unexplained.remove(finding.array)
            yield finding


@dataclass(frozen=True, eq=False)
class Part:
    """A part of an array that holds all wrong elements, and whether it is filled with them, which is hardly chance."""

    whole: str
    array: ArrayComparison
    filled: bool


def _part(array: ArrayComparison) -> Part | None:
    """Return the part of an array that holds the wrong elements, if that is not all of it."""
    flat = ~array.wrong & (array.claimed == 0) & (np.abs(array.numerical) <= array.tolerance)
    full = find_block(array.wrong, array.wrong | flat)
    filled = full is not None and log_odds(array.wrong, flat, full) < _SELDOM
    region = full if full is not None and filled else bounding_block(array.wrong)
    part = array.part(f"{array.name}[{region.words}]", region.index)
    return Part(array.name, part, filled) if part.claimed.size < array.claimed.size else None


def _counts(arrays: Sequence[ArrayComparison]) -> list[Count]:
    """Return the numbers of terms that a sum or a mean in f may have, each once."""
    words: dict[int, str] = {}
    for array in arrays:
        for axis, length in enumerate(array.claimed.shape):
            words.setdefault(length, f"the length of {array.name}" + f" along axis {axis}" * (array.claimed.ndim > 1))
    for array in arrays:
        words.setdefault(array.claimed.size, f"the number of elements of {array.name}")
    return [Count(length, where) for length, where in words.items() if length >= _SMALLEST]


def _sentences(found: Iterable[Explanation], total: int) -> Iterator[str]:
    """Name each mistake once, for all arrays that have it."""
    places: dict[str, list[str]] = {}
    whole: dict[str, int] = {}
    for finding in found:
        places.setdefault(finding.says, []).append(finding.place)
        whole[finding.says] = whole.get(finding.says, 0) + (finding.place == finding.array.name)
    for says, names in places.items():
        if 1 < total == whole[says]:
            yield f"all arrays: {says}"
        elif len(names) > _NAMED:
            yield f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more: {says}"
        else:
            yield f"{', '.join(names)}: {says}"


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


def not_finite(comparison: Comparison, array: ArrayComparison) -> Explanation | None:
    """Find NaN or infinity in the claim where f has a finite derivative."""
    claimed, numerical = np.atleast_1d(comparison.claimed), np.atleast_1d(comparison.numerical)
    affected = ~np.isfinite(claimed) & np.isfinite(numerical)
    if not affected.any():
        return None
    what = "NaN" if np.isnan(claimed[affected]).any() else "infinite"
    says = f"the claimed gradient is {what} where the numerical one is finite"
    return Explanation(array, describe(array, affected, ~affected & ~np.isfinite(numerical)), says)


def never_computed(search: Search) -> Iterator[Explanation]:
    """Find zeros in the claim where f is not flat."""
    for array in search.unexplained:
        zero = array.claimed == 0
        if not zero[array.sample].all() or not zero[array.wrong].all():
            continue
        if zero.all():
            yield Explanation(array, describe(array, array.wrong, zero), _NEVER_COMPUTED)
            continue
        size = np.abs(array.numerical[array.sample])
        if unlikely(coincidence(size, np.zeros_like(size), array.unit)):
            yield Explanation(array, describe(array, array.wrong, zero), _LEFT_OUT)


def not_read(search: Search) -> Iterator[Explanation]:
    """Find arrays that f does not change with at all, though the claim says so."""
    for array in search.unexplained:
        size = np.abs(array.claimed[array.sample])
        if not array.unused or not np.all(size):
            continue
        if unlikely(coincidence(size, np.zeros_like(size), array.unit)):
            yield Explanation(array, array.name, _NOT_READ)


# A constant factor, and the complex conjugate

_ROUNDING = 8 * float(np.finfo(float).eps)
# Whole numbers are often multiples of each other; a common factor of all elements is worth naming all the same.
_LIKELY = 0.3
# So many elements have to agree about an unknown factor, or the weight of a term.
_AGREED = 3
# A factor is known if its error is so many times smaller.
_KNOWN = 20.0
# Whole factors up to so many, the samples of a batch, are recognised if they are so close to one.
_COUNTED = 1e6
_CLOSE = 1e-2


@dataclass(frozen=True)
class Factor:
    """A factor, and how it is described."""

    value: complex
    says: str


def factor(search: Search) -> Iterator[Explanation]:
    """Find one factor by which all wrong elements are too large."""
    common = [*_COMMON, *_factors_of(search.counts)]
    yield from _jointly_or_each(search.unexplained, partial(_diagnose_factor, common))


def conjugate(search: Search) -> Iterator[Explanation]:
    """Find complex derivatives that are conjugated."""
    for array in search.unexplained:
        conjugated = np.conj(array.numerical)
        if not np.iscomplexobj(array.numerical) or not array.fits(conjugated, array.tolerance):
            continue
        at = array.sample
        if unlikely(coincidence(np.abs(array.difference[at]), array.tolerance[at], array.unit)):
            yield Explanation(array, array.name, "the claimed gradient is the complex conjugate of the numerical one")


def _diagnose_factor(common: Sequence[Factor], array: ArrayComparison) -> Diagnosis | None:
    found = _find_factor(array, common)
    if found is None:
        return None
    place = lambda one: describe(one, one.wrong, _unaffected(one, found.value))  # noqa: E731
    return f"the claimed gradient is {found.says}", place


def _find_factor(array: ArrayComparison, common: Sequence[Factor]) -> Factor | None:
    """Return the one factor that explains all wrong elements, if there is one."""
    at = array.sample
    sizes = np.abs(array.numerical[at])
    relative = np.where(sizes > 0, array.tolerance[at] / sizes, np.inf)
    best = int(np.argmin(relative))
    if not np.isfinite(relative[best]):
        return None
    estimate = (array.claimed[at][best] / array.numerical[at][best]).item()
    error = float(relative[best]) * max(1.0, abs(estimate)) + _ROUNDING * abs(estimate)
    if not math.isfinite(error) or not _factor_fits(array, estimate, spread=2.0):
        return None
    near = [
        (tries, known)
        for tries, known in enumerate(common, 1)
        if abs(known.value - estimate) <= error and _factor_fits(array, known.value)
    ]
    if len({known.value for _, known in near}) == 1 and _is_no_chance(array, near[0][1].value, tries=near[0][0]):
        return near[0][1]
    _, odds = _odds(array, estimate)
    if abs(estimate) > _KNOWN * error and odds.size >= _AGREED and unlikely(odds, spare=1):
        return Factor(estimate, _describe_value(estimate, error))
    return None


def _describe_value(value: complex, error: float) -> str:
    """Describe a factor: a whole number, or one divided by it, comes from a sum or a mean."""
    if _is_whole(value, error):
        return f"{round(value.real)} times the numerical one: a constant factor, or a sum over as many for a mean"
    if _is_whole(1 / value, error / abs(value) ** 2):
        parts = round((1 / value).real)
        return f"1/{parts} of the numerical one: a constant factor, or a mean over as many for a sum"
    return f"{number(value, error)} times the numerical one: a constant factor"


def _is_whole(value: complex, error: float) -> bool:
    """Return whether this is a whole number above 2, so certain that it can be no other."""
    nearest = round(value.real) if abs(value) < _COUNTED else 0
    return nearest > 2 and error < _CLOSE and abs(value - nearest) <= max(error, _CLOSE * 1e-3)


def _factor_fits(array: ArrayComparison, value: complex, spread: float = 1.0) -> bool:
    """Return whether all wrong elements are this many times too large."""
    for at in (array.sample, array.wrong):
        predicted = value * array.numerical[at]
        allowed = _allowed(array.tolerance[at], predicted, value)
        if not (np.abs(array.claimed[at] - predicted) <= spread * allowed).all():
            return False
    return True


def _allowed(tolerance: HostArray, predicted: HostArray, value: complex) -> HostArray:
    allowed: HostArray = tolerance * max(1.0, abs(value)) + _ROUNDING * np.abs(predicted)
    return allowed


def _is_no_chance(array: ArrayComparison, value: complex, tries: int) -> bool:
    """Return whether the elements are too many, or too exact, to have the factor by chance."""
    odds, with_unit = _odds(array, value)
    if not unlikely(odds, tries=tries):
        return False
    everywhere_alike = bool((array.wrong | _unaffected(array, value)).all())
    return unlikely(with_unit, tries=tries) or (everywhere_alike and unlikely(with_unit, tries=tries, chance=_LIKELY))


def _odds(array: ArrayComparison, value: complex) -> tuple[HostArray, HostArray]:
    """Return the odds of distinct elements to have the factor by chance, without and with their common unit."""
    at = array.sample
    numerical, tolerance, distance = array.numerical[at], array.tolerance[at], np.abs(array.difference[at])
    chosen = distinct(numerical, tolerance)
    allowed = _allowed(tolerance, value * numerical, value)[chosen]
    return coincidence(distance[chosen], allowed, 0.0), coincidence(distance[chosen], allowed, array.unit)


def _unaffected(array: ArrayComparison, value: complex) -> HostArray:
    """Return where the claim agrees, and would agree with the factor, too."""
    predicted = value * array.numerical
    fits: HostArray = np.abs(array.claimed - predicted) <= _allowed(array.tolerance, predicted, value)
    return fits & ~array.wrong


# The first ones are the most common.
_COMMON = (
    Factor(2.0, "twice the numerical one: accumulated twice, or a factor 1/2 of f left out"),
    Factor(0.5, "half the numerical one: a factor 2 left out, as of the derivative of a square, or one term of two"),
    Factor(-1.0, "minus the numerical one: a wrong sign"),
)


def _factors_of(counts: Sequence[Count]) -> Iterator[Factor]:
    """Return the factors due to a sum for a mean, and the reverse."""
    for count in counts:
        n, words = count.number, f"{count.number} is {count.words}"
        yield Factor(1 / n, f"1/{n} of the numerical one, and {words}: a mean where f has a sum")
        yield Factor(float(n), f"{n} times the numerical one, and {words}: a sum where f has a mean")
    for count in counts:
        n, words = count.number, f"{count.number} is {count.words}"
        yield Factor(1 / math.sqrt(n), f"1/sqrt({n}) of the numerical one, and {words}")
        yield Factor(math.sqrt(n), f"sqrt({n}) times the numerical one, and {words}")


# The gradient with respect to another array


def swapped(search: Search) -> Iterator[Explanation]:
    """Find two arrays of one shape that have each other's gradient."""
    explained: list[ArrayComparison] = []
    for one, other in combinations(search.unexplained, 2):
        if (
            one not in explained
            and other not in explained
            and _is_gradient_of(one, other)
            and _is_gradient_of(other, one)
        ):
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
    """Return whether the claim for one array is the numerical gradient of the other."""
    if array is other or array.claimed.shape != other.claimed.shape:
        return False
    at = array.first  # one wrong element first: there may be many pairs of arrays
    if not abs(array.claimed[at] - other.numerical[at]) <= max(array.tolerance[at], other.tolerance[at]):
        return False
    allowed = np.maximum(array.tolerance, other.tolerance)
    if not array.fits(other.numerical, allowed):
        return False
    at = array.sample
    odds = np.maximum(
        coincidence(np.abs(array.difference[at]), allowed[at], array.unit),
        frequency(array.claimed[at], other.numerical, allowed[at]),
    )
    return unlikely(odds, tries=tries)


# The right numbers in other places

_AXES = 5  # more can be permuted in too many ways to try


@dataclass(frozen=True)
class Arrangement:
    """A way to move elements, and how it is described."""

    says: str
    move: Callable[[HostArray], HostArray]


def rearranged(search: Search) -> Iterator[Explanation]:
    """Find arrays whose elements are right, but in the wrong positions."""
    for array in search.unexplained:
        arrangements = list(_arrangements(array.claimed.shape))
        found = next((way for way in arrangements if _is_moved(array, way.move, len(arrangements))), None)
        if found is not None:
            yield Explanation(array, array.name, f"the claimed gradient is the numerical one {found.says}")


def _is_moved(array: ArrayComparison, move: Callable[[HostArray], HostArray], tries: int) -> bool:
    """Return whether the claim is the moved numerical gradient, and hardly by chance."""
    at = array.sample
    numerical, tolerance = move(array.numerical), move(array.tolerance)
    allowed = np.maximum(array.tolerance[at], tolerance[at])
    if not (np.abs(array.claimed[at] - numerical[at]) <= allowed).all():
        return False
    if not array.fits(numerical, np.maximum(array.tolerance, tolerance)):
        return False
    # Some arrangement explains a single number among zeros, or the ends of a block.
    return unlikely(_moved_odds(array, at, allowed), spare=1, tries=tries)


def _moved_odds(array: ArrayComparison, at: Index, allowed: HostArray) -> HostArray:
    """Return the odds that wrong elements equal others of the array by chance."""
    odds: HostArray = np.maximum(
        coincidence(np.abs(array.difference[at]), allowed, array.unit),
        frequency(array.claimed[at], array.numerical, allowed),
    )
    return odds


def _arrangements(shape: Sequence[int]) -> Iterator[Arrangement]:
    axes = [axis for axis, length in enumerate(shape) if length > 1]
    if not axes or len(shape) > _AXES:
        return
    if len(axes) > 1:
        yield from _permuted(shape)
    yield from _reversed(axes, len(shape))
    if len(axes) > 1:
        yield Arrangement(_FORTRAN, lambda array: array.ravel(order="F").reshape(array.shape))
        yield Arrangement(_FORTRAN, lambda array: array.ravel().reshape(array.shape, order="F"))


def _permuted(shape: Sequence[int]) -> Iterator[Arrangement]:
    """Yield the permutations of axes that keep the shape, those that exchange two axes first."""
    order = list(range(len(shape)))
    kept = [way for way in permutations(order) if [shape[axis] for axis in way] == list(shape) and list(way) != order]
    for way in sorted(kept, key=lambda way: sum(axis != position for position, axis in enumerate(way))):
        yield Arrangement(_permutation(way), partial(np.transpose, axes=way))


def _permutation(way: Sequence[int]) -> str:
    moved = [position for position, axis in enumerate(way) if axis != position]
    if len(way) == 2:
        return "transposed"
    if len(moved) == 2:
        return f"transposed: its axes {moved[0]} and {moved[1]} are exchanged"
    return f"transposed: its axes are in the order {tuple(way)}"


def _reversed(axes: Sequence[int], ndim: int) -> Iterator[Arrangement]:
    for count in range(1, len(axes) + 1):
        for chosen in combinations(axes, count):
            along = f" along ax{'is' if count == 1 else 'es'} {', '.join(map(str, chosen))}" if ndim > 1 else ""
            yield Arrangement(f"reversed{along}", partial(np.flip, axis=chosen))


_FORTRAN = "in another order of elements: raveled or reshaped in Fortran order, or transposed before a reshape"


# The right numbers some places away

_TRIED = 8  # distances
_SEEN = 1000  # elements that equal the largest wrong one
_SHORTEST = 3  # axis: a shift needs elements that move, and elements that they come from


@dataclass(frozen=True)
class Shift:
    """A move of elements along an axis, ``by`` places towards higher indices, and what fills the places left."""

    axis: int
    by: int
    filling: str

    def __call__(self, array: HostArray) -> HostArray:
        """Return a shifted array."""
        moved = np.roll(array, self.by, self.axis)
        if self.filling == _WRAPPED:
            return moved
        axes, first = (slice(None),) * self.axis, self.by > 0
        left = (*axes, slice(None, self.by) if first else slice(self.by, None))
        if self.filling == _ZERO:
            moved[left] = 0
        elif self.filling == _REPEATED:
            moved[left] = array[(*axes, slice(None, 1) if first else slice(-1, None))]
        else:
            moved[left] = array[left]
        return moved


_WRAPPED = "around the end"
_ZERO = "with zeros in the places left"
_REPEATED = "with the edge repeated"
_KEPT = "and the places left are as they were"
_FILLINGS = (_WRAPPED, _ZERO, _REPEATED, _KEPT)


def shifted(search: Search) -> Iterator[Explanation]:
    """Find arrays whose elements are shifted."""
    for array in search.unexplained:
        found = _find_shift(array)
        if found is not None:
            yield Explanation(array, array.name, found)


def _find_shift(array: ArrayComparison) -> str | None:
    shape = array.claimed.shape
    for axis in range(len(shape)):
        shift = _shift_along(array, axis)
        if shift is not None:
            return _describe_shift(shift, f" along axis {axis}" if len(shape) > 1 else "")
    shift = _shift_along(join([array]), 0) if len(shape) > 1 else None
    return None if shift is None else _describe_shift(shift, " in the order of its elements in memory")


def _describe_shift(shift: Shift, along: str) -> str:
    return (
        f"the claimed gradient is the numerical one shifted by {shift.by}{along}, {shift.filling}: "
        f"an index is off by {abs(shift.by)}"
    )


def _shift_along(array: ArrayComparison, axis: int) -> Shift | None:
    if array.claimed.shape[axis] < _SHORTEST:
        return None
    for by in _distances(array, axis):
        if not _overlaps(array, axis, by):
            continue
        for shift in (Shift(axis, by, filling) for filling in _FILLINGS):
            if array.fits(shift(array.numerical), np.maximum(array.tolerance, shift(array.tolerance))):
                return shift
    return None


def _distances(array: ArrayComparison, axis: int) -> list[int]:
    """Return the likely distances: 1, or that of an equal of the largest wrong element."""
    length = array.claimed.shape[axis]
    sizes = np.abs(array.claimed[array.sample])
    largest = tuple(int(indices[np.argmax(sizes)]) for indices in array.sample)
    line: Index = (*largest[:axis], slice(None), *largest[axis + 1 :])
    allowed = np.maximum(array.tolerance[line], array.tolerance[largest])
    sources = np.flatnonzero(np.abs(array.numerical[line] - array.claimed[largest]) <= allowed)
    nearest = sorted((largest[axis] - int(source) for source in sources[:_SEEN]), key=abs)
    around = [by - length if by > 0 else by + length for by in nearest]
    ways = sorted({1, -1, *nearest, *around} - {0}, key=lambda by: (abs(by), -by))
    return ways[:_TRIED]


def _overlaps(array: ArrayComparison, axis: int, by: int) -> bool:
    """Return whether wrong elements equal those they would have come from, and hardly by chance."""
    source = array.sample[axis] - by
    inside = (source >= 0) & (source < array.claimed.shape[axis])
    at = tuple(indices[inside] for indices in array.sample)
    origin = (*at[:axis], source[inside], *at[axis + 1 :])
    allowed = np.maximum(array.tolerance[at], array.tolerance[origin])
    if not (np.abs(array.claimed[at] - array.numerical[origin]) <= allowed).all():
        return False
    return unlikely(_moved_odds(array, at, allowed), spare=1, tries=_TRIED)


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


def _multiple(term: Callable[[HostArray], HostArray], words: str, array: ArrayComparison) -> Diagnosis | None:
    """Return a diagnosis if all differences are a multiple of one term."""
    assert array.point is not None
    at, terms = array.sample, term(array.point)
    relative = np.where(terms[at] != 0, array.tolerance[at] / np.abs(terms[at]), np.inf)
    best = int(np.argmin(relative))
    error = float(relative[best])
    if not math.isfinite(error) or (terms[at] == terms[at][best]).all():  # that would be a constant
        return None
    weight = (array.difference[at][best] / terms[at][best]).item()
    predicted = array.numerical + weight * terms
    allowed = array.tolerance + error * np.abs(terms)
    chosen = distinct(array.point[at], np.zeros(1))
    odds = coincidence(np.abs(array.difference[at]), allowed[at], array.unit)[chosen]
    if not array.fits(predicted, allowed) or odds.size < _AGREED or not unlikely(odds, spare=1):
        return None
    missing = "missing" if weight.real < 0 else "extra"
    says = f"the claimed gradient is off by {number(weight, error)} times {words} is {missing}"
    return says, everywhere


def constant_term(search: Search) -> Iterator[Explanation]:
    """Find differences that are constant along axes."""
    for array in search.unexplained:
        long = [axis for axis, length in enumerate(array.claimed.shape) if length > 1]
        axes = [axis for axis in long if _is_constant(array, axis)]
        if axes:
            yield Explanation(array, array.name, _describe_constant(array, axes, long))


def _is_constant(array: ArrayComparison, axis: int) -> bool:
    """Return whether the differences are constant along an axis, and hardly by chance."""
    best = np.expand_dims(np.argmin(array.tolerance, axis=axis), axis)
    reference = np.take_along_axis(array.difference, best, axis)
    allowed = array.tolerance + np.take_along_axis(array.tolerance, best, axis)
    if not array.fits(array.numerical + reference, allowed):
        return False
    others = array.wrong.copy()
    np.put_along_axis(others, best, False, axis)
    at = sample_of(others)
    return unlikely(coincidence(np.abs(array.difference[at]), allowed[at], array.unit))


def _describe_constant(array: ArrayComparison, axes: Sequence[int], long: Sequence[int]) -> str:
    if len(axes) == len(long):
        at = array.first
        off = number(array.difference[at].item(), float(array.tolerance[at]))
        return f"the claimed gradient is off by one constant, {off}: a constant term is missing or extra"
    if array.claimed.ndim == 2:
        line = ("column", "row")[axes[0]]
        return (
            f"the claimed gradient is off by a constant per {line}: a term is missing or extra that is constant there"
        )
    along = ", ".join(map(str, axes))
    return (
        f"the claimed gradient is off by what is constant along {'axis' if len(axes) == 1 else 'axes'} {along}: "
        "such a term is missing or extra"
    )


# From the most specific mistake to the least. Mistakes of a part can also explain only the wrong part of an array.
_OF_A_PART: tuple[Mistake, ...] = (conjugate, rearranged, shifted, l2_term, l1_term, constant_term)
_MISTAKES: tuple[Mistake, ...] = (never_computed, not_read, swapped, factor, copied, *_OF_A_PART)
