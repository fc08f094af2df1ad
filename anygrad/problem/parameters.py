"""x: the arrays in it, and what the user says of each of them."""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device
from numpy.typing import NDArray

from anygrad._typing import Array, PyTree
from anygrad.backends.arrays import Elements
from anygrad.backends.base import Backend, Memory, load, resolve
from anygrad.problem.function import Function
from anygrad.problem.options import as_array, require_floating
from anygrad.problem.tree import ARRAY, Tree, describe_mismatch, flatten, is_number, is_number_list, only, without
from anygrad.schemes.base import Scheme


@dataclass(eq=False)
class Leaves:
    """All leaves of x."""

    # The leaves as arrays, and the backend of each.
    arrays: list[Array]
    backends: list[Backend]
    tree: Tree  # takes x apart, and puts derivatives together with None in the place of held leaves
    # The positions of leaves that were numbers or lists of numbers: f cannot see their originals change.
    converted: frozenset[int] = frozenset()
    scalars: frozenset[int] = frozenset()  # the positions of those that f is given as NumPy scalars
    distinct: bool = False  # whether they are known to share no memory that is written
    # The leaves that are no floating arrays, and fixed, by name: f is given them as they are, by ``given.rebuild``.
    held: dict[str, Any] | None = None
    given: Tree = ARRAY
    free: list[NDArray[np.bool_]] | None = None  # which elements of each array are not fixed
    # Whether f leaves the containers of its argument as they are; None until it has been called.
    kept: bool | None = None


