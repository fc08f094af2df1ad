"""What is done about noise in f: lines are searched again, knowing it, and kinks are looked for in what that sees."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from anygrad.schemes.base import Lines
from anygrad.schemes._anew import WITHIN, at_some, each_again, kinked, within
from anygrad.schemes._findings import SAFETY, Finding, together
from anygrad.schemes._kinks import suspected
from anygrad.schemes._noise import measured, smooth_apart
from anygrad.schemes._state import State, taken, widest
from anygrad.schemes._wanted import Wanted

# Noise as many times what rounding explains is worth a flag; less comes of cancellation inside of f.
_NOISY = 100.0
# The standard deviation of noise to what is taken for the most of it.
MOST = 2.0
# Under noise the widest steps are best: by how much those of a second search exceed those of the first.
WIDER = 3.0


def noisy(wanted: Wanted, lines: Lines, state: State, found: Finding) -> Finding:
    """Search again where there is noise, knowing it."""
    xp = lines.xp
    noise = measured(wanted, lines, state)
    state = replace(state, noise=xp.where(noise > 0.0, MOST * noise, state.noise))
    flagged = replace(found, noisy=noise > _NOISY * lines.eps * (1.0 if state.condition is None else state.condition))
    return at_some(lines, state, flagged, noise > 0.0, partial(_waves_apart, wanted))


def _waves_apart(wanted: Wanted, lines: Lines, state: State, found: Finding) -> Finding:
    """Tell noise from what is smooth if seen from near: a wave shorter than the steps, the flank of a pole."""
    xp = lines.xp
    apart = smooth_apart(wanted, lines, state)
    smooth = apart > 0.0
    noise = xp.where(smooth, lines.eps, state.noise)
    state = replace(state, noise=noise, step=WITHIN * apart)
    found = replace(found, noisy=found.noisy & ~smooth)
    found = at_some(lines, state, found, ~smooth, partial(_wider, wanted))
    return at_some(lines, state, found, smooth, partial(within, wanted))


def _wider(wanted: Wanted, lines: Lines, state: State, found: Finding) -> Finding:
    """Search again from farther out."""
    xp, parts = lines.xp, []
    for ended, second in each_again(wanted, lines, WIDER * xp.abs(state.trail[0].step), widest(xp, state.noise)):
        some = second.index
        first, before = taken(xp, state, some), taken(xp, found, some)
        parts.append(_either(wanted, lines.take(some), first, before, (ended, second)))
    return together(xp, parts)


def _either(wanted: Wanted, lines: Lines, state: State, found: Finding, again: tuple[State, Finding]) -> Finding:
    """Choose the second search, unless it has led over to another wave; a kink is looked for in the one chosen."""
    xp, (ended, second) = lines.xp, again
    seen = state.chosen(xp)
    reached = SAFETY * seen.change + seen.noise * (state.noise / lines.eps)
    known = state.noise > lines.eps
    away = xp.abs(second.value - seen.value) > reached + second.error
    found = replace(found, error=xp.where(known & away, reached, found.error))
    chosen = known & ~away
    found = found.revised(xp, chosen, second)
    # The short steps of the first search drown in noise: what it suspects, and how near to x, says little.
    # Where its step has grown, the slopes on both sides did not differ closer to x.
    bent = chosen & (ended.growths == 0.0) & (suspected(lines, ended) > 0.0)
    found = at_some(lines, ended, found, bent, partial(kinked, wanted))
    return at_some(lines, state, found, ~found.kink & (suspected(lines, state) > 0.0), partial(kinked, wanted))
