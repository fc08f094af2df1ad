"""The search: every line takes smaller and smaller steps until its extrapolation converges.

A `State` holds many lines side by side. Each level samples f at one more step, adds a row to the tableau, decides which
values have ended, and chooses the next step of the others. A value that has ended keeps what was found, even if its
line is sampled further for the sake of other values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar, cast

from anygrad._typing import Array, Namespace
from anygrad.schemes.adaptive.richardson import (
    ABOVE_ROUNDING,
    FINE,
    RESOLVED,
    WORTH_MEASURING,
    Estimate,
    Level,
    Series,
    all_values,
    any_value,
    best_entry,
    next_row,
    weighted_sum,
)
from anygrad.schemes.base import Lines
from anygrad.schemes.finite_difference import room

T = TypeVar("T")

# The number of leaps from points where f is not finite. At 8^-15 of the first step f is not going to be finite.
FAILURES, _HASTY = 9, 5.0
# The number of leaps from points where the derivative is not resolved: f varies on every scale, as at a jump or a cusp.
LEAPS = 5.0

# The number of lines that are combined at a time: arrays of this length fit in a processor's cache.
_BLOCK = 2**15
# Where one call of f samples all lines, fewer than _MANY, those that have ended stay until this part is left.
_FEW, _MANY = 4, 2**12
# Two estimates may agree by accident. Convergence is believed from the third one on.
_CONFIRMED = 3
# A line has converged if its change is at most so many times its rounding.
_SETTLED = 2.0
# Noise has taken over after so many levels without progress.
_PATIENCE = 3
# The factor by which the step shrinks where f is not finite or varies too fast for its derivative to be resolved; and
# where f(x) lies far from a curve through all the other values, so that nothing is known of the scale of f.
_LEAP, _LONG_LEAP = 8.0, 64.0
# Steps of fewer spacings of x than this are too coarse to have the right ratio.
_COARSE = 4.0
# The number of times that the step may grow where f is straight, and by how much at a time.
_GROWTHS, _GROWTH = 3, 2.0**16
# It grows where f changes by less than this part of its value, and bends by no more than so many times its noise, or
# than it rises.
_HARDLY, _SEEN = 1e-4, 4.0
# A difference of so many times its noise is not noise.
_CLEAR = 32.0
# Distances of f(x) from the values around it are the same if they differ by less than this part.
_ALIKE = 0.1
# f(x) that lies farther from the curve through all other values, in units of noise, does so for another reason. Noise
# is looked for in so many of the latest rows.
# Beyond _NO_NOISE, that is a kink or a peak.
_MOST_EXCESS, _ROWS, _NO_NOISE = 64.0, 3, 1e9
# f is steady on the first step if it bends by less than 1/_STEADY of its change, and changes by less than 1/_STEADY of
# its value. The search then restarts with a longer one, so that rounding does not show: at most _LONGER times as long,
# as f may vary on a scale that rounding hides, and at most _FAR, or _FARTHER in a dtype of few digits, plus half the
# first step. That half makes it differ between elements: not all of them see a small fast wave, or none. Only a step of
# more than _PART |x|, as it is by default, is lengthened, and only if that makes it _LEAST times as long.
_STEADY, _LONGER, _FAR, _FARTHER, _PART, _LEAST = 16.0, 2.0**10, 0.04, 0.3, 0.2, 1.2
# The number of latest levels in which a kink is looked for; three, if there are not more.
BENDS = 4


@dataclass(frozen=True, eq=False)
class Search:
    """The derivative that a search looks for, and when the search ends."""

    series: Series
    levels: int  # at most so many
    widens: bool = True  # whether the step may grow
    rtol: float = 0.0
    atol: float = 0.0  # a value ends as soon as its error is at most atol + rtol * |value|

    @property
    def tolerant(self) -> bool:
        return self.rtol > 0.0 or self.atol > 0.0

    @property
    def soonest(self) -> int:
        """The number of levels after which an estimate may count as converged."""
        return _CONFIRMED + self.series.window - 1

    def suffices(self, xp: Namespace, error: Array, value: Array) -> Array:
        """Return where the error is as small as the user wants it; nowhere if nothing was said."""
        wanted = self.atol + self.rtol * xp.abs(value)
        return (error <= wanted) & (wanted > 0.0)


@dataclass(frozen=True, eq=False)
class Found:
    """The result of a search for each value of m lines; arrays are (m, p) unless a comment gives another shape."""

    index: Array  # the numbers of the lines, (m,)
    base: Array  # f(x)
    noise: Array  # the relative noise of f that was assumed
    first: Array  # the first step, (m, 1)
    longest: Array | None  # the longest step that the bounds allow, (m, 1)
    best: Estimate
    moved: Array  # the smallest step over which f has changed on both sides of x; 0 for none
    leaps: Array  # how often the step leapt because nothing was resolved, (m, 1)
    growths: Array  # how often it grew, (m, 1)
    ends: Array  # 1 where f is finite above x only, though it is finite at x; -1 where below only; else 0, (m, 1)
    # The rest is noted when a value ends, though its line may be sampled further: see `noted_now`.
    step: Array  # the last one
    size: Array  # the magnitude of f there
    slope: Array  # the difference quotient
    levels: Array  # how many there were
    condition: Array  # how much more noise f has than its values show if it rounds its argument, as exp(100 * x) does
    bend: Array  # half the difference that the one-sided slopes seem to have; 0 where they seem equal
    isolated: Array  # f(x) stays as far from the values around it: f varies on a smaller scale
    excess: Array  # how far f(x) lies from the curve through all other values, in units of the noise assumed
    unsettled: Array  # the largest change in the latest rows of the tableau
    scatter: Array  # the same, in units of what the noise assumed can cause
    stalled: Array  # the latest levels differ by more than noise, and do not improve the estimate
    flat: Array  # f does not change over the last step, though it has moved: it may be rounded


@dataclass(eq=False)
class State:
    """m lines side by side that have taken the same number of levels. A level changes it in place."""

    index: Array  # the numbers of the lines, (m,)
    at: Array  # x, (m, 1)
    scale: Array  # its magnitude, (m, 1)
    base: Array  # f(x), (m, p)
    noise: Array  # its relative noise, (m, p)
    first: Array  # the first step, (m, 1)
    step: Array  # that of the next level, (m, 1)
    longest: Array | None  # the longest that the bounds allow, (m, 1)
    age: Array  # levels since the step last leapt, (m, 1)
    failures: Array  # how often it leapt because f was not finite, (m, 1)
    leaps: Array  # and because nothing was resolved, (m, 1)
    growths: Array  # how often it grew, (m, 1)
    best: Estimate  # since the last leap
    misses: Array  # levels that have not improved it, (m, p)
    ended: Array  # which values have ended, (m, p)
    moved: Array  # the smallest step over which f has changed on both sides of x, (m, p); 0 for none
    level: Level  # the latest one
    level_noise: Array  # the noise in f / h^n there
    past: Estimate | None = None  # the best from before the last leap
    noted: tuple[Array, ...] = ()  # what `Found` says of values that have ended
    latest: Estimate | None = None  # the best entry of the latest row of the tableau
    # In what follows, NaN is from before a leap.
    changes: tuple[Array, ...] = ()  # of the best entries of the latest rows
    row: tuple[Array, ...] = ()  # the latest one of the tableau
    terms: tuple[Array, ...] = ()  # the latest of the series, as many as a window has
    heights: tuple[Array, ...] = ()  # of all levels, (m, p)
    steps: tuple[Array, ...] = ()  # of all levels, (m, 1)

    @classmethod
    def start(cls, search: Search, lines: Lines, index: Array, base: Array, given: tuple[Array, Array]) -> State:
        """Return lines of which only f(x) is known, and the first steps and the noise that are given."""
        xp, zero, longest = lines.xp, lines.xp.zeros_like(lines.at), None
        base, (steps, noise) = base + zero, given
        none = xp.zeros_like(xp.abs(base))
        if lines.lower is not None or lines.upper is not None:
            below, above = room(lines)
            side = search.series.side
            nearest = above if side > 0 else below if side < 0 else xp.minimum(below, above)
            longest = (1.0 - 4.0 * lines.eps) * nearest
            steps = xp.minimum(steps, longest)
        return cls(
            index=index,
            at=lines.at,
            scale=xp.where(xp.isfinite(lines.scale), lines.scale, 0.0),
            base=base,
            noise=noise + none,
            first=steps,
            step=steps,
            longest=longest,
            age=zero,
            failures=zero,
            leaps=zero,
            growths=zero,
            best=Estimate.unknown(xp, base),
            misses=none,
            ended=~xp.isfinite(base),
            moved=none,
            level=Level(steps, base, base, none, none),
            level_noise=none,
        )

    def condition(self, lines: Lines) -> Array:
        """Return how much more noise f has than its values show, if it rounds its argument."""
        rise = self.level.rise(lines.xp, self.base)
        size = lines.xp.maximum(self.level.size, rise) + lines.tiny
        return 1.0 + self.scale / lines.xp.abs(self.level.step) * (rise / size)

    def chosen(self, xp: Namespace) -> Estimate:
        """Return the best estimate from before and after all leaps.

        Before and after a leap the relative errors are compared: at steps over many waves f seems flat, and the
        absolute error of that is small. Where the step has grown, the derivative was known before, to some error: a
        value outside of that error belongs to another wave.
        """
        past, best = self.past, self.best
        if past is None:
            return best
        better = best.error * xp.abs(past.value) < past.error * xp.abs(best.value)
        converged = best.change <= 2.0 * best.rounding
        same = (xp.abs(best.value - past.value) <= 4.0 * past.error) & converged
        # Where f did not change at all, its changes may have been lost in the rounding of its terms.
        same = same | ((past.value == 0.0) & (past.change == 0.0) & best.resolved(xp))
        # Closer to x f may really be flat. But where f has moved on both sides, it is rounded to that.
        flat = (self.moved > 0.0) & (best.value == 0.0)
        nearer = (self.leaps > 0.0) & converged & (best.error < past.error) & ~past.resolved(xp)
        better = better | (nearer & ~flat)
        return choose(xp, ~(past.error < float("inf")) | (better & ((self.growths == 0.0) | same)), best, past)

    def forget(self, xp: Namespace, mask: Array) -> None:
        """Forget earlier levels where the mask is true, so that no row of the tableau is made of them."""
        for name in ("changes", "row", "terms", "heights"):
            setattr(self, name, tuple(xp.where(mask, float("nan"), array) for array in getattr(self, name)))


def take_lines(xp: Namespace, thing: T, indices: Array, taken: dict[int, Array] | None = None) -> T:
    """Return a record of arrays, or a tuple of them, with the lines of those sorted indices alone.

    ``taken`` is by the identity of an array: what occurs twice stays one array.
    """
    taken = {} if taken is None else taken
    if thing is None:
        return thing
    if isinstance(thing, tuple):
        return cast(T, tuple([take_lines(xp, part, indices, taken) for part in thing]))
    names = getattr(thing, "__dataclass_fields__", None)
    if names is not None:
        return type(thing)(**{name: take_lines(xp, getattr(thing, name), indices, taken) for name in names})
    if id(thing) not in taken:
        taken[id(thing)] = xp.take(thing, indices, axis=0)
    return cast(T, taken[id(thing)])


def join_lines(xp: Namespace, records: Sequence[T]) -> T:
    """Join records of different lines, which have an ``index``, in the order of the lines."""
    whole: Any = _concat(xp, records)
    if len(records) == 1 or xp.all(whole.index[1:] > whole.index[:-1]):
        return cast(T, whole)
    return take_lines(xp, cast(T, whole), xp.argsort(whole.index, stable=True))  # fast, as there are long runs in order


def _concat(xp: Namespace, parts: Sequence[Any]) -> Any:
    first = parts[0]
    if len(parts) == 1 or first is None:
        return first
    names = getattr(first, "__dataclass_fields__", None)
    if names is None:
        return xp.concat(list(parts))
    return type(first)(**{name: _concat(xp, [getattr(part, name) for part in parts]) for name in names})


def choose(xp: Namespace, mask: Array, new: T, old: T) -> T:
    """Return a record that is ``new`` where the mask is true, else ``old``. What belongs to lines is new."""
    names = getattr(new, "__dataclass_fields__", None)
    if names is not None:
        return type(new)(**{name: choose(xp, mask, getattr(new, name), getattr(old, name)) for name in names})
    per_value = new is not old and getattr(new, "shape", None) == mask.shape
    return cast(T, xp.where(mask, new, old)) if per_value else new


# The loop


def run(search: Search, lines: Lines, steps: Array, noise: Array) -> Found:
    """Differentiate lines, beginning with those steps; ``noise`` is the relative noise of f, (m, 1) or (m, p)."""
    return join_lines(lines.xp, list(found_in(search, lines, steps, noise)))


def found_in(search: Search, lines: Lines, steps: Array, noise: Array) -> Iterator[Found]:
    """Differentiate lines as `run` does, and yield them in groups that have ended at the same level."""
    xp, sampled, count = lines.xp, lines, lines.at.shape[0]
    active = _blocks(search, lines, steps, noise)
    for number in range(1, search.levels + 1):
        _sample_level(search, sampled, active)
        going: list[State] = []
        while active:  # emptied as it goes, so that what has ended is freed
            state = active.pop(0)
            last = number == search.levels
            judged = last or number >= search.soonest
            move = _judge(search, lines, state, last=last) if judged else NO_MOVE
            if number == 1 and not judged:
                move = Move(_wider_first_step(search, lines, state))
            done = all_values(xp, state.ended)[:, 0]
            if judged and lines.any(done):
                left = xp.nonzero(~done)[0]
                if not left.shape[0]:
                    yield found_of(lines, search.series, state)
                    continue
                if not _kept(lines, state) or _FEW * left.shape[0] <= state.index.shape[0]:
                    yield found_of(lines, search.series, take_lines(xp, state, xp.nonzero(done)[0]))
                    state, move = take_lines(xp, state, left), Move(*take_lines(xp, tuple(move), left))
            _choose_step(search, lines, state, move)
            going.append(state)
        if not going:
            return
        active = going
        remaining = sum(state.index.shape[0] for state in active)
        if remaining < count:
            count, sampled = remaining, lines.take(_concat(xp, [state.index for state in active]))


def _kept(lines: Lines, state: State) -> bool:
    """Return whether lines that have ended stay: one call of f samples all, and taking few apart costs more."""
    return lines.shared and state.index.shape[0] < _MANY


def _blocks(search: Search, lines: Lines, steps: Array, noise: Array) -> list[State]:
    base, index, count = lines.base(), lines.numbers(), lines.at.shape[0]
    if count <= _BLOCK:
        return [State.start(search, lines, index, base, (steps, noise))]
    blocks = []
    for start in range(0, count, _BLOCK):
        part = slice(start, min(start + _BLOCK, count))
        lower, upper = (None if bound is None else bound[part, ...] for bound in (lines.lower, lines.upper))
        own = replace(lines, at=lines.at[part, ...], scale=lines.scale[part, ...], lower=lower, upper=upper)
        values = base[part, ...] if base.shape[0] == count else base
        blocks.append(State.start(search, own, index[part], values, (steps[part, ...], noise[part, ...])))
    return blocks


def _sample_level(search: Search, lines: Lines, states: list[State]) -> None:
    """Sample the next level of all blocks in one go, and add a row to each tableau."""
    steps = [_representable_step(search, lines, state) for state in states]
    together = _concat(lines.xp, steps)
    points = [lines.at + together] if search.series.side else [lines.at + together, lines.at - together]
    samples, start = lines.sample(points), 0
    for state, step in zip(states, steps, strict=True):
        stop = start + step.shape[0]
        own = samples if stop - start == together.shape[0] else [values[start:stop, ...] for values in samples]
        _add_level(search, lines, state, Level.of(lines.xp, step, own, state.base))
        start = stop


def _representable_step(search: Search, lines: Lines, state: State) -> Array:
    """Round the step so that x's dtype holds both points. Its numbers are coarser on the side away from 0."""
    xp = lines.xp
    if search.series.side:
        return lines.nearest(state.at + float(search.series.side) * state.step) - state.at
    size = xp.abs(state.at)
    return xp.abs(lines.nearest(size + state.step) - size)


