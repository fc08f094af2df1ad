"""Tasks in flight: a few for each worker at a time, sent again where a worker has died."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from anygrad.evaluators._pool.executors import breaks_all, broken_types
from anygrad.evaluators._pool.tasks import Answer, Task

if TYPE_CHECKING:
    from concurrent.futures import Future

# Per worker: one that it has, and one that it finds when it is done. More would only be more to cancel.
_IN_FLIGHT = 2


class Channel(Protocol):
    """The way to the workers."""

    workers: int

    def submit(self, task: Task, *, complete: bool) -> Future[Answer | None]:
        """Send a task; with all that there is to know if it is ``complete``."""
        ...

    def renew(self, cause: BaseException) -> None:
        """Replace the workers, all of which are gone."""
        ...


class Window:
    """The tasks in flight.

    Parameters
    ----------
    channel
        The way to the workers.
    tasks
        Returns the next task, or None if there is none.
    retries
        How often a task is sent again after a worker has died that had it.
    lost
        Returns the answer to a task that is not sent again; or raises.
    """

    def __init__(
        self,
        channel: Channel,
        tasks: Callable[[], Task | None],
        retries: int,
        lost: Callable[[Task, BaseException], Answer],
    ) -> None:
        self._channel = channel
        self._tasks = tasks
        self._retries = retries
        self._lost = lost
        self._flying: dict[Future[Answer | None], Task] = {}
        self._uninformed: list[Task] = []  # whose workers did not know the target
        self._again: deque[Task] = deque()
        # Had by workers that have died: sent one at a time, so that it shows which of them kills its worker.
        self._suspects: deque[Task] = deque()
        self._alone = False

    def answers(self) -> Iterator[tuple[Task, Answer]]:
        """Yield the answers to all tasks as they come."""
        from concurrent.futures import FIRST_COMPLETED, wait  # noqa: PLC0415 - not every gradient needs a pool

        try:
            self._fill()
            while self._flying:
                done, _ = wait(self._flying, return_when=FIRST_COMPLETED)
                yield from self._landed(done)
                self._fill()
        finally:
            for future in self._flying:
                future.cancel()

    def _landed(self, done: set[Future[Answer | None]]) -> Iterator[tuple[Task, Answer]]:
        broken: BaseException | None = None
        self._alone = False
        for future in self._sorted(done):
            task = self._flying.pop(future)
            try:
                answer = future.result()
            except broken_types() as error:
                broken = error if breaks_all(error) else broken
                yield from self._died(task, error)
            else:
                if answer is None:
                    self._uninformed.append(task)
                else:
                    yield task, answer
        if broken is not None:
            yield from self._wreck(broken)

    def _wreck(self, cause: BaseException) -> Iterator[tuple[Task, Answer]]:
        """Take what has been finished from an executor that has broken, and replace it."""
        from concurrent.futures import wait  # noqa: PLC0415 - not every gradient needs a pool

        rest, _ = wait(self._flying)
        self._channel.renew(cause)
        for future in self._sorted(rest):
            task = self._flying.pop(future)
            error = future.exception()
            if error is None and (answer := future.result()) is not None:
                yield task, answer
            elif error is None:
                self._uninformed.append(task)
            elif isinstance(error, broken_types()):
                yield from self._died(task, error)
            else:
                raise error

    def _sorted(self, futures: set[Future[Answer | None]]) -> list[Future[Answer | None]]:
        """Return futures in the order of their points: what happens is then the same each time."""
        return sorted(futures, key=lambda future: self._flying[future].start)

    def _died(self, task: Task, cause: BaseException) -> Iterator[tuple[Task, Answer]]:
        task.deaths += 1
        if task.deaths > self._retries:
            yield task, self._lost(task, cause)
        elif breaks_all(cause):
            self._suspects.append(task)
        else:
            self._again.append(task)

    def _fill(self) -> None:
        while self._uninformed:
            self._send(self._uninformed.pop(), complete=True)
        if self._suspects and not self._flying:
            self._alone = self._send(self._suspects.popleft(), complete=True)
        while not (self._suspects or self._alone) and len(self._flying) < _IN_FLIGHT * self._channel.workers:
            task = self._again.popleft() if self._again else self._tasks()
            if task is None or not self._send(task):
                return

    def _send(self, task: Task, *, complete: bool = False) -> bool:
        """Send a task, or keep it for later and return False if the executor turns out to be broken."""
        task.sent += 1
        try:
            future = self._channel.submit(task, complete=complete)
        except broken_types() as error:
            if self._flying:  # these are about to say the same
                self._again.append(task)
                return False
            self._channel.renew(error)
            future = self._channel.submit(task, complete=complete)
        self._flying[future] = task
        return True
