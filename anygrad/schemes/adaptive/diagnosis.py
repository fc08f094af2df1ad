"""Why a line does not converge as a smooth function does, and how to continue.

`differentiate` is what `Adaptive` runs. It searches all lines. Those in doubt are looked into in a fixed order: f may
end at x; have noise, so that wider steps are better; have a kink; or vary on a much smaller scale than the steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from anygrad._typing import Array, Namespace
from anygrad.schemes.adaptive.kinks import Kinks, look_close
from anygrad.schemes.adaptive.noise import Beside, measured_noise, smooth_spacing, spacing
from anygrad.schemes.adaptive.richardson import ABOVE_ROUNDING, RESOLVED, Level, largest_value, series_of, weighted_sum
from anygrad.schemes.adaptive.search import LEAPS, Found, Search, choose, found_in, join_lines, run, take_lines
from anygrad.schemes.adaptive.start import MAXIMUM, WIDER, assumed_noise, sides
from anygrad.schemes.base import Lines, Slopes

# A value that is so many errors away is another value.
_FAR = 3.0
# An error above this part of the value, which nothing explains, is worth a flag.
_INACCURATE = 1e-2
# Noise of more than so many times what rounding explains is worth a flag. Cancellation inside of f causes less.
_NOISY = 100.0
# Noise above this part of f leaves nothing of f.
_EVERYTHING = 0.5
# If places so far apart lie on a smooth curve, steps so many times longer are on it as well.
_SMOOTH_STEPS = 16.0
# A wave on top of a smooth function shows first at steps so many times smaller than those that it disturbs.
_CLOSER = 8.0
# Where the scale of f is not known, f is searched at steps _NEARER times smaller, up to _TIMES times; beside a kink
# more often: nearer than that, the kink cannot be told from one at x.
_NEARER, _TIMES, _KINK_TIMES = 64.0, 3, 6
# A difference of so many times its noise is not noise.
_CLEAR = 32.0
# Such a search may take so many levels more than the least number.
_MORE_LEVELS = 6


@dataclass(frozen=True, eq=False)
class Derivatives:
    """The derivatives of m lines, (m, p)."""

    index: Array  # the numbers of the lines, (m,)
    value: Array
    error: Array
    step: Array  # (m, 1)
    stuck: Array  # the error has stopped shrinking far above what noise explains
    inaccurate: Array  # it is stuck, or not resolved, and large
    kink: Array
    noisy: Array
    one_sided: Array
    typical: Array  # an error above this says that nothing is known of a derivative that is not larger
    levels: Array

    @classmethod
    def of(cls, lines: Lines, search: Search, found: Found) -> Derivatives:
        """Return what a search has found, with its error."""
        xp, n = lines.xp, search.series.n
        condition = found.condition
        safety = search.series.safety
        best = found.best
        error = safety * best.change + best.rounding * (0.5 + (0.5 + _FAR * found.excess) * condition)
        known = error < float("inf")
        stuck = known & (best.change > ABOVE_ROUNDING * best.rounding * condition)
        # A row that is stuck may agree with the one before by accident: those before that say how much it varies.
        unsettled = _FAR * found.unsettled
        error = xp.where(stuck & found.stalled & (unsettled > error), unsettled, error)
        unresolved = (found.leaps > 0.0) & ~best.resolved(xp) & (best.change > best.rounding)
        never, step = stuck & ~stuck, largest_value(xp, best.step)
        scale = xp.take(lines.scale, found.index, axis=0)
        return cls(
            index=found.index,
            value=best.value,
            error=error,
            step=xp.where(step > 0.0, step, found.first),
            stuck=stuck,
            inaccurate=(stuck | unresolved) & ~(error <= _INACCURATE * xp.abs(best.value)),
            kink=never,
            noisy=never,
            one_sided=~never if search.series.side else never,
            typical=found.size / xp.where(scale > 1.0, scale, 1.0) ** n + lines.tiny / lines.eps,
            levels=found.levels,
        )

    def with_kinks(self, xp: Namespace, mask: Array, kinks: Kinks) -> Derivatives:
        """Flag the kinks where the mask is true. The error then covers the slopes on both sides."""
        found = mask & kinks.found
        wider = found & (kinks.half > self.error)
        return replace(self, kink=self.kink | found, error=xp.where(wider, kinks.half + self.error, self.error))

    def unknown(self, xp: Namespace, mask: Array) -> Derivatives:
        """Make the errors infinite where the mask is true."""
        error = xp.where(mask, float("inf"), self.error)
        return replace(self, error=error, inaccurate=self.inaccurate | mask)

    def selected(self, xp: Namespace, mask: Array, other: Derivatives) -> Derivatives:
        """Return ``other``, of the same lines, where the mask is true."""
        step = xp.where(xp.any(mask, axis=1, keepdims=True), other.step, self.step)
        return replace(choose(xp, mask, other, self), index=self.index, step=step)

    def replaced(self, xp: Namespace, mask: Array, other: Derivatives) -> Derivatives:
        """Return what another search has found where the mask is true. The flags stay."""
        chosen, levels = self.selected(xp, mask, other), self.levels + other.levels
        return replace(chosen, kink=self.kink, noisy=self.noisy, one_sided=self.one_sided, levels=levels)

    def better(self, xp: Namespace, other: Derivatives) -> Array:
        """Return where it is more accurate than ``other``, which has wider steps, or shows that ``other`` is wrong."""
        apart = xp.abs(self.value - other.value) > _FAR * self.error + other.error
        return apart | self.more_accurate(xp, other)

    def more_accurate(self, xp: Namespace, other: Derivatives) -> Array:
        """Return where the relative error is less than that of ``other``."""
        return self.error / xp.abs(self.value) < other.error / xp.abs(other.value)

    def slopes(self, xp: Namespace) -> Slopes:
        """Return what the scheme returns."""
        finite = xp.isfinite(self.value)
        known = finite & (self.error == self.error)
        drowned = (self.error >= xp.abs(self.value)) & (self.error > self.typical)
        unconverged = finite & (self.inaccurate | drowned | ~(self.error < float("inf")))
        return Slopes(
            value=self.value,
            step=self.step,
            error=xp.where(known, self.error, float("inf")),
            flags={
                "kink": self.kink & finite,
                "noisy": self.noisy & finite,
                "nonfinite": ~finite,
                "one_sided": self.one_sided,
                "unconverged": unconverged & ~self.kink & ~self.noisy,
            },
            levels=xp.max(self.levels, axis=1, keepdims=True),
        )


def differentiate(lines: Lines, search: Search, steps: Array, noise: float | None) -> Slopes:
    """Return the derivatives of ``lines``, beginning with ``steps``; ``noise`` is None where it is not known."""
    xp = lines.xp
    size = assumed_noise(lines, noise)
    parts = []
    for side, index, first in sides(lines, steps):
        own = lines if index is None else lines.take(index)
        level = size if index is None else xp.take(size, index, axis=0)
        diagnosis = Diagnosis(own, on_side(search, side), noise_known=noise is not None)
        found = diagnosis.run(first, level)
        parts.append(found if index is None else replace(found, index=xp.take(index, found.index)))
    return join_lines(xp, parts).slopes(xp)


def on_side(search: Search, side: int) -> Search:
    """Return the search with points on one side of x (1, -1) or on both (0)."""
    return search if side == search.series.side else replace(search, series=series_of(search.series.n, side))


@dataclass(frozen=True, eq=False)
class Doubt:
    """Lines in doubt, and what the search has found of them."""

    lines: Lines
    found: Found

    def taken(self, indices: Array) -> Doubt:
        """Return some of the lines alone."""
        return Doubt(self.lines.take(indices), take_lines(self.lines.xp, self.found, indices))


Examination = Callable[[Doubt, Derivatives], Derivatives]


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """A search of lines that is examined where it fails."""

    lines: Lines
    search: Search
    noise_known: bool  # the user has said how noisy f is: then it is not measured

    def run(self, steps: Array, noise: Array) -> Derivatives:
        """Differentiate the lines, and examine those in doubt."""
        xp, lines = self.lines.xp, self.lines
        clear: list[Derivatives] = []
        doubtful: list[tuple[Found, Derivatives]] = []
        for found in found_in(self.search, lines, steps, noise):
            derivatives = Derivatives.of(lines, self.search, found)
            if self.search.levels < self.search.soonest:  # the user wants no more than a few levels
                clear.append(derivatives)
                continue
            doubt = xp.any(self._in_doubt(found, derivatives) | self._unscaled(found), axis=1)
            if not lines.any(doubt):
                clear.append(derivatives)
                continue
            own, rest = xp.nonzero(doubt)[0], xp.nonzero(~doubt)[0]
            clear.append(take_lines(xp, derivatives, rest))
            doubtful.append((take_lines(xp, found, own), take_lines(xp, derivatives, own)))
        if not doubtful:
            return join_lines(xp, clear)
        found, derivatives = (join_lines(xp, parts) for parts in zip(*doubtful, strict=True))
        own = lines.take(found.index)
        doubt = Doubt(own, found)
        return join_lines(xp, [*clear, self._look_into(doubt, derivatives)])

    def _in_doubt(self, found: Found, derivatives: Derivatives) -> Array:
        """Return whether there is reason to doubt a derivative."""
        doubt = derivatives.stuck | derivatives.inaccurate | (found.bend > 0.0) | found.isolated
        doubt = doubt | ~self.lines.xp.isfinite(derivatives.error)
        doubt = doubt if self.noise_known else doubt | found.stalled | found.flat
        enough = self.search.suffices(self.lines.xp, derivatives.error, derivatives.value)
        return (doubt & ~enough) | found.isolated

    def _unscaled(self, found: Found) -> Array:
        """Return where x is 0, so that it does not say on which scale f varies, (m, 1)."""
        scale = self.lines.xp.take(self.lines.scale, found.index, axis=0)
        return (scale == 0.0) if not self.search.series.side else scale < 0.0

    def _look_into(self, doubt: Doubt, derivatives: Derivatives) -> Derivatives:
        """Look at x = 0 from very close, and examine the derivatives that are still in doubt."""
        unscaled = self._unscaled(doubt.found) & (derivatives.error < float("inf"))
        seen = at_some(doubt, derivatives, unscaled, self._look_closer_at_zero)
        still = self._in_doubt(doubt.found, derivatives) & (seen.step >= derivatives.step)
        return at_some(doubt, seen, still, self._examine)

    def _look_closer_at_zero(self, doubt: Doubt, derivatives: Derivatives) -> Derivatives:
        """Compare with the slope very close to x = 0, where x does not say on which scale f varies."""
        xp, found = doubt.lines.xp, doubt.found
        step = doubt.lines.eps**0.5 * found.first
        value, noise = self._slope_at(doubt, step)
        differs = xp.abs(derivatives.value - value) > derivatives.error + noise + _INACCURATE * xp.abs(value)
        return at_some(doubt, derivatives, differs, self._search_down_to_zero)

    def _slope_at(self, doubt: Doubt, step: Array) -> tuple[Array, Array]:
        """Return the first column of a tableau at a step, and a bound on its noise."""
        xp, lines, series = doubt.lines.xp, doubt.lines, self.search.series
        terms, noise = [], 0.0
        for back, weight in enumerate(series.weights):
            own = step * float(series.ratio) ** back
            level = Level.of(xp, own, lines.sample([lines.at + own, lines.at - own]), doubt.found.base)
            terms.append(level.term(series))
            noise = noise + abs(weight) * level.noise(xp, series, doubt.found.noise, doubt.found.base, lines.tiny)
        return weighted_sum(series.weights, terms) / step ** (series.n - series.start), _CLEAR * noise

    def _search_down_to_zero(self, doubt: Doubt, derivatives: Derivatives) -> Derivatives:
        """Search again closer and closer to x, until the result agrees with the slope very close to x."""
        xp, lines, found = doubt.lines.xp, doubt.lines, doubt.found
        step = lines.eps**0.5 * found.first
        value, noise = self._slope_at(doubt, step)
        nearer, _ = self._slope_at(doubt, step / float(self.search.series.ratio))
        noise = noise + _FAR * xp.abs(value - nearer)  # also where f is noisier than its rounding

        def differs(other: Derivatives) -> Array:
            return xp.abs(other.value - value) > other.error + noise

        search = replace(self.search, levels=self.search.soonest + _MORE_LEVELS, widens=False)
        left, first = differs(derivatives), found.first
        for _ in range(_TIMES + 1):
            if not lines.any(left):
                break
            first = first / _NEARER
            second = Derivatives.of(lines, self.search, run(search, lines, first, found.noise))
            known = ~second.inaccurate | (second.error <= _INACCURATE * xp.abs(derivatives.value))
            agrees = left & known & (second.error < float("inf")) & ~differs(second)
            derivatives, left = derivatives.replaced(xp, agrees, second), left & ~agrees
        return derivatives

    def _examine(self, doubt: Doubt, derivatives: Derivatives) -> Derivatives:
        """Examine lines in doubt. Those on which f ends at x are searched on one side."""
        xp, found = doubt.lines.xp, doubt.found
        parts = []
        for side in (0, 1, -1):
            index = xp.nonzero(found.ends[:, 0] == float(side))[0]
            if not index.shape[0]:
                continue
            own, before = doubt.taken(index), take_lines(xp, derivatives, index)
            if side == 0:
                parts.append(self._explain(own, before))
                continue
            beside = replace(self, lines=own.lines, search=on_side(self.search, side))
            parts.append(replace(beside.run(own.found.first, own.found.noise), index=before.index))
        return join_lines(xp, parts)

    def _explain(self, doubt: Doubt, derivatives: Derivatives) -> Derivatives:
        """Look for noise, then for a kink. The remaining lines may be smooth if sampled from nearer."""
        xp, seen = doubt.lines.xp, doubt.found
        found = derivatives
        if not self.noise_known:
            # From one side, what varies on every scale cannot be told from noise: the root of x looks like that at 0.
            singular = found.one_sided & (seen.leaps >= LEAPS)
            found = at_some(doubt, found, (found.stuck | seen.stalled | seen.flat) & ~singular, self._measure_noise)
        farther = found.step >= seen.step  # not found from nearer already
        bent = (seen.bend > 0.0) & farther
        if not self.search.series.side:
            found = at_some(doubt, found, (bent | found.inaccurate) & ~found.noisy, self._look_for_kinks)
        unexplained = ~found.noisy & ~found.kink
        lost = unexplained & ((seen.isolated & farther) | (found.inaccurate & (seen.leaps >= LEAPS)))
        found = at_some(doubt, found.unknown(xp, lost), lost, self._search_nearer)
        unexplained = unexplained & ~lost
        found = at_some(doubt, found, found.stuck & unexplained, self._search_closer)
        found = at_some(doubt, found, bent & found.stuck & unexplained, self._search_beside_kink)
        return at_some(doubt, found, (found.inaccurate | found.stuck) & unexplained, self._search_smooth_part)

    # Noise

    def _measure_noise(self, doubt: Doubt, derivatives: Derivatives) -> Derivatives:
        """Measure the noise, and search again where there is some."""
        xp, lines, found = doubt.lines.xp, doubt.lines, doubt.found
        beside = Beside(lines, self.search.series.side, found.longest)
        noise = measured_noise(beside, spacing(xp, lines, found.first), found)
        noisy = noise > 0.0
        if not lines.any(noisy):
            return derivatives
        level = xp.where(noisy, MAXIMUM * noise, found.noise)
        flagged = replace(derivatives, noisy=noise > _NOISY * lines.eps * found.condition)
        return at_some(replace(doubt, found=replace(found, noise=level)), flagged, noisy, self._tell_waves_from_noise)

    def _tell_waves_from_noise(self, doubt: Doubt, derivatives: Derivatives) -> Derivatives:
        """Search closer to x where f is smooth there: a wave shorter than steps, the flank of a pole. Else wider."""
        xp, lines, found = doubt.lines.xp, doubt.lines, doubt.found
        beside = Beside(lines, self.search.series.side, found.longest)
        unit = smooth_spacing(beside, spacing(xp, lines, found.first), found.noise, found.condition)
        smooth = unit > 0.0
        noise = xp.where(smooth, lines.eps, found.noise)
        doubt = replace(doubt, found=replace(found, noise=noise))
        derivatives = replace(derivatives, noisy=derivatives.noisy & ~smooth)
        derivatives = at_some(doubt, derivatives, ~smooth & (noise > 0.0), self._search_wider)
        # Noise of the size of f may be a wave that is shorter still: nothing is known.
        derivatives = derivatives.unknown(xp, ~smooth & (found.noise > _EVERYTHING))
        nearer = replace(doubt, found=replace(doubt.found, first=_SMOOTH_STEPS * unit))
        return at_some(nearer, derivatives, smooth & (noise > 0.0), self._search_from_first)

    def _search_wider(self, doubt: Doubt, derivatives: Derivatives) -> Derivatives:
        """Search again from farther out, and take the result unless it belongs to another wave."""
        xp, lines, found = doubt.lines.xp, doubt.lines, doubt.found
        again = run(self.search, lines, WIDER * found.first, found.noise)
        second = self._derivatives(lines, again)
        reached = _FAR * found.best.change + found.best.rounding * (found.noise / lines.eps)
        noisy = found.noise > lines.eps
        away = xp.abs(second.value - found.best.value) > reached + second.error
        derivatives = replace(derivatives, error=xp.where(noisy & away, reached, derivatives.error))
        chosen = noisy & ~away
        derivatives = derivatives.replaced(xp, chosen, second)
        # The short steps of the first search drown in noise: its suspicions, and their distances from x, say little.
        # Where the step has grown, the slopes on both sides did not differ closer to x.
        if self.search.series.side:
            return derivatives
        bent = chosen & (again.growths == 0.0) & (again.bend > 0.0)
        derivatives = at_some(replace(doubt, found=again), derivatives, bent, self._look_for_kinks)
        return at_some(doubt, derivatives, ~derivatives.kink & (found.bend > 0.0), self._look_for_kinks)

    # Kinks

    def _look_for_kinks(self, doubt: Doubt, derivatives: Derivatives) -> Derivatives:
        """Look very close to x for kinks that are suspected, or that would explain why the error is large."""
        xp, found = doubt.lines.xp, doubt.found
        bent = found.bend > 0.0
        size = xp.where(bent, found.bend, xp.where(derivatives.inaccurate, xp.abs(found.slope), 0.0))
        slope = derivatives.value if self.search.series.n == 1 else None
        return derivatives.with_kinks(xp, bent | derivatives.inaccurate, look_close(doubt.lines, found, size, slope))

    def _search_beside_kink(self, doubt: Doubt, derivatives: Derivatives) -> Derivatives:
        """Search again, nearer and nearer, where the slopes differ at the steps taken, but not at x itself."""
        xp, lines, found = doubt.lines.xp, doubt.lines, doubt.found
        step, size = derivatives.step, found.bend
        unresolved = size > 0.0
        flat = unresolved & ~unresolved
        near = replace(self.search, widens=False)
        for _ in range(_KINK_TIMES):
            step = step / _NEARER
            second = self._derivatives(lines, run(near, lines, step, found.noise))
            # Where f has changed on both sides, a flat piece in between is one of many: f is rounded to them.
            clear = unresolved & ~second.stuck & xp.isfinite(second.error)
            flat = flat | (clear & (found.moved > 0.0) & (second.value == 0.0))
            clear = clear & ~flat
            derivatives = derivatives.replaced(xp, clear & second.better(xp, derivatives), second)
            unresolved = unresolved & ~clear
            if not lines.any(unresolved):
                return derivatives
        if self.search.series.n > 1:
            return derivatives
        error = xp.where(unresolved & (size > derivatives.error), size, derivatives.error)
        return replace(derivatives, error=error, noisy=derivatives.noisy | flat)

    # Smaller scales

    def _derivatives(self, lines: Lines, found: Found) -> Derivatives:
        """Return what another search has found: nothing where f(x) is isolated, or f bends as at a kink."""
        found = replace(found, excess=0.0 * found.excess)
        again = Derivatives.of(lines, self.search, found).unknown(lines.xp, found.isolated)
        return replace(again, stuck=again.stuck | (found.bend > 0.0))

    def _search_closer(self, doubt: Doubt, derivatives: Derivatives) -> Derivatives:
        """Search again from where the first search stopped."""
        xp, lines = doubt.lines.xp, doubt.lines
        second = self._derivatives(lines, run(self.search, lines, derivatives.step / _CLOSER, doubt.found.noise))
        stair = (doubt.found.moved > 0.0) & (second.value == 0.0)
        clear = ~second.stuck & (second.error < derivatives.error)
        return derivatives.replaced(xp, (clear | second.better(xp, derivatives)) & ~stair, second)

    def _search_nearer(self, doubt: Doubt, derivatives: Derivatives) -> Derivatives:
        """Search again where nothing is known, nearer and nearer as long as f(x) is isolated.

        A flat piece of stairs does not count: f is noisy there.
        """
        xp, lines, found = doubt.lines.xp, doubt.lines, doubt.found
        search = replace(self.search, levels=self.search.soonest + _MORE_LEVELS, widens=False)
        step = largest_value(xp, found.step)
        for _ in range(_TIMES):
            step = step / _NEARER
            second = self._derivatives(lines, run(search, lines, step, found.noise))
            unknown = ~xp.isfinite(derivatives.error)
            clear = unknown & xp.isfinite(second.error) & ~second.inaccurate
            stair = clear & (found.moved > 0.0) & (second.value == 0.0) & (found.best.value != 0.0)
            derivatives = derivatives.replaced(xp, clear & ~stair, second)
            derivatives = replace(derivatives, noisy=derivatives.noisy | stair)
            if not lines.any(unknown & ~xp.isfinite(second.error)):
                break
        return derivatives

    def _search_smooth_part(self, doubt: Doubt, derivatives: Derivatives) -> Derivatives:
        """Search again from very close to x, where f may be smooth."""
        first = _SMOOTH_STEPS * spacing(doubt.lines.xp, doubt.lines, doubt.found.first)
        return self._search_from_first(replace(doubt, found=replace(doubt.found, first=first)), derivatives)

    def _search_from_first(self, doubt: Doubt, derivatives: Derivatives) -> Derivatives:
        xp = doubt.lines.xp
        second = self._derivatives(doubt.lines, run(self.search, doubt.lines, doubt.found.first, doubt.found.noise))
        resolved = second.error <= RESOLVED * xp.abs(second.value)
        return derivatives.replaced(xp, second.better(xp, derivatives) & resolved, second)


def at_some(doubt: Doubt, derivatives: Derivatives, mask: Array, examination: Examination) -> Derivatives:
    """Examine the values for which the mask is true. Others of the same lines stay what they are."""
    xp = doubt.lines.xp
    some = xp.any(mask, axis=1)
    if not doubt.lines.any(some):
        return derivatives
    chosen, rest = xp.nonzero(some)[0], xp.nonzero(~some)[0]
    if not rest.shape[0]:
        examined = examination(doubt, derivatives)
        return examined if mask.shape[1] == 1 else derivatives.selected(xp, mask, examined)
    before = take_lines(xp, derivatives, chosen)
    examined = examination(doubt.taken(chosen), before)
    if mask.shape[1] > 1:
        examined = before.selected(xp, xp.take(mask, chosen, axis=0), examined)
    return join_lines(xp, [examined, take_lines(xp, derivatives, rest)])
