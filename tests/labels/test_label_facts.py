"""The label spaces against what the data sets' own files say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from atrous.labels import (
    ADE20K,
    CAMVID,
    CITYSCAPES,
    CITYSCAPES_IGNORED,
    CITYSCAPES_TRAIN_IDS,
    COCO_PANOPTIC,
    IGNORED,
    NAMED,
    VOC,
    LabelSpace,
    read_table,
    voc_colours,
)
from atrous.types import BadInput

COUNTS = {
    "voc": (21, 20),
    "cityscapes": (19, 8),
    "cityscapes-train-ids": (19, 8),
    "ade20k": (150, 100),
    "coco-panoptic": (133, 80),
    "camvid": (11, 0),
    "pascal-context-59": (59, 0),
    "pascal-context-60": (60, 0),
}


def test_classes_and_things_are_as_many_as_the_papers_say() -> None:
    found = {name: (len(space), int(space.is_thing.sum())) for name, space in NAMED.items()}
    assert found == COUNTS


@pytest.mark.parametrize("name", COUNTS)
def test_no_class_is_ignored_and_no_name_stands_twice(name: str) -> None:
    labels = NAMED[name]
    assert not IGNORED[name] & set(labels.class_ids())
    names = [label.name for label in labels.labels]
    assert len(set(names)) == len(names)
    assert LabelSpace.from_json(labels.to_json()) == labels


def test_file_ids_run_as_in_the_files() -> None:
    for labels, first in ((VOC, 0), (ADE20K, 1), (CITYSCAPES_TRAIN_IDS, 0), (CAMVID, 0)):
        ids = [label.file_id for label in labels.labels]
        assert ids == list(range(first, first + len(labels)))
    ids = [label.file_id for label in CITYSCAPES.labels]
    assert ids == [7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33]
    assert set(ids) | CITYSCAPES_IGNORED == set(range(-1, 34))
    assert (COCO_PANOPTIC[0].file_id, COCO_PANOPTIC[132].file_id) == (1, 200)


def test_voc_follows_its_colour_rule_and_its_files(shared: Path) -> None:
    assert np.array_equal(VOC.colours, voc_colours()[:21])
    root = shared / "data" / "voc2007_seg44"
    with PIL.Image.open(root / "SegmentationClass" / "000032.png") as image:
        assert image.getpalette() == voc_colours().ravel().tolist()
    names = (root / "classes.txt").read_text().split()
    assert [label.name for label in VOC.labels] == names


def test_coco_is_the_official_list(shared: Path) -> None:
    rows = json.loads((shared / "data" / "coco_panoptic_sample" / "sample.json").read_text())
    official = [
        (c["id"], c["name"], tuple(c["color"]), bool(c["isthing"])) for c in rows["categories"]
    ]
    ours = [(x.file_id, x.name, x.colour, x.is_thing) for x in COCO_PANOPTIC.labels]
    assert ours == official


def test_camvid_is_the_list_of_segnet(shared: Path) -> None:
    rows = json.loads((shared / "data" / "camvid" / "classes.json").read_text())["classes"]
    official = [(c["id"], c["name"], tuple(c["color"])) for c in rows]
    assert [(x.file_id, x.name, x.colour) for x in CAMVID.labels] == official


def test_ade20k_has_the_things_of_its_instance_challenge() -> None:
    things = [x for x in ADE20K.labels if x.is_thing]
    by_category = {1: (8, "bed"), 4: (13, "person"), 9: (21, "car"), 58: (90, "television")}
    by_category |= {61: (94, "pole"), 99: (149, "clock"), 100: (150, "flag")}
    for category, expected in by_category.items():
        assert (things[category - 1].file_id, things[category - 1].name) == expected


def test_a_table_is_read_line_by_line() -> None:
    (label,) = read_table("\n12 thing 0102ff traffic light\n").labels
    assert (label.file_id, label.is_thing, label.colour) == (12, True, (1, 2, 255))
    assert label.name == "traffic light"


@pytest.mark.parametrize("line", ["12 thing 0102ff", "12 item 010203 a", "12 thing 0102 a b"])
def test_a_line_of_another_form_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="write file id, thing or stuff"):
        read_table(line)


def test_ids_that_stand_twice_are_refused() -> None:
    with pytest.raises(BadInput, match="more than one class"):
        read_table("1 thing 010203 a\n1 thing 010204 b")
