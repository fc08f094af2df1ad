"""The result of an operator: the derivative alone, or with errors, steps, flags and counts."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from array_api_compat import array_namespace, is_array_api_obj

from anygrad._stacklevel import stacklevel
from anygrad._typing import Array, PyTree
from anygrad.backends.base import Memory, resolve
from anygrad.problem.function import Function
from anygrad.problem.options import Options
from anygrad.problem.tree import flatten
from anygrad.schemes.base import Slopes

if TYPE_CHECKING:
    from anygrad.problem.problem import Problem


@dataclass(frozen=True, eq=False)
class Result:
    """A derivative with its error, steps, flags and the number of calls, as ``full_output=True`` returns it.

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
        The number of steps at which `Adaptive` sampled f for each element: an int array of x's shape, for gradients and
        derivatives; otherwise None.
    flags
        Booleans like ``value``, by the name of the flag: ``nonfinite``, ``one_sided``; with `Adaptive` also ``kink``,
        ``noisy`` and ``unconverged``; with ``on_error="nan"`` also ``failed``: NaN because f raised an exception.
    ncalls
        How often f was called.
    npoints
        At how many points f was evaluated.
    failures
        With ``on_error="nan"``: what f raised, by the element that was set, as in ``failures["x[0]"]``. Gradients and
        Jacobians keep those of elements whose derivatives are NaN; others keep all, if any derivative is NaN.
    value_at_x
        f(x), in the library and dtype of x, if it was evaluated or given as ``f0``; otherwise None.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> result = anygrad.derivative(np.abs, np.array([0.0, 2.0]), full_output=True)
    >>> result.value, result.flags["kink"], result.ncalls
    (array([0., 1.]), array([ True, False]), 13)
    """

    value: PyTree
    error: PyTree | None
    step: PyTree
    flags: Mapping[str, PyTree]
    ncalls: int
    npoints: int
    failures: Mapping[str, Exception] = field(default_factory=dict)
    nlevels: PyTree | None = None
    value_at_x: PyTree | None = None

    def __repr__(self) -> str:
        try:
            return _table(self)
        except (TypeError, ValueError, RuntimeError):  # of sparse, lazy and traced arrays, whose elements are not seen
            return f"Result(value={self.value!r}, error={self.error!r}, ncalls={self.ncalls})"


class ConstantFunctionWarning(UserWarning):
    """f was given perturbed copies of x, yet every value it returned is the same.

    Either f is constant, or it reads x through a closure and so never saw the perturbations.
    """


@dataclass(eq=False)
class Counts:
    """How often f was called, at how many points it was evaluated, and its exceptions by the name of the element.

    With ``tolerant``, an exception of f is not an error.
    """

    ncalls: int = 0
    npoints: int = 0
    failures: dict[str, Exception] = field(default_factory=dict)
    tolerant: bool = False

    def add(self, problem: Problem, table: Array | None = None) -> None:
        """Add the counts of a problem, and the failures that left NaN in a table with a row for each element."""
        self.ncalls += problem.ncalls
        self.npoints += problem.npoints
        self.tolerant = self.tolerant or problem.tolerant
        if problem.failures:
            memory, name_of = problem.memory, problem.parameters.element_name
            kept = None if table is None else memory.to_host(memory.xp.any(memory.xp.isnan(table), axis=1))
            self.failures |= {
                name_of(element): error
                for element, error in sorted(problem.failures.items())
                # A check raises a StopIteration wherever it came from.
                if kept is None or kept[element] or isinstance(error, StopIteration)
            }


def _whole_numbers(array: Array) -> Array:
    xp = array_namespace(array)
    return xp.astype(array, xp.int32)


def arrays_of(memory: Memory, slopes: Slopes, shape: Sequence[int], *, steps: bool = False) -> Slopes:
    """Return slopes as arrays of x's library and of a shape; with ``steps``, the steps as well, if they are as many.

    Otherwise the ``step`` is None.
    """
    value = memory.assemble([slopes.value], shape)
    flags = {name: memory.assemble([flag], shape) for name, flag in slopes.flags.items()}
    if "nonfinite" in flags:  # in x's dtype, in which a large value may have become infinite
        flags["nonfinite"] = ~array_namespace(value).isfinite(value)
    return Slopes(
        value=value,
        step=memory.assemble([slopes.step], shape) if steps else None,
        error=None if slopes.error is None else memory.assemble([slopes.error], shape),
        flags=flags,
        levels=_whole_numbers(memory.assemble([slopes.levels], shape)) if steps and slopes.levels is not None else None,
    )


def assembled(
    parts: Sequence[Slopes],
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
        value_at_x=value_at_x(function, options),
        nlevels=whole.levels,
    )
    return (result, function.aux) if options.has_aux else result


def value_at_x(function: Function, options: Options) -> PyTree | None:
    """Return f(x) as arrays of x's library, if it is known."""
    if function.base is None:
        return None
    memory, values = function.base
    if options.scheme.samples_complex:
        values = memory.xp.real(values)
    if not function.vector:
        return memory.assemble([values[0]], ())
    return function.rebuilt([memory.assemble([values[0, own]], shape) for own, shape in function.outputs])


