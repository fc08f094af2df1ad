"""What x, h and the options may be, and the sentence that answers when they are something else."""

from __future__ import annotations

import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from layouts import LAYOUTS
from random_examples import examples

import anygrad

TABLE = type("DataFrame", (), {"to_numpy": None})()
MODEL = type("Model", (), {"named_parameters": None, "__call__": None})()
OPERATORS = [anygrad.numerical_gradient, anygrad.jacobian, anygrad.hessian]


def never(x):
    raise AssertionError("f was called")


# --- x ------------------------------------------------------------------------------------------------------------


@st.composite
def views(draw):
    """Draw an array and a view of it: any axes order, slices and steps."""
    base = np.arange(1.0, 1.0 + 3**3).reshape(3, 3, 3) / 8
    axes = draw(st.permutations(range(3)))
    slices = tuple(
        slice(draw(st.integers(0, 1)), draw(st.integers(1, 3)), draw(st.sampled_from([1, 2]))) for _ in range(3)
    )
    return base, axes, slices


@examples(40)
@given(data=st.data())
def test_what_surrounds_a_view_is_never_touched(data):
    base, axes, slices = data.draw(views())
    x, before, seen = base.transpose(axes)[slices], base.copy(), []

    def f(x):
        seen.append(base.copy())
        return (x**2).sum()

    assert np.allclose(anygrad.numerical_gradient(f, x), 2 * x, rtol=1e-6)
    assert all(np.count_nonzero(state != before) == 1 for state in seen)
    assert np.array_equal(base, before)


@examples(40)
@given(
    shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3),
    layout=st.sampled_from(sorted(LAYOUTS.keys() - {"window"})),
    degree=st.integers(1, 3),
    data=st.data(),
)
def test_any_shape_layout_and_dtype(lib, shape, layout, degree, data):
    """sum(c * x**degree): the gradient is known, and so is the error of a central difference."""
    dtype = data.draw(st.sampled_from([name for name in lib.real if name != "bfloat16"]))
    layout = layout if lib.negative_strides else "strided"
    values = np.resize(np.array([0.5, -1.25, 2.0, 0.0, -0.625]), shape)
    x = LAYOUTS[layout](lib, values, dtype)
    before = lib.bits(x)
    result = anygrad.numerical_gradient(lambda x: lib.xp.sum(x**degree / 8), x, full_output=True)
    eps, step = float(np.finfo(dtype).eps), lib.numpy(result.step).astype(float)
    rounding = (values.size + 3) * eps * max(1, values.size) * 3.0**degree / 8 / np.where(step, 2 * step, 1)
    bound = (step**2 / 8 if degree == 3 else 0) + rounding + eps * 2
    assert np.all(np.abs(lib.numpy(result.value) - degree * values ** (degree - 1) / 8) <= bound)
    assert (type(result.value), result.value.dtype, result.value.shape) == (type(x), x.dtype, x.shape)
    assert result.ncalls - 2 * values.size in ({0} if lib.writable else {0, 1})  # 1: f(x), at the top of a parabola
    assert lib.bits(x) == before


def test_an_empty_array_has_an_empty_gradient(lib):
    for shape in ((0,), (2, 0, 3)):
        x = lib.asarray(np.zeros(shape), "float32")
        for differentiate in (anygrad.numerical_gradient, anygrad.numerical_gradient_2d):
            result = differentiate(never, x, full_output=True)
            assert (result.value.shape, result.value.dtype) == (x.shape, x.dtype)
            assert (result.step.shape, result.ncalls, result.npoints) == (x.shape, 0, 0)
    for scheme in (anygrad.Central(order=4), anygrad.Forward(), anygrad.Backward()):
        assert anygrad.numerical_gradient(never, x, scheme=scheme).shape == x.shape


@pytest.mark.parametrize(
    "operator",
    [
        *OPERATORS,
        anygrad.laplacian,
        lambda f, x, scheme: anygrad.derivative(lambda x: x, x, scheme=scheme),
        lambda f, x, scheme: anygrad.jvp(f, x, x, scheme=scheme),
        lambda f, x, scheme: anygrad.hvp(f, x, x, scheme=scheme),
    ],
)
def test_derivatives_of_an_empty_array_are_real_by_the_complex_step_as_well(operator):
    assert operator(lambda x: x.sum(), np.zeros(0, "float32"), scheme=anygrad.Complex()).dtype == "float32"


