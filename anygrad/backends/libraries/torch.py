"""PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


def available() -> str | None:
    return None


def version() -> str:
    return str(torch.__version__)


def devices() -> Sequence[str]:
    cuda = [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())]
    return ["cpu", *cuda, *(["mps"] if torch.backends.mps.is_available() else [])]


def asarray(x: NDArray[Any], /) -> torch.Tensor:
    # Not from_numpy: this one heeds torch.set_default_device. It takes no negative strides.
    return torch.tensor(np.asarray(x, order="C"))
