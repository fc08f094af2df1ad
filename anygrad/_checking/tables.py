"""Arrays of derivatives as tables of numbers, and back: along a direction all of x is one row."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from anygrad._checking.comparison import Comparison, HostArray
from anygrad._checking.question import Question
from anygrad._variables import Variables


def table_of(question: Question, variables: Variables, arrays: Sequence[HostArray]) -> HostArray:
    """Return arrays, of the structure of a gradient or of a Jacobian, as one table: a row for each value of f."""
    width = len(variables.shapes)
    if question.kind == "grad":
        return np.concatenate([np.zeros(0), *(array.reshape(-1) for array in arrays)])[None, :]
    if len(arrays) % width or any(
        array.shape[array.ndim - len(shape) :] != shape
        for array, shape in zip(arrays, variables.shapes * (len(arrays) // width), strict=True)
    ):
        raise ValueError(
            f"what is claimed has the shapes {', '.join(str(array.shape) for array in arrays)}, but arrays of"
            f" f(x).shape + x.shape were expected, where x has {', '.join(map(str, variables.shapes))}"
        )
    blocks = [
        np.concatenate([_flat(array, shape) for array, shape in zip(row, variables.shapes, strict=True)], axis=1)
        for row in (arrays[start : start + width] for start in range(0, len(arrays), width))
    ]
    return np.concatenate(blocks)


def root_of_squares(table: HostArray, v: HostArray) -> HostArray:
    """Return the root of the sum of squares of what adds up to ``table @ v``, which may be too large to be squared."""
    with np.errstate(all="ignore"):
        sizes, lengths = np.abs(table), np.abs(v)
        most, longest = (float(np.max(one[np.isfinite(one)], initial=0.0)) or 1.0 for one in (sizes, lengths))
        root: HostArray = most * longest * np.sqrt((sizes / most) ** 2 @ (lengths / longest) ** 2)
    return root


def split(comparison: Comparison, sizes_of: Sequence[int]) -> list[Comparison]:
    """Return one comparison as several, of so many elements each."""
    ends = np.cumsum(sizes_of)[:-1]
    whole = (comparison.claimed, comparison.numerical, comparison.tolerance, comparison.rounded)
    tables = [np.split(table, ends) for table in whole]
    return [Comparison(comparison.name, *of_array) for of_array in zip(*tables, strict=True)]


def concatenated(parts: Sequence[Comparison]) -> Comparison:
    """Return several comparisons as one."""
    return Comparison(
        parts[0].name,
        end_to_end([part.claimed for part in parts]),
        end_to_end([part.numerical for part in parts]),
        end_to_end([part.tolerance for part in parts]),
        end_to_end([part.rounded for part in parts]),
    )


def end_to_end(arrays: Sequence[HostArray]) -> HostArray:
    """Return arrays as one of one dimension."""
    return np.concatenate([array.reshape(-1) for array in arrays])


def parted(variables: Variables, v: HostArray) -> list[HostArray]:
    """Return the numbers of a direction, (n,), as arrays like those of x."""
    ends = np.cumsum([0, *map(math.prod, variables.shapes)])
    return [v[start:stop].reshape(shape) for start, stop, shape in zip(ends, ends[1:], variables.shapes, strict=False)]


def _flat(array: HostArray, shape: tuple[int, ...]) -> HostArray:
    rows = math.prod(array.shape[: array.ndim - len(shape)])
    return array.reshape(rows, math.prod(shape))
