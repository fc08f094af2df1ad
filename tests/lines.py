"""Lines without operators, evaluators and backends: to test schemes by themselves, in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from anygrad.schemes import Lines

Array = Any


class Sampled:
    """One function of real numbers, which takes and returns arrays, sampled at many of them side by side.

    ``points`` counts the points at which it has been evaluated, ``lowest`` and ``highest`` say between which. All of
    the values that f returns for (m, 1) numbers belong to their line: f may return (m, p).
    """

    def __init__(
        self,
        f: Callable[[np.ndarray], np.ndarray],
        at: Sequence[float] | np.ndarray,
        dtype: str = "float64",
        lower: float | None = None,
        upper: float | None = None,
    ) -> None:
        self.f = f
        self.dtype = np.dtype(dtype)
        self.at = np.asarray(at, dtype=dtype).reshape(-1, 1).astype(np.float64)
        self.bounds = lower, upper
        self.points = 0
        self.lowest, self.highest = np.inf, -np.inf

    def lines(self, at: np.ndarray | None = None) -> Lines:
        at = self.at if at is None else at
        limits = np.finfo(self.dtype)
        bases: list[np.ndarray] = []

        def base() -> np.ndarray:
            if not bases:
                bases.append(self._values(at))
            return bases[0]

        def bound(value: float | None) -> np.ndarray | None:
            return None if value is None else np.full(at.shape, value)

        return Lines(
            xp=np,
            at=at,
            scale=np.abs(at),
            eps=float(limits.eps),
            tiny=float(limits.smallest_subnormal),
            sample=lambda levels: [self._values(level) for level in levels],
            base=base,
            nearest=lambda levels: levels.astype(self.dtype).astype(np.float64),
            take=lambda indices: self._taken(at, base if bases else None, indices),
            any=lambda mask: bool(np.any(mask)),
            all=lambda mask: bool(np.all(mask)),
            spread=lambda value: np.broadcast_to(np.asarray(value, dtype=np.float64), self.at.shape),
            lower=bound(self.bounds[0]),
            upper=bound(self.bounds[1]),
        )

    def _taken(self, at: np.ndarray, base: Callable[[], np.ndarray] | None, indices: np.ndarray) -> Lines:
        taken = self.lines(at[indices])
        return replace(taken, base=lambda: base()[indices]) if base else taken

    def _values(self, level: np.ndarray) -> np.ndarray:
        self.points += level.shape[0]
        if level.size:
            self.lowest, self.highest = min(self.lowest, level.min()), max(self.highest, level.max())
        with np.errstate(all="ignore"):
            return np.asarray(self.f(level.astype(self.dtype)), dtype=np.float64)
