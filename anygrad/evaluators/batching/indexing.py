"""Indexing of a batched array: where the batch axis lands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from anygrad.evaluators.batching.array import ZERO_D, Batched
from anygrad.evaluators.batching.run import Run

_BASIC = (int, slice, type(None), type(...), np.integer)


def getitem(run: Run, _: Callable[..., Any], x: Any, index: Any) -> Any:
    """Return ``x[index]``."""
    if type(x) is not Batched:
        return NotImplemented
    key = _whole_key(run, x, index)
    if key is not None:
        values = x._values[key]
        if len(values.shape) > 1 or run.array_type is not np.ndarray:
            return Batched(values, run)
        # A scalar is a copy: x[0], x[1] = x[1], x[0]. With an ellipsis it is a view without axes.
        view = index is ... or (type(index) is tuple and ... in index)
        return Batched(values, run, ZERO_D) if view else Batched(values.copy(), run)
    rows = _key_of_rows(run, x, index)
    return NotImplemented if rows is None else Batched(x._values[rows], run)


def setitem(run: Run, _: Callable[..., Any], x: Any, index: Any, value: Any) -> Any:
    """Do ``x[index] = value``."""
    value = run.nested(value) if type(value) in (list, tuple) and run.has_batched(value) else run.lifted(value)
    values = x._values
    if type(index) is Batched and index.dtype == bool and index.shape == x.shape and np.ndim(value) == 0:
        run.require_own(index)
        if type(value) is not Batched:
            values[index._values] = value
            return None
        run.require_own(value)
        where = run.library.where
        values[...] = where(index._values, value._values[(..., *(None,) * x.ndim)], values)
        return None
    key = _whole_key(run, x, index)
    if key is not None and type(value) is Batched:
        ndim = len(values[key].shape) - 1
        missing = ndim - value.ndim
        if missing < 0:  # axes of length 1 in front, which NumPy leaves out
            value = value.reshape(value.shape[-missing:]) if set(value.shape[:-missing]) == {1} else value
            missing = max(0, missing)
        run.require_own(value)
        values[key] = value._values[(slice(None), *(None,) * missing, ...)]
        return None
    if key is not None:
        values[key] = value
        return None
    return _set_each(run, x, index, value)


def _set_each(run: Run, x: Batched, index: Any, value: Any) -> None:
    """Write at the place of each point; at all points or at none."""
    index = run.lifted(index)
    trial = x._values if run.count == 0 else run.library.asarray(x._values, copy=True)
    outcomes, error = [], None
    for i in range(run.count):
        try:
            trial[i, ...][run.point(index, i)] = run.point(value, i)
            outcomes.append("")
        except Exception as raised:
            error = raised
            outcomes.append(type(raised).__name__)
    run.agree(outcomes, "an error of some points")
    if error is not None:
        raise error
    x._values[...] = trial


def _whole_key(run: Run, x: Batched, index: Any) -> tuple[Any, ...] | None:
    """Return the index of the values for an index that is the same at all points; None where that takes more."""
    items = index if type(index) is tuple else (index,)
    if all(isinstance(item, _BASIC) and type(item) is not Batched for item in items):
        return (slice(None), *items)
    advanced = []
    for i, item in enumerate(items):
        if type(item) is Batched or (isinstance(item, list) and run.has_batched(item)):
            return None
        if not isinstance(item, (slice, type(None), type(...))):
            advanced.append(i)
    # Together they stay where they are, behind the batch axis; apart, they go before it.
    return (slice(None), *items) if advanced[-1] - advanced[0] == len(advanced) - 1 else None


def _key_of_rows(run: Run, x: Batched, index: Any) -> tuple[Any, ...] | None:
    """Return the index of the values for batched integers in front of slices; None for other indices."""
    items = index if type(index) is tuple else (index,)
    first = [item for item in items if type(item) is Batched or isinstance(item, (int, np.integer, np.ndarray))]
    rest = items[len(first) :]
    if not all(isinstance(item, slice) for item in rest) or any(items[i] is not item for i, item in enumerate(first)):
        return None
    if any(str(getattr(item, "dtype", "int")).rstrip("0123456789") not in ("int", "uint") for item in first):
        return None
    if not run.plain_numpy:
        return None
    shape = np.broadcast_shapes(*(np.shape(run.point(item, 0)) for item in first))
    keys = run.aligned([*first, np.empty(shape)])[:-1]
    return (np.arange(run.count).reshape(-1, *(1,) * len(shape)), *keys, *rest)
