from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from atrous.data.catalogue import open_data
from atrous.data.voc import open_voc, splits
from atrous.formats import write_class_map, write_classes
from atrous.labels import VOC
from atrous.types import BadInput, Fault, Region
from voc_trees import IDS, PERSON, TRUTH, voc_tree, write_list, write_photo

LISTS = {"train": ["2007_000032", "2007_000039"], "val": ["2007_000033"]}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """VOC2012 in a VOCdevkit, as the archive unpacks."""
    return voc_tree(tmp_path / "VOCdevkit" / "VOC2012", LISTS)


def lenient(root: Path, split: str) -> tuple[list[str], list[Fault]]:
    faults: list[Fault] = []
    source = open_voc(root, split, faults.append)
    return [source.name(i) for i in range(len(source))], faults


def test_objects_are_things_and_the_background_is_stuff(base: Path) -> None:
    source = open_voc(base, "train")
    assert [source.name(i) for i in range(2)] == ["2007_000032.jpg", "2007_000039.jpg"]
    assert source.labels == VOC
    sample = source[0]
    assert (sample.name, sample.image.shape) == ("2007_000032.jpg", (*IDS.shape, 3))
    assert sample.truth.regions == (Region(1, 0), Region(2, PERSON), Region(3, PERSON))
    assert np.array_equal(VOC.semantic(sample.truth), VOC.semantic(TRUTH))
    assert (sample.truth.ids == 0).tolist() == (IDS == 0).tolist()


def test_it_opens_from_the_year_the_devkit_and_what_holds_that(base: Path) -> None:
    for root in (base, base.parent, base.parent.parent):
        assert len(open_voc(root, "val")) == 1
        assert splits(root) == {"train": 2, "val": 1}


def test_2007_opens_too(tmp_path: Path) -> None:
    voc_tree(tmp_path / "VOC2007", {"train": ["000032"]})
    assert open_data(f"voc={tmp_path}", "train").name(0) == "000032.jpg"


def test_without_object_maps_all_classes_are_stuff(base: Path) -> None:
    (base / "SegmentationObject").rename(base / "elsewhere")
    source = open_voc(base, "train")
    assert not source.labels.is_thing.any()
    assert len(source.labels) == 21
    assert source[0].truth.regions == (Region(1, 0), Region(2, PERSON))
    assert (source[0].truth.ids == 0).tolist() == (IDS == 0).tolist()


def test_lists_of_ones_own_are_splits(base: Path) -> None:
    write_list(base / "ImageSets" / "Segmentation" / "few.txt", ["2007_000033"])
    write_list(base / "ImageSets" / "Segmentation" / "._few.txt", ["hidden"])
    assert splits(base) == {"train": 2, "val": 1, "few": 1}
    assert len(open_voc(base, "few")) == 1


@pytest.mark.parametrize("has_objects", [True, False])
def test_its_reader_can_be_sent_to_another_process(base: Path, has_objects: bool) -> None:
    if not has_objects:
        (base / "SegmentationObject").rename(base / "elsewhere")
    source = open_voc(base, "train")
    again = pickle.loads(pickle.dumps(source.read))
    assert again(source.entries[0], lambda _: None).regions == source[0].truth.regions


def test_opening_reads_no_photo_and_no_label(base: Path) -> None:
    for folder in ("JPEGImages", "SegmentationClass", "SegmentationObject"):
        for path in (base / folder).iterdir():
            path.write_bytes(b"")
    assert len(open_voc(base, "train")) == 2


def test_two_years_ask_for_one(base: Path) -> None:
    voc_tree(base.parent / "VOC2007", {"train": ["000032"]})
    with pytest.raises(BadInput, match="holds VOC2007 and VOC2012: give one of them, such as"):
        open_voc(base.parent, "train")
    assert len(open_voc(base, "train")) == 2


def test_test_has_no_public_labels(base: Path) -> None:
    told = "labels of test are not public: `atrous parse` takes its photos"
    with pytest.raises(BadInput, match=told):
        open_voc(base, "test")
    write_list(base / "ImageSets" / "Segmentation" / "test.txt", ["2008_000006"])
    write_photo(base / "JPEGImages" / "2008_000006.jpg")
    with pytest.raises(BadInput, match=told):
        open_voc(base, "test")
    assert "test" not in splits(base)


def test_the_test_of_2007_has_labels_and_opens(tmp_path: Path) -> None:
    voc_tree(tmp_path, {"train": ["000032"], "test": ["000068"]})
    assert splits(tmp_path) == {"train": 1, "test": 1}
    assert open_voc(tmp_path, "test").name(0) == "000068.jpg"


def test_an_unknown_split_names_those_there_are(base: Path) -> None:
    with pytest.raises(BadInput, match="no split 'trainval': there is train, val"):
        open_voc(base, "trainval")


@pytest.mark.parametrize("name", ["trainaug", "train_aug"])
def test_augmented_lists_send_to_voc_aug(base: Path, name: str) -> None:
    write_list(base / "ImageSets" / "Segmentation" / f"{name}.txt", LISTS["train"])
    assert name not in splits(base)
    with pytest.raises(BadInput, match="write --data voc-aug=PATH"):
        open_voc(base, name)


def test_a_folder_without_voc_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(BadInput, match=r"no PASCAL VOC .*looked for JPEGImages.* found photos"):
        open_voc(tmp_path, "train")
    with pytest.raises(BadInput, match="no such folder"):
        open_voc(tmp_path / "gone", "train")


