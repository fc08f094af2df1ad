"""Second derivatives with respect to every two elements of x, and their sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

from anygrad._typing import Array, Bounds, Kwargs, ProgressCallback, PyTree
from anygrad.backends.arrays import Elements
from anygrad.backends.base import Memory
from anygrad.evaluators import Evaluator, Loop
from anygrad.operators.jacobian import jacobian_of
from anygrad.operators.partials import filled
from anygrad.operators.second_derivatives import along_elements, along_pairs, vector
from anygrad.problem.function import spans
from anygrad.problem.options import Options, require_gradient
from anygrad.problem.parameters import Parameters
from anygrad.problem.problem import Problem
from anygrad.problem.result import Result, arrays_of, mapped
from anygrad.problem.tree import flatten, only
from anygrad.schemes import Central, Scheme
from anygrad.schemes.base import Slopes, joined


def hessian(
    f: Callable[[Any], Any],
    x: PyTree,
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
    """Return the Hessian of f at x: the second derivatives with respect to every two elements of x.

    Parameters
    ----------
    f
        Function of x that returns one number, an array or a tree, as in `jacobian`.
    x
        As in `numerical_gradient`, but real. The arrays of a tree must be of one library and on one device.
    grad
        The gradient of f, if there is one: a function of x that returns arrays like x. It is then differentiated, and f
        is not called at all.
    args, kwargs, scheme, evaluator, bounds, fixed, f0, has_aux, progress, full_output
        As in `numerical_gradient`. ``f0`` and ``has_aux`` are about f, and not to be given with ``grad``.

    Returns
    -------
    array, pytree of arrays, or Result
        An array of shape ``f(x).shape + x.shape + x.shape``, of x's library, dtype and device, symmetric to the last
        bit. If x is a tree, a tree like x of trees like x; if f returns a tree, a tree like f(x) of those, as with
        ``jax.hessian``. The ``error`` and ``flags`` of a `Result` are like ``value``; its ``step`` is like x.

    Raises
    ------
    TypeError, ValueError
        As `numerical_gradient`, whose warning is given as well; TypeError also if x is complex.

    See Also
    --------
    hvp : the product with a vector, without the Hessian.
    laplacian : the sum of its diagonal.

    Notes
    -----
    With central differences of order 2, as by default, f is called 1 + 2n + n(n-1) times for n elements; with ``grad``,
    grad is called 2n times instead. Mixed derivatives are computed from second derivatives along the sum of two steps,
    with any scheme; for `Central` that is M. Abramowitz and I. A. Stegun, *Handbook of Mathematical Functions* (1964),
    equation 25.3.27. For `Complex`, see its notes.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> anygrad.hessian(lambda x: x[0] ** 2 * x[1], np.array([1.0, 2.0])).round(5)
    array([[4., 2.],
           [2., 0.]])
    """
    parameters = Parameters.of(x, fixed)
    parameters.require_real("a Hessian")
    options = Options("hessian", scheme, evaluator, bounds, f0, has_aux, progress, full_output, args, kwargs)
    if grad is not None:
        require_gradient(grad, f0, has_aux=has_aux)
        options = replace(options, operator="jacobian", also={"sparsity": None})
        function = options.function(grad, vector=True, called="grad")
        rows = jacobian_of(function, parameters, options)
        parameters.require_like(function)
        return _symmetrised(rows, parameters)
    free = len(parameters.elements)
    lines = free * (free + 1) // 2
    function = options.function(f, vector=True)
    with Problem.joint(function, parameters, options, scheme.calls(lines, 2)) as problem:
        diagonal = along_elements(problem)
        matrices = _matrices(problem, diagonal.slopes, along_pairs(problem, diagonal))
        steps = _steps(problem, diagonal.slopes)
        problem.warn_if_constant()
    return problem.result(matrices, function.rebuilt, steps=steps)


def laplacian(
    f: Callable[[Any], Any],
    x: PyTree,
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
) -> Any:
    """Return the Laplacian of f at x: the sum of the second derivatives, without the Hessian.

    Parameters
    ----------
    f, x, args, kwargs, scheme, evaluator, bounds, fixed, f0, has_aux, progress, full_output
        As in `hessian`.

    Returns
    -------
    array or Result
        An array without dimensions, of x's library, dtype and device. The ``step`` of a `Result` is like x.

    Raises
    ------
    TypeError, ValueError
        As `hessian`.

    See Also
    --------
    hessian : all second derivatives.

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
    options = Options("laplacian", scheme, evaluator, bounds, f0, has_aux, progress, full_output, args, kwargs)
    function = options.function(f)
    parameters = Parameters.of(x, fixed)
    parameters.require_real("a Laplacian")
    with Problem.joint(function, parameters, options, scheme.calls(len(parameters.elements), 2)) as problem:
        slopes, xp = along_elements(problem).slopes, problem.memory.xp
        error = None if slopes.error is None else xp.sum(slopes.error)
        flags = {name: xp.any(flag) for name, flag in slopes.flags.items()}
        total = replace(slopes, value=xp.sum(slopes.value), error=error, flags=flags)
        arrays = arrays_of(problem.memory, total, ())
        steps = _steps(problem, slopes)
        problem.warn_if_constant()
    return problem.result([arrays], only, steps=steps)


