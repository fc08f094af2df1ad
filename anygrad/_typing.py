"""Names for what the array libraries share and the type system cannot express."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

# No static type covers every array library: the standard defines behaviour, not a class.
Array: TypeAlias = Any
Namespace: TypeAlias = Any
PyTree: TypeAlias = Any
HostArray: TypeAlias = np.ndarray[Any, np.dtype[Any]]  # of NumPy, whatever library x is of

ProgressCallback: TypeAlias = Callable[[int, int], object]

# (lower, upper): each None, a number, an array of x's shape, or a tree like x.
Bounds: TypeAlias = tuple[Any, Any] | None

# Arguments of f by name, besides x.
Kwargs: TypeAlias = Mapping[str, Any] | None
