"""Whatever happens, x comes back bit for bit; an f that modifies its argument is refused, by every operator."""

from __future__ import annotations

import random
import signal
import warnings
from contextlib import suppress

import numpy as np
import pytest
from layouts import LAYOUTS, strided
from tried import OF_ARRAYS, OF_NUMBERS

import anygrad

WRITABLE = pytest.mark.libraries(lambda lib: lib.writable)
LARGE = 3000  # 24,000 bytes, which are compared otherwise than a few
MODIFIES = "f modifies its argument"


def special_values(dtype: str) -> np.ndarray:
    """Return -0.0, a subnormal, inf, and NaNs whose payloads a conversion would lose."""
    width = np.dtype(dtype).itemsize * 8
    exponent = {16: 5, 32: 8, 64: 11}[width]
    infinity = ((1 << exponent) - 1) << (width - 1 - exponent)
    negative_zero = 1 << (width - 1)
    signalling_nan, quiet_nan = infinity + 1, infinity + (1 << (width - 2 - exponent)) + 42
    patterns = [negative_zero, 1, infinity, signalling_nan, negative_zero + quiet_nan]
    return np.array(patterns, dtype=f"u{width // 8}").view(dtype)


class StoppedError(Exception):
    """What the function under test raises."""


def vector(lib, *numbers):
    return lib.asarray(np.array(numbers), "float32")


# --- bits ---------------------------------------------------------------------------------------------------------


def test_every_bit_of_real_numbers_comes_back_in_every_layout(lib, layout):
    for dtype in {"float16", "float32", "float64"} & set(lib.real):
        values = special_values(dtype)
        x = LAYOUTS[layout](lib, np.zeros(values.shape), dtype)
        if lib.writable:
            x[...] = lib.asarray(values, dtype)
        before, counter = lib.bits(x), iter(range(99))
        anygrad.numerical_gradient(lambda x: 1.0 * next(counter), x)
        assert lib.bits(x) == before


def test_every_bit_of_complex_numbers_comes_back(lib, complex_dtype):
    part = {"complex64": "float32", "complex128": "float64"}.get(complex_dtype)
    values = special_values(part)[:4].view(complex_dtype) if part else np.array([1 - 0.0j, complex(np.nan, -np.inf)])
    x = lib.asarray(values, complex_dtype)
    before, counter = lib.bits(x), iter(range(99))
    anygrad.numerical_gradient(lambda x: 1.0 * next(counter), x)
    assert lib.bits(x) == before


@pytest.mark.parametrize("dtype_name", ["float16", "float64", "complex64", ">f8"])
def test_unaligned_memory_comes_back_with_what_is_around_it(dtype_name):
    packed = np.zeros(3, dtype=[("tag", "u1"), ("value", dtype_name)])
    x = packed["value"]
    x[:] = [1, 2, 3]
    before = packed.tobytes()
    assert np.allclose(anygrad.numerical_gradient(lambda x: (x**2).sum(), x), [2, 4, 6], rtol=0.01)
    assert packed.tobytes() == before


# --- interrupts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("owner", ["HostMemory.restore", "restored"])
def test_x_comes_back_when_its_being_put_back_is_interrupted(monkeypatch, owner):
    """By a second Ctrl-C, during the cleaning up after the first; by a second and a third, before that begins."""
    from anygrad.backends import base
    from anygrad.backends.host import HostMemory

    holder, name = (HostMemory, "restore") if "." in owner else (base, owner)
    restore, interrupts = getattr(holder, name), [KeyboardInterrupt] * (1 if "." in owner else 2)

    def interrupted(memory):
        if interrupts:
            raise interrupts.pop()
        return restore(memory)

    monkeypatch.setattr(holder, name, interrupted)
    x = np.array([1.0, 2.0])
    with pytest.raises(KeyboardInterrupt):
        anygrad.numerical_gradient(lambda x: 1 / 0, x)
    assert np.array_equal(x, [1, 2])


