"""dpnp, which can be installed where there is no SYCL device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dpctl
import dpnp
from numpy.typing import NDArray

from anygrad._typing import Array
from anygrad.backends.libraries._base import in_one_line


def available() -> str | None:
    try:
        dpnp.empty(0)
    except Exception as error:  # dpctl's errors share no base class
        return f"it finds no SYCL device: {in_one_line(error)}"
    return None


def version() -> str:
    return str(dpnp.__version__)


def devices() -> Sequence[str]:
    return [f"{device.filter_string} ({device.name})" for device in dpctl.get_devices()]


def asarray(x: NDArray[Any], /) -> Array:
    return dpnp.array(x)
