"""A result, printed: a table of the elements."""

from __future__ import annotations

import numpy as np
import pytest

import anygrad

FULL = {"full_output": True}


def test_a_row_for_each_element():
    printed = str(anygrad.derivative(np.abs, np.array([0.0, 2.0]), **FULL)).splitlines()
    assert printed[0] == "Result of 13 calls of f:"
    assert printed[1].split() == ["value", "error", "step", "flags"]
    assert [line.split()[:2] for line in printed[2:]] == [["[0]", "0"], ["[1]", "1"]]
    assert printed[2].endswith("kink")
    assert [line.index(end) + len(end) for line, end in zip(printed[1:], ["value", " 0", " 1"], strict=False)] == [
        10
    ] * 3


def test_one_element_fits_a_line():
    result = anygrad.derivative(np.exp, 2.0, **FULL)
    assert repr(result).startswith("Result(value=7.3890561, error=")
    assert repr(result).endswith(f"ncalls={result.ncalls})")
    assert len(repr(result)) < 80
    flagged = anygrad.derivative(np.abs, 0.0, **FULL)
    assert "flags=kink" in repr(flagged)


def test_parts_of_trees_have_their_names():
    printed = repr(anygrad.jacobian(lambda p: {"y": p["a"] * p["b"]}, {"a": np.ones(2), "b": 3.0}, **FULL))
    assert "['y']['a'][0, 1]" in printed
    assert "['y']['b'][1]" in printed
    assert "step" not in printed  # which is like x, and not like the Jacobian


def test_long_ones_are_cut_as_numpy_cuts_them():
    with np.printoptions(threshold=10, edgeitems=2):
        printed = repr(anygrad.numerical_gradient(lambda x: x @ x, np.arange(12.0), **FULL)).splitlines()
    assert [line.split()[0] for line in printed[2:]] == ["[0]", "[1]", "...", "[10]", "[11]"]


def test_every_library_prints(lib):
    x = lib.asarray(np.array([1.0, 2.0]), "float32")
    printed = repr(anygrad.numerical_gradient(lambda x: lib.xp.sum(x**2), x, **FULL))
    assert ("[1]" in printed) == (not lib.lazy)
    assert "ncalls=4" in printed or "4 calls" in printed


@pytest.mark.parametrize(
    "result",
    [
        lambda: anygrad.jacobian(lambda x: x**2, np.ones(3), sparsity=np.eye(3), **FULL),
        lambda: anygrad.numerical_gradient(lambda x: 1.0, np.empty(0), **FULL),
        lambda: anygrad.numerical_gradient(lambda x: x.sum() * 1j, np.ones(2), **FULL),
    ],
    ids=["sparse", "empty", "complex"],
)
def test_others_print_too(result):
    assert repr(result()).startswith("Result")
