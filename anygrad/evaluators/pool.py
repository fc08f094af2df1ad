"""Calls of f side by side: in threads, in processes, on the machines of a cluster."""

from __future__ import annotations

import math
import os
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from array_api_compat import array_namespace

from anygrad._stacklevel import raised_in
from anygrad._typing import Array
from anygrad.backends.base import Points
from anygrad.backends.modes import modes
from anygrad.evaluators._pool_worker import (
    Answer,
    Task,
    WorkerLoop,
    WorkerStates,
    answer_elsewhere,
    answer_mapped,
    pickled,
)
from anygrad.evaluators.base import Calls, require_on_error
from anygrad.evaluators.loop import LoopCalls

if TYPE_CHECKING:
    from anygrad.problem.problem import Problem

# Tasks for each worker at a time: one that it has, and one that it finds when it is done. More would only be cancelled.
_IN_FLIGHT = 2
# A task is to take so long at least, for what sending it costs, and at most, for what cancelling it costs; and the last
# ones are to be small, so that all workers end together: what remains is split into so many parts for each of them.
_LEAST_SECONDS, _MOST_SECONDS, _PARTS = 0.01, 0.2, 4
# How many points are named in a message.
_NAMED = 4


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
        ``map``, as SciPy's ``workers`` takes.
    chunk
        How many points are sent to a worker at a time. By default one, and then as many as f takes a fifth of a second
        for.
    retries
        How often points are evaluated again whose worker has died. What had been finished is kept.
    restart
        A function that makes an executor, as in ``Pool(restart=lambda: ProcessPoolExecutor(4))``. It is called at the
        start, if there is no ``executor``, and when workers have died and the executor is broken. What it makes is shut
        down at the end. An int needs none.
    on_error
        As in `Loop`. A worker that dies is an error all the same.

    Raises
    ------
    TypeError, ValueError
        If an option makes no sense; if x is lazy or traced; if f or x cannot be pickled, for processes; if x is on a
        device, or of JAX, and processes are forked; if a function like ``map`` does not return a result for each item.
    RuntimeError
        If workers have died at a point more than ``retries`` times, or one of an executor that cannot be made again;
        if f and x cannot be opened where they arrive.
    ImportError
        If loky is not installed, for a number of processes; or cloudpickle, for any processes.

    Notes
    -----
    Threads are given private copies of x, and help where f waits, or computes in a library that releases Python's lock.

    To processes, f and x are sent once for each worker, by cloudpickle, and after that only numbers. They are sent
    together: an f that ignores its argument and reads x through a closure (``lambda W: net.loss(images, labels)``) is
    differentiated, as the worker perturbs its own copy of that very array. It is not if f finds x in a module that the
    worker imports anew, or as part of a larger array: its values then never change, and a `ConstantFunctionWarning` is
    issued.

    Forked processes, those of ``ProcessPoolExecutor`` on Linux before Python 3.14, compute in one thread with PyTorch,
    on the CPU. Devices and JAX need processes that are started anew, by ``Pool(2)`` or with an ``mp_context`` that
    spawns: an x of these is refused, but an f of NumPy arrays that uses them is not recognised, and may wait for ever.

    f runs as it would here, under NumPy's error settings (where these call a function, processes warn), PyTorch's
    ``no_grad``, ``inference_mode`` and ``autocast`` (of the CPU and CUDA), and JAX's ``enable_x64``.

    An exception that f raises is raised here as well, with a note of the point, and the other tasks are cancelled. One
    that cannot be pickled becomes a RuntimeError with its text.

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

    def __post_init__(self) -> None:
        if self.restart is None or self.executor is not None:
            _require_executor(self.executor)
        if not (self.restart is None or callable(self.restart)):
            raise TypeError(
                f"restart is {self.restart!r:.60}, but a function that makes an executor was expected: write"
                " Pool(restart=lambda: ProcessPoolExecutor(4))"
            )
        if self.chunk is not None:
            _require_integer("chunk", self.chunk, 1, "a number of points, or None for what suits f")
        _require_integer("retries", self.retries, 0, "how often points are evaluated again whose worker has died")
        require_on_error("Pool", self.on_error)

    @property
    def leading(self) -> bool:
        """Whether many points go into one call of f: they do not."""
        return False

    def open(self, problem: Problem) -> Calls:
        """Open a problem for sampling."""
        return PoolCalls(self, problem)


