"""Vmap: functions of one point, vectorised by PyTorch and JAX."""

from __future__ import annotations

import numpy as np
import pytest
from evaluators import has_vmap

import anygrad
from anygrad import Vmap

vectorised = pytest.mark.libraries.with_args(has_vmap)
jax_alone = pytest.mark.libraries(lambda lib: lib.name == "jax")
# Of what has float64 whatever the session has: once is enough.
jax_once = pytest.mark.libraries(lambda lib: lib.name == "jax" and "float64" in lib.real)


def array(lib, *numbers):
    return lib.asarray(np.array(numbers), "float32")


@vectorised
@pytest.mark.parametrize("points", [1, 2, 5, 6, 7, None])
def test_f_is_traced_for_one_point_and_called_for_a_chunk_of_them(lib, points):
    seen = []

    def f(x):
        seen.append(tuple(x.shape))
        return x[0] * x[1] + x[2]

    x = array(lib, 1.0, 2.0, 3.0)
    vmap = Vmap() if points is None else Vmap(max_bytes=12 * points)
    result = anygrad.numerical_gradient(f, x, evaluator=vmap, full_output=True)
    assert np.allclose(lib.numpy(result.value), [2, 1, 1], atol=0.02)
    assert (result.ncalls, result.npoints) == (1 if points is None else -(-6 // points), 6)
    assert set(seen) == {(3,)}
    hessian = anygrad.hessian(f, x, evaluator=vmap)
    assert np.allclose(lib.numpy(hessian), lib.numpy(anygrad.hessian(f, x)), atol=0.03)
    with pytest.raises(ValueError, match="max_bytes is 11, but one point takes 12 bytes"):
        anygrad.numerical_gradient(f, x, evaluator=Vmap(max_bytes=11))


@vectorised
def test_what_cannot_be_traced(lib):
    x = array(lib, 1.0, 2.0)
    for f in (
        lambda x: lib.xp.sum(x) if x[0] > 0 else x[1],
        lambda x: float(x[0]) * 2,
        lambda x: lib.xp.sum(x) * np.asarray(lib.numpy(x))[0],
    ):
        with pytest.raises(TypeError, match=r"works for one point, but .*vmap cannot.*use Loop\(\)") as caught:
            anygrad.numerical_gradient(f, x, evaluator=Vmap())
        assert caught.value.__cause__ is not None
        assert np.isfinite(lib.numpy(anygrad.numerical_gradient(f, x))).all()


@vectorised
def test_what_is_no_number_is_told_as_by_the_loop(lib):
    x = array(lib, 1.0, 2.0, 3.0)
    total = lib.xp.sum
    returning = (
        lambda x: None,
        lambda x: x * 2,
        lambda x: (total(x), x),
        lambda x: (total(x), "text"),
    )
    for f in returning:
        with pytest.raises((TypeError, ValueError)) as of_loop:
            anygrad.numerical_gradient(f, x)
        with pytest.raises(of_loop.type) as caught:
            anygrad.numerical_gradient(f, x, evaluator=Vmap())
        assert str(caught.value).partition("(")[0] == str(of_loop.value).partition("(")[0]


@vectorised
def test_extra_output_is_of_numbers_and_of_any_type(lib):
    """No tracer among it."""
    x = array(lib, 1.0, 2.0)
    for scheme in (None, anygrad.Forward()):
        _, aux = anygrad.numerical_gradient(
            lambda x: (lib.xp.sum(x), {"x": x * 2, "name": "f"}), x, evaluator=Vmap(), has_aux=True, scheme=scheme
        )
        assert aux["name"] == "f"
        assert np.array_equal(lib.numpy(aux["x"]), [2, 4])


@vectorised
def test_a_closure_over_what_changes(lib):
    """What was compiled for the first gradient is not used for the second."""
    x, factor = array(lib, 1.0, 2.0), [1.0]

    def f(x):
        return lib.xp.sum(x) * factor[0]

    for factor[0] in (1.0, 5.0):
        value = anygrad.numerical_gradient(f, x, evaluator=Vmap())
        assert np.allclose(lib.numpy(value), factor[0], rtol=1e-2)


@jax_alone
def test_what_is_compiled_already_is_traced_once(lib):
    import jax

    traced = []

    @jax.jit
    def f(x):
        traced.append(1)
        return lib.xp.sum(x**2)

    @jax.jit
    def vector(x):
        traced.append(1)
        return {"squares": x**2}, x.shape[0] * 2

    x = array(lib, 1.0, 2.0, 3.0, 4.0)
    for factor in (1.0, 2.0):
        for evaluator in (Vmap(), Vmap(max_bytes=80)):  # chunks of 4 points
            value = anygrad.numerical_gradient(f, x * factor, evaluator=evaluator)
            assert np.allclose(value, 2 * factor * np.arange(1, 5), atol=0.03)
    assert len(traced) == 1
    traced.clear()
    for _ in range(2):
        value, aux = anygrad.jacobian(vector, x, evaluator=Vmap(), has_aux=True)
        assert np.allclose(np.diag(value["squares"]), 2 * x, atol=0.03)
        assert aux == 8
    assert len(traced) <= 3  # for x itself, for the first element, for the others


@jax_once
def test_a_compiled_method_of_what_changes(lib):
    """Its first argument is the object, which JAX looks at each time."""
    import jax

    @jax.tree_util.register_pytree_node_class
    class Model:
        def __init__(self, factor):
            self.factor = factor

        def tree_flatten(self):
            return (self.factor,), None

        @classmethod
        def tree_unflatten(cls, _, factors):
            return cls(*factors)

        @jax.jit
        def loss(self, x):
            return self.factor * lib.xp.sum(x**2)

    model = Model(1.0)

    for model.factor in (1.0, 10.0):
        for wide in False, True:
            with jax.enable_x64(wide):
                x = jax.numpy.asarray([1.0, 2.0], dtype="float64" if wide else "float32")
                value = anygrad.numerical_gradient(model.loss, x, evaluator=Vmap())
                assert np.allclose(value, model.factor * np.array([2, 4]), rtol=1e-2)
