"""What x, h and the options may be, and the sentence that answers when they are something else."""

from __future__ import annotations

import array

import numpy as np
import pytest

import anygrad


def never(x):
    raise AssertionError("f was called")


# --- x ------------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype")  # JAX without float64 has no int64 either
@pytest.mark.parametrize("integers", ["int32", "int64", "uint8", "bool"])
def test_integers_cannot_be_perturbed(lib, integers):
    x = lib.xp.asarray([1, 0, 1], dtype=getattr(lib.xp, integers), device=lib.device)
    with pytest.raises(TypeError, match=r"x has the dtype .*(int|bool).*pass a floating array.*x"):
        anygrad.numerical_gradient(never, x)


@pytest.mark.parametrize("x", [np.array([1.0, None]), np.zeros(2, "f8,f8"), np.array(["a"]), np.zeros(2, "M8[s]")])
def test_other_dtypes_of_numpy(x):
    with pytest.raises(TypeError, match=r"x has the dtype .*x\.astype\(float\)"):
        anygrad.numerical_gradient(never, x)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0, 3)])
def test_an_empty_array_has_an_empty_gradient(lib, shape):
    x = lib.asarray(np.zeros(shape), "float32")
    for differentiate in (anygrad.numerical_gradient, anygrad.numerical_gradient_2d):
        result = differentiate(never, x, full_output=True)
        assert (result.value.shape, result.value.dtype) == (x.shape, x.dtype)
        assert (result.step.shape, result.ncalls, result.npoints) == (x.shape, 0, 0)


@pytest.mark.parametrize(
    "operator",
    [
        anygrad.numerical_gradient,
        anygrad.jacobian,
        anygrad.hessian,
        anygrad.laplacian,
        lambda f, x, scheme: anygrad.derivative(lambda x: x, x, scheme=scheme),
        lambda f, x, scheme: anygrad.jvp(f, x, x, scheme=scheme),
        lambda f, x, scheme: anygrad.hvp(f, x, x, scheme=scheme),
    ],
)
@pytest.mark.filterwarnings("error")
def test_derivatives_by_nothing_are_real_off_the_axis_as_well(operator):
    assert operator(lambda x: x.sum(), np.zeros(0, "float32"), scheme=anygrad.Complex()).dtype == "float32"


def test_an_empty_array_under_every_scheme(lib):
    x = lib.asarray(np.zeros(0), "float32")
    for scheme in (anygrad.Central(order=4), anygrad.Forward(), anygrad.Backward()):
        assert anygrad.numerical_gradient(never, x, scheme=scheme).shape == (0,)


def test_a_number():
    gradient = anygrad.numerical_gradient(lambda x: x**2, 3)
    assert gradient.shape == ()
    assert gradient.dtype == np.float64
    assert gradient == pytest.approx(6)


def test_a_complex_number():
    assert anygrad.numerical_gradient(lambda z: z**2, 1 + 2j) == pytest.approx(2 + 4j)


def test_a_numpy_scalar_keeps_its_dtype():
    gradient = anygrad.numerical_gradient(lambda x: x**2, np.float32(3))
    assert gradient.dtype == np.float32
    assert gradient == pytest.approx(6, rel=1e-3)


def test_a_nested_list_of_numbers():
    given = [[1, 2.0], [3, np.float64(4)]]
    gradient = anygrad.numerical_gradient(lambda x: (x**2).sum(), given)
    assert gradient.dtype == np.float64
    assert np.allclose(gradient, [[2, 4], [6, 8]])
    assert given == [[1, 2.0], [3, 4.0]]


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (None, TypeError, "x is None, but an array"),
        ("abc", TypeError, "x is a str, but an array"),
        (True, TypeError, "x is a bool, but an array"),
        ({"w": object()}, TypeError, r"x\['w'\] is an object, but an array"),
        (array.array("d", [1.0]), TypeError, "x is an array.array, but an array"),
        ({"w": [np.array([1])]}, TypeError, r"x\['w'\]\[0\] has the dtype int64"),
        ([[1.0], [1.0, 2.0]], ValueError, "parts differ in length"),
        (len, TypeError, "x is a builtin_function_or_method"),
    ],
)
def test_what_is_no_array(x, error, message):
    with pytest.raises(error, match=message):
        anygrad.numerical_gradient(never, x)


