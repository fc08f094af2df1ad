"""Journal: nothing is lost, nothing is repeated, and nothing is taken for what it is not."""

from __future__ import annotations

import functools
import math
import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from edited import EDITED, KNOWN_AGAIN, imported, write
from journalled import CASES
from test_aux_and_f0 import OPERATORS, function

import anygrad
from anygrad.evaluators._journal import ledger
from anygrad.evaluators._journal.inventory import inventory_of

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


def squares(x):
    return (x**2).sum()


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


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("case", CASES)
def test_killed_at_random_moments(case, path, tmp_path, monkeypatch):
    expected, points = uninterrupted(case, tmp_path, monkeypatch)
    record = tmp_path / "record"
    process = start(path, record, case, str(KILLS), "4")
    killed, value = process.communicate(timeout=120)[0].split()
    assert value == expected
    runs = calls_by_run(record)
    assert KILLS // 2 <= int(killed) <= KILLS  # some may have come to their end before
    assert len([run for run in runs[:-1] if run]) >= KILLS // 4  # or it was killed too early each time to mean anything
    assert set(chain(*runs)) == set(points)
    # Evaluated again is at most what was in flight: the last call of a run that was killed.
    finished = [call for run in runs[:-1] for call in run[:-1]] + runs[-1]
    assert len(finished) == len(set(finished))
    in_flight = [run[-1] for run in runs[:-1] if run]
    assert len(finished) + len(in_flight) <= len(points) + len(in_flight)


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
    assert len(calls) <= len(points) + 2


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
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM evaluations").fetchone() == (len(points),)
    connection.close()


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
    with pytest.raises(PowerCutError):
        operator(f, evaluator=journal)
    assert lib.bits(x) == before
    again, complete = operator(f, evaluator=journal), operator(f, evaluator=journal)
    for result in (again, complete):
        assert lib.bits(result.value) == lib.bits(plain.value)
        assert lib.bits(result.step) == lib.bits(plain.step)
        assert result.value.dtype == plain.value.dtype
        assert result.flags.keys() == plain.flags.keys()
    assert again.ncalls == plain.ncalls - plain.ncalls // 2
    assert complete.ncalls == complete.npoints == 0


@pytest.mark.libraries(lambda lib: not lib.lazy)
@pytest.mark.parametrize("scheme", THINNED, ids=repr)
def test_aux_and_the_value_at_x_are_kept(lib, scheme, path):
    x, journal = lib.asarray(X, "float32"), anygrad.Journal(path)
    f = counted(lambda x: ({"a": x**2, "b": [x[0] * x[1]]}, {"calls": 1}))
    options = {"scheme": scheme, "evaluator": journal, "has_aux": True}
    first, aux = anygrad.jacobian(f, x, **options)
    assert aux == {"calls": 1}
    calls = f.calls
    second, aux = anygrad.jacobian(f, x, **options)
    assert (f.calls, aux) == (calls, {"calls": 1})
    assert lib.bits(first["a"]) == lib.bits(second["a"])
    assert lib.bits(first["b"][0]) == lib.bits(second["b"][0])
    third, aux = anygrad.jacobian(f, x, f0=({"a": x**2, "b": [x[0] * x[1]]}, "given"), **options)
    assert aux == "given"
    assert lib.bits(third["a"]) == lib.bits(second["a"])


@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
def test_a_value_that_was_given_once_and_then_not(scheme, path):
    f, options = counted(lambda x: {"a": x**2}), {"scheme": scheme, "evaluator": anygrad.Journal(path)}
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
    for left in (4, 0):  # that call, again, and the three after it
        before = f.calls
        value = anygrad.jacobian(f, x, scheme=scheme, evaluator=anygrad.Journal(path))
        assert f.calls - before == left
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
        anygrad.numerical_gradient(f, x, evaluator=anygrad.Journal(path))
    assert np.array_equal(
        lib.numpy(anygrad.numerical_gradient(f, x, evaluator=anygrad.Journal(path))), lib.numpy(plain)
    )
    assert f.calls == 7