def _add_level(search: Search, lines: Lines, state: State, level: Level) -> None:
    """Add a row to the tableau, and keep its best entry if it is better than what there is."""
    xp, series = lines.xp, search.series
    if state.steps and lines.eps > FINE:  # steps of few spacings of x may be far from the ratio
        uneven = xp.abs(float(series.ratio) * level.step / state.level.step - 1.0) > 0.1
        if lines.any(uneven & (state.age > 0.0)):
            state.forget(xp, uneven)
    if level.below is not None:
        moves = (level.above != state.base) & (level.below != state.base)
        state.moved = xp.where(moves, level.step, state.moved)
    noise = level.noise(xp, series, state.noise, state.base, lines.tiny)
    before = state.level_noise if state.steps else noise
    state.level, state.level_noise, state.age = level, noise, state.age + 1.0
    state.heights, state.steps = (*state.heights, level.height), (*state.steps, level.step)
    state.terms = (level.term(series), *state.terms[: series.window - 1])
    if len(state.terms) < series.window:
        return
    value = weighted_sum(series.weights, state.terms)
    if series.n != series.start:
        value = value / level.step ** (series.n - series.start)
    state.row, changes = next_row(series, state.row, value)
    if not changes:
        return
    latest = best_entry(lines, series, state.row, changes, (noise, before))
    latest = state.latest = replace(latest, step=latest.step + xp.abs(level.step))
    state.changes = (*state.changes, latest.change)[-_ROWS:]
    best = state.best
    improved = (latest.error < best.error) & ~state.ended
    if lines.all(improved):
        state.misses, state.best = xp.zeros_like(state.misses), latest
        return
    resolved = best.resolved(xp)
    if not lines.all(resolved):  # at a step over many waves f is flat, and all errors of that are small
        improved = improved | (latest.resolved(xp) & ~resolved & ~state.ended)
    state.misses = xp.where(improved | ~(best.error < float("inf")), 0.0, state.misses + 1.0)
    state.best = choose(xp, improved, latest, best)


