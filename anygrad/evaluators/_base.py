"""The interface of an evaluator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from anygrad._typing import Array
from anygrad.backends import Backend, Memory


class Session(Protocol):
    """A function and an array, opened for sampling.

    Attributes
    ----------
    memory
        The array's elements, as numbers.
    calls, points
        How often f has been called, and at how many points it has been evaluated.
    known
        What f returned for x itself, if it has been called for that; in a batch, for each row of x by its number.
    """

    memory: Memory
    calls: int
    points: int
    known: dict[int, object]

    def know(self, value: object) -> None:
        """Take ``value`` for f(x), which the caller knows: f is then not called for it."""
        ...

    def base(self, elements: Sequence[int]) -> Array:
        """Return f(x) for the elements, one for all or one for each; f is called once for each of its arguments."""
        ...

    def sample(
        self, elements: Sequence[int], part: int | None, levels: Sequence[Array], width: int = 1
    ) -> Sequence[Array]:
        """Return f's values with each element in turn set to each of its levels, an array for each level.

        ``part`` says which part of the elements is set: 0 the real one, 1 the imaginary one, None both. Of more
        elements than one, if ``width`` says so, those are set together that follow each other in ``elements``.
        """
        ...

    def blind(self) -> bool:
        """Return whether f may have missed the perturbations: it was given copies of x, and never changed.

        This may take one more call of f, f(x), where all other values are the same.
        """
        ...


class Evaluator(Protocol):
    """A frozen object that says how f is called."""

    def session(
        self,
        f: Callable[[Any], object],
        x: Array,
        backend: Backend,
        *,
        batch: bool = False,
        vector: bool = False,
    ) -> AbstractContextManager[Session]:
        """Open f and x for sampling.

        In a batch, f is given the row of x that an element belongs to. If it is a vector function, f returns a list of
        arrays, all of whose elements are values; otherwise one number.

        x is as it was when the session ends, however it ends. f runs under NumPy's error settings at the time of
        opening, whatever they are when a sample is asked for.
        """
        ...
