from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atrous.data.catalogue import open_data
from atrous.data.coco_instances import open_coco_instances, splits
from atrous.formats import encode_mask, images, write_image
from atrous.formats.layers import grounded, smaller_first, with_ground
from atrous.labels import Label, LabelSpace
from atrous.types import BadInput, Fault, Instance, Instances, Labelled, Region

SIZE = (3, 4)
PHOTO = np.zeros((*SIZE, 3), np.uint8)


def rectangle(y0: int, x0: int, y1: int, x1: int) -> dict[str, Any]:
    mask = np.zeros(SIZE, np.bool_)
    mask[y0:y1, x0:x1] = True
    return {"size": list(SIZE), "counts": encode_mask(mask).tolist()}


def annotation(number: int, image: int, category: int, mask: object, **more: object) -> Any:
    parts = {"id": number, "image_id": image, "category_id": category, "segmentation": mask}
    return parts | {"iscrowd": 0} | more


def instances(*names: str) -> dict[str, Any]:
    """A person with a tie on the first image; nothing on the others."""
    return {
        "images": [
            {"id": i, "file_name": name, "height": SIZE[0], "width": SIZE[1]}
            for i, name in enumerate(names)
        ],
        "annotations": [
            annotation(7, 0, 1, rectangle(0, 0, 3, 3)),
            annotation(8, 0, 32, rectangle(1, 1, 2, 2)),
        ],
        "categories": [{"id": 1, "name": "person"}, {"id": 32, "name": "tie"}],
    }


def tree(root: Path, json_path: str, photos: str, *listed: str) -> Path:
    """A set of two photos, a.png and b.png."""
    path = root / json_path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(instances(*(listed or ("a.png", "b.png")))))
    for name in "ab":
        write_image(root / photos / f"{name}.png", PHOTO)
    return root


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    return tree(tmp_path, "val_instances.json", "val")


def rewrite(root: Path, **parts: object) -> None:
    (root / "val_instances.json").write_text(json.dumps(instances("a.png", "b.png") | parts))


def refusal(root: Path, split: str = "val") -> str:
    with pytest.raises(BadInput) as error:
        open_coco_instances(root, split)
    assert "\n" not in str(error.value)
    return str(error.value)


TREES = {
    "COCO": ("annotations/instances_val2017.json", "val2017", "val", ()),
    "COCO in images": ("annotations/instances_val2017.json", "images/val2017", "val2017", ()),
    "CVAT": ("annotations/instances_default.json", "images/default", "train", ()),
    "CVAT, photos in one folder": ("annotations/instances_default.json", "images", "train", ()),
    "CVAT with subsets": ("annotations/instances_val.json", "images/val", "val", ()),
    "Label Studio": ("result.json", "images", "train", ("images/a.png", "images/b.png")),
    "Label Studio on Windows": ("result.json", "images", "train", ("images\\a.png", "b.png")),
    "Label Studio with uploads": ("result.json", "images", "train", ("/data/1/a.png", "b.png")),
    "LabelMe": (
        "annotations.json",
        "JPEGImages",
        "train",
        ("JPEGImages/a.png", "JPEGImages/b.png"),
    ),
    "labelme2coco": ("dataset.json", ".", "train", ()),
    "Roboflow": ("valid/_annotations.coco.json", "valid", "valid", ()),
    "flat": ("val_instances.json", "val", "val", ()),
    "flat, plain name": ("val.json", "images/val", "val", ()),
}


@pytest.mark.parametrize("name", TREES)
def test_each_tree_opens(tmp_path: Path, name: str) -> None:
    path, photos, split, listed = TREES[name]
    source = open_coco_instances(tree(tmp_path, path, photos, *listed), split)
    assert [source[i].name for i in range(len(source))] == ["a.png", "b.png"]
    found = splits(tmp_path)
    assert list(found.values()) == [2]
    assert next(iter(found)).startswith(split)


def test_the_smaller_of_two_masks_lies_above_and_the_rest_is_background(flat: Path) -> None:
    source = open_data(f"coco-instances={flat}", "val")
    names = [(label.name, label.is_thing, label.file_id) for label in source.labels.labels]
    assert names == [("person", True, 1), ("tie", True, 32), ("background", False, 33)]
    classes = source.labels.semantic(source[0].truth)
    assert classes.tolist() == [[0, 0, 0, 2], [0, 1, 0, 2], [0, 0, 0, 2]]


def test_an_image_without_a_mask_is_kept_as_background(flat: Path) -> None:
    truth = open_coco_instances(flat, "val")[1].truth
    assert truth.ids.tolist() == [[1] * 4] * 3
    assert truth.regions == (Region(1, 2),)