def test_what_holds_arrays_and_is_none():
    """Tables, models and sparse matrices are known by their methods."""
    table = type("DataFrame", (), {"to_numpy": None})()
    model = type("Model", (), {"named_parameters": None, "__call__": None})()
    for x, message in [
        (table, r"x is a DataFrame, but an array was expected: write x\.to_numpy\(\)"),
        ({"w": table}, r"x\['w'\] is a DataFrame, but an array was expected: write x\['w'\]\.to_numpy\(\)"),
        (
            model,
            r"x is a Model, but .*write dict\(x\.named_parameters\(\)\), .*functional_call\(model, params",
        ),
        (iter([np.ones(2)]), r"x is a list_iterator, but an array was expected: write list\(x\)"),
    ]:
        with pytest.raises(TypeError, match=message):
            anygrad.numerical_gradient(never, x)


def test_f_and_x_in_the_wrong_order():
    with pytest.raises(TypeError, match=r"f is a ndarray|f is an ndarray"):
        anygrad.numerical_gradient(np.ones(2), np.sum)
    with pytest.raises(TypeError, match=r"x is a function, but .* was expected: functions come first, then x$"):
        anygrad.check_gradient(lambda x: x.sum(), np.ones(2), lambda x: 0 * x + 1)


@pytest.mark.parametrize("evaluator", [anygrad.Loop(), anygrad.Batch()], ids=repr)
@pytest.mark.parametrize(
    "operator",
    [anygrad.laplacian, anygrad.numerical_gradient, lambda f, x, **o: anygrad.hvp(f, x, x, **o)],
)
def test_an_array_where_one_number_is_wanted_is_no_matter_of_gradients_alone(operator, evaluator):
    with pytest.raises(ValueError, match=r"one number was expected.*reduce it.*or use anygrad\.jacobian") as caught:
        operator(lambda x: 2 * x, np.ones(2), evaluator=evaluator)
    assert "gradient" not in str(caught.value).replace("numerical_gradient", "")


class Quantity(np.ndarray):
    """An array with a unit, as astropy has it."""

    unit = "km"

    @property
    def value(self):
        return self.view(np.ndarray)


class Measured(np.ndarray):
    units = "m"

    @property
    def magnitude(self):
        return self.view(np.ndarray)


@pytest.mark.parametrize(("kind", "numbers"), [(Quantity, "value"), (Measured, "magnitude")])
def test_a_unit_is_not_dropped_in_silence(kind, numbers):
    for operator in (anygrad.numerical_gradient, anygrad.jacobian, anygrad.hessian):
        for x in (np.ones(2).view(kind), {"a": np.ones(2).view(kind)}):
            with pytest.raises(TypeError, match=rf"x carries the unit k?m, but .*pass x\.{numbers}"):
                operator(never, x)
        with pytest.raises(TypeError, match=rf"f returned an array with the unit k?m, but .*return its \.{numbers}"):
            operator(lambda x: x[:1].view(kind), np.ones(2))


@pytest.mark.parametrize("leaf", [2, [2, 3], [[1], [2]]])
def test_integers_in_a_tree_are_no_parameters(leaf):
    with pytest.raises(
        TypeError, match=r"x\['n'\] is (the integer 2, which has|a list of integers, which have) no small"
    ):
        anygrad.numerical_gradient(never, {"w": np.ones(2), "n": leaf})


