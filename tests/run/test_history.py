"""What is read back from a run's log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atrous.run.history import history
from atrous.types import BadInput


def run_of(folder: Path, *lines: dict[str, Any] | str) -> Path:
    """A run folder with this log; a text is a line as it is."""
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    (folder / "log.jsonl").write_text("\n".join(texts) + "\n")
    return folder


def evaluation(step: int, pq: float | None) -> dict[str, Any]:
    rows = [{"name": "sky", "pq": 0.5}]
    return {"step": step, "eval": {"panoptic": {"all": {"pq": pq}}, "coco": None, "rows": rows}}


def test_every_number_of_a_step_is_a_column(tmp_path: Path) -> None:
    run = run_of(
        tmp_path,
        {"step": 0, "loss": 3, "heatmap": 1.5, "lr": 0.1, "note": "a"},
        {"step": 1, "loss": 2.5, "heatmap": 1.0, "lr": 0.05, "other": None},
    )
    found = history(run)
    assert found.steps.tolist() == [0, 1]
    assert {name: column.tolist() for name, column in found.columns.items()} == {
        "loss": [3.0, 2.5],
        "heatmap": [1.5, 1.0],
        "lr": [0.1, 0.05],
    }
    assert found.scored.size == found.resumed.size == 0
    assert found.scores == {}


def test_what_a_line_does_not_say_is_nan(tmp_path: Path) -> None:
    run = run_of(
        tmp_path,
        {"step": 0, "loss": 3.0},
        {"step": 1, "loss": 2.0, "wait": 0.5},
        {"step": 2, "wait": 0.25},
        '{"step": 3, "loss": NaN, "wait": Infinity}',
    )
    columns = history(run).columns
    np.testing.assert_equal(columns["loss"], [3.0, 2.0, np.nan, np.nan])
    np.testing.assert_equal(columns["wait"], [np.nan, 0.5, 0.25, np.inf])


def test_scores_are_named_by_their_path_and_stand_apart_from_the_steps(tmp_path: Path) -> None:
    run = run_of(
        tmp_path,
        {"step": 0, "loss": 3.0},
        {"step": 1, "loss": 2.0},
        evaluation(1, 0.25),
        {"step": 2, "loss": 1.0},
        evaluation(2, None),
        evaluation(5, 0.75),
    )
    found = history(run)
    assert found.steps.tolist() == [0, 1, 2]
    assert found.scored.tolist() == [1, 2, 5]
    assert list(found.scores) == ["panoptic/all/pq"]
    np.testing.assert_equal(found.scores["panoptic/all/pq"], [0.25, np.nan, 0.75])


def test_steps_made_again_after_a_resume_are_told_once(tmp_path: Path) -> None:
    run = run_of(
        tmp_path,
        *({"step": step, "loss": 9.0, "old": 1.0} for step in range(4)),
        evaluation(3, 0.5),
        {"step": 2, "loss": 5.0, "resumed": True},
        {"step": 3, "loss": 4.0},
        evaluation(3, 0.25),
    )
    found = history(run)
    assert found.steps.tolist() == [0, 1, 2, 3]
    assert found.columns["loss"].tolist() == [9.0, 9.0, 5.0, 4.0]
    np.testing.assert_equal(found.columns["old"], [1.0, 1.0, np.nan, np.nan])
    assert found.resumed.tolist() == [2]
    assert found.scored.tolist() == [3]
    assert found.scores["panoptic/all/pq"].tolist() == [0.25]


@pytest.mark.parametrize(
    "broken",
    [
        '{"step": 1, "lo',
        '{"step": 1, "lo{"step": 1, "loss": 7.0}',
        "",
        "[1, 2]",
        '{"loss": 7.0}',
        '{"step": "1", "loss": 7.0}',
        '{"step": true, "loss": 7.0}',
        '{"step": -1, "loss": 7.0}',
        '{"step": 0.5, "loss": 7.0}',
        '{"step": 1' + "0" * 400 + "}",
        "[" * 100_000,
    ],
)
def test_a_line_that_is_no_whole_record_is_skipped(tmp_path: Path, broken: str) -> None:
    run = run_of(tmp_path, {"step": 0, "loss": 3.0}, broken, {"step": 2, "loss": 1.0}, broken)
    found = history(run)
    assert found.steps.tolist() == [0, 2]
    assert found.columns["loss"].tolist() == [3.0, 1.0]


def test_a_last_line_cut_within_a_character_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(b'{"step": 4, "loss": 1.0}\n{"step": 5, "\xc3')
    assert history(tmp_path).steps.tolist() == [4]


def test_a_run_that_was_only_evaluated_has_no_steps(tmp_path: Path) -> None:
    found = history(run_of(tmp_path, evaluation(7, 0.5)))
    assert (found.steps.size, found.columns) == (0, {})
    assert found.scored.tolist() == [7]


def test_what_is_no_run_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none: no such folder: train first"):
        history(tmp_path / "none")
    with pytest.raises(BadInput, match=r"no log\.jsonl in it: train first"):
        history(tmp_path)
    run_of(tmp_path, '{"step": 0, "lo')
    with pytest.raises(BadInput, match=r"its log\.jsonl has no step yet: train first"):
        history(tmp_path)
    with pytest.raises(BadInput, match=r"log\.jsonl: is a file: name the folder of a run"):
        history(tmp_path / "log.jsonl")