def test_crowds_lie_below_and_keep_their_mark(flat: Path) -> None:
    crowd = annotation(1, 0, 1, rectangle(0, 0, 1, 2), iscrowd=1)
    one = annotation(2, 0, 1, rectangle(0, 1, 3, 4))
    rewrite(flat, annotations=[crowd, one])
    source = open_coco_instances(flat, "val")
    truth = source[0].truth
    regions = {region.id: region for region in truth.regions}
    assert [regions[i].is_crowd for i in truth.ids[0].tolist()] == [True, False, False, False]


def test_polygons_are_filled(flat: Path) -> None:
    pytest.importorskip("pycocotools")
    rewrite(flat, annotations=[annotation(1, 0, 32, [[0, 0, 2, 0, 2, 3, 0, 3]])])
    source = open_coco_instances(flat, "val")
    assert source.labels.semantic(source[0].truth).tolist() == [[1, 1, 2, 2]] * 3


def test_labelmes_own_background_is_the_background(flat: Path) -> None:
    rows = [{"id": 0, "name": "_background_"}, {"id": 1, "name": "cell"}]
    rewrite(flat, categories=rows, annotations=[annotation(0, 0, 1, rectangle(0, 0, 3, 2))])
    source = open_coco_instances(flat, "val")
    assert source.labels.is_thing.tolist() == [False, True]
    assert source.labels.semantic(source[0].truth).tolist() == [[1, 1, 0, 0]] * 3


def test_classes_are_stuff_where_the_json_says_so(flat: Path) -> None:
    rows = [{"id": 1, "name": "grass", "isthing": 0}, {"id": 32, "name": "tie", "isthing": 1}]
    masks = [annotation(1, 0, 1, rectangle(0, 0, 1, 1)), annotation(2, 0, 1, rectangle(2, 2, 3, 3))]
    rewrite(flat, categories=rows, annotations=masks)
    source = open_coco_instances(flat, "val")
    assert source.labels.is_thing.tolist() == [False, True, False]
    assert [region.class_id for region in source[0].truth.regions] == [0, 2]


def test_a_source_goes_to_worker_processes(flat: Path) -> None:
    source = open_coco_instances(flat, "val")
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again[0].truth.ids, source[0].truth.ids)


def test_opening_reads_no_photo(flat: Path) -> None:
    (flat / "val" / "a.png").write_bytes(b"")
    assert open_coco_instances(flat, "val").name(0) == "a.png"


def test_a_missing_photo_is_told_and_left_out(flat: Path) -> None:
    (flat / "val" / "a.png").unlink()
    assert refusal(flat).startswith(f"{flat / 'val' / 'a.png'}: missing, but ")
    faults: list[Fault] = []
    source = open_coco_instances(flat, "val", faults.append)
    assert [source.name(i) for i in range(len(source))] == ["b.png"]
    assert [fault.kind for fault in faults] == ["labels without a photo"]


def test_a_missing_photo_is_looked_for_where_its_name_says(tmp_path: Path) -> None:
    names = ("images/a.png", "images/gone.png")
    root = tree(tmp_path, "result.json", "images", *names)
    assert refusal(root, "train").startswith(f"{root / 'images' / 'gone.png'}: missing")


def test_one_photo_of_two_images_is_told(tmp_path: Path) -> None:
    tree(tmp_path, "val.json", "val", "a.png", "x/a.png")
    assert "list each photo once" in refusal(tmp_path)


def test_a_photo_of_another_size_is_told(flat: Path) -> None:
    write_image(flat / "val" / "a.png", np.zeros((2, 4, 3), np.uint8))
    with pytest.raises(BadInput, match=r"the label is 3x4 but .*a\.png is 2x4"):
        open_coco_instances(flat, "val")[0]


def test_the_json_is_read_once(flat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def noted(path: Path) -> bytes:
        read.append(path)
        return path.read_bytes()

    monkeypatch.setattr(images, "_file_bytes", noted)
    open_coco_instances(flat, "val")
    assert read == [flat / "val_instances.json"]


def test_panoptic_json_is_told_how_to_open(flat: Path) -> None:
    rows = [{"image_id": 0, "file_name": "a.png", "segments_info": []}]
    rewrite(flat, annotations=rows)
    assert f"is COCO panoptic: open it as coco-panoptic={flat}" in refusal(flat)


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"images": []}, "annotation 7: image 0 is not among the images"),
        ({"images": [], "annotations": []}, "lists no image"),
        ({"categories": [], "annotations": []}, "needs at least one class"),
        ({"categories": None}, "no list 'categories': give COCO instances JSON"),
        ({"annotations": [annotation(1, 0, 5, rectangle(0, 0, 1, 1))]}, "category 5 is not among"),
        ({"annotations": [annotation(1, 0, 1, [])]}, "no segmentation: give runs"),
    ],
)
def test_json_that_makes_no_sense_is_refused(
    flat: Path, parts: dict[str, object], told: str
) -> None:
    rewrite(flat, **parts)
    assert told in refusal(flat)


