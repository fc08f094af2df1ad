"""What `check_gradient` returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from anygrad._checking.comparison import Comparison, HostArray
from anygrad._checking.taylor import Taylor

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Element:
    """One derivative that was checked.

    Attributes
    ----------
    name
        The element, as in ``x['W'][0, 3]``.
    verdict
        What was found of it, one of the verdicts of `CheckReport`.
    claimed, numerical
        The derivative as claimed and as found.
    error
        How far the two may be apart for all that is known of the errors of both.
    ratio
        How far they are apart, as a multiple of that.
    """

    name: str
    verdict: str
    claimed: complex
    numerical: complex
    error: float
    ratio: float


@dataclass(frozen=True, eq=False)
class CheckReport:
    """Whether a derivative is right, and if not, why not. True if it agrees; printed, it is a paragraph and a table.

    Attributes
    ----------
    verdict
        ``agrees``: what is claimed is what is found, as far as the errors of both allow. ``wrong``: some of it is not.
        ``kink``: f has no derivative at x, or jumps; what is claimed lies between the slopes on both sides.
        ``nonfinite``: f, or its derivative, is NaN or infinite. ``nondeterministic``, ``noisy``: f varies too much from
        call to call, or from point to point, to tell. ``inconclusive``: the error is too large to tell, for another
        reason. The gravest that holds for any element.
    worst
        The elements that say most, the worst first.
    counts
        From a verdict to the number of elements of which it holds; along directions, to that of directions.
    arrays
        The same for each array, by its name; empty along directions, which go through all of them.
    hints
        What the mistake may be, if the data show one of the common ones.
    remarks
        What else is to be known.
    taylor
        The Taylor test along a random direction; None for a Hessian, or where f is not finite.
    comparisons
        All that was compared, an entry for each array; along directions, for each direction.
    states
        What each element of these is: 0 for ``wrong``, 1 for ``nonfinite``, 2 for ``kink``, 3 for ``nondeterministic``,
        4 for ``noisy``, 5 for ``inconclusive``, 6 for ``agrees``.
    directional
        Whether it was checked along directions.
    ncalls, claim_ncalls
        How often f was called, and what is claimed.
    seconds
        How long it took.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> report = anygrad.check_gradient(lambda x: np.abs(x).sum(), np.sign, np.array([0.0, 1.0]))
    >>> bool(report), report.verdict, report.counts
    (False, 'kink', {'kink': 1, 'agrees': 1})
    """

    verdict: str
    worst: Sequence[Element]
    counts: Mapping[str, int]
    arrays: Mapping[str, Mapping[str, int]]
    hints: Sequence[str]
    remarks: Sequence[str]
    taylor: Taylor | None
    comparisons: Sequence[Comparison]
    states: Sequence[HostArray]
    directional: bool
    ncalls: int
    claim_ncalls: int
    seconds: float

    def __bool__(self) -> bool:
        """Return whether it agrees."""
        return self.verdict == "agrees"

    def __str__(self) -> str:
        """Return a paragraph, and a table of the worst elements."""
        from anygrad._checking.text import described  # noqa: PLC0415 - it needs this class

        return described(self)

    __repr__ = __str__

    def as_dict(self) -> dict[str, Any]:
        """Return what can be written as JSON: all but the arrays; complex numbers as pairs."""
        return {
            "verdict": self.verdict,
            "worst": [
                {**asdict(one), "claimed": _plain(one.claimed), "numerical": _plain(one.numerical)}
                for one in self.worst
            ],
            "counts": dict(self.counts),
            "arrays": {name: dict(counts) for name, counts in self.arrays.items()},
            "hints": list(self.hints),
            "remarks": list(self.remarks),
            "taylor": None if self.taylor is None else asdict(self.taylor),
            "ncalls": self.ncalls,
            "claim_ncalls": self.claim_ncalls,
            "seconds": self.seconds,
        }

    def plot(self) -> Figure:
        """Draw what is claimed against what was found, and the error over each array; of many, over the four worst.

        Colours are those of the verdicts. Of complex numbers real and imaginary parts are drawn.

        Returns
        -------
        matplotlib.figure.Figure
            The figure; ``report.plot().savefig("check.png")`` saves it.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        from anygrad._checking.picture import drawn  # noqa: PLC0415 - pictures are wanted rarely

        return drawn(self)


def _plain(number: complex) -> float | list[float]:
    return number if isinstance(number, float) else [number.real, number.imag]
