"""One run of f for many points: how a batched array does an operation, and what happens where it cannot."""

from __future__ import annotations

import dis
import functools
import linecache
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from types import CodeType, FrameType, ModuleType
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from anygrad._typing import Array, Namespace
from anygrad.evaluators.batching.array import REDUCTIONS, ZERO_D, Batched

Rule = Callable[..., Any]

# At most so many groups of points, for each of which f is called, where it branches on values.
MOST_PARTS = 8
# Frames of these packages are not the user's.
_LIBRARIES = ("numpy", "scipy", "cupy", "cupyx", "dpnp", "array_api_strict", "array_api_compat", "anygrad.evaluators")
_NUMBERS = (bool, int, float, complex, np.number, np.bool_)
_SIMPLE = {int, float, bool, str, type(None)}
# Functions that write to their first argument, and return nothing.
_WRITING = {"copyto", "put", "place", "putmask", "fill_diagonal", "put_along_axis"}
# Functions of the standard that make arrays of numbers, those to be written first.
_BLANK = {"zeros", "ones", "empty", "full", "eye"}
_MAKERS = {*_BLANK, "asarray", "array", "arange", "linspace", "identity", "tri", "from_dlpack"}
# Functions that look at types and shapes alone.
_OF_TYPES = {"result_type", "isdtype", "can_cast", "finfo", "iinfo", "broadcast_shapes", "shape", "ndim", "size"}

_LIKE_X = "make that array by np.zeros(n, like=x), np.zeros_like(x) or np.stack([...])"
_OUTSIDE = "it must not keep what it computed from x for a later call"


class BatchingError(TypeError):
    """f cannot be called with many points at a time."""


class Parting(BaseException):
    """The points are to be parted, as f does not do the same at all of them.

    No Exception: f must not catch it. ``groups`` of points do the same; ``error`` is raised if there are too many.
    """

    def __init__(self, groups: list[list[int]], error: BatchingError) -> None:
        super().__init__()
        self.groups = groups
        self.error = error


