"""Pool: in threads; and what it does with workers that die, which needs no real ones. See also test_engines.py."""

from __future__ import annotations

import multiprocessing.pool
import sys
import threading
import time
from collections import Counter
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from pooled import DERIVATIVES, require_equal
from tried import TRIED

import anygrad
from anygrad.backends import load
from anygrad.evaluators import Target
from anygrad.evaluators._points import Points
from anygrad.evaluators._pool.tasks import Answer, Task
from anygrad.evaluators._pool.window import Window

NOT_LAZY = pytest.mark.libraries(lambda lib: not lib.lazy)


@pytest.fixture(scope="module")
def threads(request):
    # dpnp 0.x has crashed, once in dozens of runs, where two threads computed with its arrays at a time.
    alone = "dpnp" in (request.config.getoption("--backend") or [])
    with ThreadPoolExecutor(1 if alone else 3) as executor:
        yield executor


def target(f, x, **options):
    return Target(f, x, load("numpy"), **options)


def evaluated(evaluator, f, x, tolerant=False, **options):
    """Evaluate f with each element in turn set to 10; return what comes, by the number of the point."""
    points = Points(range(x.size), None, np.full(x.size, 10.0))
    with evaluator.session(target(f, x, **options)) as session:
        pieces = list(session.evaluate(points, tolerant=tolerant))
        return {i: value for span, values in pieces for i, value in zip(span, of(values), strict=True)}, session.record


def of(values):
    return [values] if isinstance(values, Exception) else values


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


def test_what_unpacks_the_items_is_not_like_map():
    with (
        multiprocessing.pool.ThreadPool(1) as pool,
        pytest.raises(TypeError, match=r"2 arguments .* as starmap does, but one like map .*: write pool\.map"),
    ):
        anygrad.numerical_gradient(np.sum, np.ones(2), evaluator=anygrad.Pool(pool.starmap))


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

    def f(x):
        if x[0] == 10:
            release.wait(20)
        return x.sum()

    with anygrad.Pool(threads, chunk=1).session(target(f, np.zeros(3))) as session:
        pieces = session.evaluate(Points(range(3), None, np.full(3, 10.0)))
        first = {next(pieces)[0].start, next(pieces)[0].start}
        release.set()
        assert (first, next(pieces)[0].start, list(pieces)) == ({1, 2}, 0, [])


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
        if not np.any(moved[:fatal] > 0):
            assert raised.wait(60)
            time.sleep(0.05)  # for the exception to be seen before these are done
        return lib.xp.sum(x)

    before = lib.bits(x)
    with ThreadPoolExecutor(2) as executor, pytest.raises(ZeroDivisionError, match=r"^no") as caught:
        anygrad.numerical_gradient(f, x, evaluator=anygrad.Pool(executor, chunk=1))
    row, column = divmod(fatal, 3)
    assert f"x[{row}, {column}] (element {fatal}) = {fatal}." in "".join(caught.value.__notes__)
    assert calls["f"] <= fatal + 1 + 4  # those in flight
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
    assert "array 1 of x[1] (element 3)" in "".join(caught.value.__notes__)


@pytest.mark.parametrize("tolerated", [True, False])
def test_points_that_fail_beside_those_that_do_not(threads, tolerated):
    def f(x):
        if x[1] == 10 or x[3] == 10:
            raise OSError("no licence")
        return x.sum()

    pool = anygrad.Pool(threads, chunk=2)
    if not tolerated:
        with pytest.raises(OSError, match="no licence"):
            evaluated(pool, f, np.zeros(5))
        return
    done = []
    values, record = evaluated(pool, f, np.zeros(5), tolerant=True, done=done.append)
    assert {i: v for i, v in values.items() if not isinstance(v, Exception)} == {0: 10, 2: 10, 4: 10}
    assert all(isinstance(values[i], OSError) for i in (1, 3))
    assert record.calls == record.points == sum(done) == 3


@pytest.mark.libraries(lambda lib: lib.lazy)
def test_lazy_arrays_are_refused(lib, threads):
    with pytest.raises(TypeError, match=r"lazy.*compute"):
        anygrad.numerical_gradient(lib.xp.sum, lib.asarray(np.ones(3), "float32"), evaluator=anygrad.Pool(threads))


@pytest.mark.parametrize(
    ("executor", "error", "match"),
    [
        (None, TypeError, "executor is None, but an executor such as"),
        (True, TypeError, "executor is True"),
        (0, ValueError, "must be 1 or more"),
        (ThreadPoolExecutor, TypeError, r"is the class ThreadPoolExecutor.*write ThreadPoolExecutor\(\)"),
    ],
)
def test_what_is_no_executor(executor, error, match):
    with pytest.raises(error, match=match):
        anygrad.Pool(executor)


