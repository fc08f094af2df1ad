"""The question that a check answers: f, x and the claim; f along a line through x, and its derivatives on the host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from anygrad._typing import HostArray, PyTree
from anygrad.backends.base import Memory, resolve
from anygrad.operators.partials import partials
from anygrad.problem.function import Function, spans
from anygrad.problem.lines import direction_lines
from anygrad.problem.options import Options
from anygrad.problem.parameters import Parameters
from anygrad.problem.problem import Problem
from anygrad.problem.tree import flatten
from anygrad.schemes import Scheme
from anygrad.schemes.base import Slopes

# Points this many spacings away from x are told from it.
_TOLD = 16.0

# Arrays on the host


def on_host(leaf: Any, name: str) -> HostArray:
    """Return an array as a NumPy array of float64 (complex128) or wider; ``name`` is what an error calls it."""
    backend = resolve(leaf)
    if backend is not None and "bfloat16" in str(leaf.dtype):  # NumPy lacks it
        xp = array_namespace(leaf)
        leaf = xp.astype(leaf, xp.float32)
    dense = leaf.toarray() if backend is None and hasattr(leaf, "toarray") else leaf  # SciPy's sparse arrays
    numbers = np.asarray(dense if backend is None else backend.host(leaf))
    if numbers.dtype.kind not in "biufc":
        raise TypeError(f"{name} is {leaf!r:.60}, but a number or an array of numbers was expected")
    return numbers.astype(np.result_type(numbers.dtype, np.float64))


def spacing(leaf: Any) -> float:
    """Return the spacing of numbers at 1 in an array's dtype; float64's if the dtype is not a floating one."""
    if resolve(leaf) is not None:
        xp = array_namespace(leaf)
        if xp.isdtype(leaf.dtype, ("real floating", "complex floating")):
            return float(xp.finfo(leaf.dtype).eps)
    return float(np.finfo(np.float64).eps)


def root_mean_square(sizes: HostArray) -> float:
    """Return the root of the mean of squares, which may overflow."""
    largest = float(np.max(sizes, initial=0.0))
    return largest * float(np.sqrt(np.mean((sizes / largest) ** 2))) if largest else 0.0


def magnitudes(parameters: Parameters) -> list[HostArray]:
    """Return |x| of each element, in an array for each array; where it is 0, a typical |x| of the same array, or 1."""
    found = []
    for name, array in parameters.by_name.items():
        numbers = on_host(array, name)
        sizes = np.where(np.isfinite(numbers), np.abs(numbers), 0.0)
        found.append(np.where(sizes > 0, sizes, root_mean_square(sizes) or 1.0))
    return found


def flat(arrays: Sequence[HostArray]) -> HostArray:
    return np.concatenate([np.zeros(0), *(array.reshape(-1) for array in arrays)])


# A derivative as a table


@dataclass(frozen=True, eq=False)
class Layout:
    """How the table of derivatives, a row for each value of f and a column for each element of x, is made of arrays."""

    names: list[str]
    shapes: list[tuple[int, ...]]
    blocks: list[tuple[slice, slice]]  # the rows and columns of each array of the user's tree

    @classmethod
    def of(cls, task: Task, function: Function) -> Layout:
        """Return the layout of the derivative of f, which has been called."""
        parameters = task.parameters
        columns = spans(parameters.shapes)
        if task.kind == "grad":
            return cls(list(parameters.names), parameters.shapes, [(slice(0, 1), span) for span, _ in columns])
        rows = columns if task.kind == "hess" else function.outputs
        outer = parameters.rebuild if task.kind == "hess" else function.rebuilt
        shapes = [(*above, *below) for _, above in rows for _, below in columns]
        nested = outer([parameters.rebuild([np.broadcast_to(0.0, (*a, *b)) for _, b in columns]) for _, a in rows])
        return cls(flatten(nested, task.name).names, shapes, [(row, col) for row, _ in rows for col, _ in columns])

    def table(self, arrays: Sequence[HostArray]) -> HostArray:
        """Return arrays, or numbers for all elements of an array, as a table."""
        height = max((rows.stop for rows, _ in self.blocks), default=1)
        width = max((columns.stop for _, columns in self.blocks), default=0)
        table = np.zeros((height, width), np.result_type(float, *arrays))
        for array, shape, block in zip(arrays, self.shapes, self.blocks, strict=True):
            table[block] = np.broadcast_to(array, shape).reshape(table[block].shape)
        return table

    def largest(self, table: HostArray) -> HostArray:
        return self.table([np.max(array, initial=0.0) for array in self.arrays(table)])

    def arrays(self, table: HostArray) -> list[HostArray]:
        return [table[block].reshape(shape) for shape, block in zip(self.shapes, self.blocks, strict=True)]


@dataclass(frozen=True, eq=False)
class Estimate:
    """Derivatives found numerically, with a row for each value of f and a column for each element of x."""

    value: HostArray
    error: HostArray | None  # None if the scheme makes no estimate
    step: HostArray  # one for each column
    flags: Mapping[str, HostArray]
    ncalls: int
    failures: Mapping[str, Exception]  # what f has raised, by the name of the element

    @classmethod
    def of(
        cls,
        tables: HostArray,
        step: HostArray,
        names: Sequence[str],
        ncalls: int,
        failures: Mapping[str, Exception],
    ) -> Estimate:
        """Return an estimate from tables: the first has the derivatives, the others have these names."""
        known = dict(zip(names, tables[1:], strict=True))
        error = np.abs(known.pop("error")) if "error" in known else None
        flags = {name: np.real(table) != 0 for name, table in known.items()}
        return cls(tables[0], error, step, flags, ncalls, failures)

    def noise(self) -> float:
        """Return the noise of f if the scheme has found some with respect to any element; otherwise 0.

        It is the noise of f itself, also where the scheme takes frozen values for flat ground.
        """
        noisy = self.flag("noisy") & np.isfinite(self.value)
        if self.error is None or not np.any(noisy):
            return 0.0
        return float(np.median((self.error * self.step)[noisy]))

    def flag(self, name: str) -> HostArray:
        """Return a flag; False where the scheme has no such one."""
        return self.flags.get(name, np.zeros(self.value.shape, dtype=bool))


@dataclass(frozen=True, eq=False)
class Probe:
    """The values of f at x, evaluated several times, and at places on a line through x."""

    repeated: HostArray  # at x, (k, p)
    t: HostArray  # the places, (m,)
    values: HostArray  # there, (m, p)
    function: Function
    ncalls: int
    is_constant: bool = False  # whether f was given copies of x, and returned the same value for all of them
    failures: Mapping[str, Exception] = field(default_factory=dict)

    @property
    def spread(self) -> float:
        """How far the values of f at the same x are apart: 0 if f is deterministic."""
        finite = self.repeated[:, np.all(np.isfinite(self.repeated), axis=0)]
        return float(np.max(np.abs(finite - finite[:1]), initial=0.0))

    @property
    def changes(self) -> HostArray:
        """How far f is from f(x) at each place, (m,)."""
        changes: HostArray = np.max(np.abs(self.values - self.repeated[0]), axis=1, initial=0.0)
        return changes

    def rounding(self, eps: float) -> float:
        """Return the rounding error of a value of f in a dtype of this spacing."""
        return eps * float(np.max(np.abs(self.repeated[np.isfinite(self.repeated)]), initial=0.0))

    def flat_in_steps(self, eps: float) -> float:
        """Return the length within which f is constant, although it changes further away; 0 for other functions."""
        told = np.abs(self.t) >= _TOLD * eps  # where x can be told from its neighbours
        if not np.any(told) or self.changes[told][-1]:
            return 0.0
        length = float(np.abs(self.t[told][-1]))
        # A smooth f would have changed by this much, which its rounding does not hide.
        return length if self.typical_slope() * length > _TOLD * self.rounding(eps) else 0.0

    def typical_slope(self) -> float:
        """Return the typical size of a derivative along the line: how much f changes with t beyond its spread."""
        changes = self.changes - self.spread
        finite = np.isfinite(changes)
        longest = float(np.max(np.abs(self.t[finite]), initial=0.0))
        return float(np.max(changes[finite], initial=0.0)) / longest if longest else 0.0


# The task


@dataclass(frozen=True, eq=False)
class Task:
    """The question of a check: whether the claim is a derivative of f at x."""

    kind: str  # of derivative: grad, jac or hess
    name: str  # the user's name for it
    f: Callable[[Any], Any]
    x: PyTree
    claim: Any
    options: Options
    scheme_given: bool
    settings: Mapping[str, Any]  # NumPy's for floating-point errors, under which f and the claim are called
    fixed: PyTree = None  # elements of x that are held
    f0: Any = None  # f(x), if it is one number and known

    @cached_property
    def parameters(self) -> Parameters:
        return Parameters.of(self.x, self.fixed)

    @cached_property
    def free(self) -> NDArray[np.bool_]:
        """Which elements of x are not fixed, (n,)."""
        free = np.zeros(self.parameters.size, dtype=bool)
        free[self.parameters.elements] = True
        return free

    @property
    def free_entries(self) -> NDArray[np.bool_]:
        """Which derivatives are not 0 because an element is fixed, as a table or a row that stands for all rows."""
        return self.free & self.free[:, None] if self.kind == "hess" else self.free

    @cached_property
    def magnitudes(self) -> HostArray:
        """The magnitudes of all elements of x, (n,), see `magnitudes`; 0 where they are fixed."""
        return np.where(self.free, flat(magnitudes(self.parameters)), 0.0)

    @cached_property
    def eps(self) -> float:
        """The largest spacing of numbers at 1 in the dtypes of x."""
        return max(map(spacing, self.parameters.arrays), default=0.0)

    @property
    def n(self) -> int:
        return 2 if self.kind == "hess" else 1

    def at(self, arrays: Sequence[Any]) -> Task:
        """Return the task with other arrays in the place of those of x."""
        alone = self.parameters.alone
        return replace(self, x=self.parameters.argument(arrays[0] if alone else arrays), f0=None)

    def like_x(self, numbers: HostArray) -> PyTree:
        """Return numbers for all elements, (n,), as a tree like x."""
        parameters = self.parameters
        return parameters.rebuild([numbers[span].reshape(shape) for span, shape in spans(parameters.shapes)])

    def numbers_like_x(self, tree: PyTree) -> HostArray:
        """Return numbers for all elements, (n,), of a tree like x, whose arrays are broadcast to those of x."""
        leaves = zip(self.parameters.leaves_of(tree, "the step"), self.parameters.shapes, strict=True)
        return flat([np.broadcast_to(on_host(leaf, "the step"), shape) for leaf, shape in leaves])

    def problem(self, function: Function, parameters: Parameters, options: Options) -> Problem:
        """Return f and x, to be opened; f runs under the user's settings."""
        with np.errstate(**self.settings):
            return Problem(function, parameters, options)

    def knowing(self, probe: Probe) -> Task:
        return replace(self, f0=probe.repeated[0, 0].item()) if self.kind == "grad" else self

    def _function(self) -> Function:
        function = Function(self.f, vector=self.kind == "jac")
        if self.f0 is not None:
            function.know(self.f0)
        return function

    def probe(
        self,
        direction: HostArray,
        t: Sequence[float],
        *,
        repeats: int = 2,
        last: bool = True,
        f: Callable[[Any], Any] | None = None,
    ) -> Probe:
        """Evaluate f at x, and at x + t d; on the other side of x where bounds leave no room for t.

        With ``last``, the repetitions at x come after all else, as slow drift shows more then.
        """
        parameters = self.parameters
        function = Function(self.f if f is None else f, vector=self.kind == "jac")
        if any(backend is not parameters.backends[0] for backend in parameters.backends):
            parameters = parameters.runs()[0]
        options = replace(self.options, also={"v": direction, "t": tuple(t)})
        with self.problem(function, parameters, options) as problem:
            memory = problem.memory
            base = problem.base()
            lines = direction_lines(problem, range(memory.size), memory.from_host(direction[None, : memory.size]))
            lengths = _within_bounds(np.asarray(t, dtype=float), lines.lower, lines.upper)
            again, away = [(0.0, False)] * (repeats - 1), [(float(length), True) for length in lengths]
            points = [*away, *again] if last else [*again, *away]
            samples = lines.sample([memory.xp.full_like(lines.at, t) for t, _ in points]) if points else []
            first = base if base.ndim == 2 else base[:, None]
            values = on_host(memory.to_host(memory.xp.concat([first, *samples])), "f(x)")
            constant = problem.saw_copies and problem.is_constant()
        moved = np.array([False, *(moves for _, moves in points)])
        failures = _together(problem)
        return Probe(values[~moved], lengths, values[moved], function, problem.ncalls, constant, failures)

    def differentiate(self, scheme: Scheme, elements: HostArray | None = None, progress: Any = False) -> Estimate:
        """Differentiate f, or, of a gradient or a Jacobian, with respect to some elements alone."""
        options = replace(self.options, scheme=scheme, full_output=True, progress=progress)
        parameters, chosen = self.parameters, slice(None) if elements is None else elements
        if elements is not None:
            parameters = parameters.restricted(elements)
        with np.errstate(**self.settings):
            found = partials(self._function(), parameters, options)
        arrays = [_to_host(memory, slopes) for memory, slopes, _ in found.parts]
        names = max((names for _, _, names in arrays), key=len) or ["error"]
        # If no element of an array was differentiated, the array has neither errors nor flags.
        rows = [((0, 1 + len(names) - len(table)), (0, 0), (0, 0)) for table, _, _ in arrays]
        table = np.concatenate([np.pad(one, more) for (one, _, _), more in zip(arrays, rows, strict=True)], axis=2)
        step = np.concatenate([step for _, step, _ in arrays])
        failures = found.counts.failures
        _raise_stop(failures)
        return Estimate.of(table[:, :, chosen], step[chosen], names, found.counts.ncalls, failures)

    def along(self, v: HostArray, scheme: Scheme) -> Estimate:
        """Differentiate f along a direction, (n,), whose largest element is 1."""
        options = replace(self.options, scheme=scheme, full_output=True, also={"v": v})
        function = self._function()
        with self.problem(function, self.parameters, options) as problem:
            memory = problem.memory
            lines = direction_lines(problem, range(memory.size), memory.from_host(v[None, :]))
            tables, step, names = _to_host(memory, scheme.differentiate(lines, scheme.steps(lines)))
            failures = _together(problem)
            ncalls = problem.ncalls
        return Estimate.of(tables, step, names, ncalls, failures)


