"""Arguments that the commands have in common."""

from __future__ import annotations

import argparse
import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress

from anygrad._cli.arrays import converted
from anygrad._cli.reading import Tree, read
from anygrad.backends.libraries import names

_STDOUT, _STDERR = 1, 2


def add_function(parser: argparse.ArgumentParser, *, default: str) -> None:
    """Describe f, x and how f is called; ``default`` says which scheme it is if none is named."""
    parser.add_argument("f", metavar="MODULE:F", help="the function: package.module:f, module:net.loss, or file.py:f")
    parser.add_argument(
        "--x",
        required=True,
        help='where: a .npy file; a .npz file, which is a dict of arrays; or numbers, such as "[1.0, 2.0]"',
    )
    parser.add_argument(
        "--backend",
        metavar="LIBRARY",
        help=f"the library of the array that f is given: {', '.join(names())} (default: numpy)",
    )
    parser.add_argument(
        "--scheme",
        help="adaptive, central, forward, backward or complex; an order may follow, as in central4 (default:"
        f" {default})",
    )
    parser.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="whether to show a bar on standard error (default: where that is a terminal)",
    )


def wants_progress(arguments: argparse.Namespace) -> bool:
    """Return whether to show a bar."""
    asked: bool | None = arguments.progress
    if asked is not None:
        return asked
    return sys.stderr is not None and sys.stderr.isatty()  # it is None where it was closed


@contextmanager
def output_aside() -> Iterator[None]:
    """Let what f prints go to standard error, be it by a program that f starts: it is none of the output."""
    with redirect_stdout(sys.stderr):
        try:
            kept = os.dup(_STDOUT)
        except OSError:  # it is closed
            yield
            return
        try:
            with open(os.devnull, "w") as nowhere:
                os.dup2(_STDERR if _is_open(_STDERR) else nowhere.fileno(), _STDOUT)
            yield
        finally:
            with suppress(OSError, ValueError):  # f may have closed it
                if sys.__stdout__ is not None:
                    sys.__stdout__.flush()  # which f may have written to by that name
            with suppress(OSError, AttributeError):  # libraries that are called otherwise
                _library_of_c().fflush(None)  # what f has printed by functions in C
            os.dup2(kept, _STDOUT)
            os.close(kept)


def _library_of_c() -> ctypes.CDLL:
    return ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def x_of(arguments: argparse.Namespace) -> Tree:
    """Return x, of the library that is asked for."""
    return converted(read(arguments.x, "x"), "x", arguments.backend)
