"""What is said to the user, in sentences."""

from __future__ import annotations

import sys


class Refusal(Exception):  # noqa: N818 - it is what the user is told, and no error of the program
    """What was given cannot be used; the message says what was expected."""


def say(sentence: str) -> None:
    """Write a sentence to standard error, in one line."""
    if sys.stderr is not None:  # where it was closed, print would take standard output
        print(f"anygrad: {' '.join(sentence.split())}", file=sys.stderr)
