"""``args=`` and ``kwargs=``: what f is given besides x."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

import anygrad

X = np.array([0.5, 1.5, 2.0])
V = np.array([1.0, -1.0, 0.5])


def number(x, a, *, b=1.0):
    return (a * x**3).sum() * b


def slopes(x, a, *, b=1.0):
    return 3 * a * b * x**2


def elementwise(x, a, *, b=1.0):
    return a * b * x**3


OPERATORS = {
    "numerical_gradient": lambda **own: anygrad.numerical_gradient(own.pop("number"), X, **own),
    "numerical_gradient_1d": lambda **own: anygrad.numerical_gradient_1d(own.pop("number"), X, **own),
    "numerical_gradient_2d": lambda **own: anygrad.numerical_gradient_2d(own.pop("number"), X[None], **own),
    "jacobian": lambda **own: anygrad.jacobian(own.pop("elementwise"), X, **own),
    "sparse jacobian": lambda **own: anygrad.jacobian(own.pop("elementwise"), X, sparsity=np.eye(3), **own).toarray(),
    "hessian": lambda **own: anygrad.hessian(own.pop("number"), X, **own),
    "hessian of grad": lambda **own: anygrad.hessian(None, X, grad=own.pop("slopes"), **own),
    "laplacian": lambda **own: anygrad.laplacian(own.pop("number"), X, **own),
    "jvp": lambda **own: anygrad.jvp(own.pop("elementwise"), X, V, **own),
    "hvp": lambda **own: anygrad.hvp(own.pop("number"), X, V, **own),
    "hvp of grad": lambda **own: anygrad.hvp(None, X, V, grad=own.pop("slopes"), **own),
    "derivative": lambda **own: anygrad.derivative(own.pop("elementwise"), X, **own),
}


def call(name, functions, **options):
    operator = OPERATORS[name]
    wanted = operator.__code__.co_consts
    return operator(**{key: f for key, f in functions.items() if key in wanted}, **options)


@pytest.mark.parametrize("name", OPERATORS)
def test_arguments_do_what_a_closure_does(name):
    a, b = 2.5, 0.3
    functions = {"number": number, "slopes": slopes, "elementwise": elementwise}
    closures = {key: lambda x, f=f: f(x, a, b=b) for key, f in functions.items()}
    found = call(name, functions, args=(a,), kwargs={"b": b})
    np.testing.assert_array_equal(found, call(name, closures))


def test_a_gradient_takes_them_when_it_is_called():
    slope = anygrad.grad(number)
    np.testing.assert_array_equal(slope(X, 2.0, b=3.0), anygrad.grad(lambda x: number(x, 2.0, b=3.0))(X))


def test_they_travel_to_processes():
    with ProcessPoolExecutor(1) as executor:
        found = anygrad.numerical_gradient(number, X, args=(2.0,), kwargs={"b": 3.0}, evaluator=anygrad.Pool(executor))
    np.testing.assert_array_equal(found, anygrad.numerical_gradient(number, X, args=(2.0,), kwargs={"b": 3.0}))


@pytest.mark.parametrize("other", [{"args": (3.0,)}, {"args": (2.0,), "kwargs": {"b": 2.0}}], ids=["args", "kwargs"])
def test_a_journal_is_known_by_them(tmp_path, other):
    journal = anygrad.Journal(tmp_path / "a.journal", verify=False)
    anygrad.numerical_gradient(number, X, args=(2.0,), evaluator=journal)
    with pytest.raises(ValueError, match="args"):
        anygrad.numerical_gradient(number, X, evaluator=journal, **other)


@pytest.mark.parametrize(
    ("f", "options", "words"),
    [
        (
            number,
            {},
            r"f\(x, a, \*, b=1.0\) was called with 1 positional argument \(missing .* 'a'.: pass .* args=",
        ),
        (number, {"args": (1.0, 2.0)}, "called with 3 positional arguments .too many"),
        (np.sum, {"args": 3.0}, r"args is 3.0, but a tuple was expected: write args=\(3.0,\)"),
        (np.sum, {"kwargs": [1]}, "kwargs is .*, but a dict"),
        (np.sum, {"kwargs": {1: 2}}, "kwargs is .*, but a dict"),
    ],
    ids=["too few", "too many", "no tuple", "no dict", "no names"],
)
def test_wrong_arguments_are_told(f, options, words):
    with pytest.raises(TypeError, match=words):
        anygrad.numerical_gradient(f, X, **options)


def test_a_type_error_of_f_itself_is_raised_as_it_is():
    with pytest.raises(TypeError, match="unsupported operand"):
        anygrad.numerical_gradient(lambda x: x[0] + None, X)


async def coroutine(x):
    return x.sum()


def generator(x):
    yield x.sum()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("operator", [anygrad.numerical_gradient, anygrad.jacobian, anygrad.hessian])
@pytest.mark.parametrize(("f", "words"), [(coroutine, "asyncio.run"), (generator, "yield")], ids=["async", "yield"])
def test_a_function_that_only_begins_is_told(operator, f, words):
    with pytest.raises(TypeError, match=words):
        operator(f, X)


def test_a_check_passes_them_to_f_and_to_what_claims():
    x, scale = np.array([1.0, 2.0]), 3.0

    def f(x, a, power=2):
        return a * np.sum(x**power)

    def grad(x, a, power=2):
        return a * power * x ** (power - 1)

    options = {"args": (scale,), "kwargs": {"power": 3}}
    assert anygrad.check_gradient(f, grad, x, **options)
    assert anygrad.check_gradient(lambda x, a: (f(x, a), grad(x, a)), True, x, args=(scale,))
    assert anygrad.check_gradient(lambda x, a: a * x**2, None, x, vjp=lambda x, g, a: 2 * a * x * g, args=(scale,))
    assert anygrad.check_gradient(f, lambda x, a, power: a * x, x, **options).verdict == "wrong"
