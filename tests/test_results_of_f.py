"""What f may return where one number is expected, in whichever form."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import anygrad

X = np.array([2.0, 3.0, 5.0])
# A wrong number would be off by the size of x; a right one differs by rounding at most.
TOLERANCE = {"rtol": 2e-3}


@pytest.mark.parametrize("f", [lambda x: x[1], lambda x: x[1:2]], ids=["an element", "a slice of length 1"])
def test_a_view_of_x(lib, f):
    gradient = anygrad.numerical_gradient(f, lib.asarray(X, "float32"))
    assert np.allclose(lib.numpy(gradient), [0, 1, 0], **TOLERANCE)


@pytest.mark.parametrize("scheme", [None, anygrad.Central(order=6), anygrad.Forward(), anygrad.Backward(order=3)])
def test_x_itself(lib, scheme):
    gradient = anygrad.numerical_gradient(lambda x: x, lib.asarray(np.array(2.0), "float32"), scheme=scheme)
    assert gradient.shape == ()
    assert np.allclose(lib.numpy(gradient), 1, **TOLERANCE)


def total(lib, x):
    return lib.numpy(lib.xp.sum(x)).item()


FORMS = {
    "0-d array": lambda lib, x: lib.xp.sum(x),
    "array of shape (1, 1)": lambda lib, x: lib.xp.reshape(lib.xp.sum(x), (1, 1)),
    "Python float": total,
    "longdouble of NumPy": lambda lib, x: np.longdouble(total(lib, x)),
    "Fraction": lambda lib, x: Fraction(total(lib, x)),
    "Decimal": lambda lib, x: Decimal(total(lib, x)),
}


@pytest.mark.parametrize("form", FORMS)
def test_one_number_in_every_form(lib, form):
    gradient = anygrad.numerical_gradient(lambda x: FORMS[form](lib, x), lib.asarray(X, "float32"))
    assert np.allclose(lib.numpy(gradient), 1, **TOLERANCE)


def test_another_form_at_each_call(lib):
    x, forms = lib.asarray(X, "float32"), iter([*FORMS.values()] * 99)
    assert np.allclose(lib.numpy(anygrad.numerical_gradient(lambda x: next(forms)(lib, x), x)), 1, **TOLERANCE)


def test_integers_and_bools(lib):
    x = lib.asarray(np.array([0.0, 1.0]), "float32")
    of_numbers = [lambda x, form=form: form(lib.numpy(x[0]).item() > 0) for form in (int, np.int64, bool, np.bool_)]
    for f in (*of_numbers, lambda x: lib.xp.astype(x[0] > 0, lib.xp.int32)):
        assert np.array_equal(lib.numpy(anygrad.numerical_gradient(f, x, 0.5)), [1, 0])


def test_float64_values_of_float32_x_keep_their_digits(lib):
    """In float32, 1e6 + sin(x) would have lost all but 5 bits of the difference."""
    x = lib.asarray(np.array([1.0, 2.0]), "float32")

    def f(x):
        return 1e6 + np.sin(lib.numpy(x).astype(np.float64)).sum().item()

    assert np.allclose(lib.numpy(anygrad.numerical_gradient(f, x, 2.0**-8)), np.cos([1.0, 2.0]), atol=1e-5)


MISTAKES = {
    "a vector": (lambda lib, x: x * 2, ValueError, r"shape \(3,\).*one number"),
    "None": (lambda lib, x: None, TypeError, r"None.*return statement"),
    "a string": (lambda lib, x: "3.0", TypeError, r"a str.*one number"),
    "a number beyond float64": (lambda lib, x: 10**400, ValueError, r"above 1\.8e308, the largest in float64"),
    "a class": (lambda lib, x: float, TypeError, r"a type.*one number"),
    "a date": (lambda lib, x: np.datetime64("2026-11-23"), TypeError, r"datetime64.*one number"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_values_that_are_not_one_number_are_refused(lib, mistake):
    """Before the loop, in it, and behind it: after so many good ones."""
    f, error, message = MISTAKES[mistake]
    x = lib.asarray(X, "float32")
    before = lib.bits(x)
    for good in (0, 2, 4):
        calls = iter(range(99))
        with pytest.raises(error, match=message):
            anygrad.numerical_gradient(lambda x: 1.5 if next(calls) < good else f(lib, x), x)
        assert lib.bits(x) == before


class ForeignArray:
    """An array of a library that is not x's."""

    shape = ()

    def __float__(self) -> float:
        return 1.0


def test_an_array_of_another_library_or_device_is_refused(lib):
    x = lib.asarray(X, "float32")
    before = lib.bits(x)
    for other in [ForeignArray()] if lib.name == "numpy" else [ForeignArray(), np.array(1.0)]:
        with pytest.raises(TypeError, match=r"but x is an array of .*float\(value\)"):
            anygrad.numerical_gradient(lambda x: other, x)
    if lib.other_device:
        with pytest.raises(ValueError, match=r"f returned an array on device .*, but x is on"):
            anygrad.numerical_gradient(lambda x: lib.other_device(), x)
    assert lib.bits(x) == before
