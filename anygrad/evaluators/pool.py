"""Calls of f side by side: in threads, in processes, on the machines of a cluster."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from anygrad._typing import Array
from anygrad.evaluators._base import Session, Target
from anygrad.evaluators._channels import Processes, Threads
from anygrad.evaluators._portions import Portions, Pace
from anygrad.evaluators._executors import Engine, forks, in_this_process, is_executor, require_executor
from anygrad.evaluators._points import Points, in_columns
from anygrad.evaluators._tasks import Answer, Failure, Parcel, Task, described
from anygrad.evaluators._window import Window
from anygrad.evaluators.loop import Loop


@dataclass(frozen=True)
class Pool:
    """Call f at many points at a time, in the threads or processes of an executor.

    The values are those of `Loop`, to the last bit. f(x) itself is evaluated by the caller.

    Parameters
    ----------
    executor
        Any ``concurrent.futures.Executor``: ``ThreadPoolExecutor``, ``ProcessPoolExecutor``, loky's, mpi4py's
        ``MPIPoolExecutor``, that of Dask's ``Client.get_executor()``; a ``dask.distributed.Client``; an int: that many
        processes of loky; or a function like ``map``, as SciPy's ``workers`` takes.
    chunk
        How many points are sent to a worker at a time. By default one, and then as many as f takes a fifth of a second
        for.
    retries
        How often points are evaluated again whose worker has died. What had been finished is kept.

    Notes
    -----
    Threads are given private copies of x, and help where f lets others run: where it waits, or computes in a library
    that releases Python's lock.

    To processes, f and x are sent once for each worker, by cloudpickle, and after that only numbers. They are sent
    together: an f that ignores its argument and reads x through a closure (``lambda W: net.loss(images, labels)``) is
    differentiated, as the worker perturbs its own copy of that very array. It is not if f finds x in a module that the
    worker imports anew, or as part of a larger array; then its values never change, and a `ConstantFunctionWarning` is
    issued.

    An exception that f raises is raised here as well, with a note of the point, and the other tasks are cancelled.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> import numpy as np
    >>> import anygrad
    >>> with ThreadPoolExecutor(2) as executor:
    ...     anygrad.numerical_gradient(lambda x: x @ x, np.array([1.0, 2.0]), evaluator=anygrad.Pool(executor))
    array([2., 4.])
    """

    executor: Any
    chunk: int | None = None
    retries: int = 2

    def __post_init__(self) -> None:
        require_executor(self.executor)
        if self.chunk is not None:
            _require_integer("chunk", self.chunk, 1, "a number of points, or None for what suits f")
        _require_integer("retries", self.retries, 0, "how often points are tried again whose worker has died")

    @property
    def leading(self) -> bool:
        """Whether many points go into one call of f: they do not."""
        return False

    def session(self, target: Target) -> PoolSession:
        """Open a target for sampling."""
        return PoolSession(self, target)


class PoolSession:
    """A `Session` of `Pool`, and the context that it lasts for."""

    def __init__(self, pool: Pool, target: Target) -> None:
        self._pool = pool
        self._target = target
        self._settings = np.geterr()
        # What this process does by itself: f(x), at a copy of x, and the account of all.
        self._here: Session = Loop(in_place=False).session(target)
        self.memory = self._here.memory
        self.record = self._here.record
        threads = in_this_process(pool.executor)
        # Worker processes write in their x where that could be done with the one here.
        self.in_place = not threads and target.backend.memory(target.x, in_place=True).visible
        _require_possible(pool, target, self.memory.concrete, threads=threads)
        self._pace = Pace()
        self._channel = (Threads if threads else Processes)(Engine(pool.executor), self._parcel)

    def __enter__(self) -> PoolSession:
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        self._channel.close(failed=failed is not None)

    @property
    def together(self) -> int:
        """How many elements keep all workers busy."""
        return 4 * self._channel.workers

    def know(self, value: object) -> None:
        self._here.know(value)

    def base(self, elements: Sequence[int]) -> Array:
        return self._here.base(elements)

    def sample(
        self, elements: Sequence[int], part: int | None, levels: Sequence[Array], width: int = 1
    ) -> Sequence[Array]:
        if not width:  # x is empty, and f(x) its only value
            return [self.base(range(1))] * len(levels)
        xp = self.memory.xp
        return in_columns(xp, self.evaluate, Points.of(xp, elements, part, levels, width), len(levels))

    def evaluate(self, points: Points, *, tolerant: bool = False) -> Iterator[tuple[range, Array | Exception]]:
        for task, answer in self._answers(points, tolerant=tolerant):
            self._take(answer)
            self._pace.learn(answer, len(task.points))
            for span, value in answer.pieces:
                place = range(task.start + span.start, task.start + span.stop)
                if isinstance(value, Failure):
                    error = self._noted(value, points.taken(place.start, place.stop))
                    if not tolerant:
                        raise error
                    yield place, error
                else:
                    self._count(value)
                    yield place, value

    def blind(self) -> bool:
        return self._here.blind()

    def _answers(self, points: Points, *, tolerant: bool) -> Iterator[tuple[Task, Answer]]:
        channel = self._channel
        portions = Portions(points, self._pool.chunk, channel.workers, self._pace, tolerant=tolerant)
        if not is_executor(self._pool.executor) and callable(self._pool.executor):
            tasks = portions.all()
            return zip(tasks, channel.mapped(tasks), strict=True)
        return Window(channel, portions.next, self._pool.retries, self._lost).answers()

    def _parcel(self) -> Parcel:
        """Return what a worker is to know; asked for at the first task, when more is known of what f returns."""
        target = self._target
        # The shapes of what f returns are known where it has been called for x; else a worker tells of them.
        wanted = target.vector and target.unpack is not None and not self.record.known
        return Parcel(replace(target, done=None), self._settings, self.in_place, wanted)

    def _take(self, answer: Answer) -> None:
        """Take what an answer has besides values."""
        if answer.unopened is not None:
            error, trace = _loaded(answer.unopened), answer.unopened.trace
            raise RuntimeError(
                f"f and x arrived at a worker, but could not be opened there ({type(error).__name__}: {error}): they"
                f" may need a module, or a device, that is missing there\n{trace}"
            ) from error
        if answer.output is not None and self._target.unpack is not None:
            self._target.unpack(pickle.loads(answer.output))

    def _count(self, values: Array) -> None:
        points = values.shape[0]
        self.record.count(points)
        self.record.look([values])
        if self._target.done is not None:
            self._target.done(points)

    def _lost(self, task: Task, cause: BaseException) -> Answer:
        """Return the answer for a task whose workers have all died."""
        error = RuntimeError(
            f"a worker died (of a crash, a signal, or for want of memory) while it evaluated f with"
            f" {described(task.points, self._shapes())}, {task.deaths} times: to look into it, call f there without"
            " a pool, or allow more retries"
        )
        error.__cause__ = cause
        if not task.tolerant:
            raise error
        return Answer([(range(i, i + 1), Failure(error)) for i in range(len(task.points))])

    def _noted(self, failure: Failure, point: Points) -> Exception:
        """Return the exception that f raised, with a note of where."""
        error = _loaded(failure)
        trace = f"; in the worker:\n{failure.trace}" if isinstance(failure.error, bytes) else ""
        error.add_note(f"f was evaluated with {described(point, self._shapes())}{trace}")
        return error

    def _shapes(self) -> list[tuple[int, ...]]:
        x = self._target.x
        return [tuple(array.shape) for array in (x if isinstance(x, list) else [x])]


def _loaded(failure: Failure) -> Exception:
    if isinstance(failure.error, bytes):
        error: Exception = pickle.loads(failure.error)
        return error
    return failure.error


def _require_possible(pool: Pool, target: Target, concrete: bool, *, threads: bool) -> None:
    """Raise if f cannot be evaluated by others at x."""
    if not concrete:
        raise TypeError(
            "x is lazy or traced, but Pool needs numbers, to send them to workers: use Loop(), whose result is lazy"
            " too, or compute x first"
        )
    if not threads and forks(pool.executor) and not target.backend.forkable(target.x):
        raise ValueError(
            f"x is an array of {target.backend.name} on a device or with threads that forked processes cannot use, but"
            " the workers of this executor are forked: start them anew, as ProcessPoolExecutor("
            'mp_context=multiprocessing.get_context("spawn")) and Pool(2) do'
        )


def _require_integer(name: str, value: object, least: int, meaning: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} is {value!r:.60}, but an integer of {least} or more was expected: {meaning}")
