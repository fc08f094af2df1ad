"""What travels between a pool and its workers: the target once, points as tasks, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np

from anygrad._typing import Array
from anygrad.evaluators._base import Target
from anygrad.evaluators._points import Points


@dataclass(eq=False)
class Parcel:
    """All that a worker needs to know of the target before it is given tasks.

    Attributes
    ----------
    target
        The target, as far as f and x are concerned.
    settings
        NumPy's error settings, under which f is called, and as ``call`` what they call.
    modes
        What other libraries keep for each thread, likewise.
    in_place
        Whether f is to see its x change through a closure, too.
    output_wanted
        Whether the caller wants to see something that f returned.
    """

    target: Target
    settings: Mapping[str, Any]
    modes: Mapping[str, object]
    in_place: bool
    output_wanted: bool = False


@dataclass(eq=False)
class Task:
    """Points for a worker.

    Attributes
    ----------
    start
        The number of the first one, among all that are to be evaluated.
    points
        The points.
    tolerant
        Whether the others go on where f raises at one of them.
    sent
        How often they have been sent. An engine that takes equal tasks for the same thing sees that they are not.
    deaths
        How often a worker has died while it had them.
    """

    start: int
    points: Points
    tolerant: bool = False
    sent: int = 0
    deaths: int = 0


@dataclass(eq=False)
class Raised:
    """An exception that f raised, pickled where it comes from another process; and the traceback there."""

    error: BaseException | bytes
    trace: str = ""


@dataclass(eq=False)
class Answer:
    """What became of a task.

    Attributes
    ----------
    pieces
        Of some of its points after the other, the values, or what f raised.
    seconds
        How long it took.
    output
        Something that f returned, pickled, if it is wanted and this is the first of the worker's answers.
    unopened
        Why the target could not be opened in the worker.
    start
        The task's own: a function like map may mix up whose answer it is.
    """

    pieces: Sequence[tuple[range, Array | Raised]] = ()
    seconds: float = 0.0
    output: bytes | None = None
    unopened: Raised | None = None
    start: int | None = None


def described(points: Points, shapes: Sequence[tuple[int, ...]], most: int = 4) -> str:
    """Name the elements that are set in points, and to what: by their indices in arrays of these shapes."""
    count = len(points.elements)
    numbers = points.numbers[: min(count, most)]
    named = [f"{_indexed(element, shapes)} = {_shown(numbers[i])}" for i, element in enumerate(points.elements[:most])]
    return ", ".join(named) + (f", and {count - most} others" if count > most else "")


def _shown(number: Any) -> str:
    return repr(complex(number) if "complex" in str(number.dtype) else float(number))


def _indexed(element: int, shapes: Sequence[tuple[int, ...]]) -> str:
    """Return the expression for an element, as of x or as of one of the arrays of x."""
    starts = [0, *accumulate(map(prod, shapes))]
    which = max(i for i, start in enumerate(starts[:-1]) if start <= element)
    index = ", ".join(str(int(i)) for i in np.unravel_index(element - starts[which], shapes[which]))
    array = "x" if len(shapes) == 1 else f"array {which} of x"
    return f"{array}[{index or '()'}] (element {element})"
