"""The partial derivatives of f with respect to every element of x."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter

import numpy as np
from array_api_compat import device

from anygrad._typing import Array
from anygrad.backends.arrays import Indices
from anygrad.backends.base import Memory
from anygrad.backends.returned import neither_real_nor_holomorphic
from anygrad.problem.function import Function
from anygrad.problem.lines import element_lines
from anygrad.problem.options import Meter, Options
from anygrad.problem.parameters import Parameters
from anygrad.problem.problem import Problem
from anygrad.problem.result import Counts, warn_constant
from anygrad.schemes.base import Slopes, joined

# How many elements are differentiated at first, when it is not known how many values f returns.
_FIRST = 4


@dataclass(eq=False)
class Partials:
    """The derivatives with respect to all arrays, and the account of the calls."""

    # For each array of x its memory, its rows (n, p) of the table of derivatives, and its shape.
    parts: list[tuple[Memory, Slopes, tuple[int, ...]]] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)  # how often f was called
    # The names of arrays that f was given copies of, if it returned the same value for all of them.
    unseen: list[str] = field(default_factory=list)

    def add(self, problem: Problem, slopes: Slopes) -> None:
        """Add the table of some arrays."""
        self.counts.add(problem, slopes.value)
        parameters = problem.parameters
        if parameters.alone:
            self.parts.append((problem.memory, slopes, tuple(parameters.arrays[0].shape)))
            return
        each = slopes.each if problem.options.full_output else slopes.each_value  # without it, no steps are kept
        for (memory, span), shape in zip(problem.memory.parts, parameters.shapes, strict=True):
            self.parts.append((memory, each(itemgetter((span, ...))), shape))

    def warn_if_constant(self) -> None:
        """Warn if f may have missed the perturbations of all arrays."""
        if self.unseen:
            warn_constant(self.unseen)


def partials(function: Function, parameters: Parameters, options: Options) -> Partials:
    """Differentiate f with respect to each element of x."""
    runs = [parameters] if parameters.alone else parameters.runs()
    found, seen = Partials(), False
    with options.meter(0 if options.progress is False else _expected_calls(runs, options)) as meter:
        for run in runs:
            with Problem(function, run, options, meter=meter) as problem:
                slopes = _slopes(problem, meter)
                if problem.saw_copies:
                    found.unseen += run.names
                    seen = seen or not problem.is_constant()
            found.add(problem, slopes)
    if seen:
        found.unseen = []
    return found


def _expected_calls(runs: Sequence[Parameters], options: Options) -> int:
    if not runs or not runs[0].rows:
        return sum(options.scheme.calls(len(run.elements)) for run in runs)
    [(samples, *row)] = runs[0].shapes
    return samples * options.scheme.calls(math.prod(row))


def completed(problem: Problem, along: Callable[[int], Slopes]) -> Slopes:
    """Return the derivatives with respect to x, given those along its real (0) and imaginary part (1).

    For complex x, f is differentiated along the real axis. Where f is complex, and taken to be holomorphic, that is
    its derivative; where f is real, the derivative along the imaginary axis is wanted as well.
    """
    memory = problem.memory
    real = along(0)
    if not memory.complex or problem.scheme.samples_complex or _is_complex(memory, real.value):
        return real
    imag = along(1)
    if _is_complex(memory, imag.value):
        raise neither_real_nor_holomorphic()
    value = memory.xp.reshape(memory.compose(real.value, imag.value), real.value.shape)
    error = None if real.error is None or imag.error is None else real.error + imag.error
    flags = {name: flag | imag.flags[name] for name, flag in real.flags.items()}
    return replace(real, value=value, error=error, flags=flags)


def filled(problem: Problem, slopes: Slopes) -> Slopes:
    """Return the slopes of all elements, 0 for the fixed ones, from the slopes of the others."""
    elements = problem.elements
    if isinstance(elements, range):
        return slopes

    def of_all(table: Array) -> Array:
        return scattered(problem.memory, elements, table)

    return slopes.each(of_all) if problem.options.full_output else slopes.each_value(of_all)


def scattered(memory: Memory, elements: Indices, table: Array) -> Array:
    """Return a table with a row for each element, given the rows of some; the others are 0."""
    xp = memory.xp
    places = np.full(memory.size, len(elements))
    places[elements] = np.arange(len(elements))
    zero = xp.zeros((1, *table.shape[1:]), dtype=table.dtype, device=device(table))
    return xp.take(xp.concat([table, zero]), memory.index_array(places), axis=0)


def nothing(problem: Problem, width: int = 1) -> Slopes:
    """Return the slopes of no elements at all."""
    memory = problem.memory
    xp, numbers = memory.xp, memory.elements(range(0))
    real = xp.real(numbers) if memory.complex else numbers
    kind = real if problem.scheme.samples_complex else numbers
    return Slopes(
        value=xp.zeros((0, width), dtype=kind.dtype, device=device(kind)),
        step=xp.zeros((0, 1), dtype=real.dtype, device=device(real)),
    )


def _slopes(problem: Problem, meter: Meter | None) -> Slopes:
    memory, scheme = problem.memory, problem.scheme
    elements = problem.elements
    if not len(elements):
        return filled(problem, nothing(problem, problem.base().shape[-1] if problem.vector else 1))

    def along(part: int) -> Slopes:
        lines = element_lines(problem, block, part)
        if part and meter is not None:
            meter.total += scheme.calls(len(block))
        return scheme.differentiate(lines, scheme.steps(lines))

    # If f returns many values, blocks are shorter, so that they take no more memory than for one value. How many it
    # returns is known only after the first block.
    least, full_output = problem.calls.together, problem.options.full_output
    first = least if getattr(scheme, "inspects_values", False) else max(least, _FIRST)
    length = first if problem.vector and not memory.lazy else memory.block
    start, blocks = 0, []
    while start < len(elements):
        block = elements[start : start + length]
        found = completed(problem, along)
        if full_output and problem.tolerant:
            failed = memory.xp.asarray([[element in problem.failures] for element in block], device=device(found.value))
            found = replace(found, flags={**found.flags, "failed": failed & memory.xp.isnan(found.value)})
        if not full_output and len(block) < len(elements):  # of many blocks, no more than is wanted is kept
            found = Slopes(memory.narrow(found.value), memory.xp.zeros_like(found.step[:0, ...]))
        blocks.append(found)
        start += len(block)
        if problem.vector:
            length = max(least, memory.block // max(1, problem.function.size))
    return filled(problem, blocks[0] if len(blocks) == 1 else joined(memory.xp, blocks))


def _is_complex(memory: Memory, values: Array) -> bool:
    return bool(memory.xp.isdtype(values.dtype, "complex floating"))
