"""From the words of a command line to an exit status, whatever happens on the way."""

from __future__ import annotations

import io
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from anygrad._cli.parser import parser
from anygrad._cli.refusal import Refusal, say
from anygrad._cli.theirs import their_traceback
from anygrad._result import ConstantFunctionWarning

_TROUBLE = 2
_INTERRUPTED = 130  # 128 and the number of the signal, as shells have it
_NO_READER = 141
# What the library raises where what it was given is wrong; whatever else it may raise is a mistake of its own.
_SENTENCES = (Refusal, TypeError, ValueError, IndexError, ImportError, OSError, MemoryError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, and return its exit status: 0, 1 where a check fails, 2 where there is no answer.

    Parameters
    ----------
    argv
        The words behind ``anygrad``; by default those of the process.
    """
    try:
        with _importable(), _own_warnings_in_one_line():
            arguments = parser().parse_args(_numbers_joined(sys.argv[1:] if argv is None else argv))
            status: int = arguments.run(arguments)
            if sys.stdout is not None:  # as it is where it was closed
                sys.stdout.flush()
    except KeyboardInterrupt:
        say("interrupted")
        return _INTERRUPTED
    except BaseException as error:
        return _told(error)
    return status


def _numbers_joined(words: Sequence[str]) -> list[str]:
    """Return the words with negative numbers tied to the option before: -1e-3 looks like an option itself."""
    joined: list[str] = []
    for word in words:
        tied = joined and joined[-1].startswith("--") and "=" not in joined[-1]
        if tied and word.startswith("-") and _is_number(word):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _told(error: BaseException) -> int:
    """Say what is wrong, as whoever has made the mistake wants to know it: the user, by the shell or in f, or we."""
    if (theirs := their_traceback(error)) is not None:
        print(theirs, end="", file=sys.stderr or io.StringIO())
    elif isinstance(error, BrokenPipeError):
        # Whoever read the output has seen enough. Python would complain once more when it closes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _NO_READER
    elif isinstance(error, _SENTENCES):
        say(str(error))
    elif isinstance(error, Exception):
        traceback.print_exception(error)
        say("this is a mistake in anygrad: please report it, with what is written above")
    else:  # argparse's way to end after --help
        raise error
    return _TROUBLE


@contextmanager
def _importable() -> Iterator[None]:
    """Let modules be found in the current folder, as with ``python -m``; afterwards the path is what it was."""
    before = list(sys.path)
    if not sys.flags.safe_path:
        sys.path.insert(0, os.getcwd())
    try:
        yield
    finally:
        sys.path[:] = before


@contextmanager
def _own_warnings_in_one_line() -> Iterator[None]:
    """Show the library's warnings as sentences; the line of code that they are about is none of the user's here."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def shown(message: Warning | str, category: type[Warning], *where: object) -> None:
            if issubclass(category, ConstantFunctionWarning):
                say(str(message))
            else:
                show(message, category, *where)  # type: ignore[arg-type]  # handed on as they came

        warnings.simplefilter("always", ConstantFunctionWarning)
        warnings.showwarning = shown  # type: ignore[assignment]  # likewise
        yield
