"""Operators, schemes, evaluators, layouts and libraries: the analytic answer, in as many calls as promised.

Every operator runs with every scheme on every problem. Evaluators give the numbers of `Loop`, which is tested with each
operator and with each scheme, not with all pairs of these: they see points alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import optree
import pytest
import reference
from array_api_compat import array_namespace, device
from layouts import LAYOUTS
from problems import CUBES, PROBLEMS, SECOND, VECTOR, WAVES, Problem
from selection import fatal_calls
from tried import REAL, TRIED, Tried

import anygrad

Array = Any
CONCRETE = pytest.mark.libraries(lambda lib: not lib.lazy)
WRITABLE = pytest.mark.libraries(lambda lib: lib.writable)


@dataclass(frozen=True)
class Operator:
    """An operator, with what it is to give: ``expected(problem, x, v)``, in NumPy."""

    name: str
    expected: Callable[[Problem, np.ndarray, np.ndarray], np.ndarray]
    lines: Callable[[int], int]  # along which it differentiates, for x of n elements
    n: int = 1  # which derivatives it takes along these
    spread: float = 1.0  # how much further than a step it goes from x
    factor: Callable[[int, float], float] = lambda n, length: 1.0  # errors of a line in one of its results
    along: bool = False  # a direction

    def __repr__(self) -> str:
        return self.name

    def __call__(self, f: Callable[[Array], Any], x: Array, v: Array, **options: Any) -> Any:
        operator = getattr(anygrad, self.name)
        return operator(f, x, v, **options) if self.along else operator(f, x, **options)


def times(matrix: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.tensordot(matrix, v, axes=v.ndim)


def trace(hessian: np.ndarray) -> np.ndarray:
    return np.trace(hessian.reshape((int(np.sqrt(hessian.size)),) * 2))


OF_NUMBERS = [
    Operator("numerical_gradient", lambda problem, x, v: problem.gradient(x), lambda n: n),
    # A mixed derivative is made of three second ones, divided by two steps, which differ by a factor below 2.
    Operator(
        "hessian",
        lambda problem, x, v: problem.hessian(x),
        lambda n: n * (n + 1) // 2,
        n=2,
        spread=2,
        factor=lambda n, length: 4,
    ),
    Operator(
        "laplacian",
        lambda problem, x, v: trace(problem.hessian(x)),
        lambda n: n,
        n=2,
        factor=lambda n, length: n,
    ),
    Operator(
        "hvp",
        lambda problem, x, v: times(problem.hessian(x), v),
        lambda n: 2 * n + 1,
        n=2,
        spread=4,
        factor=lambda n, length: 4 * length,
        along=True,
    ),
]
OF_ARRAYS = [
    Operator("jacobian", lambda problem, x, v: problem.jacobian(x), lambda n: n),
    Operator(
        "jvp",
        lambda problem, x, v: times(problem.jacobian(x), v),
        lambda n: 1,
        factor=lambda n, length: length,
        along=True,
    ),
]
GRADIENT, HESSIAN, JACOBIAN, JVP = OF_NUMBERS[0], OF_NUMBERS[1], *OF_ARRAYS
CASES = [(operator, problem) for operator in OF_NUMBERS for problem in SECOND]
CASES += [(operator, problem) for operator in OF_ARRAYS for problem in VECTOR]
ON_SQUARES = [(operator, WAVES) for operator in OF_NUMBERS] + [(operator, CUBES) for operator in OF_ARRAYS]
BY_CASE = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}")
BY_OPERATOR = pytest.mark.parametrize("case", ON_SQUARES, ids=lambda case: str(case[0]))
BY_SCHEME = pytest.mark.parametrize("tried", TRIED, ids=repr)


def widest(lib: Any) -> str:
    return "float64" if "float64" in lib.real else "float32"


def bound_on(
    lib: Any, case: tuple[Operator, Problem], tried: Tried, result: Any, v: np.ndarray, *, dtype: str
) -> float:
    """Bound the error of a result, but for its own rounding."""
    (operator, problem), step = case, lib.numpy(result.step)
    eps = float(np.finfo(dtype).eps)
    bound = tried.error(problem.magnitude, problem.operations, eps, step, operator.n, spread=operator.spread)
    return bound * operator.factor(problem.x.size, float(np.max(np.abs(v))))


def direction_for(problem: Problem) -> np.ndarray:
    return np.linspace(-1, 2, problem.x.size).reshape(problem.x.shape)


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


# --- answers ------------------------------------------------------------------------------------------------------


def require_answer(lib: Any, case: tuple[Operator, Problem], tried: Tried, x: Array, dtype: str) -> None:
    operator, problem = case
    direction = direction_for(problem)
    v, before, seen = lib.asarray(direction, dtype), lib.bits(x), [0]
    on_library = problem.on(lib)

    def f(x: Array) -> Array:
        seen[0] += 1
        return on_library(x)

    with nothing_computed(lib):
        result = operator(f, x, v, scheme=tried.scheme, full_output=True)
    expected = operator.expected(problem, problem.x, lib.numpy(v).astype(float))

    bound = bound_on(lib, case, tried, result, direction, dtype=dtype)
    bound += float(np.finfo(dtype).eps) * np.max(np.abs(expected))
    assert np.all(np.abs(lib.numpy(result.value) - expected) <= bound)
    assert (tuple(result.value.shape), result.value.dtype) == (np.shape(expected), x.dtype)
    assert device(result.value) == device(x)
    assert array_namespace(result.value) is array_namespace(x)
    assert lib.bits(x) == before

    assert result.ncalls == result.npoints == seen[0]
    promised = tried.calls(lib, operator.lines(problem.x.size), operator.n)
    if tried.samples_complex and operator is JACOBIAN:
        # Where a value is in doubt, Complex takes ten calls more to see whether f has lost the imaginary part.
        assert promised <= result.ncalls <= promised + 10
    elif promised is not None:
        assert result.ncalls == promised


@BY_SCHEME
@BY_CASE
def test_every_operator_with_every_scheme_on_every_problem(lib, case, tried):
    dtypes = [name for name in ("float32", "float64") if name in lib.real]
    for dtype in dtypes[-1:] if lib.slow else dtypes:
        require_answer(lib, case, tried, lib.asarray(case[1].x, dtype), dtype)


@CONCRETE  # which have no layouts
@pytest.mark.parametrize("tried", [tried for tried in TRIED if tried.scheme in (anygrad.Central(), anygrad.Complex())])
@BY_OPERATOR
def test_every_operator_in_every_layout(lib, layout, case, tried):
    require_answer(lib, case, tried, LAYOUTS[layout](lib, case[1].x, "float32"), "float32")


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_the_gradient_of_every_problem_is_the_analytic_one(lib, problem):
    for dtype in ["float32"] if lib.slow else {"float32", "float64"}:
        x = lib.asarray(problem.x, dtype)
        result = anygrad.numerical_gradient(lib.compiled(problem.on(lib)), x, full_output=True)
        bound = problem.bound(lib.numpy(result.step), np.finfo(dtype).eps)
        assert np.all(np.abs(lib.numpy(result.value) - problem.gradient(problem.x)) <= bound)
        assert np.array_equal(lib.numpy(x), problem.x)


@pytest.mark.libraries(lambda lib: lib.name == "numpy")
@pytest.mark.parametrize("h", [None, 1e-5])
@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_float64_gradients_of_numpy_are_the_books_to_the_last_bit(lib, layout, problem, h):
    x = LAYOUTS[layout](lib, problem.x, "float64")
    expected = reference.numerical_gradient(problem.on(lib), x, reference.H if h is None else h)
    assert np.array_equal(anygrad.numerical_gradient(problem.on(lib), x, h), expected)


@pytest.mark.libraries(lambda lib: lib.name == "numpy")
def test_the_gradient_of_an_x_of_several_blocks_is_the_books_to_the_last_bit(lib, layout):
    x = LAYOUTS[layout](lib, np.linspace(-1, 1, 10_000).reshape(100, 100), "float64")
    before = x.copy()

    def f(x):  # of the first and the last elements of x and of its blocks
        return np.sin(x[0, 0]) + np.cos(x[40, 95] * x[40, 96]) + x[81, 91] * x[81, 92] ** 2 + np.exp(x[99, 99])

    assert np.array_equal(anygrad.numerical_gradient(f, x), reference.numerical_gradient(f, x))
    assert np.array_equal(x, before)


def test_the_gradient_at_one_sample_is_the_books_to_the_last_bit():
    x = np.array([3.0, -4.0, 0.1])

    def f(x):
        return x[0] ** 2 * x[1] + np.sin(x[2])

    assert np.array_equal(anygrad.numerical_gradient_1d(f, x), reference.numerical_gradient_1d(f, x))


@pytest.mark.libraries(lambda lib: lib.lazy)
@pytest.mark.parametrize("tried", REAL, ids=repr)
@pytest.mark.parametrize("case", [case for case in ON_SQUARES if case[0].n == 1], ids=str)
def test_within_bounds_nothing_lazy_is_computed_before_it_is_asked_for(lib, case, tried):
    operator, problem = case
    x, v = lib.asarray(problem.x, "float32"), lib.asarray(np.ones(problem.x.shape), "float32")
    with nothing_computed(lib):
        value = operator(problem.on(lib), x, v, scheme=tried.scheme, bounds=(-9.0, 9.0))
    assert np.isfinite(lib.numpy(value)).all()


# --- what f does --------------------------------------------------------------------------------------------------


@WRITABLE
@BY_OPERATOR
def test_an_f_that_reads_x_through_a_closure_sees_the_perturbation(lib, layout, case):
    operator, problem = case
    x = LAYOUTS[layout](lib, problem.x, "float32")
    v, f = lib.asarray(np.ones(problem.x.shape), "float32"), problem.on(lib)
    assert np.array_equal(lib.numpy(operator(lambda _: f(x), x, v)), lib.numpy(operator(f, x, v)))


@BY_SCHEME
@BY_OPERATOR
def test_x_comes_back_whenever_f_raises(lib, case, tried):
    """Whatever it raises: a generator of ours would make a RuntimeError of StopIteration."""
    operator, problem = case
    x, v = lib.asarray(problem.x, "float32"), lib.asarray(np.ones(problem.x.shape), "float32")
    before, calls = lib.bits(x), 1
    if not lib.lazy:
        calls = operator(problem.on(lib), x, v, scheme=tried.scheme, full_output=True).ncalls
    for turn, fatal in enumerate(fatal_calls(lib, calls)):
        error, seen = [KeyboardInterrupt, ZeroDivisionError, StopIteration][turn % 3], [0]

        def f(x):
            seen[0] += 1
            if seen[0] == fatal:
                raise error
            return problem.f(lib.xp, x)

        with pytest.raises(error):
            operator(f, x, v, scheme=tried.scheme)
        assert (seen[0], lib.bits(x)) == (fatal, before)


# --- evaluators ---------------------------------------------------------------------------------------------------


def require_same(lib, called, value, expected, bound=0.0):
    """Require the same numbers, in trees too; to a bound where f's own may differ by rounding."""
    values, structure = optree.tree_flatten(value)
    wanted, wanted_structure = optree.tree_flatten(expected)
    assert structure == wanted_structure
    for one, other in zip(values, wanted, strict=True):
        assert (type(one), tuple(one.shape), one.dtype) == (type(other), tuple(other.shape), other.dtype)
        if called.exact:
            assert np.array_equal(lib.numpy(one), lib.numpy(other), equal_nan=True)
        else:
            assert np.all(np.abs(lib.numpy(one) - lib.numpy(other)) <= 2 * bound)


