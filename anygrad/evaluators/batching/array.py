"""The batched array: many points that f takes for one."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from anygrad._typing import Array, Namespace

if TYPE_CHECKING:
    from anygrad.evaluators.batching.run import Run

_PLAIN = (float, int)
_BASIC = (int, slice, type(None))
# Indices that put so many axes behind the batch axis.
_PADDED = [(slice(None), *(None,) * missing, ...) for missing in range(64)]
# What a batched value is besides an array of its shape, or a NumPy scalar where it has none.
ZERO_D = "0-d array"  # not a scalar: it can be written in place
CELL = "cell"  # an element of an object array, handled by NumPy's object loops


class Batched:
    """The values of an array at all points of a run: it has the shape, the dtype and the behaviour of that at one.

    Parameters
    ----------
    values
        The values (k, *shape), an array of x's library.
    run
        The run of f that it belongs to.
    kind
        None, or what else it is.
    """

    __slots__ = ("__weakref__", "_kind", "_run", "_values")

    _values: Array
    _run: Run
    _kind: str | None

    __array_priority__ = 1000.0

    def __init__(self, values: Array, run: Run, kind: str | None = None) -> None:
        self._values = values
        self._run = run
        self._kind = kind

    # What it looks like

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """The class of the value at one point, so that ``isinstance`` answers as it does there."""
        kind = self._run.array_type
        if kind is not np.ndarray or len(self._values.shape) > 1 or self._kind == ZERO_D:
            return Batched if kind is None else kind
        scalar: type = self._values.dtype.type
        return scalar

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self._values.shape[1:])

    @property
    def ndim(self) -> int:
        return len(self._values.shape) - 1

    @property
    def size(self) -> int:
        size = 1
        for length in self._values.shape[1:]:
            size *= length
        return size

    @property
    def dtype(self) -> Any:
        return self._values.dtype

    @property
    def device(self) -> Any:
        return self._values.device

    @property
    def T(self) -> Any:
        return self.transpose()

    @property
    def mT(self) -> Any:
        return self._run.call("matrix_transpose", (self,))

    @property
    def real(self) -> Any:
        return self._run.call("real", (self,))

    @real.setter
    def real(self, value: Any) -> None:
        self.real[...] = value

    @property
    def imag(self) -> Any:
        return self._run.call("imag", (self,))

    @imag.setter
    def imag(self, value: Any) -> None:
        self.imag[...] = value

    @property
    def flat(self) -> Any:
        return self.reshape(-1)

    def __repr__(self) -> str:
        return f"<{self._run.count} points of shape {self.shape}, {self.dtype}>"

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of unsized object")
        return int(self._values.shape[1])

    def __iter__(self) -> Iterator[Any]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(self._values.shape[1]))

    def __contains__(self, item: Any) -> bool:
        return bool((self == item).any())

    def __getattr__(self, name: str) -> Any:
        """Return an attribute that has no rule: that of a point, or a method that is called for each."""
        if name.startswith("__"):
            raise AttributeError(name)
        attribute = getattr(self._run.point(self, 0), name)
        if name in {"data", "ctypes", "base"}:
            raise self._run.refusal(f"x.{name}", "work on the array itself")
        if not callable(attribute):
            return attribute
        return lambda *args, **kwargs: self._run.each(
            lambda x, *a, **k: getattr(x, name)(*a, **k), (self, *args), kwargs
        )

    # What leaves the batch: Python's numbers, and NumPy's arrays

    def __bool__(self) -> bool:
        if self.size != 1:
            return bool(self._run.point(self, 0))  # which raises
        return bool(self._run.leave(self, bool, "a branch (`if`, `while`, `and`)"))

    def __float__(self) -> float:
        return float(self._run.leave(self, float, "float()"))

    def __int__(self) -> int:
        return int(self._run.leave(self, int, "int()"))

    def __index__(self) -> int:
        return operator.index(self._run.leave(self, operator.index, "an integer"))

    def __complex__(self) -> complex:
        return complex(self._run.leave(self, complex, "complex()"))

    def __round__(self, digits: int | None = None) -> Any:
        return self._run.leave(self, round, "round()") if digits is None else self._run.each(round, (self, digits))

    def __floor__(self) -> int:
        return int(np.floor(self))

    def __ceil__(self) -> int:
        return int(np.ceil(self))

    def __trunc__(self) -> int:
        return int(self)

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(self._run.leave(self, lambda point: point, "a key of a dict") if self.ndim == 0 else [])

    def item(self, *index: Any) -> Any:
        """Return one element as a Python number."""
        return self._run.leave(self, lambda point: point.item(*index), "x.item()")

    def tolist(self) -> Any:
        """Return nested lists; of batched numbers, where these differ."""
        return [part.tolist() for part in self] if self.ndim else self

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return what is the same at all points; else an object array of batched numbers, which NumPy computes with."""
        run, dtype = self._run, None if dtype is None else np.dtype(dtype)
        if dtype is not None and dtype != object:
            return np.array(run.leave(self, np.asarray, "np.asarray(x, dtype=...)"), dtype=dtype)
        if dtype is None and (self.dtype.kind in "biu" or run.is_same(self)):
            return np.array(run.leave(self, np.asarray, "np.asarray()"))
        cells = np.empty(self.shape, dtype=object)
        for index in np.ndindex(self.shape):
            cells[index] = Batched(self._values[(slice(None), *index)], run, CELL)
        return cells

    # Dispatch

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        run = self._run
        if not kwargs and method == "__call__" and run.plain_numpy and ufunc.signature is None:
            values = (self._values,) if len(inputs) == 1 and self._kind is None else run.aligned_quickly(inputs)
            if values is not None:
                try:
                    result = ufunc(*values)
                except Exception:
                    return run.each(ufunc, inputs)
                if type(result) is np.ndarray:
                    return Batched(result, run)
        return run.ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return self._run.numpy_function(function, args, kwargs)

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
        kind = type(index)
        if kind is int or kind is slice:
            target = self._values[:, index]
            if type(value) in _PLAIN:
                self._values[:, index] = value
                return
            if type(value) is Batched and value._run is self._run and len(value._values.shape) == len(target.shape):
                self._values[:, index] = value._values
                return
        self._run.call("setitem", (self, index, value), {}, operator.setitem)

    # Copies

    def __copy__(self) -> Batched:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Batched:
        return self.copy()

    def __reduce__(self) -> Any:
        raise self._run.refusal("pickling x, or sending it to another process", "compute in this process")

    def copy(self, order: str = "C") -> Batched:
        """Return a copy."""
        copied: Batched = self._run.call("copy", (self,))
        return copied

    flatten = lambda self, order="C": self._run.call("ravel", (self.copy(),), {"order": order})  # noqa: E731

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Batched:
        """Return it in another dtype."""
        values = self._values
        cast = values.astype(dtype) if hasattr(values, "astype") else self._run.library.astype(values, dtype)
        return Batched(cast, self._run, self._kind)

    # Methods whose arguments differ from those of the function of that name

    def reshape(self, *shape: Any, **kwargs: Any) -> Any:
        """Return it in another shape."""
        return self._run.call("reshape", (self, shape[0] if len(shape) == 1 else shape), kwargs)

    def transpose(self, *axes: Any) -> Any:
        """Return it with its axes permuted."""
        order = axes[0] if len(axes) == 1 else axes or None
        return self._run.call("transpose", (self, order))

    def sort(self, axis: int = -1, **kwargs: Any) -> None:
        """Sort in place."""
        self[...] = self._run.call("sort", (self, axis), kwargs)

    def partition(self, kth: Any, axis: int = -1, **kwargs: Any) -> None:
        """Partition in place."""
        self[...] = self._run.call("partition", (self, kth, axis), kwargs)

    def fill(self, value: Any) -> None:
        """Set all elements."""
        self[...] = value

    def to_device(self, device: Any, **kwargs: Any) -> Batched:
        """Return it on a device."""
        return Batched(self._values.to_device(device, **kwargs), self._run, self._kind)


