"""Steps that the user chooses: one, one for each element, one for each array; and the noise of f."""

from __future__ import annotations

import numpy as np
import pytest

import anygrad

X = np.array([1.0, 2.0, 4.0])
STEPS = [0.125, 0.25, 0.5]  # held by every dtype, and so are X plus these
SCHEMES = [anygrad.Central, anygrad.Forward, anygrad.Backward]


def cubes(lib):
    return lambda x: lib.xp.sum(x**3)


@pytest.mark.parametrize("make", SCHEMES)
def test_a_step_for_each_element(lib, make):
    """Of a cube, the difference quotients with a step h are known: 3 x^2 + h^2, and 3 x^2 +- 3 x h + h^2."""
    x, h = lib.asarray(X, "float32"), np.array(STEPS)
    side = {anygrad.Central: 0, anygrad.Forward: 1, anygrad.Backward: -1}[make]
    for step in (STEPS, h, lib.asarray(h, "float32")):
        result = anygrad.numerical_gradient(cubes(lib), x, scheme=make(step=step, **_order(make)), full_output=True)
        assert np.array_equal(lib.numpy(result.step), h)
        assert np.allclose(lib.numpy(result.value), 3 * X**2 + side * 3 * X * h + h**2, rtol=1e-5)


def _order(make):
    return {} if make is anygrad.Central else {"order": 1}


@pytest.mark.parametrize("step", [0.25, np.float32(0.25), np.array(0.25), [0.25] * 3])
def test_every_operator_takes_it_as_it_is(lib, step):
    """The central second difference of a cube is 6 x, whatever the step; x**4 has 12 x^2 + 2 h^2."""
    x, scheme = lib.asarray(X, "float32"), anygrad.Central(step=step)
    for operator in (anygrad.hessian, anygrad.laplacian, lambda f, x, **kw: anygrad.hvp(f, x, [1.0, 1.0, 1.0], **kw)):
        result = operator(lambda x: lib.xp.sum(x**4), x, scheme=scheme, full_output=True)
        assert np.array_equal(lib.numpy(result.step), [0.25] * 3)
        expected = np.sum(12 * X**2 + 2 * 0.25**2)
        assert np.sum(lib.numpy(result.value)) == pytest.approx(expected, rel=1e-2)
    result = anygrad.derivative(lambda x: x**4, x, 2, scheme=scheme, full_output=True)
    assert np.allclose(lib.numpy(result.value), 12 * X**2 + 2 * 0.25**2, rtol=1e-3)
    assert np.array_equal(lib.numpy(result.step), [0.25] * 3)


def test_trees_of_steps(lib):
    x = {"a": lib.asarray(X[:2], "float32"), "b": lib.asarray(X[2:], "float32")}
    scheme = anygrad.Central(step={"a": STEPS[:2], "b": 0.5})

    def f(p):
        return lib.xp.sum(p["a"] ** 3) + p["b"][0] ** 3

    for operator in (
        anygrad.numerical_gradient,
        anygrad.jacobian,
        anygrad.hessian,
        anygrad.laplacian,
        lambda f, x, **options: anygrad.hvp(f, x, {"a": [1.0, 0.0], "b": [1.0]}, **options),
    ):
        result = operator(f, x, scheme=scheme, full_output=True)
        assert np.array_equal(lib.numpy(result.step["a"]), STEPS[:2])
        assert np.array_equal(lib.numpy(result.step["b"]), [0.5])
    gradient = anygrad.numerical_gradient(f, x, scheme=scheme)
    assert np.allclose(lib.numpy(gradient["a"]), 3 * X[:2] ** 2 + np.square(STEPS[:2]), rtol=1e-5)
    assert np.allclose(lib.numpy(gradient["b"]), 3 * X[2:] ** 2 + 0.25, rtol=1e-5)


def test_a_step_that_is_broadcast():
    x = np.ones((2, 3))
    result = anygrad.numerical_gradient(np.sum, x, scheme=anygrad.Central(step=np.array(STEPS)), full_output=True)
    assert np.array_equal(result.step, [STEPS, STEPS])


