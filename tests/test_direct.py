"""A gradient of which nothing else is asked takes a shorter way: it is the same, whatever happens on it."""

from __future__ import annotations

import signal
import warnings
from dataclasses import replace

import numpy as np
import pytest
from layouts import LAYOUTS
from outcomes import outcome

import anygrad
from anygrad.backends import resolve

NUMBERS = np.array([[0.5, -1.25, 3.0], [2.0, 15.0, -0.001]])
# With these the step is one for all elements, or it is not.
SETTINGS = {
    "default": {},
    "a step": {"h": 1e-3},
    "fourth order": {"scheme": anygrad.Central(order=4, step=1e-2)},
    "steps of its own": {"scheme": anygrad.Central()},
}

EVALUATORS = [anygrad.Loop(), anygrad.Loop(in_place=False), anygrad.Batch()]


def both(f, x, **options):
    """Return the outcome of the direct way, and that of the other one."""
    short = outcome(lambda: anygrad.numerical_gradient(f, x, **options))
    long = outcome(lambda: getattr((r := anygrad.numerical_gradient(f, x, full_output=True, **options)), "value", r))
    return short, long


def require_same(lib, short, long):
    (one, warned), (other, likewise) = short, long
    assert warned == likewise
    if isinstance(one, tuple):
        assert one == other
    else:
        assert (type(one), one.dtype, one.shape) == (type(other), other.dtype, other.shape)
        assert np.array_equal(lib.numpy(one), lib.numpy(other), equal_nan=True)


@pytest.mark.libraries(lambda lib: not lib.lazy)
@pytest.mark.parametrize("name", SETTINGS)
def test_the_numbers_are_the_same(lib, layout, name):
    for dtype in lib.real:
        if dtype in {"bfloat16", "float16"}:
            continue
        x = LAYOUTS[layout](lib, NUMBERS, dtype)
        before = lib.bits(x)
        require_same(lib, *both(lambda x: lib.xp.sum(x**3), x, **SETTINGS[name]))
        assert lib.bits(x) == before


@pytest.mark.libraries(lambda lib: not lib.lazy)
@pytest.mark.parametrize("size", [0, 1, 2, pytest.param(70, marks=pytest.mark.libraries(lambda lib: not lib.slow))])
@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_any_number_of_elements(lib, size, evaluator):
    x = lib.asarray(np.linspace(-3, 3, size), "float64" if "float64" in lib.real else "float32")

    def f(x):
        return lib.xp.sum(x**2 + x, axis=-1)

    for _ in range(2):  # at first Batch() looks whether f takes each point on its own
        require_same(lib, *both(f, x, evaluator=evaluator))


@pytest.mark.parametrize("size", [4096, 4097])
@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_more_elements_than_go_the_short_way(size, evaluator):
    x = np.linspace(-3, 3, size)
    for _ in range(2):
        require_same_but_nan(*both(lambda x: (x**2).sum(-1), x, evaluator=evaluator))


@pytest.mark.libraries(lambda lib: lib.name.startswith(("torch", "jax")))
@pytest.mark.parametrize("size", [1, 2, 20])
def test_a_vectorised_f(lib, size):
    x = lib.asarray(np.linspace(0.5, 3, size), "float64" if "float64" in lib.real else "float32")
    require_same(lib, *both(lambda x: lib.xp.sum(lib.xp.sin(x) ** 2), x, evaluator=anygrad.Vmap()))
    require_same(lib, *both(lambda x: float(x[0]), x, evaluator=anygrad.Vmap()))
    require_same(lib, *both(lambda x: x, x, evaluator=anygrad.Vmap()))
    require_same(lib, *both(lambda x: lib.xp.sum(x) * 0, x, evaluator=anygrad.Vmap()))


