"""What must hold of results: masks, detections, pictures and folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atrous.batch import Answer
from atrous.batch.shelf import record_of
from atrous.formats import (
    FORMS,
    decode_mask,
    entry_from_json,
    entry_to_json,
    fill_rings,
    read_ade20k,
    read_cityscapes,
    read_image,
    read_mapillary,
    read_panoptic,
    read_voc,
    text_to_runs,
)
from atrous.labels import CITYSCAPES, CITYSCAPES_TRAIN_IDS, Label, LabelSpace, unnamed
from atrous.result import Result, ResultFolder, contact_sheet
from atrous.types import BadInput, Labelled, Parse, Segment

SIZE = (30, 40)
LABELS = LabelSpace(
    (
        Label("cat", (200, 30, 30), True, 1),
        Label("dog", (30, 30, 200), True, 2),
        Label("sky", (70, 130, 180), False, 3),
    )
)


def scene(labels: LabelSpace = LABELS) -> Result:
    """Two cats, one with a hole, a dog, sky, and a corner of void."""
    ids = np.full(SIZE, 9, np.int32)
    ids[5:15, 5:20] = 4
    ids[8:10, 8:10] = 9
    ids[18:28, 0:10] = 7
    ids[18:28, 30:40] = 5
    ids[0, 0] = 0
    rows = [segment(ids, i, c, labels) for i, c in ((4, 0), (7, 0), (5, 1), (9, 2))]
    semantic = labels.empty(SIZE)
    for row in rows:
        semantic[ids == row.id] = row.class_id
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    confidence = np.full(SIZE, 0.75, np.float32)
    return Result(Parse(ids, semantic, confidence, tuple(rows)), image, labels, "one", "one.jpg")


def segment(ids: np.ndarray, i: int, class_id: int, labels: LabelSpace) -> Segment:
    ys, xs = np.nonzero(ids == i)
    box = int(ys.min()), int(xs.min()), int(ys.max()) + 1, int(xs.max()) + 1
    label = labels[class_id]
    return Segment(i, class_id, label.name, label.is_thing, 0.5, len(ys), box)


RESULT = scene()
IDS = [s.id for s in RESULT.segments]


def test_a_result_and_its_line_are_told_in_the_same_words() -> None:
    result = scene()
    record = record_of(result, unit="one", source="one.jpg", stamp=(0, 0))
    assert result.summary() == Answer("one.jpg", record).words == "cat 2, dog 1; sky"
    assert Answer("one.jpg", problem="it is bad").words == "it is bad"


@pytest.mark.parametrize("i", IDS)
def test_mask_runs_and_polygons_are_those_of_the_id(i: int) -> None:
    expected = RESULT.panoptic == i
    np.testing.assert_array_equal(RESULT.mask(i), expected)
    rle = RESULT.rle(i)
    assert rle["size"] == [30, 40]
    np.testing.assert_array_equal(decode_mask(text_to_runs(rle["counts"]), SIZE), expected)
    np.testing.assert_array_equal(fill_rings(RESULT.polygons(i), SIZE), expected)


def test_pycocotools_reads_runs_and_outlines_without_holes() -> None:
    mask = pytest.importorskip("pycocotools.mask")
    for s in RESULT.segments:
        assert mask.area(RESULT.rle(s)) == s.area
        y0, x0, y1, x1 = s.box
        assert mask.toBbox(RESULT.rle(s)).tolist() == [x0, y0, x1 - x0, y1 - y0]
    (ring,) = RESULT.polygons(7)
    (rle,) = mask.frPyObjects([ring.ravel().astype(float).tolist()], *SIZE)
    filled = decode_mask(text_to_runs(rle["counts"]), SIZE)
    np.testing.assert_array_equal(filled, RESULT.mask(7))


def test_a_segment_can_be_given_itself() -> None:
    first = RESULT.segments[0]
    np.testing.assert_array_equal(RESULT.mask(first), RESULT.mask(first.id))


@pytest.mark.parametrize("method", [Result.mask, Result.rle, Result.polygons])
def test_an_id_that_is_not_there_is_refused(method: Callable[[Result, int], object]) -> None:
    with pytest.raises(ValueError, match="no segment 3: this image has 4, 7, 5, 9"):
        method(RESULT, 3)


def test_detections_are_what_coco_reads() -> None:
    rows = RESULT.detections(image_id=17)
    assert [(r["image_id"], r["category_id"], r["score"]) for r in rows] == [
        (17, 1, 0.5),
        (17, 1, 0.5),
        (17, 2, 0.5),
    ]
    assert rows[0]["bbox"] == [5, 5, 15, 10]
    assert [r["segmentation"] for r in rows] == [RESULT.rle(s) for s in RESULT.segments[:3]]
    assert json.loads(json.dumps(rows)) == rows


def test_a_picture_is_drawn_as_it_was_asked_for() -> None:
    plain = RESULT.draw(labels=False, legend=False, contours=False, alpha=0.0)
    assert plain.size == (40, 30)
    assert RESULT.draw(by="class") != RESULT.draw()
    with pytest.raises(BadInput, match="colours by 'x'"):
        RESULT.draw(by="x")


def test_side_by_side_holds_the_photo_as_it_is() -> None:
    row = np.asarray(RESULT.side_by_side())
    windows = np.lib.stride_tricks.sliding_window_view(row, RESULT.image.shape)
    assert (windows == RESULT.image).all(axis=(-1, -2, -3)).any()


def test_a_contact_sheet_takes_an_iterator_of_results() -> None:
    few, many = (contact_sheet(iter([RESULT] * n), columns=2, longest_px=20) for n in (2, 4))
    assert few.size[0] == many.size[0]
    assert few.size[1] < many.size[1]
    with pytest.raises(BadInput, match="at least one image"):
        contact_sheet([])


def test_an_entry_survives_a_line_of_json(tmp_path: Path) -> None:
    entry, _ = ResultFolder(tmp_path, overlay="none").write(RESULT)
    assert entry_from_json(json.loads(json.dumps(entry_to_json(entry)))) == entry


@pytest.mark.parametrize("row", [{}, {"image_id": 1, "size_hw": 3}, [], None])
def test_what_is_no_entry_is_refused(row: Any) -> None:
    with pytest.raises(ValueError, match="parse the image again"):
        entry_from_json(row)


def test_writing_and_finishing_is_adding_and_closing(tmp_path: Path) -> None:
    one, two = (ResultFolder(tmp_path / name, overlay="none") for name in ("one", "two"))
    one.add(RESULT)
    one.close(LABELS)
    entry, outputs = two.write(RESULT)
    two.finish([entry], LABELS)
    assert Path(outputs["panoptic"]).is_file()
    texts = [(tmp_path / name / "panoptic.json").read_text() for name in ("one", "two")]
    assert texts[0] == texts[1]


def same(read: Labelled, ids: np.ndarray = RESULT.panoptic) -> bool:
    """Whether two maps part the image in the same way."""
    pairs = np.unique(np.stack([read.ids.ravel(), ids.ravel()]), axis=1)
    return bool(pairs.shape[1] == len(np.unique(read.ids)) == len(np.unique(ids)))


READERS: dict[str, Callable[[dict[str, str]], Labelled]] = {
    "coco": lambda p: read_panoptic(
        p["panoptic"], RESULT.to_coco()["segments_info"], LABELS.class_ids()
    ),
    "voc": lambda p: read_voc(
        p["SegmentationClass"], p["SegmentationObject"], LABELS, ignored={255}
    ),
    "cityscapes": lambda p: read_cityscapes(
        p["instanceIds"], LABELS, ignored={0}, class_path=p["labelIds"]
    ),
    "ade20k": lambda p: read_ade20k(
        p["annotations"], p["annotations_instance"], LABELS, ignored={0}
    ),
    "mapillary": lambda p: read_mapillary(
        p["instances"], LABELS, ignored={4}, class_path=p["labels"]
    ),
}


@pytest.mark.parametrize("name", sorted(FORMS))
def test_every_format_reads_back_as_it_was_written(name: str, tmp_path: Path) -> None:
    _, outputs = ResultFolder(tmp_path, format=name, overlay="none").write(RESULT)
    read = READERS[name](outputs)
    assert same(read)
    np.testing.assert_array_equal(LABELS.semantic(read), RESULT.semantic)


def test_cityscapes_files_have_the_names_that_its_scorers_look_for(tmp_path: Path) -> None:
    photo = replace(RESULT, name="ulm_000001_000019_leftImg8bit")
    outputs = ResultFolder(tmp_path, format="cityscapes", overlay="none").add(photo)
    assert Path(outputs["labelIds"]).name == "ulm_000001_000019_labelIds.png"
    assert Path(outputs["instanceIds"]).name == "ulm_000001_000019_instanceIds.png"


@pytest.mark.parametrize(
    ("name", "labels", "message"),
    [
        ("cityscapes", CITYSCAPES_TRAIN_IDS, "road has the file id 0, which means void there"),
        ("cityscapes", unnamed(80), "class 0 has the file id 0"),
        ("voc", unnamed(300), "class 255 has the file id 255, which means void"),
        ("mapillary", unnamed(300), "beyond the 254 that it holds: use --format coco"),
    ],
)
def test_classes_that_a_format_cannot_hold_are_refused(
    name: str, labels: LabelSpace, message: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=message):
        ResultFolder(tmp_path, format=name).write(scene(labels))
    assert not list(tmp_path.iterdir())


def test_classes_of_the_data_set_fit_its_format(tmp_path: Path) -> None:
    ResultFolder(tmp_path, format="cityscapes").check(CITYSCAPES)


def test_more_things_than_a_format_holds_are_refused_by_the_file_s_name(tmp_path: Path) -> None:
    ids = np.arange(1, 301, dtype=np.int32).reshape(10, 30)
    rows = tuple(segment(ids, i, 0, LABELS) for i in range(1, 301))
    flat = np.zeros(ids.shape, np.uint8), np.ones(ids.shape, np.float32)
    crowded = Result(Parse(ids, *flat, rows), np.zeros((10, 30, 3), np.uint8), LABELS, "x", "x.jpg")
    with pytest.raises(BadInput, match=r"x\.jpg: --format voc: 300 objects"):
        ResultFolder(tmp_path, format="voc").write(crowded)


@pytest.mark.parametrize("kind", ["overlay", "side-by-side"])
@pytest.mark.parametrize("picture", ["png", "jpg"])
def test_overlays_are_written_as_they_were_asked_for(
    kind: str, picture: str, tmp_path: Path
) -> None:
    outputs = ResultFolder(tmp_path, overlay=kind, picture=picture).add(RESULT)
    path = Path(outputs["overlay"])
    assert path == tmp_path / "overlay" / f"one.{picture}"
    assert (read_image(path).shape[1] > 80) is (kind == "side-by-side")


def test_maps_are_written_where_they_are_asked_for(tmp_path: Path) -> None:
    folder = ResultFolder(tmp_path, semantic=True, confidence=True, overlay="none")
    assert sorted(folder.add(RESULT)) == ["confidence", "panoptic", "semantic"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "x"}, "--format x: there is coco, cityscapes"),
        ({"overlay": "x"}, "--overlay x: there is overlay, side-by-side, none"),
        ({"picture": "gif"}, "--picture gif: there is png, jpg"),
    ],
)
def test_options_that_there_are_not_are_refused(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=message):
        ResultFolder(tmp_path, **options)
