"""Values of f, kept in a file as they come, for functions that take minutes."""

from __future__ import annotations

import functools
import json
import os
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from anygrad._typing import Array
from anygrad.backends.base import Points
from anygrad.evaluators._journal_store import Facts, Row, Store, digest, shown
from anygrad.evaluators.base import Calls, Evaluator, require_on_error
from anygrad.evaluators.chunking import ChunkCalls
from anygrad.evaluators.loop import Loop, LoopCalls

if TYPE_CHECKING:
    from anygrad.problem.function import Function
    from anygrad.problem.problem import Problem

# How many comparisons of f with stored values are left, by file. An operator may open several problems of one f.
_LEFT: WeakKeyDictionary[Function, dict[str, int]] = WeakKeyDictionary()


class Failure(NamedTuple):
    """A point at which f raised an exception, as in ``"x[0] = 1.0001"``, and the exception as text."""

    point: str
    error: str
    traceback: str


@dataclass(frozen=True)
class Journal:
    """Store every value of f in a file, and read from it those that it already has.

    For functions that take minutes. A run that is killed, at any moment, goes on where it was when the same call is
    made again, and gives the same bits: only the evaluations in flight are repeated.

    Parameters
    ----------
    path
        The file, an SQLite database on a local disk, for one derivative. A folder, or a path that ends with a slash,
        gets a file for each derivative: for `check_gradient`, which takes several.
    inner
        The evaluator that calls f.
    on_error
        As in `Loop`. With ``"nan"``, f is not called again where it has failed, until `forget_failures`.
    key
        What else identifies f, such as the version of a simulator.
    verify
        Whether a resumed run compares stored values with f's. Pass False for an f that is random.
    trust
        Whether f's extra output and its exceptions are pickled into the file, and unpickled from it, which can run any
        code: trust no file that others can write. Without it, a resumed run calls an f with ``has_aux=True`` at x once
        more, and a stored failure comes back as a RuntimeError with its text.

    Notes
    -----
    A journal is known by the operator, the scheme, the bounds, the bits of x, f's qualified name and ``key``. f's code
    is not read: a resumed run evaluates f at up to three of the stored points, and compares bit for bit (of `Batch` and
    `Vmap`, half the digits: the others may depend on the size of a chunk). An edit of f, or of what it reads, is
    noticed if it changes these values. Another derivative, and other values, are refused (ValueError). Where a stored
    value does not match its checksum, f is evaluated again, and a RuntimeWarning says so.

    A `Result` counts the calls of this run; progress counts stored values too.

    Examples
    --------
    >>> import anygrad, tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     journal = anygrad.Journal(f"{folder}/night.journal")
    ...     anygrad.numerical_gradient(lambda x: (x**2).sum(), np.array([3.0, 4.0]), evaluator=journal).round(6)
    array([6., 8.])
    """

    path: str | os.PathLike[str]
    inner: Evaluator = field(default_factory=Loop)
    on_error: str = "raise"
    key: object = None
    verify: bool = True
    trust: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.path, (str, os.PathLike)):
            raise TypeError(f"path is {self.path!r:.60}, but the path of a file was expected, a str or a pathlib.Path")
        # f may change the folder. abspath would take the slash of a folder away.
        object.__setattr__(self, "path", os.path.join(os.getcwd(), os.fspath(self.path)))
        if isinstance(self.inner, type) or not hasattr(self.inner, "open"):
            raise TypeError(f"inner is {self.inner!r:.60}, but an evaluator such as anygrad.Loop() was expected")
        require_on_error("Journal", self.on_error)

    @property
    def leading(self) -> bool:
        return self.inner.leading

    def open(self, problem: Problem) -> Calls:
        inner: Any = self.inner
        if self.on_error == "nan" and hasattr(inner, "on_error"):
            inner = replace(inner, on_error="nan")
        problem.reports = False  # a report may raise, and comes after a value is kept
        with ExitStack() as undo:
            calls = inner.open(problem)
            undo.callback(calls.close, failed=True)
            if calls.memory.lazy:
                raise TypeError("x is lazy or traced, so that f has no values yet to be stored: compute x first")
            facts, place = _facts(problem, self.key), Path(self.path)
            if os.fspath(self.path).endswith(("/", os.sep)):
                place.mkdir(parents=True, exist_ok=True)
            store = Store(place / f"{digest(facts).hex()[:16]}.journal" if place.is_dir() else place, trust=self.trust)
            undo.callback(store.close)
            store.prepare()
            left = 0 if store.claim(facts) or not self.verify else 3
            _LEFT.setdefault(problem.function, {}).setdefault(store.path, left)
            undo.pop_all()
        return JournalCalls(problem, calls, store)

    def failures(self) -> list[Failure]:
        """Return the failures of f, the earliest first."""
        return [Failure(*json.loads(row.content)) for store in self._existing() for row in store.failures()]

    def forget_failures(self) -> None:
        """Delete the failures of f, so that the next run evaluates those points again."""
        for store in self._existing():
            store.forget_failures()

    def _existing(self) -> Iterator[Store]:
        place = Path(self.path)
        if not place.exists():
            raise FileNotFoundError(f"there is no journal {place}: it is made by the first evaluation")
        for file in sorted(place.glob("*.journal"), key=os.path.getmtime) if place.is_dir() else [place]:
            with closing(Store(file)) as store:
                store.prepare()
                yield store


