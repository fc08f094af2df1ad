"""One derivative of any order, with respect to several elements or along a direction; derivatives of array values."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import anygrad

X = np.array([0.3, 0.8, 1.2])
SCHEMES = {
    "central": (anygrad.Central(), {1: 1e-8, 2: 1e-5, 3: 1e-4, 4: 1e-3}),
    "central4": (anygrad.Central(order=4), {1: 1e-10, 2: 1e-8, 3: 1e-6, 4: 1e-5}),
    "forward": (anygrad.Forward(order=2), {1: 1e-8, 2: 1e-5, 3: 1e-4, 4: 1e-3}),
    "backward": (anygrad.Backward(order=2), {1: 1e-8, 2: 1e-5, 3: 1e-4, 4: 1e-3}),
    "adaptive": (anygrad.Adaptive(), {1: 1e-11, 2: 1e-10, 3: 1e-8, 4: 1e-7}),
}
ORDERS = [orders for orders in product(range(3), repeat=3) if 0 < sum(orders) <= 4]


def f(x):
    return np.exp(0.7 * x[0]) * np.sin(x[1]) * x[2] ** 4


def right(a, b, c):
    quartic = [1.2**4, 4 * 1.2**3, 12 * 1.2**2][c]
    return 0.7**a * np.exp(0.7 * 0.3) * np.sin(0.8 + b * np.pi / 2) * quartic


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("orders", ORDERS, ids=str)
def test_every_scheme_finds_it(name, orders):
    scheme, tolerance = SCHEMES[name]
    result = anygrad.partial_derivative(f, X, orders, scheme=scheme, full_output=True)
    assert result.value == pytest.approx(right(*orders), rel=tolerance[sum(orders)])
    assert np.array_equal(result.step == 0, np.equal(orders, 0))
    if name == "adaptive":
        assert abs(result.value - right(*orders)) <= result.error


@pytest.mark.parametrize(("orders", "calls"), [((2, 1, 0), 6), ((1, 1, 1), 8), ((2, 2, 0), 9), ((0, 3, 0), 4)], ids=str)
def test_the_calls_are_the_points_of_the_product(orders, calls):
    result = anygrad.partial_derivative(f, X, orders, scheme=anygrad.Central(), full_output=True)
    assert result.ncalls == calls
    assert (result.value_at_x is not None) == (orders == (2, 2, 0))


@pytest.mark.parametrize("scheme", [anygrad.Central(), anygrad.Forward(), anygrad.Adaptive(), anygrad.Complex()])
def test_one_order_is_an_element_of_the_gradient(scheme):
    gradient = anygrad.numerical_gradient(f, X, scheme=scheme)
    found = [anygrad.partial_derivative(f, X, orders, scheme=scheme) for orders in np.eye(3, dtype=int)]
    assert np.array_equal(found, gradient)


def test_a_complex_step_mixes_two():
    found = anygrad.partial_derivative(f, X, [1, 1, 0], scheme=anygrad.Complex())
    assert found == pytest.approx(right(1, 1, 0), rel=1e-8)


@pytest.mark.parametrize("name", ["central", "forward", "adaptive"])
def test_it_stays_between_bounds(name):
    scheme, tolerance = SCHEMES[name]

    def within(x):
        assert (x[:2] >= X[:2]).all()
        return f(x)

    bounds = (np.array([0.3, 0.8, -1.0]), None)
    found = anygrad.partial_derivative(within, X, [2, 1, 0], scheme=scheme, bounds=bounds)
    assert found == pytest.approx(right(2, 1, 0), rel=1e2 * tolerance[3])


@pytest.mark.parametrize("scheme", [anygrad.Central(), anygrad.Adaptive()], ids=["central", "adaptive"])
def test_every_library_and_values_of_any_shape(lib, scheme):
    x = lib.asarray(np.array([1.0, 2.0]), lib.real[-1])
    found = anygrad.partial_derivative(lambda x: x * x[0] * x[1], x, [1, 1], scheme=scheme)
    assert tuple(found.shape) == (2,)
    assert found.dtype == x.dtype
    assert np.allclose(lib.numpy(found), [2.0, 4.0], rtol=0.1)


def test_trees_and_what_is_fixed():
    x = {"a": np.array([1.0, 2.0]), "b": 3.0, "n": 2}
    orders, fixed = {"a": [1, 0], "b": 1}, {"a": [False, True], "b": False, "n": True}
    found = anygrad.partial_derivative(
        lambda p: {"y": p["a"][0] ** p["n"] * p["b"] ** 2},
        x,
        {**orders, "a": np.array([1, 0])},
        fixed={**fixed, "a": np.array([False, True])},
    )
    assert found["y"] == pytest.approx(12.0)


@pytest.mark.parametrize(
    ("orders", "words"),
    [
        ([1, 0], "in the shape of x"),
        ([1.0, 0.0, 0.0], "integers of 0 or more"),
        ([-1, 1, 1], "integers of 0 or more"),
        ([0, 0, 0], "must be above 0"),
        ([1, 0, 1], r"orders is above 0 for x\[0\], which fixed= fixes"),
    ],
    ids=["shape", "floats", "negative", "nothing", "fixed"],
)
def test_orders_that_are_none(orders, words):
    with pytest.raises(ValueError, match=words):
        anygrad.partial_derivative(f, X, orders, fixed=[True, False, False])


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_nth_derivative_along_a_direction(lib, n):
    x, v = lib.asarray(np.array([1.0, 2.0]), lib.real[-1]), np.array([2.0, -1.0])
    found = anygrad.derivative(lambda x: x**3 * x[0] ** 0, x, n, along=v, scheme=anygrad.Central(order=4))
    factors = {1: 3 * np.array([1.0, 4.0]), 2: 6 * np.array([1.0, 2.0]), 3: 6 * np.ones(2)}
    assert np.allclose(lib.numpy(found), factors[n] * v**n, rtol=0.05)


def test_along_a_direction_the_first_derivative_is_jvp():
    x, v, scheme = {"a": X, "b": 2.0}, {"a": X**2, "b": 1.0}, anygrad.Adaptive()
    found = anygrad.derivative(lambda p: p["a"] * p["b"], x, along=v)
    assert np.array_equal(found, anygrad.jvp(lambda p: p["a"] * p["b"], x, v, scheme=scheme))


@pytest.mark.parametrize(
    "values", [lambda t: [[t, t**2], [t**3, t**4]], lambda t: np.stack([t**4] * 3), lambda t: t**4]
)
def test_array_values_of_one_number(lib, values):
    t = lib.asarray(np.array(2.0), lib.real[-1])
    as_array = lib.xp.stack if lib.name != "numpy" else np.stack
    found = anygrad.derivative(lambda t: as_array([t, t**2, t**4]), t, 2, scheme=anygrad.Central(order=4))
    assert np.allclose(lib.numpy(found), [0.0, 2.0, 48.0], rtol=0.05, atol=0.05)
    again = anygrad.derivative(lambda t: np.asarray(values(t)), 2.0, 2)
    expected = {(2, 2): [[0, 2], [12, 48]], (3,): [48] * 3, (): 48}[again.shape]
    assert np.allclose(again, expected)


@pytest.mark.parametrize("scheme", [anygrad.Central(), anygrad.Forward(), anygrad.Adaptive()], ids=repr)
def test_hessians_of_array_values(lib, scheme):
    x = lib.asarray(np.array([1.0, 2.0]), "float64" if "float64" in lib.real else "float32")
    found = anygrad.hessian(lambda x: lib.xp.stack([x[0] ** 2 * x[1], x[1] ** 3]), x, scheme=scheme)
    assert np.allclose(lib.numpy(found), [[[4, 2], [2, 0]], [[0, 0], [0, 12]]], atol=0.05)


def test_hessians_are_nested_as_in_jax():
    jax = pytest.importorskip("jax")
    x = {"a": np.array([1.0, 2.0]), "b": np.array([[3.0]])}

    def f(p):
        return {"y": p["a"] ** 2 * p["b"][0, 0], "z": (p["a"][0] * p["b"]) ** 2}

    found = anygrad.hessian(f, x)
    with jax.enable_x64(True):
        expected = jax.hessian(f)(jax.tree.map(jax.numpy.asarray, x))
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for own, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert own.shape == other.shape
        assert np.allclose(own, other, atol=1e-4)
