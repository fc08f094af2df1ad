"""Journal: nothing is lost, nothing is repeated, and nothing is taken for what it is not."""

from __future__ import annotations

import functools
import os
import pickle
import random
import sqlite3
import subprocess
import sys
import time
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
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
# What is kept are points, whatever asks for them: a plan that is fixed, and one that is not.
SCHEMES = [anygrad.Central(), anygrad.Adaptive()]
INNER = {
    "copies": anygrad.Loop(in_place=False),
    "batches": anygrad.Batch(),
    "small batches": anygrad.Batch(max_bytes=64),
    "threads": anygrad.Pool(ThreadPoolExecutor(2)),
}


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


def unverified(path, **options):
    """Return a journal with which a resumed run calls f at no point that is stored."""
    return anygrad.Journal(path, verify=False, **options)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "night.journal"


# Killed

KILLS = 9  # of each case


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


# How many calls a run that was killed may repeat: those in flight, and where it compares stored values, three more.
REPEATED = {"gradient": (1, "0"), "hessian": (2 + 3, "1"), "pool": (8 + 3, "1")}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("case", CASES)
def test_killed_at_random_moments(case, path, tmp_path, monkeypatch):
    repeated, verify = REPEATED[case]
    expected, points = uninterrupted(case, tmp_path, monkeypatch)
    record = tmp_path / "record"
    process = start(path, record, case, str(KILLS), "4", VERIFY=verify)
    killed, value = process.communicate(timeout=240)[0].split()
    assert value == expected
    runs = calls_by_run(record)
    assert KILLS // 2 <= int(killed) <= KILLS  # some may have come to their end before
    assert len([run for run in runs[:-1] if run]) >= KILLS // 4  # or it was killed too early each time to mean anything
    assert set(chain(*runs)) == set(points)
    assert len(list(chain(*runs))) <= len(points) + repeated * (len(runs) - 1)


def test_a_new_process_goes_on(path, tmp_path, monkeypatch):
    """With hashes of its own, unlike copies of one process."""
    expected, points = uninterrupted("hessian", tmp_path, monkeypatch)
    record = tmp_path / "record"
    process = start(path, record, "hessian", PYTHONHASHSEED="1", PAUSE="0.01")
    while not record.exists() or len(record.read_text().split()) < 20:
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.communicate()
    process = start(path, record, "hessian", PYTHONHASHSEED="2")
    _, value = process.communicate(timeout=60)[0].split()
    assert value == expected
    calls = [line for line in record.read_text().split() if line not in ("begun", "run")]
    assert set(calls) == set(points)
    assert len(calls) <= len(points) + 1 + 3 + 1  # in flight, compared, and for aux


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
@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
@pytest.mark.parametrize("name", ["numerical_gradient", "jacobian", "hvp"])
def test_operators_go_on_to_the_same_bits(lib, name, scheme, path):
    """Evaluators see points, and no operators: of one element, for several values, and of all elements."""
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
    structure = int(name == "jacobian")  # of what f returns: f(x) tells
    assert plain.ncalls - stored < again.ncalls <= plain.ncalls - stored + 3 + structure  # compared at three points
    assert 0 < complete.ncalls <= 3 + structure
    assert operator(f, evaluator=unverified(path)).ncalls == structure


@pytest.mark.libraries(lambda lib: not lib.lazy)
@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
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


