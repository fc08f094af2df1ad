"""What only array-api-strict has: devices that lack a dtype."""

from __future__ import annotations

import numpy as np
import pytest

import anygrad


@pytest.mark.libraries(lambda lib: lib.name == "strict")
@pytest.mark.parametrize("name", ["no_float64", "no_x64"])
def test_a_device_without_float64(lib, name):
    xp = lib.xp
    x = xp.asarray([1.0, 2.0], dtype=xp.float32, device=xp.Device(name))
    result = anygrad.numerical_gradient(lambda x: xp.sum(x**2), x, full_output=True)
    assert str(result.value.device) == str(x.device)
    assert result.value.dtype == xp.float32
    assert np.allclose([float(result.value[i]) for i in range(2)], [2, 4], rtol=1e-3)
