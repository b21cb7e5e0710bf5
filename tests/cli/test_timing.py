from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from atrous.cli import app
from atrous.types import BadInput

runner = CliRunner()


def test_bench_says_milliseconds_by_stage_and_what_the_paper_says(tiny_model: Path) -> None:
    command = ["bench", "--model", str(tiny_model), "--size", "257,65x97", "--runs", "1"]
    done = runner.invoke(app, [*command, "--instances", "2", "--json"])
    assert done.exit_code == 0
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["input_hw"] for row in rows] == [[257, 257], [65, 97]]
    assert rows[0]["paper"]["fusion_ms"] == 5
    assert rows[1]["paper"] == {}
    assert all(row["schema"] == 1 and row["stages"]["network"]["median_ms"] > 0 for row in rows)
    assert "the paper: fusion 5 ms" in done.stderr
    assert "images/s" in done.stderr


def test_bench_times_an_untrained_recipe() -> None:
    settings = ("network.decoder_width=8", "network.aspp_width=8", "network.instance_width=8")
    options = [word for each in settings for word in ("--set", each)]
    command = ["bench", "--recipe", "deeperlab-light", "--size", "65", "--runs", "1", "--quiet"]
    done = runner.invoke(app, [*command, *options, "--instances", "1", "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["model"] == "deeperlab-light"
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("options", "mend"),
    [
        (["--size", "0"], "HEIGHTxWIDTH"),
        (["--size", "3x4x5"], "HEIGHTxWIDTH"),
        (["--recipe", "nothing"], "did you mean"),
        (["--recipe", "deeperlab-light", "--classes", "1"], "2 or more"),
        (["--precision", "fp8", "--size", "65"], "fp32"),
        (["--recipe", "deeperlab-light", "--model", "runs/1"], "one at a time"),
        (["--classes", "9"], "a model has its own"),
        (["--image", "a.png", "--instances", "3"], "leave one out"),
    ],
)
def test_what_bench_cannot_do_is_told(options: list[str], mend: str) -> None:
    done = runner.invoke(app, ["bench", *options])
    assert isinstance(done.exception, BadInput)
    assert mend in str(done.exception)
