"""One panel of a picture of curves: the lines of several runs on one pair of axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Steps = NDArray[np.int64]
Column = NDArray[np.float64]

COLOURS = (
    *("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"),
    *("#181a20", "#7a4a00"),
)
"""Stand apart for colour-blind eyes too. Source: Okabe and Ito (2008); their yellow, which
is hardly seen on white, is a brown here."""
DASHES: tuple[Literal["-", "--", ":"], ...] = ("-", "--", ":")
"""The next eight runs have the colours again, dashed, and then dotted."""
TICKS = (1, 2, 2.5, 5, 10)
"""What one may count in, times a power of ten."""
INK, GREY, PALE, GRID = "#181a20", "#555555", "#b0b0b0", "#ececec"
MOST_POINTS = 1000
"""Of a line twice as many are drawn at most: more than a panel has pixels."""
FEW_RUNS = 4
"""The raw lines of more cover each other."""
FEW_POINTS = 30
"""A line of no more has dots, so that a single step can be seen."""


@dataclass(frozen=True, slots=True)
class Look:
    """How the lines of a panel are drawn.

    is_smoothed  faint as they are, and strong as their exponential mean
    may_be_log   a log axis where they span decades
    from_zero    the axis begins at 0
    has_dots     a dot a point
    scale        what the values are multiplied by
    """

    is_smoothed: bool = False
    may_be_log: bool = False
    from_zero: bool = False
    has_dots: bool = False
    scale: float = 1.0


Line = tuple[int, Steps, Column]
"""Which run, and its points, all of them finite."""


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """What is in it; a run without a number has no line."""

    title: str
    look: Look
    lines: list[Line]


def colour(index: int) -> str:
    """The colour of a run."""
    return COLOURS[index % len(COLOURS)]


def dashes(index: int) -> Literal["-", "--", ":"]:
    """The line style of a run."""
    return DASHES[index // len(COLOURS) % len(DASHES)]


def plain(name: str) -> str:
    """A name that any font can be asked for: one line, no halves of characters."""
    return " ".join(name.encode("utf-8", "backslashreplace").decode().split())


def draw_panel(axes: Any, panel: Panel, *, over: int, runs: int) -> None:
    """Draws the lines of a panel on empty matplotlib axes.

    over  steps of the exponential mean, 0 or 1 = none; a mean of less than a tenth of them is
          left out
    runs  how many there are in the picture: of more than FEW_RUNS the raw lines are left out
    """
    look, bulks, strong = panel.look, [], []
    for index, steps, values in panel.lines:
        style: dict[str, Any] = {"color": colour(index), "zorder": 3}
        if look.is_smoothed and over > 1:
            if runs <= FEW_RUNS:
                faint = {"alpha": 0.3, "linewidth": 0.7, "zorder": 2}
                axes.plot(*thinned(steps, values), **{**style, **faint})
                bulks.append(np.quantile(values, (0.01, 0.99)))
            ripe = steps >= steps[0] + min(over, steps[-1] - steps[0]) / 10
            steps, values = steps[ripe], smoothed(steps, values, over=over)[ripe]
        strong.append(values)
        if look.has_dots or len(steps) <= FEW_POINTS:
            style |= {"marker": "o", "markersize": 3.5}
        axes.plot(*thinned(steps, values), linewidth=1.5, linestyle=dashes(index), **style)
    title = axes.set_title(plain(panel.title), loc="left", color=INK)
    title.set_parse_math(False)
    is_log = look.may_be_log and spans_decades(strong)
    _scale(axes, np.concatenate(strong + bulks), is_log=is_log, from_zero=look.from_zero)
    _clean(axes, is_log=is_log)


def spans_decades(lines: Sequence[Column]) -> bool:
    """Whether lines are better seen on a log axis: all is above 0, and far apart.

    Far apart is two decades for the bulk of the values, or three from the middle to the top: a
    schedule that ends near 0 alone is none.
    """
    if any(values.min() <= 0 for values in lines):
        return False
    low, middle, high, top = np.transpose(
        [np.quantile(values, (0.05, 0.5, 0.95, 1)) for values in lines]
    )
    return bool(high.max() >= 100 * low.min() or top.max() >= 1000 * middle.min())


def _scale(axes: Any, shown: Column, *, is_log: bool, from_zero: bool) -> None:
    """The limits of the axis: single raw values may lie outside them."""
    shown = shown[shown > 0] if is_log else shown
    low, high = float(shown.min()), float(shown.max())
    if is_log:
        axes.set_yscale("log")
        edge = (high / low) ** 0.05
        axes.set_ylim(low / edge, high * edge)
        return
    low = min(low, 0.0) if from_zero else low
    edge = 0.05 * (high - low) or 0.05 * abs(high) or 0.05
    axes.set_ylim(low if from_zero and low == 0 else low - edge, high + edge)


def _clean(axes: Any, *, is_log: bool) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator, NullFormatter, StrMethodFormatter

    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(PALE)
    axes.tick_params(which="both", color=PALE, labelcolor=GREY, labelsize=8)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=TICKS, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    if is_log:
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=TICKS))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def smoothed(steps: Steps, values: Column, *, over: float) -> Column:
    """(n,) the mean of each value and those before it, weighted by e^(-steps ago / `over`).

    steps   (n,) rising
    values  (n,) finite
    """
    sums = np.stack((values, np.ones_like(values)))
    means = np.empty_like(sums)
    carried, start = np.zeros((2, 1)), 0
    while start < len(steps):
        # e^30 is far below what a float holds, and 30 means on nothing of the past is left.
        stop = int(np.searchsorted(steps, steps[start] + 30.0 * over, side="right"))
        age = (steps[start:stop] - steps[start]) / over
        grown = np.cumsum(sums[:, start:stop] * np.exp(age), axis=1)
        means[:, start:stop] = (grown + carried) * np.exp(-age)
        if stop < len(steps):
            gap = (steps[stop] - steps[stop - 1]) / over
            carried = means[:, stop - 1 : stop] * np.exp(-gap)
        start = stop
    return np.asarray(means[0] / means[1])


def thinned(steps: Steps, values: Column) -> tuple[Steps, Column]:
    """At most about 2 MOST_POINTS of the points: first, last, and the extremes of every stretch."""
    count = len(values)
    if count <= 2 * MOST_POINTS:
        return steps, values
    size = -(-count // MOST_POINTS)
    rows = np.pad(values, (0, -count % size), mode="edge").reshape(-1, size)
    found = np.stack((rows.argmin(1), rows.argmax(1)), 1) + size * np.arange(len(rows))[:, None]
    kept = np.unique(np.minimum(np.append(found, (0, count - 1)), count - 1))
    return steps[kept], values[kept]
