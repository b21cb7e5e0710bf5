from __future__ import annotations

import contextlib
import io
import math
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from atrous.formats import (
    ImageKey,
    InstanceFile,
    decode_mask,
    encode_mask,
    instances_json,
    open_instances,
    open_results,
    results_json,
    write_json,
)
from atrous.labels import Label, LabelSpace
from atrous.metrics.coco import MaskAP, MaskScore
from atrous.types import BadInput, Instance, Instances

pytest.importorskip("pycocotools")

SIZE = (120, 130)
LABELS = LabelSpace(tuple(Label(name, (0, 0, 0), True, 3 * i) for i, name in enumerate("abc")))


def theirs(truth: Path, found: Path) -> Any:
    """COCOeval, run from the files."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        data = COCO(str(truth))
        evaluation = COCOeval(data, data.loadRes(str(found)), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def ours(truth: InstanceFile, found: InstanceFile) -> MaskScore:
    """Our score, from three accumulators that see the images in another order."""
    parts = [MaskAP(truth.labels) for _ in range(3)]
    places = list(enumerate(sorted(truth.images)))
    for place, image_id in reversed(places):
        areas = truth.areas(image_id)
        sides = truth.of(image_id), found.of(image_id)
        parts[place % 3].update(*sides, place=place, true_areas=areas)
    for part in parts[1:]:
        parts[0].merge(pickle.loads(pickle.dumps(part)))
    return parts[0].compute()


def assert_equal(score: MaskScore, evaluation: Any, labels: LabelSpace) -> None:
    found = (
        *(score.ap, score.ap_50, score.ap_75),
        *(score.ap_small, score.ap_medium, score.ap_large),
    )
    np.testing.assert_allclose(np.nan_to_num(found, nan=-1), evaluation.stats[:6], atol=1e-12)
    places = {category: k for k, category in enumerate(evaluation.params.catIds)}
    for label, ap in zip(labels.labels, score.per_class, strict=True):
        part = evaluation.eval["precision"][:, :, places[label.file_id], 0, 2]
        known = part[part > -1]
        np.testing.assert_allclose(ap, known.mean() if known.size else np.nan, atol=1e-12)


def compare_files(folder: Path, truth: Path, detections: Any) -> MaskScore:
    write_json(folder / "found.json", detections)
    opened = open_instances(truth)
    score = ours(opened, open_results(folder / "found.json", opened))
    assert_equal(score, theirs(truth, folder / "found.json"), opened.labels)
    return score


def block(y: int, x: int, height: int, width: int) -> NDArray[np.uint32]:
    mask = np.zeros(SIZE, np.bool_)
    mask[y : y + height, x : x + width] = True
    return encode_mask(mask)


spots = st.builds(
    block, st.integers(0, 20), st.integers(0, 20), st.integers(1, 100), st.integers(1, 110)
)
things = st.lists(
    st.tuples(spots, st.integers(0, 1), st.sampled_from([0.25, 0.5, 0.75]), st.booleans()),
    max_size=4,
)


def instances(rows: list[Any], *, start: int, truth: bool) -> Instances:
    items = (
        Instance(i, c, runs, None if truth else score, truth and crowd)
        for i, (runs, c, score, crowd) in enumerate(rows, start)
    )
    return Instances(SIZE, tuple(items))


@settings(max_examples=40)
@given(st.lists(st.tuples(things, things), min_size=1, max_size=3))
def test_drawn_scenes_score_as_in_pycocotools(
    tmp_path_factory: pytest.TempPathFactory, scenes: list[tuple[Any, Any]]
) -> None:
    if not any(found for _, found in scenes):
        return  # pycocotools refuses an empty list of results
    folder = tmp_path_factory.mktemp("coco")
    keys = [ImageKey(i, f"{i}.jpg", SIZE) for i in range(len(scenes))]
    truth = [
        (key, instances(true, start=1 + 10 * key.id, truth=True))  # type: ignore[operator]
        for key, (true, _) in zip(keys, scenes, strict=True)
    ]
    found = [
        (key, instances(rows, start=1, truth=False))
        for key, (_, rows) in zip(keys, scenes, strict=True)
    ]
    write_json(folder / "truth.json", instances_json(truth, LABELS))
    compare_files(folder, folder / "truth.json", results_json(found, LABELS))


def made_up(file: InstanceFile) -> list[dict[str, object]]:
    """Detections: truth that is moved, given other classes, doubled or left out."""
    random = np.random.default_rng(0)
    images = []
    for image_id, key in file.images.items():
        items: list[Instance] = []
        for x in file.of(image_id).items:
            for _ in range(random.integers(0, 3)):
                shift = random.integers(-4, 5, size=2)
                mask = np.roll(decode_mask(x.runs, key.size_hw), shift, axis=(0, 1))
                strange = random.random() < 0.2
                class_id = int(random.integers(len(file.labels))) if strange else x.class_id
                score = float(np.round(random.random(), 2))  # with many ties
                items.append(Instance(1, class_id, encode_mask(mask), score))
        images.append((key, Instances(key.size_hw, tuple(items))))
    return results_json(images, file.labels)


def test_coco_scores_as_in_pycocotools(shared: Path, tmp_path: Path) -> None:
    truth = shared / "data" / "coco_things" / "train_instances.json"
    score = compare_files(tmp_path, truth, made_up(open_instances(truth)))
    assert 0.1 < score.ap < score.ap_50 < 1
    assert min(score.ap_small, score.ap_medium, score.ap_large) > 0


def one(runs: NDArray[np.uint32], score: float | None = None, **more: Any) -> Instances:
    return Instances(SIZE, (Instance(1, 1, runs, score, **more),))


def test_perfect_mask_is_perfect_and_other_classes_are_nan() -> None:
    ap = MaskAP(LABELS)
    ap.update(one(block(0, 0, 10, 10)), one(block(0, 0, 10, 10), 0.5))
    score = ap.compute()
    assert (score.ap, score.ap_50, score.ap_75, score.ap_small) == pytest.approx((1, 1, 1, 1))
    assert math.isnan(score.ap_medium)
    assert np.isnan(score.per_class).tolist() == [True, False, True]


def test_area_of_the_file_decides_the_size() -> None:
    ap = MaskAP(LABELS)
    mask = block(0, 0, 10, 10)
    ap.update(one(mask), one(mask, 0.5), true_areas={1: 5000.0})
    score = ap.compute()
    assert math.isnan(score.ap_small)
    assert score.ap_medium == pytest.approx(1)


def test_crowd_forgives_what_lies_on_it() -> None:
    ap = MaskAP(LABELS)
    crowd = one(block(50, 50, 40, 40), is_crowd=True).items
    truth = Instances(SIZE, (*one(block(0, 0, 10, 10)).items, *crowd))
    good, on_crowd = one(block(0, 0, 10, 10), 0.5).items, one(block(60, 60, 5, 5), 0.9).items
    ap.update(truth, Instances(SIZE, (*on_crowd, *good)))
    assert ap.compute().ap == pytest.approx(1)


def test_nothing_at_all_is_nan_and_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    ap = MaskAP(LABELS)
    ap.update(Instances(SIZE, ()), Instances(SIZE, ()))
    assert math.isnan(ap.compute().ap)
    assert capsys.readouterr() == ("", "")


def test_bad_detections_are_refused() -> None:
    ap = MaskAP(LABELS)
    with pytest.raises(BadInput, match="detection 1 has no score"):
        ap.update(one(block(0, 0, 1, 1)), one(block(0, 0, 1, 1)))
    with pytest.raises(BadInput, match=r"the detections are \(1, 1\)"):
        ap.update(one(block(0, 0, 1, 1)), Instances((1, 1), ()))
    with pytest.raises(ValueError, match="cannot merge"):
        ap.merge(MaskAP(LabelSpace(LABELS.labels[:2])))


def test_missing_pycocotools_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    monkeypatch.delitem(sys.modules, "pycocotools.cocoeval", raising=False)
    with pytest.raises(BadInput, match=r"pip install 'atrous\[coco\]'"):
        MaskAP(LABELS)
