"""The complex step: exact to rounding, and never a silent 0 of an f that drops the imaginary part."""

from __future__ import annotations

import numpy as np
import pytest
from problems import PROBLEMS
from second_problems import SECOND, VECTOR

import anygrad

pytestmark = pytest.mark.libraries(lambda lib: lib.complex_powers)

COMPLEX = anygrad.Complex()
X = np.array([1.0, -0.5, 2.0])
DOUBLE = pytest.mark.libraries(lambda lib: "float64" in lib.real)
# Those of the problems that have no maximum in them, which complex numbers do not have in every library.
ANALYTIC = [problem for problem in PROBLEMS if problem.name not in {"logsumexp", "two-layer net"}]


@DOUBLE
@pytest.mark.parametrize("problem", ANALYTIC, ids=str)
def test_gradients_are_exact_to_rounding(lib, problem):
    """As many roundings as f has, and no truncation: as if the step were 1, and the third derivative 0."""
    x = lib.asarray(problem.x, "float64")
    result = anygrad.numerical_gradient(problem.on(lib), x, scheme=COMPLEX, full_output=True)
    rounding = np.finfo(np.float64).eps * problem.operations * 10 * max(problem.magnitude, problem.third)
    assert np.all(np.abs(lib.numpy(result.value) - problem.gradient(problem.x)) <= rounding)
    assert result.value.dtype == x.dtype
    looks = 0 if lib.lazy else 3  # whether f keeps the imaginary part
    assert problem.x.size + looks <= result.ncalls == result.npoints <= 5 * problem.x.size


@pytest.mark.parametrize("problem", VECTOR, ids=str)
def test_jacobians_are_exact_to_rounding(lib, problem):
    x = lib.asarray(problem.x, "float32")
    value = lib.numpy(anygrad.jacobian(problem.on(lib), x, scheme=COMPLEX))
    rounding = np.finfo(np.float32).eps * problem.operations * problem.magnitude
    assert np.all(np.abs(value - problem.jacobian(problem.x)) <= rounding)


@DOUBLE
@pytest.mark.parametrize("problem", SECOND, ids=str)
def test_hessians_are_as_exact_as_first_differences(lib, problem):
    """Ridout's formula divides rounding by one real step, where `Central` divides it by two."""
    x = lib.asarray(problem.x, "float64")
    result = anygrad.hessian(problem.on(lib), x, scheme=COMPLEX, full_output=True)
    n, eps, h = problem.x.size, np.finfo(np.float64).eps, lib.numpy(result.step)
    # 4! times the magnitude bounds the fourth derivative (Cauchy), of which h^2/6 remains; for two steps 4 times that.
    bound = 4 * (problem.magnitude * np.max(h) ** 2 * 4 + problem.operations * eps * problem.magnitude * 8 / np.min(h))
    assert np.all(np.abs(lib.numpy(result.value) - problem.hessian(problem.x)) <= bound)
    assert result.ncalls <= n * (n + 1) + 4


@DOUBLE
def test_every_magnitude_of_x(lib):
    values = np.array([0.0, 1e-300, -1e-8, 1.0, 1e8, 1e150])
    x = lib.asarray(values, "float64")
    gradient = lib.numpy(anygrad.numerical_gradient(lambda x: lib.xp.sum(x * x), x, scheme=COMPLEX))
    assert np.allclose(gradient, 2 * values, rtol=1e-15, atol=1e-290)


def test_logarithms_of_the_smallest_numbers():
    x = np.array([1e-290, 1e-300, 1e-305])
    gradient = anygrad.numerical_gradient(lambda x: np.log(x).sum(), x, scheme=COMPLEX)
    assert np.allclose(gradient * x, 1, rtol=1e-7)


@pytest.mark.skipif(np.finfo(np.longdouble).nmant <= 52, reason="longdouble is float64 on this machine")
def test_longdouble():
    x = X.astype(np.longdouble)
    gradient = anygrad.numerical_gradient(lambda x: np.exp(x).sum(), x, scheme=COMPLEX)
    assert np.all(np.abs(gradient / np.exp(x) - 1) < 4 * np.finfo(np.longdouble).eps)


# --- functions that drop the imaginary part -----------------------------------------------------------------------

OPERATORS = {
    "numerical_gradient": anygrad.numerical_gradient,
    "jacobian": anygrad.jacobian,
    "hessian": anygrad.hessian,
    "laplacian": anygrad.laplacian,
    "jvp": lambda f, x, **options: anygrad.jvp(f, x, [1.0, 1.0, 1.0], **options),
    "hvp": lambda f, x, **options: anygrad.hvp(f, x, [1.0, 1.0, 1.0], **options),
}
DROPPING = {
    "abs": lambda xp, x: xp.sum(xp.abs(x) ** 2),
    "abs beside what is analytic": lambda xp, x: x[0] ** 2 + xp.sum(xp.abs(x) ** 2),
    "real part": lambda xp, x: xp.sum(xp.real(x) ** 2) + 0 * x[0],
    "a float cast of one element": lambda xp, x: x[0] ** 2 + complex(x[1]).real ** 2,
    "conjugate": lambda xp, x: xp.sum(xp.conj(x) * x),
}


