"""The interface of an array library that is known by its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from anygrad._typing import Array


class Library(Protocol):
    """An array library. A module that defines these names is one."""

    def available(self) -> str | None:
        """Return None if arrays can be made, else the reason why not, in one line."""
        ...

    def version(self) -> str:
        """Return the version that is installed."""
        ...

    def devices(self) -> Sequence[str]:
        """Return where arrays can be, each as the library calls it, with what it is in brackets: ``cuda:0 (name)``."""
        ...

    def asarray(self, x: NDArray[Any], /) -> Array:
        """Return a copy of NumPy's array on the library's default device, of x's dtype where the library has that."""
        ...


@dataclass(frozen=True)
class Description:
    """What there is of an array library here.

    Attributes
    ----------
    name
        What it is called, and imported as.
    version
        The version that is installed; None if none is, or if it cannot be imported.
    array_api
        The version of the array API standard by which anygrad calls it; None where that is not known.
    devices
        Where arrays can be.
    obstacle
        Why it cannot be used, in one line; None if it can.
    """

    name: str
    version: str | None = None
    array_api: str | None = None
    devices: tuple[str, ...] = ()
    obstacle: str | None = None


def in_one_line(error: Exception) -> str:
    """Return what an exception says, as far as its first line; its class, if it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
