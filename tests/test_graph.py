"""Functions that a device is told once to evaluate, and does so at all points: ``Loop(graph=True)``."""

from __future__ import annotations

import array_api_compat
import numpy as np
import optree
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
NOT_RECORDED = r"cannot be recorded as a CUDA graph \((.*)\), so it is called at every point"
RECORDING = pytest.mark.libraries.with_args(on_a_graph)


def waves(lib, x):
    return lib.xp.sum(lib.xp.sin(x) * x)


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


def require_bits_of_the_loop(lib, f, x, operator=anygrad.numerical_gradient, **options):
    """Return how often f is called."""
    calls, before = 0, lib.bits(x)

    def counted(x):
        nonlocal calls
        calls += 1
        return f(x)

    value, expected = operator(counted, x, evaluator=GRAPH, **options), operator(f, x, **options)
    for one, other in zip(optree.tree_leaves(value), optree.tree_leaves(expected), strict=True):
        assert lib.bits(one) == lib.bits(other)
    assert lib.bits(x) == before
    return calls


@RECORDING
@pytest.mark.parametrize(
    "scheme", [anygrad.Central(), anygrad.Central(order=4), anygrad.Forward(), anygrad.Adaptive(), anygrad.Complex()]
)
def test_gradients_have_the_bits_of_the_loop(lib, scheme):
    calls = require_bits_of_the_loop(lib, lambda x: waves(lib, x), lib.asarray(X, "float64"), scheme=scheme)
    assert lib.name not in CUDA or scheme != anygrad.Central() or calls < SIZE


@RECORDING
def test_gradients_have_the_bits_of_the_loop_in_every_dtype(lib, dtype):
    require_bits_of_the_loop(lib, lambda x: waves(lib, x), lib.asarray(X, dtype))


@RECORDING
def test_gradients_of_complex_numbers_have_the_bits_of_the_loop(lib):
    x = lib.asarray(X + 1j * X[::-1], "complex128")
    require_bits_of_the_loop(lib, lambda x: lib.xp.sum(x * x * x), x)
    require_bits_of_the_loop(lib, lambda x: lib.xp.sum(lib.xp.abs(x * x)), x)


@RECORDING
def test_gradients_have_the_bits_of_the_loop_in_every_layout(lib, layout):
    require_bits_of_the_loop(lib, lambda x: waves(lib, x), LAYOUTS[layout](lib, X.reshape(5, 8), "float64"))


@RECORDING
def test_jacobians_views_and_closures_have_the_bits_of_the_loop(lib):
    x = lib.asarray(X, "float64")

    def f(x):
        return {"a": lib.xp.reshape(lib.xp.sin(x), (5, 8)), "b": lib.xp.sum(x * x)}

    require_bits_of_the_loop(lib, f, x, anygrad.jacobian)
    require_bits_of_the_loop(lib, lambda _: waves(lib, x), x)
    require_bits_of_the_loop(lib, lambda x: x[3], x)


@RECORDING
def test_few_points_are_called(lib):
    assert require_bits_of_the_loop(lib, lambda x: waves(lib, x), lib.asarray(X[:5], "float64")) == 10


@RECORDING
def test_progress_counts_the_points_that_are_done(lib):
    seen = []
    result = anygrad.numerical_gradient(
        lambda x: waves(lib, x),
        lib.asarray(X, "float64"),
        evaluator=GRAPH,
        full_output=True,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert result.ncalls == result.npoints == 2 * SIZE
    assert seen[-1] == (2 * SIZE, 2 * SIZE)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


# --- what cannot be recorded --------------------------------------------------------------------------------------


@RECORDING
def test_a_function_that_returns_a_number_on_the_host_is_called_at_every_point(lib):
    with pytest.warns(RuntimeWarning, match=NOT_RECORDED) as caught:
        require_bits_of_the_loop(lib, lambda x: float(waves(lib, x)), lib.asarray(X, "float64"))
    assert caught[0].filename == __file__


@RECORDING
def test_a_branch_that_waits_for_the_device_is_called_at_every_point(lib, monkeypatch):
    def refused(self, work):
        work()
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    monkeypatch.setattr(ByCalls, "record", refused)  # CUDA's own recorders refuse by themselves
    for _ in range(2):
        with pytest.warns(RuntimeWarning, match=NOT_RECORDED):
            require_bits_of_the_loop(lib, lambda x: waves(lib, x) if x[0] > -2.0 else x[0], lib.asarray(X, "float64"))
    if lib.name == "torch-cuda":  # whose random numbers a capture that failed does not stop
        assert lib.xp.rand(3, device=lib.device).shape == (3,)


@RECORDING
def test_a_function_that_is_another_one_at_each_call_is_noticed(lib):
    x, calls = lib.asarray(X, "float64"), iter(range(999))
    with pytest.warns(RuntimeWarning, match="the recorded graph gives other values than f"):
        anygrad.numerical_gradient(lambda x: waves(lib, x) + 1e-3 * next(calls), x, evaluator=GRAPH)
    assert lib.bits(x) == lib.bits(lib.asarray(X, "float64"))


@RECORDING
def test_rows_of_x_are_called_one_by_one(lib):
    x = lib.asarray(X.reshape(2, 20), "float64")
    with pytest.warns(RuntimeWarning, match="given rows of x"):
        require_bits_of_the_loop(lib, lambda x: waves(lib, x), x, anygrad.numerical_gradient_2d)


@pytest.mark.libraries(lambda lib: not on_a_graph(lib))
def test_a_library_without_graphs_calls_f_at_every_point(lib):
    x = lib.asarray(X, "float32")
    with pytest.warns(RuntimeWarning, match="not on a CUDA device"):
        gradient = anygrad.numerical_gradient(lambda x: waves(lib, x), x, evaluator=GRAPH)
    assert np.array_equal(lib.numpy(gradient), lib.numpy(anygrad.numerical_gradient(lambda x: waves(lib, x), x)))


@RECORDING
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("fatal", [1, 2, 3, 9, 12, 19])
def test_x_comes_back_whenever_f_raises(lib, fatal):
    x, calls = lib.asarray(X, "float64"), 0

    def raising(x):
        nonlocal calls
        calls += 1
        value = waves(lib, x)
        if calls >= fatal:
            raise KeyboardInterrupt
        return value

    with pytest.raises(KeyboardInterrupt):
        anygrad.numerical_gradient(raising, x, evaluator=GRAPH)
    assert lib.bits(x) == lib.bits(lib.asarray(X, "float64"))


@RECORDING
def test_an_f_that_modifies_its_argument_is_refused(lib):
    x = lib.asarray(X, "float64")

    def modifying(x):
        x *= 2.0
        return waves(lib, x)

    with pytest.raises(ValueError, match="modifies its argument"):
        anygrad.numerical_gradient(modifying, x, evaluator=GRAPH)
    assert lib.bits(x) == lib.bits(lib.asarray(X, "float64"))