@pytest.mark.libraries(lambda lib: lib.writable)
def test_as_many_calls_and_at_the_same_points(lib):
    x = lib.asarray(NUMBERS, "float32")
    x = lib.asarray(NUMBERS, "float64") if "float64" in lib.real else x
    points = []

    def f(given):
        points.append(lib.bits(given))
        return lib.xp.sum(given**2)

    anygrad.numerical_gradient(f, x)
    direct, points[:] = list(points), []
    anygrad.numerical_gradient(f, x, full_output=True)
    assert direct == points
    assert len(points) == 2 * NUMBERS.size


def raises_at(count):
    calls = iter(range(100))

    def f(x):
        if next(calls) == count:
            raise KeyError("there")
        return x.sum()

    return f


def writes(x):
    x += 1
    return x.sum()


def writes_later():
    calls = iter(range(100))

    def f(x):
        if next(calls) == 5:
            x[0, 0] = 7
        return x.sum()

    return f


BAD = {
    "raises at first": lambda: raises_at(0),
    "raises later": lambda: raises_at(7),
    "writes to its argument": lambda: writes,
    "writes to it later": writes_later,
    "returns nothing": lambda: lambda x: None,
    "returns a vector": lambda: lambda x: x,
    "returns a complex number": lambda: lambda x: 1j * x.sum(),
    "returns a complex number later": lambda: lambda x: x.sum() if x[0, 0] == 0.5 else 1j,
    "returns text": lambda: lambda x: "0.5",
    "is constant": lambda: lambda x: 3.0,
    "is not finite": lambda: lambda x: np.log(-np.abs(x.sum())),
    "takes two arguments": lambda: lambda x, t: 0.0,
}


@pytest.mark.parametrize("name", BAD)
def test_what_goes_wrong_goes_wrong_alike(name):
    x = NUMBERS.copy()
    short = outcome(lambda: anygrad.numerical_gradient(BAD[name](), x))
    assert x.tobytes() == NUMBERS.tobytes()
    long = outcome(lambda: anygrad.numerical_gradient(BAD[name](), x, full_output=True).value)
    if isinstance(short[0], tuple):
        assert short == long
    else:
        assert np.array_equal(short[0], long[0], equal_nan=True)
        assert short[1] == long[1]


def at_call(count, act):
    """Return the first element of x, until at a call something is done with x instead."""
    calls = iter(range(20_000))
    return lambda x: act(x) if next(calls) == count else float(x[0])


def stops(x):
    raise StopIteration("there")


LATE = {
    "stops": stops,
    "raises": lambda x: 1 / 0,
    "is interrupted": lambda x: signal.raise_signal(signal.SIGINT),
    "writes to its argument": lambda x: x.fill(7) or 0.0,
    "returns x": lambda x: x,
    "returns a view of x": lambda x: x[:1],
    "returns a complex number": lambda x: 1j,
}


@pytest.mark.parametrize("name", LATE)
@pytest.mark.parametrize("count", [8191, 8192, 8193, 9999])
def test_what_goes_wrong_late_goes_wrong_alike(name, count):
    numbers = np.linspace(1, 2, 5000)  # more than one block of elements
    x = numbers.copy()
    short, long = (
        outcome(lambda: anygrad.numerical_gradient(at_call(count, LATE[name]), x, **options))
        for options in ({}, {"progress": lambda done, total: None})
    )
    assert x.tobytes() == numbers.tobytes()
    require_same_but_nan(short, long)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.sum(axis=(-1, -2)) * 0 + 1,
        lambda x: x.sum(),
        lambda x: x,
        lambda x: writes(x) * np.ones(len(x)),
        lambda x: np.log(-np.abs(x).sum(axis=(-1, -2))),
    ],
    ids=["constant", "without axes", "the points", "writes", "not finite"],
)
def test_a_batched_f_goes_wrong_alike(f):
    for _ in range(2):
        require_same_but_nan(*both(f, NUMBERS.copy(), evaluator=anygrad.Batch()))