@dataclass(eq=False)
class Parameters:
    """Arrays of x with respect to which f is differentiated together: all of them, or some that follow each other."""

    leaves: Leaves
    # Which of them these are.
    start: int
    stop: int
    alone: bool  # whether x is one array, and no tree
    rows: bool = False  # whether f is given one row of that array at a time
    # The arrays, and the backend of each.
    arrays: list[Array] = field(init=False)
    backends: list[Backend] = field(init=False)
    # Whether any of the arrays was made of numbers, so that f cannot see the originals change.
    converted: bool = field(init=False)
    takes_scalars: bool = field(init=False)  # whether f is given numbers, which are new objects for each point

    @classmethod
    def of(cls, x: PyTree, fixed: PyTree = None) -> Parameters:
        """Take x apart; raise if it holds anything that cannot be differentiated with respect to, and is not fixed."""
        if fixed is None and hasattr(x, "dtype") and hasattr(x, "shape") and (backend := resolve(x)) is not None:
            if not backend.floating(x):
                require_floating(x, backend, "x")
            return cls(Leaves([x], [backend], ARRAY), 0, 1, True)
        tree = flatten(x, none_is_leaf=fixed is not None)
        if len(tree.leaves) == 1 and tree.leaves[0] is x:
            return cls.of_array(x, "x", fixed)
        if x is None:
            as_array(x, "x")  # optree takes None for an empty tree; as an x it is a mistake
        leaves = _leaves_of(tree, fixed)
        return cls(leaves, 0, len(leaves.arrays), False)

    @classmethod
    def of_array(cls, x: object, name: str, fixed: object = None, *, rows: bool = False) -> Parameters:
        """Take one array, or numbers that make one; raise for trees.

        With ``rows``, f is given one row of it at a time, if it has rows.
        """
        array, backend = as_array(x, name)
        made, scalars = frozenset([] if array is x else [0]), frozenset([0] if is_number(x) else [])
        leaves = Leaves([array], [backend], Tree([array], only, lambda: [name]), made, scalars)
        if fixed is not None:
            leaves.free = [_free(fixed, name, tuple(array.shape))]
        return cls(leaves, 0, 1, True, rows=rows and array.ndim > 1)

    def __post_init__(self) -> None:
        leaves = self.leaves
        self.arrays = leaves.arrays[self.start : self.stop]
        self.backends = leaves.backends[self.start : self.stop]
        self.converted = not leaves.converted.isdisjoint(range(self.start, self.stop))
        self.takes_scalars = bool(leaves.scalars)

    @property
    def names(self) -> list[str]:
        """The expressions that name the arrays: ``x``, or ``x['W1']``."""
        return self.leaves.tree.names[self.start : self.stop]

    @property
    def by_name(self) -> dict[str, Array]:
        """The arrays by their names."""
        return dict(zip(self.names, self.arrays, strict=True))

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of the arrays."""
        return [tuple(array.shape) for array in self.arrays]

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The names of the dtypes that there are."""
        return tuple(dict.fromkeys(str(array.dtype).rpartition(".")[2] for array in self.arrays))

    @property
    def size(self) -> int:
        """How many elements there are in all."""
        return sum(map(math.prod, self.shapes))

    @property
    def elements(self) -> Elements:
        """The numbers of the elements with respect to which f is differentiated: those that are not fixed."""
        if self.leaves.free is None:
            return range(self.size)
        free = [mask.reshape(-1) for mask in self.leaves.free[self.start : self.stop]]
        return np.flatnonzero(np.concatenate([np.empty(0, dtype=bool), *free]))

    def restricted(self, elements: Elements) -> Parameters:
        """Return these with all but some elements fixed."""
        chosen = np.zeros(self.size, dtype=bool)
        chosen[elements] = True
        parts = np.split(chosen, np.cumsum([math.prod(shape) for shape in self.shapes])[:-1])
        free = [part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True)]
        return dataclasses.replace(self, leaves=dataclasses.replace(self.leaves, free=free))

    @property
    def library(self) -> str:
        """The names of the libraries."""
        own = zip(self.backends, self.arrays, strict=True)
        return " and ".join(dict.fromkeys(backend.library(array) for backend, array in own))

    @property
    def rebuild(self) -> Callable[[Any], PyTree]:
        """Puts arrays together to a tree like x."""
        return self.leaves.tree.rebuild

    def runs(self) -> list[Parameters]:
        """Return the arrays in groups that can be perturbed as one array, of one library, dtype and device each.

        They follow each other in x, so that f is called in the order of the arrays.
        """
        if self.stop - self.start < 2:
            return [self] if self.stop > self.start else []
        leaves = self.leaves

        def kind(i: int) -> tuple[Any, ...]:
            array, backend = leaves.arrays[i], leaves.backends[i]
            place = None if backend.on_host(array) else str(device(array))
            return backend, array.dtype, place, i in leaves.converted, backend.writable(array)

        groups = [list(group) for _, group in groupby(range(self.start, self.stop), kind)]
        return [dataclasses.replace(self, start=group[0], stop=group[-1] + 1) for group in groups]

    def memory(self, *, in_place: bool, complexified: bool = False) -> Memory:
        """Return the arrays opened for perturbation, as one."""
        arrays = self.arrays
        if complexified:
            arrays = [backend.complexified(array) for array, backend in zip(arrays, self.backends, strict=True)]
        in_place = in_place and not complexified
        if self.alone:
            return self.backends[0].memory(arrays[0], in_place=in_place, rows=self.rows)
        from anygrad.backends.joint import JointMemory  # noqa: PLC0415 - for trees alone

        return JointMemory.of(arrays, self.backends, in_place=in_place)

    def argument(self, arrays: Any) -> PyTree:
        """Return x with other arrays in the place of these; numbers become NumPy scalars."""
        if self.alone:
            return arrays[()] if self.leaves.scalars else arrays
        leaves: list[Any] = [*self.leaves.arrays[: self.start], *arrays, *self.leaves.arrays[self.stop :]]
        for i in self.leaves.scalars:
            leaves[i] = leaves[i][()]
        return self.leaves.given.rebuild(leaves)

    def holds(self, tree: PyTree, arrays: Sequence[Array]) -> bool:
        """Return whether a tree that `argument` has put together still holds these arrays and the others."""
        try:
            leaves = flatten(tree).leaves
        except Exception:  # of containers that are not what they were
            return False
        expected = [*self.leaves.arrays[: self.start], *arrays, *self.leaves.arrays[self.stop :]]
        return len(leaves) == len(expected) and all(map(operator.is_, leaves, expected))

    def many_arguments(self, arrays: Any) -> PyTree:
        """Return the same for arrays with a leading axis: each of the others is repeated along it."""
        if self.alone:
            return arrays
        count = arrays[0].shape[0]

        def repeated(array: Array) -> Array:
            return array_namespace(array).broadcast_to(array, (count, *array.shape))

        before, after = self.leaves.arrays[: self.start], self.leaves.arrays[self.stop :]
        return self.leaves.given.rebuild([*map(repeated, before), *arrays, *map(repeated, after)])

    def context(self) -> AbstractContextManager[object]:
        """Return the contexts of all arrays, as one."""
        if self.alone:
            return self.backends[0].context(self.arrays[0])
        return _entered(backend.context(array) for array, backend in zip(self.arrays, self.backends, strict=True))

    def arrival(self) -> Callable[[], AbstractContextManager[object]]:
        """Return a maker of the context in which an x unpickled in another process is the same."""
        makers = dict.fromkeys(
            backend.arrival(array) for array, backend in zip(self.arrays, self.backends, strict=True)
        )
        return partial(_arrived, tuple(makers))

    def require_distinct(self) -> None:
        """Raise if one of all arrays of x that can be written shares memory with another: both would be perturbed."""
        leaves = self.leaves
        if leaves.distinct:
            return
        own = list(zip(leaves.arrays, leaves.backends, strict=True))
        extents = [
            (str(place), start, stop, i)
            for i, (array, backend) in enumerate(own)
            if (found := backend.extent(array)) is not None
            for place, start, stop in [found]
            if stop > start
        ]
        extents.sort()
        open_ones: list[tuple[str, int, int, int]] = []
        for extent in extents:
            open_ones = [other for other in open_ones if other[0] == extent[0] and other[2] > extent[1]]
            for other in open_ones:
                first, second = sorted((other[3], extent[3]))
                if _shared(*own[first], *own[second]):
                    names = leaves.tree.names
                    raise ValueError(
                        f"{names[first]} and {names[second]} share memory, so neither can be changed alone: pass a"
                        " copy of one of them, or pass the array once"
                    )
            open_ones.append(extent)
        leaves.distinct = True

    def element_name(self, element: int) -> str:
        """Return the expression for an element, as ``x[0]`` or ``x['W'][1, 2]``."""
        for name, shape in zip(self.names, self.shapes, strict=True):
            size = math.prod(shape)
            if element < size:
                return f"{name}[{', '.join(map(str, np.unravel_index(element, shape)))}]" if shape else name
            element -= size
        raise IndexError(element)

    def require_real(self, operator: str) -> None:
        """Raise if x is complex."""
        for i, array in enumerate(self.arrays):
            if "complex" in str(array.dtype):
                raise TypeError(
                    f"{self.names[i]} has the dtype {array.dtype}, but {operator} needs real numbers: write f as a"
                    " function of the real and imaginary parts"
                )

    def require_some(self) -> None:
        """Raise if x is a tree without an array in it."""
        if not self.arrays:
            raise ValueError("x contains no array and no number: give at least one to differentiate with respect to")

    def leaves_of(self, tree: PyTree, name: str) -> list[Any]:
        """Return the leaf of ``tree``, a tree like x or one object for all arrays, for each of these arrays."""
        if self.alone or tree is None or is_number(tree) or is_number_list(tree) or hasattr(tree, "shape"):
            return [tree] * len(self.arrays)
        flat = flatten(tree, none_is_leaf=True)
        expected = self.leaves.tree.names
        leaves = [
            (place, leaf)
            for place, leaf in zip(flat.names, flat.leaves, strict=True)
            if (leaf is not None or place in expected) and place not in (self.leaves.held or ())
        ]
        if cause := describe_mismatch([place for place, _ in leaves], expected):
            raise ValueError(f"{name} is {tree!r:.60}, but a tree with the structure of x was expected: it has {cause}")
        return [leaf for _, leaf in leaves[self.start : self.stop]]

    def without_fixed(self, array: Array, i: int) -> Array:
        """Return derivatives whose first axes are those of the i-th array of x, with 0 where that is fixed."""
        if self.leaves.free is None:
            return array
        xp, free = array_namespace(array), self.leaves.free[self.start + i]
        mask = xp.asarray(free.tolist(), dtype=xp.bool, device=device(array))
        mask = xp.reshape(mask, free.shape + (1,) * (array.ndim - free.ndim))
        return xp.where(mask, array, xp.zeros_like(array))

    def require_like(self, function: Function) -> None:
        """Raise unless a function, which has been called, returns a tree of arrays like x."""
        names = [name.replace("f(x)", "x", 1) for name in function.names]
        if cause := describe_mismatch(names, self.names, function.shapes, self.shapes):
            raise ValueError(f"grad returned {cause}: let it return arrays with the structure and shapes of x")

    def scheme(self, scheme: Scheme) -> Scheme:
        """Return the scheme for these arrays: with a list of steps, if the user gave a tree of them."""
        if self.alone or not dataclasses.is_dataclass(scheme):
            return scheme
        given = {"step": getattr(scheme, "step", None), "rel_step": getattr(scheme, "rel_step", None)}
        trees = {
            name: self.leaves_of(step, f"the {name}")
            for name, step in given.items()
            if not (step is None or is_number(step) or hasattr(step, "steps"))
        }
        return dataclasses.replace(scheme, **trees) if trees else scheme

    def bounds(self, bounds: tuple[Any, Any] | None) -> tuple[Any, Any] | None:
        """Return the bounds as these arrays take them: a list of one for each, if x is a tree."""
        if bounds is None or self.alone:
            return bounds

        def numbers(bound: Any, name: str, endless: float) -> Any:
            if bound is None:
                return None
            return [endless if leaf is None else leaf for leaf in self.leaves_of(bound, name)]

        lower, upper = bounds
        return numbers(lower, "the lower bound", -math.inf), numbers(upper, "the upper bound", math.inf)