def test_numbers_and_lists_of_numbers():
    for x, expected, dtype in ((3, 6, "float64"), (np.float32(3), 6, "float32"), (1 + 2j, 2 + 4j, "complex128")):
        gradient = anygrad.numerical_gradient(lambda x: x**2, x)
        assert (gradient.shape, gradient.dtype) == ((), dtype)
        assert gradient == pytest.approx(expected, rel=1e-3)
    given = [[1, 2.0], [3, np.float64(4)]]
    assert np.allclose(anygrad.numerical_gradient(lambda x: (x**2).sum(), given), [[2, 4], [6, 8]])
    assert given == [[1, 2.0], [3, 4.0]]
    assert np.allclose(anygrad.numerical_gradient(lambda x: x[0] * x[1], [2, 2**65]), [2.0**65, 2.0])


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype")  # JAX without float64 has no int64 either
@pytest.mark.parametrize("integers", ["int64", "uint8", "bool"])
def test_integers_cannot_be_perturbed(lib, integers):
    x = lib.xp.asarray([1, 0, 1], dtype=getattr(lib.xp, integers), device=lib.device)
    with pytest.raises(TypeError, match=r"x has the dtype .*(int|bool).*pass a floating array.*x"):
        anygrad.numerical_gradient(never, x)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (None, TypeError, "x is None, but an array"),
        ("abc", TypeError, "x is a str, but an array"),
        ({"w": object()}, TypeError, r"x\['w'\] is an object, but an array"),
        (array.array("d", [1.0]), TypeError, "x is an array.array, but an array"),
        ([[1.0], [1.0, 2.0]], ValueError, "parts differ in length"),
        (len, TypeError, "x is a builtin_function_or_method"),
        ([1, 10**400], ValueError, r"x holds an integer above 1.8e308, the largest number in float64"),
        (np.array([1.0, None]), TypeError, r"x has the dtype .*x\.astype\(float\)"),
        (np.array(["a"]), TypeError, r"x has the dtype .*x\.astype\(float\)"),
        (
            {"n": np.array([1]), "a": np.ones(2)},
            TypeError,
            r"^x\['n'\] .* such as x\['n'\]\.astype\(float\)(; or keep .*fixed=.*)?$",
        ),
        ({"w": np.ones(2), "n": 2}, TypeError, r"x\['n'\] is the integer 2, to which no small"),
        ({"w": np.ones(2), "n": [[1], [2]]}, TypeError, r"x\['n'\] is a list of integers, to which no small"),
        # Tables and models are known by their methods.
        (TABLE, TypeError, r"x is a DataFrame, but an array was expected: write x\.to_numpy\(\)"),
        ({"w": TABLE}, TypeError, r"x\['w'\] is a DataFrame, .*write x\['w'\]\.to_numpy\(\)"),
        (MODEL, TypeError, r"x is a Model, but .*dict\(x\.named_parameters\(\)\), .*functional_call\(model, params"),
        (iter([np.ones(2)]), TypeError, r"x is a list_iterator, but an array was expected: write list\(x\)"),
        (
            np.ma.array([1.0, 2.0], mask=[0, 1]),
            TypeError,
            r"masked array .* masked elements.*x\.filled\(0\.0\)",
        ),
    ],
    ids=lambda value: None if isinstance(value, str) else getattr(value, "__name__", type(value).__name__),
)
def test_an_x_that_is_no_array_of_real_or_complex_numbers_is_refused(x, error, message):
    for operator in OPERATORS:
        with pytest.raises(error, match=message):
            operator(never, x)


def test_f_and_x_in_the_wrong_order():
    with pytest.raises(TypeError, match=r"f is a ndarray|f is an ndarray"):
        anygrad.numerical_gradient(np.ones(2), np.sum)
    with pytest.raises(TypeError, match=r"x is a function, but .* was expected: f comes first, then x$"):
        anygrad.check_gradient(lambda x: x.sum(), np.ones(2), lambda x: 0 * x + 1)


class Quantity(np.ndarray):
    """An array with a unit, as astropy has it."""

    unit, value = "km", property(lambda self: self.view(np.ndarray))


class Measured(np.ndarray):
    """An array with units, as pint has it."""

    units, magnitude = "m", property(lambda self: self.view(np.ndarray))


@pytest.mark.parametrize(("kind", "numbers"), [(Quantity, "value"), (Measured, "magnitude")])
@pytest.mark.parametrize("operator", OPERATORS)
def test_a_unit_is_not_dropped_in_silence(kind, numbers, operator):
    for x in (np.ones(2).view(kind), {"a": np.ones(2).view(kind)}):
        with pytest.raises(TypeError, match=rf"x has the unit k?m, but .*pass x\.{numbers}"):
            operator(never, x)
    with pytest.raises(TypeError, match=rf"f returned an array with the unit k?m, but .*return its \.{numbers}"):
        operator(lambda x: x[:1].view(kind), np.ones(2))


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_subclasses_of_numpys_arrays():
    matrix = np.matrix([[1.0, 2.0], [3.0, 4.0]])
    gradient = anygrad.numerical_gradient(lambda x: np.trace(x * x), matrix)
    assert np.allclose(gradient, 2 * np.asarray(matrix).T)
    assert np.allclose(anygrad.numerical_gradient(lambda x: (x**2).sum(), np.ma.array([1.0, 2.0])), [2, 4])


def test_what_f_masks_is_nan():
    x = np.array([1.0, -2.0, 4.0])
    for value in (anygrad.derivative(np.ma.log, x), anygrad.jacobian(np.ma.log, x).diagonal()):
        assert np.allclose(value, [1, np.nan, 0.25], atol=1e-6, equal_nan=True)
    assert np.isnan(anygrad.numerical_gradient(lambda x: np.ma.log(x)[1], x)).all()


