"""matplotlib, when a picture is wanted."""

from __future__ import annotations

from typing import Any


def pyplot() -> Any:
    """Import ``matplotlib.pyplot``; raise ImportError with what to install, if that is missing."""
    try:
        from matplotlib import pyplot  # noqa: PLC0415 - an extra, imported when a picture is wanted
    except ImportError:
        raise ImportError(
            'pictures need matplotlib, which is not installed: pip install matplotlib, or install anygrad with "[plot]"'
        ) from None
    return pyplot
