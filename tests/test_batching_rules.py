"""anygrad.vmap: what every function makes of many points is what it makes of each, stacked."""

# ruff: noqa: PLW0108 - a list of functions of x

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_examples import examples

import anygrad
from anygrad.evaluators.batching.rules import RULES

Draw = Callable[[Any], Any]
DTYPES = ("float64", "float32", "int64", "complex128", "bool")


@st.composite
def shapes(draw, least=0, most=3, shortest=1):
    return tuple(draw(st.lists(st.integers(shortest, 4), min_size=least, max_size=most)))


@st.composite
def points(draw, least=0, most=3, shortest=1, dtypes=DTYPES):
    """Draw the values of an array at several points."""
    shape = draw(shapes(least, most, shortest))
    dtype = draw(st.sampled_from(dtypes))
    count = draw(st.integers(2, 4))
    generator = np.random.default_rng(draw(st.integers(0, 99)))
    values = generator.integers(-4, 5, (count, *shape)) / 4
    if dtype == "complex128":
        values = values + 1j * generator.integers(-4, 5, (count, *shape)) / 4
    return (values * 4 if dtype == "int64" else values).astype(dtype)


def axis_of(draw, x):
    return draw(st.integers(-x.ndim, x.ndim - 1))


def axis_or_none(draw, x):
    return draw(st.one_of(st.none(), st.integers(-x.ndim, x.ndim - 1))) if x.ndim else None


def axes_of(draw, x):
    every = draw(st.permutations(range(x.ndim)))
    return tuple(axis - x.ndim * draw(st.booleans()) for axis in every[: draw(st.integers(0, x.ndim))])


def like(draw, x, spread=True):
    """Draw a constant that broadcasts with x, above it or below."""
    shape = [length if draw(st.booleans()) else 1 for length in x.shape[draw(st.integers(0, x.ndim)) :]]
    shape = [*draw(shapes(0, 1)), *shape] if spread and len(shape) == x.ndim else shape
    return np.random.default_rng(0).integers(1, 5, shape) / 4


REAL = ("float64", "float32", "int64")
FLOAT = ("float64", "float32")
INEXACT = ("float64", "complex128")
# Each draws what it needs besides x, the array at one point, and returns what is done to that, one thing or several.
OPERATIONS: dict[str, tuple[Any, Callable[[Draw, Any], Any]]] = {}


def function_of(name):
    module, _, own = name.rpartition(".")
    return getattr(getattr(np, module) if module else np, own, None)


def one_of(draw, *values):
    return draw(st.sampled_from(values))


def operation(name, strategy):
    def added(make):
        OPERATIONS[name] = strategy, make

    return added


def functions(names, strategy):
    """Add an operation for each function of NumPy, made of that function, draw and x."""

    def added(make):
        for name in names.split():
            OPERATIONS[f"np.{name}"] = strategy, partial(make, function_of(name))

    return added


@functions(
    "sum prod mean max min any all std var ptp count_nonzero amax amin median "
    "nansum nanmax nanmin nanmean nanprod nanstd nanvar nanmedian",
    points(dtypes=REAL),
)
def _(g, draw, x):
    axis = one_of(draw, axis_or_none(draw, x), axes_of(draw, x))
    keepdims = {"keepdims": True} if draw(st.booleans()) and g not in (np.median, np.nanmedian) else {}
    return lambda x: g(x, axis, **keepdims)


@functions("cumsum cumprod nancumsum nancumprod argmax argmin", points(dtypes=REAL))
def _(g, draw, x):
    axis = axis_or_none(draw, x)
    return lambda x: g(x, axis)


@operation("methods", points(1, dtypes=REAL))
def _(draw, x):
    name, axis = one_of(draw, "sum", "mean", "max", "std", "argmin", "cumsum", "prod", "any"), axis_or_none(draw, x)
    return [
        lambda x: getattr(x, name)(),
        lambda x: getattr(x, name)(axis),
        lambda x: getattr(x, name)(axis=axis),
    ]


@functions("sort argsort", points(1, dtypes=REAL))
def _(g, draw, x):
    axis = axis_or_none(draw, x)
    return lambda x: g(x, axis=axis, kind="stable")


