"""What only dpnp has: memory on a device that says it is read-only, and powers that lose the imaginary part."""

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


@pytest.mark.libraries(lambda lib: lib.name == "dpnp")
def test_the_complex_step_is_exact_without_powers_and_an_error_with_them(lib):
    """Of (-1 + ih)**2, dpnp has an imaginary part that is all rounding."""
    x = lib.asarray(np.array([-1.0, 0.5]), "float64")
    gradient = anygrad.numerical_gradient(lambda x: (x * x * lib.xp.exp(x)).sum(), x, scheme=anygrad.Complex())
    assert np.allclose(lib.numpy(gradient), [-np.exp(-1), 1.25 * np.exp(0.5)], rtol=1e-15, atol=0)
    with pytest.raises(TypeError, match="imaginary part"):
        anygrad.numerical_gradient(lambda x: (x**2).sum(), x, scheme=anygrad.Complex())
