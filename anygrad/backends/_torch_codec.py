"""How PyTorch's elements lie in memory, those of the dtypes that NumPy lacks among them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from anygrad.backends._codec import Codec, numpy_codec


def memory_of(data: torch.Tensor) -> NDArray[Any]:
    """Return the memory of a CPU tensor; that of dtypes unknown to NumPy as integers."""
    try:
        return np.asarray(data)
    except TypeError:
        return np.asarray(data.view(_integers(data.dtype)))


def _integers(dtype: torch.dtype) -> torch.dtype:
    try:
        return {1: torch.uint8, 2: torch.int16}[dtype.itemsize]
    except KeyError:
        raise TypeError(f"x has the dtype {dtype}, of which NumPy has none: pass x.to(torch.complex64)") from None


@cache
def codec_of(dtype: torch.dtype) -> Codec:
    """Return the codec of a dtype."""
    try:
        return numpy_codec(np.asarray(torch.empty(0, dtype=dtype, device="cpu")).dtype)
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
    working = np.dtype(np.float64)
    return Codec(working, working, storage, decode, encode, nearest, limits.eps, tiny)
