"""The verb `train`: rehearsals, batches that fit, and a split for each stage."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from atrous.data.shapes import Shapes
from atrous.recipes import RECIPES, find
from atrous.recipes.recipe import override
from atrous.training import rehearsal
from atrous.types import Sample
from conftest import Shell

TINY = (
    *("network.backbone=mobilenet-v2-half", "network.aspp_width=8", "input.longest_side=65"),
    *("train.batch=4", "train.crop=33", "train.iterations=1", "train.norms=frozen"),
)


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """How a recipe of two small stages is trained, in an empty folder."""
    one = override(find("deeplabv3-mobilenet-v2"), TINY)
    two = replace(one, network=replace(one.network, output_stride=8), split="val")
    monkeypatch.setitem(RECIPES, "tiny-one", replace(one, name="tiny-one"))
    monkeypatch.setitem(RECIPES, "tiny-two", replace(one, name="tiny-two", then=two))
    monkeypatch.chdir(tmp_path)
    return ["--data", "shapes", "--out", "run", "--workers", 0]


def record(run: Path) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads((run / "run.json").read_text())
    return kept


def test_a_dry_run_says_two_lines_a_stage_and_leaves_nothing(
    shell: Shell, words: list[object], tmp_path: Path
) -> None:
    code, out, err = shell("train", "tiny-two", *words, "--dry-run")
    assert code == 0
    answer = json.loads(out)
    assert answer.keys() == {"schema", "recipe", "stages"}
    assert (answer["schema"], answer["recipe"]) == (1, "tiny-two")
    for stage in answer["stages"]:
        assert stage["fits"]
        assert stage["total"] <= stage["available"]
        assert stage["images"] == 4
        assert stage["seconds"] == stage["step_seconds"] > 0  # of one iteration
    data, val, *lines = err.splitlines()
    assert data.startswith("shapes: train 2,000 images")
    assert val.startswith("shapes: val 200 images")
    starts = [line.split(" ")[:3] for line in lines]
    assert starts == [["stage", f"{n}:", what] for n in (1, 2) for what in ("memory", "time")]
    assert not list(tmp_path.iterdir())


def test_a_dry_run_of_what_does_not_fit_exits_with_1_and_the_mend(
    shell: Shell, words: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "available", lambda device: 10**6)
    monkeypatch.setattr(rehearsal, "steps", None)
    code, out, err = shell("train", "tiny-one", *words, "--dry-run")
    assert code == 1
    (stage,) = json.loads(out)["stages"]
    assert not stage["fits"]
    assert stage["seconds"] is None
    assert err.endswith("too little: set a larger train.accumulate, or give --auto-batch\n")
    assert err.count("\n") == 3
    assert not list(tmp_path.iterdir())


def test_a_quiet_dry_run_says_nothing_to_people(shell: Shell, words: list[object]) -> None:
    code, out, err = shell("train", "tiny-one", *words, "--dry-run", "--quiet")
    assert (code, err) == (0, "")
    assert json.loads(out)["stages"]


def test_auto_batch_cuts_the_batch_and_a_resume_keeps_the_parts(
    shell: Shell, words: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "most_images", lambda *a, **k: 2)
    code, out, err = shell("train", "tiny-one", *words, "--auto-batch")
    assert (code, out) == (0, "")
    told = "2 images fit in memory at once: train.batch=4 in 2 parts (train.accumulate=2)"
    assert told in err.splitlines()
    train = record(Path("run"))["recipe"]["train"]
    assert (train["batch"], train["accumulate"]) == (4, 2)
    monkeypatch.setattr(rehearsal, "most_images", None)
    assert shell("train", "tiny-one", *words, "--auto-batch", "--resume")[0] == 0
    words += ["--resume", "--quiet"]
    shell.refuses("train", "tiny-one", *words, naming="train.accumulate = 2, not 1")


def test_auto_batch_refuses_where_not_even_one_image_fits(
    shell: Shell, words: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "available", lambda device: 10**6)
    words += ["--auto-batch", "--quiet"]
    shell.refuses("train", "tiny-one", *words, naming="0 images of 33 px fit in memory at once")
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("splits", "images"),
    [
        ([], [2000, 200]),
        (["val"], [200, 200]),
        (["val", "train"], [200, 2000]),
        (["train@some.txt"], [2, 2]),
        (["train@some.txt", "train"], [2, 2000]),
    ],
)
def test_each_stage_learns_from_its_split(
    shell: Shell, words: list[object], splits: list[str], images: list[int]
) -> None:
    names = [Shapes("train").name(i) for i in (7, 3)]
    Path("some.txt").write_text("".join(f"{name}\n" for name in names))
    given = [word for split in splits for word in ("--split", split)]
    code, out, err = shell("train", "tiny-two", *words, *given)
    assert (code, out) == (0, ""), err
    assert record(Path("run"))["recipe"]["images"] == images
    assert err.endswith("trained 2 steps: run/last.safetensors\n")
    opened = [line for line in err.splitlines() if line.startswith("shapes: ")]
    assert len(opened) == len(set(images if len(splits) != 1 else images[:1]))


def test_splits_that_no_stage_asks_for_are_refused(shell: Shell, words: list[object]) -> None:
    three = ["--split", "train"] * 3
    naming = "--split is given 3 times, but the recipe has "
    shell.refuses("train", "tiny-two", *words, *three, "--quiet", naming=naming + "2 stages")
    shell.refuses("train", "tiny-one", *words, *three, "--quiet", naming=naming + "one stage")


def test_settings_of_a_later_stage_begin_with_then(shell: Shell, words: list[object]) -> None:
    words += ["--set", "then.train.iterations=2", "--quiet"]
    assert shell("train", "tiny-two", *words) == (0, "", "")
    assert record(Path("run"))["recipe"]["then"]["train"]["iterations"] == 2
    assert len(Path("run/log.jsonl").read_text().splitlines()) == 3


class Ringing(Shapes):
    """Scenes that bring a signal when one of the first step is read."""

    def __getitem__(self, index: int) -> Sample:
        if Path("run/run.json").exists():
            os.kill(os.getpid(), signal.SIGTERM)
        return super().__getitem__(index)


def test_a_stopped_run_exits_with_3_and_says_how_to_go_on(
    shell: Shell, words: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    from atrous.data import catalogue

    with monkeypatch.context() as patch:
        patch.setattr(catalogue, "open_data", lambda spec, split: Ringing(split))
        code, out, err = shell("train", "tiny-two", *words)
    assert (code, out) == (3, "")
    said, mend = err.splitlines()[-2:]
    assert said == "stopped after step 1; go on with:"
    expected = "  atrous train tiny-two --data shapes --out run --workers 0 --resume"
    assert mend == expected
    code, _, err = shell(*mend.split()[1:])
    assert code == 0, err
    assert [json.loads(x)["step"] for x in Path("run/log.jsonl").read_text().splitlines()] == [0, 1]
