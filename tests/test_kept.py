"""Nothing grows with the number of derivatives: what is kept of one is used by the next."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import anygrad

SCHEMES = {"second order": anygrad.Central(), "adaptive": anygrad.Adaptive(), "fourth order": anygrad.Central(order=4)}


def derivatives(lib, scheme):
    """Differentiate in several ways."""
    x = lib.asarray(np.array([0.5, -1.25]), "float32")

    def f(x):
        return lib.xp.sum(x**3)

    anygrad.numerical_gradient(f, x, scheme=scheme)
    anygrad.numerical_gradient(lambda tree: f(tree["x"]), {"x": x}, scheme=scheme, full_output=True)
    anygrad.jacobian(lambda x: x**2, x, scheme=scheme)
    anygrad.hessian(f, x, scheme=scheme)
    anygrad.derivative(lambda x: x**3, x, scheme=scheme)
    anygrad.jvp(f, x, x, scheme=scheme)


@pytest.mark.libraries(lambda lib: not lib.slow or (lib.name == "jax" and "float64" in lib.real))
@pytest.mark.parametrize("name", SCHEMES)
def test_as_many_objects_after_any_number_of_derivatives(lib, name):
    counts = []
    for _ in range(5):
        derivatives(lib, SCHEMES[name])
        gc.collect()
        counts.append(len(gc.get_objects()))
    assert counts[-1] - counts[-2] < 10, counts