@pytest.mark.parametrize(
    ("name", "scheme"), list(zip(INNER, [anygrad.Complex(), *SCHEMES, anygrad.Forward()], strict=True))
)
def test_every_evaluator_goes_on(name, scheme, path):
    def f(x):
        return {"a": x**2, "b": x.sum(axis=-1)}, "aux"

    def differentiate(evaluator, **options):
        options |= {"scheme": scheme, "has_aux": True, "full_output": True}
        result, aux = anygrad.jacobian(f, X.copy(), evaluator=evaluator, **options)
        assert aux == "aux"
        return result

    def cut(done, total):
        if done >= 3:
            raise PowerCutError

    plain = differentiate(anygrad.Loop())
    journal = anygrad.Journal(path, INNER[name], trust=True)
    with pytest.raises(PowerCutError):
        differentiate(journal, progress=cut)
    again = differentiate(journal)
    complete = differentiate(unverified(path, inner=INNER[name], trust=True))
    assert complete.ncalls == 1  # at x, for the structure of what f returns
    assert again.npoints <= plain.npoints + 3
    for part in ("a", "b"):
        assert np.allclose(again.value[part], plain.value[part], rtol=1e-9)
        assert again.value[part].tobytes() == complete.value[part].tobytes()


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
    plain, plain_calls = anygrad.numerical_gradient(f, x), f.calls
    for _ in range(2):
        found = anygrad.numerical_gradient(f, x, evaluator=unverified(path))
        assert np.array_equal(lib.numpy(found), lib.numpy(plain))
    assert f.calls == 2 * plain_calls


@pytest.mark.libraries(lambda lib: not lib.lazy)
def test_another_x_is_refused(lib, path):
    anygrad.numerical_gradient(
        lambda x: x[0] * x[1], lib.asarray(np.array([1.0, 2.0]), "float32"), evaluator=unverified(path)
    )
    with pytest.raises(ValueError, match="of another derivative"):
        anygrad.numerical_gradient(
            lambda x: x[0] * x[1], lib.asarray(np.array([1.0, 5.0]), "float32"), evaluator=unverified(path)
        )


@pytest.mark.libraries(lambda lib: not lib.lazy)
def test_rows_of_a_batch(lib, path):
    scheme = anygrad.Adaptive()
    x = lib.asarray(np.stack([X, 2 * X]), "float32")
    plain = anygrad.numerical_gradient_2d(lib.xp.sum, x, scheme=scheme, full_output=True)
    f = counted(lib.xp.sum, cut_at=plain.ncalls - 2)
    with pytest.raises(PowerCutError):
        anygrad.numerical_gradient_2d(f, x, scheme=scheme, evaluator=unverified(path))
    for left in (3, 0):
        again = anygrad.numerical_gradient_2d(f, x, scheme=scheme, evaluator=unverified(path), full_output=True)
        assert lib.bits(again.value) == lib.bits(plain.value)
        assert again.ncalls <= left  # a point that is asked for twice is evaluated once


def test_progress_counts_what_is_kept(path):
    f, seen = counted(squares, cut_at=3), []
    with pytest.raises(PowerCutError):
        anygrad.numerical_gradient(f, X.copy(), evaluator=unverified(path))
    for stored, evaluator in (2, unverified(path)), (6, anygrad.Journal(path)):  # compared values are not counted twice
        seen.clear()
        anygrad.numerical_gradient(f, X.copy(), evaluator=evaluator, progress=lambda *counts: seen.append(counts))
        assert seen == [(done, 6) for done in range(stored, 7)]


# Refused


def differentiate(path, f=squares, x=X, operator=anygrad.numerical_gradient, key=None, **options):
    x = np.array(x) if isinstance(x, np.ndarray) else x
    return operator(f, x, evaluator=anygrad.Journal(path, key=key), **options)


def refused(path, match, **options):
    with pytest.raises(ValueError, match=match) as caught:
        differentiate(path, **options)
    assert "\n" not in str(caught.value)


CENTRAL = anygrad.Central()


