"""Pool on real engines: processes, loky, Dask and MPI, started here and stopped after; workers killed in between."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from pathlib import Path

import distributed
import loky
import numpy as np
import pytest
from pages import ROOT, scripts
from pooled import DERIVATIVES, require_equal
from problems import TwoLayerNet

import anygrad

NOT_LAZY = pytest.mark.libraries(lambda lib: not lib.lazy)
X = np.array([0.3, 1.2, -2.0, 0.7, 1.1, 0.5])


@contextlib.contextmanager
def dask():
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def processes(method):
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method))


ENGINES = {
    "a number": lambda: contextlib.nullcontext(2),
    "loky": lambda: loky.ProcessPoolExecutor(2),
    "fork": lambda: processes("fork"),
    "spawn": lambda: processes("spawn"),
    "dask": dask,
}


@pytest.fixture(scope="module", params=ENGINES)
def engine(request):
    with ENGINES[request.param]() as executor:
        yield executor


@contextlib.contextmanager
def dask_pool():
    with dask() as client:
        yield anygrad.Pool(client, chunk=1)


@pytest.fixture(scope="module")
def forked():
    with processes("fork") as executor:
        yield executor


@pytest.mark.parametrize("name", DERIVATIVES)
def test_every_engine_as_by_loop(lib, engine, name):
    require_equal(lib, name, anygrad.Pool(engine))


def test_the_books_closure(engine):
    """A loss that ignores its argument: the worker perturbs its own copy of the very array that the loss reads."""
    start = TwoLayerNet.start()
    net = TwoLayerNet(np, {key: value.copy() for key, value in start.items()})
    gradient = anygrad.numerical_gradient(lambda w: net.loss(net.images, net.labels), net.params)
    by_pool = anygrad.numerical_gradient(
        lambda w: net.loss(net.images, net.labels), net.params, evaluator=anygrad.Pool(engine)
    )
    for key in start:
        assert np.array_equal(by_pool[key], gradient[key])
        assert np.array_equal(net.params[key], start[key])


def test_an_exception_comes_back_as_it_is(engine):
    class OutOfRangeError(Exception):
        pass

    def f(x):
        if x[3] > 0.7:
            raise OutOfRangeError("far")
        return x @ x

    with pytest.raises(OutOfRangeError, match=r"far[\s\S]*x\[3\] = 0.7001[\s\S]*in f\n"):
        anygrad.numerical_gradient(f, X, evaluator=anygrad.Pool(engine))


class LockedError(Exception):
    pass


class DumbError(Exception):
    def __reduce__(self):
        raise TypeError("no")

    def __str__(self):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (lambda: LockedError("shut", threading.Lock()), "LockedError: ('shut', <unlocked"),
        (lambda: DumbError(1), "DumbError: <exception str() failed>"),
    ],
    ids=["a lock", "no text"],
)
def test_exceptions_that_cannot_be_pickled_say_what_they_said(forked, error, text):
    def f(x):
        if x[3] > 0.7:
            raise error()
        return x @ x

    with pytest.raises(RuntimeError) as raised:
        anygrad.numerical_gradient(f, X, evaluator=anygrad.Pool(forked))
    assert text in str(raised.value)
    assert "f was called with x[3]" in raised.value.__notes__[0]
    assert "in f\n" in raised.value.__notes__[1]
    result = anygrad.numerical_gradient(f, X, evaluator=anygrad.Pool(forked, on_error="nan"), full_output=True)
    assert np.array_equal(np.isnan(result.value), np.arange(6) == 3)
    assert text in str(result.failures["x[3]"])


def test_f_that_leaves(engine):
    def f(x):
        sys.exit(3)

    with pytest.raises(SystemExit) as raised:
        anygrad.numerical_gradient(f, X, evaluator=anygrad.Pool(engine))
    assert raised.value.args == (3,)


def count(folder: Path, what: str) -> int:
    return len(list(folder.glob(f"{what}*")))


def killer(folder: Path, *, times: int = 1, where: int = 3):
    """Return a function that kills its process at one point, so many times; and keeps count in a folder."""
    folder.mkdir()
    original = float(X[where])  # not X itself, which the worker perturbs, as this function refers to it

    def once(name):
        with contextlib.suppress(FileExistsError):
            os.close(os.open(folder / name, os.O_CREAT | os.O_EXCL))
            return True

    def f(x):
        next(i for i in range(1000) if once(f"call{i}"))
        if x[where] > original and any(once(f"death{i}") for i in range(times)):
            os.kill(os.getpid(), signal.SIGKILL)
        return float(np.sum(np.sin(x)))

    return f


# Those whose workers are started anew when they have died: by us, or by Dask itself.
RESTARTED = {
    "a number": lambda: contextlib.nullcontext(anygrad.Pool(2, chunk=1)),
    "restart": lambda: contextlib.nullcontext(anygrad.Pool(restart=lambda: processes("fork"), chunk=1)),
    "restart of loky": lambda: contextlib.nullcontext(
        anygrad.Pool(restart=lambda: loky.ProcessPoolExecutor(2), chunk=1)
    ),
    "dask": dask_pool,
}


@pytest.mark.parametrize("name", RESTARTED)
def test_a_worker_that_dies_costs_its_tasks_only(name, tmp_path):
    expected = anygrad.numerical_gradient(lambda x: float(np.sum(np.sin(x))), X)
    before = set(multiprocessing.active_children())
    with RESTARTED[name]() as pool:
        # A pool whose workers have died is good for the next derivative.
        for folder, times in (tmp_path / "a", 1), (tmp_path / "b", 2):
            f = killer(folder, times=times)
            assert np.array_equal(anygrad.numerical_gradient(f, X, evaluator=pool), expected)
            assert count(folder, "death") == times
            assert count(folder, "call") <= 12 + 4 * times  # those in flight
    if name != "a number":  # loky's are there for the next one
        assert not set(multiprocessing.active_children()) - before


def test_what_always_dies_is_named(tmp_path):
    pool = anygrad.Pool(restart=lambda: processes("fork"), chunk=1, retries=1)
    with pytest.raises(RuntimeError, match=r"died while f was called with .*x\[3\] = 0.7001") as raised:
        anygrad.numerical_gradient(killer(tmp_path / "a", times=99), X, evaluator=pool)
    assert isinstance(raised.value.__cause__, BrokenExecutor)
    with pytest.raises(RuntimeError, match=r"or at \d+ others[\s\S]*Pool\(1, chunk=1\)"):
        anygrad.numerical_gradient(
            killer(tmp_path / "b", times=99), np.tile(X, 4), evaluator=dataclasses.replace(pool, retries=0, chunk=6)
        )


@pytest.mark.parametrize("name", ["a number", "restart", "restart of loky"])
def test_workers_that_are_ours_are_ended_at_once_where_f_raises(name, tmp_path):
    original, folder = X.copy(), tmp_path

    def wait_for(what):
        while not count(folder, what):
            time.sleep(0.01)

    def f(x):
        if x[1] > original[1]:
            wait_for("sleeping")
            raise ZeroDivisionError
        if x[0] < original[0]:
            (folder / "sleeping").touch()
            time.sleep(60)
            (folder / "awoken").touch()
        return x.sum()

    before = set(multiprocessing.active_children())
    with RESTARTED[name]() as pool, pytest.raises(ZeroDivisionError):
        anygrad.numerical_gradient(f, X, evaluator=pool)
    assert not count(folder, "awoken")
    assert not set(multiprocessing.active_children()) - before


def with_lock(lock):
    def f(x):
        with lock:
            return x @ x

    return f


class Stubborn(np.ndarray):
    def __reduce__(self):
        raise TypeError("cannot pickle this")


@pytest.mark.parametrize(
    ("f", "x", "why"),
    [(with_lock(threading.Lock()), X, "lock"), (np.sum, X.view(Stubborn), "cannot pickle this")],
    ids=["f", "x"],
)
def test_what_cannot_be_sent(forked, f, x, why):
    with pytest.raises(TypeError, match=rf"cannot be sent to worker processes \(.*{why}.*\).*ThreadPoolExecutor"):
        anygrad.numerical_gradient(f, x, evaluator=anygrad.Pool(forked))


def test_processes_warn_where_numpy_would_call_a_function_here(forked):
    def f(x):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            np.log(np.zeros(1))
        return x.sum() * len(caught)

    lock = threading.Lock()  # which cannot be sent
    with np.errstate(divide="call", call=lambda *_: lock.acquire()):
        assert np.allclose(anygrad.numerical_gradient(f, X, evaluator=anygrad.Pool(forked)), 1)
    assert not lock.locked()


def test_more_problems_than_a_worker_remembers():
    """A worker that has forgotten a problem which is still open is sent it again."""
    with ProcessPoolExecutor(1) as executor:
        pool = anygrad.Pool(executor, chunk=1)

        def nested(depth):
            """Differentiate, and in between something else, and so on."""
            told = []

            def progress(done, total):
                told.append(done)
                if done == 4 and depth:
                    nested(depth - 1)

            gradient = anygrad.numerical_gradient(lambda x: (depth + 1) * (x @ x), X, evaluator=pool, progress=progress)
            assert np.allclose(gradient, 2 * (depth + 1) * X, atol=1e-6)
            assert told == list(range(1, 13))

        nested(5)


class Counting(Executor):
    """Runs what it is given here and now, and counts the bytes that it would have sent and received."""

    _max_workers = 2

    def __init__(self):
        self.bytes = 0

    def submit(self, job):
        sent = pickle.dumps(job)
        received = pickle.dumps(pickle.loads(sent)())
        self.bytes += len(sent) + len(received)
        future = Future()
        future.set_result(pickle.loads(received))
        return future


@NOT_LAZY
def test_bytes(lib):
    """x travels once per worker, and of the points numbers alone."""
    x = lib.asarray(np.linspace(1, 2, 2000), "float32")
    itemsize = len(lib.bits(x)) // 2000
    executor = Counting()
    anygrad.numerical_gradient(lib.xp.sum, x, evaluator=anygrad.Pool(executor))
    # Of 4,000 points, a number each way and the number of an element; and room for 200 tasks.
    assert executor.bytes < 2 * 2000 * itemsize + 4000 * (8 + 8 + 4) + 200 * 1000


INTERRUPTED = """
    import signal, sys, time, numpy as np, anygrad
    from concurrent.futures import ProcessPoolExecutor
    def f(x):
        with open({calls!r}, "ab") as file:
            file.write(b".")
        time.sleep(0.05)
        return float(x.sum())
    if __name__ == "__main__":
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, if the tests run in the background
        print("started", flush=True)
        with ProcessPoolExecutor(2) as executor:
            pool = anygrad.Pool({executor})
            anygrad.numerical_gradient(f, np.ones(10_000), evaluator=pool)
    """


@pytest.mark.parametrize(
    ("executor", "group"),
    [("2", True), ("executor", False)],
    ids=["loky, by Ctrl-C", "processes, SIGINT to the parent"],
)
def test_an_interrupt_leaves_no_process_behind(executor, group, tmp_path):
    script, calls, marker = tmp_path / "script.py", tmp_path / "calls", f"ANYGRAD_MARKER={tmp_path}"
    script.write_text(textwrap.dedent(INTERRUPTED).format(executor=executor, calls=str(calls)))
    run = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "ANYGRAD_MARKER": str(tmp_path)},
    )
    assert run.stdout.readline() == b"started\n"
    calls.touch()
    while (calls.stat().st_size < 20 or len(marked(marker)) < 3) and run.poll() is None:  # the script, and two workers
        time.sleep(0.05)
    (os.killpg if group else os.kill)(run.pid, signal.SIGINT)
    assert run.wait(300) != 0
    assert calls.stat().st_size < 2000  # of 20,000
    given_up = time.monotonic() + 300  # as what is left behind is there for ever
    while marked(marker) and time.monotonic() < given_up:  # what loky has for its semaphores ends by itself
        time.sleep(0.1)
    assert not marked(marker)
    run.stdout.close()


def marked(marker: str) -> list[int]:
    """Return the processes that have a variable in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if marker.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


