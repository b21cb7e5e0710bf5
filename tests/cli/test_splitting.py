"""The verb `split`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from atrous.data import catalogue
from atrous.data.shapes import Shapes
from atrous.data.source import Source
from atrous.data.split import place_of
from atrous.formats import write_class_map, write_image, write_json
from conftest import Shell

CLASSES = {"classes": [{"id": i, "name": name} for i, name in enumerate(("sky", "cat", "dog"))]}


@pytest.fixture
def frames(tmp_path: Path) -> str:
    """Twelve videos of three frames, all with sky, every third with a cat, two with a dog."""
    root = tmp_path / "frames"
    for video in range(12):
        ids = np.zeros((4, 5), np.uint8)
        ids[0, : 1 + video % 3] = 1 if video % 3 == 0 else 0
        ids[1] = 2 if video in (1, 7) else 0
        for frame in range(3):
            name = f"v{video}_{frame}.png"
            write_image(root / "images" / "train" / name, np.zeros((4, 5, 3), np.uint8))
            write_class_map(root / "labels" / "train" / name, ids)
    write_json(root / "classes.json", CLASSES)
    return f"folder={root}"


def names(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_the_hash_of_the_file_name_decides_where_nothing_else_is_asked(
    shell: Shell, frames: str, tmp_path: Path
) -> None:
    code, out, err = shell("split", "--data", frames, "--out", tmp_path / "a", "--test", 0.2)
    assert code == 0
    told = json.loads(out)
    train, val, test = (names(tmp_path / "a" / f"{s}.txt") for s in ("train", "val", "test"))
    assert all(place_of(n) < 0.2 for n in val)
    assert all(0.2 <= place_of(n) < 0.4 for n in test)
    assert sorted(train + val + test) == sorted(f"v{v}_{f}.png" for v in range(12) for f in "012")
    assert told["sides"]["val"] == {
        "file": str(tmp_path / "a" / "val.txt"),
        "images": len(val),
        "groups": len(val),
    }
    assert (told["schema"], told["images"], told["per_class"]) == (1, 36, [])
    assert "train 36 images" in err
    assert f"val.txt: {len(val)} images" in err


def test_quiet_leaves_stderr_empty(shell: Shell, frames: str, tmp_path: Path) -> None:
    words = ("split", "--data", frames, "--out", tmp_path / "a", "--stratify", "--quiet")
    code, out, err = shell(*words)
    assert (code, err) == (0, "")
    assert json.loads(out)["stratify"] is True


@pytest.mark.parametrize("more", [(), ("--stratify",)])
def test_frames_of_a_video_stay_together(
    shell: Shell, frames: str, tmp_path: Path, more: tuple[str, ...]
) -> None:
    words = ("split", "--data", frames, "--out", tmp_path / "a", "--group-by", "^(v[0-9]+)_")
    code, out, err = shell(*words, *more, "--val", 0.25)
    assert code == 0
    sides = [
        {n.split("_")[0] for n in names(tmp_path / "a" / f"{s}.txt")} for s in ("train", "val")
    ]
    assert not sides[0] & sides[1]
    assert json.loads(out)["sides"]["val"]["groups"] == len(sides[1])
    assert f"{len(sides[1])} of the groups" in err


def test_stratify_gives_each_side_its_share_and_tells_it(
    shell: Shell, frames: str, tmp_path: Path
) -> None:
    words = ("split", "--data", frames, "--out", tmp_path / "a", "--stratify", "--val", 0.25)
    code, out, err = shell(*words, "--group-by", "^(v[0-9]+)_", "--workers", 1)
    assert code == 0
    rows = {row["name"]: row for row in json.loads(out)["per_class"]}
    assert rows["dog"]["pixels"] == 30
    assert (rows["dog"]["train"], rows["dog"]["val"]) == ({"pixels": 0.5}, {"pixels": 0.5})
    assert rows["cat"]["val"] == {"pixels": 0.25}
    assert json.loads(out)["sides"]["val"]["images"] == 9
    assert err.count("\n") > 6
    assert " 75.0 25.0" in err


def test_things_are_counted_and_workers_change_nothing(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Shapes("train", size_hw=(40, 50), count=40)
    monkeypatch.setattr(catalogue, "open_data", lambda spec, split: small)
    answers = []
    for workers in (0, 2):
        out = tmp_path / str(workers)
        words = ("split", "--data", "shapes", "--out", out, "--stratify", "--workers", workers)
        code, text, _ = shell(*words)
        assert code == 0
        answers.append((json.loads(text)["per_class"], names(out / "val.txt")))
    assert answers[0] == answers[1]
    discs = next(row for row in answers[0][0] if row["name"] == "disc")
    truths = [small[i].truth for i in range(40)]
    assert discs["instances"] == sum(r.class_id == 3 for t in truths for r in t.regions)
    assert "instances" not in answers[0][0][0]


def test_lists_open_with_the_split_they_came_from(
    shell: Shell, frames: str, tmp_path: Path
) -> None:
    assert shell("split", "--data", frames, "--out", tmp_path / "a", "--stratify")[0] == 0
    whole: Source = catalogue.open_data(frames, "train")
    parts = [catalogue.open_data(frames, f"train@{tmp_path}/a/{s}.txt") for s in ("train", "val")]
    assert sum(map(len, parts)) == len(whole)
    again = ("split", "--data", frames, "--split", f"train@{tmp_path}/a/train.txt")
    code, _, err = shell(*again, "--out", tmp_path / "b", "--val", 0.5)
    assert code == 0
    assert f"{len(parts[0])} of 36 images, those in {tmp_path}/a/train.txt" in err


@pytest.mark.parametrize(
    ("words", "naming"),
    [
        (("--val", "0"), "--val 0.0: the share"),
        (("--val", "0.9", "--test", "0.1"), "leave nothing for training"),
        (("--val", "0.001"), "no image of 36 is left for val"),
        (("--test", "0.000001"), "no image of 36 is left for test"),
        (("--group-by", "("), "no regular expression"),
        (("--group-by", "^w"), "does not match 'v0_0.png'"),
        (("--group-by", "folder"), "lies in no folder"),
        (("--group-by", "^v"), "36 images in 1 groups cannot be 2 sides"),
        (("--group-by", "^v", "--stratify"), "36 images in 1 groups cannot be 2 sides"),
        (("--group-by", "^v(0|1|.)", "--val", "0.95"), "36 in 10 groups is left for train"),
        (("--group-by", "^v(?:11)?", "--val", "0.2"), "'v' has 33 of 36 images, but"),
        (("--split", "val"), "no split 'val'"),
        (("--workers", "-1"), "--workers"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    shell: Shell, frames: str, tmp_path: Path, words: tuple[str, ...], naming: str
) -> None:
    shell.refuses("split", "--data", frames, "--out", tmp_path / "a", *words, naming=naming)
    assert not (tmp_path / "a").exists()


def test_names_that_are_not_utf8_are_listed_as_the_bytes_they_are(
    shell: Shell, frames: str, tmp_path: Path
) -> None:
    root = Path(frames.partition("=")[2])
    for path in [*root.glob("images/train/v?_0.png"), *root.glob("labels/train/v?_0.png")]:
        os.rename(path, os.fsencode(path.parent) + b"/caf\xe9" + os.fsencode(path.name))
    assert shell("split", "--data", frames, "--out", tmp_path / "a", "--val", 0.5)[0] == 0
    sides = [(tmp_path / "a" / f"{side}.txt") for side in ("train", "val")]
    assert any(b"caf\xe9v" in path.read_bytes() for path in sides)
    assert sum(len(catalogue.open_data(frames, f"train@{path}")) for path in sides) == 36


@pytest.mark.parametrize("side", ["train", "val", "test"])
def test_a_list_that_is_there_is_not_overwritten(
    shell: Shell, frames: str, tmp_path: Path, side: str
) -> None:
    (tmp_path / f"{side}.txt").write_text("mine\n")
    words = ("split", "--data", frames, "--out", tmp_path, "--test", 0.2)
    shell.refuses(*words, naming=f"{side}.txt: is there already")
    assert [p.name for p in tmp_path.glob("*.txt")] == [f"{side}.txt"]
    shell.refuses("split", "--data", frames, "--out", tmp_path / f"{side}.txt", naming="is a file")


def test_a_single_image_is_not_divided(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Shapes("train", size_hw=(40, 50), count=1)
    monkeypatch.setattr(catalogue, "open_data", lambda spec, split: one)
    words = ("split", "--data", "shapes", "--out", tmp_path / "a", "--val", 0.5)
    shell.refuses(*words, naming="no image of 1 is left for")
    shell.refuses(*words, "--stratify", naming="1 images in 1 groups cannot be 2 sides")
