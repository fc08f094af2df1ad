"""Claimed derivatives beside those found numerically, and the verdict on each element."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from anygrad._typing import Array, PyTree
from anygrad.check.probe import HostArray, Task, all_on_host, leaves_on_host
from anygrad.problem.parameters import Parameters
from anygrad.problem.result import ConstantFunctionWarning, Result
from anygrad.problem.tree import flatten
from anygrad.schemes import Scheme

# From the gravest to the least grave; the verdict on an element is the first that holds for it.
VERDICTS = ("wrong", "nonfinite", "kink", "nondeterministic", "noisy", "inconclusive", "agrees")

# An uncertainty that is less than this share of the derivative still tells something.
_RESOLVED = 0.5


@dataclass(frozen=True, eq=False)
class Comparison:
    """One array of derivatives as claimed and as found numerically, on the host; all arrays are of its shape.

    Attributes
    ----------
    name
        The array in the user's words: ``x``, or ``x['W1']``.
    claimed, numerical
        The derivatives, in float64 or complex128.
    tolerance
        How far apart the two may be, given all that is known of the errors of both.
    rounded
        The rounding error of the claim; a part of the tolerance.
    """

    name: str
    claimed: HostArray
    numerical: HostArray
    tolerance: HostArray
    rounded: HostArray

    @property
    def arrays(self) -> tuple[HostArray, HostArray, HostArray, HostArray]:
        """The arrays, in the order of the attributes."""
        return self.claimed, self.numerical, self.tolerance, self.rounded

    @property
    def difference(self) -> HostArray:
        """How far apart the two are."""
        with np.errstate(invalid="ignore"):
            distance: HostArray = np.abs(self.claimed - self.numerical)
        return distance

    @property
    def wrong(self) -> HostArray:
        """Where they differ by more than the tolerance; a derivative that was not found proves nothing."""
        found = np.isfinite(self.numerical) & np.isfinite(self.tolerance)
        beyond: HostArray = found & ~(self.difference <= self.tolerance)
        return beyond

    @property
    def ratio(self) -> HostArray:
        """The difference as a multiple of the tolerance; infinite where one of the two is not finite."""
        with np.errstate(all="ignore"):
            ratio = np.where(self.difference == 0, 0.0, self.difference / self.tolerance)
        return np.nan_to_num(ratio, nan=np.inf, posinf=np.inf)


def stack(name: str, comparisons: Sequence[Comparison]) -> Comparison:
    """Return comparisons of one shape as one, with a leading axis."""
    return Comparison(name, *map(np.stack, zip(*(one.arrays for one in comparisons), strict=True)))


def split(comparison: Comparison, sizes: Sequence[int]) -> list[Comparison]:
    """Return one comparison as several, of so many elements each."""
    ends = np.cumsum(sizes)[:-1]
    tables = [np.split(table, ends) for table in comparison.arrays]
    return [Comparison(comparison.name, *arrays) for arrays in zip(*tables, strict=True)]


def concatenate(parts: Sequence[Comparison]) -> Comparison:
    """Return several comparisons as one of one dimension."""
    return Comparison(parts[0].name, *map(flat, zip(*(part.arrays for part in parts), strict=True)))


# Numerical derivatives


@dataclass(frozen=True, eq=False)
class Estimate:
    """Derivatives found numerically; lists have an entry for each array.

    Attributes
    ----------
    names, values, errors
        The arrays, the expressions that name them, and estimates of the absolute error of each element.
    steps
        The steps taken, which can be broadcast to the values; one number for all of them if they are of other shapes.
    flags
        The flags of the scheme.
    is_constant
        Whether f, given copies of x, always returned the same value.
    ncalls
        How often f was called.
    """

    names: Sequence[str]
    values: Sequence[HostArray]
    errors: Sequence[HostArray]
    steps: Sequence[HostArray]
    flags: Sequence[Mapping[str, HostArray]]
    is_constant: bool
    ncalls: int


def estimate(differentiate: Callable[..., Result], scheme: Scheme, name: str, rounding: float, n: int = 1) -> Estimate:
    """Differentiate by a scheme.

    A scheme without an error estimate is used twice, with its own step and with twice that: the error is the change,
    plus what rounding in values of f, ``rounding`` in each, makes of the n-th derivative.
    """
    result, is_constant = _differentiate(differentiate, scheme)
    other = _differentiate(differentiate, _doubled(scheme, result))[0] if result.error is None else None
    second = result.error if other is None else other.value
    columns = [flatten(tree).leaves for tree in (result.value, second, *result.flags.values())]
    tables = [all_on_host(arrays, name) for arrays in zip(*columns, strict=True)]
    values, errors = [table[0] for table in tables], [table[1] for table in tables]
    steps = _steps(result.step, values)
    if other is None:
        errors = [np.abs(error) for error in errors]  # complex where x is
    else:
        errors = [
            np.abs(value - wide) + 2**n * rounding / step**n
            for value, wide, step in zip(values, errors, steps, strict=True)
        ]
    return Estimate(
        names=flatten(result.value, name).names,
        values=values,
        errors=errors,
        steps=steps,
        flags=[dict(zip(result.flags, table[2:], strict=True)) for table in tables],
        is_constant=is_constant,
        ncalls=result.ncalls + (other.ncalls if other else 0),
    )


def estimate_values(
    differentiate: Callable[..., Result], scheme: Scheme
) -> tuple[list[HostArray], list[HostArray], int]:
    """Return the derivatives by a scheme, without their errors, the steps taken, and the calls of f."""
    result, _ = _differentiate(differentiate, scheme)
    values = [value for _, value in leaves_on_host(result.value, "the derivative")]
    return values, _steps(result.step, values), result.ncalls


def _steps(tree: PyTree, values: Sequence[HostArray]) -> list[HostArray]:
    steps = [np.abs(step) for _, step in leaves_on_host(tree, "the step")]
    if len(steps) == len(values) and all(map(_fits, steps, values)):
        return steps
    smallest = min((float(np.min(step[step > 0], initial=np.inf)) for step in steps), default=np.inf)
    return [np.asarray(smallest) for _ in values]


def _fits(step: HostArray, value: HostArray) -> bool:
    return step.ndim <= value.ndim and value.shape[value.ndim - step.ndim :] == step.shape


def _doubled(scheme: Scheme, result: Result) -> Scheme:
    """Return the scheme with steps twice as long as those taken; the same scheme, if it takes none."""
    if not (dataclasses.is_dataclass(scheme) and hasattr(scheme, "step")):
        return scheme
    tree = flatten(result.step, "the step")
    doubled: Scheme = dataclasses.replace(scheme, step=tree.rebuild([_twice(leaf) for leaf in tree.leaves]))
    return doubled


def _twice(step: Array) -> Array | float:
    """Return twice a step; along a direction it is a Python number, on no device."""
    return 2 * step if step.ndim else 2 * float(step)


def _differentiate(differentiate: Callable[..., Result], scheme: Scheme) -> tuple[Result, bool]:
    """Return the result, and whether f was constant: then it is computed a second time, without the warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConstantFunctionWarning)
        try:
            return differentiate(scheme=scheme), False
        except ConstantFunctionWarning:
            warnings.simplefilter("ignore", ConstantFunctionWarning)
            return differentiate(scheme=scheme), True


