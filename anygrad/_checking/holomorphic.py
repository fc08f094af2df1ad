"""Whether a complex function of complex numbers has a complex derivative at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from anygrad._checking.comparison import HostArray
from anygrad._checking.probe import Probe, probed
from anygrad._checking.question import Question, spacing_of
from anygrad._pytree import flatten
from anygrad._typing import PyTree
from anygrad._variables import Variables

# What derivatives along both axes differ by, as a part of the larger one, beyond what steps and rounding make of them.
_DIFFERENT, _ROUNDINGS = 0.1, 100.0
# At steps so much shorter, too: near a pole a derivative may vary by that within a step.
_SHORTER = 16.0


def require_holomorphic(question: Question, variables: Variables, probe: Probe, direction: HostArray) -> int:
    """Raise if f changes otherwise along the imaginary axes than its change along the real ones has it.

    That is, if the equations of Cauchy and Riemann do not hold along a direction. Return how often f was called.
    """
    turning = [array_namespace(array).isdtype(array.dtype, "complex floating") for array in variables.arrays]
    if not any(turning) or not np.iscomplexobj(probe.values):
        return 0
    sizes = [math.prod(shape) for shape in variables.shapes]
    along = np.where(np.repeat(turning, sizes), direction, 0.0)
    # Copies both, so that an f that reads x through a closure sees neither change.
    same, back = (Variables.of(turned(question.x, turning, number)) for number in (1.0, -1j))
    eps = max(spacing_of(variables))
    calls = 0
    for step in (eps ** (1 / 3), eps ** (1 / 3) / _SHORTER):
        real, more = _slope(question, question.f, same, along, step)
        imaginary, again = _slope(question, lambda x: question.f(turned(x, turning, 1j)), back, along, step)
        calls += more + again
        noise = _ROUNDINGS * (probe.rounding(eps) + probe.spread) / step
        apart = np.abs(imaginary - 1j * real) > _DIFFERENT * np.maximum(np.abs(real), np.abs(imaginary)) + noise
        if not np.any(apart):
            return calls
    raise ValueError(
        "f returns complex numbers, but it is not holomorphic: along the imaginary axes it changes otherwise than along"
        " the real ones, so that it has no complex derivative: let it return a real number, or check it as a function"
        " of real and imaginary part"
    )


def turned(tree: PyTree, turning: Sequence[bool], by: complex) -> PyTree:
    """Return the tree with those of its arrays multiplied by a number."""
    leaves, rebuild = flatten(tree)
    pairs = zip(leaves, turning, strict=True)
    return rebuild([leaf * by if is_complex else leaf for (_, leaf), is_complex in pairs])


def _slope(
    question: Question, f: Callable[[Any], Any], variables: Variables, along: HostArray, step: float
) -> tuple[HostArray, int]:
    """Return the derivative along a direction, (p,), and how often f was called."""
    probe = probed(f, variables, along, (step, -step), question.options, vector=question.vector, repeats=0)
    return (probe.values[0] - probe.values[1]) / (2 * step), probe.ncalls
