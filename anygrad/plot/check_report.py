"""The picture of a check: claimed over numerical derivatives, and a map of where they differ."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from anygrad._typing import HostArray
from anygrad.plot._pyplot import load_pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROWS = 4  # arrays that still make a picture
_STRIP = 64  # elements of an array of one dimension in a row of its map
_SEARCHED = 1000  # elements among which the emptiest corner is soon found
_LEAST = -3.0
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
class _Row:
    """One array of the picture."""

    name: str
    claimed: HostArray
    numerical: HostArray
    tolerance: HostArray
    ratio: HostArray  # difference / tolerance
    states: HostArray  # the numbers of the verdicts

    @property
    def gravest(self) -> int:
        return int(np.min(self.states, initial=len(_VERDICTS) - 1))

    @property
    def decades(self) -> HostArray:
        """The logarithm of the ratio, clipped."""
        return np.asarray(np.log10(np.clip(self.ratio, 10**_LEAST, 1e12)))

    @property
    def parts(self) -> list[tuple[HostArray, HostArray]]:
        """The claimed and the numerical derivatives; of complex ones, the real and the imaginary parts."""
        if not (np.iscomplexobj(self.claimed) or np.iscomplexobj(self.numerical)):
            return [(self.claimed, self.numerical)]
        return [(self.claimed.real, self.numerical.real), (self.claimed.imag, self.numerical.imag)]

    def where(self, verdict: str) -> HostArray:
        return np.asarray(self.states == _VERDICTS.index(verdict))


def draw_report(report: Any) -> Figure:
    """Return a figure of a `CheckReport`, with a scatter plot and a map for each array, the worst first."""
    rows = sorted(_rows(report), key=lambda row: (row.gravest, -float(np.max(row.ratio, initial=0.0))))
    chosen, others = rows[:_ROWS], rows[_ROWS:]
    figure: Figure
    figure, axes = load_pyplot().subplots(
        len(chosen), 2, figsize=(10, 4.2 * len(chosen)), squeeze=False, layout="constrained", width_ratios=(1, 1.25)
    )
    worst = max(float(np.max(row.decades, initial=1.0)) for row in chosen)
    for (left, right), row in zip(axes, chosen, strict=True):
        _scatter(left, row)
        _map(figure, right, row, worst)
    heading = f"Verdict: {report.verdict}"
    if others:
        counts = Counter(_VERDICTS[row.gravest] for row in others)
        left_out = ", ".join(f"{verdict}: {counts[verdict]:,}" for verdict in _VERDICTS if counts[verdict])
        heading += f"\nthe {_ROWS} worst of {len(rows):,} arrays; {len(others):,} are left out ({left_out})"
    figure.suptitle(heading, fontweight="bold")
    return figure


def _rows(report: Any) -> list[_Row]:
    rows = [
        _Row(one.name, one.claimed, one.numerical, one.tolerance, one.ratio, states)
        for one, states in zip(report.comparisons, report.states, strict=True)
    ]
    if not report.directional:
        return rows
    fields = ("claimed", "numerical", "tolerance", "ratio", "states")
    return [_Row("directions", *(np.stack([getattr(row, field) for row in rows]) for field in fields))]


def _scatter(ax: Axes, row: _Row) -> None:
    """Draw the claimed derivatives over the numerical ones, with their tolerance and the line of equality."""
    finite = np.isfinite(row.claimed) & np.isfinite(row.numerical)
    tolerance = np.nan_to_num(row.tolerance, posinf=0.0)
    if np.any(finite):
        numbers = np.concatenate([part[finite] for pair in row.parts for part in pair])
        low, high = float(np.min(numbers)), float(np.max(numbers))
        apart = 0.0 if low < high else 0.1 * abs(low) or 1.0  # so that one number has a line beside it
        ends = low - apart, high + apart
        ax.plot(ends, ends, color="0.6", linewidth=1, zorder=0, label="equal")
    for verdict in reversed(_VERDICTS):
        there = row.where(verdict)
        if not np.any(there):
            continue
        shown, colour, hidden = there & finite, _COLOURS[verdict], int(np.sum(there & ~finite))
        label = f"{verdict}: {int(np.sum(there)):,}" + (f" ({hidden:,} not finite, not shown)" if hidden else "")
        for mark, (claimed, numerical) in zip(_MARKS, row.parts, strict=False):
            if np.any(shown):
                ax.errorbar(
                    numerical[shown], claimed[shown], xerr=tolerance[shown], fmt=mark, color=colour, markersize=4
                )
        ax.plot([], [], _MARKS[0], color=colour, markersize=4, label=label)
    ax.set_xlabel("numerical derivative")
    ax.set_ylabel("claimed derivative")
    marks = " (o: real parts, ^: imaginary parts)" if len(row.parts) > 1 else ""
    ax.set_title(row.name + marks, parse_math=False)
    if ax.get_legend_handles_labels()[1]:
        ax.legend(loc="best" if row.claimed.size < _SEARCHED else "upper left", fontsize="small")


def _map(figure: Figure, ax: Axes, row: _Row, worst: float) -> None:
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
        unsized = ~sized & (row.states < len(_VERDICTS))  # what is fixed stays blank
        other = _table(np.where(unsized, row.states, np.nan))
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
