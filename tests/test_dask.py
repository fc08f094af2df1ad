"""What only Dask has: nothing is computed before it is asked for."""

from __future__ import annotations

import numpy as np
import pytest

import anygrad

pytestmark = pytest.mark.libraries(lambda lib: lib.lazy)


@pytest.fixture
def computed(lib):
    """Count the tasks that are run."""
    import dask
    from dask.callbacks import Callback

    ran = []
    with Callback(pretask=lambda key, *_: ran.append(key)), dask.config.set(scheduler="synchronous"):
        yield ran


@pytest.mark.parametrize("scheme", [None, anygrad.Central(order=4), anygrad.Forward(), anygrad.Central(step=0.5)])
def test_nothing_is_computed_before_the_user_asks(lib, computed, scheme):
    x = lib.asarray(np.array([[1.0, 2.0], [3.0, 4.0]]), "float64")
    gradient = anygrad.numerical_gradient(lambda x: lib.xp.sum(x**2), x, scheme=scheme)
    assert not computed
    assert np.allclose(gradient.compute(), 2 * x.compute(), atol=1e-6 if scheme != anygrad.Forward() else 1e-4)
    assert computed


def test_a_function_that_computes(lib):
    x = lib.asarray(np.array([1.0, 2.0]), "float64")
    gradient = anygrad.numerical_gradient(lambda x: float(lib.xp.sum(x**2).compute()), x)
    assert np.allclose(gradient.compute(), [2, 4])


def test_a_function_that_assigns_to_its_argument(lib):
    x = lib.asarray(np.array([1.0, 2.0, 3.0]), "float64")

    def f(x):
        x[0] = x[0] * 10
        return lib.xp.sum(x)

    gradient = anygrad.numerical_gradient(f, x, scheme=anygrad.Forward())
    assert np.allclose(gradient.compute(), [10, 1, 1], atol=1e-6)
    assert np.array_equal(x.compute(), [1, 2, 3])


def test_unknown_lengths(lib):
    x = lib.asarray(np.array([1.0, -2.0]), "float64")
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        anygrad.numerical_gradient(lambda x: 0.0, x[x > 0])
