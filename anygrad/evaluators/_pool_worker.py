"""What a worker of a pool runs: f at some points, with an x of its own that it keeps for the next ones."""

from __future__ import annotations

import pickle
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from anygrad._typing import Array
from anygrad.backends._modes import after_fork, under
from anygrad.backends.base import Points
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
    """What `Calls.evaluate` yields for a task. What f has raised is pickled if it comes from another process."""

    start: int
    pieces: Sequence[tuple[slice, Array | BaseException | bytes]]
    seconds: float
    output: Any = None  # something that f returned, if the worker did not know its shapes


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


class WorkerFunction:
    """f, until nobody waits for its values any more. The first thing that it returns is kept, if that is wanted."""

    def __init__(self, f: Callable[[Any], Any], stopped: Callable[[], bool], *, wanted: bool) -> None:
        self._f, self._stopped, self._wanted = f, stopped, wanted
        self.output: Any = None

    def __call__(self, x: Any) -> Any:
        if self._stopped():
            raise Stopped
        value = self._f(x)
        if self._wanted:
            self._wanted, self.output = False, value
        return value


class Stopped(BaseException):
    """Raised in f's place when nobody waits for its values. It is no Exception: those count as f's own."""


class WorkerState:
    """A problem with an x of its own, for one task at a time."""

    def __init__(self, problem: Problem, stopped: Callable[[], bool]) -> None:
        function, loop = problem.function, problem.options.evaluator
        assert isinstance(loop, WorkerLoop)
        self._f = function.f = WorkerFunction(function.f, stopped, wanted=function.vector and function.shapes is None)
        self._problem, self._loop = problem, loop
        with loop.surroundings(problem):
            self._calls = problem.calls = loop.open(problem)
        problem.memory = self._calls.memory

    def answer(self, task: Task) -> Answer:
        start = time.perf_counter()
        with self._loop.surroundings(self._problem):
            try:
                pieces: list[Any] = list(self._calls.evaluate(task.points))
                self._calls.close(failed=False)
            except (Exception, SystemExit) as error:  # some executors would wait for ever for a worker that exits
                pieces = [(slice(0, len(task.points)), error)]
        output, self._f.output = self._f.output, None
        return Answer(task.start, pieces, time.perf_counter() - start, output)


class WorkerStates:
    """The states for one problem in one process: as many as it has tasks at a time."""

    def __init__(self, opened: Callable[[], Problem], stopped: Callable[[], bool] = bool) -> None:
        self._opened, self._stopped = opened, stopped
        self._free: list[WorkerState] = []

    def answer(self, task: Task) -> Answer:
        try:
            state = self._free.pop()
        except IndexError:
            state = WorkerState(self._opened(), self._stopped)
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
    own = states.answer(task)
    pieces = [(span, _pickled_error(v) if isinstance(v, BaseException) else v) for span, v in own.pieces]
    return replace(own, pieces=pieces, output=None if own.output is None else pickled(own.output))


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
    import cloudpickle  # noqa: PLC0415 - an extra

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
    except Exception as error:
        raise RuntimeError(
            f"f and x arrived at a worker, but could not be opened there ({type(error).__name__}: {error}): a module or"
            " a device that they need may be missing there"
        ) from None
    return problem


def _pickled_error(error: BaseException) -> bytes:
    """Pickle what f has raised; as a RuntimeError with its text if it cannot be pickled."""
    frames = error.__traceback__
    while (
        frames is not None and frames.tb_next and str(frames.tb_frame.f_globals.get("__name__")).startswith("anygrad.")
    ):
        frames = frames.tb_next
    notes = error.__dict__.pop("__notes__", [])
    text = "".join(traceback.format_exception_only(error)).strip()
    trace = "".join(traceback.format_exception(type(error), error, frames))
    error.__notes__ = notes = [*notes, f"in the worker:\n{trace}"]
    try:
        data = pickled(error.with_traceback(None))
        if type(pickle.loads(data)).__qualname__ == type(error).__qualname__:
            return data
    except Exception:  # noqa: S110 - of pickling, or of the exception's own code
        pass
    instead = RuntimeError(text)
    instead.__notes__ = notes
    return pickled(instead)
