"""Second derivatives of functions that return one number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from anygrad._collected import arrays_of, mapped
from anygrad._function import Function
from anygrad._jacobian import jacobian_of
from anygrad._job import Options
from anygrad._jobs import joint_job, require_distinct
from anygrad._opened import opened
from anygrad._progress import meter
from anygrad._pytree import only
from anygrad._run import assembled, warn_of_blindness
from anygrad._second import along_elements, by_pairs
from anygrad._symmetric import blocks, symmetrised, vector
from anygrad._typing import Bounds, ProgressCallback, PyTree
from anygrad._validate import require_callable, require_gradient, require_nothing_said_of_f
from anygrad._variables import Variables
from anygrad.evaluators import Evaluator, Loop
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
    variables = Variables.of(x)
    variables.require_real("a Hessian")
    if grad is not None:
        require_gradient(grad)
        require_nothing_said_of_f(f0, has_aux=has_aux)
        plan = {"operator": "jacobian", "sparsity": None}
        options = Options(scheme, evaluator, bounds, progress=progress, full_output=full_output, plan=plan)
        rows = jacobian_of(Function(grad, vector=True, called="grad"), x, options)
        return symmetrised(rows, variables)
    require_callable(f)
    options = Options(scheme, evaluator, bounds, f0, has_aux, progress, full_output, plan={"operator": "hessian"})
    function = Function(f, has_aux=has_aux)
    job = joint_job(variables, function, options)
    scheme = job.options.scheme
    lines = variables.size * (variables.size + 1) // 2
    with meter(progress, scheme.calls(lines, 2)) as counter, opened(job, function, counter) as space:
        memory, session = space.memory, space.session
        require_distinct(variables, [session.in_place] * len(variables.names))
        diagonal = along_elements(space, scheme)
        mixed = by_pairs(space, scheme, diagonal)
        rows = [mapped(row, variables.rebuild) for row in blocks(memory, diagonal.slopes, mixed, variables.shapes)]
        steps = variables.rebuild(vector(memory, diagonal.slopes.step, variables.arrays))
        if session.blind():
            warn_of_blindness(variables.names)
        counts = session.record.counts
    return assembled(rows, variables.rebuild, options, function, steps=steps, **counts)


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
    variables = Variables.of(x)
    variables.require_real("a Laplacian")
    options = Options(scheme, evaluator, bounds, f0, has_aux, progress, full_output, plan={"operator": "laplacian"})
    function = Function(f, has_aux=has_aux)
    job = joint_job(variables, function, options)
    scheme = job.options.scheme
    with meter(progress, scheme.calls(variables.size, 2)) as counter, opened(job, function, counter) as space:
        memory, session, xp = space.memory, space.session, space.memory.xp
        require_distinct(variables, [session.in_place] * len(variables.names))
        slopes = along_elements(space, scheme).slopes
        error = None if slopes.error is None else xp.sum(slopes.error)
        flags = {name: xp.any(flag) for name, flag in slopes.flags.items()}
        total = replace(slopes, value=xp.sum(slopes.value), error=error, flags=flags)
        arrays = arrays_of(memory, total, (), ())
        steps = variables.rebuild(vector(memory, slopes.step, variables.arrays))
        if session.blind():
            warn_of_blindness(variables.names)
        counts = session.record.counts
    return assembled([arrays], only, options, function, steps=steps, **counts)
