"""Tools that check gradients, each as its documentation says, and each as a careful user would set it."""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from _check_cases import LIBRARIES, NUMPY, Case, Library, Problem, Tree

import anygrad

AGREES, WRONG, UNDECIDED, ERROR = "agrees", "wrong", "undecided", "failed"
# SciPy returns a norm, and its documentation does not say how large it may be: this is what its own tests take for 0.
SCIPY_ZERO = 1.5e-7


@dataclass(frozen=True)
class Care:
    """What is set with care: the step, by the dtype and the scale of x, and the tolerance, by the size of the gradient.

    Attributes
    ----------
    tolerance
        A relative one.
    scale, eps
        Those of x: how large it is, and the spacing at 1 of its dtype.
    largest, norm
        Those of the right gradient.
    """

    tolerance: float
    scale: float
    eps: float
    largest: float
    norm: float

    @property
    def central(self) -> float:
        """The textbook's step for central differences."""
        return math.cbrt(self.eps) * self.scale

    def forward(self, dtype: np.dtype[Any]) -> float:
        """Return the textbook's step for forward differences of values of a dtype."""
        return math.sqrt(np.finfo(dtype).eps) * self.scale


Check = Callable[[Problem, Care | None], str]


@dataclass(frozen=True)
class Checker:
    """A tool, and how it is used.

    Attributes
    ----------
    name
        What it is called in tables.
    lib
        What arrays it takes.
    check
        What it says of a problem; with the settings of a careful user, if there are any.
    tolerance
        The relative tolerance of a careful user; None for the tool as it comes.
    takes_tolerance
        Whether a careful user sets one.
    """

    name: str
    lib: Library
    check: Check
    tolerance: float | None = None
    takes_tolerance: bool = True

    def verdict(self, case: Case) -> str:
        """Return what the tool says of a case."""
        return self.said(case, self.tolerance)

    def said(self, case: Case, tolerance: float | None) -> str:
        """Return what the tool says of a case with a tolerance, or that it failed."""
        care = None if tolerance is None else _care(case, tolerance)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of overflow, and PyTorch's of dtypes with few digits
            try:
                return self.check(case.given_to(self.lib), care)
            except (ValueError, ArithmeticError, RuntimeError):
                return ERROR


def _care(case: Case, tolerance: float) -> Care:
    flat = np.concatenate([array.reshape(-1) for array in case.right().values()]).astype(float)
    eps = float(np.finfo(case.dtype).eps)
    return Care(tolerance, case.scale, eps, float(np.max(np.abs(flat))), float(np.linalg.norm(flat)))


def by_anygrad(problem: Problem, care: Care | None = None, *, directions: int | None = None) -> str:
    """Return what `anygrad.check_gradient` says."""
    rtol = None if care is None else care.tolerance
    report = anygrad.check_gradient(problem.f, problem.grad, problem.x, directions=directions, rtol=rtol)
    return report.verdict if report.verdict in {AGREES, WRONG} else UNDECIDED


def by_anygrad_in_float64(problem: Problem, care: Care | None = None) -> str:
    """Return what `anygrad.check_gradient` says if x is float64, and only what is claimed is not."""
    dtypes = {key: array.dtype for key, array in problem.x.items()}

    def grad(tree: Tree) -> Tree:
        return problem.grad({key: array.astype(dtypes[key]) for key, array in tree.items()})

    wide = {key: array.astype(float) for key, array in problem.x.items()}
    return by_anygrad(replace(problem, grad=grad, x=wide), care)


def by_anygrad_of_one_dtype(problem: Problem, care: Care | None = None) -> str:
    """Return what `anygrad.check_gradient` says if f takes x's dtype and no other."""
    dtypes = {key: array.dtype for key, array in problem.x.items()}

    def f(tree: Tree) -> Any:
        if any(tree[key].dtype != dtype for key, dtype in dtypes.items()):
            raise TypeError("another dtype")
        return problem.f(tree)

    return by_anygrad(replace(problem, f=f), care)


