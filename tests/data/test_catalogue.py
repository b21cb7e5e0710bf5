"""The line that tells what was opened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from atrous.data.catalogue import DATA_SETS, DataSet, data_set, open_data, summary
from atrous.data.shapes import Shapes
from atrous.data.shards.writing import order_of, packed, write_shards
from atrous.formats import write_class_map, write_image, write_json
from atrous.types import BadInput


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Two photos for training and one for validation, of seven classes."""
    root = tmp_path / "set"
    for name in ("train/a", "train/b", "val/c"):
        write_image(root / "images" / f"{name}.png", np.zeros((3, 4, 3), np.uint8))
        write_class_map(root / "labels" / f"{name}.png", np.zeros((3, 4), np.uint8))
    rows = [{"id": i, "name": f"class{i}"} for i in range(7)]
    write_json(root / "classes.json", {"classes": rows})
    return f"folder={root}"


def told(spec: str, split: str) -> str:
    return summary(spec, split, open_data(spec, split))


def test_a_line_counts_images_of_this_split_and_of_the_others_and_classes(folder: str) -> None:
    classes = "7 classes, 0 of them things: class0, class1, class2, class3, class4, ..."
    assert told(folder, "train") == f"{folder}: train 2 images (also val 1); {classes}"
    assert told(folder, "val") == f"{folder}: val 1 image (also train 2); {classes}"
    things = "7 classes, 4 of them things: sky, grass, sand, disc, box, ..."
    assert told("shapes", "val") == f"shapes: val 200 images (also train 2,000); {things}"


def test_of_a_list_the_line_says_of_how_many_it_names_some(folder: str, tmp_path: Path) -> None:
    path = tmp_path / "few.txt"
    path.write_text("b.png\n")
    found = told(folder, f"train@{path}")
    assert found.startswith(f"{folder}: train 1 of 2 images, those in {path} (also val 1); 7 ")


def test_of_shards_the_line_counts_them_too(tmp_path: Path) -> None:
    source = Shapes("val", size_hw=(40, 50), count=3)
    for split, size in (("train", 1), ("val", 10**9)):
        samples = (files for i in order_of(source) for files in packed(source, [i]))
        write_shards(samples, tmp_path, split=split, labels=source.labels, size=size)
    spec = f"shards={tmp_path}"
    assert told(spec, "train").startswith(f"{spec}: train 3 images in 3 shards (also val 1 shard);")
    assert told(spec, "val").startswith(f"{spec}: val 3 images in 1 shard (also train 3 shards);")


def test_a_split_with_a_year_is_not_among_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"train2017": 5, "val2017": 3, "test": 1}
    monkeypatch.setitem(DATA_SETS, "dated", DataSet(DATA_SETS["folder"].open, lambda _: counts))
    line = summary("dated=.", "val", Shapes("val", count=3))
    assert line.startswith("dated=.: val 3 images (also train2017 5, test 1); ")


def test_a_split_by_another_name_is_not_among_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, aliases = {"training": 3, "validation": 2}, {"train": "training"}
    found = DataSet(DATA_SETS["folder"].open, lambda _: counts, aliases)
    monkeypatch.setitem(DATA_SETS, "named", found)
    line = summary("named=.", "train", Shapes("train", count=3))
    assert line.startswith("named=.: train 3 images (also validation 2); ")


@pytest.mark.parametrize("name", ["kitti", "ade20k", "ade20k-panoptic", "mapillary", "voc-aug"])
def test_sets_say_what_train_stands_for(name: str) -> None:
    assert DATA_SETS[name].aliases["train"] == ("train_aug" if name == "voc-aug" else "training")


def test_a_tilde_is_the_home_of_the_user(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(folder.partition("=")[2])
    monkeypatch.setenv("HOME", str(root.parent))
    source = open_data(f"folder=~/{root.name}", "train")
    samples = (files for i in order_of(source) for files in packed(source, [i]))
    write_shards(samples, root.parent / "tars", split="train", labels=source.labels, size=10**9)
    assert told("shards=~/tars", "train").startswith("shards=~/tars: train 2 images in 1 shard;")


def test_the_line_comes_even_where_the_other_splits_cannot_be_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(root: Path) -> dict[str, int]:
        raise KeyError(root)

    monkeypatch.setitem(DATA_SETS, "broken", DataSet(DATA_SETS["folder"].open, broken))
    for spec in ("broken=.", "folder=/nowhere", "shards=/nowhere", "nothing"):
        line = summary(spec, "train", Shapes("train", count=3))
        assert line.startswith(f"{spec}: train 3 images; 7 classes")


@pytest.mark.parametrize(
    ("spec", "naming"),
    [
        ("shards", "write shards=PATH"),
        ("shards=", "write shards=PATH"),
        ("shard=x", "did you mean shards"),
        ("folder", "write folder=PATH"),
        ("shapes=x", "write shapes"),
        ("folder=/nowhere/at/all", "/nowhere/at/all: no such folder"),
    ],
)
def test_a_data_set_that_is_not_there_is_told(spec: str, naming: str) -> None:
    with pytest.raises(BadInput, match=naming):
        open_data(spec, "train")


def test_shards_are_no_folder_of_files() -> None:
    with pytest.raises(BadInput, match="give the data set that they were made of"):
        data_set("shards=.")