class PoolCalls:
    """Calls of f by the workers of an executor, and at x itself by the caller."""

    def __init__(self, pool: Pool, problem: Problem) -> None:
        self.memory = problem.open_memory(in_place=False)
        if self.memory.lazy:
            raise TypeError(
                "x is lazy or traced, but Pool sends numbers to its workers: use Loop(), whose result is lazy too, or"
                " compute x first"
            )
        self.tolerant = pool.on_error == "nan"
        self._pool, self._problem = pool, problem
        self._here = LoopCalls(problem, self.memory, evaluator="Pool")
        self._seconds: float | None = None  # that f takes at a point
        self._heard = False  # whether any worker has answered
        self._own: list[Any] = []  # executors that are ours to end
        self._start(pool.executor)
        self._in_threads = _has_threads(self._executor)
        parameters = problem.parameters
        arrays = list(zip(parameters.backends, parameters.arrays, strict=True))
        # Processes write to their x where that could be done to the one here.
        self.in_place = not self._in_threads and all(backend.writable(array) for backend, array in arrays)
        if (
            not self._in_threads
            and _forks(self._executor)
            and not all(backend.forkable(array) for backend, array in arrays)
        ):
            self.close(failed=True)
            raise ValueError(
                f"x is an array of {parameters.library} on a device or with threads that forked processes cannot use,"
                " but the workers of this executor are forked: start them anew, as ProcessPoolExecutor("
                'mp_context=multiprocessing.get_context("spawn")) and Pool(2) do'
            )
        settings: dict[str, Any] = {**np.geterr(), "call": np.geterrcall()}
        if not self._in_threads:  # processes warn where NumPy would call a function here
            settings = {kind: "warn" if action in ("call", "log") else action for kind, action in np.geterr().items()}
        self._opened = problem.for_worker(WorkerLoop(self.in_place, self.tolerant, settings, modes()))
        self._states = WorkerStates(self._opened)
        self._key, self._sent = os.urandom(16).hex(), b""

    def evaluate(self, points: Points) -> Iterable[tuple[slice, Array | Exception]]:
        return self._by_workers(points) if points.width else self._here.evaluate(points)

    def _by_workers(self, points: Points) -> Iterator[tuple[slice, Array | Exception]]:
        problem = self._problem
        if self.tolerant and problem.vector and problem.function.shapes is None:
            problem.base()  # NaN is to have the shapes of f's values
        answers = self._answers if hasattr(self._executor, "submit") else self._mapped
        for task, answer in answers(self._tasks(points)):
            if answer.output is not None:
                problem.function.unpack(_loaded(answer.output))  # the shapes are learned, or compared with the known
            seconds = answer.seconds / len(task.points)
            self._seconds = seconds if self._seconds is None else (self._seconds + seconds) / 2
            problem.count(len(task.points))
            for span, piece in answer.pieces:
                value = _loaded(piece)
                if isinstance(value, BaseException) and not (self.tolerant and isinstance(value, Exception)):
                    raise value
                yield slice(task.start + span.start, task.start + span.stop), value

    def close(self, *, failed: bool) -> None:
        """End the executors that are ours; at once if something has failed, whatever their workers do."""
        for executor in self._own:
            if failed:
                _kill(executor)
            elif not isinstance(self._pool.executor, int):  # loky's own are used again, or end by themselves
                executor.shutdown(wait=True)
        self._own = []

    def _start(self, given: Any) -> None:
        """Use what the user gave, or make an executor."""
        if isinstance(given, int):
            self._own.append(executor := _loky(given))
        elif given is None:
            assert self._pool.restart is not None
            self._own.append(executor := self._pool.restart())
            if not hasattr(executor, "submit"):
                self._own.pop()
                raise TypeError(f"restart returned {executor!r:.60}, but an executor was expected")
        else:
            executor = given.get_executor(pure=False) if hasattr(given, "get_executor") else given
        self._executor = executor
        self._workers = self._unsent = _workers_of(executor)
        self.together = 4 * self._workers

    def _tasks(self, points: Points) -> Iterator[Task]:
        """Yield the points in tasks, of a size that suits what is known of f by then."""
        start = 0
        while start < len(points):
            at_once = not hasattr(self._executor, "submit")  # a function like map is given all tasks
            size = math.ceil((len(points) - (0 if at_once else start)) / (_PARTS * self._workers))
            if self._pool.chunk is not None:
                size = self._pool.chunk
            elif not at_once:
                seconds = math.inf if self._seconds is None else max(self._seconds, 1e-9)
                least, most = (max(1, int(limit / seconds)) for limit in (_LEAST_SECONDS, _MOST_SECONDS))
                size = max(least, min(size, most))
            yield Task(start, points[start : start + size])
            start += size

    def _call(self, task: Task) -> tuple[Callable[..., Answer | None], tuple[Any, ...]]:
        """Return the function that a worker is to call, and its arguments."""
        if self._in_threads:
            return self._states.answer, (task,)
        self._sent = self._sent or _packed(self._problem, self._opened)
        # Nobody says which worker will have a task: f and x go with the first ones, and with those of which a worker
        # says that it lacks them.
        complete = task.complete or self._unsent > 0
        self._unsent -= complete
        numbers = task.points.numbers  # a copy, as some libraries pickle the whole of what they are a view of
        own = replace(task.points, numbers=array_namespace(numbers).asarray(numbers, copy=True))
        return answer_elsewhere, (self._key, self._sent if complete else None, replace(task, points=own))

    def _mapped(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Answer]]:
        """Yield the answers to all tasks, by a function like map; to some of them only at the second time."""
        tasks, missed = list(tasks), []
        answers = self._executor(answer_mapped, [self._call(task) for task in tasks])
        answered = iter(answers if isinstance(answers, Iterable) else ())
        for task in tasks:
            answer = next(answered, task)
            if answer is None and not (task.complete or self._in_threads):
                missed.append(replace(task, complete=True))
            elif isinstance(answer, Answer) and answer.start == task.start:
                yield task, answer
            else:
                raise ValueError(
                    "Pool was given a function like map that did not return one result for each item, in the order of"
                    " the items: give it one that does, such as multiprocessing.Pool().map, or imap instead of"
                    " imap_unordered"
                )
        if missed:
            yield from self._mapped(missed)

    def _answers(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, Answer]]:
        """Yield the answers of an executor as they come; tasks whose worker has died are sent again."""
        again: list[Task] = []
        flying: dict[Future[Answer | None], Task] = {}
        try:
            while True:
                while len(flying) < _IN_FLIGHT * self._workers and (
                    task := again.pop(0) if again else next(tasks, None)
                ):
                    flying[self._submit(task)] = task
                if not flying:
                    return
                lost: list[tuple[Task, BaseException]] = []
                for future in _done(flying):
                    task, error = flying.pop(future), future.exception()
                    if error is not None:
                        lost.append((replace(task, complete=True, deaths=task.deaths + 1), error))
                    elif (answer := future.result()) is None:
                        again.append(replace(task, complete=True))
                    else:
                        self._heard = True
                        yield task, answer
                again = [*self._repeated(lost), *again]
        finally:
            for future in flying:
                future.cancel()

    def _submit(self, task: Task) -> Future[Answer | None]:
        function, arguments = self._call(task)
        try:
            future: Future[Answer | None] = self._executor.submit(function, *arguments)
        except BrokenExecutor as error:
            future = Future()
            future.set_exception(error)
        return future

    def _repeated(self, failed: Sequence[tuple[Task, BaseException]]) -> list[Task]:
        """Return the tasks that are sent again, to workers that are started anew; raise if they have died too often."""
        own = isinstance(self._pool.executor, int)
        broken, restarts = False, True
        for _, cause in failed:
            if isinstance(cause, BrokenExecutor):
                broken, restarts = True, own or self._pool.restart is not None
            elif not _lost_by_dask(cause):
                raise cause
        given_up = [task for task, _ in failed if task.deaths > self._pool.retries or not restarts]
        if given_up:
            raise self._death(given_up, restarts=restarts) from failed[0][1]
        if broken:
            self._start(self._pool.executor if own else None)
        return [task for task, _ in failed]

    def _death(self, lost: Sequence[Task], *, restarts: bool) -> RuntimeError:
        """Return the error for workers that have died with these tasks."""
        more = sum(len(task.points) for task in lost) - _NAMED
        named = [self._problem.describe(task.points, i) for task in lost for i in range(min(_NAMED, len(task.points)))]
        name = type(self._executor).__name__
        text = f"a worker of {name} died (of a crash, a signal, or for want of memory)"
        text += f" {lost[0].deaths} times" if restarts else ""
        text += f" while f was evaluated with {', or with '.join(named[:_NAMED])}"
        text += f", or at {more} others" if more > 0 else ""
        if not self._heard:
            text += (
                ". No worker has answered at all: look for an initializer that fails, for a script that lacks"
                ' if __name__ == "__main__", or for an anygrad that workers cannot import'
            )
        if restarts and len(named) > 1:
            text += ". To find out at which of these: Pool(1, chunk=1)"
        if not restarts:
            text += (
                f". The executor is broken: let Pool make another, as in Pool(restart=lambda: {name}(...)); and"
                " Journal(path, Pool(...)) keeps the values that are known, so that the same call goes on from there"
            )
        return RuntimeError(text)


