"""An f that raises: an exception that says where, or NaN there and nowhere else."""

from __future__ import annotations

import math

import numpy as np
import pytest

import anygrad

LOOP, BATCH = anygrad.Loop(on_error="nan"), anygrad.Batch(on_error="nan")


class Above:
    """f, which raises where an element of x is above its limit. Each is a new function, which `Batch` does not know."""

    def __init__(self, f, limits, error=ZeroDivisionError):
        self.f, self.limits, self.error = f, np.asarray(limits), error

    def __call__(self, x):
        if np.any(x > self.limits):
            raise self.error(str(np.max(x)))
        return self.f(x)


def total(x):
    return (x**2).sum(axis=-1)


def squares(x):
    return x**2


X = np.array([1.0, 2.0, 3.0])
LIMITS = [1.0, 9.0, 9.0]  # x[0] is on its own


def differentiate(f, evaluator=LOOP, **options):
    return anygrad.numerical_gradient(f, X.copy(), evaluator=evaluator, full_output=True, **options)


@pytest.mark.parametrize("evaluator", [LOOP, BATCH, anygrad.Batch(48, on_error="nan")], ids=repr)
def test_a_gradient_is_nan_where_f_raises_and_right_elsewhere(evaluator):
    result = differentiate(Above(total, LIMITS), evaluator)
    assert np.allclose(result.value, [np.nan, 4, 6], equal_nan=True)
    assert result.flags["failed"].tolist() == [True, False, False]
    assert list(result.failures) == ["x[0]"]
    assert isinstance(result.failures["x[0]"], ZeroDivisionError)
    alone = anygrad.numerical_gradient(Above(total, LIMITS), X.copy(), evaluator=evaluator)
    assert np.array_equal(alone, result.value, equal_nan=True)


@pytest.mark.parametrize("evaluator", [LOOP, BATCH], ids=repr)
def test_a_jacobian_is_nan_in_the_columns_by_which_f_raises(evaluator):
    f = Above(squares, LIMITS)
    result = anygrad.jacobian(f, X.copy(), evaluator=evaluator, full_output=True)
    assert np.allclose(result.value[:, 1:], [[0, 0], [4, 0], [0, 6]])
    assert np.isnan(result.value[:, 0]).all()
    assert np.array_equal(result.flags["failed"], np.isnan(result.value))
    assert list(result.failures) == ["x[0]"]


@pytest.mark.parametrize("evaluator", [LOOP, BATCH], ids=repr)
@pytest.mark.parametrize("scheme", [anygrad.Adaptive(), anygrad.Central()], ids=repr)
def test_failures_hold_no_element_whose_derivative_was_found_nearer(evaluator, scheme):
    """`Adaptive` begins with a step of more than 0.01, and steps nearer; `Central` takes one below 1e-4."""
    limits = [1.0 + 1e-3, 9.0, 9.0]
    result = differentiate(Above(total, limits), evaluator, scheme=scheme)
    assert np.allclose(result.value, [2, 4, 6])
    assert result.failures == {}
    assert not result.flags["failed"].any()
    rows = anygrad.jacobian(Above(squares, limits), X.copy(), evaluator=evaluator, scheme=scheme, full_output=True)
    assert np.allclose(rows.value, np.diag([2, 4, 6]))
    assert rows.failures == {}
    hessian = anygrad.hessian(Above(total, limits), X.copy(), evaluator=evaluator, scheme=scheme, full_output=True)
    assert np.allclose(hessian.value, 2 * np.eye(3), atol=1e-4)
    assert hessian.failures == {}


def test_a_hessian_keeps_what_f_raised_where_an_entry_is_nan():
    result = anygrad.hessian(Above(total, LIMITS), X.copy(), evaluator=LOOP, full_output=True)
    assert "x[0]" in result.failures
    assert np.array_equal(result.flags["failed"], np.isnan(result.value))
    assert np.allclose(result.value[1:, 1:], 2 * np.eye(2), atol=1e-4)


def test_failures_of_a_sparse_jacobian_are_kept_where_an_entry_is_nan():
    for limits, names in ((LIMITS, {"x[0]", "x[1]", "x[2]"}), ([9.0, 9.0, 9.0], set())):
        f = Above(squares, limits)
        result = anygrad.jacobian(f, X.copy(), sparsity=np.eye(3, dtype=bool), evaluator=LOOP, full_output=True)
        assert set(result.failures) == names


def test_failures_are_named_as_elements_of_a_tree():
    tree = {"a": np.array([1.0, 2.0]), "b": [np.array([[3.0, 4.0]])]}

    def f(p):
        if p["b"][0][0, 1] > 4:
            raise KeyError("b")
        return (p["a"] ** 2).sum() + (p["b"][0] ** 2).sum()

    result = anygrad.numerical_gradient(f, tree, evaluator=LOOP, full_output=True)
    assert list(result.failures) == ["x['b'][0][0, 1]"]
    assert np.allclose(result.value["a"], [2, 4])
    assert np.allclose(result.value["b"][0], [[6, np.nan]], equal_nan=True)
    assert result.flags["failed"]["b"][0].tolist() == [[False, True]]
    assert not result.flags["failed"]["a"].any()


