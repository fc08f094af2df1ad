"""The points of a stencil in the host's memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from anygrad._typing import Array
from anygrad.backends._host_stack import LARGE, keep_freed_memory
from anygrad.backends._points import Numbers, combined, within
from anygrad.backends._vectoriser import Rule

# Of more bytes than this a copy to compare with is not made.
COPIED = 2**21

Buffer = Callable[[int], tuple[Array, Numbers]]


class HostPoints:
    """`StencilPoints` in a buffer on the host.

    Parameters
    ----------
    original, levels
        The numbers of x, and what each is set to, a row for each time.
    rule, step
        What makes derivatives of f's values.
    buffer
        Takes a number of points to a new array of x's library with as many, and to its memory, as float64.
    read
        As in `StencilPoints`, given how many values there are to be.
    result
        Makes an array like x of the derivatives.
    given
        Makes of the buffer what f is given.
    private
        Whether f cannot write to the buffer. Else a copy of it is kept: of `COPIED` bytes at most.
    """

    def __init__(
        self,
        original: Numbers,
        levels: Numbers,
        rule: Rule,
        step: float,
        *,
        buffer: Buffer,
        read: Callable[[Any, int], Numbers | None],
        result: Callable[[Numbers], Array],
        given: Callable[[Array], Array] | None = None,
        private: bool = False,
    ) -> None:
        keep_freed_memory(LARGE)
        sets, size = levels.shape
        array, stored = buffer(sets * size)
        stored = self._stored = stored.reshape(sets, size, size)
        stored[...] = original
        stored.reshape(sets, size**2)[:, :: size + 1] = levels
        self._before = None if private else stored.tobytes()
        self._size, self._count, self._rule, self._step = size, sets * size, rule, step
        self._read = read
        self._result = result
        self.argument = array if given is None else given(array)

    def read(self, value: object) -> Numbers | None:
        return self._read(value, self._count)

    def derived(self, values: Numbers) -> tuple[Array, bool, bool]:
        slopes = combined(self._rule, values, self._step, self._size)
        changed = self._before is not None and self._stored.tobytes() != self._before
        alike = not 0 < abs(float(values[0]) - float(values[-1])) < math.inf
        return self._result(slopes), changed, alike


def host_levels(original: Numbers, rule: Rule, step: float, *, most: float, limit: int) -> Numbers | None:
    """Return what each number is set to, a row for each time; None where `PointsAbout` returns that."""
    if not within(original, most):
        return None
    levels = np.array(rule.points(original, step))
    return levels if levels.size * original.nbytes <= limit else None
