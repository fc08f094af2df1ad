"""A hash of any Python value that is the same in every process: of what it holds, not of where it lies."""

from __future__ import annotations

import functools
import hashlib
import types
from collections.abc import Iterable
from typing import Any

import numpy as np

from anygrad import backends
from anygrad.evaluators._journal.makeup import attributes_of, is_plain_object, named, of_class, of_function

# Deeper than anything that a function is made of; what is below is known by its type.
_DEEPEST = 60
_PLAIN = (bool, int, float, complex, str, bytes, bytearray, type(None), type(Ellipsis), type(NotImplemented), range)


def digest(value: object) -> bytes:
    """Return the hash of a value.

    Arrays are hashed by their numbers, functions by their code and what they hold, objects by their attributes, and
    what tells nothing of itself (a file, a lock) by its type.
    """
    return _Walk().of(value)


def exact(numbers: np.ndarray[Any, Any]) -> bytes:
    """Return the bits of an array's numbers, without the padding of long doubles."""
    numbers = np.ascontiguousarray(numbers)
    if numbers.dtype.kind in "fc" and numbers.dtype.itemsize > (8 if numbers.dtype.kind == "f" else 16):
        real = np.finfo(numbers.dtype)
        if real.nmant == 63:  # x87's 80 bits, in 16 or 12 bytes
            parts = numbers.view(real.dtype)
            return parts.view(np.uint8).reshape(-1, parts.dtype.itemsize)[:, :10].tobytes()
    return numbers.tobytes()


def hashed(*parts: object) -> bytes:
    """Return the hash of bytes, and of what repr tells apart, each with its length."""
    total = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part if isinstance(part, bytes) else repr(part).encode(errors="surrogatepass")
        total.update(b"%d:" % len(data))
        total.update(data)
    return total.digest()


def library(value: object) -> str:
    """Return the name of the package that an array is from."""
    return type(value).__module__.partition(".")[0]


class _Walk:
    """A walk through a value and what it holds. What holds itself is known by how far above it is."""

    def __init__(self) -> None:
        self._path: dict[int, int] = {}
        self._done: dict[int, tuple[bytes, object]] = {}  # the object, or another could get its address

    def of(self, value: Any) -> bytes:
        if type(value) in _PLAIN:
            return hashed(type(value).__name__, value)
        depth = len(self._path)
        if id(value) in self._done:
            return self._done[id(value)][0]
        if id(value) in self._path:
            return hashed("above", depth - self._path[id(value)])
        if depth > _DEEPEST:
            return hashed("deep", named(type(value)))
        self._path[id(value)] = depth
        try:
            result = self._of_new(value)
        finally:
            del self._path[id(value)]
        self._done[id(value)] = result, value
        return result

    def _of_new(self, value: Any) -> bytes:
        array = _numbers(value)
        if array is not None:
            held = exact(array) if array.dtype.kind != "O" else self.of(array.tolist())
            return hashed("array", library(value), str(value.dtype), tuple(value.shape), held)
        if isinstance(value, (types.ModuleType, types.BuiltinFunctionType, np.ufunc)):
            return hashed("named", named(value))
        return hashed(named(type(value)), *self._held(value))

    def _held(self, value: Any) -> Iterable[bytes]:
        """Return the hashes of what a container, a function or an object holds."""
        if isinstance(value, (set, frozenset)):
            return sorted(map(self.of, value))
        if isinstance(value, dict):
            return sorted(self.of(key) + self.of(item) for key, item in value.items())
        if isinstance(value, (tuple, list)):
            return [*map(self.of, value), *self._named(attributes_of(value))]
        if isinstance(value, types.CodeType):
            return [self._of_code(value)]
        if isinstance(value, type):
            return [hashed(named(value)), *self._named(of_class(value))]
        return self._parts(value)

    def _of_code(self, code: types.CodeType) -> bytes:
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        return hashed("code", code.co_code, names, counts, *map(self.of, code.co_consts))

    def _parts(self, value: Any) -> Iterable[bytes]:
        """Return the hashes of what a function or an object is made of."""
        parts = parts_of(value)
        if parts is None:
            parts = _reduced(value)
        return self._named(attributes_of(value) if parts is None else parts)

    def _named(self, parts: Iterable[tuple[str, Any]]) -> Iterable[bytes]:
        return [hashed(name, self.of(part)) for name, part in parts]


def parts_of(value: Any) -> list[tuple[str, Any]] | None:
    """Return what a function, or an object with attributes, is made of, by names in the user's words."""
    if isinstance(value, types.FunctionType):
        return of_function(value)
    if isinstance(value, types.MethodType):
        return [("method", value.__func__), ("object", value.__self__)]
    if isinstance(value, functools.partial):
        keywords = [(f"keyword argument {name!r}", item) for name, item in value.keywords.items()]
        return [("function", value.func), ("arguments", value.args), *keywords]
    wrapped = _wrapped(value)
    if wrapped is not None:
        return [("function", wrapped)]
    if not is_plain_object(value):
        return None
    return [("class", type(value)), *attributes_of(value)]


def _wrapped(value: Any) -> Any:
    """Return the function within what jax.jit, functools.cache or Numba make of one."""
    for name in ("__wrapped__", "py_func"):
        try:
            inner = getattr(value, name, None)
        except Exception:  # an attribute of the user's own making
            inner = None
        if isinstance(inner, (types.FunctionType, types.MethodType)):
            return inner
    return None


def _reduced(value: Any) -> list[tuple[str, Any]] | None:
    """Return what pickle would make an object of; None for what cannot be taken apart: a file, a lock."""
    try:
        reduced = value.__reduce_ex__(4)
    except Exception:
        return None
    if isinstance(reduced, str):
        return [("name", reduced)]
    maker, *rest = reduced
    spelled = [list(item) if i in (2, 3) and item is not None else item for i, item in enumerate(rest)]
    return [("maker", named(maker)), *((f"part {i}", item) for i, item in enumerate(spelled))]


def _numbers(value: Any) -> np.ndarray[Any, Any] | None:
    """Return an array's numbers on the host; None for what is no array."""
    if isinstance(value, np.generic):
        return np.asarray(value)
    if isinstance(value, type) or not hasattr(type(value), "dtype"):
        return None
    backend = backends.resolve(value)
    try:
        return None if backend is None else backend.host(value)
    except Exception:  # without numbers: on the meta device, or traced
        return np.empty(0)
