"""The search: each line takes smaller and smaller steps until its extrapolation converges.

A `State` holds many lines side by side. Each level samples f at one more step, adds a row to the tableau, decides which
lines have finished, and chooses the next step of the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar, cast

from anygrad._typing import Array, Namespace
from anygrad.schemes.adaptive.richardson import (
    CANDIDATES,
    HIGH,
    RESOLVED,
    Estimate,
    Extrapolation,
    Level,
    Row,
    all_values,
    any_value,
    weighted_sum,
)
from anygrad.schemes.base import Lines
from anygrad.schemes.finite_difference import room

T = TypeVar("T")

# The number of lines that are combined at a time: arrays of this length fit in a processor's cache.
_BLOCK = 2**16
# Where one call of f samples all lines, finished lines are dropped only once this part of a block is left: dropping
# them takes a copy.
_FEW = 4

# Noise has taken over after so many levels without progress.
_PATIENCE = 3
# The factor by which the step shrinks where f is not finite, or varies too fast for its derivative to be resolved.
_LEAP = 8.0
# The number of leaps from points where f is not finite; they get wider after the first _HASTY. At 8^-15 of the first
# step, a few spacings of x, f is not going to be finite.
FAILURES, _HASTY = 9, 5.0
# The number of leaps from points where the derivative is not resolved: f varies on every scale, as at a jump or a cusp.
LEAPS = 5.0
# Steps of fewer spacings of x than this are too coarse to have the right ratio.
_COARSE = 4.0

# The number of times that the step may grow where f changes by no more than its noise, and by how much at a time.
_GROWTHS, _GROWTH = 3, 2.0**16
# A step for functions that vary on the scale of 1.
_UNIT = 0.25
# Growth pays where the noise of the estimate is so many times that of f.
_WORTHWHILE = 2e2
# A difference of so many times its noise is not noise.
_CLEAR = 32.0
# A step is very small if its n-th power is below this.
_TINY_STEP = 1e-6

# f is steady on the first step if it bends by less than 1/_STEADY of its change, and changes by less than 1/_STEADY of
# its value.
_STEADY = 16.0
# The search then restarts with this step plus half the first one. This step is short enough to converge soon, and long
# enough for rounding not to show. Half the first step makes it differ between elements: a small fast wave would
# otherwise be seen by all of them or by none.
_RESTART = 0.04
# Only a first step of more than _PART |x| is lengthened, and only if _RESTART is _LEAST to _MOST times as long: from a
# shorter step, f must first be seen to be straight.
_PART, _LEAST, _MOST = 0.2, 1.2, 20.0
# In dtypes coarser than this, a kink that a longer step steps over is not seen.
FINE = 1e-10


# The state of the lines


@dataclass(frozen=True, eq=False)
class State:
    """k lines side by side that have all taken the same number of levels.

    Attributes
    ----------
    ratio
        The ratio of consecutive steps.
    index
        The indices of the lines, (k,).
    at, scale, base, noise
        x and its magnitude, (k, 1); f(x), (k, p); the relative noise of f, (k, 1).
    step
        The step of the next level, (k, 1).
    age
        The number of levels since the last leap of the step, (k, 1).
    failures, leaps, growths
        The number of leaps because f was not finite, and because nothing was resolved; how often the step grew; (k, 1).
    row, latest, best
        The latest row of the tableau, its best entry, and the best estimate since the last leap.
    misses
        The number of levels that have not improved the best estimate, (k, p).
    past
        The best estimate from before the last leap.
    condition
        How much more noise there is than the values of f show, at the latest level: see `conditioned`.
    leapt
        Whether the step of any line is not the previous one divided by the ratio.
    finished
        Which lines have finished and are sampled only because others go on, (k, 1); None for no line.
    longest
        The longest step that the bounds allow, (k, 1); None without bounds.
    levels
        All levels so far.
    """

    ratio: float
    index: Array
    at: Array
    scale: Array
    base: Array
    noise: Array
    step: Array
    age: Array
    failures: Array
    growths: Array
    leaps: Array
    misses: Array
    best: Estimate
    latest: Estimate | None = None
    past: Estimate | None = None
    condition: Array | None = None
    leapt: bool = False
    finished: Array | None = None
    longest: Array | None = None
    row: Row = field(default_factory=Row)
    levels: tuple[Level, ...] = ()

    @classmethod
    def start(cls, lines: Lines, base: Array, steps: Array, noise: Array, ratio: float) -> State:
        """Return lines of which only f(x) is known."""
        xp = lines.xp
        zero = xp.zeros_like(lines.at)
        base = base + zero
        unknown = xp.zeros_like(xp.abs(base)) + xp.inf
        return cls(
            ratio=ratio,
            index=lines.numbers(),
            at=lines.at,
            scale=xp.where(xp.isfinite(lines.scale), lines.scale, 0.0),
            base=base,
            noise=noise,
            step=steps,
            age=zero,
            failures=zero,
            growths=zero,
            leaps=zero,
            misses=xp.zeros_like(unknown),
            best=Estimate(base * xp.nan, unknown, unknown, steps + xp.zeros_like(unknown)),
        )

    def bounded(self, lines: Lines, side: int) -> State:
        """Limit the steps to the distance of the bounds, on one side of x (1, -1) or on both (0)."""
        if lines.lower is None and lines.upper is None:
            return self
        below, above = room(lines)
        nearest = lines.xp.minimum(below, above) if side == 0 else above if side > 0 else below
        longest = (1.0 - 4.0 * lines.eps) * nearest
        return replace(self, longest=longest, step=lines.xp.minimum(self.step, longest))

    def conditioned(self, lines: Lines, level: Level) -> Array:
        """Return how much more noise there is than the values of f show if f rounds its argument: exp(100 * x)."""
        return 1.0 + self.scale * (level.steepness(lines.xp, self.base) / (level.size + lines.tiny))

    def restarted(self, xp: Namespace, mask: Array) -> State:
        """Begin a new tableau where the mask is true, and keep the best estimate of the old one."""
        started = replace(self, leapt=True, age=xp.where(mask, 0.0, self.age))
        if len(self.row.values) < 2:  # there is no estimate to be kept
            return started
        chosen = self.chosen(xp)
        return replace(
            started,
            misses=xp.where(mask, 0.0, self.misses),
            past=(self.past or self.no_estimate(xp)).replaced(xp, mask, chosen),
            best=self.best.discarded(xp, mask),
        )

    def no_estimate(self, xp: Namespace) -> Estimate:
        """Return the estimate before the first leap: its error is infinite."""
        return self.best.discarded(xp, self.misses >= 0.0)

    def chosen(self, xp: Namespace) -> Estimate:
        """Return the best estimate of all tableaux.

        Before and after a leap the relative errors are compared: at steps over many waves f seems flat, and the
        absolute error of that is small. Where the step has grown, the derivative was known before, to some error: a
        value outside of that error belongs to another wave.
        """
        past, best = self.past, self.best
        if past is None:
            return best
        better = best.more_accurate(xp, past)
        converged = best.truncation <= 2.0 * best.noise
        same = (xp.abs(best.value - past.value) <= 4.0 * past.error) & converged
        # Where f did not change at all, its changes may have been lost in the rounding of its terms.
        same = same | ((past.value == 0.0) & (past.truncation == 0.0) & best.resolved(xp))
        if xp.any(self.leaps > 0.0):  # closer to x f may really be flat
            better = better | (converged & (best.error < past.error) & ~past.resolved(xp))
        return past.replaced(xp, ~xp.isfinite(past.error) | (better & ((self.growths == 0.0) | same)), best)


def take_lines(xp: Namespace, thing: T, indices: Array) -> T:
    """Return a dataclass of arrays, or a tuple of them, with the lines of those sorted indices alone."""
    if thing is None or isinstance(thing, (float, bool)):
        return thing
    if isinstance(thing, tuple):
        return cast(T, tuple([take_lines(xp, part, indices) for part in thing]))
    names = getattr(thing, "__dataclass_fields__", None)
    if names is None:
        return cast(T, xp.take(thing, indices, axis=0))
    lines = getattr(thing, "index", None)
    if lines is not None and lines.shape[0] == indices.shape[0]:
        return thing
    return type(thing)(**{name: take_lines(xp, getattr(thing, name), indices) for name in names})


def merge(xp: Namespace, states: Sequence[State]) -> State:
    """Merge lines that have taken the same number of levels."""
    if len(states) == 1:
        return states[0]
    if any(state.past is not None for state in states):
        states = [replace(state, past=state.past or state.no_estimate(xp)) for state in states]
    if any(state.finished is not None for state in states):
        states = [state if state.finished is not None else replace(state, finished=state.age < 0.0) for state in states]
    return _merge_fields(xp, states)


def _merge_fields(xp: Namespace, things: Sequence[T]) -> T:
    first = things[0]
    if first is None or isinstance(first, float):
        return first
    if isinstance(first, bool):
        return cast(T, any(cast(Any, things)))
    if isinstance(first, tuple):
        return cast(T, tuple(_merge_fields(xp, parts) for parts in zip(*cast(Any, things), strict=True)))
    if is_dataclass(first) and not isinstance(first, type):
        names = [part.name for part in fields(first)]
        parts = {name: _merge_fields(xp, [getattr(thing, name) for thing in things]) for name in names}
        return cast(T, type(first)(**parts))
    return cast(T, xp.concat(list(things)))


def _start_blocks(lines: Lines, steps: Array, noise: Array, ratio: float, side: int) -> list[State]:
    """Return lines of which only f(x) is known: in blocks, if there are many."""
    base, count = lines.base(), lines.at.shape[0]
    if count <= _BLOCK:
        return [State.start(lines, base, steps, noise, ratio).bounded(lines, side)]
    shared = base.shape[0] != count
    states = []
    for start in range(0, count, _BLOCK):
        part = slice(start, min(start + _BLOCK, count))
        lower, upper = (None if bound is None else bound[part, :] for bound in (lines.lower, lines.upper))
        block = replace(lines, at=lines.at[part, :], scale=lines.scale[part, :], lower=lower, upper=upper)
        state = State.start(block, base if shared else base[part, :], steps[part, :], noise[part, :], ratio)
        states.append(replace(state, index=state.index + start).bounded(block, side))
    return states


def _concat(xp: Namespace, parts: Sequence[Array]) -> Array:
    return parts[0] if len(parts) == 1 else xp.concat(list(parts))


# The loop


@dataclass(frozen=True, eq=False)
class Finished:
    """Lines of which those have finished where the mask is true, (k,); None means all of them."""

    state: State
    mask: Array | None = None


def search(extrapolation: Extrapolation, lines: Lines, steps: Array, noise: Array) -> Iterator[Finished]:
    """Differentiate lines. Yield them in groups of lines that have taken the same number of levels."""
    xp = lines.xp
    active = _start_blocks(lines, steps, noise, float(extrapolation.series.ratio), extrapolation.side)
    count, sampled = lines.at.shape[0], lines
    for level in range(1, extrapolation.levels + 1):
        active = _sample_level(extrapolation, sampled, active)
        if level == extrapolation.levels:
            break
        if level < extrapolation.soonest:
            active = [
                _next_step(extrapolation, lines, Progress(state, wider=_wider_first_step(extrapolation, lines, state)))
                for state in active
            ]
            continue
        going = []
        while active:
            finished, left = _split(extrapolation, lines, active.pop(0))
            if finished is not None:
                yield finished
            if left is not None:
                going.append(left)
        if not going:
            return
        remaining = sum(state.index.shape[0] for state in going)
        active = [merge(xp, going)] if remaining <= _BLOCK else going
        if remaining < count:
            count, sampled = remaining, lines.take(_concat(xp, [state.index for state in active]))
    while active:
        yield Finished(_progress(extrapolation, lines, active.pop(0)).state)


def _split(extrapolation: Extrapolation, lines: Lines, state: State) -> tuple[Finished | None, State | None]:
    """Return the lines that have finished, and those that go on."""
    xp = lines.xp
    progress = _progress(extrapolation, lines, state)
    assert progress.done is not None
    left = xp.nonzero(~progress.done[:, 0])[0]
    going, count = left.shape[0], state.index.shape[0]
    if not going:
        return Finished(progress.state), None
    if going == count:
        return None, _next_step(extrapolation, lines, progress)
    if lines.shared and _FEW * going > count:
        marked = replace(progress, state=replace(progress.state, finished=progress.done))
        return None, _next_step(extrapolation, lines, marked)
    finished = Finished(progress.state, progress.done[:, 0])
    going_on = take_lines(xp, replace(progress, state=replace(progress.state, finished=None)), left)
    return finished, _next_step(extrapolation, lines, going_on)


def _sample_level(extrapolation: Extrapolation, lines: Lines, states: list[State]) -> list[State]:
    """Sample the next level of all states in one go, and add a row to each tableau. The list of states is emptied."""
    xp = lines.xp
    steps = [_representable_step(extrapolation, lines, state) for state in states]
    all_steps = _concat(xp, steps)
    points = [lines.at + all_steps] if extrapolation.side else [lines.at + all_steps, lines.at - all_steps]
    samples = lines.sample(points)
    extended, start = [], 0
    while states:  # emptied as it goes, so that each old state is freed before the next one is extended
        state, step = states.pop(0), steps.pop(0)
        stop = start + step.shape[0]
        own = samples if stop - start == all_steps.shape[0] else [values[start:stop, :] for values in samples]
        extended.append(_add_level(extrapolation, lines, state, Level.of(xp, step, own, state.base)))
        start = stop
    return extended


def _representable_step(extrapolation: Extrapolation, lines: Lines, state: State) -> Array:
    """Round the step so that x's dtype holds both points. Its numbers are coarser on the side away from 0."""
    xp = lines.xp
    if extrapolation.side:
        return lines.nearest(state.at + float(extrapolation.side) * state.step) - state.at
    size = xp.abs(state.at)
    return xp.abs(lines.nearest(size + state.step) - size)