@pytest.mark.parametrize("f", [np.sum, lambda x: float(x.sum()), lambda x: x.sum(keepdims=True)])
def test_the_derivative_of_a_function_that_returns_one_number_is_its_gradient(f):
    with pytest.raises(ValueError, match=r"f returned one number for x of shape \(2,\).*anygrad\.numerical_gradient"):
        anygrad.derivative(f, np.ones(2))


@pytest.mark.parametrize(
    ("x", "name"),
    [
        (np.array([1, 2]), "x"),
        ({"n": np.array([1, 2]), "a": np.ones(2)}, r"x\['n'\]"),
        ([np.ones(1), (np.array([True]),)], r"x\[1\]\[0\]"),
    ],
)
def test_the_cast_that_is_advised_can_be_copied(x, name):
    for operator in anygrad.numerical_gradient, anygrad.jacobian, anygrad.hessian:
        with pytest.raises(
            TypeError,
            match=rf"^{name} has the dtype .* for example {name}\.astype\(float\)(; or hold it with fixed=.*)?$",
        ):
            operator(never, x)


@pytest.mark.filterwarnings("ignore:the matrix subclass")
@pytest.mark.libraries(lambda lib: lib.name == "numpy")
def test_subclasses_and_read_only_arrays(lib):
    matrix = np.matrix([[1.0, 2.0], [3.0, 4.0]])
    assert np.allclose(anygrad.numerical_gradient(lambda x: np.trace(x * x), matrix), _trace_gradient(matrix))
    frozen = np.array([1.0, 2.0])
    frozen.flags.writeable = False
    assert np.allclose(anygrad.numerical_gradient(lambda x: x @ x, frozen), [2, 4])


def _trace_gradient(matrix):
    """Return the gradient of the trace of the matrix square."""
    return 2 * np.asarray(matrix).T


def test_masked_arrays():
    masked = np.ma.array([1.0, 2.0, 3.0], mask=[0, 1, 0])
    with pytest.raises(TypeError, match=r"x is a masked array with elements that are masked.*x\.filled\(0\.0\)"):
        anygrad.numerical_gradient(np.sum, masked)
    assert np.allclose(anygrad.numerical_gradient(lambda x: (x**2).sum(), np.ma.array([1.0, 2.0])), [2, 4])


def test_what_f_masks_is_not_known():
    x = np.array([1.0, -2.0, 4.0])
    for value in (anygrad.derivative(np.ma.log, x), anygrad.jacobian(np.ma.log, x).diagonal()):
        assert np.allclose(value, [1, np.nan, 0.25], atol=1e-6, equal_nan=True)
    assert np.isnan(anygrad.numerical_gradient(lambda x: np.ma.log(x)[1], x)).all()


def test_overlapping_memory_is_never_a_wrong_number():
    base = np.array([1.0, 2.0, 3.0])
    windows = np.lib.stride_tricks.as_strided(base, (2, 2), (8, 8), writeable=True)
    assert np.allclose(anygrad.numerical_gradient(lambda x: (x**2).sum(), windows), [[2, 4], [4, 6]])
    assert np.array_equal(base, [1, 2, 3])


def test_elements_that_overlap_by_bytes_are_never_a_wrong_number():
    base = np.array([1.0, 2.0, 3.0])
    x = np.lib.stride_tricks.as_strided(base, (4,), (4,), writeable=True)
    before = base.tobytes()
    gradient = anygrad.numerical_gradient(lambda x: x[0] + 2 * x[2], x)
    assert np.allclose(gradient, [1, 0, 2, 0])
    assert base.tobytes() == before


def test_broadcast_arrays_are_never_a_wrong_number(lib):
    base = lib.asarray(np.array([1.0, 2.0]), "float32")
    before = lib.bits(base)
    rows = lib.xp.broadcast_to(base, (3, 2))
    gradient = anygrad.numerical_gradient(lambda x: lib.xp.sum(x**2), rows)
    assert np.allclose(lib.numpy(gradient), [[2, 4]] * 3, rtol=2e-3)
    assert lib.bits(base) == before


