"""The check in few digits: f is asked in float64, if it is the same function there."""

from __future__ import annotations

import numpy as np
import pytest

import anygrad
from anygrad import check_gradient

X = np.array([0.5, -1.25, 2.0, 3.0])
# JAX has float64 for as long as a check takes.
NARROW = pytest.mark.libraries(
    lambda lib: "float32" in lib.real and not lib.lazy and ("float64" in lib.real or lib.name == "jax")
)


class Seen:
    """A sum of cubes that keeps the dtypes it is given."""

    def __init__(self):
        self.dtypes = set()

    def __call__(self, x):
        self.dtypes.add(str(x.dtype).removeprefix("torch."))
        return (x**3).sum()


def gradient(x):
    return 3 * x**2


def remarks(report):
    return " ".join(report.remarks)


@NARROW
def test_it_is_asked_in_float64_and_said_so(lib):
    x = lib.asarray(X, "float32")
    before = lib.bits(x)
    report = check_gradient(lambda x: lib.xp.sum(x**3), gradient, x)
    assert report.verdict == "agrees"
    assert "float64" in remarks(report)
    assert lib.bits(x) == before


@NARROW
def test_what_f_has_of_its_own_is_widened_with_x(lib):
    """Products of matrices, for which not all libraries take two dtypes."""
    weight = lib.asarray(np.outer(X, [1.0, 0.5, -0.25, 2.0]) + np.eye(4), "float32")
    x = lib.asarray(X, "float32")

    def f(x):
        return lib.xp.sum((weight @ x) ** 2)

    def grad(x):
        return 2 * (lib.xp.permute_dims(weight, (1, 0)) @ (weight @ x))

    report = check_gradient(f, grad, x)
    assert report.verdict == "agrees", report
    assert "float64" in remarks(report)
    assert check_gradient(f, lambda x: grad(x) * (1 + 1e-4), x).verdict == "wrong"


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("roundings", [100, -100])
@pytest.mark.parametrize("directions", [None, 3])
def test_a_mistake_of_a_hundred_roundings_shows(dtype, roundings, directions):
    x = X.astype(dtype)
    wrong = gradient(x) * (1 + roundings * np.finfo(dtype).eps).astype(dtype)
    report = check_gradient(Seen(), wrong.astype(dtype), x, directions=directions)
    assert report.verdict == "wrong", report


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_what_rounding_does_to_sums_is_no_mistake(dtype):
    """The products cancel: what is left of a thousand has the roundings of all of them."""
    rng = np.random.default_rng(0)
    table, targets = rng.normal(size=(1000, 5)).astype(dtype), rng.normal(size=1000).astype(dtype)
    x = rng.normal(size=5).astype(dtype)
    report = check_gradient(
        lambda x: ((table @ x - targets) ** 2).mean(), lambda x: table.T @ (table @ x - targets) / x.dtype.type(500), x
    )
    assert report.verdict == "agrees", report


def test_a_scheme_keeps_to_the_dtype_of_x():
    f = Seen()
    report = check_gradient(f, gradient, X.astype("float32"), scheme=anygrad.Adaptive())
    assert (report.verdict, f.dtypes) == ("agrees", {"float32"})


def test_what_has_enough_digits_is_left_alone():
    for dtype in ("float64", "longdouble"):
        f = Seen()
        report = check_gradient(f, gradient, X.astype(dtype))
        assert (report.verdict, f.dtypes, report.remarks) == ("agrees", {str(np.dtype(dtype))}, ())


def fussy(x):
    if x.dtype != np.float32:
        raise TypeError("float32 was expected")
    return (x**3).sum()


def rounding_inside(x):
    return (x.astype(np.float32) ** 3).sum()


def rounded_on_the_way(x):
    return ((x**2).astype(np.float32) * x).sum()


def rounded_a_little(x):
    return 0.7 * (x**3).sum() + 0.3 * (x.astype(np.float32) ** 3).astype(np.float64).sum()


@pytest.mark.parametrize("f", [fussy, rounding_inside, rounded_on_the_way, rounded_a_little])
def test_an_f_for_one_dtype_is_asked_in_that(f):
    x = X.astype("float32")
    report = check_gradient(f, gradient, x)
    assert (report.verdict, report.remarks) == ("agrees", ())
    assert check_gradient(f, lambda x: 2 * gradient(x), x).verdict == "wrong"


def test_an_f_that_reads_x_through_a_closure():
    """It would not see another x: it is perturbed in place."""
    x = X.astype("float32")
    report = check_gradient(lambda _: (x**3).sum(), lambda _: gradient(x), x)
    assert (report.verdict, report.remarks) == ("agrees", ())
    assert check_gradient(lambda _: (x**3).sum(), lambda _: -gradient(x), x).verdict == "wrong"


def test_trees_of_several_dtypes_jacobians_hessians_products_and_bounds():
    x = {"a": X.astype("float32"), "b": X.astype("float64")}

    def f(p):
        return (p["a"] ** 2 * p["b"]).sum()

    report = check_gradient(f, lambda p: {"a": 2 * p["a"] * p["b"], "b": p["a"] ** 2}, x)
    assert report.verdict == "agrees", report
    assert check_gradient(f, lambda p: {"a": 2 * p["a"] * p["b"], "b": p["a"] ** 2 * (1 + 1e-5)}, x).verdict == "wrong"
    x = X.astype("float32")
    diagonal = np.diag(gradient(x))
    assert check_gradient(lambda x: x**3, None, x, jac=diagonal).verdict == "agrees"
    assert check_gradient(lambda x: x**3, None, x, jac=1.0001 * diagonal).verdict == "wrong"
    own = anygrad.Adaptive()
    assert check_gradient(lambda x: x**3, None, x, jac=1.5 * diagonal, scheme=own).verdict == "wrong"
    assert check_gradient(lambda x: x**3, None, x, jac=1.5 * diagonal, scheme=own, directions=2).verdict == "wrong"
    assert check_gradient(Seen(), None, x, hess=lambda x: np.diag(6 * x)).verdict == "agrees"
    assert check_gradient(Seen(), None, x, hess=lambda x: np.diag(6.001 * x)).verdict == "wrong"
    assert check_gradient(lambda x: x**3, None, x, vjp=lambda x, g: 3 * x**2 * g).verdict == "agrees"
    assert check_gradient(lambda x: x**3, None, x, vjp=lambda x, g: 3.0003 * x**2 * g).verdict == "wrong"
    assert check_gradient(Seen(), gradient, x, bounds=(X, 4.0)).verdict == "agrees"


