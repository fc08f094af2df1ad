"""What a function of the user's uses, thing by thing: their functions and classes, and the variables of their modules.

Each has facts of its own, so that one which changes while f runs, such as a counter, takes no other with it.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from anygrad.evaluators._journal.digest import Walk, hashed
from anygrad.evaluators._journal.imported import imported_by
from anygrad.evaluators._journal.makeup import (
    Parts,
    attributes_of,
    is_plain_object,
    named,
    of_class,
    parts_of,
)
from anygrad.evaluators._journal.origin import is_own
from anygrad.evaluators._journal.usage import names_within, strings_within, usage_of

# What is followed into, with a label for it, when what has it is made up of it.
_WITHIN = ("function", "method", "object")
# Objects of the user's are taken apart so deep; what they hold farther down changes together.
_OPENED = 3
# By these an attribute can be had whose name is a string.
_BY_STRING = {"getattr", "vars", "__dict__", "__getattribute__", "attrgetter", "methodcaller"}

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

    Of a module count the attributes that the code of a function that has been met takes of it by name: the rest may
    change as it likes. Where a module is handed around (stored, passed to something, held by an object), what is taken
    of it cannot be read; there counts whatever is called what any of that code names, be it in a string for getattr.
    """

    def __init__(self) -> None:
        self._labels: dict[int, str | None] = {}
        self._taken: set[str] = set()
        self._objects: dict[int, str] = {}  # of the user's, by the label of the facts that they have
        self._kept: list[object] = []  # all that has been met, or another could get its address
        self._handed_around: list[types.ModuleType] = []
        self._names: set[str] = set()
        self._strings: set[str] = set()
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
            self._use(value, ())
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
        """Find the variables and modules that a function uses."""
        self._home = self._home or f.__globals__
        for name, *path in sorted(usage_of(f.__code__).variables):
            if name in f.__globals__:
                self._vary(f.__globals__, name, path)
        for module, within in imported_by(f):
            self._use(module, within)
        self._names.update(names_within(f.__code__))
        self._strings.update(strings_within(f.__code__))

    def _use(self, module: types.ModuleType, path: Sequence[str]) -> None:
        """Note which variable of a module is used, or that it is not known which."""
        if not is_own(module):
            return
        if path and path[0] in vars(module):
            self._vary(vars(module), path[0], path[1:])
        elif module not in self._handed_around:
            self._handed_around.append(module)

    def _find_variables(self) -> bool:
        """Find variables of modules that are handed around; return whether there are new ones."""
        names = self._names | self._strings if self._names & _BY_STRING else self._names
        for module in self._handed_around:  # more of them on the way
            for name in sorted(names & vars(module).keys()):
                self._vary(vars(module), name)
        return bool(self._waiting)

    def _vary(self, variables: dict[str, Any], name: str, path: Sequence[str] = ()) -> None:
        """Note that a variable is used and, if it is a module, which of its own."""
        value = variables[name]
        if isinstance(value, types.ModuleType):
            self._use(value, path)
        if (id(variables), name) in self._variables:
            return
        self._variables.add((id(variables), name))
        self._kept.append(variables)
        full = name if variables is self._home else f"{variables.get('__name__')}.{name}"
        shown = named(value) if isinstance(value, types.ModuleType) else value
        self._waiting.append(("f", [(f"global variable {full!r}", shown)]))


def _is_users_object(value: object) -> bool:
    return is_own(type(value)) and not isinstance(value, type) and is_plain_object(value)
