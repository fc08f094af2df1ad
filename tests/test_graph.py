"""Functions that a device is told once to evaluate, and does so at all points: ``Loop(graph=True)``."""

from __future__ import annotations

import array_api_compat
import numpy as np
import pytest
from evaluators import on_a_graph
from layouts import LAYOUTS

import anygrad
from anygrad import Loop
from anygrad.backends import cuda_graph

GRAPH = Loop(graph=True)
CUDA = {"cupy", "torch-cuda"}
SIZE = 40
X = np.random.default_rng(7).uniform(-1.0, 1.0, SIZE)
NOT_RECORDED = r"could not be recorded as a CUDA graph, and is called at every point instead \((.*)\)"
recording = pytest.mark.libraries.with_args(on_a_graph)


def waves(lib, x):
    return lib.xp.sum(lib.xp.sin(x) * x)


class Counted:
    """A function that counts its calls."""

    def __init__(self, f):
        self.f, self.calls = f, 0

    def __call__(self, x):
        self.calls += 1
        return self.f(x)


@pytest.fixture
def recorders(lib, monkeypatch):
    """Give libraries without CUDA graphs, whose arrays are writable, recorders that call f again instead."""
    if not on_a_graph(lib) or lib.name in CUDA:
        return
    monkeypatch.setattr(cuda_graph, "recorder_for", lambda memory: ByCalls)


class ByCalls:
    """A recorder that calls f."""

    def __init__(self, x, route, values):
        self.x, self.route, self.kept = x, route, values
        self.position = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def restart(self):
        self.position = -1
        self._go()

    def step(self, value):
        self.kept[self.position, ...] = value
        self._go()

    def record(self, work):
        return work

    def values(self, count):
        return array_api_compat.array_namespace(self.kept).asarray(self.kept[:count, ...], copy=True)

    def wait(self):
        return None

    def _go(self):
        self.position += 1
        for k in (0, 1):
            place = np.unravel_index(int(self.route.places[self.position, k]), self.x.shape)
            self.x[tuple(map(int, place))] = self.route.numbers[self.position, k]


pytestmark = pytest.mark.usefixtures("recorders")


@recording
@pytest.mark.parametrize(
    "scheme", [anygrad.Central(), anygrad.Central(order=4), anygrad.Forward(), anygrad.Adaptive(), anygrad.Complex()]
)
def test_gradients_have_the_bits_of_the_loop(lib, scheme):
    x = lib.asarray(X, "float64")
    expected = anygrad.numerical_gradient(lambda x: waves(lib, x), x, scheme=scheme)
    result = anygrad.numerical_gradient(lambda x: waves(lib, x), x, scheme=scheme, evaluator=GRAPH)
    assert lib.bits(result) == lib.bits(expected)
    assert lib.bits(x) == lib.bits(lib.asarray(X, "float64"))


@recording
def test_every_dtype(lib, dtype):
    x = lib.asarray(X, dtype)
    before = lib.bits(x)
    expected = anygrad.numerical_gradient(lambda x: waves(lib, x), x)
    assert lib.bits(anygrad.numerical_gradient(lambda x: waves(lib, x), x, evaluator=GRAPH)) == lib.bits(expected)
    assert lib.bits(x) == before


@recording
def test_complex_x(lib):
    x = lib.asarray(X + 1j * X[::-1], "complex128")
    for f in (lambda x: lib.xp.sum(x * x * x), lambda x: lib.xp.sum(lib.xp.abs(x * x))):
        expected = anygrad.numerical_gradient(f, x)
        assert lib.bits(anygrad.numerical_gradient(f, x, evaluator=GRAPH)) == lib.bits(expected)


@recording
def test_every_layout(lib, layout):
    x = LAYOUTS[layout](lib, X.reshape(5, 8), "float64")
    before = lib.numpy(x).copy()
    expected = anygrad.numerical_gradient(lambda x: waves(lib, x), x)
    assert lib.bits(anygrad.numerical_gradient(lambda x: waves(lib, x), x, evaluator=GRAPH)) == lib.bits(expected)
    assert np.array_equal(lib.numpy(x), before)


@recording
def test_jacobians(lib):
    x = lib.asarray(X, "float64")

    def f(x):
        return {"a": lib.xp.reshape(lib.xp.sin(x), (5, 8)), "b": lib.xp.sum(x * x)}

    expected, value = anygrad.jacobian(f, x), anygrad.jacobian(f, x, evaluator=GRAPH)
    assert {name: lib.bits(value[name]) for name in "ab"} == {name: lib.bits(expected[name]) for name in "ab"}


@recording
def test_it_is_seen_through_closures(lib):
    x = lib.asarray(X, "float64")
    expected = anygrad.numerical_gradient(lambda x: waves(lib, x), x)
    assert lib.bits(anygrad.numerical_gradient(lambda _: waves(lib, x), x, evaluator=GRAPH)) == lib.bits(expected)


@recording
def test_views_of_x_as_values(lib):
    x = lib.asarray(X, "float64")
    gradient = lib.numpy(anygrad.numerical_gradient(lambda x: x[3], x, evaluator=GRAPH))
    assert np.allclose(gradient, np.arange(SIZE) == 3, atol=1e-7)


