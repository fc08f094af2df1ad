"""What only JAX has: tracing, and float64 only on demand."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from problems import TwoLayerNet

import anygrad
from anygrad.backends import load

pytestmark = pytest.mark.libraries(lambda lib: lib.name == "jax")
# For tests that do not depend on which dtypes there are.
once = pytest.mark.libraries(lambda lib: "float64" in lib.real)


@pytest.fixture
def jax(lib):
    import jax

    return jax


@pytest.mark.parametrize("x64", [False, True])
def test_with_and_without_float64(lib, jax, x64):
    with jax.enable_x64(x64):
        x = jax.numpy.array([1.0, 2.0, 3.0])
        assert x.dtype == (np.float64 if x64 else np.float32)
        result = anygrad.numerical_gradient(lambda x: jax.numpy.sum(x**3), x, full_output=True)
        assert result.value.dtype == x.dtype
        # The step is taken from the array's own dtype: 1e-4 would be lost in float32.
        assert np.all(np.asarray(result.step) > (9e-5 if x64 else 4e-3))
        assert np.allclose(result.value, [3, 12, 27], rtol=1e-6 if x64 else 1e-3)


def test_inside_a_compiled_function_with_complex_numbers(lib, jax):
    gradient = jax.jit(lambda z: anygrad.numerical_gradient(lambda z: jax.numpy.sum(z**2), z))
    assert np.allclose(gradient(lib.asarray(np.array([1 + 2j]), "complex64")), [2 + 4j], rtol=1e-2)
    gradient = jax.jit(lambda z: anygrad.numerical_gradient(lambda z: jax.numpy.sum(jax.numpy.abs(z) ** 2), z))
    assert np.allclose(gradient(lib.asarray(np.array([1 + 2j]), "complex64")), [2 + 4j], rtol=1e-2)


def test_a_traced_closure_of_numbers(jax):
    x = jax.numpy.ones(2)

    def outer(y):
        return anygrad.numerical_gradient(lambda x: (x * y).sum(), x)

    if anygrad.backends.resolve(x).on_host(x):
        with pytest.raises(TypeError, match=r"traced value.*an argument of the function that JAX transforms"):
            jax.jit(outer)(jax.numpy.ones(2))
    else:  # JAX traces what is done to x there, too
        assert np.allclose(jax.jit(outer)(jax.numpy.ones(2)), 1.0, rtol=1e-2)


def test_the_gradient_is_committed_to_a_device_if_x_is(jax):
    x = jax.numpy.ones(2)
    assert not anygrad.numerical_gradient(lambda x: x.sum(), x).committed
    x = jax.device_put(x, jax.devices()[0])
    assert anygrad.numerical_gradient(lambda x: x.sum(), x).committed


def test_eight_bit_floats(jax):
    for name in ("float8_e4m3b11fnuz", "float8_e5m2"):
        x = jax.numpy.array([1.0, -2.0], dtype=name)
        gradient = anygrad.numerical_gradient(lambda x: x.astype("float32").sum(), x)
        assert gradient.dtype == x.dtype
        assert np.allclose(gradient.astype("float32"), 1, atol=0.25)


def test_float64_arrives_in_processes_where_it_is_not_enabled(lib, jax):
    """The workers of a pool are such processes."""
    backend = load("jax")
    with jax.enable_x64(True):
        x = jax.numpy.asarray(np.array([0.1, 0.2]))
        sent = pickle.dumps((backend.arrival(x), pickle.dumps(x)))
    with jax.enable_x64(False):
        arrival, data = pickle.loads(sent)
        with arrival():
            arrived = pickle.loads(data)
        assert arrived.dtype == "float64"
        assert np.array_equal(np.asarray(arrived), [0.1, 0.2])
        narrow = jax.numpy.asarray(np.array([0.1], dtype=np.float32))
        with backend.arrival(narrow)():
            assert jax.numpy.asarray(np.array([0.1])).dtype == "float32"


@once
@pytest.mark.parametrize("enabled", [True, False])
def test_threads_have_float64_where_the_caller_has(jax, enabled):
    """For an f of NumPy's arrays, too."""
    seen = set()

    def f(x):
        y = jax.numpy.asarray(x)
        seen.add(y.dtype.name)
        return float(y.sum())

    with jax.enable_x64(enabled), ThreadPoolExecutor(2) as executor:
        anygrad.numerical_gradient(f, np.array([0.1, 0.2]), evaluator=anygrad.Pool(executor))
    assert seen == {"float64" if enabled else "float32"}


@once
def test_sparse_patterns_of_any_make_up(jax):
    from jax.experimental.sparse import BCOO

    for options in ({"nse": 5}, {"n_batch": 1}):  # filled up, and of rows that are dense
        pattern = BCOO.fromdense(jax.numpy.eye(3), **options)
        found = anygrad.jacobian(lambda x: x**2, jax.numpy.ones(3), sparsity=pattern)
        whole = np.zeros((3, 3))
        np.add.at(whole, tuple(np.asarray(found.indices).T), np.asarray(found.data))
        assert np.allclose(whole, 2 * np.eye(3), rtol=1e-2)


