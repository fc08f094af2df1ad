"""A black box for transformations of JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anygrad._job import Options
from anygrad._typing import Bounds
from anygrad._validate import require_callable
from anygrad.evaluators import Evaluator, Loop
from anygrad.schemes import Central, Scheme


def jax_function(
    f: Callable[..., Any],
    *,
    shape: tuple[int, ...] = (),
    dtype: Any = None,
    scheme: Scheme = Central(),
    evaluator: Evaluator = Loop(in_place=False),
    bounds: Bounds = None,
) -> Callable[..., Any]:
    """Return f as a function that JAX can compile and differentiate, whatever f does inside.

    Parameters
    ----------
    f
        Function of NumPy arrays that returns a number, a list of numbers or an array. Floating arguments arrive in
        float64 (complex128), whatever they are in JAX, so that the step can be small. f must use its arguments, return
        the same for the same ones, and leave them alone; it must not call JAX, which can wait for itself for ever
        there. Arguments are arrays, numbers or pytrees of these; what else f needs is bound before, as by
        ``functools.partial``.
    shape
        The shape of what f returns, which JAX must know before f is called: by default, f returns one number.
    dtype
        The dtype of the result. By default that of the arguments, real for complex ones.
    scheme, evaluator
        As in `numerical_gradient`, for NumPy arrays. With `Batch`, all arguments have a leading axis, in the forward
        pass one of length 1.
    bounds
        ``(lower, upper)``, each None, a number or array for all arguments, or a tuple with one of these for each
        array among the arguments, in the order of ``jax.tree.leaves``.

    Returns
    -------
    callable
        A function of the same arguments that returns a JAX array. It can be pickled if f can.

    Raises
    ------
    ImportError
        If JAX is not installed.
    TypeError, ValueError
        If f is no function, or an option is none. When it is called: if an argument is no array.
    NotImplementedError
        If the derivative is differentiated once more: see `hessian` and `hvp` for that.
    jax.errors.JaxRuntimeError
        If f raises, or returns something of another shape than ``shape``: its text has that of the exception.

    Warns
    -----
    ConstantFunctionWarning
        As `numerical_gradient`, when the gradient is computed.

    Notes
    -----
    The value calls f once, and the gradient as often as the scheme does for the elements of those arguments that it
    is asked for, however many elements f returns: with the default scheme twice for each.

    It is a ``jax.custom_vjp`` around ``jax.pure_callback``: ``jax.jit``, ``grad``, ``value_and_grad``, ``vjp`` and
    ``jacrev`` work; under ``jax.vmap``, f is called at one point after the other. Forward mode does not: a callback
    cannot be transposed, so that JAX would not get the gradient out of it, which is what optimisers need.

    Examples
    --------
    >>> import anygrad
    >>> import jax
    >>> simulate = anygrad.jax_function(lambda x: float(x[0]) ** 2 * float(x[1]))
    >>> loss = jax.jit(lambda x: simulate(x) ** 2 + simulate(x))
    >>> print(jax.grad(loss)(jax.numpy.array([1.0, 2.0])).round(3))
    [20.  5.]
    """
    require_callable(f)
    options = Options(scheme, evaluator, bounds)
    try:
        from anygrad.bridges._jax_callback import JaxFunction  # noqa: PLC0415 - imports JAX
    except ImportError as error:
        raise ImportError(
            'jax_function needs JAX, which cannot be imported: pip install jax, or install anygrad with "[jax]"'
        ) from error
    return JaxFunction(f, shape, dtype, options)
