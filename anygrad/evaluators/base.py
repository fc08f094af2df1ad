"""The evaluator protocol: how f is called at the points that a scheme asks for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from anygrad._typing import Array
from anygrad.backends.base import Memory, Points

if TYPE_CHECKING:
    from anygrad.problem.problem import Problem


class Calls(Protocol):
    """f and x of one `Problem`, opened by an evaluator.

    Attributes
    ----------
    memory
        x, opened for perturbation.
    in_place
        Whether x itself, or a worker's copy of it, is perturbed, so that f sees the change through a closure too.
        Arrays that share memory with x then change with it.
    together
        The least number of elements to ask for at a time, so that all workers are busy.
    tolerant
        Whether an exception of f at a point is returned instead of raised.
    """

    memory: Memory
    in_place: bool
    together: int
    tolerant: bool

    def evaluate(self, points: Points) -> Iterable[tuple[slice, Array | Exception]]:
        """Return f's values, (k,) or (k, p), at one slice of the points after another, in any order.

        Points are reported to `Problem.count` as they are evaluated. f is not called inside a generator, which would
        turn a StopIteration of f into a RuntimeError.
        """
        ...

    def close(self, *, failed: bool) -> None:
        """Put x back, however often this is interrupted, and end what was opened."""
        ...


class Evaluator(Protocol):
    """A frozen object that says how f is called.

    Attributes
    ----------
    leading
        Whether f is written for many points, along a leading axis of its argument and of what it returns.
    """

    @property
    def leading(self) -> bool: ...

    def open(self, problem: Problem) -> Calls:
        """Open a problem for sampling."""
        ...


def require_on_error(evaluator: str, on_error: object) -> None:
    """Raise unless ``on_error`` is ``"raise"`` or ``"nan"``."""
    if on_error not in ("raise", "nan"):
        raise ValueError(f"{evaluator}(on_error={on_error!r:.60}): on_error must be 'raise' or 'nan'")


def require_inner(evaluator: str, name: str, inner: object) -> None:
    """Raise unless the evaluator that another one uses can be opened."""
    if isinstance(inner, type) or not hasattr(inner, "open"):
        raise TypeError(f"{evaluator}({name}={inner!r:.60}): {name} must be an evaluator, such as anygrad.Loop()")


def note_points(error: Exception, problem: Problem, points: Points) -> None:
    """Add a note to an exception of f: the points at which f was evaluated, and how to go on in spite of it."""
    others = f", and at {len(points) - 1} other points" if len(points) > 1 else ""
    may_go_on = points.width and hasattr(problem.options.evaluator, "on_error")
    hint = "; with on_error='nan', such a point counts as NaN" if may_go_on else ""
    error.add_note(f"f was called with {problem.describe(points, 0)}{others}{hint}")
