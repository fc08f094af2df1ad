"""Functions of one point, called with many of them: by the array library's own vmap, or with a batched array."""

from __future__ import annotations

import math
import textwrap
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from anygrad._stacklevel import stacklevel
from anygrad._typing import Array
from anygrad.backends.base import Memory, Points
from anygrad.evaluators.base import Calls, Evaluator, require_inner
from anygrad.evaluators.chunking import Call, ChunkCalls, require_room, validate_max_bytes

if TYPE_CHECKING:
    from anygrad.problem.problem import Problem

# Exceptions of tracing: errors of the library, and those that it makes of errors of f. All others are those of f.
_OF_TRACING = (AttributeError, IndexError, NotImplementedError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True)
class Vmap:
    """Call f, which is written for one point, with many points at a time.

    PyTorch has ``torch.func.vmap``; JAX has ``jax.vmap``, which is compiled by ``jax.jit`` together with what sets the
    elements of x. On NumPy, CuPy, dpnp and any other library of the array API standard, f is called with a batched
    array, which has the shape of x and does every operation for all points.

    Parameters
    ----------
    max_bytes
        How many bytes of points there may be in one call, if they are all in memory; f itself may need several times
        as much. None chooses what is usually fastest, as in `Batch`.

    fallback
        The evaluator, such as ``Loop()``, that takes over if f cannot be called with a batched array; a
        ``RuntimeWarning`` says so. None raises the error.

    Raises
    ------
    TypeError, ValueError
        If ``max_bytes`` is not a positive integer; when used, if one point takes more.
        If f does something that cannot be done for many points at once, or that its library's vmap cannot trace. With a
        batched array, the message names the operation and the line of f, and says what to write instead.

    See Also
    --------
    Batch : for an f that is written for many points.
    vmap : the same as a function.

    Notes
    -----
    With a batched array, f may branch on values: if they differ between points, f is called for each group of points
    that take the same branches, up to eight groups. For one point of each group of the first chunk, f is also called
    alone, and the values are compared. Every call counts in `Result`.

    PyTorch and JAX call f with tracers, which have no values: it may not branch on them or convert them to Python
    numbers. One call with many points counts as one in `Result`; f itself may run less often, or not at all.

    JAX compiles f anew for each derivative, since f may be a closure over what has changed. What it compiles of an f
    that is a ``jax.jit`` already is kept, for the last 32 of them, and used again.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> x = np.array([3.0, 4.0])
    >>> anygrad.numerical_gradient(lambda x: (x**2).sum(), x, evaluator=anygrad.Vmap()).round(6)
    array([6., 8.])
    """

    max_bytes: int | None = None
    fallback: Evaluator | None = None
    leading: ClassVar[bool] = False

    def __post_init__(self) -> None:
        validate_max_bytes("Vmap", self.max_bytes)
        if self.fallback is not None:
            require_inner("Vmap", "fallback", self.fallback)

    def open(self, problem: Problem) -> Calls:
        """Open a problem for sampling."""
        memory = problem.open_memory(in_place=False)
        require_room(memory, self.max_bytes)
        f = problem.function.f
        # A compiled f is kept, and must not depend on this problem: its result is unpacked outside. The result of any
        # other f is unpacked inside, so that only values are traced, and the extra output may be of any type.
        kept = problem.parameters.alone and memory.backend.compiles(f)
        one = problem.of_point()
        many = memory.vectorised(f if kept else one)
        calls = ChunkCalls(
            problem,
            memory,
            call=_batched(problem, memory) if many is None else _guarded(many, problem, memory, unpacks=kept),
            evaluator="Vmap()",
            max_bytes=self.max_bytes,
            at_x=None if problem.rows else lambda points: memory.evaluate(one, points, vector=problem.vector),
        )
        return calls if self.fallback is None else _FallingBack(calls, self.fallback, problem)


