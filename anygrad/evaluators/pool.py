"""Calls of f side by side: in threads, in processes, on the machines of a cluster."""

from __future__ import annotations

import math
import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass, replace
from functools import partial
from operator import call
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from array_api_compat import array_namespace

from anygrad._stacklevel import raised_in
from anygrad._typing import Array
from anygrad.backends.base import Points
from anygrad.backends.modes import modes
from anygrad.evaluators._pool_worker import Answer, Task, Worker, answer_elsewhere, arrived, imported
from anygrad.evaluators.base import Calls, require_on_error
from anygrad.evaluators.loop import Loop, LoopCalls

if TYPE_CHECKING:
    from anygrad.problem.problem import Problem

# Tasks for each worker at a time: one that it has, and one that it finds when it is done. More would only be cancelled.
_IN_FLIGHT = 2
# The seconds that a task takes: at least this, as sending it costs time; at most that, as it cannot be cancelled while
# it runs. The remaining points make four tasks for each worker, so that all workers end at about the same time.
_LEAST_SECONDS, _MOST_SECONDS, _PARTS = 0.01, 0.2, 4


@dataclass(frozen=True)
class Pool:
    """Call f at many points at a time, in the threads or processes of an executor.

    The values are those of `Loop`, to the last bit unless f rounds otherwise where x lies otherwise in memory, or where
    f has another number of threads. f(x) itself is evaluated by the caller.

    Parameters
    ----------
    executor
        An int: that many processes of loky; any ``concurrent.futures.Executor``: ``ThreadPoolExecutor``,
        ``ProcessPoolExecutor``, loky's, mpi4py's ``MPIPoolExecutor``; a ``dask.distributed.Client``; or a function like
        ``map``, as SciPy's ``workers`` takes, which is sent f and x with every task.
    chunk
        How many points are sent to a worker at a time. By default one, and then as many as f takes up to a fifth of a
        second for.
    retries
        How often points are evaluated again when their worker has died. Finished points are kept.
    restart
        In place of ``executor``: a function that makes one, as in ``Pool(restart=lambda: ProcessPoolExecutor(4))``, at
        the start and again whenever a worker has died. The executors that it makes are shut down at the end.
    on_error
        As in `Loop`. A worker that dies is an error all the same.

    Raises
    ------
    TypeError, ValueError
        If an option makes no sense; if x is lazy, traced or, for forked processes, on a device or of JAX; if f or x
        cannot be pickled for processes.
    RuntimeError
        If workers have died at a point more than ``retries`` times, or the executor cannot be made again.

    See Also
    --------
    Loop : one call after the other.
    Journal : keeps the values, should a run be killed.

    Notes
    -----
    Threads are given private copies of x. Processes are sent f and x once each, in one pickle, and after that only
    numbers: an f that reads x through a closure (``lambda W: net.loss(images, labels)``) is differentiated, as the
    worker perturbs the copy of x that its f reads. This fails if f reads x from a module that the worker imports anew.

    f runs under NumPy's error settings, PyTorch's ``no_grad``, ``inference_mode`` and ``autocast``, and JAX's
    ``enable_x64`` of the caller. An exception that f raises is raised here, with a note of the point, and the other
    tasks are cancelled; one that cannot be pickled becomes a RuntimeError with its text.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> import numpy as np
    >>> import anygrad
    >>> with ThreadPoolExecutor(2) as executor:
    ...     anygrad.numerical_gradient(lambda x: x @ x, np.array([1.0, 2.0]), evaluator=anygrad.Pool(executor))
    array([2., 4.])
    """

    executor: Any = None
    chunk: int | None = None
    retries: int = 2
    restart: Callable[[], Any] | None = None
    on_error: str = "raise"
    leading: ClassVar[bool] = False

    def __post_init__(self) -> None:
        given = self.restart if self.executor is None else self.executor
        takes_tasks = isinstance(given, int) or callable(given) or hasattr(given, "submit")
        is_class = isinstance(given, type) and given is not map
        both = self.executor is not None and self.restart is not None
        if both or is_class or isinstance(given, bool) or not takes_tasks:
            other = "" if self.restart is None else f" and restart is {self.restart!r:.60}"
            raise TypeError(
                f"executor is {self.executor!r:.60}{other}, but one of these was expected: Pool(4), for 4 processes;"
                " Pool(ThreadPoolExecutor()), or another executor or client of Dask; Pool(pool.map), or another"
                " function like map; Pool(restart=lambda: ProcessPoolExecutor(4))"
            )
        if isinstance(given, int):
            _require_integer("executor", given, 1)
        if self.chunk is not None:
            _require_integer("chunk", self.chunk, 1)
        _require_integer("retries", self.retries, 0)
        require_on_error("Pool", self.on_error)

    def open(self, problem: Problem) -> Calls:
        return PoolCalls(self, problem)