def stopped_again_and_again(differentiate, x, seconds):
    """Call with a timer whose handler raises every so many seconds, also while the exception before is handled."""

    def handler(_, frame):
        if frame.f_globals["__name__"].startswith("anygrad."):  # not while the test, or a finalizer, cleans up
            raise StoppedError

    signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
        with suppress(StoppedError):
            differentiate(x)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, lambda *_: None)  # not the default, under which a late signal is an error


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Windows has no such timer")
@pytest.mark.libraries(lambda lib: lib.writable and not lib.slow)
@pytest.mark.parametrize(
    "differentiate",
    [
        lambda x: anygrad.numerical_gradient(lambda x: (x**2).sum(), x),
        lambda x: anygrad.numerical_gradient(lambda x: (x**2).sum(), x[::2]),
        lambda x: anygrad.numerical_gradient(lambda x: x.sum(), x, evaluator=anygrad.Loop(on_error="nan")),
        lambda x: anygrad.numerical_gradient(lambda p: sum(p).sum(), [x[i : i + 1] for i in range(8)]),
        lambda x: anygrad.jacobian(lambda x: x**2, x, scheme=anygrad.Central(order=4)),
        lambda x: anygrad.hessian(lambda x: (x**2).sum(), x),
        lambda x: anygrad.derivative(lambda x: x**2, x, scheme=anygrad.Central()),
        lambda x: anygrad.jvp(lambda x: x**2, x, x + 1),
    ],
    ids=["gradient", "strided", "on_error", "tree", "jacobian", "hessian", "derivative", "jvp"],
)
def test_x_comes_back_however_often_a_signal_interrupts_its_being_put_back(lib, differentiate):
    at = random.Random(0)
    for _ in range(100):
        x = lib.asarray(np.arange(8.0), "float32")
        stopped_again_and_again(differentiate, x, at.uniform(50e-6, 300e-6))
        assert np.array_equal(lib.numpy(x), np.arange(8.0))


@pytest.mark.parametrize("operator", [anygrad.numerical_gradient, anygrad.hessian])
def test_x_comes_back_where_no_memory_is_left_to_compare_it(monkeypatch, operator):
    from anygrad.backends.host import HostMemory

    x, f_failed = {"a": np.array([1.0, 2.0]), "b": np.array([3.0])}, False
    changed = HostMemory.changed

    def failing(memory, *of):
        if f_failed:
            raise MemoryError
        return changed(memory, *of)

    def f(_):
        nonlocal f_failed
        f_failed = True
        x["a"][1] = x["b"][0] = 4
        raise MemoryError

    monkeypatch.setattr(HostMemory, "changed", failing)
    with pytest.raises(MemoryError):
        operator(f, x)
    assert np.array_equal(x["a"], [1, 2])
    assert x["b"][0] == 3 or operator is anygrad.numerical_gradient  # which opens array after array


# --- an f that modifies its argument ------------------------------------------------------------------------------

IN_TREES = {
    "gradient of a tree": lambda f, x: anygrad.numerical_gradient(lambda p: f(p["x"]), {"y": x + 1, "x": x}),
    "hessian of a tree": lambda f, x: anygrad.hessian(lambda p: f(p["x"]), {"x": x}),
}
WRITTEN_TO = OF_NUMBERS | IN_TREES | OF_ARRAYS


@WRITABLE
@pytest.mark.parametrize("made", [LAYOUTS["contiguous"], strided], ids=["contiguous", "strided"])
@pytest.mark.parametrize("name", WRITTEN_TO)
def test_an_f_that_writes_to_x_at_any_one_call_is_noticed(lib, made, name):
    values = np.array([1.0, 2.0, 3.0])
    differentiate = WRITTEN_TO[name]
    calls = 0

    def f(x):
        nonlocal calls
        calls += 1
        if calls == fatal:
            x[element] = 9.0
        return 2 * x if name in OF_ARRAYS else lib.xp.sum(x)

    fatal = element = 0
    differentiate(f, made(lib, values, "float32"))
    for fatal in range(1, calls + 1):  # noqa: B007 - f reads it
        for element in range(3):  # noqa: B007 - likewise
            x, calls = made(lib, values, "float32"), 0
            with pytest.raises(ValueError, match=MODIFIES):
                differentiate(f, x)
            assert np.array_equal(lib.numpy(x), values)


