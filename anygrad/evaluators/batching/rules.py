"""The rules: how a function of one point is called once for all.

A rule takes the run, the function for the values and f's arguments. It returns what `Run.each` would, or NotImplemented
where it does not know better: then that is called. So is it where a rule raises: a rule may refuse, but must not err.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from anygrad._typing import Array
from anygrad.evaluators.batching.array import ZERO_D, Batched
from anygrad.evaluators.batching.indexing import getitem, setitem
from anygrad.evaluators.batching.run import SIMPLE, Rule, Run

Function = Callable[..., Any]
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _wrapped(run: Run, result: Any) -> Any:
    """Return arrays that a function returned for the values as batched arrays."""
    if isinstance(result, (tuple, list)):
        parts = [Batched(part, run) for part in result]
        return type(result)(*parts) if hasattr(result, "_fields") else type(result)(parts)
    return None if result is None else Batched(result, run)


def _shifted(axes: Any, ndim: int) -> Any:
    """Return axes of the values for those of the array."""
    if not isinstance(axes, int):
        return tuple(_shifted(int(axis), ndim) for axis in axes)
    if not -ndim <= axes < ndim:
        raise ValueError(f"axis {axes} is out of bounds for an array of {ndim} axes")
    return axes + 1 if axes >= 0 else axes


def _ndim(operand: Any) -> int:
    return len(operand.shape) if hasattr(operand, "shape") else np.ndim(operand)


def _flat(run: Run, x: Any) -> Array:
    return run.library.reshape(run.require_own(x)._values, (run.count, x.size))


def _elementwise(run: Run, function: Function, *args: Any, **kwargs: Any) -> Any:
    """Do the same for each element of arguments that broadcast."""
    if (kwargs and run.has_batched(list(kwargs.values()))):
        return NotImplemented
    return _wrapped(run, function(*run.aligned(args), **kwargs))


def _where(run: Run, function: Function, *args: Any) -> Any:
    return _elementwise(run, function, *args) if len(args) == 3 else NotImplemented


def _along(at: int, default: Any = None, none: str = "all", name: str = "axis") -> Rule:
    """Return the rule of a function of one array that works along axes.

    The axis is the argument at position ``at``, or called ``name``. Where it is None, the function works along ``all``
    axes, or along the one of the ``flat`` array.
    """

    def rule(run: Run, function: Function, x: Any, *args: Any, **kwargs: Any) -> Any:
        for given in (*args, *kwargs.values()) if kwargs else args:
            # An array of x's shape has other axes than the values.
            if type(given) not in SIMPLE and (run.has_batched(given) or _ndim(given) > 1):
                return NotImplemented
        values, ndim, positional = run.require_own(x)._values, x.ndim, len(args) >= at
        axis = args[at - 1] if positional else kwargs.get(name, default)
        if axis is not None:
            axis = _shifted(axis, ndim)
        elif ndim == 1:
            axis = 1
        elif none == "all" and ndim:
            axis = tuple(range(1, ndim + 1))
        elif kwargs.get("keepdims") or len(args) > 3:
            return NotImplemented
        else:
            values, axis = _flat(run, x), 1
        if positional:
            return _wrapped(run, function(values, *args[: at - 1], axis, *args[at:], **kwargs))
        return _wrapped(run, function(values, *args, **{**kwargs, name: axis}))

    return rule


def _mapped(least: int, position: int = 0) -> Rule:
    """Return the rule of a function that does the same for each element, matrix, ... in one of its arguments."""

    def rule(run: Run, function: Function, *args: Any, **kwargs: Any) -> Any:
        x, others = args[position], (*args[:position], *args[position + 1 :])
        if type(x) is not Batched or x.ndim < least or run.has_batched([*others, *kwargs.values()]):
            return NotImplemented
        values = run.require_own(x)._values
        return _wrapped(run, function(*args[:position], values, *args[position + 1 :], **kwargs))

    return rule


def _like(run: Run, function: Function, x: Any, *args: Any, **kwargs: Any) -> Any:
    made = NotImplemented if "shape" in kwargs else _mapped(0)(run, function, x, *args, **kwargs)
    return made if made is NotImplemented else Batched(made._values, run, ZERO_D)


def _quantile(run: Run, function: Function, x: Any, q: Any, *args: Any, **kwargs: Any) -> Any:
    # Several of them come along a first axis.
    return _along(2)(run, function, x, q, *args, **kwargs) if _ndim(q) == 0 else NotImplemented


def _take_along_axis(run: Run, function: Function, x: Any, indices: Any, axis: Any = -1) -> Any:
    values = (run.spread(operand)._values for operand in (x, indices))
    return Batched(function(*values, axis=_shifted(axis, x.ndim)), run)


# Products


def _norm(run: Run, function: Function, x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:  # noqa: A002 - NumPy's name
    if axis is None and ord is None and not keepdims:
        flat = _flat(run, x)
        length = np.sqrt(np.vecdot(flat, flat)) if run.plain_numpy and x.dtype.kind == "f" else function(flat, axis=1)
        return Batched(length, run)
    return _along(2)(run, function, x, ord, axis, keepdims) if x.ndim <= 2 else NotImplemented


def _solve(run: Run, function: Function, a: Any, b: Any) -> Any:
    if _ndim(a) != 2 or not 1 <= _ndim(b) <= 2:
        return NotImplemented
    matrix, right = run.values(a), run.values(b)
    return Batched(function(matrix, right[..., None])[..., 0] if _ndim(b) == 1 else function(matrix, right), run)


def _matmul(run: Run, function: Function, a: Any, b: Any) -> Any:
    """Multiply vectors and matrices; many vectors by one matrix as one product of matrices."""
    ndim_a, ndim_b = _ndim(a), _ndim(b)
    if ndim_a == 0 or ndim_b == 0:
        return a * b
    if max(ndim_a, ndim_b) > 2:
        return NotImplemented
    times, x, y = run.library.matmul, run.values(a), run.values(b)
    if ndim_a == ndim_b == 1 and run.plain_numpy and x.dtype.kind != "c":
        return Batched(np.vecdot(x, y), run)
    if len(y.shape) == 2 == ndim_b:  # a matrix that does not depend on x
        return Batched(times(x, y), run)
    if len(x.shape) == 2 == ndim_a and ndim_b == 1:
        return Batched(times(y, x.T), run)
    product = times(x[..., None, :] if ndim_a == 1 else x, y[..., None] if ndim_b == 1 else y)
    product = product[..., 0] if ndim_b == 1 else product
    if ndim_a == 1:
        product = product[..., 0] if ndim_b == 1 else product[..., 0, :]
    return Batched(product, run)


def _outer(run: Run, function: Function, a: Any, b: Any) -> Any:
    x, y = (run.values(operand if _ndim(operand) == 1 else operand.reshape(-1)) for operand in (a, b))
    return Batched(x[..., :, None] * y[..., None, :], run)


def _einsum(run: Run, function: Function, subscripts: Any, *operands: Any, **kwargs: Any) -> Any:
    """Put a letter for the batch axis before those of each batched operand and of the result."""
    if type(subscripts) is not str or ("..." in subscripts and len(operands) > 1):
        return NotImplemented
    batched = tuple(map(run.has_batched, operands))
    values = map(run.values, operands)
    return Batched(function(_with_batch(subscripts, batched), *values, **kwargs), run)


@functools.cache
def _with_batch(subscripts: str, batched: tuple[bool, ...]) -> str:
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    if not arrow:
        once = (letter for letter in set(inputs) - set(".,") if inputs.count(letter) == 1)
        output = "..." * ("..." in inputs) + "".join(sorted(once))
    letter = next(letter for letter in _ALPHABET if letter not in subscripts)
    terms = (letter * own + term for own, term in zip(batched, inputs.split(","), strict=True))
    return f"{','.join(terms)}->{letter}{output}"


# Shapes


def _reshape(run: Run, function: Function, x: Any, *shape: Any, order: str = "C", copy: bool | None = None) -> Any:
    lengths = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], (int, np.integer)) else shape
    if order != "C" or copy is not None or run.has_batched(lengths):
        return NotImplemented
    known = functools.reduce(lambda product, length: product * length if length >= 0 else product, lengths, 1)
    lengths = tuple(x.size // known if length < 0 else length for length in lengths)
    values = run.library.reshape(run.require_own(x)._values, (run.count, *lengths))
    return Batched(values, run, None if lengths else ZERO_D)


def _ravel(run: Run, function: Function, x: Any, order: str = "C") -> Any:
    return Batched(_flat(run, x), run) if order == "C" else NotImplemented


def _transpose(run: Run, function: Function, x: Any, *axes: Any) -> Any:
    axes = axes[0] if len(axes) == 1 else axes or None
    order = range(x.ndim)[::-1] if axes is None else [range(x.ndim)[axis] for axis in axes]
    permute = getattr(run.library, "permute_dims", None) or run.library.transpose
    return Batched(permute(run.require_own(x)._values, (0, *(axis + 1 for axis in order))), run, x._kind)


def _moved(run: Run, function: Function, x: Any, first: Any, second: Any) -> Any:
    return Batched(function(run.require_own(x)._values, _shifted(first, x.ndim), _shifted(second, x.ndim)), run)


def _expand_dims(run: Run, function: Function, x: Any, axis: Any = 0) -> Any:
    new = 1 if isinstance(axis, int) else len(axis)
    return Batched(function(run.require_own(x)._values, axis=_shifted(axis, x.ndim + new)), run)


def _squeeze(run: Run, function: Function, x: Any, axis: Any = None) -> Any:
    axis = tuple(i for i in range(x.ndim) if x.shape[i] == 1) if axis is None else axis
    return Batched(function(run.require_own(x)._values, axis=_shifted(axis, x.ndim)), run)


def _at_least(ndim: int) -> Rule:
    def rule(run: Run, function: Function, *arrays: Any) -> Any:
        wide = tuple(x[(None,) * (ndim - x.ndim)] if x.ndim < ndim else x for x in map(run.spread, arrays))
        return wide if len(wide) > 1 else wide[0]

    return rule


def _diagonal(run: Run, function: Function, x: Any, k: int = 0) -> Any:
    return Batched(np.diagonal(run.require_own(x)._values, k, 1, 2), run) if x.ndim == 2 else NotImplemented


def _trace(run: Run, function: Function, x: Any, k: int = 0) -> Any:
    return _diagonal(run, function, x, k).sum(-1)


def _joined(new: int) -> Rule:
    """Return the rule of np.concatenate, or of np.stack, by which there is one axis more."""

    def rule(run: Run, function: Function, arrays: Any, axis: Any = 0) -> Any:
        parts = [run.spread(run.nested(array))._values for array in arrays]
        join = run.library.stack if new else run.library.concat
        return Batched(join(parts, axis=_shifted(axis, len(parts[0].shape) - 1 + new)), run)

    return rule


def _by_parts(run: Run, function: Function, arrays: Any) -> Any:
    """Call a function of NumPy's that is made of others for which there are rules."""
    return function._implementation([run.spread(run.nested(array)) for array in arrays])


