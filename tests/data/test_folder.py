from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from atrous.data.catalogue import open_data
from atrous.data.folder import folder_classes, open_folder, splits
from atrous.data.source import FileSource
from atrous.formats import (
    encode_mask,
    instances_json,
    write_class_map,
    write_classes,
    write_image,
    write_json,
)
from atrous.formats.listing import ImageKey
from atrous.labels import Label, LabelSpace
from atrous.types import BadInput, Fault, Instance, Instances, Labelled, Region

CLASSES = {
    "classes": [{"id": 0, "name": "road", "color": [1, 2, 3]}, {"id": 7, "name": "sky"}],
    "ignore_label": 255,
}
THINGS = {
    "classes": [
        {"id": 0, "name": "road"},
        {"id": 7, "name": "car", "thing": True},
        {"id": 9, "name": "dog", "isthing": 1},
    ]
}
BLACK = np.zeros((3, 4, 3), np.uint8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A set of one photo of 3 x 4 pixels: road above, sky in the middle, void below."""
    folder = tmp_path / "set"
    write_image(folder / "images" / "train" / "a.png", BLACK)
    label = np.repeat(np.array([[0], [7], [255]], dtype=np.uint8), 4, axis=1)
    write_class_map(folder / "labels" / "train" / "a.png", label)
    write_json(folder / "classes.json", CLASSES)
    return folder


@pytest.fixture
def things(root: Path) -> Path:
    """Two cars side by side between road and void; the right one reaches into the void."""
    write_json(root / "classes.json", THINGS)
    numbers = np.array([[0, 0, 0, 0], [1, 1, 300, 300], [0, 0, 300, 300]], dtype=np.uint16)
    write_class_map(root / "instances" / "train" / "a.png", numbers)
    return root


def heard(source: FileSource) -> tuple[Labelled, list[str]]:
    """What a lenient reader gets of the first sample, and the kinds of what it hears."""
    faults: list[Fault] = []
    truth = source.truth(0, faults.append)
    assert all("\n" not in fault.message for fault in faults)
    return truth, [fault.kind for fault in faults]


def test_photos_and_class_maps_are_read_in_pairs(root: Path) -> None:
    data = open_data(f"folder={root}", "train")
    (sample,) = (data[i] for i in range(len(data)))
    assert (sample.name, data.name(0)) == ("a.png", "a.png")
    assert data.labels.semantic(sample.truth).tolist() == [[0] * 4, [1] * 4, [255] * 4]
    assert [(label.name, label.is_thing) for label in data.labels.labels] == [
        ("road", False),
        ("sky", False),
    ]
    assert data.labels[0].colour == (1, 2, 3)


@pytest.mark.parametrize("suffix", ["jpg", "JPEG", "bmp", "tif", "webp"])
def test_photos_are_of_any_suffix_and_pair_by_stem(root: Path, suffix: str) -> None:
    (root / "images" / "train" / "a.png").unlink()
    Pillow.fromarray(BLACK).save(root / "images" / "train" / f"a.{suffix}")
    source = open_folder(root, "train")
    assert (source.name(0), source[0].image.shape) == (f"a.{suffix}", (3, 4, 3))


def test_without_folders_of_splits_all_is_training(root: Path) -> None:
    for kind in ("images", "labels"):
        (root / kind / "train" / "a.png").rename(root / kind / "a.png")
        (root / kind / "train").rmdir()
    (root / "images" / ".cache").mkdir()
    assert splits(root) == {"train": 1}
    assert open_folder(root, "train")[0].name == "a.png"


def test_photos_beside_the_folders_of_splits_are_told(root: Path) -> None:
    write_image(root / "images" / "top.png", BLACK)
    write_class_map(root / "labels" / "top.png", np.zeros((3, 4), np.uint8))
    told = "images/top.png: lies beside the folders of splits, train: move it into one"
    with pytest.raises(BadInput, match=told):
        open_folder(root, "train")
    faults: list[Fault] = []
    assert len(open_folder(root, "train", faults.append)) == 1
    assert [fault.kind for fault in faults] == ["photos beside the folders of splits"]


def test_a_folder_without_photos_does_not_hide_those_beside_it(root: Path) -> None:
    for kind in ("images", "labels"):
        (root / kind / "train" / "a.png").rename(root / kind / "a.png")
    (root / "images" / "thumbnails").mkdir()
    assert splits(root) == {"train": 1}
    assert open_folder(root, "train").name(0) == "a.png"


def test_opening_lists_the_asked_split_alone_and_looks_at_no_file(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(root / "images" / "val" / "b.png", BLACK)
    looked: list[str] = []

    def noted(look: Callable[[Path], Any]) -> Callable[[Path], Any]:
        def looking(path: Path) -> Any:
            looked.append(str(path))
            return look(path)

        return looking

    for place, name in ((os, "scandir"), (Path, "is_file"), (Path, "is_dir")):
        monkeypatch.setattr(place, name, noted(getattr(place, name)))
    assert len(open_folder(root, "train")) == 1
    assert not [path for path in looked if "val" in path or path.endswith(".png")]


def test_splits_are_folders_with_the_number_of_their_photos(root: Path) -> None:
    write_image(root / "images" / "val" / "b.png", BLACK)
    write_image(root / "images" / "val" / "c.png", BLACK)
    assert splits(root) == {"train": 1, "val": 2}


def test_a_text_of_names_will_do_for_a_list_of_classes(root: Path) -> None:
    (root / "classes.json").unlink()
    (root / "classes.txt").write_text("\ufeffroad\nkerb stone\n\n")
    label = np.array([[0, 1, 1, 255]] * 3, dtype=np.uint8)
    write_class_map(root / "labels" / "train" / "a.png", label)
    source = open_folder(root, "train")
    assert [(x.name, x.file_id) for x in source.labels.labels] == [("road", 0), ("kerb stone", 1)]
    assert source.labels.semantic(source[0].truth)[0].tolist() == [0, 1, 1, 255]


def remove(*parts: str) -> Callable[[Path], None]:
    return lambda root: root.joinpath(*parts).unlink()


def listed(data: object) -> Callable[[Path], None]:
    return lambda root: write_json(root / "classes.json", data)


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (remove("labels", "train", "a.png"), "labels/train: no .*png in it"),
        (remove("images", "train", "a.png"), "images/train/a.jpg: missing: add the photo"),
        (remove("classes.json"), "classes.json: missing, and so is classes.txt: write"),
        (listed({"classes": []}), "write {"),
        (listed({"classes": [{"id": 1}]}), "a class has an id"),
        (listed({"classes": [3]}), "a class has an id"),
        (listed({"classes": [{"id": 1, "name": "a", "thing": "yes"}]}), "a class has an id"),
        (listed({"classes": [{"id": 1, "name": None}]}), "its name is None, not a line of text"),
        (listed({"classes": [{"id": 1, "name": " "}]}), "its name is ' ', not a line of text"),
        (listed({"classes": [{"id": 1, "name": "a\nb"}]}), r"its name is 'a\\nb', not a line"),
        (listed({"classes": [{"id": -1, "name": "a"}]}), "the id -1, which no PNG holds"),
        (listed({"classes": [{"id": 70000, "name": "a"}]}), "choose one from 0 to 65535"),
        (listed({"classes": [{"id": 1, "name": "a", "color": 3}]}), "its color is 3, not three"),
        (
            listed({"classes": [{"id": 1, "name": "a"}, {"id": 4, "name": "a"}]}),
            "ids 1 and 4 are both called 'a'",
        ),
        (lambda r: (r / "classes.json").write_text(""), "the file is empty"),
        (lambda r: write_image(r / "images/train/a.jpg", BLACK), "has the name of a.jpg: keep one"),
        (lambda r: (r / "labels").rename(r / "masks"), "labels/train: no such folder: put a PNG"),
    ],
)
def test_a_broken_set_is_told_when_it_is_opened(
    root: Path, break_it: Callable[[Path], None], told: str
) -> None:
    break_it(root)
    with pytest.raises(BadInput, match=told) as error:
        open_folder(root, "train")
    assert "\n" not in str(error.value)


def test_a_name_twice_in_a_text_of_classes_is_refused(root: Path) -> None:
    (root / "classes.json").unlink()
    (root / "classes.txt").write_text("road\nsky\nroad\n")
    with pytest.raises(BadInput, match=r"classes.txt: ids 0 and 2 are both called 'road'"):
        open_folder(root, "train")


def test_an_empty_text_of_classes_is_refused(root: Path) -> None:
    (root / "classes.json").rename(root / "classes.txt")
    (root / "classes.txt").write_text("\n")
    with pytest.raises(BadInput, match="0 classes: write 1 to 255 names"):
        open_folder(root, "train")


def test_a_photo_without_a_label_is_stepped_over_by_a_lenient_reader(root: Path) -> None:
    write_image(root / "images" / "train" / "b.png", BLACK)
    with pytest.raises(BadInput, match=r"labels/train/b.png: missing: label b.png"):
        open_folder(root, "train")
    faults: list[Fault] = []
    assert len(open_folder(root, "train", faults.append)) == 1
    assert [fault.kind for fault in faults] == ["photos without a label"]


def test_an_unknown_split_names_those_there_are(root: Path) -> None:
    with pytest.raises(BadInput, match="no split 'val': there is train"):
        open_folder(root, "val")
    with pytest.raises(BadInput, match="nowhere: no such folder"):
        open_folder(root / "nowhere", "val")
    with pytest.raises(BadInput, match=f"lies in {root}: give that folder"):
        open_folder(root / "labels", "val")


@pytest.mark.parametrize(
    ("label", "told"),
    [
        (np.full((3, 4), 9, np.uint8), r"holds \[9\].*; the classes are 0, 7$"),
        (np.zeros((3, 5), np.uint8), "the label is 3x5 but .* is 3x4"),
    ],
)
def test_labels_that_do_not_fit_are_told_when_they_are_read(
    root: Path, label: np.ndarray, told: str
) -> None:
    write_class_map(root / "labels" / "train" / "a.png", label)
    with pytest.raises(BadInput, match=told):
        open_folder(root, "train")[0]


def test_colours_instead_of_ids_are_refused(root: Path) -> None:
    write_image(root / "labels" / "train" / "a.png", np.zeros((3, 4, 3), np.uint8))
    with pytest.raises(BadInput, match="save the ids, not colours"):
        open_folder(root, "train")[0]


# --- instances ----------------------------------------------------------------------------------


def test_instance_numbers_tell_the_things_of_a_class_apart(things: Path) -> None:
    source = pickle.loads(pickle.dumps(open_folder(things, "train")))
    truth = source[0].truth
    assert source.labels.is_thing.tolist() == [False, True, True]
    assert truth.regions == (Region(1, 0), Region(2, 1), Region(3, 1))
    assert truth.ids.tolist() == [[1] * 4, [2, 2, 3, 3], [0] * 4]


def test_things_without_instance_files_are_read_as_stuff(things: Path) -> None:
    (things / "instances" / "train" / "a.png").unlink()
    (things / "instances" / "train").rmdir()
    (things / "instances").rmdir()
    source = open_folder(things, "train")
    assert not source.labels.is_thing.any()
    assert [region.class_id for region in source[0].truth.regions] == [0, 1]


@pytest.mark.parametrize(
    ("classes", "numbers", "kind", "left"),
    [
        ([0, 7, 9, 9], [0, 1, 1, 2], "instances of two classes", [1, 0, 0, 2]),
        ([0, 0, 7, 7], [0, 1, 2, 2], "instances of stuff", [1, 0, 2, 2]),
        ([0, 7, 7, 9], [0, 0, 2, 3], "things of no instance", [1, 0, 2, 3]),
        ([0, 7, 7, 0], [0, 1, 1, 1], "instances of two classes", [1, 0, 0, 0]),
        ([0, 5, 7, 7], [0, 0, 1, 1], "ids of no class", [1, 0, 2, 2]),
    ],
)
def test_what_makes_no_sense_is_told_and_void(
    things: Path, classes: list[int], numbers: list[int], kind: str, left: list[int]
) -> None:
    write_class_map(things / "labels/train/a.png", np.array([classes] * 3, dtype=np.uint8))
    write_class_map(things / "instances/train/a.png", np.array([numbers] * 3, dtype=np.uint8))
    source = open_folder(things, "train")
    truth, kinds = heard(source)
    assert kinds == [kind]
    assert truth.ids[0].tolist() == left
    with pytest.raises(BadInput):
        source[0]


def test_a_fault_names_the_instance_and_its_classes(things: Path) -> None:
    write_class_map(things / "labels/train/a.png", np.array([[7, 9, 0, 0]] * 3, dtype=np.uint8))
    write_class_map(things / "instances/train/a.png", np.array([[4, 4, 0, 0]] * 3, np.uint8))
    told = "instances/train/a.png: instance 4 is of car and dog: give each instance one class"
    with pytest.raises(BadInput, match=told):
        open_folder(things, "train")[0]


def test_labels_and_instances_of_two_sizes_are_refused(things: Path) -> None:
    write_class_map(things / "instances/train/a.png", np.zeros((3, 5), np.uint8))
    with pytest.raises(BadInput, match=r"instances/train/a.png: is 3 x 5 but .* is 3 x 4"):
        open_folder(things, "train")[0]


def test_a_photo_without_instances_is_told(things: Path) -> None:
    write_image(things / "images/train/b.png", BLACK)
    write_class_map(things / "labels/train/b.png", np.zeros((3, 4), np.uint8))
    with pytest.raises(BadInput, match=r"instances/train/b.png: missing: label b.png"):
        open_folder(things, "train")


def test_instances_of_classes_that_are_no_things_are_refused(things: Path) -> None:
    write_json(things / "classes.json", CLASSES)
    with pytest.raises(BadInput, match='no class is a thing: write "thing": true'):
        open_folder(things, "train")


def test_more_pairs_than_a_table_holds_are_read_too(things: Path) -> None:
    rows = [{"id": i, "name": f"c{i}", "thing": True} for i in range(300)]
    write_json(things / "classes.json", {"classes": rows, "ignore_label": 999})
    numbers = np.arange(1, 601, dtype=np.uint16).reshape(20, 30)
    for kind, values in (("labels", numbers % 300), ("instances", numbers)):
        write_class_map(things / kind / "train" / "a.png", values.astype(np.uint16))
    truth = open_folder(things, "train").truth(0)
    assert truth.ids.ravel().tolist() == list(range(1, 601))
    assert [region.class_id for region in truth.regions] == [i % 300 for i in range(1, 601)]


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    labels = LabelSpace(
        (Label("road", (9, 8, 7), False, 3), Label("car", (1, 2, 3), True, 5)),
    )
    ids = np.array([[1, 1, 2, 0], [1, 3, 2, 0]], np.int32)
    truth = Labelled(ids, (Region(1, 0), Region(2, 1), Region(3, 1)))
    rows = [
        {"id": x.file_id, "name": x.name, "color": list(x.colour), "thing": x.is_thing}
        for x in labels.labels
    ]
    write_json(tmp_path / "classes.json", {"classes": rows})
    write_image(tmp_path / "images/val/a.png", np.zeros((2, 4, 3), np.uint8))
    write_classes(tmp_path / "labels/val/a.png", labels.semantic(truth), labels, void=255)
    numbers = np.where(ids > 1, ids, 0).astype(np.uint16)
    write_class_map(tmp_path / "instances/val/a.png", numbers)
    source = open_folder(tmp_path, "val")
    assert source.labels == labels
    again = source[0].truth
    np.testing.assert_array_equal(again.ids, ids)
    assert again.regions == truth.regions


# --- COCO's JSON ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["train.json", "annotations.json"])
def test_masks_in_json_open_too(tmp_path: Path, name: str) -> None:
    photos = tmp_path / "images" / ("train" if name == "train.json" else "")
    write_image(photos / "a.png", BLACK)
    mask = np.zeros((3, 4), np.bool_)
    mask[1] = True
    found = Instances((3, 4), (Instance(1, 0, encode_mask(mask)),))
    labels = LabelSpace((Label("car", (1, 2, 3), True, 1),))
    data = instances_json([(ImageKey(1, "a.png", (3, 4)), found)], labels)
    write_json(tmp_path / name, data)
    source = open_data(f"folder={tmp_path}", "train")
    assert splits(tmp_path) == {"train": 1}
    assert [label.name for label in source.labels.labels] == ["car", "background"]
    assert source.labels.semantic(source[0].truth)[:, 0].tolist() == [1, 0, 1]


# --- classes --------------------------------------------------------------------------------------


def test_classes_say_which_are_things(tmp_path: Path) -> None:
    write_json(tmp_path / "classes.json", THINGS)
    labels, ignored = folder_classes(tmp_path / "classes.json")
    assert (labels.is_thing.tolist(), ignored) == ([False, True, True], 255)


def test_camvid_opens_with_the_counts_of_its_readme(shared: Path) -> None:
    spec = f"folder={shared / 'data' / 'camvid'}"
    assert [len(open_data(spec, split)) for split in ("train", "val")] == [367, 101]
    sample = open_data(spec, "val")[0]
    assert sample.image.shape == (360, 480, 3)
    assert len(open_data(spec, "val").labels) == 11
