"""The batched array: what f is given for an array, with the values at many points in it."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from anygrad._typing import Array, Namespace

if TYPE_CHECKING:
    from anygrad.evaluators.batching.run import Run

_BASIC = (int, slice, type(None))
UFUNCS = {name: ufunc for name, ufunc in vars(np).items() if isinstance(ufunc, np.ufunc) and ufunc.signature is None}
# Indices that put so many axes behind the batch axis.
PADDED = [(slice(None), *(None,) * missing, ...) for missing in range(64)]
# A batched value is an array of its shape, or a NumPy scalar if it has none; or one of these:
ZERO_D = "0-d array"  # not a scalar: it can be written in place
CELL = "cell"  # an element of an object array, with which NumPy's loops for objects compute
# Methods of nearly every f: they have a short way.
REDUCTIONS = frozenset({"all", "any", "max", "mean", "min", "prod", "std", "sum", "var"})


class Batched:
    """An array at all points of a run: it has the shape, the dtype and the behaviour of the array at one of them.

    It holds the ``values`` (k, *shape), an array of x's library, and the ``run`` of f that it belongs to. ``kind`` is
    None, `ZERO_D` or `CELL`.
    """

    __slots__ = ("__weakref__", "_kind", "_run", "_values")
    __array_priority__ = 1000.0

    def __init__(self, values: Array, run: Run, kind: str | None = None) -> None:
        self._values = values
        self._run = run
        self._kind = kind

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """The class of the array or scalar at one point, so that ``isinstance`` answers as it does there."""
        run = self._run
        if run.of_numpy and len(self._values.shape) == 1 and self._kind != ZERO_D:
            scalar: type = self._values.dtype.type
            return scalar
        return Batched if run.array_type is None else run.array_type

    shape = property(lambda self: tuple(self._values.shape[1:]))
    ndim = property(lambda self: len(self._values.shape) - 1)
    size = property(lambda self: math.prod(self._values.shape[1:]))
    dtype = property(lambda self: self._values.dtype if self._kind != CELL else np.dtype(object))
    device = property(lambda self: self._values.device)
    T = property(lambda self: self.transpose())
    mT = property(lambda self: self._run.call("matrix_transpose", (self,)))  # noqa: N815 - NumPy's name
    real = property(lambda self: self._run.call("real", (self,)))
    imag = property(lambda self: self._run.call("imag", (self,)))
    flat = property(lambda self: self.reshape(-1))

    def __repr__(self) -> str:
        return f"<{self._run.count} points of shape {self.shape}, {self.dtype}>"

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of unsized object")
        return int(self._values.shape[1])

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __getattr__(self, name: str) -> Any:
        """Return an attribute that has no rule: that of a point, or a method that is called for each."""
        if name.startswith("__"):  # protocols: others would take one point for all
            raise AttributeError(name)
        if name in {"data", "ctypes", "base"}:
            raise self._run.refuse(f"x.{name}", "work on the array itself")
        attribute = getattr(self._run.point(self, 0), name)
        return _method(name).__get__(self) if callable(attribute) else attribute

    def __deepcopy__(self, memo: Any = None) -> Any:
        return self._run.copied(self)

    __copy__ = __deepcopy__
    __divmod__ = functools.partialmethod(np.divmod)

    # Values that leave the batch

    def __round__(self, *digits: int) -> Any:
        return self._run.each(round, (self, *digits))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Return the array if it is the same at all points, else an object array of batched numbers for NumPy."""
        run, dtype = self._run, None if dtype is None else np.dtype(dtype)
        if dtype is not None and not dtype.hasobject:
            return np.array(run.leave(self, np.asarray, "np.asarray(x, dtype=...)"), dtype=dtype)
        if dtype is None and (self.dtype.kind in "biu" or run.is_same(self)):
            return np.array(run.leave(self, np.asarray, "np.asarray(x)"))
        cells = np.empty(self.shape, dtype=object)
        for index in np.ndindex(self.shape):
            cells[index] = Batched(self._values[(slice(None), *index)], run, CELL)
        return cells

    # Dispatch

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        run = self._run
        if len(inputs) == 1 and not kwargs and method == "__call__" and run.plain_numpy:
            try:
                result = ufunc(self._values)
            except Exception:
                return run.each(ufunc, inputs)
            if type(result) is np.ndarray:
                return Batched(result, run, CELL if self._kind == CELL else None)
        return run.ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        run, name = self._run, _name_of(function)
        if name in REDUCTIONS and len(args) == 1 and not kwargs and type(args[0]) is Batched:
            return getattr(args[0], name)()
        return run.dispatch(name, function if run.of_numpy else run.native(name), args, kwargs)

    def __array_namespace__(self, *, api_version: str | None = None) -> Namespace:
        return self._run.namespace

    def __cupy_override_elementwise_kernel__(self, kernel: Any, *args: Any, **kwargs: Any) -> Any:
        return self._run.cupy_kernel(kernel, args, kwargs)

    def __cupy_override_reduction_kernel__(self, kernel: Any, axis: Any, dtype: Any, out: Any, keepdims: bool) -> Any:
        given = {"axis": axis, "dtype": dtype, "out": out, "keepdims": keepdims}
        return self._run.call("reduction_kernel", (self,), given, kernel)

    # Indexing

    def __getitem__(self, index: Any) -> Any:
        run, kind = self._run, type(index)
        if kind is int or kind is slice:
            values = self._values[:, index]
        elif kind is tuple and all(type(item) in _BASIC for item in index):
            values = self._values[(slice(None), *index)]
        else:
            return run.call("getitem", (self, index), {}, operator.getitem)
        # A scalar is a copy: x[0], x[1] = x[1], x[0].
        return Batched(values.copy() if len(values.shape) == 1 and run.of_numpy else values, run)

    def __setitem__(self, index: Any, value: Any) -> None:
        if (type(index) is int or type(index) is slice) and type(value) is float:
            self._values[:, index] = value
        else:
            self._run.call("setitem", (self, index, value), {}, operator.setitem)


