"""Arrays of any library on the host, where they are judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from anygrad import backends
from anygrad._checking.comparison import HostArray
from anygrad._pytree import flatten
from anygrad._typing import Array, PyTree


def on_host(leaf: Any, name: str) -> HostArray:
    """Return an array as one of NumPy, in float64 (complex128) or wider; a mask as a mask.

    What cannot be is an error, in which it is called ``name``.
    """
    backend = backends.resolve(leaf)
    if backend is not None and "bfloat16" in str(leaf.dtype):  # NumPy lacks it
        xp = array_namespace(leaf)
        leaf = xp.astype(leaf, xp.float32)
    dense = leaf.toarray() if backend is None and hasattr(leaf, "toarray") else leaf  # SciPy's sparse arrays
    numbers = np.asarray(dense if backend is None else backend.host(leaf))
    if numbers.dtype.kind == "b":
        return numbers
    if numbers.dtype.kind not in "iufc":
        raise TypeError(f"{name} is {leaf!r:.60}, but a number or an array of numbers was expected")
    return numbers.astype(np.result_type(numbers.dtype, np.float64))


def together_on_host(arrays: Sequence[Array], name: str) -> list[HostArray]:
    """Return arrays of one shape on the host, numbers and masks, by one transfer: what is lazy is computed once."""
    if backends.resolve(arrays[0]) is None:
        return [on_host(array, name) for array in arrays]
    xp = array_namespace(*arrays)
    parts = [part for array in arrays for part in _parts(xp, array)]
    real = next(part.dtype for part in parts if xp.isdtype(part.dtype, "real floating"))
    table = iter(on_host(xp.stack([xp.astype(part, real) for part in parts]), name))
    return [_whole(xp, array, table) for array in arrays]


def _parts(xp: Any, array: Array) -> list[Array]:
    return [xp.real(array), xp.imag(array)] if xp.isdtype(array.dtype, "complex floating") else [array]


def _whole(xp: Any, array: Array, parts: Iterator[HostArray]) -> HostArray:
    """Return an array from the parts that it is made of, which are next."""
    if xp.isdtype(array.dtype, "complex floating"):
        return next(parts) + 1j * next(parts)
    part = next(parts)
    return part != 0 if xp.isdtype(array.dtype, "bool") else part


def leaves_on_host(tree: PyTree, name: str) -> list[tuple[str, HostArray]]:
    """Return the arrays of a tree on the host, with the expressions that name them."""
    if tree is None:
        raise TypeError(f"{name} is None, but derivatives were expected: is a return statement missing?")
    leaves, _ = flatten(tree, name)
    return [(place, on_host(leaf, place)) for place, leaf in leaves]


def spacings(tree: PyTree) -> list[float]:
    """Return the spacing at 1 of the dtype of each array of a tree; that of float64, where it is not a floating one."""
    return [_spacing(leaf) for _, leaf in flatten(tree)[0]]


def _spacing(leaf: Any) -> float:
    if backends.resolve(leaf) is not None:
        xp = array_namespace(leaf)
        if xp.isdtype(leaf.dtype, ("real floating", "complex floating")):
            return float(xp.finfo(leaf.dtype).eps)
    return float(np.finfo(np.float64).eps)