def by_torch(problem: Problem, care: Care | None = None, *, fast: bool = False) -> str:
    """Return what `torch.autograd.gradcheck` says of a Function with this backward pass."""
    import torch

    class Claimed(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *leaves: Any) -> Any:
            ctx.save_for_backward(*leaves)
            return problem.f(dict(zip(problem.x, leaves, strict=True)))

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            tree = problem.grad(dict(zip(problem.x, ctx.saved_tensors, strict=True)))
            return tuple(g * tree[key] for key in problem.x)

    inputs = tuple(leaf.clone().requires_grad_() for leaf in problem.x.values())
    options = {} if care is None else {"eps": care.central, "rtol": care.tolerance}
    if care is not None:
        options["atol"] = care.tolerance * care.largest
    right = torch.autograd.gradcheck(Claimed.apply, inputs, raise_exception=False, fast_mode=fast, **options)
    return AGREES if right else WRONG


def by_jax(problem: Problem, care: Care | None = None) -> str:
    """Return what `jax.test_util.check_grads` says of a function with this `custom_vjp`."""
    import jax
    from jax.test_util import check_grads

    @jax.custom_vjp
    def claimed(tree: Any) -> Any:
        return problem.f(tree)

    def backward(tree: Any, g: Any) -> Any:
        return ({key: g * array for key, array in problem.grad(tree).items()},)

    claimed.defvjp(lambda tree: (problem.f(tree), tree), backward)
    options = {} if care is None else {"eps": care.central, "rtol": care.tolerance, "atol": care.tolerance * care.norm}
    try:
        check_grads(claimed, (problem.x,), order=1, modes=["rev"], **options)
    except AssertionError:
        return WRONG
    return AGREES


def by_scipy(problem: Problem, care: Care | None = None, *, stays: bool = False, direction: str = "all") -> str:
    """Return whether the norm that `scipy.optimize.check_grad` returns is small.

    SciPy calls f with float64 numbers, whatever x is; ``stays`` says that f computes in x's dtype all the same.
    """
    from scipy.optimize import check_grad

    start = _flat(problem.x)
    computed_in = start.dtype if stays else np.dtype(float)

    def tree(vector: np.ndarray) -> Tree:
        ends = np.cumsum([array.size for array in problem.x.values()])
        parts = np.split(vector, ends[:-1])
        return {key: part.reshape(array.shape) for part, (key, array) in zip(parts, problem.x.items(), strict=True)}

    def f(vector: np.ndarray) -> float:
        return float(problem.f(tree(vector.astype(computed_in))))

    options: dict[str, Any] = {} if care is None else {"epsilon": care.forward(computed_in)}
    norm = check_grad(f, lambda vector: _flat(problem.grad(tree(vector))), start, direction=direction, **options)
    return AGREES if norm <= (SCIPY_ZERO if care is None else care.tolerance * care.norm) else WRONG


def _flat(tree: Tree) -> np.ndarray:
    return np.concatenate([np.asarray(array).reshape(-1) for array in tree.values()])


def installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def torch_library() -> Library:
    return LIBRARIES["torch"][0]()


def jax_library() -> Library:
    import jax

    jax.config.update("jax_enable_x64", True)
    return LIBRARIES["jax"][0]()


def checkers(dtype: str) -> list[Checker]:
    """Return the tools that take a dtype, of those that are installed."""
    narrow = np.finfo(dtype).eps > np.finfo(float).eps
    along = partial(by_anygrad, directions=3)
    found = [
        Checker("anygrad.check_gradient", NUMPY, by_anygrad, takes_tolerance=False),
        Checker("anygrad.check_gradient, directions=3", NUMPY, along, takes_tolerance=False),
    ]
    if narrow:
        found.append(
            Checker(
                "anygrad.check_gradient, f stays in its dtype", NUMPY, by_anygrad_of_one_dtype, takes_tolerance=False
            )
        )
        found.append(
            Checker("anygrad.check_gradient, x made float64", NUMPY, by_anygrad_in_float64, takes_tolerance=False)
        )
    if installed("torch") and dtype != "longdouble":
        found.append(Checker("PyTorch's gradcheck", torch_library(), by_torch))
    if installed("jax") and dtype != "longdouble":
        found.append(Checker("JAX's check_grads", jax_library(), by_jax))
    if installed("scipy"):
        found.append(Checker("SciPy's check_grad", NUMPY, by_scipy))
    if installed("scipy") and narrow:
        found.append(Checker("SciPy's check_grad, f stays in its dtype", NUMPY, partial(by_scipy, stays=True)))
    return found
