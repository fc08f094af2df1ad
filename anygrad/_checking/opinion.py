"""Other opinions on what seems wrong: the same derivatives from other points."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from anygrad._checking.comparison import Comparison, HostArray
from anygrad._checking.measured import measured, values_of
from anygrad._result import Result
from anygrad._typing import PyTree
from anygrad.schemes import Adaptive, Backward, Central, Forward, Scheme

# How much of the numerical error estimate is allowed for: of functions that are computed in float32 it is sometimes
# less than a third of the error.
CONFIDENCE = 4.0
_SHARE = 0.11  # the first step, as a share of x: not a power of the ratio of Adaptive's steps from where it begins
_SHORT = (1.0, 4.0, 16.0, 64.0, 256.0)  # steps of which kinks may be far enough away, in sqrt(eps) of x
_LONGEST = 0.1  # of x: further away there are other things than kinks
_DOUBT = 2.0
# What is known to a part _SURE of itself stands against claims that differ by a part _FAR; to a part _KNOWN, it leaves
# those undecided that differ by as much.
_SURE, _FAR, _KNOWN = 1e-3, 0.1, 0.5
_FEW_DIGITS = 1e-4  # with as few, steps are long, and several waves of f may fit in one: it is asked at other ones, too
_SHARES = (0.1, 0.4)
_UNSTEADY = 0.5
_COARSE = 1e-10  # with more digits than this, steps become short enough to leave kinks out

Differentiate = Callable[..., Result]
Judge = Callable[[Comparison, HostArray, HostArray], Comparison]


def _cleared(comparison: Comparison, value: HostArray, error: HostArray) -> Comparison:
    """Return a comparison in which what another value speaks for is not wrong: if it speaks against what was found."""
    with np.errstate(all="ignore"):
        apart, against = np.abs(comparison.claimed - value), np.abs(comparison.numerical - value)
        cleared = comparison.wrong & (error < against) & (apart <= error + comparison.rounded)
    return replace(
        comparison,
        numerical=np.where(cleared, value, comparison.numerical),
        tolerance=np.where(cleared, np.maximum(comparison.tolerance, error + comparison.rounded), comparison.tolerance),
    )


def _cleared_if_near(comparison: Comparison, value: HostArray, error: HostArray) -> Comparison:
    """Return the same, but for claims far from what was found: this value may have stepped over what f does at x.

    It is no match for what is known for sure; against what is known less well, it leaves the claim undecided.
    """
    size, cleared = np.abs(comparison.numerical), _cleared(comparison, value, error)
    with np.errstate(invalid="ignore"):
        sure = (comparison.tolerance <= _SURE * size) & (comparison.difference > _FAR * size)
        known = (comparison.tolerance <= _KNOWN * size) & (comparison.difference > _KNOWN * size)
        undecided = known & comparison.wrong & ~cleared.wrong
    tolerance = np.where(undecided, np.fmax(comparison.tolerance, comparison.difference), cleared.tolerance)
    return replace(
        comparison,
        numerical=np.where(sure | known, comparison.numerical, cleared.numerical),
        tolerance=np.where(sure, comparison.tolerance, tolerance),
    )


def _doubted(comparison: Comparison, value: HostArray, error: HostArray) -> Comparison:
    """Return a comparison with more tolerance where another value differs: what was found first is no better."""
    with np.errstate(all="ignore"):
        excess = np.maximum(np.abs(value - comparison.numerical) - error, 0.0)
    return _bent(comparison, value, excess)


def _bent(comparison: Comparison, _: HostArray, error: HostArray) -> Comparison:
    """Return a comparison with more tolerance where that much may mislead, and the claim is off by no more."""
    with np.errstate(all="ignore"):
        wider = comparison.wrong & (comparison.difference <= comparison.tolerance + _DOUBT * error)
        return replace(comparison, tolerance=comparison.tolerance + np.where(wider, _DOUBT * error, 0.0))


def _unsteady(comparison: Comparison, value: HostArray, error: HostArray) -> Comparison:
    """Return a comparison in which nothing is wrong where another step gives a derivative that differs by half.

    There is none to compare with, then.
    """
    with np.errstate(all="ignore"):
        size = np.maximum(np.abs(value), np.abs(comparison.numerical))
        unknown = comparison.wrong & (np.abs(value - comparison.numerical) - error > _UNSTEADY * size)
        unknown = unknown & np.isfinite(comparison.difference)
        tolerance = np.where(unknown, np.maximum(comparison.tolerance, comparison.difference), comparison.tolerance)
    return replace(comparison, tolerance=tolerance)


@dataclass(frozen=True, eq=False)
class Opinion:
    """Derivatives found in another way, their errors, and the calls of f that it took; an entry for each array.

    ``judge`` says what follows from a value and its error.
    """

    values: list[HostArray]
    errors: list[HostArray]
    ncalls: int
    judge: Judge = _cleared


@dataclass(frozen=True, eq=False)
class Others:
    """Who else is asked.

    Attributes
    ----------
    scheme
        The scheme that was asked first.
    rounding, eps
        That of a value of f, and the spacing at 1 of its dtype.
    n
        Which derivative is wanted.
    """

    scheme: Scheme
    rounding: float
    eps: float
    n: int = 1

    def revised(
        self, differentiate: Differentiate, comparisons: list[Comparison], scaled: Callable[[float], PyTree]
    ) -> tuple[list[Comparison], int]:
        """Return comparisons in which what is wrong is wrong for all, or they cannot tell; and the calls of f.

        ``scaled`` makes a step of a share of x.
        """
        revised, ncalls = comparisons, 0
        for opinion in self._opinions(differentiate, scaled):
            columns = zip(revised, opinion.values, opinion.errors, strict=True)
            revised = [opinion.judge(one, *(_like(one, table) for table in tables)) for one, *tables in columns]
            ncalls += opinion.ncalls
            if not any(np.any(comparison.wrong) for comparison in revised):
                break
        return revised, ncalls

    def _opinions(self, differentiate: Differentiate, scaled: Callable[[float], PyTree]) -> Iterator[Opinion]:
        noise = getattr(self.scheme, "noise", None)
        for scheme in (Adaptive(step=scaled(_SHARE), noise=noise), Central(order=4)):
            found = measured(differentiate, scheme, "x", self.rounding, self.n)
            errors = [CONFIDENCE * error for error in found.errors]
            yield Opinion(list(found.values), errors, found.ncalls, _cleared_if_near)
        if self.n > 1:
            return
        if self.eps > _FEW_DIGITS:
            yield from self._at_other_steps(differentiate, scaled)
        shorter, unit = None, math.sqrt(self.eps)
        for factor in [one for one in _SHORT if one * unit < _LONGEST] if self.eps > _COARSE else _SHORT[1:2]:
            sides = Sides.of(differentiate, scaled(factor * unit), self.rounding)
            yield sides.opinion()
            if shorter is None:
                # Further away than x is large, a function that hardly changes may be flat.
                near = [CONFIDENCE * factor * unit * error for error in sides.rounding]
                yield Opinion(sides.middles, near, 0, _bent)
            if shorter is not None and self.eps > _COARSE:
                yield Opinion(sides.middles, sides.bends(shorter), 0, _bent)
            shorter = sides
            if self.eps > _COARSE and factor < _SHORT[-1]:
                yield Opinion(sides.middles, sides.rounding, 0, _doubted)

    def _at_other_steps(self, differentiate: Differentiate, scaled: Callable[[float], PyTree]) -> Iterator[Opinion]:
        for share in (math.sqrt(self.eps), *_SHARES):
            values, steps, calls = values_of(differentiate, Central(step=scaled(share)))
            rounded = [np.broadcast_to(self.rounding / h, a.shape) for h, a in zip(steps, values, strict=True)]
            yield Opinion(values, rounded, calls, _unsteady)


@dataclass(frozen=True, eq=False)
class Sides:
    """The slopes on both sides of x, what rounding makes of each, and the calls of f; an entry for each array."""

    right: list[HostArray]
    left: list[HostArray]
    rounding: list[HostArray]
    ncalls: int

    @classmethod
    def of(cls, differentiate: Differentiate, step: PyTree, rounding: float) -> Sides:
        """Return the slopes to points that are a step away."""
        right, steps, above = values_of(differentiate, Forward(order=1, step=step))
        left, _, below = values_of(differentiate, Backward(order=1, step=step))
        rounded = [np.broadcast_to(2 * rounding / h, a.shape) for h, a in zip(steps, right, strict=True)]
        return cls(right, left, rounded, above + below)

    @property
    def middles(self) -> list[HostArray]:
        """The mean of both."""
        return [(a + b) / 2 for a, b in zip(self.right, self.left, strict=True)]

    @property
    def apart(self) -> list[HostArray]:
        """How far they are apart."""
        return [np.abs(a - b) for a, b in zip(self.right, self.left, strict=True)]

    def opinion(self) -> Opinion:
        """Return the middle: but for a kink in the way, the derivative is between the two."""
        errors = [apart / 2 + rounding for apart, rounding in zip(self.apart, self.rounding, strict=True)]
        return Opinion(self.middles, errors, self.ncalls)

    def bends(self, shorter: Sides) -> list[HostArray]:
        """Return by how much kinks near x may mislead; there are some if the slopes on both sides differ otherwise.

        Those of a smooth function are four times as far apart if the step is four times as long.
        """
        columns = zip(self.apart, shorter.apart, self.rounding, shorter.rounding, strict=True)
        found = []
        for own, other, rounding, its_rounding in columns:
            excess = np.abs(own - 4 * other)
            found.append(np.where(excess > rounding + 4 * its_rounding, excess, 0.0))
        return found


def _like(comparison: Comparison, table: HostArray) -> HostArray:
    return table.reshape(comparison.claimed.shape)
