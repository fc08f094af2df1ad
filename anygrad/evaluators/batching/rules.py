"""The rules: how a function of one point is called once for all.

A rule takes the run, the function for the values and f's arguments. It returns what `Run.each` would, or NotImplemented
where it does not know better: then that is called. So is it where a rule raises: a rule may refuse, but must not err.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from anygrad.evaluators.batching.array import PADDED, UFUNCS, ZERO_D, Batched
from anygrad.evaluators.batching.run import SIMPLE, Run

Rule: TypeAlias = Callable[..., Any]


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
    if axes < -ndim:
        raise ValueError(f"axis {axes} is out of bounds")  # it is not that of the points
    return axes + 1 if axes >= 0 else axes


def _ndim(operand: Any) -> int:
    return len(operand.shape) if hasattr(operand, "shape") else np.ndim(operand)


def _elementwise(run: Run, function: Any, *args: Any, **kwargs: Any) -> Any:
    """Do the same for each element of arguments that broadcast."""
    if kwargs and run.has_batched(list(kwargs.values())):
        return NotImplemented
    return _wrapped(run, function(*run.aligned(args), **kwargs))


def _where(run: Run, function: Any, *args: Any) -> Any:
    return _elementwise(run, function, *args) if len(args) == 3 else NotImplemented


def _along(at: int, default: Any = None, none: str = "all", name: str = "axis") -> Rule:
    """Return the rule of a function of one array that works along axes.

    The axis is the argument at position ``at``, or called ``name``. Where it is None, the function works along ``all``
    axes, or along the one of the ``flat`` array, or is called for ``each`` point.
    """

    def rule(run: Run, function: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
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
        elif none == "each" or kwargs.get("keepdims") or len(args) > 3:
            return NotImplemented
        else:
            values, axis = run.library.reshape(values, (run.count, x.size)), 1
        if positional:
            return _wrapped(run, function(values, *args[: at - 1], axis, *args[at:], **kwargs))
        return _wrapped(run, function(values, *args, **{**kwargs, name: axis}))

    return rule


def _mapped(least: int, position: int = 0) -> Rule:
    """Return the rule of a function that does the same for each element, matrix, ... in one of its arguments."""

    def rule(run: Run, function: Any, *args: Any, **kwargs: Any) -> Any:
        x, others = args[position], [*args[:position], *args[position + 1 :], *kwargs.values()]
        if type(x) is not Batched or x.ndim < least or run.has_batched(others) or "shape" in kwargs:
            return NotImplemented
        values = run.require_own(x)._values
        return _wrapped(run, function(*args[:position], values, *args[position + 1 :], **kwargs))

    return rule


# Indexing: where the batch axis lands


def getitem(run: Run, _: Any, x: Any, index: Any) -> Any:
    """Return ``x[index]``."""
    key = _key(run, index)
    if key is None:
        return NotImplemented
    values = run.require_own(x)._values[key]
    view = any(item is ... for item in key)  # x[...] is an array where x[0] is a scalar, and a copy
    if len(values.shape) > 1 or view or not run.of_numpy:
        return Batched(values, run, ZERO_D if len(values.shape) == 1 else None)
    return Batched(values.copy(), run)


def setitem(run: Run, _: Any, x: Any, index: Any, value: Any) -> Any:
    """Do ``x[index] = value``."""
    values, value = run.require_own(x)._values, run.nested(value) if run.has_batched(value) else value
    if type(value) is Batched:
        value = run.require_own(value)
    if type(index) is Batched and index.dtype == bool and index.shape == x.shape and not getattr(value, "shape", ()):
        values[...] = run.library.where(*run.aligned((index, value, x)))
        return None
    key = _key(run, index)
    if key is None:
        return NotImplemented
    if type(value) is Batched:
        value = value._values[PADDED[len(values[key].shape) - len(value._values.shape)]]
    values[key] = value
    return None


def _key(run: Run, index: Any) -> tuple[Any, ...] | None:
    """Return the index of the values for one of the array; None where the index depends on the point."""
    items = index if type(index) is tuple else (index,)
    if run.has_batched(list(items)):
        return None
    arrays = [i for i, item in enumerate(items) if hasattr(item, "__len__")]
    if arrays:
        arrays = [i for i, item in enumerate(items) if not isinstance(item, (slice, type(None), type(...)))]
        # Side by side they stay behind the batch axis; apart, their axes go before it.
        if arrays[-1] - arrays[0] != len(arrays) - 1:
            return None
    return (slice(None), *items)


# Products


def _solve(run: Run, function: Any, a: Any, b: Any) -> Any:
    if _ndim(a) != 2 or not 1 <= _ndim(b) <= 2:
        return NotImplemented
    matrix, right = run.values(a), run.values(b)
    return Batched(function(matrix, right[..., None])[..., 0] if _ndim(b) == 1 else function(matrix, right), run)


def _matmul(run: Run, function: Any, a: Any, b: Any) -> Any:
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
    every = slice(None)
    return Batched(product[every, 0 if ndim_a == 1 else every, 0 if ndim_b == 1 else every], run)


def _outer(run: Run, function: Any, a: Any, b: Any) -> Any:
    return a.reshape(-1)[:, None] * b.reshape(-1)


def _einsum(run: Run, function: Any, subscripts: Any, *operands: Any, **kwargs: Any) -> Any:
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
    letter = next(letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if letter not in subscripts)
    terms = (letter * own + term for own, term in zip(batched, inputs.split(","), strict=True))
    return f"{','.join(terms)}->{letter}{output}"


# Shapes


def _reshape(run: Run, function: Any, x: Any, *shape: Any, order: str = "C", copy: bool | None = None) -> Any:
    nested = len(shape) == 1 and not isinstance(shape[0], (int, np.integer))
    lengths: Any = tuple(shape[0]) if nested else shape or (-1,)
    if order != "C" or copy is not None or run.has_batched(lengths):
        return NotImplemented
    known = functools.reduce(lambda product, length: product * length if length >= 0 else product, lengths, 1)
    lengths = tuple(x.size // known if length < 0 else length for length in lengths)
    values = run.library.reshape(run.require_own(x)._values, (run.count, *lengths))
    return Batched(values, run, None if lengths else ZERO_D)


def _transpose(run: Run, function: Any, x: Any, *axes: Any) -> Any:
    given = axes[0] if len(axes) == 1 else axes or None
    order = range(x.ndim)[::-1] if given is None else [range(x.ndim)[axis] for axis in given]
    return Batched(run.library.permute_dims(run.require_own(x)._values, (0, *(axis + 1 for axis in order))), run)


def _moved(run: Run, function: Any, x: Any, first: Any, second: Any) -> Any:
    return Batched(function(run.require_own(x)._values, _shifted(first, x.ndim), _shifted(second, x.ndim)), run)


def _diagonal(run: Run, function: Any, x: Any, k: int = 0) -> Any:
    return Batched(np.diagonal(run.require_own(x)._values, k, 1, 2), run) if x.ndim == 2 else NotImplemented


def _joined(new: int) -> Rule:
    """Return the rule of np.concatenate, or of np.stack, by which there is one axis more."""

    def rule(run: Run, function: Any, arrays: Any, axis: Any = 0) -> Any:
        parts = [run.spread(run.nested(array))._values for array in arrays]
        join = run.library.stack if new else run.library.concat
        return Batched(join(parts, axis=_shifted(axis, len(parts[0].shape) - 1 + new)), run)

    return rule


# From the names of functions to their rules; all others are called for each point.
_TABLE: list[tuple[Rule, str]] = [
    (_elementwise, " ".join(UFUNCS)),
    (_elementwise, "angle clip elementwise fix i0 imag isclose isneginf isposinf nan_to_num real round sinc"),
    (_where, "where"),
    (_along(1), "all amax amin any average count_nonzero flip max mean median min nanmax nanmean nanmedian nanmin"),
    (_along(1), "nanprod nanstd nansum nanvar prod ptp std sum var linalg.vector_norm reduction_kernel"),
    (_along(1, 0), "ufunc.reduce ufunc.accumulate"),
    (_along(1, None, "flat"), "argmax argmin cumprod cumsum cumulative_prod cumulative_sum nancumprod nancumsum"),
    (_along(1, -1, "flat"), "argsort sort"),
    (_along(2, -1, "flat"), "argpartition partition"),
    (_along(2, None, "flat"), "delete repeat take"),
    (_along(2), "linalg.norm"),
    (_along(2, None, "each"), "roll"),
    (_along(1, None, "each"), "expand_dims squeeze"),
    (_along(2, -1), "diff unwrap fft.fft fft.ifft fft.rfft fft.irfft fft.hfft fft.ihfft"),
    (_along(3, -1), "trapezoid trapz"),
    (_along(9), "gradient"),
    (_along(1, None, "all", "axes"), "fft.fftshift fft.ifftshift"),
    (_along(2, (-2, -1), "all", "axes"), "fft.fft2 fft.ifft2 fft.rfft2 fft.irfft2"),
    (_mapped(0), "ascontiguousarray astype copy digitize empty_like full_like interp ones_like zeros_like"),
    (_mapped(0, 1), "polyval searchsorted"),
    (_mapped(2), "matrix_transpose tril triu linalg.cholesky linalg.cond linalg.det linalg.diagonal linalg.eig"),
    (_mapped(2), "linalg.eigh linalg.eigvals linalg.eigvalsh linalg.inv linalg.matrix_norm linalg.matrix_power"),
    (_mapped(2), "linalg.matrix_transpose linalg.pinv linalg.qr linalg.slogdet linalg.svd linalg.svdvals linalg.trace"),
    (_solve, "linalg.solve"),
    (_matmul, "dot matmul linalg.matmul"),
    (_outer, "outer linalg.outer"),
    (_einsum, "einsum"),
    (_reshape, "ravel reshape"),
    (_transpose, "transpose permute_dims"),
    (_moved, "moveaxis swapaxes"),
    (_along(2, 0), "array_split split"),
    (_diagonal, "diag diagonal"),
    (_joined(0), "concat concatenate"),
    (_joined(1), "stack"),
    (getitem, "getitem"),
    (setitem, "setitem"),
]
RULES: dict[str, Rule] = {name: rule for rule, names in _TABLE for name in names.split()}
