"""What has been found out about each line, and how that is put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from anygrad.schemes.base import Slopes
from anygrad._typing import Array, Namespace
from anygrad.schemes._kinks import Kink
from anygrad.schemes._noise import EXPLAINED
from anygrad.schemes._state import State
from anygrad.schemes._wanted import Wanted

# Differences tell the size of an error, give or take: as many times that covers it.
SAFETY = 3.0
# Of a derivative above the fourth they tell less, as consecutive windows share most of their points.
_HIGH, _WIDE_SAFETY = 4, 10.0
# Above this part of the value, an error that nothing explains is worth a flag.
_POOR = 1e-2


@dataclass(frozen=True, eq=False)
class Finding:
    """The derivatives of lines, with all that is known of them.

    Attributes
    ----------
    index
        Which lines these are, (k,).
    value, error, step
        As in `Slopes`.
    stuck
        The error has stopped to shrink far above what noise explains.
    poor
        It is large, besides.
    kink, noisy, one_sided
        The flags.
    ordinary
        The size of f divided by as many powers of x, which a high derivative is at least of, if nothing is known of it
        but that; infinite for lower ones, whose errors say enough.
    """

    index: Array
    value: Array
    error: Array
    step: Array
    stuck: Array
    poor: Array
    kink: Array
    noisy: Array
    one_sided: Array
    ordinary: Array

    @classmethod
    def of(cls, xp: Namespace, state: State, wanted: Wanted, scatter: Array | float = 0.0) -> Finding:
        """Return what the search says; where noise was seen to be ``scatter`` times what was assumed, it is more."""
        best = state.chosen(xp)
        condition = state.condition
        assert condition is not None
        safety = SAFETY if wanted.n <= _HIGH else _WIDE_SAFETY
        error = safety * best.change + best.noise * (0.5 + (0.5 + SAFETY * scatter) * condition)
        stuck = xp.isfinite(error) & (best.change > EXPLAINED * best.noise * condition)
        never = stuck & ~stuck
        unseen = never
        if state.past is not None and xp.any(state.leaps > 0.0):
            unseen = (state.leaps > 0.0) & ~best.seen(xp) & (best.change > best.noise)
        return cls(
            index=state.index,
            value=best.value,
            error=error,
            step=xp.max(best.step, axis=1, keepdims=True),
            stuck=stuck,
            poor=(stuck | unseen) & ~(error <= _POOR * xp.abs(best.value)),
            kink=never,
            noisy=never,
            one_sided=~never if wanted.side else never,
            ordinary=_ordinary(xp, state, wanted.n),
        )

    def bent(self, xp: Namespace, mask: Array, kink: Kink) -> Finding:
        """Return the finding with kinks where there are some and the mask is true: the error covers both sides."""
        found = mask & kink.found
        wider = found & (kink.half > self.error)
        return replace(self, kink=self.kink | found, error=xp.where(wider, kink.half + self.error, self.error))

    def lost(self, xp: Namespace, mask: Array) -> Finding:
        """Return the finding with nothing known where the mask is true."""
        return replace(self, error=xp.where(mask, xp.inf, self.error), poor=self.poor | mask)

    def revised(self, xp: Namespace, mask: Array, other: Finding) -> Finding:
        """Return ``other``, of the same lines, where the mask is true."""
        return replace(
            self,
            value=xp.where(mask, other.value, self.value),
            error=xp.where(mask, other.error, self.error),
            step=xp.where(xp.any(mask, axis=1, keepdims=True), other.step, self.step),
            stuck=xp.where(mask, other.stuck, self.stuck),
            poor=xp.where(mask, other.poor, self.poor),
        )

    def of_values(self, xp: Namespace, numbers: Array) -> Finding:
        """Return what has been found of some of the values of f, in that order."""
        columns = {field.name: getattr(self, field.name) for field in fields(Finding)}
        per_line = {"index", "step"}
        chosen = {name: xp.take(part, numbers, axis=1) for name, part in columns.items() if name not in per_line}
        return replace(self, **chosen)

    def surer(self, xp: Namespace, other: Finding) -> Array:
        """Return where its relative error is less than that of ``other``."""
        return self.error / xp.abs(self.value) < other.error / xp.abs(other.value)

    def better(self, xp: Namespace, other: Finding) -> Array:
        """Return where it is surer than ``other``, made of wider steps, or what it says cannot be true."""
        apart = xp.abs(self.value - other.value) > SAFETY * self.error + other.error
        return apart | self.surer(xp, other)

    def slopes(self, xp: Namespace) -> Slopes:
        """Return what the scheme returns."""
        finite = xp.isfinite(self.value)
        known = finite & (self.error == self.error)
        drowned = (self.error >= xp.abs(self.value)) & (self.error > self.ordinary)
        return Slopes(
            value=self.value,
            step=self.step,
            error=xp.where(known, self.error, xp.inf),
            flags={
                "kink": self.kink & finite,
                "noisy": self.noisy & finite,
                "nonfinite": ~finite,
                "one_sided": self.one_sided,
                "unconverged": finite & (self.poor | drowned | ~(self.error < xp.inf)) & ~self.kink & ~self.noisy,
            },
        )


def _ordinary(xp: Namespace, state: State, n: int) -> Array:
    size = state.trail[-1].size
    if n <= _HIGH:
        return xp.zeros_like(size) + xp.inf
    return size / xp.where(state.scale > 1.0, state.scale, 1.0) ** n


def beside(xp: Namespace, findings: Sequence[Finding]) -> Finding:
    """Return what has been found of each value of f, of the same lines, as one."""
    columns = {field.name: [getattr(finding, field.name) for finding in findings] for field in fields(Finding)}
    wide = {name: xp.concat(parts, axis=1) for name, parts in columns.items() if name != "index"}
    wide["step"] = xp.max(wide["step"], axis=1, keepdims=True)
    return replace(findings[0], **wide)


def together(xp: Namespace, findings: Sequence[Finding]) -> Finding:
    """Return all findings as one, in the order of the lines."""
    columns = {field.name: [getattr(finding, field.name) for finding in findings] for field in fields(Finding)}
    joined = {name: xp.concat(parts) for name, parts in columns.items()}
    index = joined["index"]
    if xp.all(index[1:] > index[:-1]):
        return Finding(**joined)
    # Stable sorting is fast where there are long runs in order.
    order = xp.argsort(index, stable=True)
    return Finding(**{name: xp.take(column, order, axis=0) for name, column in joined.items()})
