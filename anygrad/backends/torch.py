"""PyTorch: on the CPU through the host's memory, elsewhere on the device."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from anygrad.backends._base import Indices
from anygrad.backends._device import DeviceMemory
from anygrad.backends._device_points import DevicePoints
from anygrad.backends._host import HostMemory
from anygrad.backends._host_points import HostPoints
from anygrad.backends._layout import meeting, overlapping
from anygrad.backends._scalar import (
    host_number,
    host_numbers,
    no_complex_counterpart,
    require_one_element,
    require_real,
    require_same_device,
)
from anygrad.backends._stacks import CHUNK_BYTES, chunk_bytes_of
from anygrad.backends._standard import device_array_reader, device_reader, wide_copy
from anygrad.backends._torch_codec import codec_of, memory_of
from anygrad.backends._torch_layout import extent_of, in_memory, interleaved, place
from anygrad.backends._torch_points import host_points, points_on_device
from anygrad.backends._torch_promotion import Promoting
from anygrad.backends._torch_recorder import TorchRecorder
from anygrad.backends._torch_vectoriser import VECTORISER
from anygrad.backends._vectoriser import Function, Rule

_CHUNK_BYTES = 2**20  # a call costs more than one of NumPy's

name = "torch"
cast_example = "x.double()"
compiled_gradient = None
vectoriser = VECTORISER


def is_array(x: object) -> bool:
    return isinstance(x, torch.Tensor)


def floating(x: torch.Tensor) -> bool:
    if x.layout != torch.strided or x.is_nested:
        kind = "nested" if x.is_nested else str(x.layout).removeprefix("torch.")
        raise TypeError(f"x is a {kind} tensor, but a dense one was expected: write x.to_dense(), or pass its values")
    if not in_memory(x):
        raise TypeError(
            "x is a tensor without numbers in memory (on the meta device, or inside a transform of torch.func or"
            " torch.compile), but one with numbers was expected: differentiate outside of the transform"
        )
    return bool(x.dtype.is_floating_point or x.dtype.is_complex)


def host(x: torch.Tensor) -> NDArray[Any]:
    dense = x.detach().to_dense() if x.layout != torch.strided else x.detach()
    return memory_of(dense.resolve_conj().resolve_neg().cpu())


def in_host_memory(x: torch.Tensor) -> bool:
    return bool(x.device.type == "cpu")


def shares_memory(x: torch.Tensor, y: torch.Tensor) -> bool:
    return x.device == y.device and meeting(extent_of(x), extent_of(y)) and not interleaved(x, y)


def complexified(x: torch.Tensor) -> torch.Tensor:
    if x.is_complex() or x.itemsize < 4:
        raise no_complex_counterpart(x.dtype)
    return x.detach().to(x.dtype.to_complex())


def widened(x: torch.Tensor) -> torch.Tensor:
    return wide_copy(x.detach()).requires_grad_(x.requires_grad)


def promoting(f: Function, x: torch.Tensor) -> Function:
    return Promoting(f, x.dtype)


def context(x: torch.Tensor) -> AbstractContextManager[object]:
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()


def arrival(x: torch.Tensor) -> Callable[[], AbstractContextManager[object]]:
    return nullcontext


def forkable(x: torch.Tensor) -> bool:
    return bool(x.device.type == "cpu")


def pattern(x: Any) -> Any:
    if not is_array(x):
        return x
    if x.layout == torch.strided or x.dense_dim():
        return (x.detach().to_dense() != 0).cpu().numpy()
    import scipy.sparse  # noqa: PLC0415 - only here

    entries = x.detach().cpu().to_sparse_coo().coalesce()
    return scipy.sparse.coo_array((np.ones(entries.values().shape[0], bool), entries.indices().numpy()), shape=x.shape)


def sparse(values: torch.Tensor, rows: Indices, columns: Indices, shape: tuple[int, int], like: Any) -> torch.Tensor:
    places = torch.from_numpy(np.stack([rows, columns])).to(values.device)
    # Of the layouts the one that is not in beta. Of its own argument to the same end, PyTorch 2.11 takes no notice.
    with torch.sparse.check_sparse_tensor_invariants(enable=False):
        return torch.sparse_coo_tensor(places, values, shape, device=values.device, is_coalesced=True)


def memory(x: torch.Tensor, *, in_place: bool) -> HostMemory | DeviceMemory:
    in_place = in_place and not (x.is_conj() or x.is_neg() or overlapping(x.shape, x.stride()))
    array = x if in_place else _private_copy(x)
    # .data, not .detach(): its writes leave alone the version counter by which autograd finds stale tensors, and
    # rightly so, as every element is put back.
    return (_on_host if in_host_memory(x) else _on_device)(array, array.data, visible=in_place)


def points_about(
    x: torch.Tensor, rule: Rule, step: float, *, most: float, max_bytes: int | None
) -> HostPoints | DevicePoints | None:
    if x.dtype != torch.float64:
        return None
    if in_host_memory(x):
        return host_points(x, rule, step, given=_given(x), most=most, limit=max_bytes or _CHUNK_BYTES)
    return points_on_device(x, rule, step, given=_given(x), most=most, limit=max_bytes or _chunk_bytes(x.device))


def _private_copy(x: torch.Tensor) -> torch.Tensor:
    return x.detach().resolve_conj().resolve_neg().clone().requires_grad_(x.requires_grad)


def _reattach(array: torch.Tensor, data: torch.Tensor) -> Callable[[], bool]:
    """Return what gives ``array`` its memory again, should f have assigned to its ``.data``."""

    def reattach() -> bool:
        now = array.data
        if place(now) == place(data):
            return False
        array.data = data
        return True

    return reattach


def _on_host(array: torch.Tensor, data: torch.Tensor, *, visible: bool) -> HostMemory:
    codec = codec_of(data.dtype)
    real = data.dtype.to_real()

    def read(value: object) -> Any:
        if not isinstance(value, torch.Tensor):
            return host_number(value, library=name, complex_allowed=data.is_complex())
        require_one_element(value.shape)
        require_same_device(value.device, data.device)
        if value.is_complex():
            require_real(value, complex_allowed=data.is_complex())
        return value.item()

    def read_array(value: object) -> NDArray[Any]:
        if not isinstance(value, torch.Tensor):
            return host_numbers(value, library=name, complex_allowed=data.is_complex())
        require_same_device(value.device, data.device)
        tensor = value.detach().resolve_conj().resolve_neg()
        if tensor.is_complex():
            require_real(tensor, complex_allowed=data.is_complex())
        return np.asarray(tensor if tensor.itemsize > 2 else tensor.double())

    def narrow(values: NDArray[Any]) -> torch.Tensor:
        narrowed = torch.from_numpy(np.ascontiguousarray(values))
        if values.dtype.kind == "b":
            return narrowed
        return narrowed.to(data.dtype if values.dtype.kind == "c" else real)

    def join(blocks: Sequence[torch.Tensor], shape: Sequence[int]) -> torch.Tensor:
        return torch.cat(list(blocks)).reshape(tuple(shape))

    def buffer(shape: tuple[int, ...]) -> tuple[torch.Tensor, NDArray[Any]]:
        points = torch.empty(shape, dtype=data.dtype, device=data.device)
        return points, memory_of(points).reshape(shape[0], math.prod(shape[1:])).view(codec.storage)

    stored = memory_of(data).view(codec.storage)
    return HostMemory(
        array,
        stored,
        codec,
        writable=True,
        visible=visible,
        read=read,
        read_array=read_array,
        narrow=narrow,
        join=join,
        reattach=_reattach(array, data),
        buffer=buffer,
        given=_given(array),
        chunk_bytes=_CHUNK_BYTES,
        vectoriser=VECTORISER,
    )


def _on_device(array: torch.Tensor, data: torch.Tensor, *, visible: bool) -> DeviceMemory:
    reader, array_reader = device_reader(data, name, is_array), device_array_reader(data, name, is_array)

    # Without detaching, the buffer of results would hold on to the graph of every one of them.
    def read(value: Any) -> Any:
        return reader(_detached(value))

    def read_array(value: Any) -> Any:
        return array_reader(_detached(value))

    cells = data.view(-1) if data.is_contiguous() else data
    return DeviceMemory(
        array,
        data,
        cells=cells,
        visible=visible,
        read=read,
        read_array=read_array,
        compose=torch.complex,
        reattach=_reattach(array, data),
        given=_given(array),
        vectoriser=VECTORISER,
        recorder=TorchRecorder if data.is_cuda else None,
        chunk_bytes=_chunk_bytes(data.device),
    )


def _given(array: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what makes what f is given of a part of a buffer: it requires its gradient if x does."""
    return (lambda points: points.detach().requires_grad_()) if array.requires_grad else lambda points: points


@cache
def _chunk_bytes(on: torch.device) -> int:
    return chunk_bytes_of(torch.cuda.get_device_properties(on).total_memory) if on.type == "cuda" else CHUNK_BYTES


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, torch.Tensor) else value