def _steps(problem: Problem, slopes: Slopes) -> PyTree:
    parameters = problem.parameters
    if not problem.options.full_output:
        return None
    return parameters.rebuild(vector(problem.memory, filled(problem, slopes).step, parameters.arrays))


def _matrices(problem: Problem, diagonal: Slopes, mixed: Slopes | None) -> list[Slopes]:
    """Return the Hessian of each array that f returns, given all diagonals (n, p) and the parts above them (m, p).

    It is a tree like x of trees like it, with a block for each two arrays.
    """
    memory, parameters = problem.memory, problem.parameters
    everything = diagonal if mixed is None else joined(memory.xp, [diagonal, mixed])
    whole = everything.each_value(lambda table: _symmetric(memory, table, problem.elements))
    parts = spans(parameters.shapes)

    def of_output(own: slice, shape: tuple[int, ...]) -> Slopes:
        def block(rows: slice, columns: slice, of_x: tuple[int, ...]) -> Slopes:
            return arrays_of(memory, whole.each_value(lambda table: table[own, rows, columns]), shape + of_x)

        rows = [
            mapped([block(rows, columns, above + below) for columns, below in parts], parameters.rebuild)
            for rows, above in parts
        ]
        return mapped(rows, parameters.rebuild)

    return [of_output(*output) for output in problem.function.outputs]


def _symmetric(memory: Memory, numbers: Array, elements: Elements) -> Array:
    """Return p symmetric matrices (p, n, n) from columns (m, p) that hold the diagonal and then the part above it.

    They are 0 but for some elements. Each number is looked up, as immutable arrays cannot be assigned to.
    """
    xp, count, size = memory.xp, len(elements), memory.size
    line = np.arange(count)
    above = line[:, None] < line
    free = places = np.diag(line)
    free[above] = free.T[above] = np.arange(count, numbers.shape[0])
    if count < size:
        own = np.asarray(elements, dtype=np.intp)
        places = np.full((size, size), numbers.shape[0])
        places[own[:, None], own] = free
        zero = xp.zeros((1, numbers.shape[1]), dtype=numbers.dtype, device=device(numbers))
        numbers = xp.concat([numbers, zero])
    taken = xp.take(numbers, memory.index_array(places.reshape(-1)), axis=0)
    return xp.reshape(xp.permute_dims(taken, (1, 0)), (numbers.shape[1], size, size))


def _symmetrised(rows: PyTree, parameters: Parameters) -> PyTree:
    """Return the mean of a matrix, a tree like x of trees like it, and its transpose; or of all in a `Result`."""

    def mean(matrix: PyTree) -> PyTree:
        return _with_transpose(matrix, parameters, lambda block, mirrored: (block + mirrored) / 2)

    if not isinstance(rows, Result):
        return mean(rows)
    return replace(
        rows,
        value_at_x=None,  # that of grad
        value=mean(rows.value),
        error=None if rows.error is None else mean(rows.error),
        flags={
            name: _with_transpose(flag, parameters, lambda block, mirrored: block | mirrored)
            for name, flag in rows.flags.items()
        },
    )


def _with_transpose(rows: PyTree, parameters: Parameters, combine: Any) -> PyTree:
    blocks, places = flatten(rows).leaves, range(len(parameters.shapes))
    table = [[parameters.without_fixed(blocks[len(places) * i + j], i) for j in places] for i in places]

    def combined(i: int, j: int) -> Array:
        mirrored = table[j][i]
        first = len(parameters.shapes[j])
        axes = (*range(first, mirrored.ndim), *range(first))
        xp = array_namespace(mirrored)
        # NumPy makes numbers of arrays without axes.
        return xp.asarray(combine(table[i][j], xp.permute_dims(mirrored, axes)))

    return parameters.rebuild([parameters.rebuild([combined(i, j) for j in places]) for i in places])
