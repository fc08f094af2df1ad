"""matplotlib, an extra that is imported when a picture is drawn."""

from __future__ import annotations

from typing import Any


def load_pyplot() -> Any:
    try:
        from matplotlib import pyplot  # noqa: PLC0415 - see above
    except ImportError as error:
        raise ImportError("pictures need matplotlib, which cannot be imported: pip install matplotlib") from error
    return pyplot
