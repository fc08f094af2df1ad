"""PyTorch's recorder: a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Self

import torch

from anygrad.backends._recorder import Route


class TorchRecorder:
    """A `Recorder` of a tensor to write, with its route, and a buffer for f's values on it."""

    def __init__(self, x: torch.Tensor, route: Route, values: torch.Tensor) -> None:
        self._line, offsets = _line_of(x)
        self._places = route.places if offsets is None else offsets[route.places]
        self._numbers = route.numbers
        self._values = values
        self._row = torch.zeros(1, dtype=torch.int64, device=x.device)
        self._stream = torch.cuda.Stream(x.device)
        self._inside: AbstractContextManager[None] = torch.cuda.stream(self._stream)

    def __enter__(self) -> Self:
        torch.cuda.current_stream().synchronize()
        self._inside.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.wait()
        finally:
            self._inside.__exit__(None, None, None)

    def restart(self) -> None:
        self._row.fill_(-1)
        self._go()

    def step(self, value: torch.Tensor) -> None:
        self._values.index_copy_(0, self._row, value.reshape(1, *self._values.shape[1:]).to(self._values.dtype))
        self._go()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        # Not torch.cuda.graph(): that collects garbage, and gives all of the process's unused memory back.
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

    def values(self, count: int) -> torch.Tensor:
        return self._values[:count].clone()

    def wait(self) -> None:
        self._stream.synchronize()

    def _go(self) -> None:
        self._row.add_(1)
        place = self._places.index_select(0, self._row).reshape(-1)
        self._line.index_copy_(0, place, self._numbers.index_select(0, self._row).reshape(-1))

    def _give_up(self, pool: tuple[int, int]) -> None:
        """Put right what PyTorch leaves behind a capture that it could not end."""
        # Memory is still taken for it, and random numbers are drawn as for it until another one has ended.
        with suppress(AttributeError, RuntimeError):
            torch._C._cuda_endAllocateToPool(self._row.device.index, pool)
            torch._C._cuda_releasePool(self._row.device.index, pool)
        graph = torch.cuda.CUDAGraph()
        graph.capture_begin(capture_error_mode="thread_local")
        self._row.add_(0)
        graph.capture_end()


def _line_of(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return x's memory as a tensor of one dimension, and where x's elements are in it; None if in turn."""
    if x.is_contiguous():
        return x.view(-1), None
    extent = 1 + sum((length - 1) * stride for length, stride in zip(x.shape, x.stride(), strict=True))
    line = x.as_strided((extent,), (1,))
    return line, torch.arange(extent, device=x.device).as_strided(x.shape, x.stride(), 0).reshape(-1)
