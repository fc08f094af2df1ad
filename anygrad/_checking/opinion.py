"""A second opinion on what seems wrong: the same derivatives from other points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from anygrad._checking.comparison import Comparison, HostArray
from anygrad._checking.hosted import on_host
from anygrad._checking.measured import measured
from anygrad._checking.question import Question, sizes
from anygrad._directional import jvp
from anygrad._function import Function
from anygrad._variables import Variables
from anygrad.schemes import Adaptive, Scheme

# How much of the numerical error estimate is allowed for: in one case of 200 the error is larger than the estimate.
CONFIDENCE = 2.0
_AT_ONCE = 8
_AT_MOST = 32
_SHARE = 0.11  # the first step, as a share of x: not a power of the ratio of Adaptive's steps from where it begins


@dataclass(frozen=True, eq=False)
class Opinions:
    """Comparisons in which what was not confirmed to be wrong is not, and the calls that it took."""

    comparisons: list[Comparison]
    ncalls: int


def confirmed(question: Question, variables: Variables, comparisons: Sequence[Comparison]) -> Opinions:
    """Return comparisons in which all that is wrong has been found so twice, or is less certain than what has."""
    if not any(np.any(comparison.wrong) for comparison in comparisons):
        return Opinions(list(comparisons), 0)
    if question.kind == "grad":
        return _by_elements(question, variables, comparisons)
    found = measured(question.operator(), _beginning(question.options.scheme, _steps(variables)), question.name, 0.0)
    pairs = zip(comparisons, found.values, found.errors, strict=True)
    return Opinions([_revised(comparison, value, error) for comparison, value, error in pairs], found.ncalls)


def _by_elements(question: Question, variables: Variables, comparisons: Sequence[Comparison]) -> Opinions:
    """Differentiate again by the elements that are most in doubt, until some are confirmed."""
    revised, ncalls, refuted = list(comparisons), 0, 0
    magnitudes = sizes(variables)
    suspects = _suspects(comparisons)
    while refuted < _AT_MOST:
        group = [suspect for _, suspect in zip(range(_AT_ONCE), suspects, strict=False)]
        for leaf, element in group:
            value, error, calls = _again(question, variables, leaf, element, magnitudes[leaf])
            ncalls += calls
            revised[leaf] = _revised_at(revised[leaf], element, value, error)
        refuted += len(group)
        if not group or any(revised[leaf].wrong.reshape(-1)[element] for leaf, element in group):
            return Opinions(revised, ncalls)
    # The worst of them were false alarms: f is not what error estimates are made for, and the others no proof.
    lenient = [replace(one, tolerance=np.fmax(one.tolerance, np.nan_to_num(one.difference))) for one in revised]
    return Opinions(lenient, ncalls)


def _suspects(comparisons: Sequence[Comparison]) -> Iterator[tuple[int, int]]:
    """Yield the array and the flat index of all that is wrong, the worst first."""
    places, ratios = [], []
    for leaf, comparison in enumerate(comparisons):
        wrong = np.flatnonzero(comparison.wrong)
        places += [(leaf, int(element)) for element in wrong]
        ratios.append(comparison.ratio.reshape(-1)[wrong])
    order = np.argsort(-np.concatenate(ratios), kind="stable")
    yield from (places[i] for i in order)


def _again(
    question: Question, variables: Variables, leaf: int, element: int, magnitudes: HostArray
) -> tuple[HostArray, HostArray, int]:
    """Return the derivative by one element, its error and the calls of f, with another first step."""
    put = (variables.with_leaves if question.options.evaluator.leading else variables.with_leaf)(leaf)
    f = question.f if variables.alone else Function(question.f).of(put)
    unit = np.zeros(magnitudes.shape)
    unit.reshape(-1)[element] = 1.0
    step = _SHARE * float(magnitudes.reshape(-1)[element])
    lower, upper = (variables.leaves_of(bound, "a bound")[leaf] for bound in question.options.bounds or (None, None))
    result = jvp(
        f,
        variables.arrays[leaf],
        unit,
        scheme=_beginning(question.options.scheme, step),
        evaluator=question.options.evaluator,
        bounds=None if question.options.bounds is None else (lower, upper),
        full_output=True,
    )
    return on_host(result.value, "f(x)"), on_host(result.error, "f(x)"), result.ncalls


def _beginning(scheme: Scheme, step: object) -> Scheme:
    """Return a scheme that estimates its error, with a first step."""
    return Adaptive(step=step, noise=getattr(scheme, "noise", None))


def _steps(variables: Variables) -> object:
    return variables.rebuild(_SHARE * size for size in sizes(variables))


def _revised_at(comparison: Comparison, element: int, value: HostArray, error: HostArray) -> Comparison:
    """Return a comparison in which one element has been found a second time."""

    def at(array: HostArray) -> HostArray:
        return array.reshape(-1)[element : element + 1]

    one = Comparison(comparison.name, at(comparison.claimed), at(comparison.numerical), at(comparison.tolerance))
    new = _revised(one, value.reshape(-1), error.reshape(-1))
    numerical, tolerance = comparison.numerical.copy(), comparison.tolerance.copy()
    numerical.reshape(-1)[element], tolerance.reshape(-1)[element] = new.numerical[0], new.tolerance[0]
    return replace(comparison, numerical=numerical, tolerance=tolerance)


def _revised(comparison: Comparison, value: HostArray, error: HostArray) -> Comparison:
    """Return a comparison in which what a second value speaks for is not wrong: if that is certain enough to tell."""
    apart = np.abs(comparison.claimed - value)
    tells = CONFIDENCE * error < comparison.difference
    cleared = comparison.wrong & tells & (apart <= np.maximum(comparison.tolerance, CONFIDENCE * error))
    return replace(
        comparison,
        numerical=np.where(cleared, value, comparison.numerical),
        tolerance=np.where(cleared, np.maximum(comparison.tolerance, CONFIDENCE * error), comparison.tolerance),
    )
