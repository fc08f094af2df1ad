"""Whether lines have converged after a level, and which step is next."""

from __future__ import annotations

from dataclasses import dataclass, replace

from anygrad.schemes.base import Lines
from anygrad._typing import Array
from anygrad.schemes._extrapolation import SEEN
from anygrad.schemes._level import every
from anygrad.schemes._state import State, some
from anygrad.schemes._wanted import Wanted

# As many levels without progress say that noise has taken over.
_PATIENCE = 3
# By how much the step shrinks where f is not finite, or varies too fast for its derivative to be seen at all.
_LEAP = 8.0
# As many leaps from points where f is not finite, ever wider after the first few: at 8^-15 of the first step, some
# spacings of x, it is not going to be.
FAILURES, _HASTY = 9, 5.0
# As many leaps from points where nothing is seen of the derivative: f varies on no scale, as at a jump or a cusp.
LEAPS = 5.0
# Steps of fewer spacings of x's numbers are too coarse for their ratio to be what it should.
_COARSE = 4.0
# The step may grow as many times, by so much at a time, where f does not change by more than its noise.
_GROWTHS, _GROWTH = 3, 2.0**16
# A step for functions that vary on the scale of 1.
_UNIT = 0.25
# f is steady on its first step if it bends by less than 1/_STEADY of its change, and changes by less than 1/_STEADY of
# itself.
_STEADY = 16.0
# It then begins again with this step, short enough to converge soon, and long enough for rounding not to show; and half
# the first one, so that it is not the same for all elements: a small fast wave would be seen by all, or by none.
_AGAIN = 0.04
# Only a first step of more than _PART |x| is lengthened, and only if _AGAIN is _LEAST to _MOST times as long: from a
# shorter one, f must first be seen to be straight.
_PART, _LEAST, _MOST = 0.2, 1.2, 20.0
# In coarser dtypes what a longer step steps over is not seen.
FINE = 1e-10
# Growing pays where the noise of the estimate is as many times that of f.
_WORTHWHILE = 2e2
# What is as many times its noise is no noise.
_CLEAR = 32.0
# A step whose n-th power is below this is very small.
_STILL = 1e-6


@dataclass(frozen=True, eq=False)
class Judged:
    """Lines after a level: which of them are done, and which need steps as large as ``reach``, if not 0."""

    state: State
    done: Array | None = None
    reach: Array | None = None


def judge(wanted: Wanted, lines: Lines, state: State) -> Judged:
    """Return which lines need no more samples, and which need them farther out."""
    xp = lines.xp
    fresh, level = state.fresh, state.trail[-1]
    condition = state.conditioned(lines, level)
    if state.condition is not None and state.ended is not None:
        condition = xp.where(state.ended, state.condition, condition)
    state = replace(state, condition=condition)
    if fresh is None:
        return Judged(state, every(xp, state.misses < 0.0))
    settled = state.age >= float(wanted.soonest)
    converged = (fresh.change <= fresh.noise * condition) & settled
    reach = _straight(wanted, lines, state)
    converged = converged if reach is None else converged & (reach == 0.0)
    stalled = state.misses >= _PATIENCE
    stalled = stalled & state.best.seen(xp) if lines.any(stalled) else stalled
    done = every(xp, converged | stalled | _hopeless(wanted, lines, state))
    reach = reach if reach is None or reach.shape[1] == 1 else xp.min(reach, axis=1, keepdims=True)
    if state.ended is not None:
        done = done | state.ended
        reach = reach if reach is None else xp.where(state.ended, 0.0, reach)
    return Judged(state, done, reach)


def _hopeless(wanted: Wanted, lines: Lines, state: State) -> Array:
    """Return where there is nothing to be found nearer to x: what the last leap has led to is looked at first."""
    xp = lines.xp
    failed, leapt = state.failures >= FAILURES, state.leaps >= LEAPS
    failed = failed & ~state.trail[-1].finite(xp) if lines.any(failed) else failed
    if lines.any(leapt):
        leapt = leapt & (state.age >= float(wanted.soonest)) & ~state.best.seen(xp)
    return failed | leapt | (state.step < _COARSE * lines.eps * state.scale)


def _straight(wanted: Wanted, lines: Lines, state: State) -> Array | None:
    """Return how far f is a straight line up to its noise, where there would be less of that; 0 elsewhere."""
    assert state.fresh is not None
    if not wanted.widens:
        return None
    early = (state.age == float(wanted.soonest)) & (state.growths < _GROWTHS)
    straight = early & (state.fresh.change <= state.fresh.noise)
    if not lines.any(straight):
        return None
    reach = _reach(wanted, lines, state)
    straight = straight & (reach > 16.0 * state.step)
    if not lines.any(straight):
        return None
    return lines.xp.where(straight & ~_kinked(wanted, lines, state), reach, 0.0)


def _kinked(wanted: Wanted, lines: Lines, state: State) -> Array:
    """Return where the slopes on both sides go on to differ: what is 0 there is their mean, on the whole line."""
    xp = lines.xp
    before, level = state.trail[-2:]
    if level.below is None or before.below is None:
        return xp.abs(state.base) < 0.0
    bend = xp.abs(level.bend(state.base))
    noise = _CLEAR * state.noise * (level.size + xp.abs(state.base)) / level.step
    return (bend > noise) & (bend > state.ratio**-0.5 * xp.abs(before.bend(state.base)))


