"""f at x itself, time and again, and at points on a line through x."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import device

from anygrad._checking.comparison import HostArray
from anygrad._checking.hosted import together_on_host
from anygrad._collected import array_of
from anygrad._function import Function
from anygrad._job import Job, Options
from anygrad._jobs import jobs_of, joint_job
from anygrad._lines import direction_lines
from anygrad._opened import opened
from anygrad._typing import Array, PyTree
from anygrad._variables import Variables


@dataclass(frozen=True, eq=False)
class Probe:
    """What f, whose values are p numbers, returned along a line.

    Attributes
    ----------
    repeated
        f(x), evaluated several times, (k, p).
    t, values
        Where on the line, and f there, (m,) and (m, p).
    width
        How many of the elements of x moved: those of its first array alone, if its arrays are of several libraries.
    cotangent
        Random numbers of the structure that f returns, if they were asked for.
    ncalls
        How often f was called.
    """

    repeated: HostArray
    t: HostArray
    values: HostArray
    width: int
    cotangent: PyTree
    ncalls: int

    @property
    def spread(self) -> float:
        """How far what f returned for the same x is apart: 0 if f is deterministic."""
        finite = self.repeated[:, np.all(np.isfinite(self.repeated), axis=0)]
        return float(np.max(np.abs(finite - finite[:1]), initial=0.0))

    def rounding(self, eps: float) -> float:
        """Return how far a value of f may be off by rounding, given the spacing at 1 of its dtype."""
        return eps * float(np.max(np.abs(self.repeated), initial=0.0))


def probed(
    f: Callable[[Any], Any],
    variables: Variables,
    direction: HostArray,
    t: Sequence[float],
    options: Options,
    *,
    vector: bool = False,
    repeats: int = 3,
    last: bool = False,
    cotangent: np.random.Generator | None = None,
) -> Probe:
    """Evaluate f at x, ``repeats`` times, and at x + t d; on the other side of x where bounds leave no room for t.

    ``direction`` are the numbers for all elements of x, (n,). The last one of the repetitions comes after all else if
    ``last``: what drifts slowly shows more then.
    """
    function = Function(f, vector=vector)
    job = _job(variables, function, options, vector=vector)
    with opened(job, function, None) as space:
        memory = space.memory
        like = memory.elements(range(memory.size))
        like = memory.xp.real(like) if memory.complex else like

        def working(numbers: HostArray) -> Array:
            return memory.xp.asarray(numbers, dtype=like.dtype, device=device(like))

        lines = direction_lines(space, range(memory.size), working(direction[: memory.size][None, :]))
        lengths = _within(np.asarray(t, dtype=float), lines.lower, lines.upper)
        points = np.roll([*np.zeros(repeats), *lengths], -int(last))
        samples = lines.sample([memory.xp.full_like(lines.at, float(point)) for point in points])
        values = np.roll(np.concatenate(together_on_host(samples, "f(x)")), int(last), axis=0)
        made = None
        if cotangent is not None:
            numbers = cotangent.choice([-1.0, 1.0], values.shape[1]) * cotangent.uniform(0.5, 1.5, values.shape[1])
            leaves = [array_of(memory, working(numbers[own]), shape) for own, shape in function.outputs]
            made = function.rebuilt(leaves)
        calls = space.session.record.calls
    return Probe(values[:repeats], lengths, values[repeats:], memory.size, made, calls)


def off_a_polynomial(t: HostArray, values: HostArray, degree: int) -> float:
    """Return the standard deviation of values, (m,) or (m, p), about the polynomial of t that is nearest to them.

    It is 0 where they are too far apart for the distance to be a number.
    """
    powers = np.vander(t / np.max(np.abs(t)), degree + 1)
    with np.errstate(all="ignore"):
        about = (values - values[:1]).astype(complex if np.iscomplexobj(values) else float)  # LAPACK knows no others
        size = float(np.max(np.abs(about), initial=0.0))
        if not 0.0 < size < np.inf:
            return 0.0
        about = about / size  # of which the squares are numbers, too
        left = about - powers @ np.linalg.lstsq(powers, about, rcond=None)[0]
        return size * float(np.linalg.norm(left) / np.sqrt(t.size - degree - 1))


def _job(variables: Variables, function: Function, options: Options, *, vector: bool) -> Job:
    """Return f as a function of all of x; of its first array, if the others are of another library."""
    if all(backend is variables.backends[0] for backend in variables.backends):
        return joint_job(variables, function, options, vector=vector)
    return jobs_of(variables, function, options, vector=vector)[0]


def _within(t: HostArray, lower: Any, upper: Any) -> HostArray:
    """Return lengths that lead out of bounds scaled down, to the side where there is more room."""
    if lower is None or upper is None or not t.size:
        return t
    below, above = -float(lower[0, 0]), float(upper[0, 0])
    scaled: HostArray = t * min(1.0, max(below, above) / float(np.max(t)))
    return scaled if above >= below else -scaled
