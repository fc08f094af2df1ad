"""The code that a worker of a pool runs: it evaluates f at some points, and keeps its own x for the next ones."""

from __future__ import annotations

import pickle
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from anygrad._typing import Array, PyTree
from anygrad.backends.base import Points
from anygrad.backends.modes import after_fork, under
from anygrad.evaluators.loop import LoopCalls

if TYPE_CHECKING:
    from anygrad.problem.problem import Problem


@dataclass(eq=False)
class Task:
    """Points for a worker, of which the first has the number ``start``."""

    start: int
    points: Points
    complete: bool = False  # whether f and x are to be sent with it, whatever the worker knows
    deaths: int = 0  # of workers that had it


@dataclass(eq=False)
class Answer:
    """The values of a task, as `Calls.evaluate` yields them. An exception from another process is pickled."""

    start: int
    pieces: Sequence[tuple[slice, Array | BaseException | bytes]]
    seconds: float
    output: PyTree | None = None  # arrays of the shapes that f returned, if the worker has just learned these


@dataclass(frozen=True)
class WorkerLoop:
    """The evaluator of a worker: a loop, under NumPy's settings and the libraries' modes of the caller."""

    in_place: bool
    tolerant: bool
    settings: Mapping[str, Any]
    modes: Mapping[str, object]
    leading: ClassVar[bool] = False

    def open(self, problem: Problem) -> LoopCalls:
        memory = problem.open_memory(in_place=self.in_place)
        return LoopCalls(problem, memory, tolerant=self.tolerant, evaluator="Pool")

    @contextmanager
    def surroundings(self, problem: Problem) -> Iterator[None]:
        with under(self.modes), problem.parameters.context(), np.errstate(**self.settings):
            yield


class WorkerState:
    """A problem with an x of its own, for one task at a time."""

    def __init__(self, problem: Problem) -> None:
        self._problem, self._loop = problem, cast(WorkerLoop, problem.options.evaluator)
        with self._loop.surroundings(problem):
            self._calls = problem.calls = self._loop.open(problem)
        problem.memory = self._calls.memory

    def answer(self, task: Task) -> Answer:
        function, start = self._problem.function, time.perf_counter()
        known = function.shapes
        with self._loop.surroundings(self._problem):
            try:
                pieces: list[Any] = list(self._calls.evaluate(task.points))
                self._calls.close(failed=False)
            except (Exception, SystemExit) as error:  # some executors would wait for ever for a worker that exits
                pieces = [(slice(0, len(task.points)), error)]
        learned = function.rebuilt(map(np.empty, function.shapes)) if function.shapes and not known else None
        return Answer(task.start, pieces, time.perf_counter() - start, learned)


class WorkerStates:
    """The states for one problem in one process: as many as it has tasks at a time."""

    def __init__(self, opened: Callable[[], Problem]) -> None:
        self._opened = opened
        self._free: list[WorkerState] = []

    def answer(self, task: Task) -> Answer:
        try:
            state = self._free.pop()
        except IndexError:
            state = WorkerState(self._opened())
        answer = state.answer(task)
        self._free.append(state)  # not after an interrupt, which leaves x as it happens to be
        return answer


# Module state: a task comes with a key, and f and x with the first of them only. The oldest problems are forgotten.
_MOST = 3
_known: OrderedDict[str, WorkerStates] = OrderedDict()
_lock = threading.Lock()


def answer_elsewhere(key: str, sent: bytes | None, task: Task) -> Answer | None:
    """Answer a task in another process; return None if f and x are needed and not ``sent``."""
    with _lock:
        if key not in _known and sent is not None:
            _known[key] = WorkerStates(lambda: _unpickled(sent))  # each unpickles its own: threads must not share an x
            while len(_known) > _MOST:
                _known.popitem(last=False)
        states = _known.get(key)
        if states is None:
            return None
        _known.move_to_end(key)
    answer = states.answer(task)
    pieces = [(span, _pickled_error(v) if isinstance(v, BaseException) else v) for span, v in answer.pieces]
    return replace(answer, pieces=pieces, output=None if answer.output is None else pickled(answer.output))


def answer_mapped(*items: tuple[Callable[..., Answer | None], tuple[Any, ...]]) -> Answer | None:
    """Answer a task that a function like map passes on."""
    if len(items) != 1:
        raise TypeError(
            f"Pool was given a function that passes {len(items)} arguments for each item, as starmap does, but one like"
            " map was expected, which passes the item as it is: write Pool(pool.map)"
        )
    [(function, arguments)] = items
    return function(*arguments)


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


def _unpickled(sent: bytes) -> Problem:
    import multiprocessing.context  # noqa: PLC0415 - for processes alone

    forked: Any = getattr(multiprocessing.context, "ForkProcess", ())  # not on Windows
    if isinstance(multiprocessing.current_process(), forked):
        after_fork()
    try:
        arrival, inner = pickle.loads(sent)
        with arrival():
            problem: Problem = pickle.loads(inner)()
            return problem
    except Exception as error:
        raise RuntimeError(
            f"f and x arrived at a worker, but could not be opened there ({type(error).__name__}: {error}): a module or"
            " a device that they need may be missing there"
        ) from None


def _pickled_error(error: BaseException) -> bytes:
    """Pickle what f has raised; as a RuntimeError with its text if it cannot be pickled."""
    frames, notes = error.__traceback__, error.__dict__.pop("__notes__", [])
    while (
        frames is not None and frames.tb_next and str(frames.tb_frame.f_globals.get("__name__")).startswith("anygrad.")
    ):
        frames = frames.tb_next
    trace = "".join(traceback.format_exception(type(error), error, frames))
    alike = RuntimeError("".join(traceback.format_exception_only(error)).strip())
    error.__notes__ = alike.__notes__ = [*notes, f"in the worker:\n{trace}"]
    try:
        data = pickled(error.with_traceback(None))
        travels = type(pickle.loads(data)).__qualname__ == type(error).__qualname__
    except Exception:  # of pickling, or of the exception's own code
        travels = False
    return data if travels else pickled(alike)
