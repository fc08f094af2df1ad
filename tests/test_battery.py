"""The adaptive scheme against exact values: its values, and whether its error estimates can be believed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby

import numpy as np
import pytest
from battery import CASES, HIGHER, UNSEEN, Case
from lines import Sampled

import anygrad

# What is asked of the scheme, by battery. Errors are in units of what is within reach (an eighth-order difference
# whose step is the best of all; see `battery.reach`): the median, that which 99 % are below, and the worst.
COVERAGE = {"cases": 0.99, "unseen": 0.98, "higher": 0.97}
ERRORS = {"cases": (1, 100, 1e5), "unseen": (1, 1e5, 1e6), "higher": (30, 1e8, 1e10)}
# The share that has flags: where terms cancel, f is noisy.
FLAGGED = {"cases": 0.01, "unseen": 0.02, "higher": 0.0}
# The median of first derivatives other than 0, relative to the derivative, by dtype.
MEDIAN_RELATIVE = {"float64": 1e-13, "float32": 5e-6}
# An estimate that is always right because it is always huge is of no use.
MEDIAN_RATIO = 100

BATTERIES = {"cases": CASES, "unseen": UNSEEN, "higher": HIGHER}


@dataclass(frozen=True)
class Outcome:
    """What a scheme said of one case."""

    case: Case
    value: float
    estimate: float
    points: float
    flags: frozenset[str]

    @property
    def error(self) -> float:
        """The error; of a value that is none, it is infinite."""
        return abs(self.value - self.case.exact) if math.isfinite(self.value) else math.inf

    @property
    def covered(self) -> bool:
        return math.isfinite(self.value) and self.error <= self.estimate

    @property
    def spacing(self) -> float:
        """The distance from the exact value to the next number of the dtype."""
        return float(np.spacing(np.abs(np.asarray(self.case.exact, dtype=self.case.dtype))))

    @property
    def ratio(self) -> float:
        """The estimate in units of the error, which is taken for one spacing of the result where it is 0."""
        return self.estimate / (self.error or self.spacing) if math.isfinite(self.value) else 0.0

    @property
    def excess(self) -> float:
        """The error in units of what is within reach; a spacing of the result always is."""
        return self.error / max(self.case.reach, self.spacing)

    def __str__(self) -> str:
        return (
            f"{self.case!r}: {self.value:.17g} for {self.case.exact:.17g}, "
            f"error {self.error:.2g}, estimate {self.estimate:.2g}, within reach {self.case.reach:.2g}"
        )


def measure(scheme: anygrad.schemes.Scheme, cases: Sequence[Case]) -> list[Outcome]:
    """Run a scheme on all cases, those of one function side by side."""
    return [
        outcome
        for _, group in groupby(cases, key=lambda case: (case.name, case.dtype, case.n))
        for outcome in _together(scheme, list(group))
    ]


def _together(scheme: anygrad.schemes.Scheme, cases: list[Case]) -> Iterator[Outcome]:
    first = cases[0]
    sampled = Sampled(lambda x: first.f(np, x), [case.at for case in cases], first.dtype)
    lines = sampled.lines()
    with np.errstate(all="ignore"):  # as the operators do
        slopes = scheme.differentiate(lines, scheme.steps(lines, first.n), first.n)
    points = sampled.points / len(cases)
    for i, case in enumerate(cases):
        flags = frozenset(name for name, flag in slopes.flags.items() if flag[i, 0])
        yield Outcome(case, float(slopes.value[i, 0]), float(slopes.error[i, 0]), points, flags)


def worst(outcomes: Sequence[Outcome], limit: int = 20) -> str:
    """List the outcomes that are the farthest off, for a failing test's message."""
    ordered = sorted(outcomes, key=lambda outcome: outcome.excess, reverse=True)
    return "\n".join(["", *map(str, ordered[:limit])])


@cache
def outcomes_of(name: str) -> list[Outcome]:
    return measure(anygrad.Adaptive(), BATTERIES[name])


@pytest.fixture(params=BATTERIES)
def measured(request):
    return request.param, outcomes_of(request.param)


def test_the_error_estimate_covers_the_error(measured):
    name, outcomes = measured
    missed = [outcome for outcome in outcomes if not outcome.covered]
    coverage = 1 - len(missed) / len(outcomes)
    assert coverage >= COVERAGE[name], f"{len(missed)} of {len(outcomes)} are not covered:{worst(missed, 50)}"


def test_the_error_estimate_is_not_widened_blindly(measured):
    _, outcomes = measured
    ratio = np.median([outcome.ratio for outcome in outcomes])
    widest = sorted(outcomes, key=lambda outcome: outcome.ratio, reverse=True)
    assert ratio < MEDIAN_RATIO, "\n".join(map(str, ["", *widest[:20]]))


def test_the_error_estimate_is_finite(measured):
    _, outcomes = measured
    assert not [str(outcome) for outcome in outcomes if not math.isfinite(outcome.estimate)]


def test_the_error_is_what_is_within_reach(measured):
    name, outcomes = measured
    excess = sorted(outcome.excess for outcome in outcomes)
    reached = np.median(excess), excess[int(0.99 * len(excess))], excess[-1]
    assert all(np.array(reached) <= ERRORS[name]), f"{reached}{worst(outcomes)}"


def test_what_is_smooth_is_seldom_flagged(measured):
    name, outcomes = measured
    flagged = [outcome for outcome in outcomes if outcome.flags]
    assert not any("kink" in outcome.flags for outcome in flagged)
    assert len(flagged) <= FLAGGED[name] * len(outcomes), "\n".join(f"{sorted(o.flags)} {o}" for o in flagged)


def test_a_first_derivative_takes_fourteen_points_in_the_median():
    assert np.median([outcome.points for outcome in outcomes_of("cases")]) <= 14


@pytest.mark.parametrize("dtype", MEDIAN_RELATIVE)
def test_the_median_relative_error(dtype):
    outcomes = [outcome for outcome in outcomes_of("cases") if outcome.case.dtype == dtype and outcome.case.exact]
    relative = [outcome.error / abs(outcome.case.exact) for outcome in outcomes]
    assert np.median(relative) <= MEDIAN_RELATIVE[dtype], worst(outcomes)


# --- the battery itself -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "n", "analytic"),
    [
        ("x**3", 4, lambda x: 0 * x),
        ("1/x", 5, lambda x: -120 / x**6),
        ("1e8 + sin(x)", 1, np.cos),
        ("tanh(x)", 1, lambda x: 1 / np.cosh(x) ** 2),
    ],
)
def test_exact_values_are_those_of_analysis(name, n, analytic):
    cases = [case for case in CASES + HIGHER if case.name == name and case.n == n]
    assert cases
    for case in cases:
        assert case.exact == pytest.approx(analytic(np.float64(case.at)), rel=2e-14, abs=0.0), case
