"""``anygrad backends``: what is installed."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout

from anygrad._cli.writing import show_json
from anygrad.backends.libraries import Description, describe, names

_HEADS = ("library", "version", "array API", "devices")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what there is of each array library."""
    with redirect_stdout(sys.stderr):
        found = [describe(name) for name in names()]
    if arguments.json:
        show_json([dataclasses.asdict(description) for description in found])
        return 0
    print(_table([_HEADS, *map(_row, found)]))
    print("Arrays of any other library that keeps to the array API standard work, too.")
    return 0


def _row(found: Description) -> tuple[str, ...]:
    return found.name, found.version or "-", found.array_api or "-", found.obstacle or ", ".join(found.devices)


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)
