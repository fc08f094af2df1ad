"""How many points go into one task."""

from __future__ import annotations

import math

from anygrad.evaluators._points import Points
from anygrad.evaluators._pool.tasks import Answer, Task

# A task is to take so long at least, for what sending it costs, and at most, for what cancelling it costs.
_LEAST_SECONDS = 0.01
_MOST_SECONDS = 0.2
# Parts for each worker that what remains is split into: the last tasks are small, so that all end together.
_PARTS = 4


class Pace:
    """How long f takes at a point, as far as is known."""

    def __init__(self) -> None:
        self.seconds: float | None = None

    def learn(self, answer: Answer, points: int) -> None:
        """Take an answer into account."""
        taken = answer.seconds / points
        self.seconds = taken if self.seconds is None else (self.seconds + taken) / 2


class Portions:
    """The points, in tasks.

    Parameters
    ----------
    points
        The points.
    chunk
        How many there are in a task; None for as many as suit their pace.
    workers, pace
        How many workers there are, and how long f takes.
    tolerant
        Whether the others go on where f raises at one of them.
    """

    def __init__(self, points: Points, chunk: int | None, workers: int, pace: Pace, *, tolerant: bool) -> None:
        self._points = points
        self._chunk = chunk
        self._workers = workers
        self._pace = pace
        self._tolerant = tolerant
        self._start = 0

    def next(self) -> Task | None:
        """Return the next task, of a size that suits what is known by now; None if there is none left."""
        remaining = len(self._points) - self._start
        return self._task(min(self._chunk or self._fitting(remaining), remaining)) if remaining else None

    def all(self) -> list[Task]:
        """Return all tasks, of equal size."""
        size = self._chunk or math.ceil(len(self._points) / (_PARTS * self._workers))
        return [self._task(min(size, left)) for left in range(len(self._points), 0, -size)]

    def _task(self, size: int) -> Task:
        start = self._start
        self._start += size
        return Task(start, self._points.taken(start, self._start), self._tolerant)

    def _fitting(self, remaining: int) -> int:
        seconds = self._pace.seconds
        if seconds is None or self._tolerant:  # where f may fail, a task is all that is lost
            return 1
        share = math.ceil(remaining / (_PARTS * self._workers))
        least, most = (max(1, int(limit / max(seconds, 1e-9))) for limit in (_LEAST_SECONDS, _MOST_SECONDS))
        return max(least, min(share, most))
