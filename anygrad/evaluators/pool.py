"""Calls of f side by side: in threads, in processes, on the machines of a cluster."""

from __future__ import annotations

import math
import os
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from array_api_compat import array_namespace

from anygrad._stacklevel import raised_in
from anygrad._typing import Array
from anygrad.backends.base import Points
from anygrad.backends.modes import modes
from anygrad.evaluators._pool_worker import Answer, Task, Worker, answer_elsewhere, arrived, pickled
from anygrad.evaluators.base import Calls, require_on_error
from anygrad.evaluators.loop import Loop, LoopCalls

if TYPE_CHECKING:
    from anygrad.problem.problem import Problem

# Tasks for each worker at a time: one that it has, and one that it finds when it is done. More would only be cancelled.
_IN_FLIGHT = 2
# The seconds that a task takes: at least this, as sending it costs time; at most that, as it cannot be cancelled while
# it runs. The remaining points are split into four tasks for each worker, so that all workers end at about the same
# time.
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
        How many points are sent to a worker at a time. By default one, and then as many as f takes up to a fifth of a
        second for.
    retries
        How often points are evaluated again when their worker has died. Finished points are kept.
    restart
        A function that makes an executor, as in ``Pool(restart=lambda: ProcessPoolExecutor(4))``. It is called at the
        start, if there is no ``executor``, and whenever the executor is broken because a worker has died. The executors
        that it makes are shut down at the end. An int needs none.
    on_error
        As in `Loop`. A worker that dies is an error all the same.

    Raises
    ------
    TypeError, ValueError
        If an option makes no sense; if x is lazy or traced; for processes, if f or x cannot be pickled, and for forked
        ones, if x is on a device or of JAX; if a function like ``map`` does not return a result for each item.
    RuntimeError
        If workers have died at a point more than ``retries`` times, or the executor cannot be made again.
    ImportError
        If loky is missing, for a number of processes, or cloudpickle, for any.

    Notes
    -----
    Threads are given private copies of x. Processes are sent f and x once each, in one pickle, and after that only
    numbers: an f that reads x through a closure (``lambda W: net.loss(images, labels)``) is differentiated, as the
    worker perturbs the copy of x that its f reads. It is not if f finds x in a module that the worker imports anew.

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

    def __post_init__(self) -> None:
        if self.restart is None or self.executor is not None:
            _require_executor(self.executor)
        if not (self.restart is None or callable(self.restart)):
            raise TypeError(
                f"restart is {self.restart!r:.60}, but a function that makes an executor was expected: write"
                " Pool(restart=lambda: ProcessPoolExecutor(4))"
            )
        if isinstance(self.executor, int):
            _require_integer("executor", self.executor, 1)
        if self.chunk is not None:
            _require_integer("chunk", self.chunk, 1)
        _require_integer("retries", self.retries, 0)
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
        self._here = LoopCalls(problem, self.memory)
        self._seconds: float | None = None  # that f takes at a point, when a worker has answered
        # What makes an executor that is ours to end; None if there is only the user's.
        self._make = partial(_loky, pool.executor) if isinstance(pool.executor, int) else pool.restart
        ours = pool.executor is None or isinstance(pool.executor, int)
        self._use(self._make() if ours and self._make is not None else pool.executor, ours=ours)
        self._in_threads = _has_threads(self._executor)
        parameters = problem.parameters
        arrays = list(zip(parameters.backends, parameters.arrays, strict=True))
        # Processes write to their x where that could be done to the one here.
        self.in_place = not self._in_threads and all(backend.writable(array) for backend, array in arrays)
        if _forks(self._executor) and not all(backend.forkable(array) for backend, array in arrays):
            self.close(failed=True)
            raise ValueError(
                f"x is an array of {parameters.library} on a device or with threads that forked processes cannot use,"
                " but the workers of this executor are forked: start them anew, as ProcessPoolExecutor("
                'mp_context=multiprocessing.get_context("spawn")) and Pool(2) do'
            )
        settings: dict[str, Any] = {**np.geterr(), "call": np.geterrcall()}
        if not self._in_threads:  # processes warn where NumPy would call a function here
            settings = {kind: "warn" if action in ("call", "log") else action for kind, action in np.geterr().items()}
        make = problem.for_worker(Loop(self.in_place, on_error=pool.on_error))
        self._worker = Worker(make, settings, modes())
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
                problem.function.unpack(answer.output)  # the shapes are learned, or compared with the known
            seconds = answer.seconds / len(task.points)
            self._seconds = seconds if self._seconds is None else (self._seconds + seconds) / 2
            problem.count(len(task.points))
            for span, value in answer.pieces:
                if isinstance(value, BaseException) and not (self.tolerant and isinstance(value, Exception)):
                    raise value
                yield slice(task.start + span.start, task.start + span.stop), value

    def close(self, *, failed: bool) -> None:
        """End the executor if it is ours; if something has failed, without waiting for its workers."""
        if self._ours and failed:
            _kill(self._executor)
        elif self._ours and not isinstance(self._pool.executor, int):  # loky's are used again, or end by themselves
            self._executor.shutdown(wait=True)

    def _use(self, executor: Any, *, ours: bool) -> None:
        if hasattr(executor, "get_executor"):  # a client of Dask
            executor = executor.get_executor(pure=False)
        if ours and not hasattr(executor, "submit"):
            raise TypeError(f"restart returned {executor!r:.60}, but an executor was expected")
        self._executor, self._ours = executor, ours
        self._workers = self._unsent = _workers_of(executor)
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

    def _to_call(self, task: Task) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Return the function that a worker is to call, and its arguments."""
        if self._in_threads:
            return self._worker.answer, (task,)
        self._sent = self._sent or _packed(self._problem, self._worker)
        # It is not known which worker gets a task. f and x go with the first tasks, and again with those that are
        # returned because their worker does not have them.
        complete = task.complete or self._unsent > 0
        self._unsent -= complete
        numbers = task.points.numbers  # a copy, as some libraries pickle the whole of what they are a view of
        own = replace(task.points, numbers=array_namespace(numbers).asarray(numbers, copy=True))
        return answer_elsewhere, (self._key, self._sent if complete else None, replace(task, points=own))

    def _mapped(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Answer]]:
        """Yield the answers to all tasks, by a function like map; to some of them only at the second time."""
        tasks, missed = list(tasks), []
        answers = self._executor(_call, [self._to_call(task) for task in tasks])
        answered = iter(answers if isinstance(answers, Iterable) else ())
        for task in tasks:
            answer = _loaded(next(answered, task))
            if answer is None and not (task.complete or self._in_threads):
                missed.append(replace(task, complete=True))
            elif isinstance(answer, Answer) and answer.start == task.start:
                yield task, answer
            else:
                raise ValueError(
                    "Pool was given a function like map that did not return one result for each item, in their order:"
                    " give it one that does, such as multiprocessing.Pool().map, or imap instead of imap_unordered"
                )
        if missed:
            yield from self._mapped(missed)

    def _answers(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, Answer]]:
        """Yield the answers of an executor as they come; tasks whose worker has died are sent again."""
        again: list[Task] = []
        flying: dict[Future[Any], Task] = {}
        try:
            while True:
                while len(flying) < _IN_FLIGHT * self._workers and (
                    task := again.pop(0) if again else next(tasks, None)
                ):
                    flying[self._submit(task)] = task
                if not flying:
                    return
                lost: list[Task] = []
                for future in _done(flying):
                    task, error = flying.pop(future), future.exception()
                    if error is not None and _is_death(error):
                        lost.append(replace(task, complete=True, deaths=task.deaths + 1))
                        cause = error
                    elif (answer := _loaded(future.result())) is None:
                        again.append(replace(task, complete=True))
                    else:
                        yield task, answer
                if lost:
                    self._recover(lost, cause)
                again = [*lost, *again]
        finally:
            for future in flying:
                future.cancel()

    def _submit(self, task: Task) -> Future[Any]:
        function, arguments = self._to_call(task)
        try:
            return self._executor.submit(function, *arguments)  # type: ignore[no-any-return]
        except BrokenExecutor as error:
            future = Future[Any]()
            future.set_exception(error)
            return future

    def _recover(self, lost: Sequence[Task], cause: BaseException) -> None:
        """Start workers anew if the executor is broken; raise if they have died too often, or cannot be."""
        broken = isinstance(cause, BrokenExecutor)
        final = broken and self._make is None
        if given_up := [task for task in lost if final or task.deaths > self._pool.retries]:
            raise self._death(given_up, final=final) from cause
        if broken and self._make is not None:
            self.close(failed=True)
            self._use(self._make(), ours=True)

    def _death(self, lost: Sequence[Task], *, final: bool) -> RuntimeError:
        """Return the error for workers that have died with these tasks."""
        points = [self._problem.describe(task.points, i) for task in lost for i in range(len(task.points))]
        others = f", or at {len(points) - _NAMED} others" if len(points) > _NAMED else ""
        name, where = type(self._executor).__name__, f"{', or with '.join(points[:_NAMED])}{others}"
        hints = []
        if self._seconds is None:
            hints.append(
                "No worker has answered at all: look for an initializer that fails, for a script that lacks"
                ' if __name__ == "__main__", or for an anygrad that workers cannot import'
            )
        if final:
            hints.append(
                f"The executor is broken: let Pool make another, as in Pool(restart=lambda: {name}(...)); and"
                " Journal(path, Pool(...)) keeps the values that are known, so that the same call goes on from there"
            )
        elif len(points) > 1:
            hints.append("To find out at which of these: Pool(1, chunk=1)")
        text = f"a worker of {name} died (of a crash, a signal, or for want of memory)"
        times = "" if final else f" {lost[0].deaths} times"
        return RuntimeError(". ".join([f"{text}{times} while f was evaluated with {where}", *hints]))


def _call(item: tuple[Callable[..., Any], tuple[Any, ...]]) -> Any:
    function, arguments = item
    return function(*arguments)


def _loaded(answer: Any) -> Any:
    return pickle.loads(answer) if isinstance(answer, bytes) else answer


def _done(flying: Mapping[Future[Any], Task]) -> list[Future[Any]]:
    """Wait for some futures, and return them in the order of their points."""
    done = wait(flying, return_when=FIRST_COMPLETED).done
    if any(isinstance(future.exception(), BrokenExecutor) for future in done):
        done = wait(flying).done  # the others are about to say the same
    return sorted(done, key=lambda future: flying[future].start)


def _require_executor(executor: Any) -> None:
    """Raise unless tasks can be given to it."""
    is_number = isinstance(executor, int) and not isinstance(executor, bool)
    is_class = isinstance(executor, type) and executor is not map
    takes_tasks = hasattr(executor, "submit") or hasattr(executor, "get_executor") or callable(executor)
    if is_class or not (is_number or takes_tasks):
        given = f"the class {executor.__name__}" if is_class else f"{executor!r:.60}"
        hint = f": write {executor.__name__}()" if is_class else ""
        hint = ": write Pool(pool.map)" if hasattr(executor, "imap_unordered") else hint
        raise TypeError(
            f"executor is {given}, but an executor was expected: a number of processes, as in Pool(4); a"
            " ThreadPoolExecutor() or ProcessPoolExecutor() of concurrent.futures; a dask.distributed Client; or a"
            f" function like map{hint}"
        )


def _require_integer(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} is {value!r:.60}, but an integer of {least} or more was expected")


def _has_threads(executor: object) -> bool:
    """Return whether the workers are threads of this process, to which nothing need be pickled."""
    owner = getattr(executor, "__self__", executor)  # of a method like pool.map
    pools = sys.modules.get("multiprocessing.pool")
    return executor is map or isinstance(owner, (ThreadPoolExecutor, *([pools.ThreadPool] if pools else ())))


def _forks(executor: object) -> bool:
    """Return whether workers are forked from this process, and inherit the state of a GPU's library."""
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
    """End an executor without waiting for its workers."""
    if type(executor).__module__.startswith("loky."):
        executor.shutdown(wait=True, kill_workers=True)
        return
    processes = list((getattr(executor, "_processes", None) or {}).values())
    executor.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()
    for process in processes:
        process.join()


def _is_death(error: BaseException) -> bool:
    """Return whether workers have died, and their task can be given to others.

    If a worker dies after its answer has come, Dask takes the answer for an exception, and fails at taking it apart.
    """
    frame, dask = raised_in(error), sys.modules.get("distributed")
    lost_by_dask = frame is not None and frame.f_code.co_name == "_cascade_future"
    deaths = (BrokenExecutor,) if dask is None else (BrokenExecutor, dask.KilledWorker)
    return lost_by_dask or isinstance(error, deaths)


def _packed(problem: Problem, worker: Worker) -> bytes:
    """Pickle f and x together, so that an x which f reads through a closure is the worker's own x there, too."""
    try:
        # What makes the context is apart from the rest, which may need it to arrive as it is.
        make = partial(arrived, problem.parameters.arrival(), pickled(worker.make))
        return pickled(replace(worker, make=make))
    except ImportError:  # cloudpickle itself
        raise
    except Exception as error:
        raise TypeError(
            f"f, or what it refers to, or x cannot be sent to worker processes ({error}): give Pool a"
            " concurrent.futures.ThreadPoolExecutor(), whose threads need no copy"
        ) from error
