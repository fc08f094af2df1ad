"""What is to be checked: f, x, and what is claimed of them."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from anygrad._checking.comparison import HostArray
from anygrad._checking.hosted import on_host, spacings
from anygrad._checking.probe import Probe, probed
from anygrad._function import Function
from anygrad._gradient import numerical_gradient
from anygrad._hessian import hessian
from anygrad._jacobian import jacobian
from anygrad._job import Options
from anygrad._pytree import flatten
from anygrad._result import Result
from anygrad._typing import PyTree
from anygrad._variables import Variables
from anygrad.schemes import Adaptive, Central, Scheme

_FEW_DIGITS = 1e-4
_SHARE = 0.2  # of x, as a step
_NOTHING = "grad is None, and nothing was given in its place, but the gradient to be checked was expected"

OPERATORS: dict[str, Callable[..., Any]] = {"grad": numerical_gradient, "jac": jacobian, "hess": hessian}


@dataclass(frozen=True, eq=False)
class Question:
    """Whether what is claimed is a derivative of f at x.

    Attributes
    ----------
    kind
        Which one: ``grad``, ``jac`` or ``hess``.
    name
        What the user calls what is claimed.
    f, x, claim
        As the user has given them; of a vector-Jacobian product, made into a gradient.
    options
        How f is differentiated.
    scheme_given
        Whether the user has chosen the scheme.
    ncalls
        How often f had to be called to know what to ask.
    """

    kind: str
    name: str
    f: Callable[[Any], Any]
    x: PyTree
    claim: Any
    options: Options
    scheme_given: bool
    ncalls: int = 0

    @property
    def vector(self) -> bool:
        """Whether f returns arrays."""
        return self.kind == "jac"

    @property
    def n(self) -> int:
        """Which derivative of f it is: a second one or a first one."""
        return 2 if self.kind == "hess" else 1

    def operator(self, progress: Any = False) -> Callable[..., Result]:
        """Return the derivative as a function of the scheme."""
        return partial(
            OPERATORS[self.kind],
            self.f,
            self.x,
            evaluator=self.options.evaluator,
            bounds=self.options.bounds,
            progress=progress,
            full_output=True,
        )

    def probe(self, variables: Variables, direction: HostArray, lengths: Sequence[float]) -> Probe:
        """Return f along a line."""
        return probed(self.f, variables, direction, lengths, self.options, vector=self.vector, last=True)


@dataclass(frozen=True, eq=False)
class WeightedSum:
    """The sum of the elements of f(x), each times a weight; many at a time if f is written for that."""

    f: Callable[[Any], Any]
    weights: PyTree
    leading: bool

    def __call__(self, x: Any) -> Any:
        """Return one number, or one for each point."""
        values, weights = flatten(self.f(x), "f(x)")[0], flatten(self.weights, "f(x)")[0]
        total: Any = 0.0
        for (_, value), (_, weight) in zip(values, weights, strict=True):
            xp = array_namespace(weight)
            product = xp.asarray(value) * weight
            axes = tuple(range(1, product.ndim)) if self.leading else None
            total = total + xp.sum(product, axis=axes)
        return total


def asked(
    f: Callable[[Any], Any],
    x: PyTree,
    claim: tuple[str, Any],
    options: Options,
    rng: np.random.Generator,
    *,
    scheme_given: bool,
) -> Question:
    """Return the question whether something claimed is a derivative; a vector-Jacobian product is made a gradient.

    The output gradient of that is random.
    """
    kind, claimed = claim
    if kind != "vjp":
        return Question(kind, kind, f, x, claimed, options, scheme_given)
    variables = Variables.of(x)
    variables.require_real("a vector-Jacobian product")
    if not callable(claimed):
        raise TypeError(f"vjp is {claimed!r:.60}, but a function was expected: vjp(x, g), with g like what f returns")
    still = np.zeros(variables.size)
    probe = probed(f, variables, still, (), options, vector=True, repeats=1, cotangent=rng)
    weights = probe.cotangent
    weighted = WeightedSum(f, weights, options.evaluator.leading)
    gradient = partial(_with_weights, claimed, weights)
    return Question("grad", "vjp", weighted, x, gradient, options, scheme_given, probe.ncalls)


def _with_weights(vjp: Callable[[Any, Any], PyTree], weights: PyTree, x: Any) -> PyTree:
    leaves, rebuild = flatten(weights, "f(x)")
    # Copies: backward passes may well work in what they are given.
    return vjp(x, rebuild(array_namespace(leaf).asarray(leaf, copy=True) for _, leaf in leaves))


def the_only(**claims: Any) -> tuple[str, Any]:
    """Return the one thing that is claimed, and its name; raise if there is not exactly one."""
    given = {name: claim for name, claim in claims.items() if claim is not None}
    if len(given) == 1:
        return given.popitem()
    what = f"{' and '.join(given)} was given, but one thing is checked at a time" if given else _NOTHING
    raise ValueError(
        f"{what}: write check_gradient(f, grad, x), or check_gradient(f, None, x, jac=jac), hess=hess, or vjp=vjp"
    )


def require_options(kind: str, *, directions: Any, rtol: Any) -> None:
    """Raise unless the number of directions is positive, and what is tolerated is not negative."""
    countable = isinstance(directions, numbers.Integral) and not isinstance(directions, bool)
    if directions is not None and not (countable and directions > 0):
        raise ValueError(f"directions is {directions!r}, but a number of directions was expected, such as 3, or None")
    if directions is not None and kind == "hess":
        raise ValueError(
            f"directions is {directions}, but a Hessian takes as many calls along them: check it as the Jacobian of"
            " the gradient, check_gradient(grad, None, x, jac=hess, directions=3), or leave out directions"
        )
    if rtol is not None and not (isinstance(rtol, numbers.Real) and 0.0 <= float(rtol) < math.inf):
        raise ValueError(
            f"rtol is {rtol!r}, but a relative difference of 0 or more was expected, such as 1e-3, or None"
        )


def random_numbers(seed: Any) -> np.random.Generator:
    """Return the random numbers of a seed; raise if it is none."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise type(error)(f"seed is {seed!r:.60}, but an integer of 0 or more was expected, such as 0") from None


