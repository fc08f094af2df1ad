"""The gradient of one array where nothing is asked for but its numbers: what most calls are.

`run` does all that is done here. But for a small x, getting ready for what is not asked for takes longer than f.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from anygrad._typing import Array, PyTree
from anygrad.backends import resolve
from anygrad.evaluators import Evaluator
from anygrad.schemes import Scheme

# More elements than this take longer than getting ready, and memory besides.
_MOST = 4096


def direct(f: Callable[[Any], object], x: PyTree, scheme: Scheme, evaluator: Evaluator) -> Array | None:
    """Return the gradient; None where it cannot be had like this, whatever the reason."""
    # Of the type: a class in the place of an evaluator is a mistake, which is told elsewhere.
    evaluate, uniform = getattr(type(evaluator), "direct", None), getattr(type(scheme), "uniform", None)
    if evaluate is None or uniform is None:
        return None
    backend = resolve(x)
    if backend is None or not 0 < math.prod(x.shape) <= _MOST or not backend.floating(x):
        return None
    with backend.context(x):
        memory = backend.memory(x, in_place=getattr(evaluator, "in_place", False))
        if memory.complex or not memory.concrete:
            return None
        with np.errstate(all="ignore"):  # but not f
            at = memory.elements(range(memory.size))
            chosen = uniform(scheme, float(memory.xp.max(memory.xp.abs(at))), memory.eps)
            if chosen is None:
                return None
            stencil, step = chosen
            points = stencil.points(at, step)
        columns = evaluate(evaluator, f, memory, points)
        if columns is None:
            return None
        with np.errstate(all="ignore"):
            value = stencil.combine(columns, step)
        return memory.join([memory.narrow(value)], x.shape)
