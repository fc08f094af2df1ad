"""Hints: the common mistakes that a wrong gradient looks like.

Each mistake predicts what it would have made of the numerical derivatives. It is named only if its prediction fits all
wrong elements of an array, within the tolerance, and would hardly do so by chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, zip_longest

import numpy as np

from anygrad._typing import HostArray
from anygrad.check.compare import Comparison
from anygrad.problem.tree import listed

_MOST = 3  # sentences: more would not help
_CHANCE = 1e-4  # a pattern that appears by chance as often as this is not worth a hint
_SHARPEST = 1e-6  # no element is better evidence than this
_UNITS = (1.0, 0.5, 0.25, 0.1)  # of gradients of whole numbers, halves or tenths, as in many small examples
_CLEAR = 8.0  # times smaller than a unit are the errors of its multiples, if these are recognised
_ROUNDING = 8 * float(np.finfo(float).eps)


@dataclass(frozen=True, eq=False)
class Prediction:
    """The derivatives that a mistake would have turned the numerical ones into."""

    says: str  # names the mistake
    # Returns the claim that the mistake would give, and how far off that may be.
    predict: Callable[[Comparison], tuple[HostArray, HostArray]]
    spare: int = 0  # elements that an unknown number was found from: they are no evidence
    tries: int = 1  # predictions that were tried beside this one
    anywhere: bool = False  # whether the mistake may have been made in some elements only
    chance: float = _CHANCE  # how often it may fit by chance if it explains a whole array
    any_number: bool = False  # whether whole numbers are as good evidence as others
    distinct: bool = True  # whether elements that are alike on both sides are evidence only once

    def explains(self, array: Comparison) -> bool:
        """Return whether the prediction fits, and would hardly do so by chance."""
        predicted, allowed = self.predict(array)
        fits, wrong = np.abs(array.claimed - predicted) <= allowed, array.wrong
        if not np.all(fits[wrong] if self.anywhere else fits):
            return False
        unit = 0.0 if self.any_number else _unit(array)
        chosen = np.arange(np.count_nonzero(wrong))
        if self.distinct:
            apart = 4 * float(np.max(allowed[wrong])) or _SHARPEST * float(np.max(array.difference[wrong]))
            pairs = np.stack([array.numerical[wrong], array.claimed[wrong]]) / apart
            _, chosen = np.unique(np.round(pairs), axis=1, return_index=True)
        distance = array.difference[wrong][chosen]
        odds = np.clip((allowed[wrong][chosen] + unit) / (distance + unit), _SHARPEST, 1.0)
        information = np.sort(-np.log(odds))[: max(0, odds.size - self.spare)]
        return float(np.sum(information)) > math.log(self.tries / (self.chance if np.all(fits) else _CHANCE))

    def place(self, array: Comparison) -> str:
        """Return where in an array the mistake was made, in words; elements that it leaves as they are do not count."""
        predicted, allowed = self.predict(array)
        fits = np.abs(array.claimed - predicted) <= allowed
        return _describe(array, array.wrong, fits & ~array.wrong)


# A mistake yields its predictions for one array, which may have to do with the other arrays.
Mistake = Callable[[Comparison, Sequence[Comparison]], Iterator[Prediction]]
# Where in the arrays a mistake was made, and what it is, in words.
Explanation = tuple[str, str]


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
    ('x: the claimed gradient is twice the numerical one: accumulated twice, or a factor of 1/2 in f left out',)
    """
    with np.errstate(all="ignore"):
        found: list[Explanation] = []
        arrays: list[Comparison] = []
        unexplained: list[Comparison] = []
        for comparison, point, known in zip_longest(comparisons, points, unused):
            array = _comparable(comparison, point)
            arrays.append(array)
            found += _not_finite(comparison, array)
            if known and array.wrong.any() and array.claimed.any():
                found.append((array.name, _NOT_READ))
            elif array.wrong.any():
                unexplained.append(array)
        found += _explanations(arrays, unexplained)
    places: dict[str, list[str]] = {}
    for place, says in found:
        places.setdefault(says, []).append(place)
    every = [array.name for array in arrays] if len(arrays) > 1 else []
    named = [(says, "all arrays" if where == every else listed(where)) for says, where in places.items()]
    return tuple(f"{where}: {says}" for says, where in named[:_MOST])