@functools.cache
def _name_of(function: Any) -> str:
    """Return the name of a function of NumPy's, such as ``linalg.norm``."""
    return f"{function.__module__}.{function.__name__}".partition(".")[2]


def _binary(operation: Callable[[Any, Any], Any], *, reflected: bool = False, compares: bool = False) -> Any:
    def method(self: Batched, other: Any) -> Any:
        values, run, kind = self._values, self._run, type(other)
        if self._kind is not None:
            return general(self, other)
        if kind is float or kind is int:
            theirs = other
        elif kind is Batched and other._run is run and other._kind is None:
            theirs = other._values
            missing = len(values.shape) - len(theirs.shape)
            if missing > 0:
                theirs = theirs[PADDED[missing]]
            elif missing < 0:
                values = values[PADDED[-missing]]
        elif kind is run.native_type and len(other.shape) < len(values.shape) and other.dtype != object:
            theirs = other
        else:
            return general(self, other)
        try:
            return Batched(operation(theirs, values) if reflected else operation(values, theirs), run)
        except Exception:
            return general(self, other)

    def general(self: Batched, other: Any) -> Any:
        run = self._run
        numbers = (int, float, complex, np.generic, np.ndarray, list, tuple, type(None))
        if type(other) not in (Batched, run.native_type) and not isinstance(other, numbers):
            return NotImplemented
        operands = (other, self) if reflected else (self, other)
        cells = self._kind == CELL and (type(other) in (float, int) or getattr(other, "_kind", None) == CELL)
        if cells and compares and any(np.isnan(np.asarray(run.values(operand))).any() for operand in operands):
            raise run.refuse("a comparison with NaN in an object array", "make that array with np.stack([...])")
        result = run.call("matmul" if operation is operator.matmul else "elementwise", operands, {}, operation)
        return Batched(result._values, run, CELL) if cells and type(result) is Batched else result

    return general if operation is operator.matmul else method


def _in_place(in_place: Callable[[Any, Any], Any], operation: Callable[[Any, Any], Any]) -> Any:
    def method(self: Batched, other: Any) -> Any:
        run = self._run
        if run.of_numpy and len(self._values.shape) == 1 and self._kind != ZERO_D:  # a scalar
            return operation(self, other)
        in_place(*run.aligned((self, other)))
        return self

    return method


def _unary(operation: Callable[[Any], Any]) -> Any:
    return lambda self: Batched(operation(self._values), self._run, CELL if self._kind == CELL else None)


def _leaving(convert: Callable[[Any], Any], named: str) -> Any:
    return lambda self: self._run.leave(self, convert, named)


def _method(name: str) -> Any:
    def of_point(x: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(x, name)(*args, **kwargs)

    def method(self: Batched, *args: Any, **kwargs: Any) -> Any:
        values, run = self._values, self._run
        if name in REDUCTIONS and not (args or kwargs) and len(values.shape) == 2 and run.plain_numpy and run.rules:
            try:
                return Batched(getattr(values, name)(1), run)
            except Exception:
                return run.each(of_point, (self,))
        return run.call(name, (self, *args), kwargs, of_point)

    return method


def _add_methods() -> None:
    names = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift"
    for name, operation in ((name, getattr(operator, f"__{name}__")) for name in names.split()):
        setattr(Batched, f"__{name}__", _binary(operation))
        setattr(Batched, f"__r{name}__", _binary(operation, reflected=True))
        setattr(Batched, f"__i{name}__", _in_place(getattr(operator, f"__i{name}__"), operation))
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        setattr(Batched, f"__{name}__", _binary(getattr(operator, f"__{name}__"), compares=True))
    for name in ("neg", "pos", "abs", "invert"):
        setattr(Batched, f"__{name}__", _unary(getattr(operator, f"__{name}__")))
    for convert in (float, int, complex, operator.index, hash, math.floor, math.ceil, math.trunc):
        setattr(Batched, f"__{convert.__name__}__", _leaving(convert, f"{convert.__name__}()"))
    setattr(Batched, "__bool__", _leaving(bool, "a branch (`if`, `while`, `and`)"))  # noqa: B010 - as the others
    methods = "argmax astype clip copy cumsum dot ravel reshape round transpose"
    for name in (*methods.split(), *REDUCTIONS):
        setattr(Batched, name, _method(name))
    for name in UFUNCS.keys() - vars(Batched):  # which NumPy's loops for objects call
        setattr(Batched, name, functools.partialmethod(UFUNCS[name]))


_add_methods()