# Convergence


class Move(NamedTuple):
    """Where another step than a part of the last one is called for, (m, p); None for nowhere."""

    wider: Array | None = None  # a wider step; 0 for none
    isolated: Array | None = None  # f(x) lies far from a curve through the other values
    unresolved: Array | None = None  # f varies too fast to be resolved


NO_MOVE = Move()


def _judge(search: Search, lines: Lines, state: State, *, last: bool) -> Move:
    """Decide which values have ended, and where another step than a part of the last one is called for."""
    xp, latest = lines.xp, state.latest
    wider = isolated = unresolved = None
    ended = _exhausted(search, lines, state)
    condition = state.condition(lines)
    if latest is not None:
        settled = state.age >= float(search.soonest)
        converged = (latest.change <= _SETTLED * latest.rounding * condition) & settled
        wider = _wider_where_straight(search, lines, state)
        if wider is not None:
            converged = converged & (wider == 0.0)
        if search.tolerant:
            error = search.series.safety * latest.change + latest.rounding * condition
            converged = converged | (search.suffices(xp, error, latest.value) & settled)
        isolated = _isolated(xp, state) if lines.any(converged) else state.ended & ~state.ended
        stagnant = state.misses >= _PATIENCE
        if lines.any(stagnant):
            drowned = state.best.change <= ABOVE_ROUNDING * state.best.rounding * condition
            stagnant = stagnant & (state.best.resolved(xp) | drowned)
        ended = ended | (converged & ~isolated) | stagnant
        unresolved = _unresolved(search, lines, state)
        if unresolved is not None:
            unresolved = unresolved & ~ended
            if unresolved.shape[1] > 1:  # the other values end before the step leaps
                ended = ended | (any_value(xp, unresolved) & ~unresolved & state.best.resolved(xp))
        isolated = converged & isolated & ~ended & ~state.ended
    elif last and search.series.n == 1:  # a single level, of which two slopes are compared, if there are two
        level, noise = state.level, state.level_noise
        half = noise + float("inf") if level.below is None else xp.abs(level.height) / level.step
        step = 0.0 * noise + xp.abs(level.step)
        state.best = Estimate(level.slope(), half / search.series.safety, noise, step)
    ended = (xp.ones_like(state.ended) if last else ended) & ~state.ended
    if (ended.shape[1] > 1 or _kept(lines, state)) and lines.any(ended):  # else nothing is sampled after it has ended
        noted = noted_now(lines, search.series, state, condition)
        if state.noted:
            noted = tuple(xp.where(ended, new, old) for new, old in zip(noted, state.noted, strict=True))
        state.noted = noted
    state.ended = state.ended | ended
    return Move(wider, isolated, unresolved)


