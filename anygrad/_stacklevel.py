"""Who called anygrad, and who raised an exception."""

from __future__ import annotations

import dis
import inspect
import linecache
from types import FrameType

_OURS = __name__.partition(".")[0]
# Packages whose frames are not the user's.
_LIBRARIES = {_OURS, "numpy", "scipy", "cupy", "cupyx", "dpnp", "array_api_strict", "array_api_compat"}
# Functions that call f.
_LOOPS = ("_visit", "<lambda>", "__call__", "call", "reporting")


def stacklevel() -> int:
    """Return the ``stacklevel`` that makes a warning point to the line of the user that called anygrad."""
    frame = inspect.currentframe()
    level = 0
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == _OURS:
        frame = frame.f_back
        level += 1
    return level


def raised_in(error: BaseException) -> FrameType | None:
    """Return the frame in which an exception was raised; None if it has no traceback, as after pickling."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return None if trace is None else trace.tb_frame


def raised_here(error: BaseException) -> bool:
    """Return whether an exception was raised by anygrad itself, and not by f.

    An f that is written in C has no frame: its exceptions come from the loop, which raises none itself.
    """
    frame = raised_in(error)
    name = "" if frame is None else str(frame.f_globals.get("__name__"))
    return name.startswith(f"{_OURS}.") and not (frame is not None and frame.f_code.co_name.startswith(_LOOPS))


def stopped(error: BaseException | None) -> StopIteration | None:
    """Return the StopIteration of f that a generator of ours has turned into a RuntimeError."""
    if type(error) is RuntimeError and isinstance(error.__cause__, StopIteration) and raised_here(error):
        return error.__cause__
    return None


def users_line() -> tuple[str, str]:
    """Return the innermost line of the user's code that is being executed, and the name of its instruction."""
    frame = _users_frame()
    if frame is None:
        return "in a library", ""
    step = next((step.opname for step in dis.get_instructions(frame.f_code) if step.offset == frame.f_lasti), "")
    return _line(frame, frame.f_lineno), step


def users_line_of(error: BaseException) -> tuple[str, str]:
    """Return the innermost line of the user's code that raised an exception, and the library function called there."""
    line, called, trace = "in a library", "", error.__traceback__
    while trace is not None:
        if _package(trace.tb_frame) not in _LIBRARIES:
            line, called = _line(trace.tb_frame, trace.tb_lineno), ""
        called = called or ("" if trace.tb_next is None else trace.tb_next.tb_frame.f_code.co_name)
        trace = trace.tb_next
    return line, called


def is_returned(name: str, held: object) -> bool:
    """Return whether the user's function returns the value that it computes now, as in ``return float(y)``.

    The function of ours that called it must have a variable ``name`` that holds a certain object.
    """
    frame = _users_frame()
    if frame is None:
        return False
    later = (step.opname for step in dis.get_instructions(frame.f_code) if step.offset > frame.f_lasti)
    if next((step for step in later if step != "CALL"), "") != "RETURN_VALUE":  # Python 3.11 calls in two steps
        return False
    caller = frame.f_back
    while caller is not None and _package(caller) == _OURS and caller.f_locals.get(name) is not held:
        caller = caller.f_back
    return caller is not None and _package(caller) == _OURS


def _users_frame() -> FrameType | None:
    frame = inspect.currentframe()
    while frame is not None and _package(frame) in _LIBRARIES:
        frame = frame.f_back
    return frame


def _line(frame: FrameType, line: int) -> str:
    file = frame.f_code.co_filename
    return f"line {line} of {file}: {linecache.getline(file, line).strip():.80}".rstrip(": ")


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__")).partition(".")[0]
