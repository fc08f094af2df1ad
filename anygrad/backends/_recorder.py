"""The interface of a recorder: what f has a device do, kept, and done there again for one point after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from array_api_compat import array_namespace

from anygrad._typing import Array


class Recorder(Protocol):
    """Points that the device itself sets x to, one after the other, and f's values there.

    It is a context: what is done inside has a stream of its own, and has been done when it is left.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def restart(self) -> None:
        """Set x, which is as it was, to the first point."""
        ...

    def step(self, value: Array) -> None:
        """Keep f's value at this point, and set x to the next one; behind the last one, to what it was."""
        ...

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Return what has the device do again all that ``work`` has it do; raise if that cannot be recorded."""
        ...

    def values(self, count: int) -> Array:
        """Return a copy of the first values."""
        ...

    def wait(self) -> None:
        """Wait until all has been done."""
        ...


@dataclass(frozen=True, eq=False)
class Route:
    """What is written to x on the way through points that differ from it by one element each.

    Attributes
    ----------
    places, numbers
        A row for each point, and one behind the last: an element that is put back, or else the one that comes next as
        well, and the one that is set; and what to.
    """

    places: Array
    numbers: Array

    @classmethod
    def through(cls, elements: Array, levels: Sequence[Array], originals: Array) -> Route:
        """Return the way through all levels of an element, then all of the next one, and back to the originals."""
        xp = array_namespace(elements)
        table = xp.stack(list(levels), axis=1)
        visited = xp.reshape(xp.broadcast_to(elements[:, None], table.shape), (-1,))
        left = xp.reshape(xp.concat([table[:, 1:], originals[:, None]], axis=1), (-1,))
        reached = xp.reshape(table, (-1,))
        return cls(
            xp.stack([xp.concat([visited[:1], visited]), xp.concat([visited, visited[-1:]])], axis=1),
            xp.stack([xp.concat([reached[:1], left]), xp.concat([reached, originals[-1:]])], axis=1),
        )
