"""PyTorch's vmap."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from anygrad.backends._vectoriser import Function, Vectoriser


def _in_tensors(f: Function, x: torch.Tensor) -> Any:
    def in_tensor(value: Any) -> torch.Tensor:  # torch's vmap lets no numbers through
        return value if isinstance(value, torch.Tensor) else torch.as_tensor(value, device=x.device)

    value = f(x)
    return [in_tensor(part) for part in value] if isinstance(value, list) else in_tensor(value)


VECTORISER = Vectoriser(lambda f: torch.func.vmap(partial(_in_tensors, f)))