def require_same_but_nan(short, long):
    assert set(short[1]) == set(long[1])  # NumPy warns of each call of f
    if isinstance(short[0], tuple):
        assert short[0] == long[0]
    else:
        assert np.array_equal(short[0], long[0], equal_nan=True)


def test_a_batched_f_is_called_as_often():
    for f in functional, lambda x: x[:, 1] ** 2, lambda x: 0 * x[:, 0], lambda x: (x**2).sum(-1):
        counts = []

        def counted(x, f=f, counts=counts):
            counts[-1] += 1
            return f(x)

        for options in {}, {}, {"full_output": True}:  # the first time it is looked at, besides
            counts.append(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                anygrad.numerical_gradient(counted, np.zeros(3), evaluator=anygrad.Batch(), **options)
        assert counts[1] == counts[2]


WRITTEN = {"its own element": (0, 0), "another one": (0, 1), "the last one": (-1, -1)}


@pytest.mark.libraries(lambda lib: lib.writable)
@pytest.mark.parametrize("place", WRITTEN)
@pytest.mark.parametrize("value", [7.0, float("nan")])
def test_what_f_writes_to_its_points_is_noticed(lib, place, value):
    x = lib.asarray(np.array([0.5, -1.25, 3.0]), "float64" if "float64" in lib.real else "float32")
    before = lib.bits(x)
    written = []

    def f(points):
        if written:
            points[WRITTEN[place]] = value
        return lib.xp.sum(points**2, axis=-1)

    anygrad.numerical_gradient(f, x, evaluator=anygrad.Batch())
    written.append(True)
    for options in {}, {"full_output": True}:
        with pytest.raises(ValueError, match="modifies its argument"):
            anygrad.numerical_gradient(f, x, evaluator=anygrad.Batch(), **options)
    assert lib.bits(x) == before


@pytest.mark.libraries(lambda lib: lib.name == "torch")
@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("on_host", [True, False])
@pytest.mark.filterwarnings("error")
def test_points_of_tensors(lib, monkeypatch, requires_grad, on_host):
    """Also as where x is not in the host's memory: of a machine without such a device, on the CPU."""
    x = lib.asarray(NUMBERS, "float64").requires_grad_(requires_grad)
    monkeypatch.setattr(resolve(x), "in_host_memory", lambda x: on_host)
    weight = lib.asarray(np.array(1.0), "float64").requires_grad_()
    for evaluator in anygrad.Batch(), anygrad.Vmap():

        def f(x):
            return (weight * x**3).sum((-1, -2))

        for _ in range(2):
            short, long = both(f, x, evaluator=evaluator)
            require_same(lib, short, long)
            assert not short[0].requires_grad
    with pytest.raises(ValueError, match="modifies its argument"):
        anygrad.numerical_gradient(lambda x: (x.mul_(2)).sum((-1, -2)), x.detach(), evaluator=anygrad.Vmap())
    assert lib.bits(x.detach()) == NUMBERS.tobytes()


@pytest.mark.parametrize("number", [1e250, 1e160, 1e100, 1e-100, 1e-170, -np.inf])
@pytest.mark.parametrize("h", [1e-300, 1e-200, 1e-150, 1e140, 1e150, 1e284, 1e290])
def test_steps_whose_squares_are_no_numbers(number, h):
    def f(x):
        return x.sum(-1)

    anygrad.numerical_gradient(f, np.ones(2), evaluator=anygrad.Batch())  # from now on it need not be looked at
    require_same_but_nan(*both(f, np.array([number, 1.0]), h=h, evaluator=anygrad.Batch()))


def resizes(x):
    x.resize((40,), refcheck=False)
    return x.sum()


def reshapes(x):
    values = (x**2).sum((-1, -2))
    x.shape = (-1,)
    return values.tolist()


def changes_the_settings(x):
    np.seterr(all="raise")
    return np.full(len(x), 2.0)


REUSED = np.empty(100)


def returns_the_same_array(x):
    values = REUSED[: len(x)]
    values[:] = 1.0 if len(x) > 1 else 5.0
    return values


UNUSUAL = [
    resizes,
    reshapes,
    changes_the_settings,
    returns_the_same_array,
    lambda x: np.full(len(x), np.longdouble(1) / 3),
]


@pytest.mark.parametrize("f", UNUSUAL)
@pytest.mark.filterwarnings("ignore:Setting the shape")
def test_a_batched_f_that_does_something_unusual(f):
    known = []

    def later(x):
        return f(x) if known else (x**2).sum((-1, -2))

    anygrad.numerical_gradient(later, NUMBERS, evaluator=anygrad.Batch())
    known.append(True)
    settings = np.geterr()
    require_same_but_nan(*both(later, NUMBERS.copy(), evaluator=anygrad.Batch()))
    assert np.geterr() == settings


class Loud(anygrad.Loop):
    def session(self, target):
        raise NotImplementedError("session")


class Doubling(anygrad.Central):
    def differentiate(self, lines, steps, n=1):
        slopes = super().differentiate(lines, steps, n)
        return replace(slopes, value=2 * slopes.value)


class Foreign:
    without_session = uniform_stencil = leading = True

    def session(self, target):
        return anygrad.Loop().session(target)


def test_classes_of_others_go_the_long_way():
    x = np.array([1.0, 2.0])
    with pytest.raises(NotImplementedError, match="session"):
        anygrad.numerical_gradient(np.sum, x, evaluator=Loud())
    assert anygrad.numerical_gradient(np.sum, x, scheme=Doubling(step=1e-4)) == pytest.approx([2, 2])
    assert anygrad.numerical_gradient(np.sum, x, evaluator=Foreign()) == pytest.approx([1, 1])


@pytest.mark.parametrize("evaluator", [anygrad.Loop(), anygrad.Batch()])
def test_f_alone_runs_under_the_settings_of_numpy(evaluator):
    seen = []

    def f(x):
        seen.append(np.geterr()["over"])
        np.seterr(over="ignore")
        return np.where(x.sum(-1) > 0, 1.7e308, -1.7e308)

    for _ in range(2):
        with np.errstate(all="raise"):
            anygrad.numerical_gradient(f, np.array([5e-5, 0.0]), evaluator=evaluator)
            assert np.geterr()["over"] == "raise"
    assert "raise" in seen


@pytest.mark.parametrize("numbers", [[np.nan, 1.0], [np.inf, 1.0], [1e300, 1.0], [17.0, 1.0], [5e-324, -0.0]])
def test_any_numbers(numbers):
    for evaluator in anygrad.Loop(), anygrad.Batch():
        for options in {}, {"h": 1e-3}:
            f = np.sum if evaluator == anygrad.Loop() else functional
            require_same_but_nan(*both(f, np.array(numbers), evaluator=evaluator, **options))


def functional(x):
    return x.sum(axis=-1)


@pytest.mark.parametrize("h", [1e-20, 0.0, -1.0, np.nan])
def test_steps_that_are_none(h):
    short, long = both(np.sum, np.ones(3), h=h)
    assert short == long
    assert short[0][0] is ValueError


@pytest.mark.parametrize("evaluator", [anygrad.Loop(), anygrad.Batch()])
@pytest.mark.parametrize("numbers", [[np.nan] * 3, [np.inf, -np.inf], [1e300, 1.0], [5e-324] * 3, [1e308, 17.0]])
def test_no_number_of_x_makes_numpy_warn_or_raise(evaluator, numbers):
    def f(x):
        with np.errstate(all="ignore"):
            return x.sum(-1)

    for options in {}, {"h": 1e-3}, {"h": 1e308}:
        for _ in range(2):
            with np.errstate(all="raise"):
                found, warned = outcome(
                    lambda options=options: anygrad.numerical_gradient(
                        f, np.array(numbers), evaluator=evaluator, **options
                    )
                )
            assert not isinstance(found, tuple) or "too small" in found[1]
            assert not warned
