"""How likely it is that numbers agree by chance."""

from __future__ import annotations

import math

import numpy as np

from anygrad._checking.comparison import HostArray

# What would hold by chance as often as this is not worth saying.
CHANCE = 1e-4
# No element counts for more than this.
_SHARPEST = 1e-6
# Gradients of whole numbers, of halves, of tenths...: what many small examples have.
_UNITS = (1.0, 0.5, 0.25, 0.1)
# The smallest number is the unit of all only if none is more than _MULTIPLES times as large, and there are _SIZES
# different multiples.
_MULTIPLES, _SIZES = 1000.0, 4
# Numbers can be seen to be multiples of a unit if their errors are as many times smaller.
_CLEAR = 8.0


def hardly_by_chance(odds: HostArray, *, spare: int = 0, tries: int = 1, chance: float = CHANCE) -> bool:
    """Return whether numbers which agree by chance with these odds, each, would hardly all do so in one of some tries.

    As many of them as are spare have been used to find out what they are to agree with.
    """
    information = -np.log(np.clip(odds, _SHARPEST, 1.0))
    if spare >= information.size:
        return False
    kept = np.partition(information, information.size - 1 - spare)[: information.size - spare]
    return float(kept.sum()) > math.log(tries / chance)


def coincidence(distance: HostArray, allowed: HostArray, grain: float) -> HostArray:
    """Return the odds that numbers get within what is allowed of a place, where they are this distance from another."""
    odds: HostArray = np.clip((allowed + grain) / (distance + grain), 0.0, 1.0)
    return odds


def frequency(values: HostArray, among: HostArray, allowed: HostArray) -> HostArray:
    """Return which part of some numbers equals each of the values, besides the one that it has been compared with."""
    if among.size < 2:
        return np.zeros(values.shape)
    parts = (np.real, np.imag) if np.iscomplexobj(among) else (np.real,)
    equal = [_count(part(values), np.sort(part(among), axis=None), allowed) for part in parts]
    part_of_all: HostArray = np.clip(np.min(equal, axis=0) - 1, 0, None) / (among.size - 1)
    return part_of_all


def _count(values: HostArray, ordered: HostArray, allowed: HostArray) -> HostArray:
    above = np.searchsorted(ordered, values + allowed, side="right")
    below = np.searchsorted(ordered, values - allowed, side="left")
    return above - below


def grain(values: HostArray, tolerance: HostArray) -> float:
    """Return a number of which all values are multiples, or 0: multiples of one number are often equal by chance."""
    if np.iscomplexobj(values):
        values, tolerance = np.concatenate([values.real, values.imag]), np.concatenate([tolerance, tolerance])
    units = [unit for unit in _UNITS if _multiples(values, tolerance, unit)]
    return max([*units, _smallest(values, tolerance)])


def _multiples(values: HostArray, tolerance: HostArray, unit: float) -> bool:
    remainder = np.abs(values - unit * np.round(values / unit))
    return bool((tolerance < unit / _CLEAR).all() and (remainder <= tolerance).all())


def _smallest(values: HostArray, tolerance: HostArray) -> float:
    """Return the smallest of the values that is not 0, if all others are multiples of it, or 0."""
    sizes = np.abs(values)
    beyond = sizes > _CLEAR * tolerance
    if not beyond.any():
        return 0.0
    least = int(np.argmin(np.where(beyond, sizes, np.inf)))
    unit, ratios = float(sizes[least]), sizes / sizes[least]
    if ratios.max() > _MULTIPLES or np.unique(np.round(ratios)).size < _SIZES:
        return 0.0
    return unit if _multiples(values, tolerance + ratios * tolerance[least], unit) else 0.0


def distinct(values: HostArray, tolerance: HostArray) -> HostArray:
    """Return the indices of one of each of the values that cannot be told apart."""
    apart = 4 * float(tolerance.max())
    keys = np.round(values / apart) if apart > 0 else values
    _, first = np.unique(keys, return_index=True)
    indices: HostArray = first
    return indices