def alone(question: Question, variables: Variables, leaf: int) -> tuple[Callable[[Any], Any], Any]:
    """Return f as a function of one of the arrays of x, and the bounds of that."""
    put = (variables.with_leaves if question.options.evaluator.leading else variables.with_leaf)(leaf)
    f = question.f if variables.alone else Function(question.f).of(put)
    bounds = question.options.bounds
    return f, bounds and tuple(variables.leaves_of(bound, "a bound")[leaf] for bound in bounds)


def sizes(variables: Variables) -> list[HostArray]:
    """Return the magnitude of each element of x; where it is 0, that of the others of its array, or else 1."""
    return [_sizes(on_host(array, name)) for name, array in zip(variables.names, variables.arrays, strict=True)]


def _sizes(array: HostArray) -> HostArray:
    magnitudes = np.where(np.isfinite(array), np.abs(array), 0.0)
    return np.where(magnitudes > 0, magnitudes, _typical(magnitudes) or 1.0)


def _typical(magnitudes: HostArray) -> float:
    largest = float(np.max(magnitudes, initial=0.0))
    with np.errstate(under="ignore"):  # what is so much smaller does not count
        return largest * float(np.sqrt(np.mean((magnitudes / largest) ** 2))) if largest else 0.0


def default_scheme(variables: Variables) -> Scheme:
    """Return the scheme for x; one that makes do with few digits, if any of its arrays has few."""
    if max(spacing_of(variables), default=0.0) < _FEW_DIGITS:
        return Adaptive()
    return Central(step=variables.rebuild(_SHARE * np.maximum(size, _typical(size) / 2) for size in sizes(variables)))


def random_direction(variables: Variables, rng: np.random.Generator) -> HostArray:
    """Return by how much each element of x changes, (n,): as much as it is large, to a random side."""
    parts = [size.reshape(-1) * rng.choice([-1.0, 1.0], size.size) for size in sizes(variables)]
    return np.concatenate([np.zeros(0), *parts])


def spacing_of(variables: Variables) -> list[float]:
    """Return the spacing at 1 of the dtype of each array."""
    return spacings(list(variables.arrays))
