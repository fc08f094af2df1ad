"""What libraries keep for each thread or process, besides arrays: taken to those in which a pool calls f.

It is asked of every library that has been imported, as an f of NumPy's arrays may compute with another one.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from importlib import import_module
from typing import Protocol, cast

# Of the others it is not known that they keep any.
_MODULES = {"torch": "_torch_modes", "jax": "_jax_modes"}


class Modes(Protocol):
    """What one library keeps. A module that defines these names is one."""

    def current(self) -> object:
        """Return the modes of this thread, to be pickled without the library; None if every thread begins with them."""
        ...

    def under(self, modes: object) -> AbstractContextManager[object]:
        """Return the context in which this thread has the modes of another one."""
        ...

    def after_fork(self) -> None:
        """Let a process that was forked from one in which the library has had threads do without them."""
        ...


def modes() -> dict[str, object]:
    """Return the modes of this thread, by libraries."""
    return {name: _load(name).current() for name in _imported()}


def under(modes: Mapping[str, object]) -> AbstractContextManager[object]:
    """Return the context, entered, in which this thread has the modes of another one, of whatever process."""
    with ExitStack() as stack:
        for name, own in modes.items():
            if own is None and name not in _imported():
                continue
            try:
                library = _load(name)
            except ImportError:  # what is not there, f does not use
                continue
            stack.enter_context(library.under(own))
        return stack.pop_all()


def after_fork() -> None:
    """Let this process, which has been forked, do without the threads that were left behind."""
    for name in _imported():
        _load(name).after_fork()


def _imported() -> list[str]:
    return [name for name in _MODULES if sys.modules.get(name) is not None]


def _load(name: str) -> Modes:
    return cast(Modes, import_module(f"anygrad.backends.{_MODULES[name]}"))
