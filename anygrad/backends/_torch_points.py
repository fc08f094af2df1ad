"""The points of a stencil as tensors, in the host's memory and on a device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from anygrad.backends._device_points import DevicePoints, device_points
from anygrad.backends._host_points import COPIED, HostPoints, host_levels
from anygrad.backends._points import Numbers
from anygrad.backends._vectoriser import Rule


def host_points(
    x: torch.Tensor, rule: Rule, step: float, *, given: Callable[[torch.Tensor], torch.Tensor], most: float, limit: int
) -> HostPoints | None:
    """Return the points about a tensor of float64 on the CPU that take ``limit`` bytes at most.

    ``given`` makes what f is given of a tensor of them.
    """
    numbers, shape = _numbers(x).reshape(-1), x.shape
    levels = host_levels(numbers, rule, step, most=most, limit=min(limit, COPIED))
    if levels is None:
        return None

    def buffer(count: int) -> tuple[torch.Tensor, Numbers]:
        points = torch.empty((count, *shape), dtype=torch.float64, device="cpu")
        return points, points.numpy()

    def read(value: object, count: int) -> Numbers | None:
        tensor = _plain(value)
        if tensor is None or tensor.dtype != torch.float64 or tensor.shape != (count,):
            return None
        return _numbers(tensor) if tensor.device == x.device else None

    def result(slopes: Numbers) -> torch.Tensor:
        return torch.from_numpy(slopes.astype(np.float64, copy=False)).reshape(shape)

    return HostPoints(numbers, levels, rule, step, buffer=buffer, read=read, result=result, given=given)


def points_on_device(
    x: torch.Tensor, rule: Rule, step: float, *, given: Callable[[torch.Tensor], torch.Tensor], most: float, limit: int
) -> DevicePoints | None:
    """Return the points about a tensor of float64 elsewhere, as `host_points` does."""
    return device_points(
        x.detach(),
        rule,
        step,
        plain=_plain,
        host=_numbers,
        most=most,
        limit=limit,
        # By a number it multiplies with the reciprocal.
        divisor=lambda: torch.full((), step, dtype=x.dtype, device=x.device),
        given=given,
    )


def _plain(value: Any) -> torch.Tensor | None:
    """Return a dense tensor of no derived class without its graph; None of all else."""
    return value.detach() if type(value) is torch.Tensor and value.layout == torch.strided else None


def _numbers(x: torch.Tensor) -> Numbers:
    numbers: Numbers = x.detach().resolve_neg().cpu().numpy()
    return numbers