@pytest.mark.libraries(lambda lib: not lib.lazy)
@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("how", DROPPING)
def test_they_are_noticed_and_named(lib, name, how):
    x = lib.asarray(X, "float32")
    with pytest.raises(TypeError, match=r"(drop the imaginary part|real one).*(Adaptive|Central)"):
        OPERATORS[name](lambda x: DROPPING[how](lib.xp, x), x, scheme=COMPLEX)
    assert np.array_equal(lib.numpy(x), X)


@pytest.mark.libraries(lambda lib: not lib.lazy)
@pytest.mark.parametrize("element", [0, 1, 2])
def test_half_of_the_imaginary_part(lib, element):
    """x |x| keeps one of its two, at whichever element."""
    x = lib.asarray(X, "float32")
    for operator in OPERATORS.values():
        with pytest.raises(TypeError, match="imaginary part"):
            operator(lambda x: x[0] ** 2 + 3 * x[1] + x[element] * lib.xp.abs(x[element]), x, scheme=COMPLEX)


@pytest.mark.parametrize("share", [1.0, 1e-3, 1e-6])
@pytest.mark.parametrize("element", [0, 1, 2])
@pytest.mark.parametrize("operator", [anygrad.numerical_gradient, anygrad.jacobian, anygrad.laplacian])
def test_a_millionth_of_the_derivative(operator, element, share):
    with pytest.raises(TypeError, match="imaginary part"):
        operator(lambda x: np.sin(x).sum() + share * x[element].real, X.copy(), scheme=COMPLEX)


@pytest.mark.parametrize("size", [1e-8, 1e-5, 1.0, 1e5])
@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.log(x).sum(),
        lambda x: ((1e6 + x) - 1e6).sum(),  # rounding inside of f
        lambda x: np.sin(1e4 * x).sum(),
        lambda x: (1 / (1 - x / 3e-7)).sum(),
    ],
    ids=["log", "rounded", "fast", "pole"],
)
def test_right_functions_are_not_blamed(f, size):
    for operator in (anygrad.numerical_gradient, anygrad.hessian):
        operator(f, size * np.array([1.0, 1.7, 2.3]), scheme=COMPLEX)


@DOUBLE
def test_second_derivatives_at_small_scales(lib):
    x = lib.asarray(np.array([-2.8e-6, 2.8e-6]), "float64")
    hessian = anygrad.hessian(lambda x: 1 / (x[1] - x[0]) + 1e17 * lib.xp.sum(x**2), x, scheme=COMPLEX)
    mixed = 2 / 5.6e-6**3
    assert np.allclose(lib.numpy(hessian), [[2e17 + mixed, -mixed], [-mixed, 2e17 + mixed]], rtol=1e-4)


def test_elementwise_functions():
    for f in (lambda x: np.abs(x) + 0j, lambda x: np.where(np.arange(3) == 1, np.abs(x), x)):
        with pytest.raises(TypeError, match="imaginary part"):
            anygrad.derivative(f, X.copy(), scheme=COMPLEX)
    with pytest.raises(TypeError, match="imaginary part"):
        anygrad.derivative(lambda x: np.abs(x) ** 2 + 0j, X.copy(), 2, scheme=COMPLEX)


def test_a_slope_of_zero_is_no_reason_to_complain(lib):
    """x**3 and a constant, at 0."""
    x = lib.asarray(np.zeros(2), "float32")
    gradient = anygrad.numerical_gradient(lambda x: x[0] ** 3 + x[0], x, scheme=COMPLEX)
    assert np.allclose(lib.numpy(gradient), [1, 0])
    hessian = lib.numpy(anygrad.hessian(lambda x: x[0] ** 2, x, scheme=COMPLEX))
    assert np.allclose(hessian, [[2, 0], [0, 0]], atol=np.finfo(np.float32).eps)


def test_a_closure_cannot_be_read():
    """f is given a complex copy: what it reads of x itself is real."""
    x = X.copy()
    with pytest.raises(TypeError, match="returned a real number for a complex x"):
        anygrad.numerical_gradient(lambda _: (x**2).sum(), x, scheme=COMPLEX)


# --- mistakes -----------------------------------------------------------------------------------------------------


def test_dtypes_without_a_complex_counterpart(lib):
    for dtype in {"float16", "bfloat16"} & set(lib.real):
        x = lib.asarray(X, dtype)
        with pytest.raises(TypeError, match=r"float16, but a complex step needs.*float32"):
            anygrad.numerical_gradient(lambda x: x[0], x, scheme=COMPLEX)


def test_a_complex_x():
    with pytest.raises(TypeError, match="complex128, but a complex step needs a real dtype"):
        anygrad.numerical_gradient(lambda z: z.sum(), X + 1j, scheme=COMPLEX)


def test_third_derivatives():
    with pytest.raises(ValueError, match=r"n = 3 was asked for: use anygrad.Adaptive\(\)"):
        anygrad.derivative(np.exp, X.copy(), 3, scheme=COMPLEX)
