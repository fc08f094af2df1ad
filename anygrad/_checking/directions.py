"""The check along random directions, and the way from a wrong one to the wrong elements."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from anygrad._checking.along import Along, Found, directions
from anygrad._checking.comparison import Comparison, HostArray
from anygrad._checking.finding import Finding
from anygrad._checking.judgement import Circumstances, judged, unseen

_LOCATED = 4  # elements that are looked for: others may be wrong as well


@dataclass(frozen=True, eq=False)
class Span:
    """A part of a direction along which what is claimed is wrong: by how much, and how sure that is, (p,)."""

    start: int
    stop: int
    excess: HostArray
    tolerance: HostArray


def along_directions(
    along: Along, count: int, rng: np.random.Generator, *, natural: float, deterministic: bool
) -> Finding:
    """Compare what is claimed with what is found along random directions; of a wrong one, look for the elements."""
    chosen = directions(along, count, rng)
    found = [along.found(v) for v in chosen]
    ncalls = sum(one.ncalls for one in found)
    comparisons = [replace(one.comparison, name=f"direction {i + 1}") for i, one in enumerate(found)]
    if all(one.blind for one in found):
        return Finding(comparisons, [unseen(one) for one in comparisons], ncalls, directional=True, blind=True)
    bounded = along.question.options.bounds is not None
    states = [
        judged(one.comparison, Circumstances(one.flags, np.maximum(natural, one.natural), deterministic, bounded))
        for one in found
    ]
    located: list[Comparison] = []
    worst = max(range(count), key=lambda i: float(np.max(found[i].comparison.ratio, initial=0.0)))
    if np.any(found[worst].comparison.wrong):
        with np.errstate(invalid="ignore"):  # of a claim that is infinite
            located, calls = _located(along, chosen[worst], found[worst])
        ncalls += calls
    return Finding(comparisons, states, ncalls, located=located, directional=True)


def _located(along: Along, v: HostArray, whole: Found) -> tuple[list[Comparison], int]:
    """Return wrong elements, found by halving: a derivative along half of a direction tells of the other half, too."""
    elements: list[Comparison] = []
    spans, ncalls = [_span(0, v.size, whole)], 0
    while spans and len(elements) < _LOCATED:
        span = spans.pop()
        if span.stop - span.start == 1:
            found = along.found(_part(v, span.start, span.stop))
            ncalls += found.ncalls
            elements += _of_element(along, v, span.start, found)
            continue
        middle = (span.start + span.stop) // 2
        found = along.found(_part(v, span.start, middle), confirm=False)
        ncalls += found.ncalls
        left = _span(span.start, middle, found)
        right = Span(middle, span.stop, span.excess - left.excess, span.tolerance + left.tolerance)
        halves = [half for half in (left, right) if np.any(np.abs(half.excess) > half.tolerance)]
        spans += sorted(halves, key=lambda half: float(np.max(np.abs(half.excess) / half.tolerance)))
    return elements, ncalls


def _span(start: int, stop: int, found: Found) -> Span:
    comparison = found.comparison
    return Span(start, stop, comparison.claimed - comparison.numerical, comparison.tolerance)


def _part(v: HostArray, start: int, stop: int) -> HostArray:
    part = np.zeros_like(v)
    part[start:stop] = v[start:stop]
    return part


def _of_element(along: Along, v: HostArray, element: int, found: Found) -> list[Comparison]:
    """Return the derivative of the value of f of which it is most wrong by an element; nothing, if of none it is."""
    if not np.any(found.comparison.wrong):
        return []
    row = int(np.argmax(np.where(found.comparison.wrong, found.comparison.ratio, -1.0)))
    comparison, length = found.comparison, v[element]
    return [
        Comparison(
            _name(along, row, element),
            comparison.claimed[row : row + 1] / length,
            comparison.numerical[row : row + 1] / length,
            comparison.tolerance[row : row + 1] / abs(length),
            comparison.rounded[row : row + 1] / abs(length),
        )
    ]


def _name(along: Along, row: int, element: int) -> str:
    """Return the expression that names an element of x, and with it a value of f, if there are several."""
    variables = along.variables
    for name, shape in zip(variables.names, variables.shapes, strict=True):
        size = math.prod(shape)
        if element < size:
            index = indexed(name, element, shape)
            return index if along.question.kind == "grad" else f"value {row} of f by {index}"
        element -= size
    raise IndexError(element)


def indexed(name: str, element: int, shape: Sequence[int]) -> str:
    """Return the expression that names an element of an array, given by its flat index."""
    if not shape:
        return name
    index: Iterator[int] = (int(i) for i in np.unravel_index(element, tuple(shape)))
    return f"{name}[{', '.join(map(str, index))}]"
