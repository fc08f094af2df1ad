"""Differentiating functions of arrays one after the other, and putting the results together."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self

from anygrad._partials import Partials, partials
from anygrad._progress import meter
from anygrad._result import ConstantFunctionWarning, Result
from anygrad._typing import Array, ProgressCallback, PyTree
from anygrad._validate import require_evaluator, require_scheme
from anygrad.backends import Backend
from anygrad.evaluators import Evaluator
from anygrad.schemes import Central, ReferenceStep, Scheme


@dataclass(frozen=True)
class Job:
    """A function of one array, and where to differentiate it; the array's name in the user's words.

    In a batch, f is a function of one row.
    """

    name: str
    f: Callable[[Any], object]
    x: Array
    backend: Backend
    batch: bool = False

    def calls(self, scheme: Scheme) -> int:
        """Return how often f will be called."""
        samples = self.x.shape[0] if self.batch else 1
        return samples * scheme.calls(math.prod(self.x.shape[1:] if self.batch else self.x.shape))


@dataclass(frozen=True)
class Options:
    """What the user chose."""

    scheme: Scheme
    evaluator: Evaluator
    progress: bool | ProgressCallback
    full_output: bool

    @classmethod
    def chosen(
        cls,
        h: float | None,
        scheme: Scheme | None,
        evaluator: Evaluator,
        progress: bool | ProgressCallback,
        full_output: bool,
    ) -> Self:
        """Check what the user chose, and fill in the rest: h stands for the reference's scheme with that step."""
        if h is not None and scheme is not None:
            raise ValueError(f"both h={h!r} and scheme={scheme!r} are given: give the step to the scheme, as its step=")
        if scheme is None:
            scheme = Central(order=2, step=ReferenceStep() if h is None else h)
        return cls(require_scheme(scheme), require_evaluator(evaluator), progress, full_output)


def run(jobs: Sequence[Job], options: Options) -> list[Partials]:
    """Differentiate each function; warn the caller's caller if none of them saw its array change."""
    scheme, evaluator = options.scheme, options.evaluator
    total = sum(job.calls(scheme) for job in jobs)
    with meter(options.progress, total) as counter:
        parts = [
            partials(
                job.f,
                job.x,
                job.backend,
                scheme=scheme,
                evaluator=evaluator,
                meter=counter,
                keep_steps=options.full_output,
                batch=job.batch,
            )
            for job in jobs
        ]
    copied = [(job.name, part) for job, part in zip(jobs, parts, strict=True) if part.npoints and not part.in_place]
    if copied and all(part.blind for _, part in copied):
        names = ", ".join(dict.fromkeys(name for name, _ in copied))
        warnings.warn(
            f"f was given perturbed copies of {names}, and every value that it returned is the same: either"
            " it is constant, or it reads the original through a closure instead of its argument; write it as a"
            " function of its argument, or pass a writable NumPy, CuPy or PyTorch array to Loop(in_place=True)",
            ConstantFunctionWarning,
            stacklevel=3,
        )
    return parts


def assembled(
    parts: Sequence[Partials], assemble: Callable[[Iterable[Array]], PyTree], full_output: bool
) -> PyTree | Result:
    """Return what the user asked for: the derivatives, put together, or all that is known of them."""
    value = assemble(part.value for part in parts)
    if not full_output:
        return value
    return Result(
        value=value,
        error=None,
        step=assemble(part.step for part in parts),
        flags=MappingProxyType({}),
        ncalls=sum(part.ncalls for part in parts),
        npoints=sum(part.npoints for part in parts),
    )
