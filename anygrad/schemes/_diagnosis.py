"""What keeps a line from converging as smooth functions do, and what can be done about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from anygrad.schemes.base import Lines
from anygrad._typing import Array
from anygrad.schemes._anew import WITHIN, again, at_some, kinked, within
from anygrad.schemes._even_part import scatter_of_even_part
from anygrad.schemes._extrapolation import Row
from anygrad.schemes._findings import Finding, beside, together
from anygrad.schemes._judging import LEAPS, finite_side
from anygrad.schemes._kinks import bends_of, crossing, isolated, suspected
from anygrad.schemes._noise import spacing, stalled
from anygrad.schemes._search import searched
from anygrad.schemes._state import State, merged, taken
from anygrad.schemes._under_noise import noisy
from anygrad.schemes._wanted import Wanted

# A wave on top of a smooth function begins to be seen at steps as many times smaller than those that it disturbs.
_CLOSER = 8.0
# If only f(x) itself stands out, f is searched at steps _NEARER times smaller, up to _TIMES times.
_NEARER, _TIMES = 64.0, 3
# Beside a kink it is searched more often: nearer than that, the kink cannot be told from one at x.
_OFTEN = 6
# As many levels more than it takes at the least.
_MORE = 6


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
            bends = bends_of(state)
            found = Finding.of(xp, state, self.wanted, scatter_of_even_part(self.wanted, lines, state, bends))
            doubt = found.stuck | found.poor | (suspected(lines, state, bends) > 0.0) | ~xp.isfinite(found.error)
            # A narrow peak at x leaves values at all other points that converge to a derivative of 0.
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
        bends = bends_of(state)
        found = Finding.of(xp, state, self.wanted, scatter_of_even_part(self.wanted, lines, state, bends))
        bend = suspected(lines, state, bends)
        if not self.noise_known:
            found = at_some(lines, state, found, found.stuck | stalled(xp, state), partial(noisy, self.wanted))
        bent = (bend > 0.0) & (found.step >= xp.abs(state.trail[-1].step))  # not found from nearer already
        if not self.wanted.side:
            found = at_some(lines, state, found, (bent | found.poor) & ~found.noisy, partial(kinked, self.wanted))
        unexplained = ~found.noisy & ~found.kink
        lost = unexplained & (isolated(lines, state) | (found.poor & (state.leaps >= LEAPS)))
        found = self._off_the_stairs(lines, state, found, lost)
        unexplained = unexplained & ~lost
        if len(state.trail) < self.wanted.levels:
            found = at_some(lines, state, found, found.stuck & unexplained, self._closer)
        found = at_some(lines, state, found, bent & found.stuck & unexplained, self._beside_a_kink)
        nearby = replace(state, step=WITHIN * spacing(xp, state))
        return at_some(lines, nearby, found, (found.poor | found.stuck) & unexplained, partial(within, self.wanted))

    def _beside_a_kink(self, lines: Lines, state: State, found: Finding) -> Finding:
        """Search again, nearer by and by, where slopes differ at the steps that were taken, but not at x itself."""
        xp = lines.xp
        step, size, last = found.step, suspected(lines, state), state.trail[-1]
        moves = (last.above != state.base) & (last.below != state.base)
        unresolved, flat = size > 0.0, size < 0.0
        near = replace(self.wanted, widens=False)
        for _ in range(_OFTEN):
            step = step / _NEARER
            second = again(near, lines, step, state.noise)
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
        second = again(self.wanted, lines, found.step / _CLOSER, state.noise)
        return found.revised(lines.xp, second.surer(lines.xp, found), second)

    def _off_the_stairs(self, lines: Lines, state: State, found: Finding, lost: Array) -> Finding:
        """Look nearer where nothing is known, but not on a piece where f is flat, with steps up and down beside it."""
        xp = lines.xp
        nearer = at_some(lines, state, found.lost(xp, lost), lost, self._nearer)
        stair = lost & crossing(xp, state) & (nearer.value == 0.0) & (found.value != 0.0)
        return replace(nearer.revised(xp, stair, found), noisy=nearer.noisy | stair)

    def _nearer(self, lines: Lines, state: State, found: Finding) -> Finding:
        """Search again where nothing is known, nearer by and by as long as f(x) stands alone."""
        xp = lines.xp
        wanted = replace(self.wanted, levels=self.wanted.soonest + _MORE, widens=False)
        step = xp.abs(state.trail[-1].step)
        for _ in range(_TIMES):
            step = step / _NEARER
            second = again(wanted, lines, step, state.noise)
            unknown = ~xp.isfinite(found.error)
            found = found.revised(xp, unknown & xp.isfinite(second.error) & ~second.poor, second)
            if not lines.any(unknown & ~xp.isfinite(second.error)):
                break
        return found
