"""Who called anygrad, and who raised an exception."""

from __future__ import annotations

import inspect
from types import FrameType

_OURS = __name__.partition(".")[0]
# Functions that call f.
_LOOPS = ("_visit", "<lambda>", "__call__", "call", "reporting")


def stacklevel() -> int:
    """Return the ``stacklevel`` with which the function that asks warns whoever called anygrad, however deep it is."""
    frame = inspect.currentframe()
    level = 0
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == _OURS:
        frame = frame.f_back
        level += 1
    return level


def raised_in(error: BaseException) -> FrameType | None:
    """Return the frame in which an exception was raised; None without a traceback, as of one that was pickled."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return None if trace is None else trace.tb_frame


def raised_here(error: BaseException) -> bool:
    """Return whether an exception was raised by anygrad itself, and not by f.

    An f that is written in C has no frame: what it raises comes from the loop, which raises nothing itself.
    """
    frame = raised_in(error)
    name = "" if frame is None else str(frame.f_globals.get("__name__"))
    return name.startswith(f"{_OURS}.") and not (frame is not None and frame.f_code.co_name.startswith(_LOOPS))


def stopped(error: BaseException | None) -> StopIteration | None:
    """Return the StopIteration that f has raised, of which a generator of ours has made a RuntimeError."""
    if type(error) is RuntimeError and isinstance(error.__cause__, StopIteration) and raised_here(error):
        return error.__cause__
    return None
