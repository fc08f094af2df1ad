"""What a worker process runs: a task, at a desk that it keeps for the next one."""

from __future__ import annotations

import pickle
import threading
from collections import OrderedDict
from dataclasses import replace
from typing import Any

from anygrad.backends import after_fork
from anygrad.evaluators._pool.desk import Desk, Desks, raised
from anygrad.evaluators._pool.pickling import pickled, pickled_exception
from anygrad.evaluators._pool.tasks import Answer, Parcel, Raised, Task

# Module state, for a task that knows no more than a key finds its target here, which came with an earlier one. The
# oldest are forgotten: a worker that is asked for one of those says so, and is sent it again.
_MOST = 3
_known: OrderedDict[str, Desks] = OrderedDict()
_lock = threading.Lock()


def work(key: str, parcel: bytes | None, task: Task) -> Answer | None:
    """Return the answer to a task; None if its target is not known here and not given, pickled, as ``parcel``."""
    desks = _desks(key, parcel)
    if desks is None:
        return None
    try:
        desk = desks.take()
    except Exception as error:
        return Answer(unopened=_packed(raised(error)))
    answer = desk.answer(task)
    output, desk.output = desk.output, None
    desks.give_back(desk)
    return replace(
        answer,
        pieces=[(span, _packed(value) if isinstance(value, Raised) else value) for span, value in answer.pieces],
        output=None if output is None else pickled(output),
    )


def awake() -> bool:
    """Return True, to whoever wants to know whether workers come so far."""
    return True


def _desks(key: str, parcel: bytes | None) -> Desks | None:
    with _lock:
        desks = _known.get(key)
        if desks is None and parcel is not None:
            # Each desk unpickles a target of its own: threads of one process must not share an x.
            desks = _known[key] = Desks(lambda: Desk(_unpacked(parcel)))
            while len(_known) > _MOST:
                _known.popitem(last=False)
        if desks is not None:
            _known.move_to_end(key)
        return desks


def _unpacked(data: bytes) -> Parcel:
    if _forked():
        after_fork()
    arrival, inner = pickle.loads(data)
    with arrival():
        parcel: Parcel = pickle.loads(inner)
    return parcel


def _forked() -> bool:
    """Return whether this process has whatever state libraries had in another one, but not its threads."""
    import multiprocessing.context  # noqa: PLC0415 - only here

    forked: Any = getattr(multiprocessing.context, "ForkProcess", ())  # not on Windows
    return isinstance(multiprocessing.current_process(), forked)


def _packed(failed: Raised) -> Raised:
    assert isinstance(failed.error, BaseException)
    return Raised(pickled_exception(failed.error), failed.trace)
