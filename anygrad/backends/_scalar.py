"""What f may return: one number, in any of the forms in which array programs have one."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np


def type_name(value: object) -> str:
    """Return the name by which a user knows the type of ``value``."""
    kind = type(value)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"
    )


def host_number(value: object, *, library: str, complex_allowed: bool) -> Any:
    """Return a number that is not an array of x's library as a Python or NumPy scalar; raise if it is none."""
    if isinstance(value, np.generic) and value.dtype.kind not in "biufc":
        raise TypeError(_no_number(value))
    if isinstance(value, (complex, np.complexfloating)):
        require_real(value, complex_allowed=complex_allowed)
        return value
    if isinstance(value, (float, np.generic)):
        return value
    if isinstance(value, numbers.Real):
        return float(value)
    if hasattr(value, "shape"):
        raise TypeError(
            f"f returned a {type_name(value)}, but x is an array of {library}: return an array of {library}, or a"
            " Python number, such as float(value)"
        )
    if hasattr(value, "__float__"):
        return float(value)
    raise TypeError(_no_number(value))


def require_real(value: object, *, complex_allowed: bool) -> None:
    """Raise for a complex result of a real x."""
    if not complex_allowed:
        raise TypeError(
            f"f returned a complex number ({value!r}), but x is real: return its real part, its imaginary part or"
            " its absolute value, or pass a complex x"
        )


def neither_real_nor_holomorphic() -> TypeError:
    """Return the error for a function of complex x whose results are of both kinds."""
    return TypeError(
        "f returned real numbers at some points and complex ones at others, so that it is neither real nor"
        " holomorphic: return complex(value) everywhere, or a real number everywhere"
    )


def require_one_element(shape: Sequence[int]) -> None:
    """Raise for a result that is an array of other than one element."""
    if math.prod(shape) != 1:
        raise ValueError(
            f"f returned an array of shape {tuple(shape)}, but a gradient needs one number from each call: reduce it,"
            " for example to its sum, or differentiate one of its elements, as in lambda x: f(x)[0]"
        )


def require_same_device(theirs: object, ours: object) -> None:
    """Raise for a result on another device than x."""
    if theirs != ours:
        raise ValueError(
            f"f returned an array on device {theirs}, but x is on {ours}: keep the computation on {ours}, or return"
            " a Python number, such as float(value)"
        )


def _no_number(value: object) -> str:
    hint = ": does it lack a return statement?" if value is None else f" ({value!r:.60})."
    return f"f returned {'None' if value is None else 'a ' + type_name(value)}, but one number was expected{hint}"
