"""Complex x: the derivative of holomorphic functions, and the gradient of real ones."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from layouts import LAYOUTS

import anygrad
from anygrad.backends import device

Z = np.array([1 + 2j, -0.5 + 0.25j, 3 - 1j])


def tolerance(dtype: str) -> float:
    # Of a central difference with the default step, of functions of magnitude 10 with derivatives as large.
    return 1e-2 if dtype == "complex64" else 1e-6


def test_a_holomorphic_function_has_the_complex_derivative(lib, complex_dtype):
    z = lib.asarray(Z, complex_dtype)
    result = anygrad.numerical_gradient(lambda z: lib.xp.sum(z**3), z, full_output=True)
    assert result.value.dtype == z.dtype
    assert np.allclose(lib.numpy(result.value), 3 * Z**2, atol=10 * tolerance(complex_dtype))
    assert (result.ncalls, result.npoints) == (6, 6)
    assert not lib.xp.isdtype(result.step.dtype, "complex floating")


def test_a_real_function_has_the_derivatives_by_both_parts(lib, complex_dtype):
    z = lib.asarray(Z, complex_dtype)
    result = anygrad.numerical_gradient(lambda z: lib.xp.sum(lib.xp.abs(z) ** 2), z, full_output=True)
    # |z|^2 = x^2 + y^2, whose derivatives are 2x and 2y.
    assert np.allclose(lib.numpy(result.value), 2 * Z, atol=10 * tolerance(complex_dtype))
    assert result.ncalls == 12


def test_a_real_function_returning_a_python_float(lib):
    z = lib.asarray(Z, "complex64")
    gradient = anygrad.numerical_gradient(lambda z: float(lib.numpy(z[1]).imag) * 3, z)
    assert np.allclose(lib.numpy(gradient), [0, 3j, 0], atol=1e-2)


def test_a_python_complex(lib):
    z = lib.asarray(Z, "complex64")
    gradient = anygrad.numerical_gradient(lambda z: complex(lib.numpy(z[1])) * 3j, z)
    assert np.allclose(lib.numpy(gradient), [0, 3j, 0], atol=1e-2)


@pytest.mark.parametrize("scheme", [anygrad.Central(order=4), anygrad.Forward(), anygrad.Backward(order=2)], ids=repr)
def test_every_scheme(lib, scheme):
    z = lib.asarray(Z, "complex64")
    holomorphic = anygrad.numerical_gradient(lambda z: lib.xp.sum(z**2), z, scheme=scheme)
    real = anygrad.numerical_gradient(lambda z: lib.xp.sum(lib.xp.abs(z) ** 2), z, scheme=scheme)
    assert np.allclose(lib.numpy(holomorphic), 2 * Z, atol=0.05)
    assert np.allclose(lib.numpy(real), 2 * Z, atol=0.05)


def test_every_layout(lib, layout):
    z = LAYOUTS[layout](lib, np.stack([Z, 2 * Z]), "complex64")
    gradient = anygrad.numerical_gradient(lambda z: lib.xp.sum(z**2), z)
    assert np.allclose(lib.numpy(gradient), [2 * Z, 4 * Z], atol=0.05)


def test_the_number_of_calls_is_corrected_as_soon_as_it_is_known():
    seen = []
    anygrad.numerical_gradient(lambda z: abs(z[0]), Z, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (12, 12)


def test_neither_real_nor_holomorphic():
    calls = iter(range(99))
    with pytest.raises(TypeError, match="real numbers at some points and complex ones at others"):
        anygrad.numerical_gradient(lambda z: 1.0 if next(calls) < 6 else 1j, Z)


def test_parts_that_are_not_finite(lib):
    z = lib.asarray(np.array([complex(1, np.inf), 1 + 1j]), "complex64")
    gradient = anygrad.numerical_gradient(lambda z: lib.xp.real(z[0]) + lib.xp.imag(z[1]), z)
    assert lib.numpy(gradient)[1] == pytest.approx(1j, abs=1e-2)


@pytest.mark.filterwarnings("error")
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