def _exhausted(search: Search, lines: Lines, state: State) -> Array:
    """Return where smaller steps are hopeless. After a leap the new level is judged first."""
    failed, leapt = state.failures >= FAILURES, state.leaps >= LEAPS
    failed = failed & ~lines.xp.isfinite(state.level.size) if lines.any(failed) else failed
    if lines.any(leapt):
        leapt = leapt & (state.age >= float(search.soonest)) & ~state.best.resolved(lines.xp)
    return failed | leapt | (state.step < _COARSE * lines.eps * state.scale)


def _isolated(xp: Namespace, state: State, reach: Array | None = None) -> Array:
    """Return where f(x) stays as far from the values around it, level after level, as on a narrow peak.

    The latest levels count, and with ``reach`` also earlier ones, as far as the step of an estimate has come: later
    levels may have come near enough since.
    """
    level, heights = state.level, state.heights
    found = state.ended & ~state.ended
    if level.below is None or len(heights) < 3:
        return found
    first = 0 if reach is not None else len(heights) - 3
    sizes = [xp.abs(height) for height in heights[first:]]
    alike = [xp.abs(new - old) < _ALIKE * new for old, new in pairwise(sizes)]
    rounded = level.size + xp.abs(state.base) + state.scale * (level.rise(xp, state.base) / level.step)
    for number in range(2, len(sizes)):
        own = alike[number - 1] & alike[number - 2] & (sizes[number] > _MOST_EXCESS * state.noise * rounded)
        latest = number == len(sizes) - 1 or reach is None
        found = found | (own if latest else own & (reach >= state.steps[first + number]))
    return found


