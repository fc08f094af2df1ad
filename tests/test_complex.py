"""Complex x, and the complex step: exact to rounding, and never a silent 0 of an f that drops the imaginary part."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from problems import PROBLEMS
from tried import OF_ARRAYS, OF_NUMBERS

import anygrad
from anygrad.backends import device

Z = np.array([1 + 2j, -0.5 + 0.25j, 3 - 1j])
X = np.array([1.0, -0.5, 2.0])
COMPLEX = anygrad.Complex()
DOUBLE = pytest.mark.libraries(lambda lib: "float64" in lib.real)
CONCRETE = pytest.mark.libraries(lambda lib: not lib.lazy)
HAS_POWERS = pytest.mark.libraries(lambda lib: lib.complex_powers)


# --- complex x ----------------------------------------------------------------------------------------------------


def test_a_holomorphic_function_has_the_complex_derivative(lib, complex_dtype):
    z = lib.asarray(Z, complex_dtype)
    result = anygrad.numerical_gradient(lambda z: lib.xp.sum(z**3), z, full_output=True)
    assert result.value.dtype == z.dtype
    assert np.allclose(lib.numpy(result.value), 3 * Z**2, atol=0.1 if complex_dtype == "complex64" else 1e-5)
    assert (result.ncalls, result.npoints) == (6, 6)
    assert not lib.xp.isdtype(result.step.dtype, "complex floating")


def test_a_real_function_has_the_derivatives_by_both_parts(lib, complex_dtype):
    """|z|^2 = x^2 + y^2 has those of 2x and 2y."""
    z = lib.asarray(Z, complex_dtype)
    result = anygrad.numerical_gradient(lambda z: lib.xp.sum(lib.xp.abs(z) ** 2), z, full_output=True)
    assert np.allclose(lib.numpy(result.value), 2 * Z, atol=0.1 if complex_dtype == "complex64" else 1e-5)
    assert result.ncalls == 12


@pytest.mark.parametrize("number", [lambda z: z.imag * 3, lambda z: z * 3j], ids=["a Python float", "a Python complex"])
def test_numbers_of_python_for_a_complex_x(lib, number):
    gradient = anygrad.numerical_gradient(lambda z: number(complex(lib.numpy(z[1]))), lib.asarray(Z, "complex64"))
    assert np.allclose(lib.numpy(gradient), [0, 3j, 0], atol=1e-2)


@pytest.mark.parametrize("scheme", [anygrad.Central(order=4), anygrad.Forward(), anygrad.Backward(order=2)], ids=repr)
def test_every_scheme_of_a_complex_x(lib, scheme):
    z = lib.asarray(Z, "complex64")
    for f in (lambda z: lib.xp.sum(z**2), lambda z: lib.xp.sum(lib.xp.abs(z) ** 2)):
        assert np.allclose(lib.numpy(anygrad.numerical_gradient(f, z, scheme=scheme)), 2 * Z, atol=0.05)


def test_progress_for_a_complex_x_is_corrected_as_soon_as_the_number_of_calls_is_known():
    seen = []
    anygrad.numerical_gradient(lambda z: abs(z[0]), Z, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (12, 12)


def test_an_f_that_is_real_at_some_points_only_is_refused():
    calls = iter(range(99))
    with pytest.raises(TypeError, match="real numbers at some points and complex ones at others"):
        anygrad.numerical_gradient(lambda z: 1.0 if next(calls) < 6 else 1j, Z)


def test_parts_that_are_not_finite_leave_other_elements_alone(lib):
    z = lib.asarray(np.array([complex(1, np.inf), 1 + 1j]), "complex64")
    gradient = anygrad.numerical_gradient(lambda z: lib.xp.real(z[0]) + lib.xp.imag(z[1]), z)
    assert lib.numpy(gradient)[1] == pytest.approx(1j, abs=1e-2)


@pytest.mark.parametrize("most", [2**14, 0], ids=["examined on the host", "on the device"])
def test_elements_in_doubt_are_looked_at_by_their_real_part(lib, monkeypatch, most):
    monkeypatch.setattr(device, "HOST_ELEMENTS", most)
    z = lib.asarray(
        np.array([0.5 + 1j, -1.25 - 0.5j, 2.0 + 0.25j]), "complex128" if "complex128" in lib.complex else "complex64"
    )
    rounded = anygrad.derivative(lambda z: lib.xp.round(lib.xp.sin(z) * 1e4) / 1e4, z)
    assert np.allclose(lib.numpy(rounded), np.cos(lib.numpy(z)), atol=0.1)
    gradient = anygrad.numerical_gradient(
        lambda z: lib.xp.sum(lib.xp.round(z * 1e4) / 1e4), z, scheme=anygrad.Adaptive()
    )
    assert np.allclose(lib.numpy(gradient), 1, atol=0.1)


# --- the complex step ---------------------------------------------------------------------------------------------

# Those of the problems that have no maximum in them, which complex numbers do not have in every library.
ANALYTIC = [problem for problem in PROBLEMS if problem.name not in {"logsumexp", "two-layer net"}]


@DOUBLE
@HAS_POWERS
@pytest.mark.parametrize("problem", ANALYTIC, ids=str)
def test_gradients_by_the_complex_step_are_exact_to_rounding(lib, problem):
    """The error is that of the roundings of f: there is no truncation."""
    x = lib.asarray(problem.x, "float64")
    f = lib.compiled(problem.on(lib))
    result = anygrad.numerical_gradient(f, x, scheme=COMPLEX, full_output=True)
    rounding = np.finfo(np.float64).eps * problem.operations * 10 * max(problem.magnitude, problem.third)
    assert np.all(np.abs(lib.numpy(result.value) - problem.gradient(problem.x)) <= rounding)
    assert result.value.dtype == x.dtype
    looks = 0 if lib.lazy else 3  # whether f keeps the imaginary part
    assert problem.x.size + looks <= result.ncalls == result.npoints <= 5 * problem.x.size


@DOUBLE
@HAS_POWERS
def test_the_complex_step_is_exact_at_every_magnitude_of_x(lib):
    values = np.array([0.0, 1e-300, -1e-8, 1.0, 1e8, 1e150])
    x = lib.asarray(values, "float64")
    gradient = lib.numpy(anygrad.numerical_gradient(lambda x: lib.xp.sum(x * x), x, scheme=COMPLEX))
    assert np.allclose(gradient, 2 * values, rtol=1e-15, atol=1e-290)


def test_logarithms_of_the_smallest_numbers():
    x = np.array([1e-290, 1e-300, 1e-305])
    gradient = anygrad.numerical_gradient(lambda x: np.log(x).sum(), x, scheme=COMPLEX)
    assert np.allclose(gradient * x, 1, rtol=1e-7)


@pytest.mark.skipif(np.finfo(np.longdouble).nmant <= 52, reason="longdouble is float64 on this machine")
def test_the_complex_step_does_not_narrow_longdouble():
    x = X.astype(np.longdouble)
    gradient = anygrad.numerical_gradient(lambda x: np.exp(x).sum(), x, scheme=COMPLEX)
    assert np.all(np.abs(gradient / np.exp(x) - 1) < 4 * np.finfo(np.longdouble).eps)


OPERATORS = OF_NUMBERS | {name: OF_ARRAYS[name] for name in ("jacobian", "jvp")}
DROPPING = {
    "abs": lambda xp, x: xp.sum(xp.abs(x) ** 2),
    "abs beside what is analytic": lambda xp, x: x[0] ** 2 + xp.sum(xp.abs(x) ** 2),
    "real part": lambda xp, x: xp.sum(xp.real(x) ** 2) + 0 * x[0],
    "a float cast of one element": lambda xp, x: x[0] ** 2 + complex(x[1]).real ** 2,
    "conjugate": lambda xp, x: xp.sum(xp.conj(x) * x),
}


@CONCRETE
@HAS_POWERS
@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("how", DROPPING)
def test_functions_that_drop_the_imaginary_part_are_refused(lib, name, how):
    if lib.slow and name != "numerical_gradient" and how != "abs":
        return
    x = lib.asarray(X, "float32")
    with pytest.raises(TypeError, match=r"loses the derivative.*(Adaptive|Central)"):
        OPERATORS[name](lambda x: DROPPING[how](lib.xp, x), x, scheme=COMPLEX)
    assert np.array_equal(lib.numpy(x), X)


@pytest.mark.parametrize("share", [1.0, 1e-3, 1e-6])
@pytest.mark.parametrize("element", [0, 1, 2])
@pytest.mark.parametrize("operator", [anygrad.numerical_gradient, anygrad.jacobian, anygrad.laplacian])
def test_a_millionth_of_the_derivative_that_is_lost_is_noticed(operator, element, share):
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
@HAS_POWERS
def test_second_derivatives_at_small_scales(lib):
    x = lib.asarray(np.array([-2.8e-6, 2.8e-6]), "float64")
    hessian = anygrad.hessian(lambda x: 1 / (x[1] - x[0]) + 1e17 * lib.xp.sum(x**2), x, scheme=COMPLEX)
    mixed = 2 / 5.6e-6**3
    assert np.allclose(lib.numpy(hessian), [[2e17 + mixed, -mixed], [-mixed, 2e17 + mixed]], rtol=1e-4)


@pytest.mark.parametrize(
    ("f", "n"),
    [
        (lambda x: np.abs(x) + 0j, 1),
        (lambda x: np.where(np.arange(3) == 1, np.abs(x), x), 1),
        (lambda x: np.abs(x) ** 2 + 0j, 2),
    ],
)
def test_elementwise_functions_that_drop_the_imaginary_part_are_refused(f, n):
    with pytest.raises(TypeError, match="imaginary part"):
        anygrad.derivative(f, X.copy(), n, scheme=COMPLEX)


@HAS_POWERS
def test_a_slope_of_zero_is_no_reason_to_complain(lib):
    """x**3 and a constant, at 0."""
    x = lib.asarray(np.zeros(2), "float32")
    gradient = anygrad.numerical_gradient(lambda x: x[0] ** 3 + x[0], x, scheme=COMPLEX)
    assert np.allclose(lib.numpy(gradient), [1, 0])
    hessian = lib.numpy(anygrad.hessian(lambda x: x[0] ** 2, x, scheme=COMPLEX))
    assert np.allclose(hessian, [[2, 0], [0, 0]], atol=np.finfo(np.float32).eps)


def test_what_the_complex_step_cannot_do_is_refused(lib):
    for dtype in {"float16", "bfloat16"} & set(lib.real):
        with pytest.raises(TypeError, match=r"float16, but anygrad.Complex\(\) needs.*float32"):
            anygrad.numerical_gradient(lambda x: x[0], lib.asarray(X, dtype), scheme=COMPLEX)
    if lib.name != "numpy":
        return
    with pytest.raises(TypeError, match=r"complex128, but anygrad\.Complex\(\) needs a real dtype"):
        anygrad.numerical_gradient(lambda z: z.sum(), X + 1j, scheme=COMPLEX)
    with pytest.raises(ValueError, match=r"n is 3, but .*: use anygrad.Adaptive\(\)"):
        anygrad.derivative(np.exp, X.copy(), 3, scheme=COMPLEX)
    x = X.copy()
    with pytest.raises(TypeError, match="returned a real number for a complex x"):  # a copy, which no closure reads
        anygrad.numerical_gradient(lambda _: (x**2).sum(), x, scheme=COMPLEX)


X = np.array([0.5, 1.5, 2.0])


def waves(lib, x):
    """exp(i x), summed: a complex function of a real x, of x's library."""
    complex_ = "complex128" if str(x.dtype).endswith("64") else "complex64"
    real, imag = lib.numpy(lib.xp.cos(x)), lib.numpy(lib.xp.sin(x))
    return lib.asarray(real + 1j * imag, complex_)


