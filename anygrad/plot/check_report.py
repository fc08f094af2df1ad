"""The picture of a check: claimed over numerical derivatives, and a map of where they differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HostArray: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_ROWS = 4  # arrays that still make a picture
_STRIP = 64  # elements of an array of one dimension in a row of its map
_SEARCHED = 1000  # elements among which the emptiest corner is soon found
_LEAST = -3.0
_ALIKE = 1e-9  # numbers so close are drawn as one
# In the order of the verdicts' numbers in `CheckReport.states`, the gravest first.
_COLOURS = {
    "wrong": "#c43c2f",
    "nonfinite": "#1b1b1b",
    "kink": "#e8a317",
    "nondeterministic": "#7b4fa3",
    "noisy": "#2f9e8f",
    "inconclusive": "#8c8c8c",
    "agrees": "#1f6fb4",
}
_VERDICTS = tuple(_COLOURS)
_BY_SIZE = ("wrong", "agrees")  # whose colours in the map show the size of the difference
_MARKS = ("o", "^")  # of real parts, and of imaginary ones


@dataclass(frozen=True, eq=False)
class Row:
    """One array of the picture: ``ratio`` is difference / tolerance, ``states`` are the numbers of the verdicts."""

    name: str
    claimed: HostArray
    numerical: HostArray
    tolerance: HostArray
    ratio: HostArray
    states: HostArray

    @property
    def verdict(self) -> str:
        """The gravest of all elements."""
        return _VERDICTS[int(np.min(self.states, initial=len(_VERDICTS) - 1))]

    @property
    def gravity(self) -> tuple[int, float]:
        """What rows are sorted by, the worst first."""
        return _VERDICTS.index(self.verdict), -float(np.max(self.ratio, initial=0.0))

    @property
    def decades(self) -> HostArray:
        """The logarithm of the ratio, clipped."""
        decades: HostArray = np.log10(np.clip(self.ratio, 10**_LEAST, 1e12))
        return decades

    @property
    def parts(self) -> list[tuple[HostArray, HostArray]]:
        """The claimed and the numerical derivatives; of complex ones, the real and the imaginary parts."""
        if not (np.iscomplexobj(self.claimed) or np.iscomplexobj(self.numerical)):
            return [(self.claimed, self.numerical)]
        return [(self.claimed.real, self.numerical.real), (self.claimed.imag, self.numerical.imag)]

    def where(self, verdict: str) -> HostArray:
        """Return where a verdict holds."""
        there: HostArray = self.states == _VERDICTS.index(verdict)
        return there


def draw_report(report: Any) -> Figure:
    """Return a figure of a `CheckReport`, with a scatter plot and a map for each array, the worst first."""
    from matplotlib import pyplot  # noqa: PLC0415 - an extra, imported when a picture is drawn

    rows = sorted(_rows(report), key=lambda row: row.gravity)
    chosen, others = rows[:_ROWS], rows[_ROWS:]
    figure: Figure
    figure, axes = pyplot.subplots(
        len(chosen), 2, figsize=(10, 4.2 * len(chosen)), squeeze=False, layout="constrained", width_ratios=(1, 1.25)
    )
    worst = max(float(np.max(row.decades, initial=1.0)) for row in chosen)
    for (left, right), row in zip(axes, chosen, strict=True):
        _scatter(left, row)
        _map(figure, right, row, worst)
    heading = f"Verdict: {report.verdict}"
    figure.suptitle("\n".join([heading, *_left_out(others, len(rows))]), fontweight="bold")
    return figure


def _rows(report: Any) -> list[Row]:
    rows = [
        Row(one.name, one.claimed, one.numerical, one.tolerance, one.ratio, states)
        for one, states in zip(report.comparisons, report.states, strict=True)
    ]
    if not report.directional:
        return rows
    fields = ("claimed", "numerical", "tolerance", "ratio", "states")
    return [Row("directions", *(np.stack([getattr(row, field) for row in rows]) for field in fields))]


def _left_out(others: Sequence[Row], total: int) -> Iterator[str]:
    """Describe the arrays that are left out."""
    if others:
        verdicts = [row.verdict for row in others]
        counts = [f"{verdict}: {verdicts.count(verdict):,}" for verdict in _VERDICTS if verdict in verdicts]
        yield f"the {total - len(others)} worst of {total:,} arrays; {len(others):,} are left out ({', '.join(counts)})"


def _scatter(ax: Axes, row: Row) -> None:
    """Draw the claimed derivatives over the numerical ones, with their tolerance and the line of equality."""
    finite = np.isfinite(row.claimed) & np.isfinite(row.numerical)
    tolerance = np.nan_to_num(row.tolerance, posinf=0.0)
    if np.any(finite):
        ends = _ends(np.concatenate([part[finite] for pair in row.parts for part in pair]))
        ax.plot(ends, ends, color="0.6", linewidth=1, zorder=0, label="equal")
    for verdict in reversed(_VERDICTS):
        there = row.where(verdict)
        if not np.any(there):
            continue
        shown, colour = there & finite, _COLOURS[verdict]
        for mark, (claimed, numerical) in zip(_MARKS, row.parts, strict=False):
            if np.any(shown):
                ax.errorbar(
                    numerical[shown], claimed[shown], xerr=tolerance[shown], fmt=mark, color=colour, markersize=4
                )
        ax.plot([], [], _MARKS[0], color=colour, markersize=4, label=_label(verdict, there, shown))
    ax.set_xlabel("numerical derivative")
    ax.set_ylabel("claimed derivative")
    marks = " (o: real parts, ^: imaginary parts)" if len(row.parts) > 1 else ""
    ax.set_title(row.name + marks, parse_math=False)
    if ax.get_legend_handles_labels()[1]:
        ax.legend(loc="best" if row.claimed.size < _SEARCHED else "upper left", fontsize="small")


def _ends(numbers: HostArray) -> tuple[float, float]:
    """Return the smallest and the largest number; a little apart, if all are the same."""
    low, high = float(np.min(numbers)), float(np.max(numbers))
    apart = 0.0 if high - low > _ALIKE * abs(high) else 0.1 * abs(low) or 1.0
    return low - apart, high + apart


def _label(verdict: str, there: HostArray, shown: HostArray) -> str:
    hidden = int(np.sum(there & ~shown))
    return f"{verdict}: {int(np.sum(there)):,}" + (f" ({hidden:,} not finite, not shown)" if hidden else "")


def _map(figure: Figure, ax: Axes, row: Row, worst: float) -> None:
    """Draw the difference as a multiple of the tolerance, over the shape of the array; other verdicts by colour."""
    from matplotlib.colors import ListedColormap, Normalize, TwoSlopeNorm  # noqa: PLC0415 - an extra, as matplotlib is
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - likewise

    sized = row.where(_BY_SIZE[0]) | row.where(_BY_SIZE[1])
    table = _table(np.where(sized, row.decades, np.nan))
    size = TwoSlopeNorm(vcenter=0.0, vmin=_LEAST, vmax=worst)
    image = ax.imshow(table, cmap="RdBu_r", norm=size, aspect="auto", interpolation="nearest")
    bar = figure.colorbar(image, ax=ax)
    bar.set_label("difference / tolerance, as a power of 10; red: wrong")
    if not np.all(sized):
        other = _table(np.where(sized, np.nan, row.states))
        colours = ListedColormap(list(_COLOURS.values()))
        one_each = Normalize(-0.5, len(_VERDICTS) - 0.5)
        ax.imshow(other, cmap=colours, norm=one_each, aspect="auto", interpolation="nearest")
        bar.set_label("difference / tolerance, as a power of 10; red: wrong\n(other colours: as on the left)")
    shape = " x ".join(map(str, row.claimed.shape)) or "one number"
    ax.set_title(f"{row.name}: {shape}", parse_math=False)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(table) == 1:
        ax.set_yticks([])


def _table(array: HostArray) -> HostArray:
    """Return an array as a table: its last axis is kept, the others become rows; a long vector is cut into rows.

    An array without elements becomes one NaN, which is not shown.
    """
    if array.ndim > 1 and array.size:
        return array.reshape(-1, array.shape[-1])
    width = max(1, min(array.size, _STRIP))
    padded: HostArray = np.full(-(-max(1, array.size) // width) * width, np.nan)
    padded[: array.size] = array.reshape(-1)
    return padded.reshape(-1, width)