_FLAT, _LAST = _along(1, None, "flat"), _along(2, -1)
# From the names of functions to their rules; all others are called for each point.
_TABLE: list[tuple[Rule, str]] = [
    (_elementwise, " ".join(name for name, ufunc in vars(np).items() if isinstance(ufunc, np.ufunc))),
    (_elementwise, "elementwise angle clip fix i0 imag iscomplex isclose isneginf isposinf isreal nan_to_num real round"),
    (_elementwise, "sinc"),
    (_where, "where"),
    (_along(1), "all amax amin any average count_nonzero flip max mean median min nanmax nanmean nanmedian nanmin"),
    (_along(1), "nanprod nanstd nansum nanvar prod ptp std sum var linalg.vector_norm reduction_kernel"),
    (_along(1, 0), "ufunc.reduce ufunc.accumulate"),
    (_FLAT, "argmax argmin cumprod cumsum cumulative_prod cumulative_sum nanargmax nanargmin nancumprod nancumsum"),
    (_along(1, -1, "flat"), "argsort sort"),
    (_along(2, -1, "flat"), "argpartition partition"),
    (_along(2, None, "flat"), "delete repeat take"),
    (_along(2), "roll"),
    (_LAST, "diff unwrap fft.fft fft.ifft fft.rfft fft.irfft fft.hfft fft.ihfft"),
    (_along(3, -1), "trapezoid trapz"),
    (_along(9), "gradient"),
    (_along(1, None, "all", "axes"), "fft.fftshift fft.ifftshift"),
    (_along(2, (-2, -1), "all", "axes"), "fft.fft2 fft.ifft2 fft.rfft2 fft.irfft2"),
    (_quantile, "nanpercentile nanquantile percentile quantile"),
    (_mapped(0), "ascontiguousarray astype copy digitize interp"),
    (_mapped(0, 1), "polyval searchsorted"),
    (_mapped(2), "matrix_transpose tril triu linalg.cholesky linalg.cond linalg.det linalg.diagonal linalg.eig"),
    (_mapped(2), "linalg.eigh linalg.eigvals linalg.eigvalsh linalg.inv linalg.matrix_norm linalg.matrix_power"),
    (_mapped(2), "linalg.matrix_transpose linalg.pinv linalg.qr linalg.slogdet linalg.svd linalg.svdvals linalg.trace"),
    (_like, "empty_like full_like ones_like zeros_like"),
    (_take_along_axis, "take_along_axis"),
    (_norm, "linalg.norm"),
    (_solve, "linalg.solve"),
    (_matmul, "dot matmul linalg.matmul"),
    (_outer, "outer linalg.outer"),
    (_einsum, "einsum"),
    (_reshape, "reshape"),
    (_ravel, "ravel"),
    (_transpose, "transpose permute_dims"),
    (_moved, "moveaxis swapaxes"),
    (_expand_dims, "expand_dims"),
    (_squeeze, "squeeze"),
    (_at_least(1), "atleast_1d"),
    (_at_least(2), "atleast_2d"),
    (_along(2, 0), "array_split split"),
    (_diagonal, "diag diagonal"),
    (_trace, "trace"),
    (_joined(0), "concat concatenate"),
    (_joined(1), "stack"),
    (_by_parts, "hstack vstack"),
    (getitem, "getitem"),
    (setitem, "setitem"),
]
RULES: dict[str, Rule] = {name: rule for rule, names in _TABLE for name in names.split()}
