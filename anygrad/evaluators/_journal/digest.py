"""A hash of any Python value that is the same in every process: of what it holds, not of where it lies."""

from __future__ import annotations

import hashlib
import types
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from anygrad import backends
from anygrad.evaluators._journal.makeup import attributes_of, named, of_class, parts_of, reduced
from anygrad.evaluators._journal.origin import is_own

# Deeper than anything that a function is made of; what is below is known by its type.
_DEEPEST = 60
_PLAIN = (bool, int, float, complex, str, bytes, bytearray, type(None), type(Ellipsis), type(NotImplemented), range)


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


class Walk:
    """A walk through a value and what it holds. What holds itself is known by how far above it is.

    ``meet`` returns the label under which a function, class, module or object has facts of its own; None, and what it
    holds is hashed here.
    """

    def __init__(self, meet: Callable[[Any], str | None]) -> None:
        self._meet = meet
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
            return self._of_array(value, array)
        known = self._meet(value)
        if known is not None:
            return hashed("known", known)
        if isinstance(value, np.ufunc):
            return hashed("named", named(value))
        return hashed(named(type(value)), *self._own_class(value), *self._held(value))

    def _of_array(self, value: Any, array: np.ndarray[Any, Any]) -> bytes:
        held = self.of(array.tolist()) if array.dtype.hasobject else exact(array)
        more: list[bytes] = []
        if isinstance(value, np.ma.MaskedArray):
            more = [self.of(np.ma.getmaskarray(value)), self.of(_filling(value))]
        elif is_own(type(value)):  # the user's own, with attributes beside the numbers
            more = [*self._own_class(value), *self._named(attributes_of(value))]
        return hashed("array", library(value), str(value.dtype), tuple(value.shape), held, *more)

    def _own_class(self, value: Any) -> Iterable[bytes]:
        """Return the hash of a class of the user's, of which an object is: its methods and attributes."""
        return [self.of(type(value))] if is_own(type(value)) else []

    def _held(self, value: Any) -> Iterable[bytes]:
        """Return the hashes of what a container, a function or an object holds."""
        if isinstance(value, (set, frozenset)):
            return [*sorted(map(self.of, value)), *self._named(attributes_of(value))]
        if isinstance(value, (dict, types.MappingProxyType)):
            items = sorted(self.of(key) + self.of(item) for key, item in value.items())
            return [*items, *self._named(attributes_of(value))]
        if isinstance(value, (tuple, list)):
            return [*map(self.of, value), *self._named(attributes_of(value))]
        if isinstance(value, types.CodeType):
            return [self._of_code(value)]
        if isinstance(value, type):
            return [hashed(named(value)), *self._named(of_class(value))]
        parts = parts_of(value)
        if parts is None:
            parts = reduced(value)
        return self._named(attributes_of(value) if parts is None else parts)

    def _of_code(self, code: types.CodeType) -> bytes:
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        return hashed("code", code.co_code, names, counts, *map(self.of, code.co_consts))

    def _named(self, parts: Iterable[tuple[str, Any]]) -> Iterable[bytes]:
        return [hashed(name, self.of(part)) for name, part in parts]


def _filling(array: np.ma.MaskedArray[Any, Any]) -> object:
    """Return what is filled in for what is masked; NumPy's own choice is made when it is first asked for."""
    chosen = vars(array).get("_fill_value")
    return np.ma.default_fill_value(array) if chosen is None else np.asarray(chosen).tolist()


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
