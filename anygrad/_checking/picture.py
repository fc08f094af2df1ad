"""A report as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from anygrad._checking.comparison import Comparison, HostArray, joined
from anygrad._checking.judgement import VERDICTS, verdict_of
from anygrad._checking.report import CheckReport
from anygrad.plot._figure import pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROWS = 4  # arrays that still make a picture
_STRIP = 64  # elements of an array of one dimension in a row of its map
_SEARCHED = 1000  # elements among which the emptiest corner is soon found
_LEAST = -3.0
_COLOURS = {
    "wrong": "#c43c2f",
    "nonfinite": "#1b1b1b",
    "kink": "#e8a317",
    "nondeterministic": "#7b4fa3",
    "noisy": "#2f9e8f",
    "inconclusive": "#8c8c8c",
    "agrees": "#1f6fb4",
}
_BY_SIZE = ("wrong", "agrees")  # whose colours in a map say how far they are off
_MARKS = ("o", "^")  # of real parts, and of imaginary ones


@dataclass(frozen=True, eq=False)
class Row:
    """An array of the picture: what was compared, and what each of its elements is, as an index into `VERDICTS`."""

    comparison: Comparison
    states: HostArray

    @property
    def verdict(self) -> str:
        """The gravest of all."""
        return verdict_of([self.states])

    @property
    def gravity(self) -> tuple[int, float]:
        """What rows are sorted by, the worst first."""
        return VERDICTS.index(self.verdict), -float(np.max(self.comparison.ratio, initial=0.0))

    def having(self, verdict: str) -> HostArray:
        """Return where the elements are what a verdict says."""
        there: HostArray = self.states == VERDICTS.index(verdict)
        return there


def drawn(report: CheckReport) -> Figure:
    """Return a figure with a row for each array, those first that are most wrong: a scatter plot and a map."""
    rows = sorted(_rows(report), key=lambda row: row.gravity)
    chosen, others = rows[:_ROWS], rows[_ROWS:]
    figure: Figure
    figure, axes = pyplot().subplots(
        len(chosen), 2, figsize=(10, 4.2 * len(chosen)), squeeze=False, layout="constrained", width_ratios=(1, 1.25)
    )
    worst = max(float(np.max(_decades(row.comparison), initial=1.0)) for row in chosen)
    for (left, right), row in zip(axes, chosen, strict=True):
        _scatter(left, row)
        _map(figure, right, row, worst)
    heading = f"{report.verdict}: claimed against numerical"
    figure.suptitle("\n".join([heading, *_left_out(others, len(rows))]), fontweight="bold")
    return figure


def _rows(report: CheckReport) -> list[Row]:
    if report.directional:
        return [Row(joined("directions", report.comparisons), np.stack(report.states))]
    return [Row(*pair) for pair in zip(report.comparisons, report.states, strict=True)]


def _left_out(others: Sequence[Row], total: int) -> Iterator[str]:
    """Say what there is no room for."""
    if others:
        verdicts = [row.verdict for row in others]
        counts = [f"{verdict}: {verdicts.count(verdict):,}" for verdict in VERDICTS if verdict in verdicts]
        yield f"the {total - len(others)} worst of {total:,} arrays; {len(others):,} are left out ({', '.join(counts)})"


def _scatter(ax: Axes, row: Row) -> None:
    """Draw what is claimed over what was found, with the errors of both and the line on which they are equal."""
    comparison = row.comparison
    parts = _parts(comparison)
    finite = np.isfinite(comparison.claimed) & np.isfinite(comparison.numerical)
    tolerance = np.nan_to_num(comparison.tolerance, posinf=0.0)
    if np.any(finite):
        ends = _ends(np.concatenate([part[finite] for pair in parts for part in pair]))
        ax.plot(ends, ends, color="0.6", linewidth=1, zorder=0, label="equal")
    for verdict in reversed(VERDICTS):
        there = row.having(verdict)
        if not np.any(there):
            continue
        shown, colour = there & finite, _COLOURS[verdict]
        for mark, (claimed, numerical) in zip(_MARKS, parts, strict=False):
            if np.any(shown):
                ax.errorbar(
                    numerical[shown], claimed[shown], xerr=tolerance[shown], fmt=mark, color=colour, markersize=4
                )
        ax.plot([], [], _MARKS[0], color=colour, markersize=4, label=_label(verdict, there, shown))
    ax.set_xlabel("numerical")
    ax.set_ylabel("claimed")
    marks = " (o: real parts, ^: imaginary parts)" if len(parts) > 1 else ""
    ax.set_title(comparison.name + marks, parse_math=False)
    if ax.get_legend_handles_labels()[1]:
        ax.legend(loc="best" if comparison.claimed.size < _SEARCHED else "upper left", fontsize="small")


def _ends(numbers: HostArray) -> tuple[float, float]:
    """Return between which numbers all of them are; a little apart, if all are the same."""
    low, high = float(np.min(numbers)), float(np.max(numbers))
    apart = 0.0 if low < high else 0.1 * abs(low) or 1.0
    return low - apart, high + apart


def _label(verdict: str, there: HostArray, shown: HostArray) -> str:
    hidden = int(np.sum(there & ~shown))
    return f"{verdict}: {int(np.sum(there)):,}" + (f" ({hidden:,} not finite, not shown)" if hidden else "")


def _map(figure: Figure, ax: Axes, row: Row, worst: float) -> None:
    """Draw the difference as a multiple of what is tolerated, over the shape of the array; or else the verdict."""
    from matplotlib.colors import ListedColormap, Normalize, TwoSlopeNorm  # noqa: PLC0415 - an extra, as matplotlib is
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - an extra, as matplotlib is

    comparison = row.comparison
    sized = row.having(_BY_SIZE[0]) | row.having(_BY_SIZE[1])
    table = _table(np.where(sized, _decades(comparison), np.nan))
    size = TwoSlopeNorm(vcenter=0.0, vmin=_LEAST, vmax=worst)
    image = ax.imshow(table, cmap="RdBu_r", norm=size, aspect="auto", interpolation="nearest")
    bar = figure.colorbar(image, ax=ax)
    bar.set_label("log10(difference / tolerance): red is wrong")
    if not np.all(sized):
        other = _table(np.where(sized, np.nan, row.states))
        colours = ListedColormap([_COLOURS[verdict] for verdict in VERDICTS])
        one_each = Normalize(-0.5, len(VERDICTS) - 0.5)
        ax.imshow(other, cmap=colours, norm=one_each, aspect="auto", interpolation="nearest")
        bar.set_label("log10(difference / tolerance): red is wrong\n(other colours: as on the left)")
    shape = " x ".join(map(str, comparison.claimed.shape)) or "one number"
    ax.set_title(f"{comparison.name}: {shape}", parse_math=False)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(table) == 1:
        ax.set_yticks([])


def _decades(comparison: Comparison) -> HostArray:
    decades: HostArray = np.log10(np.clip(comparison.ratio, 10**_LEAST, 1e12))
    return decades


def _table(array: HostArray) -> HostArray:
    """Return an array as a table: its last axis as it is, the others one after the other; a long one in rows.

    One that has no elements is a table of one that is not shown.
    """
    if array.ndim > 1 and array.size:
        return array.reshape(-1, array.shape[-1])
    width = max(1, min(array.size, _STRIP))
    padded: Any = np.full(-(-max(1, array.size) // width) * width, np.nan)
    padded[: array.size] = array.reshape(-1)
    table: HostArray = padded.reshape(-1, width)
    return table


def _parts(comparison: Comparison) -> list[tuple[HostArray, HostArray]]:
    """Return what is claimed and what was found as such; of complex numbers, the real and the imaginary parts."""
    both = comparison.claimed, comparison.numerical
    if not any(map(np.iscomplexobj, both)):
        return [both]
    return [(both[0].real, both[1].real), (both[0].imag, both[1].imag)]
