"""How training runs went, in panels: losses, scores, learning rate and speed; a colour a run."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from atrous.draw.panels import (
    GREY,
    Column,
    Line,
    Look,
    Panel,
    Steps,
    colour,
    dashes,
    draw_panel,
    plain,
)
from atrous.types import BadInput

DPI = 120
MEASURES = ("loss", "lr", "gradient", "images_per_second", "wait", "memory_mib")
"""Columns that are no term of the loss."""
SCORES = {
    "panoptic/all/pq": "PQ, %",
    "panoptic/things/pq": "PQ of things, %",
    "panoptic/stuff/pq": "PQ of stuff, %",
    "covering/paper": "PC, %",
    "semantic/miou": "mIoU, %",
    "semantic/pixel_accuracy": "pixel accuracy, %",
    "instance/map_50": "AP50, %",
    "instance/map_vol": "APvol, %",
    "coco/ap": "COCO, %",
}
"""The scores that have a panel, and its title: the words of the tables of scores."""
SMOOTH_SHARE = 50
"""Lines are smoothed over this part of the longest run: one fiftieth."""
HUGE = 1e100
"""Numbers beyond are taken for unknown: no axis holds them."""
WIDTH_IN, ROW_IN, COLUMNS = 12.0, 2.1, 3
SETTINGS = {
    "axes.titlesize": 9.5,
    "figure.constrained_layout.h_pad": 0.07,
    "figure.constrained_layout.w_pad": 0.07,
    "font.size": 9,
    "svg.hashsalt": "atrous",  # names the parts of an SVG: without it they differ every time
}
LEGEND_CHARACTERS = 150
"""What a row of the legend holds at its size of type."""


@dataclass(frozen=True, slots=True, eq=False)
class RunCurves:
    """What one run has to show; NaN where nothing is known.

    name     in the legend
    steps    (n,) rising
    values   (n,) each; those that MEASURES does not name are terms of the loss
    scored   (m,) rising
    scores   (m,) each, in [0, 1], by the names of SCORES; others are not drawn
    resumed  (k,) steps at which the run went on after a stop
    """

    name: str
    steps: Steps
    values: Mapping[str, Column]
    scored: Steps
    scores: Mapping[str, Column]
    resumed: Steps


_LOSS = Look(is_smoothed=True, may_be_log=True)
_SCORE = Look(has_dots=True, scale=100.0)
_REST = {
    "lr": ("learning rate", Look(may_be_log=True)),
    "gradient": ("length of the gradient", _LOSS),
    "images_per_second": ("images a second", Look(is_smoothed=True, from_zero=True)),
    "wait": ("waiting for data, % of time", Look(is_smoothed=True, from_zero=True, scale=100.0)),
}


def curves(runs: Sequence[RunCurves], *, form: str = "png", smooth: int | None = None) -> bytes:
    """The picture of one run or more as a file; equal input, equal bytes.

    form    "png", "svg" or "pdf"
    smooth  steps of the exponential mean that strong lines show, 0 or 1 = none; without it a
            fiftieth of the longest run

    Raises: BadInput if matplotlib is not installed, or the runs hold no number to draw.
    """
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
    except ImportError:
        raise BadInput("atrous plot needs matplotlib: pip install 'atrous[plot]'") from None
    panels = _panels(runs)
    if not panels:
        raise BadInput("nothing to draw: the logs hold no loss, rate or score: train first")
    over = _usual_smooth(runs) if smooth is None else smooth
    # Names in a script that the font lacks are drawn as boxes; that is no reason to complain.
    with style.context(["default", SETTINGS]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(WIDTH_IN, _height_in(panels)), dpi=DPI, layout="constrained")
        for panel, axes in zip(panels, _places(figure, panels), strict=True):
            draw_panel(axes, panel, over=over, runs=len(runs))
        _same_steps(figure.axes, runs)
        _mark_resumed(figure.axes[0], runs)
        _legend(figure, runs)
        figure.supxlabel(_caption(panels, over), fontsize=8.5, color=GREY)
        return _file(figure, form)


def _usual_smooth(runs: Sequence[RunCurves]) -> int:
    spans = [int(run.steps[-1] - run.steps[0]) + 1 for run in runs if len(run.steps)]
    return max(spans, default=0) // SMOOTH_SHARE


def _panels(runs: Sequence[RunCurves]) -> list[Panel]:
    """Those that some run fills, the most telling first."""
    terms = dict.fromkeys(name for run in runs for name in run.values if name not in MEASURES)
    wanted = [
        _panel("loss", _LOSS, ((run.steps, run.values.get("loss")) for run in runs)),
        *(
            _panel(title, _SCORE, ((run.scored, run.scores.get(name)) for run in runs))
            for name, title in SCORES.items()
        ),
        *(
            _panel(f"{name} loss", _LOSS, ((run.steps, run.values.get(name)) for run in runs))
            for name in terms
            if not _is_all_of_the_loss(runs, name)
        ),
        *(
            _panel(title, look, ((run.steps, run.values.get(name)) for run in runs))
            for name, (title, look) in _REST.items()
        ),
    ]
    return [panel for panel in wanted if panel.lines]


def _is_all_of_the_loss(runs: Sequence[RunCurves], name: str) -> bool:
    """Whether a term is the whole loss wherever it is: one panel says it then."""
    pairs = [(run.values[name], run.values.get("loss")) for run in runs if name in run.values]
    return all(
        loss is not None and np.array_equal(loss, term, equal_nan=True) for term, loss in pairs
    )


def _panel(title: str, look: Look, columns: Iterable[tuple[Steps, Column | None]]) -> Panel:
    lines: list[Line] = []
    for index, (steps, values) in enumerate(columns):
        if values is not None:
            known = np.abs(values) < HUGE
            if known.any():
                lines.append((index, steps[known], values[known] * look.scale))
    return Panel(title, look, lines)


def _height_in(panels: Sequence[Panel]) -> float:
    return 0.7 + ROW_IN * _rows(panels)


def _rows(panels: Sequence[Panel]) -> int:
    """The first panel takes four places of the grid if there are others."""
    return 2 if len(panels) <= COLUMNS else -(-(len(panels) + 3) // COLUMNS)


def _places(figure: Any, panels: Sequence[Panel]) -> Iterator[Any]:
    """Axes for each panel: a large one top left, the others beside and below it."""
    if len(panels) == 1:
        yield figure.add_subplot()
        return
    grid = figure.add_gridspec(_rows(panels), COLUMNS)
    yield figure.add_subplot(grid[:2, :2])
    places = [(y, x) for y in range(_rows(panels)) for x in range(COLUMNS) if y > 1 or x > 1]
    if len(panels) == 2:
        yield figure.add_subplot(grid[:2, 2])
        return
    for y, x in places[: len(panels) - 1]:
        yield figure.add_subplot(grid[y, x])


def _same_steps(all_axes: Sequence[Any], runs: Sequence[RunCurves]) -> None:
    """One range of steps for all panels."""
    ends = np.concatenate(
        [part[[0, -1]] for r in runs for part in (r.steps, r.scored) if len(part)]
    )
    first, last = int(ends.min()), int(ends.max())
    edge = 0.02 * (last - first) or 1.0
    for axes in all_axes:
        axes.set_xlim(first - edge, last + edge)


def _mark_resumed(axes: Any, runs: Sequence[RunCurves]) -> None:
    """Small triangles on the axis of steps."""
    for index, run in enumerate(runs):
        if len(run.resumed):
            axes.plot(
                run.resumed,
                np.zeros(len(run.resumed)),
                color=colour(index),
                **{"marker": "^", "markersize": 6, "linestyle": "none", "zorder": 4},
                transform=axes.get_xaxis_transform(),
                clip_on=False,
            )


def _legend(figure: Any, runs: Sequence[RunCurves]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour(i), linewidth=2.5, linestyle=dashes(i))
        for i in range(len(runs))
    ]
    names = [plain(run.name) for run in runs]
    if any(len(run.resumed) for run in runs):
        handles.append(Line2D([], [], color=GREY, marker="^", linestyle="none"))
        names.append("resumed")
    columns = max(1, LEGEND_CHARACTERS // (max(map(len, names)) + 6))
    # The text is put in afterwards: a legend leaves out names that begin with an underscore.
    legend = figure.legend(
        handles, ["-"] * len(names), loc="outside upper left", ncols=columns, frameon=False
    )
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_text(name)
        text.set_parse_math(False)


def _caption(panels: Sequence[Panel], over: int) -> str:
    if over > 1 and any(panel.look.is_smoothed for panel in panels):
        return f"step   (losses, gradient and speed: exponential mean over {over:,} steps)"
    return "step"


def _file(figure: Any, form: str) -> bytes:
    """The picture without the time at which it was made."""
    nameless = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    file = io.BytesIO()
    figure.savefig(file, format=form, metadata=nameless[form])
    return file.getvalue()