def _binary(operation: Callable[[Any, Any], Any], *, reflected: bool = False, compares: bool = False) -> Any:
    def method(self: Batched, other: Any) -> Any:
        values, run, kind = self._values, self._run, type(other)
        if self._kind is not None:
            return slow(self, other)
        if kind is float or kind is int:
            theirs = other
        elif kind is Batched and other._run is run and other._kind is None:
            theirs = other._values
            missing = len(values.shape) - len(theirs.shape)
            if missing > 0:
                theirs = theirs[_PADDED[missing]]
            elif missing < 0:
                values = values[_PADDED[-missing]]
        elif kind is run.native_type and len(other.shape) < len(values.shape) and other.dtype != object:
            theirs = other
        else:
            return slow(self, other)
        try:
            return Batched(operation(theirs, values) if reflected else operation(values, theirs), run)
        except Exception:
            return slow(self, other)

    def slow(self: Batched, other: Any) -> Any:
        run = self._run
        if not run.takes(other):
            return NotImplemented
        operands = (other, self) if reflected else (self, other)
        cells = self._kind == CELL and (type(other) in _PLAIN or (type(other) is Batched and other._kind == CELL))
        if cells and compares:
            run.refuse_nan(operands)
        result = run.call("matmul" if operation is operator.matmul else "elementwise", operands, {}, operation)
        if cells and type(result) is Batched:
            result._kind = CELL
        return result

    return slow if operation is operator.matmul else method


