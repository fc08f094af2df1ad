"""JAX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from numpy.typing import NDArray

from anygrad.backends.libraries._base import in_one_line


def available() -> str | None:
    try:
        jax.devices()
    except Exception as error:  # of several classes, where the platform that was asked for is not there
        return f"it finds no device: {in_one_line(error)}"
    return None


def version() -> str:
    return str(jax.__version__)


def devices() -> Sequence[str]:
    return [_named(device) for device in jax.devices()]


def asarray(x: NDArray[Any], /) -> jax.Array:
    return jnp.array(x)  # float32 of float64, but for those who have enabled the latter


def _named(device: Any) -> str:
    name = f"{device.platform}:{device.id}"
    return name if device.device_kind == device.platform else f"{name} ({device.device_kind})"
