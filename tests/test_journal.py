"""Journal: nothing is lost, nothing is repeated, and nothing is taken for what it is not."""

from __future__ import annotations

import functools
import importlib
import math
import os
import pickle
import random
import shutil
import sqlite3
import subprocess
import sys
import time
import warnings
from collections import Counter
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from journalled import CASES
from test_aux_and_f0 import OPERATORS, function

import anygrad

SCRIPT = Path(__file__).with_name("journalled.py")
ROOT = str(Path(anygrad.__file__).parents[1])
X = np.array([1.0, 2.0, -0.5])
SCHEMES = [anygrad.Central(), anygrad.Central(order=4), anygrad.Forward(order=2), anygrad.Adaptive(), anygrad.Complex()]
# What is kept are points, whatever asks for them: slow libraries see one plan that is fixed, and one that is not.
ON_MOST = [anygrad.Central(), anygrad.Adaptive()]
FAST = pytest.mark.libraries(lambda lib: not lib.slow)
THINNED = [scheme if scheme in ON_MOST else pytest.param(scheme, marks=FAST) for scheme in SCHEMES]


class PowerCutError(Exception):
    """What ends a run here: an exception that nobody handles."""


def counted(f, cut_at=None):
    """Return f with a count of its calls, at one of which the power is cut."""

    def counting(x):
        counting.calls += 1
        if counting.calls == cut_at:
            raise PowerCutError
        return f(x)

    counting.calls = 0
    return counting


# Operators whose functions return arrays.
VECTOR = ("jacobian", "jvp", "derivative")


def squares(x):
    return (x**2).sum()


def unverified(path, **options):
    """Return a journal with which a resumed run calls f at no point that is stored."""
    return anygrad.Journal(path, verify=False, **options)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "night.journal"


# Killed

KILLS = 20  # of each of three


def start(path, record, case, *args, **environment):
    return subprocess.Popen(
        [sys.executable, SCRIPT, path, case, *args],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": ROOT, "RECORD": str(record)} | environment,
    )


def calls_by_run(record):
    return [run.split() for run in record.read_text().partition("begun\n")[2].split("run\n")[1:]]


def uninterrupted(case, tmp_path, monkeypatch):
    record = tmp_path / "uninterrupted"
    monkeypatch.setenv("RECORD", str(record))
    value = CASES[case](None, anygrad.Loop())
    return value.tobytes().hex(), record.read_text().split()


# How many calls a run may repeat that was killed: those in flight, and where it compares stored values, three more.
REPEATED = {("gradient", "0"): 1, ("adaptive", "0"): 2, ("hessian", "0"): 2, ("pool", "0"): 8}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("verify", ["0", "1"])
@pytest.mark.parametrize("case", CASES)
def test_killed_at_random_moments(case, verify, path, tmp_path, monkeypatch):
    expected, points = uninterrupted(case, tmp_path, monkeypatch)
    record = tmp_path / "record"
    process = start(path, record, case, str(KILLS), "4", VERIFY=verify)
    killed, value = process.communicate(timeout=240)[0].split()
    assert value == expected
    runs = calls_by_run(record)
    assert KILLS // 2 <= int(killed) <= KILLS  # some may have come to their end before
    assert len([run for run in runs[:-1] if run]) >= KILLS // 4  # or it was killed too early each time to mean anything
    assert set(chain(*runs)) == set(points)
    repeated = REPEATED[case, "0"] + 3 * int(verify)
    assert len(list(chain(*runs))) <= len(points) + repeated * (len(runs) - 1)


def test_new_processes_go_on(path, tmp_path, monkeypatch):
    """With hashes of their own, unlike copies of one process."""
    expected, points = uninterrupted("hessian", tmp_path, monkeypatch)
    record = tmp_path / "record"
    for seed in ("1", "2"):
        process = start(path, record, "hessian", PYTHONHASHSEED=seed, PAUSE="0.01")
        while not record.exists() or len(record.read_text().split()) < 20 * int(seed):
            assert process.poll() is None
            time.sleep(0.005)
        process.kill()
        process.communicate()
    process = start(path, record, "hessian", PYTHONHASHSEED="3")
    _, value = process.communicate(timeout=60)[0].split()
    assert value == expected
    calls = [line for line in record.read_text().split() if line not in ("begun", "run")]
    assert set(calls) == set(points)
    assert len(calls) <= len(points) + 2 * (1 + 3)  # in flight, and compared


def test_two_processes_at_once(path, tmp_path, monkeypatch):
    """Which take from each other what they find; the slow one hardly calls f at all."""
    expected, points = uninterrupted("gradient", tmp_path, monkeypatch)
    records = tmp_path / "fast", tmp_path / "slow"
    processes = [
        start(path, record, "gradient", PAUSE=pause) for record, pause in zip(records, ("0.001", "0.02"), strict=True)
    ]
    values = [process.communicate(timeout=60)[0].split()[1] for process in processes]
    assert values == [expected, expected]
    fast, slow = (list(chain(*calls_by_run(record))) for record in records)
    assert set(fast + slow) == set(points)
    assert len(fast) == len(set(fast))
    assert len(slow) == len(set(slow))
    assert len(fast + slow) < 1.5 * len(points)
    f = counted(CASES["gradient"])  # all is there
    assert f(path).tobytes().hex() == expected


# Gone on


