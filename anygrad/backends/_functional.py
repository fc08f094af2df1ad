"""Arrays that are immutable, lazy or traced: each perturbed array is a new one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from array_api_compat import array_namespace, device

from anygrad._typing import Array, Namespace
from anygrad.backends._device import complex_dtype, composed, real_dtype, with_part, working_dtype


class FunctionalMemory:
    """A `Memory` that writes nothing.

    Parameters
    ----------
    x
        The array.
    read
        Reads one result of f as a 0-d array or a Python number.
    replace
        ``replace(x, element, number)`` returns a new array with one element replaced.
    concrete
        Whether values can be looked at without forcing a lazy computation.
    """

    cells = None
    visible = False
    plain: frozenset[type] = frozenset()

    def __init__(
        self,
        x: Array,
        *,
        read: Callable[[Any], Any],
        replace: Callable[[Array, int, object], Array],
        concrete: bool,
    ) -> None:
        xp = self.xp = array_namespace(x)
        self.array = xp.asarray(x, copy=True)  # f may assign to a lazy array, and JAX may be told to donate one
        self.concrete = concrete
        self.read = read
        self.complex = xp.isdtype(x.dtype, "complex floating")
        size = math.prod(x.shape)
        self.block = max(1, size)  # a library that works lazily is best given everything at once
        self._replace = replace
        self._real = real_dtype(xp, x.dtype)
        self._working = working_dtype(xp, x)
        self._flat = _reshaped(xp, x, (size,))
        limits = xp.finfo(self._real)
        self.eps = float(limits.eps)
        self.tiny = float(limits.smallest_normal) * self.eps

    def keys(self, elements: range) -> Iterable[object]:
        return elements

    def elements(self, elements: range) -> Array:
        dtype = complex_dtype(self.xp, self._working) if self.complex else self._working
        return self.xp.astype(self._flat[elements.start : elements.stop], dtype)

    def raw(self, elements: range, part: int, levels: Array | None) -> Iterable[object]:
        numbers = self._flat[elements.start : elements.stop]
        if levels is not None:
            levels = self.xp.astype(levels, self._real)
            numbers = with_part(numbers, part, levels) if self.complex else levels
        return (numbers[i] for i in range(len(elements)))

    def replaced(self, array: Array, element: int, raw: object) -> Array:
        return self._replace(array, element, raw)

    def nearest(self, levels: Array) -> Array:
        return self.xp.astype(self.xp.astype(levels, self._real), self._working)

    def results(self, count: int) -> list[Any]:
        return []

    def gathered(self, results: Any, columns: int) -> Sequence[Array]:
        xp = self.xp
        values = xp.stack([value if hasattr(value, "dtype") else xp.asarray(value) for value in results])
        dtype = xp.result_type(self._working, values.dtype)
        return [xp.astype(values[start::columns], dtype) for start in range(columns)]

    def compose(self, real: Array, imag: Array) -> Array:
        return composed(real, imag)

    def narrow(self, values: Array) -> Array:
        is_complex = self.xp.isdtype(values.dtype, "complex floating")
        return self.xp.astype(values, self.array.dtype if is_complex else self._real)

    def join(self, blocks: Sequence[Array]) -> Array:
        return _reshaped(self.xp, self.xp.concat(list(blocks)), self.array.shape)

    def changed(self, element: int | None = None, raw: object = None) -> bool:
        return False

    def restore(self) -> None:
        return None


def _reshaped(xp: Namespace, x: Array, shape: tuple[int, ...]) -> Array:
    """Reshape. Dask cannot do that to an empty array, of which there is nothing to keep."""
    return xp.reshape(x, shape) if math.prod(shape) else xp.zeros(shape, dtype=x.dtype, device=device(x))
