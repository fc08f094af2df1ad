"""Where f has no derivative a check says so, whatever noise it has: that excuses no kink that is more than it makes."""

from __future__ import annotations

import numpy as np
import pytest
from rough import noise

from anygrad import check_gradient

# Where what is claimed is 0, and lies between the slopes of both sides.
WITHOUT = {
    "std of equal numbers": (np.std, np.full(5, 2.0)),
    "sqrt": (lambda x: np.sqrt(np.abs(x)).sum(), np.zeros(1)),
    "arcsin at 1": (lambda x: np.arcsin(1 - np.abs(x)).sum(), np.zeros(1)),
    "abs": (lambda x: np.abs(x - 1).sum(), np.ones(2)),
    "sign": (lambda x: np.sign(x).sum(), np.zeros(2)),
    **{f"power {p}": (lambda x, p=p: (np.abs(x) ** p).sum(), np.zeros(1)) for p in (0.3, 0.5, 0.9, 0.99)},
}


@pytest.mark.parametrize("name", WITHOUT)
def test_what_is_claimed_in_the_middle_of_a_symmetric_kink_does_not_agree(name):
    f, x = WITHOUT[name]
    report = check_gradient(f, np.zeros_like, x)
    assert report.verdict == "kink"
    assert report.counts == {"kink": x.size}
    assert "is rounding" not in str(report)


@pytest.mark.parametrize("size", [1e-15, 1e-13, 1e-11])
@pytest.mark.parametrize("name", ["std of equal numbers", "sqrt", "power 0.9", "sign"])
def test_nor_does_it_if_f_has_noise(name, size):
    f, x = WITHOUT[name]
    verdicts = {
        check_gradient(lambda x, s=s: float(f(x)) + size * noise(x, s), np.zeros_like, x).verdict for s in range(3)
    }
    assert verdicts == {"kink"}


@pytest.mark.parametrize("size", [1e-13, 1e-11, 1e-9])
@pytest.mark.parametrize("seed", range(2))
def test_a_kink_beside_noise_is_one_whatever_is_claimed(size, seed):
    def f(x):
        return np.maximum(x - 1, 0).sum() + (x**2).sum() + size * noise(x, seed)

    for between in (0.1, 0.5, 0.9):
        report = check_gradient(f, lambda x, between=between: 2 * x + between, np.ones(2))
        assert report.verdict == "kink", report
    assert not check_gradient(f, lambda x: 2 * x + 1.5, np.ones(2))


@pytest.mark.parametrize("size", [1e-13, 1e-9, 1e-6])
def test_noise_alone_makes_no_kink(size):
    """At the foot of a parabola, where it is all that there is to f, and beside it."""
    for x in (np.zeros(4), np.ones(4)):
        for seed in range(3):
            report = check_gradient(lambda x, seed=seed: (x**2).sum() + size * noise(x, seed), lambda x: 2 * x, x)
            assert "kink" not in report.counts
            assert report.verdict in {"agrees", "inconclusive", "noisy"}
