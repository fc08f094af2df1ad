"""Pool: in threads, and with executors that do as they are told. See also test_engines.py."""

from __future__ import annotations

import multiprocessing.pool
import sys
import threading
import time
from collections import Counter
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from pooled import DERIVATIVES, require_equal

import anygrad

NOT_LAZY = pytest.mark.libraries(lambda lib: not lib.lazy)


@pytest.fixture(scope="module")
def threads(request):
    # dpnp 0.x has crashed, once in dozens of runs, where two threads computed with its arrays at a time.
    alone = "dpnp" in (request.config.getoption("--backend") or [])
    with ThreadPoolExecutor(1 if alone else 3) as executor:
        yield executor


class IsAPool:
    """What a pool of multiprocessing is known by."""

    imap_unordered = None


@NOT_LAZY
@pytest.mark.parametrize("name", DERIVATIVES)
def test_several_threads_as_by_loop(lib, threads, name):
    require_equal(lib, name, anygrad.Pool(threads))


def test_functions_like_map():
    x = np.linspace(1, 2, 50)
    expected = anygrad.numerical_gradient(np.prod, x)
    with multiprocessing.pool.ThreadPool(2) as pool:
        for mapping in (map, pool.map, pool.imap_unordered):
            for chunk in (7, None):
                evaluator = anygrad.Pool(mapping, chunk)
                assert np.array_equal(anygrad.numerical_gradient(np.prod, x, evaluator=evaluator), expected)


def test_a_function_like_map_has_to_return_everything():
    pytest.importorskip("cloudpickle")
    evaluator = anygrad.Pool(lambda f, items: [f(item) for item in items][:-1], chunk=2)
    with pytest.raises(ValueError, match="did not return one result for each task"):
        anygrad.numerical_gradient(np.prod, np.ones(3), evaluator=evaluator)


def test_no_two_calls_have_the_same_x(threads):
    given = {}
    lock = threading.Lock()

    def f(x):
        before = x.copy()
        with lock:
            others = [other for other in given.values() if np.shares_memory(x, other)]
            given[threading.get_ident()] = x
        time.sleep(0.001)
        with lock:
            del given[threading.get_ident()]
        assert not others
        assert np.array_equal(x, before)
        return x @ x

    gradient = anygrad.numerical_gradient(f, np.arange(20.0), evaluator=anygrad.Pool(threads, chunk=1))
    assert np.allclose(gradient, 2 * np.arange(20.0), atol=1e-6)


def test_threads_work_side_by_side(threads):
    together = threading.Barrier(3, timeout=20)

    def f(x):
        together.wait()  # returns when three are here
        return x.sum()

    anygrad.numerical_gradient(f, np.zeros(6), evaluator=anygrad.Pool(threads, chunk=1))


@pytest.mark.parametrize("action", ["raise", "ignore", "call"])
def test_f_runs_under_the_callers_error_settings(threads, action):
    told = []

    def differentiate():
        with np.errstate(all=action, call=lambda kind, flag: told.append(kind)):
            anygrad.numerical_gradient(lambda x: np.sum(x / np.zeros(2)), np.ones(2), evaluator=anygrad.Pool(threads))

    if action == "raise":
        with pytest.raises(FloatingPointError):
            differentiate()
    else:
        differentiate()
    assert told == (["divide by zero"] * 4 if action == "call" else [])


def test_threads_are_given_copies(threads):
    w = np.array([1.0, 2.0])
    with pytest.warns(anygrad.ConstantFunctionWarning, match="closure") as caught:
        anygrad.numerical_gradient(lambda _: w @ w, w, evaluator=anygrad.Pool(threads))
    assert caught[0].filename == __file__


