"""Memory layouts: one array of numbers, laid out in several ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from libraries import Library

Array = Any


def contiguous(lib: Library, a: np.ndarray, dtype: str) -> Array:
    return lib.asarray(a, dtype)


def transposed(lib: Library, a: np.ndarray, dtype: str) -> Array:
    axes = tuple(reversed(range(a.ndim)))
    return lib.xp.permute_dims(lib.asarray(np.array(a.transpose(axes), order="C"), dtype), axes)


def strided(lib: Library, a: np.ndarray, dtype: str) -> Array:
    return lib.asarray(np.repeat(np.atleast_1d(a), 2, axis=-1), dtype)[..., ::2] if a.ndim else lib.asarray(a, dtype)


def window(lib: Library, a: np.ndarray, dtype: str) -> Array:
    inner = tuple(slice(1, 1 + length) for length in a.shape)
    return lib.asarray(np.pad(a, 1, constant_values=0.5), dtype)[inner] if a.ndim else lib.asarray(a, dtype)


def reversed_(lib: Library, a: np.ndarray, dtype: str) -> Array:
    return lib.asarray(a[..., ::-1].copy(), dtype)[..., ::-1] if a.ndim else lib.asarray(a, dtype)


LAYOUTS: dict[str, Callable[[Library, np.ndarray, str], Array]] = {
    "contiguous": contiguous,
    "transposed": transposed,
    "strided": strided,
    "window": window,
    "reversed": reversed_,
}