@pytest.mark.parametrize(
    ("text", "told"), [("", "the file is empty"), ("[1", "not whole JSON"), ("[]", "no list")]
)
def test_what_is_no_coco_json_is_refused(flat: Path, text: str, told: str) -> None:
    (flat / "val_instances.json").write_text(text)
    assert told in refusal(flat)


def test_photos_that_are_not_there_yet_are_asked_for(tmp_path: Path) -> None:
    tree(tmp_path, "annotations/instances_train2017.json", "val2017")
    assert f"{tmp_path / 'train2017'}: no such folder: put the photos of" in refusal(
        tmp_path, "train"
    )
    assert splits(tmp_path) == {}


def test_unknown_splits_and_wrong_roots_are_refused(flat: Path) -> None:
    assert "no split 'test': choose one of val" in refusal(flat, "test")
    assert "no COCO instances: expected annotations/instances_SPLIT.json" in refusal(flat / "val")
    assert "no such folder" in refusal(flat / "gone")


def test_splits_that_share_a_folder_are_counted_by_their_json(tmp_path: Path) -> None:
    tree(tmp_path, "annotations/instances_train.json", "images")
    tree(tmp_path, "annotations/instances_val.json", "images", "b.png")
    assert splits(tmp_path) == {"train": 2, "val": 1}


def test_a_marked_json_goes_before_a_plain_one(tmp_path: Path) -> None:
    tree(tmp_path, "val_instances.json", "val")
    (tmp_path / "val.json").write_text("{}")
    assert len(open_coco_instances(tmp_path, "val")) == 2


# --- masks on one map -----------------------------------------------------------------------------


def space(*names: str) -> LabelSpace:
    return LabelSpace(tuple(Label(n, (i, 0, 0), True, 3 * i) for i, n in enumerate(names)))


def test_smaller_masks_come_first_and_equal_ones_stay_in_order() -> None:
    masks = [np.arange(6).reshape(2, 3) < n for n in (4, 2, 4, 1)]
    items = tuple(Instance(i, 0, encode_mask(mask)) for i, mask in enumerate(masks))
    assert [x.id for x in smaller_first(Instances((2, 3), items)).items] == [3, 1, 0, 2]


def test_a_ground_is_added_once() -> None:
    labels, ground = with_ground(space("cat", "dog"))
    assert (ground, labels[2].name, labels[2].is_thing, labels[2].file_id) == (
        2,
        "background",
        False,
        4,
    )
    assert with_ground(labels) == (labels, 2)


def test_a_class_of_that_name_becomes_stuff() -> None:
    labels, ground = with_ground(space("Background", "dog"))
    assert (len(labels), ground, labels.is_thing.tolist()) == (2, 0, [False, True])


def test_ground_fills_void_and_stuff_is_one_region_each() -> None:
    ids = np.array([[0, 1, 2], [3, 4, 0]], np.int32)
    regions = (Region(1, 0), Region(2, 1), Region(3, 1), Region(4, 0))
    flat = grounded(Labelled(ids, regions), np.array([True, False]), 1)
    assert flat.ids.tolist() == [[2, 1, 2], [2, 4, 2]]
    assert flat.regions == (Region(1, 0), Region(2, 1), Region(4, 0))


def test_a_covered_image_has_no_ground() -> None:
    whole = Labelled(np.ones((2, 2), np.int32), (Region(1, 0),))
    assert grounded(whole, np.array([True, False]), 1).regions == whole.regions


def test_coco_things_opens_with_the_counts_of_its_readme(shared: Path) -> None:
    pytest.importorskip("pycocotools")
    root = shared / "data" / "coco_things"
    source = open_coco_instances(root, "train")
    assert (len(source), len(source.labels), splits(root)) == (177, 81, {"train": 177})
    truths = [source.truth(i) for i in range(len(source))]
    things = [r for t in truths for r in t.regions if source.labels[r.class_id].is_thing]
    assert len(things) == 1391
    present = [set(np.unique(t.ids)) for t in truths]
    assert all(0 not in ids for ids in present)
    assert (
        sum(r.id in ids for t, ids in zip(truths, present, strict=True) for r in t.regions) > 1390
    )


@pytest.mark.parametrize("name", ["dsb2018", "car_parts_panoptic"])
def test_panoptic_sets_are_sent_to_their_own_name(shared: Path, name: str) -> None:
    assert "is COCO panoptic" in refusal(shared / "data" / name)
