"""Schemes: their weights and orders, the steps that they take, and those that the user chooses."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass

import numpy as np
import pytest
from evaluators import Called

import anygrad

DOUBLE = pytest.mark.libraries(lambda lib: "float64" in lib.real)
CONCRETE = pytest.mark.libraries(lambda lib: not lib.lazy)
KINDS = [anygrad.Central, anygrad.Forward, anygrad.Backward]
BY_KIND = pytest.mark.parametrize("make", KINDS, ids=lambda kind: kind.__name__)
DROWNED = r"the step .* is too small: in the dtype of x, it does not change an element of magnitude"


def cubes(lib):
    return lambda x: lib.xp.sum(x**3)


# --- weights and orders -------------------------------------------------------------------------------------------

# Fornberg, Math. Comp. 51 (1988), tables 1 and 3: first derivatives.
WEIGHTS = {
    anygrad.Central(order=2, step=0.5): {-1: -1 / 2, 1: 1 / 2},
    anygrad.Central(order=6, step=0.5): {-3: -1 / 60, -2: 3 / 20, -1: -3 / 4, 1: 3 / 4, 2: -3 / 20, 3: 1 / 60},
    anygrad.Forward(order=1, step=0.5): {0: -1, 1: 1},
    anygrad.Forward(order=4, step=0.5): {0: -25 / 12, 1: 4, 2: -3, 3: 4 / 3, 4: -1 / 4},
    anygrad.Backward(order=3, step=0.5): {0: 11 / 6, -1: -3, -2: 3 / 2, -3: -1 / 3},
}


@pytest.mark.parametrize("scheme", WEIGHTS, ids=repr)
def test_weights_are_fornbergs(scheme):
    """The derivative of a function that is 1 at one point of the stencil, and 0 elsewhere, is a weight."""
    measured = {
        offset: float(anygrad.numerical_gradient(lambda x: float(x[0] == 0.5 * offset), np.zeros(1), scheme=scheme)[0])
        for offset in range(-5, 6)
    }
    expected = {offset: 2 * WEIGHTS[scheme].get(offset, 0) for offset in range(-5, 6)}
    assert measured == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(
    ("scheme", "degree", "calls"),
    [
        (anygrad.Central(order=2, step=0.5), 2, 2),
        (anygrad.Central(order=12, step=0.5), 12, 12),
        (anygrad.Forward(order=1, step=0.5), 1, 2),
        (anygrad.Forward(order=3, step=0.5), 3, 4),
        (anygrad.Backward(order=5, step=0.5), 5, 6),
    ],
    ids=repr,
)
def test_a_scheme_is_exact_for_polynomials_up_to_its_order_and_not_beyond(lib, scheme, degree, calls):
    x = lib.asarray(np.array(0.25), lib.real[-1])

    def power(degree):
        return anygrad.numerical_gradient(lambda x: x**degree, x, scheme=scheme, full_output=True)

    exact, inexact = power(degree), power(degree + 1)
    tolerance = 1e-4 if "float64" not in lib.real else 1e-9
    assert lib.numpy(exact.value) == pytest.approx(degree * 0.25 ** (degree - 1), abs=tolerance * 2.0**degree)
    assert abs(lib.numpy(inexact.value) - (degree + 1) * 0.25**degree) > 100 * tolerance * 2.0**-degree
    assert exact.ncalls == exact.npoints == calls


@pytest.mark.parametrize("scheme", [anygrad.Central(order=300), anygrad.Forward(order=100)], ids=repr)
def test_stencils_of_too_many_points_are_refused(scheme):
    with pytest.raises(ValueError, match=r"need \d+ points.*beyond 60 rounding leaves no correct digit"):
        anygrad.numerical_gradient(lambda x: x[0], np.ones(1), scheme=scheme)
    with pytest.raises(ValueError, match="need 201 points"):
        anygrad.derivative(np.exp, 1.0, n=200, scheme=anygrad.Central())


def test_schemes_are_values():
    assert anygrad.Central(order=4) == anygrad.Central(order=4)
    assert repr(anygrad.Central(order=4)) == "Central(order=4, step=None, noise=None, rel_step=None)"
    assert repr(anygrad.Loop()) == "Loop(in_place=True, graph=False, on_error='raise')"
    with pytest.raises(FrozenInstanceError):
        anygrad.Central().order = 4


@pytest.mark.parametrize(
    ("make", "order", "error", "message"),
    [
        (anygrad.Central, -2, ValueError, "positive even number"),
        (anygrad.Central, 3, ValueError, "positive even number"),
        (anygrad.Forward, 0, ValueError, "order must be 1 or more"),
        (anygrad.Backward, 0, ValueError, "order must be 1 or more"),
        *((make, 2.0, TypeError, "order must be an integer") for make in KINDS),
    ],
)
def test_orders_that_no_stencil_has_are_refused(make, order, error, message):
    with pytest.raises(error, match=message):
        make(order=order)


# --- default steps ------------------------------------------------------------------------------------------------


@DOUBLE
def test_the_default_step_is_the_books_up_to_16_and_relative_beyond(lib):
    values = np.array([0.0, 1e-300, -1.0, 15.0, 20.0, -1e6])
    x = lib.asarray(values, "float64")
    step = lib.numpy(anygrad.numerical_gradient(lib.xp.sum, x, full_output=True).step)
    assert np.array_equal(step[:4], [1e-4] * 4)
    assert np.allclose(step[4:], np.finfo(np.float64).eps ** (1 / 3) * np.abs(values[4:]), rtol=1e-4)


@DOUBLE
@pytest.mark.parametrize(
    ("scheme", "error"),
    [
        # eps**(p/(p+1)) times the sum of weights, with a factor of 10 of leeway.
        (anygrad.Forward(), 3e-7),
        (anygrad.Backward(order=2), 1e-9),
        (anygrad.Central(), 1e-9),
        (anygrad.Central(order=4), 3e-12),
        (anygrad.Central(order=8), 1e-13),
        (anygrad.Central(order=12), 1e-13),
    ],
    ids=repr,
)
def test_the_default_step_is_as_good_as_the_order_promises(lib, scheme, error):
    x = lib.asarray(np.array([0.0, 0.5, 1.0, -2.0]), "float64")
    gradient = lib.numpy(anygrad.numerical_gradient(lambda x: lib.xp.sum(lib.xp.sin(x)), x, scheme=scheme))
    assert np.max(np.abs(gradient - np.cos(lib.numpy(x)))) < error


@pytest.mark.parametrize("scheme", [anygrad.Central(), anygrad.Central(order=8), anygrad.Forward()], ids=repr)
def test_default_steps_are_representable(lib, dtype, scheme):
    x = lib.asarray(np.array([0.0, 1.0, 1 / 3, 100.0, 0.001]), dtype)
    step = anygrad.numerical_gradient(lib.xp.sum, x, scheme=scheme, full_output=True).step
    assert np.array_equal(lib.numpy((x + step) - x), lib.numpy(step))


@DOUBLE
@pytest.mark.parametrize("scheme", [None, anygrad.Central(order=4), anygrad.Forward(), anygrad.Backward()], ids=repr)
def test_a_linear_function_is_exact_at_every_magnitude(lib, scheme):
    """There is no truncation, and rounding is relative to the step, which is at least eps**(1/2) times x."""
    for magnitude in (0.0, 5e-324, 1e-300, 1e-8, 1.0, 15.0, 17.0, 1e8, 1e13, 1e300):
        x = lib.asarray(np.array([magnitude, -magnitude]), "float64")
        gradient = lib.numpy(anygrad.numerical_gradient(lambda x: x[0] - x[1] / 2, x, scheme=scheme))
        assert np.allclose(gradient, [1, -0.5], rtol=1e-7 if scheme is None or magnitude else 1e-6)


@pytest.mark.skipif(np.finfo(np.longdouble).nmant <= 52, reason="longdouble is float64 on this machine")
def test_longdouble_is_not_narrowed():
    x = np.array([1.0, 2.0], dtype=np.longdouble)
    gradient = anygrad.numerical_gradient(lambda x: np.exp(x).sum(), x, scheme=anygrad.Central(order=8))
    assert gradient.dtype == np.longdouble
    assert np.all(np.abs(gradient / np.exp(x) - 1) < 2e-15)  # float64 reaches 1e-13


# --- large x ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "bound"),
    [
        (anygrad.Central(), 1e-5),
        (anygrad.Forward(order=2), 1e-4),
        (anygrad.Backward(), 1e-3),
    ],
    ids=repr,
)
def test_second_derivatives_are_right_where_f_varies_with_a_large_x(scheme, bound):
    for size in (1e3, 3e4, 1e6, 1e9):
        x, one = np.array([size]), np.ones(1)
        for f, scaled in ((np.log, -1.0), (np.sqrt, -0.25 * size**0.5), (lambda x: x**3, 6 * size**3)):
            total = lambda x, f=f: f(x).sum()  # noqa: E731 - one line below
            found = [
                anygrad.derivative(f, x, 2, scheme=scheme)[0],
                anygrad.hessian(total, x, scheme=scheme)[0, 0],
                anygrad.hvp(total, x, one, scheme=scheme)[0],
                anygrad.laplacian(total, x, scheme=scheme),
            ]
            assert np.allclose(found, scaled / size**2, rtol=4 * bound, atol=0)


def test_third_and_fourth_derivatives_are_right_at_large_x():
    x = np.array([1e3, 1e4, 1e7])
    assert np.allclose(anygrad.derivative(np.log, x, 3) * x**3, 2, rtol=1e-4)
    assert np.allclose(anygrad.derivative(np.log, x, 4, scheme=anygrad.Central(order=4)) * x**4, -6, rtol=1e-4)


def test_mixed_derivatives_are_right_at_large_x():
    x = np.array([1e4, 3e5])
    hessian = anygrad.hessian(lambda x: np.log(x[0]) * np.log(x[1]), x) * x[:, None] * x
    assert np.allclose(hessian, [[-np.log(x[1]), 1], [1, -np.log(x[0])]], rtol=1e-5)


# --- x and f that are not finite ----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", [None, anygrad.Central(order=4), anygrad.Forward()], ids=repr)
def test_nan_and_inf_affect_their_own_entry_only(lib, scheme):
    x = lib.asarray(np.array([1.0, np.nan, 2.0, np.inf, -np.inf, 3.0]), "float32")
    finite = lib.asarray(np.array([1.0, 0.0, 1.0, 0.0, 0.0, 1.0]), "float32")

    def f(x):
        return lib.xp.sum(lib.xp.where(finite > 0, x, lib.xp.zeros_like(x)) ** 2)

    gradient = lib.numpy(anygrad.numerical_gradient(f, x, scheme=scheme))
    assert np.allclose(gradient[[0, 2, 5]], [2, 4, 6], rtol=1e-2)
    assert np.all(gradient[[1, 3, 4]] == 0)  # f does not depend on them


def test_the_derivative_at_infinity_is_that_of_the_limit(lib):
    x = lib.asarray(np.array([np.inf, -np.inf, 0.5]), "float32")
    gradient = lib.numpy(anygrad.numerical_gradient(lambda x: lib.xp.sum(lib.xp.tanh(x)), x))
    assert np.array_equal(gradient[:2], [0, 0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_of_f_that_are_not_finite_show_in_the_gradient(lib, value):
    x, scale = (lib.asarray(np.array([1.0, number]), "float32") for number in (2.0, value))
    assert np.isnan(lib.numpy(anygrad.numerical_gradient(lambda x: x[1] * scale[1], x))).all()


@CONCRETE
@pytest.mark.parametrize("scheme", [anygrad.Central(), anygrad.Adaptive()], ids=repr)
def test_a_derivative_beyond_the_dtype_is_flagged(lib, scheme):
    """1e30 x**2 at 1e20 has a derivative of 2e50, which float32 does not hold; at 1 it has one of 2e30."""
    x = lib.asarray(np.array([1e20, 1.0]), "float32")
    result = anygrad.numerical_gradient(
        lambda x: 1e30 * sum(float(number) ** 2 for number in x), x, scheme=scheme, full_output=True
    )
    assert lib.numpy(result.flags["nonfinite"]).tolist() == [True, False]
    assert not np.isfinite(lib.numpy(result.value)[0])


# --- steps that the user chooses ----------------------------------------------------------------------------------

X = np.array([1.0, 2.0, 4.0])
STEPS = [0.125, 0.25, 0.5]  # held by every dtype, and so are X plus these


@BY_KIND
def test_a_step_for_each_element(lib, make):
    """The difference quotients of a cube with a step h are 3 x^2 + h^2, and 3 x^2 +- 3 x h + h^2."""
    x, h = lib.asarray(X, "float32"), np.array(STEPS)
    side = {anygrad.Central: 0, anygrad.Forward: 1, anygrad.Backward: -1}[make]
    order = {} if make is anygrad.Central else {"order": 1}
    for step in (STEPS, h, lib.asarray(h, "float32")):
        result = anygrad.numerical_gradient(cubes(lib), x, scheme=make(step=step, **order), full_output=True)
        assert np.array_equal(lib.numpy(result.step), h)
        assert np.allclose(lib.numpy(result.value), 3 * X**2 + side * 3 * X * h + h**2, rtol=1e-5)


@pytest.mark.parametrize("step", [0.25, np.float32(0.25), np.array(0.25), [0.25] * 3], ids=repr)
def test_every_operator_takes_a_step_as_it_is(lib, step):
    """The central second difference of x**4 is 12 x^2 + 2 h^2."""
    x, scheme = lib.asarray(X, "float32"), anygrad.Central(step=step)
    exact = 12 * X**2 + 2 * 0.25**2
    for operator in (anygrad.hessian, anygrad.laplacian, lambda f, x, **kw: anygrad.hvp(f, x, [1.0, 1.0, 1.0], **kw)):
        result = operator(lambda x: lib.xp.sum(x**4), x, scheme=scheme, full_output=True)
        assert np.array_equal(lib.numpy(result.step), [0.25] * 3)
        assert np.sum(lib.numpy(result.value)) == pytest.approx(np.sum(exact), rel=1e-2)
    result = anygrad.derivative(lambda x: x**4, x, 2, scheme=scheme, full_output=True)
    assert np.allclose(lib.numpy(result.value), exact, rtol=1e-3)
    assert np.array_equal(lib.numpy(result.step), [0.25] * 3)


def test_a_tree_of_steps(lib):
    x = {"a": lib.asarray(X[:2], "float32"), "b": lib.asarray(X[2:], "float32")}
    scheme = anygrad.Central(step={"a": STEPS[:2], "b": 0.5})

    def f(p):
        return lib.xp.sum(p["a"] ** 3) + p["b"][0] ** 3

    for operator in (anygrad.numerical_gradient, anygrad.hessian, anygrad.laplacian):
        result = operator(f, x, scheme=scheme, full_output=True)
        assert np.array_equal(lib.numpy(result.step["a"]), STEPS[:2])
        assert np.array_equal(lib.numpy(result.step["b"]), [0.5])
    gradient = anygrad.numerical_gradient(f, x, scheme=scheme)
    assert np.allclose(lib.numpy(gradient["a"]), 3 * X[:2] ** 2 + np.square(STEPS[:2]), rtol=1e-5)


def test_along_a_direction_the_step_is_that_of_the_element_that_changes_most(lib):
    x = lib.asarray(X, "float32")
    result = anygrad.jvp(lambda x: x**3, x, [0.0, 8.0, 4.0], scheme=anygrad.Central(step=0.25), full_output=True)
    assert lib.numpy(result.step) == 0.25
    exact = 3 * X**2 * [0, 8, 4]
    assert np.allclose(lib.numpy(result.value), exact + np.array([0, 1, 0.5]) ** 3 * 0.25**2 * 8, rtol=1e-5)


@BY_KIND
@pytest.mark.parametrize(
    ("at", "step", "dtype"),
    [(1000.3, 1e-8, "float64"), (1e6 + 0.1, 1e-6, "float64"), (77.7, 1e-4, "float32"), (-5e4, 0.05, "float32")],
)
def test_what_is_divided_by_is_the_step_that_the_dtype_takes(make, at, step, dtype):
    """The quotients of a line are off by the rounding of f only, which is exact here."""
    x, one, options = np.array([at], dtype), np.ones(1, dtype), {"scheme": make(step=step)}
    both = np.array([at, 2.0], dtype)

    def f(x):
        return 2 * x.astype("float64")

    found = [
        anygrad.jacobian(f, x, **options)[0, 0],
        anygrad.numerical_gradient(lambda x: f(x).sum(), x, **options)[0],
        anygrad.numerical_gradient(lambda p: f(p["x"]).sum(), {"x": x}, **options)["x"][0],
        anygrad.derivative(f, x, **options)[0],
        anygrad.jvp(f, x, one, **options)[0],
        anygrad.jvp(f, x, 3 * one, **options)[0] / 3,
        anygrad.jvp(f, both, np.array([1.0, 0.0], dtype), **options)[0],
    ]
    assert np.allclose(found, 2, rtol=1e-6 if dtype == "float32" else 1e-13, atol=0)


def test_the_books_h_is_divided_by_as_it_was_given():
    x, h = np.array([1000.3]), 1e-8
    assert anygrad.numerical_gradient(lambda x: 2 * x[0], x, h)[0] == (2 * (1000.3 + h) - 2 * (1000.3 - h)) / (2 * h)


@dataclass(frozen=True)
class Eighth(anygrad.schemes.ReferenceStep):
    """A user's own step rule, made of another one."""

    def steps(self, lines, stencil):
        return lines.xp.full_like(lines.at, 0.125)


