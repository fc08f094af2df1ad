"""The interface of a memory: an array, as those see it who set its elements and compute with numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from anygrad._typing import Array, Namespace
from anygrad.backends._recorder import Recorder
from anygrad.backends._stack import Stack
from anygrad.backends._vectoriser import Vectoriser


class Results(Protocol):
    """The values that f returned, in the order of the calls."""

    def append(self, value: Array, /) -> None:
        """Keep one value."""
        ...

    def extend(self, values: Array, /) -> None:
        """Keep several, which are along the first axis of an array."""
        ...


class Memory(Protocol):
    """An array opened for perturbation, element by element.

    Elements are addressed by their flat index in C order: a range of them, or a list. "Working" arrays are what
    schemes compute with: float64 (complex128) or wider wherever the device has it, on the host or the device,
    whichever x is on. They have one dimension, but for the values of an f that returns several numbers: those
    have a row for each call.

    Attributes
    ----------
    array
        What f is given: the caller's own x, or a private copy of it.
    size
        How many elements there are.
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
    nbytes
        What x takes, in bytes.
    chunk_bytes
        How many bytes of points are best given to an f that takes many at a time.
    vectoriser
        How the library makes an f of many points of an f of one; None if it does not.
    """

    array: Array
    size: int
    nbytes: int
    chunk_bytes: int
    vectoriser: Vectoriser | None
    visible: bool
    xp: Namespace
    cells: Array | None
    block: int
    plain: frozenset[type]
    complex: bool
    concrete: bool
    eps: float
    tiny: float

    def window(self, elements: Sequence[int]) -> tuple[Array | None, Iterable[object]]:
        """Return ``cells``, or a part of it that has the elements, and their keys there."""
        ...

    def elements(self, elements: Sequence[int]) -> Array:
        """Return the original elements, a working array."""
        ...

    def raw(self, elements: Sequence[int], part: int | None, levels: Array | None) -> Iterable[object]:
        """Return what to write for the elements to have ``levels`` as their real (0) or imaginary (1) part.

        For part None, the levels are the numbers themselves. For levels None, it is the original elements, to the
        last bit.
        """
        ...

    def replaced(self, array: Array, element: int, raw: object) -> Array:
        """Return ``array``, or a row of it, with one element replaced. Used where ``cells`` is None."""
        ...

    def stack(self, rows: int, length: int | None = None) -> Stack:
        """Return as many copies of x, along a leading axis; in a batch, of its samples, of ``length`` elements each."""
        ...

    def fused(self, f: Callable[[Any], Any], rows: int) -> tuple[Callable[[Any], Any], Stack] | None:
        """Return what the vectoriser's ``fused`` does, for x's own levels; None if it has none."""
        ...

    def whole(self, part: int | None, levels: Array) -> Array:
        """Return what f is given where all elements have ``levels``: ``array``, written as a whole, or a new one."""
        ...

    def holds(self, part: int | None, levels: Array) -> bool:
        """Return whether ``array`` is as `whole` has written it."""
        ...

    def nearest(self, elements: Sequence[int], levels: Array) -> Array:
        """Round real working numbers, one or a row of them for each of the elements, to the nearest in x's dtype."""
        ...

    def spread(self, value: Array, name: str) -> Array:
        """Return a number, or an array that can be broadcast to x's shape, as a working number for each element.

        What cannot be is an error, in which it is called ``name``.
        """
        ...

    def overlay(self, indices: Array, levels: Array) -> Array:
        """Return all elements, a real working array, with ``levels`` in the places of an integer array."""
        ...

    def indices(self, indices: Array) -> list[int]:
        """Return an integer array of ``xp`` as a list."""
        ...

    def index_array(self, elements: Sequence[int]) -> Array:
        """Return elements as an integer array of ``xp``."""
        ...

    def any(self, mask: Array) -> bool:
        """Return whether any of the booleans is true; False for what cannot be looked at."""
        ...

    def all(self, mask: Array) -> bool:
        """Return whether all of the booleans are true; False for what cannot be looked at."""
        ...

    def results(self, count: int) -> Results:
        """Return where up to ``count`` values that f returns are gathered."""
        ...

    def recorder(
        self, elements: Sequence[int], part: int | None, levels: Sequence[Array], results: Any
    ) -> Recorder | None:
        """Return what leads through the points at which each element in turn is set to each of its levels.

        f's values there are to be like those in ``results``. None if the library cannot have the device do that.
        """
        ...

    def read(self, value: object) -> Array:
        """Return one result of f such that later writes cannot change it; raise if it is not one number."""
        ...

    def read_all(self, values: Sequence[object]) -> Array:
        """Return what f returned, arrays of any shape, as one of one dimension that later writes cannot change."""
        ...

    def read_many(self, values: Sequence[object], count: int) -> Array:
        """Return what f returned for so many points, arrays with a leading axis, as a copy with a row for each."""
        ...

    def gathered(self, results: Results, columns: int) -> Sequence[Array]:
        """Return the results of every ``columns``-th call as working arrays."""
        ...

    def compose(self, real: Array, imag: Array) -> Array:
        """Return complex working numbers from their parts."""
        ...

    def narrow(self, values: Array) -> Array:
        """Convert working numbers to x's dtype (its real counterpart, for real numbers); booleans stay."""
        ...

    def join(self, blocks: Sequence[Array], shape: Sequence[int]) -> Array:
        """Join narrowed blocks along their first axis to an array of x's library and device."""
        ...

    def changed(self, elements: Sequence[int] = (), raw: Sequence[object] = ()) -> bool:
        """Return whether ``array`` differs from x as it was, but for elements that were set to ``raw``."""
        ...

    def restore(self) -> bool:
        """Make ``array`` what it was, to the last bit; return whether it was not."""
        ...
