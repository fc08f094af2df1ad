"""PyTorch: on the CPU through the host's memory, elsewhere on the device."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from anygrad.backends._device import DeviceMemory, device_reader
from anygrad.backends._host import Codec, HostMemory, numpy_codec
from anygrad.backends._layout import overlapping
from anygrad.backends._scalar import host_number, require_one_element, require_real, require_same_device

name = "torch"
cast_example = "x.double()"


def available() -> str | None:
    return None


def is_array(x: object) -> bool:
    return isinstance(x, torch.Tensor)


def floating(x: torch.Tensor) -> bool:
    if x.layout != torch.strided or x.device.type == "meta":
        kind = "meta tensor" if x.device.type == "meta" else f"{x.layout} tensor"
        raise TypeError(
            f"x is a {kind}, but a dense tensor with its numbers in memory was expected: write x.to_dense()"
        )
    return bool(x.dtype.is_floating_point or x.dtype.is_complex)


def context(x: torch.Tensor) -> AbstractContextManager[object]:
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()


def memory(x: torch.Tensor, *, in_place: bool) -> HostMemory | DeviceMemory:
    in_place = in_place and not (x.is_conj() or x.is_neg() or overlapping(x.shape, x.stride()))
    # .data, not .detach(): its writes leave alone the version counter by which autograd finds stale tensors, and
    # rightly so, as every element is put back.
    array = x if in_place else x.detach().resolve_conj().resolve_neg().clone()
    return (_on_host if x.device.type == "cpu" else _on_device)(array, array.data, visible=in_place)


def _on_host(array: torch.Tensor, data: torch.Tensor, *, visible: bool) -> HostMemory:
    codec = _codec(data.dtype)
    real = data.dtype.to_real()

    def read(value: object) -> Any:
        if not isinstance(value, torch.Tensor):
            return host_number(value, library=name, complex_allowed=data.is_complex())
        require_one_element(value.shape)
        require_same_device(value.device, data.device)
        if value.is_complex():
            require_real(value, complex_allowed=data.is_complex())
        return value.item()

    def narrow(values: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(data.dtype if values.dtype.kind == "c" else real)

    def join(blocks: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.cat(list(blocks)).reshape(data.shape)

    stored = _memory(data).view(codec.storage)
    return HostMemory(array, stored, codec, writable=True, visible=visible, read=read, narrow=narrow, join=join)


def _on_device(array: torch.Tensor, data: torch.Tensor, *, visible: bool) -> DeviceMemory:
    reader = device_reader(data, name, is_array)

    def read(value: Any) -> Any:
        # Without detaching, the buffer of results would hold on to the graph of every one of them.
        return reader(value.detach() if isinstance(value, torch.Tensor) else value)

    cells = data.view(-1) if data.is_contiguous() else data
    return DeviceMemory(array, data, cells=cells, visible=visible, read=read, compose=torch.complex)


def _memory(data: torch.Tensor) -> NDArray[Any]:
    """Return the memory of a CPU tensor; that of dtypes unknown to NumPy as integers."""
    try:
        return np.asarray(data)
    except TypeError:
        return np.asarray(data.view(_integers(data.dtype)))


def _integers(dtype: torch.dtype) -> torch.dtype:
    return {1: torch.uint8, 2: torch.int16}[dtype.itemsize]


def _codec(dtype: torch.dtype) -> Codec:
    try:
        return numpy_codec(torch.empty(0, dtype=dtype).numpy().dtype)
    except TypeError:
        return _small_codec(dtype)


def _small_codec(dtype: torch.dtype) -> Codec:
    """Return the codec of bfloat16 and the 8-bit formats, which NumPy lacks: their bits are kept as integers."""
    integers = _integers(dtype)
    storage = np.dtype(f"u{dtype.itemsize}")
    limits = torch.finfo(dtype)

    def decode(raw: NDArray[Any]) -> NDArray[Any]:
        bits = torch.from_numpy(raw.view(f"i{dtype.itemsize}" if integers is torch.int16 else storage))
        return np.asarray(bits.view(dtype).double())

    def encode(numbers: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(torch.from_numpy(numbers).to(dtype).view(integers)).view(storage)

    def nearest(numbers: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(torch.from_numpy(numbers).to(dtype).double())

    tiny = limits.smallest_normal * limits.eps
    return Codec(np.dtype(np.float64), storage, decode, encode, nearest, limits.eps, tiny)
