"""Second derivatives of functions that return one number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from anygrad._typing import Bounds, ProgressCallback, PyTree
from anygrad.evaluators import Evaluator, Loop
from anygrad.operators.jacobian import jacobian_of
from anygrad.operators.partials import warn_if_constant
from anygrad.operators.second import along_elements, along_pairs
from anygrad.operators.symmetric import blocks, symmetrised, vector
from anygrad.problem.function import Function
from anygrad.problem.options import Options, require_callable, require_gradient, require_nothing_said_of_f
from anygrad.problem.parameters import Parameters
from anygrad.problem.problem import Problem
from anygrad.problem.result import Counts, Derivatives, assembled, mapped
from anygrad.problem.tree import only
from anygrad.schemes import Central, Scheme


def hessian(
    f: Callable[[Any], Any],
    x: PyTree,
    *,
    grad: Callable[[Any], Any] | None = None,
    scheme: Scheme = Central(),
    evaluator: Evaluator = Loop(),
    bounds: Bounds = None,
    f0: Any = None,
    has_aux: bool = False,
    progress: bool | ProgressCallback = False,
    full_output: bool = False,
) -> PyTree:
    """Return the Hessian of f at x: the second derivatives by every two elements of x.

    Parameters
    ----------
    f
        Function of x that returns one number, as in `numerical_gradient`.
    x
        As in `numerical_gradient`, but real. The arrays of a tree must be of one library and on one device.
    grad
        The gradient of f, if there is one: a function of x that returns what is like x. It is then differentiated, and
        f not called at all.
    scheme, evaluator, bounds, f0, has_aux, progress, full_output
        As in `numerical_gradient`. ``f0`` and ``has_aux`` are about f, and not to be given with ``grad``.

    Returns
    -------
    array, pytree of arrays, or Result
        An array of shape ``x.shape + x.shape``, of x's library, dtype and device, symmetric to the last bit. If x is a
        tree, a tree like it of trees like it, as with ``jax.hessian``. Of a `Result`, ``error`` and ``flags`` are
        like ``value``, and ``step`` is like x.

    Raises
    ------
    TypeError, ValueError
        As `numerical_gradient`; TypeError as well if x is complex.

    Warns
    -----
    ConstantFunctionWarning
        As `numerical_gradient`.

    Notes
    -----
    With central differences of order 2, as by default, f is called 1 + 2n + n(n-1) times for n elements; with ``grad``,
    that is called 2n times instead. The mixed derivatives come of the second derivatives along the sum of two steps,
    by any scheme; for `Central` that is M. Abramowitz and I. A. Stegun, *Handbook of Mathematical Functions* (1964),
    equation 25.3.27. For `Complex` see there.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> anygrad.hessian(lambda x: x[0] ** 2 * x[1], np.array([1.0, 2.0])).round(5)
    array([[4., 2.],
           [2., 0.]])
    """
    parameters = Parameters.of(x)
    parameters.require_real("a Hessian")
    if grad is not None:
        require_gradient(grad)
        require_nothing_said_of_f(f0, has_aux=has_aux)
        options = Options(
            "jacobian",
            scheme,
            evaluator,
            bounds,
            progress=progress,
            full_output=full_output,
            also={"sparsity": None},
        )
        rows = jacobian_of(Function(grad, vector=True, called="grad"), parameters, options)
        return symmetrised(rows, parameters)
    require_callable(f)
    options = Options("hessian", scheme, evaluator, bounds, f0, has_aux, progress, full_output)
    function = Function(f, has_aux=has_aux)
    lines = parameters.size * (parameters.size + 1) // 2
    with (
        options.meter(scheme.calls(lines, 2)) as counter,
        Problem.joint(function, parameters, options, counter) as problem,
    ):
        memory = problem.memory
        diagonal = along_elements(problem)
        mixed = along_pairs(problem, diagonal)
        rows = [mapped(row, parameters.rebuild) for row in blocks(memory, diagonal.slopes, mixed, parameters.shapes)]
        steps = parameters.rebuild(vector(memory, diagonal.slopes.step, parameters.arrays)) if full_output else None
        warn_if_constant(parameters.names if problem.is_constant() else ())
        counts = Counts.of(problem)
    return assembled(rows, parameters.rebuild, options, function, counts, steps=steps)


def laplacian(
    f: Callable[[Any], Any],
    x: PyTree,
    *,
    scheme: Scheme = Central(),
    evaluator: Evaluator = Loop(),
    bounds: Bounds = None,
    f0: Any = None,
    has_aux: bool = False,
    progress: bool | ProgressCallback = False,
    full_output: bool = False,
) -> Any:
    """Return the Laplacian of f at x: the sum of the second derivatives by each element, without the Hessian.

    Parameters
    ----------
    f, x, scheme, evaluator, bounds, f0, has_aux, progress, full_output
        As in `hessian`.

    Returns
    -------
    array or Result
        An array without dimensions, of x's library, dtype and device. Of a `Result`, ``step`` is like x.

    Raises
    ------
    TypeError, ValueError
        As `hessian`.

    Warns
    -----
    ConstantFunctionWarning
        As `numerical_gradient`.

    Notes
    -----
    With central differences of order 2, as by default, f is called 1 + 2n times for x of n elements.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> float(anygrad.laplacian(lambda x: (x**3).sum(), np.array([1.0, 2.0])).round(5))
    18.0
    """
    require_callable(f)
    parameters = Parameters.of(x)
    parameters.require_real("a Laplacian")
    options = Options("laplacian", scheme, evaluator, bounds, f0, has_aux, progress, full_output)
    function = Function(f, has_aux=has_aux)
    with (
        options.meter(scheme.calls(parameters.size, 2)) as counter,
        Problem.joint(function, parameters, options, counter) as problem,
    ):
        memory, xp = problem.memory, problem.memory.xp
        slopes = along_elements(problem).slopes
        error = None if slopes.error is None else xp.sum(slopes.error)
        flags = {name: xp.any(flag) for name, flag in slopes.flags.items()}
        total = replace(slopes, value=xp.sum(slopes.value), error=error, flags=flags)
        arrays = Derivatives.of(memory, total, ())
        steps = parameters.rebuild(vector(memory, slopes.step, parameters.arrays)) if full_output else None
        warn_if_constant(parameters.names if problem.is_constant() else ())
        counts = Counts.of(problem)
    return assembled([arrays], only, options, function, counts, steps=steps)
