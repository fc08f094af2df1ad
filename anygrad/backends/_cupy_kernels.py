"""Kernels for the points of a stencil: one makes them, and one looks at them."""

from __future__ import annotations

from collections.abc import Sequence

import cupy

from anygrad._typing import Array

# Row after row of copies, in each of which the element whose row it is has another level.
_MAKE = cupy.ElementwiseKernel(
    "float64 original, float64 level, int64 size",
    "float64 point",
    "point = i % (size + 1) ? original : level",
    "anygrad_make",
)
# Whether they are still that (none is NaN); and whether the first of f's values and the last one clearly differ.
_LOOK = cupy.ElementwiseKernel(
    "float64 point, float64 original, float64 level, int64 size, raw float64 values, int64 last",
    "raw bool found",
    """
    double expected = i % (size + 1) ? original : level;
    if (point != expected) found[0] = true;
    if (i == 0) {
        double difference = fabs(values[0] - values[last]);
        found[1] = difference > 0 && !isinf(difference);
    }
    """,
    "anygrad_look",
)


class CupyKernels:
    """`Kernels`, two for each level."""

    def made(self, original: Array, levels: Sequence[Array]) -> Array:
        size = original.shape[0]
        table = cupy.empty((len(levels), size, size))
        for part, level in zip(table, levels, strict=True):
            _MAKE(original, level, size, part)
        return table.reshape(-1, size)

    def looked_at(self, table: Array, original: Array, levels: Sequence[Array], values: Array) -> tuple[bool, bool]:
        size = original.shape[0]
        found = cupy.zeros(2, dtype=bool)
        for part, level in zip(table.reshape(len(levels), size, size), levels, strict=True):
            _LOOK(part, original, level, size, values, values.size - 1, found)
        changed, differ = cupy.asnumpy(found).tolist()
        return changed, not differ