@NOT_LAZY
@pytest.mark.parametrize("fatal", range(6))
def test_an_exception_comes_back_as_it_is_and_cancels_the_rest(lib, fatal):
    x = lib.asarray(np.arange(6.0).reshape(2, 3), "float32")
    calls, raised = Counter(), threading.Event()

    def f(x):
        calls["f"] += 1
        moved = lib.numpy(x).reshape(-1) - np.arange(6.0)
        if moved[fatal]:
            raised.set()
            raise ZeroDivisionError("no")
        # However long that takes: the points behind it do not overtake it.
        if not np.any(moved[:fatal]):
            assert raised.wait(60)
            time.sleep(0.05)  # for the exception to be seen before these are done
        return lib.xp.sum(x)

    before = lib.bits(x)
    with ThreadPoolExecutor(2) as executor, pytest.raises(ZeroDivisionError, match=r"^no") as caught:
        anygrad.numerical_gradient(f, x, evaluator=anygrad.Pool(executor, chunk=1))
    row, column = divmod(fatal, 3)
    assert f"x[{row}, {column}] = " in "".join(caught.value.__notes__)
    assert calls["f"] <= 2 * fatal + 1 + 4  # those in flight
    assert lib.bits(x) == before


@pytest.mark.parametrize("vector", [False, True])
@pytest.mark.parametrize("chunk", [1, 2, None])
def test_points_that_fail_beside_those_that_do_not(threads, vector, chunk):
    def f(x):
        if x[1] > 0 or x[3] < 0:
            raise OSError("no licence")
        return np.sin(x) if vector else x.sum()

    x, operator = np.zeros(5), anygrad.jacobian if vector else anygrad.numerical_gradient
    pool = anygrad.Pool(threads, chunk=chunk)
    with pytest.raises(OSError, match="no licence"):
        operator(f, x, evaluator=pool)
    results = [
        operator(f, x, evaluator=evaluator, full_output=True)
        for evaluator in (anygrad.Pool(threads, chunk=chunk, on_error="nan"), anygrad.Loop(on_error="nan"))
    ]
    for result in results:
        assert np.isnan(result.value).sum() == (10 if vector else 2)
        assert set(result.failures) == {"x[1]", "x[3]"}
        assert all(isinstance(error, OSError) for error in result.failures.values())
    assert np.array_equal(results[0].value, results[1].value, equal_nan=True)
    assert np.array_equal(results[0].flags["failed"], results[1].flags["failed"])
    assert results[0].ncalls == results[1].ncalls


