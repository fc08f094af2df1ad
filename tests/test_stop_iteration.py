"""An f that raises StopIteration: a generator would make a RuntimeError of it."""

from __future__ import annotations

import numpy as np
import pytest

import anygrad

X = np.array([1.0, 2.0, 3.0])


def total(x):
    return (x**2).sum(axis=-1)


def squares(x):
    return x**2


OPERATORS = [
    (lambda f, **options: anygrad.numerical_gradient(f, X, **options), total),
    (lambda f, **options: anygrad.numerical_gradient(lambda p: f(p[0]), [X], **options), total),
    (lambda f, **options: anygrad.jacobian(f, X, **options), squares),
    (lambda f, **options: anygrad.jacobian(f, X, sparsity="detect", **options), squares),
    (lambda f, **options: anygrad.hessian(f, X, **options), total),
    (lambda f, **options: anygrad.laplacian(f, X, **options), total),
    (lambda f, **options: anygrad.jvp(f, X, X, **options), squares),
    (lambda f, **options: anygrad.hvp(f, X, X, **options), total),
    (lambda f, **options: anygrad.derivative(f, X, **options), squares),
]
CHECKS = [
    (lambda f: anygrad.check_gradient(f, lambda x: 2 * x, X), total),
    (lambda f: anygrad.check_gradient(f, lambda x: 2 * x + 1, X), total),
    (lambda f: anygrad.check_gradient(f, lambda x: 2 * x, X, directions=2), total),
    (lambda f: anygrad.check_gradient(f, None, X, vjp=lambda x, g: 2 * x * g), squares),
    (lambda f: anygrad.testing.assert_gradient(f, lambda x: 2 * x, X), total),
]


class Stopping:
    """f, which raises StopIteration at one call. Each is a new function: `Batch` calls one that it knows less often."""

    def __init__(self, f, fatal):
        self.f, self.fatal, self.calls = f, fatal, 0

    def __call__(self, x):
        self.calls += 1
        if self.calls == self.fatal:
            raise StopIteration(self.fatal)
        return self.f(x)


def require_stop_iteration_at_every_call(differentiate, f):
    unstopped = Stopping(f, None)
    differentiate(unstopped)
    for fatal in range(1, min(unstopped.calls, 40) + 1):
        with pytest.raises(StopIteration) as caught:
            differentiate(Stopping(f, fatal))
        assert caught.value.value == fatal


@pytest.mark.parametrize(("operator", "f"), OPERATORS)
@pytest.mark.parametrize("scheme", [anygrad.Central(), anygrad.Adaptive()], ids=repr)
@pytest.mark.parametrize("evaluator", [anygrad.Loop(), anygrad.Batch(max_bytes=48)], ids=repr)
def test_stop_iteration_comes_out_of_every_operator(operator, f, scheme, evaluator):
    require_stop_iteration_at_every_call(lambda f: operator(f, scheme=scheme, evaluator=evaluator), f)


@pytest.mark.parametrize(("check", "f"), CHECKS)
def test_stop_iteration_comes_out_of_every_check(check, f):
    require_stop_iteration_at_every_call(check, f)


def test_a_generator_of_the_users_own_raises_its_runtime_error():
    def stops():
        raise StopIteration  # noqa: PLR1708
        yield

    for scheme in anygrad.Central(), anygrad.Adaptive():
        with pytest.raises(RuntimeError, match="generator raised StopIteration"):
            anygrad.numerical_gradient(lambda x: next(stops()), X, scheme=scheme)
