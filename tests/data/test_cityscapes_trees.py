from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from atrous.data.catalogue import open_data
from atrous.data.cityscapes import SPLITS, open_cityscapes, open_train_ids, splits
from atrous.data.source import FileSource
from atrous.formats import write_class_map, write_image, write_json
from atrous.labels import CITYSCAPES
from atrous.types import BadInput, ClassMap, Fault, Region

# A road, the first car, the third car, cars that nobody told apart, ego vehicle (void).
INSTANCES = np.array([[7, 26000, 26002], [26, 26, 1]], np.uint16)
CLASSES = np.array([[7, 26, 26], [26, 26, 1]], np.uint8)
TRAIN_IDS = np.array([[0, 13, 13], [13, 13, 255]], np.uint8)
DRAWN: dict[str, ClassMap] = {
    "instanceIds": INSTANCES,
    "labelIds": CLASSES,
    "labelTrainIds": TRAIN_IDS,
}
OFFICIAL = ("instanceIds", "labelIds")
TRAIN = ("aachen_000000_000019", "aachen_000001_000019", "ulm_000000_000019")
VAL = ("lindau_000000_000019",)
EXTRA = ("troisdorf_000000_000073", "troisdorf_000000_000103")


def add_photos(folder: Path, keys: tuple[str, ...], suffix: str = ".png") -> None:
    for key in keys:
        path = folder / key.split("_")[0] / f"{key}_leftImg8bit{suffix}"
        write_image(path.with_suffix(".png"), np.zeros((2, 3, 3), np.uint8))
        path.with_suffix(".png").rename(path)


