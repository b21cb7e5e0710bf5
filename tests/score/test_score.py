"""Panoptic files against panoptic files: the scores, and every way in which files can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import panoptic_trees as trees
from atrous.formats import read_index, read_segments, write_panoptic
from atrous.metrics.scorer import SegmentScorer
from atrous.score import Outcome, Place, Rules, open_prediction, open_truth, score
from atrous.score.faults import Tally
from atrous.types import BadInput, refuse


def run(truth: Path, prediction: Path, *, workers: int = 0, **rules: Any) -> Outcome:
    tally = Tally()
    report = tally if rules.get("lenient") else refuse
    true = open_truth(Place(truth), flat=rules.get("flat", False), report=report)
    predicted = open_prediction(Place(prediction), true, report=report)
    return score(true, predicted, Rules(**rules), workers=workers, skipped=tally)


def plain(truth: Path, prediction: Path) -> dict[str, Any]:
    """The same scores from the readers of data sets, one image after another."""
    sides = [read_index(path) for path in (truth, prediction)]
    labels = sides[0].labels
    assert labels is not None
    scorer = SegmentScorer(labels)
    for records in zip(*(side.records for side in sides), strict=True):
        folders = (truth.with_suffix(""), prediction.with_suffix(""))
        both = (
            read_segments(folder / r.png, r.segments, labels.class_ids())
            for folder, r in zip(folders, records, strict=True)
        )
        scorer.update(*both)
    return scorer.compute().to_json()


def test_files_score_as_their_maps_do(tmp_path: Path) -> None:
    sides = trees.two_sides(tmp_path)
    answer = run(*sides).scores.to_json()
    instance = answer.pop("instance")
    expected = plain(*sides)
    for row in answer["per_class"]:
        for name in ("ap_50", "ap_70", "ap_vol"):
            row.pop(name, None)
    assert answer == expected
    assert 0 < instance["map_vol"] < 1


def test_truth_against_itself_is_perfect(tmp_path: Path) -> None:
    truth, _ = trees.two_sides(tmp_path)
    answer = run(truth, truth).scores.to_json()
    assert answer["panoptic"]["all"]["pq"] == 1
    assert answer["panoptic"]["things_any_class"]["pq"] == 1
    assert answer["covering"] == {"paper": 1, "normalised": 1}
    assert answer["semantic"]["weighted_iou"] == 1
    assert "instance" not in answer


def test_several_processes_say_the_same_to_the_last_bit(tmp_path: Path) -> None:
    sides = trees.two_sides(tmp_path, images=40)
    alone, together = (run(*sides, workers=n, per_image=True) for n in (0, 2))
    assert repr(alone.scores) == repr(together.scores)
    assert [repr(x) for x in alone.images] == [repr(x) for x in together.images]


def test_each_image_has_its_own_scores(tmp_path: Path) -> None:
    sides = trees.two_sides(tmp_path)
    images = run(*sides, per_image=True).images
    assert [x.pair.name for x in images] == ["0.jpg", "1.jpg", "2.jpg"]
    assert len({x.scores["pq"] for x in images}) == 3
    assert all(0 < x.scores["pixel_accuracy"] < 1 for x in images)


def test_a_prediction_may_leave_out_images_and_categories(tmp_path: Path) -> None:
    truth, prediction = trees.two_sides(tmp_path)
    whole = run(truth, prediction).scores.to_json()
    trees.rewrite(prediction, {"annotations": trees.load(prediction)["annotations"]})
    assert run(truth, prediction).scores.to_json() == whole


def test_a_prediction_may_number_its_categories_otherwise(tmp_path: Path) -> None:
    truth, prediction = trees.two_sides(tmp_path)
    whole = run(truth, prediction).scores.to_json()
    data = trees.load(prediction)
    for category in data["categories"]:
        category["id"] += 100
    data["categories"].reverse()
    for note in data["annotations"]:
        for entry in note["segments_info"]:
            entry["category_id"] += 100
    trees.rewrite(prediction, data)
    assert run(truth, prediction).scores.to_json() == whole


def test_what_parse_writes_is_a_prediction(tmp_path: Path) -> None:
    truth, prediction = trees.two_sides(tmp_path)
    whole = run(truth, prediction).scores.to_json()
    parsed = tmp_path / "parsed"
    parsed.mkdir()
    prediction.rename(parsed / "panoptic.json")
    prediction.with_suffix("").rename(parsed / "panoptic")
    assert run(truth, parsed).scores.to_json() == whole


Fault = Callable[[dict[str, Any], Path], None]


def first(data: dict[str, Any]) -> list[dict[str, Any]]:
    info: list[dict[str, Any]] = data["annotations"][0]["segments_info"]
    return info


def no_entry(data: dict[str, Any], pngs: Path) -> None:
    first(data)[:] = [e for e in first(data) if e["id"] != 300]


def no_pixels(data: dict[str, Any], pngs: Path) -> None:
    first(data).append({"id": 12, "category_id": 3})


def unknown_category(data: dict[str, Any], pngs: Path) -> None:
    next(e for e in first(data) if e["id"] == 300)["category_id"] = 77


def id_zero(data: dict[str, Any], pngs: Path) -> None:
    first(data).append({"id": 0, "category_id": 3})


def id_twice(data: dict[str, Any], pngs: Path) -> None:
    first(data).append(dict(first(data)[0]))


def wrong_area(data: dict[str, Any], pngs: Path) -> None:
    first(data)[0]["area"] += 1


def other_size(data: dict[str, Any], pngs: Path) -> None:
    write_panoptic(pngs / "0.png", np.vstack([trees.drawn(0), np.zeros((1, 30), np.int32)]))
    for entry in first(data):
        del entry["area"]


def image_missing(data: dict[str, Any], pngs: Path) -> None:
    del data["annotations"][0], data["images"][0]


def image_extra(data: dict[str, Any], pngs: Path) -> None:
    data["images"].append({"id": 99, "file_name": "99.jpg"})
    data["annotations"].append({"image_id": 99, "file_name": "99.png", "segments_info": []})


def image_twice(data: dict[str, Any], pngs: Path) -> None:
    data["images"].append({"id": 0, "file_name": "0.jpg"})


def annotated_twice(data: dict[str, Any], pngs: Path) -> None:
    data["annotations"].append(data["annotations"][0])


def not_annotated(data: dict[str, Any], pngs: Path) -> None:
    data["images"].append({"id": 99, "file_name": "99.jpg"})


def other_classes(data: dict[str, Any], pngs: Path) -> None:
    data["categories"][1]["name"] = "wolf"


def damaged(data: dict[str, Any], pngs: Path) -> None:
    (pngs / "0.png").write_bytes((pngs / "0.png").read_bytes()[:60])


def missing_png(data: dict[str, Any], pngs: Path) -> None:
    (pngs / "0.png").unlink()


PREDICTION_FAULTS: list[tuple[Fault, str, str]] = [
    (no_entry, r"0\.png: ids 300 have pixels but no entry", "other segments"),
    (no_pixels, r"0\.png: ids 12 have an entry but no pixels", "other segments"),
    (unknown_category, r"0\.png: category ids 77 \(ids 300\) are not among", "unknown category"),
    (id_zero, r"0\.png: ids 0 in segments_info cannot be a segment", "impossible id"),
    (id_twice, r"0\.png: ids \d+ stand twice", "listed twice"),
    (wrong_area, r"0\.png: id \d+ has \d+ pixels but area", "other areas"),
    (other_size, r"pred/0\.png: is 21x30 but .*gt/0\.png is 20x30", "two sizes"),
    (image_missing, r"image 0 \(0\.jpg\) has no prediction", "without a prediction"),
    (image_extra, r"image 99 \(99\.jpg\) is predicted but not among", "unknown images"),
    (image_twice, r"pred\.json: an image id stands twice, 0", "image ids listed twice"),
    (annotated_twice, r"pred\.json: annotation 0\.png is of image 0", "a second one"),
    (not_annotated, r"pred\.json: 1 images have no annotation, 99\.jpg", "without an annotation"),
    (other_classes, r"pred\.json: 'wolf' only in the prediction, 'dog' only in", "differ"),
    (damaged, r"pred/0\.png: .*cut off", "cannot be read"),
    (missing_png, r"pred/0\.png: no such file", "cannot be read"),
]


@pytest.mark.parametrize(
    ("fault", "words", "kind"), PREDICTION_FAULTS, ids=[f.__name__ for f, *_ in PREDICTION_FAULTS]
)
def test_strict_names_each_fault_and_lenient_counts_it(
    tmp_path: Path, fault: Fault, words: str, kind: str
) -> None:
    truth, prediction = trees.two_sides(tmp_path)
    data = trees.load(prediction)
    fault(data, prediction.with_suffix(""))
    trees.rewrite(prediction, data)
    with pytest.raises(BadInput, match=words) as error:
        run(truth, prediction)
    assert "\n" not in str(error.value)
    skipped = run(truth, prediction, lenient=True).skipped.to_json()
    assert any(kind in str(row["what"]) for row in skipped), skipped


@pytest.mark.parametrize("fault", [no_entry, no_pixels, unknown_category, id_zero, other_size])
def test_faults_of_the_truth_are_found_too(tmp_path: Path, fault: Fault) -> None:
    truth, prediction = trees.two_sides(tmp_path)
    data = trees.load(truth)
    fault(data, truth.with_suffix(""))
    trees.rewrite(truth, data)
    with pytest.raises(BadInput, match=r"0\.png: "):
        run(truth, prediction)
    assert run(truth, prediction, lenient=True).skipped.counts


def test_lenient_scores_what_is_left(tmp_path: Path) -> None:
    truth, prediction = trees.two_sides(tmp_path)
    data = trees.load(prediction)
    no_entry(data, prediction)
    trees.rewrite(prediction, data)
    lenient = run(truth, prediction, lenient=True).scores.to_json()
    ids = np.roll(trees.drawn(0), 2, axis=1)
    write_panoptic(prediction.with_suffix("") / "0.png", np.where(ids == 300, 0, ids))
    assert run(truth, prediction).scores.to_json() == lenient


def test_lenient_leaves_out_an_image_that_cannot_be_read(tmp_path: Path) -> None:
    truth, prediction = trees.two_sides(tmp_path)
    missing_png({}, prediction.with_suffix(""))
    assert run(truth, prediction, lenient=True).scores.images == 2


def test_several_processes_find_the_first_fault(tmp_path: Path) -> None:
    truth, prediction = trees.two_sides(tmp_path, images=40)
    for name in ("39.png", "20.png"):
        (prediction.with_suffix("") / name).unlink()
    with pytest.raises(BadInput, match=r"20\.png: no such file"):
        run(truth, prediction, workers=2)


def test_two_empty_sides_are_refused(tmp_path: Path) -> None:
    truth, prediction = trees.two_sides(tmp_path, images=0)
    with pytest.raises(BadInput, match="no image could be scored"):
        run(truth, prediction)


def test_the_crowd_rule_is_handed_on(tmp_path: Path) -> None:
    ids = np.full(trees.SIZE, 11, np.int32)
    truth = trees.write_side(tmp_path / "gt", [ids])
    answer = np.full(trees.SIZE, 7, np.int32)
    prediction = trees.write_side(tmp_path / "pred", [answer])
    false_alarms = [
        run(truth, prediction, crowds=rule).scores.to_json()["per_class"][0]["fp"]
        for rule in ("panopticapi", "tensorflow")
    ]
    assert false_alarms == [1, 0]
