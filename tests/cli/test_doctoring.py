"""The verb `doctor`."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

import drawn_sets as sets
from atrous.doctor import run
from atrous.doctor.findings import Findings
from atrous.formats import read_image
from atrous.types import BadInput
from conftest import Shell


@pytest.fixture
def healthy(tmp_path: Path) -> Path:
    return sets.coco(tmp_path / "healthy")


@pytest.fixture
def sick(tmp_path: Path) -> Path:
    """Two labels are missing, and a third is no image."""
    root = sets.folder(tmp_path / "sick")
    for i in (1, 3):
        (root / "labels" / "train" / f"train{i}.png").unlink()
    (root / "labels" / "val" / "val0.png").write_bytes(b"nothing")
    return root


def test_a_healthy_set_exits_with_0_and_says_so_on_stderr(shell: Shell, healthy: Path) -> None:
    code, out, err = shell("doctor", f"coco-panoptic={healthy}")
    assert (code, out) == (0, "")
    words = " ".join(err.split())
    assert "train 6, val 5: no faults, 0 warnings" in words
    assert all(label.name in err for label in sets.LABELS.labels)


def test_a_sick_set_exits_with_1_and_names_file_place_and_mend(shell: Shell, sick: Path) -> None:
    code, out, err = shell("doctor", f"folder={sick}")
    assert (code, out) == (1, "")
    assert "fault: photos without a label: 2 in train" in err
    assert f"  {sick}/labels/train/train1.png: whole file: missing" in err
    assert "  mend: label train1.png, or take it out of the split" in err
    assert "fault: labels that cannot be read: 1 in val" in err
    assert " ".join(err.split()).endswith("train 4, val 5: 3 faults, 0 warnings")


def test_json_has_all_parts(shell: Shell, healthy: Path) -> None:
    code, out, err = shell("doctor", f"coco-panoptic={healthy}", "--json", "--quiet")
    assert (code, err, out.count("\n")) == (0, "", 1)
    answer: dict[str, Any] = json.loads(out)
    assert set(answer) == {"schema", "spec", "healthy", "splits", "classes", "faults"}
    assert (answer["schema"], answer["spec"]) == (1, f"coco-panoptic={healthy}")
    assert (answer["healthy"], answer["faults"]) == (True, [])
    split = answer["splits"]["train"]
    assert (split["images"], split["labels_read"]) == (6, 6)
    assert (split["smallest_hw"], split["largest_hw"]) == ([60, 80], [60, 80])
    rows = {row["name"]: row for row in answer["classes"]}
    assert list(rows) == [label.name for label in sets.LABELS.labels]
    assert sum(row["splits"]["train"]["pixels"] for row in rows.values()) == pytest.approx(
        1 - split["void"]
    )
    car = rows["car"]["splits"]["train"]
    assert (rows["car"]["file_id"], rows["car"]["thing"]) == (13, True)
    assert (car["images"], car["instances"]) == (6, 12)
    sizes = car["sizes"]
    assert list(sizes) == ["min", "5%", "25%", "50%", "75%", "95%", "max"]
    assert 0 < sizes["min"] <= sizes["50%"] <= sizes["max"] <= 17 * 17
    assert "instances" not in rows["tree"]["splits"]["train"]


def test_json_of_a_sick_set_names_file_place_and_mend(shell: Shell, sick: Path) -> None:
    code, out, _ = shell("doctor", f"folder={sick}", "--json", "--examples", 1)
    answer = json.loads(out)
    assert (code, answer["healthy"]) == (1, False)
    kinds = ["photos without a label", "labels that cannot be read"]
    first, second = answer["faults"]
    assert [first["kind"], second["kind"]] == kinds
    assert set(first) == {"kind", "severity", "count", "split", "mend", "examples"}
    assert (first["severity"], first["count"], first["split"]) == ("fault", 2, "train")
    assert first["examples"] == [
        {
            "file": f"{sick}/labels/train/train1.png",
            "place": "whole file",
            "message": "missing",
        }
    ]
    assert second["mend"]


def test_only_the_named_splits_are_examined(shell: Shell, sick: Path) -> None:
    code, out, _ = shell("doctor", f"folder={sick}", "--split", "val", "--json", "--quiet")
    answer = json.loads(out)
    assert (code, list(answer["splits"]), len(answer["faults"])) == (1, ["val"], 1)
    words = ("--split", "val", "--split", "train")
    both = json.loads(shell("doctor", f"folder={sick}", *words, "--json", "--quiet")[1])
    assert list(both["splits"]) == ["val", "train"]


def test_several_processes_say_the_same(shell: Shell, sick: Path) -> None:
    words = ("doctor", f"folder={sick}", "--json", "--quiet")
    assert shell(*words, "--workers", 2) == shell(*words, "--workers", 0)


def test_a_sheet_shows_faulty_images_first(shell: Shell, sick: Path, tmp_path: Path) -> None:
    paths = [tmp_path / "new" / f"{n}.png" for n in (1, 9, 30)]
    for path, count in zip(paths, (1, 9, 30), strict=True):
        words = ("doctor", f"folder={sick}", "--sheet", path, "--sheet-images", count)
        assert shell(*words, "--quiet") == (1, "", "")
    one, some, whole = (read_image(path) for path in paths)
    assert one.shape[1] < some.shape[1] <= whole.shape[1]
    assert (one == (190, 20, 20)).all(-1).any()
    cell = one.shape[1] - 10
    assert (some[: one.shape[0], :cell] == (190, 20, 20)).all(-1).any()
    assert not (some[: one.shape[0], cell + 20 :] == (190, 20, 20)).all(-1).any()


def test_a_sheet_that_cannot_be_drawn_leaves_the_answer(
    shell: Shell, sick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise BadInput("no space left")

    monkeypatch.setattr("atrous.formats.write_image", full)
    words = ("doctor", f"folder={sick}", "--sheet", tmp_path / "x.png", "--json", "--quiet")
    code, out, err = shell(*words)
    assert (code, json.loads(out)["healthy"]) == (2, False)
    assert "no space left" in err


def test_a_split_that_is_named_twice_is_examined_once(shell: Shell, healthy: Path) -> None:
    words = ("--split", "train", "--split", "train")
    err = shell("doctor", f"coco-panoptic={healthy}", *words)[2]
    assert " ".join(err.split()).endswith(": train 6: no faults, 0 warnings")


def test_one_fault_is_no_faults(shell: Shell, tmp_path: Path) -> None:
    root = sets.folder(tmp_path / "set")
    (root / "labels" / "val" / "val0.png").write_bytes(b"nothing")
    (root / "images" / "val" / "val1.png").write_bytes(
        (root / "images" / "val" / "val2.png").read_bytes()
    )
    err = shell("doctor", f"folder={root}")[2]
    assert " ".join(err.split()).endswith(": 1 fault, 1 warning")


@pytest.mark.parametrize("columns", [40, 80])
def test_a_narrow_terminal_cuts_no_number(
    columns: int, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = sets.folder(tmp_path / "set")
    data = sets.load(root / "classes.json")
    data["classes"][0]["name"] = "ground of any kind, " * 4
    sets.write_json(root / "classes.json", data)
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = shell("doctor", f"folder={root}")[2].splitlines()
    (row,) = [line for line in lines if line.strip().startswith("ground")]
    share = sets_share(root)
    assert f"{share:.2f}" in row
    assert len(row) <= columns
    assert lines[-1].endswith("0 warnings")


def sets_share(root: Path) -> float:
    """How much of train is ground, in per cent."""
    ids = [sets.pixels(path) for path in sorted(root.glob("labels/train/*"))]
    return 100 * float(sum((x == 0).sum() for x in ids)) / sum(x.size for x in ids)


def test_a_stop_while_a_set_opens_exits_with_3(
    shell: Shell, sick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("atrous.doctor.opening.data_set", stopped)
    assert shell("doctor", f"folder={sick}", "--json")[:2] == (3, "")


def test_no_file_is_written_unless_it_is_asked_for(
    shell: Shell, sick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    shell("doctor", f"folder={sick}")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "naming"),
    [
        (("folder=/nowhere",), "/nowhere: no such folder"),
        (("foldr=/tmp",), "did you mean folder"),
        (("folder",), "write folder=PATH"),
        (("shapes",), "has no files"),
        (("folder={root}", "--split", "tests"), "no split 'tests'"),
        (("voc={root}",), "no PASCAL VOC"),
        (("folder={root}", "--workers", -1), "give 1, 0, 0 or more"),
        (("folder={root}", "--sheet-images", 0), "give 1, 0, 0 or more"),
        (("folder={root}", "--sheet", "sheet.jpg"), "ends in .png"),
        (("folder={root}", "--sheet", "{root}"), "is a folder: name a file in it"),
        (("folder={root}", "--sheet", "{root}/classes.json/x.png"), "classes.json: is no folder"),
    ],
)
def test_bad_input_is_one_line(
    words: tuple[object, ...], naming: str, shell: Shell, sick: Path
) -> None:
    shell.refuses("doctor", *(str(word).format(root=sick) for word in words), naming=naming)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_exits_with_3_and_says_nothing_on_stdout(
    stop: signal.Signals, shell: Shell, sick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> Findings:
        os.kill(os.getpid(), stop)
        return Findings()

    monkeypatch.setattr(run, "examine", stopped)
    code, out, err = shell("doctor", f"folder={sick}", "--json")
    assert (code, out, err.splitlines()[-1]) == (3, "", "atrous: stopped")