@pytest.mark.libraries(lambda lib: lib.lazy)
def test_lazy_arrays_are_refused(lib, threads):
    with pytest.raises(TypeError, match=r"lazy.*compute"):
        anygrad.numerical_gradient(lib.xp.sum, lib.asarray(np.ones(3), "float32"), evaluator=anygrad.Pool(threads))


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({}, TypeError, r"executor is None, .* Pool\(4\), for 4 processes"),
        ({"executor": 0}, ValueError, "executor is 0, but an integer of 1 or more"),
        ({"executor": ThreadPoolExecutor}, TypeError, r"executor is <class .*ThreadPoolExecutor"),
        ({"executor": IsAPool()}, TypeError, r"Pool\(pool\.map\), or another function"),
        ({"restart": 4.0}, TypeError, r"restart is 4.0, .*Pool\(restart=lambda: "),
        ({"executor": 4, "restart": map}, TypeError, "executor is 4 and restart is <class 'map'>"),
        ({"executor": 2, "chunk": 1.5}, ValueError, "chunk is 1.5, but an integer"),
        ({"executor": 2, "retries": -1}, ValueError, "retries is -1, but an integer"),
        ({"executor": 2, "on_error": "skip"}, ValueError, "on_error must be 'raise' or 'nan'"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_wrong_option_is_an_error_at_once(options, error, match):
    with pytest.raises(error, match=match):
        anygrad.Pool(**options)


def test_a_number_in_place_of_a_pool():
    with pytest.raises(TypeError, match=r"write anygrad\.Pool\(8\), for 8 processes"):
        anygrad.numerical_gradient(np.sum, np.ones(2), evaluator=8)


def test_threads_whose_initializer_fails():
    with (
        ThreadPoolExecutor(1, initializer=lambda: 1 // 0) as executor,
        pytest.raises(RuntimeError, match="or could not start"),
    ):
        anygrad.numerical_gradient(np.sum, np.ones(2), evaluator=anygrad.Pool(executor))


@pytest.mark.libraries(lambda lib: lib.name == "jax")
def test_forked_processes_are_not_for_jax(lib):
    with (
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as executor,
        pytest.raises(ValueError, match=r'jax.*get_context\("spawn"\)'),
    ):
        anygrad.numerical_gradient(lib.xp.sum, lib.asarray(np.ones(2), "float32"), evaluator=anygrad.Pool(executor))


@pytest.mark.parametrize(("missing", "executor"), [("loky", 2), ("cloudpickle", Executor())])
def test_what_is_not_installed(monkeypatch, missing, executor):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(
        ImportError, match=rf"{missing} for processes, but it is not installed: pip install loky cloudpickle"
    ):
        anygrad.numerical_gradient(np.sum, np.ones(2), evaluator=anygrad.Pool(executor))


class Deadly(Executor):
    """A worker in this process, which dies as often as it is told to when f is to be evaluated at a point."""

    _max_workers = 2

    def __init__(self, element, left):
        self.element, self.left = element, left
        self.broken = self.ended = False

    def submit(self, job):
        task = job.args[-1]
        if self.broken:
            raise BrokenExecutor("gone")
        future = Future()
        if self.left[0] and self.element in task.points.each:
            self.left[0] -= 1
            self.broken = True
            future.set_exception(BrokenExecutor("killed"))
        else:
            future.set_result(job())
        return future

    def shutdown(self, wait=True, *, cancel_futures=False):
        self.ended = True


@pytest.mark.parametrize("element", [0, 5])
@pytest.mark.parametrize("times", [0, 2, 3])
@pytest.mark.parametrize("chunk", [1, 4, None])
def test_tasks_whose_worker_has_died_are_sent_again(element, times, chunk):
    made, left = [], [times]

    def restart():
        made.append(Deadly(element, left))
        return made[-1]

    x, pool = np.linspace(1, 2, 6), anygrad.Pool(restart=restart, chunk=chunk)
    if times < 3:
        result = anygrad.numerical_gradient(np.prod, x, evaluator=pool, full_output=True)
        assert np.array_equal(result.value, anygrad.numerical_gradient(np.prod, x))
        assert result.ncalls == 12
    else:
        named = "" if chunk is None else rf"x\[{element}\] = "  # of many points in flight, the first few are named
        with pytest.raises(RuntimeError, match=rf"died while f was called with .*{named}"):
            anygrad.numerical_gradient(np.prod, x, evaluator=pool)
    assert len(made) == min(times, 2) + 1
    assert all(executor.ended for executor in made)


def test_a_broken_executor_of_the_users_is_an_error_with_the_remedies():
    executor = Deadly(3, [1])
    with pytest.raises(
        RuntimeError, match=r"x\[3\] = 1.*Pool\(restart=lambda: Deadly\(\.\.\.\)\).*Journal\(path, Pool"
    ):
        anygrad.numerical_gradient(np.prod, np.ones(6), evaluator=anygrad.Pool(executor, chunk=1))
    assert not executor.ended


class Lazy(Executor):
    """Carries out the first task, and no other."""

    _max_workers = 2

    def __init__(self):
        self.futures = []

    def submit(self, job):
        future = Future()
        if not self.futures:
            future.set_result(job())
        self.futures.append(future)
        return future


def test_an_exception_cancels_the_tasks_that_are_in_flight():
    executor = Lazy()
    with pytest.raises(ZeroDivisionError):
        anygrad.numerical_gradient(lambda x: 1 // 0, np.ones(9), evaluator=anygrad.Pool(executor, chunk=1))
    assert [future.cancelled() for future in executor.futures] == [False, True, True, True]


class Losing(Executor):
    """Fails at the answer to the third task as Dask does where a worker dies as the answer comes."""

    _max_workers = 2
    calls = 0

    def submit(self, job):
        future, self.calls = Future(), self.calls + 1
        answer = job()
        try:
            if self.calls == 3:
                _cascade_future(answer)
            future.set_result(answer)
        except ValueError as error:
            future.set_exception(error)
        return future


def _cascade_future(answer):
    _, _, _ = answer


def test_an_answer_that_dask_has_lost_is_asked_for_again():
    executor, x = Losing(), np.linspace(1, 2, 6)
    gradient = anygrad.numerical_gradient(np.prod, x, evaluator=anygrad.Pool(executor, chunk=1))
    assert np.array_equal(gradient, anygrad.numerical_gradient(np.prod, x))
    assert executor.calls == 13
