"""What keeps a line from converging as smooth functions do, and what can be done about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from anygrad._plan import Lines
from anygrad._typing import Array
from anygrad.schemes._even_part import scatter_of_even_part
from anygrad.schemes._extrapolation import SEEN, Row
from anygrad.schemes._findings import SAFETY, Finding, beside, together
from anygrad.schemes._judging import FINE, LEAPS, finite_side
from anygrad.schemes._kinks import confirmed, crossing, isolated, suspected
from anygrad.schemes._noise import measured, smooth_apart, spacing, stalled
from anygrad.schemes._search import searched
from anygrad.schemes._state import State, merged, taken, widest
from anygrad.schemes._wanted import Wanted

# Noise as many times what rounding explains is worth a flag; less comes of cancellation inside of f.
_NOISY = 100.0
# The standard deviation of noise to what is taken for the most of it.
MOST = 2.0
# Under noise the widest steps are best: by how much those of a second search exceed those of the first.
WIDER = 3.0
# A wave on top of a smooth function begins to be seen at steps as many times smaller than those that it disturbs.
_CLOSER = 8.0
# Where places so far apart are on a smooth curve, steps as many times that are a part of it as well.
_WITHIN = 16.0
# If only f(x) itself stands out, f is searched at steps _NEARER times smaller, up to _TIMES times.
_NEARER, _TIMES = 64.0, 3
# Beside a kink it is searched more often: nearer than that, the kink cannot be told from one at x.
_OFTEN = 6
# As many levels more than it takes at the least.
_MORE = 6

Examination: TypeAlias = Callable[[Lines, State, Finding], Finding]


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """A search whose failures are looked into.

    Attributes
    ----------
    wanted
        What is searched for.
    noise_known
        Whether the user has said how noisy f is: then it is not measured.
    """

    wanted: Wanted
    noise_known: bool

    def run(self, lines: Lines, steps: Array, noise: Array) -> Iterator[Finding]:
        """Differentiate lines, and look after those in doubt."""
        xp = lines.xp
        doubtful: dict[int, list[State]] = {}
        for ended in searched(self.wanted, lines, steps, noise):
            state = ended.state
            found = Finding.of(xp, state, self.wanted, scatter_of_even_part(self.wanted, lines, state))
            doubt = found.stuck | found.poor | (suspected(lines, state) > 0.0) | ~xp.isfinite(found.error)
            if lines.eps > FINE:  # else a narrow peak, which is 0 at all other points, has an infinite condition
                doubt = doubt | isolated(lines, state)
            doubt = xp.any(doubt if self.noise_known else doubt | stalled(xp, state), axis=1)
            if ended.mask is None and not lines.any(doubt):
                yield found
                continue
            clear, doubt = (~doubt, doubt) if ended.mask is None else (~doubt & ended.mask, doubt & ended.mask)
            yield taken(xp, found, xp.nonzero(clear)[0])
            if lines.any(doubt):
                state = taken(xp, replace(state, row=Row(), ended=None), xp.nonzero(doubt)[0])
                doubtful.setdefault(len(state.trail), []).append(state)
        for states in doubtful.values():
            for found in self._examined(lines, merged(xp, states)):
                yield found if found.value.shape[1] == 1 else self._each_value(lines, steps, noise, found)

    def _each_value(self, lines: Lines, steps: Array, noise: Array, found: Finding) -> Finding:
        """Differentiate anew, one by one, what is in doubt of values that differ in nature: steps suit one of them."""
        xp = lines.xp
        doubt = found.kink | found.noisy | found.stuck | found.poor
        differ = found.kink | (xp.any(found.noisy, axis=1, keepdims=True) & doubt & ~found.noisy)
        mixed = xp.any(differ, axis=1, keepdims=True) & doubt
        if not lines.any(mixed):
            return found
        columns = []
        for number in range(mixed.shape[1]):
            value = xp.zeros_like(found.index[:1]) + number
            own, rest = xp.nonzero(mixed[:, number])[0], xp.nonzero(~mixed[:, number])[0]
            parts = [taken(xp, found.of_values(xp, value), rest)]
            if own.shape[0]:
                index = xp.take(found.index, own, axis=0)
                some = lines.take(index).of_values(value)
                anew = self.run(some, xp.take(steps, index, axis=0), xp.take(noise, index, axis=0))
                parts += [replace(part, index=xp.take(index, part.index)) for part in anew]
            columns.append(together(xp, parts))
        return beside(xp, columns)

    def _examined(self, lines: Lines, state: State) -> Iterator[Finding]:
        """Tell lines that end at x from others."""
        xp = lines.xp
        side = finite_side(lines, state)
        for value in (0, 1, -1):
            indices = xp.nonzero(side == value)[0]
            if not indices.shape[0]:
                continue
            some = taken(xp, state, indices)
            part = lines.take(some.index)
            if value == 0:
                yield self._explained(part, some)
                continue
            one_sided = replace(self, wanted=replace(self.wanted, side=value))
            for found in one_sided.run(part, xp.abs(some.trail[0].step), some.noise):
                yield replace(found, index=xp.take(some.index, found.index))

    def _explained(self, lines: Lines, state: State) -> Finding:
        """Look for noise, then for a kink; what is left may be smooth, if seen from near."""
        xp = lines.xp
        found = Finding.of(xp, state, self.wanted, scatter_of_even_part(self.wanted, lines, state))
        bend = suspected(lines, state)
        if not self.noise_known:
            found = self._at_some(lines, state, found, found.stuck | stalled(xp, state), self._noisy)
        bent = (bend > 0.0) & (found.step >= xp.abs(state.trail[-1].step))  # not found from nearer already
        if not self.wanted.side:
            found = self._at_some(lines, state, found, (bent | found.poor) & ~found.noisy, self._bent)
        unexplained = ~found.noisy & ~found.kink
        lost = unexplained & (isolated(lines, state) | (found.poor & (state.leaps >= LEAPS)))
        found = self._off_the_stairs(lines, state, found, lost)
        unexplained = unexplained & ~lost
        if len(state.trail) < self.wanted.levels:
            found = self._at_some(lines, state, found, found.stuck & unexplained, self._closer)
        found = self._at_some(lines, state, found, bent & found.stuck & unexplained, self._beside_a_kink)
        nearby = replace(state, step=_WITHIN * spacing(xp, state))
        return self._at_some(lines, nearby, found, (found.poor | found.stuck) & unexplained, self._within)

    def _at_some(self, lines: Lines, state: State, found: Finding, mask: Array, examine: Examination) -> Finding:
        """Examine the lines that have values of which the mask is true."""
        xp = lines.xp
        mask = xp.any(mask, axis=1)
        if not lines.any(mask):
            return found
        some, rest = xp.nonzero(mask)[0], xp.nonzero(~mask)[0]
        examined = examine(lines.take(some), taken(xp, state, some), taken(xp, found, some))
        return together(xp, [examined, taken(xp, found, rest)])

    def _noisy(self, lines: Lines, state: State, found: Finding) -> Finding:
        """Search again where there is noise, knowing it."""
        xp = lines.xp
        noise = measured(self.wanted, lines, state)
        state = replace(state, noise=xp.where(noise > 0.0, MOST * noise, state.noise))
        flagged = replace(
            found, noisy=noise > _NOISY * lines.eps * (1.0 if state.condition is None else state.condition)
        )
        return self._at_some(lines, state, flagged, noise > 0.0, self._waves_apart)

    def _waves_apart(self, lines: Lines, state: State, found: Finding) -> Finding:
        """Tell noise from what is smooth if seen from near: a wave shorter than the steps, the flank of a pole."""
        xp = lines.xp
        apart = smooth_apart(self.wanted, lines, state)
        smooth = apart > 0.0
        noise = xp.where(smooth, lines.eps, state.noise)
        state = replace(state, noise=noise, step=_WITHIN * apart)
        found = replace(found, noisy=found.noisy & ~smooth)
        found = self._at_some(lines, state, found, ~smooth, self._wider)
        return self._at_some(lines, state, found, smooth, self._within)

    def _within(self, lines: Lines, state: State, found: Finding) -> Finding:
        """Search again from where f is smooth."""
        xp = lines.xp
        second = self._again(lines, state.step, state.noise)
        return found.revised(xp, second.better(xp, found) & (second.error <= SEEN * xp.abs(second.value)), second)

    def _wider(self, lines: Lines, state: State, found: Finding) -> Finding:
        """Search again from farther out, unless that leads over to another wave."""
        xp = lines.xp
        noise = widest(xp, state.noise)
        second = self._again(lines, WIDER * xp.abs(state.trail[0].step), noise)
        seen = state.chosen(xp)
        reached = SAFETY * seen.change + seen.noise * (state.noise / lines.eps)
        away = xp.abs(second.value - seen.value) > reached + second.error
        known = state.noise > lines.eps
        found = replace(found, error=xp.where(known & away, reached, found.error))
        found = found.revised(xp, known & ~away, second)
        return self._at_some(lines, state, found, suspected(lines, state) > 0.0, self._bent)

    def _bent(self, lines: Lines, state: State, found: Finding) -> Finding:
        xp = lines.xp
        size = suspected(lines, state)
        bent, unknown = size > 0.0, xp.where(found.poor, xp.abs(state.trail[-1].slope(state.base)), 0.0)
        slope = found.value if self.wanted.n == 1 else None
        return found.bent(xp, bent | found.poor, confirmed(lines, state, xp.where(bent, size, unknown), bent, slope))

    def _beside_a_kink(self, lines: Lines, state: State, found: Finding) -> Finding:
        """Search again, nearer by and by, where slopes differ at the steps that were taken, but not at x itself."""
        xp = lines.xp
        step, size, last = found.step, suspected(lines, state), state.trail[-1]
        moves = (last.above != state.base) & (last.below != state.base)
        unresolved, flat = size > 0.0, size < 0.0
        near = replace(self, wanted=replace(self.wanted, widens=False))
        for _ in range(_OFTEN):
            step = step / _NEARER
            second = near._again(lines, step, state.noise)
            # Where f changes on both sides, a piece on which it does not is one of many that it is rounded to.
            clear = unresolved & ~second.stuck & xp.isfinite(second.error)
            flat = flat | (clear & moves & (second.value == 0.0))
            clear = clear & ~flat
            found, unresolved = found.revised(xp, clear & second.better(xp, found), second), unresolved & ~clear
            if not lines.any(unresolved):
                return found
        if self.wanted.n > 1:
            return found
        error = xp.where(unresolved & (size > found.error), size, found.error)
        return replace(found, error=error, noisy=found.noisy | flat)

    def _closer(self, lines: Lines, state: State, found: Finding) -> Finding:
        """Search again from where the first search stopped."""
        second = self._again(lines, found.step / _CLOSER, state.noise)
        return found.revised(lines.xp, second.surer(lines.xp, found), second)

    def _off_the_stairs(self, lines: Lines, state: State, found: Finding, lost: Array) -> Finding:
        """Look nearer where nothing is known, but not on a piece where f is flat, with steps up and down beside it."""
        xp = lines.xp
        nearer = self._at_some(lines, state, found.lost(xp, lost), lost, self._nearer)
        stair = lost & crossing(xp, state) & (nearer.value == 0.0) & (found.value != 0.0)
        return replace(nearer.revised(xp, stair, found), noisy=nearer.noisy | stair)

    def _nearer(self, lines: Lines, state: State, found: Finding) -> Finding:
        """Search again where nothing is known, nearer by and by as long as f(x) stands alone."""
        xp = lines.xp
        wanted = replace(self.wanted, levels=self.wanted.soonest + _MORE, widens=False)
        step = xp.abs(state.trail[-1].step)
        for _ in range(_TIMES):
            step = step / _NEARER
            second = replace(self, wanted=wanted)._again(lines, step, state.noise)
            unknown = ~xp.isfinite(found.error)
            found = found.revised(xp, unknown & xp.isfinite(second.error) & ~second.poor, second)
            if not lines.any(unknown & ~xp.isfinite(second.error)):
                break
        return found

    def _again(self, lines: Lines, steps: Array, noise: Array) -> Finding:
        xp = lines.xp
        findings = []
        for ended in searched(self.wanted, lines, steps, noise):
            found = Finding.of(xp, ended.state, self.wanted).lost(xp, isolated(lines, ended.state))
            found = replace(found, stuck=found.stuck | (suspected(lines, ended.state) > 0.0))
            findings.append(found if ended.mask is None else taken(xp, found, xp.nonzero(ended.mask)[0]))
        return together(xp, findings)
