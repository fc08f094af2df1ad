"""The modes that libraries keep for each thread, such as PyTorch's grad mode, carried to the workers of a pool.

Every library that has been imported is asked: an f of NumPy's arrays may compute with another one.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack

from anygrad.backends.base import load

# The others are not known to keep anything.
_LIBRARIES = ("torch", "jax")


def modes() -> dict[str, object]:
    """Return the modes of this thread by library, to be pickled."""
    return {name: load(name).modes() for name in _imported()}


def under(modes: Mapping[str, object]) -> AbstractContextManager[object]:
    """Return the context, entered, in which this thread has the modes of another one, of whatever process."""
    with ExitStack() as stack:
        for name, own in modes.items():
            if own is None and name not in _imported():
                continue
            try:
                library = load(name)
            except ImportError:  # f does not use what is not installed
                continue
            stack.enter_context(library.under(own))
        return stack.pop_all()


def after_fork() -> None:
    """Let this process, which has been forked, do without the threads that were left behind."""
    for name in _imported():
        load(name).after_fork()


def _imported() -> list[str]:
    return [name for name in _LIBRARIES if sys.modules.get(name) is not None]
