"""Panoptic Quality and Parsing Covering: published values, each rule alone, and properties."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from atrous.labels import Label, LabelSpace
from atrous.metrics.covering import ParsingCovering
from atrous.metrics.overlaps import overlaps
from atrous.metrics.panoptic import PanopticQuality, PanopticScore
from atrous.types import BadInput, Labelled, Region

LABELS = LabelSpace(
    (
        Label("person", (220, 20, 60), True, 1),
        Label("car", (0, 0, 142), True, 2),
        Label("sky", (70, 130, 180), False, 3),
    )
)
PERSON, CAR, SKY = range(3)
Pair = tuple[Labelled, Labelled]


def labelled(ids: Sequence[int], *regions: Region) -> Labelled:
    return Labelled(np.array([ids], dtype=np.int32), regions)


def persons(*areas: int) -> Labelled:
    """Segments 1, 2, ... side by side, all persons."""
    ids = [i for i, area in enumerate(areas, start=1) for _ in range(area)]
    return labelled(ids, *(Region(i + 1, PERSON) for i in range(len(areas))))


def runs(*lengths_and_ids: tuple[int, int]) -> list[int]:
    return [i for length, i in lengths_and_ids for _ in range(length)]


def pq(*images: Pair) -> PanopticScore:
    quality = PanopticQuality(LABELS)
    for truth, prediction in images:
        quality.update(truth, prediction)
    return quality.compute()


def covering(*images: Pair, keep_crowds: bool = False) -> tuple[float, float]:
    metric = ParsingCovering(LABELS, keep_crowds=keep_crowds)
    for truth, prediction in images:
        metric.update(truth, prediction)
    score = metric.compute()
    return score.paper, score.normalised


def counts(score: PanopticScore, class_id: int) -> tuple[int, int, int]:
    row = score.per_class[class_id]
    return row.tp, row.fp, row.fn


# Two segments of 29 and 7 pixels in 6x6, found with IoU 28/30 and 6/8, or one of them with 27/32.
TRUTH = labelled(runs((29, 1), (7, 2)), Region(1, PERSON), Region(2, PERSON))
GOOD = labelled(runs((28, 1), (7, 2), (1, 1)), *TRUTH.regions)
BAD = labelled(runs((27, 1), (6, 2), (3, 1)), *TRUTH.regions)


def test_two_segments_of_iou_28_30_and_6_8_give_the_published_value() -> None:
    assert pq((TRUTH, GOOD)).all.pq == pytest.approx((28 / 30 + 6 / 8) / 2, abs=1e-15)
    assert pq((TRUTH, GOOD)).all.pq == pytest.approx(0.841667, abs=1e-6)


def test_one_match_one_miss_and_one_false_alarm_give_the_published_value() -> None:
    score = pq((TRUTH, BAD))
    assert counts(score, PERSON) == (1, 1, 1)
    assert score.all.pq == 0.421875
    assert score.all.sq == 27 / 32
    assert score.all.rq == 0.5


def test_merging_two_good_and_two_bad_gives_the_published_value() -> None:
    good, bad = PanopticQuality(LABELS), PanopticQuality(LABELS)
    for _ in range(2):
        good.update(TRUTH, GOOD)
        bad.update(TRUTH, BAD)
    good.merge(bad)
    assert good.compute().all.pq == pytest.approx(0.63177083, abs=5e-9)


def test_a_segment_split_in_equal_halves_is_not_matched() -> None:
    truth = labelled(runs((8, 1), (8, 2)), Region(1, SKY), Region(2, PERSON))
    halves = runs((8, 1), (4, 2), (4, 3))
    score = pq((truth, labelled(halves, Region(1, SKY), Region(2, PERSON), Region(3, PERSON))))
    assert counts(score, PERSON) == (0, 2, 1)
    assert counts(score, SKY) == (1, 0, 0)
    assert score.all.pq == 0.5


def test_one_pixel_more_than_half_is_a_match() -> None:
    assert counts(pq((persons(9), persons(5, 4))), PERSON) == (1, 1, 0)


def test_things_and_stuff_are_averaged_over_their_own_classes() -> None:
    truth = labelled(runs((8, 1), (4, 2), (4, 3)), *(Region(i + 1, i) for i in range(3)))
    wrong = labelled(runs((8, 1), (4, 2), (4, 3)), Region(1, 0), Region(2, 0), Region(3, 2))
    score = pq((truth, wrong))
    assert (score.things.classes, score.stuff.classes, score.all.classes) == (2, 1, 3)
    assert score.stuff.pq == 1.0
    assert score.things.pq == pytest.approx((1 / 1.5 + 0) / 2)
    assert score.all.pq == pytest.approx((1 / 1.5 + 0 + 1) / 3)


def test_a_class_without_any_segment_is_nan_and_outside_the_mean() -> None:
    score = pq((persons(4), persons(4)))
    assert score.all.classes == 1
    assert math.isnan(score.per_class[CAR].pq)
    assert math.isnan(score.stuff.pq)
    assert score.stuff.classes == 0


def test_sq_is_zero_where_a_class_has_no_match() -> None:
    row = pq((persons(4), labelled([0] * 4))).per_class[PERSON]
    assert (row.pq, row.sq, row.rq) == (0.0, 0.0, 0.0)


def test_predicted_pixels_on_void_do_not_count_for_the_union() -> None:
    truth = labelled(runs((6, 1), (4, 0)), Region(1, PERSON))
    assert pq((truth, persons(10))).per_class[PERSON].pq == 1.0


def test_predicted_void_inside_a_segment_does_count_for_the_union() -> None:
    prediction = labelled(runs((6, 1), (4, 0)), Region(1, PERSON))
    assert pq((persons(10), prediction)).per_class[PERSON].sq == pytest.approx(0.6)


@pytest.mark.parametrize(("on_void", "false_alarms"), [(4, 1), (5, 0)])
def test_a_false_alarm_is_forgiven_only_beyond_half_on_void(
    on_void: int, false_alarms: int
) -> None:
    truth = labelled(runs((8 - on_void, 1), (on_void, 0), (20, 1)), Region(1, SKY))
    prediction = labelled(runs((8, 1), (20, 2)), Region(1, CAR), Region(2, SKY))
    assert counts(pq((truth, prediction)), CAR) == (0, false_alarms, 0)


def test_a_crowd_is_neither_matched_nor_missed() -> None:
    crowd = labelled([1] * 8, Region(1, PERSON, is_crowd=True))
    assert counts(pq((crowd, persons(8))), PERSON) == (0, 0, 0)
    assert counts(pq((crowd, labelled([0] * 8))), PERSON) == (0, 0, 0)


def test_a_crowd_forgives_only_its_own_class() -> None:
    crowd = labelled([1] * 8, Region(1, PERSON, is_crowd=True))
    assert counts(pq((crowd, labelled([1] * 8, Region(1, CAR)))), CAR) == (0, 1, 0)


def test_void_and_crowd_forgive_together() -> None:
    ids = runs((3, 0), (3, 1), (4, 2))
    truth = labelled(ids, Region(1, PERSON, is_crowd=True), Region(2, SKY))
    prediction = labelled(runs((10, 1)), Region(1, PERSON))
    assert counts(pq((truth, prediction)), PERSON) == (0, 0, 0)


def test_crowd_pixels_do_count_for_the_union() -> None:
    truth = labelled(runs((6, 1), (4, 2)), Region(1, PERSON), Region(2, PERSON, is_crowd=True))
    assert pq((truth, persons(10))).per_class[PERSON].sq == pytest.approx(0.6)


@pytest.mark.parametrize(("order", "false_alarms"), [((1, 2), 0), ((2, 1), 1)])
def test_only_the_last_crowd_of_a_class_forgives(order: tuple[int, int], false_alarms: int) -> None:
    crowds = {i: Region(i, PERSON, is_crowd=True) for i in (1, 2)}
    truth = labelled(runs((4, 1), (6, 2)), *(crowds[i] for i in order))
    prediction = labelled(runs((4, 0), (6, 1)), Region(1, PERSON))
    assert counts(pq((truth, prediction)), PERSON) == (0, false_alarms, 0)


def test_with_tensorflows_rule_crowds_of_any_class_forgive_together() -> None:
    crowds = [Region(1, PERSON, is_crowd=True), Region(2, CAR, is_crowd=True)]
    truth = labelled(runs((3, 1), (3, 2), (4, 3)), *crowds, Region(3, SKY))
    prediction = labelled(runs((10, 1)), Region(1, PERSON))
    for rule, false_alarms in (("panopticapi", 1), ("tensorflow", 0)):
        quality = PanopticQuality(LABELS, crowds=rule)  # type: ignore[arg-type]
        quality.update(truth, prediction)
        assert counts(quality.compute(), PERSON) == (0, false_alarms, 0)


def test_accumulators_of_different_crowd_rules_do_not_merge() -> None:
    with pytest.raises(ValueError, match="cannot merge"):
        PanopticQuality(LABELS).merge(PanopticQuality(LABELS, crowds="tensorflow"))


def test_a_crowd_in_a_prediction_is_a_segment_like_any_other() -> None:
    crowd = labelled([1] * 8, Region(1, PERSON, is_crowd=True))
    assert counts(pq((persons(8), crowd)), PERSON) == (1, 0, 0)


@pytest.mark.parametrize("kind", ["int64", "uint8", "uint16", "int16"])
def test_maps_of_any_integers_are_compared(kind: str) -> None:
    truth, prediction = (Labelled(x.ids.astype(kind), x.regions) for x in (TRUTH, GOOD))
    assert pq((truth, prediction)) == pq((TRUTH, GOOD))


def test_maps_may_be_tensors() -> None:
    torch = pytest.importorskip("torch")
    truth, prediction = (Labelled(torch.tensor(x.ids), x.regions) for x in (TRUTH, GOOD))
    assert pq((truth, prediction)) == pq((TRUTH, GOOD))
    assert covering((truth, prediction)) == covering((TRUTH, GOOD))


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (np.zeros((1, 3)), "float64: give ids as integers"),
        (np.array([[1, 2**31, 0]]), "holds id 2147483648: number segments below"),
        (np.array([[1, 0, -(2**31) - 1]]), "holds id -2147483649: number segments below"),
    ],
)
def test_maps_without_ids_of_32_bits_are_refused(ids: NDArray[np.int64], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        overlaps(ids, np.zeros((1, 3), np.int32))  # type: ignore[arg-type]


def test_regions_without_pixels_are_no_segments() -> None:
    gone = Region(9, PERSON)
    truth, prediction = persons(4), persons(4)
    truth, prediction = (replace(x, regions=(*x.regions, gone)) for x in (truth, prediction))
    assert counts(pq((truth, prediction)), PERSON) == (1, 0, 0)


METRICS = [PanopticQuality, ParsingCovering]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (labelled([1, 5], Region(1, PERSON)), r"map holds ids \[5\] without a region"),
        (labelled([1, -5], Region(1, PERSON)), r"map holds ids \[-5\] without a region"),
        (labelled([1, 1], Region(1, PERSON), Region(1, CAR)), "two regions of one id"),
        (labelled([0, 1], Region(1, PERSON), Region(0, CAR)), "one of id 0"),
        (labelled([1, 1], Region(1, 3)), r"regions of class \[3\], but there are 3 classes"),
        (labelled([1, 1], Region(1, -1)), r"regions of class \[-1\]"),
        (labelled([1, 1, 1], Region(1, PERSON)), "resize the prediction"),
    ],
)
def test_maps_and_regions_that_disagree_are_refused(
    metric: type[PanopticQuality | ParsingCovering], broken: Labelled, words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        metric(LABELS).update(persons(2), broken)
    with pytest.raises(BadInput, match=words):
        metric(LABELS).update(broken, persons(2))


@pytest.mark.parametrize("metric", METRICS)
def test_accumulators_of_different_labels_do_not_merge(
    metric: type[PanopticQuality | ParsingCovering],
) -> None:
    other = LabelSpace(LABELS.labels[:2])
    with pytest.raises(ValueError, match="cannot merge"):
        metric(LABELS).merge(metric(other))  # type: ignore[arg-type]


# Parsing Covering


@pytest.mark.parametrize(
    ("truth", "prediction"),
    [
        (persons(4, 4, 4), labelled(runs((4, 1), (8, 0)), Region(1, PERSON))),
        (labelled([1] * 12, Region(1, SKY)), labelled(runs((4, 1), (8, 0)), Region(1, SKY))),
    ],
    ids=["things", "stuff"],
)
def test_one_right_tree_of_three_gives_a_third(truth: Labelled, prediction: Labelled) -> None:
    assert covering((truth, prediction)) == (1 / 3, 1 / 3)


def test_regions_weigh_by_their_area() -> None:
    paper, _ = covering((persons(9, 3), labelled(runs((9, 1), (3, 0)), Region(1, PERSON))))
    assert paper == 0.75


def test_normalising_gives_images_of_different_size_the_same_say() -> None:
    small = persons(4), persons(4)
    large = persons(12), labelled([0] * 12)
    assert covering(small, large) == (4 / 16, 1 / 2)


def test_one_prediction_may_cover_several_regions() -> None:
    assert covering((persons(6, 6), persons(12))) == (0.5, 0.5)


def test_the_best_of_several_predictions_counts() -> None:
    assert covering((persons(10), persons(7, 3))) == (0.7, 0.7)


def test_only_predictions_of_the_same_class_compete() -> None:
    assert covering((persons(4), labelled([1] * 4, Region(1, CAR)))) == (0.0, 0.0)


def test_classes_outside_the_truth_are_no_part_of_the_mean() -> None:
    prediction = labelled(runs((4, 1), (2, 2)), Region(1, PERSON), Region(2, CAR))
    score = covering((labelled(runs((4, 1), (2, 0)), Region(1, PERSON)), prediction))
    assert score == (1.0, 1.0)


def test_void_is_removed_from_predicted_areas() -> None:
    truth = labelled(runs((6, 1), (6, 0)), Region(1, PERSON))
    assert covering((truth, persons(12))) == (1.0, 1.0)


def test_normalised_areas_are_shares_of_the_whole_image_with_its_void() -> None:
    half_void = labelled(runs((4, 1), (4, 0)), Region(1, PERSON)), persons(8)
    missed = persons(8), labelled([0] * 8)
    assert covering(half_void, missed)[1] == pytest.approx(1 / 3)


def test_crowds_count_as_void_unless_kept() -> None:
    truth = labelled(runs((6, 1), (6, 2)), Region(1, PERSON), Region(2, PERSON, is_crowd=True))
    assert covering((truth, persons(12))) == (1.0, 1.0)
    assert covering((truth, persons(12)), keep_crowds=True) == (0.5, 0.5)


def test_nothing_to_cover_gives_nan() -> None:
    assert all(math.isnan(x) for x in covering((labelled([0, 0]), persons(2))))


# Properties, on small random maps with void and crowds

H, W = 5, 6


@st.composite
def maps(draw: st.DrawFn, crowds: bool = False) -> Labelled:
    count = draw(st.integers(0, 5))
    ids = draw(arrays(np.int32, (H, W), elements=st.integers(0, count)))
    ids[:, : W // 2] = ids[0, 0]
    classes = [draw(st.integers(0, 2)) for _ in range(count)]
    crowd = [crowds and draw(st.booleans()) for _ in range(count)]
    return Labelled(ids, tuple(map(Region, range(1, count + 1), classes, crowd)))


images = st.tuples(maps(crowds=True), maps())


def mask(image: Labelled, region: Region) -> NDArray[np.bool_]:
    return np.equal(image.ids, region.id)


def reference_pq(image: Pair) -> list[tuple[float, int, int, int]]:
    """Mask by mask, straight from the definition."""
    truth, prediction = image
    rows = []
    void = truth.ids == 0
    for class_id in range(3):
        true = [r for r in truth.regions if r.class_id == class_id and mask(truth, r).any()]
        crowds = [mask(truth, r) for r in true if r.is_crowd]
        ignored = void | (crowds[-1] if crowds else False)
        predicted = [mask(prediction, r) for r in prediction.regions if r.class_id == class_id]
        predicted = [p for p in predicted if p.any()]
        wanted = [mask(truth, r) for r in true if not r.is_crowd]
        ious = [[(t & p).sum() / (t | (p & ~void)).sum() for p in predicted] for t in wanted]
        hits = [iou for row in ious for iou in row if iou > 0.5]
        loose = [p for i, p in enumerate(predicted) if not any(row[i] > 0.5 for row in ious)]
        false_alarms = sum((p & ignored).sum() / p.sum() <= 0.5 for p in loose)
        rows.append((float(sum(hits)), len(hits), int(false_alarms), len(wanted) - len(hits)))
    return rows


def reference_covering(image: Pair) -> list[float]:
    """Mask by mask, straight from the definition."""
    truth, prediction = image
    kept = truth.ids > 0
    for region in truth.regions:
        if region.is_crowd:
            kept = kept & ~mask(truth, region)
    rows = []
    for class_id in range(3):
        predicted = [
            mask(prediction, r) & kept for r in prediction.regions if r.class_id == class_id
        ]
        true = [mask(truth, r) & kept for r in truth.regions if r.class_id == class_id]
        best = [
            max([(t & p).sum() / (t | p).sum() for p in predicted], default=0.0)
            for t in true
            if t.any()
        ]
        area = [t.sum() for t in true if t.any()]
        rows.append(float(np.dot(best, area) / sum(area)) if area else math.nan)
    return rows


@given(images)
def test_pq_equals_the_mask_by_mask_reference(image: Pair) -> None:
    for row, (iou, tp, fp, fn) in zip(pq(image).per_class, reference_pq(image), strict=True):
        assert (row.tp, row.fp, row.fn) == (tp, fp, fn)
        if tp + fp + fn:
            assert row.pq == pytest.approx(iou / (tp + fp / 2 + fn / 2), abs=1e-12)
        else:
            assert math.isnan(row.pq)


@given(images)
def test_covering_equals_the_mask_by_mask_reference(image: Pair) -> None:
    metric = ParsingCovering(LABELS)
    metric.update(*image)
    expected = reference_covering(image)
    assert metric.compute().per_class == pytest.approx(expected, abs=1e-12, nan_ok=True)


@given(maps())
def test_a_perfect_prediction_scores_one(truth: Labelled) -> None:
    if truth.ids.any():
        assert pq((truth, truth)).all.pq == 1.0
        assert covering((truth, truth)) == (1.0, 1.0)


@given(images)
def test_pq_is_sq_times_rq_and_all_stay_in_bounds(image: Pair) -> None:
    for row in pq(image).per_class:
        if row.tp + row.fp + row.fn:
            assert row.pq == pytest.approx(row.sq * row.rq)
            assert 0 <= row.pq <= row.rq <= 1
            assert row.sq == 0 or 0.5 < row.sq <= 1


@given(images)
def test_covering_stays_in_bounds(image: Pair) -> None:
    assert all(math.isnan(x) or 0 <= x <= 1 for x in covering(image))


def renumbered(image: Labelled, seed: int) -> Labelled:
    """The same segments under other, large ids."""
    new = np.random.default_rng(seed).choice(2**31 - 2, len(image.regions), replace=False) + 1
    table = {r.id: int(n) for r, n in zip(image.regions, new, strict=True)}
    ids = np.vectorize({0: 0, **table}.__getitem__, otypes=[np.int32])(image.ids)
    return Labelled(ids, tuple(replace(r, id=table[r.id]) for r in image.regions))


def summary(*images: Pair) -> str:
    """All scores to the last bit; nan equals nan in a text."""
    metric = ParsingCovering(LABELS)
    for image in images:
        metric.update(*image)
    return repr((pq(*images), metric.compute()))


@given(images, st.integers(0, 99))
def test_other_ids_change_nothing(image: Pair, seed: int) -> None:
    truth, prediction = image
    assert summary((renumbered(truth, seed), renumbered(prediction, seed + 1))) == summary(image)


@given(st.lists(images, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_images_changes_nothing(seen: list[Pair], random: Random) -> None:
    shuffled = random.sample(seen, len(seen))
    assert summary(*shuffled) == summary(*seen)


@pytest.mark.parametrize("metric", METRICS)
@given(seen=st.lists(images, max_size=4), cut=st.integers(0, 4))
def test_merging_equals_one_accumulator(
    metric: type[PanopticQuality | ParsingCovering], seen: list[Pair], cut: int
) -> None:
    whole, head, tail = metric(LABELS), metric(LABELS), metric(LABELS)
    for place, image in enumerate(seen):
        whole.update(*image)
        (head if place < cut else tail).update(*image)
    tail.merge(head)  # type: ignore[arg-type]
    assert repr(tail.compute()) == repr(whole.compute())


@given(images)
def test_overlaps_count_every_pixel_once(image: Pair) -> None:
    shared = overlaps(image[0].ids, image[1].ids)
    assert sum(shared.pairs.values()) == H * W
    assert sum(shared.truth_area.values()) == sum(shared.predicted_area.values()) == H * W
