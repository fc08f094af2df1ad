"""The command line: what is written, what comes out, and what is said when it is written wrongly."""

from __future__ import annotations

import doctest
import json
import os
import pickle
import re
import shlex
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pages import RealOutput

import anygrad
from anygrad._cli import main
from anygrad.backends import libraries
from anygrad.schemes import ReferenceStep

PAGE = Path(__file__).parents[1] / "docs" / "command-line.md"
NETWORK = """
import ctypes
import functools
import multiprocessing
import subprocess
import time
import numpy as np

def loss(x):
    return (x**2).sum()

def grad(x):
    return 2 * x

def slip(x):
    return x**2

def tree(p):
    return (p["W"] ** 2).sum() + p["b"].sum()

def kinked(x):
    return abs(x).sum()

def two(x, t):
    return ((x - t) ** 2).sum()

filled = functools.partial(two, t=0.0)

class Net:
    def loss(self, x):
        return (x**2).sum()

net = Net()
number = 3

def chatty(x):
    print("x is here")
    return loss(x)

def fails(x):
    return inner(x)

def inner(x):
    raise KeyError("layer 3")

def same(x):
    return x

def constant(x):
    return 1.0

def real(x):
    return (abs(x) ** 2).sum()

def jump(x):
    return float(np.floor(x).sum())

def spoken(x):
    subprocess.run(["echo", "from a program"])
    return loss(x)

def printed(x):
    ctypes.CDLL(None).printf(b"from a library in C\\n")
    return loss(x)

def square(number):
    return number**2

def spread(x):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return sum(pool.map(square, x))

def slow(x):
    print("called", flush=True)
    time.sleep(60)
    return (x**2).sum()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Go to a folder with modules; forget afterwards what has been imported from there."""
    (tmp_path / "net.py").write_text(NETWORK)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "part.py").write_text(NETWORK)
    np.save(tmp_path / "x.npy", np.array([3.0, 4.0]))
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def refused(capsys, *words):
    """Return the sentence by which a command is refused."""
    assert main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.fullmatch(r"anygrad: .+\n", shown.err)
    return shown.err.removeprefix("anygrad: ").strip()