@pytest.mark.libraries(lambda lib: not lib.lazy)
@pytest.mark.parametrize("scheme", THINNED, ids=repr)
@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_goes_on_to_the_same_bits(lib, name, scheme, path):
    x, f = lib.asarray(X, "float32"), function(lib, name)
    operator = functools.partial(OPERATORS[name], x=x, scheme=scheme, full_output=True)
    plain = operator(f)
    journal = anygrad.Journal(path)
    before = lib.bits(x)
    f = counted(f, cut_at=plain.ncalls // 2 + 1)
    stored = plain.ncalls // 2
    with pytest.raises(PowerCutError):
        operator(f, evaluator=journal)
    assert lib.bits(x) == before
    again, complete = operator(f, evaluator=journal), operator(f, evaluator=journal)
    for result in (again, complete):
        assert lib.bits(result.value) == lib.bits(plain.value)
        assert lib.bits(result.step) == lib.bits(plain.step)
        assert result.value.dtype == plain.value.dtype
        assert result.flags.keys() == plain.flags.keys()
    assert plain.ncalls - stored < again.ncalls <= plain.ncalls - stored + 3  # compared at up to three stored points
    assert 0 < complete.ncalls <= 3
    assert operator(f, evaluator=unverified(path)).ncalls == int(
        name in {*VECTOR, "hessian"}
    )  # the structure of what f returns


@pytest.mark.libraries(lambda lib: not lib.lazy)
@pytest.mark.parametrize("scheme", THINNED, ids=repr)
def test_aux_and_the_value_at_x(lib, scheme, path):
    x, journal = lib.asarray(X, "float32"), unverified(path)
    f = counted(lambda x: ({"a": x**2, "b": [x[0] * x[1]]}, {"calls": f.calls}))
    options = {"scheme": scheme, "has_aux": True}
    first, aux = anygrad.jacobian(f, x, evaluator=journal, **options)
    assert aux == {"calls": 1}
    calls = f.calls
    second, aux = anygrad.jacobian(f, x, evaluator=journal, **options)  # asked of f anew, once
    assert (f.calls, aux) == (calls + 1, {"calls": calls + 1})
    assert lib.bits(first["a"]) == lib.bits(second["a"])
    assert lib.bits(first["b"][0]) == lib.bits(second["b"][0])
    third, aux = anygrad.jacobian(f, x, f0=({"a": x**2, "b": [x[0] * x[1]]}, "given"), evaluator=journal, **options)
    assert (f.calls, aux) == (calls + 1, "given")
    assert lib.bits(third["a"]) == lib.bits(second["a"])


class Loaded:
    """An extra output, and an exception, that tells when it is unpickled."""

    count = 0

    def __reduce__(self):
        return loaded, ()


def loaded():
    Loaded.count += 1
    return Loaded()


class LoadedError(Exception, Loaded):
    pass


@pytest.mark.parametrize("trust", [False, True])
def test_pickles_are_loaded_only_if_the_file_is_trusted(trust, path):
    def f(x):
        f.calls += 1
        if x[1] > 2.0:
            raise LoadedError("no licence")
        return squares(x), Loaded()

    f.calls, options = 0, {"has_aux": True, "full_output": True}
    writer = anygrad.Journal(path, on_error="nan", trust=True)
    anygrad.numerical_gradient(f, X.copy(), evaluator=writer, **options)
    calls, Loaded.count = f.calls, 0
    reader = unverified(path, on_error="nan", trust=trust)
    result, aux = anygrad.numerical_gradient(f, X.copy(), evaluator=reader, **options)
    assert isinstance(aux, Loaded)
    assert bool(Loaded.count) == trust
    assert f.calls == calls + (not trust)
    if not trust:
        assert str(result.failures["x[1]"]).endswith("LoadedError: no licence")
        assert type(result.failures["x[1]"]) is RuntimeError


def test_what_cannot_be_pickled_is_asked_anew(path):
    f = counted(lambda x: (squares(x), lambda: "aux"))
    for calls in (7, 1):
        before = f.calls
        evaluator = unverified(path, trust=True)
        _, aux = anygrad.numerical_gradient(f, X.copy(), has_aux=True, evaluator=evaluator)
        assert (aux(), f.calls - before) == ("aux", calls)


@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
def test_a_value_that_was_given_once_and_then_not(scheme, path):
    f, options = counted(lambda x: {"a": x**2}), {"scheme": scheme, "evaluator": unverified(path)}
    first = anygrad.jacobian(f, X.copy(), f0={"a": X**2}, **options)
    calls = f.calls
    second = anygrad.jacobian(f, X.copy(), **options)
    assert np.array_equal(first["a"], second["a"])
    assert f.calls <= calls + 1


@pytest.mark.libraries(lambda lib: not lib.lazy)
@pytest.mark.parametrize("scheme", THINNED, ids=repr)
def test_trees_and_vector_functions(lib, scheme, path):
    x = {"a": lib.asarray(X, "float32"), "b": [lib.asarray(np.array(y), "float32") for y in ([[1.0], [2.0]], 3.0)]}

    def f(x):
        return {"c": lib.xp.exp(x["a"]), "d": (lib.xp.sum(x["b"][0]) * x["b"][1], 1.0)}

    complete = anygrad.jacobian(f, x, scheme=scheme, full_output=True)
    plain = complete.value
    f = counted(f, cut_at=complete.ncalls - 3)
    with pytest.raises(PowerCutError):
        anygrad.jacobian(f, x, scheme=scheme, evaluator=anygrad.Journal(path))
    for left in (4, 0):  # that call, again, and the three after it; and one at x for the structure
        before = f.calls
        value = anygrad.jacobian(f, x, scheme=scheme, evaluator=unverified(path))
        assert f.calls - before == left + 1
        for row in ("c", "d"):
            rows = (value[row], plain[row]) if row == "c" else (value[row][0], plain[row][0])
            assert lib.bits(rows[0]["a"]) == lib.bits(rows[1]["a"])
            assert lib.bits(rows[0]["b"][0]) == lib.bits(rows[1]["b"][0])
            assert lib.bits(rows[0]["b"][1]) == lib.bits(rows[1]["b"][1])


@pytest.mark.libraries(lambda lib: not lib.lazy)
def test_every_dtype(lib, dtype, path):
    x = lib.asarray(X, dtype)
    plain = anygrad.numerical_gradient(lib.xp.sum, x)
    f = counted(lib.xp.sum, cut_at=3)
    with pytest.raises(PowerCutError):
        anygrad.numerical_gradient(f, x, evaluator=unverified(path))
    assert np.array_equal(lib.numpy(anygrad.numerical_gradient(f, x, evaluator=unverified(path))), lib.numpy(plain))
    assert f.calls == 7


@pytest.mark.libraries(lambda lib: not lib.lazy)
@pytest.mark.parametrize("real", [True, False])
def test_complex_x(lib, complex_dtype, real, path):
    x = lib.asarray(X + 1j, complex_dtype)
    f = counted(lambda x: lib.xp.sum(lib.xp.abs(x) ** 2) if real else lib.xp.sum(x**2))
    plain = anygrad.numerical_gradient(f, x)
    first = anygrad.numerical_gradient(f, x, evaluator=unverified(path))
    calls = f.calls
    assert np.array_equal(lib.numpy(anygrad.numerical_gradient(f, x, evaluator=unverified(path))), lib.numpy(plain))
    assert np.array_equal(lib.numpy(first), lib.numpy(plain))
    assert f.calls == calls


@pytest.mark.libraries(lambda lib: not lib.lazy)
@pytest.mark.parametrize("scheme", [anygrad.Central(), anygrad.Forward(), anygrad.Adaptive()], ids=repr)
def test_rows_of_a_batch(lib, scheme, path):
    x = lib.asarray(np.stack([X, 2 * X]), "float32")
    plain = anygrad.numerical_gradient_2d(lib.xp.sum, x, scheme=scheme, full_output=True)
    f = counted(lib.xp.sum, cut_at=plain.ncalls - 2)
    for left in (None, 3, 0):
        if left is None:
            with pytest.raises(PowerCutError):
                anygrad.numerical_gradient_2d(f, x, scheme=scheme, evaluator=unverified(path))
            continue
        again = anygrad.numerical_gradient_2d(f, x, scheme=scheme, evaluator=unverified(path), full_output=True)
        assert lib.bits(again.value) == lib.bits(plain.value)
        assert again.ncalls <= left  # a point that is asked for twice is evaluated once


def test_empty_x(path):
    for _ in range(2):
        assert anygrad.numerical_gradient(squares, np.empty(0), evaluator=unverified(path)).shape == (0,)
    path.unlink()
    for _ in range(2):
        jacobian = anygrad.jacobian(lambda x: np.ones(2), np.empty(0), evaluator=unverified(path))
        assert jacobian.shape == (2, 0)


def test_bounds_and_infinite_values(path):
    x, bounds = np.array([0.0, 1.0]), (0.0, None)

    def f(x):
        with np.errstate(divide="ignore"):
            return np.log(x).sum()

    plain = anygrad.numerical_gradient(f, x, bounds=bounds)
    for _ in range(2):
        again = anygrad.numerical_gradient(f, x, bounds=bounds, evaluator=unverified(path))
        assert again.tobytes() == plain.tobytes()


def test_an_interrupt_leaves_x_and_the_journal_as_they_are(path):
    x = X.copy()

    def f(x):
        f.calls += 1
        if f.calls == 4:
            raise KeyboardInterrupt
        return squares(x)

    f.calls = 0
    with pytest.raises(KeyboardInterrupt):
        anygrad.numerical_gradient(f, x, evaluator=unverified(path, on_error="nan"))
    assert np.array_equal(x, X)
    assert np.allclose(anygrad.numerical_gradient(f, x, evaluator=unverified(path)), 2 * X)
    assert f.calls == 7


def test_an_interrupt_of_the_progress_comes_after_the_value_is_kept(path):
    f = counted(squares)

    def stop(done, total):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        anygrad.numerical_gradient(f, X.copy(), evaluator=unverified(path), progress=stop)
    anygrad.numerical_gradient(f, X.copy(), evaluator=unverified(path))
    assert f.calls == 6


@pytest.mark.parametrize("scheme", [anygrad.Central(), anygrad.Forward()], ids=repr)
def test_progress_counts_what_is_kept(scheme, path):
    f = counted(squares, cut_at=3)
    with pytest.raises(PowerCutError):
        anygrad.numerical_gradient(f, X.copy(), scheme=scheme, evaluator=unverified(path))
    total = scheme.calls(3)
    for stored in (2, total):
        seen = []
        anygrad.numerical_gradient(
            f, X.copy(), scheme=scheme, evaluator=unverified(path), progress=lambda *counts: seen.append(counts)
        )
        assert seen[-1] == (total, total)
        assert stored == total or seen == [(done, total) for done in range(stored, total + 1)]
    seen = []  # those that are compared are not counted twice
    journal = anygrad.Journal(path)
    anygrad.numerical_gradient(f, X.copy(), scheme=scheme, evaluator=journal, progress=lambda *own: seen.append(own))
    assert seen[-1] == (total, total)


def test_f_may_change_what_it_holds(path):
    """A counter, a cache, a list of what it has seen: that is not what it is known by."""
    seen, cache, generator = [], {}, np.random.default_rng(1)

    def f(x):
        seen.append(x.copy())
        cache[len(cache)] = generator.normal()
        if len(seen) == 4:
            raise PowerCutError
        return squares(x)

    with pytest.raises(PowerCutError):
        anygrad.numerical_gradient(f, X.copy(), evaluator=unverified(path))
    assert np.allclose(anygrad.numerical_gradient(f, X.copy(), evaluator=unverified(path)), 2 * X)


def test_f_that_reads_x_through_a_closure(path):
    x = X.copy()
    f = counted(lambda _: float((x**2).sum()), cut_at=3)
    with pytest.raises(PowerCutError):
        anygrad.numerical_gradient(f, x, evaluator=unverified(path))
    assert np.allclose(anygrad.numerical_gradient(f, x, evaluator=unverified(path)), 2 * X)


@pytest.mark.libraries(lambda lib: not lib.lazy)
def test_the_warning_of_copies(lib, path):
    x = lib.asarray(X, "float32")
    for _ in range(2):  # also where all is taken from the journal
        with pytest.warns(anygrad.ConstantFunctionWarning, match="closure"):
            anygrad.numerical_gradient(
                lambda _: lib.xp.sum(x), x, evaluator=anygrad.Journal(path, anygrad.Loop(in_place=False))
            )


# Refused


def refused(path, match, f=squares, x=X, operator=anygrad.numerical_gradient, **options):
    x = np.array(x) if isinstance(x, np.ndarray) else x
    with pytest.raises(ValueError, match=match) as caught:
        operator(f, x, evaluator=anygrad.Journal(path), **options)
    assert "\n" not in str(caught.value)


def test_another_x_is_refused(path):
    anygrad.numerical_gradient(squares, X.copy(), evaluator=anygrad.Journal(path))
    refused(path, r"something else \(x: numpy float64 of shape \(3,\) there, .*\(4,\) here\)", x=np.ones(4))
    refused(path, "x: .* float64 .* there, .* float32 .* here", x=X.astype("float32"))
    refused(path, r"\(not the same x\)", x=np.nextafter(X, 9))
    refused(path, r"x\['a'\]: nothing there, numpy .* here", f=lambda x: x["a"].sum(), x={"a": X.copy()})
    anygrad.numerical_gradient(squares, X.copy(), evaluator=anygrad.Journal(path))


@pytest.mark.libraries(lambda lib: lib.name not in ("numpy", "dask"))
def test_another_library_is_refused(lib, path):
    anygrad.numerical_gradient(squares, X.copy(), evaluator=anygrad.Journal(path))
    refused(path, "x: numpy .* there, .* here", x=lib.asarray(X, "float32"))


def test_another_derivative_is_refused(path):
    anygrad.numerical_gradient(squares, X.copy(), scheme=anygrad.Central(), evaluator=anygrad.Journal(path))
    refused(path, r"scheme: Central\(order=2.*\) there, Adaptive\(.*\) here", scheme=anygrad.Adaptive())
    steps = [np.full(3, 1e-3), np.array([1e-3, 1e-3, np.nextafter(1e-3, 1)])]
    refused(path, "bounds: None there, .*9.* here", scheme=anygrad.Central(), bounds=(None, 9.0))
    refused(path, "operator: 'numerical_gradient' there, 'laplacian' here", operator=anygrad.laplacian)
    path.unlink()
    anygrad.numerical_gradient(
        squares, X.copy(), scheme=anygrad.Central(step=steps[0]), evaluator=anygrad.Journal(path)
    )
    refused(path, r"\(not the same scheme\)", scheme=anygrad.Central(step=steps[1]))
    path.unlink()
    anygrad.derivative(np.exp, X.copy(), evaluator=anygrad.Journal(path))
    refused(path, "n: 1 there, 2 here", f=np.exp, operator=anygrad.derivative, n=2)
    path.unlink()
    anygrad.jvp(np.exp, X.copy(), np.ones(3), evaluator=anygrad.Journal(path))
    refused(path, "v: .* there, .* here", f=np.exp, operator=anygrad.jvp, v=np.zeros(3))


class Model:
    """An f whose name is that of its class."""

    def __init__(self, data):
        self.data = data

    def loss(self, x):
        return float(self.data @ x)

    def __call__(self, x):
        return self.loss(x)


class AnotherModel(Model):
    pass


def twice(x):
    return 2 * squares(x)


def scaled(x, factor):
    return factor * squares(x)


def test_f_is_known_by_its_name(path):
    data = np.ones(3)
    names = {
        "'squares' there, 'twice' here": (squares, twice),
        "'Model' there, 'AnotherModel' here": (Model(data), AnotherModel(data)),
        "'Model.loss' there, 'AnotherModel' here": (Model(data).loss, AnotherModel(data)),
        "'scaled' there, 'twice' here": (functools.partial(scaled, factor=2.0), twice),
        "'exp' there, 'sin' here": (np.exp, np.sin),
    }
    for match, (f, another) in names.items():
        x = np.array(0.5) if "exp" in match else X
        for _ in range(2):
            anygrad.numerical_gradient(f, x.copy(), evaluator=anygrad.Journal(path))
        refused(path, f"f: {match}", f=another, x=x)
        path.unlink()


def test_f_that_holds_something_else_is_refused(path):
    """Which shows in its values, both of which are named."""
    data = np.ones(3)
    makers = [Model, lambda data: functools.partial(np.dot, data), lambda data: lambda x: float(data @ x)]
    for make in makers:
        anygrad.numerical_gradient(make(data.copy()), X.copy(), evaluator=anygrad.Journal(path))
        refused(
            path,
            r"values of another f: with x\[0\] = 1.0001, it has 2\.5\d*, but f gives 5\.0\d* now",
            f=make(2 * data),
        )
        path.unlink()


def test_the_value_that_differs_is_shown(path):
    anygrad.jacobian(lambda x: x**2, X.copy(), evaluator=anygrad.Journal(path))
    refused(
        path,
        r"it has \[1.0\d*, 4.0, 0.25\], but f gives \[1.0\d*, 5.0, 0.25\] now",
        f=lambda x: x**2 + [0, 1, 0],
        operator=anygrad.jacobian,
    )
    refused(
        path,
        r"it has \[1.0\d*, 4.0, 0.25\], but f gives \[1.0\d*, 4.0, 0.25, 1.0\] now",
        f=lambda x: np.append(x**2, 1.0),
        operator=anygrad.jacobian,
    )
    with pytest.raises(ZeroDivisionError):
        anygrad.jacobian(lambda x: 1 / 0, X.copy(), evaluator=anygrad.Journal(path))


def test_the_last_bit_counts(path):
    anygrad.numerical_gradient(lambda x: squares(x) + 0, X.copy(), evaluator=anygrad.Journal(path))
    refused(path, "another f", f=lambda x: np.nextafter(squares(x), 9.0))
    path.unlink()
    anygrad.numerical_gradient(lambda x: 0.0 * squares(x), X.copy(), evaluator=anygrad.Journal(path))
    refused(path, r"0.0, but f gives -0.0 now", f=lambda x: -0.0 * squares(x))
    path.unlink()
    for _ in range(2):
        gradient = anygrad.numerical_gradient(lambda x: np.nan, X.copy(), evaluator=anygrad.Journal(path))
        assert np.isnan(gradient).all()


def test_a_file_that_was_refused_is_as_it_was(path):
    first = anygrad.numerical_gradient(lambda x: squares(x) + 0, X.copy(), evaluator=anygrad.Journal(path))
    refused(path, "another f", f=lambda x: squares(x) + 1)
    again = anygrad.numerical_gradient(lambda x: squares(x) + 0, X.copy(), evaluator=anygrad.Journal(path))
    assert again.tobytes() == first.tobytes()


@pytest.fixture
def user(tmp_path, monkeypatch):
    """Return what imports f, as a new process would, after what it reads has been written."""

    def f_of(**files):
        for name, text in files.items():
            (tmp_path / name.replace("_py", ".py")).write_text(text)
        for name in [name for name in sys.modules if name.startswith("user_")]:
            del sys.modules[name]
        importlib.invalidate_caches()
        return importlib.import_module("user_model").f

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield f_of
    for name in [name for name in sys.modules if name.startswith("user_")]:
        monkeypatch.delitem(sys.modules, name)


MODEL = """
import json, os, pathlib, user_sim
K = json.loads(pathlib.Path(__file__).with_name("user_data").read_text())
def helper(x): return 2.0 * float(x.sum())
def f(x): return helper(x) + user_sim.loss(x) + K * float(x[0]) + float(os.environ.get("USER_OFFSET", "0"))
"""
SIMULATOR = "def loss(x): return 3.0 * float(x.prod())"


@pytest.mark.parametrize("edited", ["helper", "module", "data", "environment"])
def test_an_edit_is_refused(edited, path, user, monkeypatch):
    """Wherever it is, if a value differs."""
    files = {"user_model_py": MODEL, "user_sim_py": SIMULATOR, "user_data": "4.0"}
    for _ in range(2):
        anygrad.numerical_gradient(user(**files), X.copy(), evaluator=anygrad.Journal(path))
    if edited == "environment":
        monkeypatch.setenv("USER_OFFSET", "1e-9")
    name = {"helper": "user_model_py", "module": "user_sim_py", "data": "user_data"}.get(edited)
    if name:
        files[name] = files[name].replace("2.0 *", "2.1 *").replace("3.0", "3.1").replace("4.0", "4.1")
    refused(path, r"values of another f: with x\[0\] = 1.0001, it has", f=user(**files))


def test_an_edit_that_changes_no_value_goes_on(path, user):
    files = {"user_model_py": MODEL, "user_sim_py": SIMULATOR, "user_data": "4.0"}
    first = anygrad.numerical_gradient(user(**files), X.copy(), evaluator=anygrad.Journal(path))
    files["user_sim_py"] = "# faster\n" + SIMULATOR.replace("x.prod()", "x[0] * x[1] * x[2]")
    again = anygrad.numerical_gradient(user(**files), X.copy(), evaluator=anygrad.Journal(path), full_output=True)
    assert (again.value.tobytes(), again.ncalls) == (first.tobytes(), 3)


def test_a_random_f(path):
    generator = np.random.default_rng(1)

    def f(x):
        return squares(x) + 1e-9 * generator.normal()

    first = anygrad.numerical_gradient(f, X.copy(), evaluator=anygrad.Journal(path))
    refused(path, "or pass verify=False if f is random", f=f)
    again = anygrad.numerical_gradient(f, X.copy(), evaluator=unverified(path))
    assert again.tobytes() == first.tobytes()


def test_keys(path, tmp_path):
    versions = [
        anygrad.Journal(path, key=key) for key in ({"mesh": 1, "data": np.ones(2)}, {"mesh": 1, "data": np.zeros(2)})
    ]
    for _ in range(2):
        anygrad.numerical_gradient(squares, X.copy(), evaluator=versions[0])
    with pytest.raises(ValueError, match=r"is of something else \(key: .* there, .* here\)"):
        anygrad.numerical_gradient(squares, X.copy(), evaluator=versions[1])
    folder = tmp_path / "folder"
    folder.mkdir()
    for factor in (1, 2, 1):
        journal = anygrad.Journal(folder, key=factor)
        assert np.allclose(
            anygrad.numerical_gradient(lambda x: factor * squares(x), X.copy(), evaluator=journal), 2 * factor * X
        )
    assert len(os.listdir(folder)) == 2


def test_f_is_compared_at_three_points_at_most(path):
    f = counted(squares)
    for calls in (40, 3, 3):
        before = f.calls
        anygrad.numerical_gradient(f, np.linspace(1, 2, 20), evaluator=anygrad.Journal(path))
        assert f.calls - before == calls


def test_as_many_names_as_help(path):
    anygrad.numerical_gradient(squares, X.copy(), evaluator=anygrad.Journal(path))
    refused(
        path,
        r"; and \d more\)",
        f=np.sum,
        x=np.ones(4, "float32"),
        bounds=(0, 2),
        scheme=anygrad.Adaptive(),
        operator=anygrad.laplacian,
    )


@pytest.mark.libraries(lambda lib: lib.lazy)
def test_lazy_arrays_are_refused(lib, path):
    with pytest.raises(TypeError, match=r"x is lazy or traced.*compute x first"):
        anygrad.numerical_gradient(lib.xp.sum, lib.asarray(X, "float32"), evaluator=anygrad.Journal(path))
    assert not path.exists()


# Sparse Jacobians


@pytest.mark.parametrize("sparsity", ["detect", np.eye(20, dtype=bool) | np.eye(20, k=1, dtype=bool)])
def test_sparse_jacobians(sparsity, path):
    x = np.linspace(1.0, 2.0, 20)

    def f(x):
        return x**2 + np.append(x[1:] ** 3, 0.0)

    plain = anygrad.jacobian(f, x, sparsity=sparsity, full_output=True)
    f = counted(f, cut_at=plain.ncalls - 1)
    with pytest.raises(PowerCutError):
        anygrad.jacobian(f, x, sparsity=sparsity, evaluator=anygrad.Journal(path))
    again = anygrad.jacobian(f, x, sparsity=sparsity, evaluator=anygrad.Journal(path), full_output=True)
    assert again.ncalls <= 2 + 3  # a point that is asked for twice is evaluated once; three are compared
    assert np.array_equal(again.value.todense(), plain.value.todense())
    refused(path, "sparsity: .* there, .* here", f=f, x=x, operator=anygrad.jacobian, sparsity=np.eye(20))


def test_failures_of_sparse_jacobians(path):
    x = np.linspace(1.0, 2.0, 20)

    def f(x):
        if x[3] > np.linspace(1.0, 2.0, 20)[3]:
            raise ZeroDivisionError
        return x**2

    journal = anygrad.Journal(path, on_error="nan")
    result = anygrad.jacobian(f, x, sparsity=np.eye(20), evaluator=journal, full_output=True)
    assert np.array_equal(np.isnan(result.value.todense()), result.flags["failed"].todense())
    assert result.flags["failed"].todense().any()


# Files that are none


def test_files_that_are_no_journals(path):
    path.write_text("Dear diary, " * 100)
    content = path.read_bytes()
    x = X.copy()
    with pytest.raises(
        ValueError, match=r"is no journal, or a damaged one \(file is not a database\): give another path"
    ):
        anygrad.numerical_gradient(squares, x, evaluator=anygrad.Journal(path))
    assert path.read_bytes() == content
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE recipes (soup TEXT)")
    connection.close()
    with pytest.raises(ValueError, match="is a database of another program, and no journal"):
        anygrad.numerical_gradient(squares, x, evaluator=anygrad.Journal(path))
    path.write_bytes(b"")  # as tempfile makes them
    anygrad.numerical_gradient(squares, x, evaluator=anygrad.Journal(path))
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ValueError, match="is of another version of anygrad"):
        anygrad.numerical_gradient(squares, x, evaluator=anygrad.Journal(path))