def _batched(problem: Problem, memory: Memory) -> Call:
    """Return f with batched arrays, for a library without a vmap."""
    from anygrad.evaluators.batching.parts import Many  # noqa: PLC0415 - not for PyTorch and JAX

    if memory.lazy:
        raise TypeError(
            f"x is a lazy array of {problem.parameters.library}, which Vmap() cannot take: use Loop(), or write f"
            " for points along a leading axis and use Batch()"
        )
    one, number = problem.of_point(), not problem.vector

    def of_arrays(arrays: list[Any]) -> list[Any]:
        # For a point alone, f is given what it expects: a batched array may differ from an np.matrix.
        for i, own in enumerate(memory.array if joint else [memory.array]):
            if type(arrays[i]) is np.ndarray and type(own) is not np.ndarray:
                arrays = [*arrays[:i], arrays[i].view(type(own)), *arrays[i + 1 :]]
        value = one(arrays if joint else arrays[0])
        if number and not hasattr(value, "shape"):
            memory.read(value)
        return [value] if number else value

    joint = isinstance(memory.array, list)
    many = Many(of_arrays, memory.backend.host)

    def call(points: Points) -> tuple[Any, Array]:
        given, before, values = memory.perturbed(points), many.calls, None
        try:
            values = many(given if joint else [given])
        finally:  # one call is counted with the points
            problem.count(0, many.calls - before - (values is not None))
        if number and math.prod(values[0].shape[1:]) != 1:
            memory.read(values[0][0, ...])
        return values[0] if number else values, given

    return call


class _FallingBack:
    """The calls of one evaluator, and if f cannot be batched, of another one."""

    in_place = False
    together = 1
    tolerant = False

    def __init__(self, calls: Calls, other: Evaluator, problem: Problem) -> None:
        self.memory = calls.memory
        self._calls = calls
        self._other: Evaluator | None = other
        self._problem = problem

    def evaluate(self, points: Points) -> Iterable[tuple[slice, Array | Exception]]:
        from anygrad.evaluators.batching.run import BatchingError  # noqa: PLC0415 - not for PyTorch and JAX

        if self._other is None:
            return self._calls.evaluate(points)
        try:
            return self._calls.evaluate(points)
        except BatchingError as error:
            warnings.warn(f"Vmap() falls back to {self._other!r}: {error}", RuntimeWarning, stacklevel=stacklevel())
            self._calls, self._other = self._other.open(self._problem), None
            return self._calls.evaluate(points)

    def close(self, *, failed: bool) -> None:
        self._calls.close(failed=failed)


def _guarded(many: Callable[[Points], Any], problem: Problem, memory: Memory, *, unpacks: bool) -> Call:
    """Return f of many points, with errors that speak of f of one point."""
    one, plain = problem.of_point(), problem.function.returns_number

    def called(points: Points) -> tuple[Any, None]:
        try:
            value = many(points)
        except _OF_TRACING as error:
            point = memory.array[0, ...] if problem.rows else memory.array
            _require_traced(one, point, error, memory.read if plain else None)
            raise
        if plain:  # f is written for one point: the message is about its value there
            if not hasattr(value, "shape"):
                memory.read(value)
            elif math.prod(value.shape[1:]) != 1:
                memory.read(value[0, ...])
        elif unpacks:
            value = problem.function.unpack(value, leading=1)
        return value, None

    return called


def _require_traced(
    f: Callable[[Any], Any], x: Array, error: Exception, read: Callable[[object], object] | None
) -> None:
    """Raise that f cannot be vectorised, if it can be called: otherwise the error is its own, or that of its value."""
    try:
        value = f(x)
    except Exception:
        return
    if read is not None:
        read(value)
    reason = textwrap.shorten(str(error).strip().partition("\n")[0], 100, placeholder=" ...")
    raise TypeError(
        f"f works for one point, but its library's vmap cannot call it with many at once ({type(error).__name__}:"
        f" {reason}): use Loop(), or write f for points along a leading axis and use Batch()"
    ) from error
