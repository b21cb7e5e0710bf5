from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from numpy.typing import NDArray
from truths import essence, truths

from atrous.formats import read_class_map, read_voc, stem_files, write_class_map, write_voc
from atrous.labels import VOC
from atrous.types import BadInput, Fault, Labelled, Region

CLASSES = np.array([[0, 15, 15], [0, 15, 255]], np.uint8)
OBJECTS = np.array([[0, 1, 2], [0, 1, 255]], np.uint8)


@pytest.fixture
def paths(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "class.png", tmp_path / "object.png"


def read(
    paths: tuple[Path, Path], classes: NDArray[np.uint8], objects: NDArray[np.uint8]
) -> Labelled:
    write_class_map(paths[0], classes)
    write_class_map(paths[1], objects)
    return read_voc(*paths)


def test_objects_of_one_class_stay_apart(paths: tuple[Path, Path]) -> None:
    truth = read(paths, CLASSES, OBJECTS)
    assert truth.ids.tolist() == [[1, 2, 3], [1, 2, 0]]
    assert truth.regions == (Region(1, 0), Region(2, 15), Region(3, 15))


def test_void_in_one_file_is_void(paths: tuple[Path, Path]) -> None:
    truth = read(paths, np.array([[15, 255, 15]], np.uint8), np.array([[1, 1, 255]], np.uint8))
    assert truth.ids.tolist() == [[1, 0, 0]]


@given(truths(VOC))
def test_reading_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, truth: Labelled
) -> None:
    root = tmp_path_factory.getbasetemp()
    write_voc(root / "class.png", root / "object.png", truth)
    again = read_voc(root / "class.png", root / "object.png")
    assert np.array_equal(essence(again), essence(truth))
    assert [region.id for region in again.regions] == list(range(1, len(again.regions) + 1))


@pytest.mark.parametrize(
    ("classes", "objects", "told"),
    [
        ([[15, 9]], [[3, 3]], r"object 3 is of chair and person: give each object one class"),
        ([[15, 0]], [[3, 3]], r"object 3 is of background and person"),
        ([[0, 0]], [[3, 0]], r"object 3 is of background, which is stuff"),
        ([[15, 0]], [[0, 0]], r"no object has the pixels of person: number each thing"),
        ([[15, 9]], [[0, 0]], r"no object has the pixels of chair and person"),
    ],
)
def test_files_that_disagree_are_told(
    paths: tuple[Path, Path], classes: list[list[int]], objects: list[list[int]], told: str
) -> None:
    with pytest.raises(BadInput, match=rf"object\.png: {told}"):
        read(paths, np.array(classes, np.uint8), np.array(objects, np.uint8))
    faults: list[Fault] = []
    assert read_voc(*paths, report=faults.append).ids[0, 0] == 0
    assert len(faults) == 1


def test_other_files_are_told(paths: tuple[Path, Path]) -> None:
    with pytest.raises(BadInput, match=r"object\.png: is 2 x 2 but .*class\.png is 2 x 3"):
        read(paths, CLASSES, OBJECTS[:, :2])
    with pytest.raises(BadInput, match=r"class\.png: holds \[21\]"):
        read(paths, np.full((1, 1), 21, np.uint8), np.ones((1, 1), np.uint8))
    write_class_map(paths[1], np.full((2, 3), 256, np.uint16))
    write_class_map(paths[0], CLASSES)
    with pytest.raises(BadInput, match=r"object\.png: holds 256, but label PNGs of VOC are 8 bit"):
        read_voc(*paths)


def test_what_the_form_cannot_hold_is_refused_and_nothing_written(
    paths: tuple[Path, Path],
) -> None:
    many = Labelled(
        np.arange(1, 256, dtype=np.int32)[None], tuple(Region(i, 15) for i in range(1, 256))
    )
    with pytest.raises(ValueError, match="255 objects"):
        write_voc(*paths, many)
    crowd = Labelled(np.ones((1, 1), np.int32), (Region(1, 15, is_crowd=True),))
    with pytest.raises(ValueError, match="crowd"):
        write_voc(*paths, crowd)
    assert not paths[0].parent.is_dir() or not list(paths[0].parent.iterdir())


def test_254_objects_fit(paths: tuple[Path, Path]) -> None:
    ids = np.arange(1, 255, dtype=np.int32)[None]
    write_voc(*paths, Labelled(ids, tuple(Region(i, 15) for i in range(1, 255))))
    assert len(read_voc(*paths).regions) == 254


def test_the_official_files_come_back_pixel_for_pixel(shared: Path, tmp_path: Path) -> None:
    folders = [shared / "data" / "voc2007_seg44" / f"Segmentation{k}" for k in ("Class", "Object")]
    classes, objects = (stem_files(folder) for folder in folders)
    assert list(classes) == list(objects)
    found = 0
    for key in classes:
        truth = read_voc(classes[key], objects[key])
        written = tmp_path / f"{key}_c.png", tmp_path / f"{key}_o.png"
        write_voc(*written, truth)
        again = read_voc(*written)
        assert again.regions == truth.regions
        assert np.array_equal(again.ids, truth.ids)
        for ours, official in zip(written, (classes[key], objects[key]), strict=True):
            assert np.array_equal(read_class_map(ours), read_class_map(official))
        found += sum(region.class_id > 0 for region in truth.regions)
        with PIL.Image.open(written[1]) as image, PIL.Image.open(objects[key]) as model:
            assert (image.mode, image.getpalette()) == (model.mode, model.getpalette())
    assert (len(classes), found) == (20, 60)
