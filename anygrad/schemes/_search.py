"""The search for the steps at which the extrapolation of each line converges."""

from __future__ import annotations

from dataclasses import dataclass, replace

from anygrad._plan import Lines
from anygrad._typing import Array
from anygrad.schemes._extrapolation import RATIO, SEEN, Row, Series
from anygrad.schemes._state import Level, State, blocks, joined, those, total

# Two estimates may agree by accident: convergence is believed of the third one on.
_CONFIRMED = 3
# As many levels without progress say that noise has taken over.
_PATIENCE = 3
# By how much the step shrinks where f is not finite, or varies too fast for its derivative to be seen at all.
_LEAP = 8.0
# As many leaps from points where f is not finite: at 8^-8 of the first step it is not going to be.
FAILURES = 8
# The step may grow as many times, by so much at a time, where f does not change by more than its noise.
_GROWTHS, _GROWTH = 3, 2.0**16
# Growing pays where the noise of the estimate is as many times that of f.
_WORTHWHILE = 1e3


@dataclass(frozen=True)
class Search:
    """How lines are differentiated.

    Attributes
    ----------
    n
        Which derivative is wanted.
    side
        0 to take points on both sides of x, 1 or -1 to take them on one.
    levels
        How many levels there may be.
    """

    n: int
    side: int
    levels: int

    @property
    def series(self) -> Series:
        """The series that the derivative is read from."""
        return Series(1, 1) if self.side else Series(2 - self.n % 2, 2)

    @property
    def window(self) -> int:
        """How many levels an estimate takes."""
        return len(self.series.weights(self.n))

    def run(self, lines: Lines, steps: Array, noise: Array) -> list[State]:
        """Differentiate lines; return them in groups of which all have taken the same number of levels."""
        xp = lines.xp
        active = blocks(lines, State.start(lines, steps, noise))
        finished: list[State] = []
        for _ in range(self.levels):
            active = self._sampled(lines, active)
            done = [xp.all(self._done(lines, state), axis=1) for state in active]
            over = [mask for mask in done if lines.any(mask)]
            # What is of no use any more is dropped before lines are picked, which takes a copy of all that they carry.
            finished += those(xp, [replace(state, row=Row()) for state in active], done) if over else []
            active = [self._onward(lines, state) for state in active]
            if not over:
                continue
            left = [~mask for mask in done]
            active = those(xp, active, left)
            if not active:
                return finished
            lines = lines.take(xp.nonzero(joined(xp, left))[0])
        return finished + active

    def row(self, lines: Lines, state: State) -> Row:
        """Return the row of the latest level."""
        xp = lines.xp
        step = state.trail[-1].step
        weights = self.series.weights(self.n)
        parts = [self._part(state, level) for level in reversed(state.trail[-len(weights) :])]
        noises = [self._noise(lines, state, level) for level in reversed(state.trail[-len(weights) :])]
        value = total([weight * part for weight, part in zip(weights, parts, strict=True)])
        noise = total([abs(weight) * part for weight, part in zip(weights, noises, strict=True)])
        if self.n != self.series.start:
            power = step ** (self.n - self.series.start)
            value, noise = value / power, noise / xp.abs(power)
        row = state.row
        if row.values:
            leapt = xp.abs(float(RATIO) * step / state.trail[-2].step - 1.0) > 0.1
            row = row.forgotten(xp, leapt) if lines.any(leapt) or not lines.concrete else row
        return row.extended(self.series, value, noise)

    def _sampled(self, lines: Lines, states: list[State]) -> list[State]:
        """Sample the next level of all, in one go, and extend each tableau by a row."""
        xp = lines.xp
        steps = [self._step(lines, state) for state in states]
        at, step = joined(xp, [state.at for state in states]), joined(xp, steps)
        samples = lines.sample((at + step,) if self.side else (at + step, at - step))
        extended, start = [], 0
        for state, h in zip(states, steps, strict=True):
            part = slice(start, start + h.shape[0])
            level = Level(h, samples[0][part, :], None if self.side else samples[1][part, :])
            extended.append(self._extended(lines, state, level))
            start = part.stop
        return extended

    def _step(self, lines: Lines, state: State) -> Array:
        """Return the next step, such that x's dtype holds both points: away from 0 its numbers are coarser."""
        xp = lines.xp
        if self.side:
            return lines.nearest(state.at + float(self.side) * state.step) - state.at
        outward = xp.where(state.at < 0.0, -state.step, state.step)
        return xp.abs(lines.nearest(state.at + outward) - state.at)

    def _extended(self, lines: Lines, state: State, level: Level) -> State:
        xp = lines.xp
        state = replace(state, trail=(*state.trail, level), age=state.age + 1.0)
        if len(state.trail) < self.window:
            return state
        row = self.row(lines, state)
        fresh = row.best(xp, xp.abs(level.step))
        error = state.best.error
        improved = fresh.error < error
        if lines.any(~improved) or not lines.concrete:
            # At a step of many waves f is flat, and all errors of that are small.
            improved = improved | (fresh.seen(xp) & ~state.best.seen(xp))
        return replace(
            state,
            row=row,
            fresh=fresh,
            best=state.best.replaced(xp, improved, fresh),
            misses=xp.where(~improved & xp.isfinite(error), state.misses + 1.0, 0.0),
        )

    def _part(self, state: State, level: Level) -> Array:
        """Return the series at one level, divided by the step to the power that it starts with."""
        return level.bend(state.base) / level.step if self.series.start == 2 else level.slope(state.base)

    def _noise(self, lines: Lines, state: State, level: Level) -> Array:
        """Return what noise can amount to in that."""
        xp = lines.xp
        noise = state.noise * level.magnitude(xp, state.base) + lines.tiny
        if self.side:
            return 2.0 * noise / xp.abs(level.step)
        if self.series.start == 1:
            return noise / level.step
        return (noise + state.noise * xp.abs(state.base)) / level.step**2

    def _done(self, lines: Lines, state: State) -> Array:
        """Return which values need no more samples."""
        xp = lines.xp
        best, fresh = state.best, state.fresh
        if fresh is None:
            return state.misses < 0.0
        converged = (fresh.change <= fresh.noise * state.condition(xp)) & self._settled(state)
        if lines.any(self._early(state)):
            converged = converged & ~self._straight(lines, state)
        stalled = (state.misses >= _PATIENCE) & best.seen(xp)
        hopeless = (state.failures >= FAILURES) | (state.step < 4.0 * lines.eps * state.scale)
        return converged | stalled | hopeless

    def _settled(self, state: State) -> Array:
        return state.age >= float(_CONFIRMED + self.window - 1)

    def _early(self, state: State) -> Array:
        return (state.age == float(_CONFIRMED + self.window - 1)) & (state.growths < _GROWTHS)

    def _straight(self, lines: Lines, state: State) -> Array:
        """Return where f is a straight line up to its noise, of which there would be less at a larger step."""
        assert state.fresh is not None
        straight = self._early(state) & (state.fresh.change <= state.fresh.noise)
        return straight & (self._reach(lines, state) > 16.0 * state.step)

    def _reach(self, lines: Lines, state: State) -> Array:
        """Return the step at which f will have changed by a quarter of itself; 0 where there is no need for it."""
        xp = lines.xp
        assert state.fresh is not None
        slope = xp.abs(state.fresh.value)
        size = state.trail[-1].magnitude(xp, state.base)
        reach = 0.25 * (size / xp.where(slope > 0.0, slope, 1.0)) ** (1.0 / self.n)
        reach = xp.where(state.fresh.noise > _WORTHWHILE * state.noise * slope, reach, 0.0)
        # An f that does not change at all, very close to 0, may do so on the scale of 1.
        still = xp.where(state.step < 1e-6, 0.25, 0.0 * state.step)
        most = xp.where(_GROWTH * state.step > 0.25, _GROWTH * state.step, 0.25)
        return xp.minimum(xp.where(slope > 0.0, reach, still), most)

    def _onward(self, lines: Lines, state: State) -> State:
        """Choose the next step: leap where this one is hopeless, or too small to be of use."""
        xp = lines.xp
        finite = state.trail[-1].finite(xp)
        step = xp.where(finite, state.step / float(RATIO), state.step / _LEAP)
        state = replace(state, failures=xp.where(finite, state.failures, state.failures + 1.0))
        leap = ~finite
        if state.fresh is not None:
            flat = state.fresh.error <= SEEN * xp.abs(state.row.values[0])
            unseen = ~flat & ~state.best.seen(xp) & (state.misses > 0.0)
            unseen = xp.any(unseen, axis=1, keepdims=True) & self._settled(state)
            if lines.any(self._early(state)):
                straight = xp.all(self._straight(lines, state), axis=1, keepdims=True)
                unseen = unseen & ~straight
                step = xp.where(straight, xp.min(self._reach(lines, state), axis=1, keepdims=True), step)
                state = replace(state, growths=xp.where(straight, state.growths + 1.0, state.growths))
                leap = leap | straight
            step = xp.where(unseen, state.step / _LEAP, step)
            leap = leap | unseen
        state = replace(state, step=step, fresh=None, row=replace(state.row, changes=()))
        return state.leapt(xp, leap) if lines.any(leap) or not lines.concrete else state