@pytest.mark.parametrize(
    ("first", "then", "match"),
    [
        ({}, {"x": np.ones(4)}, r"another derivative \(x: numpy float64 of shape \(3,\) .*then, .*\(4,\) .*now\)"),
        ({}, {"x": np.nextafter(X, 9)}, "x: .* then, .* now"),
        ({}, {"x": {"a": X}, "f": lambda x: x["a"].sum()}, r"x\['a'\]: nothing .*then, numpy .* .*now"),
        ({"scheme": CENTRAL}, {"scheme": anygrad.Adaptive()}, r"scheme: Central\(.*\) .*then, Adaptive\(.*\) .*now"),
        ({"scheme": CENTRAL}, {"scheme": CENTRAL, "bounds": (None, 9.0)}, "bounds: None .*then, .*9.* .*now"),
        (
            {"operator": anygrad.jvp, "f": np.exp, "v": np.ones(3)},
            {"operator": anygrad.jvp, "f": np.exp, "v": np.zeros(3)},
            "v: .* .*then, .* .*now",
        ),
        ({"key": {"mesh": np.ones(2)}}, {"key": {"mesh": np.zeros(2)}}, r"\(key: .* .*then, .* .*now\)"),
        ({"key": "a  b"}, {"key": "a b"}, "key: .* then, .* now"),
    ],
    ids=["shape", "last bit of x", "tree", "scheme", "bounds", "v", "key", "spaces"],
)
def test_another_derivative_is_refused(first, then, match, path):
    differentiate(path, **first)
    refused(path, match, **then)
    differentiate(path, **first)


class Model:
    """An f whose name is that of its class, or of a method."""

    def loss(self, x):
        return float(x.sum())

    __call__ = loss


def twice(x):
    return 2 * squares(x)


def scaled(x, factor):
    return factor * squares(x)


@pytest.mark.parametrize(
    ("f", "another", "match"),
    [
        (squares, twice, "'squares' .* then, 'twice' .* now"),
        (Model(), Model().loss, "'Model' .* then, 'Model.loss' .* now"),
        (functools.partial(scaled, factor=2.0), twice, "'scaled' .* then, 'twice' .* now"),
    ],
    ids=["function", "object", "partial"],
)
def test_f_is_known_by_its_name(f, another, match, path):
    for _ in range(2):
        differentiate(path, f=f)
    refused(path, f"f: {match}", f=another)


class Table(Model):
    """An f that reads a file, which it has just been given the name of."""

    def __init__(self, path):
        self.path = path

    def __call__(self, x):
        return float(np.loadtxt(self.path) @ x)


def test_what_f_reads_is_compared_by_its_values(path, tmp_path):
    f = Table(tmp_path / "data.txt")
    np.savetxt(f.path, [1.0, 1.0, 1.0])
    first = differentiate(path, f=f)
    f.path.write_text("# the same numbers\n1.0\n1.0\n1.0\n")
    assert differentiate(path, f=f).tobytes() == first.tobytes()
    np.savetxt(f.path, [1.0, 1.0, 1.1])
    refused(path, r"values of another f: with x\[0\] = 1.0001, it has 2\.5", f=f)
    np.savetxt(f.path, [1.0, 1.0, 1.0])
    assert differentiate(path, f=f).tobytes() == first.tobytes()  # what was refused has changed nothing


def test_both_values_are_shown_where_they_differ_if_only_by_the_sign_of_0(path):
    differentiate(path, f=lambda x: 0.0 * x, operator=anygrad.jacobian)
    signs = r"\[0.0, 0.0, -0.0\], but f returns \[-0.0, -0.0, 0.0\]"
    refused(path, signs, f=lambda x: -0.0 * x, operator=anygrad.jacobian)


def test_a_random_f(path):
    generator = np.random.default_rng(1)

    def f(x):
        return squares(x) + 1e-9 * generator.normal()

    first = anygrad.numerical_gradient(f, X.copy(), evaluator=anygrad.Journal(path))
    refused(path, "or pass verify=False if f is random", f=f)
    again = anygrad.numerical_gradient(f, X.copy(), evaluator=unverified(path))
    assert again.tobytes() == first.tobytes()


@pytest.mark.libraries(lambda lib: lib.lazy)
def test_lazy_arrays_are_refused(lib, path):
    with pytest.raises(TypeError, match=r"x is lazy or traced.*compute x first"):
        anygrad.numerical_gradient(lib.xp.sum, lib.asarray(X, "float32"), evaluator=anygrad.Journal(path))
    assert not path.exists()


# Sparse Jacobians