def gradient_of(capsys, *words):
    assert main(["gradient", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)["value"]


class TestGradient:
    @pytest.mark.parametrize(
        "f", ["net:loss", "net:net.loss", "package.part:loss", "net.py:loss", "package/part.py:loss", "net:filled"]
    )
    def test_a_function_is_found_by_its_name(self, f, capsys):
        before = list(sys.path)
        assert main(["gradient", f, "--x", "[3.0, 4.0]"]) == 0
        assert capsys.readouterr() == ("[6. 8.]\n", "")
        assert sys.path == before

    @pytest.mark.parametrize(
        ("x", "expected"),
        [
            ("x.npy", [6, 8]),
            ("[[1, 2], [3, 4]]", [[2, 4], [6, 8]]),
            ("-2.5", -5),
            ("-1e-3", -2e-3),
            ("[]", []),
        ],
    )
    def test_x_is_a_file_or_numbers(self, x, expected, capsys):
        assert np.allclose(gradient_of(capsys, "net:loss", "--x", x), expected)

    def test_a_tree_of_arrays(self, folder, capsys):
        x = '{"W": [[1, 2]], "b": [0.5]}'
        assert main(["gradient", "net:tree", "--x", x]) == 0
        assert capsys.readouterr().out == "W:\n[[2. 4.]]\nb:\n[1.]\n"
        assert main(["gradient", "net:tree", "--x", x, "-o", "g.npz"]) == 0
        assert main(["gradient", "net:tree", "--x", "g.npz", "-o", "h.npz"]) == 0
        with np.load(folder / "h.npz") as found:
            assert sorted(found) == ["W", "b"]
            assert np.allclose(found["W"], [[4, 8]])
            assert np.allclose(found["b"], [1])

    @pytest.mark.parametrize("dtype", ["float16", "float32", "longdouble", ">f8", "complex64"])
    def test_the_gradient_in_a_file_is_of_xs_dtype(self, dtype, folder):
        x = np.array([[3.0, 4.0], [0.5, 1.0]], dtype=dtype)
        np.save("in.npy", np.asfortranarray(x))
        assert main(["gradient", "net:loss", "--x", "in.npy", "-o", "g.npy"]) == 0
        gradient = np.load("g.npy")
        assert gradient.dtype == np.dtype(dtype).newbyteorder("=")
        assert np.allclose(gradient, 2 * x.astype(complex), rtol=5e-2)

    @pytest.mark.libraries(lambda lib: lib.name in libraries.names())
    def test_every_library_gets_its_own_array(self, lib, folder, capsys):
        kind = type(lib.asarray(np.ones(2), "float32"))
        (folder / "own.py").write_text(
            f"def f(x):\n    assert type(x).__name__ == {kind.__name__!r}, type(x)\n    return (x**2).sum()\n"
        )
        np.save("in.npy", np.array([3.0, 4.0], "float32"))
        assert main(["gradient", "own:f", "--x", "in.npy", "--backend", lib.name, "-o", "g.npy"]) == 0
        assert capsys.readouterr().err == ""
        assert np.load("g.npy").dtype == "float32"
        assert np.allclose(np.load("g.npy"), [6, 8], rtol=1e-2)

    @pytest.mark.parametrize(
        ("words", "scheme"),
        [
            ([], None),
            (["--scheme", "Central4"], anygrad.Central(order=4)),
            (["--scheme", "backward", "--h", "1e-6"], anygrad.Backward(step=1e-6)),
            (["--scheme", "adaptive", "--h", "0.1"], anygrad.Adaptive(step=0.1)),
            (["--h", "1e-3"], anygrad.Central(step=ReferenceStep(1e-3))),
            (["--scheme", "complex", "--h", "1e-30"], anygrad.Complex(step=1e-30)),
        ],
    )
    def test_the_scheme_is_the_one_that_is_named(self, words, scheme, folder):
        (folder / "wavy.py").write_text("import numpy as np\ndef f(x):\n    return np.sin(5 * x).sum()\n")
        assert main(["gradient", "wavy:f", "--x", "x.npy", *words, "-o", "g.npy"]) == 0
        expected = anygrad.numerical_gradient(lambda x: np.sin(5 * x).sum(), np.array([3.0, 4.0]), scheme=scheme)
        assert np.array_equal(np.load("g.npy"), expected)

    def test_json_has_all_that_is_known(self, capsys):
        assert main(["gradient", "net:kinked", "--x", "[0.0, 2.0]", "--scheme", "adaptive", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["value"][1] == pytest.approx(1.0)
        assert found["error"][0] > 0.9 > found["error"][1]
        assert found["flags"]["kink"] == [True, False]
        assert found["ncalls"] > 4

    def test_json_has_what_json_lacks_in_another_way(self, capsys):
        np.save("complex.npy", np.array([1 + 2j]))
        assert gradient_of(capsys, "net:real", "--x", "complex.npy") == {
            "real": [pytest.approx(2)],
            "imag": [pytest.approx(4)],
        }
        assert main(["gradient", "net:jump", "--x", "[1.0]", "--scheme", "adaptive", "--json"]) == 0
        assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["error"] == ["Infinity"]

    @pytest.mark.libraries(lambda lib: lib.name in libraries.names() and not (lib.writable or lib.lazy))
    def test_a_warning_is_a_sentence(self, lib, capsys):
        np.save("in.npy", np.ones(2, "float32"))
        assert main(["gradient", "net:constant", "--x", "in.npy", "--backend", lib.name]) == 0
        shown = capsys.readouterr()
        assert shown.out == "[0. 0.]\n"
        assert re.fullmatch(r"anygrad: f returned the same value for all perturbed copies of x: .*\n", shown.err)


# Files that hold no arrays of numbers, or not all of them any more.
UNREADABLE = ["objects.npy", "pickled.npy", "text.npy", "short.npz", "header.npy", "nothing.npz", "other.npz"]


class TestRefusals:
    @pytest.mark.parametrize(
        ("f", "expected"),
        [
            ("net", "'net' was given, but module:function or file.py:function was expected"),
            ("nosuch:f", "there is no module 'nosuch'"),
            ("nosuch.py:f", "there is no file 'nosuch.py'"),
            ("net:los", "there is no 'los' in net: did you mean 'loss'?"),
            ("net:net.lost", "there is no 'lost' in net: did you mean 'loss'?"),
            ("net:number", "net:number has the type int, but a function of x was expected"),
            ("net:same", "f returned an array of shape"),
        ],
    )
    def test_no_function_of_x(self, f, expected, capsys):
        assert re.search(expected, refused(capsys, "gradient", f, "--x", "[1.0, 2.0]"))

    @pytest.mark.parametrize(
        ("x", "expected"),
        [
            ("nosuch.npy", "nosuch.npy cannot be read: No such file or directory"),
            ("[1.0", "x is '[1.0', but a .npy or .npz file or numbers such as"),
            ("[" * 5000, "and there is no such file"),
            ("[1, [2]]", "x is [1.0, [2.0]], but a number, a list of numbers, or lists of equal length"),
            ("[1, null]", "x is [1.0, null], but"),
            ('{"W": {"a": 1}}', "x['W'] is {\"a\": 1.0}, but"),
            ("integers.npy", "x has the dtype int64, which cannot hold x plus a small step"),
            *[(name, f"{name} cannot be read: it is not a file of numbers written by") for name in UNREADABLE],
        ],
    )
    def test_no_x(self, x, expected, folder, capsys):
        np.save("integers.npy", np.arange(3))
        np.save("objects.npy", np.array([{}], dtype=object), allow_pickle=True)
        np.savez("whole.npz", a=np.ones(100))
        np.savez("nothing.npz")
        (folder / "pickled.npy").write_bytes(pickle.dumps([1.0]))
        (folder / "text.npy").write_text("1.0, 2.0")
        (folder / "short.npz").write_bytes((folder / "whole.npz").read_bytes()[:-100])
        (folder / "header.npy").write_bytes((folder / "x.npy").read_bytes().replace(b"(2,)", b"(2+)"))
        with zipfile.ZipFile("other.npz", "w") as archive:
            archive.writestr("readme.txt", "none")
        assert expected in refused(capsys, "gradient", "net:loss", "--x", x)

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            (["--scheme", "simpson"], "--scheme is 'simpson', but one of adaptive, central, forward"),
            (["--scheme", "central3"], "order must be a positive even number"),
            (["--h", "-1"], "a positive finite number"),
            (["--h", "small"], "argument --h: invalid float value: 'small' (see anygrad gradient --help)"),
            (["--backend", "cubist"], "the array library is 'cubist', but one of numpy, cupy"),
            (["--backend", "cupy"], "cupy cannot be used here (not installed: pip install cupy"),
            (["-o", "nosuch/g.npy"], "nosuch/g.npy cannot be written: there is no folder nosuch"),
            (["-o", "package"], "'package' was given, but the name of a file was expected"),
            (["-o", "package/g.txt"], "write -o package/g.npy, or --json > package/g.txt"),
            (["--x", '{"W": [1]}', "-o", "g.npy"], "-o is g.npy, but a .npz file was expected"),
            (["--rtol", "1"], "unrecognized arguments: --rtol 1 (see anygrad --help)"),
        ],
    )
    def test_options_of_a_gradient(self, words, expected, monkeypatch, capsys):
        monkeypatch.setattr(libraries, "find_spec", lambda name: name != "cupy" or None)
        assert expected in refused(capsys, "gradient", "net:loss", "--x", "x.npy", *words)


class TestErrorsOfTheUsers:
    """Their traceback, from their first line on, is what they want to see."""

    def traceback(self, capsys, f):
        assert main(["gradient", f, "--x", "[1.0]"]) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "_cli" not in shown.err
        assert "importlib" not in shown.err
        return shown.err

    def test_of_f(self, capsys):
        lines = self.traceback(capsys, "net:fails").splitlines()
        assert lines[0] == "Traceback (most recent call last):"
        assert re.fullmatch(r'  File ".*net.py", line \d+, in fails', lines[1])
        assert lines[-2] == "KeyError: 'layer 3'"
        assert lines[-1].startswith("f was called with x[0] = 1.0001")

    @pytest.mark.parametrize("name", ["zero:f", "zero.py:f"])
    def test_of_its_module(self, name, folder, capsys):
        (folder / "zero.py").write_text("1 / 0")
        lines = self.traceback(capsys, name).splitlines()
        assert re.fullmatch(r'  File ".*zero.py", line 1, in <module>', lines[1])
        assert lines[-1] == "ZeroDivisionError: division by zero"

    def test_a_mistake_of_our_own_is_told_as_such(self, monkeypatch, capsys):
        def mistaken(*_, **__):
            raise AttributeError("no such thing")

        monkeypatch.setattr("anygrad.numerical_gradient", mistaken)
        assert main(["gradient", "net:loss", "--x", "[1.0]"]) == 2
        shown = capsys.readouterr().err
        assert "in mistaken" in shown
        assert shown.endswith("anygrad: this is a bug in anygrad: please report it with the traceback above\n")


class TestCheck:
    @pytest.mark.parametrize(
        ("words", "status", "verdict"),
        [
            (["--grad", "net:grad"], 0, "agrees"),
            (["--grad", "net:slip"], 1, "wrong"),
            (["--grad", "g.npy"], 1, "wrong"),
            (["--grad", "[6.0, 8.1]", "--rtol", "0.1", "--scheme", "central4"], 0, "agrees"),
        ],
        ids=["right", "wrong", "in a file", "as numbers, with options"],
    )
    def test_the_exit_status_is_the_verdict(self, words, status, verdict, capsys):
        np.save("g.npy", np.array([6.0, 8.1]))
        command = ["check", "net:loss", "--x", "x.npy", *words]
        assert main(command) == status
        shown = capsys.readouterr()
        assert shown.out.lower().startswith(verdict)
        assert shown.err == ""
        assert main([*command, "--json", "--progress"]) == status
        shown = capsys.readouterr()
        assert json.loads(shown.out)["verdict"] == verdict
        assert "call/s" in shown.err

    def test_no_matplotlib(self, monkeypatch, capsys):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        said = refused(capsys, "check", "net:loss", "--grad", "net:grad", "--x", "x.npy", "--plot", "c.png")
        assert said == "pictures need matplotlib, which cannot be imported: pip install matplotlib"

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            (["--grad", "[1.0]"], "but (2,) was expected"),
            (["--grad", "net:grad", "--directions", "0"], "directions is 0"),
            (["--grad", "net:grad", "--seed", "-1"], "seed is -1, but an integer of 0 or more was expected"),
            (["--grad", "net:grad", "--plot", "nosuch/c.png"], "there is no folder nosuch"),
        ],
    )
    def test_refusals(self, words, expected, capsys):
        assert expected in refused(capsys, "check", "net:loss", "--x", "x.npy", *words)


