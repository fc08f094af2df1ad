"""Derivatives of any order with respect to several elements of x."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from array_api_compat import device

from anygrad._typing import Array
from anygrad.backends.arrays import Indices
from anygrad.backends.base import Points
from anygrad.operators.second_derivatives import towards_room
from anygrad.problem.lines import direction_lines, element_lines
from anygrad.problem.problem import Problem
from anygrad.schemes.base import Lines, Slopes


def product_of_stencils(problem: Problem, elements: Indices, orders: Sequence[int]) -> Slopes:
    """Return the derivative by the scheme's stencils: along each element, of the derivative along those after it.

    The steps are those for as high a derivative as all orders together make, for which the rounding error grows as
    much. Value and error are of shape (1, p), the steps (elements, 1).
    """
    memory, scheme, width = problem.memory, problem.scheme, len(orders)
    xp = memory.xp
    own = [element_lines(problem, elements[i : i + 1]) for i in range(width)]
    steps = [scheme.steps(lines, sum(orders)) for lines in own]

    def along(i: int, points: Array, at_x: bool) -> Slopes:
        """Return the derivatives with respect to the elements from the i-th on, at points (k, width)."""
        count = points.shape[0]

        def later(moved: Array, at_x: bool) -> Array:
            if i + 1 < width:
                return along(i + 1, moved, at_x).value
            if at_x:
                return problem.base()
            return problem.values(Points(np.tile(elements, moved.shape[0]), moved, 0))

        def sample(levels: Sequence[Array]) -> list[Array]:
            moved = [xp.concat([points[:, :i], level, points[:, i + 1 :]], axis=1) for level in levels]
            values = later(xp.concat(moved), at_x=False)
            return [values[start : start + count, ...] for start in range(0, count * len(levels), count)]

        def repeated(column: Array | None) -> Array | None:
            return None if column is None else xp.broadcast_to(column, (count, 1))

        lines = replace(
            own[i],
            at=repeated(own[i].at),
            scale=repeated(own[i].scale),
            lower=repeated(own[i].lower),
            upper=repeated(own[i].upper),
            nearest=lambda levels: memory.round(np.repeat(elements[i : i + 1], count), levels),
            sample=sample,
            base=lambda: later(points, at_x),
            take=lambda indices: _same_lines(lines, indices),
        )
        return scheme.differentiate(lines, repeated(steps[i]), orders[i])

    start = xp.concat([lines.at for lines in own], axis=1)
    return replace(along(0, start, True), step=xp.concat(steps))


def _same_lines(lines: Lines, indices: Array) -> Lines:
    """Return all lines, as each is at the same place: between bounds, either all are chosen or none."""
    return lines


def polarized(problem: Problem, elements: Indices, orders: Sequence[int]) -> Slopes:
    """Return the derivative as a combination of derivatives of the same order along directions.

    Value and error are of shape (1, p), the steps (elements, 1).
    """
    memory, scheme, n = problem.memory, problem.scheme, sum(orders)
    xp = memory.xp
    units = element_lines(problem, elements)
    steps = scheme.steps(units, n)
    bounded = units.lower is not None or units.upper is not None
    if bounded:  # in a corner of the bounds, there is room in one quadrant alone
        steps = towards_room(units, steps)
    ways, weights = _polarization(orders, centred=not bounded)
    table = xp.asarray(ways.tolist(), dtype=steps.dtype, device=device(steps))
    lines = direction_lines(problem, np.tile(elements, len(ways)), table * xp.permute_dims(steps, (1, 0)))
    slopes = scheme.differentiate(lines, xp.ones_like(lines.at), n)
    factors = xp.asarray([[weight] for weight in weights], dtype=steps.dtype, device=device(steps))

    def combined(of_ways: Array, own: Array) -> Array:
        total = xp.sum(of_ways * own, axis=0, keepdims=True)
        for i, order in enumerate(orders):  # divided by one after the other: their product may be too small
            for _ in range(order):
                total = total / steps[i : i + 1, :]
        return total

    return Slopes(
        value=combined(slopes.value, factors),
        step=xp.abs(steps),
        error=None if slopes.error is None else xp.abs(combined(slopes.error, xp.abs(factors))),
        flags={name: xp.any(flag, axis=0, keepdims=True) for name, flag in slopes.flags.items()},
    )


def _polarization(orders: Sequence[int], *, centred: bool) -> tuple[Array, list[float]]:
    """Return directions, whose largest part is 1, and the weight of the derivative along each.

    Centred ones come in pairs of opposite directions, and one of each pair is taken; the others have no negative part.
    """
    n = sum(orders)
    found: dict[tuple[float, ...], float] = {}
    for chosen in product(*(range(order + 1) for order in orders)):
        way = tuple((order / 2 if centred else order) - own for order, own in zip(orders, chosen, strict=True))
        length = max(map(abs, way))
        if not length:
            continue
        weight = (-1) ** sum(chosen) * math.prod(map(math.comb, orders, chosen)) / math.factorial(n) * length**n
        way = tuple(part / length for part in way)
        opposite = tuple(-part for part in way)
        # The n-th derivative along the opposite direction is the same, but for its sign.
        if opposite in found:
            found[opposite] += (-1) ** n * weight
        else:
            found[way] = found.get(way, 0.0) + weight
    return np.asarray(list(found)), list(found.values())
