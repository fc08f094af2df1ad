"""Every operator with every evaluator: the numbers of the plain loop, on every library."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import optree
import pytest
from layouts import LAYOUTS
from selection import fatal_calls
from test_operators import CASES, ON_SQUARES, bound_on
from tried import TRIED

import anygrad


def name(case):
    return "-".join(map(str, case)).replace(" ", "-")


def widest(lib):
    return "float64" if "float64" in lib.real else "float32"


def require_same(lib, called, value, expected, bound=0.0):
    """Require the same numbers; to a bound where f's own may differ by rounding."""
    assert (type(value), tuple(value.shape), value.dtype) == (type(expected), tuple(expected.shape), expected.dtype)
    if called.exact:
        assert np.array_equal(lib.numpy(value), lib.numpy(expected), equal_nan=True)
    else:
        assert np.all(np.abs(lib.numpy(value) - lib.numpy(expected)) <= 2 * bound)


def f_and_direction(lib, problem, dtype):
    direction = np.linspace(-1, 2, problem.x.size).reshape(problem.x.shape)
    return problem.on(lib), direction, lib.asarray(direction, dtype)


def check(lib, called, case, tried, x, *, dtype):
    (operator, problem), before = case, lib.bits(x)
    f, direction, v = f_and_direction(lib, problem, dtype)
    expected = operator.differentiate(lib, problem, f, x, v, scheme=tried.scheme, full_output=True)
    result = operator.differentiate(
        lib, problem, called.of(lib, f), x, v, scheme=tried.scheme, evaluator=called.evaluator, full_output=True
    )
    bound = bound_on(lib, case, tried, result, direction, dtype=dtype)
    require_same(lib, called, result.value, expected.value, bound)
    assert lib.bits(x) == before


@pytest.mark.libraries(lambda lib: not lib.lazy)  # which are slow; see below
@pytest.mark.parametrize("tried", TRIED, ids=repr)
@pytest.mark.parametrize("case", CASES, ids=name)
def test_the_numbers_of_the_loop(lib, called, case, tried):
    dtype = widest(lib)
    check(lib, called, case, tried, lib.asarray(case[1].x, dtype), dtype=dtype)


@pytest.mark.libraries(lambda lib: lib.lazy)
@pytest.mark.parametrize("case", ON_SQUARES, ids=name)
def test_the_numbers_of_the_loop_where_they_are_lazy(lib, called, case):
    check(lib, replace(called, exact=False), case, TRIED[1], lib.asarray(case[1].x, "float64"), dtype="float64")


@pytest.mark.libraries(lambda lib: not lib.lazy)
@pytest.mark.parametrize("case", ON_SQUARES, ids=name)
def test_every_layout(lib, called, layout, case):
    """Sums over points that are laid out otherwise than x are rounded otherwise."""
    x = LAYOUTS[layout](lib, case[1].x, "float32")
    check(lib, replace(called, exact=False), case, TRIED[1], x, dtype="float32")


def test_every_dtype(lib, called, dtype):
    """As no step is exact in all of them, and sums are not: by the loop's numbers."""
    x = lib.asarray(np.array([1.0, -2.0, 0.5]), dtype)

    def f(x):
        return x[0] * x[1] + x[2]

    for scheme in (None,) if lib.lazy else (None, anygrad.Forward()):  # see above
        expected = anygrad.numerical_gradient(f, x, scheme=scheme)
        value = anygrad.numerical_gradient(called.of(lib, f), x, scheme=scheme, evaluator=called.evaluator)
        eps = {"bfloat16": 2.0**-7, "longdouble": float(np.finfo("longdouble").eps)}.get(dtype)
        eps = float(np.finfo(dtype).eps) if eps is None else eps
        require_same(lib, called, value, expected, 4 * eps ** (1 / 3))


