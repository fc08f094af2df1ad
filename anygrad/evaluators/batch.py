"""Calls of f with many points at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakSet

import numpy as np

from anygrad._typing import Array
from anygrad.backends.base import Memory, Points
from anygrad.evaluators.base import Calls, require_on_error
from anygrad.evaluators.chunking import ChunkCalls, require_room, validate_max_bytes

if TYPE_CHECKING:
    from anygrad.problem.problem import Problem

# Functions that have been seen to treat the points of a chunk each on its own: they are not looked at again.
_SEPARATING: WeakSet[Any] = WeakSet()


@dataclass(frozen=True)
class Batch:
    """Call f with many points at a time, along a leading axis.

    f is given an array of shape ``(k, *x.shape)`` and returns one of shape ``(k,)``, or ``(k, *shape)`` where it is to
    return arrays. Where x is a tree, each of its arrays has the leading axis; in `numerical_gradient_2d`, f is given
    ``(k, *X.shape[1:])``. k varies from call to call, and may be 1.

    Parameters
    ----------
    max_bytes
        How many bytes of points f may be given in one call; f itself may need several times as much. None chooses a
        number that is usually fastest: the points stay in the cache of a CPU (256 KiB on NumPy, 1 MiB on PyTorch,
        8 MiB on JAX), or keep a GPU busy (a 128th of its memory, 1 GiB at most; 256 MiB on other devices).

    on_error
        As in `Loop`. With ``"nan"``, if f raises for a chunk of points, it is called for each of them alone.

    Raises
    ------
    TypeError, ValueError
        If ``max_bytes`` is not a positive integer; when used, if one point takes more.
        If f does not return one value for each point, or if the value of a point depends on the others.

    See Also
    --------
    Vmap : the same for an f that is written for one point.

    Notes
    -----
    x itself is left alone: f must use its argument, which is a new array for each chunk.

    The first time that a function is given several points, the first of them is evaluated once more on its own, as one
    call that is counted like the others, and the values are compared: an f that forgets ``axis=-1`` in
    ``x / x.max()`` returns the right shape all the same. This is not noticed for lazy or traced arrays, nor
    where the difference is below rounding (1000 times the spacing of x's dtype) or a tenth of what points differ by.

    ``f0`` is f(x) without a leading axis; the extra output of ``has_aux`` is that of an x with one, of length 1.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> f = lambda x: (x**2).sum(axis=-1)
    >>> anygrad.numerical_gradient(f, np.array([3.0, 4.0]), evaluator=anygrad.Batch()).round(6)
    array([6., 8.])
    """

    max_bytes: int | None = None
    on_error: str = "raise"
    leading: ClassVar[bool] = True

    def __post_init__(self) -> None:
        validate_max_bytes("Batch", self.max_bytes)
        require_on_error("Batch", self.on_error)

    def open(self, problem: Problem) -> Calls:
        """Open a problem for sampling."""
        memory = problem.open_memory(in_place=False)
        require_room(memory, self.max_bytes)
        f, user_f = problem.of_points(), problem.function.f

        def call(points: Points) -> tuple[Any, Array]:
            given = memory.perturbed(points)
            return f(given), given

        return ChunkCalls(
            problem,
            memory,
            call=call,
            evaluator="Batch()",
            max_bytes=self.max_bytes,
            check=None if memory.lazy or _is_known(user_f) else _separation(user_f, memory),
            tolerant=self.on_error == "nan",
        )


def _is_known(f: object) -> bool:
    try:
        return f in _SEPARATING
    except TypeError:  # it has no hash
        return False


def _separation(f: object, memory: Memory) -> Callable[[Array, Callable[[], Array]], None]:
    """Return the check that each value is the one that f returns for the point alone."""

    def check(values: Array, alone: Callable[[], Array]) -> None:
        single = alone()
        with np.errstate(all="ignore"):
            differs = _differs(memory, values, single)
        # An f that is random differs from itself.
        if differs and bool(memory.xp.all(single == alone())):
            raise ValueError(
                f"f mixes points: it returned another value for the first of {values.shape[0]} points than for that"
                f" point alone (a difference of {_largest(memory, values[:1, ...] - single):.1e}). The first axis of"
                " its argument counts the points; let f work along the others, as in x.max(axis=-1, keepdims=True), or"
                " use Loop()"
            )
        try:
            _SEPARATING.add(f)
        except TypeError:  # it has no hash, or no weak references
            return

    return check


def _differs(memory: Memory, values: Array, single: Array) -> bool:
    """Return whether the first value is not the one alone: by more than rounding, and as much as points matter."""
    xp, first = memory.xp, values[:1, ...]
    finite = xp.isfinite(first)
    if bool(xp.any(finite != xp.isfinite(single))):
        return True
    difference = _largest(memory, xp.where(finite, first - single, 0.0))
    matter = min(_largest(memory, values - first), _largest(memory, first))
    # Values far below 1 may be the rest of terms that cancel.
    rounding = 1000 * memory.eps * max(1.0, _largest(memory, values))
    return difference > 0.1 * matter + rounding


def _largest(memory: Memory, values: Array) -> float:
    """Return the largest magnitude that is finite."""
    xp = memory.xp
    if not all(values.shape):
        return 0.0
    sizes = xp.abs(values)
    return float(xp.max(xp.where(xp.isfinite(sizes), sizes, 0.0)))
