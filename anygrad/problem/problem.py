"""f and x, opened to be differentiated: values at points, counts and failures, and x as it was at the end."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Any, Self

import numpy as np

from anygrad._stacklevel import stopped
from anygrad._typing import Array, PyTree
from anygrad.backends.arrays import Elements
from anygrad.backends.base import Memory, Points
from anygrad.evaluators.base import Calls, Evaluator
from anygrad.problem.function import Function
from anygrad.problem.options import Meter, Options
from anygrad.problem.parameters import Parameters
from anygrad.problem.result import Counts, assembled, warn_constant
from anygrad.schemes.base import Scheme, Slopes

# How many elements of a point are named in a message.
_NAMED = 4


@dataclass(eq=False)
class Bounds:
    """Between which numbers f may be evaluated: one for each element of x, or None where there is no bound."""

    lower: Array | None = None
    upper: Array | None = None

    def clip(self, xp: Any, levels: Sequence[Array]) -> Sequence[Array]:
        """Return the numbers moved between the bounds: a rounding error must not lead beyond them."""
        if self.lower is not None:
            levels = [xp.maximum(numbers, self.lower) for numbers in levels]
        return levels if self.upper is None else [xp.minimum(numbers, self.upper) for numbers in levels]

    def of(self, choose: Callable[[Array], Array]) -> Bounds:
        """Return the bounds of some elements."""
        if self.lower is None and self.upper is None:
            return self
        return Bounds(*(None if bound is None else choose(bound) for bound in (self.lower, self.upper)))


class Problem:
    """f as a function of some arrays of x, which it is differentiated with respect to together.

    Within ``with``, f is sampled by an evaluator. x is as it was afterwards, however it ends.
    """

    # The arrays opened for perturbation, and the evaluator's calls of f.
    memory: Memory
    calls: Calls
    elements: Elements  # those with respect to which f is differentiated
    # Whether an exception of f at a point is not an error.
    tolerant: bool
    saw_copies: bool  # whether f was given copies of x
    bounds = Bounds()  # between which numbers f may be evaluated
    # At how many points f has been evaluated, and how often it has been called.
    npoints = ncalls = 0
    _base: Array | None = None
    # f of the rows at which it has been evaluated.
    _rows = np.empty(0, dtype=np.intp)
    _row_values: Array | None = None
    _first: Array | None = None
    _varied = False
    _context: AbstractContextManager[object] = nullcontext()
    _metering: AbstractContextManager[Any] = nullcontext()

    def __init__(
        self,
        function: Function,
        parameters: Parameters,
        options: Options,
        *,
        meter: Meter | None = None,
    ) -> None:
        self.function = function
        self.parameters = parameters
        self.options = options
        # The scheme, with the steps for these arrays.
        self.scheme: Scheme = options.scheme if parameters.alone else parameters.scheme(options.scheme)
        self.failures: dict[int, Exception] = {}  # exceptions of f, by element
        self.rows = parameters.rows
        # Whether f returns arrays, whose elements are all values, and not one number.
        self.vector = function.vector
        # Whether progress is reported with each call; an evaluator that keeps values turns this off, and reports later.
        self.reports = meter is not None
        self._meter = meter
        self._spread: dict[int, tuple[object, Array]] = {}
        # NaN and inf show in the result; NumPy need not warn of them. f itself runs under the caller's settings.
        self._settings = np.geterr()
        self._quiet = np.errstate(all="ignore")

    @classmethod
    def joint(cls, function: Function, parameters: Parameters, options: Options, calls: int | None = None) -> Self:
        """Return f as a function of all arrays of x together; about ``calls`` calls are expected."""
        parameters.require_some()
        problem = cls(function, parameters, options)
        problem._metering = options.meter(calls or 0)
        return problem

    def __enter__(self) -> Self:
        self._context = self.parameters.context()
        if not isinstance(self._context, nullcontext):
            self._context.__enter__()
        try:
            if not isinstance(self._metering, nullcontext):
                self._meter = self._metering.__enter__()
                self.reports = True
            self.calls = self.options.evaluator.open(self)
            self.memory = self.calls.memory
            self.tolerant = self.calls.tolerant
            free = self.parameters.leaves.free
            self.elements = range(self.memory.size) if free is None else self.parameters.elements
            self._varied = self.calls.memory.in_place and not self.parameters.converted
            self.saw_copies = not self._varied and self.memory.size > 0
            self._quiet.__enter__()
        except BaseException as error:
            self._leave(error)
            raise
        try:
            if not self.parameters.alone and (self.calls.in_place or any(own.in_place for own, _ in self.memory.parts)):
                self.parameters.require_distinct()
            if self.options.bounds is not None:
                self.bounds = bounds_of(self.memory, self.parameters, self.options.bounds)
            wanted = self.options.with_value or (self.options.full_output and self.function.f0 is not None)
            if (wanted or (self.function.has_aux and self.function.f0 is None)) and not self.rows:
                self.base()  # it, or its extra output, is wanted
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.calls.close(failed=kind is not None)
        except BaseException:
            self.calls.close(failed=True)  # x is put back whatever has interrupted this
            raise
        finally:
            del self.calls  # they refer to this problem: without them, the copy of x is freed at once
            self._quiet.__exit__(kind, error, trace)
            self._leave(error)
        if error is not None and (stop := stopped(error)):
            raise stop from None
        if isinstance(error, TypeError) and (misfit := self.function.misfit()):
            raise TypeError(misfit) from None

    def _leave(self, error: BaseException | None) -> None:
        kind, trace = (None, None) if error is None else (type(error), error.__traceback__)
        for context in (self._context, self._metering):
            if not isinstance(context, nullcontext):
                context.__exit__(kind, error, trace)

    # For evaluators

    def open_memory(self, *, in_place: bool) -> Memory:
        """Return x opened for perturbation; in place only if x can be written safely."""
        memory = self.parameters.memory(in_place=in_place, complexified=self.options.scheme.samples_complex)
        if memory.xp is np or memory.lazy or not getattr(self.options.scheme, "inspects_values", False):
            return memory
        from anygrad.backends.device import computed_on_host  # noqa: PLC0415 - for arrays on a device alone

        return computed_on_host(memory)

    def of_point(self, written: Memory | None = None) -> Callable[[Any], Any]:
        """Return f as a function of what a memory holds for one point; what it returns is unpacked.

        For a memory that is ``written`` in place, the argument of f is put together once.
        """
        f, unpack, parameters = self.function.f, self.function.unpack, self.parameters
        if not parameters.alone or parameters.takes_scalars:
            if written is None or written.cells is None or parameters.takes_scalars:
                user_f, argument = f, parameters.argument
                f = lambda arrays: user_f(argument(arrays))  # noqa: E731
            else:
                f = _of_tree(f, parameters, written.array)
        return f if self.function.returns_number else lambda arrays: unpack(f(arrays))

    def of_points(self) -> Callable[[Any], Any]:
        """Return f, written for many points, as a function of what a memory holds for these."""
        f, unpack, parameters = self.function.f, self.function.unpack, self.parameters
        if not parameters.alone:
            user_f, argument = f, parameters.many_arguments
            f = lambda arrays: user_f(argument(arrays))  # noqa: E731
        return f if self.function.returns_number else lambda arrays: unpack(f(arrays), leading=1)

    def for_worker(self, evaluator: Evaluator) -> Callable[[], Problem]:
        """Return a maker of the same problem for another thread or, pickled, for another process."""
        # All that f is called with; what only the caller needs, which may be large or impossible to pickle, stays here.
        options = replace(self.options, evaluator=evaluator, bounds=None, f0=None, progress=False, also={})
        return partial(_of_worker, self.function.f, self.function, self.parameters, options)

    def count(self, points: int, calls: int | None = None) -> None:
        """Add points that have been evaluated, and calls of f if they are not as many."""
        self.npoints += points
        self.ncalls += points if calls is None else calls
        if self.reports:
            self.progress(points)

    def progress(self, points: int) -> None:
        """Report points whose values are known."""
        if self._meter is not None and points:
            self._meter.advance(points)

    def describe(self, points: Points, i: int) -> str:
        """Return which elements a point sets, and to what, as in ``x[0] = 1.0001``."""
        if not points.width:
            return "x itself"
        point = points[i : i + 1]
        numbers = self.memory.to_host(point.numbers)[0].tolist()
        elements = point.each[0].tolist()
        named = [f"{self.parameters.element_name(e)} = {n!r}" for e, n in zip(elements[:_NAMED], numbers, strict=False)]
        part = (
            "" if point.part is None or not self.memory.complex else (" (real part)", " (imaginary part)")[point.part]
        )
        more = f" and {len(elements) - _NAMED} others" if len(elements) > _NAMED else ""
        return f"{', '.join(named)}{part}{more}"

    # For lines

    def values(self, points: Points) -> Array:
        """Return f's values at points, (k,), or (k, p) of a vector function."""
        if self.tolerant and points.width and self.vector and self.function.shapes is None:
            self.base()  # NaN is to have the shapes of f's values
        with np.errstate(**self._settings):
            pieces = list(self.calls.evaluate(points))
        if len(pieces) == 1 and not isinstance(pieces[0][1], Exception):
            values: Array = pieces[0][1]
        else:
            pieces.sort(key=lambda piece: piece[0].start)
            values = self.memory.xp.concat(self._without_failures(points, pieces))
        if self._first is None:
            self._first = values[0, ...]
        if not self._varied and not self.memory.lazy:
            self._varied = self._vary(values)
        return values

    def base(self) -> Array:
        """Return f(x), (1,) or (1, p); it is evaluated once."""
        if self._base is None:
            known = self._known_base()
            self._base = self.values(at_x()) if known is None else known
            self.function.base = self.memory, self._base
        return self._base

    def bases(self, elements: Elements) -> Array:
        """Return f(x) for each of the elements, one for all; of rows, that of the row of each."""
        if not self.rows:
            return self.base()
        memory = self.memory
        assert memory.row is not None
        rows = np.asarray(elements, dtype=np.intp) // max(1, memory.row)
        missing = np.setdiff1d(rows, self._rows)
        if missing.size:
            first = missing * memory.row
            own = memory.elements(first)
            # A row with one element set to the number that it already is.
            numbers = memory.xp.reshape(memory.xp.real(own) if memory.complex else own, (-1, 1))
            values = self.values(Points(first, numbers, 0))
            self._rows = np.concatenate([self._rows, missing])
            self._row_values = values if self._row_values is None else memory.xp.concat([self._row_values, values])
        order = np.argsort(self._rows)
        places = order[np.searchsorted(self._rows, rows, sorter=order)]
        return memory.xp.take(self._row_values, memory.index_array(places), axis=0)

    def spread(self, value: object, name: str = "the step") -> Array:
        """Return a number or an array like x as a number for each element. Blocks ask for the same one in turn."""
        key = id(value)
        if key not in self._spread:
            self._spread[key] = value, self.memory.spread(value, name)
        return self._spread[key][1]

    # For operators

    def is_constant(self) -> bool:
        """Return whether f may have missed the perturbations: it was given copies of x, and never changed.

        This may take one more call of f, f(x), where all other values are the same.
        """
        if self._varied or self._first is None or self.memory.lazy:
            return False
        if not self.memory.size or not math.prod(self._first.shape):  # nothing to see, or nothing to show it
            return False
        # x**2 at 0 has the same value at -h and h: f(x) tells it from a constant.
        return not self._differs(self.bases(range(self.memory.size) if self.rows else range(0)))

    def warn_if_constant(self) -> None:
        """Warn if f may have missed the perturbations."""
        if self.is_constant():
            warn_constant(self.parameters.names)

    def result(
        self, parts: Sequence[Slopes], assemble: Callable[[Iterable[Array]], PyTree], *, steps: PyTree = None
    ) -> Any:
        """Return what the user asked for, given the derivatives as arrays: see `assembled`."""
        counts = Counts()
        counts.add(self)
        return assembled(parts, assemble, self.options, self.function, counts, steps=steps)

    def _known_base(self) -> Array | None:
        memory, function = self.memory, self.function
        if function.base is not None:
            other, values = function.base
            if other.xp is memory.xp and other.backend is memory.backend:
                return values
            if not (other.lazy or memory.lazy):
                return memory.from_host(other.to_host(values))
        if function.f0 is None:
            return None
        results = memory.results(1)
        try:
            results.append(memory.read_arrays(function.f0) if function.vector else memory.read(function.f0))
        except (TypeError, ValueError) as error:  # it is read as what f returns, but f has not been called
            raise type(error)(str(error).replace("f returned", "f0 is", 1)) from None
        return memory.gathered(results)

    def _without_failures(self, points: Points, pieces: Sequence[tuple[slice, Any]]) -> list[Array]:
        """Return values, NaN in the place of exceptions, which are kept."""
        values: list[Array] = []
        nothing: Array = None
        for span, value in pieces:
            if isinstance(value, Exception):
                if nothing is None:
                    nothing = self._nothing([own for _, own in pieces if not isinstance(own, Exception)])
                for element in points[span].each.reshape(-1).tolist():
                    self.failures.setdefault(element, value)
                values.append(nothing)
            else:
                values.append(value)
        return values

    def _nothing(self, others: Sequence[Array]) -> Array:
        """Return NaN for one value of f, of whatever shape it is: f(x) knows, if there is nothing else."""
        xp = self.memory.xp
        if others:
            alike = others[0][:1, ...]
        elif self.vector:
            alike = self.base()
        else:
            numbers = self.memory.elements(range(1))
            alike = xp.real(numbers) if self.memory.complex else numbers
        return xp.full_like(alike, float("nan"))

    def _vary(self, values: Array) -> bool:
        first, last = values[0, ...], values[-1, ...]
        # The usual case, tested first: it fetches one number from a device instead of two.
        if first.ndim == 0 and 0 < float(abs(first - last)) < math.inf:
            return True
        return self._differs(values)

    def _differs(self, values: Array) -> bool:
        """Return whether any value is not the first one, where non-finite ones count as different.

        They give no gradient of 0.
        """
        xp = self.memory.xp
        return not bool(xp.all((values == self._first) & xp.isfinite(values)))