@pytest.mark.parametrize("scheme", [anygrad.Central(), anygrad.Forward(), anygrad.Adaptive()], ids=repr)
@pytest.mark.libraries(lambda lib: not lib.lazy)
def test_complex_values_of_a_real_x(lib, dtype, scheme):
    if dtype not in {"float32", "float64"}:
        pytest.skip("no complex numbers of the same precision")
    x = lib.asarray(X, dtype)
    right, bend = 1j * np.exp(1j * X), -np.exp(1j * X)
    rough = {"float32": 2e-2, "float64": 1e-5}[dtype]
    precision = {"float32": "complex64", "float64": "complex128"}[dtype]
    options = {"scheme": scheme}
    jacobian = anygrad.jacobian(lambda x: waves(lib, x), x, **options)
    gradient = anygrad.numerical_gradient(lambda x: lib.xp.sum(waves(lib, x)), x, **options)
    slopes = anygrad.derivative(lambda x: waves(lib, x), x, **options)
    product = anygrad.jvp(lambda x: waves(lib, x), x, np.ones(3), **options)
    for found, expected in ((jacobian, np.diag(right)), (gradient, right), (slopes, right), (product, right)):
        assert str(found.dtype).endswith(precision)
        assert np.allclose(lib.numpy(found), expected, atol=rough)
    hessian = anygrad.hessian(lambda x: lib.xp.sum(waves(lib, x)), x)
    assert str(hessian.dtype).endswith(precision)
    assert np.allclose(lib.numpy(hessian), np.diag(bend), atol=10 * rough)