# Verdicts


@dataclass(frozen=True, eq=False)
class Finding:
    """The comparisons, and the verdict on each of their elements, as an index into `VERDICTS`.

    Attributes
    ----------
    comparisons, states
        For each array; along directions, one entry whose elements are the directions.
    located
        Along directions, the wrong elements: comparisons of one element each, whose name is that of the element.
    directional
        Whether it was checked along directions.
    is_constant
        Whether f, given copies of x, always returned the same value.
    ncalls
        How often f was called.
    """

    comparisons: Sequence[Comparison]
    states: Sequence[HostArray]
    ncalls: int
    located: Sequence[Comparison] = field(default=())
    directional: bool = False
    is_constant: bool = False

    @property
    def wrong(self) -> bool:
        """Whether any element is wrong."""
        return any(bool(np.any(comparison.wrong)) for comparison in self.comparisons)


@dataclass(frozen=True, eq=False)
class Conditions:
    """Evidence about all elements of an array.

    Attributes
    ----------
    flags
        The flags of the scheme.
    typical
        The typical size of such a derivative of f, or 0 if it is unknown: a derivative of 0 is small compared with it.
    deterministic
        Whether f and the claim are the same for the same x.
    bounded
        Whether bounds may have kept f to one side of x.
    """

    flags: Mapping[str, HostArray]
    typical: HostArray | float
    deterministic: bool
    bounded: bool


