"""What f is given, and whether it leaves that alone: small arrays, and large ones, which are compared otherwise."""

from __future__ import annotations

import numpy as np
import pytest

import anygrad

LARGE = 3000  # 24,000 bytes
MODIFIES = "f modifies its argument"
WRITABLE = pytest.mark.libraries(lambda lib: lib.writable)


# --- an f that modifies its argument -----------------------------------------------------------------------------


@WRITABLE
@pytest.mark.parametrize("n", [1, 3, LARGE])
@pytest.mark.parametrize("scheme", [anygrad.Central(), anygrad.Forward(), anygrad.Adaptive()], ids=repr)
@pytest.mark.parametrize("times", [1, 99])
def test_an_f_that_modifies_its_argument_where_all_elements_change_together(lib, n, scheme, times):
    """Whether it is called for f(x) first, last or never; and whether it does so at its first call alone."""
    x = lib.asarray(np.linspace(1, 2, n), "float32")
    bits = lib.bits(x)
    calls = 0

    def f(x):
        nonlocal calls
        calls += 1
        if calls <= times:
            x *= 2
        return x**2

    for operator in (anygrad.derivative, lambda f, x, **options: anygrad.jvp(f, x, 0 * x + 1, **options)):
        calls = 0
        with pytest.raises(ValueError, match=MODIFIES):
            operator(f, x, scheme=scheme)
        assert lib.bits(x) == bits


class Writing:
    """An f of many points; told to, it writes to the last one from a certain call on. Its values are right."""

    calls, first = 0, 99

    def __call__(self, x):
        self.calls += 1
        value = (x[:, :3] ** 2).sum(-1)
        if self.calls >= self.first:
            x[-1, ...] = 0
        return value

    def from_now_on(self, first):
        self.calls, self.first = 0, first


@pytest.mark.parametrize("n", [3, LARGE, 5000])
@pytest.mark.parametrize("first", [1, 2, 3])
def test_an_f_of_many_points_that_writes_to_them_after_it_has_been_seen_not_to(n, first):
    f, x = Writing(), np.linspace(1, 2, n)
    assert np.allclose(anygrad.numerical_gradient(f, np.ones(3), evaluator=anygrad.Batch()), 2)
    f.from_now_on(first)
    with pytest.raises(ValueError, match=MODIFIES):
        anygrad.numerical_gradient(f, x, evaluator=anygrad.Batch(max_bytes=2 * x.nbytes))


@pytest.mark.parametrize("n", [3, LARGE])
@pytest.mark.parametrize("operator", ["jvp", "numerical_gradient_2d"])
def test_an_f_of_many_points_that_writes_to_them_at_its_only_call(n, operator):
    f, x = Writing(), np.linspace(1, 2, n)
    operators = {
        "jvp": lambda: anygrad.jvp(f, x, x, evaluator=anygrad.Batch()),
        "numerical_gradient_2d": lambda: anygrad.numerical_gradient_2d(f, x.reshape(-1, 1), evaluator=anygrad.Batch()),
    }
    operators[operator]()
    f.from_now_on(1)
    with pytest.raises(ValueError, match=MODIFIES):
        operators[operator]()


@pytest.mark.parametrize("n", [3, LARGE])
@pytest.mark.parametrize("evaluator", [anygrad.Loop(), anygrad.Loop(in_place=False), anygrad.Batch()], ids=repr)
def test_not_a_number_is_no_modification(n, evaluator):
    """It is not equal to itself, but has not been written to either."""
    x = np.linspace(1, 2, n)
    x[1] = np.nan
    before = x.tobytes()

    def f(x):
        return x[..., 0] ** 2 + x[..., -1]

    for _ in range(2):  # seen before, f may be called another way
        gradient = anygrad.numerical_gradient(f, x, evaluator=evaluator)
        assert gradient[[0, 1, -1]] == pytest.approx([2, 0, 1], rel=1e-6)
    along = np.zeros(n)
    along[0] = 1
    assert anygrad.jvp(f, x, along, evaluator=evaluator) == pytest.approx(2, rel=1e-6)
    result = anygrad.derivative(lambda x: x**2, x, evaluator=evaluator, full_output=True)
    assert np.array_equal(np.isnan(result.value), np.isnan(x))
    assert x.tobytes() == before


# --- private copies ----------------------------------------------------------------------------------------------


def strides(array):
    return array.stride() if hasattr(array, "stride") else array.strides


@pytest.mark.libraries(lambda lib: lib.name in {"numpy", "cupy"} or lib.name.startswith("torch"))
def test_a_private_copy_has_the_axes_of_x_in_the_same_order_in_memory(lib):
    x = lib.xp.permute_dims(lib.asarray(np.ones((4, 3, 2)), "float32"), (2, 0, 1))
    seen = set()

    def f(x):
        seen.add(strides(x))
        return lib.xp.sum(x**2)

    for operator in (anygrad.numerical_gradient, anygrad.hessian, lambda f, x, **kw: anygrad.jvp(f, x, x, **kw)):
        operator(f, x, evaluator=anygrad.Loop(in_place=False))
    assert seen == {strides(x)}


# --- NumPy's settings --------------------------------------------------------------------------------------------

OPERATORS = {
    "numerical_gradient": anygrad.numerical_gradient,
    "numerical_gradient, by default": lambda f, x, scheme, **kw: anygrad.numerical_gradient(f, x, **kw),
    "numerical_gradient, all of it": lambda f, x, **kw: anygrad.numerical_gradient(f, x, full_output=True, **kw),
    "jacobian": anygrad.jacobian,
    "jvp": lambda f, x, **kw: anygrad.jvp(f, x, np.ones(x.shape), **kw),
    "hessian": anygrad.hessian,
    "hvp": lambda f, x, **kw: anygrad.hvp(f, x, np.ones(x.shape), **kw),
    "laplacian": anygrad.laplacian,
}
SETTINGS = [
    {"divide": "raise", "over": "warn", "under": "print", "invalid": "raise"},
    {"divide": "ignore", "over": "raise", "under": "raise", "invalid": "warn"},
]


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("scheme", [anygrad.Central(), anygrad.Forward(), anygrad.Adaptive()], ids=repr)
@pytest.mark.parametrize("evaluator", [anygrad.Loop(), anygrad.Loop(in_place=False), anygrad.Batch()], ids=repr)
def test_f_runs_under_the_callers_error_settings(name, scheme, evaluator):
    """Which are other ones while it is not f that runs."""
    for settings in SETTINGS:
        seen = []

        def f(x):
            seen.append(np.geterr())
            return (x**2).sum(-1)

        with np.errstate(**settings):
            for _ in range(2):  # seen before, f may be called another way
                OPERATORS[name](f, np.array([1.0, 2.0]), scheme=scheme, evaluator=evaluator)
        assert seen
        assert all(own == settings for own in seen)


@pytest.mark.parametrize("scheme", [anygrad.Central(), anygrad.Adaptive()], ids=repr)
def test_so_does_an_f_that_works_element_by_element(scheme):
    seen = []
    with np.errstate(**SETTINGS[0]):
        anygrad.derivative(lambda x: seen.append(np.geterr()) or x**2, np.array([1.0, 2.0]), scheme=scheme)
    assert all(own == SETTINGS[0] for own in seen)


def test_an_f_that_divides_by_zero_raises_where_the_caller_wants_it_to():
    x = np.array([0.0, 1.0])
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        anygrad.derivative(lambda x: 1 / np.floor(np.abs(x)), x)
    with np.errstate(divide="ignore"):
        assert np.isnan(anygrad.derivative(lambda x: 1 / np.floor(np.abs(x)), x)[0])
