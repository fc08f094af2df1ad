"""The rules: how a function of one point is called once for all.

The values of a batched array have the batch axis first. A rule takes the run, the function and the arguments of f, and
returns what `Run.each` would, or NotImplemented where it does not know better: then that is called. A rule must not
err; it may be slow, or refuse.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from anygrad._typing import Array
from anygrad.evaluators.batching.array import ZERO_D, Batched
from anygrad.evaluators.batching.indexing import getitem, setitem
from anygrad.evaluators.batching.run import Rule, Run

Function = Callable[..., Any]
_SIMPLE = {int, float, bool, str, type(None)}
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _shifted(axis: int, ndim: int) -> int:
    """Return the axis of the values for one of the array."""
    if not -ndim <= axis < ndim:
        raise ValueError(f"axis {axis} is out of bounds for an array of {ndim} axes")
    return axis + 1 if axis >= 0 else axis


def _ndim(operand: Any) -> int:
    return len(operand.shape) if hasattr(operand, "shape") else np.ndim(operand)


def _flat(run: Run, x: Batched) -> Array:
    return run.library.reshape(x._values, (run.count, x.size))


def elementwise(run: Run, function: Function, *args: Any, **kwargs: Any) -> Any:
    """Do the same for each element of arguments that broadcast."""
    if kwargs and run.has_batched(list(kwargs.values())):
        return NotImplemented
    return Batched(function(*run.aligned(args), **kwargs), run)


def ufunc_parts(run: Run, function: Function, *args: Any, **kwargs: Any) -> Any:
    """Do the same with a function that may return a tuple, as np.modf."""
    parts = function(*run.aligned(args), **kwargs)
    if kwargs and run.has_batched(list(kwargs.values())):
        return NotImplemented
    return tuple(Batched(part, run) for part in parts) if type(parts) is tuple else Batched(parts, run)


def along(at: int, default: Any = None, none: str = "all", name: str = "axis") -> Rule:
    """Return the rule of a function of one array that works along axes.

    The axis is the argument at position ``at``, or called ``name``. Where it is None, the function works along ``all``
    axes, or along the one of the ``flat`` array.
    """

    def rule(run: Run, function: Function, x: Any, *args: Any, **kwargs: Any) -> Any:
        for given in (*args, *kwargs.values()) if kwargs else args:
            # An array of x's shape has other axes than the values.
            if type(given) not in _SIMPLE and (run.has_batched(given) or len(getattr(given, "shape", ())) > 1):
                return NotImplemented
        if type(x) is not Batched:
            return NotImplemented
        run.require_own(x)
        values, ndim = x._values, x.ndim
        positional = len(args) >= at
        axis = args[at - 1] if positional else kwargs.get(name, default)
        if axis is None:
            if ndim == 1:
                axis = 1
            elif (none == "flat" or ndim == 0) and (kwargs.get("keepdims") or len(args) > 3):
                return NotImplemented
            elif none == "flat" or ndim == 0:
                values, axis = _flat(run, x), 1
            else:
                axis = tuple(range(1, ndim + 1))
        elif type(axis) is int:
            axis = _shifted(axis, ndim)
        else:
            axis = tuple(_shifted(int(one), ndim) for one in axis)
        if positional:
            result = function(values, *args[: at - 1], axis, *args[at:], **kwargs)
        else:
            result = function(values, *args, **{**kwargs, name: axis})
        if type(result) is list or type(result) is tuple:
            return type(result)(Batched(part, run) for part in result)
        return Batched(result, run)

    return rule


def quantile(run: Run, function: Function, x: Any, q: Any, *args: Any, **kwargs: Any) -> Any:
    """Return the quantiles for one q: several come along a first axis."""
    return along(2)(run, function, x, q, *args, **kwargs) if _ndim(q) == 0 else NotImplemented


def norm(run: Run, function: Function, x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:  # noqa: A002 - NumPy's name
    """Return the norm of a vector or a matrix."""
    if type(x) is not Batched:
        return NotImplemented
    if axis is None and ord is None and not keepdims:
        flat = _flat(run, x)
        length = np.sqrt(np.vecdot(flat, flat)) if run.plain_numpy and x.dtype.kind == "f" else function(flat, axis=1)
        return Batched(length, run)
    return along(2)(run, function, x, ord, axis, keepdims) if x.ndim <= 2 else NotImplemented


def roll(run: Run, function: Function, x: Any, shift: Any, axis: Any = None) -> Any:
    """Roll along an axis, or all elements."""
    if type(x) is not Batched or run.has_batched(shift):
        return NotImplemented
    if axis is None:
        return Batched(run.library.reshape(function(_flat(run, x), shift, axis=1), x._values.shape), run)
    return along(2)(run, function, x, shift, axis)


def loops(core: int) -> Rule:
    """Return the rule of a function of the last ``core`` axes of one array, which loops over the others."""

    def rule(run: Run, function: Function, x: Any, *args: Any, **kwargs: Any) -> Any:
        if type(x) is not Batched or x.ndim < core or run.has_batched([*args, *kwargs.values()]):
            return NotImplemented
        run.require_own(x)
        result = function(x._values, *args, **kwargs)
        if isinstance(result, tuple):
            parts = [Batched(part, run) for part in result]
            return type(result)(*parts) if hasattr(result, "_fields") else tuple(parts)
        return Batched(result, run)

    return rule


def solve(run: Run, function: Function, a: Any, b: Any) -> Any:
    """Solve for a vector, or for the columns of a matrix."""
    if _ndim(a) != 2 or not 1 <= _ndim(b) <= 2:
        return NotImplemented
    matrix, columns = (run.own_values(operand) for operand in (a, b))
    if _ndim(b) == 1:
        return Batched(function(matrix, columns[..., None])[..., 0], run)
    return Batched(function(matrix, columns), run)


def matmul(run: Run, function: Function, a: Any, b: Any) -> Any:
    """Multiply vectors and matrices; many vectors by one matrix as one product of matrices."""
    ndim_a, ndim_b = _ndim(a), _ndim(b)
    if min(ndim_a, ndim_b) < 1 or max(ndim_a, ndim_b) > 2:
        return NotImplemented
    times, x, y = run.library.matmul, run.own_values(a), run.own_values(b)
    if ndim_a == ndim_b == 1 and run.plain_numpy:
        if x.dtype.kind != "c":
            return Batched(np.vecdot(x, y), run)
    elif len(y.shape) == 2 == ndim_b:  # a matrix that does not depend on x
        return Batched(times(x, y), run)
    elif len(x.shape) == 2 == ndim_a and ndim_b == 1:
        return Batched(times(y, x.T), run)
    product = times(x[..., None, :] if ndim_a == 1 else x, y[..., None] if ndim_b == 1 else y)
    if ndim_b == 1:
        product = product[..., 0]
    return Batched((product[..., 0] if ndim_b == 1 else product[..., 0, :]) if ndim_a == 1 else product, run)


def dot(run: Run, function: Function, a: Any, b: Any) -> Any:
    """Multiply as np.dot does."""
    return a * b if _ndim(a) == 0 or _ndim(b) == 0 else matmul(run, function, a, b)


def inner(run: Run, function: Function, a: Any, b: Any) -> Any:
    """Multiply along the last axis of both."""
    return matmul(run, function, a, b.T if _ndim(b) == 2 else b)


def vdot(run: Run, function: Function, a: Any, b: Any) -> Any:
    """Multiply the elements of both, the first one conjugated."""
    left, right = (run.spread(operand) for operand in (a, b))
    if left.size != right.size:
        return NotImplemented
    values = run.library.conj(_flat(run, left)) * _flat(run, right)
    return Batched(run.library.sum(values, axis=1), run)


def outer(run: Run, function: Function, a: Any, b: Any) -> Any:
    """Multiply each element of one with each of the other."""
    x, y = (run.own_values(operand if _ndim(operand) == 1 else operand.reshape(-1)) for operand in (a, b))
    return Batched(x[..., :, None] * y[..., None, :], run)


def tensordot(run: Run, function: Function, a: Any, b: Any, axes: Any = 2) -> Any:
    """Sum over pairs of axes."""
    ndim_a, ndim_b = len(a.shape), len(b.shape)
    if isinstance(axes, int):
        axes = (range(ndim_a - axes, ndim_a), range(axes))
    pairs = [[side] if isinstance(side, int) else list(side) for side in axes]
    left, right = list(_ALPHABET[26 : 26 + ndim_a]), list(_ALPHABET[:ndim_b])
    for i, j in zip(*pairs, strict=True):
        right[j] = left[i]
    kept = [letter for letter in (*left, *right) if (letter in left) != (letter in right)]
    return einsum(run, np.einsum, f"{''.join(left)},{''.join(right)}->{''.join(kept)}", a, b)


def einsum(run: Run, function: Function, subscripts: Any, *operands: Any, **kwargs: Any) -> Any:
    """Put a letter for the batch axis before those of each batched operand and of the result."""
    if type(subscripts) is not str or ("..." in subscripts and len(operands) > 1):
        return NotImplemented
    operands = tuple(map(run.lifted, operands))
    batched = tuple(type(operand) is Batched for operand in operands)
    values = [run.own_values(operand) for operand in operands]
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


def cross(run: Run, function: Function, a: Any, b: Any) -> Any:
    """Multiply vectors along the last axis."""
    return Batched(function(*run.aligned((a, b))), run) if a.shape == b.shape == (3,) else NotImplemented


# Shapes


def reshape(run: Run, function: Function, x: Any, shape: Any, order: str = "C", copy: bool | None = None) -> Any:
    """Give the axes behind the batch axis another shape."""
    shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    if order != "C" or copy is not None or run.has_batched(shape) or type(x) is not Batched:
        return NotImplemented
    run.require_own(x)
    known = 1
    for length in shape:
        known *= length if length >= 0 else 1
    shape = tuple(x.size // known if length < 0 else length for length in shape)
    return Batched(run.library.reshape(x._values, (run.count, *shape)), run, None if shape else ZERO_D)


def ravel(run: Run, function: Function, x: Any, order: str = "C") -> Any:
    """Give it one axis."""
    return Batched(_flat(run, x), run) if order == "C" else NotImplemented


def transpose(run: Run, function: Function, x: Any, axes: Any = None) -> Any:
    """Permute the axes."""
    run.require_own(x)
    order = range(x.ndim)[::-1] if axes is None else [range(x.ndim)[axis] for axis in axes]
    if len(set(order)) != x.ndim:
        return NotImplemented
    permute = run.library.permute_dims if hasattr(run.library, "permute_dims") else run.library.transpose
    return Batched(permute(x._values, (0, *(axis + 1 for axis in order))), run, x._kind)


def moved(run: Run, function: Function, x: Any, first: Any, second: Any) -> Any:
    """Call np.swapaxes or np.moveaxis."""
    ndim = x.ndim
    pair = (
        _shifted(axes, ndim) if isinstance(axes, int) else [_shifted(axis, ndim) for axis in axes]
        for axes in (first, second)
    )
    return Batched(function(x._values, *pair), run)


def expand_dims(run: Run, function: Function, x: Any, axis: Any = 0) -> Any:
    """Insert axes of length 1."""
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    ndim = x.ndim + len(axes)
    places = {range(ndim)[one] for one in axes}
    if len(places) != len(axes):
        return NotImplemented
    return x[tuple(None if i in places else slice(None) for i in range(ndim))]


def squeeze(run: Run, function: Function, x: Any, axis: Any = None) -> Any:
    """Drop axes of length 1."""
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    dropped = {range(x.ndim)[one] for one in axes if axis is not None or x.shape[one] == 1}
    if any(x.shape[one] != 1 for one in dropped):
        return NotImplemented
    result = x[tuple(0 if i in dropped else slice(None) for i in range(x.ndim))]
    return Batched(result._values, run, None if result.ndim else ZERO_D)


def broadcast_to(run: Run, function: Function, x: Any, shape: Any, **kwargs: Any) -> Any:
    """Repeat along new axes."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    values, _ = run.aligned((x, np.empty((1,) * len(shape)))) if run.plain_numpy else (x._values, None)
    if len(values.shape) != len(shape) + 1:
        return NotImplemented
    return Batched(run.library.broadcast_to(values, (run.count, *shape)), run)