def test_truncated_files(path):
    x = np.linspace(0, 1, 200)
    f = counted(squares)
    plain = anygrad.numerical_gradient(f, x, evaluator=unverified(path))
    content = path.read_bytes()
    calls = f.calls
    for length in (10, 99, 512, 4096, 5000, 8192, len(content) - 4096, len(content) - 100, len(content) - 1):
        path.write_bytes(content[:length])
        bits, _ = outcome(counted(squares), x, path)
        assert bits in (None, plain.tobytes())
        assert length > 8192 or bits is None
    path.write_bytes(content)
    assert np.array_equal(anygrad.numerical_gradient(f, x, evaluator=unverified(path)), plain)
    assert f.calls == calls


def test_a_full_disk(path):
    """The system is told to let no file grow further: writing fails as on a full disk, and so does the journal."""
    resource = pytest.importorskip("resource", reason="Windows has no such limits; the next test fills a disk")
    x, f = np.linspace(0, 1, 500), counted(squares)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"cannot be read or written \(.*\).*goes on from the last"):
            anygrad.numerical_gradient(f, x, evaluator=anygrad.Journal(path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert np.array_equal(x, np.linspace(0, 1, 500))
    assert 3 < f.calls < 900
    value = anygrad.numerical_gradient(f, x, evaluator=unverified(path))
    assert np.array_equal(value, anygrad.numerical_gradient(squares, x))
    assert f.calls == 1001  # the value that found no room is the one that is evaluated again


def test_a_folder_that_cannot_be_written():
    if not os.path.isdir("/proc/self"):
        pytest.skip("a folder that even root cannot write to is known of Linux only")
    with pytest.raises(OSError, match=r"/proc/self/night.journal cannot be read or written \(unable to open"):
        anygrad.numerical_gradient(squares, X.copy(), evaluator=anygrad.Journal("/proc/self/night.journal"))


def outcome(f, x, path, **options):
    """Return the bits of a gradient, or the error that says that the journal cannot be used; and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            bits = anygrad.numerical_gradient(f, x, evaluator=anygrad.Journal(path, **options)).tobytes()
        except (ValueError, OSError):
            bits = None
    return bits, [str(warning.message) for warning in caught]


@pytest.mark.parametrize("verify", [False, True])
def test_flipped_bits(verify, path):
    """None changes a result: it is noticed, or what it has hit does not matter."""
    x, chance = np.linspace(0, 1, 60), random.Random(3)
    expected = anygrad.numerical_gradient(counted(squares), x, evaluator=anygrad.Journal(path)).tobytes()
    content, seen = path.read_bytes(), Counter()
    for _ in range(150):
        data = bytearray(content)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        bits, messages = outcome(counted(squares), x.copy(), path, verify=verify)
        assert bits in (None, expected)
        assert len(messages) <= 1
        if messages:
            assert "does not match its checksum" in messages[0]
        seen["refused" if bits is None else "warned" if messages else "unseen"] += 1
    assert seen["warned"] > 30


def test_a_disk_that_is_really_full(path, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    tmpfs = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk]
    if not shutil.which("mount") or subprocess.run(tmpfs, capture_output=True, check=False).returncode:
        pytest.skip("only root on Linux may mount a disk small enough to be filled; the test before this fills a file")
    try:
        x, f = np.linspace(0, 1, 2000), counted(squares)
        journal = unverified(disk / "night.journal")
        with pytest.raises(OSError, match="cannot be read or written"):
            anygrad.numerical_gradient(f, x, evaluator=journal)
        assert np.array_equal(x, np.linspace(0, 1, 2000))
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        anygrad.numerical_gradient(f, x, evaluator=journal)
        assert f.calls <= 4000 + 1
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_folder_has_a_file_for_each_derivative(tmp_path):
    f, journal = counted(squares), unverified(tmp_path)
    derivatives = [
        lambda: anygrad.numerical_gradient(f, X.copy(), evaluator=journal),
        lambda: anygrad.numerical_gradient(f, X + 1, evaluator=journal),
        lambda: anygrad.hessian(f, X.copy(), evaluator=journal),
        lambda: anygrad.numerical_gradient(f, X.copy(), scheme=anygrad.Forward(), evaluator=journal),
        lambda: anygrad.numerical_gradient(lambda x: 2 * f(x), X.copy(), evaluator=journal),
    ]
    before = [derivative() for derivative in derivatives]
    calls = f.calls
    assert len(os.listdir(tmp_path)) == len(derivatives)
    assert all(np.array_equal(derivative(), there) for derivative, there in zip(derivatives, before, strict=True))
    assert f.calls == calls + 1  # the structure of what f returns, for the Hessian


def test_a_path_that_ends_with_a_slash_is_a_folder(tmp_path):
    journal = anygrad.Journal(f"{tmp_path}/new/checks/")
    assert anygrad.check_gradient(lambda x: (x**2).sum(), lambda x: 2 * x, np.ones(2), evaluator=journal)
    assert len(list((tmp_path / "new/checks").glob("*.journal"))) > 1


def test_the_failures_of_a_folder(tmp_path):
    def failing(x):
        if x[0] > 1.0:
            raise RuntimeError("the mesh is degenerate")
        return squares(x)

    journal = anygrad.Journal(tmp_path, on_error="nan")
    assert journal.failures() == []
    for scheme in (anygrad.Central(), anygrad.Central(order=4)):
        anygrad.numerical_gradient(failing, X.copy(), scheme=scheme, evaluator=journal)
    assert len(journal.failures()) == 3
    journal.forget_failures()
    assert journal.failures() == []


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("directions", [None, 2])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_check_that_is_killed_goes_on(tmp_path, factor, directions, dtype):
    """All that it has evaluated is kept, and it comes to the same."""
    left = [10**6]  # calls until the power is cut

    def f(x):
        left[0] -= 1
        if not left[0]:
            raise PowerCutError
        return squares(x)

    def checked(folder, calls):
        folder.mkdir(exist_ok=True)
        left[0], journal = calls, anygrad.Journal(folder)
        claim = (2 * factor * X).astype(dtype)
        report = anygrad.check_gradient(f, claim, X.astype(dtype), directions=directions, evaluator=journal)
        return report, calls - left[0]

    expected, calls = checked(tmp_path / "whole", 10**6)
    with pytest.raises(PowerCutError):
        checked(tmp_path / "in two parts", calls - 2)
    report, again = checked(tmp_path / "in two parts", 10**6)
    files = len(list((tmp_path / "in two parts").glob("*.journal")))
    assert 3 <= again <= 3 + 3 * files  # of each file that is resumed, up to three values are compared
    assert (report.verdict, report.worst) == (expected.verdict, expected.worst)


def test_paths(path, tmp_path, monkeypatch):
    with pytest.raises(OSError, match=r"nowhere/a cannot be read or written \(unable to open"):
        anygrad.numerical_gradient(squares, X.copy(), evaluator=anygrad.Journal(tmp_path / "nowhere" / "a"))
    with pytest.raises(TypeError, match="path is 3, but the path of a file was expected"):
        anygrad.Journal(3)
    with pytest.raises(TypeError, match=r"inner is .*Loop.*, but an evaluator such as"):
        anygrad.Journal(path, anygrad.Loop)
    with pytest.raises(ValueError, match=r"on_error must be 'raise' or 'nan'"):
        anygrad.Journal(path, on_error="ignore")
    monkeypatch.chdir(tmp_path)
    anygrad.numerical_gradient(squares, X.copy(), evaluator=anygrad.Journal("here"))
    assert Path("here").exists()
    assert sorted(os.listdir()) == ["here"]  # the two beside it are gone


def test_a_relative_path_is_from_where_the_journal_was_made(tmp_path, monkeypatch):
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    monkeypatch.chdir(folders[0])

    def f(x):
        f.calls += 1
        os.chdir(folders[f.calls % 2])
        return squares(x)

    f.calls = 0
    for path in ("night.journal", Path("as a path"), "folder/"):
        monkeypatch.chdir(folders[0])
        journal = unverified(path)
        assert (journal, repr(journal)) == (unverified(path), repr(unverified(journal.path)))
        assert type(journal.path) is type(path) or isinstance(path, Path)
        assert os.path.samefile(Path(journal.path).parent, folders[0])
        before = f.calls
        for _ in range(3):
            anygrad.numerical_gradient(f, X.copy(), evaluator=pickle.loads(pickle.dumps(journal)))
        assert f.calls == before + 6
    assert not os.listdir(folders[1])


def test_a_file_where_a_folder_was_to_be(tmp_path):
    (tmp_path / "afile").touch()
    for path in (f"{tmp_path}/afile/", f"{tmp_path}/afile/folder/"):
        with pytest.raises(OSError, match="afile"):
            anygrad.numerical_gradient(squares, X.copy(), evaluator=anygrad.Journal(path))
    assert not (tmp_path / "afile").stat().st_size


@pytest.mark.parametrize(
    ("column", "content"), [("content", b"123"), ("content", b""), ("pickled", b"?!"), ("checksum", "no")]
)
def test_a_damaged_row_is_evaluated_again(column, content, path):
    f = counted(squares)
    first = anygrad.numerical_gradient(f, X.copy(), evaluator=anygrad.Journal(path))
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE points SET {column} = ? WHERE rowid IN (2, 5)", [content])
    connection.close()
    calls = f.calls
    with pytest.warns(RuntimeWarning, match=r"night.journal is damaged: f is evaluated again where") as caught:
        again = anygrad.numerical_gradient(f, X.copy(), evaluator=unverified(path))
    assert (again.tobytes(), f.calls, len(caught)) == (first.tobytes(), calls + 2, 1)
    assert caught[0].filename == __file__
    assert anygrad.numerical_gradient(f, X.copy(), evaluator=unverified(path)).tobytes() == first.tobytes()
    assert f.calls == calls + 2  # and kept


# Failures


def fails_at(number, f=squares):
    """Return f such that it fails where any element is more than a number."""

    def failing(x):
        failing.calls += 1
        if float(abs(x).max()) > number:
            raise ZeroDivisionError("the mesh is degenerate")
        return f(x)

    failing.calls = 0
    return failing


@dataclass(frozen=True)
class FrozenError(Exception):
    code: int


def test_an_exception_that_cannot_be_assigned_to(path):
    def f(x):
        raise FrozenError(3)

    journal = anygrad.Journal(path, on_error="nan")
    assert np.isnan(anygrad.numerical_gradient(f, np.ones(1), evaluator=journal)).all()
    assert {failure.error.partition(":")[0].rpartition(".")[2] for failure in journal.failures()} == {"FrozenError"}


class UnspeakableError(Exception):
    def __str__(self):
        raise KeyError(self)


def test_an_exception_that_cannot_be_shown(path):
    def f(x):
        if x[0] > 1.0:
            raise UnspeakableError
        return squares(x)

    journal = anygrad.Journal(path, on_error="nan")
    assert np.array_equal(np.isnan(anygrad.numerical_gradient(f, X.copy(), evaluator=journal)), [True, False, False])
    [failure] = journal.failures()
    assert failure.error.endswith("UnspeakableError: <exception str() failed>")
    assert "in f" in failure.traceback


@pytest.mark.parametrize("scheme", [anygrad.Central(), anygrad.Central(order=4)], ids=repr)
def test_a_failure_costs_its_element(scheme, path):
    x, f = X.copy(), fails_at(2.0)
    journal = unverified(path, on_error="nan")
    result = anygrad.numerical_gradient(f, x, scheme=scheme, evaluator=journal, full_output=True)
    assert np.array_equal(result.flags["failed"], [False, True, False])
    assert np.array_equal(np.isnan(result.value), [False, True, False])
    assert np.array_equal(x, X)
    [first, *_] = journal.failures()
    assert first.point.startswith("x[1] = 2.0")
    assert first.error == "ZeroDivisionError: the mesh is degenerate"
    assert "in failing" in first.traceback
    calls = f.calls
    again = anygrad.numerical_gradient(f, x, scheme=scheme, evaluator=journal, full_output=True)
    assert (f.calls, again.ncalls) == (calls, 0)
    assert again.value.tobytes() == result.value.tobytes()
    assert np.array_equal(again.flags["failed"], result.flags["failed"])


def test_failures_are_tried_again_only_when_asked(path):
    failing = {"now": True}

    def f(x):
        if failing["now"] and x[1] > 2.0:
            raise OSError("no licence")
        return squares(x)

    journal = anygrad.Journal(path, on_error="nan")
    assert np.isnan(anygrad.numerical_gradient(f, X.copy(), evaluator=journal)[1])
    failing["now"] = False
    assert np.isnan(anygrad.numerical_gradient(f, X.copy(), evaluator=journal)[1])
    assert len(journal.failures()) == 1
    journal.forget_failures()
    assert journal.failures() == []
    assert np.allclose(anygrad.numerical_gradient(f, X.copy(), evaluator=journal), 2 * X)


def test_raise_tries_failures_again(path):
    f = fails_at(2.0)
    anygrad.numerical_gradient(f, X.copy(), evaluator=anygrad.Journal(path, on_error="nan"))
    calls = f.calls
    with pytest.raises(ZeroDivisionError):
        anygrad.numerical_gradient(f, X.copy(), evaluator=unverified(path))
    assert f.calls == calls + 1


@pytest.mark.libraries(lambda lib: not lib.lazy)
def test_failures_of_vector_functions(lib, path):
    """Also where it is the first points that fail, and f(x) has to tell how many values there are."""
    x = lib.asarray(np.array([2.0, 1.0]), "float32")

    def f(x):
        if float(x[0]) != 2.0:
            raise ZeroDivisionError
        return {"a": x**2, "b": lib.xp.sum(x)}

    journal = anygrad.Journal(path, on_error="nan")
    for _ in range(2):
        result = anygrad.jacobian(f, x, evaluator=journal, full_output=True)
        assert np.array_equal(lib.numpy(result.flags["failed"]["a"]), [[True, False], [True, False]])
        assert np.array_equal(lib.numpy(result.flags["failed"]["b"]), [True, False])
        assert np.array_equal(np.isnan(lib.numpy(result.value["b"])), [True, False])
        assert result.flags["failed"]["a"].dtype == lib.xp.isnan(x).dtype


@pytest.mark.libraries(lambda lib: not lib.lazy)
@pytest.mark.parametrize("name", OPERATORS)
def test_failures_with_every_operator(lib, name, path):
    x, f = lib.asarray(X, "float32"), function(lib, name)

    def failing(x):
        if float(x[1]) > 2.0:
            raise ZeroDivisionError
        return f(x)

    journal = anygrad.Journal(path, on_error="nan")
    result = OPERATORS[name](failing, x, scheme=anygrad.Central(), evaluator=journal, full_output=True)
    value, failed = lib.numpy(result.value), lib.numpy(result.flags["failed"])
    assert failed.any()
    assert np.array_equal(failed, np.isnan(value))
    path.unlink()
    result = OPERATORS[name](f, x, scheme=anygrad.Central(), evaluator=journal, full_output=True)
    assert not lib.numpy(result.flags["failed"]).any()
    if name == "hessian":
        assert not np.isnan(value[np.ix_([0, 2], [0, 2])]).any()


def test_failures_everywhere(path):
    def f(x):
        raise ZeroDivisionError

    result = anygrad.numerical_gradient(f, X.copy(), evaluator=anygrad.Journal(path, on_error="nan"), full_output=True)
    assert np.isnan(result.value).all()
    assert result.flags["failed"].all()
    path.unlink()
    with pytest.raises(ZeroDivisionError):  # f(x) itself
        anygrad.jacobian(f, X.copy(), evaluator=anygrad.Journal(path, on_error="nan"))


def test_functions_that_are_not_written_in_python(path):
    """Whose exceptions seem to come from the line that has called them."""
    x = np.array(-1e-5)
    journal = anygrad.Journal(path, on_error="nan")
    assert np.isnan(anygrad.numerical_gradient(math.sqrt, x, evaluator=journal))
    assert {failure.error.partition(":")[0] for failure in journal.failures()} == {"ValueError"}


def test_what_is_wrong_with_f_is_no_failure(path):
    journal = anygrad.Journal(path, on_error="nan")
    with pytest.raises(ValueError, match=r"use anygrad\.jacobian"):
        anygrad.numerical_gradient(lambda x: x, X.copy(), evaluator=journal)
    path.unlink()
    with pytest.raises(TypeError, match="return statement"):
        anygrad.numerical_gradient(lambda x: None, X.copy(), evaluator=journal)
    path.unlink()

    def modifying(x):
        x *= 2
        return squares(x)

    x = X.copy()
    with pytest.raises(ValueError, match="modifies its argument"):
        anygrad.numerical_gradient(modifying, x, evaluator=journal)
    assert np.array_equal(x, X)


def test_no_flag_without_a_reason(path):
    result = anygrad.numerical_gradient(squares, X.copy(), evaluator=anygrad.Journal(path), full_output=True)
    assert "failed" not in result.flags
    with pytest.raises(FileNotFoundError, match="there is no journal"):
        anygrad.Journal(path.with_name("another")).failures()


@pytest.mark.parametrize("scheme", [anygrad.Central(), anygrad.Adaptive(), anygrad.Forward()], ids=repr)
def test_a_failure_is_what_nan_is(scheme, path):
    """The derivative is that of an f that returns NaN itself, from the file as well."""

    def f(x):
        return math.log(1.3 - x[0]) + x[1] ** 2 if x[0] < 1.3 else failed()

    def failed():
        raise ValueError("math domain error")

    def with_nan(x):
        return math.log(1.3 - x[0]) + x[1] ** 2 if x[0] < 1.3 else math.nan

    x = np.array([1.2, 0.84])
    plain = anygrad.numerical_gradient(with_nan, x, scheme=scheme, full_output=True)
    for _ in range(2):
        journal = anygrad.Journal(path, on_error="nan")
        result = anygrad.numerical_gradient(f, x, scheme=scheme, evaluator=journal, full_output=True)
        assert result.value.tobytes() == plain.value.tobytes()
        assert set(result.failures) <= {"x[0]"}


def test_a_stop_iteration_comes_through(path):
    f = counted(squares)

    def exhausted(x):
        return next(iter(())) if f(x) > 5.2503 else 0.0

    with pytest.raises(StopIteration):
        anygrad.numerical_gradient(exhausted, X.copy(), evaluator=anygrad.Journal(path))
