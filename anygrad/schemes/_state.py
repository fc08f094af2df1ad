"""Lines on their way to convergence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar, cast

from anygrad.schemes.base import Lines
from anygrad._typing import Array, Namespace
from anygrad.schemes.finite_difference import room
from anygrad.schemes._extrapolation import Estimate, Row
from anygrad.schemes._level import Level

T = TypeVar("T")

# How many lines are combined at a time: arrays of this length fit in a processor's cache.
_BLOCK = 2**16


@dataclass(frozen=True, eq=False)
class State:
    """Lines side by side, all of which have taken the same number of levels.

    Attributes
    ----------
    ratio
        By how much steps shrink.
    index
        Which lines these are, (k,).
    at, scale, base, noise
        x, and how large it is, (k, 1); f(x), (k, p), and the relative noise of f, (k, 1).
    step, age, failures, growths, leaps
        The step of the next level; how many levels have passed since the step last leapt; how often it leapt because f
        was not finite, how often it grew, and how often it leapt because nothing was seen: (k, 1).
    row, fresh, best, misses
        The latest row of the tableau, the best of its entries, the best since the last leap, and for how many levels
        that has not been improved.
    past
        The best from before the last leap.
    condition
        By how much more noise there is than f's values say, as of the latest level: see `conditioned`.
    leapt
        Whether any of the steps is other than the previous one shrunk.
    ended
        Which lines have come to an end, and are sampled on because others go on, (k, 1); None for no line.
    most
        How long a step may be between bounds, (k, 1); None where there are none.
    trail
        All levels.
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
    fresh: Estimate | None = None
    past: Estimate | None = None
    condition: Array | None = None
    leapt: bool = False
    ended: Array | None = None
    most: Array | None = None
    row: Row = field(default_factory=Row)
    trail: tuple[Level, ...] = ()

    @classmethod
    def start(cls, lines: Lines, base: Array, steps: Array, noise: Array, ratio: float) -> State:
        """Return lines of which nothing is known but f(x)."""
        xp = lines.xp
        zero = xp.zeros_like(lines.at)
        base = base + zero
        none = xp.zeros_like(xp.abs(base)) + xp.inf
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
            misses=xp.zeros_like(none),
            best=Estimate(base * xp.nan, none, none, steps + xp.zeros_like(none)),
        )

    def within(self, lines: Lines, side: int) -> State:
        """Return lines that step no farther than their bounds are, on one side of x (1, -1) or on both (0)."""
        if lines.lower is None and lines.upper is None:
            return self
        below, above = room(lines)
        nearest = lines.xp.minimum(below, above) if side == 0 else above if side > 0 else below
        most = (1.0 - 4.0 * lines.eps) * nearest
        return replace(self, most=most, step=lines.xp.minimum(self.step, most))

    def conditioned(self, lines: Lines, level: Level) -> Array:
        """Return how much more noise there is than f's values say if f rounds its argument, as in exp(100 * x)."""
        return 1.0 + self.scale * (level.steepness(lines.xp, self.base) / (level.size + lines.tiny))

    def anew(self, xp: Namespace, mask: Array) -> State:
        """Return lines that start anew where the mask is true."""
        started = replace(self, leapt=True, age=xp.where(mask, 0.0, self.age))
        if len(self.row.values) < 2:  # there is no estimate to be kept
            return started
        chosen = self.chosen(xp)
        return replace(
            started,
            misses=xp.where(mask, 0.0, self.misses),
            past=(self.past or self.nothing(xp)).replaced(xp, mask, chosen),
            best=self.best.dropped(xp, mask),
        )

    def nothing(self, xp: Namespace) -> Estimate:
        """Return what is known before the first leap."""
        return self.best.dropped(xp, self.misses >= 0.0)

    def chosen(self, xp: Namespace) -> Estimate:
        """Return the best estimate of all.

        Before and after a leap it is the relative error that counts: at steps over many waves f seems to be flat, and
        the absolute error of that is small. Where the step has grown, the derivative was seen before, to some error:
        what has not converged to a value within that is another wave.
        """
        past, best = self.past, self.best
        if past is None:
            return best
        surer = best.surer(xp, past)
        agreed = best.change <= 2.0 * best.noise
        same = (xp.abs(best.value - past.value) <= 4.0 * past.error) & agreed
        # Where f did not change at all, its changes may have been less than it rounds what it is made of.
        same = same | ((past.value == 0.0) & (past.change == 0.0) & best.seen(xp))
        if xp.any(self.leaps > 0.0):  # closer to x f may really be flat
            surer = surer | (agreed & (best.error < past.error) & ~past.seen(xp))
        return past.replaced(xp, ~xp.isfinite(past.error) | (surer & ((self.growths == 0.0) | same)), best)


