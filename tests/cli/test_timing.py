from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from atrous.cli import app
from atrous.run import speed
from atrous.types import BadInput

runner = CliRunner()


def test_bench_says_milliseconds_by_stage(tiny_model: Path) -> None:
    command = ["bench", "--model", str(tiny_model), "--size", "33,65x97", "--runs", "1"]
    done = runner.invoke(app, [*command, "--instances", "2", "--json"])
    assert done.exit_code == 0
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["input_hw"] for row in rows] == [[33, 33], [65, 97]]
    assert [row["paper"] for row in rows] == [{}, {}]
    assert all(row["schema"] == 1 and row["stages"]["network"]["median_ms"] > 0 for row in rows)
    assert "the paper gives no times for this network" in done.stderr
    assert "images/s" in done.stderr


def test_bench_says_what_the_paper_says_of_the_same_network() -> None:
    command = ["bench", "--recipe", "deeperlab-light", "--size", "257", "--runs", "1", "--json"]
    done = runner.invoke(app, command)
    assert json.loads(done.stdout)["paper"]["fusion_ms"] == 5
    assert "the paper: fusion 5 ms" in done.stderr
    finer = runner.invoke(app, [*command, "--output-stride", "8"])
    assert json.loads(finer.stdout)["paper"] == {}


def test_bench_times_every_size_that_is_named(tiny_model: Path) -> None:
    sizes = ["--size", "33", "--size", "17,49x65"]
    command = ["bench", "--model", str(tiny_model), *sizes, "--runs", "1", "--json", "--quiet"]
    done = runner.invoke(app, command)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["input_hw"] for row in rows] == [[33, 33], [17, 17], [49, 65]]


def test_bench_says_once_that_bf16_is_slower(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "has_bf16", lambda _: False)
    speed.tell_once.cache_clear()
    command = ["bench", "--model", str(tiny_model), "--precision", "bf16", "--output-stride", "8"]
    done = runner.invoke(app, [*command, "--size", "33,49", "--runs", "1"])
    assert done.exit_code == 0
    assert done.stderr.count("fp32 would be faster") == 1


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
