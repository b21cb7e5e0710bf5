"""The verb `score`."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import panoptic_trees as trees
from atrous.formats import read_image, write_image
from conftest import Shell

Sides = tuple[Path, Path]


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    return trees.two_sides(tmp_path)


def scored(shell: Shell, sides: Sides, *more: object) -> tuple[dict[str, Any], str]:
    code, out, err = shell("score", "--gt", sides[0], "--pred", sides[1], *more)
    assert code == 0, err
    answer: dict[str, Any] = json.loads(out)
    return answer, err


def test_json_goes_to_stdout_and_a_table_to_stderr(shell: Shell, sides: Sides) -> None:
    answer, err = scored(shell, sides)
    parts = ("panoptic", "covering", "semantic", "instance", "per_class", "images", "scorer")
    assert all(part in answer for part in parts)
    assert answer["schema"] == 1
    assert set(answer["panoptic"]) == {"all", "things", "stuff", "things_any_class"}
    assert answer["crowds"] == "panopticapi"
    assert "crowds" not in err
    assert answer["skipped"] == []
    assert f"{100 * answer['panoptic']['all']['pq']:.1f}" in err
    assert "cat" not in err


def test_per_class_adds_a_row_a_class(shell: Shell, sides: Sides) -> None:
    _, err = scored(shell, sides, "--per-class")
    assert all(name in err for name in ("cat", "dog", "sky"))


def test_quiet_says_nothing_on_stderr(shell: Shell, sides: Sides) -> None:
    assert scored(shell, sides, "--quiet")[1] == ""


def test_per_image_writes_a_line_an_image(shell: Shell, sides: Sides, tmp_path: Path) -> None:
    answer, _ = scored(shell, sides, "--per-image", tmp_path / "images.csv")
    rows = list(csv.DictReader((tmp_path / "images.csv").read_text().splitlines()))
    assert [row["image"] for row in rows] == ["0.jpg", "1.jpg", "2.jpg"]
    counts = [sum(int(row[name]) for row in rows) for name in ("tp", "fp", "fn")]
    assert counts == [sum(c[name] for c in answer["per_class"]) for name in ("tp", "fp", "fn")]
    assert 0 < float(rows[0]["pq"]) < 1


def test_worst_draws_the_images_of_the_lowest_pq(
    shell: Shell, sides: Sides, tmp_path: Path
) -> None:
    photo = np.zeros((*trees.SIZE, 3), np.uint8)
    photo[..., 1] = 200
    for place in range(3):
        write_image(tmp_path / "photos" / f"{place}.png", photo)
    options = ("--worst", 2, "--out", tmp_path / "worst", "--images", tmp_path / "photos")
    scored(shell, sides, *options, "--per-image", tmp_path / "images.csv")
    rows = sorted(
        csv.DictReader((tmp_path / "images.csv").read_text().splitlines()),
        key=lambda r: float(r["pq"]),
    )
    expected = [f"{i:03}_{Path(r['image']).stem}.png" for i, r in enumerate(rows[:2], 1)]
    assert sorted(path.name for path in (tmp_path / "worst").iterdir()) == expected
    picture = read_image(tmp_path / "worst" / expected[0])
    assert (picture == (0, 200, 0)).all(-1).any()


def test_worst_needs_no_photos(shell: Shell, sides: Sides, tmp_path: Path) -> None:
    scored(shell, sides, "--worst", 1, "--out", tmp_path / "worst")
    assert len(list((tmp_path / "worst").iterdir())) == 1


def test_lenient_says_what_it_stepped_over(shell: Shell, sides: Sides) -> None:
    (sides[1].with_suffix("") / "0.png").unlink()
    shell.refuses("score", "--gt", sides[0], "--pred", sides[1], naming="0.png: no such file")
    answer, err = scored(shell, sides, "--lenient")
    assert answer["images"] == 2
    assert [(row["what"], row["count"]) for row in answer["skipped"]] == [
        ("images that cannot be read", 1)
    ]
    assert "skipped 1 images that cannot be read" in err
    assert scored(shell, sides, "--lenient", "--quiet") == (answer, "")


def test_folders_of_pngs_may_lie_elsewhere(shell: Shell, sides: Sides, tmp_path: Path) -> None:
    whole, _ = scored(shell, sides)
    for name in ("gt", "pred"):
        (tmp_path / name).rename(tmp_path / f"{name}_elsewhere")
    shell.refuses("score", "--gt", sides[0], "--pred", sides[1], naming="name the folder")
    folders = ("--gt-dir", tmp_path / "gt_elsewhere", "--pred-dir", tmp_path / "pred_elsewhere")
    assert scored(shell, sides, *folders)[0] == whole


@pytest.mark.parametrize(
    ("options", "naming"),
    [
        (("--crowds", "coco"), "choose panopticapi or tensorflow"),
        (("--worst", 3), "with --out DIR"),
        (("--worst", -1, "--out", "x"), "give 0 or more"),
        (("--workers", -1), "give 0 or more"),
        (("--worst", 1, "--out", "x", "--images", "/nowhere"), "no such folder"),
        (("--out", "x"), "with --worst N"),
        (("--worst", 1, "--out", "/dev/null"), "is a file: give a folder"),
        (("--per-image", "/"), "is a folder: name a file in it"),
        (("--classes", "voc"), "COCO's files list their own"),
        (("--classes", "citiscapes"), "neither a file nor a known list"),
        (("--flat",), "neither side has masks"),
        (("--list", "/nowhere"), "/nowhere: no such file"),
        (("--gt-format", "png"), "no such format: choose one of coco-panoptic"),
        (("--coco-ap",), "COCO's AP needs COCO instances"),
        (("--gt-dir", "/nowhere"), "/nowhere/0.png: no such file"),
    ],
)
def test_bad_options_are_refused(
    shell: Shell, sides: Sides, options: tuple[object, ...], naming: str
) -> None:
    shell.refuses("score", "--gt", sides[0], "--pred", sides[1], *options, naming=naming)


@pytest.mark.parametrize("side", ["--gt", "--pred"])
def test_a_missing_side_is_named(shell: Shell, sides: Sides, side: str) -> None:
    options = {"--gt": sides[0], "--pred": sides[1]} | {side: Path("/nowhere.json")}
    words = [word for pair in options.items() for word in pair]
    shell.refuses("score", *words, naming="/nowhere.json: no such file")


def test_nothing_is_written_when_a_side_is_wrong(
    shell: Shell, sides: Sides, tmp_path: Path
) -> None:
    (sides[1].with_suffix("") / "2.png").unlink()
    out = ("--per-image", tmp_path / "x.csv", "--worst", 1, "--out", tmp_path / "worst")
    shell.refuses("score", "--gt", sides[0], "--pred", sides[1], *out, naming="2.png")
    assert not (tmp_path / "x.csv").exists()
    assert not (tmp_path / "worst").exists()


def test_a_list_limits_what_is_scored(shell: Shell, sides: Sides, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("2\n0.jpg\n")
    answer, _ = scored(shell, sides, "--list", tmp_path / "list.txt")
    assert answer["images"] == 2
    data = trees.load(sides[1])
    for place, note in enumerate(data["annotations"]):
        png = sides[1].with_suffix("") / note["file_name"]
        note["file_name"] = f"answer_{place}.png"
        png.rename(png.with_name(note["file_name"]))
    trees.rewrite(sides[1], {"annotations": data["annotations"]})
    assert scored(shell, sides, "--list", tmp_path / "list.txt")[0] == answer
    (tmp_path / "list.txt").write_text("2\n77\n78\n")
    words = ("score", "--gt", sides[0], "--pred", sides[1], "--list", tmp_path / "list.txt")
    shell.refuses(*words, naming="'77' and 1 more of the list are no images of the truth")


def test_things_without_a_score_among_others_are_told(
    shell: Shell, sides: Sides, tmp_path: Path
) -> None:
    data = trees.load(sides[1])
    del next(e for e in data["annotations"][0]["segments_info"] if e["id"] == 300)["score"]
    trees.rewrite(sides[1], data)
    answer, err = scored(shell, sides)
    assert "instance" not in answer
    assert "no mAP^r: 1 predicted things have no score" in err
