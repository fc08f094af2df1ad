"""x as a list of leaves, and back. optree knows the containers; users register their own types with it."""

from __future__ import annotations

import copy
import dataclasses
import numbers
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from anygrad._typing import PyTree

# Where users register their own containers with optree; those registered globally are known as well.
NAMESPACE = "anygrad"

Leaves = list[tuple[str, Any]]
Rebuild = Callable[[Iterable[Any]], PyTree]


def flatten(tree: PyTree, name: str = "x", *, none_is_leaf: bool = False) -> tuple[Leaves, Rebuild]:
    """Return the leaves with the expressions that name them, and the function that puts such leaves together.

    Dict, list, tuple, namedtuple, whatever is registered with optree in ``NAMESPACE``, and dataclass instances are
    containers; a (nested) list of numbers is a leaf. None is an empty tree, or a leaf if that is asked for.
    """
    if hasattr(tree, "dtype") and hasattr(tree, "shape"):  # an array, which is nearly always what x is
        return [(name, tree)], only
    import optree  # noqa: PLC0415 - takes a fifth of NumPy's own import time, and arrays alone need none of it

    accessors, nodes, structure = optree.tree_flatten_with_accessor(
        tree, is_leaf=is_number_list, none_is_leaf=none_is_leaf, namespace=NAMESPACE
    )
    opened = [
        _open(node, accessor.codify(name), none_is_leaf=none_is_leaf)
        for accessor, node in zip(accessors, nodes, strict=True)
    ]
    leaves = [leaf for part, _ in opened for leaf in part]
    takes = [take for _, take in opened]  # rebuild holds no leaf

    def rebuild(values: Iterable[Any]) -> PyTree:
        remaining = iter(values)
        return structure.unflatten([take(remaining) for take in takes])

    return leaves, rebuild


def only(values: Iterable[Any]) -> Any:
    """Return the one value that there is."""
    [value] = values
    return value


def is_number_list(node: object) -> bool:
    """Return whether ``node`` is a list of numbers, of lists of numbers, and so on."""
    return isinstance(node, list) and bool(node) and all(is_number(item) or is_number_list(item) for item in node)


def is_number(node: object) -> bool:
    """Return whether ``node`` is a number that can be differentiated by: a bool is not."""
    return isinstance(node, numbers.Complex) and not isinstance(node, bool)


def _open(node: Any, name: str, *, none_is_leaf: bool) -> tuple[Leaves, Callable[[Iterator[Any]], Any]]:
    """Return the leaves below a leaf of optree, and the function that rebuilds it from an iterator of leaves."""
    if not dataclasses.is_dataclass(node) or isinstance(node, type):
        return [(name, node)], next
    fields = [field.name for field in dataclasses.fields(node) if field.init]
    parts = [flatten(getattr(node, field), f"{name}.{field}", none_is_leaf=none_is_leaf) for field in fields]

    def rebuild(values: Iterator[Any]) -> Any:
        # Not dataclasses.replace: it would run __post_init__ once more, and lose what is not a field.
        rebuilt = copy.copy(node)
        for field, (leaves, remake) in zip(fields, parts, strict=True):
            object.__setattr__(rebuilt, field, remake([next(values) for _ in leaves]))
        return rebuilt

    return [leaf for leaves, _ in parts for leaf in leaves], rebuild
