"""Which tests are left out on which libraries.

On NumPy and on PyTorch everything runs: there a test takes a millisecond. On other libraries an operation of f's takes
that long, or is compiled for each shape, and the matrices of operators, problems, schemes, evaluators, layouts and
bounds are thinned. These axes do not know each other (see CONTRIBUTING.md), which the full matrices on NumPy and
PyTorch show; what a library does to each of them shows if one at a time is varied.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluators import Called
from libraries import Library
from mistakes import ZEROS
from problems import CUBES, WAVES

import anygrad

Params = Mapping[str, Any]
# The operators that the others are made like, and the values of single parameters that are usual.
LIKE_OTHERS = {"numerical_gradient", "jacobian", "hessian"}
USUAL = {"layout": "contiguous", "within": "from one of them"}


def is_left_out(lib: Library, params: Params) -> bool:
    """Return whether a test with these parameters is left out on a library."""
    scheme, problem = _has_unusual_scheme(params), _has_unusual_problem(params)
    called = params.get("called")
    reasons = (
        isinstance(called, Called) and not called.on(lib),
        not lib.complex_powers and _samples_complex(params),  # the tests' functions are full of powers
        not lib.strides and _is_unusual(params, "layout"),
        # What is claimed is judged on the host, the same for all libraries.
        lib.slow and getattr(params.get("mistake"), "kind", ZEROS) != ZEROS,
        lib.slow and _unusual_axes(params) > 1,
        # What is lazy shows by operator and evaluator.
        lib.lazy and (scheme or problem),
        # Without float64, other arrays are made and read by JAX, but schemes compute in NumPy's float64 as ever.
        lib.name == "jax" and "float64" not in lib.real and (scheme or ("case" in params and problem)),
    )
    return any(reasons)


def fatal_calls(lib: Library, calls: int) -> list[int]:
    """Return at which of so many calls of f it is to raise: at each, if all of them together do not take long.

    On slow libraries it is a few of them. Where all is lazy, nothing is written that could stay as it was not: the
    first call.
    """
    if lib.lazy:
        return [1]
    if not lib.slow:
        return list(range(1, calls + 1))
    return sorted({1, 2, calls // 2, calls} & set(range(1, calls + 1)))


def _unusual_axes(params: Params) -> int:
    evaluator = "called" in params and params["called"].evaluator not in (anygrad.Batch(), anygrad.Vmap())
    unusual = _has_unusual_scheme(params), _has_unusual_problem(params), evaluator
    return sum(unusual) + sum(_is_unusual(params, name) for name in USUAL)


def _is_on_a_square(problem: Any) -> bool:
    return problem is WAVES or problem is CUBES


def _is_unusual(params: Params, name: str) -> bool:
    return params.get(name, USUAL[name]) != USUAL[name]


def _has_unusual_scheme(params: Params) -> bool:
    scheme = params["tried"].scheme if "tried" in params else params.get("scheme")
    is_scheme = hasattr(scheme, "differentiate") and not isinstance(scheme, type)
    return (is_scheme and scheme != anygrad.Central()) or params.get("order", 2) != 2


def _has_unusual_problem(params: Params) -> bool:
    """Return whether the problem is not on a square, or the operator is one that is made like another."""
    operator, problem = params.get("case", (params.get("operator"), params.get("problem", WAVES)))
    usual = _is_on_a_square(problem) and getattr(operator, "name", "jacobian") in LIKE_OTHERS
    return not usual or params.get("name", "numerical_gradient") != "numerical_gradient"


def _samples_complex(params: Params) -> bool:
    return any(
        param == "complex step" if isinstance(param, str) else bool(getattr(param, "samples_complex", False))
        for param in params.values()
    )
