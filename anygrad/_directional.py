"""Derivatives along one direction, and products of the Hessian with one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from anygrad._collected import array_of, arrays_of
from anygrad._function import Function
from anygrad._job import Options
from anygrad._jobs import joint_job, require_distinct
from anygrad._lines import direction_lines
from anygrad._opened import opened
from anygrad._partials import completed
from anygrad._plan import Slopes
from anygrad._progress import meter
from anygrad._pytree import flatten, is_number
from anygrad._run import assembled, warn_of_blindness
from anygrad._second import along_direction, along_elements, by_direction
from anygrad._symmetric import like, spans, vector
from anygrad._typing import Array, Bounds, ProgressCallback, PyTree
from anygrad._validate import require_callable, require_gradient, require_nothing_said_of_f
from anygrad._variables import Variables
from anygrad.backends import Memory
from anygrad.evaluators import Evaluator, Loop
from anygrad.schemes import Central, Scheme


def jvp(
    f: Callable[[Any], Any],
    x: PyTree,
    v: PyTree,
    *,
    scheme: Scheme = Central(),
    evaluator: Evaluator = Loop(),
    bounds: Bounds = None,
    f0: Any = None,
    has_aux: bool = False,
    progress: bool | ProgressCallback = False,
    full_output: bool = False,
) -> PyTree:
    """Return the derivative of f at x along v: the product of f's Jacobian with v, without the Jacobian.

    Parameters
    ----------
    f, x
        As in `jacobian`.
    v
        The direction: real, of x's structure and shapes. Its length counts: twice the v, twice the derivative.
    scheme, evaluator, bounds, f0, has_aux, progress, full_output
        As in `numerical_gradient`. A scheme's ``step`` is the change of the element that changes most, in units of x.

    Returns
    -------
    array, pytree of arrays, or Result
        As f returns it, of x's library and dtype. The ``step`` of a `Result` is one number: the largest change of an
        element of x.

    Raises
    ------
    TypeError, ValueError
        As `jacobian`; ValueError as well if v has other shapes than x.

    Warns
    -----
    ConstantFunctionWarning
        As `numerical_gradient`.

    Notes
    -----
    The number of calls of f does not depend on the size of x: two with the default scheme. v is scaled to a largest
    element of 1, and the step is chosen for the largest element of x. All of x changes at a time.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> anygrad.jvp(lambda x: x**2, np.array([1.0, 2.0]), np.array([1.0, 10.0])).round(6)
    array([ 2., 40.])
    """
    require_callable(f)
    options = Options(scheme, evaluator, bounds, f0, has_aux, progress, full_output, plan={"operator": "jvp", "v": v})
    return _jvp_of(Function(f, has_aux=has_aux, vector=True), x, v, options)


def along_both_parts(
    f: Callable[[Any], Any], x: PyTree, v: PyTree, *, scheme: Scheme, evaluator: Evaluator, bounds: Bounds
) -> PyTree:
    """Return the `Result` of `jvp`; of a real f of complex x, that along v plus i times that along i v.

    So has a gradient both parts, where `jvp` has the real one alone.
    """
    plan = {"operator": "jvp", "v": v, "parts": "both"}
    options = Options(scheme, evaluator, bounds, full_output=True, plan=plan)
    return _jvp_of(Function(f, vector=True), x, v, options, both=True)


def _jvp_of(function: Function, x: PyTree, v: PyTree, options: Options, *, both: bool = False) -> PyTree:
    variables = Variables.of(x)
    job = joint_job(variables, function, options, vector=True)
    scheme = job.options.scheme
    with meter(options.progress, scheme.calls(1)) as counter, opened(job, function, counter) as space:
        memory, session = space.memory, space.session
        require_distinct(variables, [session.in_place] * len(variables.names))
        direction, length = _normalised(memory, variables, v)

        def along(part: int) -> Slopes:
            way = direction
            if part:
                way = memory.xp.reshape(memory.compose(memory.xp.zeros_like(way), way), way.shape)
            lines = direction_lines(space, range(memory.size), way)
            return scheme.differentiate(lines, scheme.steps(lines))

        slopes = _scaled(completed(space, along) if both else along(0), length)
        parts = [arrays_of(memory, slopes, (0, own), shape) for own, shape in function.outputs]
        step = array_of(memory, slopes.step, ())
        if session.blind() and bool(length[0, 0] != 0):
            warn_of_blindness(variables.names)
        counts = session.record.counts
    return assembled(parts, function.rebuilt, options, function, steps=step, **counts)


def hvp(
    f: Callable[[Any], Any],
    x: PyTree,
    v: PyTree,
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
    """Return the product of f's Hessian at x with v, without the Hessian.

    Parameters
    ----------
    f, x, grad
        As in `hessian`.
    v
        As in `jvp`.
    scheme, evaluator, bounds, f0, has_aux, progress, full_output
        As in `hessian`; a scheme's ``step``, with ``grad``, as in `jvp`.

    Returns
    -------
    array, pytree of arrays, or Result
        An array or a tree like x. The ``step`` of a `Result` is like x; with ``grad``, one number as in `jvp`.

    Raises
    ------
    TypeError, ValueError
        As `hessian` and `jvp`.

    Warns
    -----
    ConstantFunctionWarning
        As `numerical_gradient`.

    Notes
    -----
    With ``grad``, this is the derivative of that along v: two calls of it with the default scheme, however large x
    is. Without, the n numbers of the product must come from as many values of f: 4n + 3 calls of f with the default
    scheme, where a Hessian would take n**2 + n + 1.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> x, v = np.array([1.0, 2.0]), np.array([1.0, -1.0])
    >>> anygrad.hvp(lambda x: x[0] ** 2 * x[1], x, v).round(5)
    array([2., 2.])
    >>> anygrad.hvp(None, x, v, grad=lambda x: np.stack([2 * x[0] * x[1], x[0] ** 2])).round(5)
    array([2., 2.])
    """
    variables = Variables.of(x)
    variables.require_real("a Hessian")
    if grad is not None:
        require_gradient(grad)
        require_nothing_said_of_f(f0, has_aux=has_aux)
        plan = {"operator": "jvp", "v": v}
        options = Options(scheme, evaluator, bounds, progress=progress, full_output=full_output, plan=plan)
        product = _jvp_of(Function(grad, vector=True, called="grad"), x, v, options)
        variables.require_like(product.value if full_output else product, "grad")
        if not full_output:
            return _like_x(variables, product)
        error = None if product.error is None else _like_x(variables, product.error)
        return replace(product, value=_like_x(variables, product.value), error=error)
    require_callable(f)
    options = Options(scheme, evaluator, bounds, f0, has_aux, progress, full_output, plan={"operator": "hvp", "v": v})
    function = Function(f, has_aux=has_aux)
    job = joint_job(variables, function, options)
    scheme = job.options.scheme
    total = scheme.calls(2 * variables.size + 1, 2)
    with meter(progress, total) as counter, opened(job, function, counter) as space:
        memory, session = space.memory, space.session
        require_distinct(variables, [session.in_place] * len(variables.names))
        direction, length = _normalised(memory, variables, v)
        diagonal = along_elements(space, scheme)
        along = along_direction(space, scheme, direction)
        slopes = _scaled(by_direction(space, scheme, diagonal, direction, along), length)
        parts = [
            replace(part, value=like(part.value, leaf), error=None if part.error is None else like(part.error, leaf))
            for leaf, part in zip(
                variables.arrays,
                (arrays_of(memory, slopes, (span, 0), shape) for span, shape in spans(variables.shapes)),
                strict=True,
            )
        ]
        steps = variables.rebuild(vector(memory, slopes.step, variables.arrays))
        if session.blind() and bool(length[0, 0] != 0):
            warn_of_blindness(variables.names)
        counts = session.record.counts
    return assembled(parts, variables.rebuild, options, function, steps=steps, **counts)


def _normalised(memory: Memory, variables: Variables, v: PyTree) -> tuple[Array, Array]:
    """Return v as a direction (1, n) whose largest element is 1, and what it was before, (1, 1)."""
    xp = memory.xp
    leaves = variables.leaves_of(v, "v")
    for name, leaf, shape in zip(variables.names, leaves, variables.shapes, strict=True):
        given = _shape(leaf, name)
        if given != shape:
            raise ValueError(f"v has the shape {given} where {name} has {shape}, but a direction has the shape of x")
    numbers = memory.spread(leaves[0] if variables.alone else leaves, "v")
    length = xp.reshape(xp.max(xp.abs(numbers)) if memory.size else xp.sum(numbers), (1, 1))
    return xp.reshape(numbers, (1, -1)) / xp.where(length > 0, length, 1.0), length


def _shape(leaf: Any, name: str) -> tuple[int, ...]:
    if hasattr(leaf, "shape"):
        return tuple(leaf.shape)
    try:
        if is_number(leaf) or isinstance(leaf, (list, tuple)):
            return np.shape(leaf)
    except ValueError:  # lists that differ in length
        pass
    raise TypeError(f"v is {leaf!r:.60} where {name} is an array, but a direction is an array like it")


def _scaled(slopes: Slopes, length: Array) -> Slopes:
    """Return the derivatives along a direction that is so much longer."""
    error = None if slopes.error is None else slopes.error * length
    return replace(slopes, value=slopes.value * length, error=error)


def _like_x(variables: Variables, tree: PyTree) -> PyTree:
    """Return a tree of arrays in the dtypes of those of x."""
    leaves, _ = flatten(tree)
    return variables.rebuild([like(leaf, x) for (_, leaf), x in zip(leaves, variables.arrays, strict=True)])
