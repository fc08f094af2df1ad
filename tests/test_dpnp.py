"""What only dpnp has: memory on a device that says it is read-only."""

from __future__ import annotations

import numpy as np
import pytest

import anygrad


@pytest.mark.libraries(lambda lib: lib.name == "dpnp")
def test_read_only_memory(lib):
    x = lib.asarray(np.array([1.0, 2.0]), "float64")
    x.flags.writable = False
    assert np.allclose(lib.numpy(anygrad.numerical_gradient(lambda x: (x**2).sum(), x)), [2, 4])
    with pytest.warns(anygrad.ConstantFunctionWarning):
        anygrad.numerical_gradient(lambda _: (x**2).sum(), x)
