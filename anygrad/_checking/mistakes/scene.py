"""What a mistake is looked for in, and what is said when it is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from anygrad._checking.mistakes.leaf import Leaf, joined


@dataclass(frozen=True)
class Size:
    """A number that sums and means of f may be over, and what it is in words."""

    number: int
    words: str


@dataclass(frozen=True, eq=False)
class Scene:
    """All arrays of the tree, those of them with wrong elements that nothing explains yet, and numbers to recognise."""

    leaves: Sequence[Leaf]
    unexplained: Sequence[Leaf]
    sizes: Sequence[Size]


@dataclass(frozen=True, eq=False)
class Explanation:
    """A mistake that explains all that is wrong in one array.

    Attributes
    ----------
    leaf
        The array.
    place
        Where in it the mistake is, in words.
    says
        What the mistake is: the same words for the same mistake in another array.
    """

    leaf: Leaf
    place: str
    says: str


Mistake = Callable[[Scene], Iterator[Explanation]]
# What a mistake is, in words, and the words for where it is in an array.
Verdict = tuple[str, Callable[[Leaf], str]]
Judge = Callable[[Leaf], Verdict | None]


def jointly_or_each(unexplained: Sequence[Leaf], judge: Judge) -> Iterator[Explanation]:
    """Find one mistake with one number in all arrays, for which small ones have too few elements, or else in each."""
    together = judge(joined(unexplained)) if len(unexplained) > 1 else None
    for leaf in unexplained:
        verdict = together or judge(leaf)
        if verdict is not None:
            says, where = verdict
            yield Explanation(leaf, where(leaf), says)


def number(value: complex, error: float) -> str:
    """Return the shortest number that is the same within its error, in no more than six digits."""
    if abs(value.imag) <= error:
        value = value.real
    written = [f"{value:.{digits}g}" for digits in range(1, 7)]
    return next((text for text in written if abs(complex(text) - value) <= error), written[-1])
