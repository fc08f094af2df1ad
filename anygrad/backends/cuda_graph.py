"""``Loop(graph=True)``: f's work on a CUDA device is recorded once, and repeated at all other points."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Self

from array_api_compat import array_namespace

from anygrad._stacklevel import raised_here, stacklevel
from anygrad._typing import Array
from anygrad.backends.base import Points, restored
from anygrad.backends.device import DeviceMemory, HostedMemory

if TYPE_CHECKING:
    from anygrad.evaluators.base import Calls
    from anygrad.problem.problem import Problem

# So many calls of f are recorded at a time: the host needs as long to repeat them as to repeat one.
_CALLS = 8
# With fewer points, recording takes longer than it saves.
LEAST = 8 * _CALLS
# Rounds between two reports of progress: each waits for the device.
_ROUNDS = 128


class Recorder:
    """Points that the device itself sets x to, one after the other, and f's values there.

    As a context, it runs the work inside on a stream of its own, which is finished when the context is left.
    """

    _stream: Any
    _inside: ExitStack

    def __enter__(self) -> Self:
        raise NotImplementedError

    def __exit__(self, *_: object) -> None:
        try:
            self.wait()
        finally:
            self._inside.close()

    def restart(self) -> None:
        """Set x from its original numbers to the first point."""
        raise NotImplementedError

    def step(self, value: Array) -> None:
        """Keep f's value at this point, and set x to the next one; after the last one, to its original numbers."""
        raise NotImplementedError

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record the device's part of ``work``, and return a function that repeats it; raise if that fails."""
        raise NotImplementedError

    def values(self, count: int) -> Array:
        """Return a copy of the first values."""
        raise NotImplementedError

    def wait(self) -> None:
        self._stream.synchronize()


@dataclass(frozen=True, eq=False)
class Route:
    """The writes to x on the way through points that differ from it by one element each.

    There is a row for each point, and one behind the last. The first write of a row puts back the element of the point
    before, unless this point sets it again; the second sets the element of this point.
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


class NotRecordedError(Exception):
    """The reason why f's work cannot be recorded."""


class GraphCalls:
    """Calls of f at the first and the last of many elements, with recorded calls at the others in between.

    f is really called at the first and the last one so that its writes to x are noticed. Points that do not set one
    element each are evaluated by ``calls``.
    """

    together = 1

    def __init__(self, problem: Problem, calls: Calls) -> None:
        self.memory = calls.memory
        self.in_place = calls.in_place
        self.tolerant = calls.tolerant
        self._problem = problem
        self._calls = calls
        self._f = problem.of_point()
        self._records = True

    def evaluate(self, points: Points) -> Iterator[tuple[slice, Array | Exception]]:
        count, repeat = len(points), points.repeat
        end = count - repeat
        if not self._records or points.width != 1 or count < LEAST or end - repeat < _CALLS:
            yield from self._calls.evaluate(points)
            return
        first = list(self._calls.evaluate(points[:repeat]))
        yield from first
        try:
            values = self._recorded(points[repeat:end], first)
        except NotRecordedError as reason:
            self._records = False
            restored(self.memory)
            _warn_not_recorded(reason)
            yield from self._called(points, repeat, end)
        else:
            yield slice(repeat, end), values
        yield from self._called(points, end, count)

    def close(self, *, failed: bool) -> None:
        self._calls.close(failed=failed)

    def _called(self, points: Points, start: int, stop: int) -> Iterator[tuple[slice, Array | Exception]]:
        for span, values in self._calls.evaluate(points[start:stop]):
            yield slice(start + span.start, start + span.stop), values

    def _recorded(self, points: Points, first: Sequence[tuple[slice, Array | Exception]]) -> Array:
        """Return f's values at points of one element each; ``first`` are those that f has returned before."""
        memory, values = self.memory, first[0][1]
        if memory.row is not None:
            raise NotRecordedError("f is given rows of x")
        if isinstance(values, Exception):
            raise NotRecordedError(f"f raised {values!r:.60}")
        if isinstance(memory, HostedMemory):
            points, memory = memory.there(points), memory.inner
            values = memory.from_host(values)
        make = recorder_for(memory) if isinstance(memory, DeviceMemory) else None
        if make is None:
            raise NotRecordedError("x is not on a CUDA device")
        assert isinstance(memory, DeviceMemory)
        xp, elements, count = memory.xp, points.elements, len(points)
        levels = [
            memory.rounded(elements, points.part, points.numbers[i :: points.repeat, 0]) for i in range(points.repeat)
        ]
        route = Route.through(memory.index_array(elements), levels, memory.taken(elements))
        like = values[:1, ...]
        kept = xp.empty((count, *like.shape[1:]), dtype=like.dtype, device=memory.device)
        with make(memory.data, route, kept) as recorder:
            found = self._replayed(memory, recorder, count)
        return found if memory is self.memory else memory.to_host(found)

    def _replayed(self, memory: DeviceMemory, recorder: Recorder, count: int) -> Array:
        """Return f's values at the recorder's points, of which there are ``count``."""
        problem, f, x = self._problem, self._f, memory.array
        read: Callable[[Any], Any] = memory.read_arrays if problem.vector else memory.read

        def _visit() -> None:
            _step(recorder, read(f(x)))

        def calls() -> None:
            for _ in range(_CALLS):
                _visit()

        again = self._again(memory, recorder, calls)
        rounds, rest = divmod(count, _CALLS)
        for start in range(1, rounds, _ROUNDS):
            stop = min(start + _ROUNDS, rounds)
            for _ in range(start, stop):
                again()
            if problem.reports:
                recorder.wait()
                problem.count((stop - start) * _CALLS)
        for _ in range(rest):
            _visit()
        values = recorder.values(count)
        recorder.wait()  # the recording is freed here, and may still be running
        problem.count(_CALLS + rest if problem.reports else count)
        return values

    def _again(self, memory: DeviceMemory, recorder: Recorder, calls: Callable[[], None]) -> Callable[[], None]:
        """Record these calls of f, and return a function that repeats the device's part of them.

        Its values are compared with f's own. They differ if f is not the same function of x at every call, or does some
        of its work where it is not recorded.
        """
        recorder.restart()
        try:
            calls()
        except Exception as error:
            if not self.tolerant or isinstance(error, NotRecordedError) or raised_here(error):
                raise
            raise NotRecordedError(f"f raised {error!r:.60}") from error
        seen = recorder.values(_CALLS)
        try:
            again = recorder.record(calls)
        except Exception as error:  # f's own as well: when f is called at that point, it raises it again
            reason = str(error).strip().partition("\n")[0]
            raise NotRecordedError(textwrap.shorten(reason, 100, placeholder=" ...")) from error
        memory.restore()
        recorder.restart()
        again()
        if not _same(seen, recorder.values(_CALLS)):
            raise NotRecordedError("the recorded graph gives other values than f")
        return again


