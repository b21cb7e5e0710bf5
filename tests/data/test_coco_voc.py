from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atrous.data.catalogue import open_data
from atrous.data.coco import open_coco
from atrous.data.coco_voc import open_coco_voc, splits, voc_classes
from atrous.formats import encode_mask, write_image
from atrous.labels import COCO_PANOPTIC, VOC
from atrous.types import BadInput, Fault

SIZE = (40, 50)


def area(number: int, image: int, category: int, rows: int, **more: object) -> dict[str, Any]:
    """An annotation of the upper `rows` rows, 50 pixels each."""
    mask = np.zeros(SIZE, np.bool_)
    mask[:rows] = True
    runs = {"size": list(SIZE), "counts": encode_mask(mask).tolist()}
    parts = {"id": number, "image_id": image, "category_id": category, "segmentation": runs}
    return parts | {"area": 50 * rows, "iscrowd": 0} | more


def coco(root: Path, *annotations: dict[str, Any], images: int = 2) -> Path:
    names = [f"{i}.png" for i in range(images)]
    rows = [{"id": 63, "name": "couch"}, {"id": 1, "name": "person"}, {"id": 3, "name": "banana"}]
    data = {
        "images": [
            {"id": i, "file_name": name, "height": SIZE[0], "width": SIZE[1]}
            for i, name in enumerate(names)
        ],
        "annotations": annotations,
        "categories": rows,
    }
    path = root / "annotations" / "instances_val2017.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    for name in names:
        write_image(root / "val2017" / name, np.zeros((*SIZE, 3), np.uint8))
    return root


def kept(root: Path) -> list[str]:
    source = open_coco_voc(root, "val")
    return [source.name(i) for i in range(len(source))]


def test_other_classes_are_background_and_names_are_those_of_voc(tmp_path: Path) -> None:
    coco(tmp_path, area(1, 0, 63, 30), area(2, 0, 3, 40))
    source = open_data(f"coco-voc={tmp_path}", "val")
    assert source.labels == VOC
    truth = source[0].truth
    assert [VOC[r.class_id].name for r in truth.regions] == ["sofa", "background"]
    classes = VOC.semantic(truth)
    assert (classes[:30] == 18).all()
    assert (classes[30:] == 0).all()


def test_images_need_more_than_1000_pixels_of_all_their_voc_masks(tmp_path: Path) -> None:
    coco(
        tmp_path,
        area(1, 0, 1, 20),  # 1,000
        area(2, 0, 3, 30),  # no class of VOC
        area(3, 1, 1, 11),
        area(4, 1, 63, 10),  # 1,050 together
        area(5, 2, 1, 21, iscrowd=1),
        images=4,
    )
    assert kept(tmp_path) == ["1.png", "2.png"]


def test_areas_that_the_file_does_not_claim_are_counted(tmp_path: Path) -> None:
    coco(tmp_path, area(1, 0, 1, 20, area=None), area(2, 1, 1, 21, area=None))
    assert kept(tmp_path) == ["1.png"]


def test_crowds_are_crowds_of_their_class(tmp_path: Path) -> None:
    coco(tmp_path, area(1, 0, 1, 30, iscrowd=1))
    truth = open_coco_voc(tmp_path, "val")[0].truth
    assert [(r.class_id, r.is_crowd) for r in truth.regions] == [(15, True), (0, False)]


def test_all_twenty_classes_of_voc_are_found_among_cocos() -> None:
    found = voc_classes(COCO_PANOPTIC)
    assert sorted(found.values()) == list(range(1, 21))
    pairs = {COCO_PANOPTIC[a].name: VOC[b].name for a, b in found.items()}
    assert {a: b for a, b in pairs.items() if a != b} == {
        "airplane": "aeroplane",
        "motorcycle": "motorbike",
        "couch": "sofa",
        "tv": "tvmonitor",
        "potted plant": "pottedplant",
        "dining table": "diningtable",
    }


def test_a_source_goes_to_worker_processes(tmp_path: Path) -> None:
    source = open_coco_voc(coco(tmp_path, area(1, 0, 1, 30)), "val")
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again[0].truth.ids, source[0].truth.ids)


def test_a_list_of_names_chooses_among_the_images_that_are_kept(tmp_path: Path) -> None:
    coco(tmp_path, area(1, 0, 1, 30), area(2, 1, 1, 30))
    (tmp_path / "some.txt").write_text("1.png\n")
    source = open_data(f"coco-voc={tmp_path}", f"val@{tmp_path / 'some.txt'}")
    assert [source.name(i) for i in range(len(source))] == ["1.png"]


def test_a_lenient_reader_steps_over_damaged_masks(tmp_path: Path) -> None:
    broken = area(1, 0, 1, 30) | {"segmentation": {"size": list(SIZE), "counts": [7]}}
    source = open_coco_voc(coco(tmp_path, broken), "val")
    faults: list[Fault] = []
    assert VOC.semantic(source.truth(0, faults.append)).max() == 0
    assert [fault.kind for fault in faults] == ["masks that are missing or damaged"]
    with pytest.raises(BadInput, match="annotation 1 of image 0"):
        source[0]


def test_json_without_classes_or_images_of_voc_is_refused(tmp_path: Path) -> None:
    coco(tmp_path, area(1, 0, 1, 3))
    with pytest.raises(BadInput, match="no image has more than 1000 pixels of VOC's classes"):
        open_coco_voc(tmp_path, "val")
    path = tmp_path / "annotations" / "instances_val2017.json"
    path.write_text(path.read_text().replace("couch", "apple").replace("person", "pear"))
    with pytest.raises(BadInput, match=r"has apple, pear, banana, ..., no class of VOC"):
        open_coco_voc(tmp_path, "val")


def test_splits_count_photos_before_any_is_left_out(tmp_path: Path) -> None:
    assert splits(coco(tmp_path, area(1, 0, 1, 30))) == {"val2017": 2}


def test_coco_things_says_the_same_as_its_panoptic_form(shared: Path) -> None:
    """That form was drawn by someone else; its background is the last class, not the first."""
    pytest.importorskip("pycocotools")
    root = shared / "data" / "coco_things"
    ours, theirs = open_coco_voc(root, "train"), open_coco(root, "train")
    places = {theirs.name(i): i for i in range(len(theirs))}
    assert len(ours) == 133
    for i in range(len(ours)):
        drawn = theirs.labels.semantic(theirs.truth(places[ours.name(i)]))
        np.testing.assert_array_equal(
            VOC.semantic(ours.truth(i)), np.where(drawn == 20, 0, drawn + 1)
        )