def test_sparse_jacobians(path):
    x = np.linspace(1.0, 2.0, 20)

    def f(x):
        return x**2 + np.append(x[1:] ** 3, 0.0)

    plain = anygrad.jacobian(f, x, sparsity="detect", full_output=True)
    f = counted(f, cut_at=plain.ncalls - 1)
    with pytest.raises(PowerCutError):
        anygrad.jacobian(f, x, sparsity="detect", evaluator=anygrad.Journal(path))
    again = anygrad.jacobian(f, x, sparsity="detect", evaluator=anygrad.Journal(path), full_output=True)
    assert again.ncalls <= 2 + 3  # a point that is asked for twice is evaluated once; three are compared
    assert np.array_equal(again.value.todense(), plain.value.todense())


# Files that are none


def of_another_program(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE recipes (soup TEXT)")
    connection.close()


def of_another_version(path):
    path.write_bytes(b"")  # as tempfile makes them
    differentiate(path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


@pytest.mark.parametrize(
    ("write", "match"),
    [
        (
            lambda path: path.write_text("Dear diary, " * 100),
            r"is not a journal, or is damaged \(file is not a database\)",
        ),
        (of_another_program, "was written by another program"),
        (of_another_version, "was written by another version of anygrad"),
    ],
    ids=["text", "another program", "another version"],
)
def test_files_that_are_no_journals_are_left_alone(write, match, path):
    write(path)
    content = path.read_bytes()
    refused(path, f"{match}.*: give another path")
    assert path.read_bytes() == content


def test_a_wrong_option_is_an_error_at_once():
    with pytest.raises(ValueError, match="on_error must be 'raise' or 'nan'"):
        anygrad.Journal("a", on_error="ignore")
    with pytest.raises(ValueError, match=r"Vmap\(.*\) cannot: give Loop\(\), Batch\(\) or Pool"):
        anygrad.Journal("a", anygrad.Vmap(), on_error="nan")


@pytest.mark.parametrize("place", ["nowhere/a", "file/"])
def test_a_place_where_no_file_can_be_is_named(place, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=place.partition("/")[0]):
        differentiate(f"{tmp_path}/{place}")
    assert not (tmp_path / "file").stat().st_size
    assert anygrad.Journal(tmp_path / "nowhere").failures() == []


def test_a_relative_path_is_from_where_the_journal_was_made(tmp_path, monkeypatch):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)
    journal, f = pickle.loads(pickle.dumps(unverified("folder/"))), counted(squares)

    def moving(x):
        os.chdir(there)
        return f(x)

    for _ in range(2):
        anygrad.numerical_gradient(moving, X.copy(), evaluator=journal)
    assert f.calls == 6
    assert (len(os.listdir(here)), os.listdir(there)) == (1, [])


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


def outcome(f, x, path, **options):
    """Return the bits of a gradient, or the error that says that the journal cannot be used; and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            bits = anygrad.numerical_gradient(f, x, evaluator=anygrad.Journal(path, **options)).tobytes()
        except (ValueError, OSError):
            bits = None
    return bits, [str(warning.message) for warning in caught]


def test_flipped_bits_and_files_cut_short(path):
    """None changes a result: it is noticed, or what it has hit does not matter."""
    x, chance = np.linspace(0, 1, 60), random.Random(3)
    expected = anygrad.numerical_gradient(counted(squares), x, evaluator=anygrad.Journal(path)).tobytes()
    content, seen = path.read_bytes(), Counter()
    for number in range(200):
        data = bytearray(content)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data if number < 180 else content[: chance.randrange(len(data))])
        bits, messages = outcome(counted(squares), x.copy(), path, verify=False)
        assert bits in (None, expected)
        assert len(messages) <= 1
        if messages:
            assert "does not match its checksum" in messages[0]
        seen["refused" if bits is None else "warned" if messages else "unseen"] += 1
    assert seen["warned"] > 30


def test_a_folder_has_a_file_for_each_derivative(tmp_path):
    f, journal = counted(squares), unverified(tmp_path)
    derivatives = [
        lambda: anygrad.numerical_gradient(f, X.copy(), evaluator=journal),
        lambda: anygrad.numerical_gradient(f, X + 1, evaluator=journal),
        lambda: anygrad.hessian(f, X.copy(), evaluator=journal),
        lambda: anygrad.numerical_gradient(f, X.copy(), scheme=anygrad.Forward(), evaluator=journal),
        lambda: anygrad.numerical_gradient(f, X.copy(), evaluator=unverified(tmp_path, key=2)),
    ]
    before = [derivative() for derivative in derivatives]
    calls = f.calls
    assert len(os.listdir(tmp_path)) == len(derivatives)
    assert all(np.array_equal(derivative(), there) for derivative, there in zip(derivatives, before, strict=True))
    assert f.calls == calls + 1  # the structure of what f returns, for the Hessian


def test_a_check_that_is_killed_goes_on(tmp_path):
    """All that it has evaluated is kept, and it comes to the same."""
    left = [10**6]  # calls until the power is cut

    def f(x):
        left[0] -= 1
        if not left[0]:
            raise PowerCutError
        return squares(x)

    def checked(folder, calls):
        left[0], journal = calls, anygrad.Journal(f"{folder}/")  # with a slash, it is made
        report = anygrad.check_gradient(f, 4 * X, X.copy(), directions=2, evaluator=journal)
        return report, calls - left[0]

    expected, calls = checked(tmp_path / "whole", 10**6)
    with pytest.raises(PowerCutError):
        checked(tmp_path / "in two parts", calls - 2)
    report, again = checked(tmp_path / "in two parts", 10**6)
    files = len(list((tmp_path / "in two parts").glob("*.journal")))
    assert 3 <= again <= 3 + 4 * files  # of each file that is resumed, up to three values are compared, and f(x)
    assert (report.verdict, report.worst) == (expected.verdict, expected.worst)


@pytest.mark.parametrize(("column", "content"), [("content", b""), ("pickled", b"?!"), ("checksum", "no")])
def test_a_damaged_row_is_evaluated_again(column, content, path):
    f = counted(squares)
    first = anygrad.numerical_gradient(f, X.copy(), evaluator=anygrad.Journal(path))
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE points SET {column} = ? WHERE rowid IN (2, 5)", [content])
    connection.close()
    calls = f.calls
    with pytest.warns(RuntimeWarning, match=r"night.journal is damaged: f is called again where") as caught:
        again = anygrad.numerical_gradient(f, X.copy(), evaluator=unverified(path))
    assert (again.tobytes(), f.calls, len(caught)) == (first.tobytes(), calls + 2, 1)
    assert caught[0].filename == __file__
    assert anygrad.numerical_gradient(f, X.copy(), evaluator=unverified(path)).tobytes() == first.tobytes()
    assert f.calls == calls + 2  # and kept


# Failures


def test_failures_are_tried_again_only_when_asked(path, tmp_path):
    failing = {"now": True}

    def f(x):
        if failing["now"] and x[1] > 2.0:
            raise OSError("no licence")
        return squares(x)

    for place in (path, tmp_path):  # a file, and a folder that has two
        journal = anygrad.Journal(place, on_error="nan")
        failing["now"] = True
        assert np.isnan(anygrad.numerical_gradient(f, X.copy(), evaluator=journal)[1])
        with pytest.raises(OSError, match="no licence"):  # on_error="raise" calls f where it has failed
            anygrad.numerical_gradient(f, X.copy(), evaluator=unverified(place))
        failing["now"] = False
        assert np.isnan(anygrad.numerical_gradient(f, X.copy(), evaluator=journal)[1])
        assert {failure.error for failure in journal.failures()} == {"OSError: no licence"}
        journal.forget_failures()
        assert journal.failures() == []
        assert np.allclose(anygrad.numerical_gradient(f, X.copy(), evaluator=journal), 2 * X)


def test_a_failure_costs_its_element(path):
    scheme = anygrad.Central(order=4)

    def failing(x):
        if x[1] > 2.0:
            raise ZeroDivisionError("the mesh is degenerate")
        return squares(x)

    x, f = X.copy(), counted(failing)
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
