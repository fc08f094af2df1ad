"""The modules that a function of the user's imports when it is called."""

from __future__ import annotations

import sys
import types
from contextlib import suppress
from importlib import import_module
from importlib.util import resolve_name

from anygrad.evaluators._journal.origin import can_be_own, is_own
from anygrad.evaluators._journal.usage import Import, Path, usage_of


def imported_by(f: types.FunctionType) -> list[tuple[types.ModuleType, Path]]:
    """Return the user's own modules that are imported within a function, and what is used of them.

    They are imported as the function would, to be known before it is called for the first time as they are afterwards.
    """
    package = str(f.__globals__.get("__package__") or f.__globals__.get("__name__"))
    usage = usage_of(f.__code__)
    for statement in usage.imports:
        _bring_in(statement, package)
    found = [(sys.modules.get(_full(name, level, package)), path) for name, level, path in sorted(usage.imported)]
    return [(module, path) for module, path in found if module is not None and is_own(module)]


def _bring_in(statement: Import, package: str) -> None:
    """Import what an import statement does."""
    full = _full(statement.name, statement.level, package)
    if not full or not _is_there(full):
        return
    for item in statement.items:
        if not hasattr(sys.modules.get(full), item):  # or a module of that name would take the place of what is there
            _is_there(f"{full}.{item}")


def _full(name: str, level: int, package: str) -> str:
    try:
        return resolve_name("." * level + name, package) if level else name
    except ImportError:  # beyond the top of the package, as the function will say itself
        return ""


def _is_there(name: str) -> bool:
    """Return whether there is a module of that name in `sys.modules`, or can be."""
    if name in sys.modules:
        return True
    with suppress(Exception, SystemExit):  # which the function will raise itself, or handle, if it comes to that
        if can_be_own(name):
            import_module(name)
    return name in sys.modules