class Run:
    """One call of f with the values at many points.

    Parameters
    ----------
    count
        How many points there are.
    array
        What f is called with; one of its arrays, if there are several.
    library
        The namespace that it belongs to.
    host
        Takes an array to NumPy's.
    rules
        From the name of a function to the rule by which it is called once for all points. A function without a rule
        is called for `each` point, and so is one whose rule answers NotImplemented.

    Attributes
    ----------
    of_numpy, plain_numpy
        Whether f's arrays are NumPy's; and whether they hold numbers, and no batched values of a run around this one.
    array_type
        The class that f's arrays seem to have; None where the library is misled by that.
    parting, refused
        What has been raised, in case f has caught it.
    """

    def __init__(
        self,
        count: int,
        array: Array,
        library: Namespace,
        host: Callable[[Array], NDArray[Any]],
        rules: Mapping[str, Rule],
    ) -> None:
        self.count = count
        self.library = library
        self.host = host
        self.rules = rules
        self.device = getattr(array, "device", None)
        self.native_type = type(array)
        self.plain_numpy = type(array) is np.ndarray
        self.of_numpy = self.plain_numpy or (type(array) is Batched and array._run.of_numpy)
        dispatches = hasattr(array, "__array_function__")
        self.array_type: type | None = np.ndarray if self.of_numpy else type(array) if dispatches else None
        self.parting: Parting | None = None
        self.refused: BatchingError | None = None
        self.namespace = BatchedNamespace(self, library, "")

    # One operation

    def call(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None, function: Any = None
    ) -> Any:
        """Call a function by its rule, or for each point."""
        kwargs = {} if kwargs is None else kwargs
        if function is None:
            function = self.native(getattr(np, name, None), name)
        if kwargs.get("out") is not None:
            return self._into(kwargs["out"], name, args, kwargs, function)
        rule = self.rules.get(name)
        if rule is not None:
            try:
                result = rule(self, function, *args, **kwargs)
            except BatchingError:
                raise
            except Exception:  # it may be that of one point only, which `each` finds out
                result = NotImplemented
            if result is not NotImplemented:
                return result
        if name in _WRITING and type(args[0]) is not Batched:
            raise self.refusal(f"np.{name} into an array that does not depend on x", _LIKE_X)
        return self.each(function, args, kwargs)

    def each(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any] | None = None) -> Any:
        """Call a function for each point, and stack what it returns: this defines what a rule must return."""
        args, kwargs = self.lifted(tuple(args)), self.lifted(dict(kwargs or {}))
        results: list[Any] = []
        outcomes: list[str] = []
        error: Exception | None = None
        for i in range(self.count):
            try:
                result = function(*self.point(args, i), **self.point(kwargs, i))
            except Exception as raised:
                error = error or raised
                outcomes.append(type(raised).__name__)
            else:
                outcomes.append("")
                results.append(result)
        self.agree(outcomes, "an error of some points")
        if error is not None:
            raise error
        stacked = self.stacked(results)
        self._lock(results[0], stacked, (*args, *kwargs.values()))
        return stacked

    def point(self, value: Any, i: int) -> Any:
        """Return a tree of arguments as it is at one point; arrays are views."""
        kind = type(value)
        if kind is Batched:
            self.require_own(value)
            values = value._values
            if len(values.shape) == 1 and value._kind != ZERO_D:
                return values[i]
            return values[i, ...]
        if kind in (tuple, list):
            return kind(self.point(item, i) for item in value)
        if kind is dict:
            return {key: self.point(item, i) for key, item in value.items()}
        return value

    def stacked(self, results: list[Any]) -> Any:
        """Return the results of all points, trees of the same structure, as one; part the points where they differ."""
        first = results[0]
        if isinstance(first, (tuple, list)):
            self.agree([len(result) for result in results], "a result of another length")
            parts = [self.stacked([result[i] for result in results]) for i in range(len(first))]
            return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
        if isinstance(first, (int, bool)) and all(result == first for result in results):
            return first
        if not isinstance(first, _NUMBERS) and not hasattr(first, "__array_namespace__"):
            self.agree([repr(result) for result in results], "a result that is no number")
            return first
        if any(type(result) is Batched for result in results) and self.plain_numpy:
            raise self.refusal("a function that is called for each point, and computes with x itself", "pass it x")
        self.agree([getattr(result, "shape", ()) for result in results], "a result of another shape")
        self.agree([str(getattr(result, "dtype", type(result))) for result in results], "a result of another dtype")
        zero_d = ZERO_D if isinstance(first, np.ndarray) and not first.ndim else None
        return Batched(self.library.stack([self.own(result) for result in results]), self, zero_d)

    def _lock(self, first: Any, stacked: Any, args: Sequence[Any]) -> None:
        """Let nobody write to copies that should be views, nor to what they are views of."""
        if type(stacked) is not Batched or not isinstance(first, np.ndarray) or not self.plain_numpy:
            return
        for source in args:
            if type(source) is Batched and np.may_share_memory(first, source._values):
                stacked._values.flags.writeable = source._values.flags.writeable = False

    def _into(self, out: Any, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], function: Any) -> Any:
        [target] = out if isinstance(out, tuple) else (out,)
        if type(target) is not Batched:
            raise self.refusal(f"writing into an array that does not depend on x (out= of {name})", _LIKE_X)
        result = self.call(name, args, {key: value for key, value in kwargs.items() if key != "out"}, function)
        self.write_whole(target, result)
        return target

    def write_whole(self, target: Batched, result: Any) -> None:
        """Write to all elements of an array, as an operation in place does."""
        if type(result) is Batched:
            self.require_own(result)
            if not np.can_cast(str(result.dtype).rpartition(".")[2], str(target.dtype).rpartition(".")[2], "same_kind"):
                raise TypeError(f"cannot cast from {result.dtype} to {target.dtype} in place")
        values = self.aligned((target, result))
        if len(values[0].shape) != len(target._values.shape):
            raise ValueError(f"cannot write an array of shape {result.shape} in place of one of shape {target.shape}")
        target._values[...] = values[1]

    # Dispatch

    def ufunc(self, ufunc: np.ufunc, method: str, inputs: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Call a ufunc, or a method of one."""
        name = ufunc.__name__
        function: Any = ufunc
        if not self.of_numpy:
            function = self.native(ufunc, name)
        if method != "__call__":
            function = getattr(function, method)
            if method == "at" and type(inputs[0]) is not Batched:
                raise self.refusal(f"np.{name}.at of an array that does not depend on x", _LIKE_X)
            name = f"ufunc.{method}"
        elif ufunc.signature is not None:
            name = ufunc.__name__ if ufunc.__name__ in self.rules else "ufunc with core dimensions"
        else:
            name = "elementwise"
        if kwargs.get("out") is not None and kwargs.get("where") is not None and name == "elementwise":
            return self._masked(ufunc, inputs, kwargs)
        return self.call(name, inputs, kwargs, function)

    def _masked(self, ufunc: np.ufunc, inputs: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Call a ufunc where a mask is true, and leave the rest of ``out`` as it is."""
        [out] = kwargs["out"]
        if type(out) is not Batched:
            raise self.refusal(f"writing into an array that does not depend on x (out= of np.{ufunc.__name__})", _LIKE_X)
        *values, where, target = self.aligned((*inputs, kwargs["where"], out))
        ufunc(*values, out=target, where=where)
        return out

    def numpy_function(self, function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Call a function of NumPy's: that of the library with its name."""
        name = _name(function)
        if len(args) == 1 and not kwargs and name in REDUCTIONS and type(args[0]) is Batched:
            return getattr(args[0], name)()
        if name in _MAKERS and not self.has_batched(args):
            return self.spread(self.native(function, name)(*args, **kwargs), writable=True)
        if name in {"array", "asarray", "asanyarray"}:
            return self.made(*args, name=name, **kwargs)
        if name in _OF_TYPES:
            return function(*self.point(args, 0), **self.point(kwargs, 0))
        return self.call(name, args, kwargs, function if self.of_numpy else self.native(function, name))

    def native(self, function: Any, name: str) -> Any:
        """Return the library's function of NumPy's name."""
        if self.of_numpy and function is not None:
            return function
        found: Any = self.library
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is None and function is not None and name in {"elementwise", "getitem", "setitem"}:
            return function
        if found is None:
            library = self.library.__name__.rpartition(".")[2]
            raise self.refusal(f"np.{name}, which {library} does not have", "write it with functions that it has")
        return found

    def cupy_kernel(self, kernel: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call a ufunc or an elementwise kernel of CuPy's. One that knows the place of an element is called for each."""
        raw = any(getattr(parameter, "raw", False) for parameter in getattr(kernel, "params", ()))
        places = re.search(r"\b(i|n|_ind)\b", str(getattr(kernel, "operation", "")))
        return self.each(kernel, args, kwargs) if raw or places else self.call("elementwise", args, kwargs, kernel)

    # Arrays of other shapes and libraries

    def has_batched(self, value: Any) -> bool:
        """Return whether there is a batched value in a tree of arguments."""
        kind = type(value)
        if kind is Batched:
            return True
        if kind is tuple or kind is list:
            for item in value:
                if type(item) not in _SIMPLE and self.has_batched(item):
                    return True
            return False
        return kind is np.ndarray and value.dtype.hasobject and any(type(item) is Batched for item in value.flat)

    def takes(self, other: Any) -> bool:
        """Return whether an operator takes that as its other operand, as NumPy's arrays do."""
        if isinstance(other, (*_NUMBERS, list, tuple, type(None))) or type(other) in (Batched, self.native_type):
            return True
        return isinstance(other, np.ndarray) or (hasattr(other, "__array_namespace__") and self.array_type is None)

    def require_own(self, value: Batched) -> None:
        """Raise for a value that f has kept from another call."""
        if value._run is not self:
            raise self.refusal("computing with what was computed from another x", _OUTSIDE)

    def own(self, value: Any) -> Array:
        """Return a plain value as an array of the library."""
        if type(value) is self.native_type:
            return value
        if self.plain_numpy:
            return np.asarray(value)
        if type(value) is np.ndarray:  # which some libraries take as a nested list alone
            value = value.tolist() if self.array_type is None else value
        return self.library.asarray(value, device=self.device) if self.device is not None else self.library.asarray(value)

    def own_values(self, operand: Any) -> Array:
        """Return the values of an operand, which broadcast behind the batch axis if it does not depend on x."""
        lifted = self.nested(operand) if self.has_batched(operand) else operand
        if type(lifted) is not Batched:
            return self.own(lifted)
        self.require_own(lifted)
        return lifted._values

    def spread(self, value: Any, *, writable: bool = False) -> Batched:
        """Return what does not depend on x as a batched value."""
        if type(value) is Batched:
            return value
        own = self.own(value)
        values = self.library.broadcast_to(own, (self.count, *own.shape))
        if writable:
            values = self.library.asarray(values, copy=True) if hasattr(self.library, "asarray") else values.copy()
        return Batched(values, self)

    def lifted(self, value: Any) -> Any:
        """Return a tree of arguments, an object array of batched numbers in it as a batched array."""
        kind = type(value)
        if kind is tuple or kind is list:
            return kind(map(self.lifted, value))
        if kind is dict:
            return {key: self.lifted(item) for key, item in value.items()}
        if kind is np.ndarray and value.dtype.hasobject and any(type(item) is Batched for item in value.flat):
            return self.nested(value.tolist())
        return value

    def nested(self, value: Any) -> Any:
        """Return nested lists with batched values in them as one batched array."""
        if type(value) is Batched or not isinstance(value, (list, tuple)):
            return self.lifted(value)
        items = [self.spread(self.nested(item)) for item in value]
        self_values = [item._values for item in items]
        if len({str(values.dtype) for values in self_values}) > 1 and self.array_type is not None:
            dtype = np.result_type(*(values.dtype for values in self_values))
            self_values = [values.astype(dtype) for values in self_values]
        return Batched(self.library.stack(self_values, axis=1), self)

    def made(self, value: Any, dtype: Any = None, **kwargs: Any) -> Any:
        """Return what ``array`` makes of a batched array, or of nested lists of batched values."""
        keeps = kwargs.get("copy") is not True and "asa" in str(kwargs.pop("name", "array"))
        made = value if type(value) is Batched and keeps else self.nested(value)
        made = made.copy() if made is value and not keeps else made
        if not made.ndim:
            made = Batched(made._values, self, ZERO_D)
        return made if dtype is None or made.dtype == dtype else made.astype(dtype)

    def aligned_quickly(self, operands: Sequence[Any]) -> list[Any] | None:
        """Return what `aligned` does for numbers, arrays of numbers and batched values; None if there are others."""
        aligned: list[Any] = []
        most, ragged = 0, False
        for operand in operands:
            kind = type(operand)
            if kind is Batched and operand._run is self and operand._kind is None:
                values = operand._values
                ndim = len(values.shape)
            elif kind is float or kind is int:
                aligned.append(operand)
                continue
            elif kind is self.native_type and operand.dtype != object:
                values = operand
                ndim = len(values.shape) + 1
            else:
                return None
            ragged = ragged or (most > 0 and ndim != most)
            most = max(most, ndim)
            aligned.append(values)
        if ragged:
            for i, operand in enumerate(operands):
                if type(operand) is Batched and len(operand._values.shape) < most:
                    aligned[i] = aligned[i][(slice(None), *(None,) * (most - len(aligned[i].shape)), ...)]
        return aligned

    def aligned(self, operands: Sequence[Any]) -> list[Any]:
        """Return the values of operands such that they broadcast as the operands do at each point."""
        if (quickly := self.aligned_quickly(operands)) is not None:
            return quickly
        operands = [
            self.nested(operand) if type(operand) in (list, tuple) and self.has_batched(operand) else self.lifted(operand)
            for operand in operands
        ]
        ndim = max(len(operand.shape) if hasattr(operand, "shape") else np.ndim(operand) for operand in operands)
        aligned = []
        for operand in operands:
            if type(operand) is Batched:
                self.require_own(operand)
                values = operand._values
                missing = ndim + 1 - len(values.shape)
                aligned.append(values[(slice(None), *(None,) * missing, ...)] if missing else values)
            else:
                aligned.append(operand)
        return aligned

    # Values that leave the batch

    def leave(self, value: Batched, convert: Callable[[Any], Any], operation: str) -> Any:
        """Return what is made of a value outside of the batch, if it is the same at all points; else part them."""
        self.require_own(value)
        if self.plain_numpy and self.is_same(value):
            return convert(self.point(value, 0))
        converted = [convert(self.point(value, i)) for i in range(self.count)]
        keys = [item.tobytes() if isinstance(item, np.ndarray) else repr(item) for item in converted]
        self.agree(keys, operation)
        return converted[0]

    def is_same(self, value: Batched) -> bool:
        """Return whether a value is the same at all points."""
        values = value._values
        if not self.plain_numpy:
            values = self.host(values)
        return bool((values == values[:1]).all())

    def agree(self, keys: Sequence[Any], operation: str) -> None:
        """Part the points unless all keys are equal."""
        if self.refused is not None:
            raise self.refused
        groups: dict[Any, list[int]] = {}
        for i, key in enumerate(keys):
            groups.setdefault(key, []).append(i)
        if len(groups) == 1:
            return
        error = self._error(f"{operation} that differs between points", _advice(operation))
        if len(groups) > MOST_PARTS:
            self.refused = error
            raise error
        self.parting = Parting(list(groups.values()), error)
        raise self.parting

    def refuse_nan(self, operands: Sequence[Any]) -> None:
        """Raise if elements of an object array are compared of which one is NaN: NumPy's loops for objects err there."""
        if any(bool(np.isnan(self.host(operand._values)).any()) for operand in operands if type(operand) is Batched):
            raise self.refusal("a comparison with NaN in an array of batched numbers", "make it by np.stack([...])")

    def refusal(self, operation: str, advice: str) -> BatchingError:
        """Return the error for something that cannot be done for many points at a time; f cannot swallow it."""
        self.refused = self._error(operation, advice)
        return self.refused

    def _error(self, operation: str, advice: str) -> BatchingError:
        frame = users_frame(sys._getframe(1))
        if frame is not None and advice == _advice("float()") and _assigns(frame.f_code, frame.f_lasti):
            operation, advice = "writing a value of x into an array that does not depend on it", _LIKE_X
        where = "" if frame is None else f" ({place(frame.f_code, frame.f_lineno)})"
        return BatchingError(
            f"f cannot be called with {self.count} points at a time, because of {operation}{where}: {advice}, or use"
            " Loop()"
        )


class BatchedNamespace:
    """The namespace of a library, whose functions take batched arrays."""

    def __init__(self, run: Run, library: Namespace, prefix: str) -> None:
        self._run = run
        self._library = library
        self._prefix = prefix
        self.__name__ = library.__name__

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._library, name)
        if isinstance(attribute, ModuleType):
            return BatchedNamespace(self._run, attribute, f"{self._prefix}{name}.")
        if not callable(attribute) or isinstance(attribute, type) or name.startswith("__"):
            return attribute
        return functools.partial(self._call, attribute, name)

    def _call(self, function: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        run = self._run
        if name in {"asarray", "array"} and run.has_batched(args):
            kwargs.pop("device", None)
            return run.made(*args, name=name, **kwargs)
        if name in _OF_TYPES:
            return function(*run.point(args, 0), **run.point(kwargs, 0))
        if run.has_batched(args) or run.has_batched(list(kwargs.values())):
            return run.call(self._prefix + name, args, kwargs, function)
        made = function(*args, **kwargs)
        return run.spread(made, writable=name in _BLANK) if name in _MAKERS else made


@functools.cache
def _name(function: Any) -> str:
    """Return the name of a function of NumPy's, such as ``linalg.norm``."""
    return f"{function.__module__}.{function.__name__}".partition(".")[2]


# Where f is

def users_frame(frame: FrameType | None) -> FrameType | None:
    """Return the innermost frame that is the user's."""
    while frame is not None and str(frame.f_globals.get("__name__")).startswith(_LIBRARIES):
        frame = frame.f_back
    return frame


def place(code: CodeType, line: int) -> str:
    """Return where a line is, and what it says."""
    text = linecache.getline(code.co_filename, line).strip()
    return f"line {line} of {code.co_filename}" + (f": {text:.80}" if text else "")


def _assigns(code: CodeType, at: int) -> bool:
    return any(instruction.offset == at and "STORE_SUBSCR" in instruction.opname for instruction in dis.get_instructions(code))


def _advice(operation: str) -> str:
    known = {
        "a branch": "write np.where(condition, a, b)",
        "np.asarray": "leave it out, or write np.asarray(x, like=x)",
        "int": "compute with np.floor(x) instead",
        "round()": "write np.round(x)",
        "a key": "keep no values of x",
        "a result": "write it such that the shape does not depend on values, as np.where(mask, x, 0)",
        "an error": "keep x where f is defined",
        "x.item()": "leave it out",
    }
    found = next((text for start, text in known.items() if operation.startswith(start)), None)
    return found or "leave it out, and use NumPy's functions instead of those of math"


def fail(error: BaseException) -> NoReturn:
    """Raise an error that is not f's own."""
    raise error
