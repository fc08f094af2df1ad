"""multi_indices: any number of dimensions in one loop."""

from __future__ import annotations

import numpy as np
import pytest

import anygrad


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 2, 3), (1, 2, 1, 2), (0,), (2, 0, 3)])
def test_the_order_is_that_of_nditer(lib, shape):
    x = lib.asarray(np.zeros(shape), "float32")
    if 0 in shape:
        expected = []
    else:
        walk = np.nditer(np.zeros(shape), flags=["multi_index"])
        expected = [walk.multi_index for _ in walk]
    assert list(anygrad.multi_indices(x)) == expected


@pytest.mark.libraries(lambda lib: not lib.lazy)
def test_each_index_finds_its_element(lib, layout):
    from layouts import LAYOUTS

    a = np.arange(12.0).reshape(3, 4)
    x = LAYOUTS[layout](lib, a, "float32")
    assert [lib.numpy(x[index]).item() for index in anygrad.multi_indices(x)] == list(range(12))


def test_numbers_and_lists():
    assert list(anygrad.multi_indices(3.0)) == [()]
    assert list(anygrad.multi_indices([[1, 2], [3, 4]])) == [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.mark.libraries(lambda lib: lib.lazy)
def test_unknown_lengths(lib):
    x = lib.asarray(np.ones(4), "float32")
    with pytest.raises(ValueError, match="known lengths"):
        anygrad.multi_indices(x[x > 0])


@pytest.mark.parametrize("x", [None, "abc", b"abc", {"W": [1.0]}, {1, 2}, iter([1.0]), object(), [[1, 2], [3]], ["a"]])
def test_what_is_no_array(x):
    with pytest.raises(TypeError, match=r"x is .*, but an array, a number or a nested list of numbers was expected"):
        anygrad.multi_indices(x)
