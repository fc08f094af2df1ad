"""x: the arrays in it, and what the user says of each of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from array_api_compat import array_namespace, device

from anygrad._pytree import Leaves, Rebuild, flatten, is_number, is_number_list
from anygrad._typing import Array, PyTree
from anygrad._unlike import unlike
from anygrad._validate import as_array
from anygrad.backends import Backend, Joint, Opener
from anygrad.schemes import Scheme


@dataclass(eq=False)
class Variables:
    """The arrays of x.

    Attributes
    ----------
    names
        The expressions that name them: ``x``, or ``x['W1']``.
    arrays, backends
        The arrays, and the backend of each.
    rebuild
        Puts such arrays together to a tree like x.
    """

    names: Sequence[str]
    arrays: Sequence[Array]
    backends: Sequence[Backend]
    rebuild: Rebuild

    @classmethod
    def of(cls, x: PyTree) -> Variables:
        """Take x apart; raise if it holds anything that cannot be differentiated by."""
        leaves, rebuild = flatten(x)
        if not leaves and x is None:
            as_array(x, "x")  # optree takes None for an empty tree; as an x it is a mistake
        pairs = _of_one_library(leaves, [as_array(leaf, name) for name, leaf in leaves])
        return cls([name for name, _ in leaves], [array for array, _ in pairs], [kind for _, kind in pairs], rebuild)

    @property
    def alone(self) -> bool:
        """Whether x is one array."""
        return len(self.names) == 1 and self.names[0] == "x"

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

    def context(self) -> AbstractContextManager[object]:
        """Return the contexts of all arrays, as one."""
        return Joint(tuple(self.backends)).context(self.arrays)

    def require_real(self, operator: str) -> None:
        """Raise if x is complex."""
        for name, array in zip(self.names, self.arrays, strict=True):
            if "complex" in str(array.dtype):
                raise TypeError(
                    f"{name} has the dtype {array.dtype}, but {operator} needs real numbers: write f as a function of"
                    " the real and the imaginary part"
                )

    def require_some(self) -> None:
        """Raise if x is a tree without an array in it."""
        if not self.names:
            raise ValueError("x is a tree without an array or a number in it: there is nothing to differentiate by")

    def joint(self) -> tuple[Array, Opener, Rebuild]:
        """Return all of x as one array of one backend, and what makes x of that again."""
        if self.alone:
            return self.arrays[0], self.backends[0], lambda array: array
        backend: Opener = Joint(tuple(self.backends))
        return list(self.arrays), backend, self.rebuild

    def with_leaf(self, position: int) -> Callable[[Array], PyTree]:
        """Return what puts x together with another array in the place of one of its own."""
        if self.alone:
            return lambda leaf: leaf
        before, after = self.arrays[:position], self.arrays[position + 1 :]
        return lambda leaf: self.rebuild([*before, leaf, *after])

    def with_leaves(self, position: int) -> Callable[[Array], PyTree]:
        """Return the same for many arrays in that place, along a leading axis: each of the others is repeated."""

        def many(leaves: Array) -> PyTree:
            count = leaves.shape[0]
            repeated = [array_namespace(array).broadcast_to(array, (count, *array.shape)) for array in self.arrays]
            return dataclasses.replace(self, arrays=repeated).with_leaf(position)(leaves)

        return many

    def leaves_of(self, tree: PyTree, name: str) -> list[Any]:
        """Return what ``tree``, a tree like x or one thing for all of its arrays, has for each of them."""
        if self.alone or tree is None or is_number(tree) or is_number_list(tree) or hasattr(tree, "shape"):
            return [tree for _ in self.names]
        leaves, _ = flatten(tree, none_is_leaf=True)
        leaves = [(place, leaf) for place, leaf in leaves if leaf is not None or place in self.names]
        if cause := unlike([place for place, _ in leaves], self.names):
            raise ValueError(
                f"{name} is {tree!r:.60}, but x consists of {', '.join(self.names)}: give one thing for"
                f" each of these, in a structure like that of x; there is {cause}"
            )
        return [leaf for _, leaf in leaves]

    def require_like(self, tree: PyTree, name: str) -> None:
        """Raise unless what a function has returned is a tree of arrays like those of x."""
        leaves, _ = flatten(tree)
        shapes = [tuple(leaf.shape) for _, leaf in leaves]
        if cause := unlike([place for place, _ in leaves], self.names, shapes, self.shapes):
            raise ValueError(f"{name} returned {cause}; it must return what is like x")

    def schemes(self, scheme: Scheme) -> Iterator[Scheme]:
        """Return the scheme for each array: with its own step, if the steps are a tree like x."""
        step = getattr(scheme, "step", None)
        if self.alone or hasattr(step, "steps") or not dataclasses.is_dataclass(scheme):
            return (scheme for _ in self.names)
        steps = self.leaves_of(step, "the step")
        return (scheme if own is step else dataclasses.replace(scheme, step=own) for own in steps)

    def joint_scheme(self, scheme: Scheme) -> Scheme:
        """Return the scheme for all arrays at once: with a list of steps, if the steps are more than one number."""
        step = getattr(scheme, "step", None)
        if (
            self.alone
            or step is None
            or is_number(step)
            or hasattr(step, "steps")
            or not dataclasses.is_dataclass(scheme)
        ):
            return scheme
        return dataclasses.replace(scheme, step=self.leaves_of(step, "the step"))


def _of_one_library(leaves: Leaves, pairs: list[tuple[Array, Backend]]) -> list[tuple[Array, Backend]]:
    """Return arrays and their backends; what is made of numbers, of the library of the others, if they are of one."""
    plain = [is_number(leaf) or is_number_list(leaf) for _, leaf in leaves]
    others = [pair for pair, number in zip(pairs, plain, strict=True) if not number]
    if not others or len(others) == len(pairs) or any(backend is not others[0][1] for _, backend in others):
        return pairs
    like, library = others[0]
    xp = array_namespace(like)
    # At least float32: float16 has no numbers above 65504.
    widest = xp.result_type(xp.float32, *(_real(xp, array.dtype) for array, _ in others))

    def converted(array: Array, backend: Backend) -> tuple[Array, Backend]:
        if backend is library or "complex" in str(array.dtype):
            return array, backend
        return xp.asarray(array.tolist(), dtype=widest, device=device(like)), library

    return [converted(*pair) if number else pair for pair, number in zip(pairs, plain, strict=True)]


def _real(xp: Any, dtype: Any) -> Any:
    return xp.real(xp.zeros((), dtype=dtype)).dtype if xp.isdtype(dtype, "complex floating") else dtype
