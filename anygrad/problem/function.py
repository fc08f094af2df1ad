"""The user's f: its values are taken apart into arrays, and put together again."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

from anygrad._typing import Array, PyTree
from anygrad.backends.returned import UNDECLARED_AUX
from anygrad.problem.tree import Tree, flatten, is_number


class Function:
    """f, with its value at x and the structure of its values.

    Parameters
    ----------
    f
        The function.
    has_aux
        Whether f returns ``(value, aux)``.
    vector
        Whether the value is a tree of arrays; otherwise it is one number.
    shape
        The shape that the value must have, if it is to be one array of a certain shape.
    called
        The user's name for it.
    """

    def __init__(
        self,
        f: Callable[[Any], Any],
        *,
        has_aux: bool = False,
        vector: bool = False,
        shape: tuple[int, ...] | None = None,
        called: str = "f",
    ) -> None:
        self.f = f
        self.has_aux = has_aux
        self.vector = vector
        # The shapes of the arrays that f returns, and their names, when it has been called.
        self.shapes: list[tuple[int, ...]] | None = None
        self.names: list[str] = []
        # The extra output of the first call, which is that at x; ``aux_known`` says whether there was one.
        self.aux: Any = None
        # The value at x as the user gave it, unpacked: a number, or a list of arrays for a vector function.
        self.f0: Any = None
        # The value at x as working numbers, and the memory that they are of, when it has been evaluated.
        self.base: Any = None
        self._called = called
        self._shape = shape
        self._tree: Tree | None = None
        self.alone = False  # whether f returned one array, and not a tree of them
        self.aux_known = False
        self._f0_given = False

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs to take apart what f returns: not f itself, nor what f returned here."""
        return {**self.__dict__, "f": None, "aux": None, "f0": None, "base": None, "_tree": None}

    @property
    def returns_number(self) -> bool:
        """Whether what f returns is the one number that is wanted, and nothing need be taken apart."""
        return not (self.has_aux or self.vector)

    def unpack(self, returned: Any, leading: int = 0) -> Any:
        """Return the value of what f returned, and keep the rest; for many points there is a leading axis."""
        value = self._without_aux(returned) if self.has_aux else returned
        return self._leaves(value, leading) if self.vector else value

    def know(self, f0: Any) -> None:
        """Take from the user what f returns at x."""
        self._f0_given = True
        try:
            self.f0 = self.unpack(f0)
        except (TypeError, ValueError) as error:  # it is unpacked as what f returns, but f has not been called
            raise type(error)(str(error).replace("f returned", "f0 is", 1)) from None

    def misfit(self) -> str | None:
        """Return how the arguments that f is called with differ from those that it takes, for a sentence."""
        bound = self.f if isinstance(self.f, WithArguments) else WithArguments(self.f, (), {})
        positional = bound.positional(bound.argnums)  # any x will do
        try:
            signature = inspect.signature(bound.f)
        except (TypeError, ValueError):  # of functions written in C
            return None
        try:
            signature.bind(*positional, **bound.kwargs)
        except TypeError as error:
            plural = "s" * (len(positional) != 1)
            given = " and ".join(
                [f"{len(positional)} positional argument{plural}", *(f"{own}=" for own in bound.kwargs)]
            )
            return (
                f"{self._called}{signature} was called with {given} ({error}): pass its arguments besides x as"
                " args=(...) or kwargs={...}"
            )
        return None

    def know_aux(self, aux: Any) -> None:
        """Take the extra output at x from a journal that has kept it."""
        self.aux, self.aux_known = aux, True

    def rebuilt(self, leaves: Iterable[Array]) -> PyTree:
        """Put together a tree like the one that f returns."""
        assert self._tree is not None
        return self._tree.rebuild(list(leaves))

    @property
    def size(self) -> int:
        """How many elements f returns in all."""
        return sum(map(math.prod, self.shapes or ()))

    @property
    def outputs(self) -> list[tuple[slice, tuple[int, ...]]]:
        """Where each array that f returns is among the elements of all of them, and its shape."""
        return spans(self.shapes or ())

    def _without_aux(self, returned: Any) -> Any:
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise TypeError(
                f"{self._called} returned {returned!r:.60}, but with has_aux=True a pair (value, aux) was expected"
            )
        value, aux = returned
        if not self.aux_known:  # the first call is f(x)
            self.know_aux(aux)
        return value

    def _leaves(self, value: PyTree, leading: int = 0) -> list[Any]:
        if self.alone and (isinstance(value, float) or hasattr(value, "dtype")):
            shape = () if isinstance(value, float) else value.shape[leading:]
            if [shape] == self.shapes:  # as nearly always
                return [value]
        if value is None:  # no empty tree
            wanted = "an array, a number or a tree of these" if self._shape is None else "an array like x"
            raise TypeError(
                f"{self._called} returned None, but {wanted} was expected: does it lack a return statement?"
            )
        tree = flatten(value, "f(x)")
        leaves, names = tree.leaves, tree.names
        shapes = [_shape(leaf)[leading:] for leaf in leaves]
        if self._shape is not None:
            self._require_shape(shapes, pair=_is_pair(value))
        if self.shapes is None:
            if _is_pair(value) and not all(_is_numeric(leaf) for leaf in leaves):
                raise TypeError(
                    f"{self._called} returned a tuple, but arrays and numbers were expected: {UNDECLARED_AUX}"
                )
            self.shapes, self._tree, self.names = shapes, tree, names
            self.alone = names == ["f(x)"]
        elif shapes != self.shapes:
            raise self._mismatch("arrays of shape", _listed(shapes), _listed(self.shapes))
        elif names != self.names:
            raise self._mismatch("the parts", ", ".join(names), ", ".join(self.names))
        return leaves

    def _mismatch(self, kind: str, now: str, before: str) -> ValueError:
        if self._f0_given:
            return ValueError(f"f0 has {kind} {before}, but f returned {kind} {now}: f0 must be f(x)")
        return ValueError(
            f"{self._called} returned {kind} {now} at one point and {before} at another: let it return the same at all"
            " points"
        )

    def _require_shape(self, shapes: Sequence[tuple[int, ...]], *, pair: bool) -> None:
        wanted = self._shape
        assert wanted is not None
        if list(shapes) == [wanted] or (math.prod(wanted) == 1 and [math.prod(shape) for shape in shapes] == [1]):
            return
        one = [math.prod(shape) for shape in shapes] == [1]
        returned = "one number" if one else f"arrays of shape {_listed(shapes)}"
        aux = f"{UNDECLARED_AUX}, or " if pair else ""
        raise ValueError(
            f"f returned {returned} for x of shape {wanted}, but the shape of x was expected, from an f that works"
            f" element by element: {aux}use anygrad.{'numerical_gradient' if one else 'jacobian'}(f, x)"
        )


