"""Several arrays whose elements are numbered through: consecutive ones are the same as any others."""

from __future__ import annotations

import numpy as np
import pytest

from anygrad.backends import Joint, resolve

SIZES = (3, 0, 4, 1)


@pytest.fixture
def memory(lib):
    arrays = [lib.asarray(np.arange(size) + 10.0 * size, "float32") for size in SIZES]
    return Joint(tuple(map(resolve, arrays))).memory(arrays, in_place=False)


@pytest.mark.parametrize("first", range(sum(SIZES) + 1))
@pytest.mark.libraries(lambda lib: not lib.slow)
def test_consecutive_elements(lib, memory, first):
    numbers = lib.numpy(memory.elements(list(range(sum(SIZES)))))
    assert numbers.tolist() == [30, 31, 32, 40, 41, 42, 43, 10]
    for last in range(first, sum(SIZES) + 1):
        some = range(first, last)
        assert np.array_equal(lib.numpy(memory.elements(some)), numbers[first:last])
        levels = memory.elements(some) + 0.5
        assert np.array_equal(lib.numpy(memory.nearest(some, levels)), numbers[first:last] + 0.5)
        assert list(memory.raw(some, 0, levels)) == list(memory.raw(list(some), 0, levels))
