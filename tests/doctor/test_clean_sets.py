"""Sets without a fault: nothing is found in them, drawn or real."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from seeds import BUILDERS

import drawn_sets as sets
from atrous.doctor import Diagnosis, diagnose, plan
from atrous.doctor.kinds import ABSENT, PARTED, TINY

OFFICIAL = ("voc", "cityscapes", "cityscapes-train-ids", "ade20k")
"""Their lists have classes that the drawn scenes have not."""

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