def test_complex_numbers(lib, called, complex_dtype):
    x = lib.asarray(np.array([1 + 2j, 3 - 1j]), complex_dtype)
    holomorphic, real = (lambda z: z[0] * z[1]), (lambda z: lib.xp.real(z[0]) * lib.xp.imag(z[1]))
    for f in (holomorphic, real):
        expected = anygrad.numerical_gradient(f, x)
        value = anygrad.numerical_gradient(called.of(lib, f), x, evaluator=called.evaluator)
        require_same(lib, called, value, expected, 0.01)


def test_rows_of_a_batch(lib, called):
    X = lib.asarray(np.arange(12.0).reshape(3, 4) / 8 + 1, widest(lib))

    def f(x):
        return x[0] ** 2 * x[1] + 3 * x[-1]

    # Of what is lazy, schemes are shown on other generic arrays.
    for scheme in (None,) if lib.lazy else (None, anygrad.Forward(), anygrad.Central(order=4)):
        expected = anygrad.numerical_gradient_2d(f, X, scheme=scheme)
        value = anygrad.numerical_gradient_2d(called.of(lib, f), X, scheme=scheme, evaluator=called.evaluator)
        require_same(lib, called, value, expected, 1e-3)
    row = anygrad.numerical_gradient_2d(called.of(lib, f), X[0, ...], evaluator=called.evaluator)
    require_same(lib, called, row, anygrad.numerical_gradient_2d(f, X[0, ...]), 1e-3)


@pytest.mark.libraries(lambda lib: not lib.lazy)
@pytest.mark.parametrize("scheme", [None, anygrad.Forward()], ids=repr)
def test_trees(lib, called, scheme):
    dtype = widest(lib)
    x = {"a": lib.asarray(np.array([[1.0, 2.0]]), dtype), "b": lib.asarray(np.array(0.5), dtype)}
    wanted = {} if scheme is None else {"scheme": scheme}

    def f(p):
        return p["a"][0, 0] ** 2 * p["a"][0, 1] * p["b"]

    def vector(p):
        return {"u": p["a"] * p["b"], "v": p["a"][0, 0] ** 2}

    for operator, function in ((anygrad.numerical_gradient, f), (anygrad.hessian, f), (anygrad.jacobian, vector)):
        expected = operator(function, x, **wanted)
        value = operator(called.of(lib, function), x, evaluator=called.evaluator, **wanted)
        flat, structure = optree.tree_flatten(value)
        flat_expected, structure_expected = optree.tree_flatten(expected)
        assert structure == structure_expected
        for own, theirs in zip(flat, flat_expected, strict=True):
            require_same(lib, called, own, theirs, 0.05)
    direction = optree.tree_map(lambda leaf: leaf * 0 + 1, x)
    expected = anygrad.hvp(f, x, direction)
    value = anygrad.hvp(called.of(lib, f), x, direction, evaluator=called.evaluator)
    for key, own in value.items():
        require_same(lib, called, own, expected[key], 0.05)


@pytest.mark.libraries(lambda lib: not lib.lazy)
@pytest.mark.parametrize("tree", [False, True])
def test_extra_output_and_a_known_value(lib, called, tree):
    x = lib.asarray(np.array([1.0, 2.0]), "float32")
    x = {"a": x} if tree else x

    def f(x):
        x = x["a"] if tree else x
        return lib.xp.sum(x**2), "aux"

    for scheme in (None, anygrad.Forward()):
        for f0 in (None, (5.0, "given")):
            expected, _ = anygrad.numerical_gradient(f, x, scheme=scheme, has_aux=True, f0=f0)
            value, aux = anygrad.numerical_gradient(
                called.of(lib, f), x, scheme=scheme, has_aux=True, f0=f0, evaluator=called.evaluator
            )
            assert aux == ("aux" if f0 is None else "given")
            pair = (value["a"], expected["a"]) if tree else (value, expected)
            require_same(lib, called, *pair, 0.02)


