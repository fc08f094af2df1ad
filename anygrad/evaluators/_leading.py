"""Arguments and results of f with a leading axis: how many points fit, and whether there is a value for each."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from typing import Any

from anygrad._typing import Array
from anygrad.backends import Memory
from anygrad.evaluators._base import Target


def points_in(max_bytes: int | None, target: Target, memory: Memory) -> int:
    """Return how many points fit; raise if not one does."""
    samples = target.x.shape[0] if target.batch else 1
    point = memory.nbytes // max(1, samples)
    if max_bytes is None:
        return max(1, memory.chunk_bytes // max(1, point))
    if point > max_bytes:
        raise ValueError(
            f"max_bytes is {max_bytes}, but one point takes {point} bytes: give at least that, or None for what is"
            " usually fastest"
        )
    return max_bytes // max(1, point)


def validate_max_bytes(evaluator: str, max_bytes: int | None) -> None:
    """Raise unless ``max_bytes`` is None or a positive number of bytes."""
    if max_bytes is None:
        return
    if isinstance(max_bytes, bool) or not isinstance(max_bytes, numbers.Integral):
        raise TypeError(
            f"{evaluator}(max_bytes={max_bytes!r}): max_bytes must be an integer, such as 2**20, or None for what is"
            " usually fastest"
        )
    if max_bytes < 1:
        raise ValueError(f"{evaluator}(max_bytes={max_bytes!r}): max_bytes must be positive, such as 2**20")


def reader(memory: Memory, *, vector: bool, evaluator: str) -> Callable[[Any, int], Array]:
    """Return what reads the values that f returned for so many points, and raises if they are not one for each."""

    def read_arrays(value: Sequence[Any], count: int) -> Array:
        for part in value:
            _require_leading(part, count, evaluator)
        return memory.read_many(value, count)

    def read_numbers(value: Any, count: int) -> Array:
        _require_leading(value, count, evaluator)
        table = memory.read_many([value], count)
        if table.shape[1] != 1:
            raise ValueError(
                f"f returned an array of shape {_shape(value)} for {count} points, but a gradient needs one number for"
                f" each of them, of shape {(count,)}: use anygrad.jacobian(f, x), or reduce it, as in y.sum(axis=-1)"
            )
        return table[:, 0]

    return read_arrays if vector else read_numbers


def _require_leading(value: Any, count: int, evaluator: str) -> None:
    shape = _shape(value)
    if shape[:1] != (count,):
        raise ValueError(
            f"f returned {_described(value, shape)} for {count} points, but"
            f" {evaluator} needs an array whose first axis has the length {count}, one value for each of the points"
            f" that are along the first axis of its argument: let f work along the axes behind it, as in"
            " x.sum(axis=-1), or use Loop()"
        )


def _described(value: Any, shape: tuple[int, ...]) -> str:
    if shape:
        return f"an array of shape {shape}"
    if hasattr(value, "shape") or isinstance(value, numbers.Number):
        return "a number"
    if isinstance(value, tuple) and len(value) == 2:
        return "a tuple (if it is (value, aux), pass has_aux=True, or let f return the value alone)"
    return "None (does it lack a return statement?)" if value is None else f"{value!r:.60}"


def _shape(value: Any) -> tuple[int, ...]:
    if isinstance(value, list):
        return (len(value), *_shape(value[0])) if value else (0,)
    return tuple(getattr(value, "shape", ()))
