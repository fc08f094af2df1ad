"""Black boxes for transformations of JAX."""

from __future__ import annotations

import doctest
import importlib
import logging
import math
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import anygrad

pytestmark = pytest.mark.libraries(lambda lib: lib.name == "jax")


@pytest.fixture
def jax(lib):
    import jax
    import jax.test_util

    return jax


@pytest.fixture
def x(jax):
    return jax.numpy.array([[0.3, -1.0, 2.0], [0.0, 0.5, 1.5]])


@pytest.fixture
def a(jax):
    return jax.numpy.array(1.5)


@pytest.fixture
def quiet(monkeypatch):
    """JAX logs what a callback raises, besides raising it."""
    monkeypatch.setattr(logging.getLogger("jax._src.callback"), "disabled", True)


class Counted:
    """A function that keeps what it was called with."""

    def __init__(self, f):
        self.f = f
        self.calls = []

    def __call__(self, *arrays):
        self.calls.append(arrays)
        return self.f(*arrays)


def waves(x, a):
    """A number; its gradients are a² cos x and 2a Σ sin x."""
    return float(np.sin(x).sum()) * float(a) ** 2


def outer(x, a):
    return np.multiply.outer(np.sin(x), [1.0, float(a), float(a) ** 2])


def close(actual, expected):
    """As good as the result's own dtype can be: f computes in float64 whatever that is."""
    return np.allclose(actual, expected, rtol=1e-6 if actual.dtype == np.float32 else 1e-9, atol=1e-6)


class TestGradients:
    @pytest.mark.parametrize("x64", [False, True])
    def test_with_and_without_float64(self, jax, x64):
        with jax.enable_x64(x64):
            x, a = jax.numpy.array([0.3, -1.0, 2.0]), jax.numpy.array(1.5)
            value, (by_x, by_a) = jax.value_and_grad(anygrad.jax_function(waves), argnums=(0, 1))(x, a)
            assert value.dtype == by_x.dtype == by_a.dtype == x.dtype == (np.float64 if x64 else np.float32)
            assert close(value, waves(np.asarray(x), 1.5))
            assert close(by_x, 2.25 * np.cos(np.asarray(x, dtype=float)))
            assert close(by_a, 3 * np.sin(np.asarray(x, dtype=float)).sum())

    @pytest.mark.parametrize(("f", "shape"), [(waves, ()), (outer, (2, 3, 3))])
    def test_check_grads(self, jax, x, a, f, shape):
        function = anygrad.jax_function(f, shape=shape)
        for transformed in (function, jax.jit(function)):
            jax.test_util.check_grads(transformed, (x, a), order=1, modes=["rev"])

    @pytest.mark.parametrize(
        ("f", "options"),
        [
            (lambda z: (abs(z) ** 3).sum(), {}),
            (lambda z: z**2 * (1 + 2j), {"shape": (2,), "dtype": complex}),
            (lambda z: z.conj() * z**2, {"shape": (2,), "dtype": complex}),
            (lambda z: np.exp(1j * z.real), {"shape": (2,), "dtype": complex}),
        ],
        ids=["real", "holomorphic", "neither", "of the real part"],
    )
    def test_complex_numbers(self, jax, f, options):
        z = jax.numpy.array([1 + 2j, 0.5 - 1j])
        jax.test_util.check_grads(anygrad.jax_function(f, **options), (z,), order=1, modes=["rev"])

    def test_dtypes(self, lib, jax, dtype):
        x = lib.asarray(np.array([0.5, 1.0, 2.0]), dtype)
        f = anygrad.jax_function(lambda x: (x**2).sum())
        assert f(x).dtype == x.dtype
        gradient = jax.grad(f)(x)
        assert gradient.dtype == x.dtype
        assert np.array_equal(lib.numpy(gradient).round(6), [1, 2, 4])

    @pytest.mark.parametrize(
        ("scheme", "evaluator"),
        [(anygrad.Adaptive(), anygrad.Loop()), (anygrad.Complex(), anygrad.Pool(ThreadPoolExecutor(2)))],
        ids=["loop", "threads"],
    )
    def test_schemes_and_evaluators(self, jax, x, a, scheme, evaluator):
        f = anygrad.jax_function(lambda x, a: (np.sin(x) * a**2).sum(), scheme=scheme, evaluator=evaluator)
        by_x, by_a = jax.jit(jax.grad(f, argnums=(0, 1)))(x, a)
        assert close(by_x, 2.25 * np.cos(x))
        assert close(by_a, 3 * np.sin(x).sum())

    def test_a_batch(self, jax, x, a):
        """All arguments have the leading axis, those that are not differentiated by as well."""

        def f(x, a):
            assert x.shape == (len(a), 2, 3)
            return (np.sin(x) * a[:, None, None] ** 2).sum(axis=-1)

        f = anygrad.jax_function(f, shape=(2,), evaluator=anygrad.Batch())
        jax.test_util.check_grads(f, (x, a), order=1, modes=["rev"])
        jax.test_util.check_grads(lambda x: f(x, a), (x,), order=1, modes=["rev"])

    def test_integers_are_not_differentiated_by(self, jax, x):
        places = jax.numpy.array([0, 0, 1])

        def f(x, places):
            assert places.dtype.kind == "i"
            return (x[places] ** 2).sum()

        gradient = jax.jit(jax.grad(anygrad.jax_function(f)))(x, places)
        assert close(gradient, 2 * x * np.array([[2.0], [1.0]]))

    def test_trees_keywords_and_numbers(self, jax, x):
        def f(params, *, scale):
            return params["x"].sum() * params["rest"][0] * scale

        f = anygrad.jax_function(f)
        gradients, by_scale = jax.grad(lambda params, scale: f(params, scale=scale), argnums=(0, 1))(
            {"x": x, "rest": [2.0, None]}, 3.0
        )
        assert close(gradients["x"], np.full((2, 3), 6.0))
        assert close(gradients["rest"][0], 3 * x.sum())
        assert close(by_scale, 2 * x.sum())