def require_numbers_of_the_loop(lib, called, case, tried, x, *, dtype):
    (operator, problem), before = case, lib.bits(x)
    f, direction = problem.on(lib), direction_for(problem)
    v, options = lib.asarray(direction, dtype), {"scheme": tried.scheme, "full_output": True}
    expected = operator(f, x, v, **options)
    result = operator(called.of(lib, f), x, v, evaluator=called.evaluator, **options)
    require_same(lib, called, result.value, expected.value, bound_on(lib, case, tried, result, direction, dtype=dtype))
    assert lib.bits(x) == before


@BY_OPERATOR
def test_evaluators_give_the_numbers_of_the_loop_in_every_operator(lib, called, case):
    called = replace(called, exact=called.exact and not lib.lazy)
    require_numbers_of_the_loop(lib, called, case, TRIED[1], lib.asarray(case[1].x, widest(lib)), dtype=widest(lib))


@CONCRETE
@BY_SCHEME
@pytest.mark.parametrize("case", [(HESSIAN, WAVES), (JACOBIAN, CUBES)], ids=str)
def test_evaluators_give_the_numbers_of_the_loop_under_every_scheme(lib, called, case, tried):
    require_numbers_of_the_loop(lib, called, case, tried, lib.asarray(case[1].x, widest(lib)), dtype=widest(lib))


