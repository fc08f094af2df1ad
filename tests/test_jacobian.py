"""The Jacobian: f of any shape, x of any shape, trees of both."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pytest
from problems import grid

import anygrad

Point = namedtuple("Point", ["x", "y"])


def test_the_shape_of_f_is_followed_by_that_of_x(lib):
    """d y[i, j] / d x[k, l, m], of y the sums over the last axis of x."""
    x = lib.asarray(grid(2, 1, 3, seed=41), "float32")
    jacobian = anygrad.jacobian(lambda x: lib.xp.sum(x, axis=-1), x)
    expected = np.einsum("ik,jl,m->ijklm", np.eye(2), np.eye(1), np.ones(3))
    assert jacobian.shape == (2, 1, 2, 1, 3)
    assert np.allclose(lib.numpy(jacobian), expected, atol=1e-3)


def test_a_tree_that_f_returns_is_what_the_result_looks_like(lib):
    x = lib.asarray(np.array([2.0, 3.0]), "float32")

    def f(x):
        return {"sum": lib.xp.sum(x), "rest": (x**2, (x[0], 1.5, [4.0, 2.0]))}

    jacobian = anygrad.jacobian(f, x)
    sums, (squares, (first, constant, constants)) = jacobian["sum"], jacobian["rest"]
    expected = [(sums, [1, 1]), (squares, [[4, 0], [0, 6]]), (first, [1, 0]), (constant, [0, 0])]
    for got, want in [*expected, (constants, np.zeros((2, 2)))]:
        assert got.shape == np.shape(want)
        assert np.allclose(lib.numpy(got), want, atol=0.01)


def test_a_tree_of_values_by_a_tree_of_arrays_is_a_tree_of_trees(lib):
    """The structure is that of jax.jacobian; the flags have it too, and the steps are a tree like x."""
    x = Point(lib.asarray(np.array([1.0, 2.0]), "float32"), {"z": lib.asarray(np.array(3.0), "float32")})
    result = anygrad.jacobian(lambda p: [p.x * p.y["z"], p.y["z"] ** 2], x, full_output=True)
    first, second = result.value
    assert isinstance(first, Point)
    assert np.allclose(lib.numpy(first.x), 3 * np.eye(2), atol=0.01)
    assert np.allclose(lib.numpy(first.y["z"]), [1, 2], atol=0.01)
    assert np.allclose(lib.numpy(second.x), [0, 0])
    assert np.allclose(lib.numpy(second.y["z"]), 6, atol=0.01)
    assert (result.step.x.shape, result.step.y["z"].shape) == ((2,), ())
    for flag in result.flags.values():
        assert (flag[0].x.shape, flag[0].y["z"].shape) == ((2, 2), (2,))
    assert (result.ncalls, result.error) == (6, None)


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


@pytest.mark.parametrize("kind", [float, np.float32])
def test_the_jacobian_by_a_number(kind):
    expected, tree = np.cos(2) * np.ones(3), {"a": kind(2), "b": np.ones(2)}
    for found in (
        anygrad.jacobian(lambda x: np.sin(x) * np.ones(3), kind(2)),
        anygrad.jacobian(lambda t: np.sin(t["a"]) * np.append(t["b"], 1), tree)["a"],
        anygrad.jvp(lambda x: np.sin(x) * np.ones(3), kind(2), kind(1)),
    ):
        assert np.allclose(found, expected, atol=1e-3)


def test_integers_and_truth_values_that_f_returns_are_numbers():
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
        (lambda x, calls: {calls: x}, ValueError, r"f\(x\)\[1\] at one point and f\(x\)\[0\] at another"),
        (lambda x, calls: np.array([object()]), TypeError, "number was expected"),
    ],
    ids=["None", "text", "ragged", "another shape", "another tree", "objects"],
)
def test_values_that_are_no_arrays_of_numbers_are_refused(f, error, message):
    calls = iter(range(9))
    with pytest.raises(error, match=message):
        anygrad.jacobian(lambda x: f(x, next(calls)), np.array([1.0, 2.0]))


def test_a_tree_without_arrays_is_refused():
    with pytest.raises(ValueError, match="x contains no array"):
        anygrad.jacobian(lambda p: np.ones(2), {})