class TestTransformations:
    def test_vmap_goes_from_point_to_point(self, jax, x, a):
        f = Counted(waves)
        values = jax.jit(jax.vmap(anygrad.jax_function(f), in_axes=(1, None)))(x, a)
        assert close(values, 2.25 * np.sin(x).sum(axis=0))
        assert [call[0].shape for call in f.calls] == [(2,)] * 3

    @pytest.mark.parametrize("of", ["jax.jvp", "jax.hessian"])
    def test_forward_mode_is_refused(self, jax, x, a, of):
        f = anygrad.jax_function(waves)
        with pytest.raises(TypeError, match="forward-mode"):
            jax.hessian(f)(x, a) if of == "jax.hessian" else jax.jvp(f, (x, a), (x, a))

    def test_second_derivatives_are_refused(self, jax, x, a):
        f = anygrad.jax_function(waves)
        with pytest.raises(NotImplementedError, match=r"differentiated only once.*anygrad\.hvp"):
            jax.grad(jax.grad(f, argnums=1), argnums=1)(x, a)


class TestCallsOfF:
    @pytest.mark.parametrize(("argnums", "elements"), [(0, 6), (1, 1), ((0, 1), 7)])
    def test_one_for_a_value_and_two_for_each_element_of_a_gradient(self, jax, x, a, argnums, elements):
        f = Counted(waves)
        jax.block_until_ready(jax.grad(lambda x: 0.0 * anygrad.jax_function(f)(x, a) + x.sum())(x))
        assert len(f.calls) == 1  # where nothing depends on f
        f.calls.clear()
        jax.block_until_ready(jax.jit(jax.value_and_grad(anygrad.jax_function(f), argnums=argnums))(x, a))
        assert len(f.calls) == 1 + 2 * elements

    def test_it_is_compiled_once(self, jax, x, a):
        """Without jax.jit, too, where JAX compiles each callback that it has not met."""
        f = anygrad.jax_function(waves)
        other = x + 1
        compilations = []

        def listener(name, *_, **__):
            compilations.append(name)

        jax.grad(f)(x, a)
        jax.monitoring.register_event_duration_secs_listener(listener)
        try:
            jax.grad(f)(other, a)
        finally:
            jax.monitoring.clear_event_listeners()
        assert not [name for name in compilations if "backend_compile" in name]


