"""The points of a stencil as tensors, in the host's memory and on a device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from anygrad.backends._device_points import DevicePoints, device_points
from anygrad.backends._host_points import HostPoints, host_levels
from anygrad.backends._torch_vectoriser import VECTORISER
from anygrad.backends._vectoriser import Rule

Numbers = NDArray[Any]


def host_points(
    x: torch.Tensor, rule: Rule, step: float, *, given: Callable[[torch.Tensor], torch.Tensor], most: float, limit: int
) -> HostPoints | None:
    """Return the points about a tensor of float64 on the CPU that take ``limit`` bytes at most.

    ``given`` makes what f is given of a tensor of them.
    """
    numbers, shape = _numbers(x).reshape(-1), x.shape
    levels = host_levels(numbers, rule, step, most=most, limit=limit)
    if levels is None:
        return None

    def buffer(count: int) -> tuple[torch.Tensor, Numbers]:
        points = torch.empty((count, *shape), dtype=torch.float64, device="cpu")
        return points, points.numpy()

    def read(value: object, count: int) -> Numbers | None:
        if not isinstance(value, torch.Tensor) or value.dtype != torch.float64 or value.shape != (count,):
            return None
        return _numbers(value) if value.device == x.device else None

    def result(slopes: Numbers) -> torch.Tensor:
        return torch.from_numpy(slopes.astype(np.float64, copy=False)).reshape(shape)

    return HostPoints(
        numbers, levels, rule, step, buffer=buffer, read=read, result=result, given=given, vectoriser=VECTORISER
    )


def points_on_device(
    x: torch.Tensor, rule: Rule, step: float, *, given: Callable[[torch.Tensor], torch.Tensor], most: float, limit: int
) -> DevicePoints | None:
    """Return the points about a tensor of float64 elsewhere, as `host_points` does."""
    return device_points(
        x.detach(),
        rule,
        step,
        is_own=lambda value: isinstance(value, torch.Tensor),
        host=_numbers,
        most=most,
        limit=limit,
        divisor=torch.full((), step, dtype=x.dtype, device=x.device),  # by a number it multiplies with the reciprocal
        given=given,
        vectoriser=VECTORISER,
    )


def _numbers(x: torch.Tensor) -> Numbers:
    numbers: Numbers = x.detach().resolve_neg().cpu().numpy()
    return numbers
