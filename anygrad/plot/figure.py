"""matplotlib, imported when a picture is drawn."""

from __future__ import annotations

from typing import Any


def pyplot() -> Any:
    """Import ``matplotlib.pyplot``; raise ImportError with what to install, if it is missing."""
    try:
        from matplotlib import pyplot  # noqa: PLC0415 - an extra, imported when a picture is drawn
    except ImportError:
        raise ImportError("pictures need matplotlib, which is not installed: pip install matplotlib") from None
    return pyplot
