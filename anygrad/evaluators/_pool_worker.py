"""The code that a worker of a pool runs: it evaluates f at some points, and keeps its own x for the next ones."""

from __future__ import annotations

import pickle
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from importlib import import_module
from multiprocessing import current_process
from typing import TYPE_CHECKING, Any

import numpy as np

from anygrad._typing import Array, PyTree
from anygrad.backends.base import Points
from anygrad.backends.modes import after_fork, under

if TYPE_CHECKING:
    from anygrad.problem.problem import Problem


@dataclass(eq=False)
class Task:
    start: int  # the number of its first point
    points: Points
    complete: bool = False  # whether f and x are sent with it in any case
    deaths: int = 0  # of workers that had it


@dataclass(eq=False)
class Answer:
    start: int
    pieces: Sequence[tuple[slice, Array | BaseException]] = ()  # as `Calls.evaluate` yields them
    seconds: float = 0.0
    output: PyTree | None = None  # arrays of the shapes that f returned, if the worker has just learned these
    missed: bool = False  # whether f and x are to be sent with the task first


@dataclass(eq=False)
class Worker:
    """One problem in one process."""

    make: Callable[[], Problem]
    settings: Mapping[str, Any]  # NumPy's error settings of the caller,
    modes: Mapping[str, object]  # and the modes of libraries
    # Opened problems, one for each task at a time: each task needs an x of its own.
    free: list[Problem] = field(default_factory=list)

    def answer(self, task: Task) -> Answer:
        try:
            problem, opened = self.free.pop(), True
        except IndexError:
            problem, opened = self.make(), False
        function, known = problem.function, problem.function.shapes
        with under(self.modes), problem.parameters.context(), np.errstate(**self.settings):
            if not opened:
                problem.calls = problem.options.evaluator.open(problem)
                problem.memory = problem.calls.memory
            start = time.perf_counter()
            try:
                pieces: list[Any] = list(problem.calls.evaluate(task.points))
                problem.calls.close(failed=False)
            except (Exception, SystemExit) as error:  # some executors would wait for ever for a worker that exits
                pieces = [(slice(0, len(task.points)), error)]
            seconds = time.perf_counter() - start
        self.free.append(problem)  # not after an interrupt, which leaves x as it happens to be
        learned = function.rebuilt(map(np.empty, function.shapes)) if function.shapes and not known else None
        return Answer(task.start, pieces, seconds, learned)


# Module state: a task comes with a key, and f and x with the first of them only. The oldest problems are forgotten.
_MOST = 3
_known: dict[str, Worker] = {}


def answer_elsewhere(key: str, sent: bytes | None, task: Task) -> bytes:
    """Answer a task in another process, in a pickle."""
    worker = _known.get(key)
    if worker is None:
        if sent is None:
            return pickle.dumps(Answer(task.start, missed=True))
        worker = _known[key] = pickle.loads(sent)
        for oldest in list(_known)[:-_MOST]:
            _known.pop(oldest, None)
    answer = worker.answer(task)
    pieces = [(span, _sendable(v) if isinstance(v, BaseException) else v) for span, v in answer.pieces]
    return imported("cloudpickle").dumps(replace(answer, pieces=pieces))  # type: ignore[no-any-return]


def imported(extra: str) -> Any:
    try:
        return import_module(extra)
    except ImportError:
        raise ImportError(
            f"Pool needs {extra} for processes, but it is not installed: pip install loky cloudpickle, or use threads,"
            " as in Pool(concurrent.futures.ThreadPoolExecutor())"
        ) from None


def arrived(context: Callable[[], AbstractContextManager[object]], sent: bytes) -> Problem:
    """Make the problem that was sent to this process."""
    if type(current_process()).__name__ == "ForkProcess":
        after_fork()
    with context():
        return pickle.loads(sent)()  # type: ignore[no-any-return]


def _sendable(error: BaseException) -> BaseException:
    """Return an exception of f with its traceback as a note; a RuntimeError with its text if it cannot be pickled."""
    notes = error.__dict__.pop("__notes__", [])
    alike = RuntimeError("".join(traceback.format_exception_only(error)).strip())
    error.__notes__ = alike.__notes__ = [*notes, f"in the worker:\n{''.join(traceback.format_exception(error))}"]
    error.__traceback__ = None
    try:
        pickle.loads(imported("cloudpickle").dumps(error))
    except Exception:  # of pickling, or of the exception's own code
        return alike
    return error
