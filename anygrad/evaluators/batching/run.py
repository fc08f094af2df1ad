"""One run of f for many points: how a batched array does an operation, and what happens where it cannot."""

from __future__ import annotations

import functools
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from anygrad._stacklevel import is_returned, users_line
from anygrad._typing import Array, Namespace
from anygrad.evaluators.batching.array import PADDED, ZERO_D, Batched

# Where f branches on values, it is called for at most so many groups of points.
MOST_PARTS = 8
SIMPLE = frozenset({int, float, complex, bool, str, type(None)})
# Functions that write to their first argument, and return nothing.
_WRITING = {"copyto", "put", "place", "putmask", "fill_diagonal", "put_along_axis", "ufunc.at"}
# Functions whose result depends on where in memory the elements are, if that is asked for.
_LAID_OUT = {"flatten", "ravel", "reshape"}
_MAKERS = {"array", "asarray", "arange", "empty", "eye", "full", "identity", "linspace", "ones", "tri", "zeros"}

_LIKE_X = "make that array with np.zeros(n, like=x), np.zeros_like(x) or np.stack([...])"
_NO_PYTHON = "leave it out, and use functions of NumPy instead of math or SciPy"
_ADVICE = {
    "a branch": "write np.where(condition, a, b)",
    "np.asarray": "leave it out, or write np.asarray(x, like=x)",
    "a result": "keep shapes independent of values, as in np.where(mask, x, 0)",
    "an error": "keep x where f is defined",
}


class BatchingError(TypeError):
    """f cannot be called with many points at a time."""


class Parting(BaseException):
    """The points are to be parted: into which groups, and what to raise if these are too many. f must not catch it."""