@once
def test_a_sparse_jacobian_inside_a_compiled_function(lib, jax):
    jacobian = jax.jit(lambda x: anygrad.jacobian(lambda x: x**2, x, sparsity=np.eye(3)))(lib.xp.arange(3.0))
    assert np.allclose(jacobian.todense(), np.diag([0, 2, 4]), atol=1e-2)


@once
def test_jacobians_and_hessians_of_trees_are_those_of_jax(lib, jax):
    """In structure and in numbers, of a part of the book's network."""
    start = TwoLayerNet.start()
    params = {name: lib.asarray(start[name], "float32") for name in ("W2", "b2")}
    rest = {name: lib.asarray(start[name], "float32") for name in ("W1", "b1")}
    images, labels = (lib.asarray(a, "float32") for a in (TwoLayerNet.images, TwoLayerNet.labels))

    @jax.jit
    def predictions(params):
        net = TwoLayerNet(lib.xp, rest | params)
        return {"predicted": net.predict(images), "sizes": [lib.xp.sum(params["W2"] ** 2)]}

    @jax.jit
    def loss(params):
        return TwoLayerNet(lib.xp, rest | params).loss(images, labels)

    # float32's central differences: eps**(2/3) of first and eps**(1/2) of second derivatives, of numbers up to 5.
    for ours, theirs, tolerance in [
        (anygrad.jacobian(predictions, params), jax.jit(jax.jacobian(predictions))(params), 1e-3),
        (anygrad.hessian(loss, params), jax.jit(jax.hessian(loss))(params), 2e-2),
    ]:
        assert jax.tree.structure(ours) == jax.tree.structure(theirs)
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            assert np.allclose(a, b, atol=tolerance)


OPERATORS = {
    "gradient": lambda f, x, v: anygrad.numerical_gradient(f, x),
    "jacobian": lambda f, x, v, **options: anygrad.jacobian(lambda x: x * f(x), x, **options),
    "hessian": lambda f, x, v: anygrad.hessian(f, x),
    "laplacian": lambda f, x, v: anygrad.laplacian(f, x),
    "jvp": anygrad.jvp,
    "hvp": anygrad.hvp,
    "derivative": lambda f, x, v: anygrad.derivative(jax_sine, x, 2),
}


def jax_sine(x):
    import jax

    return jax.numpy.sin(x)


@once
@pytest.mark.parametrize("operator", OPERATORS)
def test_every_operator_inside_a_compiled_function(lib, jax, operator):
    """Directions may be numbers, or traced as x is."""
    x, v = lib.asarray(np.array([1.0, 2.0]), "float32"), lib.asarray(np.array([1.0, -1.0]), "float32")

    def differentiate(x, v, **options):
        return OPERATORS[operator](lambda x: lib.xp.sum(x**3) * x[0], x, v, **options)

    schemes = ({"scheme": anygrad.Complex()}, {"bounds": (1.0, 4.0)}, {"scheme": anygrad.Forward()})
    for options in ({}, *schemes) if operator == "jacobian" else ({},):  # to compile them takes longest
        outside = np.asarray(differentiate(x, v, **options))
        traced = jax.jit(lambda x, v: differentiate(x, v, **options))(x, v)
        assert np.allclose(traced, outside, rtol=0.02, atol=0.2)
    if operator in {"jvp", "hvp"}:
        constant = jax.jit(lambda x: differentiate(x, v))(x)
        assert np.allclose(constant, differentiate(x, v), rtol=0.02, atol=0.2)


ON_TWO_DEVICES = """
import jax, numpy as np, anygrad
jax.config.update("jax_enable_x64", True)
mesh = jax.sharding.Mesh(np.array(jax.devices("cpu")), ("axis",))
for spec in jax.sharding.PartitionSpec("axis"), jax.sharding.PartitionSpec():
    where = jax.sharding.NamedSharding(mesh, spec)
    x = jax.device_put(jax.numpy.arange(4.0), where)
    f = jax.jit(lambda x: (x**2).sum(-1))
    for evaluator in anygrad.Loop(), anygrad.Batch(), anygrad.Vmap(), anygrad.Vmap():
        gradient = anygrad.numerical_gradient(f, x, evaluator=evaluator)
        assert np.allclose(gradient, 2 * x, atol=1e-6)
        assert gradient.sharding == where
print(len(x.devices()))
"""


@once
def test_arrays_on_several_devices(jax):
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", ON_TWO_DEVICES]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.stdout == "2\n", run.stderr


def test_arrays_that_the_host_does_not_have(lib, jax, monkeypatch):
    """Arrays on a GPU are such: JAX computes with them, and inside of a compiled function it traces that."""
    monkeypatch.setattr(anygrad.backends.load("jax"), "on_host", lambda x: False)
    x = lib.asarray(np.array([1.0, 2.0]), "float32")

    def squares(x, y=1.0):
        return (x * x * y).sum()

    assert np.allclose(anygrad.numerical_gradient(squares, x), [2, 4], rtol=1e-2)
    gradient = jax.jit(lambda y: anygrad.numerical_gradient(lambda x: squares(x, y), x))
    assert np.allclose(gradient(lib.asarray(np.array([1.0, 3.0]), "float32")), [2, 12], rtol=1e-2)
