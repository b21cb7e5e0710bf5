from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from atrous.data.camvid import open_camvid, splits
from atrous.data.catalogue import open_data
from atrous.formats import write_class_map, write_image
from atrous.labels import CAMVID
from atrous.types import BadInput, Fault

FRAMES = {"train": ("0001TP_006690", "0001TP_006720"), "val": ("0016E5_07959",)}


def fill(images: Path, labels: Path, names: tuple[str, ...], void: int) -> None:
    for name in names:
        write_image(images / f"{name}.png", np.zeros((1, 3, 3), np.uint8))
        write_class_map(labels / f"{name}.png", np.array([[0, 10, void]], np.uint8))


@pytest.fixture
def segnet(tmp_path: Path) -> Path:
    """SegNet's tree with its lists; void is 11."""
    root = tmp_path / "SegNet" / "CamVid"
    for split, names in FRAMES.items():
        fill(root / split, root / f"{split}annot", names, void=11)
        lines = [
            f"/SegNet/CamVid/{split}/{n}.png /SegNet/CamVid/{split}annot/{n}.png" for n in names
        ]
        (root / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """The tree of images/ and labels/; void is 255."""
    root = tmp_path / "camvid"
    for split, names in FRAMES.items():
        fill(root / "images" / split, root / "labels" / split, names, void=255)
        (root / f"{split}.txt").write_text("\n".join(names) + "\n")
    return root


@pytest.fixture(params=["segnet", "plain"])
def root(request: pytest.FixtureRequest) -> Path:
    """Each of the two trees."""
    found: Path = request.getfixturevalue(request.param)
    return found


def refusal(root: Path, split: str = "train") -> str:
    with pytest.raises(BadInput) as error:
        open_camvid(root, split)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_both_trees_read_the_same_and_void_is_either_id(root: Path) -> None:
    source = open_data(f"camvid={root}", "train")
    assert source.labels is CAMVID
    assert not source.labels.is_thing.any()
    assert [source.name(i) for i in range(len(source))] == [f"{n}.png" for n in FRAMES["train"]]
    assert source.labels.semantic(source[0].truth).tolist() == [[0, 10, 255]]


def test_splits_are_counted_by_their_lists(root: Path) -> None:
    assert splits(root) == {"train": 2, "val": 1}
    (root / "train.txt").write_text((root / "train.txt").read_text().splitlines()[1])
    assert splits(root) == {"train": 1, "val": 1}
    assert open_camvid(root, "train").name(0) == "0001TP_006720.png"


def test_without_lists_the_folders_decide(root: Path) -> None:
    for path in root.glob("*.txt"):
        path.unlink()
    assert splits(root) == {"train": 2, "val": 1}
    assert len(open_camvid(root, "train")) == 2


def test_folders_above_segnets_tree_open_too(segnet: Path) -> None:
    assert len(open_camvid(segnet.parent, "val")) == 1
    assert len(open_camvid(segnet.parents[1], "val")) == 1


def test_the_oldest_lists_have_one_line_and_other_names_for_labels(tmp_path: Path) -> None:
    words = []
    for i in ("00001", "00002"):
        write_image(tmp_path / f"test/test_{i}.png", np.zeros((1, 3, 3), np.uint8))
        write_class_map(tmp_path / f"testannot/testannot_{i}.png", np.zeros((1, 3), np.uint8))
        words += [f"/SegNet/CamVid/test/test_{i}.png /SegNet/CamVid/testannot/testannot_{i}.png"]
    (tmp_path / "test.txt").write_text(" ".join(words) + " ")
    source = open_camvid(tmp_path, "test")
    assert [e.truth[0].name for e in source.entries] == [f"testannot_0000{i}.png" for i in (1, 2)]


def test_lines_that_end_with_a_semicolon_are_read(segnet: Path) -> None:
    lines = (segnet / "train.txt").read_text().splitlines()
    (segnet / "train.txt").write_text(";\r\n".join(lines) + ";\r\n")
    assert len(open_camvid(segnet, "train")) == 2


def test_photos_that_became_jpeg_open(segnet: Path) -> None:
    for path in (segnet / "train").iterdir():
        path.rename(path.with_suffix(".jpg"))
    assert open_camvid(segnet, "train").name(0) == "0001TP_006690.jpg"


def test_names_with_dots_and_spaces_are_names(plain: Path) -> None:
    names = ("img.v2", "my photo 1", "my photo 2")
    fill(plain / "images/odd", plain / "labels/odd", names, void=255)
    (plain / "odd.txt").write_text("img.v2\nmy photo 1\nmy photo 2.png\n")
    assert splits(plain) == {"train": 2, "val": 1, "odd": 3}
    source = open_camvid(plain, "odd")
    assert [source.name(i) for i in range(3)] == [f"{name}.png" for name in names]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "names no image"),
        ("a b\nc\n", "without its class map: a line is PHOTO CLASSMAP"),
        ("a b c\n", "without its class map: a line is PHOTO CLASSMAP"),
        ("a\na\n", "a photo stands twice"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused(root: Path, text: str, told: str) -> None:
    (root / "train.txt").write_text(text)
    assert refusal(root).startswith(f"{root / 'train.txt'}: ")
    assert told in refusal(root)


def test_a_list_that_is_no_text_is_refused(root: Path) -> None:
    (root / "train.txt").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in refusal(root)


def test_an_unknown_split_names_those_there_are(root: Path) -> None:
    assert "no split 'trainval': there is train, val" in refusal(root, "trainval")


def test_a_folder_of_photos_that_is_missing_is_named(segnet: Path) -> None:
    shutil.rmtree(segnet / "train")
    assert refusal(segnet).startswith(f"{segnet / 'train'}: no such folder")
    assert splits(segnet) == {"val": 1}


def test_an_archive_that_is_still_packed_is_named(tmp_path: Path) -> None:
    (tmp_path / "CamVid.zip").touch()
    assert f"unzip {tmp_path / 'CamVid.zip'}" in refusal(tmp_path)


def test_a_root_that_is_a_folder_off_is_told_the_right_one(root: Path) -> None:
    photos = next(path for path in root.rglob("train") if path.is_dir())
    assert refusal(photos).endswith(f"lies in {root}: give that folder")


def test_camvid_in_32_colours_says_what_was_looked_for(tmp_path: Path) -> None:
    there = tmp_path / "a" / "b" / "CamVid32"
    (there / "train_labels").mkdir(parents=True)
    text = refusal(there)
    assert "looked for trainannot" in text
    assert "found train_labels" in text


@pytest.mark.parametrize(
    ("kind", "index"), [("labels without a photo", 0), ("photos without a label", 1)]
)
def test_what_lacks_its_partner_is_told_and_stepped_over(root: Path, kind: str, index: int) -> None:
    folders = (("train", "trainannot"), ("images/train", "labels/train"))["SegNet" not in str(root)]
    path = root / folders[index] / "0001TP_006720.png"
    path.unlink()
    faults: list[Fault] = []
    assert len(open_camvid(root, "train", faults.append)) == 1
    assert [fault.kind for fault in faults] == [kind]
    assert refusal(root) == faults[0].message
    assert faults[0].message.startswith(f"{path}: missing")


def test_an_id_beyond_the_classes_is_told_when_it_is_read(root: Path) -> None:
    source = open_camvid(root, "val")
    write_class_map(source.entries[0].truth[0], np.array([[12, 0, 0]], np.uint8))
    with pytest.raises(BadInput, match=r"holds \[12\]"):
        source[0]


def test_a_reader_travels_to_another_process(root: Path) -> None:
    read = open_camvid(root, "val").read
    assert pickle.loads(pickle.dumps(read)) is read


def test_the_real_frames_open_with_the_official_counts(shared: Path) -> None:
    root = shared / "data" / "camvid"
    assert splits(root) == {"train": 367, "val": 101}
    assert len(open_camvid(root, "train")) == 367
    source = open_camvid(root, "val")
    for index in range(0, 101, 25):
        assert source[index].truth.ids.shape == (360, 480)


def test_the_classes_are_those_of_the_real_list(shared: Path) -> None:
    listed = json.loads((shared / "data" / "camvid" / "classes.json").read_text())["classes"]
    assert [(row["id"], row["name"]) for row in listed] == [
        (label.file_id, label.name) for label in CAMVID.labels
    ]
