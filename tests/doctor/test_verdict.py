"""What follows from a fault is not told as another one; and messages, cut into parts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from seeds import all_labels, drifted, shift

import drawn_sets as sets
from atrous.doctor import diagnose, kinds, plan
from atrous.doctor.examine import from_fault
from atrous.formats import write_image
from atrous.types import Fault


def faults(spec: str) -> set[str]:
    told = diagnose(plan(spec)).told
    return {x.kind for _, x in told if kinds.severity(x.kind) == kinds.FAULT}


def test_segments_of_no_entry_leave_no_split_without_labels(tmp_path: Path) -> None:
    root = sets.coco(tmp_path / "set")
    for path in root.glob("*_png/*.png"):
        write_image(path, sets.pixels(path)[..., ::-1].copy())
    assert faults(f"coco-panoptic={root}") == {kinds.SWAPPED}


@pytest.mark.parametrize("by", [1, -1])
def test_objects_of_shifted_classes_are_no_fault_of_their_own(by: int, tmp_path: Path) -> None:
    root = sets.voc(tmp_path / "set")
    for path in root.glob("SegmentationClass/*.png"):
        ids = sets.pixels(path)
        if by < 0 or "0" in path.stem:
            ids[:6][ids[:6] == 0] = 20  # the last of the list is there too
        sets.save(path, shift(by, void=255 if by > 0 else None)(ids))
    assert faults(f"voc={root}") <= {kinds.SHIFTED, "labels that cannot be read"}
    assert kinds.SHIFTED in faults(f"voc={root}")


def test_the_split_that_is_not_shifted_is_not_accused(tmp_path: Path) -> None:
    root = sets.folder(tmp_path / "set")
    drifted(root)
    all_labels(shift(2))(root)  # train was one too low, and is one too high now
    told = diagnose(plan(f"folder={root}")).told
    assert {(split, x.kind) for split, x in told if kinds.severity(x.kind) == kinds.FAULT} == {
        ("train", kinds.SHIFTED)
    }


@pytest.mark.parametrize(
    ("message", "file", "place", "what", "mend"),
    [
        (
            "a.json: annotation 12: no mask: give one",
            "a.json",
            "annotation 12",
            "no mask",
            "give one",
        ),
        ("a/b: c/x.png: missing: add it", "a/b: c/x.png", "whole file", "missing", "add it"),
        ("a/b: c: no such folder", "a/b: c", "whole file", "no such folder", ""),
        ("no file at all", "", "whole file", "no file at all", ""),
        ("x.png: id 7 is none: add it", "x.png", "segment 7", "id 7 is none", "add it"),
    ],
)
def test_a_message_is_cut_into_file_place_words_and_mend(
    message: str, file: str, place: str, what: str, mend: str
) -> None:
    found = from_fault(Fault("kind", message), paths=(Path("a/b: c"),))
    assert (found.file, found.place, found.what, found.mend) == (file, place, what, mend)


def instances(root: Path) -> dict[str, Any]:
    """COCO instances: three photos with a square of each of two categories."""
    images: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for i in range(3):
        write_image(root / "train" / f"{i}.png", sets.scene(i).photo)
        images.append({"id": i, "file_name": f"{i}.png", "height": 60, "width": 80})
        for category, x in ((11, 5), (12, 40)):
            corners = [x, 10, x + 20, 10, x + 20, 30, x, 30]
            row = {"id": len(rows) + 1, "image_id": i, "category_id": category, "iscrowd": 0}
            rows.append(row | {"segmentation": [corners], "area": 400})
    categories = [{"id": 11, "name": "car"}, {"id": 12, "name": "person"}]
    return {"images": images, "annotations": rows, "categories": categories}


def told_of(root: Path, data: dict[str, Any]) -> dict[str, tuple[int, str]]:
    (root / "train_instances.json").write_text(json.dumps(data))
    told = diagnose(plan(f"coco-instances={root}")).told
    return {x.kind: (x.count, x.place) for _, x in told}


def test_categories_that_are_all_one_too_low_are_told_once(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    data = instances(tmp_path)
    assert told_of(tmp_path, data) == {}
    for row in data["annotations"]:
        row["category_id"] -= 1
    told = told_of(tmp_path, data)
    assert told[kinds.SHIFTED] == (1, "category 10")
    assert "masks of an unknown category" not in told


def test_masks_outside_their_photo_and_masks_there_twice_are_told(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    data = instances(tmp_path)
    row = data["annotations"][2]
    data["annotations"].append(row | {"id": 77})
    data["annotations"].append(row | {"id": 78, "segmentation": [[500, 5, 520, 5, 510, 30]]})
    assert told_of(tmp_path, data) == {
        kinds.MASK_TWICE: (1, "annotation 77"),
        kinds.NO_MASK_PIXELS: (1, "annotation 78"),
    }


def test_a_label_of_another_size_is_told_from_its_photo(tmp_path: Path) -> None:
    root = sets.folder(tmp_path / "set")
    path = root / "labels" / "train" / "train2.png"
    sets.save(path, np.zeros((50, 80), np.uint8))
    (found,) = [x for _, x in diagnose(plan(f"folder={root}")).told if x.kind == kinds.SIZES]
    assert "label train2.png is 50 x 80, photo train2.png 60 x 80" in found.what