def _of_worker(f: Callable[[Any], Any], function: Function, *args: Any) -> Problem:
    function = copy.copy(function)  # threads must not learn from each other what f returns
    function.f = f
    return Problem(function, *args)


def _of_tree(f: Callable[[Any], Any], parameters: Parameters, arrays: Sequence[Array]) -> Callable[[Any], Any]:
    """Return f of arrays that are written in place, whose tree is put together once.

    Only an f whose first call has changed the containers of its argument is given new ones at each call.
    """
    tree, leaves = parameters.argument(arrays), parameters.leaves

    def of_tree(_: Any) -> Any:
        if leaves.kept is False:
            return f(parameters.argument(arrays))
        value = f(tree)
        if leaves.kept is None:
            leaves.kept = parameters.holds(tree, arrays)
        return value

    return of_tree


def at_x() -> Points:
    """Return the one point at which no element is set."""
    return Points(range(0), np.empty((1, 0)))


def bounds_of(memory: Memory, parameters: Parameters, given: tuple[Any, Any]) -> Bounds:
    """Return the bounds of each element, rounded to x's dtype; raise if x is outside of them."""
    if given[0] is None and given[1] is None:
        return Bounds()
    if memory.complex:
        raise TypeError(
            "x is complex, but bounds need real numbers: write f as a function of the real and imaginary parts"
        )
    own = parameters.bounds(given)
    assert own is not None
    every = range(memory.size)
    lower, upper = (
        # In x's dtype: 0.7 in float32 is below 0.7.
        None if bound is None else memory.round(every, memory.spread(bound, name))
        for bound, name in zip(own, ("the lower bound", "the upper bound"), strict=True)
    )
    bounds = Bounds(lower, upper)
    xp, at = memory.xp, memory.elements(every)
    # A bound that is NaN lets nothing in.
    outside = ~((at >= (at if lower is None else lower)) & (at <= (at if upper is None else upper)))
    if memory.lazy:  # which elements lie outside is not known here: their derivatives are NaN
        return bounds.of(lambda bound: xp.where(outside, xp.nan, bound))
    if lower is not None and upper is not None and (place := _first(xp, lower > upper)) is not None:
        raise ValueError(
            f"{_interval(bounds, place)} was given for {parameters.element_name(place)}, but the lower bound comes"
            " first: write bounds=(lower, upper), with numbers or arrays like x"
        )
    if (place := _first(xp, outside & ~xp.isnan(at))) is not None:
        raise ValueError(
            f"x lies outside its bounds: {parameters.element_name(place)} is {float(at[place])!r}, but"
            f" {_interval(bounds, place)} was given. Move x inside, or widen the bounds"
        )
    return bounds


def _first(xp: Any, mask: Array) -> int | None:
    """Return the first place where a mask is true."""
    places = xp.nonzero(mask)[0]
    return int(places[0]) if places.shape[0] else None


def _interval(bounds: Bounds, place: int) -> str:
    lower, upper = ("None" if bound is None else repr(float(bound[place])) for bound in (bounds.lower, bounds.upper))
    return f"bounds=({lower}, {upper})"
