"""The search for the steps at which the extrapolation of each line converges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from anygrad.schemes.base import Lines
from anygrad._typing import Array
from anygrad.schemes._extrapolation import CANDIDATES, HIGH, Row
from anygrad.schemes._judging import FINE, Judged, judge, onward, outward
from anygrad.schemes._level import Level
from anygrad.schemes._state import State, begun, gathered, joined, taken, weighted
from anygrad.schemes._wanted import Wanted

# Lines that one call of f samples all are divided up once this part of a block is left: that takes a copy of them.
_FEW = 4


@dataclass(frozen=True, eq=False)
class Ended:
    """Lines of which those have come to an end that the mask is true of, (k,); None for all."""

    state: State
    mask: Array | None = None


def searched(wanted: Wanted, lines: Lines, steps: Array, noise: Array) -> Iterator[Ended]:
    """Differentiate lines; yield them in groups of which all have taken the same number of levels."""
    xp = lines.xp
    active = begun(lines, steps, noise, float(wanted.series.ratio), wanted.side)
    count, sampled = lines.at.shape[0], lines
    for level in range(1, wanted.levels + 1):
        active = _sampled(wanted, sampled, active)
        if level == wanted.levels:
            break
        if level < wanted.soonest:
            active = [onward(wanted, lines, Judged(state, reach=outward(wanted, lines, state))) for state in active]
            continue
        going = []
        while active:
            over, left = _parted(wanted, lines, active.pop(0))
            if over is not None:
                yield over
            if left is not None:
                going.append(left)
        if not going:
            return
        active = gathered(xp, going)
        remaining = sum(state.index.shape[0] for state in active)
        if remaining < count:
            count, sampled = remaining, lines.take(joined(xp, [state.index for state in active]))
    while active:
        yield Ended(judge(wanted, lines, active.pop(0)).state)


def _parted(wanted: Wanted, lines: Lines, state: State) -> tuple[Ended | None, State | None]:
    """Return lines that have come to an end, and those that go on."""
    xp = lines.xp
    judged = judge(wanted, lines, state)
    assert judged.done is not None
    left = xp.nonzero(~judged.done[:, 0])[0]
    going, count = left.shape[0], state.index.shape[0]
    if not going:
        return Ended(judged.state), None
    if going == count:
        return None, onward(wanted, lines, judged)
    if lines.shared and _FEW * going > count:
        return None, onward(wanted, lines, replace(judged, state=replace(judged.state, ended=judged.done)))
    over = Ended(judged.state, judged.done[:, 0])
    return over, onward(wanted, lines, taken(xp, replace(judged, state=replace(judged.state, ended=None)), left))


def next_row(wanted: Wanted, lines: Lines, state: State) -> Row:
    """Return the row of the latest level."""
    xp = lines.xp
    step = state.trail[-1].step
    weights = wanted.weights
    parts = [series_at(wanted, state, level) for level in reversed(state.trail[-len(weights) :])]
    noises = [noise_at(wanted, lines, state, level) for level in reversed(state.trail[-len(weights) :])]
    value = weighted(weights, parts)
    noise = weighted([abs(weight) for weight in weights], noises)
    if wanted.n != wanted.series.start:
        power = step ** (wanted.n - wanted.series.start)
        value, noise = value / power, noise / xp.abs(power)
    row = state.row
    if row.values and (state.leapt or lines.eps > FINE):
        leapt = xp.abs(state.ratio * step / state.trail[-2].step - 1.0) > 0.1
        row = row.forgotten(xp, leapt)
    return row.extended(wanted.series, value, noise)


def _sampled(wanted: Wanted, lines: Lines, states: list[State]) -> list[State]:
    """Sample the next level of all, in one go, and extend each tableau by a row: states are taken from the list."""
    xp = lines.xp
    steps = [_step(wanted, lines, state) for state in states]
    all_steps = joined(xp, steps)
    samples = lines.sample([lines.at + all_steps] if wanted.side else [lines.at + all_steps, lines.at - all_steps])
    extended, start = [], 0
    while states:  # what a state is extended from is not kept until all are
        state, step = states.pop(0), steps.pop(0)
        stop = start + step.shape[0]
        own = samples if stop - start == all_steps.shape[0] else [values[start:stop, :] for values in samples]
        extended.append(_extended(wanted, lines, state, Level.of(xp, step, own, state.base)))
        start = stop
    return extended


def _step(wanted: Wanted, lines: Lines, state: State) -> Array:
    """Return the next step, such that x's dtype holds both points: away from 0 its numbers are coarser."""
    xp = lines.xp
    if wanted.side:
        return lines.nearest(state.at + float(wanted.side) * state.step) - state.at
    size = xp.abs(state.at)
    return xp.abs(lines.nearest(size + state.step) - size)


def _extended(wanted: Wanted, lines: Lines, state: State, level: Level) -> State:
    xp = lines.xp
    state = replace(state, trail=(*state.trail, level), age=state.age + 1.0)
    if len(state.trail) < wanted.window:
        return state
    row = next_row(wanted, lines, state)
    if not row.changes:
        return replace(state, row=row)
    step = xp.abs(level.step) if wanted.side else level.step
    fresh = row.best(lines, step, CANDIDATES if wanted.n > HIGH else len(row.changes))
    row = replace(row, changes=())
    error = state.best.error
    improved = fresh.error < error
    if state.ended is None and lines.all(improved):
        return replace(state, row=row, fresh=fresh, best=fresh, misses=xp.zeros_like(state.misses))
    seen = state.best.seen(xp)
    if not lines.all(seen):  # at a step of many waves f is flat, and all errors of that are small
        improved = improved | (fresh.seen(xp) & ~seen)
    improved = improved if state.ended is None else improved & ~state.ended
    best = state.best.replaced(xp, improved, fresh)
    misses = xp.where(improved | ~xp.isfinite(error), 0.0, state.misses + 1.0)
    return replace(state, row=row, fresh=fresh, best=best, misses=misses)


def series_at(wanted: Wanted, state: State, level: Level) -> Array:
    """Return the series at one level, divided by the step to the power that it starts with."""
    return level.bend(state.base) / level.step if wanted.series.start == 2 else level.slope(state.base)


def noise_at(wanted: Wanted, lines: Lines, state: State, level: Level) -> Array:
    """Return what noise can amount to in that."""
    xp = lines.xp
    noise = state.noise * level.size + lines.tiny
    if wanted.side:
        return 2.0 * noise / xp.abs(level.step)
    if wanted.series.start == 1:
        return noise / level.step
    return (noise + state.noise * xp.abs(state.base)) / level.step**2
