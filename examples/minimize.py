"""Fit a simulator to measurements with scipy.optimize.minimize, which takes its gradient from anygrad.

Run it with ``python examples/minimize.py``; it takes a second. The simulator is a black box that writes its results as
a table of six digits, as many do. By default SciPy differentiates with a step of about 1e-8, where the table does not
change at all. anygrad is told how noisy the results are, and chooses a step that suits the noise.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import OptimizeResult, minimize

import anygrad

TRUE = np.array([1.7, 0.2, 0.8])
START = np.array([1.4, 0.5, 0.5])
LOWER, UPPER = 0.05, 3.0
TIMES = np.linspace(0.0, 10.0, 60)
DIGITS = 6


def simulate(frequency: float, damping: float, amplitude: float) -> str:
    """Return the table that a simulator of an oscillator would write."""
    rows = (f"{amplitude * math.exp(-damping * t) * math.cos(frequency * t):.{DIGITS}g}" for t in TIMES)
    return "\n".join(rows)


class Misfit:
    """How far a simulation is from what was measured; it counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: np.ndarray, measured: np.ndarray, error: float) -> float:
        self.calls += 1
        table = np.array(simulate(*x).split(), dtype=float)
        return float(np.mean(((table - measured) / error) ** 2))


def fit(measured: np.ndarray, error: float, *, scipys: bool) -> tuple[OptimizeResult, int]:
    """Return the fit, by SciPy's own gradient or anygrad's, and how often the simulator has run."""
    misfit = Misfit()
    # The bounds are given to both, and nothing is simulated outside of them.
    gradient = anygrad.grad(misfit, scheme=anygrad.Central(noise=10.0**-DIGITS), bounds=(LOWER, UPPER))
    result = minimize(
        misfit,
        START,
        args=(measured, error),
        jac=None if scipys else gradient,
        bounds=[(LOWER, UPPER)] * len(START),
    )
    return result, misfit.calls


def main() -> None:
    error = 0.05
    exact = np.array(simulate(*TRUE).split(), dtype=float)
    measured = exact + np.random.default_rng(0).normal(scale=error, size=exact.shape)

    print(f"{'gradient':<10}{'simulations':>12}{'misfit':>10}   frequency, damping, amplitude (true: {TRUE})")
    for name, scipys in (("SciPy's", True), ("anygrad's", False)):
        result, calls = fit(measured, error, scipys=scipys)
        print(f"{name:<10}{calls:>12}{result.fun:>10.3f}   {result.x.round(3)}   {result.message}")


if __name__ == "__main__":
    main()
