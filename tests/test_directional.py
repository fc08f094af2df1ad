"""Derivatives along a direction."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest

import anygrad


def squares(x):
    return x**2


@pytest.mark.parametrize("length", [1e-20, 1.0, 1e20])
def test_a_longer_direction_has_a_larger_derivative(lib, length):
    x, v = (lib.asarray(np.array(numbers), "float32") for numbers in ([1.0, 2.0], [length, 0.0]))
    assert np.allclose(lib.numpy(anygrad.jvp(squares, x, v)) / length, [2, 0], rtol=1e-3)


def test_an_empty_x_has_a_derivative_of_0_along_its_direction(lib):
    none, value = lib.asarray(np.empty(0), "float32"), lib.asarray(np.ones(3), "float32")
    assert np.array_equal(lib.numpy(anygrad.jvp(lambda x: value, none, none)), [0, 0, 0])


def test_a_direction_is_an_array_a_list_or_a_number(lib):
    x = lib.asarray(np.array([1.0, 2.0]), "float32")
    for v in ([1, 0], [1.0, 0.0], np.array([1, 0]), lib.asarray(np.array([1.0, 0.0]), "float32")):
        assert np.allclose(lib.numpy(anygrad.jvp(squares, x, v)), [2, 0], rtol=1e-3)
    assert np.allclose(lib.numpy(anygrad.jvp(squares, lib.asarray(np.array(3.0), "float32"), 2)), 12, rtol=1e-3)


def test_a_direction_of_xs_own_dtype(lib, dtype):
    """bfloat16 among them, which NumPy does not know."""
    x, v = (lib.asarray(np.array(numbers), dtype) for numbers in ([1.0, 0.5], [1.0, -2.0]))
    value = anygrad.jvp(squares, x, v)
    assert value.dtype == x.dtype
    eps = {"bfloat16": 2.0**-7}.get(dtype) or float(np.finfo(dtype).eps)
    assert np.allclose(lib.numpy(value).astype(float), [2, -2], atol=20 * eps ** (2 / 3))


def test_a_direction_in_a_tree(lib):
    x = {"a": lib.asarray(np.array([1.0, 2.0]), "float32"), "b": lib.asarray(np.array(3.0), "float32")}
    value = anygrad.jvp(lambda p: (p["a"] * p["b"], {"b": p["b"]}), x, {"a": [1.0, 0.0], "b": 2})
    assert np.allclose(lib.numpy(value[0]), [3 + 2, 4], rtol=1e-2)
    assert np.allclose(lib.numpy(value[1]["b"]), 2, rtol=1e-3)


def test_a_direction_of_real_and_complex_arrays_changes_the_real_parts():
    x = {"real": np.array([1.0, 2.0]), "complex": np.array([1 + 1j, 2j])}
    value = anygrad.jvp(lambda p: p["real"] * p["complex"], x, {"real": [1.0, 0.0], "complex": [0.0, 1.0]})
    assert np.allclose(value, [1 + 1j, 2], atol=1e-8)


def test_the_step_fits_the_elements_that_change():
    """A step that suits 1e10 would be 100, and far too long for the sine of 1."""
    x = np.array([1e10, 1.0])
    assert anygrad.jvp(lambda x: np.sin(x[1]), x, [0.0, 1.0]) == pytest.approx(np.cos(1), abs=1e-9)


def test_a_step_that_drowns_along_the_direction_is_refused():
    with pytest.raises(ValueError, match=r"the step 1e-08 is too small.*10000000000.0"):
        anygrad.jvp(lambda x: x, np.array([1e10]), [1.0], scheme=anygrad.Central(step=1e-8))


@pytest.mark.parametrize(
    ("v", "error", "message"),
    [
        ([1.0, 2.0], ValueError, r"v has the shape \(2,\), but x has the shape \(3,\)"),
        (np.ones((3, 1)), ValueError, r"v has the shape \(3, 1\), but x has the shape \(3,\)"),
        (1.0, ValueError, r"v has the shape \(\), but x has the shape \(3,\)"),
        (np.array([1j, 0, 0]), TypeError, "v is .*real number"),
        (np.array([True, False, True]), TypeError, "v is .*real number"),
        *((v, TypeError, r"v is .* where x is an array: give an array") for v in (None, "ab", {}, {1}, [[1], [1, 2]])),
    ],
)
@pytest.mark.parametrize("operator", [anygrad.jvp, anygrad.hvp])
def test_directions_that_do_not_fit_x_are_refused(operator, v, error, message):
    with pytest.raises(error, match=message):
        operator(lambda x: (x**2).sum(), np.array([1.0, 2.0, 3.0]), v)


def test_directions_that_do_not_fit_a_tree_are_refused():
    with pytest.raises(ValueError, match=r"v is .*it has nothing for x\['b'\]"):
        anygrad.jvp(lambda p: p["a"], {"a": np.ones(2), "b": np.ones(2)}, {"a": np.ones(2)})


def test_a_dict_in_the_place_of_an_ordered_one_is_refused():
    x = OrderedDict(b=np.ones(2), a=np.ones(2))
    in_order = r"x\['a'\], x\['b'\] instead of x\['b'\], x\['a'\] \(a dict is sorted by its keys"
    with pytest.raises(ValueError, match=f"v is .*it has {in_order}"):
        anygrad.jvp(lambda p: p["a"], x, {"a": np.ones(2), "b": np.ones(2)})
    for operator in (anygrad.hessian, lambda f, x, **options: anygrad.hvp(f, x, x, **options)):
        with pytest.raises(ValueError, match=f"grad returned {in_order}"):
            operator(None, x, grad=lambda p: {"a": 2 * p["a"], "b": 2 * p["b"]})


@pytest.mark.libraries(lambda lib: lib.name != "numpy")
def test_arrays_of_several_libraries_cannot_change_together(lib):
    x = {"a": np.array([1.0]), "b": lib.asarray(np.array([1.0]), "float32")}
    with pytest.raises(TypeError, match=r"several libraries.*convert"):
        anygrad.hessian(lambda p: float(p["a"][0] * p["b"][0]), x)
