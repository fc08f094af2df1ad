"""Differentiating functions of arrays one after the other, and putting the results together."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from array_api_compat import array_namespace

from anygrad._caller import stacklevel
from anygrad._collected import Arrays, mapped
from anygrad._function import Function
from anygrad._job import Job, Options
from anygrad._partials import Partials, partials
from anygrad._progress import meter
from anygrad._pytree import flatten
from anygrad._result import ConstantFunctionWarning, Result
from anygrad._typing import Array, PyTree
from anygrad.evaluators import modified, restored


def run(jobs: Sequence[Job], function: Function, options: Options) -> list[Partials]:
    """Differentiate each function; warn the caller's caller if none of them saw its array change."""
    parts = differentiated(jobs, function, options)
    if unseen := unseen_arrays(jobs, parts):
        warn_of_blindness(unseen)
    return parts


def differentiated(jobs: Sequence[Job], function: Function, options: Options) -> list[Partials]:
    """Differentiate each function. f(x), the same for all of them, is evaluated at most once."""
    known: dict[int, object] = {}
    total = sum(job.calls() for job in jobs) if options.progress is not False else 0
    parts = []
    with meter(options.progress, total) as counter, _watched(jobs) as require_same:
        for job in jobs:
            parts.append(partials(job, function, counter, known if not job.batch else {}))
            if len(parts) in (1, len(jobs)):  # soon, and at the end: to compare all arrays takes a while
                require_same()
    return parts


@contextmanager
def _watched(jobs: Sequence[Job]) -> Iterator[Callable[[], None]]:
    """Give what raises if f has changed an array of x, be it not the one perturbed; put all back if anything raises.

    One array alone is looked after by the evaluator.
    """
    memories = [job.backend.memory(job.x, in_place=True) for job in jobs] if len(jobs) > 1 else []
    own = [memory for memory in memories if memory.visible]  # of the others f has had copies

    def require_same() -> None:
        if any(memory.changed() for memory in own):
            raise modified()

    with ExitStack() as stack:
        for memory in own:
            stack.callback(restored, memory)
        yield require_same
        stack.pop_all()


def unseen_arrays(jobs: Sequence[Job], parts: Sequence[Partials]) -> list[str]:
    """Name the arrays of which f was given copies, if it has not seen any of them change."""
    copied = [
        (job.name, part)
        for job, part in zip(jobs, parts, strict=True)
        if math.prod(job.x.shape) and part.copied  # of an empty array there is nothing to see
    ]
    return [name for name, _ in copied] if all(part.blind for _, part in copied) else []


def warn_of_blindness(names: Sequence[str]) -> None:
    """Warn the caller of anygrad that f was given copies of the arrays named, and has not seen them change."""
    warnings.warn(
        f"f was given perturbed copies of {', '.join(dict.fromkeys(names))}, and every value that it returned is the"
        " same: either it is constant, or it reads the original through a closure instead of its argument; write it as"
        " a function of its argument, or pass a writable NumPy, CuPy or PyTorch array to Loop(in_place=True)",
        ConstantFunctionWarning,
        stacklevel=stacklevel(),
    )


def assembled(
    parts: Sequence[Arrays],
    assemble: Callable[[Iterable[Array]], PyTree],
    options: Options,
    function: Function,
    *,
    ncalls: int,
    npoints: int,
    steps: PyTree = None,
    failed: bool | None = None,
) -> Any:
    """Return what the user asked for: the derivatives, put together, or all that is known of them; and aux with it.

    ``steps`` are given where they are not to be put together like the derivatives; ``failed``, if derivatives that are
    NaN are to be flagged: whether f has failed at any point.
    """
    value = assemble([part.value for part in parts])
    if not options.full_output:
        return (value, function.aux) if options.has_aux else value
    whole = mapped(parts, assemble)
    flags = dict(whole.flags)
    if failed is not None:
        flags["failed"] = _missing(whole.value, failed)
    result = Result(
        value=whole.value,
        error=whole.error,
        step=whole.step if steps is None else steps,
        flags=flags,
        ncalls=ncalls,
        npoints=npoints,
    )
    return (result, function.aux) if options.has_aux else result


def _missing(value: PyTree, failed: bool) -> PyTree:
    """Return which derivatives are NaN, if any point has failed; none, if not."""
    leaves, rebuild = flatten(value, "the derivative")
    masks = [array_namespace(leaf).isnan(leaf) for _, leaf in leaves]
    return rebuild(mask if failed else mask & False for mask in masks)
