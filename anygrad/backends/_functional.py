"""Arrays that are immutable, lazy or traced: each perturbed array is a new one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from array_api_compat import array_namespace, device

from anygrad._typing import Array
from anygrad.backends._stack import Stack
from anygrad.backends._stacks import CHUNK_BYTES, FunctionalStack, many_read
from anygrad.backends._standard import (
    as_levels,
    complex_dtype,
    composed,
    flattened,
    index_array,
    index_list,
    real_dtype,
    reshaped,
    spread,
    taken,
    with_part,
    working_dtype,
)
from anygrad.backends._vectoriser import Vectoriser


class FunctionalMemory:
    """A `Memory` that writes nothing.

    Parameters
    ----------
    x
        The array.
    read, read_array
        Reads one result of f as a 0-d array or a Python number; an array of any shape as one of one dimension.
    replace
        ``replace(x, element, number)`` returns a new array with one element replaced, or several, for arrays of them.
    concrete
        Whether values can be looked at without forcing a lazy computation.
    vectoriser
        As in `Memory`.
    """

    cells = None
    visible = False
    plain: frozenset[type] = frozenset()
    chunk_bytes = CHUNK_BYTES

    def __init__(
        self,
        x: Array,
        *,
        read: Callable[[Any], Any],
        read_array: Callable[[Any], Any],
        replace: Callable[[Array, Any, object], Array],
        concrete: bool,
        vectoriser: Vectoriser | None = None,
    ) -> None:
        xp = self.xp = array_namespace(x)
        self.array = xp.asarray(x, copy=True)  # f may assign to a lazy array, and JAX may be told to donate one
        self.concrete = concrete
        self.read = read
        self._read_array = read_array
        self.complex = xp.isdtype(x.dtype, "complex floating")
        self.size = math.prod(x.shape)
        self.block = max(1, self.size)  # a library that works lazily is best given everything at once
        self._replace = replace
        self.vectoriser = vectoriser
        self._real = real_dtype(xp, x.dtype)
        self._working = working_dtype(xp, x)
        self._flat = reshaped(xp, x, (self.size,))
        limits = xp.finfo(self._real)
        self.eps = float(limits.eps)
        self.tiny = float(limits.smallest_normal) * self.eps
        self.nbytes = self.size * limits.bits // 8 * (2 if self.complex else 1)

    def window(self, elements: Sequence[int]) -> tuple[None, Iterable[object]]:
        return None, elements

    def elements(self, elements: Sequence[int]) -> Array:
        dtype = complex_dtype(self.xp, self._working) if self.complex else self._working
        return self.xp.astype(taken(self._flat, elements), dtype, copy=False)

    def raw(self, elements: Sequence[int], part: int | None, levels: Array | None) -> Iterable[object]:
        if levels is None:
            return [None] * len(elements)  # nothing is written, and nothing put back
        numbers = self._rounded(elements, part, levels)
        return (numbers[i] for i in range(len(elements)))

    def stack(self, rows: int, length: int | None = None) -> FunctionalStack:
        samples = 1 if length is None else self.array.shape[0]
        shape = self.array.shape if length is None else self.array.shape[1:]
        return FunctionalStack(self._flat, shape, samples, rounded=self._rounded, replace=self._replace)

    def fused(self, f: Callable[[Any], Any], rows: int) -> tuple[Callable[[Any], Any], Stack] | None:
        fused = None if self.vectoriser is None else self.vectoriser.fused
        return None if fused is None else fused(f, rows, self._rounded)

    def whole(self, part: int | None, levels: Array) -> Array:
        return reshaped(self.xp, self._rounded(range(self.size), part, levels), self.array.shape)

    def holds(self, part: int | None, levels: Array) -> bool:
        return True

    def replaced(self, array: Array, element: int, raw: object) -> Array:
        return self._replace(array, element, raw)

    def nearest(self, elements: Sequence[int], levels: Array) -> Array:
        return self.xp.astype(self.xp.astype(levels, self._real, copy=False), self._working, copy=False)

    def spread(self, value: Array, name: str) -> Array:
        return spread(value, name, self.array)

    def overlay(self, indices: Array, levels: Array) -> Array:
        return self._replace(as_levels(self.elements(range(self.size)), levels), indices, levels)

    def index_array(self, elements: Sequence[int]) -> Array:
        return index_array(self.array, elements)

    def indices(self, indices: Array) -> list[int]:
        return index_list(indices)

    def any(self, mask: Array) -> bool:
        return self.concrete and bool(self.xp.any(mask))

    def all(self, mask: Array) -> bool:
        return self.concrete and bool(self.xp.all(mask))

    def recorder(self, *_: object) -> None:
        return None

    def read_all(self, values: Sequence[object]) -> Array:
        on = device(self.array)
        return flattened([self._read_array(value) for value in values], self.xp, self._working, on)

    def read_many(self, values: Sequence[object], count: int) -> Array:
        parts = [self._read_array(value) for value in values]
        return many_read(parts, count, self.xp, self._working, device(self.array))

    def results(self, count: int) -> list[Any]:
        return []

    def gathered(self, results: Any, columns: int) -> Sequence[Array]:
        xp = self.xp
        values = xp.stack([value if hasattr(value, "dtype") else xp.asarray(value) for value in results])
        dtype = xp.result_type(self._working, values.dtype)
        values = xp.astype(values, dtype, copy=False)
        return [values[start::columns, ...] for start in range(columns)]

    def compose(self, real: Array, imag: Array) -> Array:
        return composed(real, imag)

    def narrow(self, values: Array) -> Array:
        if self.xp.isdtype(values.dtype, "bool"):
            return values
        is_complex = self.xp.isdtype(values.dtype, "complex floating")
        return self.xp.astype(values, self.array.dtype if is_complex else self._real)

    def join(self, blocks: Sequence[Array], shape: Sequence[int]) -> Array:
        return reshaped(self.xp, self.xp.concat(list(blocks)), tuple(shape))

    def changed(self, elements: Sequence[int] = (), raw: Sequence[object] = ()) -> bool:
        return False

    def restore(self) -> bool:
        return False

    def _rounded(self, elements: Sequence[int], part: int | None, levels: Array) -> Array:
        if part is None:
            return self.xp.astype(levels, self.array.dtype, copy=False)
        levels = self.xp.astype(levels, self._real, copy=False)
        return with_part(taken(self._flat, elements), part, levels) if self.complex else levels