def broadcast_arrays(run: Run, function: Function, *arrays: Any) -> Any:
    """Broadcast against each other."""
    shape = np.broadcast_shapes(*(np.shape(array) for array in arrays))
    return tuple(broadcast_to(run, function, run.spread(array), shape) for array in arrays)


def at_least(ndim: int) -> Rule:
    """Return the rule of np.atleast_1d and np.atleast_2d."""

    def rule(run: Run, function: Function, x: Any) -> Any:
        return x[(None,) * (ndim - x.ndim)] if x.ndim < ndim else x

    return rule


def split(run: Run, function: Function, x: Any, sections: Any, axis: int = 0) -> Any:
    """Split along an axis."""
    if run.has_batched(sections):
        return NotImplemented
    return [Batched(part, run) for part in function(x._values, sections, axis=_shifted(axis, x.ndim))]


def split_along(axis: int) -> Rule:
    """Return the rule of np.hsplit and np.vsplit."""

    def rule(run: Run, function: Function, x: Any, sections: Any) -> Any:
        return split(run, np.array_split if False else np.split, x, sections, 0 if x.ndim == 1 else axis)

    return rule


def diag(run: Run, function: Function, x: Any, k: int = 0) -> Any:
    """Return a diagonal, or the matrix that has it."""
    if x.ndim == 2:
        return Batched(np.diagonal(x._values, k, 1, 2), run)
    if x.ndim != 1 or not isinstance(k, int):
        return NotImplemented
    n = x.shape[0] + abs(k)
    values = run.library.zeros((run.count, n * n), dtype=x.dtype)
    values[:, k if k > 0 else -k * n :: n + 1][:, : x.shape[0]] = x._values
    return Batched(values.reshape(run.count, n, n), run)


