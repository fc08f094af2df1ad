"""The ways to a pool's workers: threads, which take copies of x, and processes, which are sent it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from array_api_compat import array_namespace

from anygrad.evaluators._pool.desk import Desk, Desks
from anygrad.evaluators._pool.executors import Engine, broken_types
from anygrad.evaluators._pool.parcel import packed
from anygrad.evaluators._pool.tasks import Answer, Parcel, Task
from anygrad.evaluators._pool.worker import awake, work

if TYPE_CHECKING:
    from concurrent.futures import Future

_Item = TypeVar("_Item")


class Threads:
    """Workers that are threads of this process: f is shared, and each call has a copy of x that no other uses."""

    def __init__(self, engine: Engine, parcel: Callable[[], Parcel]) -> None:
        self.workers = engine.workers
        self._engine = engine
        self._parcel = parcel
        self._stop = threading.Event()
        self._desks: Desks | None = None

    def submit(self, task: Task, *, complete: bool) -> Future[Answer | None]:
        future: Future[Answer | None] = self._engine.executor.submit(self._work, self._opened(), task)
        return future

    def mapped(self, tasks: list[Task]) -> Any:
        """Return the answers to all tasks, by a function like map."""
        desks = self._opened()
        return self._engine.executor(_at_desk, [(desks, task) for task in tasks])

    def renew(self, cause: BaseException) -> None:
        raise RuntimeError(
            f"a thread of the executor could not start ({cause}): give Pool one whose initializer does not fail"
        ) from cause

    def wake(self) -> None:
        """Do nothing: threads are awake."""

    def close(self, *, failed: bool) -> None:
        """Let what is still running end with the call of f that it is at."""
        self._stop.set()
        self._engine.close(failed=failed)

    def _opened(self) -> Desks:
        if self._desks is None:
            parcel = _with_lock(self._parcel())
            self._desks = Desks(lambda: Desk(parcel, self._stop.is_set))
        return self._desks

    @staticmethod
    def _work(desks: Desks, task: Task) -> Answer:
        desk = desks.take()
        answer = desk.answer(task)
        desks.give_back(desk)
        return answer


class Processes:
    """Workers that are processes, here or elsewhere: the target is pickled once, and sent to each of them once.

    Nobody says which worker will have a task: the target goes with the first ones, as many as there are workers, and
    once more with each task whose worker turns out not to have it.
    """

    def __init__(self, engine: Engine, parcel: Callable[[], Parcel]) -> None:
        self.workers = engine.workers
        self._engine = engine
        self._parcel = parcel
        self._key = uuid.uuid4().hex
        self._data: bytes | None = None
        self._without = self.workers  # how many of them have not been sent it

    def submit(self, task: Task, *, complete: bool) -> Future[Answer | None]:
        future: Future[Answer | None] = self._engine.executor.submit(work, *self._letter(task, complete=complete))
        return future

    def mapped(self, tasks: list[Task]) -> Any:
        """Return the answers to all tasks, by a function like map; to some of them only at the second time."""
        first = self._answered([self._letter(task, complete=False) for task in tasks])
        missed = [i for i, answer in enumerate(first) if answer is None]
        if missed:
            again = self._answered([self._letter(tasks[i], complete=True) for i in missed])
            for i, answer in zip(missed, again, strict=False):  # how many there are is looked at with all others
                first[i] = answer
        return first

    def renew(self, cause: BaseException) -> None:
        self._engine.renew(cause)
        self._without = self.workers

    def wake(self) -> None:
        try:
            self._engine.executor.submit(awake).result()
        except broken_types() as error:
            raise RuntimeError(
                "no worker of the executor could start: look for an initializer that fails,"
                ' for a script that lacks if __name__ == "__main__", or for an anygrad that workers cannot import'
            ) from error

    def close(self, *, failed: bool) -> None:
        """End the processes that are ours."""
        self._engine.close(failed=failed)

    def _answered(self, letters: list[tuple[str, bytes | None, Task]]) -> list[Any]:
        answers = self._engine.executor(_work_on, letters)
        return list(answers if isinstance(answers, Iterable) else ())

    def _letter(self, task: Task, *, complete: bool) -> tuple[str, bytes | None, Task]:
        if self._data is None:
            self._data = packed(self._parcel())
        complete = complete or self._without > 0
        self._without -= complete
        return self._key, self._data if complete else None, _compact(task)


def _work_on(*letters: tuple[str, bytes | None, Task]) -> Answer | None:
    return work(*_only(letters))


def _at_desk(*letters: tuple[Desks, Task]) -> Answer:
    return Threads._work(*_only(letters))


def _only(items: tuple[_Item, ...]) -> _Item:
    """Return what a function like map hands over; raise if that is not one of the items that it was given."""
    if len(items) != 1:
        raise TypeError(
            f"Pool was given a function that hands over {len(items)} arguments for each item, as starmap does, but one"
            " like map was expected, which hands over the item as it is: write pool.map"
        )
    return items[0]


def _compact(task: Task) -> Task:
    """Return a task whose numbers are not a view of all: some libraries pickle what is viewed as a whole."""
    numbers = task.points.numbers
    own = array_namespace(numbers).asarray(numbers, copy=True)
    return replace(task, points=replace(task.points, numbers=own))


def _with_lock(parcel: Parcel) -> Parcel:
    """Return a parcel for threads: what takes apart f's output learns its shapes, and must do so one at a time."""
    unpack = parcel.target.unpack
    if unpack is None:
        return parcel
    lock = threading.Lock()

    def unpack_alone(returned: object) -> object:
        with lock:
            return unpack(returned)

    return replace(parcel, target=replace(parcel.target, unpack=unpack_alone))
