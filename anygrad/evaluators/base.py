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
        Whether f sees x change through a closure too: whether it is x itself that is perturbed, or another process's
        likeness of it. Arrays that share memory with x then change with it.
    together
        How many elements are to be asked for at a time at least, for their points to be evaluated side by side.
    tolerant
        Whether an exception that f raises at a point is returned, and is no error.
    """

    memory: Memory
    in_place: bool
    together: int
    tolerant: bool

    def evaluate(self, points: Points) -> Iterable[tuple[slice, Array | Exception]]:
        """Return f's values at some of the points after the other, (k,) or (k, p), in any order.

        Points are reported to `Problem.count` as they are evaluated. f is not called by a generator, which would make
        another exception of a StopIteration that it raises.
        """
        ...

    def close(self, *, failed: bool) -> None:
        """End what was opened. x is as it was, however often this is interrupted."""
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
    """Raise unless that is one of the two things that can happen where f raises."""
    if on_error not in ("raise", "nan"):
        raise ValueError(f"{evaluator}(on_error={on_error!r:.60}): on_error must be 'raise' or 'nan'")


def note_points(error: Exception, problem: Problem, points: Points) -> None:
    """Add a note to an exception of f: at which points f was evaluated, and how to go on all the same."""
    others = f", and at {len(points) - 1} other points" if len(points) > 1 else ""
    may_go_on = points.width and hasattr(problem.options.evaluator, "on_error")
    hint = "; with on_error='nan', such a point counts as NaN" if may_go_on else ""
    error.add_note(f"f was evaluated with {problem.describe(points, 0)}{others}{hint}")
