from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from atrous.data.catalogue import open_data
from atrous.data.mapillary import open_mapillary, open_mapillary_v2, splits
from atrous.data.source import FileSource
from atrous.formats import write_class_map, write_image, write_json
from atrous.types import BadInput, Fault, Region


def classes(*names: str) -> dict[str, object]:
    """A list of classes: cars are things, and the last class is not evaluated."""
    rows = [
        {
            "name": f"object--{name}",
            "readable": name,
            "color": [i, i, i],
            "instances": name == "Car",
            "evaluate": name != names[-1],
        }
        for i, name in enumerate(names)
    ]
    return {"labels": rows, "version": "1.1"}


V1 = classes("Road", "Car", "Unlabeled")
V2 = classes("Sky", "Road", "Lane", "Car", "Ambiguous")
# A road, the first car, the second, and void: class x 256 + number.
PARTS = {
    "v1.2": np.array([[0, 256, 257, 512]], np.uint16),
    "v2.0": np.array([[256, 768, 769, 1024]], np.uint16),
}


def add_photos(root: Path, split: str, keys: tuple[str, ...]) -> None:
    for key in keys:
        path = root / split / "images" / f"{key}.jpg"
        write_image(path.with_suffix(".png"), np.zeros((1, 4, 3), np.uint8))
        path.with_suffix(".png").rename(path)


