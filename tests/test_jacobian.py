"""The Jacobian: f of any shape, x of any shape, trees of both."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import TwoLayerNet, grid, like
from random_examples import examples

import anygrad

Point = namedtuple("Point", ["x", "y"])


@examples(25)
@given(data=st.data(), columns=st.integers(0, 4), rows=st.integers(1, 4), seed=st.integers(0, 999))
def test_the_jacobian_of_a_linear_map_is_its_matrix(lib, data, columns, rows, seed):
    dtype = data.draw(st.sampled_from([name for name in ("float32", "float64") if name in lib.real]))
    order = data.draw(st.sampled_from([2, 4]))
    matrix, x = grid(rows, columns, seed=seed), lib.asarray(grid(columns, seed=seed + 1), dtype)

    def f(x):
        return like(lib.xp, matrix, x) @ x if columns else like(lib.xp, np.ones(rows), x)

    result = anygrad.jacobian(f, x, scheme=anygrad.Central(order=order), full_output=True)
    # There is no truncation error: f is rounded, in at most 2 * columns operations, and divided by the step.
    step, eps = lib.numpy(result.step).astype(float), np.finfo(dtype).eps
    rounding = 4 * columns * eps * np.abs(matrix) @ (np.abs(lib.numpy(x).astype(float)) + 1) + eps * 2
    assert result.value.shape == (rows, columns)
    assert np.all(np.abs(lib.numpy(result.value) - matrix) <= rounding[:, None] / np.min(step, initial=1.0))
    assert result.ncalls == (order * columns or 1)


def test_shapes(lib):
    """shape_out + shape_in: d y[i, j] / d x[k, l, m], of y the sums over the last axis of a permutation of x."""
    x = lib.asarray(grid(2, 1, 3, seed=41), "float32")
    jacobian = anygrad.jacobian(lambda x: lib.xp.sum(x, axis=-1), x)
    expected = np.einsum("ik,jl,m->ijklm", np.eye(2), np.eye(1), np.ones(3))
    assert jacobian.shape == (2, 1, 2, 1, 3)
    assert np.allclose(lib.numpy(jacobian), expected, atol=1e-3)


def test_what_f_returns_is_what_the_result_looks_like(lib):
    x = lib.asarray(np.array([2.0, 3.0]), "float32")

    def f(x):
        return {"sum": lib.xp.sum(x), "rest": (x**2, (x[0], 1.5, [4.0, 2.0]))}

    jacobian = anygrad.jacobian(f, x)
    sums, (squares, (first, constant, constants)) = jacobian["sum"], jacobian["rest"]
    expected = [(sums, [1, 1]), (squares, [[4, 0], [0, 6]]), (first, [1, 0]), (constant, [0, 0])]
    for got, want in [*expected, (constants, np.zeros((2, 2)))]:
        assert got.shape == np.shape(want)
        assert np.allclose(lib.numpy(got), want, atol=0.01)


def test_trees_in_and_trees_out(lib):
    """As with jax.jacobian: the tree of f's values, of trees like x."""
    x = Point(lib.asarray(np.array([1.0, 2.0]), "float32"), {"z": lib.asarray(np.array(3.0), "float32")})
    jacobian = anygrad.jacobian(lambda p: [p.x * p.y["z"], p.y["z"] ** 2], x)
    assert isinstance(jacobian[0], Point)
    assert np.allclose(lib.numpy(jacobian[0].x), 3 * np.eye(2), atol=0.01)
    assert np.allclose(lib.numpy(jacobian[0].y["z"]), [1, 2], atol=0.01)
    assert np.allclose(lib.numpy(jacobian[1].x), [0, 0])
    assert np.allclose(lib.numpy(jacobian[1].y["z"]), 6, atol=0.01)


def test_full_output_of_a_tree(lib):
    x = {"a": lib.asarray(np.array([1.0, 2.0]), "float32"), "b": lib.asarray(np.array([3.0]), "float32")}
    result = anygrad.jacobian(lambda p: {"y": p["a"] * p["b"]}, x, full_output=True)
    assert {key: step.shape for key, step in result.step.items()} == {"a": (2,), "b": (1,)}
    for flag in result.flags.values():
        assert {key: part.shape for key, part in flag["y"].items()} == {"a": (2, 2), "b": (2, 1)}
    assert (result.ncalls, result.error) == (6, None)


# What is traced and compiled in float32 is so with float64 and without.
JAX = pytest.mark.libraries(lambda lib: lib.name == "jax" and "float64" in lib.real)


@JAX
def test_jax_agrees_on_trees(lib):
    """jax.jacobian and jax.hessian, structure and numbers, of the book's network."""
    import jax

    params = {name: lib.asarray(value, "float32") for name, value in TwoLayerNet.start().items()}
    images, labels = (lib.asarray(a, "float32") for a in (TwoLayerNet.images, TwoLayerNet.labels))

    @jax.jit
    def predictions(params):
        return {"predicted": TwoLayerNet(lib.xp, params).predict(images), "sizes": [lib.xp.sum(params["W1"] ** 2)]}

    @jax.jit
    def loss(params):
        return TwoLayerNet(lib.xp, params).loss(images, labels)

    # float32's central differences: eps**(2/3) of first and eps**(1/2) of second derivatives, of numbers up to 5.
    for ours, theirs, tolerance in [
        (anygrad.jacobian(predictions, params), jax.jit(jax.jacobian(predictions))(params), 1e-3),
        (anygrad.hessian(loss, params), jax.jit(jax.hessian(loss))(params), 2e-2),
    ]:
        assert jax.tree.structure(ours) == jax.tree.structure(theirs)
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            assert np.allclose(a, b, atol=tolerance)


