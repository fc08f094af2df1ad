"""The gradient of one array where nothing is asked for but its numbers: what most calls are.

`run` does all that is done here. But for a small x, getting ready for what is not asked for takes longer than f.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from anygrad._run import warn_of_blindness
from anygrad._typing import Array, PyTree
from anygrad.backends import Backend, Rule, resolve
from anygrad.evaluators import Brief, Evaluator
from anygrad.schemes import Scheme

# x's backend, and what the scheme has for float64 where the step is one for all elements.
Setting: TypeAlias = tuple[Backend, tuple[Rule, float, float]]

# The points of more elements than this are not evaluated all at once.
_MOST = 4096


def direct(f: Callable[[Any], object], x: PyTree, scheme: Scheme, evaluator: Evaluator) -> Array | None:
    """Return the gradient; None where it cannot be had like this, whatever the reason.

    f has not been called then, unless it is compiled: what went wrong in that is told on the long way.

    Warns the caller's caller if f was given copies of x, and has not seen them change.
    """
    at_once, one_by_one = _own(evaluator, "at_once"), _own(evaluator, "without_session")
    setting = None if at_once is None and one_by_one is None else _setting(x, scheme)
    if setting is None:
        return None
    backend, (stencil, step, most) = setting
    if one_by_one is not None:
        # On a device there is little to save, and division by a number may be rounded otherwise than by an array.
        return _one_by_one(f, x, evaluator, setting) if backend.in_host_memory(x) else None
    if at_once is None or math.prod(x.shape) > _MOST:
        return None
    found = at_once(f, x, backend, stencil, step, most=most)
    if found is None:
        return None
    gradient, blind = found
    if blind:
        warn_of_blindness(["x"])
    return gradient


def _one_by_one(f: Callable[[Any], object], x: Array, evaluator: Any, setting: Setting) -> Array | None:
    backend, (stencil, step, most) = setting
    settings = np.geterr()
    # NaN and inf show in the result. f alone runs under the user's settings.
    with backend.context(x), np.errstate(all="ignore"):
        memory = backend.memory(x, in_place=evaluator.in_place)
        sizes = memory.xp.abs(memory.elements(range(memory.size)))
        if memory.complex or not memory.all(sizes <= most):  # NaN is not
            return None
        brief = Brief(
            points=lambda elements: stencil.points(memory.elements(elements), step),
            slope=lambda values: memory.narrow(stencil.combine(values, step)),
            calling=lambda: np.errstate(**settings),
        )
        slopes = evaluator.without_session(f, memory, brief)
        return None if slopes is None else memory.join(slopes, x.shape)


def _setting(x: PyTree, scheme: Scheme) -> Setting | None:
    """Return x's backend, and what the scheme has for float64 where the step is one for all elements."""
    uniform = _own(scheme, "uniform_stencil")
    chosen = None if uniform is None else uniform()
    if chosen is None:
        return None
    backend = resolve(x)
    if backend is None or not backend.floating(x):
        return None
    # Of the floating dtypes of this size float64 is the one that is not complex; to ask for its name takes long.
    suits = getattr(x.dtype, "itemsize", 8) == 8 and 0 not in x.shape
    return (backend, chosen) if suits else None


def _own(owner: object, name: str) -> Callable[..., Any] | None:
    """Return a method of the class itself: one that is derived from it may do something else on the long way."""
    return getattr(owner, name) if callable(vars(type(owner)).get(name)) else None