def _add_level(extrapolation: Extrapolation, lines: Lines, state: State, level: Level) -> State:
    xp = lines.xp
    state = replace(state, levels=(*state.levels, level), age=state.age + 1.0)
    if len(state.levels) < extrapolation.window:
        return state
    row = next_row(extrapolation, lines, state)
    if not row.changes:
        return replace(state, row=row)
    step = xp.abs(level.step) if extrapolation.side else level.step
    latest = row.best(lines, step, CANDIDATES if extrapolation.n > HIGH else len(row.changes))
    row = replace(row, changes=())
    error = state.best.error
    improved = latest.error < error
    if state.finished is None and lines.all(improved):
        return replace(state, row=row, latest=latest, best=latest, misses=xp.zeros_like(state.misses))
    resolved = state.best.resolved(xp)
    if not lines.all(resolved):  # at a step over many waves f is flat, and all errors of that are small
        improved = improved | (latest.resolved(xp) & ~resolved)
    improved = improved if state.finished is None else improved & ~state.finished
    best = state.best.replaced(xp, improved, latest)
    misses = xp.where(improved | ~xp.isfinite(error), 0.0, state.misses + 1.0)
    return replace(state, row=row, latest=latest, best=best, misses=misses)


def next_row(extrapolation: Extrapolation, lines: Lines, state: State) -> Row:
    """Return the row of the latest level."""
    xp = lines.xp
    step = state.levels[-1].step
    weights = extrapolation.weights
    window = state.levels[-len(weights) :][::-1]
    value = weighted_sum(weights, [series_at(extrapolation, state, level) for level in window])
    noises = [noise_at(extrapolation, lines, state, level) for level in window]
    noise = weighted_sum([abs(weight) for weight in weights], noises)
    if extrapolation.n != extrapolation.series.start:
        power = step ** (extrapolation.n - extrapolation.series.start)
        value, noise = value / power, noise / xp.abs(power)
    row = state.row
    if row.values and (state.leapt or lines.eps > FINE):
        leapt = xp.abs(state.ratio * step / state.levels[-2].step - 1.0) > 0.1
        row = row.cleared(xp, leapt)
    return row.extended(extrapolation.series, value, noise)


