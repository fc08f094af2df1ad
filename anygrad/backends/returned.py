"""Reading the value of f: one number, in any form that array programs use."""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

UNDECLARED_AUX = "if it is (value, aux), pass has_aux=True; otherwise let f return the value alone"


def type_name(value: object) -> str:
    """Return the name by which a user knows the type of ``value``."""
    kind = type(value)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"
    )


def host_number(value: object, *, library: str) -> Any:
    """Return a value that is not an array of x's library as a Python or NumPy scalar; raise if it is not a number."""
    if isinstance(value, np.generic):
        require_numbers(value)
    if isinstance(value, (float, complex, np.generic)):
        return value
    if isinstance(value, numbers.Real):
        try:
            return float(value)
        except OverflowError:
            raise ValueError(
                "f returned a number above 1.8e308, the largest in float64: return a smaller one, such as its logarithm"
            ) from None
    if hasattr(value, "shape"):
        raise TypeError(
            f"f returned a {type_name(value)}, but x is an array of {library}: return an array of {library}, or a"
            " Python number such as float(value)"
        )
    if hasattr(value, "__float__") and not isinstance(value, type):
        return float(value)
    raise TypeError(_no_number(value))


def host_numbers(value: object, *, library: str) -> np.ndarray[Any, Any]:
    """Return a number, or a (nested) list of numbers, that f returned as an array; raise if it is neither."""
    if isinstance(value, list):
        try:
            value = np.asarray(value)
        except ValueError:
            raise ValueError(
                "f returned a nested list whose parts differ in length: return an array, or a tuple of lists"
            ) from None
        return value
    return np.asarray(host_number(value, library=library))


def host_array(value: object, name: str) -> np.ndarray[Any, Any]:
    """Return the user's numbers for x, such as steps, as an array on the host; raise if they are not real numbers."""
    try:
        numbers = np.asarray(value)
    except Exception:  # each library's arrays on a device raise something else
        numbers = np.empty((), dtype=object)
    if numbers.dtype.kind in "OV" and "cpu" in str(getattr(value, "device", "")).lower() and hasattr(value, "tolist"):
        numbers = np.asarray(value.tolist())  # bfloat16, which NumPy lacks, or a tensor that requires a gradient
    if numbers.dtype.kind not in "iuf":
        raise TypeError(f"{name} is {value!r:.60}, but a real number or an array of real numbers was expected")
    return numbers


def neither_real_nor_holomorphic() -> TypeError:
    return TypeError(
        "f returned real numbers at some points and complex ones at others: return a real number everywhere, or"
        " complex(value) everywhere"
    )


def no_complex_counterpart(dtype: object) -> TypeError:
    return TypeError(
        f"x has the dtype {dtype}, but anygrad.Complex() needs a real dtype with a complex counterpart: pass float32 or"
        " float64, or use anygrad.Adaptive() or anygrad.Central()"
    )


def require_numbers(value: np.ndarray[Any, Any] | np.generic) -> None:
    if value.dtype.kind not in "biufc":
        raise TypeError(_no_number(value))


def require_one_element(shape: Sequence[int]) -> None:
    if math.prod(shape) != 1:
        raise ValueError(
            f"f returned an array of shape {tuple(shape)}, but one number was expected: return its sum, for example, or"
            " use anygrad.jacobian(f, x), or anygrad.derivative(f, x) if f works element by element"
        )


def require_same_device(theirs: object, ours: object) -> None:
    """Raise if a result is on another device than x. A traced array may have None."""
    if theirs is not None and ours is not None and theirs != ours:
        raise ValueError(
            f"f returned an array on device {theirs}, but x is on {ours}: keep the computation on {ours}, or return"
            " a Python number such as float(value)"
        )


def _no_number(value: object) -> str:
    returned, hint = f"a {type_name(value)}", ""
    if value is None:
        returned, hint = "None", ": does it lack a return statement?"
    elif isinstance(value, tuple) and len(value) == 2:
        hint = f": {UNDECLARED_AUX}"
    elif inspect.iscoroutine(value) or inspect.isgenerator(value):
        value.close()  # nobody will wait for it
        hint = ": f contains a yield; write return instead"
        if inspect.iscoroutine(value):
            hint = ": f is async; write lambda x: asyncio.run(f(x))"
    else:
        returned += f" ({value!r:.60})"
    return f"f returned {returned}, but one number was expected{hint}"
