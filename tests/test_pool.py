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
from tried import TRIED

import anygrad

NOT_LAZY = pytest.mark.libraries(lambda lib: not lib.lazy)


@pytest.fixture(scope="module")
def threads(request):
    # dpnp 0.x has crashed, once in dozens of runs, where two threads computed with its arrays at a time.
    alone = "dpnp" in (request.config.getoption("--backend") or [])
    with ThreadPoolExecutor(1 if alone else 3) as executor:
        yield executor


@NOT_LAZY
@pytest.mark.parametrize("name", DERIVATIVES)
def test_every_operator_as_by_loop(lib, threads, name):
    require_equal(lib, name, anygrad.Pool(threads))


@NOT_LAZY
@pytest.mark.parametrize("tried", TRIED, ids=repr)
def test_every_scheme_as_by_loop(lib, threads, tried):
    x = lib.asarray(np.array([0.3, 1.2, -2.0, 0.7]), "float32")
    by_loop, *by_pools = (  # in this order: see require_equal
        anygrad.numerical_gradient(
            lambda x: lib.xp.sum(lib.xp.sin(x) * x), x, scheme=tried.scheme, evaluator=evaluator, full_output=True
        )
        for evaluator in (anygrad.Loop(), anygrad.Pool(threads), anygrad.Pool(threads, chunk=3))
    )
    for by_pool in by_pools:
        assert lib.bits(by_pool.value) == lib.bits(by_loop.value)
        assert (by_pool.ncalls, by_pool.npoints) == (by_loop.ncalls, by_loop.npoints)


@pytest.mark.parametrize("chunk", [1, 2, 9, 10, 11, None])
def test_every_boundary_of_chunks(threads, chunk):
    x = np.linspace(1, 2, 5)  # 10 points
    expected = anygrad.numerical_gradient(np.prod, x)
    assert np.array_equal(anygrad.numerical_gradient(np.prod, x, evaluator=anygrad.Pool(threads, chunk)), expected)


def test_functions_like_map():
    x = np.linspace(1, 2, 50)
    expected = anygrad.numerical_gradient(np.prod, x)
    assert np.array_equal(anygrad.numerical_gradient(np.prod, x, evaluator=anygrad.Pool(map)), expected)
    with multiprocessing.pool.ThreadPool(2) as pool:
        assert np.array_equal(anygrad.numerical_gradient(np.prod, x, evaluator=anygrad.Pool(pool.map)), expected)


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


def test_values_come_as_they_are_known(threads):
    release = threading.Event()
    told = []

    def f(x):
        if x[0] > 0:
            assert release.wait(20)
        return x.sum()

    def progress(done, total):
        told.append(done)
        if done == 5:  # all but the one that waits
            release.set()

    anygrad.numerical_gradient(f, np.zeros(3), evaluator=anygrad.Pool(threads, chunk=1), progress=progress)
    assert told == [1, 2, 3, 4, 5, 6]


def test_f_runs_under_the_callers_error_settings(threads):
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        anygrad.numerical_gradient(lambda x: np.sum(x / np.zeros(2)), np.ones(2), evaluator=anygrad.Pool(threads))
    with np.errstate(divide="ignore", invalid="ignore"):
        anygrad.numerical_gradient(lambda x: np.sum(x / np.zeros(2)), np.ones(2), evaluator=anygrad.Pool(threads))


def test_f_runs_under_the_callers_function_for_errors(threads):
    told = []
    with np.errstate(all="call", call=lambda kind, flag: told.append(kind)):
        anygrad.numerical_gradient(lambda x: np.sum(x / np.zeros(2)), np.ones(2), evaluator=anygrad.Pool(threads))
    assert told == ["divide by zero"] * 4


def test_threads_are_given_copies(threads):
    w = np.array([1.0, 2.0])
    with pytest.warns(anygrad.ConstantFunctionWarning, match="closure") as caught:
        anygrad.numerical_gradient(lambda _: w @ w, w, evaluator=anygrad.Pool(threads))
    assert caught[0].filename == __file__


def test_functions_that_modify_their_argument(threads):
    def f(x):
        x *= 2
        return x.sum()

    with pytest.raises(ValueError, match="modifies its argument"):
        anygrad.numerical_gradient(f, np.ones(5), evaluator=anygrad.Pool(threads))