@functions("flip expand_dims squeeze unstack", points(1, dtypes=REAL))
def _(g, draw, x):
    axis = axis_of(draw, x)
    return lambda x: g(x, axis=axis)


@functions(
    "linalg.inv linalg.det linalg.slogdet linalg.cholesky linalg.eigvalsh linalg.svd linalg.qr linalg.pinv "
    "linalg.eig linalg.eigvals linalg.svdvals linalg.matrix_norm "
    "linalg.matrix_rank linalg.cond linalg.trace linalg.diagonal linalg.matrix_transpose",
    points(2, dtypes=INEXACT),
)
def _(g, draw, x):
    return lambda x: g(x @ x.swapaxes(-1, -2).conj() + 3 * np.eye(x.shape[-2]))


@functions("fft.fft fft.ifft fft.rfft fft.irfft fft.hfft fft.ihfft", points(1, dtypes=FLOAT))
def _(g, draw, x):
    axis = axis_of(draw, x)
    return [g, lambda x: g(x, axis=axis)]


@functions("fft.fft2 fft.ifft2 fft.rfft2 fft.irfft2 fft.fftn fft.fftshift fft.ifftshift", points(1, dtypes=FLOAT))
def _(g, draw, x):
    axes = (axis_of(draw, x),)
    return [g, lambda x: g(x, axes=axes)]


@operation("ufuncs", points(1, dtypes=FLOAT))
def _(draw, x):
    ufuncs = [g for g in map(function_of, RULES) if isinstance(g, np.ufunc)]
    other = like(draw, x)
    unary, binary = ([g for g in ufuncs if g.nin == count] for count in (1, 2))
    return [
        *unary,
        *(partial(lambda g, x: g(x, other), g) for g in binary),
        *(partial(lambda g, x: g(other, x), g) for g in binary),
        *(partial(lambda g, x: g(x, x.sum(0)), g) for g in binary),
    ]


@operation("operators", points(1))
def _(draw, x):
    other = one_of(draw, like(draw, x), 2, 1.5, np.float32(2), [1.0] * x.shape[-1])
    return [
        lambda x: x + other,
        lambda x: other * x,
        lambda x: x * x.sum(0),
        lambda x: x[..., 0] * x,
        lambda x: -x if x.dtype != bool else ~x,
        lambda x: abs(x),
        lambda x: x == other,
        lambda x: other != x,
        lambda x: x**2,
    ]


@operation("operators in place", points(1, dtypes=FLOAT))
def _(draw, x):
    other = like(draw, x, spread=False)

    def f(x):
        y = x.copy()
        y += other
        y *= x
        y[..., 0] -= 1
        view = y[0]
        view *= 2
        return y

    return f


def index_of(draw, shape):
    """Draw an index: integers, slices, None, an ellipsis, arrays of integers and masks."""
    items: list[Any] = []
    arrays = draw(shapes(1, 2))
    for length in shape[: draw(st.integers(0, len(shape)))]:
        items.append(
            draw(
                st.one_of(
                    st.integers(-length, length - 1),
                    st.slices(length),
                    st.just(np.random.default_rng(length).integers(-length, length, arrays)),
                    st.just([0, length - 1] if arrays == (2,) else slice(None)),
                )
            )
        )
        if draw(st.integers(0, 4)) == 0:
            items.append(None)
    if draw(st.integers(0, 3)) == 0:
        items.insert(draw(st.integers(0, len(items))), ...)
    return tuple(items) if len(items) != 1 or draw(st.booleans()) else items[0]


@operation("getting by index", points(1))
def _(draw, x):
    index = index_of(draw, x.shape)
    return lambda x: x[index]


@operation("setting by index", points(1, dtypes=FLOAT))
def _(draw, x):
    index = index_of(draw, x.shape)
    value = one_of(
        draw, lambda x: 2.0, lambda x: x.sum(), lambda x: x[index] ** 2, lambda x: np.array(x[index])[..., :1] * 0 + 1
    )

    def f(x):
        y = np.zeros_like(x)
        y[index] = value(x)
        return y

    return f


