"""The partial derivatives of f by every element of one array."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from anygrad._plan import Lines, Slopes
from anygrad._progress import Meter
from anygrad._typing import Array
from anygrad.backends import Backend, Memory, neither_real_nor_holomorphic
from anygrad.evaluators import Evaluator, Session
from anygrad.schemes import Scheme


@dataclass(frozen=True)
class Partials:
    """The derivatives by each element, the steps taken (None unless asked for), and the account of the calls.

    ``in_place`` says that x itself was perturbed; ``blind``, that f was given copies and never returned another value.
    """

    value: Array
    step: Array | None
    ncalls: int
    npoints: int
    in_place: bool
    blind: bool


def partials(
    f: Callable[[Any], object],
    x: Array,
    backend: Backend,
    *,
    scheme: Scheme,
    evaluator: Evaluator,
    meter: Meter | None,
    keep_steps: bool,
    batch: bool,
) -> Partials:
    """Differentiate f by each element of x; in a batch, f of a row by each element of that row."""
    counted = f if meter is None else meter.counting(f)
    values, steps = [], []
    # NaN and inf show in the result; NumPy need not warn of them besides. f itself runs under the caller's settings.
    quiet = np.errstate(all="ignore")
    with backend.context(x), evaluator.session(counted, x, backend, batch=batch) as session, quiet:
        memory = session.memory
        for block in _blocks(math.prod(x.shape), memory.block):
            slopes = _slopes(session, scheme, block, meter)
            values.append(memory.narrow(slopes.value))
            if keep_steps:
                steps.append(memory.narrow(slopes.step))
        blind = session.blind()
        return Partials(
            value=memory.join(values),
            step=memory.join(steps) if keep_steps else None,
            ncalls=session.calls,
            npoints=session.points,
            in_place=memory.visible,
            blind=blind,
        )


def _blocks(size: int, length: int) -> Iterator[range]:
    for start in range(0, max(size, 1), length):
        yield range(start, min(start + length, size))


def _slopes(session: Session, scheme: Scheme, block: range, meter: Meter | None) -> Slopes:
    """Differentiate along the elements of a block.

    For complex x, f is differentiated along the real axis. Where f is complex, and taken to be holomorphic, that is
    its derivative; where f is real, the derivative along the imaginary axis is wanted as well.
    """
    memory = session.memory
    if not block:
        nothing = memory.elements(block)
        return Slopes(value=nothing, step=memory.xp.real(nothing) if memory.complex else nothing)
    along_real = scheme.differentiate(_lines(session, block, 0))
    if not memory.complex or _is_complex(memory, along_real.value):
        return along_real
    if meter is not None:
        meter.total += scheme.calls(len(block))
    along_imag = scheme.differentiate(_lines(session, block, 1))
    if _is_complex(memory, along_imag.value):
        raise neither_real_nor_holomorphic()
    return Slopes(value=memory.compose(along_real.value, along_imag.value), step=along_real.step)


def _lines(session: Session, block: range, part: int) -> Lines:
    memory = session.memory
    numbers = memory.elements(block)
    xp = memory.xp
    return Lines(
        xp=xp,
        at=(xp.real, xp.imag)[part](numbers) if memory.complex else numbers,
        scale=xp.abs(numbers),
        eps=memory.eps,
        tiny=memory.tiny,
        sample=lambda levels: session.sample(block, part, levels),
        base=lambda: session.base(block),
        nearest=memory.nearest,
        any=lambda mask: _any(memory, mask),
    )


def _any(memory: Memory, mask: Array) -> bool:
    return memory.concrete and bool(memory.xp.any(mask))


def _is_complex(memory: Memory, values: Array) -> bool:
    return bool(memory.xp.isdtype(values.dtype, "complex floating"))