def _shared(x: Array, of_x: Backend, y: Array, of_y: Backend) -> bool:
    """Return whether arrays whose extents meet may have an element in common that is written."""
    return (of_x is not of_y or not of_x.interleaved(x, y)) and (of_x.writable(x) or of_y.writable(y))


def _leaves_of(whole: Tree, fixed: PyTree) -> Leaves:
    arrays: list[Array] = []
    backends: list[Backend] = []
    converted = []
    tree = given = whole
    held: dict[int, Any] = {}
    masks: list[Any] = []
    if fixed is not None:
        masks = _masks(whole, fixed)
        held = {
            i: leaf for i, leaf in enumerate(whole.leaves) if leaf is None or (_is_true(masks[i]) and _is_setting(leaf))
        }
        tree, given = without(whole, dict.fromkeys(held)), without(whole, held)
        masks = [mask for i, mask in enumerate(masks) if i not in held]
    for i, leaf in enumerate(tree.leaves):
        try:
            array, backend = _as_parameter(leaf, tree, i)
        except TypeError as error:
            raise TypeError(f"{error}; or keep it fixed with fixed=, a tree like x with True in its place") from None
        if array is not leaf:
            converted.append(i)
        arrays.append(array)
        backends.append(backend)
    as_others = bool(converted) and _convert(arrays, backends, converted)
    scalars = [] if as_others else [i for i in converted if is_number(tree.leaves[i])]
    leaves = Leaves(arrays, backends, tree, frozenset(converted), frozenset(scalars), given=given)
    if fixed is not None:
        leaves.held = {whole.names[i]: leaf for i, leaf in held.items()}
        shapes = [tuple(array.shape) for array in arrays]
        leaves.free = [_free(*own) for own in zip(masks, tree.names, shapes, strict=True)]
    return leaves