def noted_now(lines: Lines, series: Series, state: State, condition: Array) -> tuple[Array, ...]:
    """Return what `Found` says of values that end now."""
    xp, level, latest = lines.xp, state.level, state.latest
    none = 0.0 * xp.abs(state.base)
    bend = unsettled = scatter = none
    if level.below is not None and len(state.steps) >= 3:
        bend = _bend(lines, series, state, min(len(state.steps), BENDS))
        # Where the step has leapt three levels ago.
        bend = xp.where(state.age == 3.0, _bend(lines, series, state, 3), bend)
    stalled = none > 0.0
    if latest is not None:
        for change in state.changes:
            unsettled = xp.where((change > unsettled) & xp.isfinite(change), change, unsettled)
        stalled = (state.misses > 0.0) & (latest.change > WORTH_MEASURING * latest.rounding * condition)
        scatter = 0.5 * unsettled / latest.rounding
    noise = state.noise * condition * (level.size + xp.abs(state.base)) + lines.tiny
    excess, far = _excess(xp, series, state.heights, noise)
    if latest is not None:
        # The even part of a smooth f converges as the odd part does. Where it does not, noise agreed by accident.
        drowned = latest.change <= ABOVE_ROUNDING * latest.rounding * condition
        stalled = stalled | (far & drowned & state.best.resolved(xp) & (bend == 0.0) & (state.leaps == 0.0))
    return (
        xp.abs(level.step) + none,
        level.size,
        level.slope(),
        xp.full_like(none, float(len(state.steps))),
        condition,
        bend,
        _isolated(xp, state, state.chosen(xp).step) & (excess == 0.0),
        excess,
        unsettled,
        scatter,
        stalled,
        (level.height == 0.0) & (level.slope() == 0.0) & (state.moved > 0.0),
    )


