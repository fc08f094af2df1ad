"""Where the elements of tensors lie."""

from __future__ import annotations

import numpy as np
import torch

from anygrad.backends._layout import extent
from anygrad.backends._torch_codec import memory_of


def in_memory(x: torch.Tensor) -> bool:
    """Return whether a tensor has numbers in memory."""
    try:
        return x.device.type != "meta" and (not x.numel() or x.data.data_ptr() != 0)
    except (RuntimeError, ValueError):
        return False


def place(x: torch.Tensor) -> tuple[object, ...]:
    """Return what of a tensor changes when it is given another memory."""
    return x.data_ptr(), x.shape, x.stride(), x.dtype


def extent_of(x: torch.Tensor) -> tuple[int, int]:
    """Return the addresses between which a tensor's elements lie."""
    return extent(x.data_ptr(), x.shape, [stride * x.itemsize for stride in x.stride()], x.itemsize)


def interleaved(x: torch.Tensor, y: torch.Tensor) -> bool:
    """Return whether tensors whose extents meet are known to have no element in common: on a device that is not."""
    if x.device.type != "cpu" or any(t.is_conj() or t.is_neg() for t in (x, y)):
        return False
    return not np.shares_memory(memory_of(x.data), memory_of(y.data))