def _reach(wanted: Wanted, lines: Lines, state: State) -> Array:
    """Return the step at which f will have changed by a quarter of itself; 0 where there is no need for it."""
    xp = lines.xp
    assert state.fresh is not None
    slope = xp.abs(state.fresh.value)
    size = state.trail[-1].size
    reach = size / xp.where(slope > 0.0, slope, 1.0)
    reach = 0.25 * (reach if wanted.n == 1 else reach ** (1.0 / wanted.n))
    reach = xp.where(state.fresh.noise > _WORTHWHILE * state.noise * slope, reach, 0.0)
    # An f that does not change at all, very close to 0, may do so on the scale of 1.
    still = xp.where(state.step < _STILL ** (1.0 / wanted.n), _UNIT, 0.0 * state.step)
    most = xp.where(_GROWTH * state.step > _UNIT, _GROWTH * state.step, _UNIT)
    reach = xp.minimum(xp.where(slope > 0.0, reach, still), most)
    return reach if state.most is None else xp.minimum(reach, state.most)


def outward(wanted: Wanted, lines: Lines, state: State) -> Array | None:
    """Return the step to begin again with, where f is nearly straight on the first one and hardly changes; else 0.

    That is where it will have changed, or bent, by a quarter of itself, but not farther out than need be. None if
    no line begins again, and after the first level.
    """
    if len(state.trail) > 1 or wanted.n != 1 or wanted.side or not wanted.widens or lines.eps > FINE:
        return None
    xp, level = lines.xp, state.trail[-1]
    step, size = level.step, level.size
    change = xp.abs(level.above - level.below)
    bend = xp.abs((level.above - state.base) + (level.below - state.base))
    steady = (_STEADY * bend < change) & (_STEADY * change < size)
    steady = steady & (step > _PART * state.scale) & (step > _AGAIN / _MOST) & (step < _AGAIN / _LEAST)
    if not lines.any(steady):
        return None
    reach = step * xp.minimum(0.5 * size / change, 0.25 * change / (bend + lines.tiny))
    reach = xp.where(steady, xp.minimum(reach, _AGAIN + 0.5 * step), 0.0)
    reach = reach if reach.shape[1] == 1 else xp.min(reach, axis=1, keepdims=True)
    return reach if state.most is None else xp.minimum(reach, state.most)


def onward(wanted: Wanted, lines: Lines, judged: Judged) -> State:
    """Choose the next step: leap where this one is hopeless, or too small to be of use."""
    xp = lines.xp
    state = judged.state
    step, leap = state.step / state.ratio, ~state.trail[-1].finite(xp)
    leap = leap if state.ended is None else leap & ~state.ended
    if lines.any(leap):
        wider = 1.0 + xp.where(state.failures > _HASTY, state.failures - _HASTY, 0.0)
        step = xp.where(leap, state.step / _LEAP**wider, step)
        state = replace(state, failures=xp.where(leap, state.failures + 1.0, state.failures))
    unseen = _unseen(wanted, lines, state)
    if judged.reach is not None:
        straight = judged.reach > 0.0
        unseen = unseen if unseen is None else unseen & ~straight
        step = xp.where(straight, judged.reach, step)
        state = replace(state, growths=xp.where(straight, state.growths + 1.0, state.growths))
        leap = leap | straight
    if unseen is not None:
        step = xp.where(unseen, state.step / _LEAP, step)
        leap = leap | unseen
        state = replace(state, leaps=xp.where(unseen, state.leaps + 1.0, state.leaps))
    state = replace(state, step=step, fresh=None, leapt=False)
    return state.anew(xp, leap) if lines.any(leap) else state


def _unseen(wanted: Wanted, lines: Lines, state: State) -> Array | None:
    """Return where nothing has been seen of the derivative, other than that f is flat."""
    xp = lines.xp
    if state.fresh is None or len(state.trail) < wanted.soonest:
        return None
    unseen = (state.misses > 0.0) & (state.age >= float(wanted.soonest))
    if not lines.any(unseen):
        return None
    fresh = state.fresh
    flat = (fresh.error <= SEEN * xp.abs(state.row.values[0])) | (fresh.change <= fresh.noise)
    unseen = some(xp, unseen & ~flat & ~state.best.seen(xp))
    return unseen if state.ended is None else unseen & ~state.ended


def finite_side(lines: Lines, state: State) -> Array:
    """Return on which side of x alone f is finite, if at x itself it is: 1, -1, or 0 for neither."""
    xp = lines.xp
    last, neither = state.trail[-1], xp.zeros_like(state.failures[:, 0])
    if last.below is None:
        return neither
    ends = (state.failures[:, 0] >= FAILURES) & xp.all(xp.isfinite(state.base), axis=1)
    above, below = (xp.all(xp.isfinite(values), axis=1) for values in (last.above, last.below))
    return xp.where(ends & above, neither + 1.0, xp.where(ends & below, neither - 1.0, neither))
