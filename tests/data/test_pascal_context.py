from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from atrous.data.catalogue import open_data
from atrous.data.context import classes_of_names, open_context_59, open_context_60, splits
from atrous.formats import write_class_map, write_image, write_label_map
from atrous.labels import (
    IGNORED,
    NAMED,
    PASCAL_CONTEXT_59,
    PASCAL_CONTEXT_60,
    VOC,
    voc_colours,
)
from atrous.types import BadInput, Fault
from voc_trees import write_list

LISTS = {"train": ["2008_000002"], "val": ["2008_000003"]}
NAMES = sorted([label.name for label in PASCAL_CONTEXT_59.labels] + ["accordion", "unknown"])
"""A short list of names in the order of the alphabet, as the one of 459 is."""


def class_id(name: str) -> int:
    return [label.name for label in PASCAL_CONTEXT_59.labels].index(name)


def photos_and_lists(base: Path, lists: str) -> Path:
    for split, names in LISTS.items():
        write_list(base / "ImageSets" / lists / f"{split}.txt", names)
        for name in names:
            write_image(base / "JPEGImages" / f"{name}.jpg", np.zeros((1, 4, 3), np.uint8))
    return base


@pytest.fixture
def converted(tmp_path: Path) -> Path:
    """The tree of PNGs; each holds background, aeroplane, bag and wood."""
    base = photos_and_lists(tmp_path / "VOCdevkit" / "VOC2010", "SegmentationContext")
    for names in LISTS.values():
        path = base / "SegmentationClassContext" / f"{names[0]}.png"
        write_class_map(path, np.array([[0, 1, 2, 59]], np.uint8))
    return base


def label_folder(folder: Path) -> Path:
    """The files of all names; each holds accordion, aeroplane, table and what is unlabelled."""
    pytest.importorskip("scipy.io")
    write_list(folder / "labels.txt", [f"{i}: {name}" for i, name in enumerate(NAMES, 1)])
    ids = [NAMES.index(name) + 1 for name in ("accordion", "aeroplane", "table")]
    for names in LISTS.values():
        path = folder / "trainval" / f"{names[0]}.mat"
        write_label_map(path, np.array([[*ids, 0]]))
    return folder


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """The archives of VOC 2010 and of PASCAL-Context, unpacked in one folder."""
    photos_and_lists(tmp_path / "VOCdevkit" / "VOC2010", "Main")
    return label_folder(tmp_path)


def test_the_names_are_the_official_ones_in_their_order() -> None:
    names = [label.name for label in PASCAL_CONTEXT_60.labels]
    voc = [label.name for label in VOC.labels]
    voc[voc.index("diningtable")] = "table"
    assert names[:21] == voc
    assert names[21:24] == ["bag", "bed", "bench"]
    assert names[-3:] == ["water", "window", "wood"]
    assert names[1:] == [label.name for label in PASCAL_CONTEXT_59.labels]
    assert np.array_equal(PASCAL_CONTEXT_60.colours, voc_colours()[:60])


def test_file_ids_count_the_alphabet() -> None:
    by_id = sorted((label.file_id, label.name) for label in PASCAL_CONTEXT_59.labels)
    assert by_id == list(enumerate(sorted(name for _, name in by_id), 1))
    for name in ("pascal-context-59", "pascal-context-60"):
        assert not IGNORED[name] & set(NAMED[name].class_ids())
        assert IGNORED[name] | set(NAMED[name].class_ids()) == {*range(60), 255}


def test_converted_pngs_open_with_background_void_or_a_class(converted: Path) -> None:
    for root in (converted, converted.parent, converted.parent.parent):
        few, all_60 = open_context_59(root, "train"), open_context_60(root, "train")
        assert few.name(0) == "2008_000002.jpg"
        assert not few.labels.is_thing.any()
        expected = [255, class_id("aeroplane"), class_id("bag"), class_id("wood")]
        assert few.labels.semantic(few[0].truth).tolist() == [expected]
        found = all_60.labels.semantic(all_60[0].truth)
        assert found.tolist() == [[0, *(i + 1 for i in expected[1:])]]
        assert splits(root) == {"train": 1, "val": 1}


def test_files_of_all_names_are_mapped_by_name(original: Path) -> None:
    few = open_data(f"pascal-context-59={original}", "val")
    expected = [255, class_id("aeroplane"), class_id("table"), 255]
    assert few.labels.semantic(few[0].truth).tolist() == [expected]
    everything = open_data(f"pascal-context-60={original}", "val")
    found = everything.labels.semantic(everything[0].truth)
    assert found.tolist() == [[0, expected[1] + 1, expected[2] + 1, 0]]


@pytest.mark.parametrize("where", ["pascal-context", "VOCdevkit", "VOCdevkit/VOC2010"])
def test_the_label_folder_is_found_in_the_usual_places(tmp_path: Path, where: str) -> None:
    photos_and_lists(tmp_path / "VOCdevkit" / "VOC2010", "Main")
    label_folder(tmp_path / where)
    assert len(open_context_59(tmp_path, "train")) == 1