@dataclass(frozen=True)
class Stretched(anygrad.Central):
    """A user's own scheme, made of another one."""

    def steps(self, lines, n=1):
        return 2 * super().steps(lines, n)


@DOUBLE
@CONCRETE
@pytest.mark.parametrize("scheme", [anygrad.Central(step=Eighth()), Stretched(step=0.0625)], ids=["rule", "scheme"])
def test_every_evaluator_takes_the_steps_of_the_users_own_rule(lib, called: Called, scheme):
    """The central difference quotient of a cube with a step h is 3 x^2 + h^2."""
    f = called.of(lib, lambda x: lib.xp.sum(x**3))
    x = lib.asarray(np.array([1.0, 2.0]), "float64")
    for _ in range(2):  # a function that has been seen before takes a shorter way
        value = anygrad.numerical_gradient(f, x, scheme=scheme, evaluator=called.evaluator)
        assert np.allclose(lib.numpy(value), [3 + 1 / 64, 12 + 1 / 64], rtol=1e-12)


# --- steps that are refused ---------------------------------------------------------------------------------------


@BY_KIND
@pytest.mark.parametrize(
    ("step", "error", "message"),
    [
        (np.array([0.1, -1.0, 0.1]), ValueError, "a step is not positive"),
        (np.array([0.1, np.nan, 0.1]), ValueError, "a step is not positive"),
        (np.array([0.1, 1e-30, 0.1]), ValueError, r"the step 1e-30 is too small: .* an element of magnitude 2.0"),
        (np.ones(2), ValueError, r"the step has the shape \(2,\).*x's shape \(3,\)"),
        (np.array([1j, 1, 1]), TypeError, "the step is array.*real number"),
        ({"a": 0.1}, TypeError, "the step is {'a': 0.1}.*real number"),
    ],
    ids=["negative", "NaN", "too small", "shape", "complex", "tree"],
)
def test_steps_that_are_no_steps_are_refused(make, step, error, message):
    x = X.copy()
    with pytest.raises(error, match=message):
        anygrad.numerical_gradient(np.sum, x, scheme=make(step=step))
    assert np.array_equal(x, X)