def test_a_pool_itself_where_its_map_is_wanted():
    with multiprocessing.pool.ThreadPool(1) as pool, pytest.raises(TypeError, match=r"write pool\.map"):
        anygrad.Pool(pool)


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
        pytest.raises(RuntimeError, match=r"thread of the executor could not start .*initializer"),
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


class Broken(Executor):
    """An executor of no kind that is known, which breaks."""

    def submit(self, fn, /, *args, **kwargs):
        raise BrokenExecutor("gone")


def test_an_executor_that_cannot_be_replaced():
    with pytest.raises((RuntimeError, ImportError), match=r"another Broken|cloudpickle"):
        anygrad.numerical_gradient(np.sum, np.ones(2), evaluator=anygrad.Pool(Broken()))


class Workers:
    """A `Channel` to workers that are all lost when one of the ``deadly`` tasks is had by one, so often each."""

    def __init__(self, deadly=None, workers=2, ignorant=(), asleep=False):
        self.workers = workers
        self.deadly = Counter(deadly or {})
        self.ignorant = set(ignorant)
        self.sent = []
        self.asleep = asleep
        self.renewed = self.woken = 0
        self.broken = False
        self.thread = ThreadPoolExecutor(1)

    def submit(self, task, *, complete):
        if self.broken:
            raise BrokenExecutor
        self.sent.append(task.start)
        return self.thread.submit(self.work, task, complete)

    def work(self, task, complete):
        time.sleep(0.002)  # so long that others are in flight
        self.broken = self.broken or self.deadly[task.start] > 0
        if self.broken:
            self.deadly[task.start] -= self.deadly[task.start] > 0
            raise BrokenExecutor("killed")
        return None if task.start in self.ignorant and not complete else Answer([(range(1), [task.start])])

    def renew(self, cause):
        self.renewed += 1
        self.broken = False

    def wake(self):
        self.woken += 1
        if self.asleep:
            raise RuntimeError("asleep")


def run(channel, count=8, retries=2):
    tasks = iter([Task(i, Points([i], None, np.zeros(1))) for i in range(count)])
    lost = []

    def give_up(task, cause):
        lost.append(task.start)
        return Answer([(range(1), ["lost"])])

    window = Window(channel, lambda: next(tasks, None), retries, give_up)
    return sorted(task.start for task, _ in window.answers()), lost


def test_an_answer_that_dask_loses_is_asked_for_again():
    """Whose executor fails at taking apart what it takes for an exception, if the worker dies as the answer comes."""
    channel = Workers()
    work, lost = channel.work, []

    def _cascade_future(answer):
        _, _, _ = answer

    def losing(task, complete):
        answer = work(task, complete)
        if task.start == 3 and not lost:
            lost.append(task.start)
            _cascade_future(answer)
        return answer

    channel.work = losing
    assert run(channel) == (list(range(8)), [])
    assert Counter(channel.sent)[3] == 2


def test_an_error_of_the_executors_own_is_raised():
    channel = Workers()

    def failing(task, complete):
        raise TypeError("of its own")

    channel.work = failing
    with pytest.raises(TypeError, match="of its own"):
        run(channel)


@pytest.mark.parametrize("deadly", range(8))
@pytest.mark.parametrize("times", [1, 2, 3])
def test_tasks_whose_worker_has_died_are_sent_again(deadly, times):
    channel = Workers({deadly: times})
    answered, lost = run(channel)
    assert answered == list(range(8))
    assert lost == ([deadly] if times == 3 else [])
    assert channel.renewed == times
    # What was in flight besides is sent once more, and by itself, so that it is not lost with what kills.
    again = Counter(channel.sent)
    assert again[deadly] == min(times, 2) + 1
    assert max((count for task, count in again.items() if task != deadly), default=1) <= 2


def test_two_deadly_tasks():
    answered, lost = run(Workers({2: 2, 3: 2}))
    assert (answered, lost) == (list(range(8)), [])


@pytest.mark.parametrize("retries", [0, 2])
def test_workers_that_never_start(retries):
    channel = Workers({0: 99}, asleep=True)
    with pytest.raises(RuntimeError, match="asleep"):
        run(channel, retries=retries)
    assert (channel.renewed, channel.woken) == (1, 1)


@pytest.mark.parametrize(("deadly", "woken"), [(0, 1), (7, 0)])
def test_whether_workers_start_is_asked_only_where_none_has_answered(deadly, woken):
    channel = Workers({deadly: 2})
    run(channel)
    assert (channel.renewed, channel.woken) == (2, woken)


def test_no_retries():
    _, lost = run(Workers({3: 1}), retries=0)
    assert 3 in lost


def test_a_task_whose_worker_does_not_know_the_target_is_sent_with_it():
    channel = Workers(ignorant={0, 5})
    assert run(channel) == (list(range(8)), [])
    assert Counter(channel.sent) == Counter([*range(8), 0, 5])
