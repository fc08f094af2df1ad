"""A function of one point as one of many: called for all of them, or for the parts in which it does the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from anygrad._stacklevel import users_line_of
from anygrad._typing import Array
from anygrad.backends.base import modified
from anygrad.evaluators.batching.array import ZERO_D, Batched
from anygrad.evaluators.batching.rules import RULES
from anygrad.evaluators.batching.run import MOST_PARTS, BatchingError, Parting, Run

# Exceptions that an operation with a batched array may raise where a plain array would not. All others are those of f.
_OF_BATCHING = (AssertionError, AttributeError, IndexError, NotImplementedError, RuntimeError, TypeError, ValueError)


class Many:
    """f, written for one point, as a function of many.

    f takes a list of arrays, and returns a list of arrays and numbers. ``host`` takes an array of the library to
    NumPy's; ``calls`` is how often f has been called.
    """

    def __init__(self, f: Callable[[list[Any]], list[Any]], host: Callable[[Array], NDArray[Any]]) -> None:
        self._f = f
        self._host = host
        self._checked = False
        self.calls = 0

    def __call__(self, arrays: list[Array]) -> list[Array]:
        """Return f's values at points along the first axis of each array, with such an axis."""
        waiting = [np.arange(arrays[0].shape[0])]
        done: list[tuple[NDArray[np.intp], list[Array]]] = []
        while waiting:
            part = waiting.pop(0)
            try:
                done.append((part, self._part(arrays, part)))
            except Parting as parting:
                groups, error = parting.args
                waiting = [part[group] for group in groups] + waiting
                if len(done) + len(waiting) > MOST_PARTS:
                    raise error from None
        values = done[0][1]
        if len(done) > 1:
            order = np.argsort(np.concatenate([part for part, _ in done]))
            pieces = zip(*(leaves for _, leaves in done), strict=True)
            values = [_rows(array_namespace(own[0]).concat(list(own)), order) for own in pieces]
        parts = [] if self._checked or type(arrays[0]) is Batched else [part for part, _ in done if len(part) > 1]
        self._checked = True
        for part in parts:
            self._check(arrays, values, int(part[-1]))
        return values

    def _part(self, arrays: list[Array], part: NDArray[np.intp]) -> list[Array]:
        """Return f's values at some points, at which it does the same."""
        if len(part) == 1:
            return self._alone(arrays, int(part[0]))
        whole = len(part) == arrays[0].shape[0]
        own = arrays if whole else [_rows(array, part) for array in arrays]
        run = Run(len(part), arrays[0], self._host, RULES)
        self.calls += 1
        try:
            returned = self._f([Batched(array, run, ZERO_D if len(array.shape) == 1 else None) for array in own])
            values = _lowered(run, returned if run.returned is None else [run.returned])
        except (Parting, BatchingError) as stop:
            if stop is not run.stop:  # that of a run around this one
                raise
        except Exception as error:
            if run.stop is None:
                self._raise_own(arrays, part, error)
        if run.stop is not None:
            raise run.stop
        if not whole:
            self._require_same(own, [_rows(array, part) for array in arrays])
        return values

    def _alone(self, arrays: list[Array], i: int) -> list[Array]:
        """Return f's values at one point."""
        run = Run(1, arrays[0], self._host, RULES)
        point = [run.library.asarray(array[i, ...], copy=True) for array in arrays]
        self.calls += 1
        values = self._f(point)
        self._require_same(point, [array[i, ...] for array in arrays])
        return _lowered(run, values)

    def _require_same(self, now: list[Array], before: list[Array]) -> None:
        """Raise if f has written to its argument."""
        for own, original in zip(now, before, strict=True):
            if type(own) is not Batched and not _same(self._host(own), self._host(original)):
                raise modified()

    def _raise_own(self, arrays: list[Array], part: NDArray[np.intp], error: Exception) -> NoReturn:
        """Raise what f raises at one of the points alone; if that is nothing, the batch is to blame."""
        if not isinstance(error, _OF_BATCHING):
            raise error
        for i in part.tolist():
            self._alone(arrays, i)
        advice = "Use functions of x.__array_namespace__(), or those of NumPy for CuPy arrays"
        if type(arrays[0]) is np.ndarray:
            advice = (
                "Make arrays with np.stack([...]) or np.array([...], like=x), and avoid SciPy, which often fails here"
            )
        line, called = users_line_of(error)
        raise BatchingError(
            f"f works for each point alone, but not for {len(part)} at once: {called or 'an operation'} ({line}) raised"
            f" {type(error).__name__}: {str(error).partition(chr(10))[0]:.100}. {advice}, or use Loop()"
        ) from error

    def _check(self, arrays: list[Array], values: list[Array], i: int) -> None:
        """Raise unless f returns the same value for one point alone as among others."""
        alone = [np.asarray(self._host(leaf))[0] for leaf in self._alone(arrays, i)]
        among = [np.asarray(self._host(leaf)) for leaf in values]
        if len(alone) != len(among) or not all(_close(a, b, i) for a, b in zip(alone, among, strict=True)):
            raise BatchingError(
                "f returned other values for many points at once than for one of them alone: it is random, or uses x in"
                " a way that cannot be followed, such as type(x) is np.ndarray. Write isinstance(x, np.ndarray), or use"
                " Loop()"
            )


def _lowered(run: Run, returned: Sequence[Any]) -> list[Array]:
    """Convert f's results to arrays with a leading axis."""
    values = [run.spread(run.nested(leaf))._values for leaf in returned]
    return [np.array(leaf.tolist()) if leaf.dtype == object else leaf for leaf in values]


def _same(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return a.shape == b.shape and bool((a == b).all() or np.array_equal(a, b, equal_nan=True))


def _close(alone: NDArray[Any], among: NDArray[Any], i: int) -> bool:
    """Return whether the value at one point is the same as among others, up to rounding."""
    if alone.shape != among.shape[1:] or _same(alone, among[i]):
        return alone.shape == among.shape[1:]
    with np.errstate(all="ignore"):
        eps = float(np.finfo(np.result_type(among, np.float32)).eps)
        largest = float(np.max(np.abs(among)[np.isfinite(among)], initial=0.0))
        tolerance = max(1e-6, 1000 * eps) * largest + 16 * eps
        return bool(np.allclose(alone, among[i], rtol=0, atol=tolerance, equal_nan=True))


def _rows(array: Array, rows: NDArray[np.intp]) -> Array:
    xp = array_namespace(array)
    return xp.take(array, xp.asarray(rows.tolist(), device=array.device), axis=0)
