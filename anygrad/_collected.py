"""Derivatives as they come, a block of lines at a time, made into arrays like x."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from array_api_compat import array_namespace, device, is_array_api_obj

from anygrad._plan import Slopes
from anygrad._typing import Array
from anygrad.backends import Memory


@dataclass(eq=False)
class Arrays:
    """What is known of derivatives, in arrays of x's library: see `Result`. Steps and errors may be missing."""

    value: Array
    step: Array | None
    error: Array | None
    flags: Mapping[str, Array]


@dataclass(eq=False)
class Collected:
    """Blocks of slopes, converted to x's library and dtype as soon as they are known.

    Parameters
    ----------
    memory
        x, which knows how.
    everything
        Whether errors, steps and flags are wanted, beside the values.
    """

    memory: Memory
    everything: bool
    _values: list[Array] = field(default_factory=list)
    _steps: list[Array] = field(default_factory=list)
    _errors: list[Array] = field(default_factory=list)
    _flags: dict[str, list[Array]] = field(default_factory=dict)

    def add(self, slopes: Slopes) -> None:
        """Add a block."""
        narrow = self.memory.narrow
        self._values.append(narrow(slopes.value))
        if not self.everything:
            return
        self._steps.append(narrow(slopes.step))
        if slopes.error is not None:
            self._errors.append(narrow(slopes.error))
        for name, flag in slopes.flags.items():
            self._flags.setdefault(name, []).append(flag)

    def arrays(self, shape: Sequence[int], step_shape: Sequence[int]) -> Arrays:
        """Return everything in these shapes."""
        join, narrow = self.memory.join, self.memory.narrow
        value = join(self._values, shape)
        flags = {name: join([narrow(flag) for flag in flags], shape) for name, flags in self._flags.items()}
        return Arrays(
            value=value,
            step=join(self._steps, step_shape) if self._steps else None,
            error=join(self._errors, shape) if self._errors else None,
            flags=_as_rounded(flags, value),
        )


def array_of(memory: Memory, numbers: Array, shape: Sequence[int]) -> Array:
    """Return working numbers as an array of x's library."""
    return memory.join([memory.narrow(memory.xp.reshape(numbers, (-1,)))], shape)


def arrays_of(memory: Memory, slopes: Slopes, part: tuple[Any, ...], shape: Sequence[int]) -> Arrays:
    """Return a part of the slopes in x's library and a shape, but for their steps, of which there may be fewer."""

    def convert(table: Array) -> Array:
        return array_of(memory, table[part], shape)

    value = convert(slopes.value)
    return Arrays(
        value=value,
        step=None,
        error=None if slopes.error is None else convert(slopes.error),
        flags=_as_rounded({name: convert(flag) for name, flag in slopes.flags.items()}, value),
    )


def _as_rounded(flags: dict[str, Array], value: Array) -> dict[str, Array]:
    """Return the flags of values in x's dtype, in which a large one may have become infinite."""
    return {**flags, "nonfinite": ~array_namespace(value).isfinite(value)} if "nonfinite" in flags else flags


def mapped(arrays: Sequence[Arrays], assemble: Callable[[Sequence[Array]], Array]) -> Arrays:
    """Return one record of several, each field assembled of theirs. What one of them lacks is left out."""
    names = list(dict.fromkeys(name for part in arrays for name in part.flags))
    estimated = any(part.error is not None for part in arrays)
    parts = [_as_full(part, names, estimated=estimated) for part in arrays]

    def assembled(fields: Sequence[Array | None]) -> Array | None:
        return None if any(part is None for part in fields) else assemble([part for part in fields if part is not None])

    return Arrays(
        value=assembled([part.value for part in parts]),
        step=assembled([part.step for part in parts]),
        error=assembled([part.error for part in parts]) if parts else None,
        flags={name: assemble([part.flags[name] for part in parts]) for name in names},
    )


def _as_full(part: Arrays, names: Sequence[str], *, estimated: bool) -> Arrays:
    """Return the arrays of what has no elements, at which no scheme has looked, with the errors and flags of others."""
    if not is_array_api_obj(part.value) or math.prod(part.value.shape) or not (names or estimated):
        return part
    xp = array_namespace(part.value)
    error = part.error if part.error is not None or not estimated else xp.abs(part.value)
    return replace(part, error=error, flags={name: xp.isfinite(part.value) for name in names})


def nothing(memory: Memory, width: int, *, off_axis: bool) -> Slopes:
    """Return the slopes of no elements at all; real ones, where the elements of a real x are set to complex numbers."""
    xp = memory.xp
    numbers = memory.elements(range(0))
    real = xp.real(numbers) if memory.complex else numbers
    numbers = real if off_axis else numbers
    value, step = (
        xp.zeros((0, count), dtype=kind.dtype, device=device(kind)) for kind, count in ((numbers, width), (real, 1))
    )
    return Slopes(value=value, step=step)
