"""Whether a derivative that somebody has written is right."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from anygrad._checking.question import asked, default_scheme, random_numbers, require_options, the_only
from anygrad._checking.report import CheckReport
from anygrad._job import Options
from anygrad._typing import Bounds, ProgressCallback, PyTree
from anygrad._validate import require_callable
from anygrad._variables import Variables
from anygrad.evaluators import Evaluator, Loop
from anygrad.schemes import Scheme


def check_gradient(
    f: Callable[[Any], Any],
    grad: Any,
    x: PyTree,
    *,
    jac: Any = None,
    hess: Any = None,
    vjp: Callable[[Any, Any], PyTree] | None = None,
    directions: int | None = None,
    rtol: float | None = None,
    seed: int = 0,
    scheme: Scheme | None = None,
    evaluator: Evaluator = Loop(),
    bounds: Bounds = None,
    progress: bool | ProgressCallback = False,
) -> CheckReport:
    """Check a gradient that somebody has written against numerical differentiation, and say what is wrong with it.

    Parameters
    ----------
    f
        Function of x, as in `numerical_gradient`: it returns one number; with ``jac`` or ``vjp``, arrays.
    grad
        The gradient of f: a function of x that returns what is like x, or what it returns, an array or a tree; in
        masks, as ``x > 0``, True is 1. None if one of the next three is given instead.
    x
        Where to check it, as in `numerical_gradient`. x is the same afterwards, to the last bit.
    jac
        The Jacobian, of the structure and shapes that `jacobian` returns; a function of x, or what it returns.
    hess
        The Hessian, likewise as `hessian` returns it.
    vjp
        The vector-Jacobian product, as backward passes compute it: ``vjp(x, g)`` returns what is like x, g being what f
        returns. It is checked for one g, whose elements are random numbers between 0.5 and 1.5 of either sign.
    directions
        Check along so many random directions instead of element by element: the number of calls of f does not depend on
        the size of x then. Where a direction is wrong, up to four wrong elements are looked for by halving it.
    rtol
        A relative difference to be tolerated besides. The tolerance is otherwise what the errors of both sides make it,
        and is seldom too strict: this can only loosen it.
    seed
        Of the random numbers: the same seed checks along the same directions.
    scheme
        How f is differentiated: by default `Adaptive`, at x in float64 if f is the same function there (see Notes); at
        x of float16 or bfloat16, which have too few digits for extrapolation, `Central` with steps of ``0.2 |x|``. A
        scheme that estimates no error is used twice, at its own step and at twice that. Steps for each element are,
        along a direction, the most that none of them moves.
    evaluator, bounds, progress
        As in `numerical_gradient`. What is claimed is always called with one x at a time.

    Returns
    -------
    CheckReport
        True if it agrees. Printed, it says what was found in a paragraph and a table of the worst elements.

    Raises
    ------
    TypeError, ValueError
        As the operators; also if what is claimed has not the structure and shapes of the derivative, or if not exactly
        one of ``grad``, ``jac``, ``hess`` and ``vjp`` is given; and if f returns complex numbers, but is not
        holomorphic.

    Notes
    -----
    f is called some 13 times for each element of x with the default scheme, or 13 times for each direction and for each
    halving; 13 times more at x and along a random direction. What is claimed is called five times: three times at x, to
    see whether it is deterministic, and at x changed by a few roundings, to see how much these matter.

    If x is of a dtype of fewer digits, f is also called 27 times with x in float64, at x and along that direction; on
    PyTorch, what f has of its own is widened as well while it runs, and JAX has float64 for as long as the check takes.
    If it returns the same numbers there, up to rounding, it is differentiated in float64, and the report says so; and
    in the dtype of x as well, if anything is wrong. If it raises, or returns others, it is differentiated in the dtype
    of x alone; so it is if ``scheme`` is given. What is claimed is what it is in the dtype of x in any case; it is
    called once more, in float64, to tell its roundings from mistakes.

    An element is wrong if it differs by more than four times the estimated error of the numerical derivative (eight
    times, along a direction) and what rounding does to the claim, and if it does so again when f is sampled at other
    points. The remainder of the Taylor test, ``|f(x + t d) - f(x) - t g.d|``, shrinks as t**2 if g is the gradient, and
    as t if it is not (P. E. Farrell, D. A. Ham, S. W. Funke and M. E. Rognes, *Automated derivation of the adjoint of
    high-level transient finite element programs*, SIAM J. Sci. Comput. 35 (2013), C369-C393).

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> x = np.array([1.0, 2.0, 3.0])
    >>> bool(anygrad.check_gradient(lambda x: (x**3).sum(), lambda x: 3 * x**2, x))
    True
    >>> report = anygrad.check_gradient(lambda x: (x**3).sum(), lambda x: 6 * x**2, x)
    >>> report.verdict, report.worst[0].name, report.counts
    ('wrong', 'x[2]', {'wrong': 3})

    A backward pass, and a Jacobian:

    >>> W = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> def backward(x, g):
    ...     return W.T @ (g * (1 - np.tanh(W @ x) ** 2))
    >>> anygrad.check_gradient(lambda x: np.tanh(W @ x), None, x[:2], vjp=backward).verdict
    'agrees'
    >>> anygrad.check_gradient(lambda x: W @ x, None, x[:2], jac=W.T).verdict
    'wrong'
    """
    from anygrad._checking.answer import answered  # noqa: PLC0415 - a dozen modules, needed for nothing else

    require_callable(f)
    claim = the_only(grad=grad, jac=jac, hess=hess, vjp=vjp)
    require_options(claim[0], directions=directions, rtol=rtol)
    variables = Variables.of(x)
    options = Options(default_scheme(variables) if scheme is None else scheme, evaluator, bounds)
    started, rng = time.perf_counter(), random_numbers(seed)
    question = asked(f, x, claim, options, rng, scheme_given=scheme is not None)
    return answered(question, rng, started, directions=directions, rtol=rtol or 0.0, progress=progress)