@pytest.mark.parametrize(
    ("shape", "strides", "expected"), [((2, 2), (8, 8), [[2, 4], [4, 6]]), ((4,), (4,), [2, None, 4, None])]
)
def test_elements_that_overlap_are_never_a_wrong_number(shape, strides, expected):
    base = np.array([1.0, 2.0, 3.0])
    x = np.lib.stride_tricks.as_strided(base, shape, strides, writeable=True)
    before = base.tobytes()
    known = np.array([number is not None for number in np.ravel(expected)]).reshape(shape)
    gradient = anygrad.numerical_gradient(lambda x: (x[known] ** 2).sum(), x)
    assert np.allclose(gradient[known], np.array(expected)[known].astype(float))
    assert base.tobytes() == before


def test_broadcast_arrays_are_never_a_wrong_number(lib):
    base = lib.asarray(np.array([1.0, 2.0]), "float32")
    before = lib.bits(base)
    gradient = anygrad.numerical_gradient(lambda x: lib.xp.sum(x**2), lib.xp.broadcast_to(base, (3, 2)))
    assert np.allclose(lib.numpy(gradient), [[2, 4]] * 3, rtol=2e-3)
    assert lib.bits(base) == before


def test_samples_of_another_number_of_dimensions_are_refused(lib):
    with pytest.raises(TypeError, match="X is a dict, but one array was expected: pass its arrays"):
        anygrad.numerical_gradient_2d(never, {"a": np.ones((2, 2))})
    with pytest.raises(ValueError, match=r"shape \(2, 2\).*numerical_gradient_2d"):
        anygrad.numerical_gradient_1d(never, lib.asarray(np.ones((2, 2)), "float32"))


# --- one number or several ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("evaluator", [anygrad.Loop(), anygrad.Batch()], ids=repr)
@pytest.mark.parametrize(
    "operator",
    [anygrad.laplacian, anygrad.numerical_gradient, lambda f, x, **o: anygrad.hvp(f, x, x, **o)],
)
def test_an_array_where_one_number_is_wanted_is_refused(operator, evaluator):
    with pytest.raises(ValueError, match=r"expected.*(return its sum|reduce it).*or use anygrad\.jacobian") as caught:
        operator(lambda x: 2 * x, np.ones(2), evaluator=evaluator)
    assert "gradient" not in str(caught.value).replace("numerical_gradient", "")


# --- h and the options --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("h", "error", "message"),
    [
        *((h, ValueError, "a positive finite number such as 1e-4") for h in (0, -1e-4, np.nan, np.inf)),
        *((h, ValueError, "a positive finite number") for h in (10**400, np.longdouble("1e4000"))),
        *((h, TypeError, "a positive number such as 1e-4 was expected") for h in ("1e-4", 1j, True, [1e-4])),
    ],
    ids=lambda value: repr(value)[:12] if not isinstance(value, type) else value.__name__,
)
def test_a_step_is_a_positive_number(h, error, message):
    with pytest.raises(error, match=message):
        anygrad.numerical_gradient(never, np.ones(2), h)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"h": 0.1, "scheme": anygrad.Central()}, ValueError, r"h is 0.1 and scheme is .* give the step to the scheme"),
        ({"scheme": "central"}, TypeError, r"scheme is 'central', but a scheme such as anygrad.Central\(order=4\)"),
        ({"scheme": anygrad.Central}, TypeError, r"scheme is the class Central.*write anygrad\.Central\(\)"),
        ({"evaluator": anygrad.Loop}, TypeError, r"evaluator is the class Loop.*write anygrad\.Loop\(\)"),
        ({"evaluator": anygrad.Central()}, TypeError, r"evaluator is Central.*but an evaluator such as"),
        ({"progress": "yes"}, TypeError, "progress is 'yes', but True, False or a function"),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else "",
)
def test_options_of_the_wrong_kind_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        anygrad.numerical_gradient(never, np.ones(2), **options)


# --- multi_indices ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (3,), (2, 2, 3), (1, 2, 1, 2), (2, 0, 3)], ids=str)
def test_multi_indices_are_in_the_order_of_ndindex(lib, shape):
    assert list(anygrad.multi_indices(lib.asarray(np.zeros(shape), "float32"))) == list(np.ndindex(*shape))


@pytest.mark.libraries(lambda lib: not lib.lazy)
def test_each_of_the_multi_indices_finds_its_element(lib, layout):
    x = LAYOUTS[layout](lib, np.arange(12.0).reshape(3, 4), "float32")
    assert [lib.numpy(x[index]).item() for index in anygrad.multi_indices(x)] == list(range(12))


@pytest.mark.parametrize("x", [None, "abc", {"W": [1.0]}, iter([1.0]), object(), [[1, 2], [3]], ["a"]])
def test_multi_indices_of_what_is_no_array_are_refused(x):
    assert list(anygrad.multi_indices(3.0)) == [()]
    with pytest.raises(TypeError, match=r"x is .*, but an array, a number or a nested list of numbers was expected"):
        anygrad.multi_indices(x)
