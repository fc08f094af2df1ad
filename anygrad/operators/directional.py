"""Derivatives along one direction, and products of the Hessian with one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from operator import itemgetter
from typing import Any

import numpy as np

from anygrad._typing import Array, Bounds, Kwargs, ProgressCallback, PyTree
from anygrad.evaluators import Evaluator, Loop
from anygrad.operators.partials import filled
from anygrad.operators.second_derivatives import along_direction, along_elements, along_elements_and, like, vector
from anygrad.problem.function import Function, spans
from anygrad.problem.lines import direction_lines
from anygrad.problem.options import Options, require_gradient
from anygrad.problem.parameters import Parameters
from anygrad.problem.problem import Problem
from anygrad.problem.result import arrays_of
from anygrad.problem.tree import flatten, is_number
from anygrad.schemes import Central, Scheme
from anygrad.schemes.base import Slopes


def jvp(
    f: Callable[[Any], Any],
    x: PyTree,
    v: PyTree,
    *,
    args: tuple[Any, ...] = (),
    kwargs: Kwargs = None,
    scheme: Scheme = Central(),
    evaluator: Evaluator = Loop(),
    bounds: Bounds = None,
    fixed: PyTree = None,
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
    args, kwargs, scheme, evaluator, bounds, fixed, f0, has_aux, progress, full_output
        As in `numerical_gradient`. A scheme's ``step`` is the change of the element that changes most, in units of x.

    Returns
    -------
    array, pytree of arrays, or Result
        The derivative, with the structure and shapes of f(x), of x's library and dtype. The ``step`` of a `Result` is
        one number: the largest change of an element of x.

    Raises
    ------
    TypeError, ValueError
        As `jacobian`, whose warning is given as well; ValueError also if v has other shapes than x.

    See Also
    --------
    jacobian : the derivatives with respect to all elements.
    hvp : the product of the Hessian with a vector.
    derivative : higher derivatives along a direction, with ``along``.

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
    options = Options("jvp", scheme, evaluator, bounds, f0, has_aux, progress, full_output, args, kwargs, also={"v": v})
    return derivative_along(options.function(f, vector=True), Parameters.of(x, fixed), v, options)


def derivative_along(function: Function, parameters: Parameters, v: PyTree, options: Options, n: int = 1) -> PyTree:
    """Return the n-th derivative along v."""
    with Problem.joint(function, parameters, options, options.scheme.calls(1, n)) as problem:
        memory, scheme = problem.memory, problem.scheme
        direction, length = _normalised(problem, v)
        lines = direction_lines(problem, range(memory.size), direction)
        slopes = _scaled(scheme.differentiate(lines, scheme.steps(lines, n), n), length**n)
        parts = of_outputs(problem, slopes)
        step = memory.assemble([slopes.step], ()) if options.full_output else None
        if memory.lazy or bool(length[0, 0] != 0):  # along no direction nothing changes
            problem.warn_if_constant()
    return problem.result(parts, function.rebuilt, steps=step)


def of_outputs(problem: Problem, slopes: Slopes) -> list[Slopes]:
    """Return the derivatives (1, p) along one line as one for each array that f returns."""
    return [
        arrays_of(problem.memory, slopes.each_value(itemgetter((slice(None), own))), shape)
        for own, shape in problem.function.outputs
    ]


def hvp(
    f: Callable[[Any], Any],
    x: PyTree,
    v: PyTree,
    *,
    grad: Callable[[Any], Any] | None = None,
    args: tuple[Any, ...] = (),
    kwargs: Kwargs = None,
    scheme: Scheme = Central(),
    evaluator: Evaluator = Loop(),
    bounds: Bounds = None,
    fixed: PyTree = None,
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
    args, kwargs, scheme, evaluator, bounds, fixed, f0, has_aux, progress, full_output
        As in `hessian`; a scheme's ``step``, with ``grad``, as in `jvp`.

    Returns
    -------
    array, pytree of arrays, or Result
        An array or a tree like x. The ``step`` of a `Result` is like x; with ``grad``, one number as in `jvp`.

    Raises
    ------
    TypeError, ValueError
        As `hessian` and `jvp`, whose warning is given as well.

    See Also
    --------
    hessian : all second derivatives.
    jvp : the product of the Jacobian with a vector.

    Notes
    -----
    With ``grad``, this is the derivative of grad along v: two calls of grad with the default scheme, whatever the size
    of x. Without it, f is called 4n + 3 times for x of n elements, where a Hessian takes n**2 + n + 1 calls.

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
    parameters = Parameters.of(x, fixed)
    parameters.require_real("a Hessian")
    options = Options("hvp", scheme, evaluator, bounds, f0, has_aux, progress, full_output, args, kwargs, also={"v": v})
    if grad is not None:
        require_gradient(grad, f0, has_aux=has_aux)
        function = options.function(grad, vector=True, called="grad")
        product = derivative_along(function, parameters, v, replace(options, operator="jvp"))
        parameters.require_like(function)
        if not full_output:
            return _like_x(parameters, product)
        error = None if product.error is None else _like_x(parameters, product.error)
        return replace(product, value=_like_x(parameters, product.value), error=error, value_at_x=None)
    with Problem.joint(
        options.function(f), parameters, options, scheme.calls(2 * len(parameters.elements) + 1, 2)
    ) as problem:
        memory = problem.memory
        direction, length = _normalised(problem, v)
        diagonal = along_elements(problem)
        along = along_direction(problem, direction)
        slopes = filled(problem, _scaled(along_elements_and(problem, diagonal, direction, along), length))
        parts = [
            _of_array(arrays_of(memory, slopes.each_value(itemgetter((span, ...))), shape), leaf)
            for leaf, (span, shape) in zip(parameters.arrays, spans(parameters.shapes), strict=True)
        ]
        steps = parameters.rebuild(vector(memory, slopes.step, parameters.arrays)) if full_output else None
        if memory.lazy or bool(length[0, 0] != 0):
            problem.warn_if_constant()
    return problem.result(parts, parameters.rebuild, steps=steps)


def _of_array(part: Slopes, leaf: Array) -> Slopes:
    """Return derivatives in the dtype of an array of x: those with respect to several together are of the widest."""
    return replace(part, value=like(part.value, leaf), error=None if part.error is None else like(part.error, leaf))


def _normalised(problem: Problem, v: PyTree) -> tuple[Array, Array]:
    """Return v as a direction (1, n) whose largest element is 1, and what it was before, (1, 1)."""
    memory, parameters = problem.memory, problem.parameters
    xp = memory.xp
    leaves = parameters.leaves_of(v, "v")
    for name, leaf, shape in zip(parameters.names, leaves, parameters.shapes, strict=True):
        given = _shape(leaf, name)
        if given != shape:
            raise ValueError(f"v has the shape {given}, but {name} has the shape {shape}: give v the shapes of x")
    numbers = memory.spread(leaves[0] if parameters.alone else leaves, "v")
    if not isinstance(problem.elements, range):  # fixed elements do not move
        free = np.isin(np.arange(memory.size), problem.elements)
        numbers = xp.where(memory.index_array(free) == 1, numbers, 0.0)
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
    raise TypeError(f"v is {leaf!r:.60} where {name} is an array: give an array of the same shape")


def _scaled(slopes: Slopes, length: Array) -> Slopes:
    error = None if slopes.error is None else slopes.error * length
    return replace(slopes, value=slopes.value * length, error=error)


def _like_x(parameters: Parameters, tree: PyTree) -> PyTree:
    pairs = zip(flatten(tree).leaves, parameters.arrays, strict=True)
    return parameters.rebuild([parameters.without_fixed(like(leaf, x), i) for i, (leaf, x) in enumerate(pairs)])