def taken(xp: Namespace, thing: T, indices: Array) -> T:
    """Return a dataclass of arrays, or a tuple of them, with the lines of those indices alone, which are in order."""
    if thing is None or isinstance(thing, (float, bool)):
        return thing
    if isinstance(thing, tuple):
        return cast(T, tuple([taken(xp, part, indices) for part in thing]))
    names = getattr(thing, "__dataclass_fields__", None)
    if names is None:
        return cast(T, xp.take(thing, indices, axis=0))
    lines = getattr(thing, "index", None)
    if lines is not None and lines.shape[0] == indices.shape[0]:
        return thing
    return type(thing)(**{name: taken(xp, getattr(thing, name), indices) for name in names})


def merged(xp: Namespace, states: Sequence[State]) -> State:
    """Return lines that have taken the same number of levels as one."""
    if len(states) == 1:
        return states[0]
    if any(state.past is not None for state in states):
        states = [replace(state, past=state.past or state.nothing(xp)) for state in states]
    if any(state.ended is not None for state in states):
        states = [state if state.ended is not None else replace(state, ended=state.age < 0.0) for state in states]
    return _merged(xp, states)


def _merged(xp: Namespace, things: Sequence[T]) -> T:
    first = things[0]
    if first is None or isinstance(first, float):
        return first
    if isinstance(first, bool):
        return cast(T, any(cast(Any, things)))
    if isinstance(first, tuple):
        return cast(T, tuple(_merged(xp, parts) for parts in zip(*cast(Any, things), strict=True)))
    if is_dataclass(first) and not isinstance(first, type):
        names = [part.name for part in fields(first)]
        parts = {name: _merged(xp, [getattr(thing, name) for thing in things]) for name in names}
        return cast(T, type(first)(**parts))
    return cast(T, xp.concat(list(things)))


def gathered(xp: Namespace, states: list[State]) -> list[State]:
    """Return lines in fewer blocks, once there are few of them."""
    few = sum(state.index.shape[0] for state in states) <= _BLOCK
    return [merged(xp, states)] if states and few else states


def begun(lines: Lines, steps: Array, noise: Array, ratio: float, side: int) -> list[State]:
    """Return lines of which nothing is known but f(x), many of them in blocks."""
    base, count = lines.base(), lines.at.shape[0]
    if count <= _BLOCK:
        return [State.start(lines, base, steps, noise, ratio).within(lines, side)]
    shared = base.shape[0] != count
    states = []
    for start in range(0, count, _BLOCK):
        part = slice(start, min(start + _BLOCK, count))
        lower, upper = (None if bound is None else bound[part, :] for bound in (lines.lower, lines.upper))
        some = replace(lines, at=lines.at[part, :], scale=lines.scale[part, :], lower=lower, upper=upper)
        state = State.start(some, base if shared else base[part, :], steps[part, :], noise[part, :], ratio)
        states.append(replace(state, index=state.index + start).within(some, side))
    return states


def some(xp: Namespace, mask: Array) -> Array:
    """Return whether any value of a line is true, (k, 1)."""
    return mask if mask.shape[1] == 1 else xp.any(mask, axis=1, keepdims=True)


def widest(xp: Namespace, values: Array) -> Array:
    """Return the largest of the numbers that a line has for each value of f, (k, 1), if they are finite."""
    return xp.max(xp.where(xp.isfinite(values), values, 0.0), axis=1, keepdims=True)


def joined(xp: Namespace, parts: Sequence[Array]) -> Array:
    """Return arrays of some lines each as one."""
    return parts[0] if len(parts) == 1 else xp.concat(list(parts))


def weighted(weights: Sequence[float], values: Sequence[Array]) -> Array:
    """Return a weighted sum of arrays; of one with the weight 1, as for a first derivative, the array itself."""
    pairs = zip(weights, values, strict=True)
    return total([value if weight == 1.0 else weight * value for weight, value in pairs])


def total(values: Sequence[Array]) -> Array:
    """Return the sum of arrays; the built-in one would begin with an integer."""
    result = values[0]
    for value in values[1:]:
        result = result + value
    return result
