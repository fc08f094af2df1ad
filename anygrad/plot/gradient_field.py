"""The gradient of a function of two variables, as arrows over its contours."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from anygrad._typing import HostArray
from anygrad.backends.base import Points
from anygrad.evaluators import Evaluator, Loop
from anygrad.operators.gradient import numerical_gradient_2d
from anygrad.plot._pyplot import load_pyplot
from anygrad.problem.function import Function
from anygrad.problem.options import Options, reference_scheme, require_callable, require_count
from anygrad.problem.parameters import Parameters
from anygrad.problem.problem import Problem
from anygrad.schemes import Scheme

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DIRECTIONS = {"descent": (-1.0, "negative gradient"), "ascent": (1.0, "gradient")}
_LEVELS = 14  # of contours
_LONGEST = 1.1  # arrow, in distances between two of them
_CUT = 2.0  # times the length that nine of ten do not exceed: near a pole, all others would be dots
_ARROWS = {"color": "#16262e", "width": 0.0035, "headwidth": 3.6}


def gradient_field(
    f: Callable[[Any], object],
    xlim: tuple[float, float],
    ylim: tuple[float, float],
    *,
    points: int = 21,
    direction: Literal["descent", "ascent"] = "descent",
    lengths: Literal["proportional", "equal"] = "proportional",
    contours: int = 81,
    scheme: Scheme | None = None,
    evaluator: Evaluator = Loop(),
    ax: Axes | None = None,
) -> Axes:
    """Draw the gradient of a function of two variables as arrows, over its contours.

    Parameters
    ----------
    f
        Function of a NumPy array of shape (2,), float64, that returns one number; of shape (k, 2) for
        `anygrad.Batch`.
    xlim, ylim
        The ranges of ``x[0]``, drawn to the right, and of ``x[1]``, drawn upwards.
    points
        The number of arrows along each side. Their tails are at the points.
    direction
        ``"descent"``: arrows show the negative gradient, downhill to a minimum. ``"ascent"``: the gradient.
    lengths
        ``"proportional"`` to the gradient, or ``"equal"``.
    contours
        The number of points along each side at which f is evaluated for its contours; 0 for none.
    scheme, evaluator
        As in `anygrad.numerical_gradient`.
    ax
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes; ``ax.figure.savefig("field.png")`` saves the picture.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If the limits, ``points``, ``contours`` or ``direction`` are not as above; as `anygrad.numerical_gradient`.

    See Also
    --------
    step_study : the error of a derivative against the step.

    Notes
    -----
    All arrows have one scale: the longest is about as long as the distance between neighbouring arrows. Arrows longer
    than twice the length that nine of ten do not exceed are cut to it. ``lengths="equal"`` shows directions
    alone, for functions whose gradient varies a lot in size. Contours are at quantiles of f, so that each band covers
    the same area of the picture.

    Where f or its gradient is NaN or infinite there is no arrow and no contour. NumPy's warnings of that are off.
    With the default scheme f is called ``4 * points**2 + contours**2`` times.

    The picture is that of K. Saito, *Deep Learning from Scratch* (O'Reilly Japan, 2016), section 4.4, which draws the
    negative gradient as well.

    Examples
    --------
    >>> import anygrad
    >>> ax = anygrad.plot.gradient_field(
    ...     lambda x: x[0] ** 2 + x[1] ** 2, (-2, 2), (-2, 2)
    ... )  # doctest: +SKIP
    """
    pyplot = load_pyplot()
    require_callable(f)
    for name, word, words in ("direction", direction, _DIRECTIONS), ("lengths", lengths, ("proportional", "equal")):
        if word not in words:
            raise ValueError(f"{name} is {word!r:.60}, but {' or '.join(map(repr, words))} was expected")
    across, upwards = _interval(xlim, "xlim"), _interval(ylim, "ylim")
    require_count(points, "points")
    require_count(contours, "contours", zero=True)
    tails, fine = (_Grid(np.linspace(*across, n), np.linspace(*upwards, n)) for n in (points, contours))
    with np.errstate(all="ignore"):  # where f is not defined, there is nothing to draw
        gradient = numerical_gradient_2d(f, tails.points, scheme=scheme, evaluator=evaluator)
        values = _values(f, fine, evaluator) if contours else None
    if ax is None:
        _, ax = pyplot.subplots(figsize=(6, 6), layout="constrained")
    if values is not None:
        _draw_contours(ax, fine, values)
    sign, title = _DIRECTIONS[direction]
    _draw_arrows(ax, tails, sign * gradient, equal=lengths == "equal")
    ax.set(xlim=across, ylim=upwards, xlabel="x[0]", ylabel="x[1]", title=title)
    if 1 / 3 <= (across[1] - across[0]) / (upwards[1] - upwards[0]) <= 3:
        ax.set_aspect("equal")  # so that arrows are seen to be perpendicular to contours
    return ax


@dataclass(frozen=True, eq=False)
class _Grid:
    """The points of a grid: all pairs of an x[0] and an x[1]."""

    across: HostArray
    upwards: HostArray

    @property
    def points(self) -> HostArray:
        """All points, one a row, in the order of the rows of the grid."""
        return np.stack([part.ravel() for part in np.meshgrid(self.across, self.upwards)], axis=1)


def _values(f: Callable[[Any], object], grid: _Grid, evaluator: Evaluator) -> HostArray:
    """Return f at the points of a grid, in its rows and columns."""
    options = Options("gradient_field", reference_scheme(None, None), evaluator)
    with Problem(Function(f), Parameters.of_array(grid.points, "x", rows=True), options) as problem:
        # A point is its x[0] set to the number that it is already: so its evaluator has many side by side.
        firsts = np.arange(0, problem.memory.size, 2)
        values = problem.values(Points(firsts, problem.memory.elements(firsts)[:, None], 0))
    return np.asarray(values).reshape(len(grid.upwards), len(grid.across))


def _draw_contours(ax: Axes, grid: _Grid, values: HostArray) -> None:
    """Draw contours at quantiles of f, so that they show f on every scale."""
    from matplotlib import colormaps  # noqa: PLC0415 - an extra, imported when a picture is drawn

    finite = values[np.isfinite(values)]
    levels = np.unique(np.quantile(finite, np.linspace(0, 1, _LEVELS + 1))) if finite.size else finite
    if len(levels) < 2:  # f is constant, or nowhere finite
        return
    shown = np.ma.masked_invalid(values)
    colours = colormaps["GnBu_r"](np.linspace(0.25, 0.95, len(levels) - 1))
    ax.contourf(grid.across, grid.upwards, shown, levels=levels, colors=colours)
    ax.contour(
        grid.across, grid.upwards, shown, levels=levels[1:-1], colors="white", linewidths=0.8, linestyles="solid"
    )


def _draw_arrows(ax: Axes, grid: _Grid, arrows: HostArray, *, equal: bool) -> None:
    """Draw arrows that are not much longer than the distance between two points."""
    cell = np.array([grid.across[1] - grid.across[0], grid.upwards[1] - grid.upwards[0]])
    lengths = np.hypot(*(arrows / cell).T)[:, None]  # np.hypot squares nothing, so it does not overflow
    finite = lengths[np.isfinite(lengths)]
    usual = float(np.quantile(finite, 0.9)) if finite.size else 0.0
    longest = 1.0 if equal else min(float(np.max(finite, initial=0.0)), _CUT * usual) or 1.0
    with np.errstate(all="ignore"):
        cut = (lengths > 0) if equal else (lengths > longest)
        shown = np.ma.masked_invalid(arrows * np.where(cut, longest / lengths, 1.0))
    scale = longest / _LONGEST
    ax.quiver(*grid.points.T, *shown.T, angles="xy", scale_units="xy", scale=scale, zorder=3, **_ARROWS)


def _interval(limits: Sequence[float], name: str) -> tuple[float, float]:
    try:
        low, high = map(float, limits)
    except (TypeError, ValueError):
        low, high = math.nan, math.nan
    if not -math.inf < low < high < math.inf:
        raise ValueError(f"{name} is {limits!r:.60}, but a lower and a higher number were expected, such as (-2, 2)")
    return low, high
