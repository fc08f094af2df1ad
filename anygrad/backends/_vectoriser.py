"""What a library has for calling an f of one point with many of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from anygrad._typing import Array
from anygrad.backends._stack import Stack

Function: TypeAlias = Callable[[Any], Any]
Rounded: TypeAlias = Callable[[Sequence[int], int | None, Array], Array]


class Rule(Hashable, Protocol):
    """A derivative by a step that is the same for all elements."""

    def points(self, at: Array, step: Any) -> Sequence[Array]:
        """Return where to sample the function, for each of the numbers it is differentiated at."""
        ...

    def combine(self, values: Sequence[Array], step: Any) -> Array:
        """Return the derivatives from the function's values there."""
        ...


class CompiledGradient(Protocol):
    """What returns the gradient of an f of real numbers, all of it compiled as one."""

    def __call__(
        self, f: Function, x: Any, rule: Rule, step: float, /, *, most: float, max_bytes: int | None
    ) -> Array | None:
        """Return it, of points of so many bytes at a time.

        None if f is not compiled itself, if an element of x is larger than ``most``, or if f's values must be looked
        at: because they are no numbers, or are all the same.
        """
        ...


def _never(f: Function) -> bool:
    return False


@dataclass(frozen=True, eq=False)
class Vectoriser:
    """A library's own vmap.

    Attributes
    ----------
    vmap
        Takes an f of one point to one of many, along a leading axis.
    compiled
        Whether f is known to do the same at every call, so that what is made of it can be kept.
    fused
        ``fused(f, rows, rounded)`` returns such an f that sets the elements of x itself, and the stack of what it is
        to set; ``rounded`` takes elements, their part and their levels to what is set.
    """

    vmap: Callable[[Function], Function]
    compiled: Callable[[Function], bool] = _never
    fused: Callable[[Function, int, Rounded], tuple[Function, Stack]] | None = None
