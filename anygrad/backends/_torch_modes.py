"""What PyTorch keeps for each thread: whether it records gradients, and in which dtype it casts by itself."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from typing import Any, TypeAlias

import torch

# Whether gradients are recorded, and whether inference mode is on; of each device, whether its autocast is, to what.
_Modes: TypeAlias = tuple[bool, bool, tuple[tuple[str, str | None], ...]]

_DEVICES = ("cpu", "cuda")
_INITIAL: _Modes = (True, False, tuple((device, None) for device in _DEVICES))


def current() -> _Modes | None:
    casts = tuple((device, _cast(device)) for device in _DEVICES)
    modes = torch.is_grad_enabled(), torch.is_inference_mode_enabled(), casts
    return None if modes == _INITIAL else modes


def under(modes: _Modes | None) -> AbstractContextManager[object]:
    grad, inference, casts = modes or _INITIAL
    with ExitStack() as stack:
        if inference != torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(inference))
        stack.enter_context(torch.set_grad_enabled(grad))  # after inference mode, which switches gradients off or on
        for device, cast in casts:
            if cast != _cast(device):
                stack.enter_context(_autocast(device, cast))
        return stack.pop_all()


def after_fork() -> None:
    # Those of OpenMP are not there any more, but are waited for. PyTorch's own DataLoader does the same.
    torch.set_num_threads(1)


def _cast(device: str) -> str | None:
    if not torch.is_autocast_enabled(device):
        return None
    return str(torch.get_autocast_dtype(device)).removeprefix("torch.")


def _autocast(device: str, cast: str | None) -> Any:
    if cast is None:
        return torch.autocast(device, enabled=False)
    return torch.autocast(device, dtype=getattr(torch, cast))