@operation("batched indices", points(1, 2, dtypes=FLOAT))
def _(draw, x):
    table = np.arange(12.0).reshape(4, 3)

    def f(x):
        i = (np.abs(x) * 4).astype(int) % x.shape[0]
        y = x.copy()
        y[i.ravel()[0]] = 7
        return draw_one(x, i, y)

    draw_one = one_of(
        draw,
        lambda x, i, y: x[i],
        lambda x, i, y: x[i[0]] + y,
        lambda x, i, y: np.take(table, i, axis=0),
        lambda x, i, y: np.where(x > 0, y, x[i[..., :1] * 0].sum()),
        lambda x, i, y: x[i.ravel(), None],
    )
    return f


@operation("masks", points(1, dtypes=FLOAT))
def _(draw, x):
    def f(x):
        y = x.copy()
        y[x > 0] = 5
        y[x < 0] *= 2
        y[x == 0] = x.max()
        return y

    return [f, lambda x: x[x > 0].sum(), lambda x: np.where(x > 0, x, np.sum(x))]


@operation("matmul", points(1, 2, dtypes=INEXACT))
def _(draw, x):
    n = x.shape[-1]
    matrix, vector = np.arange(n * 3.0).reshape(n, 3), np.arange(float(n))
    return [
        lambda x: x @ matrix,
        lambda x: x @ vector,
        lambda x: matrix.T @ x.T,
        lambda x: vector @ x.T,
        lambda x: x @ x.T,
        lambda x: np.dot(x, matrix),
        lambda x: np.dot(x, x.T),
        lambda x: np.inner(x, x),
        lambda x: np.inner(x, matrix.T),
        lambda x: np.vdot(x, x),
        lambda x: np.outer(x, vector),
        lambda x: np.outer(vector, x),
        lambda x: np.tensordot(x, x, axes=x.ndim),
        lambda x: np.tensordot(x, matrix, axes=1),
        lambda x: np.tensordot(matrix, x, axes=([0], [-1])),
        lambda x: np.kron(x, vector),
        lambda x: np.dot(2.0, x),
        lambda x: x.dot(vector),
        lambda x: np.matmul(x[None], matrix),
        lambda x: np.linalg.matmul(x[None], matrix[None]),
        lambda x: np.vecdot(x, vector),
        lambda x: np.convolve(x.ravel(), [0.25, 0.5, 0.25], mode="same"),
        lambda x: np.polyval(x.ravel(), vector),
        lambda x: np.vander(x.ravel(), 3),
    ]


@operation("einsum", points(2, 2, dtypes=INEXACT))
def _(draw, x):
    other = np.arange(x.shape[1] * 2.0).reshape(x.shape[1], 2)
    return [
        lambda x: np.einsum("ij,jk->ik", x, other),
        lambda x: np.einsum("ij->j", x),
        lambda x: np.einsum("ij", x),
        lambda x: np.einsum("...j->...", x),
        lambda x: np.einsum("...j,jk->...k", x, other),
        lambda x: np.einsum("jk,ij->ki", other, x, optimize=True),
        lambda x: np.einsum("i,j->ij", x[:, 0], other[0]),
        lambda x: np.einsum("ij,ij", x, x),
    ]


@operation("shapes", points(1, 3))
def _(draw, x):
    order = draw(st.permutations(range(x.ndim)))
    axis, other = axis_of(draw, x), axis_of(draw, x)
    return [
        lambda x: x.T,
        lambda x: np.transpose(x, order),
        lambda x: x.swapaxes(axis, other),
        lambda x: np.moveaxis(x, axis, other),
        lambda x: x.reshape(1, -1),
        lambda x: x.reshape((*x.shape, 1), order="F"),
        lambda x: x.ravel(order="F"),
        lambda x: x.flatten(),
        lambda x: x[None].squeeze(),
        lambda x: np.broadcast_to(x, (2, *x.shape)),
        lambda x: np.broadcast_to(x[..., :1], x.shape),
        lambda x: np.atleast_2d(x),
        lambda x: np.atleast_1d(x),
        lambda x: np.atleast_3d(x),
        lambda x: np.roll(x, 1, axis),
        lambda x: np.roll(x, 1),
        lambda x: np.rot90(x[None]),
        lambda x: np.repeat(x, 2, axis),
        lambda x: np.repeat(x, 2),
        lambda x: np.tile(x, (2, 1)),
        lambda x: np.tile(x, 3),
        lambda x: np.pad(x, 1),
        lambda x: np.pad(x, (1, 2), mode="wrap"),
        lambda x: np.delete(x, 0, axis),
        lambda x: np.array_split(x, 2, axis),
        lambda x: np.split(x, x.shape[axis], axis),
        lambda x: np.diagonal(x[None]),
        lambda x: np.diag(x.ravel()),
        lambda x: np.diag(np.outer(x, x), 1),
        lambda x: np.tril(x[None], 1),
        lambda x: np.triu(x),
        lambda x: np.take(x, [0, -1], axis),
        lambda x: np.take(x, 0),
        lambda x: np.hsplit(x.ravel(), 1),
        lambda x: np.broadcast_arrays(x, np.ones((2, *x.shape))),
        lambda x: np.rollaxis(x, axis),
        lambda x: np.fliplr(x[None]),
        lambda x: np.meshgrid(x.ravel(), x.ravel()[:2]),
    ]


