"""Code of the user's, and what it raises: to them, their own traceback is the answer."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any


def theirs(call: Callable[..., Any], *arguments: object) -> Any:
    """Call something that runs code of the user's. By this frame one knows what has been raised in there."""
    return call(*arguments)


def their_traceback(error: BaseException) -> str | None:
    """Return the traceback of what the user's code has raised, from their first frame on; None if it was not theirs."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code is not theirs.__code__:
        frames = frames.tb_next
    if frames is None:
        return None
    return "".join(traceback.format_exception(type(error), error, _behind_import(frames.tb_next)))


def _behind_import(frames: TracebackType | None) -> TracebackType | None:
    """Leave out Python's own frames between the import of a module and the module."""
    own = str(Path(importlib.__file__).parent)
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith((own, "<frozen importlib")):
        frames = frames.tb_next
    return frames