@JAX
@pytest.mark.parametrize("operator", ["jacobian", "hessian", "laplacian", "jvp", "hvp", "derivative"])
def test_inside_jit(lib, operator):
    """Directions and steps may be numbers, or traced as x is."""
    import jax

    x, v = lib.asarray(np.array([1.0, 2.0, 3.0]), "float32"), lib.asarray(np.array([1.0, 0.0, -1.0]), "float32")

    def f(x):
        return lib.xp.sum(x**3) * x[0]

    differentiate = {
        "jacobian": lambda x, v, **options: anygrad.jacobian(lambda x: x * f(x), x, **options),
        "hessian": lambda x, v, **options: anygrad.hessian(f, x, **options),
        "laplacian": lambda x, v, **options: anygrad.laplacian(f, x, **options),
        "jvp": lambda x, v, **options: anygrad.jvp(f, x, v, **options),
        "hvp": lambda x, v, **options: anygrad.hvp(f, x, v, **options),
        "derivative": lambda x, v, **options: anygrad.derivative(lib.xp.sin, x, 2, **options),
    }[operator]
    options_of_one = ({}, {"scheme": anygrad.Complex()}, {"bounds": (1.0, 4.0)}, {"scheme": anygrad.Forward()})
    for options in options_of_one if operator == "jacobian" else ({},):  # to compile them takes longest
        outside = np.asarray(differentiate(x, v, **options))
        traced = jax.jit(lambda x, v: differentiate(x, v, **options))(x, v)
        assert np.allclose(traced, outside, rtol=0.02, atol=0.2)
    constant = jax.jit(lambda x: differentiate(x, v))(x)
    assert np.allclose(constant, differentiate(x, v), rtol=0.02, atol=0.2)


def test_f_returns_its_argument_or_a_view_of_it(lib):
    x = lib.asarray(np.array([[1.0, 2.0], [3.0, 4.0]]), "float32")
    identity = np.eye(4).reshape(2, 2, 2, 2)
    assert np.allclose(lib.numpy(anygrad.jacobian(lambda x: x, x)), identity, atol=1e-3)
    assert np.allclose(lib.numpy(anygrad.jacobian(lambda x: x[0, ...], x)), identity[0], atol=1e-3)
    both = anygrad.jacobian(lambda x: (x, x[1, ...]), x, scheme=anygrad.Forward())
    assert np.allclose(lib.numpy(both[0]), identity, atol=0.02)
    assert np.allclose(lib.numpy(both[1]), identity[1], atol=0.02)


def test_f_returns_the_same_buffer_at_every_call():
    """f(x), evaluated once for both arrays of x, is not what a later call has made of it."""
    x, buffer = {"a": np.array([1.0, 2.0]), "b": np.array([3.0, 4.0])}, np.empty(2)
    jacobian = anygrad.jacobian(lambda p: np.multiply(p["a"], p["b"], out=buffer), x, scheme=anygrad.Forward())
    assert np.allclose(jacobian["a"], np.diag([3, 4]), atol=1e-6)
    assert np.allclose(jacobian["b"], np.diag([1, 2]), atol=1e-6)


def test_an_empty_x_and_an_empty_value(lib):
    x, none = lib.asarray(np.ones(3), "float32"), lib.asarray(np.empty((0, 2)), "float32")
    assert anygrad.jacobian(lambda x: x[:0], x).shape == (0, 3)
    assert anygrad.jacobian(lambda _: x, none).shape == (3, 0, 2)


@pytest.mark.parametrize("kind", [float, np.float64, np.float32])
def test_numpy_scalars_are_arrays_of_numpy(kind):
    expected = np.cos(2) * np.ones(3)
    assert np.allclose(anygrad.jacobian(lambda x: np.sin(x) * np.ones(3), kind(2)), expected, atol=1e-3)
    tree = {"a": kind(2), "b": np.ones(2)}
    assert np.allclose(
        anygrad.jacobian(lambda t: np.sin(t["a"]) * np.append(t["b"], 1), tree)["a"], expected, atol=1e-3
    )
    assert np.allclose(anygrad.jvp(lambda x: np.sin(x) * np.ones(3), kind(2), kind(1)), expected, atol=1e-3)


def test_integers_and_truth_values_are_numbers():
    x = np.array([1.0, 2.0])
    assert np.array_equal(anygrad.jacobian(lambda x: x > 5, x), np.zeros((2, 2)))
    assert np.array_equal(anygrad.jacobian(lambda x: np.array([1, 2]), x), np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("f", "error", "message"),
    [
        (lambda x, calls: None, TypeError, "None.*return statement"),
        (lambda x, calls: "text", TypeError, "returned a str"),
        (lambda x, calls: [[1.0, 2.0], [3.0]], ValueError, "nested list whose parts differ in length"),
        (lambda x, calls: x[: 1 + calls], ValueError, r"shape \(2,\) at one point and \(1,\) at another"),
        (lambda x, calls: {calls: x}, ValueError, r"f\(x\)\[1\] at one point and of f\(x\)\[0\] at another"),
        (lambda x, calls: np.array([object()]), TypeError, "number was expected"),
    ],
)
def test_what_f_may_not_return(f, error, message):
    calls = iter(range(9))
    with pytest.raises(error, match=message):
        anygrad.jacobian(lambda x: f(x, next(calls)), np.array([1.0, 2.0]))


def test_a_tree_without_arrays():
    with pytest.raises(ValueError, match="nothing to differentiate by"):
        anygrad.jacobian(lambda p: np.ones(2), {})