def test_along_a_direction_it_is_that_of_the_element_that_changes_most(lib):
    x = lib.asarray(X, "float32")
    result = anygrad.jvp(lambda x: x**3, x, [0.0, 8.0, 4.0], scheme=anygrad.Central(step=0.25), full_output=True)
    assert lib.numpy(result.step) == 0.25
    exact = 3 * X**2 * [0, 8, 4]
    assert np.allclose(lib.numpy(result.value), exact + np.array([0, 1, 0.5]) ** 3 * 0.25**2 * 8, rtol=1e-5)


def test_along_a_direction_there_is_but_one():
    for step in (np.array(STEPS), STEPS):
        with pytest.raises(TypeError, match=r"along a direction there is one step.*give one number"):
            anygrad.jvp(np.sum, X.copy(), np.ones(3), scheme=anygrad.Central(step=step))


@pytest.mark.parametrize("make", SCHEMES)
@pytest.mark.parametrize(
    ("step", "error", "message"),
    [
        (np.array([0.1, -1.0, 0.1]), ValueError, "must all be positive"),
        (np.array([0.1, np.nan, 0.1]), ValueError, "must all be positive"),
        (np.array([0.1, 1e-30, 0.1]), ValueError, r"the step 1e-30 is too small: x has an element of magnitude 2.0"),
        (np.ones(2), ValueError, r"the step has the shape \(2,\).*x's shape \(3,\)"),
        (np.array([1j, 1, 1]), TypeError, "the step is array.*real number"),
        ({"a": 0.1}, TypeError, "the step is {'a': 0.1}.*real number"),
    ],
)
def test_steps_that_are_none(make, step, error, message):
    x = X.copy()
    with pytest.raises(error, match=message):
        anygrad.numerical_gradient(np.sum, x, scheme=make(step=step))
    assert np.array_equal(x, X)


def test_steps_of_another_structure():
    x = {"a": X.copy(), "b": X.copy()}
    for operator in (anygrad.numerical_gradient, anygrad.hessian):
        with pytest.raises(ValueError, match=r"the step is .*x consists of x\['a'\], x\['b'\]"):
            operator(lambda p: p["a"].sum(), x, scheme=anygrad.Central(step={"a": 0.1}))


# --- large x ------------------------------------------------------------------------------------------------------

SECOND_SCHEMES = [
    (anygrad.Central(), 1e-5),
    (anygrad.Central(order=4), 1e-5),
    (anygrad.Forward(), 1e-3),
    (anygrad.Forward(order=2), 1e-4),
    (anygrad.Backward(), 1e-3),
]


@pytest.mark.parametrize(("scheme", "bound"), SECOND_SCHEMES, ids=repr)
@pytest.mark.parametrize("size", [1e3, 3e4, 1e6, 1e9])
def test_second_derivatives_are_right_where_f_varies_with_a_large_x(scheme, bound, size):
    x, one = np.array([size]), np.ones(1)
    for f, scaled in ((np.log, -1.0), (np.sqrt, -0.25 * size**0.5), (lambda x: x**3, 6 * size**3)):
        exact = scaled / size**2
        total = lambda x, f=f: f(x).sum()  # noqa: E731 - one line below
        found = [
            anygrad.derivative(f, x, 2, scheme=scheme)[0],
            anygrad.hessian(total, x, scheme=scheme)[0, 0],
            anygrad.hvp(total, x, one, scheme=scheme)[0],
            anygrad.laplacian(total, x, scheme=scheme),
        ]
        assert np.allclose(found, exact, rtol=4 * bound, atol=0)


def test_third_and_fourth_derivatives_are_right_at_large_x():
    x = np.array([1e3, 1e4, 1e7])
    assert np.allclose(anygrad.derivative(np.log, x, 3) * x**3, 2, rtol=1e-4)
    assert np.allclose(anygrad.derivative(np.log, x, 4, scheme=anygrad.Central(order=4)) * x**4, -6, rtol=1e-4)


def test_the_hessian_of_a_likelihood_at_a_large_scale_is_right():
    sample = np.random.default_rng(0).exponential(1e6, 200)
    mean = np.array([sample.mean()])

    def loss(m):
        return len(sample) * np.log(m[0]) + sample.sum() / m[0]

    for scheme in (anygrad.Central(), anygrad.Central(order=4)):
        hessian = anygrad.hessian(loss, mean, scheme=scheme)
        assert np.allclose(hessian, 200 / mean**2, rtol=1e-5, atol=0)