@recording
def test_what_is_reported(lib):
    x = lib.asarray(X, "float64")
    seen = []
    result = anygrad.numerical_gradient(
        lambda x: waves(lib, x),
        x,
        evaluator=GRAPH,
        full_output=True,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert result.ncalls == result.npoints == 2 * SIZE
    assert seen[-1] == (2 * SIZE, 2 * SIZE)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.libraries(lambda lib: lib.name in CUDA)
def test_f_is_called_at_a_few_points(lib):
    f = Counted(lambda x: waves(lib, x))
    anygrad.numerical_gradient(f, lib.asarray(X, "float64"), evaluator=GRAPH)
    assert f.calls < 40


@recording
def test_few_points_are_called(lib):
    f = Counted(lambda x: waves(lib, x))
    anygrad.numerical_gradient(f, lib.asarray(X[:5], "float64"), evaluator=GRAPH)
    assert f.calls == 10


# --- what cannot be recorded --------------------------------------------------------------------------------------


def waits(lib, x):
    return float(waves(lib, x))


def changes(lib):
    calls = 0

    def f(x):
        nonlocal calls
        calls += 1
        return waves(lib, x) + 1e-3 * calls

    return f


@recording
def test_a_number_on_the_host(lib):
    x = lib.asarray(X, "float64")
    with pytest.warns(RuntimeWarning, match=NOT_RECORDED) as caught:
        gradient = anygrad.numerical_gradient(lambda x: waits(lib, x), x, evaluator=GRAPH)
    assert caught[0].filename == __file__
    assert lib.bits(gradient) == lib.bits(anygrad.numerical_gradient(lambda x: waits(lib, x), x))


@recording
def test_a_branch_that_waits_for_the_device(lib, monkeypatch):
    def refused(self, work):
        work()
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    monkeypatch.setattr(ByCalls, "record", refused)  # CUDA's own recorders refuse by themselves
    x = lib.asarray(X, "float64")

    def f(x):
        return waves(lib, x) if x[0] > -2.0 else x[0]

    for _ in range(2):
        with pytest.warns(RuntimeWarning, match=NOT_RECORDED):
            gradient = anygrad.numerical_gradient(f, x, evaluator=GRAPH)
        assert lib.bits(gradient) == lib.bits(anygrad.numerical_gradient(f, x))
        assert lib.bits(x) == lib.bits(lib.asarray(X, "float64"))


@pytest.mark.libraries(lambda lib: lib.name == "torch-cuda")
def test_random_numbers_go_on_after_a_capture_that_failed(lib):
    x = lib.asarray(X, "float64")
    with pytest.warns(RuntimeWarning, match=NOT_RECORDED):
        anygrad.numerical_gradient(lambda x: x.sum() if x[0] > -2.0 else x[0], x, evaluator=GRAPH)
    assert lib.xp.rand(3, device=lib.device).shape == (3,)
    anygrad.numerical_gradient(lambda x: waves(lib, x), x, evaluator=GRAPH)


@recording
def test_another_function_at_each_call(lib):
    x = lib.asarray(X, "float64")
    with pytest.warns(RuntimeWarning, match="are not those that f returned"):
        anygrad.numerical_gradient(changes(lib), x, evaluator=GRAPH)
    assert lib.bits(x) == lib.bits(lib.asarray(X, "float64"))


@recording
def test_rows_of_x(lib):
    x = lib.asarray(X.reshape(2, 20), "float64")
    with pytest.warns(RuntimeWarning, match="given rows of x"):
        gradient = anygrad.numerical_gradient_2d(lambda x: waves(lib, x), x, evaluator=GRAPH)
    assert lib.bits(gradient) == lib.bits(anygrad.numerical_gradient_2d(lambda x: waves(lib, x), x))


@pytest.mark.libraries(lambda lib: not on_a_graph(lib))
def test_a_library_without(lib):
    x = lib.asarray(X, "float32")
    with pytest.warns(RuntimeWarning, match="not on a CUDA device"):
        gradient = anygrad.numerical_gradient(lambda x: waves(lib, x), x, evaluator=GRAPH)
    expected = anygrad.numerical_gradient(lambda x: waves(lib, x), x)
    assert np.array_equal(lib.numpy(gradient), lib.numpy(expected))


@recording
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("fatal", [1, 2, 3, 9, 12, 2 * SIZE])
def test_x_comes_back_whenever_f_raises(lib, fatal):
    x = lib.asarray(X, "float64")
    f = Counted(lambda x: waves(lib, x))

    def raising(x):
        value = f(x)
        if f.calls >= fatal or (fatal == 2 * SIZE and f.calls > 18):
            raise KeyboardInterrupt
        return value

    with pytest.raises(KeyboardInterrupt):
        anygrad.numerical_gradient(raising, x, evaluator=GRAPH)
    assert lib.bits(x) == lib.bits(lib.asarray(X, "float64"))


@recording
def test_f_modifies_its_argument(lib):
    x = lib.asarray(X, "float64")

    def modifying(x):
        x *= 2.0
        return waves(lib, x)

    with pytest.raises(ValueError, match="modifies its argument"):
        anygrad.numerical_gradient(modifying, x, evaluator=GRAPH)
    assert lib.bits(x) == lib.bits(lib.asarray(X, "float64"))
