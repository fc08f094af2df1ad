"""Indexing of a batched array: where the batch axis lands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from anygrad.evaluators.batching.array import PADDED, ZERO_D, Batched
from anygrad.evaluators.batching.run import Run

_BASIC = (int, np.integer, slice, type(None), type(...))


def getitem(run: Run, _: Callable[..., Any], x: Any, index: Any) -> Any:
    """Return ``x[index]``."""
    key = _key(run, index)
    if key is None:
        return NotImplemented
    values = x._values[key]
    if len(values.shape) > 1 or not run.of_numpy:
        return Batched(values, run)
    view = index is ... or (type(index) is tuple and any(item is ... for item in index))
    return Batched(values, run, ZERO_D) if view else Batched(values.copy(), run)


def setitem(run: Run, _: Callable[..., Any], x: Any, index: Any, value: Any) -> Any:
    """Do ``x[index] = value``."""
    values, value = x._values, run.nested(value) if run.has_batched(value) else value
    scalar = value._values if type(value) is Batched and not value.ndim else value
    if type(index) is Batched and index.dtype == bool and index.shape == x.shape and type(scalar) is not Batched:
        mask = run.require_own(index)._values
        if scalar is not value:
            values[...] = run.library.where(mask, scalar[(..., *(None,) * x.ndim)], values)
        elif not getattr(value, "shape", ()) and type(value) not in (list, tuple):
            values[mask] = value
        else:
            return _set_each(run, x, index, value)
        return None
    key = _key(run, index)
    if key is None:
        return _set_each(run, x, index, value)
    if type(value) is Batched:
        missing = len(values[key].shape) - len(value._values.shape)
        if missing < 0:  # NumPy leaves out axes of length 1 in front
            return _set_each(run, x, index, value)
        value = run.require_own(value)._values[PADDED[missing]]
    values[key] = value
    return None


def _set_each(run: Run, x: Batched, index: Any, value: Any) -> None:
    """Write at the place of each point: at all points, or at none."""
    new, index = x.copy(), run.lifted(index)
    errors: list[Exception | None] = [None] * run.count
    for i in range(run.count):
        try:
            new._values[i, ...][run.point(index, i)] = run.point(value, i)
        except Exception as error:
            errors[i] = error
    run.agree([type(error) for error in errors], "an error of some points")
    if errors[0] is not None:
        raise errors[0]
    x._values[...] = new._values


def _key(run: Run, index: Any) -> tuple[Any, ...] | None:
    """Return the index of the values for one of the array; None where that takes more than an index."""
    items = index if type(index) is tuple else (index,)
    if all(isinstance(item, _BASIC) and type(item) is not Batched for item in items):
        return (slice(None), *items)
    batched = [type(item) is Batched or (type(item) is list and run.has_batched(item)) for item in items]
    arrays = [i for i, item in enumerate(items) if batched[i] or not isinstance(item, (slice, type(None), type(...)))]
    together = arrays[-1] - arrays[0] == len(arrays) - 1
    if not any(batched):  # together they stay behind the batch axis; apart, they go before it
        return (slice(None), *items) if together else None
    if not (together and arrays[0] == 0 and run.plain_numpy) or any(type(items[i]) is list for i in arrays):
        return None
    # Batched integers in front of all else: the number of the point is one more of them.
    chosen = [items[i] for i in arrays]
    if any(getattr(item, "dtype", np.dtype(int)).kind not in "iu" for item in chosen):
        return None
    shape = np.broadcast_shapes(*(getattr(item, "shape", ()) for item in chosen))
    *keys, _ = run.aligned([*chosen, np.empty(shape)])
    return (np.arange(run.count).reshape(-1, *(1,) * len(shape)), *keys, *items[len(arrays) :])