def test_labels_txt_may_lie_among_the_files(original: Path) -> None:
    (original / "labels.txt").rename(original / "trainval" / "labels.txt")
    assert len(open_context_59(original, "train")[0].truth.regions) == 2


def test_converted_pngs_win(original: Path) -> None:
    base = original / "VOCdevkit" / "VOC2010"
    for names in LISTS.values():
        path = base / "SegmentationClassContext" / f"{names[0]}.png"
        write_class_map(path, np.full((1, 4), 59, np.uint8))
    source = open_context_59(original, "train")
    assert source.entries[0].truth[0].suffix == ".png"
    assert source.labels[source[0].truth.regions[0].class_id].name == "wood"


def test_readers_can_be_sent_to_another_process(original: Path) -> None:
    source = open_context_59(original, "train")
    again = pickle.loads(pickle.dumps(source.read))
    assert again(source.entries[0], lambda _: None).regions == source[0].truth.regions


def test_lists_of_other_tasks_are_no_splits(original: Path) -> None:
    main = original / "VOCdevkit" / "VOC2010" / "ImageSets" / "Main"
    write_list(main / "cow_train.txt", ["2008_000002 1"])
    write_list(main / "trainval.txt", ["2008_000002", "2008_000003"])
    assert splits(original) == {"train": 1, "val": 1, "trainval": 2}


def test_an_id_that_the_list_does_not_name_is_told_or_becomes_void(original: Path) -> None:
    path = original / "trainval" / "2008_000002.mat"
    write_label_map(path, np.array([[NAMES.index("sky") + 1, 500, 0, 0]]))
    source = open_context_60(original, "train")
    with pytest.raises(BadInput, match=r"2008_000002\.mat: holds \[500\], which labels\.txt does"):
        source[0]
    faults: list[Fault] = []
    truth = source.truth(0, faults.append)
    assert (truth.ids == 0).tolist() == [[False, True, False, False]]
    assert [fault.kind for fault in faults] == ["ids of no class"]


@pytest.mark.parametrize("value", [60, 254])
def test_a_png_of_other_ids_is_refused(converted: Path, value: int) -> None:
    path = converted / "SegmentationClassContext" / "2008_000002.png"
    write_class_map(path, np.full((1, 4), value, np.uint8))
    for open_it in (open_context_59, open_context_60):
        with pytest.raises(BadInput, match=rf"holds \[{value}\]"):
            open_it(converted, "train")[0]


def test_wrong_roots_and_splits_are_told(converted: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="no VOC2010 of PASCAL-Context: looked for JPEGImages or"):
        open_context_59(tmp_path / "empty", "train")
    with pytest.raises(BadInput, match="no split 'test': there is train, val"):
        open_context_60(converted, "test")


def test_missing_lists_say_where_they_come_from(converted: Path) -> None:
    (converted / "ImageSets").rename(converted / "elsewhere")
    with pytest.raises(BadInput, match=r"take them from VOCtrainval_03-May-2010\.tar"):
        splits(converted)


def test_missing_labels_say_where_they_come_from(converted: Path) -> None:
    (converted / "SegmentationClassContext").rename(converted / "elsewhere")
    with pytest.raises(BadInput, match="looked for SegmentationClassContext and trainval"):
        open_context_59(converted, "train")


def test_missing_photos_are_told(converted: Path) -> None:
    (converted / "JPEGImages" / "2008_000002.jpg").unlink()
    with pytest.raises(BadInput, match=r"JPEGImages/2008_000002\.jpg: missing"):
        open_context_59(converted, "train")
    (converted / "JPEGImages").rename(converted / "elsewhere")
    with pytest.raises(BadInput, match="JPEGImages: no such folder: unpack VOCtrainval_03-May"):
        open_context_59(converted, "train")


@pytest.mark.parametrize("is_png", [True, False])
def test_a_missing_label_is_named_or_left_out(request: pytest.FixtureRequest, is_png: bool) -> None:
    root = request.getfixturevalue("converted" if is_png else "original")
    part = "SegmentationClassContext/2008_000002.png" if is_png else "trainval/2008_000002.mat"
    (root / part).unlink()
    with pytest.raises(BadInput, match=f"{part}: missing"):
        open_context_59(root, "train")
    faults: list[Fault] = []
    assert len(open_context_59(root, "train", faults.append)) == 0
    assert [fault.kind for fault in faults] == ["photos without a label"]


def test_the_list_of_names_is_needed(original: Path) -> None:
    (original / "labels.txt").unlink()
    with pytest.raises(BadInput, match=r"labels\.txt: missing: it names the 459 ids"):
        open_context_59(original, "train")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1: accordion\n2: aeroplane\n", "has no bag, bed, bedclothes, bench: give labels.txt"),
        ("accordion\n", "write a line for each name, such as 2: aeroplane"),
        ("one: accordion\n", "write a line for each name"),
        ("", "has no aeroplane"),
    ],
)
def test_another_list_of_names_is_refused(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "labels.txt"
    path.write_text(text)
    with pytest.raises(BadInput, match=told):
        classes_of_names(path, PASCAL_CONTEXT_59)


def test_a_list_of_names_in_other_bytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(BadInput, match="write a line for each name"):
        classes_of_names(path, PASCAL_CONTEXT_60)
