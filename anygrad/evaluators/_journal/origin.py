"""Whose a function, a class or a module is: the user's own, or an installed library's."""

from __future__ import annotations

import re
import sys
import sysconfig
import types
from functools import cache
from importlib.util import find_spec
from typing import Any

# Where installers put libraries, of this Python and of others.
_INSTALLED = re.compile(r"[\\/](site|dist)-packages[\\/]")


def is_own(value: Any) -> bool:
    """Return whether a function, a class or a module is the user's own."""
    if isinstance(value, types.FunctionType):
        return _is_own_function(value)
    if isinstance(value, types.ModuleType):
        return _is_own_module(value)
    module = getattr(value, "__module__", None)
    return not isinstance(module, str) or _is_own_name(module)


def can_be_own(name: str) -> bool:
    """Return whether a module that is not yet imported is the user's own, as far as its package tells."""
    top = name.partition(".")[0]
    if top in sys.modules:
        return _is_own_name(top)
    spec = find_spec(top)
    return spec is not None and _is_own_place(spec.origin or next(iter(spec.submodule_search_locations or ()), None))


def _is_own_function(f: types.FunctionType) -> bool:
    place = f.__code__.co_filename
    if not place.startswith("<"):
        return not _in_library(place)
    return _is_own_name(str(f.__globals__.get("__name__")))  # generated, as a dataclass's __init__ is


def _is_own_name(name: str) -> bool:
    if name == "builtins":
        return False
    module = sys.modules.get(name) or sys.modules.get(name.partition(".")[0])
    return module is None or _is_own_module(module)


def _is_own_module(module: types.ModuleType) -> bool:
    place = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    if place is None:  # built in, or made by hand: by the user, or by a package within itself
        package = module.__name__.partition(".")[0]
        if package in sys.stdlib_module_names or package in sys.builtin_module_names:
            return False
        return package == module.__name__ or _is_own_name(package)
    return _is_own_place(place)


def _is_own_place(place: Any) -> bool:
    return isinstance(place, str) and place not in ("built-in", "frozen") and not _in_library(place)


@cache
def _in_library(place: str) -> bool:
    return place.startswith(_libraries()) or _INSTALLED.search(place) is not None


@cache
def _libraries() -> tuple[str, ...]:
    own = __file__.rpartition("evaluators")[0]
    return (own, *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib")))