def _comparable(one: Comparison, point: HostArray | None) -> Comparison:
    """Return a comparison of one dimension or more, whose elements fit every pattern if they are not finite."""
    claimed, numerical, tolerance = map(np.atleast_1d, (one.claimed, one.numerical, one.tolerance))
    finite = np.isfinite(claimed) & np.isfinite(numerical) & np.isfinite(tolerance)
    return Comparison(
        one.name,
        np.where(finite, claimed, 0.0),
        np.where(finite, numerical, 0.0),
        np.where(finite, tolerance, np.inf),
        None if point is None or np.iscomplexobj(point) else np.atleast_1d(np.asarray(point, float)),
    )


def _joined(arrays: Sequence[Comparison]) -> Comparison:
    points = [array.point.ravel() for array in arrays if array.point is not None]
    return Comparison(
        "",
        np.concatenate([array.claimed.ravel() for array in arrays]),
        np.concatenate([array.numerical.ravel() for array in arrays]),
        np.concatenate([array.tolerance.ravel() for array in arrays]),
        np.concatenate(points) if len(points) == len(arrays) else None,
    )


def _unit(array: Comparison) -> float:
    """Return a common divisor of all wrong derivatives and the numerical ones beside them, or 0."""
    values = np.concatenate([array.claimed[array.wrong], array.numerical[array.wrong]])
    values = np.concatenate([values.real, values.imag])
    tolerance = np.tile(array.tolerance[array.wrong], 4)
    for unit in _UNITS:
        remainder = np.abs(values - unit * np.round(values / unit))
        if np.all(tolerance < unit / _CLEAR) and np.all(remainder <= tolerance):
            return unit
    return 0.0


def _explanations(arrays: Sequence[Comparison], unexplained: list[Comparison]) -> Iterator[Explanation]:
    for mistake in _MISTAKES:
        together = None
        if mistake in _OF_ALL and len(unexplained) > 1:  # small arrays are evidence only together
            together = _recognised(mistake, _joined(unexplained), arrays)
        for array in list(unexplained):
            if prediction := together or _recognised(mistake, array, arrays):
                unexplained.remove(array)
                yield prediction.place(array), f"the claimed gradient is {prediction.says}"
    for array in unexplained:
        yield from _wrong_block(array, arrays)


def _recognised(mistake: Mistake, array: Comparison, arrays: Sequence[Comparison]) -> Prediction | None:
    return next((prediction for prediction in mistake(array, arrays) if prediction.explains(array)), None)


# No derivatives

_NOT_READ = (
    "f does not depend on it at all, and may read another array instead, such as the original that x is a copy of: let"
    " f use its argument, or pass the array that it reads"
)
_NEVER_COMPUTED = (
    "0 everywhere, although f changes: it was never computed, or not written to the array that is returned"
)
_LEFT_OUT = "0 where f changes: elements were left out"


def _not_finite(comparison: Comparison, array: Comparison) -> Iterator[Explanation]:
    claimed, numerical = np.atleast_1d(comparison.claimed), np.atleast_1d(comparison.numerical)
    affected = ~np.isfinite(claimed) & np.isfinite(numerical)
    if affected.any():
        what = "NaN" if np.isnan(claimed[affected]).any() else "infinite"
        says = f"the claimed gradient is {what} where the numerical one is finite"
        yield _describe(array, affected, ~affected & ~np.isfinite(numerical)), says


def zeros(array: Comparison, arrays: Sequence[Comparison]) -> Iterator[Prediction]:
    """Predict zeros in the claim where f is not flat."""

    def predict(array: Comparison) -> tuple[HostArray, HostArray]:
        nothing = np.zeros(array.claimed.shape)
        return nothing, nothing

    everywhere = not array.claimed.any()
    says, chance = (_NEVER_COMPUTED, 1.0) if everywhere else (_LEFT_OUT, _CHANCE)
    yield Prediction(says, predict, anywhere=True, chance=chance)


# A number that the claim is too large by

# Whole numbers are often multiples of each other; a common factor of all elements is worth naming all the same.
_LIKELY = 0.3
_KNOWN = 20.0  # times smaller than a factor is its error, if it is known
# Whole factors up to so many, the samples of a batch, are recognised if they are so close to one.
_COUNTED, _CLOSE = 1e6, 1e-2
_SMALLEST = 3  # terms of a mean: over two, the number is too common to be recognised
_COMMON = (  # the first ones are the most common
    (2.0, "twice the numerical one: accumulated twice, or a factor of 1/2 in f left out"),
    (0.5, "half the numerical one: a factor of 2 left out, as in the derivative of a square, or one of two terms"),
    (-1.0, "minus the numerical one: a wrong sign"),
)


