from __future__ import annotations

import contextlib
import io
import json
import math
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrous.formats import (
    ImageKey,
    InstanceFile,
    decode_mask,
    encode_mask,
    instances_json,
    open_instances,
    open_results,
    results_json,
    runs_to_text,
    write_json,
)
from atrous.formats.instances import IsPanoptic
from atrous.labels import Label, LabelSpace
from atrous.types import BadInput, Fault, Instance, Instances

SIZE = (3, 4)
LABELS = LabelSpace((Label("dog", (1, 2, 3), True, 18), Label("sky", (4, 5, 6), False, 5)))
DOG: dict[str, Any] = {
    "id": 900100448263,
    "image_id": 7,
    "category_id": 18,
    "iscrowd": 0,
    "area": 2.5,
    "segmentation": {"size": [3, 4], "counts": [1, 2, 9]},
}
CROWD: dict[str, Any] = {
    "id": 2,
    "image_id": 7,
    "category_id": 5,
    "iscrowd": 1,
    "segmentation": {"size": [3, 4], "counts": "66"},
}
POLYGON = [[0.0, 0.0, 2.0, 0.0, 2.0, 3.0, 0.0, 3.0]]
MASK_B = {"size": [2, 2], "counts": [0, 4]}
DOG_COLUMN = [[False] * 4, [True, False, False, False], [True, False, False, False]]


def document(*annotations: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return {
        "images": [
            {"id": 7, "file_name": "a.jpg", "height": 3, "width": 4},
            {"id": "b", "file_name": "b.jpg", "height": 2, "width": 2},
        ],
        "annotations": list(annotations),
        "categories": [{"id": 18, "name": "dog"}, {"id": 5, "name": "sky"}],
    } | parts


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., InstanceFile]:
    """Writes a document and opens it."""

    def write_and_open(data: Any, **options: Any) -> InstanceFile:
        path = tmp_path / "truth.json"
        path.write_text(json.dumps(data))
        return open_instances(path, **options)

    return write_and_open


@pytest.fixture
def scored(tmp_path: Path, opened: Callable[..., InstanceFile]) -> Callable[..., InstanceFile]:
    """Writes a list of results and opens it for the images of an empty truth."""

    def write_and_open(rows: Any, **options: Any) -> InstanceFile:
        path = tmp_path / "found.json"
        path.write_text(json.dumps(rows))
        return open_results(path, opened(document()), **options)

    return write_and_open


def result(**changes: Any) -> dict[str, Any]:
    shared = ("image_id", "category_id", "segmentation")
    return {k: v for k, v in DOG.items() if k in shared} | {"score": 0.5} | changes


def test_truth_is_opened_in_the_order_of_the_file(opened: Callable[..., InstanceFile]) -> None:
    file = opened(document(DOG, CROWD))
    assert list(file.images) == [7, "b"]
    assert file.images[7] == ImageKey(7, "a.jpg", SIZE)
    assert [(x.name, x.file_id, x.is_thing) for x in file.labels.labels] == [
        ("dog", 18, True),
        ("sky", 5, True),
    ]
    dog, crowd = file.of(7).items
    assert (dog.id, dog.class_id, dog.is_crowd, dog.score) == (900100448263, 0, False, None)
    assert (crowd.id, crowd.class_id, crowd.is_crowd) == (2, 1, True)
    assert decode_mask(dog.runs, SIZE).tolist() == DOG_COLUMN
    assert crowd.runs.tolist() == [6, 6]
    assert file.of("b").items == ()
    assert file.areas(7) == {900100448263: 2.5}


def test_other_labels_decide_the_classes(opened: Callable[..., InstanceFile]) -> None:
    reverse = LabelSpace(LABELS.labels[::-1])
    file = opened(document(DOG), labels=reverse)
    assert file.labels is reverse
    assert [x.class_id for x in file.of(7).items] == [1]


def test_results_are_numbered_by_their_place(scored: Callable[..., InstanceFile]) -> None:
    file = scored([result(), result(image_id="b", segmentation=MASK_B, score=2), result()])
    assert [(x.id, x.score) for x in file.of(7).items] == [(1, 0.5), (3, 0.5)]
    assert [(x.id, x.score) for x in file.of("b").items] == [(2, 2.0)]


def test_index_goes_to_workers(opened: Callable[..., InstanceFile]) -> None:
    copy = pickle.loads(pickle.dumps(opened(document(DOG))))
    assert decode_mask(copy.of(7).items[0].runs, SIZE).tolist() == DOG_COLUMN


