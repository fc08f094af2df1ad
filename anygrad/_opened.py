"""f and x, opened for sampling."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

from anygrad._box import Box
from anygrad._function import Function
from anygrad._job import Job, Options
from anygrad._lines import Space
from anygrad._progress import Meter
from anygrad._stopped import Unstopped
from anygrad.backends import Complexified, Memory
from anygrad.evaluators import Session, Target


def opened(
    job: Job, function: Function, meter: Meter | None, known: dict[int, object] | None = None
) -> AbstractContextManager[Space]:
    """Open the f and the x of a job, f being made of ``function``.

    ``known`` are values at x from an earlier opening; they are added to.
    """
    return Unstopped(_space(job, function, meter, {} if known is None else known))


@contextmanager
def _space(job: Job, function: Function, meter: Meter | None, known: dict[int, object]) -> Iterator[Space]:
    evaluator = job.options.evaluator
    off_axis = job.options.scheme.off_axis
    target = Target(
        job.f,
        job.x,
        Complexified(job.backend) if off_axis else job.backend,
        unpack=function.unpack,
        unpack_many=function.unpack_many,
        vector=job.vector,
        batch=job.batch,
        done=None if meter is None else meter.advance,
        name=job.name,
        has_aux=job.options.has_aux,
        examined=getattr(job.options.scheme, "examines", False),
        plan={"f": function.f, "x": job.arrays or {job.name: job.x}, **job.options.plan},
    )
    # NaN and inf show in the result; NumPy need not warn of them besides. f itself runs under the caller's settings.
    quiet = np.errstate(all="ignore")
    with job.backend.context(job.x), evaluator.session(target) as session, quiet:
        if not job.batch:
            _learn(session, function, job.options, known)
        yield Space(session, box_of(session.memory, job.bounds), off_axis)
        known.update(session.record.known)


def _learn(session: Session, function: Function, options: Options, known: dict[int, object]) -> None:
    """Take f(x) from the user, or from earlier; find it out if the extra output that comes with it is wanted."""
    if 0 in known:
        session.know(known[0])
    elif options.f0 is not None:
        with _of_f0():
            known[0] = function.given(options.f0)
            session.know(known[0])
    elif options.has_aux:
        session.base(range(1))
        known.update(session.record.known)


@contextmanager
def _of_f0() -> Iterator[None]:
    """Say of f0 what is said of values of f elsewhere: it is read as one, but f has not been called."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(str(error).replace("f returned", "f0 is", 1)) from None


def box_of(memory: Memory, bounds: tuple[Any, Any]) -> Box:
    """Return the box that bounds make; raise if x is outside of it."""
    if bounds[0] is None and bounds[1] is None:
        return Box()
    if memory.complex:
        raise TypeError(
            "x is complex, but bounds are for real numbers: write f as a function of real and imaginary part"
        )
    lower, upper = (
        # In x's dtype: 0.7 in float32 is below 0.7.
        None if bound is None else memory.nearest(range(memory.size), memory.spread(bound, name))
        for bound, name in zip(bounds, ("the lower bound", "the upper bound"), strict=True)
    )
    box = Box(lower, upper)
    if not memory.concrete:
        return _nowhere_outside(memory, box)
    _require_order(memory, box)
    _require_inside(memory, box)
    return box


def _nowhere_outside(memory: Memory, box: Box) -> Box:
    """Return the box, not a number for elements that lie outside: that they do cannot be told where x is not known."""
    xp, at = memory.xp, memory.elements(range(memory.size))
    lower, upper = at if box.lower is None else box.lower, at if box.upper is None else box.upper
    outside = ~((at >= lower) & (at <= upper))
    return Box(*(None if bound is None else xp.where(outside, xp.nan, bound) for bound in (box.lower, box.upper)))


def _require_order(memory: Memory, box: Box) -> None:
    if box.lower is None or box.upper is None:
        return
    places = memory.xp.nonzero(box.lower > box.upper)[0]
    if places.shape[0]:
        raise ValueError(
            f"{_interval(box, int(places[0]))} was given for an element of x, but (lower, upper) was expected, the"
            " lower one first: numbers, or arrays like x"
        )


def _require_inside(memory: Memory, box: Box) -> None:
    xp, at = memory.xp, memory.elements(range(memory.size))
    outside = xp.isnan(at) & False
    # Not at < lower: a bound that is NaN lets nothing in.
    if box.lower is not None:
        outside = outside | ~(at >= box.lower)
    if box.upper is not None:
        outside = outside | ~(at <= box.upper)
    places = xp.nonzero(outside & ~xp.isnan(at))[0]
    if places.shape[0]:
        place = int(places[0])
        raise ValueError(
            f"x lies outside its bounds: its element number {place} (counted in C order) is {float(at[place])!r},"
            f" but {_interval(box, place)} was given: f would have to be evaluated where it must not be"
        )


def _interval(box: Box, place: int) -> str:
    lower, upper = ("None" if bound is None else repr(float(bound[place])) for bound in (box.lower, box.upper))
    return f"bounds=({lower}, {upper})"