def _done(flying: Mapping[Future[Any], Task]) -> list[Future[Any]]:
    """Wait for some futures, and return them in the order of their points."""
    done = wait(flying, return_when=FIRST_COMPLETED).done
    if any(isinstance(future.exception(), BrokenExecutor) for future in done):
        done = wait(flying).done  # the others are about to say the same
    return sorted(done, key=lambda future: flying[future].start)


def _require_executor(executor: object) -> None:
    """Raise unless tasks can be given to it."""
    expected = (
        "an executor was expected: a number of processes, as in Pool(4); a ThreadPoolExecutor() or"
        " ProcessPoolExecutor() of concurrent.futures; a dask.distributed Client; or a function like map"
    )
    if isinstance(executor, type) and executor is not map:
        raise TypeError(f"executor is the class {executor.__name__}, but {expected}: write {executor.__name__}()")
    if isinstance(executor, int) and not isinstance(executor, bool):
        if executor < 1:
            raise ValueError(f"executor is {executor}, but a number of processes must be 1 or more")
    elif isinstance(executor, bool) or not (
        hasattr(executor, "submit") or hasattr(executor, "get_executor") or callable(executor)
    ):
        hint = ": write Pool(pool.map)" if hasattr(executor, "imap_unordered") else ""
        raise TypeError(f"executor is {executor!r:.60}, but {expected}{hint}")


