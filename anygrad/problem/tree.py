"""x as a list of leaves, and back. optree knows the containers; users register their own types with it."""

from __future__ import annotations

import copy
import dataclasses
import numbers
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from operator import itemgetter
from typing import Any

from anygrad._typing import PyTree

# Where users register their own containers with optree; those registered globally are known as well.
NAMESPACE = "anygrad"

_LISTED = 4


@dataclass(eq=False)
class Tree:
    """A tree taken apart.

    Attributes
    ----------
    leaves
        The leaves in order.
    rebuild
        Puts as many leaves together to a tree like this one.
    """

    leaves: list[Any]
    rebuild: Callable[[Sequence[Any]], PyTree]
    _names: Callable[[], list[str]]

    @cached_property
    def names(self) -> list[str]:
        """The expressions that name the leaves, as ``x['W1']``."""
        return self._names()


def without(tree: Tree, held: Mapping[int, Any]) -> Tree:
    """Return the tree of the other leaves, whose ``rebuild`` puts what is held, by its position, in its place."""

    def rebuild(values: Iterable[Any]) -> PyTree:
        remaining = iter(values)
        return tree.rebuild([held[i] if i in held else next(remaining) for i in range(len(tree.leaves))])

    def others(of_all: Iterable[Any]) -> list[Any]:
        return [one for i, one in enumerate(of_all) if i not in held]

    return Tree(others(tree.leaves), rebuild, lambda: others(tree.names))


def flatten(tree: PyTree, name: str = "x", *, none_is_leaf: bool = False) -> Tree:
    """Take a tree apart.

    Dict, list, tuple, namedtuple, whatever is registered with optree in ``NAMESPACE``, and dataclass instances are
    containers; a (nested) list of numbers is a leaf. None is an empty tree, or a leaf if that is asked for.
    """
    if hasattr(tree, "dtype") and hasattr(tree, "shape"):  # an array, which is nearly always what x is
        return Tree([tree], only, lambda: [name])
    import optree  # noqa: PLC0415 - takes a fifth of NumPy's own import time, and arrays alone need none of it

    options: Any = {"is_leaf": is_number_list, "none_is_leaf": none_is_leaf, "namespace": NAMESPACE}
    nodes, structure = optree.tree_flatten(tree, **options)
    if not any(map(_is_dataclass, nodes)):
        # Not structure.unflatten, which cannot be sent to another process.
        return Tree(
            nodes,
            partial(optree.tree_unflatten, structure),
            lambda: [accessor.codify(name) for accessor in structure.accessors()],
        )
    parts = [
        _fields(node, accessor.codify(name), none_is_leaf=none_is_leaf) if _is_dataclass(node) else node
        for accessor, node in zip(structure.accessors(), nodes, strict=True)
    ]
    whole = [part if isinstance(part, Tree) else None for part in parts]

    def rebuild(values: Iterable[Any]) -> PyTree:
        remaining = iter(values)
        return structure.unflatten(
            next(remaining) if part is None else part.rebuild([next(remaining) for _ in part.leaves]) for part in whole
        )

    def names() -> list[str]:
        own_names = [accessor.codify(name) for accessor in structure.accessors()]
        pairs = zip(own_names, whole, strict=True)
        return [leaf for own, part in pairs for leaf in ([own] if part is None else part.names)]

    leaves = [leaf for part in parts for leaf in (part.leaves if isinstance(part, Tree) else [part])]
    return Tree(leaves, rebuild, names)


def only(values: Iterable[Any]) -> Any:
    """Return the one value that there is."""
    [value] = values
    return value


# An x that is one array.
ARRAY = Tree([], itemgetter(0), lambda: ["x"])


def is_number_list(node: object) -> bool:
    """Return whether ``node`` is a list of numbers, of lists of numbers, and so on."""
    return isinstance(node, list) and bool(node) and all(is_number(item) or is_number_list(item) for item in node)


def is_number(node: object) -> bool:
    """Return whether ``node`` is a number that can be differentiated by: a bool is not."""
    return isinstance(node, numbers.Complex) and not isinstance(node, bool)


def describe_mismatch(
    given: Sequence[str],
    expected: Sequence[str],
    shapes: Sequence[tuple[int, ...]] | None = None,
    wanted: Sequence[tuple[int, ...]] | None = None,
) -> str | None:
    """Return how a tree differs from the one expected, for a sentence to end with; None if it does not.

    Trees are given by the names of their leaves, and by the shapes, where these count as well.
    """
    if list(given) == list(expected):
        triples = () if shapes is None or wanted is None else zip(given, shapes, wanted, strict=True)
        differing = (triple for triple in triples if triple[1] != triple[2])
        return next((f"{name} of shape {a} instead of {b}" for name, a, b in differing), None)
    if sorted(given) == sorted(expected):
        return (
            f"{listed(given)} instead of {listed(expected)} (a dict is sorted by its keys, an OrderedDict is not: use"
            " the same type)"
        )
    missing, others = _without(expected, given), _without(given, expected)
    if not others:
        return f"nothing for {listed(missing)}"
    if not missing:
        return f"{listed(others)} in addition"
    return f"{listed(others)} instead of {listed(missing)}"


def _is_dataclass(node: object) -> bool:
    return hasattr(type(node), "__dataclass_fields__") and not isinstance(node, type)


def _fields(node: Any, name: str, *, none_is_leaf: bool) -> Tree:
    fields = [field.name for field in dataclasses.fields(node) if field.init]
    parts = [flatten(getattr(node, field), f"{name}.{field}", none_is_leaf=none_is_leaf) for field in fields]

    def rebuild(values: Iterable[Any]) -> Any:
        remaining: Iterator[Any] = iter(values)
        # Not dataclasses.replace: it would run __post_init__ once more, and lose what is not a field.
        rebuilt = copy.copy(node)
        for field, part in zip(fields, parts, strict=True):
            object.__setattr__(rebuilt, field, part.rebuild([next(remaining) for _ in part.leaves]))
        return rebuilt

    return Tree(
        [leaf for part in parts for leaf in part.leaves],
        rebuild,
        lambda: [name for part in parts for name in part.names],
    )


def _without(names: Sequence[str], others: Sequence[str]) -> list[str]:
    left_out = set(others)
    return [name for name in names if name not in left_out]


def listed(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more:,} more" if more > 0 else "")
