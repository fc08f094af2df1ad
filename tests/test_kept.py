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


@pytest.mark.libraries(lambda lib: lib.lazy)
def test_the_tableau_of_what_cannot_be_looked_at_is_solved_once(lib):
    from anygrad.schemes.adaptive.lazy import tableau

    def differentiate():
        x = lib.asarray(np.array([0.5, -1.25]), "float32")
        anygrad.numerical_gradient(lambda x: lib.xp.sum(x**3), x, scheme=anygrad.Adaptive())
        anygrad.derivative(lambda x: x**3, x, n=2)

    differentiate()
    kept = tableau.cache_info().currsize
    differentiate()
    assert tableau.cache_info().currsize == kept