@pytest.mark.libraries(lambda lib: not lib.lazy)
@pytest.mark.parametrize("real", [True, False])
def test_complex_x(lib, complex_dtype, real, path):
    x = lib.asarray(X + 1j, complex_dtype)
    f = counted(lambda x: lib.xp.sum(lib.xp.abs(x) ** 2) if real else lib.xp.sum(x**2))
    plain = anygrad.numerical_gradient(f, x)
    first = anygrad.numerical_gradient(f, x, evaluator=anygrad.Journal(path))
    calls = f.calls
    assert np.array_equal(
        lib.numpy(anygrad.numerical_gradient(f, x, evaluator=anygrad.Journal(path))), lib.numpy(plain)
    )
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
                anygrad.numerical_gradient_2d(f, x, scheme=scheme, evaluator=anygrad.Journal(path))
            continue
        again = anygrad.numerical_gradient_2d(f, x, scheme=scheme, evaluator=anygrad.Journal(path), full_output=True)
        assert lib.bits(again.value) == lib.bits(plain.value)
        assert again.ncalls == left


def test_empty_x(path):
    for _ in range(2):
        assert anygrad.numerical_gradient(squares, np.empty(0), evaluator=anygrad.Journal(path)).shape == (0,)
    path.unlink()
    for _ in range(2):
        jacobian = anygrad.jacobian(lambda x: np.ones(2), np.empty(0), evaluator=anygrad.Journal(path))
        assert jacobian.shape == (2, 0)


def test_bounds_and_infinite_values(path):
    x, bounds = np.array([0.0, 1.0]), (0.0, None)

    def f(x):
        with np.errstate(divide="ignore"):
            return np.log(x).sum()

    plain = anygrad.numerical_gradient(f, x, bounds=bounds)
    for _ in range(2):
        again = anygrad.numerical_gradient(f, x, bounds=bounds, evaluator=anygrad.Journal(path))
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
        anygrad.numerical_gradient(f, x, evaluator=anygrad.Journal(path, on_error="nan"))
    assert np.array_equal(x, X)
    assert np.allclose(anygrad.numerical_gradient(f, x, evaluator=anygrad.Journal(path)), 2 * X)
    assert f.calls == 7


def test_an_interrupt_of_the_progress_comes_after_the_value_is_kept(path):
    f = counted(squares)

    def stop(done, total):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        anygrad.numerical_gradient(f, X.copy(), evaluator=anygrad.Journal(path), progress=stop)
    anygrad.numerical_gradient(f, X.copy(), evaluator=anygrad.Journal(path))
    assert f.calls == 6


@pytest.mark.parametrize("scheme", [anygrad.Central(), anygrad.Forward()], ids=repr)
def test_progress_counts_what_is_kept(scheme, path):
    f = counted(squares, cut_at=3)
    with pytest.raises(PowerCutError):
        anygrad.numerical_gradient(f, X.copy(), scheme=scheme, evaluator=anygrad.Journal(path))
    total = scheme.calls(3)
    for _ in range(2):
        seen = []
        anygrad.numerical_gradient(
            f, X.copy(), scheme=scheme, evaluator=anygrad.Journal(path), progress=lambda *counts: seen.append(counts)
        )
        assert seen == [(done, total) for done in range(1, total + 1)]


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
        anygrad.numerical_gradient(f, X.copy(), evaluator=anygrad.Journal(path))
    assert np.allclose(anygrad.numerical_gradient(f, X.copy(), evaluator=anygrad.Journal(path)), 2 * X)


def test_f_that_reads_x_through_a_closure(path):
    x = X.copy()
    f = counted(lambda _: float((x**2).sum()), cut_at=3)
    with pytest.raises(PowerCutError):
        anygrad.numerical_gradient(f, x, evaluator=anygrad.Journal(path))
    assert np.allclose(anygrad.numerical_gradient(f, x, evaluator=anygrad.Journal(path)), 2 * X)


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
    assert "is of something else" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_x_is_refused(path):
    anygrad.numerical_gradient(squares, X.copy(), evaluator=anygrad.Journal(path))
    refused(path, r"x differs: shape: \(3,\) there, \(4,\) here", x=np.ones(4))
    refused(path, "x differs: dtype: float64 there, float32 here", x=X.astype("float32"))
    refused(path, r"\(x differs: not the same numbers\)", x=np.nextafter(X, 9))
    refused(path, r"x: x there, x\['a'\] here", f=lambda x: x["a"].sum(), x={"a": X.copy()})
    anygrad.numerical_gradient(squares, X.copy(), evaluator=anygrad.Journal(path))


@pytest.mark.libraries(lambda lib: lib.name not in ("numpy", "dask"))
def test_another_library_is_refused(lib, path):
    anygrad.numerical_gradient(squares, X.copy(), evaluator=anygrad.Journal(path))
    refused(path, "x differs: library: numpy there, .* here", x=lib.asarray(X, "float32"))


