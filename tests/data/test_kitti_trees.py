from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from atrous.data.catalogue import open_data
from atrous.data.kitti import open_kitti, splits
from atrous.formats import write_class_map, write_image
from atrous.labels import CITYSCAPES
from atrous.types import BadInput, Fault, Region

# The first and second building, the first car, cars nobody told apart, and void.
CLASSES = np.array([[11, 11, 26], [26, 26, 4]], np.uint8)
PARTS = CLASSES * np.uint16(256) + np.array([[1, 2, 1], [0, 0, 0]], np.uint16)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The official tree with two scenes, and the photos of `testing`."""
    base = tmp_path / "data_semantics"
    for key in ("000000_10", "000001_10"):
        write_image(base / "training/image_2" / f"{key}.png", np.zeros((2, 3, 3), np.uint8))
        write_image(base / "testing/image_2" / f"{key}.png", np.zeros((2, 3, 3), np.uint8))
        write_class_map(base / "training/instance" / f"{key}.png", PARTS)
        write_class_map(base / "training/semantic" / f"{key}.png", CLASSES)
        write_image(base / "training/semantic_rgb" / f"{key}.png", np.zeros((2, 3, 3), np.uint8))
    return base


def refusal(root: Path, split: str = "training") -> str:
    with pytest.raises(BadInput) as error:
        open_kitti(root, split)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_things_have_numbers_and_stuff_is_one_region(root: Path) -> None:
    source = open_kitti(root, "training")
    truth = source[0].truth
    building, car = (CITYSCAPES.class_ids()[i] for i in (11, 26))
    assert source.labels is CITYSCAPES
    assert truth.regions == (
        Region(1, building),
        Region(2, car, is_crowd=True),
        Region(3, car),
    )
    assert truth.ids.tolist() == [[1, 1, 3], [2, 2, 0]]


@pytest.mark.parametrize("split", ["train", "training"])
@pytest.mark.parametrize("wrong", [".", ".."])
def test_both_roots_and_both_names_of_the_split_open(root: Path, split: str, wrong: str) -> None:
    source = open_data(f"kitti={root / wrong}", split)
    assert [source.name(i) for i in range(len(source))] == ["000000_10.png", "000001_10.png"]
    assert splits(root / wrong) == {"training": 2}


def test_class_maps_alone_make_all_classes_stuff(root: Path) -> None:
    shutil.rmtree(root / "training" / "instance")
    source = open_kitti(root, "train")
    assert not source.labels.is_thing.any()
    assert source.labels.semantic(source[0].truth).tolist() == [[2, 2, 13], [13, 13, 255]]
    assert pickle.loads(pickle.dumps(source.read)) is source.read


def test_second_frames_of_the_stereo_benchmark_are_passed_over(root: Path) -> None:
    write_image(root / "training/image_2/000000_11.png", np.zeros((2, 3, 3), np.uint8))
    assert len(open_kitti(root, "train")) == splits(root)["training"] == 2


def test_testing_has_no_labels(root: Path) -> None:
    text = refusal(root, "testing")
    assert text == f"{root / 'testing'}: its labels are not public: open the split training"


def test_an_unknown_split_names_the_official_one(root: Path) -> None:
    assert "no split 'val': there is training" in refusal(root, "val")


@pytest.mark.parametrize("folder", ["image_2", "semantic"])
def test_a_missing_folder_names_its_archive(root: Path, folder: str) -> None:
    for name in {folder, "instance"}:
        shutil.rmtree(root / "training" / name)
    if folder == "image_2":
        write_class_map(root / "training/instance/000000_10.png", PARTS)
    told = f"{root / 'training' / folder}: no such folder: unzip "
    assert refusal(root) == f"{told}data_semantics.zip of KITTI in {root}"
    (root / "data_semantics.zip").touch()
    assert refusal(root) == f"{told}{root / 'data_semantics.zip'}"


def test_an_archive_that_is_still_packed_is_named(tmp_path: Path) -> None:
    (tmp_path / "data_semantics.zip").touch()
    assert f"unzip {tmp_path / 'data_semantics.zip'}" in refusal(tmp_path)


@pytest.mark.parametrize("wrong", ["training", "training/image_2"])
def test_a_root_that_is_a_folder_off_is_told_the_right_one(root: Path, wrong: str) -> None:
    assert refusal(root / wrong).endswith(f"KITTI semantics lies in {root}: give that folder")


@pytest.mark.parametrize(
    ("gone", "kind"),
    [("image_2", "labels without a photo"), ("instance", "photos without a label")],
)
def test_what_lacks_its_partner_is_told_and_stepped_over(root: Path, gone: str, kind: str) -> None:
    path = root / "training" / gone / "000000_10.png"
    path.unlink()
    faults: list[Fault] = []
    assert len(open_kitti(root, "train", faults.append)) == 1
    assert [fault.kind for fault in faults] == [kind]
    assert refusal(root) == faults[0].message
    assert faults[0].message.startswith(f"{path}: missing")


def test_real_scenes_read_with_the_things_their_readme_counts(shared: Path) -> None:
    source = open_kitti(shared / "data" / "kitti_semantics5", "training")
    is_thing = source.labels.is_thing
    truths = [source[i].truth for i in range(len(source))]
    things = [[r for r in t.regions if is_thing[r.class_id] and not r.is_crowd] for t in truths]
    assert [len(regions) for regions in things] == [26, 15, 11]
    assert {truth.ids.shape for truth in truths} == {(370, 1224)}