@NARROW
def test_the_primitive_of_the_backends(lib):
    x = lib.asarray(X, "float32")
    kind = anygrad.backends.resolve(x)
    wide = kind.widened(x)
    assert "float64" in str(wide.dtype)
    assert np.array_equal(lib.numpy(wide), X)
    assert kind.is_array(wide)
    assert float(kind.promoting(lambda x: x[1], wide)(wide)) == X[1]
    assert lib.bits(kind.widened(wide)) == lib.bits(wide)
    if hasattr(x, "device"):
        assert wide.device == x.device


def normalised(rng):
    """Return the mean of squares of normalised rows, which is nearly 1, and its gradient as backpropagation has it."""
    shift = rng.normal(size=6).astype("float32")

    def rows(x):
        centred = x - x.mean(axis=1, keepdims=True)
        scale = np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-4)
        return centred / scale, scale

    def f(x):
        return (rows(x * 3 + shift)[0] ** 2).mean()

    def grad(x):
        row, scale = rows(x * 3 + shift)
        d = 2 * row / x.size
        return 3 * (d - d.mean(axis=1, keepdims=True) - row * (d * row).mean(axis=1, keepdims=True)) / scale

    return f, grad, rng.normal(size=(2, 6)).astype("float32")


@pytest.mark.parametrize("seed", range(8))
def test_what_cancels_on_the_way_to_a_gradient_is_no_mistake(seed):
    """What is left of the claim has a digit or two; an array says no more, but a function shows itself in float64."""
    f, grad, x = normalised(np.random.default_rng(seed))
    assert check_gradient(f, grad, x).verdict == "agrees"
    assert check_gradient(f, grad(x), x).verdict == "agrees"
    assert check_gradient(f, grad, x, directions=3).verdict in {"agrees", "inconclusive"}
    assert check_gradient(f, lambda x: 1.2 * grad(x), x).verdict == "wrong"


@pytest.mark.parametrize("waves", [30, 100, 300])
def test_in_few_digits_a_right_gradient_of_waves_shorter_than_a_step_is_not_called_wrong(waves):
    """At the steps that float16 takes it is another derivative at each: none of them is one."""
    points = [np.linspace(0.5, 2, 20), *(np.random.default_rng(seed).normal(size=8) for seed in range(5))]
    for x in points:
        counts = check_gradient(
            lambda x: np.sin(waves * x).sum(), lambda x: waves * np.cos(waves * x), x.astype(np.float16)
        ).counts
        assert counts.keys() <= {"agrees", "inconclusive", "noisy"}
        assert counts.get("inconclusive", 0) > 0 or waves == 30


@pytest.mark.parametrize("at", [1.5, 3.3, 5.0, 8.0])
@pytest.mark.parametrize(
    ("f", "gradient"),
    [
        (lambda x: np.tanh(x).sum(), lambda x: 1 - np.tanh(x) ** 2),
        (lambda x: (1 / (1 + np.exp(-x))).sum(), lambda x: (y := 1 / (1 + np.exp(-x))) * (1 - y)),
    ],
    ids=["tanh", "sigmoid"],
)
def test_where_a_function_is_nearly_flat_its_gradient_cancels_and_is_no_mistake(f, gradient, at):
    for x in np.float32(at) + np.linspace(0, 0.5, 9, dtype="float32"):
        assert check_gradient(f, gradient, x[None]).verdict == "agrees"
    assert check_gradient(f, lambda x: 1.01 * gradient(x), np.array([at / 4], "float32")).verdict == "wrong"


def test_a_hessian_that_cancels_is_no_mistake():
    def hessian(x):
        return np.diag(1 - np.tanh(x) ** 2)

    x = np.linspace(2, 6, 9, dtype="float32")
    report = check_gradient(lambda x: np.log(np.cosh(x)).sum(), None, x, hess=hessian)
    assert report.verdict == "agrees", report
    assert check_gradient(lambda x: np.log(np.cosh(x)).sum(), None, x, hess=lambda x: 2 * hessian(x)).verdict == "wrong"


def test_that_rounding_hides_a_change_makes_no_step_function():
    mistakes = np.array([1.02, 1, 1], "float32")
    x = np.array([2e-6, -2.6e-6, 4e-7], "float32")
    report = check_gradient(lambda x: np.exp(x).sum(), lambda x: np.exp(x) * mistakes, x)
    assert report.verdict == "wrong"
    assert not any("step function" in hint for hint in report.hints)


def test_elements_that_directions_do_not_show_are_counted():
    def f(x):
        return (x**2).sum() + 5 * x[2]

    def wrong(x):
        return 2 * x + np.array([0, 0, 50000], x.dtype)

    x = np.array([1.0, 2.0, 1e-6], "float32")
    assert any("such as x[2]" in remark for remark in check_gradient(f, wrong, x, directions=5).remarks)
    assert check_gradient(f, wrong, x).verdict == "wrong"