def test_another_plan_is_refused(path):
    anygrad.numerical_gradient(squares, X.copy(), scheme=anygrad.Central(), evaluator=anygrad.Journal(path))
    refused(path, r"scheme: Central\(order=2.*\) there, Adaptive\(.*\) here", scheme=anygrad.Adaptive())
    steps = [np.full(3, 1e-3), np.array([1e-3, 1e-3, np.nextafter(1e-3, 1)])]
    refused(path, "bounds: None there, .*9.* here", scheme=anygrad.Central(), bounds=(None, 9.0))
    refused(path, "operator: numerical_gradient there, laplacian here", operator=anygrad.laplacian)
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
    def __init__(self, data):
        self.data = data

    def loss(self, x):
        return float(self.data @ x)

    def __call__(self, x):
        return self.loss(x)


class AnotherModel(Model):
    def loss(self, x):
        return float(self.data @ x) + 1


def function_of(data):
    return lambda x: float(data @ x)


def with_default(data):
    def f(x, data=data):
        return float(data @ x)

    return f


def twice(x):
    return 2 * helper(x)


def helper(x):
    return x.sum()


MAKERS = {
    "closure variable 'data'": function_of,
    "defaults of its arguments": with_default,
    "attribute 'data'": Model,
    "f: not the same attribute 'data'": lambda data: Model(data).loss,
    "keyword argument 'data'": lambda data: functools.partial(lambda x, data: float(data @ x), data=data),
    "f: not the same arguments": lambda data: functools.partial(lambda data, x: float(data @ x), data),
}


@pytest.mark.parametrize("match", MAKERS)
def test_f_that_holds_something_else_is_refused(match, path):
    make, data = MAKERS[match], np.ones(3)
    for _ in range(2):
        anygrad.numerical_gradient(make(data.copy()), X.copy(), evaluator=anygrad.Journal(path))
    data[1] += 1e-15
    refused(path, match, f=make(data))


def test_another_f_is_refused(path, monkeypatch):
    anygrad.numerical_gradient(squares, X.copy(), evaluator=anygrad.Journal(path))
    refused(path, "f: name: .*squares there, .*twice here; f: not the same code", f=twice)
    path.unlink()
    anygrad.numerical_gradient(lambda x: x.sum(), X.copy(), evaluator=anygrad.Journal(path))
    refused(path, r"\(f: not the same code\)", f=lambda x: x.sum() + 1)
    path.unlink()
    anygrad.numerical_gradient(twice, X.copy(), evaluator=anygrad.Journal(path))
    monkeypatch.setitem(twice.__globals__, "helper", lambda x: x.max())
    refused(path, "f: not the same global variable 'helper'", f=twice)
    path.unlink()
    anygrad.numerical_gradient(Model(np.ones(3)), X.copy(), evaluator=anygrad.Journal(path))
    refused(path, "f: not the same class", f=AnotherModel(np.ones(3)))