def _in_place(operation: Callable[[Any, Any], Any]) -> Any:
    def method(self: Batched, other: Any) -> Any:
        result = operation(self, other)
        if self._run.of_numpy and len(self._values.shape) == 1 and self._kind != ZERO_D:
            return result  # a scalar
        if result is not NotImplemented:
            self._run.write_whole(self, result)
        return self

    return method


def _unary(operation: Callable[[Any], Any]) -> Any:
    def method(self: Batched) -> Any:
        return Batched(operation(self._values), self._run, self._kind if self._kind == CELL else None)

    return method


_ARITHMETIC = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift")
for _name in _ARITHMETIC:
    _operation = getattr(operator, f"__{_name}__")
    setattr(Batched, f"__{_name}__", _binary(_operation))
    setattr(Batched, f"__r{_name}__", _binary(_operation, reflected=True))
    setattr(Batched, f"__i{_name}__", _in_place(_operation))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Batched, f"__{_name}__", _binary(getattr(operator, f"__{_name}__"), compares=True))
for _name in ("neg", "pos", "abs", "invert"):
    setattr(Batched, f"__{_name}__", _unary(getattr(operator, f"__{_name}__")))
Batched.__divmod__ = lambda self, other: (self // other, self % other)  # type: ignore[attr-defined]
Batched.__rdivmod__ = lambda self, other: (other // self, other % self)  # type: ignore[attr-defined]


def _method(name: str) -> Any:
    def of_point(x: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(x, name)(*args, **kwargs)

    def method(self: Batched, *args: Any, **kwargs: Any) -> Any:
        return self._run.call(name, (self, *args), kwargs, of_point)

    method.__name__ = name
    return method


def _reduction(name: str) -> Any:
    slow = _method(name)

    def method(self: Batched, *args: Any, **kwargs: Any) -> Any:
        values, run = self._values, self._run
        if args or kwargs or len(values.shape) != 2 or not run.plain_numpy or name not in run.rules:
            return slow(self, *args, **kwargs)
        try:
            return Batched(getattr(values, name)(1), run)
        except Exception:
            return slow(self)

    method.__name__ = name
    return method


# Methods that take what the function of their name takes, and those that NumPy's object loops call.
REDUCTIONS = frozenset({"all", "any", "max", "mean", "min", "prod", "std", "sum", "var"})
for _name in REDUCTIONS:
    setattr(Batched, _name, _reduction(_name))
for _name in (
    "argmax argmin argpartition argsort choose clip compress conj conjugate cumprod cumsum diagonal dot nonzero ptp put"
    " ravel repeat round searchsorted squeeze swapaxes take trace"
).split():
    setattr(Batched, _name, _method(_name))
for _name in (
    "arccos arccosh arcsin arcsinh arctan arctan2 arctanh cbrt ceil cos cosh deg2rad degrees exp exp2 expm1 fabs floor"
    " fmod hypot isfinite isinf isnan log log10 log1p log2 logaddexp logaddexp2 rad2deg radians reciprocal rint sign"
    " signbit sin sinh sqrt square tan tanh trunc"
).split():
    setattr(Batched, _name, lambda self, *others, _ufunc=getattr(np, _name): _ufunc(self, *others))
