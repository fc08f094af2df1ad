"""What a function of the user's uses, thing by thing: their functions and classes, and the variables of their modules.

Each has facts of its own, so that one which changes while f runs, such as a counter, takes no other with it.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any, TypeAlias

from anygrad.evaluators._journal.digest import Walk, hashed
from anygrad.evaluators._journal.imported import imported_by
from anygrad.evaluators._journal.makeup import (
    Parts,
    attributes_of,
    is_plain_object,
    named,
    names_within,
    of_class,
    parts_of,
    strings_within,
)
from anygrad.evaluators._journal.origin import is_own

# What is followed into, with a label for it, when what has it is made up of it.
_WITHIN = ("function", "method", "object")
# Objects of the user's are taken apart so deep; what they hold farther down changes together.
_OPENED = 3

Item: TypeAlias = tuple[str, Any, bytes]  # a label, the thing, and its hash


def digest(value: object) -> bytes:
    """Return a hash of any value, and of what it uses, that is the same in every process.

    Arrays are hashed by their numbers, functions by their code and what they hold, objects by their attributes, and
    what tells nothing of itself (a file, a lock) by its type.
    """
    inventory = Inventory()
    whole = inventory.hashed(value)
    used = [hashed(label, held) for label, _, held in inventory.facts()]
    return hashed(whole, *used) if used else whole


def inventory_of(f: Any) -> Iterator[Item]:
    """Yield what f is made of, and what it uses."""
    inventory = Inventory()
    yield from inventory.root(f)
    yield from inventory.facts()


class Inventory:
    """The user's own functions, classes and modules that have been met, and what is still to be looked at.

    Of a module counts what is named in the code of any function that has been met, as an attribute, a variable or a
    string: the rest may change as it likes.
    """

    def __init__(self) -> None:
        self._labels: dict[int, str | None] = {}
        self._taken: set[str] = set()
        self._objects: dict[int, str] = {}  # of the user's, by the label of the facts that they have
        self._kept: list[object] = []  # all that has been met, or another could get its address
        self._modules: dict[str, types.ModuleType] = {}
        self._names: set[str] = set()
        self._variables: set[tuple[int, str]] = set()
        self._waiting: list[tuple[str, Parts]] = []
        self._home: dict[str, Any] | None = None

    def root(self, f: Any, label: str = "f") -> Iterator[Item]:
        """Yield what f is made of, and what the function or object in it is."""
        parts = parts_of(f)
        if parts is None:
            yield label, f, self.hashed(f)
            return
        if isinstance(f, types.FunctionType) and is_own(f):
            self._label(f, label)
        if _is_users_object(f):
            self._remember(f, label)
        for name, part in parts:
            if name in _WITHIN:
                yield from self.root(part, label)
            else:
                yield from self._opened(f"{label}: {name}", part)

    def hashed(self, value: object) -> bytes:
        """Return the hash of a value, in which what is met here is known by its label."""
        return Walk(self._meet).of(value)

    def facts(self) -> Iterator[Item]:
        """Yield what all that has been met is made of, and all that is met on the way."""
        while self._waiting or self._find_variables():
            label, parts = self._waiting.pop(0)
            for name, part in parts:
                yield from self._opened(f"{label}: {name}", part)

    def _opened(self, label: str, value: Any, depth: int = 0) -> Iterator[Item]:
        """Yield a thing, or the attributes of an object of the user's one by one; of one met before, where they are.

        Parts of an object often point back to it, and there are as many ways to each as they have attributes.
        """
        if id(value) in self._objects or not _is_users_object(value):
            yield label, value, self.hashed(value)
            return
        if depth == _OPENED:
            yield label, value, self.hashed(value)
            self._remember(value, label)
            return
        self._remember(value, label)
        for name, part in [("class", type(value)), *attributes_of(value)]:
            yield from self._opened(f"{label}: {name}", part, depth + 1)

    def _remember(self, value: object, label: str) -> None:
        """Remember under which label the facts of an object of the user's are."""
        self._objects[id(value)] = label
        self._kept.append(value)

    def _meet(self, value: Any) -> str | None:
        """Return by what a thing is known, whose facts come separately; None if it has none."""
        if isinstance(value, types.ModuleType):
            if is_own(value):
                self._modules.setdefault(value.__name__, value)
            return named(value)
        if not isinstance(value, (types.FunctionType, type)):
            return self._objects.get(id(value))
        if not is_own(value):
            return None
        if id(value) not in self._labels and self._label(value, f"f: {named(value)}"):
            parts = of_class(value) if isinstance(value, type) else parts_of(value)
            self._waiting.append((f"f: {named(value)}", parts or []))
        return self._labels[id(value)]

    def _label(self, value: Any, label: str) -> bool:
        """Give a function or a class its label; return whether it has one, which another of that name may have."""
        self._labels[id(value)] = None if label in self._taken else label
        self._taken.add(label)
        self._kept.append(value)
        if isinstance(value, types.FunctionType):
            self._look_into(value)
        return self._labels[id(value)] is not None

    def _look_into(self, f: types.FunctionType) -> None:
        """Find the variables and modules that a function names."""
        self._home = self._home or f.__globals__
        names = set(names_within(f.__code__))
        for name in sorted(names & f.__globals__.keys()):
            self._vary(f.__globals__, name)
        self._names.update(names, strings_within(f.__code__))
        self._modules.update((module.__name__, module) for module in imported_by(f))

    def _find_variables(self) -> bool:
        """Find variables of the modules that have been met; return whether there are new ones."""
        for module in self._modules.values():
            for name in sorted(self._names & vars(module).keys()):
                self._vary(vars(module), name)
        return bool(self._waiting)

    def _vary(self, variables: dict[str, Any], name: str) -> None:
        if (id(variables), name) in self._variables:
            return
        self._variables.add((id(variables), name))
        full = name if variables is self._home else f"{variables.get('__name__')}.{name}"
        self._waiting.append(("f", [(f"global variable {full!r}", variables[name])]))


def _is_users_object(value: object) -> bool:
    return is_own(type(value)) and not isinstance(value, type) and is_plain_object(value)