def series_at(extrapolation: Extrapolation, state: State, level: Level) -> Array:
    """Return the series at one level, divided by the power of the step that it starts with."""
    return level.bend(state.base) / level.step if extrapolation.series.start == 2 else level.slope(state.base)


def noise_at(extrapolation: Extrapolation, lines: Lines, state: State, level: Level) -> Array:
    """Return the error that noise can cause in `series_at`."""
    xp = lines.xp
    noise = state.noise * level.size + lines.tiny
    if extrapolation.side:
        return 2.0 * noise / xp.abs(level.step)
    if extrapolation.series.start == 1:
        return noise / level.step
    return (noise + state.noise * xp.abs(state.base)) / level.step**2


# Convergence


@dataclass(frozen=True, eq=False)
class Progress:
    """Lines after a level: which are done, and the wider step that some of them need, 0 for none."""

    state: State
    done: Array | None = None
    wider: Array | None = None


def _progress(extrapolation: Extrapolation, lines: Lines, state: State) -> Progress:
    """Decide which lines need no more samples, and which need wider steps."""
    xp = lines.xp
    latest, level = state.latest, state.levels[-1]
    condition = state.conditioned(lines, level)
    if state.condition is not None and state.finished is not None:
        condition = xp.where(state.finished, state.condition, condition)
    state = replace(state, condition=condition)
    if latest is None:
        return Progress(state, all_values(xp, state.misses < 0.0))
    settled = state.age >= float(extrapolation.soonest)
    converged = (latest.truncation <= latest.noise * condition) & settled
    wider = _wider_where_linear(extrapolation, lines, state)
    converged = converged if wider is None else converged & (wider == 0.0)
    stagnant = state.misses >= _PATIENCE
    stagnant = stagnant & state.best.resolved(xp) if lines.any(stagnant) else stagnant
    done = all_values(xp, converged | stagnant | _exhausted(extrapolation, lines, state))
    wider = _least_value(xp, wider)
    if state.finished is not None:
        done = done | state.finished
        wider = wider if wider is None else xp.where(state.finished, 0.0, wider)
    return Progress(state, done, wider)


