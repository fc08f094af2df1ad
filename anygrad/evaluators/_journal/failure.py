"""What is known of a point at which f could not be evaluated."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from anygrad._caller import raised_here


@dataclass(frozen=True)
class Failure:
    """A point at which f raised an exception.

    Attributes
    ----------
    array
        The name of the array that was changed, in the user's words: ``x``, or ``x['W1']``.
    elements
        Which of its elements, counted in C order (through all arrays, where the derivative is by several together).
    numbers
        What they were set to; only their real or imaginary part, where ``part`` is 0 or 1.
    part
        0, 1, or None for the numbers themselves.
    type, message, traceback
        The exception: the name of its class, what it says, and where it came from.
    """

    array: str
    elements: tuple[int, ...]
    numbers: tuple[complex, ...]
    part: int | None
    type: str
    message: str
    traceback: str

    @classmethod
    def of(
        cls, error: Exception, array: str, elements: tuple[int, ...], numbers: tuple[complex, ...], part: int | None
    ) -> Failure:
        """Return what is to be kept of an exception, which itself may hold half of the program."""
        kind = type(error)
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        lines = traceback.format_exception(error)
        return cls(array, elements, numbers, part, name, _message(error), "".join(lines))


def _message(error: Exception) -> str:
    """Return what an exception says, if it can."""
    try:
        return str(error)
    except Exception as unsaid:  # __str__ is the user's own code, and may fail like any
        return f"<no message: its __str__ raised {type(unsaid).__name__}>"


class Marking:
    """A function whose exceptions bear a mark, by which they are told from those about what it returns.

    The traceback alone does not tell: a function written in C leaves nothing there.
    """

    def __init__(self, f: Callable[[Any], object]) -> None:
        self._f = f

    def __call__(self, x: Any) -> object:
        try:
            return self._f(x)
        except Exception as error:
            object.__setattr__(error, "raised_by_f", True)  # which one that is a frozen dataclass takes as well
            raise


def is_own(error: Exception) -> bool:
    """Return whether an exception was raised by this library, about what f returns or does, and not by f.

    One that comes from another process, or in the place of one, has no traceback, and may have lost its mark; but not
    of these two classes, which keep it.
    """
    if getattr(error, "raised_by_f", False):
        return False
    return raised_here(error) or type(error) in (TypeError, ValueError)
