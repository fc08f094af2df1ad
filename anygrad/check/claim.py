"""The derivative that is claimed, and how far its rounding and its variation can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from anygrad._typing import HostArray, PyTree
from anygrad.check.task import Layout, Probe, Task, flat, on_host, spacing
from anygrad.evaluators import Loop
from anygrad.problem.function import Function
from anygrad.problem.options import Options
from anygrad.problem.tree import describe_mismatch, flatten
from anygrad.schemes import Central

_LOST = 4.0  # times the error that is seen in few calls
_ROUNDINGS = 16.0  # of intermediate results, as of tanh(x)**2 in 1 - tanh(x)**2, which is small
_COARSE = 1e-10  # with more digits than this, what cancels leaves enough of them
_SUMMED = 8.0  # roundings of the largest element
# A claim accumulates if each call adds the same to within so many roundings, and adds at least so large a share of the
# largest element, as roundings are often equal, too.
_EVENLY, _ADDED = 8.0, 1e-3

_STRUCTURES = {
    "grad": "a gradient has the structure of x",
    "jac": "a Jacobian has the structure that anygrad.jacobian returns",
    "hess": "a Hessian has the structure that anygrad.hessian returns",
}


# What users write instead of f and its derivative


@dataclass(frozen=True, eq=False)
class Item:
    """One of the things that a function returns."""

    f: Callable[[Any], Any]
    index: int

    def __call__(self, x: Any) -> Any:
        """Return it."""
        returned = self.f(x)
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise TypeError(
                f"f returned {returned!r:.60}, but a pair (value, {('aux', 'gradient')[self.index]}) was expected"
            )
        return returned[self.index]


@dataclass(frozen=True, eq=False)
class WeightedSum:
    """The weighted sum of the elements of f(x); for many points at a time, if f is written for that."""

    f: Callable[[Any], Any]
    weights: PyTree
    leading: bool

    def __call__(self, x: Any) -> Any:
        """Return one number, or one for each point."""
        values, weights = flatten(self.f(x), "f(x)").leaves, flatten(self.weights, "f(x)").leaves
        total: Any = 0.0
        for value, weight in zip(values, weights, strict=True):
            xp = array_namespace(weight)
            product = xp.asarray(value) * weight
            axes = tuple(range(1, product.ndim)) if self.leading else None
            total = total + xp.sum(product, axis=axes)
        return total


def with_vjp(task: Task, vjp: Any, rng: np.random.Generator) -> tuple[Task, int]:
    """Turn the check of a vector-Jacobian product into the check of the gradient of a randomly weighted sum."""
    task.parameters.require_real("a vector-Jacobian product")
    if not callable(vjp):
        raise TypeError(f"vjp is {vjp!r:.60}, but a function vjp(x, g) was expected, where g is like f(x)")
    probe = replace(task, kind="jac").probe(np.zeros(task.parameters.size), (), repeats=1)
    weights = _random_weights(probe.function, rng)
    leaves = flatten(weights, "f(x)")

    def gradient(x: Any) -> PyTree:
        # Copies: a backward pass may write into its argument.
        return vjp(x, leaves.rebuild([array_namespace(leaf).asarray(leaf, copy=True) for leaf in leaves.leaves]))

    weighted = WeightedSum(task.f, weights, task.options.evaluator.leading)
    return replace(task, kind="grad", name="vjp", f=weighted, claim=gradient), probe.ncalls


def _random_weights(function: Function, rng: np.random.Generator) -> PyTree:
    """Return random numbers of the structure that a function returns, which has been called."""
    assert function.base is not None
    memory, values = function.base
    size = values.shape[1]
    numbers = memory.from_host(rng.choice([-1.0, 1.0], size) * rng.uniform(0.5, 1.5, size))
    return function.rebuilt([memory.assemble([numbers[own]], shape) for own, shape in function.outputs])


def with_jvp(task: Task, jvp: Any) -> tuple[Task, int]:
    """Turn the check of a Jacobian-vector product into the check of the Jacobian, a column for each element of x."""
    task.parameters.require_real("a Jacobian-vector product")
    if not callable(jvp):
        raise TypeError(f"jvp is {jvp!r:.60}, but a function jvp(x, v) was expected, where v is like x")
    task = replace(task, kind="jac", name="jvp")
    parameters = task.parameters
    probe = task.probe(np.zeros(parameters.size), (), repeats=1)
    layout, width = Layout.of(task, probe.function), len(parameters.arrays)
    names = flatten(probe.function.rebuilt(map(np.empty, probe.function.shapes or ())), "f(x)").names

    def column(x: Any, unit: HostArray) -> HostArray:
        parts = flatten(task.like_x(unit)).leaves
        v = [array_namespace(a).asarray(part, dtype=a.dtype) for part, a in zip(parts, parameters.arrays, strict=True)]
        returned = flatten(jvp(x, parameters.rebuild(v)), "f(x)", none_is_leaf=True)
        parts = [on_host(leaf, "jvp(x, v)") for leaf in returned.leaves]
        if cause := describe_mismatch(returned.names, names, [part.shape for part in parts], probe.function.shapes):
            raise ValueError(f"jvp(x, v) returned {cause}: let it return arrays with the structure and shapes of f(x)")
        return flat(parts)

    def jacobian(x: Any) -> PyTree:
        table = np.zeros((probe.function.size, parameters.size))
        for element in parameters.elements:
            table[:, element] = column(x, np.eye(1, parameters.size, element)[0])
        arrays = layout.arrays(table)
        return probe.function.rebuilt(
            [parameters.rebuild(arrays[start : start + width]) for start in range(0, len(arrays), width)]
        )

    return replace(task, claim=jacobian), probe.ncalls


# Claims as tables, with a row for each value of f and a column for each element of x


def read_claim(task: Task, layout: Layout, tree: PyTree) -> tuple[HostArray, HostArray]:
    """Return the claimed derivatives and the spacings at 1 of their dtypes as tables. A claim of None means zeros.

    What is claimed for fixed elements does not count.
    """
    name = f"{task.name}(x)" if callable(task.claim) else task.name
    if tree is None:
        raise TypeError(f"{name} is None, but derivatives were expected: does it lack a return statement?")
    parts = flatten(tree, name, none_is_leaf=True)
    names = ["x" + n.removeprefix(name) if task.kind == "grad" else n.replace("(x)", "", 1) for n in parts.names]
    shapes, held = dict(zip(layout.names, layout.shapes, strict=True)), task.parameters.leaves.held or ()
    found = [
        (own, np.zeros(shapes[own]) if leaf is None else on_host(leaf, place), spacing(leaf))
        for own, place, leaf in zip(names, parts.names, parts.leaves, strict=True)
        if (leaf is not None or own in shapes) and own not in held
    ]
    given = [array.shape for _, array, _ in found]
    cause = describe_mismatch([own for own, _, _ in found], layout.names, given, layout.shapes)
    if cause is None:
        table = layout.table([array for _, array, _ in found])
        eps = layout.table([np.asarray(eps) for *_, eps in found])
        return np.where(task.free_entries, table, 0.0), eps
    if layout.names == ["x"] and [own for own, _, _ in found] == ["x[0]"]:
        cause = f"is a tuple or list of one array: return its element [0], an array of shape {layout.shapes[0]}"
    elif len(layout.names) == len(found) == 1 and given != layout.shapes:
        cause = f"has the shape {given[0]}, but {layout.shapes[0]} was expected: {_STRUCTURES[task.kind]}"
    else:
        cause = f"has {cause}; {_STRUCTURES[task.kind]}"
    raise ValueError(f"{name} {cause}")


@dataclass(frozen=True, eq=False)
class ClaimCalls:
    """The value of the claim at x, and the distance of other calls from it."""

    table: HostArray
    # The spacings at 1 of its dtypes, or of x's where these are coarser: it may have been computed in those.
    eps: HostArray
    spread: HostArray  # how far other calls at x were
    rounding: HostArray  # how far calls beside x were
    ncalls: int
    accumulates: bool = False  # whether each call at x added the same to the result of the one before

    @property
    def coarsest(self) -> float:
        return float(np.max(self.eps, initial=0.0))


def call_claim(task: Task, layout: Layout, direction: HostArray) -> ClaimCalls:
    """Call the claim three times at x, and twice at x changed by a few roundings along a direction."""
    of_x = layout.table([np.asarray(spacing(a)) for a in task.parameters.arrays]) if task.kind == "grad" else task.eps
    if not callable(task.claim):
        table, eps = read_claim(task, layout, task.claim)
        return ClaimCalls(table, np.maximum(eps, of_x), np.zeros(table.shape), np.zeros(table.shape), 0)
    seen: list[tuple[HostArray, HostArray]] = []

    def record(x: Any) -> float:
        """Keep the claim at x; the number that is returned does not matter."""
        before = _bytes(task, x)
        returned = task.claim(x)
        if _bytes(task, x) != before:
            raise ValueError(
                f"{task.name} modifies its argument: let it work on a copy, as in lambda x: {task.name}(x.copy()); x"
                " has been restored"
            )
        seen.append(read_claim(task, layout, returned))
        return 0.0

    alone = replace(task, kind="grad", options=Options("check_gradient", Central(), Loop(), task.options.bounds))
    alone.probe(direction, (2 * task.eps, 4 * task.eps), repeats=3, last=False, f=record)
    eps = np.maximum(seen[0][1], of_x)
    if (coarsest := float(np.max(eps, initial=0.0))) > task.eps:  # in another dtype than x is in, it rounds more
        alone.probe(direction, (2 * coarsest, 4 * coarsest), repeats=1, f=record)
    table, *others = (table for table, _ in seen)
    repeated, beside = others[:2], others[2:4] + others[5:]
    accumulates = len(repeated) == 2 and _accumulates(table, repeated[0], repeated[1], coarsest)
    return ClaimCalls(table, eps, _distance(table, repeated), _distance(table, beside), len(seen), accumulates)


def _distance(table: HostArray, others: Sequence[HostArray]) -> HostArray:
    distances = [np.nan_to_num(np.abs(other - table), nan=0.0, posinf=0.0) for other in others]
    largest: HostArray = np.max(distances, axis=0) if distances else np.zeros(table.shape)
    return largest


def _bytes(task: Task, x: PyTree) -> list[bytes]:
    return [on_host(leaf, "x").tobytes() for leaf in task.parameters.leaves_of(x, "x")]


def _accumulates(first: HostArray, second: HostArray, third: HostArray, eps: float) -> bool:
    added, size = second - first, float(np.max(np.abs(third), initial=0.0))
    uneven = float(np.max(np.abs(third - second - added), initial=0.0))
    return uneven <= _EVENLY * eps * size and float(np.max(np.abs(added), initial=0.0)) > _ADDED * size


@dataclass(frozen=True, eq=False)
class Claim:
    """The claim, for the dtype in which f is differentiated."""

    table: HostArray
    error: HostArray  # how far off it may be, as rounding and variation have shown
    eps: float  # the largest spacing at 1 of its dtypes
    deterministic: bool
    intermediate: HostArray  # how large rounding errors of its intermediate results may be
    explained: HostArray  # how much rounding explains where a wider claim is right
    wide: HostArray | None = None  # the claim computed in the dtype of f, where that is wider
    uncancelled: HostArray | float = 0.0  # how large it would be if its terms did not cancel, if that is known

    @classmethod
    def of(cls, calls: ClaimCalls, task: Task, layout: Layout, probe: Probe, wide: HostArray | None) -> Claim:
        """Return the claim for a task, in which x may have a wider dtype than the claim."""
        size = np.where(np.isfinite(calls.table), np.abs(calls.table), 0.0)
        # All of an array varies as much as its most variable element.
        error = 4 * calls.rounding + 2 * layout.largest(calls.spread) + 4 * calls.eps * size
        # An element may be the sum of larger, rounded numbers.
        error = error + _SUMMED * np.where(calls.eps > task.eps, calls.eps, 0.0) * layout.largest(size)
        # It may be small because larger numbers cancel: these are taken to be as large as f divided by x.
        intermediate = np.zeros(size.shape)
        if calls.coarsest > _COARSE:
            steps = task.magnitudes if task.kind != "hess" else np.outer(task.magnitudes, task.magnitudes)
            intermediate = intermediate + probe.rounding(calls.coarsest) / steps
        deterministic = not np.any(calls.spread)
        # A mean has the roundings of all elements, though few calls may not show this in each element.
        explained = _LOST * layout.largest(error)
        return cls(
            calls.table,
            error,
            calls.coarsest,
            deterministic,
            intermediate,
            explained,
            wide if calls.coarsest > task.eps else None,
        )

    def along(self, v: HostArray, eps: float) -> Claim:
        """Return the claim along a direction: independent roundings add up as the root of the sum of their squares."""
        moved = v != 0  # a claim of NaN for other elements does not matter
        v, own = v[moved], self.table[:, moved]
        uncertain = np.hypot(self.error[:, moved], 4 * max(eps, self.eps) * np.abs(own))
        parts = (uncertain, self.intermediate[:, moved], self.explained[:, moved], own)
        error, intermediate, explained, uncancelled = (root_of_squares(part, v)[:, None] for part in parts)
        wide = None if self.wide is None else (self.wide[:, moved] @ v)[:, None]
        table = (own @ v)[:, None]
        return replace(
            self,
            table=table,
            error=error,
            intermediate=intermediate,
            explained=explained,
            wide=wide,
            uncancelled=uncancelled,
        )

    def allowed(self, numerical: HostArray, tolerance: HostArray) -> HostArray:
        """Return the error that rounding explains: none where the claim in a wider dtype is off as well.

        Where that is right, the narrower one may differ from it by some roundings of intermediate results, or by a few
        times what a rounding of x makes of it.
        """
        if self.wide is None:
            return self.intermediate
        right = np.abs(self.wide - numerical) <= tolerance
        explained = np.maximum(_ROUNDINGS * self.intermediate, self.explained)
        return np.where(right, np.minimum(np.abs(self.table - self.wide), explained), 0.0)


def root_of_squares(table: HostArray, v: HostArray) -> HostArray:
    """Return the root of the sum of squares of the terms of ``table @ v``, whose squares may overflow."""
    sizes, lengths = np.abs(table), np.abs(v)
    most, longest = (float(np.max(one[np.isfinite(one)], initial=0.0)) or 1.0 for one in (sizes, lengths))
    root: HostArray = most * longest * np.sqrt((sizes / most) ** 2 @ (lengths / longest) ** 2)
    return root
