"""Dask, whose arrays are lazy; the generic backend differentiates by them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dask
import dask.array
from numpy.typing import NDArray

from anygrad._typing import Array


def available() -> str | None:
    return None


def version() -> str:
    return str(dask.__version__)


def devices() -> Sequence[str]:
    return ["cpu"]


def asarray(x: NDArray[Any], /) -> Array:
    return dask.array.from_array(x.copy())