@pytest.mark.parametrize("number", [complex, np.complex64, np.complex128], ids=lambda kind: kind.__name__)
def test_complex_numbers_of_a_real_x(lib, number):
    x = lib.asarray(X, "float32")
    found = anygrad.numerical_gradient(lambda x: number((1 + 2j) * lib.numpy(x).sum()), x)
    assert np.allclose(lib.numpy(found), 1 + 2j, atol=1e-2)


def test_complex_values_at_some_points_alone():
    found = anygrad.numerical_gradient(lambda x: np.emath.sqrt(x[0]), np.zeros(1), scheme=anygrad.Central(step=0.25))
    assert np.allclose(found, (0.5 - 0.5j) / 0.5)


def test_a_complex_step_says_that_it_cannot():
    for operator in anygrad.numerical_gradient, anygrad.hessian:
        with pytest.raises(TypeError, match=r"f returns complex numbers for a real x.*anygrad.Central"):
            operator(lambda x: np.exp(1j * x).sum(), X, scheme=anygrad.Complex())


def test_evaluators_agree_on_complex_values(tmp_path):
    def f(x):
        return np.exp(1j * x).sum(axis=-1)

    with ThreadPoolExecutor(1) as executor:
        journal = anygrad.Journal(tmp_path / "a.journal")
        for evaluator in anygrad.Loop(in_place=False), anygrad.Batch(), anygrad.Pool(executor), journal, journal:
            found = anygrad.numerical_gradient(f, X, evaluator=evaluator)
            assert np.allclose(found, 1j * np.exp(1j * X), atol=1e-6)
