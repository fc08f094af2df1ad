"""Arrays on a device: perturbed, gathered and combined there, without a synchronisation per element."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

from anygrad._typing import Array, Namespace
from anygrad.backends._layout import multi_indices
from anygrad.backends._scalar import (
    host_number,
    neither_real_nor_holomorphic,
    require_one_element,
    require_real,
    require_same_device,
)


def real_dtype(xp: Namespace, dtype: Any) -> Any:
    """Return the dtype of the real part."""
    return xp.real(xp.empty(0, dtype=dtype)).dtype if xp.isdtype(dtype, "complex floating") else dtype


def working_dtype(xp: Namespace, x: Array) -> Any:
    """Return the real dtype in which schemes compute: float64 if the device has it, or x's if that is wider."""
    real = real_dtype(xp, x.dtype)
    offered = xp.__array_namespace_info__().dtypes(device=device(x), kind="real floating")
    widest = offered.get("float64", xp.float32)
    return real if xp.finfo(real).eps < xp.finfo(widest).eps else widest


def complex_dtype(xp: Namespace, real: Any) -> Any:
    """Return the complex dtype that holds ``real``."""
    return xp.result_type(real, xp.complex64)


def composed(real: Array, imag: Array) -> Array:
    """Return real + i imag in pure array API. A non-finite imaginary part makes the real one NaN."""
    return real + imag * 1j


def composed_by_assignment(real: Array, imag: Array) -> Array:
    """Return real + i imag, exact everywhere, for libraries whose arrays let their parts be assigned."""
    xp = array_namespace(real)
    numbers = xp.empty_like(real, dtype=complex_dtype(xp, real.dtype))
    numbers.real = real
    numbers.imag = imag
    return numbers


def with_part(numbers: Array, part: int, levels: Array, compose: Callable[[Array, Array], Array] = composed) -> Array:
    """Return complex numbers with their real (0) or imaginary (1) part replaced."""
    xp = array_namespace(numbers)
    return compose(levels, xp.imag(numbers)) if part == 0 else compose(xp.real(numbers), levels)


def device_reader(x: Array, library: str, is_own: Callable[[object], bool]) -> Callable[[Any], Any]:
    """Return what reads one result of f as a 0-d array on x's device or a Python number, and raises for all else."""
    xp, on, working = array_namespace(x), device(x), working_dtype(array_namespace(x), x)
    x_is_complex = xp.isdtype(x.dtype, "complex floating")

    def read(value: Any) -> Any:
        if not is_own(value):
            number = host_number(value, library=library, complex_allowed=x_is_complex)
            return complex(number) if isinstance(number, (complex, np.complexfloating)) else float(number)
        require_one_element(value.shape)
        require_same_device(device(value), on)
        if not xp.isdtype(value.dtype, "real floating"):
            if xp.isdtype(value.dtype, "complex floating"):
                require_real(value, complex_allowed=x_is_complex)
            else:
                value = xp.astype(value, working)
        return xp.reshape(value, ()) if value.ndim else value

    return read


class DeviceResults:
    """The values of f, each written into one buffer on the device as it comes."""

    def __init__(self, xp: Namespace, count: int, dtype: Any, on: object) -> None:
        self._xp, self._count, self._dtype, self._device = xp, count, dtype, on
        self._used = 0
        self._buffer: Array = None
        self._holds_complex = False

    def append(self, value: Array) -> None:
        """Write one value behind the others."""
        is_complex = self._is_complex(value)
        if self._buffer is None:
            dtype = complex_dtype(self._xp, self._dtype) if is_complex else self._dtype
            self._buffer = self._xp.empty(self._count, dtype=dtype, device=self._device)
            self._holds_complex = is_complex
        if is_complex and not self._holds_complex:
            raise neither_real_nor_holomorphic()
        self._buffer[self._used] = value
        self._used += 1

    def columns(self, count: int) -> Sequence[Array]:
        """Return every ``count``-th value, ``count`` times."""
        return [self._buffer[start::count] for start in range(count)]

    def _is_complex(self, value: Array) -> bool:
        if isinstance(value, (float, complex)):
            return isinstance(value, complex)
        return bool(self._xp.isdtype(value.dtype, "complex floating"))


