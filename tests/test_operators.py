"""Every operator with every scheme, on every library and layout: the analytic answer, in as many calls as promised."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace, device
from layouts import LAYOUTS
from second_problems import CUBES, SECOND, VECTOR, WAVES, Second, Vector
from selection import fatal_calls
from tried import REAL, TRIED, Tried

import anygrad

Array = Any


@dataclass(frozen=True)
class Operator:
    """An operator, with what it is to give.

    Attributes
    ----------
    differentiate
        ``differentiate(lib, problem, f, x, v, **options)``
    expected
        ``expected(problem, x, v)``, in NumPy.
    lines
        Along how many lines it differentiates, for x of n elements: which tells the number of calls.
    n
        Which derivatives it takes along these.
    spread
        How much further than a step it goes from x.
    factor
        How many errors of a line there may be in one of its results, for a direction of length ``length``.
    """

    name: str
    differentiate: Callable[..., Any]
    expected: Callable[[Any, np.ndarray, np.ndarray], np.ndarray]
    lines: Callable[[int], int]
    n: int = 1
    spread: float = 1.0
    factor: Callable[[int, float], float] = lambda n, length: 1.0

    def __repr__(self) -> str:
        return self.name


def times(matrix: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.tensordot(matrix, v, axes=v.ndim)


def trace(hessian: np.ndarray) -> np.ndarray:
    return np.trace(hessian.reshape((int(np.sqrt(hessian.size)),) * 2))


OF_NUMBERS = [
    Operator(
        "numerical_gradient",
        lambda lib, problem, f, x, v, **options: anygrad.numerical_gradient(f, x, **options),
        lambda problem, x, v: problem.gradient(x),
        lambda n: n,
    ),
    # Of polarization: three second derivatives, divided by two steps, which differ by a factor below 2.
    Operator(
        "hessian",
        lambda lib, problem, f, x, v, **options: anygrad.hessian(f, x, **options),
        lambda problem, x, v: problem.hessian(x),
        lambda n: n * (n + 1) // 2,
        n=2,
        spread=2,
        factor=lambda n, length: 4,
    ),
    Operator(
        "laplacian",
        lambda lib, problem, f, x, v, **options: anygrad.laplacian(f, x, **options),
        lambda problem, x, v: trace(problem.hessian(x)),
        lambda n: n,
        n=2,
        factor=lambda n, length: n,
    ),
    Operator(
        "hvp",
        lambda lib, problem, f, x, v, **options: anygrad.hvp(f, x, v, **options),
        lambda problem, x, v: times(problem.hessian(x), v),
        lambda n: 2 * n + 1,
        n=2,
        spread=4,
        factor=lambda n, length: 4 * length,
    ),
]
OF_ARRAYS = [
    Operator(
        "jacobian",
        lambda lib, problem, f, x, v, **options: anygrad.jacobian(f, x, **options),
        lambda problem, x, v: problem.jacobian(x),
        lambda n: n,
    ),
    Operator(
        "jvp",
        lambda lib, problem, f, x, v, **options: anygrad.jvp(f, x, v, **options),
        lambda problem, x, v: times(problem.jacobian(x), v),
        lambda n: 1,
        factor=lambda n, length: length,
    ),
]
CASES = [(o, p) for o in OF_NUMBERS for p in SECOND] + [(o, p) for o in OF_ARRAYS for p in VECTOR]
ON_SQUARES = [(o, WAVES) for o in OF_NUMBERS] + [(o, CUBES) for o in OF_ARRAYS]


def bound_on(
    lib: Any, case: tuple[Operator, Second | Vector], tried: Tried, result: Any, v: np.ndarray, *, dtype: str
) -> float:
    """Bound the error of a result, but for its own rounding."""
    (operator, problem), step = case, lib.numpy(result.step)
    eps = float(np.finfo(dtype).eps)
    bound = tried.error(problem.magnitude, problem.operations, eps, step, operator.n, spread=operator.spread)
    return bound * operator.factor(problem.x.size, float(np.max(np.abs(v))))


@contextmanager
def nothing_computed(lib: Any) -> Iterator[None]:
    """Raise if a lazy library computes something."""
    if not lib.lazy:
        yield
        return
    import dask

    def computing(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("something was computed")

    with dask.config.set(scheduler=computing):
        yield


def check(lib: Any, operator: Operator, problem: Second | Vector, tried: Tried, x: Array, *, dtype: str) -> None:
    direction = np.linspace(-1, 2, problem.x.size).reshape(problem.x.shape)
    v, before, seen = lib.asarray(direction, dtype), lib.bits(x), [0]
    on_library = problem.on(lib)

    def f(x: Array) -> Array:
        seen[0] += 1
        return on_library(x)

    with nothing_computed(lib):
        result = operator.differentiate(lib, problem, f, x, v, scheme=tried.scheme, full_output=True)
    expected = operator.expected(problem, problem.x, lib.numpy(v).astype(float))

    size = problem.x.size
    bound = bound_on(lib, (operator, problem), tried, result, direction, dtype=dtype)
    bound += float(np.finfo(dtype).eps) * np.max(np.abs(expected))
    assert np.all(np.abs(lib.numpy(result.value) - expected) <= bound)
    assert (tuple(result.value.shape), result.value.dtype) == (np.shape(expected), x.dtype)
    assert device(result.value) == device(x)
    assert array_namespace(result.value) is array_namespace(x)
    assert lib.bits(x) == before

    assert result.ncalls == result.npoints == seen[0]
    promised = tried.calls(lib, operator.lines(size), operator.n)
    if tried.samples_complex and operator.name == "jacobian":
        # Where a value is in doubt, Complex takes ten calls more to see whether f has lost the imaginary part.
        assert promised <= result.ncalls <= promised + 10
    elif promised is not None:
        assert result.ncalls == promised


@pytest.mark.parametrize("tried", TRIED, ids=repr)
@pytest.mark.parametrize(("operator", "problem"), CASES, ids=lambda case: str(case).replace(" ", "-"))
def test_every_problem(lib, operator, problem, tried):
    dtypes = [name for name in ("float32", "float64") if name in lib.real]
    for dtype in dtypes[-1:] if lib.lazy else dtypes:  # what is lazy is slow, and no different
        check(lib, operator, problem, tried, lib.asarray(problem.x, dtype), dtype=dtype)


@pytest.mark.libraries(lambda lib: not lib.lazy)  # which have none
@pytest.mark.parametrize("tried", TRIED, ids=repr)
@pytest.mark.parametrize(("operator", "problem"), ON_SQUARES, ids=lambda case: str(case).replace(" ", "-"))
def test_every_layout(lib, layout, operator, problem, tried):
    check(lib, operator, problem, tried, LAYOUTS[layout](lib, problem.x, "float32"), dtype="float32")


@pytest.mark.libraries(lambda lib: lib.writable)
@pytest.mark.parametrize(("operator", "problem"), ON_SQUARES, ids=lambda case: str(case).replace(" ", "-"))
def test_functions_that_read_x_through_a_closure(lib, layout, operator, problem):
    """As the book's do: in place, whatever the layout."""
    x = LAYOUTS[layout](lib, problem.x, "float32")
    v, on_library = lib.asarray(np.ones(problem.x.shape), "float32"), problem.on(lib)
    blind = operator.differentiate(lib, problem, lambda _: on_library(x), x, v)
    seeing = operator.differentiate(lib, problem, on_library, x, v)
    assert np.array_equal(lib.numpy(blind), lib.numpy(seeing))


