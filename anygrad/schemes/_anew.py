"""Lines looked at anew: some of them searched again, and what is found put in the place of what was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeAlias

from anygrad.schemes.base import Lines
from anygrad._typing import Array
from anygrad.schemes._extrapolation import SEEN, Row
from anygrad.schemes._findings import Finding, together
from anygrad.schemes._kinks import confirmed, isolated, suspected
from anygrad.schemes._search import searched
from anygrad.schemes._state import State, taken
from anygrad.schemes._wanted import Wanted

# Where places so far apart are on a smooth curve, steps as many times that are a part of it as well.
WITHIN = 16.0

Examination: TypeAlias = Callable[[Lines, State, Finding], Finding]


def at_some(lines: Lines, state: State, found: Finding, mask: Array, examine: Examination) -> Finding:
    """Examine the lines that have values of which the mask is true."""
    xp = lines.xp
    mask = xp.any(mask, axis=1)
    if not lines.any(mask):
        return found
    some, rest = xp.nonzero(mask)[0], xp.nonzero(~mask)[0]
    examined = examine(lines.take(some), taken(xp, state, some), taken(xp, found, some))
    return together(xp, [examined, taken(xp, found, rest)])


def again(wanted: Wanted, lines: Lines, steps: Array, noise: Array) -> Finding:
    """Search from those steps on."""
    return together(lines.xp, [found for _, found in each_again(wanted, lines, steps, noise)])


def each_again(wanted: Wanted, lines: Lines, steps: Array, noise: Array) -> Iterator[tuple[State, Finding]]:
    """Search from those steps on; yield how the search ended as well, of lines that have taken as many levels."""
    xp = lines.xp
    for ended in searched(wanted, lines, steps, noise):
        found = Finding.of(xp, ended.state, wanted).lost(xp, isolated(lines, ended.state))
        found = replace(found, stuck=found.stuck | (suspected(lines, ended.state) > 0.0))
        state = replace(ended.state, row=Row(), ended=None)
        if ended.mask is None:
            yield state, found
            continue
        indices = xp.nonzero(ended.mask)[0]
        yield taken(xp, state, indices), taken(xp, found, indices)


def within(wanted: Wanted, lines: Lines, state: State, found: Finding) -> Finding:
    """Search again from where f is smooth."""
    xp = lines.xp
    second = again(wanted, lines, state.step, state.noise)
    return found.revised(xp, second.better(xp, found) & (second.error <= SEEN * xp.abs(second.value)), second)


def kinked(wanted: Wanted, lines: Lines, state: State, found: Finding) -> Finding:
    """Look very close to x for the kinks that are suspected, or that would explain why nothing is known."""
    xp = lines.xp
    size = suspected(lines, state)
    bent, unknown = size > 0.0, xp.where(found.poor, xp.abs(state.trail[-1].slope(state.base)), 0.0)
    slope = found.value if wanted.n == 1 else None
    kink = confirmed(lines, state, xp.where(bent, size, unknown), bent, slope)
    return found.bent(xp, bent | found.poor, kink)
