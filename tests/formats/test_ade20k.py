from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from numpy.typing import NDArray
from truths import essence, truths

from atrous.formats import (
    read_ade20k,
    read_class_map,
    read_classes,
    read_image,
    write_ade20k,
    write_class_map,
    write_image,
)
from atrous.labels import ADE20K, ADE20K_IGNORED, Label, LabelSpace
from atrous.types import BadInput, Fault, Labelled, Region

WALL, BED, WINDOW, FLAG = 0, 7, 8, 149


@pytest.fixture
def paths(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "class.png", tmp_path / "instance.png"


def marks(*rows: list[tuple[int, int]]) -> NDArray[np.uint8]:
    """An instance map; what stands in blue is nobody's."""
    return np.array([[(k, n, 77) for k, n in row] for row in rows], np.uint8)


def write(
    paths: tuple[Path, Path], classes: list[list[int]], instances: NDArray[np.uint8]
) -> tuple[Path, Path]:
    write_class_map(paths[0], np.array(classes, np.uint8))
    write_image(paths[1], instances)
    return paths


def test_instances_count_things_alone_and_lie_over_the_class_map(
    paths: tuple[Path, Path],
) -> None:
    none = (0, 0)
    rows = [none, (1, 1), (1, 2)], [none, (2, 3), (100, 255)], [none, none, (7, 0)]
    classes = [[1, 8, 8], [1, 1, 150], [0, 8, 1]]
    truth = read_ade20k(*write(paths, classes, marks(*rows)))
    # The window lies over wall; the bed below is of no instance, so void.
    assert truth.ids.tolist() == [[1, 2, 3], [1, 4, 5], [0, 0, 1]]
    of = [WALL, BED, BED, WINDOW, FLAG]
    assert [(r.class_id, r.is_crowd) for r in truth.regions] == [(c, False) for c in of]


@given(truths(ADE20K))
def test_reading_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, truth: Labelled
) -> None:
    root = tmp_path_factory.getbasetemp()
    write_ade20k(root / "class.png", root / "instance.png", truth)
    again = read_ade20k(root / "class.png", root / "instance.png")
    assert np.array_equal(essence(again), essence(truth))
    plain = read_classes(root / "class.png", ADE20K, ignored=ADE20K_IGNORED)
    assert np.array_equal(ADE20K.semantic(plain), ADE20K.semantic(truth))


def test_the_files_have_the_official_form(paths: tuple[Path, Path]) -> None:
    ids = np.array([[9, 9, 4, 0]], np.int32)
    write_ade20k(*paths, Labelled(ids, (Region(4, FLAG), Region(9, WALL))))
    assert read_class_map(paths[0]).tolist() == [[1, 1, 150, 0]]
    assert read_image(paths[1]).tolist() == [[[0, 0, 0], [0, 0, 0], [100, 1, 0], [0, 0, 0]]]
    with PIL.Image.open(paths[0]) as classes, PIL.Image.open(paths[1]) as instances:
        assert (classes.mode, instances.mode) == ("L", "RGB")


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ([(1, 5), (2, 5)], "instance 5 is of categories 1 and 2"),
        ([(101, 5), (1, 6)], "instance 5 is of category 101, not of 1 to 100"),
        ([(0, 5), (1, 6)], "instance 5 is of category 0, not of 1 to 100"),
    ],
)
def test_instances_of_no_one_category_are_told(
    paths: tuple[Path, Path], row: list[tuple[int, int]], told: str
) -> None:
    write(paths, [[8, 8]], marks(row))
    with pytest.raises(BadInput, match=rf"instance\.png: {told}"):
        read_ade20k(*paths)
    faults: list[Fault] = []
    assert read_ade20k(*paths, report=faults.append).ids[0, 0] == 0
    assert len(faults) == 1


def test_other_files_are_told(paths: tuple[Path, Path]) -> None:
    write(paths, [[151, 1]], marks([(0, 0), (0, 0)]))
    with pytest.raises(BadInput, match=r"class\.png: holds \[151\]"):
        read_ade20k(*paths)
    write(paths, [[1]], marks([(0, 0), (0, 0)]))
    with pytest.raises(BadInput, match=r"class\.png: is 1 x 1 but .*instance\.png is 1 x 2"):
        read_ade20k(*paths)
    write_class_map(paths[0], np.full((1, 2), 300, np.uint16))
    with pytest.raises(BadInput, match=r"class\.png: holds 300: give the 8 bit class map"):
        read_ade20k(*paths)
    write_class_map(paths[1], np.zeros((1, 2), np.uint8))
    with pytest.raises(BadInput, match=r"instance\.png: segment ids need an 8 bit RGB PNG"):
        read_ade20k(*paths)
    cv2.imwrite(str(paths[1]), np.zeros((1, 2, 3), np.uint16))
    with pytest.raises(BadInput, match="this is PNG RGB;16B"):
        read_ade20k(*paths)


def test_an_image_holds_255_instances(paths: tuple[Path, Path]) -> None:
    ids = np.arange(1, 257, dtype=np.int32)[None]
    regions = tuple(Region(i, BED if i % 2 else FLAG) for i in range(1, 257))
    write_ade20k(*paths, Labelled(ids[:, :255], regions))
    assert len(read_ade20k(*paths).regions) == 255
    with pytest.raises(ValueError, match="256 instances: an instance map of ADE20K holds 255"):
        write_ade20k(*paths, Labelled(ids, regions))


def test_what_the_form_cannot_hold_is_refused_and_nothing_written(
    paths: tuple[Path, Path],
) -> None:
    one = np.ones((1, 1), np.int32)
    with pytest.raises(ValueError, match="crowd"):
        write_ade20k(*paths, Labelled(one, (Region(1, BED, is_crowd=True),)))
    far = LabelSpace((Label("a", (0, 0, 0), True, 256),))
    with pytest.raises(ValueError, match="id 256 is beyond 8 bit"):
        write_ade20k(*paths, Labelled(one, (Region(1, 0),)), far)
    with pytest.raises(ValueError, match="3 is the id of sky"):
        write_ade20k(*paths, Labelled(one, (Region(1, BED),)), void=3)
    assert not list(paths[0].parent.iterdir())
