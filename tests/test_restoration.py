"""Whatever happens, x comes back bit for bit."""

from __future__ import annotations

import random
import signal
import warnings
from contextlib import suppress

import numpy as np
import pytest
from layouts import LAYOUTS

import anygrad

SCHEMES = [None, anygrad.Central(order=4), anygrad.Forward(), anygrad.Backward(order=2)]


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


@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
@pytest.mark.parametrize("error", [StoppedError, KeyboardInterrupt, StopIteration])
def test_f_raises_at_any_call(lib, scheme, error):
    x = lib.asarray(np.array([[1.0, -0.0], [np.nan, 4.0]]), "float32")
    before = lib.bits(x)
    calls = (scheme or anygrad.Central()).calls(4)
    for fatal in range(1, calls + 1):
        count = 0

        def f(x):
            nonlocal count
            count += 1
            if count == fatal:
                raise error
            return 0.0 * count

        with pytest.raises(error):
            anygrad.numerical_gradient(f, x, scheme=scheme)
        assert count == fatal
        assert lib.bits(x) == before


def test_every_bit_of_every_layout(lib, layout):
    for dtype in {"float16", "float32", "float64"} & set(lib.real):
        values = special_values(dtype)
        x = LAYOUTS[layout](lib, np.zeros(values.shape), dtype)
        if lib.writable:
            x[...] = lib.asarray(values, dtype)
        before = lib.bits(x)
        counter = iter(range(99))
        anygrad.numerical_gradient(lambda x: 1.0 * next(counter), x)
        assert lib.bits(x) == before


def test_complex_numbers(lib, complex_dtype):
    part = {"complex64": "float32", "complex128": "float64"}.get(complex_dtype)
    values = special_values(part)[:4].view(complex_dtype) if part else np.array([1 - 0.0j, complex(np.nan, -np.inf)])
    x = lib.asarray(values, complex_dtype)
    before, counter = lib.bits(x), iter(range(99))
    anygrad.numerical_gradient(lambda x: 1.0 * next(counter), x)
    assert lib.bits(x) == before


@pytest.mark.libraries(lambda lib: lib.writable)
@pytest.mark.parametrize("when", [0, 3])
def test_f_modifies_its_argument(lib, when):
    x = lib.asarray(np.array([1.0, 2.0, 3.0]), "float32")
    before = lib.bits(x)
    calls = iter(range(99))

    def f(x):
        if next(calls) >= when:
            x[2] = 7.0
        return lib.xp.sum(x)

    with pytest.raises(ValueError, match=r"modifies its argument.*copy"):
        anygrad.numerical_gradient(f, x)
    assert lib.bits(x) == before


def strided(lib, values):
    return lib.asarray(np.repeat(values, 2), "float32")[::2]


@pytest.mark.libraries(lambda lib: lib.writable)
@pytest.mark.parametrize("make", [lambda lib, values: lib.asarray(values, "float32"), strided])
@pytest.mark.parametrize(
    ("differentiate", "factor"),
    [
        (anygrad.numerical_gradient, 0),
        (anygrad.jacobian, 2),
        (anygrad.hessian, 0),
        (anygrad.laplacian, 0),
        (anygrad.derivative, 2),
        (lambda f, x: anygrad.jvp(f, x, x), 2),
        (lambda f, x: anygrad.hvp(f, x, x), 0),
        (lambda f, x: anygrad.numerical_gradient(lambda p: f(p["x"]), {"y": x + 1, "x": x}), 0),
        (lambda f, x: anygrad.hessian(lambda p: f(p["x"]), {"x": x}), 0),
    ],
)
def test_an_f_that_writes_to_x_at_any_one_call_is_noticed(lib, make, differentiate, factor):
    values = np.array([1.0, 2.0, 3.0])
    calls = 0

    def f(x):
        nonlocal calls
        calls += 1
        if calls == fatal:
            x[element] = 9.0
        return factor * x if factor else lib.xp.sum(x)

    fatal = element = 0
    differentiate(f, make(lib, values))
    for fatal in range(1, calls + 1):  # noqa: B007 - f reads it
        for element in range(3):  # noqa: B007 - likewise
            x, calls = make(lib, values), 0
            with pytest.raises(ValueError, match="modifies its argument"):
                differentiate(f, x)
            assert np.array_equal(lib.numpy(x), values)