def test_bounds(lib, called):
    x = lib.asarray(np.array([0.0, 1.0, 0.5]), widest(lib))

    def f(x):
        return x[0] * x[1] + x[2] ** 2

    expected = anygrad.numerical_gradient(f, x, bounds=(0.0, 1.0), full_output=True)
    options = {"bounds": (0.0, 1.0), "full_output": True, "evaluator": called.evaluator}
    value = anygrad.numerical_gradient(called.of(lib, f), x, **options)
    require_same(lib, called, value.value, expected.value, 1e-3)
    assert np.array_equal(lib.numpy(value.flags["one_sided"]), lib.numpy(expected.flags["one_sided"]))


def test_arrays_without_dimensions_or_elements(lib, called):
    alone = lib.asarray(np.array(2.0), "float32")
    value = anygrad.numerical_gradient(called.of(lib, lambda x: x * 3), alone, evaluator=called.evaluator)
    require_same(lib, called, value, anygrad.numerical_gradient(lambda x: x * 3, alone), 0.01)
    for shape in ((0,), (2, 0)):
        x = lib.asarray(np.empty(shape), "float32")
        value = anygrad.numerical_gradient(called.of(lib, lib.xp.sum), x, evaluator=called.evaluator)
        assert tuple(value.shape) == shape
        of_pairs = anygrad.jacobian(
            called.of(lib, lambda x: lib.xp.zeros(2, dtype=x.dtype, device=lib.device)), x, evaluator=called.evaluator
        )
        assert tuple(of_pairs.shape) == (2, *shape)


@pytest.mark.libraries(lambda lib: lib.name == "numpy")
def test_read_only_and_broadcast_arrays(lib, called):
    for x in (np.broadcast_to(np.array([1.0]), (3,)), np.array([1.0, 2.0, 3.0])):
        x.flags.writeable = False
        value = anygrad.numerical_gradient(called.of(lib, lambda x: x @ x), x, evaluator=called.evaluator)
        assert np.allclose(value, 2 * x)


@pytest.mark.libraries(lambda lib: not lib.lazy)
def test_an_f_that_cannot_see_the_perturbation(lib, called):
    x = lib.asarray(np.array([1.0, 2.0]), "float32")
    if called.in_place and lib.writable:
        assert np.allclose(lib.numpy(anygrad.numerical_gradient(lambda _: lib.xp.sum(x**2), x)), [2, 4], atol=0.02)
        return
    with pytest.warns(anygrad.ConstantFunctionWarning, match="closure"):
        value = anygrad.numerical_gradient(called.of(lib, lambda _: lib.xp.sum(x**2)), x, evaluator=called.evaluator)
    assert np.all(lib.numpy(value) == 0)


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_whenever_f_raises_x_is_as_it_was(lib, called, error):
    x = lib.asarray(np.array([1.0, -0.0, 3.0]), "float32")
    before, total = lib.bits(x), [0]

    def counted(x, fatal=0):
        total[0] += 1
        if total[0] == fatal:
            raise error
        return x[0] * x[1] + x[2]

    run = anygrad.numerical_gradient
    run(called.of(lib, counted), x, scheme=anygrad.Forward(), evaluator=called.evaluator)
    calls = total[0]
    for fatal in fatal_calls(lib, calls):
        total[0] = 0
        with pytest.raises(error):
            run(called.of(lib, lambda x: counted(x, fatal)), x, scheme=anygrad.Forward(), evaluator=called.evaluator)
        assert lib.bits(x) == before


def test_progress(lib, called):
    seen = []
    x = lib.asarray(np.ones(5), "float32")
    result = anygrad.numerical_gradient(
        called.of(lib, lambda x: x[0] * x[1]),
        x,
        evaluator=called.evaluator,
        progress=lambda *counts: seen.append(counts),
        full_output=True,
    )
    done = [done for done, _ in seen]
    assert done == sorted(done)
    assert seen[-1] == (result.npoints, result.npoints)
    assert result.npoints in {10, 11}  # one more, if Batch looks whether f keeps the points apart
    assert len(seen) in {result.ncalls, result.ncalls - 1}  # one more, if Vmap looks at a point alone
