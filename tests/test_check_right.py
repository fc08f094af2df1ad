"""200 right gradients, on every library: all of them agree."""

from __future__ import annotations

import numpy as np
import pytest
from check_problems import PROBLEMS

from anygrad import check_gradient

# Scales at which no dtype overflows; NumPy, on which checks are fast, sees all of them, and twice.
SCALES = {"float16": (0.25, 1.0, 4.0), "bfloat16": (1.0,)}
MORE = (1e-6, 1e-3, 1.0, 30.0, 1e5)


def cases(lib, dtype):
    if lib.name != "numpy":
        return [(scale, 0) for scale in SCALES.get(dtype, (1e-3, 1e5))]
    return [(scale, seed) for seed in range(3) for scale in SCALES.get(dtype, MORE)]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of overflow, where the first steps are too long
@pytest.mark.libraries(lambda lib: not lib.lazy)  # where each check takes seconds
@pytest.mark.parametrize("name", PROBLEMS)
def test_right_gradients_agree(lib, dtype, name):
    # Of three digits, too few are left of some derivatives to tell: these are said to be inconclusive, and never wrong.
    verdicts = {"agrees", "inconclusive"} if dtype in {"float16", "bfloat16"} else {"agrees"}
    for scale, seed in cases(lib, dtype):
        problem = PROBLEMS[name](lib, dtype, scale, np.random.default_rng(seed))
        for directions in (None, 2):
            report = check_gradient(problem.f, problem.grad, problem.x, directions=directions, seed=seed)
            assert report.verdict in verdicts, f"{name} x {scale}, seed {seed}, directions {directions}:\n{report}"
            assert report.hints == ()
