"""What seems wrong, element by element, confirmed or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from anygrad._checking.comparison import Comparison, HostArray
from anygrad._checking.opinion import Others
from anygrad._checking.question import Question, alone, sizes
from anygrad._directional import along_both_parts
from anygrad._variables import Variables

_AT_MOST = 64  # elements that are looked at once more
_IN_A_ROW = 4
Suspect: TypeAlias = tuple[int, int]  # which array, and which of its elements


def confirmed(
    question: Question, variables: Variables, comparisons: Sequence[Comparison], others: Others
) -> tuple[list[Comparison], int]:
    """Return comparisons in which what is wrong has been confirmed, and the calls of f that it took."""
    if not any(np.any(comparison.wrong) for comparison in comparisons):
        return list(comparisons), 0
    if question.kind == "grad":
        return _by_elements(question, variables, comparisons, others)
    magnitudes = sizes(variables)

    def scaled(share: float) -> Any:
        return variables.rebuild(share * size for size in magnitudes)

    return others.revised(question.operator(), list(comparisons), scaled)


def _by_elements(
    question: Question, variables: Variables, comparisons: Sequence[Comparison], others: Others
) -> tuple[list[Comparison], int]:
    """Differentiate again by the elements that are most in doubt."""
    revised, ncalls = list(comparisons), 0
    magnitudes = sizes(variables)
    suspects = _suspects(comparisons)
    sure: list[bool] = []
    for leaf, element in _in_doubt(suspects, sure):
        size = float(magnitudes[leaf].reshape(-1)[element])
        operator = by_element(question, variables, leaf, element)
        [one], calls = others.revised(operator, [_at(revised[leaf], element)], size.__mul__)
        revised[leaf] = _with(revised[leaf], element, one)
        ncalls += calls
        sure.append(bool(one.wrong[0]))
    if len(suspects) > len(sure) and not any(sure):
        # The worst of them were false alarms: f is not what error estimates are made for, and the others no proof.
        revised = [replace(one, tolerance=np.fmax(one.tolerance, np.nan_to_num(one.difference))) for one in revised]
    return revised, ncalls


def _in_doubt(suspects: Sequence[Suspect], sure: Sequence[bool]) -> Iterator[Suspect]:
    """Yield the worst, and then those that are least off, until some of them in a row are sure to be wrong."""
    worst, least = suspects[:_IN_A_ROW], suspects[: _IN_A_ROW - 1 : -1]
    yield from worst
    for number, suspect in enumerate(least[: _AT_MOST - len(worst)]):
        if number >= _IN_A_ROW and all(sure[-_IN_A_ROW:]):
            return
        yield suspect


def _suspects(comparisons: Sequence[Comparison]) -> list[Suspect]:
    """Return the array and the flat index of all that is wrong, the worst first."""
    places, ratios = [], []
    for leaf, comparison in enumerate(comparisons):
        wrong = np.flatnonzero(comparison.wrong)
        places += [(leaf, int(element)) for element in wrong]
        ratios.append(comparison.ratio.reshape(-1)[wrong])
    order = np.argsort(-np.concatenate(ratios), kind="stable")
    return [places[i] for i in order]


def by_element(question: Question, variables: Variables, leaf: int, element: int) -> Callable[..., Any]:
    """Return the derivative by one element as a function of the scheme."""
    f, bounds = alone(question, variables, leaf)
    unit = np.zeros(variables.shapes[leaf])
    unit.reshape(-1)[element] = 1.0
    evaluator = question.options.evaluator
    return partial(along_both_parts, f, variables.arrays[leaf], unit, evaluator=evaluator, bounds=bounds)


def _at(comparison: Comparison, element: int) -> Comparison:
    """Return the comparison of one element."""

    def at(array: HostArray) -> HostArray:
        return array.reshape(-1)[element : element + 1]

    tables = (comparison.claimed, comparison.numerical, comparison.tolerance, comparison.rounded)
    return Comparison(comparison.name, *map(at, tables))


def _with(comparison: Comparison, element: int, one: Comparison) -> Comparison:
    """Return a comparison with another one of one of its elements."""
    numerical, tolerance = comparison.numerical.copy(), comparison.tolerance.copy()
    numerical.reshape(-1)[element], tolerance.reshape(-1)[element] = one.numerical[0], one.tolerance[0]
    return replace(comparison, numerical=numerical, tolerance=tolerance)
