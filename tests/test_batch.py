"""numerical_gradient_2d: a batch, of which f is given one row at a time."""

from __future__ import annotations

import numpy as np
import pytest
import reference

import anygrad


def f(x):
    return x[0] ** 2 * x[1] + 3 * x[-1]


def test_the_reference_to_the_last_bit():
    rng = np.random.default_rng(0)
    for shape in ((20, 3), (1, 4), (1500, 3)):  # the last one is of more than one block, which ends within a row
        X = rng.normal(size=shape)
        assert np.array_equal(anygrad.numerical_gradient_2d(f, X), reference.numerical_gradient_2d(f, X))
    row = X[0]
    assert np.array_equal(anygrad.numerical_gradient_2d(f, row), reference.numerical_gradient_2d(f, row))


def test_every_library(lib):
    X = lib.asarray(np.array([[3.0, 4.0], [0.0, 2.0], [1.0, -1.0]]), "float32")
    before = lib.bits(X)
    seen = set()

    def f(x):
        seen.add(tuple(x.shape))
        return x[0] ** 2 + 3 * x[1]

    for scheme in (None, anygrad.Central(order=4), anygrad.Forward(), anygrad.Backward(order=2)):
        gradient = anygrad.numerical_gradient_2d(f, X, scheme=scheme)
        assert (type(gradient), gradient.shape, gradient.dtype) == (type(X), X.shape, X.dtype)
        assert np.allclose(lib.numpy(gradient), [[6, 3], [0, 3], [2, 3]], atol=0.02)
    assert seen == {(2,)}
    assert lib.bits(X) == before


@pytest.mark.parametrize(
    ("scheme", "calls"),
    [(None, 30), (anygrad.Forward(), 20), (anygrad.Backward(order=2), 35), (anygrad.Central(4), 60)],
)
def test_the_calls_are_counted(scheme, calls):
    seen, counted = [], []

    def f(x):
        counted.append(1)
        return x.sum()

    X = np.arange(15.0).reshape(5, 3)
    result = anygrad.numerical_gradient_2d(
        f, X, scheme=scheme, progress=lambda *counts: seen.append(counts), full_output=True
    )
    assert len(counted) == result.ncalls == result.npoints == calls
    assert seen[-1] == (calls, calls)
    assert result.step.shape == X.shape


def test_complex_rows(lib):
    values = np.array([[1 + 2j, 3 - 1j], [0.5j, 2 + 0j]])
    X = lib.asarray(values, "complex64")
    holomorphic = anygrad.numerical_gradient_2d(lambda z: z[0] * z[1], X, scheme=anygrad.Forward())
    real = anygrad.numerical_gradient_2d(lambda z: lib.xp.sum(lib.xp.abs(z) ** 2), X)
    assert np.allclose(lib.numpy(holomorphic), values[:, ::-1], atol=0.01)
    assert np.allclose(lib.numpy(real), 2 * values, atol=0.05)


@pytest.mark.libraries(lambda lib: lib.writable)
def test_a_closure_over_the_batch(lib):
    X = lib.asarray(np.array([[1.0, 2.0], [3.0, 4.0]]), "float32")
    gradient = anygrad.numerical_gradient_2d(lambda _: lib.xp.sum(X**2), X)
    assert np.allclose(lib.numpy(gradient), [[2, 4], [6, 8]], rtol=1e-2)
