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

# How often restoring x is tried: a signal handler may interrupt any attempt.
_PATIENCE = 10_000

# The module here for each package that defines a type of arrays. All other arrays are generic.
_MODULES = {
    "numpy": "numpy",
    "torch": "torch",
    "jax": "jax",
    "jaxlib": "jax",
    "cupy": "cupy",
    "cupyx": "cupy",
    "dpnp": "dpnp",
}
_GENERIC = "generic"


@dataclass(eq=False)
class Points:
    """Points at which f is to be evaluated: x with some of its elements set to other numbers."""

    # The elements that are set, group after group. A group has ``width`` elements.
    elements: Elements
    # Their new values, a working array (k, width) with a row for each of the k points.
    numbers: Array
    # Which part of the elements is set: 0 the real part, 1 the imaginary part, None the number itself.
    part: int | None = None
    # How many consecutive points set the same group.
    repeat: int = 1

    @classmethod
    def of(
        cls, xp: Namespace, elements: Elements, levels: Sequence[Array], part: int | None = None, width: int = 1
    ) -> Points:
        """Return the points at which groups of elements are set to one level, (m, width), after the other."""
        if len(levels) == 1:
            return cls(elements, levels[0], part)
        # All levels of a group come before the next group, as in the book's loop. NumPy's concat is faster than its
        # stack, but Dask cannot split an axis that it has joined.
        table = xp.concat(levels, axis=1) if width == 1 else xp.stack(levels, axis=1)
        # NumPy's method takes a fifth of the time of its function.
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
        groups = Points(elements, numbers, self.part, repeat)
        if start % repeat == stop % repeat == 0:
            return groups
        own = groups.each[start - first * repeat : stop - first * repeat]
        return Points(own.reshape(-1), numbers, self.part)