class TestWhatFIsGiven:
    def test_wide_arrays_of_numpy_that_cannot_be_written_to(self, jax):
        def f(x, places):
            assert type(x) is type(places) is np.ndarray
            assert x.dtype == np.float64
            return x.sum()

        anygrad.jax_function(f)(jax.numpy.ones(2, "bfloat16"), jax.numpy.ones(2, int))

    def test_no_arrays(self, x):
        with pytest.raises(TypeError, match=r"holds 'fast'.*functools\.partial"):
            anygrad.jax_function(lambda x, mode: x.sum())(x, mode="fast")

    def test_a_closure(self, jax, x):
        held = np.asarray(x)
        with pytest.warns(anygrad.ConstantFunctionWarning, match="f returned the same value"):
            jax.block_until_ready(jax.grad(anygrad.jax_function(lambda _: held.sum()))(x))


@pytest.mark.usefixtures("quiet")
class TestErrors:
    @pytest.mark.parametrize("compiled", [False, True])
    def test_what_f_raises(self, lib, jax, x, compiled):
        """JAX wraps it in an error of its own; x is what it was."""
        before = lib.bits(x)

        def f(x):
            if x[0, 0] > 0.3001:
                raise ArithmeticError("no convergence")
            return x.sum()

        gradient = jax.grad(anygrad.jax_function(f, scheme=anygrad.Central(step=0.1)))
        with pytest.raises(jax.errors.JaxRuntimeError, match="ArithmeticError: no convergence"):
            jax.block_until_ready((jax.jit(gradient) if compiled else gradient)(x))
        assert lib.bits(x) == before

    @pytest.mark.parametrize(
        ("returned", "message"),
        [
            ([1.0, 2.0], r"of shape \(2,\), but shape is \(\): write jax_function\(f, shape=\(2,\)\)"),
            (1j, "write jax_function\\(f, dtype=complex\\)"),
            (None, "f returned None.*return statement"),
        ],
    )
    def test_what_f_must_not_return(self, jax, x, returned, message):
        with pytest.raises(jax.errors.JaxRuntimeError, match=message):
            jax.block_until_ready(anygrad.jax_function(lambda x: returned)(x))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"shape": 3}, r"shape is 3.*\(3,\)"),
            ({"dtype": int}, "floating and complex"),
            ({"bounds": 1}, "bounds is 1"),
            ({"f": 3}, "f comes first"),
            ({"shape": (-1, 3)}, r"shape is \(-1, 3\), but a tuple of lengths"),
        ],
    )
    def test_a_wrong_option_is_an_error_at_once(self, lib, options, message):
        with pytest.raises((TypeError, ValueError), match=message):
            anygrad.jax_function(**{"f": math.sin} | options)


def test_f_is_not_evaluated_outside_of_its_bounds(jax, a):
    def f(x, a):
        assert x.max() <= 2
        assert x.min() >= 0
        assert a <= 1.5
        return ((x - 1) ** 2).sum() * a

    x = jax.numpy.array([0.0, 1.0, 2.0])
    by_x, by_a = jax.grad(anygrad.jax_function(f, bounds=((0.0, None), (2.0, 1.5))), argnums=(0, 1))(x, a)
    assert np.allclose(by_x, 3 * (x - 1), atol=1e-6)
    assert np.allclose(by_a, 2.0, atol=1e-6)


def test_it_can_be_pickled(jax, x):
    again = pickle.loads(pickle.dumps(anygrad.jax_function(cubes, scheme=anygrad.Central(order=4))))
    assert close(jax.grad(again)(x), 3 * x**2)
    assert repr(again).startswith("anygrad.jax_function(cubes, shape=(), dtype=None, scheme=Central(order=4")
    assert again.__name__ == "cubes"


def cubes(x):
    return (x**3).sum()


def test_the_docstring(lib):
    module = importlib.import_module("anygrad.interop.jax")
    failed, attempted = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert attempted
    assert not failed