class PoolCalls:
    """Calls of f by the workers of an executor, and at x itself by the caller."""

    def __init__(self, pool: Pool, problem: Problem) -> None:
        self.memory = problem.open_memory(in_place=False)
        if self.memory.lazy:
            raise TypeError(
                "x is lazy or traced, but Pool sends numbers to its workers: use Loop(), or compute x first"
            )
        self.tolerant = pool.on_error == "nan"
        self._pool, self._problem = pool, problem
        self._here = LoopCalls(problem, self.memory)
        self._seconds: float | None = None  # that f takes at a point, when a worker has answered
        self._ours = isinstance(pool.executor, int) or pool.restart is not None
        self._start()
        self._in_threads = _has_threads(self._owner)
        arrays = list(zip(problem.parameters.backends, problem.parameters.arrays, strict=True))
        # Processes write to their x where that could be done to the one here.
        self.in_place = not self._in_threads and all(backend.writable(array) for backend, array in arrays)
        if _forks(self._owner) and not all(backend.forkable(array) for backend, array in arrays):
            self.close(failed=True)
            raise ValueError(
                f"x is an array of {problem.parameters.library} on a device or with threads, which forked processes"
                ' cannot use: write Pool(2), or give mp_context=multiprocessing.get_context("spawn") to the executor'
            )
        settings: dict[str, Any] = {**np.geterr(), "call": np.geterrcall()}
        if not self._in_threads:  # what NumPy would call is not sent: processes warn
            settings = {kind: "warn" if action in ("call", "log") else action for kind, action in np.geterr().items()}
        self._worker = Worker(problem.for_worker(Loop(self.in_place, on_error=pool.on_error)), settings, modes())
        self._key, self._sent = os.urandom(16).hex(), b""

    def evaluate(self, points: Points) -> Iterable[tuple[slice, Array | Exception]]:
        return self._by_workers(points) if points.width else self._here.evaluate(points)

    def _by_workers(self, points: Points) -> Iterator[tuple[slice, Array | Exception]]:
        problem = self._problem
        answers = self._answers if hasattr(self._executor, "submit") else self._mapped
        for task, answer in answers(self._tasks(points)):
            if answer.output is not None:
                problem.function.unpack(answer.output)  # the shapes are learned, or compared with the known
            self._seconds = answer.seconds / len(task.points)
            problem.count(len(task.points))
            for span, value in answer.pieces:
                if isinstance(value, BaseException) and not (self.tolerant and isinstance(value, Exception)):
                    raise value
                yield slice(task.start + span.start, task.start + span.stop), value

    def close(self, *, failed: bool) -> None:
        """End the executor if it is ours; if something has failed, without waiting for its workers."""
        if self._ours and failed:
            for process in list((getattr(self._executor, "_processes", None) or {}).values()):
                process.terminate()
        if self._ours and (failed or not isinstance(self._pool.executor, int)):  # loky's are used again
            self._executor.shutdown(wait=True)

    def _start(self) -> None:
        executor: Any = self._pool.restart() if self._pool.restart is not None else self._pool.executor
        if isinstance(executor, int):
            executor = imported("loky").get_reusable_executor(max_workers=executor)
        elif hasattr(executor, "get_executor"):  # a client of Dask
            executor = executor.get_executor(pure=False)
        self._executor = executor
        self._owner = getattr(executor, "__self__", executor)  # of a method like pool.map
        self._workers = self._unsent = _workers_of(self._owner)
        self.together = 4 * self._workers

    def _tasks(self, points: Points) -> Iterator[Task]:
        """Yield the points in tasks, whose size depends on the time that f has taken so far."""
        start, size = 0, self._pool.chunk or math.ceil(len(points) / (_PARTS * self._workers))
        while start < len(points):
            if self._pool.chunk is None and hasattr(self._executor, "submit"):  # a function like map is given all tasks
                seconds = math.inf if self._seconds is None else max(self._seconds, 1e-9)
                least, most = (max(1, int(limit / seconds)) for limit in (_LEAST_SECONDS, _MOST_SECONDS))
                size = max(least, min(math.ceil((len(points) - start) / (_PARTS * self._workers)), most))
            yield Task(start, points[start : start + size])
            start += size

    def _job(self, task: Task) -> Callable[[], Any]:
        if self._in_threads:
            return partial(self._worker.answer, task)
        self._sent = self._sent or _packed(self._problem, self._worker)
        # Which worker gets a task is not known: f and x go with the first tasks, and with those that come back for it.
        complete = task.complete or self._unsent > 0
        self._unsent -= complete
        numbers = task.points.numbers  # a copy, as some libraries pickle the whole of what they are a view of
        own = replace(task.points, numbers=array_namespace(numbers).asarray(numbers, copy=True))
        return partial(answer_elsewhere, self._key, self._sent if complete else None, replace(task, points=own))

    def _mapped(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Answer]]:
        """Yield the answers of a function like map, in whatever order it gives them."""
        waiting = {task.start: replace(task, complete=True) for task in tasks}
        for answer in map(_loaded, self._executor(call, [self._job(task) for task in waiting.values()])):
            yield waiting.pop(answer.start), answer
        if waiting:
            raise ValueError(
                "the function given to Pool did not return one result for each task: give one like map, as in"
                " Pool(executor.map)"
            )

    def _answers(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, Answer]]:
        """Yield the answers of an executor as they come; tasks whose worker has died are sent again."""
        again: list[Task] = []
        flying: dict[Future[Any], Task] = {}
        try:
            while True:
                room = _IN_FLIGHT * self._workers
                while len(flying) < room and (task := again.pop(0) if again else next(tasks, None)):
                    flying[self._submit(task)] = task
                if not flying:
                    return
                lost: list[Task] = []
                done = wait(flying, return_when=FIRST_COMPLETED).done
                for future in sorted(done, key=lambda future: flying[future].start):
                    task, error = flying.pop(future), future.exception()
                    if error is not None and _is_death(error):
                        lost.append(task)
                        cause = error
                    elif (answer := _loaded(future.result())).missed:
                        again.append(replace(task, complete=True))
                    else:
                        yield task, answer
                if lost:
                    if isinstance(cause, BrokenExecutor):  # the others are about to say the same
                        lost += flying.values()
                        flying.clear()
                    again = [replace(task, deaths=task.deaths + 1) for task in lost] + again
                    self._recover(again[: len(lost)], cause)
        finally:
            for future in flying:
                future.cancel()

    def _submit(self, task: Task) -> Future[Any]:
        try:
            return self._executor.submit(self._job(task))  # type: ignore[no-any-return]
        except BrokenExecutor as error:
            future = Future[Any]()
            future.set_exception(error)
            return future

    def _recover(self, lost: Sequence[Task], cause: BaseException) -> None:
        """Start workers anew if the executor is broken; raise if they have died too often, or it is not ours."""
        broken = isinstance(cause, BrokenExecutor)
        final = broken and not self._ours
        given_up = [task for task in lost if final or task.deaths > self._pool.retries]
        if not given_up:
            if broken:
                self.close(failed=True)
                self._start()
            return
        points = [self._problem.describe(task.points, i) for task in given_up for i in range(len(task.points))]
        others = f", or at {len(points) - 4} others" if len(points) > 4 else ""
        name = type(self._executor).__name__
        remedy = (
            f"To go on after such a death, write Pool(restart=lambda: {name}(...)); to keep the values that are known,"
            " Journal(path, Pool(...))"
        )
        raise RuntimeError(
            f"a worker of {name} died while f was called with {', or with '.join(points[:4])}{others}. It crashed, was"
            ' killed, ran out of memory or could not start (does the script lack if __name__ == "__main__":?).'
            f" {remedy if final else 'To find the point, write Pool(1, chunk=1)'}"
        ) from cause


