"""The error of a derivative as a function of the step."""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from array_api_compat import array_namespace

from anygrad._typing import Array
from anygrad.evaluators import Evaluator, Loop
from anygrad.plot._pyplot import load_pyplot
from anygrad.problem.function import Function
from anygrad.problem.lines import element_lines
from anygrad.problem.options import Options, require_callable, require_count
from anygrad.problem.parameters import Parameters
from anygrad.problem.problem import Problem
from anygrad.schemes import Adaptive, Central, Lines, Scheme

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_AT_MOST = 4  # curves that can still be told apart


@dataclass(frozen=True, eq=False)
class Study:
    """How the error of one derivative depends on the step, as `anygrad.plot.study` returns it.

    Attributes
    ----------
    element
        The multi-index of the element of x.
    steps
        The steps, in units of x.
    errors
        With each of the steps, the distance of the derivative from ``value``.
    value, certainty
        The derivative by `anygrad.Adaptive`, and its estimated error: where ``errors`` are below that, they mean
        nothing.
    chosen_step, chosen_error
        The step that the scheme chooses without having seen f, and its error.
    """

    element: tuple[int, ...]
    steps: Sequence[float]
    errors: Sequence[float]
    value: float
    certainty: float
    chosen_step: float
    chosen_error: float


def step_study(
    f: Callable[[Any], object],
    x: Array,
    *,
    scheme: Scheme = Central(),
    elements: Sequence[int | tuple[int, ...]] | None = None,
    evaluator: Evaluator = Loop(),
    points: int = 60,
    ax: Axes | None = None,
) -> Axes:
    """Draw the error of a derivative against the step: a V of truncation on the right and rounding on the left.

    The error with each step is the distance from the result of `anygrad.Adaptive`. The estimated error of that is drawn
    as a dotted line, below which a curve means nothing. A circle marks the scheme's own choice.

    Parameters
    ----------
    f
        Function of x that returns one number.
    x
        One real floating array, as in `anygrad.numerical_gradient`.
    scheme
        The scheme: one with a step, such as `anygrad.Central` of any order, or `anygrad.Forward`.
    elements
        Elements of x: flat indices, or multi-indices. By default up to four, spread over x.
    evaluator
        How f is called.
    points
        How many steps, spread evenly on a logarithmic scale.
    ax
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes; ``ax.figure.savefig("study.png")`` saves the picture.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        As `anygrad.numerical_gradient`; TypeError if x is complex, or the scheme has no step; ValueError if ``points``
        is not an integer above 1.
    IndexError
        If x has no such element.

    See Also
    --------
    study : the numbers without the picture.

    Notes
    -----
    For each element f is called as often as the scheme calls it for ``points`` elements, plus the calls of
    `anygrad.Adaptive` for one: about 130 times by default.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> ax = anygrad.plot.step_study(lambda x: np.exp(x).sum(), np.array([0.5]))  # doctest: +SKIP
    """
    pyplot = load_pyplot()
    studies = study(f, x, scheme=scheme, elements=elements, evaluator=evaluator, points=points)
    if ax is None:
        _, ax = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for number, own in enumerate(studies):
        color = f"C{number}"
        least = max(own.certainty / 10, 1e-300)  # no error of 0 on a logarithmic scale
        label = "x" + (f"[{', '.join(map(str, own.element))}]" if own.element else "")
        ax.loglog(own.steps, [max(error, least) for error in own.errors], color=color, label=label)
        ax.axhline(own.certainty, color=color, linestyle=":", linewidth=1)
        ax.plot(own.chosen_step, max(own.chosen_error, least), "o", color=color, markeredgecolor="black", markersize=8)
    ax.set_xlabel("step")
    ax.set_ylabel("error of the derivative")
    name = type(scheme).__name__ + (f", order {scheme.order}" if hasattr(scheme, "order") else "")
    ax.set_title(f"{name}: error against step")
    if studies:
        ax.plot([], [], "o", color="none", markeredgecolor="black", markersize=8, label="the step that it chooses")
        ax.plot([], [], color="black", linestyle=":", linewidth=1, label="smaller errors cannot be seen")
        ax.legend()
    return ax


