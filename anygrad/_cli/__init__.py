"""The command line: ``anygrad``, or ``python -m anygrad``."""

from anygrad._cli.entry import main

__all__ = ["main"]
