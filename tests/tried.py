"""The operators under test, and the schemes: how exact each is, and how often it calls f."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial
from typing import Any

import numpy as np
import optree
from libraries import Library

import anygrad


@dataclass(frozen=True)
class Tried:
    """A scheme, and what is known of it beforehand.

    Attributes
    ----------
    order
        The power of the step in its truncation error.
    first, second
        What first and second derivatives cost: calls for each line, and calls for all lines together. None, if that
        depends on f.
    looks
        How many calls more a first derivative takes where values can be looked at: not so with lazy arrays.
    own_step
        Whether `Result.step` is the step that f was sampled at. If not, it is to be as good as `Central()` is.
    """

    scheme: Any
    order: int
    first: tuple[int, int] | None = None
    second: tuple[int, int] | None = None
    looks: int = 0
    own_step: bool = True

    def __repr__(self) -> str:
        return repr(self.scheme)

    @property
    def samples_complex(self) -> bool:
        return bool(self.scheme.samples_complex)

    def calls(self, lib: Library, lines: int, n: int = 1) -> int | None:
        """Return how often f of a library's arrays is called for the n-th derivatives along some lines."""
        cost = self.first if n == 1 else self.second
        looks = self.looks if n == 1 and not lib.lazy else 0
        return None if cost is None else cost[0] * lines + cost[1] + looks

    def error(
        self, magnitude: float, operations: int, eps: float, step: Any, n: int = 1, *, spread: float = 1
    ) -> float:
        """Bound the error of n-th derivatives of an f that is below ``magnitude`` within a distance of 1 of x.

        By Cauchy's estimate, its k-th derivative by a complex variable is at most k! times that. The truncation error
        is at most the (p+n)-th one times h^p, as its constant is below 1; the weights of a stencil of p + n points sum
        up to at most 2^(p+n), and each value of f carries ``operations`` roundings. A complex step divides by h once
        less, as that subtracts nothing. ``spread`` says by how much points are further away than a step.
        """
        steps = np.asarray(step, dtype=float) if self.own_step else np.asarray(eps ** (1 / (2 + n)))
        longest, shortest = spread * np.max(steps, initial=0.0), np.min(steps, initial=1.0)
        p = self.order
        truncation = factorial(p + n) * magnitude * longest**p
        rounding = operations * eps * magnitude * 2 ** (p + n) / shortest ** (n - self.samples_complex)
        return float(truncation + rounding)


TRIED = [
    Tried(anygrad.Adaptive(), 2, own_step=False),
    Tried(anygrad.Central(), 2, first=(2, 0), second=(2, 1)),
    Tried(anygrad.Central(order=4), 4, first=(4, 0), second=(4, 1)),
    Tried(anygrad.Forward(), 1, first=(1, 1), second=(2, 1)),
    Tried(anygrad.Backward(order=2), 2, first=(2, 1), second=(3, 1)),
    Tried(anygrad.Forward(order=3), 3, first=(3, 1), second=(4, 1)),
    # 4 calls more see whether f keeps the imaginary part; second derivatives do that for nothing.
    Tried(anygrad.Complex(), 2, first=(1, 0), second=(2, 0), looks=3),
]
REAL = [tried for tried in TRIED if not tried.samples_complex]


def _ones(x: Any) -> Any:
    return optree.tree_map(lambda leaf: np.ones(leaf.shape), x)


# Operators of f and x alone, for an f that returns one number and for one that returns as many as x has. A direction
# is one of ones.
OF_NUMBERS = {
    "numerical_gradient": anygrad.numerical_gradient,
    "hessian": anygrad.hessian,
    "laplacian": anygrad.laplacian,
    "hvp": lambda f, x, **options: anygrad.hvp(f, x, _ones(x), **options),
}
OF_ARRAYS = {
    "jacobian": anygrad.jacobian,
    "jvp": lambda f, x, **options: anygrad.jvp(f, x, _ones(x), **options),
    "derivative": anygrad.derivative,
}