def test_progress(threads):
    seen = []
    x, f = np.ones(30), lambda x: (x.sum(), None)
    anygrad.numerical_gradient(
        f, x, has_aux=True, evaluator=anygrad.Pool(threads), progress=lambda *counts: seen.append(counts)
    )
    assert seen == sorted(seen)
    assert seen[-1] == (61, 61)


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


def test_an_exception_names_the_array_of_a_tree(threads):
    def f(p):
        return 1 / (p["a"].sum() - p["b"].sum() * 0 - 10)

    with pytest.raises(ZeroDivisionError) as caught:
        anygrad.hessian(
            lambda p: 1 // int(p["b"][1] == 3),
            {"a": np.ones(2), "b": np.array([2.0, 3.0])},
            evaluator=anygrad.Pool(threads),
        )
    assert "x['b'][1] = " in "".join(caught.value.__notes__)


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
    ("executor", "error", "match"),
    [
        (None, TypeError, r"executor is None, but .* number of processes, as in Pool\(4\)"),
        (True, TypeError, "executor is True"),
        (0, ValueError, "executor is 0, but an integer of 1 or more"),
        (ThreadPoolExecutor, TypeError, r"is the class ThreadPoolExecutor.*write ThreadPoolExecutor\(\)"),
    ],
)
def test_what_is_no_executor(executor, error, match):
    with pytest.raises(error, match=match):
        anygrad.Pool(executor)


def test_a_pool_itself_where_its_map_is_wanted():
    with multiprocessing.pool.ThreadPool(1) as pool:
        with pytest.raises(TypeError, match=r"write Pool\(pool\.map\)"):
            anygrad.Pool(pool)
        with pytest.raises(TypeError, match=r"write anygrad\.Pool\(pool\.map\)"):
            anygrad.numerical_gradient(np.sum, np.ones(2), evaluator=pool)


@pytest.mark.parametrize(
    ("evaluator", "match"),
    [
        (anygrad.Pool, r"class Pool.*write anygrad\.Pool\(8\), for 8 processes"),
        (anygrad.Journal, r"class Journal.*write anygrad\.Journal\(path\)"),
        (anygrad.Batch, r"class Batch.*write anygrad\.Batch\(\)"),
        (8, r"write anygrad\.Pool\(8\), for 8 processes"),
        (map, r"write anygrad\.Pool\(map\)"),
        (Executor(), r"write anygrad\.Pool\(executor\)"),
        (Executor().map, r"write anygrad\.Pool\(executor\.map\)"),
        ("pool", r"'pool', but an evaluator such as"),
    ],
    ids=["Pool", "Journal", "Batch", "number", "map", "executor", "map of executor", "word"],
)
def test_what_is_for_a_pool_in_place_of_one(evaluator, match):
    with pytest.raises(TypeError, match=match):
        anygrad.numerical_gradient(np.sum, np.ones(2), evaluator=evaluator)


@pytest.mark.parametrize("restart", [4, ThreadPoolExecutor(1)])
def test_what_does_not_make_an_executor(restart):
    with pytest.raises(TypeError, match=r"restart is .*write Pool\(restart=lambda: "):
        anygrad.Pool(restart=restart)


def test_a_restart_that_makes_no_executor():
    with pytest.raises(TypeError, match="restart returned 4, but an executor was expected"):
        anygrad.numerical_gradient(np.sum, np.ones(2), evaluator=anygrad.Pool(restart=lambda: 4))


@pytest.mark.parametrize("options", [{"chunk": 0}, {"chunk": 1.5}, {"retries": -1}, {"retries": None}])
def test_numbers_that_make_no_sense(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} is .* but an integer"):
        anygrad.Pool(2, **options)


def test_an_executor_that_cannot_be_used_any_more():
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        anygrad.numerical_gradient(np.sum, np.ones(2), evaluator=anygrad.Pool(executor))


