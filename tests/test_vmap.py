"""Vmap: functions of one point, vectorised by PyTorch and JAX."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from evaluators import has_vmap
from outcomes import outcome

import anygrad
from anygrad import Vmap

vectorised = pytest.mark.libraries.with_args(has_vmap)
jax_alone = pytest.mark.libraries(lambda lib: lib.name == "jax")
# Of what has float64 whatever the session has: once is enough.
jax_once = pytest.mark.libraries(lambda lib: lib.name == "jax" and "float64" in lib.real)


def array(lib, *numbers):
    return lib.asarray(np.array(numbers), "float32")


@vectorised
def test_all_points_in_one_call(lib):
    seen = []

    def f(x):
        seen.append(tuple(x.shape))
        return lib.xp.sum(x**2)

    x = array(lib, 1.0, 2.0, 3.0)
    result = anygrad.numerical_gradient(f, x, evaluator=Vmap(), full_output=True)
    assert np.allclose(lib.numpy(result.value), [2, 4, 6], atol=0.02)
    assert (result.ncalls, result.npoints) == (1, 6)
    assert seen == [(3,)]
    result = anygrad.numerical_gradient(f, x, evaluator=Vmap(max_bytes=24), full_output=True)
    assert (result.ncalls, result.npoints) == (3, 6)


@vectorised
def test_less_than_a_point(lib):
    with pytest.raises(ValueError, match="max_bytes is 7, but one point takes 8 bytes"):
        anygrad.numerical_gradient(lib.xp.sum, array(lib, 1.0, 2.0), evaluator=Vmap(max_bytes=7))


@vectorised
@pytest.mark.parametrize("points", [1, 2, 5, 6, 7])
def test_every_boundary_of_chunks(lib, points):
    x = array(lib, 1.0, 2.0, 3.0)

    def f(x):
        return x[0] * x[1] + x[2]

    for operator in (anygrad.numerical_gradient, anygrad.hessian):
        value = operator(f, x, evaluator=Vmap(max_bytes=12 * points))
        assert np.allclose(lib.numpy(value), lib.numpy(operator(f, x)), atol=0.03)


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
        lambda x: x[:2],
        lambda x: {"a": total(x)},
        lambda x: (total(x), 2.0),
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
def test_an_error_of_fs_own_is_its_own(lib):
    def f(x):
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        anygrad.numerical_gradient(f, array(lib, 1.0), evaluator=Vmap())


@vectorised
def test_numbers_and_constants(lib):
    x = array(lib, 1.0, 2.0)
    with pytest.warns(anygrad.ConstantFunctionWarning):
        assert np.all(lib.numpy(anygrad.numerical_gradient(lambda x: 1.5, x, evaluator=Vmap())) == 0)
    value = anygrad.jacobian(lambda x: {"a": x[0] ** 2, "b": 2.0}, x, evaluator=Vmap())
    assert np.allclose(lib.numpy(value["a"]), [2, 0], atol=0.01)
    assert np.all(lib.numpy(value["b"]) == 0)


@vectorised
def test_several_values_for_a_point(lib):
    with pytest.raises(ValueError, match=r"use anygrad.jacobian"):
        anygrad.numerical_gradient(lambda x: x * 2, array(lib, 1.0, 2.0), evaluator=Vmap())


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

    from anygrad.backends.jax import _compiled

    traced, known = [], _compiled.cache_info().hits

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
    assert _compiled.cache_info().hits - known >= 3
    traced.clear()
    for _ in range(2):
        value, aux = anygrad.jacobian(vector, x, evaluator=Vmap(), has_aux=True)
        assert np.allclose(np.diag(value["squares"]), 2 * x, atol=0.03)
        assert aux == 8
    assert len(traced) <= 3  # for x itself, for the first element, for the others


COMPILED = {
    "of one point": lambda xp, x: xp.sum(x**3 - x),
    "with an axis of its own": lambda xp, x: xp.sum(x**2, keepdims=True),
    "in less precision": lambda xp, x: xp.sum(xp.sin(x)).astype("float32"),
    "not a number": lambda xp, x: xp.sum(xp.log(x - 2)),
    "a whole number": lambda xp, x: xp.round(xp.sum(1e5 * x)).astype("int32"),
    "constant": lambda xp, x: xp.sum(x) * 0,
    "of no argument": lambda xp, x: xp.asarray(2.5),
    "several numbers": lambda xp, x: x**2,
    "complex numbers": lambda xp, x: 1j * xp.sum(x),
    "a tuple": lambda xp, x: (xp.sum(x), x),
    "an error": lambda xp, x: xp.sum(x) + None,
}


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

    class Counting:
        """Looks like what is compiled, and is not."""

        lower = trace = __hash__ = None
        calls = 0.0

        def __call__(self, x):
            return model.factor * lib.xp.sum(x**2)

    for model.factor in (1.0, 10.0):
        for f in model.loss, Counting():
            for wide in False, True:
                with jax.enable_x64(wide):
                    x = jax.numpy.asarray([1.0, 2.0], dtype="float64" if wide else "float32")
                    value = anygrad.numerical_gradient(f, x, evaluator=Vmap())
                    assert np.allclose(value, model.factor * np.array([2, 4]), rtol=1e-2)


@jax_once
@pytest.mark.parametrize(
    ("name", "numbers"),
    [(name, [0.5, -1.25, 3.0]) for name in COMPILED]
    + [("of one point", numbers) for numbers in ([[2.5, 15.0]], [17.0, 1.0], [np.nan, 3.0], 2.25)],
)
def test_a_gradient_that_is_compiled_as_a_whole(lib, name, numbers):
    """It is the one of which more is asked, whatever f does, and whether it is the first one or not."""
    import jax

    with jax.enable_x64(True):
        x = jax.numpy.asarray(np.array(numbers))
        f = jax.jit(lambda x: COMPILED[name](jax.numpy, x))
        ways = [(Vmap(), None)]
        # On a GPU, what is compiled otherwise rounds otherwise: in float32, beside a step of 1e-4.
        rtol = 2e-3 if name == "in less precision" and jax.default_backend() != "cpu" else 1e-9
        if name == "of one point":  # each is compiled, which takes long
            ways += [(Vmap(), 1e-3), (Vmap(max_bytes=48), None)]
        for evaluator, h in ways:
            asked = partial(anygrad.numerical_gradient, f, x, h, evaluator=evaluator)
            long = outcome(lambda asked=asked: asked(full_output=True).value)
            for _ in range(2):
                require_alike(outcome(lambda asked=asked: asked()), long, rtol)


def require_alike(short, long, rtol=1e-9):
    (one, warned), (other, likewise) = short, long
    assert warned == likewise
    if isinstance(other, tuple):
        assert one == other
    else:
        assert (type(one), one.dtype, one.shape) == (type(other), other.dtype, other.shape)
        assert np.allclose(one, other, rtol=rtol, equal_nan=True)


@jax_once
def test_steps_that_xla_takes_for_nothing(lib):
    import jax

    with jax.enable_x64(True):
        f = jax.jit(jax.numpy.sum)
        for h in 8e307, 1e200, 1e-200, 1e-308:
            asked = partial(anygrad.numerical_gradient, f, jax.numpy.zeros(2), h, evaluator=Vmap())
            require_alike(
                outcome(lambda asked=asked: asked()), outcome(lambda asked=asked: asked(full_output=True).value)
            )


@jax_once
def test_numbers_inside_a_compiled_function(lib):
    """What is traced of the gradient is not kept for later ones."""
    import jax

    with jax.enable_x64(True):
        f = jax.jit(lambda x: jax.numpy.sum(x**2))
        x = jax.numpy.asarray(np.array([1.0, 2.0]))
        inside = jax.jit(lambda: anygrad.numerical_gradient(f, x, evaluator=Vmap()))
        if anygrad.backends.resolve(x).on_host(x):
            with pytest.raises(TypeError, match="f returned a traced value"):
                inside()
        else:  # JAX traces what is done to x there, too
            assert np.allclose(inside(), [2, 4])
        assert np.allclose(anygrad.numerical_gradient(f, x, evaluator=Vmap()), [2, 4])
        assert np.allclose(jax.jit(lambda x: anygrad.numerical_gradient(f, x, evaluator=Vmap()))(x), [2, 4])


@jax_alone
def test_inside_a_compiled_function(lib):
    import jax

    def gradient(x):
        return anygrad.numerical_gradient(lambda x: lib.xp.sum(x**2), x, evaluator=Vmap())

    assert np.allclose(jax.jit(gradient)(array(lib, 1.0, 2.0)), [2, 4], rtol=1e-2)
