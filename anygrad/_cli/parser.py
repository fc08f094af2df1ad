"""What can be written behind ``anygrad``."""

from __future__ import annotations

import argparse
from typing import NoReturn

from anygrad import __version__
from anygrad._cli import check, gradient, listing
from anygrad._cli.refusal import Refusal

_TROUBLE = "2 where something given cannot be used, or f fails; 130 after Ctrl-C"
_STATUS = f"exit status: 0; {_TROUBLE}"
_STATUS_OF_CHECK = (
    f"exit status: 0 where the gradient agrees, 1 where it does not or where that cannot be told; {_TROUBLE}"
)


class _Parser(argparse.ArgumentParser):
    """Argparse's, but what is wrong is said in one line."""

    def error(self, message: str) -> NoReturn:
        raise Refusal(f"{message} (see {self.prog} --help)")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line, whose results have the function to be run as ``run``."""
    whole = _Parser(prog="anygrad", description="Numerical derivatives from the command line.", allow_abbrev=False)
    whole.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = whole.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, does: str, epilog: str) -> argparse.ArgumentParser:
        described = does[0].upper() + does[1:] + "."
        return commands.add_parser(name, help=does, description=described, epilog=epilog, allow_abbrev=False)

    listing.add_arguments(command("backends", "list the array libraries that can be used here", _STATUS))
    gradient.add_arguments(command("gradient", "differentiate a function of an array", _STATUS))
    check.add_arguments(command("check", "compare a gradient with the numerical one", _STATUS_OF_CHECK))
    return whole
