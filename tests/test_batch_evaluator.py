"""Batch: chunks, memory, and what f may return for many points."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import anygrad
from anygrad import Batch

# Where functions are compiled for each shape, or take milliseconds, one size is enough: who counts the points is NumPy.
FAST = pytest.mark.libraries(lambda lib: not lib.slow)


def squares(x):
    return (x**2).sum(-1)


def chunks_of(n, points, **options):
    """Return how many points f is given in each call, with room for so many."""
    seen = []

    def f(x):
        seen.append(x.shape)
        return squares(x)

    x = np.linspace(-1, 1, n)
    value = anygrad.numerical_gradient(f, x, evaluator=Batch(max_bytes=points * x.nbytes), **options)
    assert np.array_equal(value, anygrad.numerical_gradient(squares, x))
    assert all(shape[1:] == (n,) for shape in seen)
    return [shape[0] for shape in seen]


@pytest.mark.parametrize("n", [1, 3, 8, 20])
@pytest.mark.parametrize("points", [1, 2, 7, 8, 9, 1000])
def test_every_boundary_of_chunks(n, points):
    sizes = chunks_of(n, points)
    if points > 1:
        assert sizes.pop(1) == 1  # the first point alone: whether f keeps the points apart
    assert sum(sizes) == 2 * n
    assert max(sizes) <= points
    assert len(sizes) == -(-2 * n // points)
    assert max(sizes) - min(sizes) <= len(sizes)  # as even as one buffer allows


def test_a_function_is_looked_at_once():
    def f(x):
        return squares(x)

    first, second = (anygrad.numerical_gradient(f, np.ones(3), evaluator=Batch(), full_output=True) for _ in range(2))
    assert (first.ncalls, first.npoints) == (2, 7)
    assert (second.ncalls, second.npoints) == (1, 6)
    callable_without_hash = type("F", (), {"__call__": lambda self, x: squares(x), "__eq__": lambda *_: True})()
    assert np.allclose(anygrad.numerical_gradient(callable_without_hash, np.ones(3), evaluator=Batch()), 2)


@pytest.mark.parametrize("points", [8, 64])
def test_peak_memory(points):
    """The chunk, 2 MiB for a block of elements and their values, and 8 arrays like x."""
    x = np.linspace(-1, 1, 20_000)
    evaluator = Batch(max_bytes=points * x.nbytes)
    small = x[:10].copy()
    anygrad.numerical_gradient(lambda x: x[..., 0] * x[..., 1], small, evaluator=evaluator)

    def f(x):
        return x[:, 0] + x[:, -1]

    tracemalloc.start()
    anygrad.numerical_gradient(f, x, evaluator=evaluator)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak <= evaluator.max_bytes + 2 * 2**20 + 8 * x.nbytes


def test_less_than_a_point():
    x = np.ones(10)
    with pytest.raises(ValueError, match=r"max_bytes is 79, but one point takes 80 bytes: give at least that"):
        anygrad.numerical_gradient(squares, x, evaluator=Batch(max_bytes=79))
    with pytest.raises(ValueError, match="one point takes 160 bytes"):  # it is complex
        anygrad.numerical_gradient(squares, x, evaluator=Batch(max_bytes=80), scheme=anygrad.Complex())
    with pytest.raises(ValueError, match="one point takes 16 bytes"):
        anygrad.numerical_gradient_2d(squares, np.ones((5, 2)), evaluator=Batch(max_bytes=15))
    anygrad.numerical_gradient_2d(squares, np.ones((5, 2)), evaluator=Batch(max_bytes=16))


@pytest.mark.parametrize("evaluator", [Batch, anygrad.Vmap])
@pytest.mark.parametrize(
    ("wrong", "error", "match"),
    [
        (1e6, TypeError, r"must be an integer such as 2\*\*20, or None"),
        (0, ValueError, "max_bytes must be positive"),
    ],
)
def test_max_bytes_is_checked(evaluator, wrong, error, match):
    with pytest.raises(error, match=match):
        evaluator(max_bytes=wrong)
    assert evaluator(max_bytes=np.int64(64)).max_bytes == 64


# --- what f returns -------------------------------------------------------------------------------------------------


def test_an_f_for_one_point(lib):
    x = lib.asarray(np.ones(3), "float32")
    with pytest.raises(ValueError, match=r"f returned .*for 6 points, but Batch\(\) needs .*length 6.*axis=-1"):
        anygrad.numerical_gradient(lib.xp.sum, x, evaluator=Batch())
    with pytest.raises(ValueError, match=r"f returned an array of shape \(3,\) for 6 points"):
        anygrad.numerical_gradient(lambda x: lib.xp.sum(x**2, axis=0), x, evaluator=Batch())
    with pytest.raises(ValueError, match=r"f returned an array of shape \(2, 3\) for 6 points"):
        anygrad.jvp(lambda x: x[:2, :], x, x, evaluator=Batch(max_bytes=72), scheme=anygrad.Central(order=6))


@pytest.mark.parametrize(
    ("value", "said"),
    [(np.float64(1.0), "a number"), (None, r"None \(does it lack a return statement\?\)"), ("text", "'text'")],
    ids=["number of NumPy", "None", "text"],
)
def test_no_array_for_many_points(value, said):
    with pytest.raises((TypeError, ValueError), match=rf"f returned {said} for 4 points"):
        anygrad.numerical_gradient(lambda x: value, np.ones(2), evaluator=Batch())


@pytest.mark.libraries(lambda lib: not lib.lazy)  # which are not looked at
@pytest.mark.parametrize("n", [3, pytest.param(30, marks=FAST)])
def test_an_f_that_mixes_the_points(lib, n):
    xp, x = lib.xp, lib.asarray(np.linspace(1, 2, n), "float32")
    mixing = [
        lambda x: xp.sum(x / xp.mean(x), axis=-1) ** 2 + x[:, 0],
        lambda x: xp.sum(x, axis=-1) * xp.sum(x),
        lambda x: xp.sum(x**2, axis=-1) / x.shape[0],
        lambda x: xp.cumulative_sum(xp.sum(x, axis=-1)) * xp.sum(x),
    ]
    for f in mixing:
        with pytest.raises(ValueError, match=r"f mixes points: it returned another value for the first.*keepdims"):
            anygrad.numerical_gradient(f, x, evaluator=Batch())
        with pytest.raises(ValueError, match="mixes points"):
            anygrad.jacobian(lambda x: xp.stack([f(x), f(x)], axis=-1), x, evaluator=Batch())


def test_rounding_is_no_mixture():
    """A product of matrices is not computed alike for one row and for many."""
    rng = np.random.default_rng(0)
    for dtype in ("float32", "float64"):
        a, x = rng.normal(size=(200, 200)).astype(dtype), rng.normal(size=200).astype(dtype)
        value = anygrad.numerical_gradient(lambda x: ((x @ a) * x).sum(-1), x, evaluator=Batch(max_bytes=2**20))
        assert np.allclose(value, (a + a.T) @ x, rtol=0.05, atol=0.5)


@pytest.mark.libraries(lambda lib: not lib.lazy)
def test_views_of_the_points(lib):
    """The buffer is written anew for the next chunk."""
    x = lib.asarray(np.array([1.0, 2.0, 3.0]), "float32")
    for evaluator in (Batch(), Batch(max_bytes=24)):
        value = anygrad.jacobian(lambda x: x[:, 1:], x, evaluator=evaluator)
        assert np.allclose(lib.numpy(value), [[0, 1, 0], [0, 0, 1]], atol=1e-3)
        value = anygrad.numerical_gradient(lambda x: x[:, 1], x, evaluator=evaluator)
        assert np.allclose(lib.numpy(value), [0, 1, 0], atol=1e-3)


# --- an f that modifies its argument --------------------------------------------------------------------------------


@pytest.mark.libraries(lambda lib: lib.writable)
@pytest.mark.parametrize(("n", "when"), [(1, 1), (3, 1), (3, 2), (3, 4), (3, 5)])
def test_an_f_that_modifies_its_argument(lib, n, when):
    x = lib.asarray(np.arange(n) + 1.0, "float32")
    before, calls = lib.bits(x), [0]

    def f(x):
        calls[0] += 1
        value = lib.xp.sum(x**2, axis=-1)
        if calls[0] >= when:
            x *= 2
        return value

    with pytest.raises(ValueError, match="modifies its argument"):
        anygrad.numerical_gradient(f, x, evaluator=Batch(max_bytes=8 * n), scheme=anygrad.Central(order=6))
    assert lib.bits(x) == before


@pytest.mark.libraries(lambda lib: lib.name == "torch")
def test_points_require_their_gradient_if_x_does(lib):
    import torch

    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)

    def grad(x):
        [own] = torch.autograd.grad((x**3).sum(), x)
        return own

    value = anygrad.hessian(None, x, grad=grad, evaluator=Batch())
    assert np.allclose(lib.numpy(value), [[6, 0], [0, 12]], atol=1e-5)


@pytest.mark.libraries(lambda lib: lib.name == "dask")
def test_nothing_is_computed_before_it_is_asked_for(lib):
    import dask

    def computing(*args, **kwargs):
        raise AssertionError("something was computed")

    x = lib.asarray(np.array([1.0, 2.0]), "float32")
    with dask.config.set(scheduler=computing):
        value = anygrad.numerical_gradient(squares, x, evaluator=Batch(), bounds=(-9, 9))
    assert np.allclose(lib.numpy(value), [2, 4], atol=0.01)