class Memory:
    """An array opened for perturbation: its elements are read, set, evaluated with and put back.

    Elements are addressed by their flat index in C order. "Working" arrays are those that schemes compute with: float64
    (complex128) or wider wherever the device has it, on the host or on x's device.
    """

    array: Array  # the argument of f: the caller's own x, or a private copy
    size: int
    nbytes: int
    xp: Namespace = np  # the array API namespace of the working arrays
    # The spacing at 1 and the smallest positive number of x's dtype.
    eps: float
    tiny: float
    block: int  # how many elements are best handled at a time
    chunk_bytes: int  # how many bytes of points are best given to an f that takes many at a time
    backend: Backend
    # The number of elements in a row, if f is given one row of ``array`` at a time.
    row: int | None = None
    # Whether ``array`` is the caller's own, so that f sees the perturbation through a closure too.
    in_place: bool = False
    lazy: bool = False  # whether values cannot be looked at, as those of lazy and traced arrays
    complex: bool = False
    cells: Any = None  # ``cells[key] = number`` writes one element; None where arrays are immutable
    plain: frozenset[type] = frozenset()  # types of f's results that are kept as they are
    # Whether the argument has been compared with the point after a first call of f, and the type of the first result,
    # if it is a plain one.
    looked_at: bool = False
    kind: type | None = None
    # How many values had been read when the last evaluation was interrupted.
    reached: int = 0

    @property
    def parts(self) -> list[tuple[Memory, slice]]:
        """The memories of single arrays, and the positions of their elements in this one."""
        return [(self, slice(0, self.size))]

    # Numbers. The defaults are for working arrays of NumPy's.

    def elements(self, elements: Elements) -> Array:
        """Return the original elements, a working array of one dimension."""
        raise NotImplementedError

    def round(self, elements: Elements, numbers: Array) -> Array:
        """Round real working numbers to x's dtype and back: a number or a row of them for each of the elements."""
        raise NotImplementedError

    def spread(self, value: object, name: str) -> Array:
        """Return a working number for each element, from one number or an array that can be broadcast to x's shape."""
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
        """Return working numbers in x's dtype, if ``xp`` has it, to save memory until they are assembled."""
        return numbers

    def assemble(self, blocks: Sequence[Array], shape: Sequence[int]) -> Array:
        """Join blocks of working numbers along their first axis to an array of x's library, dtype and device.

        Real numbers become x's real dtype; booleans stay.
        """
        raise NotImplementedError

    # Evaluation

    def evaluate(self, f: Callable[[Any], Any], points: Points, *, vector: bool = False) -> Array:
        """Call f at one point after the other; return its values, (k,), or (k, p) if f returns a list of arrays.

        x is put back whatever f raises. Values are read before the next write, as f may return a view of x. An element
        is read when it is visited, and only that element is put back: anything that f has written to others is still
        there at the end, and noticed.
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

    def placed(self, points: Points) -> tuple[Array, Array]:
        """Return places in the flat memory of a table of points, and the numbers to write there, in x's dtype."""
        each, length = points.each, self.row or self.size
        places = np.arange(len(points))[:, None] * length + (each if self.row is None else each % length)
        numbers = self.rounded(each.reshape(-1), points.part, self.xp.reshape(points.numbers, (-1,)))
        return self.index_array(places.reshape(-1)), numbers

    def placed_by_slices(self, points: Points) -> list[tuple[slice | Array, Array]]:
        """Return the same in pieces: where single elements follow each other, the places are slices."""
        elements, part, repeat, size = points.elements, points.part, points.repeat, self.size
        count, width = points.numbers.shape
        if not (count and width):
            return []
        if width > 1 or not isinstance(elements, range) or self.row is not None:
            return [self.placed(points)]
        # Down the diagonals: the element after the next ``repeat`` points is one further.
        return [
            (
                slice(i * size + elements.start, count * size, repeat * size + 1),
                self.rounded(elements, part, points.numbers[i::repeat, 0]),
            )
            for i in range(repeat)
        ]

    def rounded(self, elements: Elements, part: int | None, numbers: Array) -> Array:
        """Return elements, with the part set to working numbers, as ``array`` holds them."""
        raise NotImplementedError

    def is_perturbed(self, array: Array, points: Points) -> bool:
        """Return whether an array still is as `perturbed` made it; True where f cannot write to it."""
        raise NotImplementedError

    @property
    def point_bytes(self) -> int:
        """The bytes of f's argument at one point."""
        return self.nbytes if self.row is None else self.nbytes * self.row // max(1, self.size)

    def chunks(self, points: Points, max_bytes: int) -> Iterator[slice]:
        """Split points evenly into chunks of at most ``max_bytes``, and of one point at least."""
        total, repeat = len(points), points.repeat
        limit = max(1, max_bytes // max(1, self.point_bytes))
        length = -(-total // max(1, -(-total // limit)))
        if length % repeat and length + repeat - length % repeat <= limit:
            length += repeat - length % repeat  # all points of a group together, to be set in fewer operations
        return (slice(start, min(start + length, total)) for start in range(0, total, max(1, length)))

    def vectorised(self, f: Callable[[Any], Any]) -> Callable[[Points], Any] | None:
        """Return f, written for one point, as a function of many `Points`; None if the library has no vmap."""
        many = self.backend.vmap(f, self.parts[0][0].array)
        return None if many is None else lambda points: many(self.perturbed(points))

    def read_many(self, value: Any, count: int, *, vector: bool = False) -> Array:
        """Return a copy of f's values at ``count`` points, which have a leading axis for the points.

        The copy is (k,); with ``vector``, where f returns a list of arrays, (k, p).
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

    # The parts of `evaluate`

    def runs(self, points: Points) -> Iterable[tuple[Memory, Points]]:
        """Split points of one element each between the memories of single arrays."""
        return [(self, points)]

    def raw(self, elements: Elements, part: int | None, numbers: Array) -> Iterable[Any]:
        """Return the items to write so that elements have these numbers."""
        raise NotImplementedError

    def keys(self, elements: Elements) -> tuple[Any, Iterable[Any]]:
        """Return ``cells``, or a part of it with the elements, and their keys there."""
        raise NotImplementedError

    def hold(self, held: Any) -> Any:
        """Return the content of a cell such that later writes cannot change it."""
        return held

    def look(self, held: Any, written: Any) -> None:
        """Raise if f has changed a cell that was set. On a device this is only noted, and `changed` tells."""
        if held != written:
            _require_held(held, written)

    def replaced(self, array: Array, element: int, raw: object) -> Array:
        """Return a copy of an immutable array with one element replaced."""
        raise NotImplementedError

    def write_all(self, part: int | None, numbers: Array) -> Array:
        """Return x with these numbers for all elements: ``array``, written as a whole, or a new one."""
        raise NotImplementedError

    def holds(self, part: int | None, numbers: Array) -> bool:
        """Return whether ``array`` still is as `write_all` left it."""
        raise NotImplementedError

    def results(self, count: int) -> Any:
        """Return a container for up to ``count`` values of f, with an append method."""
        return []

    def gathered(self, results: Any) -> Array:
        """Return the values in such a container as a working array."""
        raise NotImplementedError

    def read(self, value: Any) -> Any:
        """Return one result of f such that later writes cannot change it; raise if it is not one number."""
        raise NotImplementedError

    def read_arrays(self, values: Sequence[Any]) -> Array:
        """Join the arrays that f returned to a new one of one dimension."""
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
    """Yield each argument of f, x itself or one of its rows, with the points that belong to it."""
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
    held: Any = cells  # a memoryview makes its items as the loop comes to them
    if cells.ndim > 1 or not isinstance(points.elements, range):
        keys = list(keys)
        held = map(cells.__getitem__, keys)
    visits = zip(keys, *columns, held, strict=True)
    visit_cells = _visit_pairs if repeat == 2 else _visit_cells
    if not memory.looked_at:  # an f that writes to x is noticed before it is called for all elements
        memory.looked_at = True
        visit_cells(f, argument, cells, [next(visits)], read=read, kind=None, results=results)
        require_unchanged(memory)
        memory.kind = type(results[-1]) if type(results[-1]) in plain else None
    visit_cells(f, argument, cells, visits, read=read, kind=memory.kind, results=results)


def _visit_pairs(
    f: Function, argument: Array, cells: Any, visits: Any, *, read: Read, kind: type | None, results: list[Any]
) -> None:
    # _visit_cells for two points an element, unrolled: nearly every call of the library runs this loop.
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
    width, repeat = points.width, points.repeat
    cells, keys = memory.keys(points.elements)
    keys = list(keys)
    flat = [memory.xp.reshape(points.numbers[i::repeat, ...], (-1,)) for i in range(repeat)]
    columns = [iter(memory.raw(points.elements, points.part, numbers)) for numbers in flat]
    for start in range(0, len(keys), width):
        group = keys[start : start + width]
        held = [memory.hold(cells[key]) for key in group]
        for column in columns:
            point = list(zip(group, column, strict=False))  # the column goes on where this group ends
            for key, number in point:
                cells[key] = number
            value = f(argument)
            if not memory.looked_at:  # before the elements are put back: f may have written to those
                memory.looked_at = True
                require_unchanged(memory, [*points.elements[start : start + width]], [number for _, number in point])
            results.append(read(value))
            for key, number in point:
                memory.look(cells[key], number)
        for key, number in zip(group, held, strict=True):
            cells[key] = number


def _visit_replaced(memory: Memory, f: Function, points: Points, read: Read, results: Any) -> None:
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
        value = f(memory.write_all(points.part, numbers))
        if not memory.holds(points.part, numbers):
            raise modified()
        results.append(read(value))
    memory.restore()


def modified() -> ValueError:
    return ValueError(
        "f modifies its argument, or another thread changed x during the call: let f work on a copy, as in"
        " lambda x: f(x.copy()), or f(x.clone()) for tensors; x has been restored"
    )


def require_unchanged(memory: Memory, elements: Sequence[int] = (), raw: Sequence[object] = ()) -> None:
    """Raise if f has written to its argument, which should be x with ``elements`` set to ``raw``."""
    if memory.changed(elements, raw):
        raise modified()


def restored(memory: Memory) -> bool:
    """Put x back as a whole, and return whether it was changed. An interruption is raised once x is back."""
    interrupt: BaseException | None = None
    for _ in range(_PATIENCE):
        try:
            try:
                changed = memory.restore()
                if interrupt is None:
                    return changed
                break
            except BaseException as error:  # a signal's handler may raise anything at any time
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

    The defaults are for a library that computes on a device, promotes dtypes by itself and has no vmap.
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
        """Return whether x can be written, and each element without changing another one."""
        return False

    def host(self, x: Array) -> NDArray[Any]:
        """Return an array of any dtype as one of NumPy's; as its bits, if NumPy lacks the dtype."""
        raise NotImplementedError

    def on_host(self, x: Array) -> bool:
        """Return whether the host reads x's numbers where they are, without a copy or a wait."""
        return False

    def extent(self, x: Array) -> tuple[object, int, int] | None:
        """Return the device of x's memory, its first byte and the one behind its last; None if it is never shared."""
        raise NotImplementedError

    def interleaved(self, x: Array, y: Array) -> bool:
        """Return whether two arrays with overlapping extents certainly have no element in common."""
        return False

    def complexified(self, x: Array) -> Array:
        """Return a copy of a real x in the complex dtype of the same precision; raise if there is no such dtype."""
        return complex_copy(x)

    def widened(self, x: Array) -> Array:
        """Return a copy of x in float64 (complex128) or its device's widest dtype; in its own, if that is wider."""
        return wide_copy(x)

    def promoting(self, f: Callable[[Any], Any], x: Array) -> Callable[[Any], Any]:
        """Return f for widened arrays like x: if the library does not promote, f's own arrays are widened as well."""
        return f

    def context(self, x: Array) -> AbstractContextManager[object]:
        """Return the context in which to compute with x, such as one whose current device is x's."""
        return self.arrival(x)()

    def arrival(self, x: Array) -> Callable[[], AbstractContextManager[object]]:
        """Return a maker of the context in which x is unpickled unchanged in another process."""
        return nullcontext

    def forkable(self, x: Array) -> bool:
        """Return whether a forked process can use arrays like x. Once CUDA has been used, it cannot."""
        return False

    def compiles(self, f: object) -> bool:
        """Return whether f does the same at every call, so that its vectorised form can be kept."""
        return False

    def vmap(self, f: Callable[[Any], Any], x: Array) -> Callable[[Any], Any] | None:
        """Return a function of many points, along a leading axis, from an f of one; None if the library has no vmap."""
        return None

    def pattern(self, x: Any) -> Any:
        """Return a dense or sparse array of this library as NumPy's or SciPy's, and anything else as it is."""
        return self.host(x) if self.is_array(x) else x

    def sparse(self, values: Array, rows: Indices, columns: Indices, shape: tuple[int, int], like: Any) -> Any:
        """Return a sparse array with values at these places, sorted by rows; dense, if the library has no sparse ones.

        ``like`` is a SciPy sparse array of the wanted format, or None. Other libraries may have only one format.
        """
        return dense(values, rows, columns, shape)

    # Modes: the library's settings of a thread, taken to the threads and processes of a pool.

    def modes(self) -> object:
        """Return this thread's modes as plain values; None if every thread begins with them."""
        return None

    def under(self, modes: object) -> AbstractContextManager[object]:
        """Return a context that gives this thread the modes of another one."""
        return nullcontext()

    def after_fork(self) -> None:
        """Let a forked process do without the threads that the library had before."""


@cache
def load(name: str) -> Backend:
    """Import a backend, and its library with it."""
    return cast(Backend, import_module(f"anygrad.backends.{name}").BACKEND)


@cache
def _candidates(kind: type) -> tuple[str, ...]:
    found = (_MODULES.get(base.__module__.partition(".")[0]) for base in kind.__mro__)
    return tuple(dict.fromkeys(name for name in found if name is not None))


def resolve(x: object) -> Backend | None:
    """Return the backend of an array, or None for any other object. Only x's own library is imported."""
    if not hasattr(x, "shape"):
        return None
    kind: Any = type(x)  # to mypy, a class is not hashable
    for name in _candidates(kind):
        if (backend := load(name)).is_array(x):
            return backend
    generic = load(_GENERIC)
    return generic if generic.is_array(x) else None


def host_pattern(x: object) -> Any:
    """Return a dense or sparse array of any library as NumPy's or SciPy's, and anything else as it is."""
    own = resolve(x)
    kind: Any = type(x)  # as above
    for backend in map(load, _candidates(kind)) if own is None else (own,):
        x = backend.pattern(x)
    return x


def span_of(elements: Elements) -> slice | Indices:
    """Return elements as an index of an array of one dimension: a slice, which copies nothing, for a range."""
    return slice(elements.start, elements.stop) if isinstance(elements, range) else elements
