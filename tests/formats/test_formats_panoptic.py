from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from atrous.formats import (
    MAX_ID,
    PanopticEntry,
    decode_ids,
    encode_ids,
    panoptic_json,
    read_image,
    read_panoptic,
    segment_info,
    write_json,
    write_panoptic,
)
from atrous.labels import Label, LabelSpace
from atrous.types import BadInput, Region, Segment

IDS = np.array([[0, 300, 300], [70000, 300, 0]], np.int32)
INFO: list[dict[str, Any]] = [
    {"id": 70000, "category_id": 18, "area": 1, "iscrowd": 1},
    {"id": 300, "category_id": 5, "area": 3, "iscrowd": 0},
]
CLASS_IDS = {5: 0, 18: 1}
LABELS = LabelSpace((Label("sky", (1, 2, 3), False, 5), Label("dog", (4, 5, 6), True, 18)))


def changed(index: int, **entry: Any) -> list[dict[str, Any]]:
    return [info | entry if i == index else info for i, info in enumerate(INFO)]


@pytest.fixture
def png(tmp_path: Path) -> Path:
    path = tmp_path / "street.png"
    write_panoptic(path, IDS)
    return path


def refusal(png: Path, info: Any) -> str:
    """The one line that says no and names the file."""
    with pytest.raises(BadInput) as error:
        read_panoptic(png, info, CLASS_IDS)
    text = str(error.value)
    assert "\n" not in text
    assert "street.png: " in text
    return text


id_maps = arrays(np.int32, array_shapes(min_dims=2, max_dims=2), elements=st.integers(0, MAX_ID))


@given(id_maps)
def test_ids_survive_colours(ids: NDArray[np.int32]) -> None:
    decoded = decode_ids(encode_ids(ids))
    assert decoded.dtype == np.int32
    np.testing.assert_array_equal(decoded, ids)


def test_id_is_red_plus_256_green_plus_65536_blue() -> None:
    assert encode_ids(np.array([[1 + 256 * 2 + 65536 * 3]])).tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize("bad", [-1, MAX_ID + 1])
def test_id_that_does_not_fit_in_three_bytes_is_refused(bad: int) -> None:
    with pytest.raises(ValueError, match=f"{bad}.*number segments within 0 and {MAX_ID}"):
        encode_ids(np.array([[5, bad]]))


def test_png_on_disk_is_red_first(png: Path) -> None:
    np.testing.assert_array_equal(decode_ids(read_image(png)), IDS)


def test_label_is_read_with_classes_and_crowds_in_the_order_of_the_json(png: Path) -> None:
    truth = read_panoptic(png, INFO, CLASS_IDS)
    np.testing.assert_array_equal(truth.ids, IDS)
    assert truth.regions == (Region(70000, 1, True), Region(300, 0, False))


def test_label_of_void_alone_is_read(tmp_path: Path) -> None:
    write_panoptic(tmp_path / "street.png", np.zeros((2, 3), np.int32))
    truth = read_panoptic(tmp_path / "street.png", [], CLASS_IDS)
    assert truth.regions == ()
    assert truth.ids.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_area_and_crowd_may_be_left_out(png: Path) -> None:
    bare = [{"id": i["id"], "category_id": i["category_id"]} for i in INFO]
    assert [r.is_crowd for r in read_panoptic(png, bare, CLASS_IDS).regions] == [False, False]


def test_pixels_without_an_entry_are_refused(png: Path) -> None:
    assert "ids 70000 have pixels but no entry" in refusal(png, INFO[1:])


def test_entry_without_pixels_is_refused(png: Path) -> None:
    extra = [*INFO, {"id": 9, "category_id": 5}]
    assert "ids 9 have an entry but no pixels" in refusal(png, extra)


def test_disagreement_both_ways_is_told_at_once(png: Path) -> None:
    text = refusal(png, changed(0, id=9))
    assert "ids 70000 have pixels" in text
    assert "ids 9 have an entry" in text


def test_long_lists_of_ids_are_cut(tmp_path: Path) -> None:
    write_panoptic(tmp_path / "street.png", np.arange(1, 101, dtype=np.int32).reshape(10, 10))
    assert "ids 1, 2, 3, 4, 5 and 95 more" in refusal(tmp_path / "street.png", [])


def test_wrong_area_is_refused(png: Path) -> None:
    assert "id 300 has 3 pixels but area 4" in refusal(png, changed(1, area=4))


@given(id_maps)
def test_areas_counted_from_the_png_are_accepted(
    tmp_path_factory: pytest.TempPathFactory, ids: NDArray[np.int32]
) -> None:
    path = tmp_path_factory.mktemp("ids") / "street.png"
    write_panoptic(path, ids)
    found, areas = np.unique(ids[ids > 0], return_counts=True)
    info = [
        {"id": i, "category_id": 5, "area": a}
        for i, a in zip(found.tolist(), areas.tolist(), strict=True)
    ]
    np.testing.assert_array_equal(read_panoptic(path, info, CLASS_IDS).ids, ids)