def add_labels(
    folder: Path, keys: tuple[str, ...], endings: tuple[str, ...] = OFFICIAL, kind: str = "gtFine"
) -> None:
    for key in keys:
        stem = folder / key.split("_")[0] / f"{key}_{kind}"
        for ending in endings:
            write_class_map(stem.with_name(f"{stem.name}_{ending}.png"), DRAWN[ending])
        write_image(stem.with_name(f"{stem.name}_color.png"), np.zeros((2, 3, 3), np.uint8))
        write_json(stem.with_name(f"{stem.name}_polygons.json"), {})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The official tree with fine labels of `train` and `val` and all coarse ones."""
    base = tmp_path / "cityscapes"
    for split, keys in (("train", TRAIN), ("val", VAL)):
        add_photos(base / "leftImg8bit" / split, keys)
        add_labels(base / "gtFine" / split, keys)
        add_labels(base / "gtCoarse" / split, keys, kind="gtCoarse")
    add_photos(base / "leftImg8bit" / "train_extra", EXTRA)
    add_labels(base / "gtCoarse" / "train_extra", EXTRA, kind="gtCoarse")
    return base


def names(source: FileSource) -> list[str]:
    return [source.name(i).removesuffix("_leftImg8bit.png") for i in range(len(source))]


def refusal(root: Path, split: str = "train", opener: object = open_cityscapes) -> str:
    assert callable(opener)
    with pytest.raises(BadInput) as error:
        opener(root, split)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_things_are_told_apart_by_the_instance_files(root: Path) -> None:
    source = open_cityscapes(root, "train")
    car = [label.name for label in CITYSCAPES.labels].index("car")
    truth = source[0].truth
    assert source.labels is CITYSCAPES
    assert sorted(truth.regions, key=lambda region: region.is_crowd) == [
        Region(1, 0),
        Region(3, car),
        Region(4, car),
        Region(2, car, is_crowd=True),
    ]
    assert truth.ids.tolist() == [[1, 3, 4], [2, 2, 0]]


def test_each_split_is_made_of_its_folders(root: Path) -> None:
    assert names(open_cityscapes(root, "train")) == list(TRAIN)
    assert names(open_cityscapes(root, "trainval")) == [*TRAIN, *VAL]
    assert names(open_cityscapes(root, "coarse")) == list(EXTRA)
    assert names(open_cityscapes(root, "coarse-val")) == list(VAL)
    assert names(open_cityscapes(root, "train+coarse")) == [*TRAIN, *EXTRA]
    assert names(open_cityscapes(root, "trainval+coarse")) == [*TRAIN, *VAL, *EXTRA]


def test_coarse_train_has_the_coarse_labels_of_the_photos_of_train(root: Path) -> None:
    source = open_cityscapes(root, "coarse-train")
    assert names(source) == list(TRAIN)
    assert source.entries[0].truth == (
        root / "gtCoarse/train/aachen/aachen_000000_000019_gtCoarse_instanceIds.png",
    )


def test_splits_are_counted_where_photos_and_labels_are(root: Path) -> None:
    counts = splits(root)
    assert set(SPLITS) - set(counts) == {"test"}
    assert [counts[name] for name in ("train", "val", "trainval")] == [3, 1, 4]
    assert [counts[name] for name in ("coarse", "coarse-train", "trainval+coarse")] == [2, 3, 6]


def test_the_counts_are_those_of_the_listing_that_opening_makes(root: Path) -> None:
    assert splits(root) == {name: len(open_cityscapes(root, name)) for name in splits(root)}


def test_archives_unpacked_into_folders_of_their_own_open(root: Path, tmp_path: Path) -> None:
    apart = tmp_path / "apart"
    for kind, folder in (("leftImg8bit", "leftImg8bit_trainvaltest"), ("gtCoarse", "gtCoarse")):
        (apart / folder).mkdir(parents=True)
        shutil.move(root / kind, apart / folder / kind)
    (apart / "gtFine_trainvaltest").mkdir()
    shutil.move(root / "gtFine", apart / "gtFine_trainvaltest" / "gtFine")
    extra = apart / "leftImg8bit_trainextra" / "leftImg8bit"
    extra.mkdir(parents=True)
    shutil.move(apart / "leftImg8bit_trainvaltest/leftImg8bit/train_extra", extra / "train_extra")
    assert names(open_cityscapes(apart, "trainval+coarse")) == [*TRAIN, *VAL, *EXTRA]
    assert splits(apart)["coarse-train"] == 3


def test_photos_that_became_jpeg_open(tmp_path: Path) -> None:
    add_photos(tmp_path / "leftImg8bit" / "val", VAL, suffix=".jpg")
    add_labels(tmp_path / "gtFine" / "val", VAL)
    source = open_cityscapes(tmp_path, "val")
    assert source.name(0) == "lindau_000000_000019_leftImg8bit.jpg"
    assert source[0].image.shape == (2, 3, 3)


def test_files_without_folders_of_cities_open(root: Path) -> None:
    for path in (root / "leftImg8bit" / "train").glob("*/*.png"):
        path.rename(path.parents[1] / path.name)
    assert names(open_cityscapes(root, "train")) == list(TRAIN)


def test_class_maps_alone_make_all_classes_stuff(root: Path) -> None:
    for path in root.glob("gtFine/*/*/*_instanceIds.png"):
        path.unlink()
    source = open_cityscapes(root, "train")
    assert not source.labels.is_thing.any()
    assert source.labels.semantic(source[0].truth).tolist() == [[0, 13, 13], [13, 13, 255]]


def test_parts_are_read_in_the_form_that_all_of_them_have(root: Path) -> None:
    for path in root.glob("gtCoarse/train_extra/*/*_instanceIds.png"):
        path.unlink()
    source = open_cityscapes(root, "train+coarse")
    assert len(source) == 5
    assert not source.labels.is_thing.any()
    assert open_cityscapes(root, "train").labels is CITYSCAPES


def test_labels_of_test_are_void(tmp_path: Path) -> None:
    add_photos(tmp_path / "leftImg8bit" / "test", ("bonn_000000_000019",))
    add_labels(tmp_path / "gtFine" / "test", ("bonn_000000_000019",))
    for path in (tmp_path / "gtFine").glob("*/*/*_instanceIds.png"):
        write_class_map(path, np.ones((2, 3), np.uint16))
    sample = open_cityscapes(tmp_path, "test")[0]
    assert not sample.truth.ids.any()
    assert sample.truth.regions == ()


def test_train_ids_open_under_their_own_name(tmp_path: Path) -> None:
    add_photos(tmp_path / "leftImg8bit" / "val", VAL)
    add_labels(tmp_path / "gtFine" / "val", VAL, ("labelTrainIds", *OFFICIAL))
    source = open_data(f"cityscapes-train-ids={tmp_path}", "val")
    assert not source.labels.is_thing.any()
    assert source.labels.semantic(source[0].truth).tolist() == [[0, 13, 13], [13, 13, 255]]
    assert open_data(f"cityscapes={tmp_path}", "val").labels is CITYSCAPES


@pytest.mark.parametrize("opener", [open_cityscapes, open_train_ids])
def test_a_reader_travels_to_another_process(
    tmp_path: Path, opener: Callable[[Path, str], FileSource]
) -> None:
    add_photos(tmp_path / "leftImg8bit" / "val", VAL)
    add_labels(tmp_path / "gtFine" / "val", VAL, tuple(DRAWN))
    source = opener(tmp_path, "val")
    read = pickle.loads(pickle.dumps(source.read))
    assert read(source.entries[0], pytest.fail).regions == source.truth(0).regions


def test_train_ids_under_the_name_cityscapes_are_told(tmp_path: Path) -> None:
    add_photos(tmp_path / "leftImg8bit" / "train", TRAIN)
    add_labels(tmp_path / "gtFine" / "train", TRAIN, ("labelTrainIds",))
    text = refusal(tmp_path)
    assert text.startswith(f"{tmp_path / 'gtFine' / 'train'}: no *_instanceIds.png or *_labelIds")
    assert text.endswith("open its *_labelTrainIds.png as cityscapes-train-ids")


def test_label_ids_under_the_name_of_train_ids_are_told(root: Path) -> None:
    text = refusal(root, opener=open_train_ids)
    assert "no *_labelTrainIds.png" in text
    assert text.endswith("open its *_labelIds.png as cityscapes")


def test_train_ids_in_files_of_label_ids_are_told_when_read(root: Path) -> None:
    for path in root.glob("gtFine/train/*/*_instanceIds.png"):
        path.unlink()
    write_class_map(next(root.glob("gtFine/train/aachen/*0_000019_gtFine_labelIds.png")), TRAIN_IDS)
    with pytest.raises(BadInput, match="train ids are no label ids"):
        open_cityscapes(root, "train")[0]


def test_labels_of_polygons_alone_are_told(tmp_path: Path) -> None:
    add_photos(tmp_path / "leftImg8bit" / "train", TRAIN)
    add_labels(tmp_path / "gtFine" / "train", TRAIN, ())
    assert refusal(tmp_path).endswith("unzip gtFine_trainvaltest.zip again")


def test_an_unknown_split_names_those_there_are(root: Path) -> None:
    shutil.rmtree(root / "gtCoarse")
    assert "no split 'training': there is train, val, trainval:" in refusal(root, "training")


@pytest.mark.parametrize(
    ("split", "folder", "archive"),
    [
        ("test", "leftImg8bit/test", "leftImg8bit_trainvaltest.zip"),
        ("trainval", "gtFine/val", "gtFine_trainvaltest.zip"),
        ("coarse", "leftImg8bit/train_extra", "leftImg8bit_trainextra.zip"),
        ("coarse-train", "gtCoarse/train", "gtCoarse.zip"),
    ],
)
def test_a_missing_folder_names_its_archive(
    root: Path, split: str, folder: str, archive: str
) -> None:
    shutil.rmtree(root / folder, ignore_errors=True)
    told = f"{root / folder}: no such folder: "
    assert refusal(root, split) == f"{told}download {archive} of Cityscapes and unzip it in {root}"
    (root / archive).touch()
    assert refusal(root, split) == f"{told}unzip {root / archive}"


def test_a_root_with_nothing_but_archives_is_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "gtFine_trainvaltest.zip").touch()
    assert f"unzip {tmp_path / 'gtFine_trainvaltest.zip'}" in refusal(tmp_path)


@pytest.mark.parametrize("wrong", ["..", "gtFine", "gtFine/train"])
def test_a_root_that_is_a_folder_off_is_told_the_right_one(root: Path, wrong: str) -> None:
    given = (root / wrong).resolve()
    assert refusal(given) == f"{given}: Cityscapes lies in {root}: give that folder"


def test_another_folder_says_what_was_looked_for(tmp_path: Path) -> None:
    there = tmp_path / "a" / "b" / "c"
    there.mkdir(parents=True)
    assert "looked for leftImg8bit or gtFine or gtCoarse" in refusal(there)
    assert "no such folder" in refusal(tmp_path / "gone")


def test_photos_of_a_city_that_are_missing_are_told_one_by_one(root: Path) -> None:
    shutil.rmtree(root / "leftImg8bit" / "train" / "aachen")
    missing = root / "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png"
    assert refusal(root).startswith(f"{missing}: missing")
    faults: list[Fault] = []
    assert names(open_cityscapes(root, "train", faults.append)) == ["ulm_000000_000019"]
    assert [fault.kind for fault in faults] == ["labels without a photo"] * 2


def test_the_corrupt_photo_that_was_taken_out_is_told_and_stepped_over(root: Path) -> None:
    photo = root / "leftImg8bit/train_extra/troisdorf/troisdorf_000000_000073_leftImg8bit.png"
    photo.unlink()
    faults: list[Fault] = []
    assert names(open_cityscapes(root, "coarse", faults.append)) == [EXTRA[1]]
    assert [fault.message.split(":")[0] for fault in faults] == [str(photo)]
    assert str(photo) in refusal(root, "coarse")


def test_a_photo_without_labels_is_told_and_stepped_over(root: Path) -> None:
    label = root / "gtFine/train/ulm/ulm_000000_000019_gtFine_instanceIds.png"
    label.unlink()
    faults: list[Fault] = []
    assert names(open_cityscapes(root, "train", faults.append)) == list(TRAIN[:2])
    assert [fault.kind for fault in faults] == ["photos without a label"]
    assert faults[0].message.startswith(f"{label}: missing")


def test_two_photos_of_one_image_are_refused(root: Path) -> None:
    add_photos(root / "leftImg8bit" / "val", VAL, suffix=".jpg")
    add_photos(root / "leftImg8bit" / "val", VAL)
    with pytest.raises(BadInput, match="keep one of them"):
        open_cityscapes(root, "val")


def test_hidden_files_of_other_systems_are_passed_over(root: Path) -> None:
    for path in root.glob("*/train/ulm/ulm*.png"):
        path.with_name(f"._{path.name}").write_bytes(b"resource")
    assert names(open_cityscapes(root, "train")) == list(TRAIN)
