"""Lines on their way to convergence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TypeVar, cast

from anygrad._plan import Lines
from anygrad._typing import Array, Namespace
from anygrad.schemes._extrapolation import Estimate, Row

T = TypeVar("T")

# How many lines are combined at a time: arrays of this length fit in a processor's cache.
_BLOCK = 2**17


@dataclass(frozen=True)
class Level:
    """The samples at one step: f(x+h), and f(x-h) or, where all points are on the side of a signed h, None."""

    step: Array
    above: Array
    below: Array | None

    def finite(self, xp: Namespace) -> Array:
        """Return whether the samples of a line are, (k, 1)."""
        sound = xp.isfinite(self.above)
        if self.below is not None:
            sound = sound & xp.isfinite(self.below)
        return xp.all(sound, axis=1, keepdims=True)

    def magnitude(self, xp: Namespace, base: Array) -> Array:
        """Return how large the values of f are."""
        return 0.5 * xp.abs(self.above) + 0.5 * xp.abs(base if self.below is None else self.below)

    def slope(self, base: Array) -> Array:
        """Return the difference quotient."""
        return (self.above - base) / self.step if self.below is None else (self.above - self.below) / (2.0 * self.step)

    def bend(self, base: Array) -> Array:
        """Return half of what the slopes on both sides differ by."""
        return 0.5 * ((self.above - base) + (self.below - base)) / self.step


@dataclass(frozen=True)
class State:
    """Lines side by side, all of which have taken the same number of levels.

    Attributes
    ----------
    index
        Which lines these are, (k,).
    at, scale, base, noise
        x, and how large it is, (k, 1); f(x), (k, p), and the relative noise of f, (k, 1).
    step, age, failures, growths
        The step of the next level; how many levels have passed since the step last leapt; how often it leapt because f
        was not finite, and how often it grew: (k, 1).
    row, fresh, best, misses
        The latest row of the tableau, the best of its entries, the best since the last leap, and for how many levels
        that has not been improved.
    past
        The best from before the last leap.
    trail
        All levels.
    """

    index: Array
    at: Array
    scale: Array
    base: Array
    noise: Array
    step: Array
    age: Array
    failures: Array
    growths: Array
    misses: Array
    best: Estimate
    fresh: Estimate | None = None
    past: Estimate | None = None
    row: Row = field(default_factory=Row)
    trail: tuple[Level, ...] = ()

    @classmethod
    def start(cls, lines: Lines, steps: Array, noise: Array) -> State:
        """Return lines of which nothing is known but f(x)."""
        xp = lines.xp
        zero = xp.zeros_like(lines.at)
        base = lines.base() + zero
        none = xp.zeros_like(xp.abs(base)) + xp.inf
        return cls(
            index=xp.arange(lines.at.shape[0]),
            at=lines.at,
            scale=xp.where(xp.isfinite(lines.scale), lines.scale, 0.0),
            base=base,
            noise=noise + zero,
            step=steps + zero,
            age=zero,
            failures=zero,
            growths=zero,
            misses=xp.zeros_like(none),
            best=Estimate(base * xp.nan, none, none, steps + xp.zeros_like(none)),
        )

    def condition(self, xp: Namespace, level: Level | None = None) -> Array:
        """Return how much more noise there is than f's values say if f rounds its argument, as in exp(100 * x)."""
        level = level or self.trail[-1]
        size = level.magnitude(xp, self.base)
        return 1.0 + self.scale * (xp.abs(level.slope(self.base)) / xp.where(size > 0.0, size, 1.0))

    def leapt(self, xp: Namespace, mask: Array) -> State:
        """Return lines that start anew where the mask is true."""
        chosen = self.chosen(xp)
        return replace(
            self,
            age=xp.where(mask, 0.0, self.age),
            misses=xp.where(mask, 0.0, self.misses),
            past=(self.past or self.best.dropped(xp, self.misses >= 0.0)).replaced(xp, mask, chosen),
            best=self.best.dropped(xp, mask),
        )

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
        same = (xp.abs(best.value - past.value) <= 4.0 * past.error) & (best.change <= 2.0 * best.noise)
        return past.replaced(xp, ~xp.isfinite(past.error) | (surer & ((self.growths == 0.0) | same)), best)


def taken(xp: Namespace, thing: T, indices: Array) -> T:
    """Return a dataclass of arrays, or a tuple of them, with the lines of those indices alone."""
    if thing is None:
        return thing
    if isinstance(thing, tuple):
        return cast(T, tuple(taken(xp, part, indices) for part in thing))
    if is_dataclass(thing) and not isinstance(thing, type):
        parts = {part.name: taken(xp, getattr(thing, part.name), indices) for part in fields(thing)}
        return cast(T, type(thing)(**parts))
    return cast(T, xp.take(thing, indices, axis=0))


def those(xp: Namespace, states: Sequence[State], masks: Sequence[Array]) -> list[State]:
    """Return the lines of which the mask is true."""
    kept = []
    for state, mask in zip(states, masks, strict=True):
        indices = xp.nonzero(mask)[0]
        if indices.shape[0]:
            kept.append(state if indices.shape[0] == mask.shape[0] else taken(xp, state, indices))
    return kept


def blocks(lines: Lines, state: State) -> list[State]:
    """Divide many lines into blocks."""
    count = state.at.shape[0]
    if not lines.concrete or count <= _BLOCK:
        return [state]
    starts = range(0, count, _BLOCK)
    return [taken(lines.xp, state, lines.xp.arange(start, min(start + _BLOCK, count))) for start in starts]


def joined(xp: Namespace, parts: Sequence[Array]) -> Array:
    """Return arrays of some lines each as one."""
    return parts[0] if len(parts) == 1 else xp.concat(list(parts))


def total(values: Sequence[Array]) -> Array:
    """Return the sum of arrays; the built-in one would begin with an integer."""
    result = values[0]
    for value in values[1:]:
        result = result + value
    return result