def _require_integer(name: str, value: object, least: int, meaning: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} is {value!r:.60}, but an integer of {least} or more was expected: {meaning}")


def _has_threads(executor: object) -> bool:
    """Return whether the workers are threads of this process, to which nothing need be pickled."""
    owner = getattr(executor, "__self__", executor)  # of a method like pool.map
    pools = sys.modules.get("multiprocessing.pool")
    return executor is map or isinstance(owner, (ThreadPoolExecutor, *([pools.ThreadPool] if pools else ())))


def _forks(executor: object) -> bool:
    """Return whether workers are forked from this process, with whatever state a GPU's library has here."""
    owner = getattr(executor, "__self__", executor)
    context = getattr(owner, "_mp_context", None) or getattr(owner, "_context", None) or getattr(owner, "_ctx", None)
    method = getattr(context, "get_start_method", None)
    return method is not None and method() == "fork"


def _workers_of(executor: Any) -> int:
    """Return how many tasks can run at a time, as far as that can be found out."""
    owner = getattr(executor, "__self__", executor)
    client: Any = getattr(owner, "_client", None)
    if hasattr(client, "nthreads"):
        return max(1, int(sum(client.nthreads().values())))
    counts = (getattr(owner, name, None) for name in ("num_workers", "_max_workers", "_processes"))
    known = next((count for count in counts if isinstance(count, int) and count > 0), os.cpu_count() or 1)
    return 1 if executor is map else known