def _exhausted(extrapolation: Extrapolation, lines: Lines, state: State) -> Array:
    """Return where smaller steps are hopeless. After a leap the new level is judged first."""
    xp = lines.xp
    failed, leapt = state.failures >= FAILURES, state.leaps >= LEAPS
    failed = failed & ~state.levels[-1].finite(xp) if lines.any(failed) else failed
    if lines.any(leapt):
        leapt = leapt & (state.age >= float(extrapolation.soonest)) & ~state.best.resolved(xp)
    return failed | leapt | (state.step < _COARSE * lines.eps * state.scale)


def _least_value(xp: Namespace, wider: Array | None) -> Array | None:
    return wider if wider is None or wider.shape[1] == 1 else xp.min(wider, axis=1, keepdims=True)


def _wider_where_linear(extrapolation: Extrapolation, lines: Lines, state: State) -> Array | None:
    """Return a wider step where f is a straight line up to its noise and a wider step has less of that; else 0."""
    assert state.latest is not None
    if not extrapolation.widens:
        return None
    early = (state.age == float(extrapolation.soonest)) & (state.growths < _GROWTHS)
    linear = early & (state.latest.truncation <= state.latest.noise)
    if not lines.any(linear):
        return None
    wider = _wider_step(extrapolation, lines, state)
    linear = linear & (wider > 16.0 * state.step)
    if not lines.any(linear):
        return None
    return lines.xp.where(linear & ~_slopes_differ(lines, state), wider, 0.0)


