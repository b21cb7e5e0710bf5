from __future__ import annotations

import math
import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from atrous.formats import encode_mask, flatten, instances_from_masks
from atrous.labels import Label, LabelSpace
from atrous.metrics.instance import RegionAP, RegionScore
from atrous.metrics.masks import intersections, plain_intersections
from atrous.metrics.overlaps import compare
from atrous.types import BadInput, Instance, Instances

SIZE = (3, 5)
LABELS = LabelSpace(tuple(Label(name, (0, 0, 0), True, i) for i, name in enumerate("abc")))
NO_SCORES = Instances(SIZE, ())

Drawn = list[tuple[NDArray[np.bool_], int, float, bool]]

drawn: st.SearchStrategy[Drawn] = st.lists(
    st.tuples(
        arrays(np.bool_, SIZE),
        st.integers(0, 1),
        st.sampled_from([0.1, 0.5, 0.6, 0.9]),
        st.sampled_from([False, False, False, True]),
    ),
    max_size=4,
)
images = st.lists(st.tuples(drawn, drawn), max_size=4)


def as_truth(rows: Drawn) -> Instances:
    items = (Instance(i, c, encode_mask(m), None, crowd) for i, (m, c, _, crowd) in enumerate(rows))
    return Instances(SIZE, tuple(items))


def as_detections(rows: Drawn) -> Instances:
    items = (Instance(i, c, encode_mask(m), score) for i, (m, c, score, _) in enumerate(rows))
    return Instances(SIZE, tuple(items))


def score_of(pairs: list[tuple[Drawn, Drawn]]) -> RegionScore:
    ap = RegionAP(LABELS)
    for truth, found in pairs:
        ap.update(as_truth(truth), as_detections(found))
    return ap.compute()


def slow_ap(pairs: list[tuple[Drawn, Drawn]], class_id: int, threshold: Fraction) -> float:
    """AP^r of one class straight from its words, in fractions."""
    ranked: list[tuple[float, bool]] = []
    total = 0
    for truth, found in pairs:
        free = [m for m, c, _, crowd in truth if c == class_id and not crowd]
        total += len(free)
        for mask, c, score, _ in sorted(found, key=lambda row: -row[2]):
            if c != class_id:
                continue
            ious = [Fraction(int((m & mask).sum()), max(int((m | mask).sum()), 1)) for m in free]
            hit = bool(ious) and max(ious) > threshold
            if hit:
                free.pop(ious.index(max(ious)))
            ranked.append((score, hit))
    if not total:
        return math.nan
    curve = []
    for level in sorted({score for score, _ in ranked}, reverse=True):
        kept = [hit for score, hit in ranked if score >= level]
        curve.append((Fraction(sum(kept), total), Fraction(sum(kept), len(kept))))
    recalls = [Fraction(0), *(recall for recall, _ in curve)]
    area = sum(
        (recalls[i + 1] - recalls[i]) * max(precision for _, precision in curve[i:])
        for i in range(len(curve))
    )
    return float(area)


@given(images)
def test_it_is_the_area_under_the_precision_envelope(pairs: list[tuple[Drawn, Drawn]]) -> None:
    wanted = [[slow_ap(pairs, c, Fraction(k, 10)) for k in range(1, 10)] for c in range(3)]
    score = score_of(pairs)
    np.testing.assert_allclose(score.per_class, wanted, rtol=0, atol=1e-12)
    known = [row for row in wanted if not math.isnan(row[0])]
    if known:
        assert score.map_50 == pytest.approx(np.mean([row[4] for row in known]), abs=1e-12)
        assert score.map_70 == pytest.approx(np.mean([row[6] for row in known]), abs=1e-12)
        assert score.map_vol == pytest.approx(np.mean(known), abs=1e-12)
    else:
        assert math.isnan(score.map_50 + score.map_70 + score.map_vol)


@given(images, st.randoms(use_true_random=False))
def test_order_of_images_and_merging_changes_nothing(
    pairs: list[tuple[Drawn, Drawn]], random: Any
) -> None:
    mixed = random.sample(pairs, len(pairs))
    parts = [RegionAP(LABELS) for _ in range(3)]
    for i, (truth, found) in enumerate(mixed):
        parts[i % 3].update(as_truth(truth), as_detections(found))
    whole = RegionAP(LABELS)
    for part in reversed(parts):
        whole.merge(pickle.loads(pickle.dumps(part)))
    ours, theirs = whole.compute(), score_of(pairs)
    np.testing.assert_array_equal(ours.per_class, theirs.per_class)
    np.testing.assert_array_equal(
        (ours.map_50, ours.map_70, ours.map_vol), (theirs.map_50, theirs.map_70, theirs.map_vol)
    )


def bar(start: int, end: int) -> NDArray[np.bool_]:
    """A mask of the first row's columns."""
    mask = np.zeros((1, 20), np.bool_)
    mask[0, start:end] = True
    return mask


def bars(*spans: tuple[int, int], scores: list[float] | None = None) -> Instances:
    masks = np.array([bar(*span) for span in spans]).reshape(-1, 1, 20)
    return instances_from_masks(masks, [0] * len(spans), scores=scores)


def ap_of(truth: Instances, found: Instances) -> list[float]:
    ap = RegionAP(LABELS)
    ap.update(truth, found)
    return [float(v) for v in ap.compute().per_class[0]]


def test_perfect_masks_are_perfect() -> None:
    score = score_of([([(np.ones(SIZE, np.bool_), 1, 0.5, False)],) * 2])
    assert (score.map_50, score.map_70, score.map_vol) == (1, 1, 1)
    assert np.isnan(score.per_class[[0, 2]]).all()