def test_index_is_little_more_than_its_numbers(opened: Callable[..., InstanceFile]) -> None:
    """Two bytes a coordinate and forty a mask; as lists of numbers they would be 450,000."""
    pytest.importorskip("pycocotools")
    outline = [k / 100 for k in range(50)]
    masks = [DOG | {"id": i, "segmentation": [outline]} for i in range(1000)]
    assert len(pickle.dumps(opened(document(*masks)))) < 1000 * (2 * len(outline) + 40) + 1000


def test_a_part_has_its_own_images_alone(opened: Callable[..., InstanceFile]) -> None:
    pytest.importorskip("pycocotools")
    square = {"id": 3, "image_id": "b", "segmentation": [[0, 0, 2, 0, 2, 1.25, 0, 1.25]]}
    runs = {"id": 4, "image_id": "b", "segmentation": MASK_B}
    file = opened(document(DOG, DOG | square, CROWD, DOG | runs | {"area": None}))
    choices: list[list[int | str]] = [["b"], [7], ["b", 7], []]
    for ids in choices:
        part = file.part(ids)
        assert list(part.images) == ids
        for image_id in part.images:
            assert rows_of(part.of(image_id)) == rows_of(file.of(image_id))
            assert part.areas(image_id) == file.areas(image_id)
    assert len(pickle.dumps(file.part([]))) < len(pickle.dumps(file))


def test_entries_are_the_rows_of_each_image(opened: Callable[..., InstanceFile]) -> None:
    entries = opened(document(CROWD, DOG)).entries
    assert (list(entries), len(entries), entries["b"]) == ([7, "b"], 2, ())
    crowd, dog = entries[7]
    assert crowd[:5] == (2, 1, True, None, None)
    assert dog[:5] == (900100448263, 0, False, 2.5, None)
    assert (crowd.mask, dog.mask) == (b"66", b"129")
    with pytest.raises(KeyError):
        entries[8]


def test_claimed_areas_are_summed_up_by_class(opened: Callable[..., InstanceFile]) -> None:
    more = DOG | {"id": 3, "area": 4}
    file = opened(
        document(
            DOG,
            CROWD,
            more,
            CROWD | {"id": 4, "image_id": "b", "area": 9},
            images=[
                *document()["images"],
                {"id": 9, "file_name": "c.jpg", "height": 3, "width": 4},
            ],
        ),
        report=lambda fault: None,
    )
    assert file.area_of({0}) == {7: 6.5, "b": 0, 9: 0}
    assert math.isnan(file.area_of({0, 1})[7])


def test_ids_may_be_beyond_64_bits(opened: Callable[..., InstanceFile]) -> None:
    file = opened(document(DOG | {"id": 2**70}, CROWD))
    assert [x.id for x in file.of(7).items] == [2**70, 2]


def test_panoptic_json_is_told(opened: Callable[..., InstanceFile]) -> None:
    row = {"image_id": 7, "file_name": "a.png", "segments_info": []}
    with pytest.raises(IsPanoptic, match=r"truth\.json: is COCO panoptic"):
        opened(document(row))