def _together(problem: Problem) -> dict[str, Exception]:
    _raise_stop(problem.failures)
    return {"several elements at a time": error for error in list(problem.failures.values())[:1]}  # noqa: B035


def _raise_stop(failures: Mapping[Any, Exception]) -> None:
    for error in failures.values():
        if isinstance(error, StopIteration):
            raise error


def _to_host(memory: Memory, slopes: Slopes) -> tuple[HostArray, HostArray, list[str]]:
    xp = memory.xp
    known = {} if slopes.error is None else {"error": slopes.error}
    known |= slopes.flags
    parts = [slopes.value, *(xp.astype(part, slopes.value.dtype) for part in known.values())]
    numbers = memory.to_host(xp.concat(parts))  # in one transfer: a lazy array is computed only once
    table = np.moveaxis(numbers.reshape(len(parts), *slopes.value.shape), 2, 1)
    return on_host(table, "the derivative"), np.abs(memory.to_host(slopes.step)[:, 0]), list(known)


def _within_bounds(t: HostArray, lower: Any, upper: Any) -> HostArray:
    if lower is None or upper is None or not t.size:
        return t
    below, above = -float(lower[0, 0]), float(upper[0, 0])
    scaled: HostArray = t * min(1.0, max(below, above) / float(np.max(t)))
    return scaled if above >= below else -scaled
