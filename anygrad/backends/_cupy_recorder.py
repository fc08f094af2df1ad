"""CuPy's recorder: a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Self

import cupy

from anygrad._typing import Array
from anygrad.backends._recorder import Route

_GO = """
    const long long row = position[0] + 1;
    x[places[2 * row]] = numbers[2 * row];
    x[places[2 * row + 1]] = numbers[2 * row + 1];
    position[0] = row;
"""
_ROUTE = "raw int64 places, raw T numbers"
# The value is read before x is written: it may be a view of that.
_keep_and_go = cupy.ElementwiseKernel(
    f"raw V value, {_ROUTE}",
    "raw T x, raw R values, raw int64 position",
    "values[position[0]] = R(value[0]);" + _GO,
    "anygrad_keep_and_go",
)
_keep = cupy.ElementwiseKernel(
    "V value, int64 length, raw int64 position",
    "raw R values",
    "values[position[0] * length + i] = R(value)",
    "anygrad_keep",
)
_go = cupy.ElementwiseKernel(_ROUTE, "raw T x, raw int64 position", _GO, "anygrad_go")


class CupyRecorder:
    """A `Recorder` of an array to write, with its route, and a buffer for f's values on it.

    What f takes from the pool of memory, its graph goes on to use: it is taken from a pool of its own, for as long.
    """

    def __init__(self, x: Array, route: Route, values: Array) -> None:
        self._x = x
        self._places = route.places.astype(cupy.int64, copy=False)
        self._numbers = route.numbers
        self._values = values
        self._length = values[0].size
        self._position = cupy.zeros(1, dtype=cupy.int64)
        # Work on the default stream, which cannot be recorded, is an error beside a stream that waits for it.
        self._stream = cupy.cuda.Stream()
        self._inside = ExitStack()

    def __enter__(self) -> Self:
        cupy.cuda.get_current_stream().synchronize()
        self._inside.enter_context(self._stream)
        self._inside.enter_context(cupy.cuda.using_allocator(cupy.cuda.MemoryPool().malloc))
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.wait()
        finally:
            self._inside.close()

    def restart(self) -> None:
        self._position.fill(-1)
        self._go()

    def step(self, value: Array) -> None:
        if self._length == 1:
            arrays = (value, self._places, self._numbers, self._x, self._values, self._position)
            _keep_and_go(*arrays, size=1)
        else:
            _keep(value, self._length, self._position, self._values)
            self._go()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        self._stream.begin_capture()
        try:
            work()
        except BaseException:
            with suppress(cupy.cuda.runtime.CUDARuntimeError):
                self._stream.end_capture()
            raise
        graph = self._stream.end_capture()
        return lambda: graph.launch(self._stream)

    def values(self, count: int) -> Array:
        return self._values[:count].copy()

    def wait(self) -> None:
        self._stream.synchronize()

    def _go(self) -> None:
        _go(self._places, self._numbers, self._x, self._position, size=1)