def add_labels(folder: Path, keys: tuple[str, ...], version: str = "v1.2") -> None:
    for key in keys:
        write_class_map(folder / "instances" / f"{key}.png", PARTS[version])
        write_class_map(folder / "labels" / f"{key}.png", (PARTS[version] // 256).astype(np.uint8))


def official(root: Path, *versions: str) -> Path:
    """The tree of the download that has v1.2 and v2.0, with some of them."""
    for split, keys in (("training", ("a", "b")), ("validation", ("c",)), ("testing", ("d",))):
        add_photos(root, split, keys)
        for version in versions:
            if split != "testing":
                add_labels(root / split / version, keys, version)
    for version, data in (("v1.2", V1), ("v2.0", V2)):
        if version in versions:
            write_json(root / f"config_{version}.json", data)
    return root


def oldest(root: Path) -> Path:
    """The tree of v1.1: no folder of a version; the folders of labels of `testing` are empty."""
    for split, keys in (("training", ("a", "b")), ("validation", ("c",)), ("testing", ("d",))):
        add_photos(root, split, keys)
        for kind in ("instances", "labels"):
            (root / split / kind).mkdir()
        add_labels(root / split, keys if split != "testing" else ())
    write_json(root / "config.json", V1)
    return root


def class_names(source: FileSource) -> list[str]:
    return [label.name for label in source.labels.labels]


def refusal(root: Path, split: str = "training", opener: object = open_mapillary) -> str:
    assert callable(opener)
    with pytest.raises(BadInput) as error:
        opener(root, split)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("tree", ["official", "oldest", "plain"])
def test_v1_opens_with_or_without_a_folder_of_the_version(tmp_path: Path, tree: str) -> None:
    root = official(tmp_path, "v1.2") if tree == "official" else oldest(tmp_path)
    if tree == "plain":
        (root / "config.json").rename(root / "config_v1.2.json")
    source = open_mapillary(root, "training")
    assert class_names(source) == ["Road", "Car"]
    assert [source.name(i) for i in range(len(source))] == ["a.jpg", "b.jpg"]
    assert source[0].truth.regions == (Region(1, 0), Region(2, 1), Region(3, 1))
    assert source[0].truth.ids.tolist() == [[1, 2, 3, 0]]


def test_both_versions_of_one_download_open_by_name(tmp_path: Path) -> None:
    root = official(tmp_path, "v1.2", "v2.0")
    first, second = (open_data(f"{name}={root}", "val") for name in ("mapillary", "mapillary-v2"))
    assert isinstance(first, FileSource)
    assert isinstance(second, FileSource)
    assert class_names(first) == ["Road", "Car"]
    assert class_names(second) == ["Sky", "Road", "Lane", "Car"]
    assert first.name(0) == second.name(0) == "c.jpg"
    assert second.labels.semantic(second[0].truth).tolist() == [[1, 3, 3, 255]]


def test_the_only_version_there_opens_under_the_plain_name(tmp_path: Path) -> None:
    assert class_names(open_mapillary(official(tmp_path, "v2.0"), "train"))[0] == "Sky"


def test_v2_without_a_folder_of_the_version_opens_where_it_is_alone(tmp_path: Path) -> None:
    root = official(tmp_path, "v2.0")
    for path in root.glob("*/v2.0/*"):
        path.rename(path.parents[1] / path.name)
    assert class_names(open_mapillary_v2(root, "train"))[0] == "Sky"
    write_json(root / "config_v1.2.json", V1)
    text = refusal(root, opener=open_mapillary_v2)
    assert text.startswith(f"{root / 'training' / 'v2.0' / 'instances'}: no such folder")


@pytest.mark.parametrize(("alias", "name"), [("train", "training"), ("val", "validation")])
def test_short_names_of_splits_are_known(tmp_path: Path, alias: str, name: str) -> None:
    root = official(tmp_path, "v1.2")
    sources = [open_mapillary(root, split) for split in (alias, name)]
    assert [e.image for e in sources[0].entries] == [e.image for e in sources[1].entries]


def test_splits_are_those_with_labels(tmp_path: Path) -> None:
    assert splits(official(tmp_path, "v1.2")) == {"training": 2, "validation": 1}


def test_class_maps_alone_make_all_classes_stuff(tmp_path: Path) -> None:
    root = official(tmp_path, "v1.2")
    shutil.rmtree(root / "training" / "v1.2" / "instances")
    source = open_mapillary(root, "training")
    assert not source.labels.is_thing.any()
    assert source.labels.semantic(source[0].truth).tolist() == [[0, 1, 1, 255]]


def test_a_reader_travels_to_another_process(tmp_path: Path) -> None:
    source = open_mapillary(official(tmp_path, "v1.2"), "training")
    read = pickle.loads(pickle.dumps(source.read))
    assert read(source.entries[0], pytest.fail).regions == source.truth(0).regions


@pytest.mark.parametrize("split", ["test", "testing"])
@pytest.mark.parametrize("make", [lambda p: official(p, "v1.2"), oldest])
def test_testing_has_no_labels(tmp_path: Path, split: str, make: object) -> None:
    assert callable(make)
    text = refusal(make(tmp_path), split)
    assert text.startswith(f"{tmp_path / 'testing'}: the labels of testing are not public")


def test_an_unknown_split_names_the_official_ones(tmp_path: Path) -> None:
    text = refusal(official(tmp_path, "v1.2"), "train2017")
    assert "there is training, validation" in text


@pytest.mark.parametrize(
    ("opener", "names"),
    [
        (open_mapillary, "config_v1.2.json or config.json"),
        (open_mapillary_v2, "config_v2.0.json"),
    ],
)
def test_a_list_of_classes_that_is_missing_is_named(
    tmp_path: Path, opener: object, names: str
) -> None:
    root = oldest(tmp_path)
    (root / "config.json").unlink()
    assert f"{root}: no {names}, the list of classes of v" in refusal(root, opener=opener)


def test_labels_of_v1_are_not_taken_for_v2(tmp_path: Path) -> None:
    root = official(tmp_path, "v1.2", "v2.0")
    (root / "config_v1.2.json").unlink()
    text = refusal(root)
    assert text.startswith(f"{root / 'config_v1.2.json'}: no such file, but there are labels")
    assert text.endswith("add it, or open mapillary-v2")
    assert len(open_mapillary_v2(root, "training")) == 2


@pytest.mark.parametrize("folder", ["images", "v1.2"])
def test_half_a_download_names_the_folder_and_the_archive(tmp_path: Path, folder: str) -> None:
    root = official(tmp_path, "v1.2")
    shutil.rmtree(root / "validation" / folder)
    assert f"{root / 'validation' / folder}" in refusal(root, "val")
    assert "no such folder" in refusal(root, "val")
    archive = root / "mapillary-vistas-dataset_public_v1.1.zip"
    archive.touch()
    assert refusal(root, "val").endswith(f"unzip {archive}")


@pytest.mark.parametrize("wrong", ["..", "training", "training/images"])
def test_a_root_that_is_a_folder_off_is_told_the_right_one(tmp_path: Path, wrong: str) -> None:
    root = official(tmp_path / "data" / "vistas", "v1.2")
    text = refusal((root / wrong).resolve())
    assert text.endswith(f"Mapillary Vistas lies in {root}: give that folder")


def test_an_archive_that_is_still_packed_is_named(tmp_path: Path) -> None:
    (tmp_path / "vistas.zip").touch()
    assert f"unzip {tmp_path / 'vistas.zip'}" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("gone", "kind"),
    [
        ("images/a.jpg", "labels without a photo"),
        ("v1.2/instances/a.png", "photos without a label"),
    ],
)
def test_what_lacks_its_partner_is_told_and_stepped_over(
    tmp_path: Path, gone: str, kind: str
) -> None:
    root = official(tmp_path, "v1.2")
    (root / "training" / gone).unlink()
    faults: list[Fault] = []
    assert open_mapillary(root, "training", faults.append).name(0) == "b.jpg"
    assert [fault.kind for fault in faults] == [kind]
    assert refusal(root) == faults[0].message
    assert faults[0].message.startswith(f"{root / 'training' / gone}: missing")


def test_an_id_beyond_the_list_is_told_when_it_is_read(tmp_path: Path) -> None:
    root = official(tmp_path, "v1.2")
    write_class_map(root / "training/v1.2/instances/a.png", PARTS["v2.0"])
    with pytest.raises(BadInput, match=r"holds \[3, 4\], neither ids of its 2 classes"):
        open_mapillary(root, "training")[0]