def test_a_batch_is_one_array():
    with pytest.raises(TypeError, match="X is a dict, but one array of samples"):
        anygrad.numerical_gradient_2d(never, {"a": np.ones((2, 2))})


def test_one_sample_has_one_dimension(lib):
    with pytest.raises(ValueError, match=r"shape \(2, 2\).*numerical_gradient_2d"):
        anygrad.numerical_gradient_1d(never, lib.asarray(np.ones((2, 2)), "float32"))


# --- h ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("h", [0, 0.0, -1e-4, np.nan, np.inf, -np.inf])
def test_a_step_must_be_positive_and_finite(h):
    with pytest.raises(ValueError, match="must be positive and finite: write 1e-4"):
        anygrad.numerical_gradient(never, np.ones(2), h)


@pytest.mark.parametrize("h", [10**400, np.longdouble("1e4000")])
def test_a_step_must_be_a_float(h):
    with pytest.raises(ValueError, match="must be positive and finite"):
        anygrad.numerical_gradient(never, np.ones(2), h)


@pytest.mark.parametrize("h", ["1e-4", 1j, True, [1e-4]])
def test_a_step_must_be_a_number(h):
    with pytest.raises(TypeError, match="a positive number such as 1e-4 was expected"):
        anygrad.numerical_gradient(never, np.ones(2), h)


@pytest.mark.libraries(lambda lib: not lib.lazy)
@pytest.mark.parametrize("magnitude", [1.0, 1000.0, -3.0])
def test_a_step_that_drowns_names_the_smallest_that_does_not(lib, dtype, magnitude):
    x = lib.asarray(np.array([0.0, magnitude, np.nan, np.inf]), dtype)
    with pytest.raises(ValueError, match=r"too small.*smallest usable step is") as caught:
        anygrad.numerical_gradient(never, x, 1e-30)
    smallest = float(str(caught.value).rpartition(" ")[2])
    # The suggestion works, and nothing much smaller would.
    x = lib.asarray(np.array([0.0, magnitude]), dtype)
    anygrad.numerical_gradient(lambda x: x[0], x, smallest)
    with pytest.raises(ValueError, match="too small"):
        anygrad.numerical_gradient(lambda x: x[0], x, smallest / 4)


def test_h_belongs_to_the_scheme_where_there_is_one():
    with pytest.raises(ValueError, match=r"both h=0.1 and scheme=Central.* give the step to the scheme"):
        anygrad.numerical_gradient(never, np.ones(2), 0.1, scheme=anygrad.Central())


# --- options ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheme": "central"}, r"scheme is 'central', but a scheme such as anygrad.Central\(order=4\)"),
        ({"scheme": anygrad.Central}, r"scheme is the class Central.*write anygrad\.Central\(\)"),
        ({"evaluator": anygrad.Loop}, r"evaluator is the class Loop.*write anygrad\.Loop\(\)"),
        ({"evaluator": anygrad.Central()}, r"evaluator is Central.*but an evaluator such as"),
        ({"progress": "yes"}, "progress is 'yes', but True, False or a function"),
    ],
)
def test_options_of_the_wrong_kind(options, message):
    with pytest.raises(TypeError, match=message):
        anygrad.numerical_gradient(never, np.ones(2), **options)


@pytest.mark.parametrize("order", [0, -2, 3, 1])
def test_central_orders_are_even(order):
    with pytest.raises(ValueError, match="positive even number"):
        anygrad.Central(order=order)


@pytest.mark.parametrize("scheme", [anygrad.Central, anygrad.Forward, anygrad.Backward])
def test_orders_are_integers(scheme):
    with pytest.raises(TypeError, match="order must be an integer"):
        scheme(order=2.0)


@pytest.mark.parametrize("scheme", [anygrad.Forward, anygrad.Backward])
def test_one_sided_orders_begin_at_one(scheme):
    with pytest.raises(ValueError, match="order must be 1 or more"):
        scheme(order=0)