@pytest.mark.parametrize("tenths", range(1, 10))
def test_iou_at_the_threshold_is_no_hit(tenths: int) -> None:
    hits = ap_of(bars((0, 10)), bars((0, tenths), scores=[0.5]))
    assert hits == [1.0] * (tenths - 1) + [0.0] * (10 - tenths)


def test_second_on_the_same_instance_is_no_hit() -> None:
    found = bars((0, 10), (0, 10), (10, 20), scores=[0.9, 0.8, 0.7])
    assert ap_of(bars((0, 10), (10, 20)), found)[4] == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)


def test_taken_instance_leaves_the_next_best() -> None:
    truth = bars((0, 10), (2, 10))
    found = bars((0, 10), (1, 10), scores=[0.9, 0.8])
    assert ap_of(truth, found)[6] == 1.0


def test_best_free_instance_is_taken_although_another_would_do() -> None:
    truth = bars((0, 10), (0, 8))
    assert ap_of(truth, bars((0, 8), (0, 7), scores=[0.9, 0.8]))[6] == pytest.approx(1 / 2)


def test_tie_within_an_image_keeps_the_given_order() -> None:
    truth = bars((0, 10), (0, 8))
    assert ap_of(truth, bars((0, 8), (0, 7), scores=[0.5, 0.5]))[6] == pytest.approx(1 / 4)
    assert ap_of(truth, bars((0, 7), (0, 8), scores=[0.5, 0.5]))[6] == pytest.approx(1)


def test_crowd_is_no_truth_and_forgives_nothing() -> None:
    crowd = Instance(9, 0, encode_mask(bar(10, 20)), None, is_crowd=True)
    truth = Instances((1, 20), (*bars((0, 10)).items, crowd))
    found = bars((10, 20), (0, 10), scores=[0.9, 0.5])
    assert ap_of(truth, found)[4] == pytest.approx(1 / 2)


def test_truth_without_detections_is_nought_and_detections_without_truth_are_nothing() -> None:
    ap = RegionAP(LABELS)
    ap.update(as_truth([(np.ones(SIZE, np.bool_), 0, 0, False)]), NO_SCORES)
    ap.update(NO_SCORES, as_detections([(np.ones(SIZE, np.bool_), 1, 0.5, False)]))
    score = ap.compute()
    assert score.map_vol == 0.0
    assert score.per_class[0].tolist() == [0.0] * 9
    assert np.isnan(score.per_class[1:]).all()


def test_nothing_at_all_is_nan() -> None:
    assert math.isnan(RegionAP(LABELS).compute().map_50)


def test_score_of_counted_regions_is_that_of_their_masks() -> None:
    labels = LabelSpace((*LABELS.labels[:1], Label("sky", (0, 0, 0), False, 7)))
    stuff = Instance(5, 1, encode_mask(bar(19, 20)), 0.5)
    truth = Instances((1, 20), (*bars((0, 8), (8, 12)).items, stuff))
    found = Instances((1, 20), (*bars((0, 7), (7, 12), scores=[0.5, 0.9]).items, stuff))
    maps = [flatten(side, source="a")[0] for side in (truth, found)]
    counted, things = RegionAP(labels), RegionAP(labels)
    counted.update_regions(compare(maps[0], maps[1], classes=2))
    things.update(*(Instances((1, 20), side.items[:2]) for side in (truth, found)))
    np.testing.assert_array_equal(counted.compute().per_class, things.compute().per_class)
    assert counted.compute().map_70 == 1.0


def test_bad_detections_are_refused() -> None:
    ap = RegionAP(LABELS)
    with pytest.raises(BadInput, match="detection 1 has no score"):
        ap.update(bars((0, 1)), bars((0, 1)))
    with pytest.raises(BadInput, match="detection 1 has no score"):
        ap.update(bars((0, 1)), bars((0, 1), scores=[math.nan]))
    with pytest.raises(BadInput, match=r"\(1, 20\) but the detections are \(3, 5\)"):
        ap.update(bars((0, 1)), NO_SCORES)
    with pytest.raises(BadInput, match=r"the truth hold class \[3\], but there are 3"):
        ap.update(instances_from_masks(np.ones((1, *SIZE)), [3]), NO_SCORES)
    one = flatten(bars((0, 1)), source="a")[0]
    with pytest.raises(BadInput, match="predicted segment 1 has no score"):
        ap.update_regions(compare(one, one, classes=3))
    with pytest.raises(ValueError, match="cannot merge"):
        ap.merge(RegionAP(LabelSpace(LABELS.labels[:2])))


big = st.lists(
    st.builds(
        lambda mask, times: np.kron(mask, np.ones((times, times), np.bool_))[:12, :12],
        arrays(np.bool_, (12, 12)),
        st.integers(1, 12),
    ),
    max_size=4,
)


@given(big, big)
def test_shared_pixels_are_those_of_the_plain_twin(
    first: list[NDArray[np.bool_]], second: list[NDArray[np.bool_]]
) -> None:
    sides = [
        [Instance(i, 0, encode_mask(mask)) for i, mask in enumerate(side)]
        for side in (first, second)
    ]
    shared = intersections(sides[0], sides[1], height=12)
    assert shared.dtype == np.int64
    np.testing.assert_array_equal(shared, plain_intersections(sides[0], sides[1], size_hw=(12, 12)))


def test_empty_runs_share_nothing() -> None:
    odd = Instance(1, 0, np.array([0, 1, 0, 2, 3, 0], np.uint32))
    assert intersections([odd], [odd], height=2).tolist() == [[3]]
    none = Instance(1, 0, np.array([6], np.uint32))
    assert intersections([odd, none], [none], height=2).tolist() == [[0], [0]]