def test_threads_whose_initializer_fails():
    with (
        ThreadPoolExecutor(1, initializer=lambda: 1 // 0) as executor,
        pytest.raises(RuntimeError, match=r"No worker has answered at all: look for an initializer that fails"),
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
    with pytest.raises(ImportError, match=rf"{missing}, which is not installed: write pip install '.\[pool\]'"):
        anygrad.numerical_gradient(np.sum, np.ones(2), evaluator=anygrad.Pool(executor))


class Deadly(Executor):
    """A worker in this process, which dies as often as it is told to when f is to be evaluated at a point."""

    _max_workers = 2
    made = 0

    def __init__(self, element, times, *, left=None):
        type(self).made += 1
        self.element = element
        self.left = [times] if left is None else left
        self.broken = self.ended = False
        self.waiting = []

    def another(self):
        return type(self)(self.element, 0, left=self.left)

    def submit(self, fn, /, *args):
        task = args[-1]
        if self.broken:
            raise BrokenExecutor("gone")
        future = Future()
        if self.left[0] > 0 and self.element in task.points.each:
            self.left[0] -= 1
            self.broken = True
            future.set_exception(BrokenExecutor("killed"))
        else:
            future.set_result(fn(*args))
        return future

    def shutdown(self, wait=True, *, cancel_futures=False):
        self.ended = True


@pytest.mark.parametrize("element", [0, 3, 5])
@pytest.mark.parametrize("times", [0, 1, 2, 3])
@pytest.mark.parametrize("chunk", [1, 4, None])
def test_tasks_whose_worker_has_died_are_sent_again(element, times, chunk):
    made = [Deadly(element, times)]

    def restart():
        made.append(made[-1].another())
        return made[-1]

    x = np.linspace(1, 2, 6)
    pool = anygrad.Pool(made[0], chunk=chunk, restart=restart)
    if times < 3:
        result = anygrad.numerical_gradient(np.prod, x, evaluator=pool, full_output=True)
        assert np.array_equal(result.value, anygrad.numerical_gradient(np.prod, x))
        assert result.ncalls == 12
    else:
        named = "" if chunk is None else rf"x\[{element}\] = "  # of many points in flight, the first few are named
        with pytest.raises(RuntimeError, match=rf"died .* 3 times while f was evaluated with .*{named}"):
            anygrad.numerical_gradient(np.prod, x, evaluator=pool)
    assert len(made) == min(times, 2) + 1
    assert not made[0].ended  # the user's
    assert all(executor.ended for executor in made[1:])


def test_an_executor_of_the_users_that_breaks():
    with pytest.raises(
        RuntimeError, match=r"x\[3\] = [\s\S]*Pool\(restart=lambda: Deadly\(...\)\)[\s\S]*Journal\(path, Pool\(...\)\)"
    ):
        anygrad.numerical_gradient(np.sum, np.ones(6), evaluator=anygrad.Pool(Deadly(3, 1), chunk=1))


def test_workers_that_never_start():
    with pytest.raises(RuntimeError, match="No worker has answered at all: look for an initializer that fails"):
        anygrad.numerical_gradient(np.sum, np.ones(6), evaluator=anygrad.Pool(restart=lambda: Deadly(0, 9), chunk=1))


class Failing(Executor):
    """Calls what it is given, and has something else to say of the answer to one task."""

    _max_workers = 2

    def __init__(self, error):
        self.error = error
        self.calls = 0

    def submit(self, fn, /, *args):
        future, self.calls = Future(), self.calls + 1
        answer = fn(*args)
        if self.calls == 3:
            try:
                self.error(answer)
            except Exception as error:
                future.set_exception(error)
                return future
        future.set_result(answer)
        return future


def test_an_answer_that_dask_loses_is_asked_for_again():
    """Whose executor fails at taking apart what it takes for an exception, if the worker dies as the answer comes."""

    def _cascade_future(answer):
        _, _, _ = answer

    executor, x = Failing(_cascade_future), np.linspace(1, 2, 6)
    gradient = anygrad.numerical_gradient(np.prod, x, evaluator=anygrad.Pool(executor, chunk=1))
    assert np.array_equal(gradient, anygrad.numerical_gradient(np.prod, x))
    assert executor.calls == 13


def test_an_error_of_the_executors_own_is_raised():
    def failing(answer):
        raise TypeError("of its own")

    with pytest.raises(TypeError, match="of its own"):
        anygrad.numerical_gradient(np.prod, np.ones(6), evaluator=anygrad.Pool(Failing(failing), chunk=1))
