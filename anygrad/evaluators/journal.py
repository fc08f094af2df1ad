"""Values of f, kept in a file as they come, for functions that take minutes."""

from __future__ import annotations

import functools
import json
import os
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anygrad._typing import Array
from anygrad.backends.base import Points
from anygrad.evaluators._journal_store import Row, Store, digest, hashed, shown
from anygrad.evaluators.base import Calls, Evaluator, require_inner, require_on_error
from anygrad.evaluators.chunking import ChunkCalls
from anygrad.evaluators.loop import Loop, LoopCalls

if TYPE_CHECKING:
    from anygrad.problem.problem import Problem


Pieces = list[tuple[slice, Any]]


class Failure(NamedTuple):
    """A point at which f raised an exception, as in ``"x[0] = 1.0001"``, and the exception as text."""

    point: str
    error: str
    traceback: str


@dataclass(frozen=True)
class Journal:
    """Store every value of f in a file, and take from the file the values that it has.

    For functions that take minutes. If a run is killed at any moment, the same call goes on where it was, and gives the
    same bits: only the evaluations in flight are repeated.

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
        Anything else that identifies f, such as the version of a simulator.
    verify
        Whether a resumed run compares stored values with f's. Pass False for an f that is random.
    trust
        Whether f's extra output and its exceptions are pickled into the file, and unpickled from it, which can run any
        code: trust no file that others can write. Without it, f's extra output is asked of f anew, and a stored failure
        is a RuntimeError with its text.

    Raises
    ------
    TypeError, ValueError
        If ``inner`` or ``on_error`` is wrong. When used: if x is lazy or traced, or if the file is of another
        derivative or of another f, or is not a journal.
    OSError
        If the file cannot be read or written.

    See Also
    --------
    Pool : as ``inner``, for calls side by side.

    Notes
    -----
    A journal is known by the operator, the scheme, the bounds, the bits of x, f's qualified name and ``key``; another
    derivative is refused (ValueError). f's code is not read: a resumed run evaluates f at up to three of the stored
    points, and refuses other values, compared bit for bit (with `Batch` and `Vmap`, to half the digits: the others may
    depend on the size of a chunk). f is called at x once more if the structure of what it returns is needed. Where a
    stored value does not match its checksum, f is evaluated again, and a RuntimeWarning says so. A `Result` counts the
    calls of this run; progress counts stored values too.

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
        # f may change the folder. abspath would take the slash of a folder away.
        object.__setattr__(self, "path", os.path.join(os.getcwd(), os.fspath(self.path)))
        require_inner("Journal", "inner", self.inner)
        require_on_error("Journal", self.on_error)
        if self.on_error == "nan" and not hasattr(self.inner, "on_error"):
            raise ValueError(
                f"Journal(on_error='nan') goes on where f raises, which {self.inner!r} cannot: give Loop(), Batch() or"
                " Pool(...) as the inner evaluator"
            )

    @property
    def leading(self) -> bool:
        return self.inner.leading

    def open(self, problem: Problem) -> Calls:
        inner: Any = self.inner
        if self.on_error == "nan":
            inner = replace(inner, on_error="nan")
        problem.reports = False  # a report may raise, and comes after a value is kept
        place, makes_folder = Path(self.path), os.fspath(self.path).endswith(("/", os.sep))
        calls, store = inner.open(problem), None
        try:
            if calls.memory.lazy:
                raise TypeError("x is lazy or traced, but Journal stores values: compute x first")
            facts = _facts(problem, self.key)
            file = place / f"{_hash(facts)}.journal" if makes_folder or place.is_dir() else place
            store = Store(file, trust=self.trust)
            if makes_folder:
                place.mkdir(parents=True, exist_ok=True)
            store.prepare()
            is_new = store.claim(facts)
        except BaseException:
            if store is not None:
                store.close()
            calls.close(failed=True)
            raise
        return JournalCalls(problem, calls, store, 0 if is_new or not self.verify else 3)

    def failures(self) -> list[Failure]:
        """Return the failures of f, the earliest first."""
        return [Failure(*json.loads(row.content)) for store in self._existing() for row in store.failures()]

    def forget_failures(self) -> None:
        """Delete the failures of f, so that the next run evaluates those points again."""
        for store in self._existing():
            store.forget(store.failures())

    def _existing(self) -> Iterator[Store]:
        place = Path(self.path)
        files = sorted(place.glob("*.journal"), key=os.path.getmtime) if place.is_dir() else [place]
        for file in filter(Path.exists, files):
            with closing(Store(file)) as store:
                store.prepare()
                yield store


class JournalCalls:
    """Calls of another evaluator at the points that a file does not have."""

    def __init__(self, problem: Problem, inner: Calls, store: Store, comparisons: int) -> None:
        self.memory = inner.memory
        self.in_place, self.together, self.tolerant = inner.in_place, inner.together, inner.tolerant
        self._problem, self._inner, self._store = problem, inner, store
        self._left = comparisons  # of f with stored values

    def evaluate(self, points: Points) -> Pieces:
        keys = self._keys(points)
        rows = self._read(points, keys, range(len(keys)))
        self._compare(points, rows)
        pieces = self._known(rows)
        missing = [i for i in range(len(keys)) if i not in rows]
        # Loop yields nothing before it has evaluated all points: it is asked for one at a time.
        one_by_one = isinstance(self._inner, LoopCalls)
        for chosen in [[i] for i in missing] if one_by_one else [missing]:
            there = self._read(points, keys, chosen)  # another run may have come to these points
            pieces += self._known(there)
            left = [i for i in chosen if i not in there]
            for span, found in self._inner.evaluate(self._selected(points, left)) if left else ():
                added = self._add(points, keys, left[span], found)
                # An exception is returned as it is, and not as what the file has of it.
                pieces += [(own, found) for own, _ in added] if isinstance(found, Exception) else added
        return pieces

    def close(self, *, failed: bool) -> None:
        with closing(self._store):
            self._inner.close(failed=failed)

    def _keys(self, points: Points) -> list[bytes]:
        names, key = self._problem.parameters.names, functools.partial(hashed, self._store.derivative)
        if not points.width:
            return [key(names)]
        numbers, elements = self.memory.to_host(points.numbers), points.each.astype("<i8")
        return [key(names, points.part, numbers.dtype.str, *own) for own in zip(elements, numbers, strict=True)]

    def _selected(self, points: Points, chosen: Sequence[int]) -> Points:
        if len(chosen) == len(points):
            return points
        numbers = self.memory.xp.take(points.numbers, self.memory.index_array(chosen), axis=0)
        return Points(points.each[np.asarray(chosen)].reshape(-1), numbers, points.part)

    def _read(self, points: Points, keys: Sequence[bytes], chosen: Sequence[int]) -> dict[int, Row]:
        """Return the stored rows of points, by number; without those at which f is to be called again."""
        function = self._problem.function
        found = zip(chosen, self._store.read([keys[i] for i in chosen]), strict=True)
        rows = {i: row for i, row in found if row is not None and (self.tolerant or not row.failed)}
        if not points.width and rows and function.has_aux and not function.aux_known:
            if aux := self._store.unpickled(rows[0]):
                function.know_aux(*aux)
            else:
                return {}
        # The structure of what f returns is not stored.
        return {} if not points.width and function.vector and function.shapes is None else rows

    def _known(self, rows: Mapping[int, Row]) -> Pieces:
        """Report that values are known, and return them; where f has failed, the exception."""
        self._problem.progress(len(rows))
        pieces: Pieces = []
        for i, row in rows.items():
            if row.failed:
                value = self._store.unpickled(row) or RuntimeError(Failure(*json.loads(row.content)).error)
            else:
                value = self.memory.from_host(row.value()[None])
            pieces.append((slice(i, i + 1), value))
        return pieces

    def _add(self, points: Points, keys: list[bytes], chosen: list[int], found: Array | Exception) -> Pieces:
        """Store f's values, or its exception, at some of the points, and return what is stored."""
        function, more = self._problem.function, found
        if isinstance(found, Exception):
            error = "".join(traceback.format_exception_only(found)).strip()
            trace = "".join(traceback.format_exception(found))
            values: list[Any] = [Failure(self._problem.describe(points, i), error, trace) for i in chosen]
        else:
            values = [np.asarray(value) for value in self.memory.to_host(found)]
            more = (function.aux,) if function.has_aux and not points.width else None
        rows = [self._store.row(keys[i], value, more) for i, value in zip(chosen, values, strict=True)]
        return self._known(dict(zip(chosen, self._store.add(rows), strict=True)))

    def _compare(self, points: Points, rows: Mapping[int, Row]) -> None:
        """Evaluate f at some of the stored points; raise if a value is another one."""
        function, known = self._problem.function, [i for i, row in rows.items() if not row.failed]
        count = min(self._left, (len(known) + 1) // 2)
        self._left -= count
        chosen = [known[i * (len(known) - 1) // max(1, count - 1)] for i in range(count)]
        for span, found in self._inner.evaluate(self._selected(points, chosen)) if chosen else ():
            values = [repr(found)] if isinstance(found, Exception) else self.memory.to_host(found)
            for i, value in zip(chosen[span], map(np.asarray, values), strict=True):
                if not self._alike(rows[i].value(), value):
                    raise ValueError(
                        f"the journal {self._store.path} has values of another f: with"
                        f" {self._problem.describe(points, i)}, it has {rows[i].value().tolist()!r:.80}, but f returns"
                        f" {value.tolist()!r:.80}. Delete it, give another path or key=, or pass verify=False if f is"
                        " random"
                    )
        if known and points.width and function.vector and function.shapes is None:
            self._problem.base()  # nothing was compared, or in another process

    def _alike(self, stored: NDArray[Any], value: NDArray[Any]) -> bool:
        if isinstance(self._inner, ChunkCalls):  # the last digits may depend on how many points f is given
            return stored.shape == value.shape and np.allclose(value, stored, self.memory.eps**0.5, 0.0, equal_nan=True)
        return digest(stored) == digest(value)


def _facts(problem: Problem, key: object) -> dict[str, str]:
    """Return the texts that identify a derivative, each with a hash."""
    options, leaves, f = problem.options, problem.parameters.leaves, problem.function.f
    while isinstance(f, functools.partial):
        f = f.func
    named = {"operator": options.operator, **options.also, "scheme": options.scheme, "bounds": options.bounds}
    named |= {"f": getattr(f, "__qualname__", type(f).__qualname__), "key": key}
    named |= leaves.held or {}
    facts = {label: f"{' '.join(shown(value).split()):.60} ({_hash(value)})" for label, value in named.items()}
    for name, array, backend in zip(leaves.tree.names, leaves.arrays, leaves.backends, strict=True):
        facts[name] = f"{backend.name} {array.dtype} of shape {tuple(array.shape)} ({_hash(array)})"
    return facts


def _hash(value: object) -> str:
    return digest(value).hex()[:16]