@CONCRETE
@pytest.mark.parametrize("case", [(GRADIENT, WAVES), (JVP, CUBES)], ids=str)
def test_evaluators_give_the_numbers_of_the_loop_in_every_layout(lib, called, layout, case):
    """But for rounding: sums over points that are laid out otherwise than x are rounded otherwise."""
    x = LAYOUTS[layout](lib, case[1].x, "float32")
    require_numbers_of_the_loop(lib, replace(called, exact=False), case, TRIED[1], x, dtype="float32")


def same_gradient(lib, called, f, x, bound, **options):
    expected = anygrad.numerical_gradient(f, x, **options)
    value = anygrad.numerical_gradient(called.of(lib, f), x, evaluator=called.evaluator, **options)
    require_same(lib, called, value, expected, bound)


def test_evaluators_in_every_dtype(lib, called, dtype):
    """The numbers are compared with the loop's, as no step is exact in every dtype."""
    eps = {"bfloat16": 2.0**-7}.get(dtype) or float(np.finfo(dtype).eps)
    x = lib.asarray(np.array([1.0, -2.0, 0.5]), dtype)
    same_gradient(lib, called, lambda x: x[0] * x[1] + x[2], x, 4 * eps ** (1 / 3))


def test_evaluators_of_complex_numbers(lib, called, complex_dtype):
    x = lib.asarray(np.array([1 + 2j, 3 - 1j]), complex_dtype)
    same_gradient(lib, called, lambda z: z[0] * z[1], x, 0.01)
    same_gradient(lib, called, lambda z: lib.xp.real(z[0]) * lib.xp.imag(z[1]), x, 0.01)