def two_axes(at: int, first: int, second: int) -> Rule:
    """Return the rule of np.trace and np.diagonal."""

    def rule(run: Run, function: Function, x: Any, *args: Any, **kwargs: Any) -> Any:
        if type(x) is not Batched or len(args) > 3 or set(kwargs) - {"offset", "axis1", "axis2"}:
            return NotImplemented
        offset, *axes = (*args, *(kwargs.get(key, default) for key, default in (("offset", 0), ("axis1", first), ("axis2", second))[len(args) :]))
        return Batched(function(x._values, offset, *(_shifted(axis, x.ndim) for axis in axes)), run)

    return rule


def rot90(run: Run, function: Function, x: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    """Rotate in the plane of two axes."""
    return Batched(function(x._values, k, tuple(_shifted(axis, x.ndim) for axis in axes)), run)


def pad(run: Run, function: Function, x: Any, width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    """Pad all axes but that of the batch."""
    if not isinstance(mode, str) or run.has_batched([width, *kwargs.values()]) or any(np.ndim(v) for v in kwargs.values()):
        return NotImplemented
    widths = np.broadcast_to(np.asarray(width), (x.ndim, 2)).tolist()
    return Batched(function(x._values, [(0, 0), *widths], mode, **kwargs), run)


def tile(run: Run, function: Function, x: Any, reps: Any) -> Any:
    """Repeat the whole array."""
    reps = (reps,) if isinstance(reps, int) else tuple(reps)
    ndim = max(x.ndim, len(reps))
    [values, _] = run.aligned((x, np.empty((1,) * ndim)))
    return Batched(function(values, (1, *(1,) * (ndim - len(reps)), *reps)), run)


# Several arrays as one


def _parts(run: Run, arrays: Any) -> list[Array]:
    return [run.spread(run.nested(array))._values for array in arrays]


def concatenate(run: Run, function: Function, arrays: Any, axis: Any = 0, dtype: Any = None) -> Any:
    """Join along an axis."""
    values = _parts(run, arrays)
    if dtype is not None:
        return NotImplemented
    if axis is None:
        values, axis = [run.library.reshape(part, (run.count, -1)) for part in values], 0
    return Batched(run.library.concat(values, axis=_shifted(axis, len(values[0].shape) - 1)), run)


def stack(run: Run, function: Function, arrays: Any, axis: int = 0) -> Any:
    """Join along a new axis."""
    values = _parts(run, arrays)
    return Batched(run.library.stack(values, axis=_shifted(axis, len(values[0].shape))), run)


def joined(ndim: int, axis: int) -> Rule:
    """Return the rule of np.vstack, np.hstack and np.column_stack, by which arrays get that many axes first."""

    def rule(run: Run, function: Function, arrays: Any) -> Any:
        parts = [run.spread(run.nested(array)) for array in arrays]
        behind = function.__name__ == "column_stack"
        parts = [
            part if part.ndim >= ndim else part.reshape((-1, 1) if behind else (1,) * (ndim - 1) + (-1,)) for part in parts
        ]
        return concatenate(run, function, parts, 0 if parts[0].ndim == 1 else axis)

    return rule


def append(run: Run, function: Function, array: Any, values: Any, axis: Any = None) -> Any:
    """Join two arrays."""
    return concatenate(run, function, (array, values), axis)


# Values, and what is made like an array


def where(run: Run, function: Function, *args: Any) -> Any:
    """Choose elements."""
    return elementwise(run, function, *args) if len(args) == 3 else NotImplemented


def interp(run: Run, function: Function, x: Any, xp: Any, fp: Any, **kwargs: Any) -> Any:
    """Interpolate in a table that does not depend on x."""
    return NotImplemented if run.has_batched([xp, fp, *kwargs.values()]) else Batched(function(x._values, xp, fp, **kwargs), run)


def second(run: Run, function: Function, table: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """Do the same for each element of the second argument: np.polyval, np.searchsorted."""
    if run.has_batched([table, *args, *kwargs.values()]):
        return NotImplemented
    return Batched(function(table, x._values, *args, **kwargs), run)


def take(run: Run, function: Function, x: Any, indices: Any, axis: Any = None, **kwargs: Any) -> Any:
    """Take elements along an axis."""
    if not run.has_batched(indices):
        return along(2, None, "flat")(run, function, x, indices, axis, **kwargs)
    if type(x) is Batched or axis not in (0, None) or kwargs or type(indices) is not Batched:
        return NotImplemented
    return Batched(function(x, indices._values, axis=axis), run)


def take_along_axis(run: Run, function: Function, x: Any, indices: Any, axis: Any = -1) -> Any:
    """Take elements as np.argsort orders them."""
    if axis is None:
        return NotImplemented
    ndim = len(x.shape)
    values = (run.spread(operand)._values for operand in (x, indices))
    return Batched(function(*values, axis=_shifted(axis, ndim)), run)


def like(run: Run, function: Function, x: Any, *args: Any, shape: Any = None, **kwargs: Any) -> Any:
    """Make an array of x's shape."""
    if run.has_batched([*args, *kwargs.values()]) or type(x) is not Batched:
        return NotImplemented
    if shape is not None:
        kwargs["shape"] = (run.count, *((shape,) if isinstance(shape, int) else shape))
    return Batched(function(x._values, *args, **kwargs), run, None if x.ndim else ZERO_D)


def copy(run: Run, function: Function, x: Any, *args: Any, **kwargs: Any) -> Any:
    """Copy."""
    values = x._values
    copied = values.copy() if hasattr(values, "copy") else run.library.asarray(values, copy=True)
    return Batched(copied, run, x._kind if x.ndim else ZERO_D)


def astype(run: Run, function: Function, x: Any, dtype: Any, **kwargs: Any) -> Any:
    """Convert to another dtype."""
    return x.astype(dtype)


def _table() -> dict[str, Rule]:
    rules: dict[str, Rule] = {"getitem": getitem, "setitem": setitem}

    def add(rule: Rule, names: str, prefix: str = "") -> None:
        rules.update(dict.fromkeys((prefix + name for name in names.split()), rule))

    add(ufunc_parts, "elementwise")
    add(elementwise, "clip isclose nan_to_num real imag angle sinc i0 fix round around iscomplex isreal isposinf isneginf")
    add(elementwise, _STANDARD_ELEMENTWISE)
    add(along(1), "all amax amin any average count_nonzero max mean min nanmax nanmean nanmin nanprod nanstd nansum nanvar")
    add(along(1), "prod ptp std sum var median nanmedian flip")
    add(along(1), "reduction_kernel")
    add(along(1, 0), "ufunc.reduce ufunc.accumulate")
    add(along(1, None, "flat"), "argmax argmin nanargmax nanargmin cumprod cumsum nancumprod nancumsum")
    add(along(1, None, "flat"), "cumulative_sum cumulative_prod")
    add(along(1, -1, "flat"), "argsort sort")
    add(along(2, -1, "flat"), "argpartition partition")
    add(along(2, None, "flat"), "repeat delete")
    add(along(2, -1), "diff unwrap")
    add(along(3, -1), "trapezoid trapz")
    add(along(9), "gradient")
    add(along(1, None, "all", "axes"), "fftshift ifftshift", "fft.")
    add(along(2, -1), "fft ifft rfft irfft hfft ihfft", "fft.")
    add(along(2, (-2, -1), "all", "axes"), "fft2 ifft2 rfft2 irfft2", "fft.")
    add(quantile, "quantile percentile nanquantile nanpercentile")
    add(norm, "linalg.norm")
    add(along(1), "vector_norm", "linalg.")
    add(roll, "roll")
    add(loops(2), "tril triu matrix_transpose")
    add(loops(2), "cholesky det eig eigh eigvals eigvalsh inv matrix_power matrix_transpose pinv qr slogdet svd", "linalg.")
    add(loops(2), "svdvals matrix_norm trace diagonal cond", "linalg.")
    add(solve, "linalg.solve")
    add(matmul, "matmul linalg.matmul")
    add(dot, "dot")
    add(inner, "inner")
    add(vdot, "vdot")
    add(outer, "outer linalg.outer")
    add(tensordot, "tensordot linalg.tensordot")
    add(einsum, "einsum")
    add(cross, "cross linalg.cross")
    add(reshape, "reshape")
    add(ravel, "ravel")
    add(transpose, "transpose permute_dims")
    add(moved, "swapaxes moveaxis")
    add(expand_dims, "expand_dims")
    add(squeeze, "squeeze")
    add(broadcast_to, "broadcast_to")
    add(broadcast_arrays, "broadcast_arrays")
    add(at_least(1), "atleast_1d")
    add(at_least(2), "atleast_2d")
    add(split, "split array_split")
    add(diag, "diag")
    add(two_axes(1, 0, 1), "trace diagonal")
    add(rot90, "rot90")
    add(pad, "pad")
    add(tile, "tile")
    add(concatenate, "concatenate concat")
    add(stack, "stack")
    add(joined(2, 0), "vstack")
    add(joined(1, 1), "hstack")
    add(joined(2, 1), "column_stack")
    add(append, "append")
    add(where, "where")
    add(interp, "interp digitize")
    add(second, "polyval searchsorted")
    add(take, "take")
    add(take_along_axis, "take_along_axis")
    add(like, "zeros_like ones_like empty_like full_like")
    add(copy, "copy ascontiguousarray")
    add(astype, "astype")
    return rules


# The standard's functions that do the same for each element, under names of which NumPy's ufuncs need no rule.
_STANDARD_ELEMENTWISE = (
    "abs acos acosh add asin asinh atan atan2 atanh bitwise_and bitwise_invert bitwise_or bitwise_xor ceil conj conjugate copysign"
    " cos cosh divide equal exp expm1 floor floor_divide greater greater_equal hypot isfinite isinf isnan less less_equal"
    " log log10 log1p log2 logaddexp logical_and logical_not logical_or logical_xor maximum minimum multiply negative"
    " nextafter not_equal positive pow reciprocal remainder sign signbit sin sinh sqrt square subtract tan tanh trunc"
)
RULES = _table()
