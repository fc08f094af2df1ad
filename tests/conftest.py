"""Fixtures: the array libraries under test, their dtypes and memory layouts."""

from __future__ import annotations

import importlib.util
import os

import pytest
from evaluators import EVALUATORS
from hypothesis import settings
from layouts import LAYOUTS
from libraries import LIBRARIES, Library
from random_examples import REPEATABLE, THINNED
from selection import is_left_out

os.environ.setdefault("JAX_ENABLE_X64", "1")
os.environ.setdefault("JAX_PLATFORMS", "")

# Pictures are tested by the session that installs what draws them, and so on.
_NEEDS = {
    "test_plot.py": ["matplotlib"],
    "test_engines.py": ["loky", "distributed", "mpi4py"],
    "test_coming_from.py": ["numdifftools", "jacobi", "autograd"],
}
collect_ignore = [test for test, needed in _NEEDS.items() if not all(map(importlib.util.find_spec, needed))]

_libraries = pytest.StashKey[list[Library]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        action="append",
        choices=sorted(LIBRARIES),
        help="array library to test (may be given several times; default: numpy); one that cannot be used is an error",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "libraries(condition): run on those libraries only for which condition(library) holds"
    )
    config.stash[_libraries] = []
    for name in config.getoption("--backend") or ["numpy"]:
        try:
            config.stash[_libraries] += [make() for make in LIBRARIES[name]]
        except Exception as error:
            raise pytest.UsageError(f"--backend {name}: cannot be used here: {error}") from error
    slow = all(library.slow for library in config.stash[_libraries])
    settings.load_profile(THINNED if slow else REPEATABLE)


def pytest_report_header(config: pytest.Config) -> str:
    versions = (
        f"{library.name} {getattr(library.xp, '__version__', '')}".strip() for library in config.stash[_libraries]
    )
    return f"array libraries: {', '.join(versions)}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that asks for ``lib`` on every library, for ``dtype`` on every real dtype of it, and so on."""
    if "called" in metafunc.fixturenames:
        metafunc.parametrize("called", EVALUATORS, ids=repr)
    libraries = metafunc.config.stash[_libraries]
    names = metafunc.fixturenames
    if "lib" not in names:
        return
    wanted = [mark.args[0] for mark in metafunc.definition.iter_markers("libraries")]
    libraries = [library for library in libraries if all(condition(library) for condition in wanted)]
    if "dtype" in names or "complex_dtype" in names:
        kind = "dtype" if "dtype" in names else "complex_dtype"
        pairs = [(lib, dtype) for lib in libraries for dtype in (lib.real if kind == "dtype" else lib.complex)]
        metafunc.parametrize(("lib", kind), pairs, ids=[f"{lib.name}-{dtype}" for lib, dtype in pairs])
    elif "layout" in names:
        pairs = [(lib, name) for lib in libraries for name in LAYOUTS if lib.negative_strides or name != "reversed"]
        metafunc.parametrize(("lib", "layout"), pairs, ids=[f"{lib.name}-{name}" for lib, name in pairs])
    else:
        metafunc.parametrize("lib", libraries, ids=str)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, rather than skip, what none of the libraries is wanted for.

    Tests that are on no library run with NumPy, once, and not again with each of the others. What each library is
    wanted for, `selection` says.
    """
    with_numpy = any(library.name == "numpy" for library in config.stash[_libraries])
    wanted, unwanted = [], []
    for item in items:
        (wanted if _wanted(item, with_numpy=with_numpy) else unwanted).append(item)
    items[:] = wanted
    config.hook.pytest_deselected(items=unwanted)


def _wanted(item: pytest.Item, *, with_numpy: bool) -> bool:
    if "lib" not in item.fixturenames:
        return with_numpy
    params = item.callspec.params
    library = params["lib"]
    # A test that none of the libraries is wanted for has a placeholder in the place of one.
    if not isinstance(library, Library):
        return False
    if not all(mark.args[0](library) for mark in item.iter_markers("libraries")):  # those of parameters
        return False
    return not is_left_out(library, params)