def test_mixed_derivatives_are_right_where_elements_are_large():
    x = np.array([1e4, 3e5])
    hessian = anygrad.hessian(lambda x: np.log(x[0]) * np.log(x[1]), x) * x[:, None] * x
    exact = [[-np.log(x[1]), 1], [1, -np.log(x[0])]]
    assert np.allclose(hessian, exact, rtol=1e-5)


def test_the_hessian_in_single_precision_is_right_at_large_x():
    x = np.array([1e3, 1e5], dtype="float32")
    hessian = anygrad.hessian(lambda x: np.log(x).sum(), x)
    assert np.allclose(np.diag(hessian) * x.astype("float64") ** 2, -1, rtol=0.02)


@pytest.mark.parametrize("order", [2, 4, 6])
def test_second_derivatives_of_a_sine_are_good_near_100(order):
    x = np.linspace(95, 105, 41)
    second = anygrad.derivative(np.sin, x, 2, scheme=anygrad.Central(order=order))
    assert np.allclose(second, -np.sin(x), rtol=0, atol=1e-4)


# --- small x ------------------------------------------------------------------------------------------------------

SMALL = {
    "log": (lambda b: b[0] * np.log(b[1]), lambda b: [np.log(b[1]), b[0] / b[1]], [2.0, 1e-5]),
    "reciprocal": (lambda b: -b[0] / b[1], lambda b: [-1 / b[1], b[0] / b[1] ** 2], [3.0, 1.45e-5]),
    "saturation": (
        lambda b: b[0] / (1 + 1e3 * b[1]),
        lambda b: [1 / (1 + 1e3 * b[1]), -1e3 * b[0] / (1 + 1e3 * b[1]) ** 2],
        [500, 1e-4],
    ),
}


@pytest.mark.parametrize(("order", "bound"), [(2, 1e-5), (4, 1e-8), (6, 1e-8)])
@pytest.mark.parametrize("case", SMALL.values(), ids=SMALL)
def test_steps_fit_an_f_that_varies_with_a_small_x(case, order, bound):
    f, gradient, x = case
    found = anygrad.numerical_gradient(f, np.array(x), scheme=anygrad.Central(order=order))
    assert np.allclose(found, gradient(x), rtol=bound, atol=0)


@pytest.mark.parametrize("size", [1e-3, 1e-5, 1e-8, 1e-15, 1e-300])
@pytest.mark.parametrize("order", [2, 4, 6])
@pytest.mark.parametrize("n", [1, 2])
def test_half_of_the_digits_stay_where_f_varies_with_1(size, order, n):
    found = anygrad.derivative(np.exp, np.array([size]), n, scheme=anygrad.Central(order=order))
    assert found[0] == pytest.approx(np.exp(size), rel=1e-7)


# --- the step that is taken -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", [anygrad.Central, anygrad.Forward, anygrad.Backward], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    ("at", "step", "dtype"),
    [(1000.3, 1e-8, "float64"), (1e6 + 0.1, 1e-6, "float64"), (77.7, 1e-4, "float32"), (-5e4, 0.05, "float32")],
)
def test_a_step_is_divided_by_as_it_is_taken(scheme, at, step, dtype):
    """Of a line, no quotient is off by more than the rounding of f, which is exact here."""
    x, one, options = np.array([at], dtype), np.ones(1, dtype), {"scheme": scheme(step=step)}
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


# --- noise --------------------------------------------------------------------------------------------------------


@pytest.mark.libraries(lambda lib: "float64" in lib.real)
@pytest.mark.parametrize("scheme", [anygrad.Central, anygrad.Forward])
def test_noise_that_is_stated_makes_the_step_fit(lib, scheme):
    """An f with a relative error of 1e-6: the step for rounding drowns in it, that for the noise does not."""
    x = lib.asarray(np.linspace(0.5, 1.5, 11), "float64")
    exact = np.exp(lib.numpy(x))

    def f(x):
        # Noise that is no function of x, but the same in every run.
        return lib.xp.exp(x) * (1 + 1e-6 * lib.xp.sin(1e9 * x))

    def error(noise):
        value = anygrad.derivative(f, x, scheme=scheme(noise=noise))
        return np.max(np.abs(lib.numpy(value) / exact - 1))

    order = scheme().order
    # h = noise^(1/(p+1)), of truncation and noise alike; their constants are below 10.
    assert error(1e-6) < 10 * 1e-6 ** (order / (order + 1))
    assert error(None) > 10 * error(1e-6)