@pytest.mark.parametrize("folder", ["JPEGImages", "SegmentationClass"])
def test_half_a_download_names_the_folder(base: Path, folder: str) -> None:
    (base / folder).rename(base / "elsewhere")
    with pytest.raises(BadInput, match=f"{folder}: no such folder: unpack"):
        open_voc(base, "train")


def test_missing_lists_are_told(base: Path) -> None:
    (base / "ImageSets").rename(base / "elsewhere")
    with pytest.raises(BadInput, match=r"no list of images, such as train.txt: copy ImageSets"):
        splits(base)


def test_an_empty_list_is_told(base: Path) -> None:
    write_list(base / "ImageSets" / "Segmentation" / "train.txt", [])
    with pytest.raises(BadInput, match=r"train\.txt: names no image"):
        open_voc(base, "train")


@pytest.mark.parametrize("name", ["test", "own"])
def test_an_empty_list_does_not_keep_another_split_from_opening(base: Path, name: str) -> None:
    write_list(base / "ImageSets" / "Segmentation" / f"{name}.txt", [])
    assert len(open_voc(base, "train")) == 2
    assert splits(base) == {"train": 2, "val": 1} | ({"own": 0} if name == "own" else {})


def test_a_name_twice_in_a_list_is_refused(base: Path) -> None:
    write_list(base / "ImageSets/Segmentation/train.txt", [*LISTS["train"], "2007_000032 -1"])
    with pytest.raises(BadInput, match=r"train\.txt: 2007_000032 stands in it 2 times: keep one"):
        open_voc(base, "train")


def test_names_with_dots_and_spaces_are_names(base: Path) -> None:
    names = ["img.v2", "my photo", "my other photo"]
    voc_tree(base, {"own": names})
    lines = ["img.v2", "my photo", "JPEGImages/my other photo.jpg", "2007_000033.jpg  -1"]
    write_list(base / "ImageSets" / "Segmentation" / "own.txt", lines)
    source = open_voc(base, "own")
    found = [source.name(i) for i in range(len(source))]
    assert found == [f"{name}.jpg" for name in [*names, "2007_000033"]]
    assert splits(base)["own"] == 4


def test_a_line_of_photo_and_label_names_one_image(base: Path) -> None:
    lines = [f"/JPEGImages/{n}.jpg /SegmentationClass/{n}.png" for n in LISTS["train"]]
    write_list(base / "ImageSets" / "Segmentation" / "pairs.txt", lines)
    found = [entry.name for entry in open_voc(base, "pairs").entries]
    assert found == [f"{name}.jpg" for name in LISTS["train"]]


def test_a_root_that_is_a_folder_off_is_told_the_right_one(base: Path) -> None:
    with pytest.raises(BadInput, match=f"lies in {base}: give that folder"):
        open_voc(base / "JPEGImages", "train")


def test_the_names_of_what_is_there_do_not_flood_the_line(tmp_path: Path) -> None:
    for letter in "abcdefgh":
        (tmp_path / (letter * 120)).touch()
    with pytest.raises(BadInput, match=r"found a+ \.\.\.: check the path") as error:
        open_voc(tmp_path, "train")
    assert len(str(error.value)) < len(str(tmp_path)) + 300


@pytest.mark.parametrize(
    ("missing", "kind"),
    [
        ("JPEGImages/2007_000032.jpg", "labels without a photo"),
        ("SegmentationClass/2007_000032.png", "photos without a label"),
        ("SegmentationObject/2007_000032.png", "photos without a label"),
    ],
)
def test_what_is_missing_is_named_or_left_out(base: Path, missing: str, kind: str) -> None:
    (base / missing).unlink()
    with pytest.raises(BadInput, match=f"{missing}: missing"):
        open_voc(base, "train")
    names, faults = lenient(base, "train")
    assert names == ["2007_000039.jpg"]
    assert [fault.kind for fault in faults] == [kind]


def test_a_list_that_names_absent_files_is_told(base: Path) -> None:
    path = base / "ImageSets" / "Segmentation" / "train.txt"
    write_list(path, [*LISTS["train"], "2007_999999"])
    with pytest.raises(BadInput, match=r"2007_999999\.jpg: missing"):
        open_voc(base, "train")
    assert len(lenient(base, "train")[0]) == 2


def test_labels_that_do_not_fit_are_told_when_they_are_read(base: Path) -> None:
    classes = base / "SegmentationClass" / "2007_000032.png"
    write_class_map(classes, np.full(IDS.shape, 21, np.uint8))
    with pytest.raises(BadInput, match=r"holds \[21\]"):
        open_voc(base, "train")[0]
    write_photo(base / "JPEGImages" / "2007_000039.jpg")
    for kind in ("Class", "Object"):
        path = base / f"Segmentation{kind}" / "2007_000039.png"
        write_classes(path, np.zeros((5, 5), np.uint8), VOC, void=255)
    with pytest.raises(BadInput, match="the label is 5x5 but"):
        open_voc(base, "train")[1]


def test_the_real_sample_has_the_counts_of_its_readme(shared: Path) -> None:
    spec = f"voc={shared / 'data' / 'voc2007_seg44'}"
    source = open_data(spec, "train")
    samples = [source[i] for i in range(len(source))]
    assert len(samples) == 20
    assert sum(r.class_id > 0 for sample in samples for r in sample.truth.regions) == 60
    assert samples[0].name == "000032.jpg"
    with pytest.raises(BadInput, match="no split 'val': there is train"):
        open_data(spec, "val")
