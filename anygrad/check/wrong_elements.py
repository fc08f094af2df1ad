"""The wrong elements of one array: how likely a pattern in them is chance, and which block they form, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from anygrad.check.compare import Comparison
from anygrad.check.task import HostArray

Index = tuple[Any, ...]

# So many of the wrong elements tell whether a mistake is worth testing for on all of them.
_SAMPLE = 4096


@dataclass(frozen=True, eq=False)
class ArrayComparison:
    """The comparison of one array, of one dimension or more, prepared for pattern recognition.

    Elements that are not finite on both sides are 0 here, with an infinite tolerance: they fit every pattern.

    Attributes
    ----------
    name
        The array in the user's words.
    claimed, numerical, tolerance
        As in `Comparison`.
    point
        The elements of x, if they are known and real.
    unused
        Whether f is known not to change with the array at all.
    """

    name: str
    claimed: HostArray
    numerical: HostArray
    tolerance: HostArray
    point: HostArray | None = None
    unused: bool = False

    @classmethod
    def of(cls, comparison: Comparison, point: HostArray | None = None, *, unused: bool = False) -> ArrayComparison:
        """Return a prepared comparison."""
        claimed, numerical, tolerance = map(
            np.atleast_1d, (comparison.claimed, comparison.numerical, comparison.tolerance)
        )
        finite = np.isfinite(claimed) & np.isfinite(numerical) & np.isfinite(tolerance)
        return cls(
            comparison.name,
            np.where(finite, claimed, 0.0),
            np.where(finite, numerical, 0.0),
            np.where(finite, tolerance, np.inf),
            None if point is None or np.iscomplexobj(point) else np.atleast_1d(np.asarray(point, float)),
            unused,
        )

    def part(self, name: str, index: Index) -> ArrayComparison:
        """Return a part as an array of its own."""
        point = None if self.point is None else self.point[index]
        return ArrayComparison(name, self.claimed[index], self.numerical[index], self.tolerance[index], point)

    @cached_property
    def difference(self) -> HostArray:
        """The claimed derivatives minus the numerical ones."""
        difference: HostArray = self.claimed - self.numerical
        return difference

    @cached_property
    def wrong(self) -> HostArray:
        """Where the difference is beyond the tolerance."""
        wrong: HostArray = ~(np.abs(self.difference) <= self.tolerance)
        return wrong

    @cached_property
    def sample(self) -> Index:
        """The indices of wrong elements, a few thousand at most."""
        return sample_of(self.wrong)

    @cached_property
    def first(self) -> tuple[int, ...]:
        """The indices of one wrong element."""
        return tuple(int(indices[0]) for indices in self.sample)

    @cached_property
    def unit(self) -> float:
        """A number of which all wrong derivatives and the numerical ones there are multiples, or 0."""
        at = self.sample
        values = np.concatenate([self.claimed[at], self.numerical[at]])
        return common_unit(values, np.tile(self.tolerance[at], 2))

    def fits(self, predicted: HostArray, allowed: HostArray) -> bool:
        """Return whether all claimed derivatives are as predicted."""
        at = self.sample
        first = np.abs(self.claimed[at] - predicted[at]) <= allowed[at]
        return bool(first.all() and (np.abs(self.claimed - predicted) <= allowed).all())


def sample_of(mask: HostArray) -> Index:
    """Return the indices of elements that are True, evenly spread if there are many."""
    places = np.flatnonzero(mask)
    if places.size > _SAMPLE:
        places = places[np.linspace(0, places.size - 1, _SAMPLE).astype(int)]
    return np.unravel_index(places, mask.shape)


def join(arrays: Sequence[ArrayComparison]) -> ArrayComparison:
    """Return several arrays as one of one dimension."""
    points = [array.point for array in arrays]
    known = [point.ravel() for point in points if point is not None]
    return ArrayComparison(
        "",
        np.concatenate([array.claimed.ravel() for array in arrays]),
        np.concatenate([array.numerical.ravel() for array in arrays]),
        np.concatenate([array.tolerance.ravel() for array in arrays]),
        np.concatenate(known) if len(known) == len(points) else None,
    )


def number(value: complex, error: float) -> str:
    """Return the shortest decimal of at most six digits that is the same number within its error."""
    if abs(value.imag) <= error:
        value = value.real
    written = [f"{value:.{digits}g}" for digits in range(1, 7)]
    return next((text for text in written if abs(complex(text) - value) <= error), written[-1])


# Chance

# A pattern that appears by chance as often as this is not worth a hint.
_CHANCE = 1e-4
# No element is better evidence than this.
_SHARPEST = 1e-6
# Gradients of whole numbers, halves or tenths, as in many small examples.
_UNITS = (1.0, 0.5, 0.25, 0.1)
# The smallest number is the unit of all only if no multiple is larger than _MULTIPLES, and there are _SIZES different
# ones.
_MULTIPLES, _SIZES = 1000.0, 4
# Multiples of a unit are recognised if their errors are so many times smaller than the unit.
_CLEAR = 8.0


def unlikely(odds: HostArray, *, spare: int = 0, tries: int = 1, chance: float = _CHANCE) -> bool:
    """Return whether numbers that agree by chance with these odds, each, would hardly all agree in one of some tries.

    ``spare`` of them have been used to find out what to compare with, and are no evidence.
    """
    information = -np.log(np.clip(odds, _SHARPEST, 1.0))
    if spare >= information.size:
        return False
    kept = np.partition(information, information.size - 1 - spare)[: information.size - spare]
    return float(kept.sum()) > math.log(tries / chance)


def coincidence(distance: HostArray, allowed: HostArray, unit: float) -> HostArray:
    """Return the odds that numbers at this distance from the numerical ones agree with others by chance."""
    odds: HostArray = np.clip((allowed + unit) / (distance + unit), 0.0, 1.0)
    return odds


def frequency(values: HostArray, among: HostArray, allowed: HostArray) -> HostArray:
    """Return the share of numbers that equal each of the values, besides the one that it was compared with."""
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


def common_unit(values: HostArray, tolerance: HostArray) -> float:
    """Return a number of which all values are multiples, or 0: such multiples are often equal by chance."""
    if np.iscomplexobj(values):
        values, tolerance = np.concatenate([values.real, values.imag]), np.concatenate([tolerance, tolerance])
    units = [unit for unit in _UNITS if _are_multiples(values, tolerance, unit)]
    return max([*units, _smallest_unit(values, tolerance)])


def _are_multiples(values: HostArray, tolerance: HostArray, unit: float) -> bool:
    remainder = np.abs(values - unit * np.round(values / unit))
    return bool((tolerance < unit / _CLEAR).all() and (remainder <= tolerance).all())


def _smallest_unit(values: HostArray, tolerance: HostArray) -> float:
    """Return the smallest value that is not 0, if all others are multiples of it; 0 otherwise."""
    sizes = np.abs(values)
    beyond = sizes > _CLEAR * tolerance
    if not beyond.any():
        return 0.0
    least = int(np.argmin(np.where(beyond, sizes, np.inf)))
    unit, ratios = float(sizes[least]), sizes / sizes[least]
    if ratios.max() > _MULTIPLES or np.unique(np.round(ratios)).size < _SIZES:
        return 0.0
    return unit if _are_multiples(values, tolerance + ratios * tolerance[least], unit) else 0.0


def distinct(values: HostArray, tolerance: HostArray) -> HostArray:
    """Return the indices of values that can be told apart, one for each."""
    apart = 4 * float(tolerance.max())
    keys = np.round(values / apart) if apart > 0 else values
    _, first = np.unique(keys, return_index=True)
    indices: HostArray = first
    return indices


# Blocks

# More indices than this would make an unreadable list.
_LISTED = 6
_FEW = 3


def everywhere(array: ArrayComparison) -> str:
    """Describe all elements."""
    return array.name


def describe(array: ArrayComparison, affected: HostArray, indifferent: HostArray) -> str:
    """Describe the elements that are affected; the indifferent ones may be included."""
    if (affected | indifferent).all():
        return everywhere(array)
    region = find_block(affected, affected | indifferent)
    if region is not None:
        return f"{array.name}[{region.words}]"
    count = int(np.count_nonzero(affected))
    first = np.unravel_index(int(np.argmax(affected)), affected.shape)
    return f"{count} of the {affected.size} elements of {array.name} (the first is [{', '.join(map(str, first))}])"


@dataclass(frozen=True, eq=False)
class Block:
    """The elements at certain indices along each axis, as a subscript in words and as an index."""

    words: str
    index: Index


def find_block(affected: HostArray, candidates: HostArray) -> Block | None:
    """Return a block that holds all affected elements and only candidates, if there is one."""
    blocks = (bounding_block(affected), _block(_indices(affected), affected.shape))
    return next((found for found in blocks if found is not None and candidates[found.index].all()), None)


def bounding_block(affected: HostArray) -> Block:
    """Return the smallest block without gaps that holds all affected elements."""
    found = _block([np.arange(indices[0], indices[-1] + 1) for indices in _indices(affected)], affected.shape)
    assert found is not None
    return found


def _indices(affected: HostArray) -> list[HostArray]:
    """Return the indices along each axis that affected elements have."""
    axes = range(affected.ndim)
    return [np.flatnonzero(affected.any(axis=tuple(other for other in axes if other != axis))) for axis in axes]


def _block(at: Sequence[HostArray], shape: Sequence[int]) -> Block | None:
    """Return the block at these indices, unless its description would be long."""
    words = [_subscript(indices, length) for indices, length in zip(at, shape, strict=True)]
    readable = [word for word in words if word is not None]
    if len(readable) < len(words) or sum("[" in word for word in readable) > 1:
        return None
    return Block(", ".join(readable), np.ix_(*at))


def _subscript(indices: HostArray, length: int) -> str | None:
    """Describe indices along one axis, unless they are many and irregular."""
    start, stop = int(indices[0]), int(indices[-1]) + 1
    if indices.size == length:
        return ":"
    if indices.size == 1:
        return str(start)
    bounds = f"{start or ''}:{'' if stop == length else stop}"
    steps = np.unique(np.diff(indices))
    if steps.size == 1 and steps[0] == 1:
        return bounds
    if steps.size == 1 and indices.size >= _FEW:
        return f"{bounds}:{steps[0]}"
    return f"[{', '.join(map(str, indices))}]" if indices.size <= _LISTED else None


def log_odds(affected: HostArray, indifferent: HostArray, region: Block) -> float:
    """Return the logarithm of the share of such blocks among all ways to choose as many elements."""
    count = int(np.count_nonzero(affected))
    total = affected.size - int(np.count_nonzero(indifferent & ~affected))
    ways = [_choices(np.ravel(indices), length) for indices, length in zip(region.index, affected.shape, strict=True)]
    return sum(ways) - (_log_factorial(total) - _log_factorial(count) - _log_factorial(total - count))


def _choices(indices: HostArray, length: int) -> float:
    """Return the logarithm of the number of similar choices of indices along an axis."""
    if indices.size == 1 or (np.diff(indices) == 1).all():
        return math.log(length - indices.size + 1)
    if (np.diff(indices, 2) == 0).all() and indices.size >= _FEW:
        return 2 * math.log(length)
    return length * math.log(2)


def _log_factorial(number: int) -> float:
    return math.lgamma(number + 1)
