"""Adaptive derivatives of several values of f at once: each is what it would be alone."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

import anygrad

# What is lazy is slow, and no value is treated by what it is.
SEEN = pytest.mark.libraries(lambda lib: not lib.lazy)
AT = 0.75
# With the derivative at 0.75, and the flag that it is to have.
VALUES = {
    "smooth": (np.sin, np.cos(AT), None),
    "in float32": (lambda t: float(np.float32(1 / (1 + t * t))), -2 * AT / (1 + AT**2) ** 2, "noisy"),
    "with noise": (lambda t: np.exp(t) * (1 + 1e-7 * np.sin(1e13 * t)), None, None),
    "a kink": (lambda t: abs(t - AT), 0.0, "kink"),
    "straight": (lambda t: 3 * t, 3.0, None),
    "flat": (lambda t: (t - AT) ** 2, 0.0, None),
    "constant": (lambda t: 2.0, 0.0, None),
    "not a number": (lambda t: np.nan, np.nan, "nonfinite"),
    "short waves": (lambda t: np.sin(3e3 * t), 3e3 * np.cos(3e3 * AT), None),
}
FLAGS = {"kink", "nonfinite", "unconverged"}


def together(names):
    return lambda x: np.array([VALUES[name][0](x[0]) for name in names])


@pytest.mark.parametrize(("first", "second"), list(combinations(VALUES, 2)))
def test_pairs(first, second):
    names = [first, second, "smooth"]
    result = anygrad.jacobian(together(names), np.array([AT]), scheme=anygrad.Adaptive(), full_output=True)
    for i, name in enumerate(names):
        _, exact, flag = VALUES[name]
        flags = {key for key, values in result.flags.items() if values[i, 0]}
        assert flags & FLAGS == ({flag} & FLAGS), (name, flags)
        if exact is not None and flag != "nonfinite":
            assert abs(result.value[i, 0] - exact) <= result.error[i, 0], name
            assert result.error[i, 0] < (2 if flag == "kink" else 1e-4 + 1e-8 * abs(exact)), name


@pytest.mark.parametrize("count", [pytest.param(1, marks=SEEN), 2, 3, pytest.param(5, marks=SEEN)])
def test_as_many_values_as_there_are_elements_or_not(lib, count):
    """Of values in float32, which are noisy; one is at its largest."""
    x = lib.asarray(np.array([0.5, 0.0]), "float32")

    def f(x):
        values = 1 / (1 + x**2)
        return lib.xp.concat([values] * 3)[:count]

    result = anygrad.jvp(f, x, [1.0, 1.0], scheme=anygrad.Adaptive(), full_output=True)
    exact = np.resize([-0.64, 0.0], count)
    assert np.all(np.abs(lib.numpy(result.value) - exact) <= lib.numpy(result.error) + 1e-7)
    assert np.all(lib.numpy(result.error) < 1e-3)
    assert not np.any(lib.numpy(result.flags["kink"]))
