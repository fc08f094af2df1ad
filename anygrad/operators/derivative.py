"""Derivatives of functions that work element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anygrad._collected import Collected, nothing
from anygrad._function import Function
from anygrad._job import Job, Options
from anygrad._lines import pointwise_lines
from anygrad._opened import opened
from anygrad._progress import meter
from anygrad._pytree import only
from anygrad._run import assembled, warn_of_blindness
from anygrad._typing import Array, Bounds, ProgressCallback
from anygrad._validate import as_array, require_callable, require_order
from anygrad.evaluators import Evaluator, Loop
from anygrad.schemes import Adaptive, Scheme


def derivative(
    f: Callable[[Any], Any],
    x: Array,
    n: int = 1,
    *,
    scheme: Scheme = Adaptive(),
    evaluator: Evaluator = Loop(),
    bounds: Bounds = None,
    f0: Any = None,
    has_aux: bool = False,
    progress: bool | ProgressCallback = False,
    full_output: bool = False,
) -> Array:
    """Return the n-th derivative of an elementwise f at each element of x, all at once.

    Parameters
    ----------
    f
        Function that works element by element, as ``np.exp`` does: each element of what it returns depends on
        the same element of x alone. It is always given arrays of x's shape, with all elements changed.
    x
        A floating array of any array API library, a number or a (nested) list of numbers.
    n
        Which derivative, 1 or more.
    scheme, evaluator, bounds, f0, has_aux, progress, full_output
        As in `numerical_gradient`.

    Returns
    -------
    array or Result
        The derivatives: an array of x's library, shape, dtype and device.

    Raises
    ------
    TypeError, ValueError
        As `numerical_gradient`; ValueError as well if f returns an array of another shape than x's, if n is below 1,
        or if it is so large that `Adaptive` has no digit left of the derivative.

    Warns
    -----
    ConstantFunctionWarning
        As `numerical_gradient`.

    Notes
    -----
    The number of calls of f does not depend on the size of x; with `Adaptive`, it is what the hardest of its elements
    takes. The higher the derivative, the fewer digits are left of the 16 of float64: with `Adaptive` of exp about 13 of
    the first derivative, 10 of the fourth, 6 of the eighth and 3 of the twelfth, and none of the twentieth, which is
    flagged as unconverged.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> anygrad.derivative(np.sin, np.array([0.0, 1.0])).round(6)
    array([1.      , 0.540302])
    >>> anygrad.derivative(np.sin, np.array([0.0, 1.0]), n=3).round(6)
    array([-1.      , -0.540302])
    """
    require_callable(f)
    require_order(n)
    array, backend = as_array(x, "x")
    options = Options(
        scheme, evaluator, bounds, f0, has_aux, progress, full_output, plan={"operator": "derivative", "n": n}
    )
    function = Function(f, has_aux=has_aux, vector=True, shape=tuple(array.shape))
    job = Job("x", f, array, backend, options, bounds or (None, None), vector=True)
    with meter(progress, scheme.calls(1, n)) as counter, opened(job, function, counter) as space:
        memory, session = space.memory, space.session
        collected = Collected(memory, full_output)
        if memory.size:
            lines = pointwise_lines(space)
            collected.add(scheme.differentiate(lines, scheme.steps(lines, n), n))
        else:
            collected.add(nothing(memory, 1, off_axis=space.off_axis))
        arrays = collected.arrays(array.shape, array.shape)
        if session.blind():
            warn_of_blindness(["x"])
        counts = session.record.counts
    return assembled([arrays], only, options, function, **counts)
