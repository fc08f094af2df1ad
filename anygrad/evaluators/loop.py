"""One call of f after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from anygrad._stacklevel import raised_here
from anygrad._typing import Array
from anygrad.backends.base import Memory, Points, modified, restored
from anygrad.evaluators.base import Calls, note_points, require_on_error

if TYPE_CHECKING:
    from anygrad.problem.problem import Problem


@dataclass(frozen=True)
class Loop:
    """Call f at one point after the other, as a loop does.

    Parameters
    ----------
    in_place
        Whether x itself is perturbed, one element at a time, so that functions which ignore their argument and
        read the array through a closure (``lambda W: net.loss(x, t)``) see it. Each element is put back to the
        last bit, whatever f raises. If False, or if x cannot be written safely (a read-only, broadcast or
        immutable array), f is given private copies, and a `ConstantFunctionWarning` is issued if its values
        never change.
    graph
        Whether to record f as a CUDA graph, for arrays of CuPy and PyTorch on a CUDA device. f is called at the first
        points; then its work on the device is recorded, and repeated at the others without calling f, which takes a
        tenth of the time for small arrays. The numbers are the same. This serves points that differ from x in one
        element, as in gradients and Jacobians; at all others f is called. If f cannot be recorded, it is called at
        every point, and a `RuntimeWarning` says why.
    on_error
        What to do if f raises an exception (not KeyboardInterrupt and the like). ``"raise"`` raises it, with a note of
        the point, and x restored. ``"nan"`` counts the point as NaN and goes on with the others: derivatives that are
        NaN for this reason have the flag ``"failed"``, and the `Result` keeps the exceptions as its ``failures``.

    Raises
    ------
    TypeError, ValueError
        If ``in_place`` or ``graph`` is not True or False, or ``on_error`` not ``"raise"`` or ``"nan"``.

    See Also
    --------
    Batch, Vmap : many points in one call of f.
    Pool : calls side by side, in threads or processes.
    Journal : stores the values in a file.

    Notes
    -----
    While x is perturbed in place, no other thread may use it: give each of several threads that differentiate at one x
    a copy of its own, or let all of them use ``Loop(in_place=False)``, which makes one.

    Only the work of f on the device is recorded. All else that f does, such as counting its calls, happens only at the
    few points at which f is called; ``ncalls`` counts all points. f must not wait for the device
    (``float(y)``, ``if y > 0``, ``x[x > 0]``), nor copy anything to it or from it. CuPy records no calls of cuBLAS,
    cuSOLVER and cuRAND. Recording takes about as long as 20 calls of f.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> anygrad.numerical_gradient(lambda x: x @ x, np.array([1.0, 2.0]), evaluator=anygrad.Loop(in_place=False))
    array([2., 4.])
    """

    in_place: bool = True
    graph: bool = False
    on_error: str = "raise"
    leading: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name in ("in_place", "graph"):
            if not isinstance(value := getattr(self, name), (bool, np.bool_)):
                raise TypeError(f"Loop({name}={value!r:.60}): {name} must be True or False")
        require_on_error("Loop", self.on_error)

    def open(self, problem: Problem) -> Calls:
        """Open a problem for sampling."""
        calls = LoopCalls(problem, problem.open_memory(in_place=self.in_place), tolerant=self.on_error == "nan")
        if not self.graph:
            return calls
        from anygrad.backends.cuda_graph import GraphCalls  # noqa: PLC0415 - for devices that record graphs

        return GraphCalls(problem, calls)


class LoopCalls:
    """Calls of f at one point after the other, at x itself or at a copy of it."""

    together = 1

    def __init__(self, problem: Problem, memory: Memory, *, tolerant: bool = False) -> None:
        self.memory = memory
        self.in_place = memory.in_place
        self.tolerant = tolerant
        self._problem = problem
        self._vector = problem.vector
        self._f = problem.of_point(memory)
        if problem.reports:
            self._f = _reporting(self._f, problem)

    def evaluate(self, points: Points) -> Sequence[tuple[slice, Array | Exception]]:
        problem, count = self._problem, points.numbers.shape[0]
        if self.tolerant and points.width:
            values = self._tolerantly(points)
        else:
            try:
                values = [(slice(0, count), self.memory.evaluate(self._f, points, vector=self._vector))]
            except Exception as error:
                if self.memory.reached < count and not raised_here(error):
                    note_points(error, problem, points[self.memory.reached : self.memory.reached + 1])
                raise
        if not problem.reports:
            problem.count(count)
        return values

    def close(self, *, failed: bool) -> None:
        if restored(self.memory) and not failed:
            raise modified()

    def _tolerantly(self, points: Points) -> list[tuple[slice, Array | Exception]]:
        f = Tolerant(self._f, self._problem)
        values = self.memory.evaluate(f, points, vector=self._vector)
        pieces: list[tuple[slice, Array | Exception]] = []
        start = 0
        for i, error in f.failures.items():
            pieces += [(slice(start, i), values[start:i, ...])] if i > start else []
            pieces.append((slice(i, i + 1), error))
            start = i + 1
        return pieces + ([(slice(start, len(points)), values[start:, ...])] if start < len(points) else [])


class Tolerant:
    """f, returning NaN where it raises an exception.

    Attributes
    ----------
    failures
        The exceptions, by the number of the call.
    """

    def __init__(self, f: Callable[[Any], Any], problem: Problem) -> None:
        self.failures: dict[int, Exception] = {}
        self._f = f
        self._problem = problem
        self._calls = 0

    def __call__(self, x: Any) -> Any:
        self._calls += 1
        try:
            return self._f(x)
        except Exception as error:
            if raised_here(error):
                raise
            self.failures[self._calls - 1] = error
            return self._nothing()

    def _nothing(self) -> Any:
        """Return NaN as f returns a value, unpacked."""
        function = self._problem.function
        if not function.vector:
            return float("nan")
        return [np.full(shape, np.nan).tolist() if shape else float("nan") for shape in function.shapes or ()]


def _reporting(f: Callable[[Any], Any], problem: Problem) -> Callable[[Any], Any]:
    def reporting(x: Any) -> Any:
        value = f(x)
        problem.count(1)
        return value

    return reporting