def _slopes_differ(lines: Lines, state: State) -> Array:
    """Return where the one-sided slopes keep differing. A derivative of 0 is then their mean, as at a kink."""
    xp = lines.xp
    before, level = state.levels[-2:]
    if level.below is None or before.below is None:
        return xp.abs(state.base) < 0.0
    bend = xp.abs(level.bend(state.base))
    noise = _CLEAR * state.noise * (level.size + xp.abs(state.base)) / level.step
    return (bend > noise) & (bend > state.ratio**-0.5 * xp.abs(before.bend(state.base)))


def _wider_step(extrapolation: Extrapolation, lines: Lines, state: State) -> Array:
    """Return the step at which f will have changed by a quarter of its value; 0 where that is not needed."""
    xp = lines.xp
    assert state.latest is not None
    slope = xp.abs(state.latest.value)
    size = state.levels[-1].size
    wider = size / xp.where(slope > 0.0, slope, 1.0)
    wider = 0.25 * (wider if extrapolation.n == 1 else wider ** (1.0 / extrapolation.n))
    wider = xp.where(state.latest.noise > _WORTHWHILE * state.noise * slope, wider, 0.0)
    # Where f does not change at all very close to 0, it may change on the scale of 1.
    constant = xp.where(state.step < _TINY_STEP ** (1.0 / extrapolation.n), _UNIT, 0.0 * state.step)
    limit = xp.where(_GROWTH * state.step > _UNIT, _GROWTH * state.step, _UNIT)
    wider = xp.minimum(xp.where(slope > 0.0, wider, constant), limit)
    return wider if state.longest is None else xp.minimum(wider, state.longest)


