"""The derivative that is claimed, and how far its rounding and its variation can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from anygrad._typing import PyTree
from anygrad.check.task import HostArray, Layout, Probe, Task, flat, on_host, spacing
from anygrad.evaluators import Loop
from anygrad.problem.options import Options
from anygrad.problem.tree import describe_mismatch, flatten
from anygrad.schemes import Central

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
                f"f returned {returned!r:.60}, but a pair was expected: (value, {('aux', 'gradient')[self.index]})"
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
    """Return the check of a vector-Jacobian product as that of the gradient of a randomly weighted sum."""
    task.parameters.require_real("a vector-Jacobian product")
    if not callable(vjp):
        raise TypeError(f"vjp is {vjp!r:.60}, but a function was expected: vjp(x, g), with g like what f returns")
    probe = replace(task, kind="jac").probe(np.zeros(task.parameters.size), (), repeats=1, cotangent=rng)
    weights = probe.cotangent
    leaves = flatten(weights, "f(x)")

    def gradient(x: Any) -> PyTree:
        # Copies: a backward pass may write into its argument.
        return vjp(x, leaves.rebuild([array_namespace(leaf).asarray(leaf, copy=True) for leaf in leaves.leaves]))

    weighted = WeightedSum(task.f, weights, task.options.evaluator.leading)
    return replace(task, kind="grad", name="vjp", f=weighted, claim=gradient), probe.ncalls


def with_jvp(task: Task, jvp: Any) -> tuple[Task, int]:
    """Return the check of a Jacobian-vector product as that of the Jacobian, a column for each element of x."""
    task.parameters.require_real("a Jacobian-vector product")
    if not callable(jvp):
        raise TypeError(f"jvp is {jvp!r:.60}, but a function was expected: jvp(x, v), with v like x")
    task = replace(task, kind="jac", name="jvp")
    parameters = task.parameters
    probe = task.probe(np.zeros(parameters.size), (), repeats=1)
    layout, width = Layout.of(task, probe.function), len(parameters.arrays)

    def column(x: Any, unit: HostArray) -> HostArray:
        parts = flatten(task.like_x(unit)).leaves
        v = [array_namespace(a).asarray(part, dtype=a.dtype) for part, a in zip(parts, parameters.arrays, strict=True)]
        returned = flatten(jvp(x, parameters.rebuild(v)), "jvp(x, v)")
        return flat([on_host(leaf, name) for name, leaf in zip(returned.names, returned.leaves, strict=True)])

    def jacobian(x: Any) -> PyTree:
        arrays = layout.arrays(np.stack([column(x, unit) for unit in np.eye(parameters.size)], axis=1))
        return probe.function.rebuilt(
            [parameters.rebuild(arrays[start : start + width]) for start in range(0, len(arrays), width)]
        )

    return replace(task, claim=jacobian), probe.ncalls


# What is claimed


@dataclass(frozen=True, eq=False)
class Returned:
    """What the claim returned for one x: its arrays, their names, and the spacings at 1 of their dtypes."""

    names: list[str]
    values: list[HostArray]
    eps: list[float]

    @classmethod
    def of(cls, task: Task, tree: PyTree) -> Returned:
        """Take apart what was returned; None stands for zeros where x has an array."""
        name = f"{task.name}(x)" if callable(task.claim) else task.name
        if tree is None:
            raise TypeError(f"{name} is None, but derivatives were expected: is a return statement missing?")
        none_is_leaf = task.kind == "grad" and not task.parameters.alone
        parts = flatten(tree, name, none_is_leaf=none_is_leaf)
        names = ["x" + n.removeprefix(name) if task.kind == "grad" else n.replace("(x)", "", 1) for n in parts.names]
        shapes = dict(zip(task.parameters.names, task.parameters.shapes, strict=True)) if none_is_leaf else {}
        kept = [
            (own, np.zeros(shapes[own]) if leaf is None else on_host(leaf, place), spacing(leaf))
            for own, place, leaf in zip(names, parts.names, parts.leaves, strict=True)
            if leaf is not None or own in shapes
        ]
        return cls(*(list(column) for column in zip(*kept, strict=True))) if kept else cls([], [], [])

    def distance(self, others: Sequence[Returned]) -> list[HostArray]:
        """Return the largest distance of any of the others, for each element; NaN counts as no distance."""
        for other in others:
            if cause := describe_mismatch(other.names, self.names, _shapes(other.values), _shapes(self.values)):
                raise ValueError(f"the claim differs from one call to the next: it has {cause} from the first call")
        return [
            np.max([_finite(other.values[i] - value) for other in others], axis=0, initial=0.0)
            for i, value in enumerate(self.values)
        ]


def _shapes(arrays: Sequence[HostArray]) -> list[tuple[int, ...]]:
    return [array.shape for array in arrays]


def _finite(difference: HostArray) -> HostArray:
    distance: HostArray = np.nan_to_num(np.abs(difference), nan=0.0, posinf=0.0)
    return distance


@dataclass(frozen=True, eq=False)
class Calls:
    """What the claim returned at x, how far other calls at x and beside it were from that, and how often it was called.

    ``eps`` are the spacings at 1 of its dtypes, or of x's arrays where these are coarser: it may have been computed in
    those. ``accumulates`` says whether each call at x added the same to the result of the one before.
    """

    at_x: Returned
    eps: list[float]
    spread: list[HostArray]
    rounding: list[HostArray]
    ncalls: int
    accumulates: bool = False

    @property
    def deterministic(self) -> bool:
        """Whether the claim was the same for the same x."""
        return not any(np.any(spread) for spread in self.spread)


def call_claim(task: Task, direction: HostArray) -> Calls:
    """Call the claim three times at x, and twice at x changed by a few roundings along a direction."""
    if not callable(task.claim):
        given = Returned.of(task, task.claim)
        zeros = [np.zeros(value.shape) for value in given.values]
        return Calls(given, _coarser(task, given), zeros, zeros, 0)
    seen: list[Returned] = []

    def record(x: Any) -> float:
        """Keep the claim at x; the number that is returned does not matter."""
        before = _bytes(x)
        returned = task.claim(x)
        if _bytes(x) != before:
            raise ValueError(
                f"{task.name} modifies its argument: let it work on a copy, as in lambda x: {task.name}(x.copy()); x"
                " has been put back to what it was"
            )
        own = Returned.of(task, returned)
        seen.append(replace(own, values=[value.copy() for value in own.values]))
        return 0.0

    alone = replace(task, kind="grad", options=Options("check_gradient", Central(), Loop(), task.options.bounds))
    alone.probe(direction, (2 * task.eps, 4 * task.eps), repeats=3, last=False, f=record)
    at_x, beside = seen[:3], seen[3:5]
    if (coarser := max(seen[0].eps, default=0.0)) > task.eps:  # computed in another dtype than x is in, it rounds more
        alone.probe(direction, (2 * coarser, 4 * coarser), repeats=1, f=record)
        beside += seen[6:]
    eps = _coarser(task, seen[0])
    spread, rounding = seen[0].distance(at_x[1:]), seen[0].distance(beside)
    return Calls(seen[0], eps, spread, rounding, len(seen), _accumulates(at_x, max(eps, default=task.eps)))


def _coarser(task: Task, returned: Returned) -> list[float]:
    of_x = list(map(spacing, task.parameters.arrays))
    alike = task.kind == "grad" and len(of_x) == len(returned.eps)
    return [max(pair) for pair in zip(returned.eps, of_x if alike else [task.eps] * len(returned.eps), strict=True)]


def _bytes(x: PyTree) -> list[bytes]:
    parts = flatten(x)
    return [on_host(leaf, name).tobytes() for name, leaf in zip(parts.names, parts.leaves, strict=True)]


def _accumulates(at_x: Sequence[Returned], eps: float) -> bool:
    if len(at_x) < 3:  # for an empty array there is only one call
        return False
    first, second, third = (flat(one.values) for one in at_x)
    added, size = second - first, float(np.max(np.abs(third), initial=0.0))
    uneven = float(np.max(np.abs(third - second - added), initial=0.0))
    return uneven <= _EVENLY * eps * size and float(np.max(np.abs(added), initial=0.0)) > _ADDED * size


def require_structure(task: Task, layout: Layout, returned: Returned) -> None:
    """Raise unless the claim has the structure and the shapes that a derivative of its kind has here."""
    shapes = _shapes(returned.values)
    cause = describe_mismatch(returned.names, layout.names, shapes, layout.shapes)
    if cause is None:
        return
    name = f"{task.name}(x)" if callable(task.claim) else task.name
    if layout.names == ["x"] and returned.names == ["x[0]"]:
        cause = f"is a tuple or list of one array: return its element [0], an array of shape {layout.shapes[0]}"
    elif len(layout.names) == len(returned.names) == 1:
        cause = f"has the shape {shapes[0]}, but {layout.shapes[0]} was expected: {_STRUCTURES[task.kind]}"
    else:
        cause = f"has {cause}; {_STRUCTURES[task.kind]}"
    raise ValueError(f"{name} {cause}")


# The claim as a table, for a dtype in which f is differentiated


@dataclass(frozen=True, eq=False)
class Claim:
    """The claim as tables with a row for each value of f and a column for each element of x.

    Attributes
    ----------
    table
        The derivatives.
    error
        How far off it may be for what rounding and variation have shown.
    eps
        The largest spacing at 1 of its dtypes.
    deterministic
        Whether it was the same for the same x.
    hidden
        How large rounding errors of its intermediate results may be; 0 where f has no more digits than the claim.
    wide
        The claim computed in the wider dtype in which f is differentiated; None if that is not known.
    typical
        How large such a derivative would be if its terms did not cancel; 0 where that is not known.
    """

    table: HostArray
    error: HostArray
    eps: float
    deterministic: bool
    hidden: HostArray
    wide: HostArray | None = None
    typical: HostArray | float = 0.0

    def along(self, v: HostArray, eps: float) -> Claim:
        """Return the claim along a direction: independent roundings add up as the root of the sum of their squares."""
        uncertain = np.hypot(self.error, 4 * max(eps, self.eps) * np.abs(self.table))
        error, hidden, typical = (root_of_squares(table, v)[:, None] for table in (uncertain, self.hidden, self.table))
        wide = None if self.wide is None else (self.wide @ v)[:, None]
        return replace(self, table=(self.table @ v)[:, None], error=error, hidden=hidden, wide=wide, typical=typical)

    def allowed(self, numerical: HostArray, tolerance: HostArray) -> HostArray:
        """Return the error that rounding explains: none where the claim in a wider dtype is off as well.

        Where that is right, all by which the narrower one differs from it is rounding.
        """
        if self.wide is None:
            return self.hidden
        right = np.abs(self.wide - numerical) <= tolerance
        return np.where(right, np.maximum(self.hidden, np.abs(self.table - self.wide)), 0.0)


def root_of_squares(table: HostArray, v: HostArray) -> HostArray:
    """Return the root of the sum of squares of the terms of ``table @ v``, whose squares may overflow."""
    sizes, lengths = np.abs(table), np.abs(v)
    most, longest = (float(np.max(one[np.isfinite(one)], initial=0.0)) or 1.0 for one in (sizes, lengths))
    root: HostArray = most * longest * np.sqrt((sizes / most) ** 2 @ (lengths / longest) ** 2)
    return root


def claim_tables(calls: Calls, task: Task, layout: Layout, probe: Probe, wide: Returned | None) -> Claim:
    """Return the claim for a task, in which x may have a wider dtype than the claim."""
    values = calls.at_x.values
    errors = [
        4 * rounding
        + 2 * float(np.max(spread, initial=0.0))  # all of an array varies as much as its most variable element
        + 4 * eps * np.where(np.isfinite(value), np.abs(value), 0.0)
        # An element may be the sum of larger, rounded numbers.
        + _SUMMED * (eps if eps > task.eps else 0.0) * float(np.max(np.abs(value[np.isfinite(value)]), initial=0.0))
        for value, rounding, spread, eps in zip(values, calls.rounding, calls.spread, calls.eps, strict=True)
    ]
    table, coarsest = layout.table(values), max(calls.eps, default=0.0)
    hidden = np.zeros(table.shape)
    narrow = coarsest > task.eps and task.kind != "hess"
    if narrow:
        # A derivative may be small because larger numbers cancel: these are taken to be as large as f divided by x.
        hidden = hidden + probe.rounding(coarsest) / task.magnitudes
    known = narrow and wide is not None and _shapes(wide.values) == layout.shapes and max(wide.eps) < coarsest
    wide_table = layout.table(wide.values) if known and wide is not None else None
    return Claim(table, layout.table(errors), coarsest, calls.deterministic, hidden, wide_table)