@operation("joins", points(1, 2))
def _(draw, x):
    axis = axis_of(draw, x)
    ones = np.ones(x.shape)
    return [
        lambda x: np.concatenate([x, ones], axis),
        lambda x: np.concatenate((x, x), axis=None),
        lambda x: np.stack([x, ones, x], axis),
        lambda x: np.stack([ones, x], -1),
        lambda x: np.hstack([x, ones]),
        lambda x: np.vstack([ones, x, x]),
        lambda x: np.dstack([x, ones]),
        lambda x: np.column_stack([x, ones]),
        lambda x: np.append(x, 1.0),
        lambda x: np.append(x, ones, axis),
        lambda x: np.stack([x.sum(), 2.0, x.max()]),
        lambda x: np.array([x.sum(), 2.0, x.max()]) * x.sum(),
        lambda x: np.array([x.ravel()[:1], [1.0]], like=x),
        lambda x: np.block([[x], [ones]]),
        lambda x: np.concatenate([np.atleast_1d(x.sum()), [1.0]]),
    ]


@operation("elementwise", points(0, 2, dtypes=FLOAT))
def _(draw, x):
    return [
        lambda x: np.clip(x, -0.5, 0.5),
        lambda x: np.clip(x, None, x.sum()),
        lambda x: x.clip(0),
        lambda x: np.where(x > 0, x, 0),
        lambda x: np.where(True, x, np.ones((2, *x.shape))),
        lambda x: np.round(x, 1),
        lambda x: np.nan_to_num(x / 0),
        lambda x: np.real(x) + np.imag(x),
        lambda x: np.isclose(x, 0.25),
        lambda x: np.allclose(x, 0.25),
        lambda x: np.modf(x),
        lambda x: np.frexp(x),
        lambda x: np.sinc(x),
        lambda x: np.interp(x, [-1.0, 0.0, 1.0], [0.0, 2.0, 1.0]),
        lambda x: np.searchsorted([-0.5, 0.5], x),
        lambda x: np.digitize(x, [-0.5, 0.5]),
        lambda x: np.polyval([1.0, 2.0], x),
        lambda x: np.zeros_like(x) + np.ones_like(x) + np.full_like(x, 2),
        lambda x: np.full_like(x, x.sum()),
        lambda x: np.copy(x),
        lambda x: x.astype("float32"),
        lambda x: x.real.conj(),
        lambda x: np.exp(x, dtype="float64"),
        lambda x: np.add(x, 1, where=x > 0, out=np.zeros_like(x)),
        lambda x: np.multiply.outer(x, x),
        lambda x: np.square(x, out=x.copy()),
        lambda x: np.piecewise(x, [x < 0, x >= 0], [lambda v: -v, lambda v: v**2]),
        lambda x: np.select([x < -0.2, x < 0.2], [x**2, x**3], default=np.sin(x)),
    ]


