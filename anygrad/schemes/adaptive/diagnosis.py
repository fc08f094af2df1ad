"""Why a line does not converge as a smooth function does, and how to continue.

`differentiate` is what `Adaptive` runs. It searches all lines, and then examines those in doubt: noise is measured,
kinks are looked for, and the search is repeated from farther out or from nearer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, TypeAlias

from anygrad._typing import Array, Namespace
from anygrad.schemes.adaptive.kinks import Kink, bends_of, confirmed_kink, isolated, monotonic, suspected_kink
from anygrad.schemes.adaptive.lazy import fixed_levels
from anygrad.schemes.adaptive.noise import (
    ABOVE_ROUNDING,
    even_scatter,
    measured_noise,
    smooth_spacing,
    spacing,
    stalled,
)
from anygrad.schemes.adaptive.richardson import HIGH, RESOLVED, Extrapolation, Row, largest_value, ratio
from anygrad.schemes.adaptive.search import LEAPS, State, finite_side, merge, search, take_lines
from anygrad.schemes.base import Lines, Slopes
from anygrad.schemes.finite_difference import require_room, room
from anygrad.schemes.steps import given_steps

# The first step, as a part of |x|: functions that vary as x does, like its powers, converge from there.
_FIRST = 0.3
# Lines nearer to a bound than this part of their first step are sampled on the other side only.
_NEAR_BOUND = 1.0 / 16.0
# A high derivative needs so many more levels for each order to be seen at all.
_LEVELS_PER_ORDER = 4

# Changes in the tableau tell the size of an error roughly. So many times that covers the error.
SAFETY = 3.0
# Above the fourth derivative they tell less: consecutive windows share most of their points.
_HIGH, _HIGH_SAFETY = 4, 10.0
# An error above this part of the value, which nothing explains, is worth a flag.
_INACCURATE = 1e-2

# The ratio of the maximal noise to the standard deviation of noise.
_MAXIMUM = 2.0
# Under noise wide steps are best: the second search begins with so many times the first step.
_WIDER = 3.0
# Noise of more than so many times what rounding explains is worth a flag. Cancellation inside of f causes less.
_NOISY = 100.0

# If places so far apart lie on a smooth curve, steps so many times longer are on it as well.
_SMOOTH_STEPS = 16.0
# A wave on top of a smooth function shows first at steps so many times smaller than those that it disturbs.
_CLOSER = 8.0
# Where f(x) alone stands out, f is searched at steps _NEARER times smaller, up to _TIMES times.
_NEARER, _TIMES = 64.0, 3
# Beside a kink it is searched more often: nearer than that, the kink cannot be told from one at x.
_KINK_TIMES = 6
# Such a search may take so many levels more than the least number.
_MORE_LEVELS = 6


# The first steps, and the sides of x that are sampled


def first_steps(lines: Lines, n: int, step: Any, noise: float) -> Array:
    """Return the first step of each line; ``step`` and ``noise`` are those of `Adaptive`.

    A high derivative takes a window of several levels. Its first step is longer, so that the last one of the window
    does not drown in noise.
    """
    _require_digits(n, lines.eps)
    if step is not None:
        return given_steps(step, lines)
    xp = lines.xp
    size = lines.scale
    factor = _FIRST * float(ratio(n)) ** ((n - 1) // 2)
    if noise > ABOVE_ROUNDING * lines.eps:
        factor *= _WIDER
    # Next to nothing, x has no digits for a step that is a part of it. Where subnormal numbers are flushed to zero, as
    # in callbacks of JAX, tiny is 0 as well: therefore "less or equal".
    small = size <= (1.0 if n > HIGH else lines.tiny / lines.eps)
    return factor * xp.where(xp.isfinite(size) & ~small, size, 1.0)


def _require_digits(n: int, eps: float) -> None:
    """Raise if the derivative can have no correct digit.

    For 1/x and n + 1 points that end at its pole, a rounding of f causes an error of e^n times that rounding in the
    derivative.
    """
    most = int(-math.log(eps))
    if n > most:
        raise ValueError(
            f"n is {n}, but of derivatives beyond the {most}th rounding leaves no digit in x's dtype, whose numbers are"
            f" {eps:.1e} apart at 1: give x in a wider dtype, or derive a formula"
        )


def differentiate(lines: Lines, steps: Array, n: int, noise: float | None, levels: int) -> Slopes:
    """Return the n-th derivatives of ``lines``, beginning with ``steps``; ``noise`` is None where it is not known."""
    xp = lines.xp
    size = xp.zeros_like(lines.at) + max(lines.eps, _MAXIMUM * (noise or 0.0))
    diagnosis = Diagnosis(Extrapolation(n, 0, levels + _LEVELS_PER_ORDER * (n - 1)), noise is not None)
    if lines.lazy:
        return _differentiate_lazily(diagnosis.extrapolation, lines, steps, size).slopes(xp)
    # Values of f that are not finite at x itself would lead the steps of the other values astray.
    unknown = xp.any(~xp.isfinite(lines.base()), axis=0)
    if unknown.shape[0] == 1 or not lines.any(unknown) or lines.all(unknown):
        return _differentiate_sides(diagnosis, lines, steps, size).slopes(xp)
    groups = [xp.nonzero(~unknown)[0], xp.nonzero(unknown)[0]]
    parts = [_differentiate_sides(diagnosis, lines.of_values(group), steps, size) for group in groups]
    return join_values(xp, parts).of_values(xp, xp.argsort(xp.concat(groups))).slopes(xp)


def _differentiate_sides(diagnosis: Diagnosis, lines: Lines, steps: Array, noise: Array) -> Derivatives:
    """Differentiate lines, those near a bound on the other side only."""
    xp = lines.xp
    if lines.lower is None and lines.upper is None:
        return join_lines(xp, list(diagnosis.run(lines, steps, noise)))
    parts: list[Derivatives] = []
    for side, indices, first in _Sides.of(lines, steps).groups(xp):
        own = lines if indices.shape[0] == lines.at.shape[0] else lines.take(indices)
        found = diagnosis.on_side(side).run(own, first, xp.take(noise, indices, axis=0))
        parts.extend(replace(part, index=xp.take(indices, part.index)) for part in found)
    return join_lines(xp, parts)


def _differentiate_lazily(extrapolation: Extrapolation, lines: Lines, steps: Array, noise: Array) -> Derivatives:
    """Differentiate lines whose values cannot be examined: all of them take the same levels."""
    xp = lines.xp
    if lines.lower is None and lines.upper is None:
        return _fixed_levels(extrapolation, lines, steps, noise)
    sides = _Sides.of(lines, steps)
    zero = xp.zeros_like(steps)
    found = _fixed_levels(extrapolation, lines, xp.where(sides.near, zero, sides.first), noise)
    for side in (1, -1):
        here = sides.near & (sides.side == side)
        on_side = _fixed_levels(replace(extrapolation, side=side), lines, xp.where(here, sides.first, zero), noise)
        found = replace(found.replaced(xp, here, on_side), one_sided=found.one_sided | here)
    return found


def _fixed_levels(extrapolation: Extrapolation, lines: Lines, steps: Array, noise: Array) -> Derivatives:
    state, bends = fixed_levels(extrapolation, lines, steps, noise)
    half = suspected_kink(lines, state, bends)
    found = Derivatives.of(lines.xp, state, extrapolation)
    return found.with_kinks(lines.xp, half > 0.0, Kink(half > 0.0, half))


@dataclass(frozen=True, eq=False)
class _Sides:
    """Which side of x is sampled, (m, 1): above (1), below (-1), or both (0); and the first steps on it."""

    near: Array
    side: Array
    first: Array

    @classmethod
    def of(cls, lines: Lines, steps: Array) -> _Sides:
        """Return the sides with room for the steps. Steps are a bit shorter than the room, because of rounding."""
        xp = lines.xp
        below, above = room(lines)
        less, more = xp.where(above < below, above, below), xp.where(above < below, below, above)
        near = less < _NEAR_BOUND * steps
        longest = (1.0 - 4.0 * lines.eps) * xp.where(near, more, less)
        one = xp.ones_like(lines.at)
        side = xp.where(near, xp.where(above < below, -one, one), 0.0)
        first = xp.where(steps < longest, steps, longest)
        require_room(lines, first, above=side >= 0.0)
        return cls(near, side, first)

    def groups(self, xp: Namespace) -> Iterator[tuple[int, Array, Array]]:
        """Yield each side, the indices of its lines, and their first steps."""
        for side in (0, 1, -1):
            indices = xp.nonzero(self.side[:, 0] == side)[0]
            if indices.shape[0]:
                yield side, indices, xp.take(self.first, indices, axis=0)


# The derivatives, and what is known of them


@dataclass(frozen=True, eq=False)
class Derivatives:
    """The derivatives of k lines, with all that is known of them.

    Attributes
    ----------
    index
        The indices of the lines, (k,).
    value, error, step
        As in `Slopes`.
    stuck
        Whether the error has stopped shrinking far above what noise explains.
    inaccurate
        Whether it is stuck, or not resolved, and large.
    kink, noisy, one_sided
        The flags.
    typical
        The size of f divided by n powers of x: an error above it says that nothing is known of a high derivative.
        Infinite for lower derivatives, whose errors say enough.
    """

    index: Array
    value: Array
    error: Array
    step: Array
    stuck: Array
    inaccurate: Array
    kink: Array
    noisy: Array
    one_sided: Array
    typical: Array

    @classmethod
    def of(cls, xp: Namespace, state: State, extrapolation: Extrapolation, scatter: Array | float = 0.0) -> Derivatives:
        """Return the result of a search. ``scatter`` is the noise seen, in units of what was assumed, if it is more."""
        best = state.chosen(xp)
        condition = state.condition
        assert condition is not None
        safety = SAFETY if extrapolation.n <= _HIGH else _HIGH_SAFETY
        error = safety * best.truncation + best.noise * (0.5 + (0.5 + SAFETY * scatter) * condition)
        stuck = xp.isfinite(error) & (best.truncation > ABOVE_ROUNDING * best.noise * condition)
        never = stuck & ~stuck
        unresolved = never
        if state.past is not None and xp.any(state.leaps > 0.0):
            unresolved = (state.leaps > 0.0) & ~best.resolved(xp) & (best.truncation > best.noise)
        return cls(
            index=state.index,
            value=best.value,
            error=error,
            step=xp.max(best.step, axis=1, keepdims=True),
            stuck=stuck,
            inaccurate=(stuck | unresolved) & ~(error <= _INACCURATE * xp.abs(best.value)),
            kink=never,
            noisy=never,
            one_sided=~never if extrapolation.side else never,
            typical=_typical(xp, state, extrapolation.n),
        )

    def with_kinks(self, xp: Namespace, mask: Array, kink: Kink) -> Derivatives:
        """Flag the kinks where the mask is true. The error then covers the slopes on both sides."""
        found = mask & kink.found
        wider = found & (kink.half > self.error)
        return replace(self, kink=self.kink | found, error=xp.where(wider, kink.half + self.error, self.error))

    def unknown(self, xp: Namespace, mask: Array) -> Derivatives:
        """Make the errors infinite where the mask is true."""
        return replace(self, error=xp.where(mask, xp.inf, self.error), inaccurate=self.inaccurate | mask)

    def replaced(self, xp: Namespace, mask: Array, other: Derivatives) -> Derivatives:
        """Return ``other``, of the same lines, where the mask is true. The flags stay."""
        return replace(
            self,
            value=xp.where(mask, other.value, self.value),
            error=xp.where(mask, other.error, self.error),
            step=xp.where(xp.any(mask, axis=1, keepdims=True), other.step, self.step),
            stuck=xp.where(mask, other.stuck, self.stuck),
            inaccurate=xp.where(mask, other.inaccurate, self.inaccurate),
        )

    def of_values(self, xp: Namespace, numbers: Array) -> Derivatives:
        """Return the derivatives of those values of f alone, in that order."""
        columns = {field.name: getattr(self, field.name) for field in fields(Derivatives)}
        per_line = {"index", "step"}
        chosen = {name: xp.take(part, numbers, axis=1) for name, part in columns.items() if name not in per_line}
        return replace(self, **chosen)

    def more_accurate(self, xp: Namespace, other: Derivatives) -> Array:
        """Return where the relative error is less than that of ``other``."""
        return self.error / xp.abs(self.value) < other.error / xp.abs(other.value)

    def better(self, xp: Namespace, other: Derivatives) -> Array:
        """Return where it is more accurate than ``other``, which has wider steps, or shows that ``other`` is wrong."""
        apart = xp.abs(self.value - other.value) > SAFETY * self.error + other.error
        return apart | self.more_accurate(xp, other)

    def slopes(self, xp: Namespace) -> Slopes:
        """Return what the scheme returns."""
        finite = xp.isfinite(self.value)
        known = finite & (self.error == self.error)
        drowned = (self.error >= xp.abs(self.value)) & (self.error > self.typical)
        unconverged = finite & (self.inaccurate | drowned | ~(self.error < xp.inf))
        return Slopes(
            value=self.value,
            step=self.step,
            error=xp.where(known, self.error, xp.inf),
            flags={
                "kink": self.kink & finite,
                "noisy": self.noisy & finite,
                "nonfinite": ~finite,
                "one_sided": self.one_sided,
                "unconverged": unconverged & ~self.kink & ~self.noisy,
            },
        )


def _typical(xp: Namespace, state: State, n: int) -> Array:
    size = state.levels[-1].size
    if n <= _HIGH:
        return xp.zeros_like(size) + xp.inf
    return size / xp.where(state.scale > 1.0, state.scale, 1.0) ** n


def join_values(xp: Namespace, parts: Sequence[Derivatives]) -> Derivatives:
    """Join the derivatives of different values of f, of the same lines."""
    columns = {field.name: [getattr(part, field.name) for part in parts] for field in fields(Derivatives)}
    wide = {name: xp.concat(own, axis=1) for name, own in columns.items() if name != "index"}
    wide["step"] = xp.max(wide["step"], axis=1, keepdims=True)
    return replace(parts[0], **wide)


def join_lines(xp: Namespace, parts: Sequence[Derivatives]) -> Derivatives:
    """Join the derivatives of different lines, in the order of the lines."""
    columns = {field.name: [getattr(part, field.name) for part in parts] for field in fields(Derivatives)}
    joined = {name: xp.concat(own) for name, own in columns.items()}
    index = joined["index"]
    if xp.all(index[1:] > index[:-1]):
        return Derivatives(**joined)
    # A stable sort is fast, because there are long runs in order.
    order = xp.argsort(index, stable=True)
    return Derivatives(**{name: xp.take(column, order, axis=0) for name, column in joined.items()})


# The examination of lines in doubt

Examination: TypeAlias = Callable[[Lines, State, Derivatives], Derivatives]


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """A search whose failures are examined.

    Attributes
    ----------
    extrapolation
        What is searched for.
    noise_known
        Whether the user has said how noisy f is: then it is not measured.
    """

    extrapolation: Extrapolation
    noise_known: bool

    def on_side(self, side: int) -> Diagnosis:
        """Return the diagnosis with points on one side of x (1, -1) or on both (0)."""
        return replace(self, extrapolation=replace(self.extrapolation, side=side))

    def run(self, lines: Lines, steps: Array, noise: Array) -> Iterator[Derivatives]:
        """Differentiate lines, and examine those in doubt."""
        xp = lines.xp
        doubtful: dict[int, list[State]] = {}
        for finished in search(self.extrapolation, lines, steps, noise):
            state = finished.state
            bends = bends_of(state)
            found = self._derivatives(lines, state, bends)
            doubt = found.stuck | found.inaccurate | (suspected_kink(lines, state, bends) > 0.0)
            # On a narrow peak at x, the values at all other points converge to a derivative of 0.
            doubt = doubt | ~xp.isfinite(found.error) | isolated(lines, state)
            doubt = xp.any(doubt if self.noise_known else doubt | stalled(xp, state), axis=1)
            if finished.mask is None and not lines.any(doubt):
                yield found
                continue
            mask = finished.mask
            clear, doubt = (~doubt, doubt) if mask is None else (~doubt & mask, doubt & mask)
            yield take_lines(xp, found, xp.nonzero(clear)[0])
            if lines.any(doubt):
                state = take_lines(xp, replace(state, row=Row(), finished=None), xp.nonzero(doubt)[0])
                doubtful.setdefault(len(state.levels), []).append(state)
        for states in doubtful.values():
            for found in self._examine(lines, merge(xp, states)):
                yield found if found.value.shape[1] == 1 else self._examine_each_value(lines, steps, noise, found)

    def _derivatives(self, lines: Lines, state: State, bends: Sequence[Array]) -> Derivatives:
        scatter = even_scatter(self.extrapolation, lines, state, bends)
        return Derivatives.of(lines.xp, state, self.extrapolation, scatter)

    def _examine_each_value(self, lines: Lines, steps: Array, noise: Array, found: Derivatives) -> Derivatives:
        """Differentiate doubtful values one by one where they differ in nature: the steps suit only one of them."""
        xp = lines.xp
        doubt = found.kink | found.noisy | found.stuck | found.inaccurate
        differ = found.kink | (xp.any(found.noisy, axis=1, keepdims=True) & doubt & ~found.noisy)
        mixed = xp.any(differ, axis=1, keepdims=True) & doubt
        if not lines.any(mixed):
            return found
        columns = []
        for number in range(mixed.shape[1]):
            value = xp.zeros_like(found.index[:1]) + number
            own, rest = xp.nonzero(mixed[:, number])[0], xp.nonzero(~mixed[:, number])[0]
            parts = [take_lines(xp, found.of_values(xp, value), rest)]
            if own.shape[0]:
                index = xp.take(found.index, own, axis=0)
                doubtful = lines.take(index).of_values(value)
                again = self.run(doubtful, xp.take(steps, index, axis=0), xp.take(noise, index, axis=0))
                parts += [replace(part, index=xp.take(index, part.index)) for part in again]
            columns.append(join_lines(xp, parts))
        return join_values(xp, columns)

    def _examine(self, lines: Lines, state: State) -> Iterator[Derivatives]:
        """Examine doubtful lines. Those on which f ends at x are searched on one side."""
        xp = lines.xp
        side = finite_side(lines, state)
        for value in (0, 1, -1):
            indices = xp.nonzero(side == value)[0]
            if not indices.shape[0]:
                continue
            own = take_lines(xp, state, indices)
            part = lines.take(own.index)
            if value == 0:
                yield self._explain(part, own)
                continue
            for found in self.on_side(value).run(part, xp.abs(own.levels[0].step), own.noise):
                yield replace(found, index=xp.take(own.index, found.index))

    def _explain(self, lines: Lines, state: State) -> Derivatives:
        """Look for noise, then for a kink. The remaining lines may be smooth if sampled from nearer."""
        xp = lines.xp
        bends = bends_of(state)
        found = self._derivatives(lines, state, bends)
        bend = suspected_kink(lines, state, bends)
        repeat_under_noise = partial(_repeat_under_noise, self.extrapolation)
        if not self.noise_known:
            found = at_some(lines, state, found, found.stuck | stalled(xp, state), repeat_under_noise)
        bent = (bend > 0.0) & (found.step >= xp.abs(state.levels[-1].step))  # not found from nearer already
        if not self.extrapolation.side:
            look_for_kinks = partial(_look_for_kinks, self.extrapolation)
            found = at_some(lines, state, found, (bent | found.inaccurate) & ~found.noisy, look_for_kinks)
        unexplained = ~found.noisy & ~found.kink
        lost = unexplained & (isolated(lines, state) | (found.inaccurate & (state.leaps >= LEAPS)))
        found = self._search_nearer_unless_stairs(lines, state, found, lost)
        unexplained = unexplained & ~lost
        if len(state.levels) < self.extrapolation.levels:
            found = at_some(lines, state, found, found.stuck & unexplained, self._search_closer)
        found = at_some(lines, state, found, bent & found.stuck & unexplained, self._search_beside_kink)
        nearby = replace(state, step=_SMOOTH_STEPS * spacing(xp, state))
        doubtful = (found.inaccurate | found.stuck) & unexplained
        return at_some(lines, nearby, found, doubtful, partial(_search_smooth_part, self.extrapolation))

    def _search_beside_kink(self, lines: Lines, state: State, found: Derivatives) -> Derivatives:
        """Search again, nearer and nearer, where the slopes differ at the steps taken, but not at x itself."""
        xp = lines.xp
        step, size, last = found.step, suspected_kink(lines, state), state.levels[-1]
        moves = (last.above != state.base) & (last.below != state.base)
        unresolved, flat = size > 0.0, size < 0.0
        near = replace(self.extrapolation, widens=False)
        for _ in range(_KINK_TIMES):
            step = step / _NEARER
            second = search_again(near, lines, step, state.noise)
            # Where f changes on both sides, a flat piece in between is one of many: f is rounded to them.
            clear = unresolved & ~second.stuck & xp.isfinite(second.error)
            flat = flat | (clear & moves & (second.value == 0.0))
            clear = clear & ~flat
            found, unresolved = found.replaced(xp, clear & second.better(xp, found), second), unresolved & ~clear
            if not lines.any(unresolved):
                return found
        if self.extrapolation.n > 1:
            return found
        error = xp.where(unresolved & (size > found.error), size, found.error)
        return replace(found, error=error, noisy=found.noisy | flat)

    def _search_closer(self, lines: Lines, state: State, found: Derivatives) -> Derivatives:
        """Search again from where the first search stopped."""
        second = search_again(self.extrapolation, lines, found.step / _CLOSER, state.noise)
        return found.replaced(lines.xp, second.more_accurate(lines.xp, found), second)

    def _search_nearer_unless_stairs(self, lines: Lines, state: State, found: Derivatives, lost: Array) -> Derivatives:
        """Search nearer where nothing is known. A flat piece of stairs does not count: f is noisy there."""
        xp = lines.xp
        nearer = at_some(lines, state, found.unknown(xp, lost), lost, self._search_nearer)
        stair = lost & monotonic(xp, state) & (nearer.value == 0.0) & (found.value != 0.0)
        return replace(nearer.replaced(xp, stair, found), noisy=nearer.noisy | stair)

    def _search_nearer(self, lines: Lines, state: State, found: Derivatives) -> Derivatives:
        """Search again where nothing is known, nearer and nearer as long as f(x) is isolated."""
        xp = lines.xp
        levels = self.extrapolation.soonest + _MORE_LEVELS
        extrapolation = replace(self.extrapolation, levels=levels, widens=False)
        step = xp.abs(state.levels[-1].step)
        for _ in range(_TIMES):
            step = step / _NEARER
            second = search_again(extrapolation, lines, step, state.noise)
            unknown = ~xp.isfinite(found.error)
            found = found.replaced(xp, unknown & xp.isfinite(second.error) & ~second.inaccurate, second)
            if not lines.any(unknown & ~xp.isfinite(second.error)):
                break
        return found


def at_some(lines: Lines, state: State, found: Derivatives, mask: Array, examination: Examination) -> Derivatives:
    """Examine the lines for which the mask is true at any value."""
    xp = lines.xp
    mask = xp.any(mask, axis=1)
    if not lines.any(mask):
        return found
    chosen, rest = xp.nonzero(mask)[0], xp.nonzero(~mask)[0]
    examined = examination(lines.take(chosen), take_lines(xp, state, chosen), take_lines(xp, found, chosen))
    return join_lines(xp, [examined, take_lines(xp, found, rest)])


def search_again(extrapolation: Extrapolation, lines: Lines, steps: Array, noise: Array) -> Derivatives:
    """Search from those steps on."""
    return join_lines(lines.xp, [found for _, found in _searches_again(extrapolation, lines, steps, noise)])


def _searches_again(
    extrapolation: Extrapolation, lines: Lines, steps: Array, noise: Array
) -> Iterator[tuple[State, Derivatives]]:
    """Search from those steps on. Yield groups of lines that have taken the same number of levels, and their state."""
    xp = lines.xp
    for finished in search(extrapolation, lines, steps, noise):
        found = Derivatives.of(xp, finished.state, extrapolation).unknown(xp, isolated(lines, finished.state))
        found = replace(found, stuck=found.stuck | (suspected_kink(lines, finished.state) > 0.0))
        state = replace(finished.state, row=Row(), finished=None)
        if finished.mask is None:
            yield state, found
            continue
        indices = xp.nonzero(finished.mask)[0]
        yield take_lines(xp, state, indices), take_lines(xp, found, indices)


def _search_smooth_part(extrapolation: Extrapolation, lines: Lines, state: State, found: Derivatives) -> Derivatives:
    """Search again at the steps of the state, where f is smooth."""
    xp = lines.xp
    second = search_again(extrapolation, lines, state.step, state.noise)
    resolved = second.error <= RESOLVED * xp.abs(second.value)
    return found.replaced(xp, second.better(xp, found) & resolved, second)


def _look_for_kinks(extrapolation: Extrapolation, lines: Lines, state: State, found: Derivatives) -> Derivatives:
    """Look very close to x for kinks that are suspected, or that would explain why the error is large."""
    xp = lines.xp
    size = suspected_kink(lines, state)
    bent, large = size > 0.0, xp.where(found.inaccurate, xp.abs(state.levels[-1].slope(state.base)), 0.0)
    slope = found.value if extrapolation.n == 1 else None
    kink = confirmed_kink(lines, state, xp.where(bent, size, large), bent, slope)
    return found.with_kinks(xp, bent | found.inaccurate, kink)


# Noise


def _repeat_under_noise(extrapolation: Extrapolation, lines: Lines, state: State, found: Derivatives) -> Derivatives:
    """Measure the noise, and search again where there is some."""
    xp = lines.xp
    noise = measured_noise(extrapolation, lines, state)
    state = replace(state, noise=xp.where(noise > 0.0, _MAXIMUM * noise, state.noise))
    limit = _NOISY * lines.eps * (1.0 if state.condition is None else state.condition)
    flagged = replace(found, noisy=noise > limit)
    return at_some(lines, state, flagged, noise > 0.0, partial(_tell_waves_from_noise, extrapolation))


def _tell_waves_from_noise(extrapolation: Extrapolation, lines: Lines, state: State, found: Derivatives) -> Derivatives:
    """Search nearer what is smooth from near: a wave shorter than the steps, the flank of a pole. Else search wider."""
    xp = lines.xp
    unit = smooth_spacing(extrapolation, lines, state)
    smooth = unit > 0.0
    noise = xp.where(smooth, lines.eps, state.noise)
    state = replace(state, noise=noise, step=_SMOOTH_STEPS * unit)
    found = replace(found, noisy=found.noisy & ~smooth)
    found = at_some(lines, state, found, ~smooth, partial(_search_wider, extrapolation))
    return at_some(lines, state, found, smooth, partial(_search_smooth_part, extrapolation))


def _search_wider(extrapolation: Extrapolation, lines: Lines, state: State, found: Derivatives) -> Derivatives:
    """Search again from farther out."""
    xp, parts = lines.xp, []
    steps, noise = _WIDER * xp.abs(state.levels[0].step), largest_value(xp, state.noise)
    for last, second in _searches_again(extrapolation, lines, steps, noise):
        first, before = take_lines(xp, state, second.index), take_lines(xp, found, second.index)
        parts.append(_choose_search(extrapolation, lines.take(second.index), first, before, (last, second)))
    return join_lines(xp, parts)


def _choose_search(
    extrapolation: Extrapolation,
    lines: Lines,
    first: State,
    found: Derivatives,
    again: tuple[State, Derivatives],
) -> Derivatives:
    """Choose the second search, unless it has led to another wave. Then look for kinks in the search chosen."""
    xp, (last, second) = lines.xp, again
    seen = first.chosen(xp)
    reached = SAFETY * seen.truncation + seen.noise * (first.noise / lines.eps)
    noisy = first.noise > lines.eps
    away = xp.abs(second.value - seen.value) > reached + second.error
    found = replace(found, error=xp.where(noisy & away, reached, found.error))
    chosen = noisy & ~away
    found = found.replaced(xp, chosen, second)
    # The short steps of the first search drown in noise: what it suspects, and how near to x, says little.
    # Where the step has grown, the slopes on both sides did not differ closer to x.
    bent = chosen & (last.growths == 0.0) & (suspected_kink(lines, last) > 0.0)
    look_for_kinks = partial(_look_for_kinks, extrapolation)
    found = at_some(lines, last, found, bent, look_for_kinks)
    return at_some(lines, first, found, ~found.kink & (suspected_kink(lines, first) > 0.0), look_for_kinks)
