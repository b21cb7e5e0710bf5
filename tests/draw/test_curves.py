"""Pictures of training runs."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from atrous.draw.curves import RunCurves, curves
from atrous.draw.panels import COLOURS, MOST_POINTS, smoothed, spans_decades, thinned
from atrous.formats import read_image
from atrous.types import BadInput, Image

Numbers = NDArray[np.float64]
NONE = np.empty(0, np.int64)


def needs_matplotlib() -> None:
    pytest.importorskip("matplotlib")


def a_run(
    values: Mapping[str, Numbers | float] | None = None, *, name: str = "a", count: int = 40
) -> RunCurves:
    """A run with these columns; its loss falls if they are not given."""
    steps = np.arange(count)
    given = {"loss": 3 - steps / count} if values is None else values
    columns = {key: np.broadcast_to(value, count) * 1.0 for key, value in given.items()}
    return RunCurves(name, steps, columns, NONE, {}, NONE)


def with_scores(run: RunCurves, scores: Mapping[str, list[float]]) -> RunCurves:
    count = max(map(len, scores.values()))
    columns = {name: np.array(values) for name, values in scores.items()}
    return replace(run, scored=np.arange(count) * 10, scores=columns)


def picture(*runs: RunCurves) -> Image:
    needs_matplotlib()
    return read_image(io.BytesIO(curves(runs)))


def has_colour(image: Image, colour: str) -> bool:
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return bool((image == wanted).all(-1).sum() > 20)


def test_the_mean_weighs_each_step_by_its_age() -> None:
    steps = np.array([0, 1, 2, 5, 300, 301])
    values = np.array([4.0, 0.0, 2.0, 1.0, 8.0, 6.0])
    weights = np.tril(np.exp((steps - steps[:, None]) / 3.0))
    expected = (weights * values).sum(1) / weights.sum(1)
    np.testing.assert_allclose(smoothed(steps, values, over=3), expected, rtol=1e-12)


def test_the_mean_of_a_long_line_is_that_of_its_recursion() -> None:
    values = np.random.default_rng(0).normal(5.0, 1.0, 5000)
    found, total, weight = smoothed(np.arange(5000), values, over=20.0), 0.0, 0.0
    for index, value in enumerate(values):
        total, weight = (kept * np.exp(-1 / 20) for kept in (total, weight))
        total, weight = total + value, weight + 1
        assert found[index] == pytest.approx(total / weight, rel=1e-9)


def test_a_thinned_line_keeps_its_ends_and_its_peaks() -> None:
    steps, values = np.arange(500_000), np.zeros(500_000)
    values[[0, 123_456, 300_001, 499_999]] = 1.0, 7.0, -5.0, 2.0
    kept, heights = thinned(steps, values)
    assert len(kept) <= 2 * MOST_POINTS + 2
    assert (np.diff(kept) > 0).all()
    for index in (0, 123_456, 300_001, 499_999):
        assert heights[kept == index].tolist() == [values[index]]


def test_a_short_line_stays_whole() -> None:
    steps, values = np.arange(2 * MOST_POINTS), np.random.default_rng(0).normal(size=2000)
    kept, heights = thinned(steps, values)
    assert (kept.tolist(), heights.tolist()) == (steps.tolist(), values.tolist())


def test_only_lines_that_span_decades_ask_for_a_log_axis() -> None:
    share = np.linspace(1, 0.001, 1000)
    assert not spans_decades([0.01 * share**0.9])
    assert spans_decades([np.repeat((0.1, 0.01, 0.001), 50)])
    assert spans_decades([share, 0.001 * share])
    assert spans_decades([np.array([2.0, 1.0, 2.0, 1.0, 1e6])])
    assert not spans_decades([np.repeat((0.1, 0.001, 0.0), 50)])


def test_equal_runs_make_equal_bytes_whatever_the_user_has_set() -> None:
    needs_matplotlib()
    import matplotlib

    for form in ("png", "svg", "pdf"):
        first = curves([a_run()], form=form)
        with matplotlib.rc_context({"lines.linewidth": 9, "svg.hashsalt": None, "font.size": 20}):
            assert curves([a_run()], form=form) == first


def test_drawing_leaves_the_settings_of_matplotlib_alone() -> None:
    needs_matplotlib()
    import matplotlib

    with matplotlib.rc_context({"lines.linewidth": 9}):
        before = matplotlib.rcParams.copy()
        curves([a_run()])
        assert matplotlib.rcParams.copy() == before


def test_each_run_has_a_colour_of_its_own() -> None:
    runs = [a_run({"loss": np.linspace(9, i, 40)}) for i in range(8)]
    image = picture(*runs)
    assert all(has_colour(image, colour) for colour in COLOURS)
    assert not has_colour(picture(*runs[:7]), COLOURS[7])


@pytest.mark.parametrize(
    "eye",
    [
        ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
        ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.004, -0.048, 1.052)),
        ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.012, 0.043, 0.969)),
    ],
    ids=["usual", "protanope", "deuteranope"],
)
def test_colours_differ_to_every_eye(eye: tuple[tuple[float, ...], ...]) -> None:
    """Source of the matrices: Machado, Oliveira and Fernandes (2009), severity 1."""
    linear = [[(int(c[i : i + 2], 16) / 255) ** 2.2 for i in (1, 3, 5)] for c in COLOURS]
    seen = np.clip(np.array(linear) @ np.array(eye).T, 0, 1)
    to_xyz = np.array([(0.434, 0.376, 0.190), (0.213, 0.715, 0.072), (0.018, 0.109, 0.873)])
    x, y, z = np.cbrt(seen @ to_xyz.T).T
    lab = np.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), 1)
    assert min(np.linalg.norm(one - other) for one, other in combinations(lab, 2)) > 15


def test_panels_that_nothing_fills_are_left_out() -> None:
    needs_matplotlib()
    unknown = {"lr": np.nan, "heatmap": np.inf, "wait": np.nan, "memory_mib": 812.0}
    falling = a_run().values["loss"]
    plain = curves([a_run({"loss": falling})])
    assert curves([a_run({"loss": falling, **unknown})]) == plain
    bare = with_scores(a_run({"loss": falling}), {"panoptic/all/pq": [np.nan], "panoptic/x": [0.5]})
    assert curves([replace(bare, scored=np.array([5]))]) == plain


def test_a_term_that_is_all_of_the_loss_has_no_panel() -> None:
    needs_matplotlib()
    falling = a_run().values["loss"]
    alone = curves([a_run({"loss": falling})])
    assert curves([a_run({"loss": falling, "semantic": falling})]) == alone
    assert curves([a_run({"loss": falling, "semantic": falling / 2})]) != alone


def test_a_fourth_panel_begins_a_row_below() -> None:
    names = ("loss", "lr", "semantic", "heatmap")
    heights = [
        picture(a_run({name: k + 1.0 for k, name in enumerate(names[:count])})).shape[0]
        for count in (2, 3, 4)
    ]
    assert heights[0] == heights[1] < heights[2]


@pytest.mark.parametrize(
    "values",
    [[np.nan, 2.0, np.inf, 1e200], [-1e-10, 0.0, 1e-10], [1e30, 1.0, 1.0], [5.0, 5.0]],
)
def test_lines_of_any_numbers_are_drawn(values: list[float]) -> None:
    needs_matplotlib()
    column = np.array(values)
    run = a_run({"loss": column, "lr": np.abs(column)}, count=len(values))
    image = read_image(io.BytesIO(curves([run], smooth=10)))
    assert has_colour(image, COLOURS[0])


def test_a_single_step_and_a_single_score_can_be_seen() -> None:
    run = with_scores(replace(a_run(), values={}), {"panoptic/all/pq": [0.5]})
    below_the_legend = picture(run)[40:]
    assert has_colour(below_the_legend, COLOURS[0])
    assert has_colour(picture(a_run(count=1))[40:], COLOURS[0])


def test_resumes_are_marked() -> None:
    whole = a_run()
    assert curves([replace(whole, resumed=np.array([20]))]) != curves([whole])


@pytest.mark.parametrize("name", ["_hidden", r"$\nothing$", "数据\nbad\udcff"])
def test_any_name_stands_in_the_legend(name: str) -> None:
    """As it is: no mathematics, and no line left out for its first character."""
    legend = picture(a_run(name=name))[:34, 60:]
    assert (legend < 100).any()


def test_runs_without_a_number_are_refused() -> None:
    needs_matplotlib()
    with pytest.raises(BadInput, match="nothing to draw"):
        curves([a_run({"loss": np.nan})])


def test_without_matplotlib_the_mend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(BadInput, match=r"pip install 'atrous\[plot\]'"):
        curves([a_run()])