def factor(array: Comparison, arrays: Sequence[Comparison]) -> Iterator[Prediction]:
    """Predict one factor for all wrong elements: a common one, one of means and sums, or any other."""
    value, error = _quotient(array.claimed, array.numerical, array)
    error = error * max(1.0, abs(value)) + _ROUNDING * abs(value)
    common = list(enumerate((*_COMMON, *_of_means(arrays)), 1))
    near = [(tries, known, says) for tries, (known, says) in common if abs(known - value) <= error]
    if len(near) == 1:
        tries, known, says = near[0]
        chance = _LIKELY if _unit(array) else _CHANCE
        yield Prediction(says, partial(_times, known), tries=tries, anywhere=True, chance=chance)
    if value and abs(value) > _KNOWN * error:  # one element has told the factor, and one is too little to confirm it
        yield Prediction(_say_factor(value, error), partial(_times, value), spare=2, anywhere=True, any_number=True)


def _times(value: complex, array: Comparison) -> tuple[HostArray, HostArray]:
    predicted = value * array.numerical
    return predicted, array.tolerance * max(1.0, abs(value)) + _ROUNDING * np.abs(predicted)


def _quotient(of: HostArray, by: HostArray, array: Comparison) -> tuple[complex, float]:
    """Return the quotient of two arrays at the wrong element where it is known best, and its error."""
    divisor = by[array.wrong]
    errors = np.where(divisor != 0, array.tolerance[array.wrong] / np.abs(divisor), np.inf)
    best = int(np.argmin(errors))
    return (of[array.wrong][best] / divisor[best]).item(), float(errors[best])


def _of_means(arrays: Sequence[Comparison]) -> Iterator[tuple[float, str]]:
    words: dict[int, str] = {}
    for array in arrays:
        for axis, length in enumerate(array.claimed.shape):
            words.setdefault(length, f"the length of {array.name}" + f" along axis {axis}" * (array.claimed.ndim > 1))
    for array in arrays:
        words.setdefault(array.claimed.size, f"the number of elements of {array.name}")
    for n, where in words.items():
        if n >= _SMALLEST:
            yield 1 / n, f"1/{n} of the numerical one, and {n} is {where}: a mean where f has a sum"
            yield float(n), f"{n} times the numerical one, and {n} is {where}: a sum where f has a mean"


def _say_factor(value: complex, error: float) -> str:
    whole = abs(value) > 1
    times = value if whole else 1 / value
    uncertain = error if whole else error * abs(times) * abs(times)
    nearest = round(times.real) if abs(times) < _COUNTED else 0
    if nearest > 2 and uncertain < _CLOSE and abs(times - nearest) <= max(uncertain, _CLOSE * 1e-3):
        if whole:
            return f"{nearest} times the numerical one: a constant factor, or a sum of {nearest} terms for their mean"
        return f"1/{nearest} of the numerical one: a constant factor, or a mean of {nearest} terms for their sum"
    return f"{_number(value, error)} times the numerical one: a constant factor"


def _number(value: complex, error: float) -> str:
    if abs(value.imag) <= error:
        value = value.real
    written = [f"{value:.{digits}g}" for digits in range(1, 7)]
    return next((text for text in written if abs(complex(text) - value) <= error), written[-1])


# Terms that are missing, or that f does not have

_CONSTANT = "off by the same constant, {}: a constant term is missing or extra"
_L2 = "off by {} times x: an L2 term (weight decay) is {}"
_L1 = "off by {} times the sign of x: an L1 term is {}"


def term(
    says: str,
    terms: Callable[[HostArray], HostArray],
    array: Comparison,
    arrays: Sequence[Comparison],
) -> Iterator[Prediction]:
    """Predict a multiple of a function of x that is missing or extra."""
    constant = says is _CONSTANT
    if array.claimed.size < 2 or (array.point is None and not constant):
        return

    def of(one: Comparison) -> HostArray:
        return terms(one.tolerance if one.point is None else one.point)

    weight, error = _quotient(array.claimed - array.numerical, of(array), array)

    def predict(one: Comparison) -> tuple[HostArray, HostArray]:
        return one.numerical + weight * of(one), one.tolerance + error * np.abs(of(one))

    if math.isfinite(error):
        told = says.format(_number(weight, error), "missing" if weight.real < 0 else "extra")
        yield Prediction(told, predict, spare=1 if constant else 2, anywhere=constant, distinct=not constant)


# The right numbers in other places