@pytest.mark.libraries(lambda lib: not lib.lazy)
@pytest.mark.parametrize(("operator", "problem"), ON_SQUARES, ids=lambda case: str(case).replace(" ", "-"))
def test_copies_hide_the_perturbation_from_a_closure(lib, operator, problem):
    x = lib.asarray(problem.x, "float32")
    v, on_library = lib.asarray(np.ones(problem.x.shape), "float32"), problem.on(lib)
    with pytest.warns(anygrad.ConstantFunctionWarning, match="closure"):
        result = operator.differentiate(
            lib, problem, lambda _: on_library(x), x, v, evaluator=anygrad.Loop(in_place=False)
        )
    assert np.all(lib.numpy(result) == 0)


@pytest.mark.parametrize(("operator", "problem"), ON_SQUARES, ids=lambda case: str(case).replace(" ", "-"))
@pytest.mark.parametrize("tried", TRIED, ids=repr)
def test_x_comes_back_whenever_f_raises(lib, operator, problem, tried):
    x = lib.asarray(problem.x, "float32")
    v, before = lib.asarray(np.ones(problem.x.shape), "float32"), lib.bits(x)
    on_library = problem.on(lib)
    calls = 1
    if not lib.lazy:
        calls = operator.differentiate(lib, problem, on_library, x, v, scheme=tried.scheme, full_output=True).ncalls
    for turn, fatal in enumerate(fatal_calls(lib, calls)):
        errors = [KeyboardInterrupt, ZeroDivisionError]
        for error in [errors[turn % 2]] if lib.slow else errors:
            seen = [0]

            def f(x):
                seen[0] += 1
                if seen[0] == fatal:
                    raise error
                return on_library(x)

            with pytest.raises(error):
                operator.differentiate(lib, problem, f, x, v, scheme=tried.scheme)
            assert (seen[0], lib.bits(x)) == (fatal, before)


@pytest.mark.libraries(lambda lib: lib.writable)
@pytest.mark.parametrize(("operator", "problem"), ON_SQUARES, ids=lambda case: str(case).replace(" ", "-"))
def test_functions_that_modify_their_argument(lib, operator, problem):
    x = lib.asarray(problem.x, "float32")
    v, before, on_library = lib.asarray(np.ones(problem.x.shape), "float32"), lib.bits(x), problem.on(lib)

    def f(x):
        x *= 2
        return on_library(x)

    with pytest.raises(ValueError, match="modifies its argument"):
        operator.differentiate(lib, problem, f, x, v)
    assert lib.bits(x) == before


@pytest.mark.libraries(lambda lib: lib.lazy)
@pytest.mark.parametrize("tried", REAL, ids=repr)
@pytest.mark.parametrize(("operator", "problem"), [case for case in ON_SQUARES if case[0].n == 1], ids=str)
def test_nothing_is_computed_before_it_is_asked_for(lib, operator, problem, tried):
    """With bounds, too, where there is more to decide. (Without them: `check`.)"""
    x, v = lib.asarray(problem.x, "float32"), lib.asarray(np.ones(problem.x.shape), "float32")
    with nothing_computed(lib):
        value = operator.differentiate(lib, problem, problem.on(lib), x, v, scheme=tried.scheme, bounds=(-9.0, 9.0))
    assert np.isfinite(lib.numpy(value)).all()