def test_aux_is_that_of_x_where_f_raises_elsewhere():
    def f(x):
        return Above(total, LIMITS)(x), float(x[0])

    for operator in anygrad.numerical_gradient, anygrad.jacobian:
        result, aux = operator(f, X.copy(), evaluator=LOOP, has_aux=True, full_output=True)
        assert aux == 1.0
        assert list(result.failures) == ["x[0]"]


@pytest.mark.parametrize("scheme", [anygrad.Forward(), anygrad.Adaptive()], ids=repr)
def test_an_exception_at_x_itself_is_raised(scheme):
    def f(x):
        if x[2] >= 3:
            raise ZeroDivisionError
        return total(x)

    with pytest.raises(ZeroDivisionError) as caught:
        differentiate(f, scheme=scheme)
    assert caught.value.__notes__ == ["f was called with x itself"]


@pytest.mark.parametrize("evaluator", [LOOP, BATCH], ids=repr)
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_raised_and_not_counted_as_nan(evaluator, error):
    x = X.copy()
    with pytest.raises(error):
        anygrad.numerical_gradient(Above(total, LIMITS, error), x, evaluator=evaluator)
    assert np.array_equal(x, X)


@pytest.mark.parametrize(
    ("evaluator", "where"),
    [
        (anygrad.Loop(), "x[0, 1] = 2.0001"),
        (anygrad.Batch(max_bytes=16), "x[0, 1] = 2.0001"),
        (anygrad.Batch(), "x[0, 0] = 1.0001, and at 3 other points"),
    ],
    ids=["Loop", "Batch of one point", "Batch of all points"],
)
def test_an_exception_says_which_element_was_set_to_what_and_how_to_go_on(evaluator, where):
    x = np.array([[1.0, 2.0]])
    with pytest.raises(ValueError, match="domain") as caught:
        anygrad.numerical_gradient(lambda x: np.vectorize(math.sqrt)(2.0 - x[..., 1]).sum(-1), x, evaluator=evaluator)
    assert caught.value.__notes__ == [f"f was called with {where}; with on_error='nan', such a point counts as NaN"]


def test_errors_of_anygrads_own_are_raised_and_not_counted_as_nan():
    with pytest.raises(ValueError, match="one number was expected"):
        anygrad.numerical_gradient(squares, X.copy(), evaluator=LOOP)
    for evaluator in LOOP, BATCH:
        with pytest.raises((TypeError, ValueError), match="f returned"):
            anygrad.numerical_gradient(lambda x: "a", X.copy(), evaluator=evaluator)


@pytest.mark.parametrize("evaluator", [LOOP, BATCH], ids=repr)
def test_an_f_that_is_written_in_c_may_raise_too(evaluator):
    x, scheme = np.array([1e-9, 2.0]), anygrad.Central(step=1e-4)
    with np.errstate(all="raise"):
        result = anygrad.jacobian(np.log, x, evaluator=evaluator, scheme=scheme, full_output=True)
    assert np.isnan(result.value[:, 0]).all()
    assert np.allclose(result.value[:, 1], [0, 0.5])
    assert list(result.failures) == ["x[0]"]


# --- StopIteration: a generator would make a RuntimeError of it ---------------------------------------------------

STOPPED = {
    "gradient in chunks": (lambda f: anygrad.numerical_gradient(f, X, evaluator=anygrad.Batch(max_bytes=48)), total),
    "gradient of a tree": (lambda f: anygrad.numerical_gradient(lambda p: f(p[0]), [X]), total),
    "adaptive gradient": (lambda f: anygrad.numerical_gradient(f, X, scheme=anygrad.Adaptive()), total),
    "sparse jacobian": (lambda f: anygrad.jacobian(f, X, sparsity="detect"), squares),
    "derivative": (lambda f: anygrad.derivative(f, X), squares),
    "check of a right gradient": (lambda f: anygrad.check_gradient(f, lambda x: 2 * x, X), total),
    "check of a wrong gradient": (lambda f: anygrad.check_gradient(f, lambda x: 2 * x + 1, X), total),
    "check along directions": (lambda f: anygrad.check_gradient(f, lambda x: 2 * x, X, directions=2), total),
    "check of a product": (lambda f: anygrad.check_gradient(f, None, X, vjp=lambda x, g: 2 * x * g), squares),
}


class Stopping:
    """f, which raises StopIteration at one call. Each is a new function: `Batch` calls one that it knows less often."""

    def __init__(self, f, fatal):
        self.f, self.fatal, self.calls = f, fatal, 0

    def __call__(self, x):
        self.calls += 1
        if self.calls == self.fatal:
            raise StopIteration(self.fatal)
        return self.f(x)


@pytest.mark.parametrize("name", STOPPED)
def test_stop_iteration_comes_out_at_whichever_call_f_raises_it(name):
    differentiate, f = STOPPED[name]
    unstopped = Stopping(f, None)
    differentiate(unstopped)
    for fatal in range(1, min(unstopped.calls, 40) + 1):
        with pytest.raises(StopIteration) as caught:
            differentiate(Stopping(f, fatal))
        assert caught.value.value == fatal
