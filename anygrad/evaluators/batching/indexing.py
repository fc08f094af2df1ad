"""Indexing of a batched array: where the batch axis lands."""

from __future__ import annotations

from typing import Any

from anygrad.evaluators.batching.array import PADDED, ZERO_D, Batched
from anygrad.evaluators.batching.run import Run


def getitem(run: Run, _: Any, x: Any, index: Any) -> Any:
    """Return ``x[index]``."""
    key = _key(run, index)
    if key is None:
        return NotImplemented
    values = run.require_own(x)._values[key]
    view = any(item is ... for item in key)  # x[...] is an array where x[0] is a scalar, and a copy
    if len(values.shape) > 1 or view or not run.of_numpy:
        return Batched(values, run, ZERO_D if len(values.shape) == 1 else None)
    return Batched(values.copy(), run)


def setitem(run: Run, _: Any, x: Any, index: Any, value: Any) -> Any:
    """Do ``x[index] = value``."""
    values, value = run.require_own(x)._values, run.nested(value) if run.has_batched(value) else value
    if type(value) is Batched:
        value = run.require_own(value)
    if type(index) is Batched and index.dtype == bool and index.shape == x.shape and not getattr(value, "shape", ()):
        values[...] = run.library.where(*run.aligned((index, value, x)))
        return None
    key = _key(run, index)
    if key is None:
        return NotImplemented
    if type(value) is Batched:
        value = value._values[PADDED[len(values[key].shape) - len(value._values.shape)]]
    values[key] = value
    return None


def _key(run: Run, index: Any) -> tuple[Any, ...] | None:
    """Return the index of the values for one of the array; None where the index depends on the point."""
    items = index if type(index) is tuple else (index,)
    if run.has_batched(list(items)):
        return None
    arrays = [i for i, item in enumerate(items) if hasattr(item, "__len__")]
    if arrays:
        arrays = [i for i, item in enumerate(items) if not isinstance(item, (slice, type(None), type(...)))]
        # Side by side they stay behind the batch axis; apart, their axes go before it.
        if arrays[-1] - arrays[0] != len(arrays) - 1:
            return None
    return (slice(None), *items)