def _table(result: Result) -> str:
    """Return a result as a table with a row for each element; NumPy's print options say which are left out."""
    flat = flatten(result.value, "")
    values = [_on_host(leaf) for leaf in flat.leaves]
    size = sum(value.size for value in values)
    columns = {"error": result.error, "step": result.step}
    beside = {name: found for name, tree in columns.items() if (found := _beside(values, tree)) is not None}
    flags = {name: flatten(flag).leaves for name, flag in result.flags.items()}
    options = np.get_printoptions()
    edge = options["edgeitems"] if size > options["threshold"] else size
    rows = [["", "value", *beside, "flags"]]
    for k, (name, value) in enumerate(zip(flat.names, values, strict=True)):
        marks = {flag: _on_host(leaves[k]).reshape(-1) for flag, leaves in flags.items()}
        for place, index in enumerate(np.ndindex(value.shape)):
            if edge <= place < value.size - edge:
                rows += [["..."]] if place == edge else []
                continue
            label = f"{name}[{', '.join(map(str, index))}]" if index else name
            numbers = [f"{value[index]:.8g}", *(f"{column[k][index]:.2g}" for column in beside.values())]
            rows.append([label, *numbers, ", ".join(flag for flag, mark in marks.items() if mark[place])])
    if len(rows) == 2:
        named = [f"{name}={cell}" for name, cell in zip(rows[0], rows[1], strict=True) if name and cell]
        return f"Result({', '.join([*named, f'ncalls={result.ncalls}'])})"
    widths = [max(len(row[i]) for row in rows if len(row) > i) for i in range(len(rows[0]) - 1)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:-1], widths[1:]), *row[1:][-1:]]).rstrip()
        for row in rows
    ]
    return "\n".join([f"Result of {result.ncalls} calls of f:", *lines])


def _on_host(array: Array) -> Any:
    """Return an array as NumPy's; raise if its elements cannot be looked at."""
    backend = resolve(array)
    if backend is None:
        raise TypeError
    if "bool" in str(array.dtype):
        return backend.host(array)
    memory = backend.memory(array, in_place=False)
    if memory.lazy:
        raise TypeError
    return memory.to_host(memory.elements(range(memory.size))).reshape(tuple(array.shape))


def _beside(values: Sequence[Any], tree: PyTree | None) -> list[Any] | None:
    """Return the arrays of a tree, if they are like the values."""
    found = [] if tree is None else [_on_host(leaf) for leaf in flatten(tree).leaves]
    return found if found and [own.shape for own in found] == [value.shape for value in values] else None


def mapped(parts: Sequence[Slopes], assemble: Callable[[Sequence[Array]], Any]) -> Slopes:
    """Return one record of several, each of whose fields is put together of theirs."""
    names = list(dict.fromkeys(name for part in parts for name in part.flags))
    estimated = any(part.error is not None for part in parts)
    parts = [_with_all_fields(part, names, estimated=estimated) for part in parts]
    return Slopes(
        value=assemble([part.value for part in parts]),
        step=None if any(part.step is None for part in parts) else assemble([part.step for part in parts]),
        error=assemble([part.error for part in parts]) if estimated else None,
        flags={name: assemble([part.flags[name] for part in parts]) for name in names},
        levels=None if any(part.levels is None for part in parts) else assemble([part.levels for part in parts]),
    )


def _with_all_fields(part: Slopes, names: Sequence[str], *, estimated: bool) -> Slopes:
    """Return derivatives with respect to no elements, at which no scheme has looked, with empty errors and flags."""
    if not (names or estimated) or not is_array_api_obj(part.value) or math.prod(part.value.shape):
        return part
    xp = array_namespace(part.value)
    error = part.error if part.error is not None or not estimated else xp.abs(part.value)
    return replace(part, error=error, flags={name: xp.isfinite(part.value) for name in names})


def _has_true(mask: Any) -> bool:
    """Return whether any flag is set; True for a sparse array, which is not searched."""
    return not is_array_api_obj(mask) or bool(array_namespace(mask).any(mask))


def _missing(value: PyTree, *, failed: bool) -> PyTree:
    """Return which derivatives are NaN if f has raised anything; otherwise False for all."""
    tree = flatten(value, "the derivative")
    masks = [array_namespace(leaf).isnan(leaf) for leaf in tree.leaves]
    return tree.rebuild([mask if failed else mask & False for mask in masks])


def warn_constant(names: Iterable[str]) -> None:
    """Warn that f returned the same value for every perturbed copy of the arrays named."""
    warnings.warn(
        f"f returned the same value for all perturbed copies of {', '.join(dict.fromkeys(names))}: either it is"
        " constant, or it reads the original through a closure. Write f as a function of its argument, or pass a"
        " writable NumPy, CuPy or PyTorch array with evaluator=Loop(in_place=True)",
        ConstantFunctionWarning,
        stacklevel=stacklevel(),
    )
