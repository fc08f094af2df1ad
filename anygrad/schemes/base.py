"""The scheme protocol: a scheme is given lines, and returns slopes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from array_api_compat import device

from anygrad._typing import Array, Namespace


@dataclass(eq=False)
class Lines:
    """Functions of one real number, to be differentiated side by side.

    For a gradient the i-th one is ``t -> f(x with its i-th element set to t)``; for a Jacobian the same, of p values;
    for a directional derivative there is one, ``t -> f(x + t v)``. The scheme decides where they are sampled; it
    knows neither ``f`` nor ``x`` nor the library of the arrays it is given, which are of the working precision
    (float64 wherever the device has it).

    What belongs to a line has shape (m, 1), what belongs to each of its p values has shape (m, p).

    Attributes
    ----------
    xp
        The array API namespace of all arrays here.
    at
        Where the derivatives are wanted, (m, 1).
    scale
        How large the numbers are that ``at`` belongs to, (m, 1): what "small step" is measured against.
    eps
        Spacing at 1 of the dtype in which the samples are taken.
    tiny
        Smallest positive number of that dtype.
    sample
        ``sample((t1, ..., tk))``, with t of shape (m, 1), samples each function at k points and returns k arrays of
        shape (m, p).
    base
        The values at ``at`` itself, (m, p) or (1, p): ``f(x)`` for all, evaluated once however often it is asked for.
    nearest
        Rounds points, (m, k) for any k, to the numbers that the dtype of ``x`` can hold.
    take
        ``take(indices)`` returns the lines of those indices, an integer array of shape (k,), alone.
    spread
        Brings a number or an array of x's shape to the shape (m, 1).
    any, all
        Whether any, or all, of the booleans in an array are true; False where looking would force a lazy computation.
    compose
        Makes complex points of their real and imaginary parts; None where f may not be sampled off the real axis.
    together
        ``together((t1, ..., tk))`` moves x along all lines at once, and returns k arrays of shape (1, p); None where
        that is not possible.
    shared
        Whether one call of f samples all of the lines at once: leaving some of them out then saves none.
    lazy
        Whether values cannot be looked at, as those of lazy and traced arrays: there are no branches on what they hold,
        and ``take`` cannot be used.
    lower, upper
        Between which numbers, inclusive, each function may be sampled, (m, 1); None where there is no bound. ``sample``
        moves points that lie outside by a rounding error.
    flags
        Whether the flags of `Slopes` are wanted.
    """

    xp: Namespace
    at: Array
    scale: Array
    eps: float
    tiny: float
    sample: Callable[[Sequence[Array]], Sequence[Array]]
    base: Callable[[], Array]
    nearest: Callable[[Array], Array]
    take: Callable[[Array], Lines]
    spread: Callable[[Array], Array]
    any: Callable[[Array], bool]
    all: Callable[[Array], bool]
    compose: Callable[[Array, Array], Array] | None = None
    together: Callable[[Sequence[Array]], Sequence[Array]] | None = None
    shared: bool = False
    lazy: bool = False
    lower: Array | None = None
    upper: Array | None = None
    flags: bool = True

    def numbers(self) -> Array:
        """Return 0, 1, ..., m - 1, an integer array where the lines are."""
        return self.xp.arange(self.at.shape[0], device=device(self.at))


@dataclass(eq=False)
class Slopes:
    """The derivatives of `Lines`.

    Attributes
    ----------
    value
        The derivatives, (m, p).
    step
        The steps taken, (m, 1).
    error
        An estimate of the absolute error of each value, (m, p); None if the scheme makes none.
    flags
        From a flag's name to a boolean array (m, p).
    levels
        At how many steps each line was sampled, (m, 1), as real numbers; None for schemes that always take one step.
    """

    value: Array
    step: Array
    error: Array | None = None
    flags: Mapping[str, Array] = field(default_factory=dict)
    levels: Array | None = None

    @classmethod
    def of(cls, change: Callable[..., Array], *parts: Slopes) -> Slopes:
        """Return slopes whose arrays are joined from the arrays of the parts."""
        errors = [part.error for part in parts if part.error is not None]
        levels = [part.levels for part in parts if part.levels is not None]
        return cls(
            value=change(*[part.value for part in parts]),
            step=change(*[part.step for part in parts]),
            error=change(*errors) if errors else None,
            flags={name: change(*[part.flags[name] for part in parts]) for name in parts[0].flags},
            levels=change(*levels) if levels else None,
        )

    def each(self, change: Callable[[Array], Array]) -> Slopes:
        """Return the slopes with the same done to every array."""
        return Slopes.of(change, self)

    def each_value(self, change: Callable[[Array], Array]) -> Slopes:
        """Return the slopes with the same done to every array but the steps."""
        return Slopes(
            value=change(self.value),
            step=self.step,
            error=None if self.error is None else change(self.error),
            flags={name: change(flag) for name, flag in self.flags.items()},
            levels=self.levels,
        )


def joined(xp: Namespace, blocks: Sequence[Slopes]) -> Slopes:
    """Return the slopes of all blocks of lines, one after the other."""
    return blocks[0] if len(blocks) == 1 else Slopes.of(lambda *arrays: xp.concat(list(arrays)), *blocks)


class Scheme(Protocol):
    """A frozen object that differentiates functions of one variable from samples of them.

    Attributes
    ----------
    samples_complex
        Whether f is sampled at complex points, off the real axis.
    inspects_values
        Whether f's values are looked at to find out where to sample next: the numbers of small arrays on a device are
        then computed with on the host.
    """

    @property
    def samples_complex(self) -> bool: ...

    @property
    def inspects_values(self) -> bool: ...

    def steps(self, lines: Lines, n: int = 1) -> Array:
        """Return the step that the n-th derivative of each line begins with, (m, 1)."""
        ...

    def differentiate(self, lines: Lines, steps: Array, n: int = 1) -> Slopes:
        """Sample ``lines``, beginning with ``steps``, and return their n-th derivatives at ``lines.at``."""
        ...

    def calls(self, m: int, n: int = 1) -> int:
        """Return how often f is called for the n-th derivatives of m lines; about how often, where that depends."""
        ...
