"""Vmap on libraries without a vmap of their own: f of one point, called with a batched array."""

from __future__ import annotations

import copy
import math
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import numpy as np
import optree
import pytest
from array_api_compat import array_namespace
from batching_battery import CASES, WORKS
from problems import PROBLEMS

import anygrad
from anygrad import Loop, Vmap
from anygrad.evaluators.batching.rules import RULES
from anygrad.evaluators.batching.run import BatchingError

X = np.random.default_rng(0).uniform(-1, 1, 10)
numpy_alone = pytest.mark.libraries(lambda lib: lib.name == "numpy")
of_the_standard = pytest.mark.libraries(lambda lib: lib.name in {"numpy", "dpnp"} or lib.name.startswith("strict"))


def derivative(case, evaluator):
    with np.errstate(all="ignore"):
        value = case.f(copy.deepcopy(case.x))
        number = not isinstance(value, (tuple, list)) and np.ndim(value) == 0
        operator = anygrad.numerical_gradient if number else anygrad.jacobian
        return operator(case.f, case.x, evaluator=evaluator)


def require_same(found, wanted):
    for one, other in zip(optree.tree_leaves(found), optree.tree_leaves(wanted), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        assert np.allclose(one, other, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_functions_as_users_write_them_and_without_rules_nothing_is_wrong(case):
    wanted = derivative(case, Loop())
    if case.outcome == WORKS:
        require_same(derivative(case, Vmap()), wanted)
    else:
        with pytest.raises(TypeError, match=r"line \d+ of .*batching_battery.py: .*, or use Loop\(\)"):
            derivative(case, Vmap())
    with mock.patch.dict(RULES, clear=True):
        try:
            found = derivative(case, Vmap())
        except BatchingError:
            return
    require_same(found, wanted)


@of_the_standard
@pytest.mark.parametrize("problem", PROBLEMS, ids=repr)
def test_functions_of_the_array_api(lib, problem):
    x = lib.asarray(problem.x, lib.real[-1] if lib.name != "numpy" else "float64")

    def f(x):
        return problem.f(array_namespace(x), x)

    result = anygrad.numerical_gradient(f, x, evaluator=Vmap(), full_output=True)
    assert result.ncalls == 2  # and one of them for a point alone
    found, wanted = lib.numpy(result.value), lib.numpy(anygrad.numerical_gradient(f, x))
    assert np.allclose(found, wanted, rtol=1e-9, atol=1e-9)
    elementwise = problem.name not in {"two-layer net", "quadratic form", "length"}
    if elementwise and lib.name != "dpnp":  # which sums the rows of a matrix in another order than a vector
        assert np.array_equal(found, wanted)


@numpy_alone
def test_elementwise_derivatives_and_sparse_jacobians(lib):
    require_same(anygrad.derivative(np.sin, X, evaluator=Vmap()), anygrad.derivative(np.sin, X))
    pattern = np.eye(10, dtype=bool) | np.eye(10, k=1, dtype=bool)
    f = lambda x: np.append(x[:-1] * x[1:], x[-1])  # noqa: E731
    found = anygrad.jacobian(f, X, sparsity=pattern, evaluator=Vmap())
    assert np.allclose(found.toarray(), anygrad.jacobian(f, X))


# What f sees


def test_f_is_called_once_for_a_chunk():
    shapes = []

    def f(x):
        shapes.append(x.shape)
        return x @ x

    result = anygrad.numerical_gradient(f, X, evaluator=Vmap(), full_output=True)
    assert (result.ncalls, result.npoints) == (2, 20)  # one more for a point alone
    result = anygrad.numerical_gradient(f, X, evaluator=Vmap(max_bytes=5 * 80), full_output=True)
    assert (result.ncalls, result.npoints) == (5, 20)
    assert set(shapes) == {(10,)}


def test_what_f_may_ask_of_its_argument():
    def f(x):
        assert isinstance(x, np.ndarray)
        assert isinstance(x[0], np.float64)
        assert isinstance(x[0], float)
        assert not isinstance(x, np.generic)
        assert np.isscalar(x[0])
        assert (x.shape, x.ndim, x.size, len(x), x.dtype) == ((10,), 1, 10, 10, np.float64)
        assert x.T.shape == x[None].T[:, 0].shape
        assert not hasattr(x, "detach")
        return x.sum()

    assert np.allclose(anygrad.numerical_gradient(f, X, evaluator=Vmap()), 1)


@pytest.mark.filterwarnings("error::anygrad.ConstantFunctionWarning")
def test_points_are_parted_where_f_branches():
    def f(x):
        return x[0] ** 2 if x[0] > 0 else -(x[0] ** 3)

    x = np.array([1e-5, 1.0, 2.0])
    result = anygrad.numerical_gradient(f, x, evaluator=Vmap(), full_output=True)
    assert np.array_equal(result.value, anygrad.numerical_gradient(f, x))
    assert 3 <= result.ncalls <= 5  # the run that is parted, one for each part, one for a point alone


def test_too_many_parts():
    def f(x):
        return sum(math.sin(v) for v in x)

    calls = []
    with pytest.raises(TypeError, match=r"float\(\) that differs between points \(line \d+ of .*math\.sin"):
        anygrad.numerical_gradient(lambda x: calls.append(1) or f(x), X, evaluator=Vmap())
    assert len(calls) <= 15


@pytest.mark.parametrize(
    "f",
    [
        lambda x: float(np.sum(x**2)),
        lambda x: np.float64(x @ x),
        lambda x: x.sum().item(),
        lambda x: float(x[0]) if x.sum() > -100 else float(x[1]),
    ],
    ids=["float", "np.float64", "item", "branches"],
)
def test_a_number_that_f_returns_may_be_made_a_float(f):
    for ask in (anygrad.numerical_gradient, anygrad.jacobian):
        for _ in range(3):  # Python runs a function otherwise when it has run it before
            require_same(ask(f, X, evaluator=Vmap()), ask(f, X))


# What cannot be


def test_a_float_that_f_computes_with_is_none_that_it_returns():
    def norm(x):
        return float(np.sum(x**2))

    for f in (lambda x: norm(x) * 2, lambda x: float(np.sum(x**2)) + 1, lambda x: [norm(x)][0]):
        with pytest.raises(TypeError, match=r"float\(\) that differs between points"):
            anygrad.numerical_gradient(f, X, evaluator=Vmap())


def swallowing(x):
    try:
        return sum(float(v) for v in x)
    except Exception:
        return 0.0


def swallowing_all(x):
    try:
        return sum(float(v) for v in x)
    except BaseException:
        return 0.0


def by_type(x):
    return x.sum() if type(x) is np.ndarray else 0.0


def random(x):
    return x.sum() + np.random.default_rng().normal()


def written(x):
    y = np.zeros(10)
    y[2:] = x[2:]
    return y.sum()


def view_lost(x):
    y = x * 2
    np.asarray(y)[0] = 5.0
    return y.sum()


def kept(x, memory=[]):  # noqa: B006 - what it is about
    memory.append(np.sin(x))
    return memory[0].sum() * x[0]


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (swallowing, "float()"),
        (swallowing_all, "float()"),
        (by_type, "type(x) is np.ndarray"),
        (random, "it is random"),
        (written, "np.zeros(n, like=x)"),
        (view_lost, "other values for many points"),
        (lambda x: np.ones(10).__iadd__(x).sum(), "np.zeros_like(x)"),
        (lambda x: np.exp(x, out=np.empty(10)).sum(), "np.zeros_like(x)"),
        (lambda x: np.copyto(np.empty(10), x), "np.zeros_like(x)"),
        (lambda x: np.fix(x * 9, np.empty(10)).sum(), "np.zeros_like(x)"),
        (lambda x: np.linalg.det(np.array([[x[0], x[1]], [x[2], x[3]]])), "np.stack"),
        (lambda x: np.asarray(x, dtype=float).sum(), "np.asarray(x, like=x)"),
        (lambda x: x.ravel("K")[0], "order='C'"),
        (lambda x: x.data[0], "x.data"),
        (kept, "another x"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_an_error_says_what_to_write_and_is_not_swallowed(f, message):
    with pytest.raises(TypeError) as caught:
        anygrad.numerical_gradient(f, X, evaluator=Vmap())
    assert message in str(caught.value)
    assert "Loop()" in str(caught.value)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_a_class_that_computes_otherwise_is_noticed():
    x = np.matrix([[1.0, 2.0]])
    assert np.allclose(anygrad.numerical_gradient(lambda x: float(np.sum(x * 2)), x, evaluator=Vmap()), 2)
    with pytest.raises(TypeError, match="other values for many points"):
        anygrad.numerical_gradient(lambda x: np.sum(x * x.T), x, evaluator=Vmap())


def test_a_fallback_takes_over_with_one_warning():
    def f(x):
        return sum(math.sin(v) for v in x)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = anygrad.numerical_gradient(f, X, evaluator=Vmap(fallback=Loop(), max_bytes=800), full_output=True)
    assert [warning.category for warning in caught] == [RuntimeWarning]
    assert caught[0].filename == __file__
    assert np.array_equal(result.value, anygrad.numerical_gradient(f, X))
    assert result.ncalls > 20


def test_a_fallback_is_not_for_errors_of_f():
    def f(x):
        raise TypeError("mine")

    with pytest.raises(TypeError, match=r"^mine"):
        anygrad.numerical_gradient(f, X, evaluator=Vmap(fallback=Loop()))


def test_a_closure_over_x_is_warned_of():
    x = X.copy()
    with pytest.warns(anygrad.ConstantFunctionWarning, match="closure"):
        assert np.all(anygrad.numerical_gradient(lambda _: x @ x, x, evaluator=Vmap()) == 0)


@pytest.mark.libraries(lambda lib: lib.lazy)
def test_lazy_arrays_are_refused(lib):
    with pytest.raises(TypeError, match=r"x is a lazy array.*use Batch\(\)"):
        anygrad.numerical_gradient(lib.xp.sum, lib.asarray(X, "float64"), evaluator=Vmap())


# Errors of f


def test_an_error_of_f_ends_in_its_line():
    def f(x):
        y = x * 2
        return y + undefined  # noqa: F821

    with pytest.raises(NameError) as caught:
        anygrad.numerical_gradient(f, X, evaluator=Vmap())
    last = caught.traceback[-1]
    assert last.name == "f"
    assert "undefined" in str(last.statement)


def test_an_error_at_some_points_is_that_of_the_loop():
    def f(x):
        if x[3] > X[3]:
            raise ArithmeticError(f"x[3] is {float(x[3]):.6f}")
        return np.linalg.inv(np.outer(x, x) + np.eye(10)).sum()

    for evaluator in (Loop(in_place=False), Vmap()):
        with pytest.raises(ArithmeticError, match="is 0") if X[3] > 0 else pytest.raises(ArithmeticError):
            anygrad.numerical_gradient(f, X.copy(), evaluator=evaluator)


@pytest.mark.parametrize("raised", [KeyboardInterrupt, StopIteration])
def test_exceptions_come_through(raised):
    def f(x):
        raise raised

    with pytest.raises(raised):
        anygrad.numerical_gradient(f, X, evaluator=Vmap())


@pytest.mark.parametrize(
    "f", [lambda x: x.__setitem__(0, 1.0) or x.sum(), lambda x: x[2:].__imul__(2).sum()], ids=["item", "view"]
)
def test_an_f_that_writes_to_its_argument(f):
    before = X.copy()
    with pytest.raises(ValueError, match="f modifies its argument"):
        anygrad.numerical_gradient(f, X, evaluator=Vmap())
    assert np.array_equal(X, before)


def test_what_is_no_number_is_told_as_by_the_loop():
    for f in (lambda x: None, lambda x: x * 2, lambda x: "text", lambda x: (x.sum(), x), lambda x: {"a": x.sum()}):
        with pytest.raises((TypeError, ValueError)) as of_loop:
            anygrad.numerical_gradient(f, X)
        with pytest.raises(of_loop.type) as caught:
            anygrad.numerical_gradient(f, X, evaluator=Vmap())
        assert str(caught.value).partition("(")[0] == str(of_loop.value).partition("(")[0]


def test_extra_output_is_that_at_x():
    _, aux = anygrad.numerical_gradient(lambda x: (x.sum(), {"x": x * 2}), X, has_aux=True, evaluator=Vmap())
    assert type(aux["x"]) is np.ndarray
    assert np.array_equal(aux["x"], 2 * X)


def test_settings_for_floating_errors_are_the_callers():
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        anygrad.numerical_gradient(lambda x: np.log(x * 0).sum(), X, evaluator=Vmap())
    with np.errstate(divide="ignore"), warnings.catch_warnings():
        warnings.simplefilter("error")
        anygrad.numerical_gradient(lambda x: np.log(x * 0).sum(), X, evaluator=Vmap())


# Many at a time


def test_threads_do_not_meet():
    ready = threading.Barrier(8)

    def gradient(i):
        ready.wait(10)
        return [anygrad.numerical_gradient(lambda x: np.sum(x**2) * i, X, evaluator=Vmap()) for _ in range(20)]

    with ThreadPoolExecutor(8) as executor:
        for i, gradients in enumerate(executor.map(gradient, range(1, 9)), start=1):
            assert all(np.allclose(g, 2 * i * X) for g in gradients)


@pytest.mark.skipif(
    not hasattr(np, "__array_namespace_info__"), reason="NumPy 2.0 does not say which dtypes it has; 2.1 does"
)
@pytest.mark.parametrize("inner", [Loop(), Vmap()], ids=repr)
def test_an_f_that_calls_anygrad(inner):
    def f(x):
        return np.sum(anygrad.numerical_gradient(lambda y: np.sum(y**3), x, evaluator=inner) ** 2)

    require_same(anygrad.numerical_gradient(f, X, evaluator=Vmap()), anygrad.numerical_gradient(f, X))


# anygrad.vmap


def test_vmap_is_a_stack_of_calls():
    points = np.random.default_rng(1).normal(size=(5, 3, 3))

    def f(m):
        return {"inverse": np.linalg.inv(m + 4 * np.eye(3)), "parts": (m[0], m.max(), 2.0)}

    found = anygrad.vmap(f)(points)
    require_same(found, optree.tree_map(lambda *parts: np.stack(parts), *map(f, points)))


def test_vmap_of_several_arguments_and_trees():
    p = {"w": X.reshape(5, 2), "b": X[:5].copy()}
    found = anygrad.vmap(lambda p, x, scale: (p["w"] @ x + p["b"]) * scale)(p, X.reshape(5, 2), scale=X[5:])
    assert np.allclose(found, (np.sum(p["w"] * X.reshape(5, 2), axis=1) + p["b"]) * X[5:])


def test_vmap_within_vmap():
    points = np.random.default_rng(2).normal(size=(4, 3, 2))
    found = anygrad.vmap(anygrad.vmap(lambda x: np.sort(x)[0] * np.sum(x**2)))(points)
    assert np.allclose(found, np.min(points, axis=-1) * np.sum(points**2, axis=-1))


@pytest.mark.parametrize("given", [(X, X[:3]), (1.5,), (np.array(1.5),), (np.ones((0, 3)),)], ids=str)
def test_vmap_needs_a_leading_axis(given):
    with pytest.raises(ValueError, match="a first axis of the same length"):
        anygrad.vmap(lambda *x: x[0])(*given)


@pytest.mark.libraries(lambda lib: lib.name in {"torch", "jax"})
def test_vmap_by_the_library_itself(lib):
    x = lib.asarray(X.reshape(5, 2), "float32")
    assert np.allclose(lib.numpy(anygrad.vmap(lambda x: x[0] * x[1])(x)), X[::2] * X[1::2], rtol=1e-5)


# CuPy's protocols, with an array library in its place whose kernels ask their arguments as CuPy's do


class FakeKernel:
    def __init__(self, function, operation="y = f(x)", raw=False):
        self.function, self.operation = function, operation
        self.params = [mock.Mock(raw=raw)]

    def __call__(self, *args, **kwargs):
        for arg in args:
            if hasattr(arg, "__cupy_override_elementwise_kernel__"):
                return arg.__cupy_override_elementwise_kernel__(self, *args, **kwargs)
        return self.function(*args, **kwargs)


class FakeReduction:
    def __call__(self, a, axis=None, dtype=None, out=None, keepdims=False):
        if hasattr(a, "__cupy_override_reduction_kernel__"):
            return a.__cupy_override_reduction_kernel__(self, axis, dtype, out, keepdims)
        return np.sum(a, axis, dtype, out, keepdims)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: FakeKernel(np.multiply)(x, np.arange(5.0)[:, None]).sum(),
        lambda x: FakeReduction()(x * x[0]),
        lambda x: FakeReduction()(np.outer(x, x), axis=0)[1],
        lambda x: FakeKernel(lambda x: x[::-1] * np.arange(10), raw=True)(x)[1],
        lambda x: FakeKernel(lambda x: x * np.arange(10), operation="y = x * i")(x).sum(),
    ],
    ids=["elementwise", "reduction", "along an axis", "raw", "by place"],
)
def test_kernels_of_cupy_that_ask_their_arguments(f):
    require_same(anygrad.numerical_gradient(f, X, evaluator=Vmap()), anygrad.numerical_gradient(f, X))