def _wider_first_step(extrapolation: Extrapolation, lines: Lines, state: State) -> Array | None:
    """Return the step to restart with where f is nearly straight and hardly changes on the first step; else 0.

    It is the step at which f will have changed, or bent, by a quarter, but no longer than necessary. None means that no
    line restarts, as after any later level.
    """
    if len(state.levels) > 1 or extrapolation.n != 1 or extrapolation.side:
        return None
    if not extrapolation.widens or lines.eps > FINE:
        return None
    xp, level = lines.xp, state.levels[-1]
    step, size = level.step, level.size
    change = xp.abs(level.above - level.below)
    bend = xp.abs((level.above - state.base) + (level.below - state.base))
    steady = (_STEADY * bend < change) & (_STEADY * change < size)
    steady = steady & (step > _PART * state.scale) & (step > _RESTART / _MOST) & (step < _RESTART / _LEAST)
    if not lines.any(steady):
        return None
    wider = step * xp.minimum(0.5 * size / change, 0.25 * change / (bend + lines.tiny))
    wider = _least_value(xp, xp.where(steady, xp.minimum(wider, _RESTART + 0.5 * step), 0.0))
    return wider if state.longest is None else xp.minimum(wider, state.longest)


def _next_step(extrapolation: Extrapolation, lines: Lines, progress: Progress) -> State:
    """Choose the next step: usually the last one divided by the ratio; a leap where that would not help."""
    xp = lines.xp
    state = progress.state
    step, leap = state.step / state.ratio, ~state.levels[-1].finite(xp)
    leap = leap if state.finished is None else leap & ~state.finished
    if lines.any(leap):
        power = 1.0 + xp.where(state.failures > _HASTY, state.failures - _HASTY, 0.0)
        step = xp.where(leap, state.step / _LEAP**power, step)
        state = replace(state, failures=xp.where(leap, state.failures + 1.0, state.failures))
    unresolved = _unresolved(extrapolation, lines, state)
    if progress.wider is not None:
        grows = progress.wider > 0.0
        unresolved = unresolved if unresolved is None else unresolved & ~grows
        step = xp.where(grows, progress.wider, step)
        state = replace(state, growths=xp.where(grows, state.growths + 1.0, state.growths))
        leap = leap | grows
    if unresolved is not None:
        step = xp.where(unresolved, state.step / _LEAP, step)
        leap = leap | unresolved
        state = replace(state, leaps=xp.where(unresolved, state.leaps + 1.0, state.leaps))
    state = replace(state, step=step, latest=None, leapt=False)
    return state.restarted(xp, leap) if lines.any(leap) else state


def _unresolved(extrapolation: Extrapolation, lines: Lines, state: State) -> Array | None:
    """Return where the derivative is not resolved, and f is not just flat."""
    xp = lines.xp
    if state.latest is None or len(state.levels) < extrapolation.soonest:
        return None
    unresolved = (state.misses > 0.0) & (state.age >= float(extrapolation.soonest))
    if not lines.any(unresolved):
        return None
    latest = state.latest
    flat = (latest.error <= RESOLVED * xp.abs(state.row.values[0])) | (latest.truncation <= latest.noise)
    unresolved = any_value(xp, unresolved & ~flat & ~state.best.resolved(xp))
    return unresolved if state.finished is None else unresolved & ~state.finished


def finite_side(lines: Lines, state: State) -> Array:
    """Return the only side of x on which f is finite, if it is finite at x: 1 or -1; else 0."""
    xp = lines.xp
    last, neither = state.levels[-1], xp.zeros_like(state.failures[:, 0])
    if last.below is None:
        return neither
    ends = (state.failures[:, 0] >= FAILURES) & xp.all(xp.isfinite(state.base), axis=1)
    above, below = (xp.all(xp.isfinite(values), axis=1) for values in (last.above, last.below))
    return xp.where(ends & above, neither + 1.0, xp.where(ends & below, neither - 1.0, neither))
