"""Sampling a function whose values are kept in a file: what is there is taken from it, and what is not is added."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from array_api_compat import device

from anygrad import backends
from anygrad._typing import Array
from anygrad.evaluators._base import Session, Target
from anygrad.evaluators._journal.digest import exact, hashed
from anygrad.evaluators._journal.failure import Failure, is_own
from anygrad.evaluators._journal.ledger import Ledger
from anygrad.evaluators._journal.unpacking import Unpacking
from anygrad.evaluators._points import Points, sampled


@dataclass(eq=False)
class JournalSession:
    """A `Session` that asks another one for what its ledger does not have.

    Attributes
    ----------
    stride
        How many points are asked for at a time; None for all.
    tolerant
        Whether f may fail at a point, whose value is then NaN.
    """

    target: Target
    inner: Session
    ledger: Ledger
    unpacking: Unpacking
    stride: int | None
    tolerant: bool
    _bases: dict[int, Array] = field(default_factory=dict)
    _alike: Array | None = None  # a value of f, whose shape and dtype are those of all

    def __post_init__(self) -> None:
        self.memory, self.record = self.inner.memory, self.inner.record
        self.record.tolerant = self.tolerant
        self.in_place, self.together = self.inner.in_place, self.inner.together
        self._numbers = self.memory.elements(range(0))

    def know(self, value: object) -> None:
        self.inner.know(value)

    def base(self, elements: Sequence[int]) -> Array:
        if not self.target.batch:
            return self._base(0, range(1)) if 0 not in self.record.known else self.inner.base(elements)
        length = math.prod(self.memory.array.shape[1:])
        rows = [(element // length, element) for element in elements]
        return self.memory.xp.concat([self._base(row, [element]) for row, element in rows])

    def sample(
        self, elements: Sequence[int], part: int | None, levels: Sequence[Array], width: int = 1
    ) -> Sequence[Array]:
        return sampled(self, elements, part, levels, width)

    def evaluate(self, points: Points, *, tolerant: bool = False) -> Iterator[tuple[range, Array | Exception]]:
        """Yield f's values: those that are kept, those that are not yet, and NaN where it has failed."""
        keys, missing, failed = self._keys(points), [], []
        for i, key in enumerate(keys):
            kept = self.ledger.value(key)
            if kept is not None:
                yield range(i, i + 1), self._served(kept)
            elif self.tolerant and self.ledger.failed(key):
                failed.append(i)
                self._report(1)
            else:
                missing.append(i)
        stride = self.stride or len(missing) or 1
        for start in range(0, len(missing), stride):
            for i, value in self._found(points, keys, missing[start : start + stride], tolerant=tolerant):
                if value is None:
                    failed.append(i)
                else:
                    yield range(i, i + 1), value
        for i in failed:
            self.record.failed.update(_own(points, i))
            yield range(i, i + 1), self._nan()

    def blind(self) -> bool:
        return self.record.blind(lambda: self.base(range(1)))

    def _base(self, row: int, elements: Sequence[int]) -> Array:
        """Return f(x), or f of a row of it, as an array of one value."""
        if row not in self._bases:
            key = hashed("base", row)
            kept = self.ledger.value(key)
            if kept is None:
                value = self.inner.base(elements)[:1, ...]
                self.ledger.add({key: self._host(value)[0]}, self.unpacking.objects(base=True))
            else:
                self.unpacking.replay(self.ledger)
                value = self._array(kept[None])
                if not self.target.batch:
                    self.inner.know([kept.tolist()] if self.target.vector else kept.item())
            self._bases[row] = value
            self._report(1)
        return self._bases[row]

    def _found(
        self, points: Points, keys: Sequence[bytes], chosen: Sequence[int], *, tolerant: bool
    ) -> Iterator[tuple[int, Array | Exception | None]]:
        """Yield f's values at points that were not kept; None where it fails, and may."""
        if len(chosen) == 1:  # while others were evaluated, another run may have come to this one
            kept = self.ledger.value(keys[chosen[0]])
            if kept is not None:
                yield chosen[0], self._served(kept)
                return
        for span, values in self.inner.evaluate(self._taken(points, chosen), tolerant=tolerant or self.tolerant):
            own = [chosen[place] for place in span]
            if not isinstance(values, Exception):
                yield from zip(own, self._added([keys[i] for i in own], values), strict=True)
                continue
            if self.tolerant and is_own(values):
                raise values
            for i in own:
                if self.tolerant:
                    self._fail(points, keys, i, values)
                yield i, None if self.tolerant else values

    def _served(self, kept: np.ndarray[Any, Any]) -> Array:
        """Return a kept value as f would have given it."""
        if not self.unpacking.replay(self.ledger) and self.target.vector and 0 not in self.record.known:
            self.base(range(1))  # of what shape f's values are was given with f0 at the time, and is not now
        self._alike = self._array(kept[None])
        self.record.look([self._alike])
        self._report(1)
        return self._alike

    def _added(self, keys: Sequence[bytes], values: Array) -> list[Array]:
        """Keep values, and return them; those that another run has been faster with, as that has kept them."""
        rows = dict(zip(keys, self._host(values), strict=True))
        earlier = self.ledger.add(rows, self.unpacking.objects(base=False))
        self._alike = values[:1, ...]
        self._report(len(keys))
        return [
            self._array(earlier[key][None]) if key in earlier else values[place : place + 1, ...]
            for place, key in enumerate(keys)
        ]

    def _taken(self, points: Points, chosen: Sequence[int]) -> Points:
        """Return some of the points."""
        if list(chosen) == list(range(chosen[0], chosen[0] + len(chosen))):
            return points.taken(chosen[0], chosen[0] + len(chosen))
        width = points.width
        places = [i * width + place for i in chosen for place in range(width)]
        numbers = self.memory.xp.take(points.numbers, self.memory.index_array(places), axis=0)
        return Points([points.elements[place] for place in places], points.part, numbers, width)

    def _fail(self, points: Points, keys: Sequence[bytes], i: int, error: Exception) -> None:
        numbers = tuple(self._host(points.taken(i, i + 1).numbers).tolist())
        elements = tuple(_own(points, i))
        self.ledger.fail(keys[i], Failure.of(error, self.target.name, elements, numbers, points.part))
        self._report(1)

    def _nan(self) -> Array:
        """Return NaN for one value of f, of whatever shape it is: f(x) knows, if there is nothing else."""
        alike = self._alike
        if alike is None:
            alike = self.base(range(1)) if self.target.vector else self.memory.xp.zeros_like(self._plain())
        return self.memory.xp.full_like(alike, float("nan"))

    def _plain(self) -> Array:
        xp = self.memory.xp
        real = xp.real(self._numbers) if self.memory.complex else self._numbers
        return xp.zeros(1, dtype=real.dtype, device=device(real))

    def _keys(self, points: Points) -> list[bytes]:
        numbers, width = self._host(points.numbers), points.width
        kind, own = numbers.dtype.str, (self.target.name, points.part)
        return [
            hashed(*own, kind, _own(points, i), exact(numbers[i * width : (i + 1) * width])) for i in range(len(points))
        ]

    def _host(self, numbers: Array) -> np.ndarray[Any, Any]:
        backend = backends.resolve(numbers)
        assert backend is not None
        return backend.host(numbers)

    def _array(self, numbers: np.ndarray[Any, Any]) -> Array:
        """Return what was kept as a working array."""
        return self.memory.xp.asarray(numbers, device=device(self._numbers))

    def _report(self, points: int) -> None:
        if self.target.done is not None:
            self.target.done(points)


def _own(points: Points, i: int) -> list[int]:
    """Return the elements that one of the points sets."""
    return [int(element) for element in points.elements[i * points.width : (i + 1) * points.width]]