class WithArguments:
    """f as a function of x alone, with other arguments bound. Unlike a closure, it can be pickled.

    x comes before ``args``; or it takes the place of one of them, or of several, with ``argnums``.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        argnums: int | tuple[int, ...] | None = None,
    ) -> None:
        self.f = f
        self.args = args
        self.kwargs = kwargs
        self.argnums = argnums
        self.__qualname__ = qualname_of(f)

    def __call__(self, x: PyTree) -> Any:
        """Call f."""
        return self.f(*self.positional(x), **self.kwargs)

    def positional(self, x: PyTree) -> Sequence[Any]:
        """Return the positional arguments of f."""
        if self.argnums is None:
            return (x, *self.args)
        args = list(self.args)
        for place, own in [(self.argnums, x)] if isinstance(self.argnums, int) else zip(self.argnums, x, strict=True):
            args[place] = own
        return args


def qualname_of(f: Callable[..., object]) -> str:
    """Return the name by which a journal knows a function."""
    return str(getattr(f, "__qualname__", type(f).__qualname__))


def spans(shapes: Sequence[tuple[int, ...]]) -> list[tuple[slice, tuple[int, ...]]]:
    """Return where each array lies among the elements of all, and its shape."""
    ends = accumulate(map(math.prod, shapes), initial=0)
    return [(slice(*span), shape) for span, shape in zip(pairwise(ends), shapes, strict=True)]


def _shape(leaf: Any) -> tuple[int, ...]:
    if hasattr(leaf, "shape"):
        return tuple(leaf.shape)
    return (len(leaf), *_shape(leaf[0])) if isinstance(leaf, list) else ()


def _is_pair(value: PyTree) -> bool:
    return type(value) is tuple and len(value) == 2


def _is_numeric(leaf: Any) -> bool:
    return isinstance(leaf, list) or hasattr(leaf, "shape") or hasattr(leaf, "__float__") or is_number(leaf)


def _listed(shapes: Sequence[tuple[int, ...]]) -> str:
    return ", ".join(map(str, shapes))