@WRITABLE
@pytest.mark.parametrize("n", [1, LARGE])
@pytest.mark.parametrize("scheme", [anygrad.Central(), anygrad.Forward(), anygrad.Adaptive()], ids=repr)
@pytest.mark.parametrize("times", [1, 99])
def test_an_f_that_modifies_an_argument_of_which_all_elements_change_is_noticed(lib, n, scheme, times):
    """f(x) itself is evaluated first, last or never; and f modifies x at its first call alone, or at every one."""
    x = lib.asarray(np.linspace(1, 2, n), "float32")
    bits, calls = lib.bits(x), 0

    def f(x):
        nonlocal calls
        calls += 1
        if calls <= times:
            x *= 2
        return x**2

    for name in ("derivative", "jvp"):
        calls = 0
        with pytest.raises(ValueError, match=MODIFIES):
            OF_ARRAYS[name](f, x, scheme=scheme)
        assert lib.bits(x) == bits


@WRITABLE
@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("raises", [True, False])
@pytest.mark.parametrize("operator", [anygrad.numerical_gradient, anygrad.jacobian, anygrad.hessian])
def test_another_array_of_a_tree_that_f_modifies_comes_back(lib, operator, in_place, raises):
    x = {"a": vector(lib, 1.0, 2.0), "b": vector(lib, 3.0)}
    before = {name: lib.bits(array) for name, array in x.items()}
    calls = iter(range(99))

    def f(p):
        if next(calls) >= 2:
            p["b"][0] = 7.0
            if raises:
                raise StoppedError
        return lib.xp.sum(p["a"]) * lib.xp.sum(p["b"])

    with pytest.raises(StoppedError if raises else ValueError, match=None if raises else MODIFIES):
        operator(f, x, evaluator=anygrad.Loop(in_place=in_place))
    assert {name: lib.bits(array) for name, array in x.items()} == before


@pytest.mark.parametrize(("attribute", "value"), [("shape", (2, 3)), ("dtype", np.dtype("int64"))])
@pytest.mark.parametrize("full", [True, False])
def test_a_shape_or_dtype_that_f_assigns_to_x_is_noticed_and_undone(attribute, value, full):
    x = np.arange(6.0)

    def f(x):
        with warnings.catch_warnings(action="ignore"):
            setattr(x, attribute, value)
        return 1.0 * x.sum()

    with pytest.raises(ValueError, match=MODIFIES):
        anygrad.numerical_gradient(f, x, full_output=full)
    assert (x.shape, x.dtype) == ((6,), np.float64)
    assert np.array_equal(x, np.arange(6.0))


@pytest.mark.parametrize("operator", [anygrad.numerical_gradient, anygrad.hessian])
@pytest.mark.parametrize("when", [1, 6])
@pytest.mark.parametrize(
    ("make", "strides"),
    [
        (lambda: np.arange(6.0).reshape(2, 3).T, (0, 0)),
        (lambda: np.arange(12.0)[::2], (8,)),
        (lambda: np.asfortranarray(np.arange(6.0).reshape(2, 3)), (24, 8)),
    ],
    ids=["transposed", "strided", "Fortran's order"],
)
def test_strides_that_f_assigns_to_x_are_noticed_and_undone(operator, when, make, strides):
    x, calls = make(), 0
    before = x.strides, x.tobytes()

    def f(x):
        nonlocal calls
        calls += 1
        if calls == when:
            with warnings.catch_warnings(action="ignore"):
                x.strides = strides
        return 1.0

    for argument, own in ((x, f), ({"x": x}, lambda p: f(p["x"]))):
        calls = 0
        with pytest.raises(ValueError, match=MODIFIES):
            operator(own, argument)
        assert (x.strides, x.tobytes(), x.flags.forc) == (*before, make().flags.forc)


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
def test_an_f_of_many_points_that_writes_to_them_is_noticed_after_it_has_been_seen_not_to(n, first):
    f, x = Writing(), np.linspace(1, 2, n)
    assert np.allclose(anygrad.numerical_gradient(f, np.ones(3), evaluator=anygrad.Batch()), 2)
    f.from_now_on(first)
    with pytest.raises(ValueError, match=MODIFIES):
        anygrad.numerical_gradient(f, x, evaluator=anygrad.Batch(max_bytes=2 * x.nbytes))