def study(
    f: Callable[[Any], object],
    x: Array,
    *,
    scheme: Scheme = Central(),
    elements: Sequence[int | tuple[int, ...]] | None = None,
    evaluator: Evaluator = Loop(),
    points: int = 60,
) -> list[Study]:
    """Return the numbers that `anygrad.plot.step_study` draws. The parameters are the same.

    Returns
    -------
    list of Study
        An entry for each element.

    Raises
    ------
    TypeError, ValueError, IndexError
        As `anygrad.plot.step_study`, which calls f as often.

    See Also
    --------
    step_study : draws these numbers.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> [study] = anygrad.plot.study(lambda x: np.exp(x).sum(), np.array([0.5]))
    >>> bool(study.chosen_error < 1e-9 < study.errors[-1])
    True
    """
    require_callable(f)
    require_count(points, "points")
    parameters = Parameters.of_array(x, "x")
    [array], [shape] = parameters.arrays, parameters.shapes
    if not array_namespace(array).isdtype(array.dtype, "real floating"):
        raise TypeError(
            "x is complex, but a real array was expected: write f as a function of its real and imaginary parts"
        )
    chosen = _flat(elements, shape)
    with Problem(Function(f), parameters, Options("step_study", scheme, evaluator)) as problem:
        return [_study(problem, element, shape, points) for element in chosen]


def _study(problem: Problem, element: int, shape: tuple[int, ...], points: int) -> Study:
    scheme, lines = problem.scheme, element_lines(problem, range(element, element + 1))
    best = Adaptive().differentiate(lines, Adaptive().steps(lines))
    own_step = scheme.steps(lines)
    own = scheme.differentiate(lines, own_step)
    scale = max(1.0, abs(float(lines.at[0, 0])))
    smallest = math.log10(100 * lines.eps)  # below, the points of a step hardly differ
    steps = [scale * 10.0 ** (smallest * (1 - i / (points - 1))) for i in range(points)]
    slopes = [_with_step(scheme, lines, step) for step in steps]
    value = float(best.value[0, 0])
    return Study(
        element=_multi_index(element, shape),
        steps=steps,
        errors=[abs(slope - value) for slope in slopes],
        value=value,
        certainty=math.inf if best.error is None else float(best.error[0, 0]),
        chosen_step=float(own_step[0, 0]),
        chosen_error=abs(float(own.value[0, 0]) - value),
    )


def _with_step(scheme: Scheme, lines: Lines, step: float) -> float:
    if scheme.samples_complex or not hasattr(scheme, "step"):
        raise TypeError(f"scheme is {scheme!r}, but a finite difference was expected, such as anygrad.Central()")
    given: Any = dataclasses.replace(scheme, step=step)  # type: ignore[type-var]
    return float(given.differentiate(lines, given.steps(lines)).value[0, 0])


def _flat(elements: Sequence[int | tuple[int, ...]] | None, shape: tuple[int, ...]) -> list[int]:
    """Return elements as flat indices in C order."""
    size = math.prod(shape)
    if elements is None:
        count = min(size, _AT_MOST)
        return [i * (size - 1) // max(1, count - 1) for i in range(count)]
    try:
        flat = [operator.index(np.ravel_multi_index(it, shape) if isinstance(it, tuple) else it) for it in elements]
    except TypeError:
        raise TypeError(
            f"elements is {elements!r:.60}, but a list of integers or multi-indices was expected, as in [(0, 1)]"
        ) from None
    except ValueError:  # a multi-index lies outside, or has another number of dimensions
        flat = [-1]
    if not all(0 <= element < size for element in flat):
        raise IndexError(f"elements is {elements!r:.60}, but x has the shape {shape}: give indices of its elements")
    return flat


def _multi_index(element: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(element, shape)) if shape else ()