def judge(comparison: Comparison, conditions: Conditions) -> HostArray:
    """Return the verdict on each element, as an index into `VERDICTS`."""
    claimed, numerical = comparison.claimed, comparison.numerical

    def flag(name: str) -> HostArray:
        flags = conditions.flags
        return flags[name] if name in flags else np.zeros(claimed.shape, dtype=bool)

    unresolved = _unresolved(comparison, conditions)
    state = np.full(claimed.shape, VERDICTS.index("agrees"))
    reasons = {
        "inconclusive": unresolved,
        "noisy": unresolved & flag("noisy"),
        "kink": flag("kink"),
        "nondeterministic": unresolved & (not conditions.deterministic),  # which may have made a kink
        # f ends at x, where no bounds say so.
        "nonfinite": ~np.isfinite(numerical) | (flag("one_sided") & (not conditions.bounded)),
        "wrong": comparison.wrong,
    }
    for verdict, holds in reasons.items():
        state = np.where(holds, VERDICTS.index(verdict), state)
    return state


def judge_constant(comparison: Comparison) -> HostArray:
    """Return the verdicts where f did not see x change: only a claim of 0 can agree."""
    return np.where(comparison.claimed == 0, VERDICTS.index("agrees"), VERDICTS.index("inconclusive"))


def gravest(states: Sequence[HostArray]) -> str:
    """Return the gravest verdict of all."""
    return VERDICTS[min((int(np.min(state)) for state in states if state.size), default=len(VERDICTS) - 1)]


def count_verdicts(states: Sequence[HostArray]) -> dict[str, int]:
    """Return the number of elements with each verdict that occurs."""
    counts = [sum(int(np.sum(state == number)) for state in states) for number in range(len(VERDICTS))]
    return {verdict: count for verdict, count in zip(VERDICTS, counts, strict=True) if count}


def _unresolved(comparison: Comparison, conditions: Conditions) -> HostArray:
    """Return where the tolerance is so large that any claim as large as derivatives of this array would agree."""
    claimed, numerical = np.abs(comparison.claimed), np.abs(comparison.numerical)
    if not conditions.deterministic:  # the derivative found may come from the variation
        numerical = np.maximum(numerical - comparison.tolerance, 0.0)
    largest = float(np.max(numerical[np.isfinite(numerical)], initial=0.0))
    size = np.maximum(claimed, np.maximum(largest, conditions.typical))
    flat = (claimed == 0) & (comparison.numerical == 0)
    unresolved: HostArray = (comparison.tolerance > _RESOLVED * size) & ~flat
    return unresolved


# Tables: along a direction, all of x is one row


def as_table(task: Task, arrays: Sequence[HostArray]) -> HostArray:
    """Return arrays with the structure of a gradient or a Jacobian as one table, with a row for each value of f."""
    shapes = task.parameters.shapes
    width = len(shapes)
    if task.kind == "grad":
        return np.concatenate([np.zeros(0), *(array.reshape(-1) for array in arrays)])[None, :]
    if len(arrays) % width or any(
        array.shape[array.ndim - len(shape) :] != shape
        for array, shape in zip(arrays, shapes * (len(arrays) // width), strict=True)
    ):
        raise ValueError(
            f"what is claimed has the shapes {', '.join(str(array.shape) for array in arrays)}, but arrays of"
            f" f(x).shape + x.shape were expected, where x has {', '.join(map(str, shapes))}"
        )

    def rows(array: HostArray, shape: tuple[int, ...]) -> HostArray:
        return array.reshape(math.prod(array.shape[: array.ndim - len(shape)]), math.prod(shape))

    return np.concatenate(
        [
            np.concatenate(list(map(rows, arrays[start : start + width], shapes)), axis=1)
            for start in range(0, len(arrays), width)
        ]
    )


def root_of_squares(table: HostArray, v: HostArray) -> HostArray:
    """Return the root of the sum of squares of the terms of ``table @ v``, whose squares may overflow."""
    with np.errstate(all="ignore"):
        sizes, lengths = np.abs(table), np.abs(v)
        most, longest = (float(np.max(one[np.isfinite(one)], initial=0.0)) or 1.0 for one in (sizes, lengths))
        root: HostArray = most * longest * np.sqrt((sizes / most) ** 2 @ (lengths / longest) ** 2)
    return root


def flat(arrays: Sequence[HostArray]) -> HostArray:
    """Return arrays as one of one dimension."""
    return np.concatenate([array.reshape(-1) for array in arrays])


def split_like_x(parameters: Parameters, v: HostArray) -> list[HostArray]:
    """Return the numbers of a direction, (n,), as arrays like those of x."""
    ends = np.cumsum([0, *map(math.prod, parameters.shapes)])
    return [v[start:stop].reshape(shape) for start, stop, shape in zip(ends, ends[1:], parameters.shapes, strict=False)]


def element_name(name: str, element: int, shape: Sequence[int]) -> str:
    """Return the expression that names an element of an array, given by its flat index."""
    if not shape:
        return name
    return f"{name}[{', '.join(str(int(i)) for i in np.unravel_index(element, tuple(shape)))}]"
