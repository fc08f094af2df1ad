"""What code uses: global variables, what it imports, and the attributes that are taken of these."""

from __future__ import annotations

import dis
import re
import types
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple, TypeAlias

Path: TypeAlias = tuple[str, ...]  # a name, an attribute of what has it, an attribute of that, and so on
Step: TypeAlias = tuple[str, Any]  # what an instruction does, and with what: mostly a name

# What is between a name and its attribute: ``m.n += 1`` copies m, and long code has longer instructions.
_PASSED_OVER = ("COPY", "EXTENDED_ARG", "NOP")


class Import(NamedTuple):
    """An import statement: the module's name, from how many packages up, and what of it."""

    name: str
    level: int
    items: Path


class Imported(NamedTuple):
    """What is used of a module that is imported: the module itself if the path is empty, or ends at a module."""

    name: str
    level: int
    path: Path


class Usage(NamedTuple):
    """What a function's code uses, and the functions within it.

    A path is as long as can be read: where a module is stored, or handed to something, it ends at the module.
    """

    variables: frozenset[Path]
    imports: tuple[Import, ...]
    imported: frozenset[Imported]


@cache
def usage_of(code: types.CodeType) -> Usage:
    """Return what code uses."""
    codes = [[*_steps(each)] for each in _with_inner(code)]
    paths = {found for steps in codes for found in _paths(steps)}
    bound = [binding for steps in codes for binding in _bound(steps)]
    # By the name alone: functions within use what is imported around them.
    loaded = {use._replace(path=use.path + path[1:]) for _, path in paths for name, use in bound if name == path[0]}
    return Usage(
        frozenset(path for kind, path in paths if kind == "global"),
        tuple(_import(steps, i) for steps in codes for i, (kind, _) in enumerate(steps) if kind == "import"),
        frozenset(loaded.union(use for _, use in bound if use.path)),
    )


def names_within(code: types.CodeType) -> Iterator[str]:
    """Yield what code names, that within it included: variables, attributes and modules."""
    for each in _with_inner(code):
        yield from each.co_names


def strings_within(code: types.CodeType) -> Iterator[str]:
    """Yield what may be the names of attributes for getattr."""
    for each in _with_inner(code):
        yield from (const for const in each.co_consts if isinstance(const, str))


def _with_inner(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _with_inner(const)


def _steps(code: types.CodeType) -> Iterator[Step]:
    """Yield what instructions do, in words that do not change with the version of Python."""
    for line in dis.get_instructions(code):
        if line.opname in _PASSED_OVER:
            continue
        if line.opcode in dis.haslocal and isinstance(line.argval, tuple):  # two instructions in one
            kinds = ("local" if part == "LOAD" else "store" for part in re.findall("LOAD|STORE", line.opname))
            yield from zip(kinds, line.argval, strict=True)
        else:
            yield _kind(line), line.argval


def _kind(line: dis.Instruction) -> str:
    if line.opname in ("IMPORT_NAME", "IMPORT_FROM"):
        return "import" if line.opname == "IMPORT_NAME" else "from"
    if line.opname == "LOAD_METHOD" or line.opname.endswith("_ATTR"):
        return "attribute"
    if line.opname.startswith("STORE_"):
        return "store"
    if not line.opname.startswith("LOAD_") or line.opname == "LOAD_CLOSURE":  # that hands a variable on
        return "other"
    if line.opcode in dis.hasname:
        return "global"
    return "local" if line.opcode in dis.haslocal or line.opcode in dis.hasfree else "other"


def _paths(steps: Iterable[Step]) -> Iterator[tuple[str, Path]]:
    """Yield the variables that are loaded, each with the attributes that are taken of it at once."""
    origin = ""
    path: Path = ()
    for kind, name in [*steps, ("other", None)]:
        if kind == "attribute" and path:
            path = (*path, name)
            continue
        if path:
            yield origin, path
        origin, path = kind, ((name,) if kind in ("global", "local") else ())


def _import(steps: list[Step], i: int) -> Import:
    """Return the import statement at a step; before that, its level and its items are loaded."""
    (_, level), (_, items), (_, name) = steps[i - 2 : i + 1]
    return Import(name, level, items or ())


def _bound(steps: list[Step]) -> Iterator[tuple[str, Imported]]:
    """Yield the names that import statements give to things, and what these are.

    ``import a.b`` gives a name to a; ``import a.b as c`` to a.b, which is got as by ``from``, but without items.
    """
    current = Import("", 0, ())
    thing: Imported | None = None
    for i, (kind, name) in enumerate(steps):
        if kind == "import":
            current = _import(steps, i)
            thing = Imported(name.partition(".")[0], current.level, ())
        elif kind == "from":
            thing = Imported(current.name, current.level, (name,) if current.items else ())
        elif kind == "store" and thing is not None:
            yield name, thing
            thing = None