def test_evaluators_of_the_rows_of_a_batch(lib, called):
    X = lib.asarray(np.arange(12.0).reshape(3, 4) / 8 + 1, widest(lib))

    def f(x):
        return x[0] ** 2 * x[1] + 3 * x[-1]

    for x, scheme in ((X, None), (X[0, ...], None), (X, anygrad.Forward())):
        if lib.slow and scheme:
            continue
        expected = anygrad.numerical_gradient_2d(f, x, scheme=scheme)
        value = anygrad.numerical_gradient_2d(called.of(lib, f), x, scheme=scheme, evaluator=called.evaluator)
        require_same(lib, called, value, expected, 1e-3)


@CONCRETE
@pytest.mark.parametrize("scheme", [None, anygrad.Forward()], ids=repr)
def test_evaluators_of_trees(lib, called, scheme):
    x = {
        "a": lib.asarray(np.array([[1.0, 2.0]]), widest(lib)),
        "b": lib.asarray(np.array(0.5), widest(lib)),
    }
    options = {} if scheme is None else {"scheme": scheme}

    def f(p):
        return p["a"][0, 0] ** 2 * p["a"][0, 1] * p["b"]

    def vector(p):
        return {"u": p["a"] * p["b"], "v": p["a"][0, 0] ** 2}

    def along(f, x, **options):
        return anygrad.hvp(f, x, optree.tree_map(lambda leaf: leaf * 0 + 1, x), **options)

    operators = [(anygrad.numerical_gradient, f), (anygrad.hessian, f), (anygrad.jacobian, vector), (along, f)]
    for operator, function in operators[::2] if lib.slow else operators:
        value = operator(called.of(lib, function), x, evaluator=called.evaluator, **options)
        require_same(lib, called, value, operator(function, x, **options), 0.05)


