"""Many points at a time in the host's memory: copies of x in one buffer, elements of which are set and put back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from anygrad._typing import Array
from anygrad.backends._codec import Raw, copies, same_bits
from anygrad.backends._layout import places, positions
from anygrad.backends._stack import Rows

_LONG = 4096
# More than the arrays that f makes of a chunk.
LARGE = 2**22
# The most that glibc can be made to keep is 2**25 bytes, with what it adds.
_MOST = 2**25 - 2**13


@lru_cache(maxsize=16)
def keep_freed_memory(size: int) -> None:
    """Let the C library keep the memory of freed arrays up to so many bytes.

    Until a piece as large as that has been freed, glibc gives each of them back to the system, and getting it anew for
    every call takes longer than f. Elsewhere this does nothing.
    """
    np.empty(min(size, _MOST), dtype=np.uint8)


class HostStack:
    """A `Stack` on the host.

    Parameters
    ----------
    array
        The buffer: an array of x's library, with a leading axis; what f is given is a part of it.
    stored
        The memory of that, a row for each copy, as it is stored.
    original
        The memory of x, a row for each sample of a batch, or one row.
    encode
        Takes elements, their part and their levels to what is stored for them.
    given
        Makes of the buffer's first copies what f is given.
    private
        Whether f cannot write to the buffer.
    """

    def __init__(
        self,
        array: Array,
        stored: Raw,
        original: Raw,
        encode: Callable[[Sequence[int], int | None, Raw], Raw],
        given: Callable[[Array], Array],
        *,
        private: bool,
    ) -> None:
        keep_freed_memory(LARGE)
        self._array = array
        self._stored = stored
        self._flat = stored.reshape(-1)
        self._original = original
        self._all = original.reshape(-1)
        self._encode = encode
        self._given = given
        self._private = private
        self._count = 0
        self._written: list[tuple[slice | Raw, Sequence[int], Raw]] = []
        # Which sample each row is a copy of; None for the only one.
        self._samples: Raw | None = None
        if len(original) == 1:
            stored[...] = original

    def write(self, rows: Rows, elements: Sequence[int], part: int | None, levels: Raw) -> None:
        where, raw = places(rows, elements, self._stored.shape[1]), self._encode(elements, part, levels)
        self._flat[where] = raw
        self._written.append((where, elements, raw))

    def fill(self, rows: range, samples: Sequence[int]) -> None:
        if self._samples is None:
            self._samples = np.zeros(len(self._stored), dtype=np.intp)
        own = slice(rows.start, rows.stop)
        self._samples[own] = samples
        self._stored[own] = self._original[self._samples[own]]

    def argument(self, count: int) -> Array:
        self._count = count
        return self._given(self._array[:count])

    def settle(self, *, look: bool) -> bool:
        look = look and not self._private
        changed = False
        for where, elements, raw in self._written:
            # Of a row that has elements besides, those are looked at below.
            if look and len(raw) >= self._stored.shape[1] and not same_bits(self._flat[where], raw):
                changed = True
            self._flat[where] = self._all[positions(elements)]
        self._written.clear()
        if not look or changed:
            return changed
        return not self._as_copied()

    def _as_copied(self) -> bool:
        """Return whether what was given to f is what it was made of: row by row where that takes much memory."""
        count, samples = self._count, self._samples
        if samples is None and self._stored.shape[1] < _LONG:
            return copies(self._stored[:count], self._original)
        sources = np.zeros(count, dtype=np.intp) if samples is None else samples
        return all(same_bits(self._stored[row], self._original[sources[row]]) for row in range(count))
