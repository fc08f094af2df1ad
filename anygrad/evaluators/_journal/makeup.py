"""What functions, classes and objects are made of."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from copyreg import dispatch_table
from typing import Any

from anygrad.evaluators._journal.origin import is_own

Parts = list[tuple[str, Any]]

# What Python and libraries keep in a class for themselves, besides all else that is named so and cannot be called.
_BOOKKEEPING = ("__annotate__", "__annotate_func__", "__signature__", "_abc_impl")
_LAYOUT = (types.MemberDescriptorType, types.GetSetDescriptorType)  # where an object keeps its attributes


def parts_of(value: Any) -> Parts | None:
    """Return what a function, or an object with attributes, is made of, by names in the user's words."""
    for kind, of_kind in _KINDS.items():
        if isinstance(value, kind):
            return of_kind(value)
    wrapped = _wrapped(value)
    if wrapped is not None:
        return [("function", wrapped)]
    if not is_plain_object(value):
        return None
    return [("class", type(value)), *attributes_of(value)]


def of_class(kind: type) -> Parts:
    """Return what a class is made of: its bases, its methods, and its attributes.

    Of a library's class, these are the functions that are not the library's.
    """
    functions = [(name, item) for name, item in vars(kind).items() if isinstance(item, types.FunctionType)]
    if not is_own(kind):
        return [(name, item) for name, item in functions if is_own(item)] + [("bases", kind.__bases__)]
    others = [(name, item) for name, item in vars(kind).items() if not isinstance(item, types.FunctionType)]
    return [
        ("bases", kind.__bases__),
        *([("metaclass", type(kind))] if is_own(type(kind)) else ()),
        ("methods", [(name, item) for name, item in sorted(functions) if name not in _BOOKKEEPING]),
        *((f"attribute {name!r}", item) for name, item in others if _counts(name, item)),
    ]


def reduced(value: Any) -> Parts | None:
    """Return what pickle would make an object of; None for what cannot be taken apart: a file, a lock."""
    reduce = dispatch_table.get(type(value))
    try:
        reduction = reduce(value) if reduce is not None else value.__reduce_ex__(4)
    except Exception:  # of their own classes; the interface has no one class for what cannot be pickled
        return None
    if isinstance(reduction, str):  # by which pickle finds it in its module: math.sin is not cmath.sin
        return [("name", reduction), ("module", getattr(value, "__module__", None))]
    maker, *rest = reduction
    spelled = [list(item) if i in (2, 3) and item is not None else item for i, item in enumerate(rest)]
    return [("maker", named(maker)), *((f"part {i}", item) for i, item in enumerate(spelled))]


def is_plain_object(value: Any) -> bool:
    """Return whether an object is its attributes: whether its class does not say otherwise to pickle and copy."""
    if isinstance(value, (dict, list, type, types.ModuleType)):  # which hold more than attributes
        return False
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


def _of_function(f: types.FunctionType) -> Parts:
    """Return what a function is made of, but for the global variables that it reads."""
    if not is_own(f) and hasattr(f, "registry") and hasattr(f, "dispatch"):
        return _of_dispatcher(f)
    cells = zip(f.__code__.co_freevars, f.__closure__ or (), strict=True)
    keywords = (f.__kwdefaults__ or {}).items()
    return [
        ("name", named(f)),
        ("code", f.__code__),
        ("defaults of its arguments", f.__defaults__),
        *((f"default of its argument {name!r}", item) for name, item in keywords),
        *((f"closure variable {name!r}", _content(cell)) for name, cell in cells),
        *(attributes_of(f) if is_own(f) else ()),
    ]


def _of_dispatcher(f: Any) -> Parts:
    """Return what functools.singledispatch makes of functions, without its cache."""
    return [("name", named(f)), *((f"function for {named(kind)}", item) for kind, item in f.registry.items())]


def _of_method(method: types.MethodType) -> Parts:
    return [("method", method.__func__), ("object", method.__self__)]


def _of_builtin(f: types.BuiltinFunctionType) -> Parts | None:
    """Return what a method of an object that is not written in Python is made of; None for a function."""
    if f.__self__ is None or isinstance(f.__self__, (types.ModuleType, type)):
        return None
    return [("name", named(f)), ("object", f.__self__)]


def _of_partial(f: functools.partial[Any]) -> Parts:
    keywords = [(f"keyword argument {name!r}", item) for name, item in f.keywords.items()]
    return [("function", f.func), ("arguments", f.args), *keywords, *attributes_of(f)]


def _of_property(member: property) -> Parts:
    return [("getter", member.fget), ("setter", member.fset), ("deleter", member.fdel)]


def _of_variable(variable: ContextVar[Any]) -> Parts:
    try:
        value = variable.get()
    except LookupError:  # not set, and without a default
        value = NotImplemented
    return [("name", variable.name), ("value", value)]


def _counts(name: str, item: object) -> bool:
    """Return whether what is no function in a class counts: a value of the user's, a property, and so on."""
    if name in _BOOKKEEPING or isinstance(item, _LAYOUT):
        return False
    is_special = name.startswith("__") and name.endswith("__")
    return not is_special or callable(item) or hasattr(type(item), "__get__")


def _wrapped(value: Any) -> Any:
    """Return the function within what jax.jit, functools.cache or Numba make of one."""
    if is_own(type(value)):  # which may have other attributes besides
        return None
    for name in ("__wrapped__", "py_func"):
        try:
            inner = getattr(value, name, None)
        except Exception:  # an attribute of the user's own making
            inner = None
        if isinstance(inner, (types.FunctionType, types.MethodType)):
            return inner
    return None


def _content(cell: types.CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # not yet assigned
        return NotImplemented


def _slots(kind: type) -> Iterable[str]:
    slots = vars(kind).get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else slots
    return [name for name in names if name not in ("__dict__", "__weakref__")]


_KINDS: dict[type, Callable[[Any], Parts | None]] = {
    types.FunctionType: _of_function,
    types.MethodType: _of_method,
    types.BuiltinFunctionType: _of_builtin,
    functools.partial: _of_partial,
    property: _of_property,
    ContextVar: _of_variable,
}
