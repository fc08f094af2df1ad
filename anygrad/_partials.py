"""The partial derivatives of f by every element of one array."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from array_api_compat import device

from anygrad._collected import Arrays, Collected, nothing
from anygrad._function import Function
from anygrad._job import Job, Options
from anygrad._lines import Space, element_lines
from anygrad._opened import opened
from anygrad._plan import Slopes
from anygrad._progress import Meter
from anygrad._typing import Array, Namespace
from anygrad.backends import Memory, neither_real_nor_holomorphic


@dataclass(eq=False)
class Partials:
    """The derivatives by each element, and the account of the calls.

    The arrays are of x's shape; of a vector function of p values of shape (n, p), and the steps (n, 1). ``in_place``
    says that f saw x itself change, or what is x in another process; ``copied``, that f was given copies of the x here,
    and ``blind``, that besides it never returned another value.
    """

    arrays: Arrays
    ncalls: int
    npoints: int
    in_place: bool
    copied: bool
    blind: bool


def partials(job: Job, function: Function, meter: Meter | None, known: dict[int, object]) -> Partials:
    """Differentiate f by each element of x; in a batch, f of a row by each element of that row."""
    with opened(job, function, meter, known) as space:
        session, memory = space.session, space.memory
        collected = Collected(memory, job.options.full_output)
        width = 1
        for block in _blocks(memory, job, session.together, lambda: function.sizes):
            slopes = _slopes(space, job.options, block, meter)
            if session.record.tolerant:
                slopes = _without_failed(memory.xp, slopes, block, session.record.failed)
            width = slopes.value.shape[1]
            collected.add(slopes)
        if not memory.size:
            width = session.base(range(1)).shape[-1] if job.vector else 1
            collected.add(nothing(memory, width, off_axis=space.off_axis))
        shape, step_shape = ((memory.size, width), (memory.size, 1)) if job.vector else (job.x.shape, job.x.shape)
        blind = session.blind()
        return Partials(
            arrays=collected.arrays(shape, step_shape),
            ncalls=session.record.calls,
            npoints=session.record.points,
            in_place=session.in_place,
            copied=not memory.visible,
            blind=blind,
        )


def _blocks(memory: Memory, job: Job, least: int, sizes: Callable[[], Sequence[int]]) -> Iterator[Sequence[int]]:
    """Split the elements; the values of an f that returns many are to need no more room than those of one."""
    start = 0
    # How many f returns is known after the first element.
    length = least if job.vector and memory.concrete else memory.block
    while start < memory.size:
        yield range(start, min(start + length, memory.size))
        start += length
        length = max(least, memory.block // max(1, sum(sizes()))) if job.vector else memory.block


def _slopes(space: Space, options: Options, block: Sequence[int], meter: Meter | None) -> Slopes:
    """Differentiate along the elements of a block."""
    scheme = options.scheme

    def along(part: int) -> Slopes:
        lines = element_lines(space, block, part)
        if part and meter is not None:
            meter.total += scheme.calls(len(block))
        return scheme.differentiate(lines, scheme.steps(lines))

    return completed(space, along)


def completed(space: Space, along: Callable[[int], Slopes]) -> Slopes:
    """Return the derivatives by x, given what makes those along its real (0) and along its imaginary part (1).

    For complex x, f is differentiated along the real axis. Where f is complex, and taken to be holomorphic, that is
    its derivative; where f is real, the derivative along the imaginary axis is wanted as well.
    """
    memory = space.memory
    by_real = along(0)
    if space.off_axis or not memory.complex or _is_complex(memory, by_real.value):
        return by_real
    by_imag = along(1)
    if _is_complex(memory, by_imag.value):
        raise neither_real_nor_holomorphic()
    return _both(memory, by_real, by_imag)


def _both(memory: Memory, by_real: Slopes, by_imag: Slopes) -> Slopes:
    value = memory.xp.reshape(memory.compose(by_real.value, by_imag.value), by_real.value.shape)
    error = None if by_real.error is None or by_imag.error is None else by_real.error + by_imag.error
    flags = {name: flag | by_imag.flags[name] for name, flag in by_real.flags.items()}
    return replace(by_real, value=value, error=error, flags=flags)


def _without_failed(xp: Namespace, slopes: Slopes, block: Sequence[int], failed: set[int]) -> Slopes:
    """Return slopes that are NaN, and flagged, by those of the elements at which f has failed."""
    mask = xp.asarray([[element in failed] for element in block], device=device(slopes.value))
    flag = xp.asarray(xp.broadcast_to(mask, slopes.value.shape), copy=True)  # which not every library can read as it is

    def without(numbers: Array) -> Array:
        return xp.where(flag, xp.full_like(numbers, float("nan")), numbers)

    error = None if slopes.error is None else without(slopes.error)
    return replace(slopes, value=without(slopes.value), error=error, flags={**slopes.flags, "failed": flag})


def _is_complex(memory: Memory, values: Array) -> bool:
    return bool(memory.xp.isdtype(values.dtype, "complex floating"))
