"""What a wrong gradient looks like: common mistakes, recognised."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np

from anygrad._checking.comparison import Comparison, HostArray
from anygrad._checking.mistakes import MISTAKES, OF_A_PART
from anygrad._checking.mistakes.absent import not_finite
from anygrad._checking.mistakes.leaf import Leaf
from anygrad._checking.mistakes.places import block, hull, log_chance
from anygrad._checking.mistakes.scene import Explanation, Mistake, Scene, Size

# More than these are no help.
_MOST = 3
# As many arrays are named for one mistake.
_NAMED = 4
# A mean over two is too common a number to be recognised.
_SMALLEST = 3
# Where wrong elements are is a fact, and no guess: a block is worth a word if it would seldom be one by chance.
_SELDOM = float(np.log(3e-3))


def hints(
    comparisons: Sequence[Comparison],
    points: Sequence[HostArray | None] = (),
    still: Sequence[bool] = (),
) -> tuple[str, ...]:
    """Name the mistakes that wrong derivatives look like.

    A mistake is named only if it explains all that is wrong in an array, within the tolerance, and would hardly do so
    by chance. f is not called.

    Parameters
    ----------
    comparisons
        The arrays of the tree.
    points
        The elements of x, array by array, to recognise the derivative of a penalty by; None for an array without.
    still
        Whether f is known not to change with the array at all, array by array.

    Returns
    -------
    tuple of str
        Three sentences at most, the most specific one first; none if nothing is wrong, or looks like no mistake known.

    Examples
    --------
    >>> import numpy as np
    >>> from anygrad._checking.comparison import Comparison
    >>> found = np.array([0.3, -1.7, 0.9])
    >>> hints([Comparison("x", 2 * found, found, np.full(3, 1e-9), np.zeros(3))])
    ('x: the claimed gradient is twice the numerical one: accumulated twice, or a factor 1/2 of f left out',)
    """
    with np.errstate(all="ignore"):
        given = zip_longest(comparisons, points, still)
        leaves = [Leaf.of(comparison, point, still=bool(known)) for comparison, point, known in given]
        sizes = list(_sizes(leaves))
        found = [finding for pair in zip(comparisons, leaves, strict=True) if (finding := not_finite(*pair))]
        found += _explanations(leaves, [leaf for leaf in leaves if leaf.wrong.any()], sizes)
        return tuple(_sentences(found, len(leaves)))[:_MOST]


def _explanations(leaves: Sequence[Leaf], wrong: Sequence[Leaf], sizes: Sequence[Size]) -> Iterator[Explanation]:
    """Find one mistake for each array, or else for the part of it that is wrong, or else say which part that is."""
    unexplained = list(wrong)
    yield from _recognised(MISTAKES, leaves, unexplained, sizes)
    parts = [part for leaf in unexplained if (part := _part(leaf)) is not None]
    unrecognised = [part.leaf for part in parts]
    for finding in _recognised(OF_A_PART, leaves, unrecognised, sizes):
        yield replace(finding, says=f"{finding.says}; the rest agrees")
    for part in parts:
        if part.filled and part.leaf in unrecognised:
            others = "no others" if len(leaves) == 1 else f"no others of {part.whole}"
            yield Explanation(part.leaf, part.leaf.name, f"all elements of this block are wrong, and {others}")


def _recognised(
    mistakes: Sequence[Mistake], leaves: Sequence[Leaf], unexplained: list[Leaf], sizes: Sequence[Size]
) -> Iterator[Explanation]:
    """Look for mistake after mistake, and take what they explain off the list."""
    for mistake in mistakes:
        for finding in list(mistake(Scene(leaves, tuple(unexplained), sizes))):
            unexplained.remove(finding.leaf)
            yield finding


@dataclass(frozen=True, eq=False)
class Part:
    """A part of an array that holds all wrong elements, and whether it holds no others, which would be no chance."""

    whole: str
    leaf: Leaf
    filled: bool


def _part(leaf: Leaf) -> Part | None:
    """Return the part of an array in which something is wrong, if that is not all of it."""
    flat = ~leaf.wrong & (leaf.claimed == 0) & (np.abs(leaf.numerical) <= leaf.tolerance)
    full = block(leaf.wrong, leaf.wrong | flat)
    filled = full is not None and log_chance(leaf.wrong, flat, full) < _SELDOM
    region = full if full is not None and filled else hull(leaf.wrong)
    part = leaf.part(f"{leaf.name}[{region.words}]", region.index)
    return Part(leaf.name, part, filled) if part.claimed.size < leaf.claimed.size else None


def _sizes(leaves: Sequence[Leaf]) -> Iterator[Size]:
    """Return the numbers that f may sum or average over, each of them once."""
    seen = set(range(_SMALLEST))
    for size in _all_sizes(leaves):
        if size.number not in seen:
            seen.add(size.number)
            yield size


def _all_sizes(leaves: Sequence[Leaf]) -> Iterator[Size]:
    for leaf in leaves:
        for axis, length in enumerate(leaf.claimed.shape):
            yield Size(length, f"the length of {leaf.name}" + f" along axis {axis}" * (leaf.claimed.ndim > 1))
    for leaf in leaves:
        yield Size(leaf.claimed.size, f"the number of elements of {leaf.name}")


def _sentences(found: Iterable[Explanation], total: int) -> Iterator[str]:
    """Say each mistake once, of all the arrays that have it."""
    places: dict[str, list[str]] = {}
    whole: dict[str, int] = {}
    for finding in found:
        places.setdefault(finding.says, []).append(finding.place)
        whole[finding.says] = whole.get(finding.says, 0) + (finding.place == finding.leaf.name)
    for says, names in places.items():
        if 1 < total == whole[says]:
            yield f"all arrays: {says}"
        elif len(names) > _NAMED:
            yield f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more: {says}"
        else:
            yield f"{', '.join(names)}: {says}"
