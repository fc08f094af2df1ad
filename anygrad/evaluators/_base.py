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
    """

    memory: Memory
    calls: int
    points: int

    def base(self, elements: range) -> Array:
        """Return f(x) for the elements, one for all or one for each; f is called once for each of its arguments."""
        ...

    def sample(self, elements: range, part: int, levels: Sequence[Array]) -> Sequence[Array]:
        """Return f's values with each element in turn set to each of its levels, an array for each level.

        ``part`` says which part of the elements is set: 0 the real one, 1 the imaginary one.
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
        self, f: Callable[[Any], object], x: Array, backend: Backend, *, batch: bool = False
    ) -> AbstractContextManager[Session]:
        """Open f and x for sampling. In a batch, f is given the row of x that an element belongs to.

        x is as it was when the session ends, however it ends. f runs under NumPy's error settings at the time of
        opening, whatever they are when a sample is asked for.
        """
        ...
