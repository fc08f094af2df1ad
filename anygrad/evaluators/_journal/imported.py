"""The modules that a function of the user's imports when it is called."""

from __future__ import annotations

import dis
import sys
import types
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from importlib.util import resolve_name

from anygrad.evaluators._journal.origin import can_be_own, is_own

_IMPORT = dis.opmap["IMPORT_NAME"]


def imported_by(f: types.FunctionType) -> Iterable[types.ModuleType]:
    """Return the user's own modules that are imported within a function, imported as the function would.

    They are to be known before it is called for the first time as they are afterwards.
    """
    package = str(f.__globals__.get("__package__") or f.__globals__.get("__name__"))
    found = (module for line in _imports(f.__code__) for module in _brought_in(*line, package))
    return [module for module in found if is_own(module)]


def _imports(code: types.CodeType) -> Iterable[tuple[str, int, tuple[str, ...]]]:
    """Yield what import statements import: the module's name, from how many packages up, and what of it."""
    if _IMPORT in code.co_code[::2]:  # taking the code apart takes longer than all else
        lines = [line for line in dis.get_instructions(code) if line.opname != "EXTENDED_ARG"]
        for level, items, line in zip(lines, lines[1:], lines[2:], strict=False):
            if line.opcode == _IMPORT:
                yield line.argval, level.argval, items.argval or ()
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _imports(const)


def _brought_in(name: str, level: int, items: tuple[str, ...], package: str) -> Iterable[types.ModuleType]:
    """Yield the modules that an import statement brings in."""
    try:
        full = resolve_name("." * level + name, package) if level else name
    except ImportError:  # beyond the top of the package, as the function will say itself
        return
    yield from _chain(full)
    for item in items:
        if not hasattr(sys.modules.get(full), item):  # or a module of that name would take the place of what is there
            yield from _chain(f"{full}.{item}")


def _chain(name: str) -> Iterable[types.ModuleType]:
    """Yield the packages that a module is in, and the module, if there is one of that name."""
    if _is_there(name):
        ends = [*(i for i, letter in enumerate(name) if letter == "."), len(name)]
        yield from (sys.modules[name[:end]] for end in ends if name[:end] in sys.modules)


def _is_there(name: str) -> bool:
    """Return whether there is a module of that name in `sys.modules`, or can be."""
    if name in sys.modules:
        return True
    with suppress(Exception, SystemExit):  # which the function will raise itself, or handle, if it comes to that
        if can_be_own(name):
            import_module(name)
    return name in sys.modules
