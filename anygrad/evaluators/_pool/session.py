"""A session of a pool: points are handed out, and values, failures and counts come together again."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from anygrad._typing import Array
from anygrad.backends import modes
from anygrad.evaluators._base import Session, Target
from anygrad.evaluators._points import Points, sampled
from anygrad.evaluators._pool.channels import Processes, Threads
from anygrad.evaluators._pool.executors import Engine, forks, in_this_process, is_executor
from anygrad.evaluators._pool.portions import Pace, Portions
from anygrad.evaluators._pool.tasks import Answer, Parcel, Raised, Task, described
from anygrad.evaluators._pool.window import Window
from anygrad.evaluators.loop import Loop

if TYPE_CHECKING:
    from anygrad.evaluators.pool import Pool


class PoolSession:
    """A `Session` of `Pool`, and the context that it lasts for."""

    def __init__(self, pool: Pool, target: Target) -> None:
        self._pool = pool
        self._target = target
        # What this process does by itself: f(x), at a copy of x, and the account of all.
        self._here: Session = Loop(in_place=False).session(target)
        self.memory = self._here.memory
        self.record = self._here.record
        threads = in_this_process(pool.executor)
        self._settings = _settings(threads=threads)
        self._modes = modes()
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
        return sampled(self, elements, part, levels, width)

    def evaluate(self, points: Points, *, tolerant: bool = False) -> Iterator[tuple[range, Array | Exception]]:
        for task, answer in self._answers(points, tolerant=tolerant):
            self._take(answer)
            self._pace.learn(answer, len(task.points))
            for span, value in answer.pieces:
                place = range(task.start + span.start, task.start + span.stop)
                if isinstance(value, Raised):
                    error = self._noted(value, points.taken(place.start, place.stop))
                    if not tolerant or not isinstance(error, Exception):
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
            return _paired(tasks, channel.mapped(tasks))
        return Window(channel, portions.next, self._pool.retries, self._lost).answers()

    def _parcel(self) -> Parcel:
        """Return what a worker is to know; asked for at the first task, when more is known of what f returns."""
        target = self._target
        # The shapes of what f returns are known where it has been called for x; else a worker tells of them.
        wanted = target.vector and target.unpack is not None and not self.record.known
        # No more of the target than is needed there: what reports progress could not be sent.
        own = Target(
            target.f,
            target.x,
            target.backend,
            target.unpack,
            vector=target.vector,
            batch=target.batch,
            examined=target.examined,
        )
        return Parcel(own, self._settings, self._modes, self.in_place, wanted)

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
        several = len(task.points) > 1
        error = RuntimeError(
            f"a worker died (of a crash, a signal, or for want of memory) {task.deaths} times while it evaluated f"
            f" {'at several points: ' if several else 'with '}{described(task.points, self._shapes())}; to look into"
            f" it, {'find the point by Pool(..., chunk=1), and ' if several else ''}call f there without a pool"
        )
        error.__cause__ = cause
        if not task.tolerant:
            raise error
        return Answer([(range(i, i + 1), Raised(error)) for i in range(len(task.points))])

    def _noted(self, raised: Raised, point: Points) -> BaseException:
        """Return the exception that f raised, with a note of where."""
        error = _loaded(raised)
        trace = f"; in the worker:\n{raised.trace}" if isinstance(raised.error, bytes) else ""
        error.add_note(f"f was evaluated with {described(point, self._shapes())}{trace}")
        return error

    def _shapes(self) -> list[tuple[int, ...]]:
        x = self._target.x
        return [tuple(array.shape) for array in (x if isinstance(x, list) else [x])]


def _paired(tasks: Sequence[Task], answers: Any) -> Iterator[tuple[Task, Answer]]:
    """Return each task with its answer; raise if what is like map gives them in another order, or not all."""
    answered = iter(answers if isinstance(answers, Iterable) else ())
    for task in tasks:
        answer = next(answered, None)
        if not isinstance(answer, Answer) or (answer.unopened is None and answer.start != task.start):
            raise ValueError(
                "Pool was given a function like map that did not return one result for each item, in the order of"
                " these: give it one that does, such as multiprocessing.Pool().map, or imap instead of imap_unordered"
            )
        yield task, answer


def _loaded(raised: Raised) -> BaseException:
    if isinstance(raised.error, bytes):
        error: BaseException = pickle.loads(raised.error)
        if isinstance(error, SystemExit) and len(error.args) == 1:
            error.code = error.args[0]  # tblib, by which Dask pickles exceptions, leaves it behind
        return error
    return raised.error


def _settings(*, threads: bool) -> dict[str, Any]:
    """Return NumPy's error settings, and what they call; processes warn where that is called."""
    if threads:
        return {**np.geterr(), "call": np.geterrcall()}
    told = {kind: "warn" if action in {"call", "log"} else action for kind, action in np.geterr().items()}
    return {**told, "call": None}


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
