"""The house: what may import what, what importing costs, what is public."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import statistics
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

import anygrad

ROOT = Path(anygrad.__file__).parent

# The floors, from the ground up. A module imports from its own floor and from those below it.
FLOORS = [
    {"_box", "_caller", "_typing", "_result", "_indices", "_progress", "_pytree", "_stopped", "_unlike"},
    {"backends", "_function"},
    {"_plan"},
    {"schemes"},
    {"evaluators"},
    {"_validate", "_lines"},
    {"_job", "_variables", "_collected"},
    {"_opened", "_second", "_symmetric", "_pattern"},
    {"_partials", "_run", "_jobs", "_columns", "_direct"},
    {"_detection", "_verification"},
    {"_sparse"},
    {"_gradient", "_jacobian", "_hessian", "_derivative", "_directional", "plot"},
    {"bridges"},
    {"_checking"},
    {"_check"},
    {"testing"},
    {"_cli"},
    {"__init__"},
    {"__main__"},
]
# Whoever is on a floor below another may still have no business with it.
STRANGERS = {
    "schemes": {"backends", "_result", "_progress", "_pytree"},
    "evaluators": {"schemes", "_plan"},
    "backends": {"_result", "_progress", "_pytree"},
    "bridges": {"backends"},
}
# Where a library may be imported, by modules that are named after it: where arrays are from, and whose autograd asks.
AT_HOME = {"backends", "bridges"}
LIBRARIES = {"torch", "jax", "cupy", "dask", "dpnp"}


def modules():
    return sorted(ROOT.rglob("*.py"))


@cache
def imports(path: Path) -> set[str]:
    """Return the dotted names of what a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(path: Path) -> str:
    """Return the folder or module of the top level that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def rooms_imported(path: Path) -> set[str]:
    names = {name.split(".")[1] for name in imports(path) if name.startswith("anygrad.")}
    return {name for name in names if (ROOT / name).is_dir() or (ROOT / f"{name}.py").exists()}


def test_every_module_has_a_floor():
    assert {room(path) for path in modules()} == set().union(*FLOORS)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path):
    here = next(floor for floor, rooms in enumerate(FLOORS) if room(path) in rooms)
    allowed = set().union(*FLOORS[: here + 1]) - STRANGERS.get(room(path), set())
    assert rooms_imported(path) <= allowed


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_libraries_are_known_in_their_backend_and_their_bridge_only(path):
    libraries = {name.split(".")[0] for name in imports(path)} & LIBRARIES
    assert libraries <= ({path.stem.removeprefix("_").partition("_")[0]} if room(path) in AT_HOME else set())
    concrete = {f"anygrad.backends.{name}" for name in anygrad._validate.backends.names()}
    if room(path) != "backends":
        assert not imports(path) & concrete


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_fits_in_ones_head(path):
    assert len(path.read_text().splitlines()) <= 300


def test_all_is_complete_and_sorted():
    public = {
        name
        for name, value in vars(anygrad).items()
        if not name.startswith("_") and (name == "plot" or not isinstance(value, ModuleType))  # testing, once imported
    }
    assert anygrad.__all__ == sorted(anygrad.__all__)
    assert set(anygrad.__all__) == public


@pytest.mark.parametrize("name", anygrad.__all__)
def test_everything_public_is_documented(name):
    public = getattr(anygrad, name)
    assert public.__doc__
    without_example = {"ConstantFunctionWarning", "plot"}
    assert (">>>" in public.__doc__) == (name not in without_example)


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
