from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from atrous.data.catalogue import open_data
from atrous.data.folder import open_folder
from atrous.formats import write_class_map, write_image, write_json
from atrous.types import BadInput

CLASSES = {
    "classes": [{"id": 0, "name": "road", "color": [1, 2, 3]}, {"id": 7, "name": "sky"}],
    "ignore_label": 255,
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A set of one photo of 3 x 4 pixels: road above, sky in the middle, void below."""
    folder = tmp_path / "set"
    write_image(folder / "images" / "train" / "a.png", np.zeros((3, 4, 3), np.uint8))
    label = np.repeat(np.array([[0], [7], [255]], dtype=np.uint8), 4, axis=1)
    write_class_map(folder / "labels" / "train" / "a.png", label)
    write_json(folder / "classes.json", CLASSES)
    return folder


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


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (lambda r: (r / "labels" / "train" / "a.png").unlink(), "give every photo its class map"),
        (lambda r: (r / "classes.json").unlink(), "classes.json"),
        (lambda r: write_json(r / "classes.json", {"classes": []}), "write {"),
        (lambda r: write_json(r / "classes.json", {"classes": [{"id": 1}]}), "a class has an id"),
        (lambda r: write_json(r / "classes.json", {"classes": [3]}), "a class has an id"),
    ],
)
def test_a_broken_set_is_told_when_it_is_opened(root: Path, break_it: object, told: str) -> None:
    assert callable(break_it)
    break_it(root)
    with pytest.raises(BadInput, match=told):
        open_folder(root, "train")


def test_an_unknown_split_names_those_there_are(root: Path) -> None:
    with pytest.raises(BadInput, match="there is train"):
        open_folder(root, "val")
    with pytest.raises(BadInput, match="missing too"):
        open_folder(root / "nowhere", "val")


@pytest.mark.parametrize(
    ("label", "told"),
    [
        (np.full((3, 4), 9, np.uint8), r"holds \[9\]"),
        (np.zeros((3, 5), np.uint8), "give both one size"),
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


def test_camvid_opens_with_the_counts_of_its_readme(shared: Path) -> None:
    spec = f"folder={shared / 'data' / 'camvid'}"
    assert [len(open_data(spec, split)) for split in ("train", "val")] == [367, 101]
    sample = open_data(spec, "val")[0]
    assert sample.image.shape == (360, 480, 3)
    assert len(open_data(spec, "val").labels) == 11
