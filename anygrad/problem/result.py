"""The result of an operator: the derivative alone, or with errors, steps, flags and counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from array_api_compat import array_namespace, is_array_api_obj

from anygrad._typing import Array, PyTree
from anygrad.backends.base import Memory
from anygrad.problem.function import Function
from anygrad.problem.options import Options
from anygrad.problem.tree import flatten
from anygrad.schemes.base import Slopes

if TYPE_CHECKING:
    from anygrad.problem.problem import Problem


@dataclass(frozen=True, eq=False)
class Result:
    """A derivative and how it came about.

    All arrays are of x's library, on x's device; where x, or what f returns, is a pytree, each of them is one as well.

    Attributes
    ----------
    value
        The derivative.
    error
        Estimate of the absolute error of each element, or None where the scheme makes none.
    step
        The step taken for each element, in units of x, like x; along a direction, one number.
    nlevels
        At how many steps `Adaptive` sampled f for each element, an int array of x's shape, of gradients and
        derivatives; else None.
    flags
        From a flag's name to booleans like ``value``: ``nonfinite``, ``one_sided``; of `Adaptive` also ``kink``,
        ``noisy`` and ``unconverged``; with ``on_error="nan"`` also ``failed``: NaN for an exception of f.
    ncalls
        How often f was called.
    npoints
        At how many points f was evaluated.
    failures
        With ``on_error="nan"``: what f raised, by the element that was set, as in ``failures["x[0]"]``. Gradients and
        Jacobians keep those of elements whose derivatives are NaN; others keep all, if any derivative is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> result = anygrad.derivative(np.abs, np.array([0.0, 2.0]), full_output=True)
    >>> result.value, result.flags["kink"], result.ncalls
    (array([0., 1.]), array([ True, False]), 11)
    """

    value: PyTree
    error: PyTree | None
    step: PyTree
    flags: Mapping[str, PyTree]
    ncalls: int
    npoints: int
    failures: Mapping[str, Exception] = field(default_factory=dict)
    nlevels: PyTree | None = None


class ConstantFunctionWarning(UserWarning):
    """f was given perturbed copies of x, yet every value it returned is the same.

    Either f is constant, or it reads x through a closure and so never saw the perturbations.
    """


@dataclass(eq=False)
class Counts:
    """How often f was called, at how many points it was evaluated, and what it raised, by the name of the element.

    ``tolerant`` says whether what f raises is no error.
    """

    ncalls: int = 0
    npoints: int = 0
    failures: dict[str, Exception] = field(default_factory=dict)
    tolerant: bool = False

    @classmethod
    def of(cls, problem: Problem) -> Counts:
        """Return those of one problem."""
        counts = cls()
        counts.add(problem)
        return counts

    def add(self, problem: Problem, table: Array | None = None) -> None:
        """Add those of a problem; of failures only those that left NaN in a table with a row for each element."""
        self.ncalls += problem.ncalls
        self.npoints += problem.npoints
        self.tolerant = self.tolerant or problem.tolerant
        if problem.failures:
            memory, name_of = problem.memory, problem.parameters.element_name
            kept = None if table is None else memory.to_host(memory.xp.any(memory.xp.isnan(table), axis=1))
            self.failures |= {
                name_of(element): error
                for element, error in sorted(problem.failures.items())
                if kept is None or kept[element]
            }


@dataclass(eq=False)
class Derivatives:
    """Derivatives, flags, and steps and errors if there are any, in arrays of x's library: see `Result`."""

    value: Array
    step: Array | None
    error: Array | None
    flags: Mapping[str, Array]
    levels: Array | None = None

    @classmethod
    def of(cls, memory: Memory, slopes: Slopes, shape: Sequence[int], *, steps: bool = False) -> Derivatives:
        """Return slopes as arrays of a shape; with ``steps``, those as well, of which there are as many."""
        value = memory.assemble([slopes.value], shape)
        flags = {name: memory.assemble([flag], shape) for name, flag in slopes.flags.items()}
        if "nonfinite" in flags:  # in x's dtype, in which a large value may have become infinite
            flags["nonfinite"] = ~array_namespace(value).isfinite(value)
        return cls(
            value=value,
            step=memory.assemble([slopes.step], shape) if steps else None,
            error=None if slopes.error is None else memory.assemble([slopes.error], shape),
            flags=flags,
            levels=_whole_numbers(memory.assemble([slopes.levels], shape))
            if steps and slopes.levels is not None
            else None,
        )


