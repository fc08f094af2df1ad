"""Many points in one call of f, a chunk of them after the other."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from anygrad._stacklevel import raised_here
from anygrad._typing import Array
from anygrad.backends.base import Memory, Points, modified
from anygrad.backends.returned import UNDECLARED_AUX
from anygrad.evaluators.base import note_points

if TYPE_CHECKING:
    from anygrad.problem.problem import Problem

Call: TypeAlias = Callable[[Points], tuple[Any, Array | None]]


class ChunkCalls:
    """Calls of f with a chunk of points each.

    Parameters
    ----------
    call
        Calls f with points: returns its values, with a leading axis, and its argument, if f may have written to it.
    evaluator
        How an error names the evaluator.
    at_x
        Evaluates f at x itself; None if that is a chunk of one point.
    check
        Checks the values of the first chunk of several points; it may ask for the value of the first point alone.
    """

    in_place = False
    together = 1

    def __init__(
        self,
        problem: Problem,
        memory: Memory,
        *,
        call: Call,
        evaluator: str,
        max_bytes: int | None,
        at_x: Callable[[Points], Array] | None = None,
        check: Callable[[Array, Callable[[], Array]], None] | None = None,
        tolerant: bool = False,
    ) -> None:
        self.memory = memory
        self.tolerant = tolerant
        self._problem = problem
        self._call = call
        self._read = _reader(memory, vector=problem.vector, evaluator=evaluator)
        self._at_x = at_x
        self._check = check
        self._bytes = memory.chunk_bytes if max_bytes is None else max_bytes
        self._looked = False

    def evaluate(self, points: Points) -> Sequence[tuple[slice, Array | Exception]]:
        if not points.width and self._at_x is not None:
            values = self._at_x(points)
            self._problem.count(1)
            return [(slice(0, 1), values)]
        spans = self.memory.chunks(points, self._bytes)
        if self.tolerant:
            return [piece for span in spans for piece in self._tolerantly(points, span)]
        chunks = [self._evaluated(points, span) for span in spans]
        return [(slice(0, len(points)), chunks[0] if len(chunks) == 1 else self.memory.xp.concat(chunks))]

    def close(self, *, failed: bool) -> None:
        pass

    def _evaluated(self, points: Points, span: slice) -> Array:
        chunk = points[span]
        values = self._chunk(chunk, last=span.stop == len(points))
        if self._check is not None and len(chunk) > 1:
            check, self._check = self._check, None
            check(values, lambda: self._chunk(chunk[:1], last=False))
        return values

    def _tolerantly(self, points: Points, span: slice) -> list[tuple[slice, Array | Exception]]:
        try:
            return [(span, self._evaluated(points, span))]
        except Exception as error:
            if not points.width or raised_here(error):
                raise
            if span.stop - span.start == 1:
                self._problem.count(1)
                return [(span, error)]
        # Which of the points it was shows when each is on its own.
        return [piece for i in range(span.start, span.stop) for piece in self._tolerantly(points, slice(i, i + 1))]

    def _chunk(self, points: Points, *, last: bool) -> Array:
        try:
            value, given = self._call(points)
        except Exception as error:
            if not (self.tolerant or raised_here(error)):
                note_points(error, self._problem, points)
            raise
        self._problem.count(len(points), 1)
        values = self._read(value, len(points))
        if given is not None and (last or not self._looked):
            self._looked = True
            if not self.memory.is_perturbed(given, points):
                raise modified()
        return values


def validate_max_bytes(evaluator: str, max_bytes: int | None) -> None:
    """Raise unless ``max_bytes`` is None or a positive number of bytes."""
    if max_bytes is None:
        return
    if isinstance(max_bytes, bool) or not isinstance(max_bytes, numbers.Integral):
        raise TypeError(
            f"{evaluator}(max_bytes={max_bytes!r}): max_bytes must be an integer such as 2**20, or None for the default"
        )
    if max_bytes < 1:
        raise ValueError(f"{evaluator}(max_bytes={max_bytes!r}): max_bytes must be positive, such as 2**20")


def require_room(memory: Memory, max_bytes: int | None) -> None:
    """Raise if not one point fits."""
    if max_bytes is not None and memory.point_bytes > max_bytes:
        raise ValueError(
            f"max_bytes is {max_bytes}, but one point takes {memory.point_bytes} bytes: give at least that, or None for"
            " the default"
        )


def _reader(memory: Memory, *, vector: bool, evaluator: str) -> Callable[[Any, int], Array]:
    """Return what reads the values that f returned for so many points, and raises if they are not one for each."""

    def read_arrays(value: Any, count: int) -> Array:
        for part in value:
            _require_leading(part, count, evaluator)
        return memory.read_many(value, count, vector=True)

    def read_numbers(value: Any, count: int) -> Array:
        if getattr(value, "shape", None) != (count,):
            _require_leading(value, count, evaluator)
            table = memory.read_many([value], count, vector=True)
            if table.shape[1] != 1:
                raise ValueError(
                    f"f returned an array of shape {_shape(value)} for {count} points, but one of shape {(count,)} was"
                    " expected, a number for each point: reduce it, as in y.sum(axis=-1), or use anygrad.jacobian(f, x)"
                )
            return table[:, 0]
        return memory.read_many(value, count)

    return read_arrays if vector else read_numbers


def _require_leading(value: Any, count: int, evaluator: str) -> None:
    shape = _shape(value)
    if shape[:1] != (count,):
        raise ValueError(
            f"f returned {_described(value, shape)} for {count} points, but {evaluator} needs an array with a first"
            f" axis of length {count}, a value for each point. The first axis of f's argument counts the points; let f"
            " work along the others, as in x.sum(axis=-1), or use Loop()"
        )


def _described(value: Any, shape: tuple[int, ...]) -> str:
    if shape:
        return f"an array of shape {shape}"
    if hasattr(value, "shape") or isinstance(value, numbers.Number):
        return "a number"
    if isinstance(value, tuple) and len(value) == 2:
        return f"a tuple ({UNDECLARED_AUX})"
    return "None (does it lack a return statement?)" if value is None else f"{value!r:.60}"


def _shape(value: Any) -> tuple[int, ...]:
    if isinstance(value, list):
        return (len(value), *_shape(value[0])) if value else (0,)
    return tuple(getattr(value, "shape", ()))