@pytest.mark.libraries(lambda lib: lib.writable and lib.strides)
def test_an_element_that_is_nan_is_not_taken_for_one_that_f_has_written_to(lib):
    for x in (strided(lib, np.array([1.0, np.nan])), {"x": lib.asarray(np.array([np.nan, 1.0]), "float32")}):
        anygrad.numerical_gradient(lambda _: 1.0, x)
        anygrad.hessian(lambda _: 1.0, x)


@pytest.mark.libraries(lambda lib: lib.writable)
@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("operator", [anygrad.numerical_gradient, anygrad.jacobian, anygrad.hessian])
def test_f_modifies_another_array_of_a_tree(lib, operator, in_place):
    x = {"a": lib.asarray(np.array([1.0, 2.0]), "float32"), "b": lib.asarray(np.array([3.0]), "float32")}
    before = {name: lib.bits(array) for name, array in x.items()}
    calls = iter(range(99))

    def f(p):
        if next(calls) >= 2:
            p["b"][0] = 7.0
        return lib.xp.sum(p["a"]) * lib.xp.sum(p["b"])

    with pytest.raises(ValueError, match="modifies its argument"):
        operator(f, x, evaluator=anygrad.Loop(in_place=in_place))
    assert {name: lib.bits(array) for name, array in x.items()} == before


@pytest.mark.libraries(lambda lib: lib.writable)
def test_f_raises_after_it_has_modified_another_array_of_a_tree(lib):
    x = [lib.asarray(np.array([1.0, 2.0]), "float32"), lib.asarray(np.array([3.0]), "float32")]
    before = [lib.bits(array) for array in x]

    def f(p):
        p[1][0] = 7.0
        raise StoppedError

    with pytest.raises(StoppedError):
        anygrad.numerical_gradient(f, x)
    assert [lib.bits(array) for array in x] == before


@pytest.mark.parametrize(("attribute", "value"), [("shape", (2, 3)), ("dtype", np.dtype("int64"))])
@pytest.mark.parametrize("full", [True, False])
def test_f_gives_its_argument_another_shape_or_dtype(attribute, value, full):
    x = np.arange(6.0)

    def f(x):
        with warnings.catch_warnings(action="ignore"):
            setattr(x, attribute, value)
        return 1.0 * x.sum()

    with pytest.raises(ValueError, match="modifies its argument"):
        anygrad.numerical_gradient(f, x, full_output=full)
    assert (x.shape, x.dtype) == ((6,), np.float64)
    assert np.array_equal(x, np.arange(6.0))


