"""What f returns besides numbers, kept as bytes: the structure of its values, and its extra output."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

from anygrad import backends


class Shape:
    """An array of which nothing is left but its shape."""

    dtype = None

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.ndim = len(shape)


def structure(value: object) -> bytes:
    """Return what f returned, pickled, with shapes in the place of arrays."""
    buffer = io.BytesIO()
    try:
        _Pickler(buffer, protocol=4).dump(value)
    except Exception as error:
        raise _not_kept(value, "f returned", error) from error
    return buffer.getvalue()


def restored(data: bytes) -> Any:
    """Return what `structure` was given."""
    return _Unpickler(io.BytesIO(data)).load()


def extra(aux: object) -> bytes:
    """Return the extra output of f, pickled, such that it can be read again."""
    try:
        data = pickle.dumps(aux, protocol=4)
        pickle.loads(data)  # some are only found out by reading
    except Exception as error:
        raise _not_kept(aux, "f returned as its aux", error) from error
    return data


class _Pickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> tuple[int, ...] | None:
        is_number = isinstance(value, np.generic)  # of which a list is a leaf, as it is
        is_array = hasattr(value, "dtype") and hasattr(value, "shape") and not is_number
        is_array = is_array and backends.resolve(value) is not None
        return tuple(value.shape) if is_array else None


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, shape: tuple[int, ...]) -> Shape:
        return Shape(shape)


def _not_kept(value: object, what: str, error: Exception) -> TypeError:
    return TypeError(
        f"{what} {value!r:.60}, which cannot be pickled ({error}), so that a journal cannot keep it: return numbers,"
        " arrays, and containers of them whose classes can be imported"
    )
