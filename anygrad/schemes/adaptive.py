"""Extrapolation to the step 0, with an estimate of the error."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from anygrad._plan import Lines, Slopes
from anygrad._typing import Array, Namespace
from anygrad.schemes._bounds import require_room, room
from anygrad.schemes._diagnosis import MOST, WIDER, Diagnosis
from anygrad.schemes._extrapolation import HIGH, ratio
from anygrad.schemes._findings import Finding, together
from anygrad.schemes._kinks import Kink, suspected
from anygrad.schemes._noise import EXPLAINED
from anygrad.schemes._search import Search

# The first step, as a part of |x|: functions that vary with x, like its powers, converge from there.
_FIRST = 0.3
# Lines nearer to a bound than this part of their first step are sampled on the other side alone.
_NEAR = 1.0 / 16.0
# A high derivative takes as many more levels for each order to be seen at all.
_MORE = 4
# Levels of lines that cannot be looked at: enough for most functions to converge.
_BLIND = 9


@dataclass(frozen=True)
class Adaptive:
    """Extrapolation of central differences to the step 0, of each element until its error is as small as it gets.

    Every element has its own steps, an estimate of its error, and flags. It takes 13 calls of f in the median of common
    functions, 7 where it is linear, and some 30 where f is noisy or varies a thousand times faster than x says; of
    n > 2 there are two more for every other n. f(x) itself is called once for all elements.

    Parameters
    ----------
    step
        The first step, a number or an array of x's shape. None begins with 0.3 |x|, at 0 with 0.3: far too large
        rather than too small, as shrinking it costs little.
    noise
        The relative noise of f, as a standard deviation: 1e-6 if its values are good to six digits. None finds out.
    levels
        How many steps the first derivative of an element may take at most; a higher one may take more.

    Raises
    ------
    ValueError
        If ``step`` is not positive, ``noise`` negative, or ``levels`` fewer than 3.
    TypeError
        If ``noise`` is not a number, or ``levels`` not an integer.

    Notes
    -----
    The values at steps h, h/2.1, h/2.1^2, ... are extrapolated as by L. F. Richardson and W. Romberg, and the best
    entry of the tableau is taken: the one of which the change from the previous row, after C. J. F. Ridders, *Accurate
    computation of F'(x) and F'(x) F''(x)*, Adv. Eng. Software 4 (1982), 75-76, and the rounding in the values of f sum
    up to least. The error is three times that change, and that rounding; it covers the true error in 99 of 100 cases.

    Noise above rounding is told from fast variation by a table of differences (J. J. More and S. M. Wild, *Estimating
    computational noise*, SIAM J. Sci. Comput. 33 (2011), 1292-1314), and then the search is repeated at wider steps.

    The flags: ``kink`` where the slopes on both sides differ, or f jumps: the value is their mean, and the error covers
    both; ``noisy``; ``one_sided`` next to a bound, or where f ends at x; ``unconverged`` where the error is large and
    nothing explains it; ``nonfinite``.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> x = np.array([0.5, 1.0])
    >>> result = anygrad.numerical_gradient(lambda x: np.exp(x).sum(), x, scheme=anygrad.Adaptive(), full_output=True)
    >>> bool((np.abs(result.value - np.exp(x)) <= result.error).all() and result.error.max() < 1e-12)
    True
    >>> bool(anygrad.derivative(np.abs, np.array([0.0, 1.0]), full_output=True).flags["kink"][0])
    True
    """

    step: Any = None
    noise: float | None = None
    levels: int = 24

    def __post_init__(self) -> None:
        if isinstance(self.step, numbers.Real) and not 0.0 < float(self.step) < math.inf:
            raise ValueError(f"Adaptive(step={self.step!r}): the first step must be positive and finite, such as 0.1")
        if self.noise is not None and not isinstance(self.noise, numbers.Real):
            raise TypeError(f"Adaptive(noise={self.noise!r}): the relative noise of f must be a number, such as 1e-6")
        if self.noise is not None and not 0.0 <= self.noise < 1.0:
            raise ValueError(f"Adaptive(noise={self.noise!r}): the relative noise of f must be in [0, 1), such as 1e-6")
        if isinstance(self.levels, bool) or not isinstance(self.levels, numbers.Integral):
            raise TypeError(f"Adaptive(levels={self.levels!r}): the number of steps must be an integer, such as 24")
        if self.levels < 3:
            raise ValueError(f"Adaptive(levels={self.levels!r}): extrapolation takes 3 steps or more, such as 24")

    @property
    def off_axis(self) -> bool:
        """Whether f is sampled at complex points: it is not."""
        return False

    def steps(self, lines: Lines, n: int = 1) -> Array:
        """Return the first step of each line.

        A high derivative takes a window of several levels: the first one is farther out, for the last one not to
        drown in noise.
        """
        if self.step is not None:
            return lines.spread(self.step)
        xp = lines.xp
        size = lines.scale
        factor = _FIRST * float(ratio(n)) ** ((n - 1) // 2)
        if (self.noise or 0.0) > EXPLAINED * lines.eps:
            factor *= WIDER
        # What is next to nothing has no digits for a step that is a part of it.
        small = size < (1.0 if n > HIGH else lines.tiny / lines.eps)
        return factor * xp.where(xp.isfinite(size) & ~small, size, 1.0)

    def calls(self, m: int, n: int = 1) -> int:
        """Return about how often f is called."""
        return 1 + m * (12 + 2 * ((n - 1) // 2))

    def differentiate(self, lines: Lines, steps: Array, n: int = 1) -> Slopes:
        """Return the n-th derivatives of ``lines``, beginning with ``steps``."""
        xp = lines.xp
        noise = xp.zeros_like(lines.at) + max(lines.eps, MOST * (self.noise or 0.0))
        if not lines.concrete:
            return self._blind(lines, steps, noise, n)
        findings: list[Finding] = []
        if lines.lower is None and lines.upper is None:
            return together(xp, list(self._diagnosis(n, 0).run(lines, steps, noise))).slopes(xp)
        for side, indices, first in _Sides.of(lines, steps).groups(xp):
            some = lines if indices.shape[0] == lines.at.shape[0] else lines.take(indices)
            found = self._diagnosis(n, side).run(some, first, xp.take(noise, indices, axis=0))
            findings.extend(replace(part, index=xp.take(indices, part.index)) for part in found)
        return together(xp, findings).slopes(xp)

    def _diagnosis(self, n: int, side: int) -> Diagnosis:
        search = Search(n, side, self.levels + _MORE * (n - 1))
        return Diagnosis(search, noise_known=self.noise is not None)

    def _blind(self, lines: Lines, steps: Array, noise: Array, n: int) -> Slopes:
        """Differentiate without looking at what comes out: no line ends before the others, and none is examined."""
        xp = lines.xp
        sides = _Sides.of(lines, steps)
        found = _unexamined(lines, Search(n, 0, _BLIND), xp.where(sides.near, 0.0 * steps, sides.first), noise)
        if lines.lower is None and lines.upper is None:
            return found.slopes(xp)
        for side in (1, -1):
            here = sides.near & (sides.side == side)
            beside = _unexamined(lines, Search(n, side, _BLIND), xp.where(here, sides.first, 0.0 * steps), noise)
            found = replace(found.revised(xp, here, beside), one_sided=found.one_sided | here)
        return found.slopes(xp)


def _unexamined(lines: Lines, search: Search, steps: Array, noise: Array) -> Finding:
    (ended,) = search.run(lines, steps, noise)
    state = ended.state
    half = suspected(lines, state)
    return Finding.of(lines.xp, state, search).bent(lines.xp, half > 0.0, Kink(half > 0.0, half))


@dataclass(frozen=True, eq=False)
class _Sides:
    """On which side of x lines are sampled, (m, 1): above (1), below (-1), or both (0); and how far at most."""

    near: Array
    side: Array
    first: Array

    @classmethod
    def of(cls, lines: Lines, steps: Array) -> _Sides:
        """Return the sides with room for steps; steps are a bit shorter than the room, for rounding not to end it."""
        xp = lines.xp
        below, above = room(lines)
        less, more = xp.where(above < below, above, below), xp.where(above < below, below, above)
        near = less < _NEAR * steps
        most = (1.0 - 4.0 * lines.eps) * xp.where(near, more, less)
        one = xp.ones_like(lines.at)
        side = xp.where(near, xp.where(above < below, -one, one), 0.0)
        first = xp.where(steps < most, steps, most)
        require_room(lines, first, above=side >= 0.0)
        return cls(near, side, first)

    def groups(self, xp: Namespace) -> Iterator[tuple[int, Array, Array]]:
        """Yield the sides, the indices of their lines, and the first steps of these."""
        for side in (0, 1, -1):
            indices = xp.nonzero(self.side[:, 0] == side)[0]
            if indices.shape[0]:
                yield side, indices, xp.take(self.first, indices, axis=0)
