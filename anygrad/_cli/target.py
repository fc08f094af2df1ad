"""A function of the user's, by its name: ``package.module:f``, ``module:net.loss`` or ``folder/file.py:f``."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from anygrad._cli.refusal import Refusal
from anygrad._cli.theirs import theirs
from anygrad.backends.libraries import names

_MISSING = object()
# By these names modules are taken for the libraries, if they are loaded.
_LIBRARIES = {*names(), "jaxlib", "ndonnx", "sparse"}


def function(text: str) -> Callable[[Any], Any]:
    """Import the function of x that is written as ``module:name`` or ``file.py:name``."""
    place, _, name = text.rpartition(":")
    is_file = place.endswith(".py")
    if not name or not (is_file or all(part.isidentifier() for part in place.split("."))):
        raise Refusal(f"{text!r} was given, but module:function or file.py:function was expected, such as net.py:loss")
    module = _of_file(place) if is_file else _of_name(place)
    found: Any = module
    for part in name.split("."):
        found = _attribute(found, part, text)
    _require_function_of_x(found, text)

    @functools.wraps(found)
    def called(x: Any) -> Any:
        return theirs(found, x)

    return called


def _of_name(name: str) -> ModuleType:
    try:
        module: ModuleType = theirs(import_module, name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise Refusal(
                f"there is no module {error.name!r} in the current folder or where Python looks for modules"
            ) from None
        raise
    return module


def _of_file(place: str) -> ModuleType:
    path = Path(place).resolve()
    sys.path.insert(0, str(path.parent))  # as when the file is run
    if _is_found_as(path.stem, path):  # by this name processes find it that f may start
        return _of_name(path.stem)
    name = str(path).replace(".", "_")  # which no import statement can mean
    if name in sys.modules:  # f and its gradient are in one file
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise Refusal(f"there is no file {place!r}")
    module = sys.modules[name] = module_from_spec(spec)
    try:
        theirs(spec.loader.exec_module, module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _is_found_as(name: str, path: Path) -> bool:
    """Return whether an import of this name would give this file."""
    if not name.isidentifier() or name in _LIBRARIES:
        return False
    loaded = sys.modules.get(name)
    spec = find_spec(name) if loaded is None else getattr(loaded, "__spec__", None)
    return spec is not None and spec.origin == str(path)


def _attribute(owner: Any, name: str, text: str) -> Any:
    found = theirs(getattr, owner, name, _MISSING)
    if found is not _MISSING:
        return found
    names = [each for each in dir(owner) if not isinstance(inspect.getattr_static(owner, each, None), ModuleType)]
    close = get_close_matches(name, names, n=1)
    whose = f"the file {owner.__file__}" if isinstance(owner, ModuleType) else f"the {type(owner).__name__} in {text}"
    raise Refusal(f"there is no {name!r} in {whose}{f', but there is {close[0]!r}' if close else ''}")


def _require_function_of_x(found: object, text: str) -> None:
    if not callable(found):
        raise Refusal(f"{text} is of the type {type(found).__name__}, but a function of x was expected")
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):  # of some that are written in C there is none
        return
    try:
        signature.bind(None)
    except TypeError:
        raise Refusal(
            f"{text} takes the arguments {signature}, but a function of x alone was expected: give a name to one with"
            " the others filled in, as in loss = functools.partial(f, t=labels)"
        ) from None
