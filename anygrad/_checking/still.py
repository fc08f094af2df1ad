"""Arrays of x that f does not change with at all, told from those at which it is flat."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from anygrad._checking.comparison import Comparison, HostArray
from anygrad._checking.probe import Probe, probed
from anygrad._checking.question import Question, alone
from anygrad._checking.taylor import LENGTHS
from anygrad._variables import Variables

_LENGTHS = LENGTHS[:3]  # at the longest, f changes most


def still(
    question: Question, variables: Variables, comparisons: Sequence[Comparison], direction: HostArray
) -> tuple[list[bool], int]:
    """Return by which arrays f was found to be flat because it does not change with them, and how often it was called.

    Only those are looked at of which something else is claimed.
    """
    width = len(variables.arrays)
    ends = np.cumsum([0, *map(math.prod, variables.shapes)])
    found, ncalls = [], 0
    for number, comparison in enumerate(comparisons):
        if np.any(comparison.numerical) or not np.any(comparison.wrong):
            found.append(False)
            continue
        leaf = number % width
        f, bounds = alone(question, variables, leaf)
        probe = probed(
            f,
            Variables.of(variables.arrays[leaf]),
            direction[ends[leaf] : ends[leaf + 1]],
            _LENGTHS,
            replace(question.options, bounds=bounds),
            vector=question.vector,
            repeats=1,
        )
        found.append(unchanged(probe))
        ncalls += probe.ncalls
    return found, ncalls


def unchanged(probe: Probe) -> bool:
    """Return whether f was the same all along the line."""
    return bool(np.all(probe.values == probe.repeated[:1]))