@pytest.mark.parametrize("n", [3, LARGE])
@pytest.mark.parametrize(
    "differentiate",
    [
        lambda f, x: anygrad.jvp(f, x, x, evaluator=anygrad.Batch()),
        lambda f, x: anygrad.numerical_gradient_2d(f, x.reshape(-1, 1), evaluator=anygrad.Batch()),
    ],
    ids=["jvp", "numerical_gradient_2d"],
)
def test_an_f_of_many_points_that_writes_to_them_at_its_only_call_is_noticed(n, differentiate):
    f, x = Writing(), np.linspace(1, 2, n)
    differentiate(f, x)
    f.from_now_on(1)
    with pytest.raises(ValueError, match=MODIFIES):
        differentiate(f, x)


@pytest.mark.parametrize("n", [3, LARGE])
@pytest.mark.parametrize("evaluator", [anygrad.Loop(), anygrad.Loop(in_place=False), anygrad.Batch()], ids=repr)
def test_nan_is_not_taken_for_a_modification(n, evaluator):
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


@pytest.mark.libraries(lambda lib: lib.writable and lib.strides)
def test_nan_in_strided_memory_and_in_trees_is_not_taken_for_a_modification(lib):
    for x in (strided(lib, np.array([1.0, np.nan]), "float32"), {"x": vector(lib, np.nan, 1.0)}):
        anygrad.numerical_gradient(lambda _: 1.0, x)
        anygrad.hessian(lambda _: 1.0, x)


# --- what f is given besides --------------------------------------------------------------------------------------


def strides(array):
    return array.stride() if hasattr(array, "stride") else array.strides


@pytest.mark.libraries(lambda lib: lib.name in {"numpy", "cupy"} or lib.name.startswith("torch"))
def test_a_private_copy_has_the_axes_of_x_in_the_same_order_in_memory(lib):
    x = lib.xp.permute_dims(lib.asarray(np.ones((4, 3, 2)), "float32"), (2, 0, 1))
    seen = set()

    def f(x):
        seen.add(strides(x))
        return lib.xp.sum(x**2)

    for operator in (*OF_NUMBERS.values(), OF_ARRAYS["jvp"]):
        operator(f, x, evaluator=anygrad.Loop(in_place=False))
    assert seen == {strides(x)}


UNDER_SETTINGS = OF_NUMBERS | {
    "numerical_gradient by default": lambda f, x, scheme, **options: anygrad.numerical_gradient(f, x, **options),
    "jacobian": anygrad.jacobian,
    "jvp": OF_ARRAYS["jvp"],
    "derivative": lambda f, x, **options: anygrad.derivative(lambda x: f(x[..., None]), x, **options),
}
SETTINGS = [
    {"divide": "raise", "over": "warn", "under": "print", "invalid": "raise"},
    {"divide": "ignore", "over": "raise", "under": "raise", "invalid": "warn"},
]


@pytest.mark.parametrize("name", UNDER_SETTINGS)
@pytest.mark.parametrize("scheme", [anygrad.Central(), anygrad.Forward(), anygrad.Adaptive()], ids=repr)
@pytest.mark.parametrize("evaluator", [anygrad.Loop(), anygrad.Loop(in_place=False), anygrad.Batch()], ids=repr)
def test_f_runs_under_the_callers_error_settings(name, scheme, evaluator):
    """anygrad's own arithmetic runs under others."""
    for settings in SETTINGS:
        seen = []

        def f(x):
            seen.append(np.geterr())
            return (x**2).sum(-1)

        with np.errstate(**settings):
            for _ in range(2):  # seen before, f may be called another way
                UNDER_SETTINGS[name](f, np.array([1.0, 2.0]), scheme=scheme, evaluator=evaluator)
        assert seen
        assert all(own == settings for own in seen)