def _loky(workers: int) -> Any:
    try:
        import loky  # noqa: PLC0415 - an extra
    except ImportError:
        raise ImportError(
            f"Pool({workers}) starts processes by loky, which is not installed: write pip install '.[pool]' in a"
            " checkout of anygrad, or give Pool an executor such as concurrent.futures.ThreadPoolExecutor()"
        ) from None
    return loky.get_reusable_executor(max_workers=workers)


def _kill(executor: Any) -> None:
    """End an executor at once, whatever its workers do."""
    if type(executor).__module__.startswith("loky."):
        executor.shutdown(wait=True, kill_workers=True)
        return
    processes = list((getattr(executor, "_processes", None) or {}).values())
    executor.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()
    for process in processes:
        process.join()


def _lost_by_dask(error: BaseException) -> bool:
    """Return whether Dask has lost workers with one task, and can be given it again.

    If a worker dies after its answer has come, Dask takes the answer for an exception, and fails at taking it apart.
    """
    dask, frame = sys.modules.get("distributed"), raised_in(error)
    lost = isinstance(error, TypeError) and frame is not None and frame.f_code.co_name == "_cascade_future"
    return lost or (dask is not None and isinstance(error, dask.KilledWorker))


def _packed(problem: Problem, opened: Callable[[], Problem]) -> bytes:
    """Pickle f and x together, so that an x which f reads through a closure is the worker's own x there, too."""
    try:
        # What makes the context is apart from the rest, which may need it to arrive as it is.
        return pickled((problem.parameters.arrival(), pickled(opened)))
    except ImportError:  # cloudpickle itself
        raise
    except Exception as error:
        parts = {**problem.parameters.by_name, "f": problem.function.f}
        culprit = next((found for name, part in parts.items() if (found := _culprit(part, name))), "f")
        raise TypeError(
            f"{culprit} cannot be sent to worker processes ({error}): leave it out of what f refers to, or give Pool a"
            " concurrent.futures.ThreadPoolExecutor(), whose threads need no copy of it"
        ) from error


def _culprit(value: Any, name: str, depth: int = 5) -> str | None:
    """Name what cannot be pickled, and if it is a function, the innermost variable that it refers to."""
    import inspect  # noqa: PLC0415 - for this message alone

    try:
        pickled(value)
    except Exception:
        inner = getattr(value, "func", value)  # of a functools.partial
        variables = getattr(getattr(inner, "__self__", inner), "__dict__", {}) if depth else {}
        if inspect.isfunction(inner) and depth:
            referred = inspect.getclosurevars(inner)
            variables = {**referred.globals, **referred.nonlocals}
        found = (_culprit(own, f"{key!r}, which f refers to", depth - 1) for key, own in variables.items())
        return next(filter(None, found), f"{name}, of type {type(value).__qualname__},")
    return None


def _loaded(value: Any) -> Any:
    loaded = pickle.loads(value) if isinstance(value, bytes) else value
    if isinstance(loaded, SystemExit) and len(loaded.args) == 1:
        loaded.code = loaded.args[0]  # tblib, which Dask pickles exceptions with, leaves it behind
    return loaded