@CONCRETE
@pytest.mark.parametrize("tree", [False, True], ids=["array", "tree"])
def test_evaluators_with_extra_output_and_a_known_value(lib, called, tree):
    x = lib.asarray(np.array([1.0, 2.0]), "float32")
    x = {"a": x} if tree else x

    def f(x):
        x = x["a"] if tree else x
        return lib.xp.sum(x**2), "aux"

    for scheme, f0 in ((None, None), (None, (5.0, "given")), (anygrad.Forward(), None)):
        options = {"scheme": scheme, "has_aux": True, "f0": f0}
        expected, _ = anygrad.numerical_gradient(f, x, **options)
        value, aux = anygrad.numerical_gradient(called.of(lib, f), x, evaluator=called.evaluator, **options)
        assert aux == ("aux" if f0 is None else "given")
        require_same(lib, called, value, expected, 0.02)


def test_evaluators_within_bounds(lib, called):
    x = lib.asarray(np.array([0.0, 1.0, 0.5]), widest(lib))

    def f(x):
        return x[0] * x[1] + x[2] ** 2

    options = {"bounds": (0.0, 1.0), "full_output": True}
    expected = anygrad.numerical_gradient(f, x, **options)
    result = anygrad.numerical_gradient(called.of(lib, f), x, evaluator=called.evaluator, **options)
    require_same(lib, called, result.value, expected.value, 1e-3)
    assert np.array_equal(lib.numpy(result.flags["one_sided"]), lib.numpy(expected.flags["one_sided"]))


def test_evaluators_of_arrays_without_dimensions_or_elements(lib, called):
    same_gradient(lib, called, lambda x: x * 3, lib.asarray(np.array(2.0), "float32"), 0.01)
    for shape in ((0,), (2, 0)):
        x = lib.asarray(np.empty(shape), "float32")
        same_gradient(lib, called, lib.xp.sum, x, 0)
        of_pairs = anygrad.jacobian(
            called.of(lib, lambda x: lib.xp.zeros(2, dtype=x.dtype, device=lib.device)), x, evaluator=called.evaluator
        )
        assert tuple(of_pairs.shape) == (2, *shape)


@CONCRETE
def test_evaluators_warn_of_an_f_that_cannot_see_the_perturbation(lib, called):
    x = lib.asarray(np.array([1.0, 2.0]), "float32")
    if called.in_place and lib.writable:
        assert np.allclose(lib.numpy(anygrad.numerical_gradient(lambda _: lib.xp.sum(x**2), x)), [2, 4], atol=0.02)
        return
    with pytest.warns(anygrad.ConstantFunctionWarning, match="closure"):
        value = anygrad.numerical_gradient(called.of(lib, lambda _: lib.xp.sum(x**2)), x, evaluator=called.evaluator)
    assert np.all(lib.numpy(value) == 0)


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_evaluators_put_x_back_whenever_f_raises(lib, called, error):
    x = lib.asarray(np.array([1.0, -0.0, 3.0]), "float32")
    before, total = lib.bits(x), [0]

    def counted(x, fatal=0):
        total[0] += 1
        if total[0] == fatal:
            raise error
        return x[0] * x[1] + x[2]

    options = {"scheme": anygrad.Forward(), "evaluator": called.evaluator}
    anygrad.numerical_gradient(called.of(lib, counted), x, **options)
    for fatal in fatal_calls(lib, total[0]):
        total[0] = 0
        with pytest.raises(error):
            anygrad.numerical_gradient(called.of(lib, lambda x: counted(x, fatal)), x, **options)
        assert lib.bits(x) == before


def test_evaluators_count_the_points_that_are_done(lib, called):
    seen = []
    result = anygrad.numerical_gradient(
        called.of(lib, lambda x: x[0] * x[1]),
        lib.asarray(np.ones(5), "float32"),
        evaluator=called.evaluator,
        progress=lambda *counts: seen.append(counts),
        full_output=True,
    )
    done = [done for done, _ in seen]
    assert done == sorted(done)
    assert seen[-1] == (result.npoints, result.npoints)
    assert result.npoints in {10, 11}  # one more, if Batch looks whether f keeps the points apart
    assert len(seen) in {result.ncalls, result.ncalls - 1}  # one more, if Vmap looks at a point alone
