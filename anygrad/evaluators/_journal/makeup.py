"""What functions, classes and objects are made of."""

from __future__ import annotations

import sysconfig
import types
from collections.abc import Iterable
from functools import cache
from typing import Any

Parts = list[tuple[str, Any]]


def of_function(f: types.FunctionType) -> Parts:
    """Return what a function is made of: its code, its defaults, and the variables that it reads."""
    cells = zip(f.__code__.co_freevars, f.__closure__ or (), strict=True)
    keywords = (f.__kwdefaults__ or {}).items()
    return [
        ("name", named(f)),
        ("code", f.__code__),
        ("defaults of its arguments", f.__defaults__),
        *((f"default of its argument {name!r}", item) for name, item in keywords),
        *((f"closure variable {name!r}", _content(cell)) for name, cell in cells),
        *((f"global variable {name!r}", item) for name, item in _globals(f)),
    ]


def of_class(kind: type) -> Parts:
    """Return the methods of a class that is not from a library."""
    methods = ((name, _function(member)) for base in kind.__mro__ for name, member in vars(base).items())
    return [(name, method) for name, method in methods if method is not None and not _from_library(method)]


def is_plain_object(value: Any) -> bool:
    """Return whether an object is its attributes: whether its class does not say otherwise to pickle and copy."""
    kind = type(value)
    says = ("__getstate__", "__reduce__", "__reduce_ex__", "__getnewargs__", "__getnewargs_ex__")
    return hasattr(value, "__dict__") and all(getattr(kind, n, None) is getattr(object, n, None) for n in says)


def attributes_of(value: Any) -> Parts:
    """Return an object's attributes."""
    slots = [name for base in type(value).__mro__ for name in _slots(base) if hasattr(value, name)]
    attributes = getattr(value, "__dict__", None)
    own = [*attributes.items()] if isinstance(attributes, dict) else []
    return [(f"attribute {name!r}", item) for name, item in [*own, *((n, getattr(value, n)) for n in slots)]]


def named(value: Any) -> str:
    """Return the name by which a function, a class or a module is imported."""
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None) or type(value).__qualname__
    module = getattr(value, "__module__", None)
    return f"{module}.{name}" if module else name


def _globals(f: types.FunctionType) -> Iterable[tuple[str, Any]]:
    """Return the global variables that a function of the user's names; a library is known by its name."""
    if _from_library(f):
        return
    for name in sorted(set(_names_within(f.__code__))):
        if name in f.__globals__ and not isinstance(f.__globals__[name], types.ModuleType):
            yield name, f.__globals__[name]


def _names_within(code: types.CodeType) -> Iterable[str]:
    yield from code.co_names
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _names_within(const)


def _from_library(f: types.FunctionType) -> bool:
    return f.__code__.co_filename.startswith(_libraries()) or "-packages" in f.__code__.co_filename


@cache
def _libraries() -> tuple[str, ...]:
    own = __file__.rpartition("evaluators")[0]
    return (own, "<frozen", *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib")))


def _content(cell: types.CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # not yet assigned
        return NotImplemented


def _function(member: object) -> types.FunctionType | None:
    """Return the function of a method, a static or class method, or a property."""
    inner = getattr(member, "__func__", None) or getattr(member, "fget", None) or member
    return inner if isinstance(inner, types.FunctionType) else None


def _slots(kind: type) -> Iterable[str]:
    slots = vars(kind).get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else slots
    return [name for name in names if name not in ("__dict__", "__weakref__")]
