"""Derivatives of any order: element by element, along a direction, or with respect to several elements."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anygrad._typing import Array, Bounds, Kwargs, ProgressCallback, PyTree
from anygrad.backends.returned import host_array
from anygrad.evaluators import Evaluator, Loop
from anygrad.operators.directional import derivative_along, of_outputs
from anygrad.operators.mixed import polarized, product_of_stencils
from anygrad.operators.partials import filled, nothing, scattered
from anygrad.operators.second_derivatives import vector
from anygrad.problem.lines import element_lines, pointwise_lines
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
    along: PyTree = None,
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
        the same element of x alone. It is always given arrays of x's shape, with all elements changed. If x is one
        number, or with ``along``, it may return an array of any shape, or a tree, as in `jacobian`.
    x
        A floating array of any array API library, a number or a (nested) list of numbers; with ``along``, a tree, too.
    n
        Which derivative, 1 or more.
    along
        A direction, as in `jvp`: the n-th derivative of ``f(x + t * along)`` with respect to t, at 0, is returned.
    args, kwargs, scheme, evaluator, bounds, fixed, f0, has_aux, progress, full_output
        As in `numerical_gradient`.

    Returns
    -------
    array or Result
        The derivatives: an array of x's library, shape, dtype and device. If x is one number, or with ``along``, they
        are like what f returns.

    Raises
    ------
    TypeError, ValueError
        As `numerical_gradient`, whose warning is given as well; ValueError also if f returns an array of another shape
        than x's, if n is below 1, or if n is so large that `Adaptive` has no digit left of the derivative.

    See Also
    --------
    partial_derivative : mixed and higher partial derivatives of a function of several variables.
    numerical_gradient : for an f that returns one number.

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
    if along is not None:
        options.also["along"] = along
        return derivative_along(options.function(f, vector=True), Parameters.of(x, fixed), along, options, n)
    parameters = Parameters.of_array(x, "x", fixed)
    [shape] = parameters.shapes
    function = options.function(f, vector=True, shape=shape or None)
    with Problem.joint(function, parameters, options, scheme.calls(1, n)) as problem:
        memory, scheme = problem.memory, problem.scheme
        elements = problem.elements
        if len(elements):
            chosen = None if isinstance(elements, range) else memory.index_array(elements)
            lines = pointwise_lines(problem, chosen) if shape else element_lines(problem, elements)
            slopes = scheme.differentiate(lines, scheme.steps(lines, n), n)
        else:
            slopes = nothing(problem, 1 if shape else problem.base().shape[-1])
        slopes = filled(problem, slopes)
        parts = [arrays_of(memory, slopes, shape, steps=full_output)] if shape else of_outputs(problem, slopes)
        step = memory.assemble([slopes.step], shape) if full_output else None
        problem.warn_if_constant()
    return problem.result(parts, only if shape else function.rebuilt, steps=step)


def partial_derivative(
    f: Callable[[Any], Any],
    x: PyTree,
    orders: PyTree,
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
) -> PyTree:
    """Return one partial derivative of f at x, mixed or of higher order.

    Parameters
    ----------
    f
        As in `jacobian`.
    x
        As in `numerical_gradient`, but real.
    orders
        How often f is differentiated with respect to each element of x: integers in an array of x's shape, or a tree of
        these like x. ``[2, 1]`` stands for the third derivative, twice with respect to x[0] and once to x[1].
    args, kwargs, scheme, evaluator, bounds, fixed, f0, has_aux, progress, full_output
        As in `numerical_gradient`.

    Returns
    -------
    array, pytree of arrays, or Result
        The derivative, as f returns its values, of x's library and dtype. The ``step`` of a `Result` is like x.

    Raises
    ------
    TypeError, ValueError
        As `jacobian`; also if ``orders`` are not integers of 0 or more in the shape of x, or are all 0, or if an order
        of a fixed element is not 0.

    See Also
    --------
    derivative : derivatives of a function of one variable.
    hessian : all second derivatives.

    Notes
    -----
    `Central`, `Forward` and `Backward` take the product of one-dimensional stencils: f is called at as many points as
    the product of their numbers, ``3 * 2`` for ``[2, 1]`` with central differences of order 2. f(x) is one of them if
    all orders are even. `Adaptive` and `Complex` differentiate along directions, about half as many as the product of
    ``orders + 1``, and combine these by polarization, with their errors: R. Kan, *From moments of sum to moments of
    product*, J. Multivariate Anal. 99 (2008), 542-554.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> x = np.array([1.0, 2.0])
    >>> float(anygrad.partial_derivative(lambda x: x[0] ** 3 * np.exp(x[1]), x, [2, 1]).round(6))
    44.334337
    """
    also = {"orders": orders}
    options = Options(
        "partial_derivative", scheme, evaluator, bounds, f0, has_aux, progress, full_output, args, kwargs, also=also
    )
    function = options.function(f, vector=True)
    parameters = Parameters.of(x, fixed)
    parameters.require_real("a partial derivative")
    counts = _orders(parameters, orders)
    elements = np.flatnonzero(counts)
    own, n = [int(count) for count in counts[elements]], int(counts.sum())
    scheme = options.scheme
    polarizes = getattr(scheme, "inspects_values", False) or scheme.samples_complex
    if len(own) > 1 and polarizes:
        calls = scheme.calls(math.prod(order + 1 for order in own) // 2, n)
    else:
        calls = math.prod(scheme.calls(1, order) for order in own)
    with Problem.joint(function, parameters, options, calls) as problem:
        memory, scheme = problem.memory, problem.scheme
        if len(own) == 1:
            lines = element_lines(problem, elements)
            slopes = scheme.differentiate(lines, scheme.steps(lines, n), n)
        elif polarizes:
            slopes = polarized(problem, elements, own)
        else:
            slopes = product_of_stencils(problem, elements, own)
        parts = of_outputs(problem, slopes)
        steps = None
        if full_output:
            steps = parameters.rebuild(vector(memory, scattered(memory, elements, slopes.step), parameters.arrays))
        problem.warn_if_constant()
    return problem.result(parts, function.rebuilt, steps=steps)


def _orders(parameters: Parameters, orders: PyTree) -> NDArray[np.intp]:
    """Return how often f is differentiated with respect to each element of x."""
    found: list[NDArray[Any]] = []
    for leaf, shape in zip(parameters.leaves_of(orders, "orders"), parameters.shapes, strict=True):
        own = host_array(leaf, "orders")
        if own.dtype.kind not in "iu" or own.shape != shape or (own < 0).any():
            raise ValueError(
                f"orders is {orders!r:.60}, but integers of 0 or more in the shape of x were expected, such as [2, 1]"
                " for x of 2 elements"
            )
        found.append(own.reshape(-1))
    counts = np.concatenate([np.empty(0, np.intp), *found]).astype(np.intp)
    if not counts.any():
        raise ValueError(f"orders is {orders!r:.60}, but at least one of them must be above 0, as in [2, 1]")
    if wrong := set(np.flatnonzero(counts)) - set(parameters.elements):
        raise ValueError(
            f"orders is above 0 for {parameters.element_name(int(min(wrong)))}, which fixed= fixes: set its order to 0,"
            " or do not fix it"
        )
    return counts
