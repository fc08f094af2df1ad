"""The partial derivatives of f with respect to every element of x."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter

from array_api_compat import device

from anygrad._stacklevel import stacklevel
from anygrad._typing import Array, Namespace
from anygrad.backends.base import Memory
from anygrad.backends.values import neither_real_nor_holomorphic
from anygrad.problem.function import Function
from anygrad.problem.lines import element_lines
from anygrad.problem.options import Meter, Options
from anygrad.problem.parameters import Parameters
from anygrad.problem.problem import Problem
from anygrad.problem.result import ConstantFunctionWarning, Counts, Derivatives, joined
from anygrad.schemes.base import Slopes


@dataclass(eq=False)
class Partials:
    """The derivatives with respect to all arrays, and the account of the calls.

    Attributes
    ----------
    parts
        For each array of x its memory, its rows (n, p) of the table of derivatives, and its shape.
    counts
        How often f was called.
    unseen
        The names of arrays that f was given copies of, if it returned the same value for all of them.
    """

    parts: list[tuple[Memory, Slopes, tuple[int, ...]]] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    unseen: list[str] = field(default_factory=list)

    def arrays(self, *, steps: bool) -> list[Derivatives]:
        """Return the derivatives of one number as arrays like those of x."""
        return [Derivatives.of(*part, steps=steps) for part in self.parts]

    def add(self, problem: Problem, slopes: Slopes) -> None:
        """Add the table of some arrays."""
        self.counts.add(problem, slopes.value)
        parameters = problem.parameters
        each = slopes.each if problem.options.full_output else slopes.each_value  # without it, no steps are kept
        if parameters.alone:
            self.parts.append((problem.memory, slopes, tuple(parameters.arrays[0].shape)))
            return
        for (memory, span), shape in zip(problem.memory.parts, parameters.shapes, strict=True):
            self.parts.append((memory, each(itemgetter((span, ...))), shape))


def partials(function: Function, parameters: Parameters, options: Options, *, rows: bool = False) -> Partials:
    """Differentiate f with respect to each element of x; with ``rows``, f of each row."""
    if options.f0 is not None:
        function.know(options.f0)
    runs = [parameters] if parameters.alone else parameters.runs()
    if options.progress is False:
        return _partials(function, runs, options, None, rows=rows)
    total = sum(expected_calls(run, options, rows=rows) for run in runs)
    with options.meter(total) as counter:
        return _partials(function, runs, options, counter, rows=rows)


def _partials(
    function: Function, runs: Sequence[Parameters], options: Options, counter: Meter | None, *, rows: bool
) -> Partials:
    found, seen = Partials(), False
    for parameters in runs:
        with Problem(function, parameters, options, rows=rows, meter=counter) as problem:
            slopes = joined(problem.memory, _blocks(problem, counter))
            if problem.saw_copies:
                found.unseen += parameters.names
                seen = seen or not problem.is_constant()
        found.add(problem, slopes)
    if seen:
        found.unseen = []
    return found


def expected_calls(parameters: Parameters, options: Options, *, rows: bool) -> int:
    """Return how often f will be called, f(x) included."""
    if not rows:
        return options.scheme.calls(parameters.size)
    [(samples, *row)] = parameters.shapes
    return samples * options.scheme.calls(math.prod(row))


def warn_if_constant(names: Sequence[str]) -> None:
    """Warn that f returned the same value for every perturbed copy of the arrays named, if there are any."""
    if not names:
        return
    warnings.warn(
        f"f was given perturbed copies of {', '.join(dict.fromkeys(names))}, and every value that it returned is the"
        " same: either it is constant, or it reads the original through a closure instead of its argument; write it as"
        " a function of its argument, or pass a writable NumPy, CuPy or PyTorch array to Loop(in_place=True)",
        ConstantFunctionWarning,
        stacklevel=stacklevel(),
    )


def completed(problem: Problem, along: Callable[[int], Slopes]) -> Slopes:
    """Return the derivatives by x, given what makes those along its real (0) and along its imaginary part (1).

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


def nothing(memory: Memory, width: int, *, samples_complex: bool) -> Slopes:
    """Return the slopes of no elements at all."""
    xp = memory.xp
    numbers = memory.elements(range(0))
    real = xp.real(numbers) if memory.complex else numbers
    kind = real if samples_complex else numbers
    return Slopes(
        value=xp.zeros((0, width), dtype=kind.dtype, device=device(kind)),
        step=xp.zeros((0, 1), dtype=real.dtype, device=device(real)),
    )


def _blocks(problem: Problem, counter: Meter | None) -> list[Slopes]:
    """Differentiate along one block of elements after the other."""
    memory, scheme = problem.memory, problem.scheme
    if not memory.size:
        width = problem.base().shape[-1] if problem.vector else 1
        return [nothing(memory, width, samples_complex=scheme.samples_complex)]

    def along(part: int) -> Slopes:
        lines = element_lines(problem, block, part)
        if part and counter is not None:
            counter.total += scheme.calls(len(block))
        return scheme.differentiate(lines, scheme.steps(lines))

    # If f returns many values, blocks are shorter, so that they take no more memory than for one value. How many it
    # returns is known only after the first block.
    least = problem.calls.together
    length = least if problem.vector and not memory.lazy else memory.block
    start, slopes = 0, []
    while start < memory.size:
        block = range(start, min(start + length, memory.size))
        found = completed(problem, along)
        if problem.tolerant and problem.options.full_output:
            found = with_failed(memory.xp, found, [element in problem.failures for element in block])
        if (
            len(block) < memory.size and not problem.options.full_output
        ):  # of many blocks, no more than is wanted is kept
            found = Slopes(memory.narrow(found.value), memory.xp.zeros_like(found.step[:0, ...]))
        slopes.append(found)
        start = block.stop
        if problem.vector:
            length = max(least, memory.block // max(1, sum(problem.function.sizes)))
    return slopes


def with_failed(xp: Namespace, slopes: Slopes, failed: Sequence[bool]) -> Slopes:
    """Return slopes with the flag of those that are NaN for what f has raised."""
    mask = xp.asarray([[own] for own in failed], device=device(slopes.value))
    return replace(slopes, flags={**slopes.flags, "failed": mask & xp.isnan(slopes.value)})


def _is_complex(memory: Memory, values: Array) -> bool:
    return bool(memory.xp.isdtype(values.dtype, "complex floating"))