def _loaded(answer: Answer | bytes) -> Answer:
    return pickle.loads(answer) if isinstance(answer, bytes) else answer


def _require_integer(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} is {value!r:.60}, but an integer of {least} or more was expected")


def _has_threads(owner: object) -> bool:
    """Return whether the workers are threads of this process, to which nothing need be pickled."""
    return owner is map or any(kind.__name__ in ("ThreadPoolExecutor", "ThreadPool") for kind in type(owner).__mro__)


def _forks(owner: object) -> bool:
    """Return whether workers are forked from this process, and inherit the state of a GPU's library."""
    contexts = (getattr(owner, name, None) for name in ("_mp_context", "_context", "_ctx"))
    return any(getattr(context, "get_start_method", str)() == "fork" for context in contexts)


def _workers_of(owner: Any) -> int:
    """Return how many tasks can run at a time, as far as that can be found out."""
    if hasattr(owner, "_client"):  # of Dask
        return max(1, int(sum(owner._client.nthreads().values())))
    counts = (getattr(owner, name, None) for name in ("num_workers", "_max_workers", "_processes"))
    return next((count for count in counts if isinstance(count, int) and count > 0), os.cpu_count() or 1)


def _is_death(error: BaseException) -> bool:
    """Return whether workers have died, and their task can be given to others."""
    frame = raised_in(error)
    # If a worker dies after its answer has come, Dask takes the answer for an exception, and fails at unpacking it.
    return isinstance(error, BrokenExecutor) or (frame is not None and frame.f_code.co_name == "_cascade_future")


def _packed(problem: Problem, worker: Worker) -> bytes:
    """Pickle f and x together, so that an x which f reads through a closure is the worker's own x there, too."""
    dumps = imported("cloudpickle").dumps
    try:
        # The maker of the context is pickled apart from the rest, which may need the context to be unpickled unchanged.
        make = partial(arrived, problem.parameters.arrival(), dumps(worker.make))
        return bytes(dumps(replace(worker, make=make)))
    except Exception as error:
        raise TypeError(
            f"f, x or an object that f uses cannot be sent to worker processes ({error}): use threads, as in"
            " Pool(concurrent.futures.ThreadPoolExecutor())"
        ) from error