MPI = """
    import sys
    import numpy as np, anygrad
    from mpi4py.futures import MPIPoolExecutor
    def f(x):
        return float(np.sum(np.sin(x)))
    def main():
        x = np.linspace(1, 2, 30)
        with MPIPoolExecutor() as executor:
            pool = anygrad.Pool(executor)
            scale = 2.0
            value = anygrad.numerical_gradient(lambda x: scale * f(x), x, evaluator=pool)
            assert np.array_equal(value, anygrad.numerical_gradient(lambda x: scale * f(x), x))
            w = x.copy()
            assert np.array_equal(anygrad.numerical_gradient(lambda _: f(w), w, evaluator=pool),
                                  anygrad.numerical_gradient(lambda _: f(w), w))
            try:
                anygrad.numerical_gradient(lambda x: 1 // int(x[8] < 1.2759), x, evaluator=pool)
            except ZeroDivisionError as error:
                assert "x[8] = " in error.__notes__[0], error.__notes__
            else:
                raise AssertionError
        print(True)
    if __name__ == "__main__":
        main()
    """


@pytest.mark.parametrize("source", ["derivatives", "the docs"])
def test_mpi(source, tmp_path):
    page = (ROOT / "docs/gpus-and-clusters.md").read_text(encoding="utf-8")
    own = next(script for script in scripts(page) if "MPIPoolExecutor" in script)
    script, mpiexec = tmp_path / "script.py", Path(sys.executable).parent / "mpiexec"
    script.write_text(textwrap.dedent(MPI) if source == "derivatives" else own)
    run = subprocess.run(
        [str(mpiexec), "-n", "3", sys.executable, "-m", "mpi4py.futures", str(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stdout.strip()) == (0, "True"), run.stderr
