"""Arguments that the commands have in common."""

from __future__ import annotations

import argparse
import sys

from anygrad._cli.arrays import converted
from anygrad._cli.reading import Tree, read
from anygrad.backends.libraries import names


def add_function(parser: argparse.ArgumentParser, scheme: str | None = None) -> None:
    """Describe f, x and how f is called; ``scheme`` is the default one, None that of `numerical_gradient`."""
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
        default=scheme,
        help="adaptive, central, forward, backward or complex; an order may follow, as in central4 (default:"
        f" {scheme or 'central, with the step 1e-4'})",
    )
    parser.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="whether to show a bar on standard error (default: where that is a terminal)",
    )


def wants_progress(arguments: argparse.Namespace) -> bool:
    """Return whether to show a bar."""
    asked: bool | None = arguments.progress
    return sys.stderr.isatty() if asked is None else asked


def x_of(arguments: argparse.Namespace) -> Tree:
    """Return x, of the library that is asked for."""
    return converted(read(arguments.x, "x"), "x", arguments.backend)
