"""Sets without a fault: nothing is found in them, drawn or real."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from seeds import BUILDERS, OFFICIAL

import drawn_sets as sets
from atrous.doctor import Diagnosis, diagnose, plan
from atrous.doctor.kinds import ABSENT, LOOKS_DRIFTED, ORDERED, PARTED, TINY

REAL = [
    ("folder", "camvid", set()),
    ("camvid", "camvid", set()),
    ("coco-panoptic", "car_parts_panoptic", {PARTED}),
    ("coco-panoptic", "dsb2018", set()),
    ("coco-panoptic", "coco_things", {PARTED, ABSENT}),
    ("coco-instances", "coco_things", {PARTED, ABSENT, TINY}),
    ("coco-panoptic", "coco_panoptic_sample", {PARTED, ABSENT}),
    ("voc", "voc2007_seg44", {PARTED, ABSENT}),
    ("kitti", "kitti_semantics5", {PARTED}),
]
"""Data set, folder, and the warnings that are true of it: cars behind poles, rare classes."""


@cache
def examined(spec: str) -> Diagnosis:
    return diagnose(plan(spec))


@pytest.mark.parametrize("form", BUILDERS)
def test_a_drawn_set_has_no_fault_and_no_warning(form: str, tmp_path: Path) -> None:
    root = BUILDERS[form](tmp_path / "set")
    spec = "folder" if form.startswith("folder") else form
    diagnosis = examined(f"{spec}={root}")
    assert diagnosis.is_healthy
    assert {found.kind for _, found in diagnosis.told} == ({ABSENT} if form in OFFICIAL else set())
    assert sum(found.images for found in diagnosis.homes.values()) == sum(sets.COUNTS.values())


def relabelled(root: Path, change: Callable[[Any], Any]) -> Path:
    for path in sorted(root.glob("labels/*/*.png")):
        sets.save(path, change(sets.pixels(path)))
    return root


def speckled(share: float) -> Callable[[Any], Any]:
    """Some pixels are of any class, as where each pixel is classified alone."""
    random = np.random.default_rng(0)

    def change(ids: Any) -> Any:
        odd = random.random(ids.shape) < share
        return np.where(odd, random.integers(0, 5, ids.shape), ids).astype(np.uint8)

    return change


def rings(ids: Any) -> Any:
    """Nested rings of two pixels, classes in order."""
    rows, columns = np.mgrid[: ids.shape[0], : ids.shape[1]]
    far = np.hypot(rows - 30, columns - 25 - int(ids.sum()) % 30)
    return np.clip(4 - (far - 12) // 2, 0, 4).astype(np.uint8)


@pytest.mark.parametrize("share", [0.1, 0.3, 1.0])
def test_speckled_labels_are_no_blend(share: float, tmp_path: Path) -> None:
    root = relabelled(sets.folder(tmp_path / "set"), speckled(share))
    assert {x.kind for _, x in diagnose(plan(f"folder={root}")).told} == set()


@pytest.mark.parametrize("step", [1, 20])
def test_nested_rings_are_a_warning_not_a_blend(step: int, tmp_path: Path) -> None:
    root = relabelled(sets.folder(tmp_path / "set"), lambda ids: rings(ids) * step)
    data = sets.load(root / "classes.json")
    for row in data["classes"]:
        row["id"] *= step
    sets.write_json(root / "classes.json", data)
    diagnosis = diagnose(plan(f"folder={root}"))
    assert diagnosis.is_healthy
    assert ORDERED in {x.kind for _, x in diagnosis.told}


def test_a_class_of_255_is_no_mask(tmp_path: Path) -> None:
    root = relabelled(
        sets.folder(tmp_path / "set", ignored=254), lambda a: np.where(a == 2, 255, 0).astype("u1")
    )
    classes = [{"id": 0, "name": "other"}, {"id": 255, "name": "car"}]
    sets.write_json(root / "classes.json", {"classes": classes, "ignore_label": 254})
    assert {x.kind for _, x in diagnose(plan(f"folder={root}")).told} == set()


def test_grades_of_which_each_split_has_others_are_no_fault(tmp_path: Path) -> None:
    """Classes 0 to 2 in one split, 1 to 3 in the other, in like shares."""
    root = sets.folder(tmp_path / "set")
    for split, first in (("train", 0), ("val", 1)):
        for i in range(10):
            random = np.random.default_rng(100 * first + i)
            grades = np.repeat([0, 1, 2], [30, 20, 10]) + first
            photo = random.integers(0, 256, (*sets.SIZE, 3))
            for folder in ("images", "labels"):
                (root / folder / split / f"{split}{i}.png").unlink(missing_ok=True)
            sets.save(root / "images" / split / f"{split}{i}.png", photo.astype(np.uint8))
            ids = np.tile(np.roll(grades, i)[:, None], (1, sets.SIZE[1]))
            sets.save(root / "labels" / split / f"{split}{i}.png", ids.astype(np.uint8))
    names = "abcd"
    classes = [{"id": i, "name": x} for i, x in enumerate(names)]
    sets.write_json(root / "classes.json", {"classes": classes, "ignore_label": 255})
    diagnosis = diagnose(plan(f"folder={root}"))
    assert diagnosis.is_healthy
    assert LOOKS_DRIFTED in {x.kind for _, x in diagnosis.told}


@pytest.mark.study
@pytest.mark.parametrize(("form", "name", "warnings"), REAL)
def test_a_real_set_has_no_fault(form: str, name: str, warnings: set[str], shared: Path) -> None:
    diagnosis = examined(f"{form}={shared / 'data' / name}")
    assert diagnosis.is_healthy
    assert {found.kind for _, found in diagnosis.told} == warnings


def test_the_shares_of_camvid_are_those_of_its_readme(shared: Path) -> None:
    found = examined(f"folder={shared / 'data' / 'camvid'}").splits[0]
    shares = [100 * found.pixels[i] / found.pixels.total() for i in range(11)]
    expected = [16.85, 23.26, 0.98, 31.66, 4.49, 9.72, 1.17, 1.13, 5.87, 0.64, 0.29]
    assert shares == pytest.approx(expected, abs=0.006)


def test_things_are_counted_as_the_readme_of_the_nuclei_says(shared: Path) -> None:
    found = examined(f"coco-panoptic={shared / 'data' / 'dsb2018'}").splits
    assert [found[i].areas[0].total() for i in range(2)] == [23166, 2471]


def test_samples_of_several_splits_are_examined_once(tmp_path: Path) -> None:
    opened = plan(f"voc={sets.voc(tmp_path / 'set')}")
    assert [split.name for split in opened.splits] == ["train", "val", "trainval"]
    assert len(opened.samples) == 11
    diagnosis = diagnose(opened)
    assert [diagnosis.splits[i].images for i in range(3)] == [6, 5, 11]
    assert [diagnosis.homes[i].images for i in range(3)] == [6, 5, 0]


def test_several_processes_find_the_same(tmp_path: Path) -> None:
    root = sets.coco(tmp_path / "set")
    (root / "train_png" / "train2.png").write_bytes(b"no PNG")
    alone, together = (diagnose(plan(f"coco-panoptic={root}"), workers=n) for n in (0, 2))
    assert alone.told == together.told
    assert alone.splits == together.splits
    assert not alone.is_healthy
