"""A second opinion on what seems wrong: the same derivatives from other points."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from anygrad._checking.comparison import Comparison, HostArray
from anygrad._checking.measured import measured
from anygrad._checking.question import Question, sizes
from anygrad._directional import jvp
from anygrad._function import Function
from anygrad._variables import Variables
from anygrad.schemes import Adaptive, Central, Scheme

# How much of the numerical error estimate is allowed for: in one case of 200 the error is larger than the estimate.
CONFIDENCE = 2.0
_AT_MOST = 32
_SHARE = 0.11  # the first step, as a share of x: not a power of the ratio of Adaptive's steps from where it begins


@dataclass(frozen=True, eq=False)
class Opinions:
    """Comparisons in which what was not confirmed to be wrong is not, and the calls that it took."""

    comparisons: list[Comparison]
    ncalls: int


def confirmed(question: Question, variables: Variables, comparisons: Sequence[Comparison], rounding: float) -> Opinions:
    """Return comparisons in which all that is wrong has been found so by other schemes too, or they could not tell.

    ``rounding`` is that of a value of f.
    """
    if not any(np.any(comparison.wrong) for comparison in comparisons):
        return Opinions(list(comparisons), 0)
    if question.kind == "grad":
        return _by_elements(question, variables, comparisons, rounding)
    revised, ncalls = list(comparisons), 0
    for scheme in _others(question, variables.rebuild(_SHARE * size for size in sizes(variables))):
        found = measured(question.operator(), scheme, question.name, rounding, question.n)
        revised = [_revised(*of_array) for of_array in zip(revised, found.values, found.errors, strict=True)]
        ncalls += found.ncalls
    return Opinions(revised, ncalls)


def _by_elements(
    question: Question, variables: Variables, comparisons: Sequence[Comparison], rounding: float
) -> Opinions:
    """Differentiate again by the elements that are most in doubt."""
    revised, ncalls = list(comparisons), 0
    magnitudes = sizes(variables)
    suspects = list(_suspects(comparisons))
    for leaf, element in suspects[:_AT_MOST]:
        operator = _by_element(question, variables, leaf, element)
        for scheme in _others(question, _SHARE * float(magnitudes[leaf].reshape(-1)[element])):
            if revised[leaf].wrong.reshape(-1)[element]:
                found = measured(operator, scheme, "f(x)", rounding)
                revised[leaf] = _revised_at(revised[leaf], element, found.values[0], found.errors[0])
                ncalls += found.ncalls
    if len(suspects) > _AT_MOST and not any(revised[leaf].wrong.reshape(-1)[at] for leaf, at in suspects[:_AT_MOST]):
        # The worst of them were false alarms: f is not what error estimates are made for, and the others no proof.
        revised = [replace(one, tolerance=np.fmax(one.tolerance, np.nan_to_num(one.difference))) for one in revised]
    return Opinions(revised, ncalls)


def _others(question: Question, step: object) -> tuple[Scheme, Scheme]:
    """Return schemes that sample f at other points: one from another first step, and one that does not look far."""
    return Adaptive(step=step, noise=getattr(question.options.scheme, "noise", None)), Central(order=4)


def _suspects(comparisons: Sequence[Comparison]) -> Iterator[tuple[int, int]]:
    """Yield the array and the flat index of all that is wrong, the worst first."""
    places, ratios = [], []
    for leaf, comparison in enumerate(comparisons):
        wrong = np.flatnonzero(comparison.wrong)
        places += [(leaf, int(element)) for element in wrong]
        ratios.append(comparison.ratio.reshape(-1)[wrong])
    order = np.argsort(-np.concatenate(ratios), kind="stable")
    yield from (places[i] for i in order)


def _by_element(question: Question, variables: Variables, leaf: int, element: int) -> Callable[..., Any]:
    """Return the derivative by one element as a function of the scheme."""
    put = (variables.with_leaves if question.options.evaluator.leading else variables.with_leaf)(leaf)
    f = question.f if variables.alone else Function(question.f).of(put)
    unit = np.zeros(variables.shapes[leaf])
    unit.reshape(-1)[element] = 1.0
    bounds = question.options.bounds
    return partial(
        jvp,
        f,
        variables.arrays[leaf],
        unit,
        evaluator=question.options.evaluator,
        bounds=bounds and tuple(variables.leaves_of(bound, "a bound")[leaf] for bound in bounds),
        full_output=True,
    )


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
