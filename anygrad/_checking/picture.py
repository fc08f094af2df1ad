"""A report as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from anygrad._checking.comparison import Comparison, HostArray, joined
from anygrad._checking.report import CheckReport
from anygrad.plot._figure import pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROWS = 4  # arrays that still make a picture
_STRIP = 64  # elements of an array of one dimension in a row of its map
_LEAST = -3.0
_BLUE, _RED = "#1f6fb4", "#c43c2f"


def drawn(report: CheckReport) -> Figure:
    """Return a figure with a row for each array, those first that are most wrong: a scatter plot and a map."""
    ordered = sorted(report.comparisons, key=lambda one: -float(np.max(one.ratio, initial=0.0)))
    chosen = [joined("directions", report.comparisons)] if report.directional else ordered[:_ROWS]
    figure: Figure
    figure, axes = pyplot().subplots(
        len(chosen), 2, figsize=(10, 4.2 * len(chosen)), squeeze=False, layout="constrained", width_ratios=(1, 1.25)
    )
    worst = max(float(np.max(_decades(one), initial=1.0)) for one in chosen)
    for (left, right), comparison in zip(axes, chosen, strict=True):
        _scatter(left, comparison)
        _map(figure, right, comparison, worst)
    figure.suptitle(f"{report.verdict}: claimed against numerical", fontweight="bold")
    return figure


def _scatter(ax: Axes, comparison: Comparison) -> None:
    """Draw what is claimed over what was found, with the errors of both and the line on which they are equal."""
    claimed, numerical = (_real(array).reshape(-1) for array in (comparison.claimed, comparison.numerical))
    finite = np.isfinite(claimed) & np.isfinite(numerical)
    wrong = comparison.wrong.reshape(-1) & finite
    tolerance = np.nan_to_num(comparison.tolerance.reshape(-1), posinf=0.0)
    ends = [np.min(numerical[finite], initial=np.inf), np.max(numerical[finite], initial=-np.inf)]
    if np.any(finite):
        ax.plot(ends, ends, color="0.6", linewidth=1, zorder=0, label="equal")
    for mask, colour, label in ((finite & ~wrong, _BLUE, "agrees"), (wrong, _RED, "wrong")):
        if np.any(mask):
            ax.errorbar(
                numerical[mask], claimed[mask], xerr=tolerance[mask], fmt="o", color=colour, markersize=4, label=label
            )
    ax.set_xlabel("numerical")
    ax.set_ylabel("claimed")
    ax.set_title(comparison.name)
    if ax.get_legend_handles_labels()[1]:
        ax.legend(loc="upper left", fontsize="small")


def _map(figure: Figure, ax: Axes, comparison: Comparison, worst: float) -> None:
    """Draw the difference as a multiple of what is tolerated, over the shape of the array."""
    from matplotlib.colors import TwoSlopeNorm  # noqa: PLC0415 - an extra, imported when a picture is wanted
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - an extra, imported when a picture is wanted

    table = _table(_decades(comparison))
    norm = TwoSlopeNorm(vcenter=0.0, vmin=_LEAST, vmax=worst)
    image = ax.imshow(table, cmap="RdBu_r", norm=norm, aspect="auto", interpolation="nearest")
    bar = figure.colorbar(image, ax=ax)
    bar.set_label("log10(difference / tolerance): red is wrong")
    shape = " x ".join(map(str, comparison.claimed.shape)) or "one number"
    ax.set_title(f"{comparison.name}: {shape}")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    if len(table) == 1:
        ax.set_yticks([])


def _decades(comparison: Comparison) -> HostArray:
    decades: HostArray = np.log10(np.clip(comparison.ratio, 10**_LEAST, 1e12))
    return decades


def _table(array: HostArray) -> HostArray:
    """Return an array as a table: its last axis as it is, the others one after the other; a long one in rows."""
    if array.ndim > 1:
        return array.reshape(-1, array.shape[-1])
    width = max(1, min(array.size, _STRIP))
    padded: Any = np.full(-(-max(1, array.size) // width) * width, np.nan)
    padded[: array.size] = array.reshape(-1)
    table: HostArray = padded.reshape(-1, width)
    return table


def _real(array: HostArray) -> HostArray:
    """Return numbers as such; complex ones by their magnitude."""
    return np.abs(array) if np.iscomplexobj(array) else array
