"""The modes that libraries keep for each thread, such as PyTorch's grad mode, carried to the workers of a pool.

All imported libraries are asked, not only x's: f may compute with another one.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack

from anygrad.backends.base import load

# The others are not known to keep modes.
_LIBRARIES = ("torch", "jax")


def modes() -> dict[str, object]:
    """Return the modes of this thread by library, to be pickled."""
    return {name: load(name).modes() for name in _imported()}


def under(modes: Mapping[str, object]) -> AbstractContextManager[object]:
    """Enter and return a context that gives this thread the modes of another one, perhaps of another process."""
    with ExitStack() as stack:
        for name, own in modes.items():
            if own is None and name not in _imported():
                continue
            try:
                library = load(name)
            except ImportError:  # not installed here, so f does not use it
                continue
            stack.enter_context(library.under(own))
        return stack.pop_all()


def after_fork() -> None:
    """Let this forked process do without the threads that were left behind."""
    for name in _imported():
        load(name).after_fork()


def _imported() -> list[str]:
    return [name for name in _LIBRARIES if sys.modules.get(name) is not None]
