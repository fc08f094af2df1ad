"""Every example in the README, the docs and the docstrings is run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re

import pytest
from pages import PAGES, ROOT, RealOutput, can_run, scripts, sessions

import anygrad

OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
# Examples of libraries that are not installed are left out: the session docs has all.
WITH_SESSIONS = [page for page in PAGES if (code := sessions(page.read_text(encoding="utf-8"))) and can_run(code)]
SCRIPTS = [
    pytest.param(script, id=f"{page.name}-{number}")
    for page in PAGES
    for number, script in enumerate(scripts(page.read_text(encoding="utf-8")))
    if can_run(script)
]


def own_modules():
    """Name the modules that import no other array library than NumPy."""
    libraries = {"torch", "jax", "cupy", "dask", "dpnp"}
    names = [info.name for info in pkgutil.walk_packages(anygrad.__path__, "anygrad.")]
    return [name for name in names if name.rpartition(".")[2].strip("_").partition("_")[0] not in libraries]


@pytest.mark.parametrize("name", own_modules())
def test_docstrings(name):
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=OPTIONS)
    assert not failed


@pytest.mark.parametrize("page", WITH_SESSIONS, ids=lambda page: page.name)
def test_pages(page):
    code = sessions(page.read_text(encoding="utf-8"))
    test = doctest.DocTestParser().get_doctest(code, {"__name__": "page"}, page.name, str(page), 0)
    failed, attempted = doctest.DocTestRunner(checker=RealOutput(), optionflags=OPTIONS).run(test)
    assert attempted
    assert not failed


# What other packages warn of is theirs.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    exec(script, {"__name__": "page"})


def public_names():
    """Name what is public in anygrad, and in its modules whose names are."""
    modules = {
        name: importlib.import_module(f"anygrad.{name}")
        for _, name, package in pkgutil.iter_modules(anygrad.__path__)
        if name in anygrad.__all__ or not (package or name.startswith("_"))
    }
    names = [name for name in anygrad.__all__ if name not in modules]
    return names + [f"{name}.{own}" for name, module in modules.items() for own in names_of(module)]


def names_of(module):
    """Name what a module says is public, or what it defines."""
    defined = (name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__)
    return getattr(module, "__all__", [name for name in defined if not name.startswith("_")])


def test_the_reference_has_all_that_is_public():
    reference = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    listed = re.findall(r"^   ([\w.]+)$", reference, re.MULTILINE)
    assert sorted(listed) == sorted(public_names())
