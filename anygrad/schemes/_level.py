"""Samples at one step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from anygrad._typing import Array, Namespace


@dataclass(frozen=True, eq=False)
class Level:
    """The samples at one step: f(x+h), and f(x-h) or, where all points are on the side of a signed h, None.

    ``size`` is how large they are.
    """

    step: Array
    above: Array
    below: Array | None
    size: Array

    @classmethod
    def of(cls, xp: Namespace, step: Array, samples: Sequence[Array], base: Array) -> Level:
        """Return the level with one or two arrays of samples."""
        above, below = samples[0], samples[1] if len(samples) > 1 else None
        return cls(step, above, below, 0.5 * xp.abs(above) + 0.5 * xp.abs(base if below is None else below))

    def finite(self, xp: Namespace) -> Array:
        """Return whether the samples of a line are, (k, 1)."""
        return every(xp, xp.isfinite(self.size))

    def slope(self, base: Array) -> Array:
        """Return the difference quotient."""
        return (self.above - base) / self.step if self.below is None else (self.above - self.below) / (2.0 * self.step)

    def steepness(self, xp: Namespace, base: Array) -> Array:
        """Return how fast f changes on its way to the samples, be it up and down again."""
        change = xp.abs(self.above - base)
        if self.below is None:
            return change / xp.abs(self.step)
        return (0.5 * change + 0.5 * xp.abs(self.below - base)) / self.step

    def bend(self, base: Array) -> Array:
        """Return half of what the slopes on both sides differ by."""
        return 0.5 * ((self.above - base) + (self.below - base)) / self.step


def every(xp: Namespace, mask: Array) -> Array:
    """Return whether all values of a line are true, (k, 1): of one value there is nothing to reduce."""
    return mask if mask.shape[1] == 1 else xp.all(mask, axis=1, keepdims=True)
