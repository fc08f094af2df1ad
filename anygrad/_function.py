"""The user's f, as evaluators call it: what it returns taken apart, and put together again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Any

from anygrad._pytree import Rebuild, flatten, is_number
from anygrad._typing import Array, PyTree

_PAIR = "with has_aux=True, f must return a pair (value, aux)"
_UNDECLARED = "if it is (value, aux), pass has_aux=True, or let f return the value alone"


class Function:
    """f with its extra output taken off, and its value, if that is a tree of arrays, as a list of them.

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
        self._called = called
        self._shape = shape
        self._has_aux = has_aux
        self._vector = vector
        self._rebuild: Rebuild | None = None
        self.shapes: list[tuple[int, ...]] | None = None
        self.aux: Any = None
        self._aux_known = False
        self._names: list[str] = []
        self._f0_given = False

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs to take apart what f returns: not f itself, nor what f returned here."""
        return {**self.__dict__, "f": None, "aux": None, "_rebuild": None}

    def of(self, argument: Callable[[Any], Any]) -> Callable[[Any], object]:
        """Return f as a function of what ``argument`` makes its argument of."""
        f = self.f
        return lambda leaf: f(argument(leaf))

    @property
    def unpack(self) -> Callable[[Any], object] | None:
        """What takes apart what f returns for a point; None, if there is nothing to take apart."""
        return self.taken_apart if self._has_aux or self._vector else None

    @property
    def unpack_many(self) -> Callable[[Any], object] | None:
        """The same for an f that is given many points: what it returns has a leading axis."""
        return self._many_taken_apart if self._has_aux or self._vector else None

    def taken_apart(self, returned: object) -> object:
        """Return what evaluators want of what f returned, and keep the rest."""
        value = self._without_aux(returned)
        return self._leaves(value) if self._vector else value

    def given(self, f0: object) -> object:
        """Return the same of what the user says that f returns at x."""
        self._f0_given = True
        return self.taken_apart(f0)

    def _many_taken_apart(self, returned: object) -> object:
        value = self._without_aux(returned)
        return self._leaves(value, leading=1) if self._vector else value

    def _without_aux(self, returned: object) -> object:
        if not self._has_aux:
            return returned
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise TypeError(f"{self._called} returned {returned!r:.60}, but {_PAIR}")
        value, aux = returned
        if not self._aux_known:  # the first call is f(x)
            self.aux, self._aux_known = aux, True
        return value

    def rebuilt(self, leaves: Iterable[Array]) -> PyTree:
        """Put together a tree like the one that f returns."""
        assert self._rebuild is not None
        return self._rebuild(leaves)

    @property
    def alone(self) -> bool:
        """Whether f returned one array, and not a tree of them."""
        return self._names == ["f(x)"]

    @property
    def outputs(self) -> list[tuple[slice, tuple[int, ...]]]:
        """Where each array that f returns is among the elements of all of them, and its shape."""
        ends = list(accumulate(self.sizes, initial=0))
        return [(slice(*span), shape) for *span, shape in zip(ends, ends[1:], self.shapes or (), strict=False)]

    @property
    def sizes(self) -> list[int]:
        """How many elements each array has that f returns."""
        return [math.prod(shape) for shape in self.shapes or ()]

    def _leaves(self, value: PyTree, leading: int = 0) -> list[Any]:
        if value is None:  # no empty tree
            wanted = "an array, a number or a tree of these" if self._shape is None else "an array like x"
            raise TypeError(
                f"{self._called} returned None, but {wanted} was expected: does it lack a return statement?"
            )
        leaves, rebuild = flatten(value, "f(x)")
        names, shapes = [place for place, _ in leaves], [_shape(leaf)[leading:] for _, leaf in leaves]
        if self._shape is not None:
            self._require_shape(shapes, pair=_is_pair(value))
        if self.shapes is None:
            if _is_pair(value) and not all(_is_numeric(leaf) for _, leaf in leaves):
                raise TypeError(f"{self._called} returned a tuple, but arrays and numbers were expected: {_UNDECLARED}")
            self.shapes, self._rebuild, self._names = shapes, rebuild, names
        elif shapes != self.shapes:
            raise self._unlike("arrays of shape", _listed(shapes), _listed(self.shapes))
        elif names != self._names:
            raise self._unlike("a tree of", ", ".join(names), "of " * (not self._f0_given) + ", ".join(self._names))
        return [leaf for _, leaf in leaves]

    def _unlike(self, kind: str, now: str, before: str) -> ValueError:
        if self._f0_given:
            return ValueError(f"f0 is {kind} {before}, but f returned {kind} {now}: f0 must be what f returns at x")
        return ValueError(
            f"{self._called} returned {kind} {now} at one point and {before} at another: the derivative needs the same"
            " at all points"
        )

    def _require_shape(self, shapes: Sequence[tuple[int, ...]], *, pair: bool) -> None:
        wanted = self._shape
        assert wanted is not None
        if list(shapes) == [wanted] or (math.prod(wanted) == 1 and [math.prod(shape) for shape in shapes] == [1]):
            return
        raise ValueError(
            f"f returned an array of shape {_listed(shapes)} for x of shape {wanted}, but one that works element by"
            f" element returns the shape of x: {f'{_UNDECLARED}, or ' * pair}use anygrad.jacobian(f, x) if it does not"
        )


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
