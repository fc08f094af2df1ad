"""Whether a derivative that somebody has written is right."""

from __future__ import annotations

import dataclasses
import math
import numbers
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from anygrad._stacklevel import stopped
from anygrad._typing import Bounds, HostArray, Kwargs, ProgressCallback, PyTree
from anygrad.check.claim import Claim, ClaimCalls, Item, call_claim, with_jvp, with_vjp
from anygrad.check.compare import Comparison, Outcome, Setting, compare_elements
from anygrad.check.directions import compare_directions
from anygrad.check.precision import (
    default_scheme,
    has_few_digits,
    require_holomorphic,
    rounded_array,
    wide_claim,
    widened,
)
from anygrad.check.report import LONG, MANY_CALLS, CheckReport, make_report
from anygrad.check.task import Layout, Probe, Task, on_host
from anygrad.check.taylor import LENGTHS, taylor_of
from anygrad.evaluators import Evaluator, Loop
from anygrad.problem.function import Function, WithArguments
from anygrad.problem.options import Options, require_callable
from anygrad.schemes import Adaptive, Scheme

_NOTHING = "grad is None, and no other derivative is given to check"


def check_gradient(
    f: Callable[[Any], Any],
    grad: Any,
    x: PyTree,
    *,
    jac: Any = None,
    hess: Any = None,
    vjp: Callable[[Any, Any], PyTree] | None = None,
    jvp: Callable[[Any, Any], PyTree] | None = None,
    has_aux: bool = False,
    directions: int | None = None,
    rtol: float | None = None,
    seed: int = 0,
    scheme: Scheme | None = None,
    evaluator: Evaluator = Loop(),
    bounds: Bounds = None,
    fixed: PyTree = None,
    progress: bool | ProgressCallback = False,
    args: tuple[Any, ...] = (),
    kwargs: Kwargs = None,
) -> CheckReport:
    """Check a hand-written gradient against numerical differentiation, and say what is wrong with it.

    Parameters
    ----------
    f
        Function of x, as in `numerical_gradient`: it returns one number; with ``jac`` or ``vjp``, arrays.
    grad
        The gradient of f: a function of x that returns an array or a tree like x, or that array or tree itself. In
        masks, such as ``x > 0``, True counts as 1; in trees, None is an array of zeros. True if f returns
        ``(value, gradient)``; None if one of the next four is given instead.
    x
        Where to check it, as in `numerical_gradient`. x is the same afterwards, to the last bit.
    jac
        The Jacobian, with the structure and shapes that `jacobian` returns: a function of x, or its value at x.
    hess
        The Hessian, with the structure and shapes that `hessian` returns: a function of x, or its value at x.
    vjp
        The vector-Jacobian product, as backward passes compute it: ``vjp(x, g)`` has the structure and shapes of x, and
        g those of f(x). It is checked for one g, whose elements are random numbers between 0.5 and 1.5 of either sign.
    jvp
        The Jacobian-vector product, as forward-mode rules compute it: ``jvp(x, v)`` has the structure and shapes of
        f(x), and v those of x. It is called for each element of x, and checked as the Jacobian.
    has_aux
        Whether f returns ``(value, aux)``, of which the value is differentiated.
    directions
        Check along this many random directions instead of element by element: the number of calls of f then does not
        depend on the size of x. If a direction is wrong, it is halved to find up to four wrong elements.
    rtol
        A relative difference to be tolerated in addition. The tolerance otherwise follows from the errors of both
        sides, and is seldom too strict: rtol can only loosen it.
    seed
        The seed of the random numbers: the same seed checks along the same directions.
    scheme
        How f is differentiated: by default a difference at two steps, and `Adaptive` where that leaves doubt, with x in
        float64 if f is the same function there (see Notes); for x of float16 or bfloat16, which have too few digits for
        extrapolation, `Central` with steps of ``0.2 |x|``.
        A scheme without an error estimate is used twice, with its own step and with twice that. Of steps given for each
        element, a direction takes the longest that moves no element by more than its own.
    fixed
        Elements that are held, as in `numerical_gradient`: they are not checked, and the claim may be anything there.
    evaluator, bounds, progress
        As in `numerical_gradient`. The claim is always called with one x at a time.
    args, kwargs
        Further arguments of f and of the function that claims, after x (and g or v): a tuple and a dict.

    Returns
    -------
    CheckReport
        True if the claim agrees. Printed, it is a paragraph with the result and a table of the worst elements.

    Raises
    ------
    TypeError, ValueError
        As the operators; also if the claim does not have the structure and shapes of the derivative, if not exactly one
        of ``grad``, ``jac``, ``hess``, ``vjp`` and ``jvp`` is given, or if f returns complex numbers and is not
        holomorphic.

    See Also
    --------
    anygrad.testing.assert_gradient : the same for a test suite.
    numerical_gradient : the numerical gradient alone.

    Notes
    -----
    f is called four times for each element of x: a difference at two steps, with an error estimated from their change
    and from rounding, settles the elements that agree with the claim. All others are left to `Adaptive`: about 13 calls
    for each element. Besides, f is called 6 times at x and along a random direction; the claim five times: three times
    at x, to see whether it is deterministic, and at x changed by a few roundings, to see how much these matter. Points
    at which f raises count as NaN, except x itself.

    If x is of a dtype of fewer digits than float64, f is also called 13 times with x in float64. On PyTorch, the arrays
    inside f are widened as well while it runs; on JAX, float64 is enabled during the check. If f returns the same
    numbers there, up to rounding, it is differentiated in float64, and the report says so; if anything is wrong, it is
    differentiated in the dtype of x as well, as it is from the start if f raises or returns other numbers, or if
    ``scheme`` is given. The claim is the one in the dtype of x; it is called once more, in float64, to tell its
    rounding from mistakes. An array cannot be called: if one seems wrong, f is differentiated beside x as well.

    An element is wrong if claim and numerical derivative differ by more than four times the estimated error of the
    latter (eight times, along a direction) plus the effect of rounding on the claim, and if a nearer look says the
    same. The remainder of the Taylor test, ``|f(x + t d) - f(x) - t g.d|``, shrinks as t**2 if g is the gradient, and
    as t if it is not (P. E. Farrell, D. A. Ham, S. W. Funke and M. E. Rognes, SIAM J. Sci. Comput. 35 (2013), C369).

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
    require_callable(f)
    kind, claim = _only_claim(grad=grad, jac=jac, hess=hess, vjp=vjp, jvp=jvp)
    if args or kwargs:
        f = WithArguments(f, args, kwargs or {})
        if callable(claim):
            claim = _with_arguments(claim, args, kwargs or {})
    _require_options(kind, directions=directions, rtol=rtol)
    started, rng = time.perf_counter(), _generator(seed)
    if grad is True:
        f, claim = Item(f, 0), Item(f, 1)
    if has_aux:
        f = Item(f, 0)
    options = Options("check_gradient", Adaptive() if scheme is None else scheme, _tolerant(evaluator), bounds)
    derivative = "grad" if kind in {"vjp", "jvp"} else kind
    task = Task(derivative, kind, f, x, claim, options, scheme is not None, np.geterr(), fixed)
    try:
        with np.errstate(all="ignore"):
            return _run(task, rng, started, directions=directions, rtol=rtol or 0.0, progress=progress)
    except RuntimeError as error:
        if stop := stopped(error):
            raise stop from None
        raise


def _run(
    task: Task, rng: np.random.Generator, started: float, *, directions: int | None, rtol: float, progress: Any
) -> CheckReport:
    task.parameters.require_some()
    if task.parameters.size and not np.any(task.free):
        raise ValueError("fixed= fixes every element of x: leave at least one free, to be checked")
    ncalls = 0
    if task.name in {"vjp", "jvp"}:
        task, ncalls = with_vjp(task, task.claim, rng) if task.name == "vjp" else with_jvp(task, task.claim)
    if not task.scheme_given:
        task = replace(task, options=replace(task.options, scheme=default_scheme(task)))
    direction = task.magnitudes * rng.choice([-1.0, 1.0], task.magnitudes.size)
    # A claimed gradient is read before f is called; other derivatives need the shapes of f(x).
    early = call_claim(task, Layout.of(task, Function(task.f)), direction) if task.kind == "grad" else None
    probe = task.probe(direction, LENGTHS)
    layout = Layout.of(task, probe.function)
    claim = early or call_claim(task, layout, direction)
    task, seed = task.knowing(probe), int(rng.integers(2**32))

    def compare(task: Task, probe: Probe, wide: HostArray | None) -> tuple[Setting, Outcome]:
        own = Claim.of(claim, task, layout, probe, wide)
        setting = Setting(task, probe, layout, own, rtol, few_digits=has_few_digits(task) and not task.scheme_given)
        if directions is None or not task.parameters.size:
            return setting, compare_elements(setting, progress)
        return setting, compare_directions(setting, directions, np.random.default_rng(seed))

    if progress is True and directions is None and task.n == 1:
        _propose_directions(len(task.parameters.elements), time.perf_counter() - started, probe.ncalls)
    wider, line, calls = widened(task, probe, direction)
    ncalls += probe.ncalls + calls + require_holomorphic(task, probe, direction)
    called = wider is not task and callable(task.claim) and claim.coarsest > wider.eps
    setting, outcome = compare(wider, line, wide_claim(wider, layout, claim.coarsest) if called else None)
    ncalls += outcome.ncalls
    free = task.kind == "grad" and directions is None and task.options.bounds is None
    if outcome.wrong and free and wider is not task and not callable(task.claim):
        claim, calls = rounded_array(claim, setting, outcome, direction)
        setting, outcome = compare(wider, line, None)
        ncalls += calls + outcome.ncalls
    if wider is not task and outcome.wrong:
        narrow = compare(task, probe, None)
        ncalls += narrow[1].ncalls
        if not _agree(outcome, narrow[1]):
            setting, outcome = narrow
    test, calls = (
        (None, 0)
        if outcome.is_rounding or task.kind == "hess"
        else taylor_of(task, claim.table, probe, direction, wrong=outcome.wrong, noise=outcome.noise)
    )
    hints, more = _hints(task, claim, setting, outcome, probe)
    return make_report(
        setting,
        outcome,
        claim,
        test,
        hints,
        own=probe,
        direction=direction,
        ncalls=ncalls + calls + more,
        claim_ncalls=claim.ncalls + called,
        seconds=time.perf_counter() - started,
    )


def _propose_directions(size: int, seconds: float, calls: int) -> None:
    """Say so where many calls of f lie ahead, or long ones; ``calls`` of them have taken ``seconds``."""
    ahead = 4 * size
    if ahead > MANY_CALLS or ahead * seconds > LONG * calls:
        print(f"This takes {ahead:,} calls of f or more; with directions=3, about 60.", file=sys.stderr)


def _tolerant(evaluator: Any) -> Evaluator:
    """Return the evaluator with ``on_error="nan"``; a journal is left as it is."""
    own = dataclasses.is_dataclass(evaluator) and hasattr(evaluator, "on_error") and not hasattr(evaluator, "inner")
    tolerant: Evaluator = replace(evaluator, on_error="nan") if own and not isinstance(evaluator, type) else evaluator
    return tolerant


def _agree(wide: Outcome, narrow: Outcome) -> bool:
    """Return whether the derivatives for which a claim is wrong in float64 are found in x's own dtype, too.

    An f that rounds intermediate results with respect to only some elements may have passed as one that does not.
    """
    return not any(
        np.any(one.wrong & (np.abs(one.numerical - other.numerical) > one.tolerance + other.tolerance))
        for one, other in zip(wide.comparisons, narrow.comparisons, strict=True)
    )


def _hints(
    task: Task, claim: ClaimCalls, setting: Setting, outcome: Outcome, probe: Probe
) -> tuple[tuple[str, ...], int]:
    if claim.accumulates:
        return (_ACCUMULATES.format(name=task.name),), 0
    if not outcome.wrong:
        return (), 0
    from anygrad.check.hints import hints  # noqa: PLC0415 - needed for wrong gradients alone

    if probe.flat_in_steps(task.eps) and not outcome.noise:  # noisy values may be equal next to x as well
        return (_STEPS,), 0
    if outcome.directional:
        together = (np.stack([getattr(one, part) for one in outcome.comparisons]) for part in _PARTS)
        return hints([Comparison("directions", *together)], unused=[not np.any(probe.changes)]), 0
    unused, ncalls = [], 0
    for one, (_, columns) in zip(outcome.comparisons, setting.layout.blocks, strict=True):
        if np.any(one.wrong) and not np.any(one.numerical):  # f may not change with this array at all
            alone = np.zeros(task.magnitudes.shape)
            alone[columns] = task.magnitudes[columns]
            along = task.probe(alone, LENGTHS[:3], repeats=1)
            ncalls += along.ncalls
            unused.append(not np.any(along.changes))
        else:
            unused.append(False)
    points = [on_host(array, name) for name, array in task.parameters.by_name.items()]
    return hints(outcome.comparisons, points if task.kind == "grad" else (), unused), ncalls


_PARTS = ("claimed", "numerical", "tolerance")
_ACCUMULATES = (
    "{name} accumulates: each call at x adds the same amount to the previous result. Start each call from zero: in"
    " PyTorch, call optimizer.zero_grad() or set x.grad = None before backward(); elsewhere, write to a new array"
    " instead of adding to an old one with +="
)
_STEPS = (
    "f is a step function: it is constant next to x and changes only further away, so its derivative is 0. Differences"
    " cannot confirm a straight-through gradient: check f without the rounding"
)


def _with_arguments(claim: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Callable[..., Any]:
    """Return a claim with other arguments bound, which come after x and its cotangent or tangent."""

    def bound(x: Any, *direction: Any) -> Any:
        return claim(x, *direction, *args, **kwargs)

    return bound


def _only_claim(**claims: Any) -> tuple[str, Any]:
    given = {name: claim for name, claim in claims.items() if claim is not None}
    if len(given) == 1:
        return given.popitem()
    what = f"{' and '.join(given)} are given, but one derivative is checked at a time" if given else _NOTHING
    raise ValueError(
        f"{what}: write check_gradient(f, grad, x), or check_gradient(f, None, x, jac=jac), or hess=, vjp= or jvp= in"
        " place of jac="
    )


def _require_options(kind: str, *, directions: Any, rtol: Any) -> None:
    countable = isinstance(directions, numbers.Integral) and not isinstance(directions, bool)
    if directions is not None and not (countable and directions > 0):
        raise ValueError(f"directions is {directions!r}, but a positive integer such as 3, or None, was expected")
    if directions is not None and kind == "hess":
        raise ValueError(
            f"directions is {directions}, but directions save no calls for a Hessian: leave them out, or check it as"
            " the Jacobian of the gradient, as in check_gradient(grad, None, x, jac=hess, directions=3)"
        )
    if rtol is not None and not (isinstance(rtol, numbers.Real) and 0.0 <= float(rtol) < math.inf):
        raise ValueError(
            f"rtol is {rtol!r}, but a relative difference of 0 or more was expected, such as 1e-3, or None"
        )


def _generator(seed: Any) -> np.random.Generator:
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise type(error)(f"seed is {seed!r:.60}, but an integer of 0 or more was expected, such as 0") from None
