"""What a library has for calling an f of one point with many of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from anygrad._typing import Array
from anygrad.backends._stack import Stack

Function: TypeAlias = Callable[[Any], Any]
Rounded: TypeAlias = Callable[[Sequence[int], int | None, Array], Array]


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