def found_of(lines: Lines, series: Series, state: State) -> Found:
    """Return what was found of lines that have ended."""
    noted = state.noted or noted_now(lines, series, state, state.condition(lines))
    best, ends = state.chosen(lines.xp), _ends(lines, state)
    given = state.index, state.base, state.noise, state.first, state.longest
    return Found(*given, best, state.moved, state.leaps, state.growths, ends, *noted)


def _ends(lines: Lines, state: State) -> Array:
    xp, level, ends = lines.xp, state.level, 0.0 * state.age
    failed = state.failures >= FAILURES
    if level.below is None or not lines.any(failed):
        return ends
    failed = failed & all_values(xp, xp.isfinite(state.base))
    above, below = (all_values(xp, xp.isfinite(values)) for values in (level.above, level.below))
    return xp.where(failed & above, ends + 1.0, xp.where(failed & below, ends - 1.0, ends))


def _bend(lines: Lines, series: Series, state: State, count: int) -> Array:
    """Return half the difference that the one-sided slopes seem to have in the latest levels; 0 for none."""
    xp, level = lines.xp, state.level
    noise = _CLEAR * state.noise * (level.size + xp.abs(state.base)) * state.condition(lines) / level.step
    bends = [height / step for height, step in zip(state.heights[-count:], state.steps[-count:], strict=True)]
    return _bend_at_zero(xp, float(series.ratio), bends, noise)