_AXES = 5  # more can be permuted in too many ways to try
_FORTRAN = "with its elements in another order: raveled or reshaped in Fortran order, or transposed before a reshape"
_SYMMETRISED = "symmetrised: f reads one triangle of a symmetric matrix; check f as a function of that triangle alone"


def conjugated(array: Comparison, arrays: Sequence[Comparison]) -> Iterator[Prediction]:
    if np.iscomplexobj(array.numerical):
        yield Prediction("the complex conjugate of the numerical one", lambda a: (np.conj(a.numerical), a.tolerance))


def copied(array: Comparison, arrays: Sequence[Comparison]) -> Iterator[Prediction]:
    """Predict the gradient of another array of the same shape."""
    for other in arrays:
        if other is not array and other.claimed.shape == array.claimed.shape:
            back = _gradient_of(array, "", len(arrays))
            swapped = other.wrong.any() and back.explains(other)
            says = "that of the other array: the two are swapped" if swapped else f"the numerical one of {other.name}"
            yield _gradient_of(other, says, len(arrays))


def _gradient_of(other: Comparison, says: str, tries: int) -> Prediction:
    return Prediction(says, lambda a: (other.numerical, np.maximum(a.tolerance, other.tolerance)), tries=tries)


def rearranged(array: Comparison, arrays: Sequence[Comparison]) -> Iterator[Prediction]:
    """Predict the right numbers in other places of the array, or their means with those there."""

    def moved(move: Callable[[HostArray], HostArray], a: Comparison) -> tuple[HostArray, HostArray]:
        return move(a.numerical), np.maximum(a.tolerance, move(a.tolerance))

    ways = list(_arrangements(array.claimed.shape))
    for says, move in ways:
        # Some arrangement explains a single number among zeros, or the ends of a block.
        yield Prediction(f"the numerical one {says}", partial(moved, move), spare=1, tries=len(ways))


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
        yield _SYMMETRISED, lambda array: (array + array.T) / 2
        yield _SYMMETRISED, lambda array: array + array.T
        yield _SYMMETRISED, lambda array: array + array.T - np.diag(np.diag(array))


# Blocks

_FEW = 3  # places at even distances
_BLOCK = 3  # wrong elements make a block


def _describe(array: Comparison, affected: HostArray, indifferent: HostArray) -> str:
    if (affected | indifferent).all():
        return array.name
    words, index = _block(affected)
    if (affected | indifferent)[index].all():
        return f"{array.name}[{words}]"
    first = ", ".join(map(str, np.unravel_index(int(np.argmax(affected)), affected.shape)))
    count = int(np.count_nonzero(affected))
    return f"{count} of the {affected.size} elements of {array.name} (the first is {array.name}[{first}])"


def _wrong_block(array: Comparison, arrays: Sequence[Comparison]) -> Iterator[Explanation]:
    words, index = _block(array.wrong)
    wrong = array.wrong[index]
    # Elements that are 0 on both sides are no exception: an activation may be off for them.
    flat = (array.claimed == 0) & (np.abs(array.numerical) <= array.tolerance)
    if wrong.size < array.wrong.size and np.count_nonzero(wrong) >= _BLOCK and (wrong | flat[index]).all():
        others = "all others" if len(arrays) == 1 else f"all others of {array.name}"
        yield f"{array.name}[{words}]", f"all elements of this block are wrong, and {others} are right"


def _block(affected: HostArray) -> tuple[str, tuple[slice, ...]]:
    """Return the smallest block that holds all affected elements, in words and as an index."""
    words, index = [], []
    for axis, length in enumerate(affected.shape):
        own = np.flatnonzero(affected.any(axis=tuple(other for other in range(affected.ndim) if other != axis)))
        start, stop = int(own[0]), int(own[-1]) + 1
        gaps = np.unique(np.diff(own))
        step = int(gaps[0]) if gaps.size == 1 and own.size >= _FEW else 1
        index.append(slice(start, stop, step))
        bounds = f"{start or ''}:{'' if stop == length else stop}" + (f":{step}" if step > 1 else "")
        words.append(str(start) if own.size == 1 < length else bounds)
    return ", ".join(words), tuple(index)


_constant = partial(term, _CONSTANT, np.ones_like)
_l2 = partial(term, _L2, np.positive)
_l1 = partial(term, _L1, np.sign)
# From the most specific mistake to the least.
_MISTAKES: tuple[Mistake, ...] = (zeros, factor, copied, conjugated, rearranged, _constant, _l2, _l1)
_OF_ALL = (factor, _l2, _l1)  # made in all arrays alike
