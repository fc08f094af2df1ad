"""Gradients to be checked, right ones and wrong ones: for each array library of the same numbers, which NumPy draws."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

# The problems and the mistakes are those of the tests, which hold check_gradient to them.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from check_problems import PROBLEMS, Problem
from edits import in_one
from libraries import LIBRARIES, Library
from mistakes import MISTAKES, Mistake

Tree = dict[str, np.ndarray]

# What x is multiplied by; f divides by it again.
SCALES = {
    "float64": (1e-6, 1e-3, 1.0, 30.0, 1e5),
    "float32": (1e-6, 1e-3, 1.0, 30.0, 1e5),
    "float16": (0.25, 1.0, 4.0),
}
SIZES = {"total": 1.0, "1e-3": 1e-3, "1e-5": 1e-5, "1e-7": 1e-7}
PLANTED_IN = ("network", "regression", "simulation")
NUMPY = LIBRARIES["numpy"][0]()


@dataclass(frozen=True, eq=False)
class Case:
    """A problem, and what is claimed to be its gradient.

    Attributes
    ----------
    name, dtype, scale, seed
        What makes the problem.
    planted
        What is claimed, if it is wrong; None for the problem's own gradient.
    """

    name: str
    dtype: str
    scale: float = 1.0
    seed: int = 0
    planted: Tree | None = None

    def given_to(self, lib: Library) -> Problem:
        """Return the case in arrays of a library."""
        problem: Problem = PROBLEMS[self.name](lib, self.dtype, self.scale, np.random.default_rng(self.seed))
        if self.planted is None:
            return problem
        tree = {key: lib.asarray(array, self.dtype) for key, array in self.planted.items()}
        return replace(problem, grad=lambda _: tree)

    def right(self) -> Tree:
        """Return the gradient as it should be."""
        problem = replace(self, planted=None).given_to(NUMPY)
        return {key: np.asarray(array) for key, array in problem.grad(problem.x).items()}

    def with_mistake(self, mistake: Mistake) -> Case | None:
        """Return the case with a mistake, if there is an array for it and the dtype can hold it."""
        planted = mistake(self.right(), np.random.default_rng(1), self.given_to(NUMPY).x)
        if planted is None or not any(map(np.any, planted.wrong.values())):
            return None
        return replace(self, planted=planted.tree)


def right_cases(dtype: str, seeds: int) -> dict[float, list[Case]]:
    """Return right gradients by the scale of x."""
    return {
        scale: [Case(name, dtype, scale, seed) for seed in range(seeds) for name in PROBLEMS] for scale in SCALES[dtype]
    }


def wrong_cases(dtype: str, scale: float, most: int | None) -> dict[str, list[Case]]:
    """Return wrong gradients by the size of the mistake, to the nearest; at most so many of a size, of all kinds."""
    found: dict[str, list[Case]] = {size: [] for size in SIZES}
    for mistake in MISTAKES:
        for name in PLANTED_IN:
            case = Case(name, dtype, scale).with_mistake(mistake)
            if case is not None:
                found[_nearest(_size(case))].append(case)
    return {size: _some(cases, most) for size, cases in found.items() if tells(dtype, SIZES[size])}


def tells(dtype: str, size: float) -> bool:
    """Return whether a dtype tells a mistake of a size from the few roundings that are in every gradient."""
    return size > 10 * np.finfo(dtype).eps


def with_one_element(name: str, dtype: str, rank: float, size: float) -> Case | None:
    """Return a problem of which one element is wrong by a part of it: in its largest array, the one of this rank.

    A rank of 1 is that of the element of largest magnitude, and one of 0.5 the median's.
    """
    return Case(name, dtype).with_mistake(Mistake("other", "one element", in_one(_ranked(rank, size))))


def _ranked(rank: float, size: float) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
    def edit(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        edited = np.array(array)
        order = np.argsort(np.abs(array), axis=None)
        # In long double: 1 + size is 1 in the others long before it is for them.
        edited.flat[order[int(rank * (array.size - 1))]] *= 1 + np.longdouble(size)
        return edited

    return edit


def _size(case: Case) -> float:
    """Return how large a mistake is, in relation to the largest element of its array; 1 is as good as more."""
    sizes = [0.0]
    for key, right in case.right().items():
        with np.errstate(all="ignore"):
            off = np.abs(case.planted[key].astype(float) - right) / float(np.max(np.abs(right)))
        sizes.append(float(np.max(np.nan_to_num(off, nan=1.0))))
    return min(max(sizes), 1.0)


def _nearest(size: float) -> str:
    return min(SIZES, key=lambda name: abs(math.log(size / SIZES[name])))


def _some(cases: list[Case], most: int | None) -> list[Case]:
    if most is None or len(cases) <= most:
        return cases
    return [cases[round(i)] for i in np.linspace(0, len(cases) - 1, most)]
