"""The interface of a backend: the few primitives in which the array libraries differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from anygrad._typing import Array, Namespace


class Results(Protocol):
    """The values that f returned, in the order of the calls."""

    def append(self, value: Array, /) -> None:
        """Keep one value."""
        ...


class Memory(Protocol):
    """An array opened for perturbation, element by element.

    Elements are addressed by their flat index in C order. "Working" arrays are what schemes compute with: one
    dimension, float64 (complex128) or wider wherever the device has it, on the host or the device, whichever x
    is on.

    Attributes
    ----------
    array
        What f is given: the caller's own x, or a private copy of it.
    visible
        Whether f sees the perturbation through a closure too: whether ``array`` is the caller's own, written in
        place.
    xp
        The array API namespace of the working arrays.
    cells
        ``cells[key] = raw`` writes one element of ``array``; None where the library's arrays are immutable.
    block
        How many elements are best handled at a time.
    plain
        Types of results of f that can be kept as they are, unread.
    complex
        Whether x is complex.
    concrete
        Whether values can be looked at: not so for lazy and traced arrays.
    eps, tiny
        Spacing at 1, and smallest positive number, of x's dtype.
    """

    array: Array
    visible: bool
    xp: Namespace
    cells: Array | None
    block: int
    plain: frozenset[type]
    complex: bool
    concrete: bool
    eps: float
    tiny: float

    def keys(self, elements: range) -> Iterable[object]:
        """Return the keys of ``cells`` for a range of elements."""
        ...

    def elements(self, elements: range) -> Array:
        """Return the original elements, a working array."""
        ...

    def raw(self, elements: range, part: int, levels: Array | None) -> Iterable[object]:
        """Return what to write for the elements to have ``levels`` as their real (0) or imaginary (1) part.

        None stands for the original elements, to the last bit.
        """
        ...

    def replaced(self, array: Array, element: int, raw: object) -> Array:
        """Return ``array``, or a row of it, with one element replaced. Used where ``cells`` is None."""
        ...

    def nearest(self, levels: Array) -> Array:
        """Round real working numbers to the nearest that x's dtype holds."""
        ...

    def results(self, count: int) -> Results:
        """Return where up to ``count`` values that f returns are gathered."""
        ...

    def read(self, value: object) -> Array:
        """Return one result of f such that later writes cannot change it; raise if it is not one number."""
        ...

    def gathered(self, results: Results, columns: int) -> Sequence[Array]:
        """Return the results of every ``columns``-th call as working arrays."""
        ...

    def compose(self, real: Array, imag: Array) -> Array:
        """Return complex working numbers from their parts."""
        ...

    def narrow(self, values: Array) -> Array:
        """Convert working numbers to x's dtype (its real counterpart, for real numbers)."""
        ...

    def join(self, blocks: Sequence[Array]) -> Array:
        """Join narrowed blocks to an array of x's library, shape and device."""
        ...

    def changed(self, element: int | None = None, raw: object = None) -> bool:
        """Return whether ``array`` differs from x as it was, but for one element that was set to ``raw``."""
        ...

    def restore(self) -> None:
        """Make ``array`` what it was, to the last bit."""
        ...


class Backend(Protocol):
    """One array library. A module that defines these names is a backend."""

    name: str
    cast_example: str  # how a user of this library turns x into a floating array

    def available(self) -> str | None:
        """Return None if arrays can be made, else the reason why not, in one line."""
        ...

    def is_array(self, x: object) -> bool:
        """Return whether x is an array of this library."""
        ...

    def floating(self, x: Array) -> bool:
        """Return whether x's dtype is real or complex floating; raise if x cannot be differentiated otherwise."""
        ...

    def shares_memory(self, x: Array, y: Array) -> bool:
        """Return whether writing an element of x may change one of y."""
        ...

    def memory(self, x: Array, *, in_place: bool) -> Memory:
        """Return x opened for perturbation; in place only if that is asked for and x can be written safely."""
        ...

    def context(self, x: Array) -> AbstractContextManager[object]:
        """Return the context in which x's device is the current one."""
        ...
