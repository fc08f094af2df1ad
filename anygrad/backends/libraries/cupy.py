"""CuPy, which can be installed where there is no GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cupy
from numpy.typing import NDArray

from anygrad._typing import Array
from anygrad.backends.libraries._base import in_one_line


def available() -> str | None:
    runtime = cupy.cuda.runtime
    try:
        if not runtime.driverGetVersion():
            return "no CUDA driver is installed"
        if not runtime.getDeviceCount():
            return "the CUDA driver finds no device"
    except runtime.CUDARuntimeError as error:
        return f"CUDA fails: {in_one_line(error)}"
    return None


def version() -> str:
    return str(cupy.__version__)


def devices() -> Sequence[str]:
    runtime = cupy.cuda.runtime
    return [f"cuda:{i} ({runtime.getDeviceProperties(i)['name'].decode()})" for i in range(runtime.getDeviceCount())]


def asarray(x: NDArray[Any], /) -> Array:
    return cupy.array(x)