BAD_ROWS: list[tuple[dict[str, Any], str]] = [
    (DOG | {"image_id": 8}, "annotation 900100448263: image 8 is not among"),
    (DOG | {"image_id": [7]}, r"annotation 900100448263: image \[7\] is not among"),
    (DOG | {"image_id": True}, "image True is not among"),
    (DOG | {"category_id": 3}, "annotation 900100448263: category 3 is not among"),
    (DOG | {"category_id": None}, "category None is not among"),
    (DOG | {"id": None}, "annotation at place 1 of the list: no whole number id"),
    (DOG | {"segmentation": None}, "annotation 900100448263: no segmentation"),
    (DOG | {"segmentation": []}, "annotation 900100448263: no segmentation"),
    (DOG | {"segmentation": "66"}, "segmentation is a str"),
    (DOG | {"segmentation": [1.0, 2.0]}, "a polygon is no list of numbers"),
    (DOG | {"segmentation": [[1, 2, 3, 4]]}, "a polygon has 4 numbers"),
    (DOG | {"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "a polygon has 7 numbers"),
    (DOG | {"segmentation": [[1, 2, 3, 4, 5, float("nan")]]}, "corner lies at nan"),
    (DOG | {"segmentation": [[1, 2, 3, 4, 5, 10**9]]}, "corner lies at 1000000000"),
    (DOG | {"segmentation": [[1, 2, 3, 4, 5, 10**400]]}, "corner lies at 10000"),
    (DOG | {"segmentation": [[1, 2, 3, 4, 5, True]]}, "a polygon is no list of numbers"),
    (DOG | {"segmentation": [POLYGON[0], [1, 2, 3, 4, 5, -7e4]]}, "corner lies at -70000.0"),
    (DOG | {"segmentation": {"size": [4, 3], "counts": "66"}}, r"size is \[4, 3\] but .*\[3, 4\]"),
    (DOG | {"segmentation": {"counts": "66"}}, "size is None"),
    (DOG | {"segmentation": {"size": [3, 4]}}, "counts are neither"),
    (DOG | {"segmentation": {"size": [3, 4], "counts": [1, -1]}}, "counts are neither"),
    (DOG | {"segmentation": {"size": [3, 4], "counts": [1.5]}}, "counts are neither"),
]


@pytest.mark.parametrize(("row", "what"), BAD_ROWS)
def test_bad_row_is_named(
    opened: Callable[..., InstanceFile], row: dict[str, Any], what: str
) -> None:
    with pytest.raises(BadInput, match=rf"truth\.json: .*{what}") as error:
        opened(document(row, CROWD))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("row", "what"), BAD_ROWS)
def test_bad_row_is_reported_and_left_out(
    opened: Callable[..., InstanceFile], row: dict[str, Any], what: str
) -> None:
    faults: list[Fault] = []
    file = opened(document(row, CROWD), report=faults.append)
    assert len(faults) == 1
    assert [x.id for x in file.of(7).items] == [2]


@pytest.mark.parametrize(
    ("counts", "what"),
    [("6o", "cut off"), ("6é", "a character"), ("65", "sum up to 11"), ([1, 2], "sum up to 3")],
)
def test_damaged_runs_are_named_when_they_are_decoded(
    opened: Callable[..., InstanceFile], counts: Any, what: str
) -> None:
    file = opened(document(DOG | {"segmentation": {"size": [3, 4], "counts": counts}}, CROWD))
    with pytest.raises(BadInput, match=rf"truth\.json: annotation 900100448263 of image 7.*{what}"):
        file.of(7)
    faults: list[Fault] = []
    assert [x.id for x in file.of(7, faults.append).items] == [2]
    assert [fault.kind for fault in faults] == ["masks that are missing or damaged"]


def test_ids_that_stand_twice_are_named(opened: Callable[..., InstanceFile]) -> None:
    with pytest.raises(BadInput, match="annotation 2: its id stands twice"):
        opened(document(CROWD, DOG | {"id": 2}))
    twice = document(CROWD, images=2 * document()["images"][:1])
    with pytest.raises(BadInput, match="image id 7 stands twice"):
        opened(twice)
    faults: list[Fault] = []
    assert len(opened(twice, report=faults.append).of(7).items) == 1
    assert [fault.kind for fault in faults] == ["image ids listed twice"]


@pytest.mark.parametrize(
    "changes", [{"height": None}, {"width": 0}, {"height": 2**20, "width": 2**20}, {"id": 1.5}]
)
def test_image_without_id_or_size_is_named(
    opened: Callable[..., InstanceFile], changes: dict[str, Any]
) -> None:
    images = [document()["images"][0] | changes]
    with pytest.raises(BadInput, match="image at place 1 of the list lacks"):
        opened(document(images=images))


@pytest.mark.parametrize("score", [None, "0.5", True, float("nan"), float("inf")])
def test_score_that_is_no_number_is_named(
    scored: Callable[..., InstanceFile], score: object
) -> None:
    with pytest.raises(BadInput, match=r"found\.json: result 2: score is"):
        scored([result(), result(score=score)])
    faults: list[Fault] = []
    file = scored([result(), result(score=score)], report=faults.append)
    assert [x.id for x in file.of(7).items] == [1]
    assert [fault.kind for fault in faults] == ["results without a score"]


def test_box_alone_is_no_result(scored: Callable[..., InstanceFile]) -> None:
    with pytest.raises(BadInput, match="result 1: no segmentation"):
        scored([{"image_id": 7, "category_id": 18, "bbox": [0, 0, 1, 1], "score": 1}])


def test_files_of_another_kind_are_refused(
    opened: Callable[..., InstanceFile], scored: Callable[..., InstanceFile]
) -> None:
    with pytest.raises(BadInput, match=r"truth\.json: no list 'images'"):
        opened([])
    with pytest.raises(BadInput, match="no list 'categories'"):
        opened(document(categories=None))
    with pytest.raises(BadInput, match=r"found\.json: no bare list"):
        scored(document())
    with pytest.raises(BadInput, match="each category needs"):
        opened(document(categories=[{"id": 1.5, "name": "dog"}]))
    with pytest.raises(BadInput, match=r"truth\.json: category ids \[1\] stand for more"):
        opened(document(categories=2 * [{"id": 1, "name": "dog"}]))


def test_category_of_another_name_is_a_fault(opened: Callable[..., InstanceFile]) -> None:
    cats = document(DOG, categories=[{"id": 18, "name": "cat"}])
    with pytest.raises(BadInput, match="category 18 is 'cat' but 'dog' among the classes"):
        opened(cats, labels=LABELS)
    faults: list[Fault] = []
    assert len(opened(cats, labels=LABELS, report=faults.append).of(7).items) == 1
    assert len(faults) == 1


def test_polygons_are_filled_as_pycocotools_does(opened: Callable[..., InstanceFile]) -> None:
    coco = pytest.importorskip("pycocotools.mask")
    both = [*POLYGON, [2.5, 0.5, 4.0, 0.5, 4.0, 2.5]]
    file = opened(document(DOG | {"segmentation": both}))
    theirs = coco.merge(coco.frPyObjects(both, *SIZE))
    (dog,) = file.of(7).items
    assert decode_mask(dog.runs, SIZE)[:, :2].all()
    assert runs_to_text(dog.runs) == theirs["counts"].decode()


def test_polygons_without_pycocotools_name_the_extra(
    opened: Callable[..., InstanceFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(BadInput, match=r"truth\.json: .*pip install 'atrous\[coco\]'"):
        opened(document(DOG | {"segmentation": POLYGON}), report=lambda fault: None)
    opened(document(DOG, CROWD)).of(7)


some_masks = arrays(np.bool_, SIZE)
several = st.lists(
    st.tuples(some_masks, st.integers(0, 1), st.booleans(), st.floats(0, 1, width=32)), max_size=4
)


def as_instances(rows: list[Any], *, start: int, scores: bool) -> Instances:
    items = (
        Instance(i, class_id, encode_mask(mask), score if scores else None, crowd and not scores)
        for i, (mask, class_id, crowd, score) in enumerate(rows, start)
    )
    return Instances(SIZE, tuple(items))


def rows_of(instances: Instances) -> list[Any]:
    return [(x.id, x.class_id, x.runs.tolist(), x.score, x.is_crowd) for x in instances.items]


@given(first=several, second=several)
def test_truth_and_results_survive_their_files(
    tmp_path_factory: pytest.TempPathFactory, first: list[Any], second: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("round")
    keys = (ImageKey(7, "a.jpg", SIZE), ImageKey("b", "b.jpg", SIZE))
    truth = [
        (keys[0], as_instances(first, start=5, scores=False)),
        (keys[1], as_instances(second, start=100, scores=False)),
    ]
    write_json(folder / "truth.json", instances_json(truth, LABELS))
    file = open_instances(folder / "truth.json")
    assert file.labels == LABELS
    assert tuple(file.images.values()) == keys
    for key, wanted in truth:
        assert rows_of(file.of(key.id)) == rows_of(wanted)
        assert file.areas(key.id) == {x.id: x.runs[1::2].sum() for x in wanted.items}
    found = [
        (keys[0], as_instances(first, start=1, scores=True)),
        (keys[1], as_instances(second, start=1 + len(first), scores=True)),
    ]
    write_json(folder / "found.json", results_json(found, LABELS))
    results = open_results(folder / "found.json", file)
    for key, wanted in found:
        assert rows_of(results.of(key.id)) == rows_of(wanted)


def test_writers_refuse_ids_that_stand_twice_and_results_without_score() -> None:
    one = Instances(SIZE, (Instance(1, 0, encode_mask(np.ones(SIZE, np.bool_))),))
    key = ImageKey(7, "a.jpg", SIZE)
    with pytest.raises(ValueError, match="stands twice"):
        instances_json([(key, one), (key, one)], LABELS)
    with pytest.raises(ValueError, match="instance 1 of image 7 has no score"):
        results_json([(key, one)], LABELS)


def test_every_mask_of_coco_is_that_of_pycocotools(shared: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    path = shared / "data" / "coco_things" / "train_instances.json"
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = coco.COCO(str(path))
    file = open_instances(path)
    count = 0
    for image_id in file.images:
        for x in file.of(image_id).items:
            annotation = theirs.anns[x.id]
            runs = theirs.annToRLE(annotation)
            assert runs["size"] == list(file.images[image_id].size_hw)
            assert runs_to_text(x.runs) == runs["counts"].decode()
            assert annotation["category_id"] == file.labels[x.class_id].file_id
            assert annotation["iscrowd"] == x.is_crowd
            count += 1
    assert count == len(theirs.anns) > 1000