def _masks(tree: Tree, fixed: PyTree) -> list[Any]:
    """Return what ``fixed``, a tree like x or like the upper part of it, has for each leaf of x."""
    flat = flatten(fixed, none_is_leaf=True)
    masks, used = [], set()
    for name in tree.names:
        own = [place for place in flat.names if name == place or name.startswith((f"{place}[", f"{place}."))]
        if not own:
            raise ValueError(
                f"fixed is {fixed!r:.60}, but there is nothing for {name}: True, False or a boolean array was expected"
            )
        masks.append(flat.leaves[flat.names.index(own[0])])
        used.update(own)
    if more := [name for name in flat.names if name not in used]:
        raise ValueError(f"fixed is {fixed!r:.60}, but x has no {more[0]}: give fixed the structure of x")
    return masks


def _is_true(mask: object) -> bool:
    return isinstance(mask, (bool, np.bool_)) and bool(mask)


def _is_setting(leaf: object) -> bool:
    """Return whether a leaf of x can only be fixed, and not be differentiated with respect to."""
    backend = resolve(leaf)
    if backend is not None:
        return not backend.floating(leaf)
    return _is_integer(leaf) or not (is_number(leaf) or is_number_list(leaf))


def _free(fixed: Any, name: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which elements of an array of x are not fixed."""
    backend = resolve(fixed)
    try:
        mask = np.asarray(fixed if backend is None else backend.host(fixed))
    except ValueError:  # lists that differ in length
        mask = np.empty(0)
    if mask.dtype != bool:
        raise TypeError(
            f"fixed is {fixed!r:.60}, but True, False or a boolean array like {name} was expected: True where an"
            " element is fixed"
        )
    if mask.shape not in ((), shape):
        raise ValueError(f"fixed has the shape {mask.shape}, but {name} has the shape {shape}: give it the same shape")
    return np.broadcast_to(~mask, shape)


def _as_parameter(leaf: object, tree: Tree, i: int) -> tuple[Array, Backend]:
    # An array of integers is refused as well: one that counts or names something has no derivative.
    if _is_integer(leaf):
        what = "a list of integers" if isinstance(leaf, list) else f"the integer {leaf}"
        instead = "floats" if isinstance(leaf, list) else f"{leaf}.0"
        raise TypeError(
            f"{tree.names[i]} is {what}, to which no small step can be added: write {instead} to differentiate with"
            " respect to it"
        )
    return as_array(leaf, tree.names[i])


def _is_integer(leaf: object) -> bool:
    if isinstance(leaf, list):
        return is_number_list(leaf) and all(map(_is_integer, leaf))
    return isinstance(leaf, int) and not isinstance(leaf, bool)


def _convert(arrays: list[Array], backends: list[Backend], numbers: Sequence[int]) -> bool:
    """Make arrays of the others' library out of numbers, if that is one and not NumPy; return whether it is."""
    made = set(numbers)
    others = [i for i in range(len(arrays)) if i not in made]
    if not others or any(backends[i] is not backends[others[0]] for i in others):
        return False
    like, library = arrays[others[0]], backends[others[0]]
    if library is load("numpy"):
        return False
    xp = array_namespace(like)
    # At least float32: float16 has no numbers above 65504.
    widest = xp.result_type(xp.float32, *(_real(xp, arrays[i].dtype) for i in others))
    for i in numbers:
        if backends[i] is not library and "complex" not in str(arrays[i].dtype):
            arrays[i] = xp.asarray(arrays[i].tolist(), dtype=widest, device=device(like))
            backends[i] = library
    return True


def _real(xp: Any, dtype: Any) -> Any:
    return xp.real(xp.zeros((), dtype=dtype)).dtype if xp.isdtype(dtype, "complex floating") else dtype


def _entered(contexts: Iterator[AbstractContextManager[object]]) -> AbstractContextManager[object]:
    with ExitStack() as stack:
        entered = False
        for context in contexts:
            if not isinstance(context, nullcontext):
                stack.enter_context(context)
                entered = True
        return stack.pop_all() if entered else nullcontext()


def _arrived(makers: Sequence[Callable[[], AbstractContextManager[object]]]) -> AbstractContextManager[object]:
    return _entered(make() for make in makers)