def test_backends_has_an_entry_for_each_library(monkeypatch, capsys):
    monkeypatch.setattr(libraries, "find_spec", lambda name: name == "numpy" or None)
    assert main(["backends", "--json"]) == 0
    numpy, cupy, *_ = entries = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in entries] == list(libraries.names())
    assert (numpy["version"], numpy["devices"], numpy["obstacle"]) == (np.__version__, ["cpu"], None)
    assert cupy["obstacle"].startswith("not installed")
    assert main(["backends"]) == 0
    _, *rows, other = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == list(libraries.names())
    assert re.fullmatch(rf"numpy +{re.escape(np.__version__)} +20\d\d.\d\d +cpu", rows[0])
    assert re.fullmatch(r"cupy +- +- +not installed: pip install cupy.*", rows[1])
    assert other.startswith("Arrays of any other library")


class TestProcesses:
    def process(self, *words, closed=None, **options):
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # run in the background, as all that is started from here
            signal.signal(signal.SIGINT, signal.default_int_handler)
        path = os.pathsep.join([str(Path(anygrad.__file__).parents[1]), *filter(None, sys.path)])
        command = [sys.executable, "-m", "anygrad", *words]
        return subprocess.Popen(
            ["sh", "-c", f'exec "$@" {closed}>&-', "sh", *command] if closed else command,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
            **{"stdout": subprocess.PIPE, **options},
        )

    @pytest.mark.skipif(sys.platform == "win32", reason="the library of C has another name there")
    @pytest.mark.parametrize(("f", "text"), [("spoken", "from a program\n"), ("printed", "from a library in C\n")])
    def test_what_is_printed_by_others_is_none_of_the_output(self, f, text, monkeypatch):
        monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # which C minds as well
        process = self.process("gradient", f"net:{f}", "--x", "[1.0]")
        assert process.communicate() == ("[2.]\n", text * 2)

    @pytest.mark.parametrize("name", ["torch", "a b.c"])
    def test_a_file_of_any_name(self, name, folder):
        (folder / f"{name}.py").write_text(f"{NETWORK}\nassert __name__ != 'torch'")
        process = self.process("check", f"{name}.py:loss", "--grad", f"{name}.py:grad", "--x", "x.npy")
        _, told = process.communicate()
        assert (process.returncode, told) == (0, "")

    def test_f_in_a_file_may_start_processes(self):
        process = self.process("gradient", "net.py:spread", "--x", "[1.0]")
        shown, told = process.communicate(timeout=120)
        assert (shown, told) == ("[2.]\n", "")

    @pytest.mark.parametrize(("closed", "f", "status"), [(1, "net:loss", 0), (1, "net:fails", 2), (2, "net:nosuch", 2)])
    def test_output_that_is_closed(self, closed, f, status):
        process = self.process("gradient", f, "--x", "x.npy", closed=closed)
        shown, told = process.communicate()
        assert process.returncode == status
        assert "bug in anygrad" not in told
        assert not shown

    def test_ctrl_c(self):
        process = self.process("gradient", "net:slow", "--x", "x.npy")
        assert process.stderr.readline() == "called\n"
        process.send_signal(signal.SIGINT)
        shown, told = process.communicate()
        assert process.returncode == 130
        assert (shown, told) == ("", "anygrad: interrupted\n")

    def test_a_reader_that_has_gone(self):
        reading, writing = os.pipe()
        os.close(reading)
        process = self.process("gradient", "net:loss", "--x", "x.npy", stdout=writing)
        os.close(writing)
        assert process.communicate() == (None, "")
        assert process.returncode == 141

    @pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="there are no such devices here")
    def test_pipes(self):
        with open("x.npy", "rb") as file, open("g.npy", "wb") as gradient:
            words = ["gradient", "net:loss", "--x", "/dev/stdin", "-o", "/dev/stdout"]
            process = self.process(*words, stdin=file, stdout=gradient)
            process.communicate()
        assert process.returncode == 0
        assert np.allclose(np.load("g.npy"), [6, 8])


def test_the_examples_of_the_page(folder, capsys):
    """Every command in the docs is run, and prints what is printed there."""
    text = PAGE.read_text()
    for name, code in re.findall(r"```python\n# (\S+)\n(.*?)```", text, re.DOTALL):
        (folder / name).write_text(code)
    checker, status, seen = RealOutput(), 0, 0
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            if command == "echo $?":
                shown = f"{status}\n"
            else:
                status = main(shlex.split(command)[1:])
                shown = "".join(capsys.readouterr())
            assert checker.check_output(expected, shown, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE), shown
            seen += 1
    assert seen >= 8
