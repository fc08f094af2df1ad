"""The interface of a backend: the few primitives in which the array libraries differ."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

import numpy as np

from anygrad._typing import Array
from anygrad.backends._memory import Memory
from anygrad.backends._points import PointsAbout
from anygrad.backends._vectoriser import CompiledGradient, Function, Vectoriser

Indices: TypeAlias = np.ndarray[Any, np.dtype[np.intp]]


class Opener(Protocol):
    """What opens x: one array library, or several arrays as one."""

    @property
    def name(self) -> str:
        """The library's name."""
        ...

    def host(self, x: Array) -> np.ndarray[Any, Any]:
        """Return an array of any dtype on the host, as NumPy's; what NumPy lacks a dtype for, as bits."""
        ...

    def forkable(self, x: Array) -> bool:
        """Return whether a process forked from this one can use arrays like x: after CUDA has been used, it cannot."""
        ...

    def memory(self, x: Array, *, in_place: bool) -> Memory:
        """Return x opened for perturbation; in place only if that is asked for and x can be written safely."""
        ...

    def complexified(self, x: Array) -> Array:
        """Return a copy of a real x in the complex dtype of the same precision; raise if there is none."""
        ...

    def context(self, x: Array) -> AbstractContextManager[object]:
        """Return the context in which x's device is the current one."""
        ...

    def arrival(self, x: Array) -> Callable[[], AbstractContextManager[object]]:
        """Return what makes the context, in another process, in which an x that is unpickled there is the same."""
        ...


class Backend(Opener, Protocol):
    """One array library. A module that defines these names is a backend."""

    @property
    def cast_example(self) -> str:
        """How a user of this library turns x into a floating array."""
        ...

    @property
    def compiled_gradient(self) -> CompiledGradient | None:
        """What compiles a gradient as a whole, f and what is made of its values; None where nothing is compiled."""
        ...

    @property
    def vectoriser(self) -> Vectoriser | None:
        """The library's vmap, if it is the same for any x; else None."""
        ...

    @property
    def points_about(self) -> PointsAbout | None:
        """What makes all points of a stencil about a small x at a time; None where `Memory.stack` has to do."""
        ...

    def is_array(self, x: object) -> bool:
        """Return whether x is an array of this library."""
        ...

    def floating(self, x: Array) -> bool:
        """Return whether x's dtype is real or complex floating; raise if x cannot be differentiated otherwise."""
        ...

    def in_host_memory(self, x: Array) -> bool:
        """Return whether the host reads x's numbers where they are, without a copy or a wait."""
        ...

    def shares_memory(self, x: Array, y: Array) -> bool:
        """Return whether writing an element of x may change one of y."""
        ...

    def widened(self, x: Array) -> Array:
        """Return a copy of x in float64 (complex128), or the widest its device has; in x's dtype, if that is wider."""
        ...

    def promoting(self, f: Function, x: Array) -> Function:
        """Return f as a function of widened arrays like x: its own arrays are promoted, if the library does not."""
        ...

    def pattern(self, x: Any) -> Any:
        """Return a dense or sparse array of this library by whose entries NumPy's (SciPy's) has; all else as it is."""
        ...

    def sparse(self, values: Array, rows: Indices, columns: Indices, shape: tuple[int, int], like: Any) -> Any:
        """Return a sparse array with values at these places, sorted by rows; a dense one if the library has no other.

        ``like`` is a SciPy sparse array of the wanted format, or None; other libraries may have but one.
        """
        ...