def test_steps_that_lack_an_array_or_are_too_many_for_a_direction_are_refused():
    for operator in (anygrad.numerical_gradient, anygrad.hessian):
        with pytest.raises(ValueError, match=r"the step is .*it has nothing for x\['b'\]"):
            operator(lambda p: p["a"].sum(), {"a": X.copy(), "b": X.copy()}, scheme=anygrad.Central(step={"a": 0.1}))
    for step in (np.array(STEPS), STEPS):
        with pytest.raises(TypeError, match=r"a direction has one step for all elements: give one number"):
            anygrad.jvp(np.sum, X.copy(), np.ones(3), scheme=anygrad.Central(step=step))


@DOUBLE
@CONCRETE
@pytest.mark.parametrize("at", [1.0, -1.0])
def test_a_step_that_drowns_on_one_side_only_is_refused(lib, at):
    """From a power of 2 towards 0 numbers are twice as dense: it would change x there, and not on the other side."""
    step = 0.4 * 2.0**-52
    assert (at + step == at) != (at - step == at)
    for make in KINDS:
        with pytest.raises(ValueError, match=DROWNED):
            anygrad.numerical_gradient(lib.xp.sum, lib.asarray(np.array([at]), "float64"), scheme=make(step=step))


@DOUBLE
@CONCRETE
def test_every_evaluator_refuses_a_step_that_drowns(lib, called: Called):
    f = called.of(lib, lambda x: lib.xp.sum(x**2))
    # A function that has been seen before takes a shorter way.
    anygrad.numerical_gradient(f, lib.asarray(np.array([1.0, 2.0]), "float64"), evaluator=called.evaluator)
    for other in (1.0, 2.0**20):
        x = lib.asarray(np.array([2.0**20, other]), "float64")
        with pytest.raises(ValueError, match=DROWNED):
            anygrad.numerical_gradient(f, x, 2.0**-34, evaluator=called.evaluator)


