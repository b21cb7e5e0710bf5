from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from atrous.formats import palette_of, read_class_map, read_classes, write_classes
from atrous.labels import (
    ADE20K,
    ADE20K_IGNORED,
    CITYSCAPES,
    CITYSCAPES_IGNORED,
    VOC,
    VOC_IGNORED,
    Label,
    LabelSpace,
    unnamed,
    voc_colours,
)

SHIFTED = LabelSpace((Label("a", (9, 8, 7), False, 300), Label("b", (1, 2, 3), True, 4)))
CLASSES = arrays(
    np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.integers(0, 19)
)


@given(CLASSES)
def test_class_maps_come_back_from_the_ids_of_each_data_set(
    tmp_path_factory: pytest.TempPathFactory, drawn: NDArray[np.uint8]
) -> None:
    path = tmp_path_factory.getbasetemp() / "classes.png"
    class_map = np.where(drawn == 19, 255, drawn).astype(np.uint8)
    for labels, ignored, void, palette in (
        (CITYSCAPES, CITYSCAPES_IGNORED, 0, None),
        (ADE20K, ADE20K_IGNORED, 0, None),
        (VOC, VOC_IGNORED, 255, voc_colours()),
    ):
        write_classes(path, class_map, labels, void=void, palette=palette)
        truth = read_classes(path, labels, ignored=ignored)
        assert np.array_equal(labels.semantic(truth), class_map)


def test_a_palette_png_shows_the_colours_of_the_classes(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_classes(path, np.array([[15, 255]], np.uint8), VOC, void=255, palette=voc_colours())
    with PIL.Image.open(path) as image:
        assert image.mode == "P"
        assert np.array(image.convert("RGB")).tolist() == [[[192, 128, 128], [224, 224, 192]]]
    assert palette_of(CITYSCAPES)[26].tolist() == [0, 0, 142]


def test_ids_beyond_8_bit_make_a_16_bit_file(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_classes(path, np.array([[0, 1, 255]], np.uint8), SHIFTED, void=0)
    assert read_class_map(path).tolist() == [[300, 4, 0]]
    many = unnamed(300)
    write_classes(path, np.array([[299, 65535]], np.uint16), many, void=60000)
    assert read_class_map(path).tolist() == [[299, 60000]]


@pytest.mark.parametrize(
    ("value", "labels", "void", "told"),
    [
        (0, VOC, 3, "3 is the id of bird"),
        (21, VOC, 255, "class map holds 21: give class ids below 21"),
        (0, VOC, 70000, "file ids run from 0 to 70000"),
        (0, VOC, -1, "file ids run from -1 to 20"),
    ],
)
def test_ids_that_do_not_fit_are_refused(
    tmp_path: Path, value: int, labels: LabelSpace, void: int, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        write_classes(tmp_path / "a.png", np.full((1, 1), value, np.uint8), labels, void=void)
    assert not list(tmp_path.iterdir())


def test_a_palette_holds_8_bits(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="id 300 of a is beyond 8 bit"):
        palette_of(SHIFTED)
    with pytest.raises(ValueError, match="id 300 is beyond 8 bit"):
        write_classes(
            tmp_path / "a.png",
            np.zeros((1, 1), np.uint8),
            SHIFTED,
            void=0,
            palette=voc_colours(),
        )