def _bend_at_zero(xp: Namespace, ratio: float, bends: Sequence[Array], noise: Array) -> Array:
    """Return the bend, half the difference of the one-sided slopes, in the limit of small steps; 0 where it vanishes.

    The bends at consecutive levels are a series k + c h + d h^3 + e h^5 + ... of the step. Where f is smooth, k is 0.
    Bends below ``noise`` are not known.
    """
    column = list(bends)
    # The bend of a smooth f shrinks like the step; at a kink it stays.
    stays = xp.abs(column[-1]) > ratio**-0.5 * xp.abs(column[-2])
    change = column[-1]
    for power in range(1, 2 * len(bends) - 2, 2):
        change = column[-1] - column[-2]
        column = [new + (new - old) / (ratio**power - 1.0) for old, new in pairwise(column)]
    size = xp.abs(column[-1])
    return xp.where((size > noise) & (stays | (size > 4.0 * xp.abs(change))), size, 0.0)


def _excess(xp: Namespace, series: Series, heights: Sequence[Array], noise: Array) -> tuple[Array, Array]:
    """Return how far f(x) lies from the curve extrapolated through all other values, in units of their noise.

    The odd part of f, f(x+h) - f(x-h), may agree with the row before by accident in a tableau full of noise. The even
    part of the same samples has its own noise, and seldom agrees at the same time. It costs no points. In each row the
    column nearest to f(x) counts, and of the latest rows the farthest; 0 where that is more than noise can be. Return
    also where it is more in the very latest row.
    """
    most = 0.0 * noise
    far = most > 0.0
    if series.side or series.start == 2:
        return most, far
    row: tuple[Array, ...] = ()
    ratios: list[Array] = []
    for height in heights:
        row, _ = next_row(series, row, height)
        if len(row) > 2:
            ratio = xp.abs(row[2]) / (series.even_noise[2] * noise)
            for column in range(3, len(row)):
                distance = xp.abs(row[column]) / (series.even_noise[column] * noise)
                ratio = xp.where(distance < ratio, distance, ratio)
            ratios.append(ratio)
    for ratio in ratios[-_ROWS:]:
        far = (ratio >= _MOST_EXCESS) & (ratio < _NO_NOISE)
        most = xp.where((ratio > most) & (ratio < _MOST_EXCESS), ratio, most)
    return most, far


# The next step


def _choose_step(search: Search, lines: Lines, state: State, move: Move) -> None:
    """Choose the next step: usually the last one divided by the ratio; a leap where that would not help."""
    xp, last, going = lines.xp, state.step, ~state.ended
    step = last / float(search.series.ratio)
    grows, leap = state.age < 0.0, ~all_values(xp, xp.isfinite(state.level.size) | state.ended)
    if lines.any(leap):
        power = 1.0 + xp.where(state.failures > _HASTY, state.failures - _HASTY, 0.0)
        step = xp.where(leap, last / _LEAP**power, step)
        state.failures = xp.where(leap, state.failures + 1.0, state.failures)
    if move.wider is not None:
        wider = xp.where(going, move.wider, float("inf"))
        wider = wider if wider.shape[1] == 1 else xp.min(wider, axis=1, keepdims=True)
        grows = (wider > 0.0) & (wider < float("inf"))
        step, state.growths = xp.where(grows, wider, step), xp.where(grows, state.growths + 1.0, state.growths)
        leap = leap | grows
    for reason, factor in ((move.unresolved, _LEAP), (move.isolated, _LONG_LEAP)):
        if reason is not None and lines.any(reason & going):
            own = any_value(xp, reason & going) & ~grows
            step, state.leaps = xp.where(own, last / factor, step), xp.where(own, state.leaps + 1.0, state.leaps)
            leap = leap | own
            if reason is move.isolated:  # the estimates so far know nothing of f at x
                state.best = choose(xp, reason & going, Estimate.unknown(xp, state.base), state.best)
    state.step, state.latest = step, None
    if lines.any(leap):
        _restart(xp, state, leap)