class Run:
    """One call of f with the values at ``count`` points, ``array`` being one of its arguments.

    ``rules`` map the name of a function to the rule that calls it once for all points. A function without
    a rule is called for `each` point, and so is one whose rule answers NotImplemented.
    """

    def __init__(self, count: int, array: Array, host: Callable[[Array], Any], rules: Mapping[str, Any]) -> None:
        self.count = count
        self.library = np if type(array) is np.ndarray else array_namespace(array)
        self.rules = rules
        self.native_type = type(array)
        self.plain_numpy = type(array) is np.ndarray
        # Or of a run around this one, whose batched arrays are those that this one computes with.
        self.of_numpy: bool = self.plain_numpy or (type(array) is Batched and array._run.of_numpy)
        dispatches = hasattr(array, "__array_function__")
        # The class that f's arrays seem to have. Other libraries would take them for their own.
        self.array_type: type | None = np.ndarray if self.of_numpy else type(array) if dispatches else None
        self.namespace = BatchedNamespace(self, self.library, "")
        self.stop: Parting | BatchingError | None = None  # has been raised to end the run, and f may have caught it
        self.returned: Batched | None = None
        self._host = host
        self._device = getattr(array, "device", None)

    # Calls

    def call(self, name: str, args: Sequence[Any], kwargs: Any = None, function: Any = None) -> Any:
        """Call a function by its rule, or for each point."""
        kwargs = kwargs or {}
        if kwargs.get("out") is not None:
            return self._into(name, args, dict(kwargs), function)
        function = function or self.native(name)
        if name in _WRITING and type(args[0]) is not Batched:
            raise self.refuse(f"{name} into an array that does not depend on x", _LIKE_X)
        if name in _LAID_OUT and {"A", "K"} & {kwargs.get("order"), *(arg for arg in args if type(arg) is str)}:
            raise self.refuse(f"the memory order in {name}", "write order='C' or 'F'")
        try:
            result = self.rules[name](self, function, *args, **kwargs) if name in self.rules else NotImplemented
        except BatchingError:
            raise
        except Exception:  # it may be that of one point only, which `each` finds out
            result = NotImplemented
        return self.each(function, args, kwargs) if result is NotImplemented else result

    def each(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any] | None = None) -> Any:
        """Call a function for each point, and stack the results: a rule must return the same."""
        args, kwargs = tuple(args), dict(kwargs or {})
        results: list[Any] = []
        for i in range(self.count):
            try:
                results.append(function(*self.point(args, i), **self.point(kwargs, i)))
            except Exception as error:
                results.append(error)
        self.agree([isinstance(result, Exception) and type(result) for result in results], "an error")
        if isinstance(results[0], Exception):
            raise results[0]
        if type(results[0]) is self.native_type and results[0] is results[-1]:
            raise self.refuse("writing into an array that does not depend on x (an out argument)", _LIKE_X)
        stacked = self.stacked(results)
        if type(stacked) is Batched and isinstance(results[0], np.ndarray) and self.plain_numpy:
            for source in (*args, *kwargs.values()):
                # Copies of what should be a view, and what they should be views of, must not be written to.
                if type(source) is Batched and np.may_share_memory(results[0], source._values):
                    stacked._values.flags.writeable = source._values.flags.writeable = False
        return stacked

    def point(self, value: Any, i: int) -> Any:
        """Return a tree of arguments as it is at one point; arrays are views."""
        kind = type(value)
        if kind is Batched:
            values = self.require_own(value)._values
            return values[i] if len(values.shape) == 1 and value._kind != ZERO_D else values[i, ...]
        if kind is tuple or kind is list:
            return kind(self.point(item, i) for item in value)
        if kind is dict:
            return {key: self.point(item, i) for key, item in value.items()}
        return self.point(self.nested(value), i) if kind is np.ndarray and self.has_batched(value) else value

    def stacked(self, results: list[Any]) -> Any:
        """Return the results of all points, trees of the same structure, as one; part the points where they differ."""
        first = results[0]
        if isinstance(first, (tuple, list)):
            self.agree([len(result) for result in results], "a result length")
            parts = [self.stacked([result[i] for result in results]) for i in range(len(first))]
            return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
        if isinstance(first, (int, bool)) and all(result == first for result in results):
            return first
        if not isinstance(first, (float, complex, np.generic, int)) and not hasattr(first, "__array_namespace__"):
            self.agree([repr(result) for result in results], "a result (not a number)")
            return first
        if self.plain_numpy and any(type(result) is Batched for result in results):
            raise self.refuse("a function that is called for each point but uses x itself", "pass x to it")
        kinds = [(getattr(result, "shape", ()), str(getattr(result, "dtype", type(result)))) for result in results]
        self.agree(kinds, "a result shape or dtype")
        return Batched(self.library.stack([self.own(result) for result in results]), self)

    def _into(self, name: str, args: Sequence[Any], kwargs: dict[str, Any], function: Any) -> Any:
        """Call a function that writes its result to an array, perhaps where a mask is true only."""
        out, where = kwargs.pop("out"), kwargs.pop("where", None) if name == "elementwise" else None
        [target] = out if isinstance(out, tuple) else (out,)
        if type(target) is not Batched:
            raise self.refuse("writing into an array that does not depend on x (out= or +=)", _LIKE_X)
        result = self.call(name, args, kwargs, function) if self.has_batched(list(args)) else function(*args, **kwargs)
        target[...] = result if where is None else self.call("where", (where, result, target))
        return target

    # Dispatch

    def ufunc(self, ufunc: np.ufunc, method: str, inputs: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Call a ufunc, or a method of one."""
        function = ufunc if self.of_numpy else self.native(ufunc.__name__)
        if method != "__call__":
            return self.call(f"ufunc.{method}", inputs, kwargs, getattr(function, method))
        return self.call("elementwise" if ufunc.signature is None else ufunc.__name__, inputs, kwargs, function)

    def dispatch(self, name: str, function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Call a function, which may make an array."""
        if self.has_batched(args) or self.has_batched(list(kwargs.values())):
            made = name in {"array", "asarray", "asanyarray"}
            return self._made(name, *args, **kwargs) if made else self.call(name, args, kwargs, function)
        result = function(*args, **kwargs)
        return self.spread(result, writable=name != "asarray") if name in _MAKERS else result

    def cupy_kernel(self, kernel: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call a ufunc or an elementwise kernel of CuPy's; one that knows the place of an element, for each point."""
        raw = any(getattr(parameter, "raw", False) for parameter in getattr(kernel, "params", ()))
        places = re.search(r"\b(i|n|_ind)\b", str(getattr(kernel, "operation", "")))
        return self.each(kernel, args, kwargs) if raw or places else self.call("elementwise", args, kwargs, kernel)

    def native(self, name: str) -> Any:
        """Return the library's function of a name of NumPy's."""
        package: Any = np if self.of_numpy else sys.modules[self.native_type.__module__.partition(".")[0]]
        found = functools.reduce(lambda module, part: getattr(module, part, None), name.split("."), package)
        if found is None:
            raise self.refuse(f"np.{name}, which {package.__name__} lacks", f"use functions of {package.__name__}")
        return found

    # Arrays of other shapes and libraries

    def has_batched(self, value: Any) -> bool:
        """Return whether there is a batched value in a tree of arguments."""
        kind = type(value)
        if kind is tuple or kind is list:
            return any(type(item) not in SIMPLE and self.has_batched(item) for item in value)
        objects = kind is np.ndarray and value.dtype.hasobject
        return kind is Batched or (objects and any(type(item) is Batched for item in value.flat))

    def require_own(self, value: Batched) -> Batched:
        """Return a batched value; raise if f has kept it from another call, or if it is of a run around this one."""
        if value._run is not self:
            raise self.refuse("a value that was computed from another x", "compute it from this x")
        return value

    def own(self, value: Any) -> Array:
        """Return a plain value as an array of the library."""
        if type(value) is self.native_type or self.of_numpy:
            return value if type(value) is self.native_type else np.asarray(value)
        value = value.tolist() if type(value) is np.ndarray and self.array_type is None else value  # to be understood
        return self.library.asarray(value, device=self._device)

    def values(self, operand: Any) -> Array:
        """Return the values of an operand; what does not depend on x broadcasts behind the batch axis."""
        operand = self.nested(operand)
        return self.require_own(operand)._values if type(operand) is Batched else self.own(operand)

    def spread(self, value: Any, *, writable: bool = False) -> Batched:
        """Return a batched value, made of one that does not depend on x if it is none yet."""
        if type(value) is Batched:
            return self.require_own(value)
        own = self.own(value)
        values = own[None, ...] if self.count == 1 else self.library.broadcast_to(own, (self.count, *own.shape))
        return Batched(self.library.asarray(values, copy=True) if writable else values, self)

    def nested(self, value: Any) -> Any:
        """Return nested lists, or an object array, with batched values in them as one batched array."""
        if type(value) is Batched or not self.has_batched(value):
            return value
        if not isinstance(value, (list, tuple)):
            value = value.tolist()
        items = [self.spread(self.nested(item))._values for item in value]
        if self.array_type is not None:
            dtype = np.result_type(*(item.dtype for item in items))
            items = [item if item.dtype == dtype else item.astype(dtype) for item in items]
        return Batched(self.library.stack(items, axis=1), self)

    def copied(self, value: Batched, dtype: Any = None) -> Batched:
        """Return a copy, an array even where it has no axes."""
        return Batched(self.library.asarray(self.require_own(value)._values, dtype=dtype, copy=True), self, ZERO_D)

    def _made(self, name: str, value: Any, dtype: Any = None, **kwargs: Any) -> Any:
        """Return an array made of a batched one, or of nested lists of batched values."""
        made = self.nested(value)
        copies = kwargs.get("copy", name == "array") or dtype not in (None, made.dtype)
        return self.copied(made, dtype) if copies else made

    def aligned(self, operands: Sequence[Any]) -> list[Any]:
        """Return the values of operands such that they broadcast as the operands do at each point."""
        operands = [x if type(x) in SIMPLE else self.nested(x) for x in operands]
        pairs = [(x, x if type(x) in SIMPLE else self.values(x)) for x in operands]
        most = max(len(getattr(own, "shape", ())) + (type(x) is not Batched) for x, own in pairs)
        return [own[PADDED[most - len(own.shape)]] if type(x) is Batched else own for x, own in pairs]

    # Values that leave the batch

    def leave(self, value: Batched, convert: Callable[[Any], Any], operation: str) -> Any:
        """Convert a value, as to a number, if the result is the same at all points; otherwise part the points."""
        nested = self.native_type is Batched
        points = [self.point(value, i) for i in range(self.count)] if nested else self._host(value._values)
        if not nested and self.is_same(self.require_own(value)):
            return convert(points[0])
        if convert is float and not value.ndim and is_returned("run", self):
            self.returned = value  # and not the number that f is given for it
            return math.nan
        converted = [convert(point) for point in points]
        self.agree([x.tobytes() if isinstance(x, np.ndarray) else repr(x) for x in converted], operation)
        return converted[0]

    def is_same(self, value: Batched) -> bool:
        """Return whether a value is the same at all points."""
        values = self._host(value._values)
        return bool((values == values[:1]).all())

    def agree(self, keys: Sequence[Any], operation: str) -> None:
        """Part the points unless all keys are equal."""
        if self.stop is not None:
            raise self.stop
        groups: dict[Any, list[int]] = {}
        for i, key in enumerate(keys):
            groups.setdefault(key, []).append(i)
        if len(groups) > 1:
            advice = next((text for start, text in _ADVICE.items() if operation.startswith(start)), _NO_PYTHON)
            error = self.refuse(f"{operation} that differs between points", advice)
            self.stop = error if len(groups) > MOST_PARTS else Parting(list(groups.values()), error)
            raise self.stop

    def refuse(self, operation: str, advice: str) -> BatchingError:
        """Return the error for what cannot be done for many points at a time; f cannot swallow it."""
        place, step = users_line()
        if step in {"STORE_SUBSCR", "STORE_SLICE"} and operation.startswith(("float()", "np.asarray")):
            operation, advice = "writing a value of x into an array that does not depend on it", _LIKE_X
        self.stop = BatchingError(
            f"f cannot be called with {self.count} points at once because of {operation} ({place}): {advice}, or use"
            " Loop()"
        )
        return self.stop


class BatchedNamespace:
    """The namespace of a library, whose functions take batched arrays."""

    def __init__(self, run: Run, library: Namespace, prefix: str) -> None:
        self._run = run
        self._library = library
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        attribute, run = getattr(self._library, name), self._run
        if isinstance(attribute, ModuleType):
            return BatchedNamespace(run, attribute, f"{self._prefix}{name}.")
        if not callable(attribute) or isinstance(attribute, type) or name.startswith("__"):
            return attribute
        return lambda *args, **kwargs: run.dispatch(self._prefix + name, attribute, args, kwargs)
