"""Every example in the README, the docs and the docstrings is run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import anygrad

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *(ROOT / "docs").glob("choosing-*.md"), ROOT / "docs" / "checking.md"]
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def own_modules():
    """Name the modules that import no other array library than NumPy."""
    libraries = {"torch", "jax", "cupy", "dask", "dpnp"}
    names = [info.name for info in pkgutil.walk_packages(anygrad.__path__, "anygrad.")]
    return [name for name in names if name.rpartition(".")[2].strip("_").partition("_")[0] not in libraries]


@pytest.mark.parametrize("name", own_modules())
def test_docstrings(name):
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=OPTIONS)
    assert not failed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages(page):
    failed, attempted = doctest.testfile(str(page), module_relative=False, optionflags=OPTIONS)
    assert attempted
    assert not failed
