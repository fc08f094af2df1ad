"""The house: what may import what, how far a call goes, what importing costs, what is public."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import statistics
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import anygrad

ROOT = Path(anygrad.__file__).parent

# From the ground up: a module imports from its own layer's rooms and from the layers below.
LAYERS = [
    {"_typing", "_stacklevel"},
    {"backends"},
    {"schemes", "evaluators"},
    {"problem"},
    {"operators"},
    {"plot"},
    {"check", "interop"},
    {"testing", "_cli", "__init__", "__main__"},
]
# Where a library may be imported: by the modules that are named after it, and by those of CUDA's graphs.
LIBRARIES = {"torch", "jax", "cupy", "dask", "dpnp"}
OF_LIBRARIES = {"backends/cuda_graph.py", "backends/libraries.py"}


def modules():
    return sorted(ROOT.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> set[str]:
    """Return the dotted names of what a module imports when it runs."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(path: Path) -> str:
    """Return the folder or module of the top level that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def test_imports_go_down():
    layer_of = {room: i for i, rooms in enumerate(LAYERS) for room in rooms}
    wrong = []
    for path in modules():
        here = layer_of[room(path)]
        names = {name.split(".")[1] for name in imports(path) if name.startswith("anygrad.")} & set(layer_of)
        allowed = {room(path)}.union(*LAYERS[:here])
        wrong += [f"{name_of(path)} imports {name}" for name in names - allowed if here < len(LAYERS) - 1]
    assert not wrong


def test_libraries_are_known_by_the_modules_that_are_named_after_them_only():
    wrong = []
    for path in modules():
        libraries = {name.split(".")[0] for name in imports(path)} & LIBRARIES
        own = {path.stem} if room(path) in {"backends", "interop"} else set()
        if name_of(path) not in OF_LIBRARIES and libraries - own:
            wrong.append(f"{name_of(path)} imports {libraries - own}")
    assert not wrong


def test_the_house_stays_small():
    lines = {name_of(path): len(path.read_text().splitlines()) for path in modules()}
    assert {name: count for name, count in lines.items() if count > 700} == {}
    assert len(lines) <= 95


def files_entered(call) -> set[str]:
    """Return the files of the package in which any function runs, when everything has been imported."""
    call()
    found = set()

    def enter(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(str(ROOT)):
            found.add(Path(frame.f_code.co_filename).relative_to(ROOT).as_posix())

    sys.setprofile(enter)
    try:
        call()
    finally:
        sys.setprofile(None)
    return found


@pytest.mark.parametrize(
    ("most", "call"),
    [
        (15, lambda x: anygrad.numerical_gradient(np.sum, x)),
        (30, lambda x: anygrad.numerical_gradient(np.sum, x, scheme=anygrad.Adaptive())),
        (17, lambda x: anygrad.jacobian(np.exp, x)),
        (18, lambda x: anygrad.hessian(np.sum, x)),
    ],
    ids=["gradient", "adaptive gradient", "jacobian", "hessian"],
)
def test_a_call_enters_few_files(most, call):
    entered = files_entered(lambda: call(np.array([1.0, 2.0])))
    assert len(entered) <= most, sorted(entered)


def test_all_is_complete_and_sorted():
    public = {
        name
        for name in dir(anygrad)
        if not name.startswith("_")
        and (name in {"plot", "testing"} or not isinstance(getattr(anygrad, name), ModuleType))
    }
    assert list(anygrad.__all__) == sorted(anygrad.__all__)
    assert set(anygrad.__all__) | {"testing"} == public | {"testing"}


@pytest.mark.parametrize("name", anygrad.__all__)
def test_everything_public_is_documented(name):
    public = getattr(anygrad, name)
    assert public.__doc__
    without_example = {"ConstantFunctionWarning", "plot", "testing"}
    assert (">>>" in public.__doc__) == (name not in without_example)


@pytest.mark.parametrize(
    "package", ["anygrad.schemes", "anygrad.evaluators", "anygrad.backends"], ids=lambda name: name.split(".")[1]
)
def test_what_extensions_need_is_exported_and_documented(package):
    module = __import__(package, fromlist=["__all__"])
    wanted = {
        "anygrad.schemes": {"Lines", "Slopes", "Scheme"},
        "anygrad.evaluators": {"Points", "Calls", "Evaluator"},
        "anygrad.backends": {"Backend", "Memory", "Points"},
    }[package]
    assert wanted <= set(module.__all__)
    assert all(getattr(module, name).__doc__ for name in wanted)


def python(code: str, environment: dict[str, str] | None = None) -> str:
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return run.stdout.strip()


def test_importing_imports_no_array_library_but_numpy():
    imported = python("import sys, anygrad; print(*sorted({name.partition('.')[0] for name in sys.modules}))")
    assert not LIBRARIES & set(imported.split())
    assert not {"tqdm", "scipy", "networkx", "sqlite3"} & set(imported.split())


def test_importing_takes_less_than_twice_numpys_time(tmp_path):
    """In processor time, of compiled modules; both in each process, as machines change their speed."""
    code = (
        "import time; start = time.process_time(); import numpy; between = time.process_time(); import anygrad; "
        "print((time.process_time() - start) / (between - start))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(tmp_path)
    python(code, environment)
    ratios = [float(python(code, environment)) for _ in range(9)]
    assert statistics.median(ratios) < 2


def test_the_distribution_is_named_apart_from_the_other_anygrad():
    distributions = importlib.metadata.packages_distributions().get("anygrad", [])
    assert set(distributions) <= {"anygrad-numdiff"}
    assert importlib.metadata.version("anygrad-numdiff") == anygrad.__version__
