"""One call of f after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from anygrad._typing import Array
from anygrad.backends import Memory, Results
from anygrad.evaluators._base import Brief, Target
from anygrad.evaluators._perturb import Columns, Perturber, derived, modified, require_unchanged, restored
from anygrad.evaluators._points import Points
from anygrad.evaluators._record import Record
from anygrad.evaluators._replay import LEAST, NotRecordedError, replayed, warn_not_recorded


@dataclass(frozen=True)
class Loop:
    """Call f at one point after the other, as the book's loop does.

    Parameters
    ----------
    in_place
        Whether x itself is perturbed, one element at a time, so that functions which ignore their argument and
        read the array through a closure (``lambda W: net.loss(x, t)``) see it. Each element is put back to the
        last bit, whatever f raises. If False, or if x cannot be written safely (a read-only, broadcast or
        immutable array), f is given private copies, and a `ConstantFunctionWarning` is issued if its values
        never change.
    graph
        Whether f is to be recorded as a CUDA graph, for arrays of CuPy and tensors of PyTorch on a CUDA device. f is
        called at the first points; then what it has the device do is recorded, and done again at the others without
        f being called, which for small arrays takes a tenth of the time. The numbers are the same. Points that differ
        from x by one element are evaluated like this, as those of gradients and Jacobians do, and of others all by
        calls. Where f cannot be recorded, it is called at every point, and a `RuntimeWarning` says why.

    Raises
    ------
    TypeError
        If ``in_place`` or ``graph`` is not True or False.

    Notes
    -----
    While x is perturbed in place, no other thread may use it: give each of several threads that differentiate at one x
    a copy of its own, or let all of them use ``Loop(in_place=False)``, which makes one: of a tree, of the array by
    which f is differentiated at the time.

    What is recorded is the work of f on the device. What f does besides, such as counting its calls, it does at the
    few points only at which it is called; ``ncalls`` counts the others as well. f must not wait for the device
    (``float(y)``, ``if y > 0``, ``x[x > 0]``), nor copy anything to it or from it. CuPy records no calls of cuBLAS,
    cuSOLVER and cuRAND. Recording takes about as long as 20 calls of f.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> anygrad.numerical_gradient(lambda x: x @ x, np.array([1.0, 2.0]), evaluator=anygrad.Loop(in_place=False))
    array([2., 4.])
    """

    in_place: bool = True
    graph: bool = False

    def __post_init__(self) -> None:
        for name in ("in_place", "graph"):
            if not isinstance(value := getattr(self, name), (bool, np.bool_)):
                raise TypeError(f"Loop({name}={value!r:.60}): {name} must be True or False")

    @property
    def leading(self) -> bool:
        """Whether many points go into one call of f: they do not."""
        return False

    def session(self, target: Target) -> LoopSession:
        """Open a target for sampling."""
        return LoopSession(target, target.memory(in_place=self.in_place), graph=self.graph)

    def without_session(self, f: Callable[[Any], object], memory: Memory, brief: Brief) -> Sequence[Array] | None:
        """Return the derivatives, block after block; None where a session is needed."""
        if self.graph or not memory.visible:  # whether f sees x change is to be found out
            return None
        return derived(f, memory, brief)


class LoopSession:
    """A `Session` of `Loop`, and the context that it lasts for."""

    together = 1

    def __init__(self, target: Target, memory: Memory, *, graph: bool = False) -> None:
        self.memory = memory
        self._target = target
        self._graph = graph
        self.record = Record(memory)
        self.in_place = memory.visible
        self._f = f = target.one_by_one()
        self._read: Callable[[Any], Any] = memory.read_all if target.vector else memory.read
        self._perturber = Perturber(f, memory, self._read, frozenset() if target.vector else memory.plain)
        # How many elements there are in what f is given; None for all.
        self._length = math.prod(memory.array.shape[1:]) if target.batch else None
        self._bases: dict[int, Any] = {}
        self._settings = np.geterr()

    def __enter__(self) -> LoopSession:
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        if restored(self.memory) and failed is None:
            raise modified()

    def know(self, value: object) -> None:
        self.record.known[0] = value
        self._bases[0] = self._read(value)

    def base(self, elements: Sequence[int]) -> Array:
        batch = self._length is not None
        results = self.memory.results(len(elements) if batch else 1)
        for sample, argument, run in self._arguments(elements):
            if sample not in self._bases:
                with self._calling():
                    value = self._f(argument)
                self._bases[sample] = self._read(value)
                self.record.keep(sample, value)
                self.record.count(1)
                require_unchanged(self.memory)
            for _ in range(len(run) if batch else 1):
                results.append(self._bases[sample])
        [values] = self._gathered(results, 1)
        return values

    def sample(
        self, elements: Sequence[int], part: int | None, levels: Sequence[Array], width: int = 1
    ) -> Sequence[Array]:
        memory = self.memory
        if not width:  # x is empty, and f(x) its only value
            return [self.base(range(1))] * len(levels)
        points = len(elements) // width * len(levels)
        results = memory.results(points)
        if width > 1 and width == memory.size:
            with self._calling():
                self._perturber.whole(part, levels, results)
        elif self._graph and width == 1 and points >= LEAST:
            self._replay(elements, part, levels, results)
        else:
            self._call(elements, part, levels, width, results)
        self.record.count(points)
        return self._gathered(results, len(levels))

    def evaluate(self, points: Points, *, tolerant: bool = False) -> Iterator[tuple[range, Array | Exception]]:
        for i in range(len(points)):
            one = points.taken(i, i + 1)
            try:
                [value] = self.sample(one.elements, one.part, [one.numbers], one.width)
            except Exception as error:
                if not tolerant:
                    raise
                restored(self.memory)
                yield range(i, i + 1), error
            else:
                yield range(i, i + 1), value

    def blind(self) -> bool:
        return self.record.blind(lambda: self.base(range(1)))

    def _call(
        self, elements: Sequence[int], part: int | None, levels: Sequence[Array], width: int, results: Results
    ) -> None:
        columns = [iter(self.memory.raw(elements, part, level)) for level in (*levels, None)]
        with self._calling():
            self._visit(elements, columns, width, results)

    def _replay(self, elements: Sequence[int], part: int | None, levels: Sequence[Array], results: Results) -> None:
        """Call f at the first element and the last one, with a look at what it does to x, and record it for others."""

        def call(start: int, stop: int) -> None:
            self._call(elements[start:stop], part, [level[start:stop] for level in levels], 1, results)

        end = len(elements) - 1
        call(0, 1)
        try:
            results.extend(self._recorded(elements[1:end], part, [level[1:end] for level in levels], results))
        except NotRecordedError as reason:
            self._graph = False
            restored(self.memory)
            warn_not_recorded(reason)
            call(1, end)
        call(end, end + 1)

    def _recorded(self, elements: Sequence[int], part: int | None, levels: Sequence[Array], results: Results) -> Array:
        if self._length is not None:
            raise NotRecordedError("f is given rows of x")
        recorder = self.memory.recorder(elements, part, levels, results)
        if recorder is None:
            raise NotRecordedError("x is not on a CUDA device")
        with self._calling(), recorder:
            return replayed(self._target, self.memory, self._read, recorder, len(elements) * len(levels))

    def _visit(self, elements: Sequence[int], columns: Columns, width: int, results: Results) -> None:
        if width > 1:
            self._perturber.groups(elements, columns, width, results)
            return
        for sample, argument, run in self._arguments(elements):
            if self.memory.cells is None:
                self._perturber.each_replaced(argument, run, sample * (self._length or 0), columns, results)
            else:
                self._perturber.each(argument, run, columns, results, last=run[-1] == elements[-1])

    def _calling(self) -> AbstractContextManager[None]:
        """Return the context in which f is called: NumPy's settings as the user has them."""
        return np.errstate(**self._settings)

    def _arguments(self, elements: Sequence[int]) -> Iterator[tuple[int, Array, Sequence[int]]]:
        """Split elements into runs that belong to one argument of f: all to x, or each to its row of a batch."""
        length = self._length
        if length is None:
            yield 0, self.memory.array, elements
            return
        for sample, run in _samples(elements, length):
            yield sample, self.memory.array[sample, ...], run

    def _gathered(self, results: Any, columns: int) -> Sequence[Array]:
        values = self.memory.gathered(results, columns)
        self.record.look(values)
        return values


def _samples(elements: Sequence[int], length: int) -> Iterator[tuple[int, Sequence[int]]]:
    """Split elements by the sample of a batch that they belong to."""
    if not isinstance(elements, range):
        yield from ((sample, list(run)) for sample, run in groupby(elements, lambda element: element // length))
        return
    start = elements.start
    while start < elements.stop:
        sample = start // length
        yield sample, range(start, min((sample + 1) * length, elements.stop))
        start = (sample + 1) * length
