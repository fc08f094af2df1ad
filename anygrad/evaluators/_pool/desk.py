"""A worker's own copy of x, at which f is evaluated by the loop."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from anygrad._typing import Array
from anygrad.backends import under
from anygrad.evaluators._points import Points
from anygrad.evaluators._pool.tasks import Answer, Parcel, Raised, Task
from anygrad.evaluators.loop import Loop


class Desk:
    """A target, opened for one task at a time.

    Parameters
    ----------
    parcel
        The target.
    stopped
        Returns whether nobody waits for the answer any more.
    """

    def __init__(self, parcel: Parcel, stopped: Callable[[], bool] = bool) -> None:
        target = parcel.target
        self._f = target.f
        self._backend, self._x = target.backend, target.x
        self._stopped = stopped
        self._called = 0
        self._wanted = parcel.output_wanted
        self.output: Any = None
        self._modes = parcel.modes
        self._called_by_numpy = parcel.settings["call"]
        with under(self._modes), self._backend.context(self._x), np.errstate(**parcel.settings):
            self._session = Loop(in_place=parcel.in_place).session(replace(target, f=self._call))

    def answer(self, task: Task) -> Answer:
        """Evaluate f at the points of a task."""
        start = time.perf_counter()
        quiet = np.errstate(all="ignore", call=self._called_by_numpy)
        with under(self._modes), self._backend.context(self._x), quiet:
            evaluate = self._one_by_one if task.tolerant else self._together
            pieces = list(evaluate(task.points))
        return Answer(pieces, time.perf_counter() - start, start=task.start)

    def _call(self, x: Array) -> object:
        if self._stopped():
            raise Stopped
        self._called += 1
        value = self._f(x)
        if self._wanted:
            self._wanted, self.output = False, value
        return value

    def _together(self, points: Points) -> Iterator[tuple[range, Array | Raised]]:
        self._called = 0
        try:
            # Entered for each task: at its end x is put back, and looked at for what f has done to it.
            with self._session as session:
                [values] = session.sample(points.elements, points.part, [points.numbers], points.width)
        except (Exception, SystemExit) as error:  # a worker that leaves would be waited for by some engines
            place = max(self._called - 1, 0)
            yield range(place, place + 1), raised(error)
        else:
            yield range(len(points)), values

    def _one_by_one(self, points: Points) -> Iterator[tuple[range, Array | Raised]]:
        for i in range(len(points)):
            for _, value in self._together(points.taken(i, i + 1)):
                yield range(i, i + 1), value


class Stopped(Exception):  # noqa: N818 - it is no error
    """Raised in f's place where nobody waits for its values any more."""


class Desks:
    """The desks for one target in one process: each has one task at a time, and there are as many as are needed."""

    def __init__(self, new: Callable[[], Desk]) -> None:
        self._new = new
        self._free: list[Desk] = []

    def take(self) -> Desk:
        """Return a desk that is free."""
        try:
            return self._free.pop()
        except IndexError:
            return self._new()

    def give_back(self, desk: Desk) -> None:
        """Take back a desk. One whose task was interrupted is not given back: its x may be anything."""
        self._free.append(desk)


def raised(error: BaseException) -> Raised:
    """Return an exception with its traceback as text: from f on, where it was f that raised it."""
    frames = error.__traceback__
    step = frames
    while step is not None:
        if step.tb_frame.f_code is Desk._call.__code__ and step.tb_next is not None:
            frames = step.tb_next
        step = step.tb_next
    return Raised(error, "".join(traceback.format_exception(type(error), error, frames)))
