"""A function of one point as one of many: called for all of them, or for the parts in which it does the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from anygrad._typing import Array
from anygrad.backends.base import modified
from anygrad.evaluators.batching.array import Batched
from anygrad.evaluators.batching.rules import RULES
from anygrad.evaluators.batching.run import MOST_PARTS, BatchingError, Parting, Rule, Run, place, users_frame


class Many:
    """f, written for one point, as a function of many.

    Parameters
    ----------
    f
        Takes an array or a list of arrays, and returns a number or an array, or a list of these.
    host
        Takes an array of the library to NumPy's.
    vector
        Whether f returns a list of arrays, and not one.
    rules
        By which functions are called once for all points.

    Attributes
    ----------
    calls
        How often f has been called.
    """

    def __init__(
        self,
        f: Callable[[Any], Any],
        host: Callable[[Array], NDArray[Any]],
        *,
        vector: bool = False,
        rules: Mapping[str, Rule] = RULES,
    ) -> None:
        self._f = f
        self._host = host
        self._vector = vector
        self._rules = rules
        self._checked = False
        self.calls = 0

    def __call__(self, given: Any) -> Any:
        """Return f's values at points along the first axis of one array or of each in a list, with such an axis."""
        arrays: list[Array] = given if isinstance(given, list) else [given]
        count = int(arrays[0].shape[0])
        waiting = [np.arange(count)]
        done: list[tuple[NDArray[np.intp], list[Array]]] = []
        alone = True
        while waiting:
            part = waiting.pop(0)
            try:
                leaves = self._part(given, part, whole=len(part) == count)
            except Parting as parting:
                waiting = [part[group] for group in parting.groups] + waiting
                if len(done) + len(waiting) > MOST_PARTS:
                    raise parting.error from None
                continue
            done.append((part, leaves))
        values = done[0][1] if len(done) == 1 else self._merged(done)
        largest = max((part for part, _ in done), key=len)
        if len(largest) > 1 and not self._checked and type(arrays[0]) is not Batched:
            self._checked = True
            self._check(given, values, int(largest[-1]))
        return values if self._vector else values[0]

    def _part(self, given: Any, part: NDArray[np.intp], *, whole: bool) -> list[Array]:
        arrays: list[Array] = given if isinstance(given, list) else [given]
        xp = array_namespace(arrays[0])
        if len(part) == 1:
            value = self._at(given, int(part[0]))
            run = Run(1, arrays[0], _library(arrays[0]), self._host, self._rules)
            return self._lowered(run, value)
        own = arrays if whole else [_taken(xp, array, part) for array in arrays]
        run = Run(len(part), arrays[0], _library(arrays[0]), self._host, self._rules)
        kind = "0-d array"
        batched = [Batched(array, run, kind if len(array.shape) == 1 else None) for array in own]
        self.calls += 1
        try:
            value = self._f(batched if isinstance(given, list) else batched[0])
            if run.parting is None and run.refused is None:
                leaves = self._lowered(run, value)
        except (Parting, BatchingError) as stop:
            if stop is not run.parting and stop is not run.refused:  # that of a run around this one
                raise
        except Exception as error:
            if run.parting is None and run.refused is None:
                self._raise_own(given, part, error)
        if run.parting is not None:
            raise run.parting
        if run.refused is not None:
            raise run.refused
        if not whole and type(arrays[0]) is not Batched and not all(
            _equal(self._host(now), self._host(_taken(xp, array, part))) for now, array in zip(own, arrays, strict=True)
        ):
            raise modified()
        return leaves

    def _at(self, given: Any, i: int) -> Any:
        """Return what f returns for one point; raise if it writes to its argument."""
        arrays: list[Array] = given if isinstance(given, list) else [given]
        xp = array_namespace(arrays[0])
        point = [xp.asarray(array[i, ...], copy=True) for array in arrays]
        self.calls += 1
        value = self._f(point if isinstance(given, list) else point[0])
        if not all(
            _equal(self._host(now), self._host(xp.asarray(array[i, ...]))) for now, array in zip(point, arrays, strict=True)
        ):
            raise modified()
        return value

    def _lowered(self, run: Run, value: Any) -> list[Array]:
        """Return what f returned as arrays with a leading axis."""
        return [run.spread(run.nested(leaf))._values for leaf in (value if self._vector else [value])]

    def _merged(self, done: Sequence[tuple[NDArray[np.intp], list[Array]]]) -> list[Array]:
        order = np.argsort(np.concatenate([part for part, _ in done]))
        merged = []
        for leaves in zip(*(leaves for _, leaves in done), strict=True):
            xp = array_namespace(leaves[0])
            merged.append(_taken(xp, xp.concat(list(leaves)), order))
        return merged

    def _raise_own(self, given: Any, part: NDArray[np.intp], error: Exception) -> None:
        """Raise what f raises for one of the points; if that is nothing, the batch is to blame."""
        for i in part.tolist():
            self._at(given, i)
        raise BatchingError(
            f"f works for each point, but not for {len(part)} at a time: {_where(error.__traceback__)} raised"
            f" {type(error).__name__} ({str(error).partition(chr(10))[0]:.100}). If an array was made of values of x there"
            " or before, make it by np.stack([...]) or np.array([...], like=x); else use Loop()"
        ) from error

    def _check(self, given: Any, values: list[Array], i: int) -> None:
        """Raise unless f returns for one point alone what it returned for it among the others."""
        if self._agrees(given, values, i):
            return
        raise BatchingError(
            "f returned other values for many points at a time than for one of them alone: it is random, or does"
            " something with x that cannot be seen, such as type(x) is np.ndarray; use isinstance, or Loop()"
        )

    def _agrees(self, given: Any, values: list[Array], i: int) -> bool:
        arrays: list[Array] = given if isinstance(given, list) else [given]
        value = self._at(given, i)
        run = Run(1, arrays[0], _library(arrays[0]), self._host, self._rules)
        single = [np.asarray(self._host(leaf)) for leaf in self._lowered(run, value)]
        many = [np.asarray(self._host(leaf)) for leaf in values]
        return len(single) == len(many) and all(_close(a[0], b, i) for a, b in zip(single, many, strict=True))


def _close(alone: NDArray[Any], many: NDArray[Any], i: int) -> bool:
    """Return whether the values at one point are those among others, but for rounding."""
    if alone.shape != many.shape[1:] or many.dtype.kind not in "fc":
        return np.array_equal(alone, many[i])
    with np.errstate(all="ignore"):
        eps = float(np.finfo(many.dtype).eps)
        sizes = np.abs(many)[np.isfinite(many)]
        largest = float(np.max(sizes, initial=0.0))
        near = np.abs(alone - many[i]) <= max(1e-6, 1000 * eps) * largest + 16 * eps
        return bool(np.all(near | (alone == many[i]) | ((alone != alone) & (many[i] != many[i]))))  # noqa: PLR0124


def _library(array: Array) -> Any:
    return np if type(array) is np.ndarray else array_namespace(array)


def _taken(xp: Any, array: Array, part: NDArray[np.intp]) -> Array:
    if isinstance(array, np.ndarray) and type(array) is np.ndarray:
        return array[part]
    return xp.stack([array[i, ...] for i in part.tolist()])


def _equal(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return bool(np.array_equal(a, b, equal_nan=True))


def _where(trace: TracebackType | None) -> str:
    """Return the line of f in which an error arose."""
    found = ""
    while trace is not None:
        frame = trace.tb_frame
        if users_frame(frame) is frame:
            found = place(frame.f_code, trace.tb_lineno)
        trace = trace.tb_next
    return found or "f"
