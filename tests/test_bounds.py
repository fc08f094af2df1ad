"""Bounds: f is never called outside of them, and near one the stencil turns, at the same order."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_examples import examples
from tried import OF_ARRAYS, OF_NUMBERS, REAL

import anygrad

X = np.array([1.0, 2.0, 3.0])
CONCRETE = pytest.mark.libraries(lambda lib: not lib.lazy)


def cubes(lib):
    return lambda x: lib.xp.sum(x**3)


OPERATORS = OF_NUMBERS | {name: OF_ARRAYS[name] for name in ("jacobian", "jvp")}
EXPECTED = {
    "numerical_gradient": 3 * X**2,
    "jacobian": 3 * X**2,
    "hessian": np.diag(6 * X),
    "laplacian": 36.0,
    "jvp": 42.0,
    "hvp": 6 * X,
}
WITHIN = {
    "from one of them": (1.0, 4.0),
    "of each its own": (np.array([1.0, 1.5, 0.0]), 5.0),
    "far from all": (-9.0, 9.0),
    "on one side": (1.0, np.inf),
}


def guarded(lib, f, lower, upper):
    """Return f with a look at each point that it is called at."""

    def g(x):
        numbers = lib.numpy(x)
        assert np.all((numbers >= lower) & (numbers <= upper) | np.isnan(numbers))
        return f(x)

    return g


@CONCRETE
@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("tried", REAL, ids=repr)
@pytest.mark.parametrize("within", WITHIN)
def test_at_a_bound_the_answer_is_the_same(lib, name, tried, within):
    lower, upper = WITHIN[within]
    dtype = "float64" if "float64" in lib.real else "float32"
    x = lib.asarray(X, dtype)
    f = guarded(lib, cubes(lib), lower, upper)
    result = OPERATORS[name](f, x, scheme=tried.scheme, bounds=(lower, upper), full_output=True)
    second = 2 if name in {"hessian", "laplacian", "hvp"} else 1
    # f is below 150 within 1 of x. A turned stencil is of the same order; it has a point or so more, and polarization
    # three of them.
    eps, step = np.finfo(dtype).eps, lib.numpy(result.step)
    bound = 8 * tried.error(150, 8, eps, step, second, spread=4)
    assert np.all(np.abs(lib.numpy(result.value) - EXPECTED[name]) <= bound)
    assert np.array_equal(lib.numpy(x), X)


@CONCRETE
@pytest.mark.parametrize("tried", REAL, ids=repr)
@pytest.mark.parametrize("n", [1, 2])
def test_an_elementwise_function_is_never_called_beyond_its_bounds(lib, tried, n):
    x = lib.asarray(X, "float32")
    f = guarded(lib, lambda x: x**3, 1.0, 3.0)
    result = anygrad.derivative(f, x, n, scheme=tried.scheme, bounds=(1.0, 3.0), full_output=True)
    bound = 8 * tried.error(64, 3, np.finfo(np.float32).eps, lib.numpy(result.step), n, spread=2)
    assert np.all(np.abs(lib.numpy(result.value) - [0, 3 * X**2, 6 * X][n]) <= bound)


@pytest.mark.parametrize("order", [2, 4, 6])
def test_the_order_of_the_scheme_stays_within_bounds(lib, order):
    """One-sided or not, a scheme of order p is exact for polynomials of degree p, and not for the next."""
    x = lib.asarray(np.array([0.0, 1.0]), "float32")
    scheme = anygrad.Central(order=order, step=0.125)
    for degree in (order, order + 1):
        result = anygrad.numerical_gradient(
            lambda x: lib.xp.sum((x - 0.5) ** degree), x, scheme=scheme, bounds=(0.0, 1.0), full_output=True
        )
        error = np.abs(lib.numpy(result.value) - degree * np.array([-0.5, 0.5]) ** (degree - 1))
        assert np.all(error < 1e-4) == (degree == order)
        assert lib.numpy(result.flags["one_sided"]).all()


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize(("below", "above"), [(3e-6, 2e-6), (2e-6, 1.0), (1e-7, 8e-6)])
def test_between_tight_bounds_the_smaller_error_counts(below, above, order):
    """A central difference with shorter steps is better than a one-sided one, until its steps are far too short."""
    x = np.linspace(0.5, 2.5, 200)

    bounds = (x - below, x + above)

    def error(scheme, **options):
        return np.median(np.abs(anygrad.derivative(np.exp, x, scheme=scheme, **options) / np.exp(x) - 1))

    upward = error(anygrad.Forward(order=order), bounds=bounds)
    shortened = error(anygrad.Central(order=order, step=min(below, above) / (order / 2)))
    assert error(anygrad.Central(order=order), bounds=bounds) <= 1.5 * min(upward, shortened)


@examples(60)
@given(data=st.data(), tried=st.sampled_from(REAL), name=st.sampled_from(sorted(OPERATORS)))
def test_no_bound_is_ever_crossed(data, tried, name):
    """The bounds are of any size and sign, and the step is any; where there is no room at all, an error says so."""
    exponents = st.floats(-12, 3).map(lambda exponent: 10.0**exponent)
    x = np.array(data.draw(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3)))
    room = np.array([[data.draw(st.one_of(st.just(0.0), exponents)) for _ in x] for _ in range(2)])
    lower, upper = x - room[0], x + room[1]
    step = data.draw(st.one_of(st.none(), st.floats(-3, 1).map(lambda exponent: 10.0**exponent)))
    before = x.tobytes()

    def f(x):
        assert np.all((x >= lower) & (x <= upper))
        return x.sum()

    scheme = replace(tried.scheme, step=step) if step else tried.scheme
    try:
        result = OPERATORS[name](f, x, scheme=scheme, bounds=(lower, upper))
    except ValueError as error:
        assert "the bounds leave no room" in str(error)  # noqa: PT017 - either is right
    else:
        assert np.all(np.isfinite(result))
    assert x.tobytes() == before


def test_a_bound_is_a_number_or_an_array_or_nothing(lib):
    x = lib.asarray(X, "float32")
    numbers = [0, -1.0, None, [0, 0, 0], np.zeros(3), lib.asarray(np.zeros(3), "float32"), -np.inf]
    for lower in numbers:
        gradient = anygrad.numerical_gradient(cubes(lib), x, bounds=(lower, [4.0, 4.0, 4.0]))
        assert np.allclose(lib.numpy(gradient), 3 * X**2, rtol=1e-2)


def test_a_tree_of_bounds(lib):
    x = {"a": lib.asarray(np.array([1.0, 2.0]), "float32"), "b": lib.asarray(np.array([3.0]), "float32")}
    bounds = ({"a": [1.0, 0.0], "b": None}, {"a": 5.0, "b": lib.asarray(np.array([3.0]), "float32")})

    def f(p):
        return lib.xp.sum(p["a"] ** 2) * p["b"][0]

    result = anygrad.numerical_gradient(f, x, bounds=bounds, full_output=True)
    flags = result.flags["one_sided"]
    assert (lib.numpy(flags["a"]).tolist(), lib.numpy(flags["b"]).tolist()) == ([True, False], [True])
    assert np.allclose(lib.numpy(result.value["a"]), [6, 12], rtol=1e-2)
    hessian = anygrad.hessian(f, x, bounds=bounds)
    assert np.allclose(lib.numpy(hessian["a"]["a"]), 6 * np.eye(2), atol=0.1)
    assert np.allclose(lib.numpy(hessian["b"]["a"]), [[2, 4]], atol=0.1)


OUTSIDE = r"x lies outside its bounds: x\[\d\] is .*was given"


@CONCRETE
@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        *((bounds, OUTSIDE) for bounds in ((1.5, 4), (0, 2.5), (np.nan, 4), (0, np.nan))),
        ((4, 0), r"bounds=\(4.0, 0.0\) was given .*the lower bound comes first"),
    ],
)
def test_an_x_outside_of_its_bounds_is_refused(lib, bounds, message):
    x = lib.asarray(X, "float32")
    for operator in OPERATORS.values():
        with pytest.raises(ValueError, match=message):
            operator(cubes(lib), x, bounds=bounds)


@pytest.mark.libraries(lambda lib: lib.lazy)
@pytest.mark.parametrize("scheme", [anygrad.Central(), anygrad.Forward(), anygrad.Adaptive()], ids=repr)
def test_a_lazy_x_outside_of_its_bounds_has_no_derivative(lib, scheme):
    x = lib.asarray(np.array([0.5, 2.0, 4.0]), "float32")
    nan = np.nan
    for bounds, expected in (
        ((1.0, 3.0), [nan, 4.0, nan]),
        ((None, 2.5), [1.0, 4.0, nan]),
        ((3.0, 1.0), [nan, nan, nan]),
    ):
        value = lib.numpy(anygrad.numerical_gradient(lambda x: lib.xp.sum(x**2), x, scheme=scheme, bounds=bounds))
        assert np.allclose(value, expected, atol=0.02, equal_nan=True)


def test_bounds_without_room_between_them_are_refused():
    with pytest.raises(ValueError, match=r"no room for a step.*Widen the bounds, fix that element with fixed="):
        anygrad.numerical_gradient(np.sum, X.copy(), bounds=(X, [1.0, 9.0, 9.0]))
    with pytest.raises(ValueError, match="no room"):
        anygrad.numerical_gradient(np.sum, np.ones(1), bounds=(1.0, 1 + 2**-52))
    with pytest.raises(ValueError, match="or a direction leaves them on both sides"):
        anygrad.jvp(np.sum, np.array([0.0, 1.0]), [1.0, 1.0], bounds=(0.0, 1.0))


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        (3, "bounds is 3, but a pair"),
        ((0, 4, 5), "but a pair"),
        (np.array([0, 4]), "but a pair"),
        ([(0, 4), (0, 4)], r"a pair for each element, but one .* write bounds=tuple\(zip\(\*bounds\)\)"),
        ([(0, None)] * 3, r"a pair for each element, but one .* -math.inf and math.inf"),
        (SimpleNamespace(lb=0, ub=4), r"write bounds=\(bounds.lb, bounds.ub\)"),  # as SciPy's Bounds
        (("low", 4), "the lower bound is 'low'"),
        ((0, 1j), "the upper bound is 1j"),
        ((True, 4), "the lower bound is True"),
    ],
)
def test_bounds_that_are_no_bounds_are_refused(bounds, message):
    with pytest.raises(TypeError, match=message):
        anygrad.numerical_gradient(np.sum, X.copy(), bounds=bounds)


def test_bounds_that_do_not_fit_x_are_refused():
    with pytest.raises(ValueError, match=r"the lower bound has the shape \(2,\).*x's shape \(3,\)"):
        anygrad.numerical_gradient(np.sum, X.copy(), bounds=(np.zeros(2), None))
    with pytest.raises(TypeError, match="x is complex, but bounds need real numbers"):
        anygrad.numerical_gradient(np.sum, X + 1j, bounds=(0, 9))
    with pytest.raises(ValueError, match=r"bounds are given, but Complex\(.*\) calls f with complex points"):
        anygrad.numerical_gradient(np.sum, X.copy(), bounds=(0, 9), scheme=anygrad.Complex())
    with pytest.raises(ValueError, match=r"the lower bound is .*it has nothing for x\['b'\]"):
        anygrad.jvp(lambda p: p["a"], {"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 2.0}, bounds=({"a": 0.0}, None))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_step_squeezed_into_the_room_left_leads_no_bit_beyond_a_bound(sign):
    """Where |x| is far larger than |bound|, x + (bound - x) is rounded: to beyond the bound in half of the cases."""
    random = np.random.default_rng(0)
    x, bound = random.uniform(-1, -0.5, 200), random.uniform(0, 1e-3, 200)
    assert np.mean(x + (bound - x) > bound) > 0.3
    lower, upper = np.sort([sign * np.full(200, -1.0), sign * bound], axis=0)
    scheme = anygrad.Forward(order=1, step=10) if sign > 0 else anygrad.Backward(order=1, step=10)

    def f(x):
        assert np.all((x >= lower) & (x <= upper))
        return x.sum()

    assert np.allclose(anygrad.numerical_gradient(f, sign * x, scheme=scheme, bounds=(lower, upper)), 1)


@pytest.mark.libraries(lambda lib: not lib.lazy)
def test_a_step_that_fits_between_the_bounds_stays_as_it_is(lib):
    """A one-sided stencil, which reaches two steps, would not have room for it; the central one reaches one."""
    x = lib.asarray(np.array([1.0]), "float32")
    result = anygrad.numerical_gradient(
        lib.xp.sum, x, scheme=anygrad.Central(step=0.125), bounds=(0.8125, 1.1875), full_output=True
    )
    assert lib.numpy(result.step).tolist() == [0.125]
    assert not lib.numpy(result.flags["one_sided"]).any()


@pytest.mark.parametrize("bounds", [(0.0, [1.0, 2.0]), ([1.0, 2.0], None), ([1.0, 0.0], [9.0, 2.0])])
def test_a_right_claim_at_a_bound_agrees(bounds):
    """Neither f nor what is claimed is called beyond it, for its rounding to be seen either."""
    lower, upper = (other if bound is None else bound for bound, other in zip(bounds, (-np.inf, np.inf), strict=True))

    def exponentials(x):
        assert np.all((x >= lower) & (x <= upper))
        return np.exp(x)

    report = anygrad.check_gradient(lambda x: exponentials(x).sum(), exponentials, np.array([1.0, 2.0]), bounds=bounds)
    assert report.verdict == "agrees"