def test_unknown_category_is_refused(png: Path) -> None:
    text = refusal(png, changed(1, category_id=6))
    assert "category ids 6" in text
    assert "ids 5, 18" in text


def test_id_that_stands_twice_is_refused(png: Path) -> None:
    assert "ids 300 stand twice" in refusal(png, [*INFO, INFO[1]])


@pytest.mark.parametrize("bad", [0, -3, MAX_ID + 1])
def test_id_that_no_pixel_can_have_is_refused(png: Path, bad: int) -> None:
    assert f"ids {bad} in segments_info cannot be" in refusal(png, changed(0, id=bad))


@pytest.mark.parametrize("entry", [{}, {"id": 1}, {"id": "1", "category_id": 5}, 7, None])
def test_entry_of_another_form_is_refused(png: Path, entry: object) -> None:
    assert "whole numbers id and category_id" in refusal(png, [entry])


@pytest.mark.parametrize("mode", ["RGBA", "P", "L", "I;16", "1"])
def test_png_that_is_not_rgb_is_refused(tmp_path: Path, mode: str) -> None:
    PIL.Image.new(mode, (3, 2)).save(tmp_path / "street.png")
    text = refusal(tmp_path / "street.png", [])
    assert "need an 8 bit RGB PNG" in text
    assert "R + 256 G + 65536 B" in text


def test_sixteen_bit_rgb_png_is_refused(tmp_path: Path) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "street.png"), np.zeros((2, 3, 3), np.uint16))
    assert "need an 8 bit RGB PNG, this is PNG RGB;16B" in refusal(tmp_path / "street.png", [])


def test_label_that_is_a_jpeg_is_refused(tmp_path: Path) -> None:
    PIL.Image.new("RGB", (3, 2)).save(tmp_path / "street.png", "JPEG")
    assert "this is JPEG" in refusal(tmp_path / "street.png", [])


def test_label_that_was_cut_off_is_refused(png: Path) -> None:
    data = png.read_bytes()
    png.write_bytes(data[:-20])
    assert "cut off" in refusal(png, INFO)


def test_missing_label_is_refused(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "street.png", INFO)


SEGMENT = Segment(300, 0, "sky", False, 0.75, 3, (0, 1, 2, 3))


def test_segment_in_the_form_of_coco_has_its_box_as_x_y_width_height() -> None:
    segment = Segment(7, 1, "dog", True, 0.5, 12, (10, 20, 13, 29))
    assert segment_info(segment, 18) == {
        "id": 7,
        "category_id": 18,
        "area": 12,
        "bbox": [20, 10, 9, 3],
        "iscrowd": 0,
        "score": 0.5,
    }


def test_segment_with_numpy_numbers_can_be_written_as_json() -> None:
    area, score, box = np.int64(3), np.float32(0.5), tuple(np.arange(4))
    segment = Segment(np.int32(7), 1, "dog", True, score, area, box)  # type: ignore[arg-type]
    assert json.loads(json.dumps(segment_info(segment, 18)))["bbox"] == [1, 0, 2, 2]


def test_what_is_written_reads_back_as_the_same_segments(tmp_path: Path) -> None:
    dog = Segment(70000, 1, "dog", True, 0.5, 1, (1, 0, 2, 1))
    entry = PanopticEntry(4, "street.jpg", "street.png", IDS.shape, (SEGMENT, dog))
    write_panoptic(tmp_path / "street.png", IDS)
    write_json(tmp_path / "panoptic.json", panoptic_json([entry], LABELS))
    data = json.loads((tmp_path / "panoptic.json").read_text())
    info = data["annotations"][0]["segments_info"]
    truth = read_panoptic(tmp_path / "street.png", info, LABELS.class_ids())
    assert truth.regions == (Region(300, 0), Region(70000, 1))


def test_panoptic_json_lists_images_annotations_and_categories() -> None:
    entry = PanopticEntry(4, "a.jpg", "a.png", (2, 3), (SEGMENT,))
    assert panoptic_json([entry], LABELS) == {
        "images": [{"id": 4, "file_name": "a.jpg", "height": 2, "width": 3}],
        "annotations": [
            {"image_id": 4, "file_name": "a.png", "segments_info": [segment_info(SEGMENT, 5)]}
        ],
        "categories": [
            {"id": 5, "name": "sky", "supercategory": "stuff", "isthing": 0, "color": [1, 2, 3]},
            {"id": 18, "name": "dog", "supercategory": "thing", "isthing": 1, "color": [4, 5, 6]},
        ],
    }