class JournalCalls:
    """Calls of another evaluator at the points that a file does not have."""

    def __init__(self, problem: Problem, inner: Calls, store: Store) -> None:
        self.memory = inner.memory
        self.in_place, self.together, self.tolerant = inner.in_place, inner.together, inner.tolerant
        self._problem, self._inner, self._store = problem, inner, store

    def evaluate(self, points: Points) -> list[tuple[slice, Any]]:
        keys = self._keys(points)
        rows = self._read(keys, range(len(keys)))
        self._compare(points, rows)
        pieces = self._known(rows)
        missing = [i for i in range(len(keys)) if i not in rows]
        # Loop yields nothing before it has evaluated all points: it is asked for one at a time.
        loop = isinstance(self._inner, LoopCalls)
        for chosen in [[i] for i in missing] if loop else [missing] if missing else []:
            # While f was evaluated here, another run may have come to this point.
            there = self._read(keys, chosen) if loop else {}
            pieces += self._known(there)
            for span, found in self._inner.evaluate(self._selected(points, chosen)) if not there else ():
                added = self._add(points, keys, chosen[span], found)
                # An exception is returned as it is, and not as what the file has of it.
                pieces += [(own, found) for own, _ in added] if isinstance(found, Exception) else added
        return pieces

    def close(self, *, failed: bool) -> None:
        try:
            self._inner.close(failed=failed)
        finally:
            self._store.close()

    def _keys(self, points: Points) -> list[bytes]:
        names, key = self._problem.parameters.names, self._store.key
        if not points.width:
            return [key(names)]
        numbers, elements = self.memory.to_host(points.numbers), points.each.astype("<i8")
        return [key(names, points.part, numbers.dtype.str, *own) for own in zip(elements, numbers, strict=True)]

    def _selected(self, points: Points, chosen: Sequence[int]) -> Points:
        if len(chosen) == len(points):
            return points
        numbers = self.memory.xp.take(points.numbers, self.memory.index_array(chosen), axis=0)
        return Points(points.each[np.asarray(chosen)].reshape(-1), numbers, points.part)

    def _read(self, keys: Sequence[bytes], chosen: Sequence[int]) -> dict[int, Row]:
        """Return the stored rows of points, by number; without failures if f is to be called again at these."""
        rows = zip(chosen, self._store.read([keys[i] for i in chosen]), strict=True)
        return {i: row for i, row in rows if row is not None and (self.tolerant or not row.failed)}

    def _known(self, rows: Mapping[int, Row]) -> list[tuple[slice, Any]]:
        """Report that values are known, and return them; where f has failed, the exception."""
        self._problem.progress(len(rows))
        return [(slice(i, i + 1), self._value(row)) for i, row in rows.items()]

    def _value(self, row: Row) -> Any:
        if not row.failed:
            return self.memory.from_host(row.value()[None])
        return self._store.unpickled(row) or RuntimeError(Failure(*json.loads(row.content)).error)

    def _add(
        self, points: Points, keys: list[bytes], chosen: list[int], found: Array | Exception
    ) -> list[tuple[slice, Any]]:
        """Store f's values, or its exception, at some of the points, and return what is stored."""
        function, more = self._problem.function, found
        values: list[Any]
        if isinstance(found, Exception):
            error = "".join(traceback.format_exception_only(found)).strip()
            trace = "".join(traceback.format_exception(found))
            values = [Failure(self._problem.describe(points, i), error, trace) for i in chosen]
        else:
            values = [np.asarray(value) for value in self.memory.to_host(found)]
            more = (function.aux,) if function.has_aux and not points.width else None
        rows = [self._store.row(keys[i], value, more) for i, value in zip(chosen, values, strict=True)]
        return self._known(dict(zip(chosen, self._store.add(rows), strict=True)))

    def _compare(self, points: Points, rows: Mapping[int, Row]) -> None:
        """Evaluate f at some of the stored points; raise if a value is another one.

        These calls also show the structure of f's result, and its extra output at x.
        """
        function, left, path = self._problem.function, _LEFT[self._problem.function], self._store.path
        known = [i for i, row in rows.items() if not row.failed]
        if not known:
            return
        if not points.width and function.has_aux and not function.aux_known and (aux := self._store.unpickled(rows[0])):
            function.know_aux(*aux)
        count = min(left[path], (len(known) + 1) // 2)
        left[path] -= count
        chosen = [known[i * (len(known) - 1) // max(1, count - 1)] for i in range(count)]
        unknown = function.vector and function.shapes is None
        if not points.width and (unknown or (function.has_aux and not function.aux_known)):
            chosen = known
        # The last digits of an f that is given many points may depend on how many.
        rtol = self.memory.eps**0.5 if isinstance(self._inner, ChunkCalls) else 0.0
        for span, found in self._inner.evaluate(self._selected(points, chosen)) if chosen else ():
            values = [repr(found)] if isinstance(found, Exception) else self.memory.to_host(found)
            for i, value in zip(chosen[span], map(np.asarray, values), strict=True):
                if count and not rows[i].is_like(value, rtol):
                    raise ValueError(
                        f"the journal {path} has values of another f: with {self._problem.describe(points, i)}, it has"
                        f" {rows[i].value().tolist()!r:.80}, but f gives {value.tolist()!r:.80} now: delete it, give"
                        " another path or key=, or pass verify=False if f is random"
                    )
        if points.width and function.vector and function.shapes is None:
            self._problem.base()  # nothing was compared, or in another process


def _facts(problem: Problem, key: object) -> Facts:
    """Return what a derivative is known by."""
    options, leaves, f = problem.options, problem.parameters.leaves, problem.function.f
    while isinstance(f, functools.partial):
        f = f.func
    named = {"operator": options.operator, **options.also, "scheme": options.scheme, "bounds": options.bounds}
    named |= {"f": getattr(f, "__qualname__", type(f).__qualname__), "key": key}
    named |= leaves.held or {}
    facts = {label: [f"{' '.join(shown(value).split()):.60}", digest(value).hex()] for label, value in named.items()}
    for name, array, backend in zip(leaves.tree.names, leaves.arrays, leaves.backends, strict=True):
        facts[name] = [f"{backend.name} {array.dtype} of shape {tuple(array.shape)}", digest(array).hex()]
    return facts
