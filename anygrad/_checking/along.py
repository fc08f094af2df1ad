"""What is claimed and what is found, along directions instead of by elements."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from operator import mul
from typing import Any

import numpy as np

from anygrad._checking.claim import Claim, rounded_away
from anygrad._checking.comparison import Comparison, HostArray
from anygrad._checking.hosted import on_host
from anygrad._checking.measured import Measured, measured
from anygrad._checking.opinion import CONFIDENCE, Others
from anygrad._checking.question import Question, sizes, spacing_of
from anygrad._checking.tables import concatenated, end_to_end, parted, root_of_squares, split, table_of
from anygrad._checking.wider import Setting
from anygrad._directional import jvp
from anygrad._pytree import is_number
from anygrad._result import Result
from anygrad._variables import Variables
from anygrad.schemes import Scheme


@dataclass(frozen=True, eq=False)
class Found:
    """The derivatives of the p values of f along one direction.

    Attributes
    ----------
    comparison
        As claimed and as found, (p,).
    flags
        Those of the scheme, (p,) each.
    natural
        What size is normal for the derivatives: that of the root of the sum of squares of what adds up to them, (p,).
    blind, ncalls
        Whether f, given copies of x, never returned another value; how often it was called.
    """

    comparison: Comparison
    flags: Mapping[str, HostArray]
    natural: HostArray
    blind: bool
    ncalls: int


@dataclass(frozen=True, eq=False)
class Along:
    """f and what is claimed of it, as functions of a direction through all n elements of x.

    Attributes
    ----------
    question, variables
        What is checked, and x.
    table, uncertainty
        What is claimed of the p values of f, and how sure it is, (p, n).
    spread, rounding
        How far f(x) is apart when f is called several times, and how well it is rounded.
    in_digits, on_the_way
        What is claimed in more digits, and how far it may be off by roundings on the way to it: as in `Claim`, (p, n).
    others
        Who is asked of what seems wrong.
    eps, rtol
        The spacing at 1 of the dtypes, and what else is tolerated.
    """

    question: Question
    variables: Variables
    table: HostArray
    uncertainty: HostArray
    in_digits: HostArray | None
    on_the_way: HostArray
    spread: float
    rounding: float
    others: Others
    eps: float
    rtol: float

    def found(self, v: HostArray, *, confirm: bool = True) -> Found:
        """Differentiate f along v, (n,); if asked to, what seems wrong in other ways, too."""
        differentiate = self._differentiated(v)
        scheme = _with_one_step(self.question.options.scheme, self.variables, v)
        result = measured(differentiate, scheme, "f(x)", self.rounding)
        comparison, ncalls = self._compared(v, result), result.ncalls
        if confirm and np.any(comparison.wrong) and not result.blind:
            sizes_of = [value.size for value in result.values]
            parts, calls = self.others.revised(
                differentiate, split(comparison, sizes_of), partial(mul, self._length(v))
            )
            comparison, ncalls = concatenated(parts), ncalls + calls
        flags = {name: end_to_end([flag[name] for flag in result.flags]) for name in result.flags[0]}
        return Found(comparison, flags, root_of_squares(self.table, v), result.blind, ncalls)

    def _differentiated(self, v: HostArray) -> Callable[..., Result]:
        """Return the derivative along v as a function of the scheme."""
        own, tree = self.question.options, self.variables.rebuild(parted(self.variables, v))
        options: dict[str, Any] = {"evaluator": own.evaluator, "bounds": own.bounds, "full_output": True}
        return partial(jvp, self.question.f, self.question.x, tree, **options)

    def _compared(self, v: HostArray, result: Measured) -> Comparison:
        """Return what is claimed along v, beside what was found."""
        numerical, error, claimed = end_to_end(result.values), end_to_end(result.errors), self.table @ v
        self._require_alike(claimed, numerical)
        # Roundings that know nothing of each other add up as the root of their squares does.
        rounded = root_of_squares(np.hypot(self.uncertainty, 4 * self.eps * np.abs(self.table)), v)
        size = np.maximum(np.abs(claimed), np.abs(numerical))
        with np.errstate(all="ignore"):
            varied = 2 * self.spread * float(np.max(np.abs(v))) / float(np.max(result.steps[0]))
        # What all elements do adds up, or cancels: of 225 directions, one was off by 4.2 times the estimate.
        tolerance = 2 * CONFIDENCE * error + rounded + (4 * self.eps + self.rtol) * size
        tolerance = tolerance + (varied if self.spread else 0.0)
        in_digits = None if self.in_digits is None else self.in_digits @ v
        missed = rounded_away(root_of_squares(self.on_the_way, v), in_digits, numerical, tolerance)
        tolerance, rounded = tolerance + missed, rounded + missed
        tolerance, rounded = (np.where(np.isfinite(claimed), one, 0.0) for one in (tolerance, rounded))
        return Comparison("", claimed, numerical, tolerance, rounded)

    def _require_alike(self, claimed: HostArray, numerical: HostArray) -> None:
        if _is_complex(self.variables) and not np.iscomplexobj(numerical):
            raise ValueError(
                "f returns real numbers for a complex x, of which a direction shows the real parts of the gradient"
                " alone: leave out directions=, or write f as a function of real and imaginary part"
            )
        if claimed.shape != numerical.shape:
            raise ValueError(
                f"what is claimed has {claimed.size} rows, but f returned {numerical.size} elements: a Jacobian has the"
                " shape f(x).shape + x.shape"
            )

    def _length(self, v: HostArray) -> float:
        """Return the step along v by which some element moves by its size, and none by more."""
        moved = v != 0
        flat = np.concatenate([size.reshape(-1) for size in sizes(self.variables)])
        return float(np.min(flat[moved] / np.abs(v[moved])) * np.max(np.abs(v)))


def _is_complex(variables: Variables) -> bool:
    return any("complex" in dtype for dtype in variables.dtypes)


def along(setting: Setting, claim: Claim, *, rtol: float) -> Along:
    """Return what is claimed as a function of directions."""
    question, variables, probe = setting.question, setting.variables, setting.probe
    eps = spacing_of(variables)
    doubts = [
        4 * rounding + 2 * float(np.max(own, initial=0.0)) + claim.sums(number, max(eps))
        for number, (rounding, own) in enumerate(zip(claim.rounding, claim.spread, strict=True))
    ]
    table = table_of(question, variables, claim.values)
    return Along(
        question,
        variables,
        table=table,
        uncertainty=table_of(question, variables, doubts),
        in_digits=table_of(question, variables, claim.in_digits) if claim.in_digits else None,
        on_the_way=table_of(question, variables, claim.on_the_way) if claim.on_the_way else np.zeros_like(table),
        spread=probe.spread + setting.noise,
        rounding=0.0 if question.options.scheme.off_axis else probe.rounding(max(eps)),
        others=Others(question.options.scheme, probe.rounding(max(eps)), max(eps)),
        eps=max([*eps, *claim.eps]),
        rtol=rtol,
    )


def directions(of: Along, count: int, rng: np.random.Generator) -> list[HostArray]:
    """Return random directions in which each array of x counts: by as much as it is large, and its derivatives small.

    No array moves by more than ``eps**(-1/4)`` times more or less than is its share: its steps would drown in rounding.
    """
    room = of.eps**-0.25
    scales = [size.reshape(-1) for size in sizes(of.variables)]
    ends = np.cumsum([0, *(scale.size for scale in scales)])
    effects = [
        float(
            np.max(root_of_squares(np.nan_to_num(of.table[:, start:stop], posinf=0.0, neginf=0.0), scale), initial=0.0)
        )
        for start, stop, scale in zip(ends, ends[1:], scales, strict=False)
    ]
    middle = float(np.median([effect for effect in effects if effect] or [1.0]))
    shares = [min(max(middle / effect, 1 / room), room) if effect else room for effect in effects]
    weights = np.concatenate([np.zeros(0), *(share * scale for share, scale in zip(shares, scales, strict=True))])
    return [weights * rng.choice([-1.0, 1.0], weights.size) * rng.uniform(0.5, 1.5, weights.size) for _ in range(count)]


def _with_one_step(scheme: Scheme, variables: Variables, v: HostArray) -> Scheme:
    """Return a scheme whose steps for each element have become one: the most by which none of them moves further."""
    step = getattr(scheme, "step", None)
    if step is None or is_number(step) or hasattr(step, "steps") or not dataclasses.is_dataclass(scheme):
        return scheme
    leaves = zip(variables.leaves_of(step, "the step"), variables.shapes, strict=True)
    steps = end_to_end([np.broadcast_to(on_host(leaf, "the step"), shape) for leaf, shape in leaves])
    moved = v != 0
    lengths = steps[moved] / np.abs(v[moved])
    one: Scheme = dataclasses.replace(scheme, step=float(np.min(lengths, initial=1.0) * np.max(np.abs(v))))
    return one
