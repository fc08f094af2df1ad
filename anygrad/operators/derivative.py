"""Derivatives of functions that work element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anygrad._typing import Array, Bounds, Kwargs, ProgressCallback, PyTree
from anygrad.evaluators import Evaluator, Loop
from anygrad.operators.partials import filled, nothing
from anygrad.problem.lines import pointwise_lines
from anygrad.problem.options import Options, require_callable, require_order
from anygrad.problem.parameters import Parameters
from anygrad.problem.problem import Problem
from anygrad.problem.result import arrays_of
from anygrad.problem.tree import only
from anygrad.schemes import Adaptive, Scheme


def derivative(
    f: Callable[[Any], Any],
    x: Array,
    n: int = 1,
    *,
    args: tuple[Any, ...] = (),
    kwargs: Kwargs = None,
    scheme: Scheme = Adaptive(),
    evaluator: Evaluator = Loop(),
    bounds: Bounds = None,
    fixed: PyTree = None,
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
    args, kwargs, scheme, evaluator, bounds, fixed, f0, has_aux, progress, full_output
        As in `numerical_gradient`.

    Returns
    -------
    array or Result
        The derivatives: an array of x's library, shape, dtype and device.

    Raises
    ------
    TypeError, ValueError
        As `numerical_gradient`, whose warning is given as well; ValueError also if f returns an array of another shape
        than x's, if n is below 1, or if n is so large that `Adaptive` has no digit left of the derivative.

    Notes
    -----
    The number of calls of f does not depend on the size of x; with `Adaptive`, the hardest element decides it. The
    higher the derivative, the fewer of the 16 digits of float64 are correct: for exp, `Adaptive` gives about 13 of the
    first derivative, 10 of the fourth, 6 of the eighth and 3 of the twelfth. The twentieth has no correct digit, and is
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
    require_order(n)
    options = Options(
        "derivative", scheme, evaluator, bounds, f0, has_aux, progress, full_output, args, kwargs, also={"n": n}
    )
    require_callable(f)
    parameters = Parameters.of_array(x, "x", fixed)
    [shape] = parameters.shapes
    function = options.function(f, vector=True, shape=shape)
    with Problem.joint(function, parameters, options, scheme.calls(1, n)) as problem:
        memory, scheme = problem.memory, problem.scheme
        elements = problem.elements
        if len(elements):
            chosen = None if isinstance(elements, range) else memory.index_array(elements.tolist())
            lines = pointwise_lines(problem, chosen)
            slopes = scheme.differentiate(lines, scheme.steps(lines, n), n)
        else:
            slopes = nothing(problem)
        arrays = arrays_of(memory, filled(problem, slopes), shape, steps=full_output)
        problem.warn_if_constant()
    return problem.result([arrays], only)