def recorder_for(memory: DeviceMemory) -> Callable[[Array, Route, Array], Recorder] | None:
    """Return a maker of recorders, from an array to write, a route and a buffer for f's values; None without CUDA."""
    if memory.backend.name == "cupy":
        return CupyRecorder
    if memory.backend.name == "torch" and memory.array.is_cuda:
        return TorchRecorder
    return None


def _warn_not_recorded(reason: object) -> None:
    warnings.warn(
        f"f cannot be recorded as a CUDA graph ({reason}), so it is called at every point: leave graph=True out, or"
        " keep everything that f computes from x on the device of x",
        RuntimeWarning,
        stacklevel=stacklevel(),
    )


def _step(recorder: Recorder, value: Any) -> None:
    if isinstance(value, (float, complex)):
        raise NotRecordedError("f returns a number that is not on the device")
    try:
        recorder.step(value)
    except Exception as error:  # of a library, for a value of another kind than the first ones
        raise NotRecordedError(f"the value of f cannot be stored: {error}") from error


def _same(values: Array, others: Array) -> bool:
    xp = array_namespace(values)
    return bool(xp.all((values == others) | (xp.isnan(values) & xp.isnan(others))))


class CupyRecorder(Recorder):
    """A `Recorder` of CuPy's.

    A graph goes on using the memory that f took from the pool while it was recorded. So f is given a pool of its own.
    """

    def __init__(self, x: Array, route: Route, values: Array) -> None:
        import cupy  # noqa: PLC0415 - for its arrays alone

        self._cupy = cupy
        self._keep_and_go, self._keep, self._go_on = _cupy_kernels()
        self._x = x
        self._places = route.places.astype(cupy.int64, copy=False)
        self._numbers = route.numbers
        self._values = values
        self._length = values[0].size
        self._position = cupy.zeros(1, dtype=cupy.int64)
        # Not a non-blocking stream: while this one records, work on the default stream is an error, and not just lost.
        self._stream = cupy.cuda.Stream()
        self._inside = ExitStack()

    def __enter__(self) -> Self:
        cupy = self._cupy
        cupy.cuda.get_current_stream().synchronize()
        self._inside.enter_context(self._stream)
        self._inside.enter_context(cupy.cuda.using_allocator(cupy.cuda.MemoryPool().malloc))
        return self

    def restart(self) -> None:
        self._position.fill(-1)
        self._go()

    def step(self, value: Array) -> None:
        if self._length == 1:
            arrays = (value, self._places, self._numbers, self._x, self._values, self._position)
            self._keep_and_go(*arrays, size=1)
        else:
            self._keep(value, self._length, self._position, self._values)
            self._go()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        self._stream.begin_capture()
        try:
            work()
        except BaseException:
            with suppress(self._cupy.cuda.runtime.CUDARuntimeError):
                self._stream.end_capture()
            raise
        graph = self._stream.end_capture()
        return lambda: graph.launch(self._stream)

    def values(self, count: int) -> Array:
        return self._values[:count].copy()

    def _go(self) -> None:
        self._go_on(self._places, self._numbers, self._x, self._position, size=1)


