"""What there is to do, and how the user wants it done."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from anygrad._typing import Array, ProgressCallback
from anygrad._validate import require_bounds, require_evaluator, require_number, require_scheme
from anygrad.backends import Opener
from anygrad.evaluators import Evaluator
from anygrad.schemes import Central, ReferenceStep, Scheme


@dataclass(eq=False)
class Options:
    """What the user chose, checked: the keyword arguments that all operators share, and what else makes the plan."""

    scheme: Scheme
    evaluator: Evaluator
    bounds: tuple[Any, Any] | None = None
    f0: Any = None
    has_aux: bool = False
    progress: bool | ProgressCallback = False
    full_output: bool = False
    plan: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_scheme(self.scheme)
        require_evaluator(self.evaluator)
        require_bounds(self.bounds, self.scheme)
        # Replaced for one array of a tree, the scheme is its own; the plan is that of all.
        self.plan = {"scheme": self.scheme, "bounds": self.bounds, **self.plan}


@dataclass(eq=False)
class Job:
    """A function of one array, and where and how to differentiate it; the array's name in the user's words.

    In a batch, f is a function of one row. If it is a vector function, it returns several arrays. ``arrays`` are all
    those of x by their names, if there are others.
    """

    name: str
    f: Callable[[Any], object]
    x: Array
    backend: Opener
    options: Options
    bounds: tuple[Any, Any] = (None, None)
    batch: bool = False
    vector: bool = False
    arrays: Mapping[str, Array] | None = None

    def calls(self) -> int:
        """Return how often f will be called, f(x) included."""
        samples = self.x.shape[0] if self.batch else 1
        return samples * self.options.scheme.calls(math.prod(self.x.shape[1:] if self.batch else self.x.shape))


_REFERENCE = Central(order=2, step=ReferenceStep())


def reference_scheme(h: float | None, scheme: Scheme | None) -> Scheme:
    """Return the scheme; h stands for the reference's with that step, and neither for the reference's own."""
    if h is not None and scheme is not None:
        raise ValueError(f"both h={h!r} and scheme={scheme!r} are given: give the step to the scheme, as its step=")
    if scheme is not None:
        return scheme
    if h is None:
        return _REFERENCE
    require_number(h)
    return Central(order=2, step=h)
