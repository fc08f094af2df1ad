"""The code that a worker of a pool runs: it evaluates f at some points, and keeps its own x for the next ones."""

from __future__ import annotations

import pickle
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from anygrad._typing import Array, PyTree
from anygrad.backends.base import Points
from anygrad.backends.modes import after_fork, under

if TYPE_CHECKING:
    from anygrad.problem.problem import Problem


@dataclass(eq=False)
class Task:
    """Points for a worker, of which the first has the number ``start``."""

    start: int
    points: Points
    complete: bool = False  # whether f and x are sent with it in any case
    deaths: int = 0  # of workers that had it


@dataclass(eq=False)
class Answer:
    """The values of a task, as `Calls.evaluate` yields them."""

    start: int
    pieces: Sequence[tuple[slice, Array | BaseException]]
    seconds: float
    output: PyTree | None = None  # arrays of the shapes that f returned, if the worker has just learned these


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
            problem = self.free.pop()
        except IndexError:
            problem = self._opened()
        function, start = problem.function, time.perf_counter()
        known = function.shapes
        with self._surroundings(problem):
            try:
                pieces: list[Any] = list(problem.calls.evaluate(task.points))
                problem.calls.close(failed=False)
            except (Exception, SystemExit) as error:  # some executors would wait for ever for a worker that exits
                pieces = [(slice(0, len(task.points)), error)]
        self.free.append(problem)  # not after an interrupt, which leaves x as it happens to be
        learned = function.rebuilt(map(np.empty, function.shapes)) if function.shapes and not known else None
        return Answer(task.start, pieces, time.perf_counter() - start, learned)

    def _opened(self) -> Problem:
        problem = self.make()
        with self._surroundings(problem):
            problem.calls = problem.options.evaluator.open(problem)
        problem.memory = problem.calls.memory
        return problem

    @contextmanager
    def _surroundings(self, problem: Problem) -> Iterator[None]:
        with under(self.modes), problem.parameters.context(), np.errstate(**self.settings):
            yield


# Module state: a task comes with a key, and f and x with the first of them only. The oldest problems are forgotten.
_MOST = 3
_known: OrderedDict[str, Worker] = OrderedDict()
_lock = threading.Lock()


def answer_elsewhere(key: str, sent: bytes | None, task: Task) -> bytes | None:
    """Answer a task in another process, in a pickle; return None if f and x are needed and not ``sent``."""
    with _lock:
        if key not in _known and sent is not None:
            _known[key] = pickle.loads(sent)
            while len(_known) > _MOST:
                _known.popitem(last=False)
        worker = _known.get(key)
        if worker is None:
            return None
        _known.move_to_end(key)
    answer = worker.answer(task)
    pieces = [(span, _sendable(v) if isinstance(v, BaseException) else v) for span, v in answer.pieces]
    return pickled(replace(answer, pieces=pieces))


def pickled(value: Any) -> bytes:
    """Pickle anything that cloudpickle can."""
    try:
        import cloudpickle  # noqa: PLC0415 - an extra
    except ImportError:
        raise ImportError(
            "Pool sends f to worker processes by cloudpickle, which is not installed: write pip install '.[pool]' in a"
            " checkout of anygrad, or give Pool a concurrent.futures.ThreadPoolExecutor()"
        ) from None
    data: bytes = cloudpickle.dumps(value)
    return data


def arrived(context: Callable[[], AbstractContextManager[object]], sent: bytes) -> Problem:
    """Make the problem that was sent to this process."""
    import multiprocessing.context  # noqa: PLC0415 - for processes alone

    forked: Any = getattr(multiprocessing.context, "ForkProcess", ())  # not on Windows
    if isinstance(multiprocessing.current_process(), forked):
        after_fork()
    try:
        with context():
            problem: Problem = pickle.loads(sent)()
            return problem
    except Exception as error:
        raise RuntimeError(
            f"f and x arrived at a worker, but could not be opened there ({type(error).__name__}: {error}): a module or"
            " a device that they need may be missing there"
        ) from None


def _sendable(error: BaseException) -> BaseException:
    """Return an exception of f with its traceback as a note; a RuntimeError with its text if it cannot be pickled."""
    notes = error.__dict__.pop("__notes__", [])
    alike = RuntimeError("".join(traceback.format_exception_only(error)).strip())
    error.__notes__ = alike.__notes__ = [*notes, f"in the worker:\n{''.join(traceback.format_exception(error))}"]
    error.__traceback__ = None
    try:
        same = type(pickle.loads(pickled(error))).__qualname__ == type(error).__qualname__
    except Exception:  # of pickling, or of the exception's own code
        return alike
    return error if same else alike
