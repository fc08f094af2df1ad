"""What becomes of each element: whether it agrees, and if not, why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anygrad._checking.comparison import Comparison, HostArray

# From the gravest to the least; an element is what the first of them says that holds for it.
VERDICTS = ("wrong", "nonfinite", "kink", "nondeterministic", "noisy", "inconclusive", "agrees")

# An uncertainty that is less than this share of the derivatives themselves is of some use.
_RESOLVED = 0.5


@dataclass(frozen=True, eq=False)
class Circumstances:
    """What bears on all elements of an array.

    Attributes
    ----------
    flags
        Those of the scheme.
    natural
        Derivatives of this size would be normal for f, (or 0 if that is not known): what a derivative of 0 is small
        against.
    deterministic
        Whether f and what is claimed give the same for the same x.
    bounded
        Whether f is bound to be evaluated on one side of x alone.
    """

    flags: Mapping[str, HostArray]
    natural: HostArray | float
    deterministic: bool
    bounded: bool


def judged(comparison: Comparison, circumstances: Circumstances) -> HostArray:
    """Return what each element is, as an index into `VERDICTS`."""
    claimed, numerical = comparison.claimed, comparison.numerical
    flags = circumstances.flags
    undecided = _undecided(comparison, circumstances)
    state = np.full(claimed.shape, VERDICTS.index("agrees"))
    reasons = {
        "inconclusive": undecided,
        "noisy": undecided & _flag(flags, "noisy", claimed),
        "kink": _flag(flags, "kink", claimed),
        "nondeterministic": undecided & (not circumstances.deterministic),  # and a kink may be its doing
        # f ends at x, where no bounds say so.
        "nonfinite": ~np.isfinite(numerical) | (_flag(flags, "one_sided", claimed) & (not circumstances.bounded)),
        "wrong": comparison.wrong,
    }
    for verdict, holds in reasons.items():
        state = np.where(holds, VERDICTS.index(verdict), state)
    return state


def unseen(comparison: Comparison) -> HostArray:
    """Return what each element is where f has not seen x change: that it is constant is all that can agree."""
    return np.where(comparison.claimed == 0, VERDICTS.index("agrees"), VERDICTS.index("inconclusive"))


def verdict_of(states: Sequence[HostArray]) -> str:
    """Return the gravest of all."""
    return VERDICTS[min((int(np.min(state)) for state in states if state.size), default=len(VERDICTS) - 1)]


def counted(states: Sequence[HostArray]) -> dict[str, int]:
    """Return how many elements are what."""
    counts = [sum(int(np.sum(state == number)) for state in states) for number in range(len(VERDICTS))]
    return {verdict: count for verdict, count in zip(VERDICTS, counts, strict=True) if count}


def _undecided(comparison: Comparison, circumstances: Circumstances) -> HostArray:
    """Return where the claim agrees, but so would any other that is as large as derivatives by this array are."""
    claimed, numerical = np.abs(comparison.claimed), np.abs(comparison.numerical)
    natural = circumstances.natural
    if not circumstances.deterministic:  # what is found may be the doing of the variation
        numerical = np.maximum(numerical - comparison.tolerance, 0.0)
    largest = float(np.max(numerical[np.isfinite(numerical)], initial=0.0))
    size = np.maximum(claimed, np.maximum(largest, natural))
    flat = (claimed == 0) & (comparison.numerical == 0)
    undecided: HostArray = (comparison.tolerance > _RESOLVED * size) & ~flat
    return undecided


def _flag(flags: Mapping[str, HostArray], name: str, like: HostArray) -> HostArray:
    return flags[name] if name in flags else np.zeros(like.shape, dtype=bool)
