from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray
from truths import essence, truths

from atrous.formats import (
    read_cityscapes,
    read_class_map,
    read_classes,
    write_cityscapes,
    write_class_map,
    write_classes,
)
from atrous.formats.packed import CITYSCAPES_PACKING, KITTI_PACKING, MAPILLARY_PACKING, Packing
from atrous.labels import (
    CITYSCAPES,
    CITYSCAPES_IGNORED,
    CITYSCAPES_TRAIN_IDS,
    CITYSCAPES_TRAIN_IDS_IGNORED,
    Label,
    LabelSpace,
)
from atrous.types import BadInput, Fault, Labelled, Region

CAR, ROAD = 13, 0
STORED = np.array([[7, 7, 26000], [0, 29003, 26007], [26, 26, 4]], np.uint16)
"""Road, two cars, a group of cars; unlabelled, a caravan and static."""


@pytest.fixture
def png(tmp_path: Path) -> Path:
    path = tmp_path / "x_000000_000019_gtFine_instanceIds.png"
    write_class_map(path, STORED)
    return path


def test_an_instance_file_tells_cars_and_groups_apart(png: Path) -> None:
    truth = read_cityscapes(png)
    assert truth.ids.tolist() == [[1, 1, 3], [0, 0, 4], [2, 2, 0]]
    road, group = Region(1, ROAD), Region(2, CAR, is_crowd=True)
    assert truth.regions == (road, group, Region(3, CAR), Region(4, CAR))


@given(truths(CITYSCAPES, crowds=True))
def test_reading_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, truth: Labelled
) -> None:
    path = tmp_path_factory.getbasetemp() / "instanceIds.png"
    write_cityscapes(path, truth)
    again = read_cityscapes(path)
    assert np.array_equal(essence(again), essence(truth))
    write_cityscapes(path, again)
    assert read_cityscapes(path).regions == again.regions


@given(truths(CITYSCAPES_TRAIN_IDS, crowds=True))
def test_train_ids_are_another_reading(
    tmp_path_factory: pytest.TempPathFactory, truth: Labelled
) -> None:
    path = tmp_path_factory.getbasetemp() / "instanceTrainIds.png"
    write_cityscapes(path, truth, CITYSCAPES_TRAIN_IDS, void=255)
    again = read_cityscapes(path, CITYSCAPES_TRAIN_IDS, ignored=CITYSCAPES_TRAIN_IDS_IGNORED)
    assert np.array_equal(essence(again), essence(truth))


def test_a_file_of_train_ids_is_no_file_of_label_ids(tmp_path: Path) -> None:
    path = tmp_path / "a_labelTrainIds.png"
    write_class_map(path, np.array([[0, 13, 255]], np.uint8))
    with pytest.raises(BadInput, match=r"holds \[255\].*train ids are no label ids"):
        read_classes(path, CITYSCAPES, ignored=CITYSCAPES_IGNORED)
    ignored = CITYSCAPES_TRAIN_IDS_IGNORED
    truth = read_classes(path, CITYSCAPES_TRAIN_IDS, ignored=ignored)
    assert CITYSCAPES_TRAIN_IDS.semantic(truth).tolist() == [[ROAD, CAR, 255]]


def test_of_a_part_of_the_classes_the_others_are_void(png: Path) -> None:
    cars = LabelSpace((CITYSCAPES[CAR],))
    assert read_cityscapes(png, cars).ids.tolist() == [[0, 0, 2], [0, 0, 3], [1, 1, 0]]
    parking = LabelSpace((*CITYSCAPES.labels, Label("caravan", (0, 0, 90), True, 29)))
    assert read_cityscapes(png, parking).ids[1, 1] == 5


@pytest.mark.parametrize("value", [34, 255, 35000, 65535])
def test_ids_that_nobody_knows_are_told(png: Path, value: int) -> None:
    write_class_map(png, np.array([[7, value]], np.uint16))
    known = value if value < 1000 else value // 1000
    with pytest.raises(BadInput, match=rf"instanceIds\.png: holds \[{known}\]"):
        read_cityscapes(png)


