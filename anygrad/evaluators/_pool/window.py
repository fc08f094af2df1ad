"""Tasks in flight: a few for each worker at a time, sent again where a worker has died."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Protocol

from anygrad.evaluators._pool.executors import breaks_all, broken_types, is_answer_lost
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

    def wake(self) -> None:
        """Wait for a worker to start; raise if none can."""
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
        self._heard = False  # whether any worker has ever said anything

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
        from concurrent.futures import wait  # noqa: PLC0415 - not every gradient needs a pool

        self._alone = False
        dead = yield from self._gathered(done)
        broken = next((error for _, error in dead if breaks_all(error)), None)
        if broken is not None:  # the others are about to say the same
            dead += yield from self._gathered(wait(self._flying).done)
        # Before any task is called lost, it is to be known that workers start at all.
        unheard = not self._heard
        if broken is not None and unheard:
            self._renew(broken)
        for task, error in dead:
            yield from self._died(task, error)
        if broken is not None and not unheard:
            self._renew(broken)

    def _gathered(
        self, done: set[Future[Answer | None]]
    ) -> Generator[tuple[Task, Answer], None, list[tuple[Task, BaseException]]]:
        """Yield the answers of some futures; return the tasks whose worker has died, with what the executor says."""
        dead: list[tuple[Task, BaseException]] = []
        ends: tuple[type[BaseException], ...] = (*broken_types(), TypeError)
        for future in self._sorted(done):
            task = self._flying.pop(future)
            try:
                answer = future.result()
            except ends as error:
                if isinstance(error, TypeError) and not is_answer_lost(error):
                    raise
                dead.append((task, error))
                continue
            self._heard = True
            if answer is None:
                self._uninformed.append(task)
            else:
                yield task, answer
        return dead

    def _renew(self, cause: BaseException) -> None:
        """Replace an executor that has broken; raise if no worker has ever said anything, and none can start."""
        self._channel.renew(cause)
        if not self._heard:
            self._channel.wake()
            self._heard = True

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
            self._renew(error)
            future = self._channel.submit(task, complete=complete)
        self._flying[future] = task
        return True
