"""The right numbers in other places: transposed, reversed, in the other order of memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, permutations

import numpy as np

from anygrad._checking.comparison import HostArray
from anygrad._checking.mistakes.evidence import coincidence, frequency, hardly_by_chance
from anygrad._checking.mistakes.leaf import Index, Leaf
from anygrad._checking.mistakes.scene import Explanation, Scene

# More axes than this can be permuted in too many ways to try.
_AXES = 5


@dataclass(frozen=True)
class Arrangement:
    """A way to put elements elsewhere, and what is said of it."""

    says: str
    move: Callable[[HostArray], HostArray]


def rearranged(scene: Scene) -> Iterator[Explanation]:
    """Find arrays whose elements are right, but not where they are."""
    for leaf in scene.unexplained:
        arrangements = list(_arrangements(leaf.claimed.shape))
        found = next((way for way in arrangements if _is_moved(leaf, way.move, len(arrangements))), None)
        if found is not None:
            yield Explanation(leaf, leaf.name, f"the claimed gradient is the numerical one {found.says}")


def _is_moved(leaf: Leaf, move: Callable[[HostArray], HostArray], tries: int) -> bool:
    """Return whether the claimed derivatives are those found elsewhere, and not by chance."""
    at = leaf.sample
    numerical, tolerance = move(leaf.numerical), move(leaf.tolerance)
    allowed = np.maximum(leaf.tolerance[at], tolerance[at])
    if not (np.abs(leaf.claimed[at] - numerical[at]) <= allowed).all():
        return False
    if not leaf.fits(numerical, np.maximum(leaf.tolerance, tolerance)):
        return False
    # A number alone in an array of zeros, or the ends of a block, are found elsewhere in some arrangement.
    return hardly_by_chance(moved_odds(leaf, at, allowed), spare=1, tries=tries)


def moved_odds(leaf: Leaf, at: Index, allowed: HostArray) -> HostArray:
    """Return the odds that wrong elements are equal by chance to those found elsewhere in the array."""
    odds: HostArray = np.maximum(
        coincidence(np.abs(leaf.difference[at]), allowed, leaf.grain),
        frequency(leaf.claimed[at], leaf.numerical, allowed),
    )
    return odds


def _arrangements(shape: Sequence[int]) -> Iterator[Arrangement]:
    axes = [axis for axis, length in enumerate(shape) if length > 1]
    if not axes or len(shape) > _AXES:
        return
    if len(axes) > 1:
        yield from _permuted(shape)
    yield from _reversed(axes, len(shape))
    if len(axes) > 1:
        yield Arrangement(_FORTRAN, lambda array: array.ravel(order="F").reshape(array.shape))
        yield Arrangement(_FORTRAN, lambda array: array.ravel().reshape(array.shape, order="F"))


def _permuted(shape: Sequence[int]) -> Iterator[Arrangement]:
    """Make the permutations of axes that keep the shape, those that exchange two of them first."""
    order = list(range(len(shape)))
    kept = [way for way in permutations(order) if [shape[axis] for axis in way] == list(shape) and list(way) != order]
    for way in sorted(kept, key=lambda way: sum(axis != place for place, axis in enumerate(way))):
        yield Arrangement(_permutation(way), partial(np.transpose, axes=way))


def _permutation(way: Sequence[int]) -> str:
    moved = [place for place, axis in enumerate(way) if axis != place]
    if len(way) == 2:
        return "transposed"
    if len(moved) == 2:
        return f"transposed: its axes {moved[0]} and {moved[1]} are exchanged"
    return f"transposed: its axes are in the order {tuple(way)}"


def _reversed(axes: Sequence[int], ndim: int) -> Iterator[Arrangement]:
    for count in range(1, len(axes) + 1):
        for chosen in combinations(axes, count):
            yield Arrangement(f"reversed{_along(chosen, ndim)}", partial(np.flip, axis=chosen))


def _along(axes: Sequence[int], ndim: int) -> str:
    if ndim == 1:
        return ""
    return f" along axis {axes[0]}" if len(axes) == 1 else f" along axes {', '.join(map(str, axes))}"


_FORTRAN = "in another order of elements: raveled or reshaped in Fortran order, or transposed before a reshape"
