"""What the docs say to write in the place of other packages gives what they give."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from pages import ROOT, Row, rows, scripts

import anygrad

PAGES = ("coming-from-others.md", "coming-from-autograd.md")
ROWS = [row for page in PAGES for row in rows((ROOT / "docs" / page).read_text(encoding="utf-8"))]


# What the others warn of is theirs.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("row", ROWS, ids=repr)
def test_row(row: Row):
    namespace: dict[str, Any] = {}
    exec(row.script, namespace)
    *before, last = row.ours
    exec("\n".join(before), namespace)
    require_same(eval(last, namespace), eval(row.theirs, namespace))


def test_what_julia_writes_can_be_written():
    _, _, section = (ROOT / "docs/coming-from-autograd.md").read_text(encoding="utf-8").partition("## FiniteDiff.jl")
    [script], written = scripts(section), re.findall(r"\| `(anygrad[^`]+)` \|", section)
    namespace: dict[str, Any] = {}
    exec(script, namespace)
    gradient = np.array([4.0, 1.0, np.exp(3)])
    found = [dense(eval(line, namespace)) for line in written]
    assert len(found) == 9
    for own in found[:5]:
        np.testing.assert_allclose(own, gradient, rtol=1e-6)
    np.testing.assert_allclose(found[5], found[6], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found[8], found[5] @ [1.0, -1.0, 2.0], rtol=1e-6)


def require_same(ours: Any, theirs: Any) -> None:
    if isinstance(ours, anygrad.CheckReport):
        assert ours
        # Along SciPy's random directions, of any length, one-sided differences are off by up to 4e-4.
        assert theirs is True or theirs < 1e-3
    elif isinstance(ours, tuple):
        for one, other in zip(ours, theirs, strict=True):
            require_same(one, other)
    elif ours is not None or theirs is not None:  # None where neither found fault
        ours, theirs = dense(ours), dense(theirs)
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def dense(array: Any) -> np.ndarray:
    return np.asarray(array.toarray() if hasattr(array, "toarray") else array)