@cache
def _cupy_kernels() -> tuple[Any, Any, Any]:
    """Return the kernels that keep a value and set x to the next point, keep many values, and set x alone."""
    import cupy  # noqa: PLC0415 - for its arrays alone

    go = """
    const long long row = position[0] + 1;
    x[places[2 * row]] = numbers[2 * row];
    x[places[2 * row + 1]] = numbers[2 * row + 1];
    position[0] = row;
    """
    route = "raw int64 places, raw T numbers"
    # The value is read before x is written: it may be a view of x.
    keep_and_go = cupy.ElementwiseKernel(
        f"raw V value, {route}",
        "raw T x, raw R values, raw int64 position",
        "values[position[0]] = R(value[0]);" + go,
        "anygrad_keep_and_go",
    )
    keep = cupy.ElementwiseKernel(
        "V value, int64 length, raw int64 position",
        "raw R values",
        "values[position[0] * length + i] = R(value)",
        "anygrad_keep",
    )
    return keep_and_go, keep, cupy.ElementwiseKernel(route, "raw T x, raw int64 position", go, "anygrad_go")


class TorchRecorder(Recorder):
    def __init__(self, x: Any, route: Route, values: Any) -> None:
        import torch  # noqa: PLC0415 - for its tensors alone

        self._torch = torch
        self._line, offsets = _line_of(x)
        self._places = route.places if offsets is None else offsets[route.places]
        self._numbers = route.numbers
        self._values = values
        self._row = torch.zeros(1, dtype=torch.int64, device=x.device)
        self._stream = torch.cuda.Stream(x.device)
        self._inside = ExitStack()

    def __enter__(self) -> Self:
        self._torch.cuda.current_stream().synchronize()
        self._inside.enter_context(self._torch.cuda.stream(self._stream))
        return self

    def restart(self) -> None:
        self._row.fill_(-1)
        self._go()

    def step(self, value: Any) -> None:
        self._values.index_copy_(0, self._row, value.reshape(1, *self._values.shape[1:]).to(self._values.dtype))
        self._go()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        torch = self._torch
        # Not torch.cuda.graph(): that collects garbage, and gives back all of the process's unused memory.
        graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
        failure: BaseException | None = None
        graph.capture_begin(pool=pool, capture_error_mode="thread_local")
        try:
            work()
        except BaseException as error:
            failure = error
        try:
            graph.capture_end()
        except RuntimeError as error:
            self._give_up(pool)
            failure = failure or error
        if failure is not None:
            raise failure
        replay: Callable[[], None] = graph.replay
        return replay

    def values(self, count: int) -> Any:
        return self._values[:count].clone()

    def _go(self) -> None:
        self._row.add_(1)
        place = self._places.index_select(0, self._row).reshape(-1)
        self._line.index_copy_(0, place, self._numbers.index_select(0, self._row).reshape(-1))

    def _give_up(self, pool: tuple[int, int]) -> None:
        """Clear up after a capture that PyTorch could not end.

        Until another one has ended, memory is still taken for it, and random numbers are drawn as for it.
        """
        torch = self._torch
        with suppress(AttributeError, RuntimeError):
            torch._C._cuda_endAllocateToPool(self._row.device.index, pool)
            torch._C._cuda_releasePool(self._row.device.index, pool)
        graph = torch.cuda.CUDAGraph()
        graph.capture_begin(capture_error_mode="thread_local")
        self._row.add_(0)
        graph.capture_end()


def _line_of(x: Any) -> tuple[Any, Any]:
    """Return x's memory as a tensor of one dimension, and the places of x's elements in it; None if all in order."""
    import torch  # noqa: PLC0415 - for its tensors alone

    if x.is_contiguous():
        return x.view(-1), None
    extent = 1 + sum((length - 1) * stride for length, stride in zip(x.shape, x.stride(), strict=True))
    line = x.as_strided((extent,), (1,))
    return line, torch.arange(extent, device=x.device).as_strided(x.shape, x.stride(), 0).reshape(-1)
