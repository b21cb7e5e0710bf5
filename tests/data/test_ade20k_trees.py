from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from atrous.data.ade20k import open_ade20k, open_ade20k_panoptic, panoptic_splits, splits
from atrous.data.catalogue import open_data
from atrous.formats import write_ade20k, write_class_map, write_image
from atrous.labels import ADE20K
from atrous.types import BadInput, Fault, Labelled, Region

BED, WALL = 7, 0
IDS = np.array([[0, 1, 1], [2, 3, 3]], np.int32)
REGIONS = (Region(1, WALL), Region(2, BED), Region(3, BED))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The tree that the archives unpack to, one image a split: a wall, two beds, one pixel void."""
    base = tmp_path / "ADEChallengeData2016"
    for split, stem in (("training", "ADE_train_00000001"), ("validation", "ADE_val_00000001")):
        write_image(base / "images" / split / f"{stem}.jpg", np.zeros((2, 3, 3), np.uint8))
        kinds = ("annotations", "annotations_instance")
        classes, instances = (base / kind / split / f"{stem}.png" for kind in kinds)
        write_ade20k(classes, instances, Labelled(IDS, REGIONS))
    return base


def refusal(root: Path, split: str = "train") -> str:
    with pytest.raises(BadInput) as error:
        open_ade20k_panoptic(root, split)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("split", ["training", "train", "validation", "val"])
@pytest.mark.parametrize("place", [".", ".."])
def test_class_ids_are_file_ids_less_one_and_zero_is_void(
    root: Path, split: str, place: str
) -> None:
    source = open_data(f"ade20k={root / place}", split)
    (sample,) = (source[i] for i in range(len(source)))
    assert sample.name.endswith("_00000001.jpg")
    assert (len(source.labels), int(source.labels.is_thing.sum())) == (150, 0)
    classes = source.labels.semantic(sample.truth)
    assert classes.tolist() == [[255, WALL, WALL], [BED, BED, BED]]


def test_instances_tell_a_hundred_classes_of_things_apart(root: Path) -> None:
    source = open_data(f"ade20k-panoptic={root}", "val")
    assert source.labels == ADE20K
    assert int(source.labels.is_thing.sum()) == 100
    truth = source[0].truth
    np.testing.assert_array_equal(truth.ids, IDS)
    assert truth.regions == REGIONS


def test_splits_are_counted_with_their_own_names(root: Path) -> None:
    assert splits(root) == panoptic_splits(root.parent) == {"training": 1, "validation": 1}
    (root / "annotations_instance" / "validation").rename(root / "elsewhere")
    assert panoptic_splits(root) == {"training": 1}


@pytest.mark.parametrize("name", ["ade20k", "ade20k-panoptic"])
def test_a_source_goes_to_worker_processes(root: Path, name: str) -> None:
    source = pickle.loads(pickle.dumps(open_data(f"{name}={root}", "val")))
    assert source[0].truth.ids.shape == (2, 3)


def test_photos_of_the_test_have_no_labels(root: Path) -> None:
    assert "'testing' has no labels: choose training or validation" in refusal(root, "testing")
    assert "'eval' is no split" in refusal(root, "eval")


def test_wrong_roots_are_told_where_the_set_lies(root: Path) -> None:
    assert f"lies in {root}: give that folder" in refusal(root / "images")
    (root.parent / "other").mkdir()
    assert "no ADE20K (SceneParse150)" in refusal(root.parent / "other")
    assert "no such folder" in refusal(root / "gone")


@pytest.mark.parametrize(
    ("part", "mend"),
    [
        ("images/training", "unpack ADEChallengeData2016.zip, all of it"),
        ("annotations/training", "unpack ADEChallengeData2016.zip, all of it"),
        ("annotations_instance/training", "add annotations_instance.tar"),
    ],
)
def test_half_a_download_is_told(root: Path, part: str, mend: str) -> None:
    (root / part).rename(root / "elsewhere")
    text = refusal(root)
    assert text.startswith(f"{root / part}: no such folder: ")
    assert mend in text


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ("images/training/ADE_train_00000001.jpg", "labels without a photo"),
        ("annotations/training/ADE_train_00000001.png", "photos without a label"),
        ("annotations_instance/training/ADE_train_00000001.png", "photos without a label"),
    ],
)
def test_a_missing_file_is_named_and_its_image_left_out(root: Path, part: str, kind: str) -> None:
    extra = (root / part).with_stem("ADE_train_00000002")
    (root / part).rename(extra)
    faults: list[Fault] = []
    assert len(open_ade20k_panoptic(root, "train", faults.append)) == 0
    assert {fault.kind for fault in faults} == {"labels without a photo", "photos without a label"}
    assert any(fault.message.startswith(f"{root / part}: missing") for fault in faults)
    assert kind in {f.kind for f in faults if f.message.startswith(str(root / part))}


def test_ids_beyond_150_are_told_and_void(root: Path) -> None:
    path = root / "annotations" / "training" / "ADE_train_00000001.png"
    write_class_map(path, np.array([[151, 1, 1], [8, 8, 8]], np.uint8))
    source = open_ade20k(root, "train")
    with pytest.raises(BadInput, match=r"holds \[151\], neither ids of its 150 classes"):
        source[0]
    faults: list[Fault] = []
    assert source.truth(0, faults.append).ids[0].tolist() == [0, 1, 1]
    assert [fault.kind for fault in faults] == ["ids of no class"]
