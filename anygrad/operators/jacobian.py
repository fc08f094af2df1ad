"""The Jacobian of functions that return arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anygrad._typing import Array, Bounds, Kwargs, ProgressCallback, PyTree
from anygrad.backends.base import Memory
from anygrad.evaluators import Evaluator, Loop
from anygrad.operators.partials import partials
from anygrad.problem.function import Function
from anygrad.problem.options import Options
from anygrad.problem.parameters import Parameters
from anygrad.problem.result import arrays_of, assembled, mapped
from anygrad.schemes import Central, Scheme
from anygrad.schemes.base import Slopes


def jacobian(
    f: Callable[[Any], Any],
    x: PyTree,
    *,
    sparsity: Any = None,
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
    """Return the Jacobian of f at x: the derivative of every element of f(x) with respect to each of x.

    Parameters
    ----------
    f
        Function of x that returns an array of x's library, of any shape, or a number, a list of numbers, or a tree of
        these; always of the same shape.
    x
        As in `numerical_gradient`.
    sparsity
        Where the Jacobian may have other entries than 0, with a row for each element of f(x) and a column for each of
        x (in the order of ``ravel()``): a SciPy sparse array, of which all stored entries count; a boolean array of
        NumPy or of x's library; a sparse Jacobian that was computed before; or what `sparsity` made of one of these,
        for many calls. ``"detect"`` finds it from values of f. None stands for all entries. With a sparsity, x and f(x)
        must be one array each.
    args, kwargs, scheme, evaluator, bounds, fixed, f0, has_aux, progress, full_output
        As in `numerical_gradient`.

    Returns
    -------
    array, pytree of arrays, or Result
        An array of shape ``f(x).shape + x.shape``, in C order, of x's library, dtype and device. If f returns a tree, a
        tree like f(x), with the derivatives of each array in its place; if x is a tree, these derivatives are trees
        like x, as with ``jax.jacobian``. A `Result` has ``error`` and ``flags`` like ``value``, and ``step`` like x.

        With ``sparsity``, a sparse array of shape ``(f(x).size, x.size)`` with all entries of the pattern: of SciPy, in
        the pattern's format (CSR for an array), ``cupyx.scipy.sparse.csr_matrix`` on CuPy, a COO tensor on PyTorch,
        ``jax.experimental.sparse.BCOO`` on JAX; of libraries without sparse arrays (Dask, dpnp, others) a dense one.
        So are ``error`` and ``flags``. Where sparse arrays have no such dtype, float16 becomes float32 (SciPy, CuPy),
        and bool uint8 (JAX).

    Raises
    ------
    TypeError, ValueError
        As `numerical_gradient`, whose warning is given as well; ValueError also if the shapes that f returns differ
        between points, or if ``sparsity`` has another shape or lacks entries.
    ImportError
        If ``sparsity`` is given, and SciPy is not installed.

    See Also
    --------
    sparsity : prepare a pattern that is used many times.
    jvp : the product with a vector, without the Jacobian.
    hessian : second derivatives.

    Notes
    -----
    f is called as often as for a gradient: with the default scheme twice for each element of x, however many values it
    returns. For complex x, see `numerical_gradient`.

    With ``sparsity``, columns that have no row in common are perturbed together, after A. R. Curtis, M. J. D. Powell
    and J. K. Reid, *On the estimation of sparse Jacobian matrices*, IMA J. Appl. Math. 13 (1974), 117-119: f is called
    as often as for a gradient with one element for each group of columns, plus one: the derivative along a random
    direction verifies the pattern. A tridiagonal Jacobian has 3 groups, a banded one as many as the band is wide, a
    block diagonal one as many as the widest block; but n columns with a row in common (an arrow) are n groups, and
    nothing is saved. Columns near ``bounds`` form groups of their own. A missing entry is not noticed if it contributes
    less than a thousandth of its row or less than rounding, nor if x is lazy or traced.

    ``"detect"`` changes blocks of elements of x at random by less than a step, and halves the blocks with which f
    changes. Each halving takes about two calls for each group: some 45 calls for a tridiagonal Jacobian of 1,000
    columns, 2n for an arrow. It is a heuristic: it looks at f at two points next to x, and misses a branch that f does
    not take there and a change below rounding. A known pattern is better.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> def polar(p):
    ...     return np.array([p[0] * np.cos(p[1]), p[0] * np.sin(p[1])])
    >>> anygrad.jacobian(polar, np.array([2.0, 0.0])).round(6)
    array([[1., 0.],
           [0., 2.]])
    >>> x = np.arange(1000.0)
    >>> result = anygrad.jacobian(lambda x: x**2 + np.roll(x, 1), x, sparsity="detect", full_output=True)
    >>> result.value.shape, result.value.nnz, result.ncalls < 100
    ((1000, 1000), 2000, True)
    """
    also = {"sparsity": sparsity}
    options = Options(
        "jacobian", scheme, evaluator, bounds, f0, has_aux, progress, full_output, args, kwargs, also=also
    )
    return jacobian_of(options.function(f, vector=True), Parameters.of(x, fixed), options, sparsity)


def jacobian_of(function: Function, parameters: Parameters, options: Options, sparsity: Any = None) -> PyTree:
    """Return the Jacobian of a function whose name to the user may be another than f."""
    parameters.require_some()
    if sparsity is not None:
        from anygrad.operators.sparse.compressed import sparse_jacobian  # noqa: PLC0415 - needed for nothing else

        return sparse_jacobian(parameters, function, options, sparsity)
    found = partials(function, parameters, options)
    found.warn_if_constant()
    outputs = [
        mapped([_of_output(*part, own, shape) for part in found.parts], parameters.rebuild)
        for own, shape in function.outputs
    ]
    steps = None
    if options.full_output:
        steps = parameters.rebuild(
            [memory.assemble([slopes.step], own_shape) for memory, slopes, own_shape in found.parts]
        )
    return assembled(outputs, function.rebuilt, options, function, found.counts, steps=steps)


def _of_output(memory: Memory, slopes: Slopes, x_shape: tuple[int, ...], own: slice, shape: tuple[int, ...]) -> Slopes:
    """Return the derivatives of one array that f returns, of its shape and x's, from those of all."""
    xp = memory.xp

    def part(table: Array) -> Array:
        turned = xp.permute_dims(table[:, own], (1, 0))
        # In one dimension first: as a view, the result would not lie in C order.
        return turned if memory.lazy or not table.shape[0] else xp.reshape(turned, (-1,))

    chosen = slopes.each_value(part)
    return arrays_of(memory, chosen, (*shape, *x_shape))
