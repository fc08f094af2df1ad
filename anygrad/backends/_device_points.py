"""The points of a stencil on a device."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from array_api_compat import array_namespace, device

from anygrad._typing import Array
from anygrad.backends._points import Numbers, combined, within
from anygrad.backends._stacks import all_of
from anygrad.backends._vectoriser import Rule


class Kernels(Protocol):
    """What is done to all points; of a library that has kernels of its own for that, in fewer of them."""

    def made(self, original: Array, levels: Sequence[Array]) -> Array:
        """Return a table with a row for each point: copies, with their elements set to one level after the other."""
        ...

    def looked_at(self, table: Array, original: Array, levels: Sequence[Array], values: Array) -> tuple[bool, bool]:
        """Return whether a table is no longer what was made; and whether f's values there may be all alike."""
        ...


class StandardKernels:
    """`Kernels` of operations of the library, whose arrays can be written through views."""

    def made(self, original: Array, levels: Sequence[Array]) -> Array:
        xp, size = array_namespace(original), original.shape[0]
        table = xp.empty((len(levels) * size, size), dtype=original.dtype, device=device(original))
        table[...] = original
        flat = table.reshape(-1)
        for own, level in zip(_own_elements(size, len(levels)), levels, strict=True):
            flat[own] = level
        return table

    def looked_at(self, table: Array, original: Array, levels: Sequence[Array], values: Array) -> tuple[bool, bool]:
        same = table == original
        cells, flat = table.reshape(-1), same.reshape(-1)
        for own, level in zip(_own_elements(original.shape[0], len(levels)), levels, strict=True):
            flat[own] = cells[own] == level
        changed = not all_of(same)
        return changed, not 0 < float(abs(values[0] - values[-1])) < math.inf


def _own_elements(size: int, sets: int) -> Iterator[slice]:
    """Return where, in the flat memory of a table, the elements are that each set of levels is for."""
    return (slice(start, start + size**2, size + 1) for start in range(0, sets * size**2, size**2))


class DevicePoints:
    """`StencilPoints` in a buffer on a device.

    Parameters
    ----------
    original, levels
        The numbers of x, of which f knows no other array, and what each is set to in turn.
    shape
        That of x.
    combine
        Makes derivatives of f's values.
    read
        As in `StencilPoints`, given how many values there are to be.
    kernels
        What makes the points, and looks at them.
    given
        Makes of the buffer what f is given.
    """

    def __init__(
        self,
        original: Array,
        levels: Sequence[Array],
        shape: tuple[int, ...],
        *,
        combine: Callable[[Array], Array],
        read: Callable[[Any, int], Array | None],
        kernels: Kernels,
        given: Callable[[Array], Array] | None,
    ) -> None:
        self._original, self._levels, self._shape = original, levels, shape
        self._combine = combine
        self._read = read
        self._kernels = kernels
        self._table = kernels.made(original, levels)
        self._count = self._table.shape[0]
        points = self._table.reshape(self._count, *shape)
        self.argument = points if given is None else given(points)

    def read(self, value: object) -> Array | None:
        return self._read(value, self._count)

    def derived(self, values: Array) -> tuple[Array, bool, bool]:
        slopes = self._combine(values)
        changed, alike = self._kernels.looked_at(self._table, self._original, self._levels, values)
        return slopes.reshape(self._shape), changed, alike


_STANDARD = StandardKernels()


def device_points(
    x: Array,
    rule: Rule,
    step: float,
    *,
    host: Callable[[Array], Numbers],
    most: float,
    limit: int,
    plain: Callable[[object], Array | None] | None = None,
    divisor: Callable[[], Any] | None = None,
    kernels: Kernels = _STANDARD,
    given: Callable[[Array], Array] | None = None,
) -> DevicePoints | None:
    """Return the points about an x of float64 that take ``limit`` bytes at most.

    ``host`` takes arrays to the host. ``plain`` returns what f returned as an array like x, or None if it is something
    else, where more is needed for that than a look at its type. ``divisor`` makes of the step what the device divides
    by exactly, where it does not by a number.
    """
    if not within(host(x).reshape(-1), most):
        return None
    xp, size = array_namespace(x), math.prod(x.shape)
    original = xp.reshape(x, (-1,), copy=True)
    levels = rule.points(original, step)
    if 8 * len(levels) * size**2 > limit:
        return None

    def read(value: Any, count: int) -> Array | None:
        array = plain(value) if plain is not None else value if isinstance(value, type(x)) else None
        as_usual = array is not None and array.dtype == x.dtype and array.shape == (count,)
        return array if as_usual and device(array) == device(x) else None

    return DevicePoints(
        original,
        levels,
        tuple(x.shape),
        combine=lambda values: combined(rule, values, step if divisor is None else divisor(), size),
        read=read,
        kernels=kernels,
        given=given,
    )
