"""Which tests run on which libraries: the rules by which some are left out, all of them, with their reasons.

On NumPy and on PyTorch everything runs: there a test takes a millisecond. On other libraries an operation of f's takes
that long, or is compiled for each shape, and the matrices of operators, problems, schemes, evaluators, layouts and
bounds are thinned. These axes do not know each other (see CONTRIBUTING.md), which the full matrices on NumPy and
PyTorch show; what a library does to each of them shows if one at a time is varied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from evaluators import Called
from libraries import Library
from mistakes import ZEROS
from second_problems import CUBES, WAVES

import anygrad

Params = Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """A reason to leave tests out.

    Attributes
    ----------
    reason
        As the summary of the tests has it.
    on
        Of which libraries it is.
    leaves_out
        Whether it leaves out the test with these parameters.
    """

    reason: str
    on: Callable[[Library], bool]
    leaves_out: Callable[[Library, Params], bool]


def every(lib: Library) -> bool:
    return True


def is_slow(lib: Library) -> bool:
    return lib.slow


def no_evaluator(lib: Library, params: Params) -> bool:
    called = params.get("called")
    return isinstance(called, Called) and not called.on(lib)


def samples_complex(lib: Library, params: Params) -> bool:
    return any(
        param == "complex step" if isinstance(param, str) else bool(getattr(param, "samples_complex", False))
        for param in params.values()
    )


def in_a_layout(lib: Library, params: Params) -> bool:
    return params.get("layout", "contiguous") != "contiguous"


def of_another_case(lib: Library, params: Params) -> bool:
    """Return whether the test is of a scheme or of a problem other than the usual ones."""
    return of_a_scheme(lib, params) or ("case" in params and _problem(params))


def of_a_scheme(lib: Library, params: Params) -> bool:
    """Return whether the test is of a scheme other than the usual one."""
    scheme = params["tried"].scheme if "tried" in params else params.get("scheme")
    return hasattr(scheme, "differentiate") and not isinstance(scheme, type) and scheme != anygrad.Central()


def off_two_axes(lib: Library, params: Params) -> bool:
    """Return whether more than one is unusual: of the scheme, the problem, the evaluator, the layout and the bounds."""
    unusual = (
        _scheme(lib, params),
        _problem(params),
        _evaluator(params),
        in_a_layout(lib, params),
        params.get("within", "from one of them") != "from one of them",
    )
    return sum(unusual) > 1


def off_the_lazy_axis(lib: Library, params: Params) -> bool:
    """Return whether any but the evaluator is unusual."""
    return _scheme(lib, params) or _problem(params)


def of_a_mistake_in_many(lib: Library, params: Params) -> bool:
    """Return whether the test is of a mistake by which many elements are wrong, each of which is looked at again."""
    return getattr(params.get("mistake"), "kind", ZEROS) != ZEROS


def _scheme(lib: Library, params: Params) -> bool:
    return of_a_scheme(lib, params) or params.get("order", 2) != 2


def _problem(params: Params) -> bool:
    """Of the problems those on a square are usual, and of the operators those that the others are made like."""
    operator, problem = params.get("case", (params.get("operator"), params.get("problem", WAVES)))
    on_a_square = problem is WAVES or problem is CUBES
    usual = getattr(operator, "name", "jacobian") in {"numerical_gradient", "jacobian", "hessian"}
    return not (on_a_square and usual) or params.get("name", "numerical_gradient") != "numerical_gradient"


def _evaluator(params: Params) -> bool:
    return "called" in params and params["called"].evaluator not in (anygrad.Batch(), anygrad.Vmap())


RULES = (
    Rule("the library has not what the evaluator takes", every, no_evaluator),
    Rule(
        "the tests' functions are full of powers, of which the library loses the imaginary part",
        lambda lib: not lib.complex_powers,
        samples_complex,
    ),
    Rule("the library has no strides", lambda lib: not lib.strides, in_a_layout),
    Rule(
        "of scheme, problem, evaluator, layout and bounds, one at a time is varied on slow libraries",
        is_slow,
        off_two_axes,
    ),
    Rule(
        "what is lazy shows by operator and evaluator; schemes and problems are shown on other generic arrays",
        lambda lib: lib.lazy,
        off_the_lazy_axis,
    ),
    Rule("what is claimed is judged on the host, the same for all libraries", is_slow, of_a_mistake_in_many),
    Rule(
        "without float64, other arrays are made and read by JAX, but schemes compute in NumPy's as ever",
        lambda lib: lib.name == "jax" and "float64" not in lib.real,
        of_another_case,
    ),
)


def reason_against(lib: Library, params: Params) -> str | None:
    """Return why a test with these parameters is left out on a library; None if it is not."""
    return next((rule.reason for rule in RULES if rule.on(lib) and rule.leaves_out(lib, params)), None)


def fatal_calls(lib: Library, calls: int) -> list[int]:
    """Return at which of so many calls of f it is to raise: at each, if all of them together do not take long.

    On slow libraries it is a few of them. Where all is lazy, nothing is written that could stay as it was not: the
    first call.
    """
    if lib.lazy:
        return [1]
    if not lib.slow:
        return list(range(1, calls + 1))
    return sorted({1, 2, 3, calls // 2, calls - 1, calls} & set(range(1, calls + 1)))
