"""Fixtures: the array libraries under test, their dtypes and memory layouts."""

from __future__ import annotations

import importlib.util
import os
from collections import Counter

import pytest
from evaluators import EVALUATORS
from hypothesis import settings
from layouts import LAYOUTS
from libraries import LIBRARIES, Library
from problems import PROBLEMS
from random_examples import REPEATABLE, THINNED
from selection import reason_against

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
_CELL = "a cell of the parity matrix"


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
    config.addinivalue_line("markers", "parity: a cell of the parity matrix, printed at the end")
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
    return bool(item.get_closest_marker("parity")) or reason_against(library, params) is None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    report = yield
    if call.when == "call" and item.get_closest_marker("parity"):
        params = item.callspec.params
        report.user_properties.append((_CELL, [params["lib"].name, params["problem"].name, params["layout"]]))
    return report


def _cells(terminalreporter) -> Counter[tuple[str, str, str, str]]:
    """Return how many tests of each library, problem and layout had which outcome, in whatever process they ran."""
    return Counter(
        (*cell, outcome)
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, ())
        for name, cell in getattr(report, "user_properties", ())
        if name == _CELL
    )


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    """Print backend x problem x layout."""
    cells = _cells(terminalreporter)
    if not cells:
        return
    libraries = [library.name for library in config.stash[_libraries]]
    seen_problems = {problem for _, problem, *_ in cells}
    problems = [problem.name for problem in PROBLEMS if problem.name in seen_problems]
    marks = {layout: layout[0].upper() for layout in LAYOUTS}
    terminalreporter.section("parity with the reference")
    legend = ", ".join(f"{mark} {layout}" for layout, mark in marks.items())
    terminalreporter.write_line(f"{legend}; lower case: failed")
    width = max(map(len, problems)) + 2
    terminalreporter.write_line(" " * width + "".join(f"{library:<16}" for library in libraries))
    for problem in problems:
        row = ""
        for library in libraries:
            seen = [
                mark if not cells[library, problem, layout, "failed"] else mark.lower()
                for layout, mark in marks.items()
                if cells[library, problem, layout, "passed"] or cells[library, problem, layout, "failed"]
            ]
            row += f"{''.join(seen):<16}"
        terminalreporter.write_line(f"{problem:<{width}}{row}")