@pytest.fixture
def user(tmp_path, monkeypatch):
    """Return what makes f of a user's source."""

    def f_of(source):
        write(source, tmp_path)
        return imported()

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield f_of
    for name in [name for name in sys.modules if name.startswith("user_")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize("what", EDITED)
def test_what_is_edited_is_noticed(what, path, user):
    """Also after runs in which something besides that has changed by itself."""
    for calls in (6, 0):
        result = anygrad.numerical_gradient(
            user(EDITED[what]), X.copy(), evaluator=anygrad.Journal(path), full_output=True
        )
        assert result.ncalls == calls
    refused(path, "f: |not the same f", f=user(EDITED[what].replace("2.0", "5.0")))


@pytest.mark.parametrize("what", KNOWN_AGAIN)
def test_what_changes_by_itself_is_known_again(what, path, user):
    for calls in (6, 0, 0):
        result = anygrad.numerical_gradient(
            user(KNOWN_AGAIN[what]), X.copy(), evaluator=anygrad.Journal(path), full_output=True
        )
        assert result.ncalls == calls


def test_every_process_knows_the_same(tmp_path):
    known = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        run = subprocess.run(
            [sys.executable, Path(__file__).with_name("edited.py"), folder],
            env=os.environ | {"PYTHONPATH": ROOT, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        known.append(run.stdout.splitlines())
    assert known[0] == known[1]
    assert len(known[0]) > 5 * len(EDITED | KNOWN_AGAIN)


def test_facts_grow_with_what_there_is_and_not_with_the_ways_to_it(user):
    """Parts point back to what they are of, and to each other; each thing is known once."""
    f = user(
        "class N: pass\n"
        "root = N()\n"
        "for i in range(20):\n"
        "    part = N()\n"
        "    part.parent, part.first, part.last, part.k = root, vars(root).get('part 0'), part, i\n"
        "    setattr(root, f'part {i}', part)\n"
        "def f(x): return root.k * x.sum()\n"
    )
    assert len([*inventory_of(f)]) < 20 * 5 + 20


def test_what_is_edited_is_named(path, user):
    for what, match in {
        "class attribute": r"\(f: user_model.S: attribute 'k': 2.0 there, 5.0 here\)",
        "function of a module": r"\(f: user_sim.loss: not the same code\)",
        "variable of a module": r"\(f: global variable 'user_sim.K': 2.0 there, 5.0 here\)",
        "object with a counter": "f: global variable 's': attribute 'k': 2.0 there, 5.0 here",
    }.items():
        anygrad.numerical_gradient(user(EDITED[what]), X.copy(), evaluator=anygrad.Journal(path))
        refused(path, match, f=user(EDITED[what].replace("2.0", "5.0")))
        path.unlink()


def test_another_library_under_the_same_name_is_noticed(path, user):
    source = "import math as m\ndef f(x): return m.exp(x.sum()).real\n"
    anygrad.numerical_gradient(user(source), X.copy(), evaluator=anygrad.Journal(path))
    refused(path, "f: global variable 'm': math there, cmath here", f=user(source.replace("math", "cmath")))


def test_a_module_that_ends_the_program_when_it_is_imported(path, user):
    """Such as a script: only f can say whether it is ever imported."""
    model = "def f(x):\n    if len(x) == 0: import user_sim\n    return (x**2).sum()\n"
    f = user(f"{model}# simulator\nraise SystemExit(2)\n")
    assert np.allclose(anygrad.numerical_gradient(f, X.copy(), evaluator=anygrad.Journal(path)), 2 * X)


def test_data_of_other_libraries_is_known_again(lib, path):
    data = [lib.asarray(np.array([[1.0, 2.0]]), "float32"), lib.asarray(np.array([1.0]), "float32")]

    def f(x):
        return float(lib.numpy(data[0])[0, 0]) * x.sum()

    for _ in range(2):
        anygrad.numerical_gradient(f, X.copy(), evaluator=anygrad.Journal(path))
    data[0] = lib.asarray(np.array([[1.0, 2.5]]), "float32")
    refused(path, "f: not the same closure variable 'data'", f=f)


def test_as_many_names_as_help(path):
    anygrad.numerical_gradient(squares, X.copy(), evaluator=anygrad.Journal(path))
    refused(path, r"; and \d more\)", f=np.sum, x=np.ones(4, "float32"), bounds=(0, 2), scheme=anygrad.Adaptive())


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
    assert again.ncalls in (1, 2)  # a point that is asked for twice is evaluated once
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
    plain = anygrad.numerical_gradient(f, x, evaluator=anygrad.Journal(path))
    content = path.read_bytes()
    calls = f.calls
    for length in (10, 99, 512, 4096, 5000, 8192, len(content) - 4096, len(content) - 100, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(
            ValueError, match=r"is no journal, or a damaged one \(.*\): give another path, or delete it"
        ):
            anygrad.numerical_gradient(f, x, evaluator=anygrad.Journal(path))
    path.write_bytes(content)
    assert np.array_equal(anygrad.numerical_gradient(f, x, evaluator=anygrad.Journal(path)), plain)
    assert f.calls == calls


def test_a_full_disk(path, monkeypatch):
    """SQLite is told that there are no more pages: it fails as on a full disk, and so does the journal."""
    x, f = np.linspace(0, 1, 500), counted(squares)
    keep = ledger.Ledger.prepare

    def prepare(ledger):
        keep(ledger)
        ledger._connection.execute(f"PRAGMA max_page_count = {12}")

    with monkeypatch.context() as patch:
        patch.setattr(ledger.Ledger, "prepare", prepare)
        with pytest.raises(
            OSError, match=r"cannot be read or written \(database or disk is full\).*goes on from the last"
        ):
            anygrad.numerical_gradient(f, x, evaluator=anygrad.Journal(path))
    assert np.array_equal(x, np.linspace(0, 1, 500))
    assert 10 < f.calls < 900
    value = anygrad.numerical_gradient(f, x, evaluator=anygrad.Journal(path))
    assert np.array_equal(value, anygrad.numerical_gradient(squares, x))
    assert f.calls == 1001  # the value that found no room is the one that is evaluated again


def test_a_disk_that_is_really_full(path, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    tmpfs = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk]
    if not shutil.which("mount") or subprocess.run(tmpfs, capture_output=True, check=False).returncode:
        pytest.skip("only root on Linux may mount a disk small enough to be filled; the test before this fills a file")
    try:
        x, f = np.linspace(0, 1, 2000), counted(squares)
        journal = anygrad.Journal(disk / "night.journal")
        with pytest.raises(OSError, match="cannot be read or written"):
            anygrad.numerical_gradient(f, x, evaluator=journal)
        assert np.array_equal(x, np.linspace(0, 1, 2000))
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        anygrad.numerical_gradient(f, x, evaluator=journal)
        assert f.calls <= 4000 + 1
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_folder_has_a_file_for_each_derivative(tmp_path):
    f, journal = counted(squares), anygrad.Journal(tmp_path)
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
    assert f.calls == calls


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
    assert again == 3
    assert (report.verdict, report.worst) == (expected.verdict, expected.worst)


def test_paths(path, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"in a folder that does not exist: make .*nowhere"):
        anygrad.numerical_gradient(squares, X.copy(), evaluator=anygrad.Journal(tmp_path / "nowhere" / "a"))
    with pytest.raises(TypeError, match="path is 3, but the path of a file was expected"):
        anygrad.Journal(3)
    with pytest.raises(TypeError, match=r"inner is .*Loop.*, but an evaluator such as"):
        anygrad.Journal(path, anygrad.Loop)
    with pytest.raises(ValueError, match=r'on_error is .ignore., but "raise" or "nan" was expected'):
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
        journal = anygrad.Journal(path)
        assert (journal, repr(journal)) == (anygrad.Journal(path), repr(anygrad.Journal(journal.path)))
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
        match = rf"{path} .*(but is a file: leave|Not a directory\): give another path)"
        with pytest.raises(NotADirectoryError, match=match):
            anygrad.numerical_gradient(squares, X.copy(), evaluator=anygrad.Journal(path))
    assert not (tmp_path / "afile").stat().st_size


@pytest.mark.parametrize(
    ("column", "content"), [("numbers", b"123"), ("numbers", b""), ("shape", "3"), ("dtype", "?!")]
)
def test_rows_that_are_damaged(column, content, path):
    anygrad.numerical_gradient(squares, X.copy(), evaluator=anygrad.Journal(path))
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE evaluations SET {column} = ?", [content])
    connection.close()
    with pytest.raises(
        ValueError, match=r"night.journal is no journal, or a damaged one \(one of its values cannot be"
    ):
        anygrad.numerical_gradient(squares, X.copy(), evaluator=anygrad.Journal(path))


def test_what_cannot_be_kept(path):
    with pytest.raises(TypeError, match=r"f returned as its aux .*lambda.*cannot be pickled"):
        anygrad.numerical_gradient(
            lambda x: (squares(x), lambda: 1), X.copy(), has_aux=True, evaluator=anygrad.Journal(path)
        )


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
    assert {failure.type.rpartition(".")[2] for failure in journal.failures()} == {"FrozenError"}


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
    assert failure.message == "<no message: its __str__ raised KeyError>"
    assert "in f" in failure.traceback


@pytest.mark.parametrize("scheme", [anygrad.Central(), anygrad.Central(order=4), anygrad.Adaptive()], ids=repr)
def test_a_failure_costs_its_element(scheme, path):
    x, f = X.copy(), fails_at(2.0)
    journal = anygrad.Journal(path, on_error="nan")
    result = anygrad.numerical_gradient(f, x, scheme=scheme, evaluator=journal, full_output=True)
    assert np.array_equal(result.flags["failed"], [False, True, False])
    assert np.array_equal(np.isnan(result.value), [False, True, False])
    assert np.array_equal(x, X)
    [first, *_] = journal.failures()
    assert (first.array, first.elements, first.part) == ("x", (1,), 0)
    assert first.numbers[0] > 2.0
    assert (first.type, first.message) == ("ZeroDivisionError", "the mesh is degenerate")
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
    del failing["now"]
    failing["now"] = False
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE facts SET changes = 1 WHERE label LIKE '%failing%'")
    connection.close()
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
        anygrad.numerical_gradient(f, X.copy(), evaluator=anygrad.Journal(path))
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
    assert {failure.type for failure in journal.failures()} == {"ValueError"}


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
