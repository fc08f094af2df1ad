"""What comes of a call, whatever that is."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any


def outcome(call: Callable[[], Any]) -> tuple[Any, list[tuple[Any, str, str]]]:
    """Return what a call returns, or raises, and what it warns of."""
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        try:
            result = call()
        except BaseException as error:
            result = type(error), str(error)
    return result, [(warning.category, str(warning.message), warning.filename) for warning in shown]
