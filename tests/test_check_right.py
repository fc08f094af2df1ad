"""Right gradients, on every library and at every scale: all of them agree."""

from __future__ import annotations

import numpy as np
import pytest
from check_problems import PROBLEMS

from anygrad import check_gradient

# Scales at which no dtype overflows; NumPy, on which checks are fast, sees all of them.
SCALES = {"float16": (0.25, 1.0, 4.0), "bfloat16": (1.0,)}
MORE = (1e-6, 1e-3, 1.0, 30.0, 1e5)
# Of a matrix product and of none: others are not judged otherwise on libraries on which they take seconds.
TYPICAL = {"network", "chain"}
FAST = pytest.mark.libraries(lambda lib: not lib.slow)


def ways(lib, name):
    """Return along how many directions to check: element by element, if that is not a minute."""
    return (None, 2) if not lib.slow or name == "chain" else (2,)


def cases(lib, dtype):
    if lib.slow:
        return [(1.0, 0)]
    if lib.name != "numpy":
        return [(scale, 0) for scale in SCALES.get(dtype, (1e-3, 1e5))]
    return [(scale, 0) for scale in SCALES.get(dtype, MORE)]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of overflow, where the first steps are too long
@pytest.mark.libraries(lambda lib: not lib.lazy)  # where each check takes seconds
@pytest.mark.parametrize("name", [name if name in TYPICAL else pytest.param(name, marks=FAST) for name in PROBLEMS])
def test_right_gradients_agree(lib, dtype, name):
    for scale, seed in cases(lib, dtype):
        size = {"n": 5} if lib.slow and name == "chain" else {}
        problem = PROBLEMS[name](lib, dtype, scale, np.random.default_rng(seed), **size)
        for directions in ways(lib, name):
            report = check_gradient(problem.f, problem.grad, problem.x, directions=directions, seed=seed)
            # Of what is claimed in two digits, too few may be left in the sum along a direction.
            few = dtype == "bfloat16" and directions is not None
            verdicts = {"agrees", "inconclusive"} if few else {"agrees"}
            assert report.verdict in verdicts, f"{name} x {scale}, seed {seed}, directions {directions}:\n{report}"
            assert report.hints == ()


def relu_network(rng, dtype):
    """Return a layer of many kinks, some of them nearer to x than float32 can step."""
    samples, width, outputs = int(rng.integers(1, 64)), *rng.integers(2, 8, 2).tolist()
    inputs, targets = (rng.normal(size=(samples, n)).astype(dtype) for n in (width, outputs))
    x = {"W": rng.normal(size=(width, outputs)).astype(dtype), "b": rng.normal(size=outputs).astype(dtype)}

    def f(p):
        return ((np.maximum(inputs @ p["W"] + p["b"], 0) - targets) ** 2).mean()

    def grad(p):
        before = inputs @ p["W"] + p["b"]
        d = 2 * (np.maximum(before, 0) - targets) * (before > 0) / before.size
        return {"W": inputs.T @ d, "b": d.sum(axis=0)}

    return f, grad, x


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_right_gradients_of_networks_full_of_kinks_agree(dtype):
    """In float32 some kinks are nearer than any step at which rounding leaves a derivative; in float64 they are not."""
    verdicts = [check_gradient(*relu_network(np.random.default_rng(seed), dtype)).verdict for seed in range(10)]
    assert set(verdicts) == {"agrees"}, verdicts