def _restart(xp: Namespace, state: State, leap: Array) -> None:
    """Begin a new tableau where the step leaps, and keep the best estimate of the old one."""
    state.age = xp.where(leap, 0.0, state.age)
    state.forget(xp, leap)
    if len(state.row) < 2:  # there is no estimate to be kept
        return
    fresh, unknown = leap & ~state.ended, Estimate.unknown(xp, state.base)
    state.past = choose(xp, fresh, state.chosen(xp), state.past or unknown)
    state.best = choose(xp, fresh, unknown, state.best)
    state.misses = xp.where(fresh, 0.0, state.misses)


def _unresolved(search: Search, lines: Lines, state: State) -> Array | None:
    """Return where the derivative is not resolved, and f is not just flat."""
    xp, latest = lines.xp, state.latest
    if latest is None or len(state.steps) < search.soonest:
        return None
    unresolved = (state.misses > 0.0) & (state.age >= float(search.soonest)) & ~state.ended
    if not lines.any(unresolved):
        return None
    flat = (latest.error <= RESOLVED * xp.abs(state.row[0])) | (latest.change <= latest.rounding)
    return unresolved & ~flat & ~state.best.resolved(xp)


def _wider_where_straight(search: Search, lines: Lines, state: State) -> Array | None:
    """Return a wider step where f is a straight line up to its noise and a wider step has less of that; else 0."""
    xp, latest = lines.xp, state.latest
    if not search.widens or latest is None:
        return None
    straight = (state.age == float(search.soonest)) & (state.growths < _GROWTHS) & (latest.change <= latest.rounding)
    slope, rise = xp.abs(latest.value), state.level.rise(xp, state.base)
    straight = straight & (rise < _HARDLY * state.level.size) & (slope > 0.0)
    if state.level.below is not None and search.series.n == 1:  # an even f bends, though its slope is noise
        bend = xp.abs(state.level.height)
        straight = straight & ((bend <= _SEEN * state.noise * state.level.size) | (bend <= slope * state.step))
    if not lines.any(straight):
        return None
    wider = state.level.size / xp.where(straight, slope, float("inf"))
    wider = 0.25 * (wider if search.series.n == 1 else wider ** (1.0 / search.series.n))
    wider = xp.minimum(wider, xp.maximum(_GROWTH * state.step, xp.full_like(state.step, 0.25)))
    wider = wider if state.longest is None else xp.minimum(wider, state.longest)
    straight = straight & (wider > 16.0 * state.step)
    return xp.where(straight, wider, 0.0)


def _wider_first_step(search: Search, lines: Lines, state: State) -> Array | None:
    """Return the step to restart with where f is nearly straight and hardly changes on the first step; else 0.

    It is the step at which f will have changed, or bent, by a quarter, but no longer than necessary.
    """
    xp, level, step = lines.xp, state.level, state.level.step
    if level.below is None or not search.widens or search.tolerant:
        return None
    far = _FAR if lines.eps < FINE else _FARTHER
    short = (step > _PART * state.scale) & (step < far / _LEAST)
    if not lines.any(short):
        return None
    rounding = _CLEAR * state.noise * level.size
    change, bend = xp.abs(level.above - level.below), 2.0 * xp.abs(level.height) + rounding
    steady = short & (_STEADY * bend < change) & (_STEADY * change < level.size)
    longer = xp.minimum(0.5 * level.size / change, 0.25 * change / bend)
    wider = xp.minimum(step * xp.minimum(longer, xp.full_like(longer, _LONGER)), far + 0.5 * step)
    wider = xp.where(steady, wider, 0.0)
    wider = wider if wider.shape[1] == 1 else xp.min(wider, axis=1, keepdims=True)
    return wider if state.longest is None else xp.minimum(wider, state.longest)