def _whole_numbers(array: Array) -> Array:
    xp = array_namespace(array)
    return xp.astype(array, xp.int32)


def joined(memory: Memory, blocks: Sequence[Slopes]) -> Slopes:
    """Return the slopes of all blocks of lines, one after the other."""
    if len(blocks) == 1:
        return blocks[0]
    concat = memory.xp.concat
    errors = [block.error for block in blocks if block.error is not None]
    levels = [block.levels for block in blocks if block.levels is not None]
    return Slopes(
        value=concat([block.value for block in blocks]),
        step=concat([block.step for block in blocks]),
        error=concat(errors) if errors else None,
        flags={name: concat([block.flags[name] for block in blocks]) for name in blocks[0].flags},
        levels=concat(levels) if levels else None,
    )


def assembled(
    parts: Sequence[Derivatives],
    assemble: Callable[[Iterable[Array]], PyTree],
    options: Options,
    function: Function,
    counts: Counts,
    *,
    steps: PyTree = None,
) -> Any:
    """Return what the user asked for: the derivatives, put together, or all that is known of them; and aux with it.

    ``steps`` are given where they are not to be put together like the derivatives.
    """
    if not options.full_output:
        value = assemble([part.value for part in parts])
        return (value, function.aux) if options.has_aux else value
    whole = mapped(parts, assemble)
    flags = dict(whole.flags)
    failures = counts.failures
    if counts.tolerant and "failed" not in flags:
        flags["failed"] = _missing(whole.value, failed=bool(failures))
    if failures and not any(_has_true(leaf) for leaf in flatten(flags["failed"]).leaves):
        failures = {}
    result = Result(
        value=whole.value,
        error=whole.error,
        step=whole.step if steps is None else steps,
        flags=flags,
        ncalls=counts.ncalls,
        npoints=counts.npoints,
        failures=failures,
        nlevels=whole.levels,
    )
    return (result, function.aux) if options.has_aux else result


def mapped(parts: Sequence[Derivatives], assemble: Callable[[Sequence[Array]], Any]) -> Derivatives:
    """Return one record of several, each field assembled of theirs. What one of them lacks is left out."""
    names = list(dict.fromkeys(name for part in parts for name in part.flags))
    estimated = any(part.error is not None for part in parts)
    parts = [_with_all_fields(part, names, estimated=estimated) for part in parts]

    def assembled(fields: Sequence[Array | None]) -> Array | None:
        return None if any(part is None for part in fields) else assemble([part for part in fields if part is not None])

    return Derivatives(
        value=assembled([part.value for part in parts]),
        step=assembled([part.step for part in parts]),
        error=assembled([part.error for part in parts]) if parts else None,
        flags={name: assemble([part.flags[name] for part in parts]) for name in names},
        levels=assembled([part.levels for part in parts]) if parts else None,
    )


def _with_all_fields(part: Derivatives, names: Sequence[str], *, estimated: bool) -> Derivatives:
    """Return derivatives with respect to no elements, at which no scheme has looked, with empty errors and flags."""
    if not is_array_api_obj(part.value) or math.prod(part.value.shape) or not (names or estimated):
        return part
    xp = array_namespace(part.value)
    error = part.error if part.error is not None or not estimated else xp.abs(part.value)
    return replace(part, error=error, flags={name: xp.isfinite(part.value) for name in names})


def _has_true(mask: Any) -> bool:
    """Return whether any flag is set; of a sparse array, this is not asked."""
    return not is_array_api_obj(mask) or bool(array_namespace(mask).any(mask))


def _missing(value: PyTree, *, failed: bool) -> PyTree:
    """Return which derivatives are NaN, if f has raised anything; none, if not."""
    tree = flatten(value, "the derivative")
    masks = [array_namespace(leaf).isnan(leaf) for leaf in tree.leaves]
    return tree.rebuild([mask if failed else mask & False for mask in masks])