def test_a_class_map_must_agree(png: Path, tmp_path: Path) -> None:
    classes = np.array([[7, 7, 26], [0, 29, 26], [26, 26, 4]], np.uint8)
    path = tmp_path / "labelIds.png"
    write_class_map(path, classes)
    assert len(read_cityscapes(png, class_path=path).regions) == 4
    classes[1, 2] = 27
    write_class_map(path, classes)
    with pytest.raises(BadInput, match=r"id 26007 at row 1, column 2 is of class 26, but .* 27"):
        read_cityscapes(png, class_path=path)
    faults: list[Fault] = []
    assert len(read_cityscapes(png, class_path=path, report=faults.append).regions) == 4
    assert len(faults) == 1
    write_class_map(path, classes[:2])
    with pytest.raises(BadInput, match=r"is 3 x 3 but .* is 2 x 3"):
        read_cityscapes(png, class_path=path)


def test_a_class_map_is_not_taken_for_an_instance_file(png: Path) -> None:
    write_class_map(png, np.full((2, 2), 26, np.uint8))
    with pytest.raises(BadInput, match="is 8 bit and cannot hold instance ids"):
        read_cityscapes(png)


def many(class_id: int, count: int) -> Labelled:
    ids = np.arange(1, count + 1, dtype=np.int32)[None]
    return Labelled(ids, tuple(Region(i, class_id) for i in range(1, count + 1)))


def test_a_class_has_1000_things(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_cityscapes(path, many(CAR, 1000))
    assert read_class_map(path).max() == 26999
    with pytest.raises(ValueError, match="id 26 has more than 1000 things"):
        write_cityscapes(path, many(CAR, 1001))


@pytest.mark.parametrize(
    ("labelled", "void", "told"),
    [
        (many(ROAD, 2), 0, "road has two regions"),
        (many(ROAD, 1), 7, "7 is the id of road"),
    ],
)
def test_what_the_form_cannot_hold_is_refused(
    tmp_path: Path, labelled: Labelled, void: int, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        write_cityscapes(tmp_path / "a.png", labelled, void=void)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("file_id", [0, 66, 1000])
def test_ids_of_other_data_sets_do_not_fit(tmp_path: Path, file_id: int) -> None:
    labels = LabelSpace((Label("a", (0, 0, 0), file_id < 1000, file_id),))
    with pytest.raises(ValueError, match=f"id {file_id} does not fit"):
        write_cityscapes(tmp_path / "a.png", many(0, 1), labels, void=9)


@pytest.mark.parametrize("packing", [CITYSCAPES_PACKING, KITTI_PACKING, MAPILLARY_PACKING])
def test_every_packed_value_is_its_own_reading(packing: Packing) -> None:
    seen = set()
    for file_id in (7, 33, 64):
        for place in (None, 0, 1, 254):
            value = packing.pack(file_id, place)
            back = packing.unpack(value)
            number = None if place is None else packing.first + place
            assert back == (file_id, number) or (packing is MAPILLARY_PACKING and place is None)
            seen.add(value)
    assert len(seen) == (9 if packing is MAPILLARY_PACKING else 12)


def test_results_of_label_ids_are_read_as_they_are_written(tmp_path: Path) -> None:
    class_map: NDArray[np.uint8] = np.array([[0, 18, 255]], np.uint8)
    path = tmp_path / "a_000000_000000_pred.png"
    write_classes(path, class_map, CITYSCAPES, void=0)
    assert read_class_map(path).tolist() == [[7, 33, 0]]
    truth = read_classes(path, CITYSCAPES, ignored=CITYSCAPES_IGNORED)
    assert np.array_equal(CITYSCAPES.semantic(truth), class_map)
