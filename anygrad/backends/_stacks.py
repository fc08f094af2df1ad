"""Many points at a time on a device and in immutable arrays; see `_host_stack` for the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import and_
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

from anygrad._typing import Array, Namespace
from anygrad.backends._layout import places
from anygrad.backends._stack import Rows
from anygrad.backends._standard import index_array, reshaped, scattered, taken

# What keeps a device busy of whose memory nothing is known.
CHUNK_BYTES = 2**28

# Between these, the more the better: each call of f costs time. f may need many times as much.
_LEAST, _MOST, _SHARE = 2**26, 2**30, 128

Rounded = Callable[[Sequence[int], int | None, Array], Array]


class DeviceStack:
    """A `Stack` in one buffer on a device.

    Parameters
    ----------
    original
        The elements of x, an array of one dimension.
    rows, shape
        How many copies of it, or of its samples, there are, and of which shape they are.
    samples
        How many samples there are in x; 1, unless it is a batch.
    rounded
        Takes elements, their part and their levels to what is written for them.
    given
        Makes of the buffer's first copies what f is given.
    """

    def __init__(
        self,
        original: Array,
        rows: int,
        shape: tuple[int, ...],
        samples: int,
        *,
        rounded: Rounded,
        given: Callable[[Array], Array],
    ) -> None:
        xp = self._xp = array_namespace(original)
        self._shape = shape
        self._elements = original
        self._original = xp.reshape(original, (samples, original.shape[0] // samples))
        self._length = self._original.shape[1]
        self._rounded = rounded
        self._given = given
        self._count = 0
        self._written: list[tuple[slice | Array, Sequence[int], Array]] = []
        self._samples: Array = None
        self._table = xp.empty((rows, self._length), dtype=original.dtype, device=device(original))
        if samples == 1:
            self._table[...] = self._original
        self._flat = xp.reshape(self._table, (-1,))

    def write(self, rows: Rows, elements: Sequence[int], part: int | None, levels: Array) -> None:
        where, numbers = places(rows, elements, self._length), self._rounded(elements, part, levels)
        if not isinstance(where, slice):
            where = index_array(self._flat, where.tolist())
        self._put(where, numbers)
        self._written.append((where, elements, numbers))

    def fill(self, rows: range, samples: Sequence[int]) -> None:
        if self._samples is None:
            self._samples = index_array(self._flat, [0] * self._table.shape[0])
        chosen = index_array(self._flat, samples)
        self._samples[rows.start : rows.stop] = chosen
        self._table[rows.start : rows.stop, ...] = self._xp.take(self._original, chosen, axis=0)

    def argument(self, count: int) -> Array:
        self._count = count
        return self._given(self._xp.reshape(self._flat[: count * self._length], (count, *self._shape)))

    def settle(self, *, look: bool) -> bool:
        xp, changed = self._xp, False
        if look and self._written:
            changed = not self._same([(_at(self._flat, where), numbers) for where, _, numbers in self._written])
        for where, elements, _ in self._written:
            self._put(where, taken(self._elements, elements))
        self._written.clear()
        if not look or changed:
            return changed
        chosen = None if self._samples is None else self._samples[: self._count]
        expected = self._original if chosen is None else xp.take(self._original, chosen, axis=0)
        return not self._same([(self._table[: self._count, ...], expected)])

    def _put(self, where: slice | Array, numbers: Array) -> None:
        if isinstance(where, slice):
            self._flat[where] = numbers
        else:
            scattered(self._flat, where, numbers)

    def _same(self, pairs: Sequence[tuple[Array, Array]]) -> bool:
        """Return whether arrays are equal, or both NaN. Nearly always none is, and the device is asked but once."""
        xp = self._xp
        with np.errstate(invalid="ignore"):  # of libraries that are built on NumPy
            if bool(reduce(and_, [all_of(now == expected) for now, expected in pairs])):
                return True
            return all(
                bool(all_of((now == expected) | (xp.isnan(now) & xp.isnan(expected)))) for now, expected in pairs
            )


class FunctionalStack:
    """A `Stack` that makes a new array of copies each time; the parameters are those of `DeviceStack`.

    ``replace(flat, indices, numbers)`` returns a new array with numbers in places of an array of one dimension.
    """

    def __init__(
        self,
        original: Array,
        shape: tuple[int, ...],
        samples: int,
        *,
        rounded: Rounded,
        replace: Callable[[Array, Any, Array], Array],
    ) -> None:
        self._xp = array_namespace(original)
        self._shape = shape
        self._length = original.shape[0] // samples
        self._original = reshaped(self._xp, original, (samples, self._length))
        self._rounded = rounded
        self._replace = replace
        self._samples: list[int] = []
        self._indices: list[Any] = []
        self._numbers: list[Array] = []

    def write(self, rows: Rows, elements: Sequence[int], part: int | None, levels: Array) -> None:
        inner = np.asarray(elements, dtype=np.intp) % self._length
        self._indices.append(np.asarray(rows, dtype=np.intp) * self._length + inner)
        self._numbers.append(self._rounded(elements, part, levels))

    def fill(self, rows: range, samples: Sequence[int]) -> None:
        self._samples += samples

    def argument(self, count: int) -> Array:
        xp = self._xp
        chosen = self._original
        if self._samples:
            chosen = xp.take(chosen, index_array(chosen, self._samples), axis=0)
        flat = reshaped(xp, xp.broadcast_to(chosen, (count, self._length)), (count * self._length,))
        if self._indices:
            indices = index_array(flat, np.concatenate(self._indices).tolist())
            flat = self._replace(flat, indices, xp.concat(self._numbers))
        return reshaped(xp, flat, (count, *self._shape))

    def settle(self, *, look: bool) -> bool:
        self._samples, self._indices, self._numbers = [], [], []
        return False


class LevelStack:
    """A `Stack` of what is to be set, for a function that sets it; always of the same length, to compile it once."""

    def __init__(self, rows: int, rounded: Rounded) -> None:
        self._rows = rows
        self._rounded = rounded
        self._elements: list[Any] = []
        self._levels: list[Any] = []

    def write(self, rows: Rows, elements: Sequence[int], part: int | None, levels: Any) -> None:
        self._elements.append(np.asarray(elements, dtype=np.int32))
        self._levels.append(self._rounded(elements, part, levels))

    def fill(self, rows: range, samples: Sequence[int]) -> None:
        raise NotImplementedError("a batch is not made of levels")

    def argument(self, count: int) -> tuple[int, Any, Any]:
        """Return how many points there are, and the elements and levels of each; what is missing repeats the last."""
        elements = np.concatenate(self._elements).reshape(count, -1)
        xp = array_namespace(*self._levels)
        levels = xp.reshape(xp.concat(self._levels), elements.shape)
        missing = self._rows - count
        if missing:
            elements = np.concatenate([elements, elements[-1:].repeat(missing, axis=0)])
            levels = xp.concat([levels, xp.repeat(levels[-1:, ...], missing, axis=0)])
        return count, elements, levels

    def settle(self, *, look: bool) -> bool:
        self._elements, self._levels = [], []
        return False


def chunk_bytes_of(total: int) -> int:
    """Return how many bytes of points to give f on a GPU with so much memory."""
    return min(max(total // _SHARE, _LEAST), _MOST)


def all_of(mask: Array) -> Array:
    """Return whether all are true, row by row: to one number, CuPy reduces by few threads."""
    xp = array_namespace(mask)
    return xp.all(xp.all(mask, axis=-1) if mask.ndim > 1 else mask)


def _at(flat: Array, where: slice | Array) -> Array:
    return flat[where] if isinstance(where, slice) else array_namespace(flat).take(flat, where, axis=0)


def many_read(parts: Sequence[Array], count: int, xp: Namespace, dtype: Any, on: object) -> Array:
    """Return a copy of arrays of one dimension, each with so many equal parts, as one with a row for each."""
    if not parts:
        return xp.empty((count, 0), dtype=dtype, device=on)
    tables = [reshaped(xp, part, (count, part.shape[0] // count)) for part in parts]
    return xp.concat(tables, axis=1) if len(tables) > 1 else xp.asarray(tables[0], copy=True)
