"""What a run tells while it goes: log.jsonl, TensorBoard, the bar."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from atrous.data.shapes import Shapes
from atrous.run.logs import Log
from atrous.training import train
from conftest import TINY_NETWORK

VALUES = {"loss": 1.25, "lr": 0.5, "images_per_second": 3.0, "wait": 0.25, "memory_mib": 1536.0}
FIGURES = {"images_per_second", "wait", "memory_mib"}


def rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def log(run: Path | None, *, start: int = 0, quiet: bool = True) -> Log:
    return Log(run, start=start, total=6, quiet=quiet)


def test_a_row_has_all_losses_by_name_and_what_the_machine_did(tmp_path: Path) -> None:
    data = Shapes("train", size_hw=(65, 65), count=4)
    settings = (*TINY_NETWORK, "train.iterations=2")
    train("deeperlab-light", data=data, out=tmp_path, settings=settings, quiet=True)
    losses = {"loss", "semantic", "heatmap", "short", "middle", "long"}
    for step, row in enumerate(rows(tmp_path)):
        assert row.keys() == losses | {"step", "lr", "gradient"} | FIGURES
        assert row["step"] == step
        assert row["images_per_second"] > 0
        assert 0 <= row["wait"] <= 1
        assert row["memory_mib"] > 100  # torch alone takes more
        assert row["gradient"] > 0


@pytest.mark.parametrize(
    "torn",
    [
        b'{"step": 3, "loss": 1',
        b'{"step": 3, "lo{"step": 3, "loss": 1.0}',
        b'{"step": 3, "loss": 1.0}}',
        b"\x00\x00\xff\xfe}",
        b'["step"]',
        b'{"loss": 1.0}',
        b'{"step": null}',
    ],
)
def test_what_is_no_whole_record_does_not_stop_a_resume(tmp_path: Path, torn: bytes) -> None:
    whole = [b'{"step": 0, "loss": 2.0}', b'{"step": 1, "eval": {}}', b'{"step": 2, "loss": 1.0}']
    (tmp_path / "log.jsonl").write_bytes(b"\n".join([*whole[:2], torn, whole[2], torn]))
    with log(tmp_path, start=2) as lines:
        lines.step(2, VALUES)
        lines.step(3, VALUES)
    assert [row["step"] for row in rows(tmp_path)] == [0, 1, 2, 3]
    assert [row.get("resumed") for row in rows(tmp_path)] == [None, None, True, None]


def test_numbers_that_json_lacks_are_null(tmp_path: Path) -> None:
    with log(tmp_path) as lines:
        lines.step(0, {**VALUES, "gradient": math.inf})
        lines.scores(0, {"semantic": {"miou": math.nan, "pixel_accuracy": 0.5}})
    step, scores = rows(tmp_path)
    assert step["gradient"] is None
    assert scores["eval"] == {"semantic": {"miou": None, "pixel_accuracy": 0.5}}


@pytest.mark.parametrize("quiet", [True, False])
def test_a_bar_is_drawn_on_a_terminal_unless_it_is_to_be_quiet(
    tmp_path: Path, quiet: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")
    with log(tmp_path, start=2, quiet=quiet) as lines:
        lines.step(2, VALUES)
    out, err = capsys.readouterr()
    assert out == ""
    if quiet:
        assert err == ""
    else:
        for words in ("step 3/6", "loss 1.250", "lr 0.5", "3.0 images/s", "25% waiting for data"):
            assert words in err


def test_nothing_is_drawn_where_there_is_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with log(tmp_path, quiet=False) as lines:
        lines.step(0, VALUES)
    assert capsys.readouterr() == ("", "")


def test_a_process_that_only_works_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.chdir(tmp_path)
    with log(None, quiet=False) as lines:
        lines.step(0, VALUES)
        lines.scores(0, {"semantic": {"miou": 0.5}})
        assert not lines.has_pictures
    assert capsys.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())