@operation("along an axis", points(1, 3, shortest=2, dtypes=FLOAT))
def _(draw, x):
    axis = axis_of(draw, x)
    n = x.shape[axis]
    return [
        lambda x: np.diff(x, axis=axis),
        lambda x: np.diff(x, 1, axis),
        lambda x: np.diff(x, prepend=0),
        lambda x: np.diff(x, append=x, axis=axis),
        lambda x: np.gradient(x, axis=axis),
        lambda x: np.gradient(x),
        lambda x: np.gradient(x, np.arange(n) ** 2.0, axis=axis),
        lambda x: np.trapezoid(x, axis=axis),
        lambda x: np.trapezoid(x, np.arange(n) ** 2.0, axis=axis),
        lambda x: np.trapezoid(x, np.cumsum(np.ones(x.shape), axis), axis=axis),
        lambda x: np.average(x, axis),
        lambda x: np.average(x, axis, weights=np.arange(1.0, n + 1)),
        lambda x: np.average(x, weights=np.ones(x.shape)),
        lambda x: np.quantile(x, 0.3, axis),
        lambda x: np.percentile(x, [20, 50], axis),
        lambda x: np.linalg.norm(x, axis=axis),
        lambda x: np.linalg.norm(x),
        lambda x: np.linalg.norm(x, 1, axis),
        lambda x: np.linalg.norm(x.reshape(x.shape[0], -1), 2),
        lambda x: np.linalg.vector_norm(x, axis=axis, keepdims=True),
        lambda x: np.unwrap(x * 9, axis=axis),
        lambda x: np.partition(x, 1, axis),
        lambda x: np.take_along_axis(x, np.argsort(x, axis), axis),
        lambda x: np.sum(x, axis, where=x > 0),
        lambda x: np.sum(x, axis, initial=2.0),
        lambda x: np.maximum.accumulate(x, axis),
        lambda x: np.logaddexp.reduce(x, axis),
        lambda x: np.add.reduceat(x, [0, 1], axis),
        lambda x: np.apply_along_axis(np.sum, axis, x),
        lambda x: np.cov(x.reshape(x.shape[0], -1)),
        lambda x: np.corrcoef(x.reshape(x.shape[0], -1)),
        lambda x: np.interp([0.1, 0.9], np.linspace(0, 1, x.size), x.ravel()),
        lambda x: np.polyfit(np.arange(x.size), x.ravel(), 1),
        lambda x: np.cumulative_sum(x, axis=axis),
    ]


@operation("solving", points(2, 2, dtypes=("float64",)))
def _(draw, x):
    n = x.shape[0]
    matrix = np.eye(n) * 3 + np.arange(n * n).reshape(n, n) / 9
    return [
        lambda x: np.linalg.solve(matrix, x),
        lambda x: np.linalg.solve(matrix, x[:, 0]),
        lambda x: np.linalg.solve(x @ x.T + matrix, np.ones(n)),
        lambda x: np.linalg.solve(x @ x.T + matrix, x),
        lambda x: np.linalg.lstsq(matrix, x[:, 0], rcond=None)[0],
        lambda x: np.linalg.matrix_power(x @ x.T, 3),
        lambda x: np.cross(x[0], [1.0, 2.0, 3.0]),
        lambda x: np.linalg.eigh(x @ x.T + matrix.T @ matrix).eigenvalues,
    ]


def stack(results):
    if isinstance(results[0], (tuple, list)):
        return [stack(parts) for parts in zip(*results, strict=True)]
    return np.stack(results)


def alike(found, wanted):
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(alike, found, wanted))
    same = found.shape == wanted.shape and found.dtype == wanted.dtype
    tolerance = 1e-4 if wanted.dtype in ("float32", "complex64") else 1e-9
    return same and np.allclose(found, wanted, rtol=tolerance, atol=tolerance, equal_nan=True)


@pytest.mark.parametrize("name", OPERATIONS)
@examples(20)
@given(data=st.data())
@np.errstate(all="ignore")
def test_a_function_of_many_points_is_that_of_each(name, data):
    strategy, make = OPERATIONS[name]
    values = data.draw(strategy)
    done = make(data.draw, values[0, ...])
    for f in done if isinstance(done, list) else [done]:
        try:
            wanted = stack([f(values[i, ...]) for i in range(len(values))])
        except Exception as error:
            with pytest.raises(type(error)):
                anygrad.vmap(f)(values)
            continue
        found = anygrad.vmap(f)(values)
        assert alike(list(found) if isinstance(found, tuple) else found, wanted)