def test_the_step_grows_with_the_noise():
    def step(noise, n=1):
        return anygrad.derivative(np.sin, 0.5, n, scheme=anygrad.Central(noise=noise), full_output=True).step

    assert step(None) == step(0.0) == step(1e-20) < step(1e-9) < step(1e-6) < step(1e-3)
    assert step(1e-6) / step(1e-9) == pytest.approx(10, rel=1e-3)  # a third power
    assert step(1e-4, n=2) / step(1e-8, n=2) == pytest.approx(10, rel=1e-3)  # a fourth


@pytest.mark.parametrize("make", SCHEMES)
@pytest.mark.parametrize(
    ("noise", "error"), [(-1e-6, ValueError), (1.0, ValueError), ("1e-6", TypeError), (True, TypeError)]
)
def test_noise_that_is_none(make, noise, error):
    with pytest.raises(error, match="noise must be"):
        make(noise=noise)


# The larger of the two; where x is 0, there is no relative one.
RELATIVE = [({"rel_step": 0.25}, [0.25, 0.5, 1.0]), ({"step": 0.5, "rel_step": 0.25}, [0.5, 0.5, 1.0])]


@pytest.mark.parametrize(("steps", "expected"), RELATIVE, ids=["alone", "with a step"])
@pytest.mark.parametrize("make", [*SCHEMES, anygrad.Complex])
def test_a_relative_step(lib, make, steps, expected):
    x = lib.asarray(X, "float32")
    if make is anygrad.Complex and not lib.complex:
        pytest.skip("no complex arrays")
    result = anygrad.numerical_gradient(cubes(lib), x, scheme=make(**steps), full_output=True)
    assert np.array_equal(lib.numpy(result.step), expected)


@pytest.mark.parametrize("make", SCHEMES)
def test_a_relative_step_at_0_is_the_default_or_the_absolute_one(make):
    def taken(**steps):
        return anygrad.numerical_gradient(np.sum, np.zeros(1), scheme=make(**steps), full_output=True).step

    assert taken(rel_step=1e-3) == taken()
    assert taken(rel_step=1e-3, step=0.125) == 0.125


def test_a_relative_step_follows_f_that_varies_with_a_small_x():
    x = np.array([1.45e-7])
    found = anygrad.numerical_gradient(lambda x: -1 / x[0], x, scheme=anygrad.Central(rel_step=1e-5))
    assert found[0] == pytest.approx(1 / x[0] ** 2, rel=1e-8)


def test_relative_steps_of_trees():
    x = {"a": np.array([1.0, 2.0]), "b": 4.0}
    scheme = anygrad.Central(rel_step={"a": [0.5, 0.25], "b": 0.125})
    result = anygrad.numerical_gradient(lambda p: p["a"].sum() * p["b"], x, scheme=scheme, full_output=True)
    assert np.array_equal(result.step["a"], [0.5, 0.5])
    assert result.step["b"] == 0.5


def test_the_complex_step_is_that_along_the_axis_in_question():
    """The imaginary part of (1 + ih)^3 / h is 3 - h^2; the difference of first derivatives of x^4 is 12 x^2 + 4 h^2."""
    one = np.ones(1)
    slope = anygrad.numerical_gradient(lambda x: (x**3).sum(), one, scheme=anygrad.Complex(step=0.5))
    assert slope[0] == pytest.approx(3 - 0.5**2)
    bend = anygrad.hessian(lambda x: (x**4).sum(), one, scheme=anygrad.Complex(step=0.125))
    assert bend[0, 0] == pytest.approx(12 + 4 * 0.125**2)


@pytest.mark.parametrize("make", [*SCHEMES, anygrad.Complex])
@pytest.mark.parametrize(("given", "error"), [("1e-4", TypeError), (True, TypeError), (0.0, ValueError)], ids=repr)
def test_relative_steps_that_are_none(make, given, error):
    with pytest.raises(error, match=r"rel_step is .*, but .* positive"):
        make(rel_step=given)