@pytest.mark.parametrize("operator", [anygrad.numerical_gradient, anygrad.hessian])
@pytest.mark.parametrize("when", [1, 6])
@pytest.mark.parametrize(
    ("make", "strides"),
    [
        (lambda: np.arange(6.0), (0,)),
        (lambda: np.arange(6.0).reshape(2, 3), (8, 16)),
        (lambda: np.arange(6.0).reshape(2, 3), (8, 8)),
        (lambda: np.arange(6.0).reshape(2, 3).T, (0, 0)),
        (lambda: np.arange(12.0)[::2], (8,)),
        (lambda: np.asfortranarray(np.arange(6.0).reshape(2, 3)), (24, 8)),
    ],
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
        with pytest.raises(ValueError, match="modifies its argument"):
            operator(own, argument)
        assert (x.strides, x.tobytes()) == before
        assert x.flags.forc == make().flags.forc


@pytest.mark.libraries(lambda lib: lib.writable)
def test_f_modifies_the_only_element(lib):
    x = lib.asarray(np.array([1.0]), "float32")

    def f(x):
        x[0] = 2 * x[0]
        return lib.xp.sum(x)

    with pytest.raises(ValueError, match="modifies its argument"):
        anygrad.numerical_gradient(f, x)
    assert lib.numpy(x) == [1.0]


@pytest.mark.libraries(lambda lib: lib.name == "numpy")
def test_an_array_in_foreign_byte_order(lib):
    x = special_values("float64").astype(">f8")
    values = x.tobytes()
    gradient = anygrad.numerical_gradient(lambda x: x[1] * 3, x)
    assert x.tobytes() == values
    assert gradient.dtype == x.dtype
    assert gradient[1] == pytest.approx(3)


@pytest.mark.libraries(lambda lib: lib.writable)
def test_a_sign_of_zero_that_f_loses_comes_back(lib):
    x = lib.asarray(np.array([-0.0, 1.0]), "float32")
    before = lib.bits(x)

    def f(x):
        x += 0.0
        return lib.xp.sum(x**2)

    with suppress(ValueError):  # "f modifies its argument", where bits can be compared
        anygrad.numerical_gradient(f, x)
    assert lib.bits(x) == before


def test_an_interrupt_while_x_is_put_back(monkeypatch):
    """A second Ctrl-C, during the cleaning up after the first."""
    from anygrad.backends.host import HostMemory

    restore, interrupted = HostMemory.restore, []

    def interrupted_once(memory):
        if not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt
        restore(memory)

    def f(x):
        raise ZeroDivisionError

    monkeypatch.setattr(HostMemory, "restore", interrupted_once)
    x = np.array([1.0, 2.0])
    with pytest.raises(KeyboardInterrupt):
        anygrad.numerical_gradient(f, x)
    assert np.array_equal(x, [1, 2])


def stopped_again_and_again(differentiate, x, seconds):
    """Call with a timer whose handler raises every so many seconds, also while the exception before is handled."""

    def handler(_, frame):
        if frame.f_globals["__name__"].startswith("anygrad."):  # not while the test, or a finalizer, cleans up
            raise StoppedError

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
        with suppress(StoppedError):
            differentiate(x)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Windows has no such timer")
@pytest.mark.libraries(lambda lib: lib.writable and not lib.slow)
@pytest.mark.parametrize(
    "differentiate",
    [
        lambda x: anygrad.numerical_gradient(lambda x: (x**2).sum(), x),
        lambda x: anygrad.numerical_gradient(lambda x: (x**2).sum(), x[::2]),
        lambda x: anygrad.numerical_gradient(lambda x: x.sum(), x, evaluator=anygrad.Loop(on_error="nan")),
        lambda x: anygrad.numerical_gradient(lambda p: p[0].sum() * p[1].sum(), [x[:2], x[2:]]),
        lambda x: anygrad.numerical_gradient(lambda p: sum(p).sum(), [x[i : i + 1] for i in range(8)]),
        lambda x: anygrad.jacobian(lambda x: x**2, x, scheme=anygrad.Central(order=4)),
        lambda x: anygrad.hessian(lambda x: (x**2).sum(), x),
        lambda x: anygrad.derivative(lambda x: x**2, x),
        lambda x: anygrad.jvp(lambda x: x**2, x, x + 1),
    ],
)
def test_x_comes_back_however_often_a_signal_interrupts_its_being_put_back(lib, differentiate):
    at = random.Random(0)
    for _ in range(200):
        x = lib.asarray(np.arange(8.0), "float32")
        stopped_again_and_again(differentiate, x, at.uniform(50e-6, 300e-6))
        assert np.array_equal(lib.numpy(x), np.arange(8.0))


def test_x_comes_back_when_two_interrupts_come_before_its_being_put_back_begins(monkeypatch):
    from anygrad.backends import base

    restored, interrupted = base.restored, []

    def interrupted_twice(memory):
        if len(interrupted) < 2:
            interrupted.append(True)
            raise StoppedError
        return restored(memory)

    monkeypatch.setattr(base, "restored", interrupted_twice)
    x = np.array([1.0, 2.0])
    with pytest.raises(StoppedError):
        anygrad.numerical_gradient(lambda x: 1 / 0, x)
    assert np.array_equal(x, [1, 2])


@pytest.mark.parametrize("operator", [anygrad.numerical_gradient, anygrad.hessian])
def test_no_memory_left_to_compare_x(monkeypatch, operator):
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


@pytest.mark.parametrize("dtype_name", ["float16", "float32", "float64", "complex64", ">f8"])
def test_unaligned_memory(dtype_name):
    packed = np.zeros(3, dtype=[("tag", "u1"), ("value", dtype_name)])
    x = packed["value"]
    x[:] = [1, 2, 3]
    before = packed.tobytes()
    gradient = anygrad.numerical_gradient(lambda x: (x**2).sum(), x)
    assert np.allclose(gradient, [2, 4, 6], rtol=0.01)
    assert packed.tobytes() == before