class DeviceMemory:
    """A `Memory` on a device whose arrays can be written.

    Parameters
    ----------
    array
        What f is given.
    data
        The array to write: ``array`` itself, or another view of its memory.
    cells
        ``data``, or a one-dimensional view of it where there is one.
    visible
        Whether ``array`` is the caller's own.
    read
        Reads one result of f as a 0-d array or a Python number.
    compose
        Makes complex numbers of real and imaginary parts.
    reattach
        Gives ``array`` the memory of ``data`` again, and returns whether it had been given another.
    """

    block = 65536
    concrete = True
    plain: frozenset[type] = frozenset()

    def __init__(
        self,
        array: Array,
        data: Array,
        *,
        cells: Array,
        visible: bool,
        read: Callable[[Any], Any],
        compose: Callable[[Array, Array], Array] = composed,
        reattach: Callable[[], bool] = bool,
    ) -> None:
        xp = self.xp = array_namespace(data)
        self.array = array
        self.visible = visible
        self.cells: Array | None = cells
        self.read = read
        self.complex = xp.isdtype(data.dtype, "complex floating")
        self._data = data
        self.compose = compose
        self._reattach = reattach
        self._real = real_dtype(xp, data.dtype)
        self._working = working_dtype(xp, data)
        self._original = xp.reshape(xp.asarray(data, copy=True), (-1,))
        limits = xp.finfo(self._real)
        self.eps = float(limits.eps)
        self.tiny = float(limits.smallest_normal) * self.eps

    def keys(self, elements: range) -> Iterable[object]:
        if self.cells is not None and self.cells.ndim == 1:
            return elements
        return multi_indices(elements, self._data.shape)

    def elements(self, elements: range) -> Array:
        numbers = self._original[elements.start : elements.stop]
        dtype = complex_dtype(self.xp, self._working) if self.complex else self._working
        return self.xp.astype(numbers, dtype)

    def raw(self, elements: range, part: int, levels: Array | None) -> Iterable[object]:
        numbers = self._original[elements.start : elements.stop]
        if levels is not None:
            levels = self.xp.astype(levels, self._real)
            numbers = with_part(numbers, part, levels, self.compose) if self.complex else levels
        return (numbers[i] for i in range(len(elements)))

    def replaced(self, array: Array, element: int, raw: object) -> Array:
        raise NotImplementedError("arrays of this library are written in place")

    def nearest(self, levels: Array) -> Array:
        return self.xp.astype(self.xp.astype(levels, self._real), self._working)

    def results(self, count: int) -> DeviceResults:
        return DeviceResults(self.xp, count, self._working, device(self._data))

    def gathered(self, results: Any, columns: int) -> Sequence[Array]:
        gathered: Sequence[Array] = results.columns(columns)
        return gathered

    def narrow(self, values: Array) -> Array:
        is_complex = self.xp.isdtype(values.dtype, "complex floating")
        return self.xp.astype(values, self._data.dtype if is_complex else self._real)

    def join(self, blocks: Sequence[Array]) -> Array:
        return self.xp.reshape(self.xp.concat(list(blocks)), self._data.shape)

    def changed(self, element: int | None = None, raw: object = None) -> bool:
        if self._reattach():
            return True
        now = self.xp.reshape(self._data, (-1,))
        with np.errstate(invalid="ignore"):  # of libraries that are built on NumPy
            same = (now == self._original) | (self.xp.isnan(now) & self.xp.isnan(self._original))
            if element is not None:
                written = now[element : element + 1]
                same[element] = self.xp.all((written == raw) | self.xp.isnan(written))
        return not self.xp.all(same)

    def restore(self) -> None:
        self._reattach()
        self._data[...] = self.xp.reshape(self._original, self._data.shape)
