"""Who called anygrad."""

from __future__ import annotations

import inspect

_OURS = __name__.partition(".")[0]


def stacklevel() -> int:
    """Return the ``stacklevel`` with which the function that asks warns whoever called anygrad, however deep it is."""
    frame = inspect.currentframe()
    level = 0
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == _OURS:
        frame = frame.f_back
        level += 1
    return level
