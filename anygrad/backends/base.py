"""The backend protocol: points near x, the memory that is perturbed, and the library that it belongs to."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, ClassVar, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from anygrad._typing import Array, Namespace
from anygrad.backends.arrays import Elements, Indices, complex_copy, composed, dense, reshaped, wide_copy

Function: TypeAlias = Callable[[Any], Any]
Read: TypeAlias = Callable[[Any], Any]

_NO_CONTEXT: AbstractContextManager[object] = nullcontext()

# How many times to try to restore x: a signal handler may interrupt any attempt.
_PATIENCE = 10_000

# From the package in which an array's type is defined to the module here that knows it. All others are generic.
_MODULES = {
    "numpy": "numpy",
    "torch": "torch",
    "jax": "jax",
    "jaxlib": "jax",
    "cupy": "cupy",
    "dpnp": "dpnp",
}
_GENERIC = "generic"


@dataclass(eq=False)
class Points:
    """Points at which f is to be evaluated: x with some of its elements set to other numbers.

    Attributes
    ----------
    elements
        The elements that are set, group after group. A group has ``width`` elements and is shared by ``repeat``
        consecutive points.
    numbers
        What they are set to, a working array (k, width) with a row for each of the k points.
    part
        Which part of the elements is set: 0 the real part, 1 the imaginary part, None the number itself.
    repeat
        How many consecutive points set the same elements.
    """

    elements: Elements
    numbers: Array
    part: int | None = None
    repeat: int = 1

    @classmethod
    def of(
        cls, xp: Namespace, elements: Elements, levels: Sequence[Array], part: int | None = None, width: int = 1
    ) -> Points:
        """Return the points at which groups of elements are set to each of their levels, (m, width), in turn."""
        if len(levels) == 1:
            return cls(elements, levels[0], part)
        # All levels of a group come before the next group, as in the book's loop. Dask cannot split an axis that it has
        # joined, and NumPy's stack takes longer than its concat.
        table = xp.concat(levels, axis=1) if width == 1 else xp.stack(levels, axis=1)
        # The method takes a fifth of the time of NumPy's function.
        numbers = table.reshape((-1, width)) if hasattr(table, "reshape") else xp.reshape(table, (-1, width))
        return cls(elements, numbers, part, len(levels))

    def __len__(self) -> int:
        return int(self.numbers.shape[0])

    @property
    def width(self) -> int:
        """How many elements of a point are set; 0 for x itself."""
        return int(self.numbers.shape[1])

    @property
    def each(self) -> Indices:
        """The elements of each point, (k, width)."""
        groups = np.asarray(self.elements, dtype=np.intp).reshape(-1, self.width)
        return groups if self.repeat == 1 else np.repeat(groups, self.repeat, axis=0)

    def __getitem__(self, span: slice) -> Points:
        """Return consecutive points."""
        start, stop, _ = span.indices(len(self))
        numbers, width, repeat = self.numbers[start:stop, ...], self.width, self.repeat
        first, last = start // repeat, -(-stop // repeat)
        elements = self.elements[first * width : last * width]
        if last - first <= 1:
            return Points(elements, numbers, self.part, max(1, stop - start))
        if start % repeat == stop % repeat == 0:
            return Points(elements, numbers, self.part, repeat)
        groups = np.asarray(elements, dtype=np.intp).reshape(-1, width)
        own = groups[np.arange(start, stop) // repeat - first]
        return Points(own.reshape(-1), numbers, self.part)


class Memory:
    """An array opened for perturbation: its elements are read, set, evaluated with and put back.

    Elements are addressed by their flat index in C order. "Working" arrays are those that schemes compute with: float64
    (complex128) or wider wherever the device has it, on the host or on x's device.
    """

    array: Array  # the array that f is given: the caller's own x, or a private copy
    # The number of elements, and the bytes that they take.
    size: int
    nbytes: int
    xp: Namespace = np  # the array API namespace of the working arrays
    # Spacing at 1, and smallest positive number, of x's dtype.
    eps: float
    tiny: float
    block: int  # how many elements are best handled at a time
    chunk_bytes: int  # how many bytes of points are best given to an f that takes many at a time
    backend: Backend
    # The number of elements in what f is given, if that is one row of ``array``; None if it is all of it.
    row: int | None = None
    # Whether ``array`` is the caller's own, written in place, so that f sees the perturbation through a closure too.
    in_place: bool = False
    lazy: bool = False  # whether values cannot be looked at, as those of lazy and traced arrays
    complex: bool = False
    cells: Any = None  # ``cells[key] = number`` writes one element; None where arrays are immutable
    plain: frozenset[type] = frozenset()  # types of results of f that need not be read
    # Whether f has been called with a perturbed argument, after which that is compared with what it should be; and the
    # type of what it returned, if that is a plain one.
    looked_at: bool = False
    kind: type | None = None
    # How many values had been read when the last evaluation was interrupted.
    reached: int = 0

    @property
    def parts(self) -> list[tuple[Memory, slice]]:
        """The memories of single arrays, and which elements theirs are."""
        return [(self, slice(0, self.size))]

    # Numbers: those of a memory that is computed with in NumPy, unless it says otherwise

    def elements(self, elements: Elements) -> Array:
        """Return the original elements, a working array of one dimension."""
        raise NotImplementedError

    def round(self, elements: Elements, numbers: Array) -> Array:
        """Round real working numbers, one or a row of them for each of the elements, to x's dtype and back."""
        raise NotImplementedError

    def spread(self, value: object, name: str) -> Array:
        """Return a number, or an array that can be broadcast to x's shape, as a working number for each element."""
        raise NotImplementedError

    def overlay(self, indices: Array, numbers: Array) -> Array:
        """Return all elements, with numbers in the places of an integer array of ``xp``.

        Where the numbers are real, so are the elements: their real parts.
        """
        own, xp = self.elements(range(self.size)), self.xp
        if self.complex and xp.isdtype(numbers.dtype, "real floating"):
            own = xp.real(own)
        return self.put(xp.astype(own, numbers.dtype, copy=True), indices, numbers)

    def put(self, flat: Array, where: Any, numbers: Array) -> Array:
        """Return an array of one dimension with numbers in some places: ``flat`` itself, if it can be written.

        The places are a slice, or an integer array as `index_array` makes it.
        """
        flat[where] = numbers
        return flat

    def compose(self, real: Array, imag: Array) -> Array:
        """Return complex working numbers from their parts."""
        return composed(self.xp, real, imag)

    def index_array(self, elements: Iterable[int]) -> Array:
        """Return elements as an integer array of ``xp``."""
        return np.asarray(elements, dtype=np.intp)

    def indices(self, indices: Array) -> Indices:
        """Return an integer array of ``xp`` on the host."""
        return np.asarray(indices, dtype=np.intp)

    def to_host(self, numbers: Array) -> NDArray[Any]:
        """Return a working array on the host."""
        return np.asarray(numbers)

    def from_host(self, numbers: NDArray[Any]) -> Array:
        """Return numbers on the host as a working array."""
        return numbers

    def any(self, mask: Array) -> bool:
        """Return whether any of the booleans is true; False if they cannot be looked at."""
        return not self.lazy and bool(self.xp.any(mask))

    def all(self, mask: Array) -> bool:
        """Return whether all of the booleans are true; False if they cannot be looked at."""
        return not self.lazy and bool(self.xp.all(mask))

    def narrow(self, numbers: Array) -> Array:
        """Return working numbers rounded to x's dtype, where that is a dtype of ``xp``: `assemble` takes these too."""
        return numbers

    def assemble(self, blocks: Sequence[Array], shape: Sequence[int]) -> Array:
        """Join blocks of working numbers along their first axis to an array of x's library, dtype and device.

        Real numbers become x's real dtype; booleans stay.
        """
        raise NotImplementedError

    # Evaluation

    def evaluate(self, f: Callable[[Any], Any], points: Points, *, vector: bool = False) -> Array:
        """Call f at one point after the other; return its values, (k,), or (k, p) of a list of arrays.

        x is put back whatever f raises. Values are read before the next write, as f may return a view of x. What an
        element holds is read when it is visited, and put back afterwards: whatever f has written to other elements is
        still there at the end, and noticed.
        """
        count, width = points.numbers.shape
        results = self.results(count)
        read = self.read_arrays if vector else self.read
        plain = frozenset() if vector else self.plain
        try:
            if not width:
                results.append(read(f(self.array)))
                require_unchanged(self)
            elif width == self.size > 1:
                _visit_all(self, f, points, read, results)
            elif self.cells is None:
                _visit_replaced(self, f, points, read, results)
            elif width > 1:
                _visit_groups(self, f, self.array, points, read=read, results=results)
            elif self.row is None:
                for memory, own in self.runs(points):
                    _visit_elements(memory, f, self.array, own, read=read, plain=plain, results=results)
            else:
                for argument, run in _arguments(self, points):
                    _visit_elements(self, f, argument, run, read=read, plain=plain, results=results)
        except BaseException:
            try:
                restored(self)
            except BaseException:  # a signal may come before it has begun
                restored(self)
                raise
            self.reached = len(results)
            raise
        return self.gathered(results)

    def perturbed(self, points: Points) -> Array:
        """Return a new array of x's library that holds the points along a leading axis."""
        raise NotImplementedError

    def is_perturbed(self, array: Array, points: Points) -> bool:
        """Return whether an array is as `perturbed` has made it; True where f cannot write to it."""
        raise NotImplementedError

    @property
    def point_bytes(self) -> int:
        """The bytes that what f is given takes for one point."""
        return self.nbytes if self.row is None else self.nbytes * self.row // max(1, self.size)

    def chunks(self, points: Points, max_bytes: int) -> Iterator[slice]:
        """Split points evenly into chunks of at most so many bytes, and of one point at least."""
        total, repeat = len(points), points.repeat
        limit = max(1, max_bytes // max(1, self.point_bytes))
        length = -(-total // max(1, -(-total // limit)))
        if length % repeat and length + repeat - length % repeat <= limit:
            length += repeat - length % repeat  # all points of a group together: they are set in fewer operations
        return (slice(start, min(start + length, total)) for start in range(0, total, max(1, length)))

    def vectorised(self, f: Callable[[Any], Any]) -> Callable[[Points], Any] | None:
        """Return f, written for one point, as a function of many `Points`; None if the library has no vmap."""
        many = self.backend.vmap(f, self.array)
        return None if many is None else lambda points: many(self.perturbed(points))

    def read_many(self, value: Any, count: int, *, vector: bool = False) -> Array:
        """Return what f returned for so many points, with a leading axis, as a copy (k, p); (k,) for one number each.

        With ``vector``, it is a list of arrays.
        """
        if not vector:
            return self.joined([reshaped(self.xp, self.numbers(value), (count,))], (count,))
        parts = [self.numbers(part) for part in value]
        tables = [reshaped(self.xp, part, (count, math.prod(part.shape[1:]))) for part in parts]
        return self.joined(tables, (count, 0))

    def numbers(self, value: Any) -> Array:
        """Read an array, a number or a list of numbers that f returned as numbers of ``xp``; raise if it is neither."""
        raise NotImplementedError

    def joined(self, parts: Sequence[Array], nothing: tuple[int, ...]) -> Array:
        """Join such numbers along their last axis to a new working array; of this shape, if there are none."""
        raise NotImplementedError

    # Visits: what `evaluate` is made of

    def runs(self, points: Points) -> Iterable[tuple[Memory, Points]]:
        """Return points of one element each by the memories of single arrays whose elements they set."""
        return [(self, points)]

    def raw(self, elements: Elements, part: int | None, numbers: Array) -> Iterable[Any]:
        """Return what to write for elements to have these numbers."""
        raise NotImplementedError

    def keys(self, elements: Elements) -> tuple[Any, Iterable[Any]]:
        """Return ``cells``, or a part of it that has the elements, and their keys there."""
        raise NotImplementedError

    def hold(self, held: Any) -> Any:
        """Return what a cell holds such that later writes cannot change it."""
        return held

    def look(self, held: Any, written: Any) -> None:
        """Raise if f has not left a cell as it was set; on a device, `changed` tells in the end."""
        if held != written:
            _require_held(held, written)

    def replaced(self, array: Array, element: int, raw: object) -> Array:
        """Return ``array`` with one element replaced. Used where ``cells`` is None."""
        raise NotImplementedError

    def write_all(self, part: int | None, numbers: Array) -> Array:
        """Return what f is given where all elements have these numbers: ``array``, written as a whole, or a new one."""
        raise NotImplementedError

    def holds(self, part: int | None, numbers: Array) -> bool:
        """Return whether ``array`` is as `write_all` has written it."""
        raise NotImplementedError

    def results(self, count: int) -> Any:
        """Return a container to which up to ``count`` values of f are appended."""
        return []

    def gathered(self, results: Any) -> Array:
        """Return the values in such a container as a working array."""
        raise NotImplementedError

    def read(self, value: Any) -> Any:
        """Return one result of f such that later writes cannot change it; raise if it is not one number."""
        raise NotImplementedError

    def read_arrays(self, values: Sequence[Any]) -> Array:
        """Return arrays of any shape that f returned as one of one dimension that later writes cannot change."""
        raise NotImplementedError

    # Putting x back

    def changed(self, elements: Sequence[int] = (), raw: Sequence[object] = ()) -> bool:
        """Return whether ``array`` differs from the original x with ``elements`` set to ``raw``."""
        return False

    def restore(self) -> bool:
        """Restore ``array`` to the last bit; return whether it had been changed."""
        return False


# The loop: f is called at one point after the other, with the elements of its argument set in place.


def _arguments(memory: Memory, points: Points) -> Iterator[tuple[Array, Points]]:
    """Yield what f is given, and the points that belong to it: all to x, or each to its row."""
    if memory.row is None:
        yield memory.array, points
        return
    rows = np.asarray(points.elements) // memory.row
    ends = [*(np.flatnonzero(np.diff(rows)) + 1).tolist(), len(rows)]
    for start, end in zip([0, *ends], ends, strict=False):
        yield memory.array[int(rows[start]), ...], points[start * points.repeat : end * points.repeat]


def _visit_elements(
    memory: Memory, f: Function, argument: Array, points: Points, *, read: Read, plain: frozenset[type], results: Any
) -> None:
    cells, keys = memory.keys(points.elements)
    if type(cells) is not memoryview:
        _visit_groups(memory, f, argument, points, read=read, results=results)
        return
    repeat = points.repeat
    columns = [memory.raw(points.elements, points.part, points.numbers[i::repeat, 0]) for i in range(repeat)]
    held: Any = cells  # which makes its items as the loop comes to them
    if cells.ndim > 1 or not isinstance(points.elements, range):
        keys = list(keys)
        held = map(cells.__getitem__, keys)
    visits = zip(keys, *columns, held, strict=True)
    visit_cells = _visit_pairs if repeat == 2 else _visit_cells
    if not memory.looked_at:  # an f that writes to x at every call is not called for all elements first
        memory.looked_at = True
        visit_cells(f, argument, cells, [next(visits)], read=read, kind=None, results=results)
        require_unchanged(memory)
        memory.kind = type(results[-1]) if type(results[-1]) in plain else None
    visit_cells(f, argument, cells, visits, read=read, kind=memory.kind, results=results)


def _visit_pairs(
    f: Function, argument: Array, cells: Any, visits: Any, *, read: Read, kind: type | None, results: list[Any]
) -> None:
    # As _visit_cells, unrolled: this is the loop that nearly every call of the library runs.
    for key, first, second, held in visits:
        cells[key] = first
        value = f(argument)
        results.append(value if value.__class__ is kind else read(value))
        if cells[key] != first:
            _require_held(cells[key], first)
        cells[key] = second
        value = f(argument)
        results.append(value if value.__class__ is kind else read(value))
        if cells[key] != second:
            _require_held(cells[key], second)
        cells[key] = held


def _visit_cells(
    f: Function, argument: Array, cells: Any, visits: Any, *, read: Read, kind: type | None, results: list[Any]
) -> None:
    for key, *numbers, held in visits:
        for number in numbers:
            cells[key] = number
            value = f(argument)
            results.append(value if value.__class__ is kind else read(value))
            if cells[key] != number:
                _require_held(cells[key], number)
        cells[key] = held


def _visit_groups(memory: Memory, f: Function, argument: Array, points: Points, *, read: Read, results: Any) -> None:
    """Set as many elements as the points are wide at a time."""
    width, repeat = points.width, points.repeat
    cells, keys = memory.keys(points.elements)
    keys = list(keys)
    flat = [memory.xp.reshape(points.numbers[i::repeat, ...], (-1,)) for i in range(repeat)]
    columns = [iter(memory.raw(points.elements, points.part, numbers)) for numbers in flat]
    for start in range(0, len(keys), width):
        group = keys[start : start + width]
        held = [memory.hold(cells[key]) for key in group]
        for column in columns:
            numbers = [next(column) for _ in group]
            for key, number in zip(group, numbers, strict=True):
                cells[key] = number
            value = f(argument)
            if not memory.looked_at:  # before the elements are put back, which f may have written to
                memory.looked_at = True
                require_unchanged(memory, [*points.elements[start : start + width]], numbers)
            results.append(read(value))
            for key, number in zip(group, numbers, strict=True):
                memory.look(cells[key], number)
        for key, number in zip(group, held, strict=True):
            cells[key] = number


def _visit_replaced(memory: Memory, f: Function, points: Points, read: Read, results: Any) -> None:
    """Replace elements one by one, for arrays that cannot be written."""
    for argument, run in _arguments(memory, points):
        elements = run.each if memory.row is None else run.each % memory.row
        numbers = memory.raw(run.each.reshape(-1), run.part, memory.xp.reshape(run.numbers, (-1,)))
        remaining = iter(numbers)
        for group in elements.tolist():
            point = argument
            for element in group:
                point = memory.replaced(point, element, next(remaining))
            results.append(read(f(point)))


def _visit_all(memory: Memory, f: Function, points: Points, read: Read, results: Any) -> None:
    for i in range(len(points)):
        numbers = points.numbers[i, ...]
        with np.errstate(all="ignore"):  # f alone runs under the caller's settings
            argument = memory.write_all(points.part, numbers)
        value = f(argument)
        _require(memory.holds(points.part, numbers))
        results.append(read(value))
    memory.restore()


def modified() -> ValueError:
    return ValueError(
        "f modifies its argument, or another thread has changed x meanwhile, so that its values are not those of one"
        " function of x: let it work on a copy, as in lambda x: f(x.copy()), or f(x.clone()) of tensors; x has been put"
        " back to what it was"
    )


def _require(holds: bool) -> None:
    if not holds:
        raise modified()


def require_unchanged(memory: Memory, elements: Sequence[int] = (), raw: Sequence[object] = ()) -> None:
    """Raise if f has written to its argument: if that is not as we have set it."""
    if memory.changed(elements, raw):
        raise modified()


def restored(memory: Memory) -> bool:
    """Put x back as a whole, and return whether it was changed; what interrupts this is raised when it is done."""
    interrupt: BaseException | None = None
    for _ in range(_PATIENCE):
        try:
            try:
                changed = memory.restore()
                if interrupt is None:
                    return changed
                break
            except BaseException as error:  # a signal's handler may raise anything, and at any time
                interrupt = error
        except BaseException as error:
            interrupt = error
    assert interrupt is not None
    raise interrupt


def _require_held(held: Any, written: Any) -> None:
    """Raise if an element is not what it was set to. NaN is not equal to itself."""
    if held == held or written == written:  # noqa: PLR0124
        raise modified()


class Backend:
    """One array library.

    These defaults hold for a library that computes on a device, promotes dtypes by itself and has no vmap; a library
    overrides what differs.
    """

    name: ClassVar[str]
    # How a user of the library turns an array into a floating one.
    cast_example: ClassVar[str] = "{x}.astype(float)"

    def __reduce__(self) -> Any:
        return load, (self.name,)

    def is_array(self, x: object) -> bool:
        raise NotImplementedError

    def is_like(self, value: object, x: Array) -> bool:
        """Return whether a value is an array of x's library."""
        return self.is_array(value)

    def library(self, x: Array) -> str:
        """Return the name by which messages know x's library."""
        return self.name

    def floating(self, x: Array) -> bool:
        """Return whether x's dtype is real or complex floating; raise if x cannot be differentiated otherwise."""
        return bool(x.dtype.kind in "fc")

    def memory(self, x: Array, *, in_place: bool, rows: bool = False) -> Memory:
        """Return x opened for perturbation; in place only if that is asked for and x is `writable`.

        With ``rows``, f is given one row of x at a time.
        """
        raise NotImplementedError

    def writable(self, x: Array) -> bool:
        """Return whether x's own elements can be set, each without another one."""
        return False

    def host(self, x: Array) -> NDArray[Any]:
        """Return an array of any dtype on the host, as NumPy's; as bits, where NumPy lacks its dtype."""
        raise NotImplementedError

    def on_host(self, x: Array) -> bool:
        """Return whether the host reads x's numbers where they are, without a copy or a wait."""
        return False

    def extent(self, x: Array) -> tuple[object, int, int] | None:
        """Return the device of x's memory, its first byte and the one behind its last; None if x shares none."""
        raise NotImplementedError

    def interleaved(self, x: Array, y: Array) -> bool:
        """Return whether arrays whose extents meet are known to have no element in common."""
        return False

    def complexified(self, x: Array) -> Array:
        """Return a copy of a real x in the complex dtype of the same precision; raise if there is no such dtype."""
        return complex_copy(x)

    def widened(self, x: Array) -> Array:
        """Return a copy of x in float64 (complex128), or the widest its device has; in x's dtype, if that is wider."""
        return wide_copy(x)

    def promoting(self, f: Callable[[Any], Any], x: Array) -> Callable[[Any], Any]:
        """Return f as a function of widened arrays like x: its own arrays are promoted, if the library does not."""
        return f

    def context(self, x: Array) -> AbstractContextManager[object]:
        """Return the context in which x's device is the current one."""
        return _NO_CONTEXT

    def arrival(self, x: Array) -> Callable[[], AbstractContextManager[object]]:
        """Return a maker of the context in which an x unpickled in another process is the same."""
        return nullcontext

    def forkable(self, x: Array) -> bool:
        """Return whether a process forked from this one can use arrays like x: after CUDA has been used, it cannot."""
        return False

    def compiles(self, f: object) -> bool:
        """Return whether f does the same at every call, so that what `Memory.vectorised` makes of it is kept."""
        return False

    def vmap(self, f: Callable[[Any], Any], x: Array) -> Callable[[Any], Any] | None:
        """Return an f of one point as one of many, along a leading axis; None if the library cannot."""
        return None

    def pattern(self, x: Any) -> Any:
        """Return a dense or sparse array of this library as NumPy's or SciPy's; all else as it is."""
        return self.host(x) if self.is_array(x) else x

    def sparse(self, values: Array, rows: Indices, columns: Indices, shape: tuple[int, int], like: Any) -> Any:
        """Return a sparse array with values at these places, sorted by rows; a dense one if the library has no other.

        ``like`` is a SciPy sparse array of the wanted format, or None; other libraries may have but one.
        """
        return dense(values, rows, columns, shape)

    # Modes: what the library keeps for each thread besides arrays, taken to the threads and processes of a pool.

    def modes(self) -> object:
        """Return the modes of this thread, to be pickled without the library; None if every thread begins with them."""
        return None

    def under(self, modes: object) -> AbstractContextManager[object]:
        """Return the context in which this thread has the modes of another one."""
        return nullcontext()

    def after_fork(self) -> None:
        """Let a process that was forked from one in which the library has had threads do without them."""


def names() -> tuple[str, ...]:
    return (*dict.fromkeys(_MODULES.values()), _GENERIC)


@cache
def load(name: str) -> Backend:
    """Import a backend, and with it the library that it stands for."""
    return cast(Backend, import_module(f"anygrad.backends.{name}").BACKEND)


@cache
def _candidates(kind: type) -> tuple[str, ...]:
    found = (_MODULES.get(base.__module__.partition(".")[0]) for base in kind.__mro__)
    return tuple(dict.fromkeys(name for name in found if name is not None))


def resolve(x: object) -> Backend | None:
    """Return the backend of an array, or None for any other object. Only x's own library is imported."""
    if not hasattr(x, "shape"):
        return None
    kind: Any = type(x)  # mypy takes no class for hashable
    for name in _candidates(kind):
        if (backend := load(name)).is_array(x):
            return backend
    generic = load(_GENERIC)
    return generic if generic.is_array(x) else None


def span_of(elements: Elements) -> slice | Indices:
    """Return what to index an array of one dimension with: for a range a slice, which copies nothing."""
    return slice(elements.start, elements.stop) if isinstance(elements, range) else elements