@CONCRETE
def test_the_refusal_of_a_step_that_drowns_names_the_smallest_that_does_not(lib, dtype):
    for magnitude in (1.0, 1000.0, -3.0):
        x = lib.asarray(np.array([0.0, magnitude, np.nan, np.inf]), dtype)
        with pytest.raises(ValueError, match=r"too small.*a step of at least") as caught:
            anygrad.numerical_gradient(lambda x: x[0], x, 1e-30)
        smallest = float(str(caught.value).rpartition(" ")[2])
        # The suggestion works, and nothing much smaller would.
        x = lib.asarray(np.array([0.0, magnitude]), dtype)
        anygrad.numerical_gradient(lambda x: x[0], x, smallest)
        with pytest.raises(ValueError, match="too small"):
            anygrad.numerical_gradient(lambda x: x[0], x, smallest / 4)


# --- noise --------------------------------------------------------------------------------------------------------


@DOUBLE
@pytest.mark.parametrize("make", [anygrad.Central, anygrad.Forward])
def test_noise_that_is_stated_makes_the_step_fit(lib, make):
    """An f with a relative error of 1e-6: the step for rounding drowns in it, that for the noise does not."""
    x = lib.asarray(np.linspace(0.5, 1.5, 11), "float64")

    def f(x):
        # Noise that is no function of x, but the same in every run.
        return lib.xp.exp(x) * (1 + 1e-6 * lib.xp.sin(1e9 * x))

    def error(noise):
        value = anygrad.derivative(f, x, scheme=make(noise=noise))
        return np.max(np.abs(lib.numpy(value) / np.exp(lib.numpy(x)) - 1))

    order = make().order
    # h = noise^(1/(p+1)), of truncation and noise alike; their constants are below 10.
    assert error(1e-6) < 10 * 1e-6 ** (order / (order + 1))
    assert error(None) > 10 * error(1e-6)


def test_the_step_grows_with_the_noise():
    def step(noise, n=1):
        return anygrad.derivative(np.sin, 0.5, n, scheme=anygrad.Central(noise=noise), full_output=True).step

    assert step(None) == step(0.0) == step(1e-20) < step(1e-9) < step(1e-6) < step(1e-3)
    assert step(1e-6) / step(1e-9) == pytest.approx(10, rel=1e-3)  # a third power
    assert step(1e-4, n=2) / step(1e-8, n=2) == pytest.approx(10, rel=1e-3)  # a fourth


@BY_KIND
@pytest.mark.parametrize(
    ("noise", "error"), [(-1e-6, ValueError), (1.0, ValueError), ("1e-6", TypeError), (True, TypeError)]
)
def test_noise_that_is_no_part_of_a_value_is_refused(make, noise, error):
    with pytest.raises(error, match="noise must be"):
        make(noise=noise)
