"""One confusion matrix gives mIoU, pixel accuracy and mean accuracy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from atrous.metrics.semantic import ConfusionMatrix, SemanticScore
from atrous.types import BadInput

VOID = 255
Map = NDArray[np.uint8]
maps = arrays(np.uint8, (5, 7), elements=st.sampled_from([0, 1, 2, 3, VOID]))
pairs = st.tuples(maps, maps)


def classes(*ids: int) -> Map:
    return np.array([ids], dtype=np.uint8)


def score(truth: Map, prediction: Map, count: int = 4) -> SemanticScore:
    matrix = ConfusionMatrix(count, VOID)
    matrix.update(truth, prediction)
    return matrix.compute()


def test_a_hand_counted_example() -> None:
    got = score(classes(0, 0, 0, 1, 1, 2), classes(0, 0, 1, 1, 2, 2), 3)
    np.testing.assert_allclose(got.iou, [2 / 3, 1 / 3, 1 / 2])
    assert got.miou == pytest.approx(0.5)
    assert got.pixel_accuracy == pytest.approx(4 / 6)
    assert got.mean_accuracy == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)


def test_classes_in_neither_map_are_skipped_and_counted() -> None:
    got = score(classes(0, 1), classes(0, 1))
    assert got.miou == 1.0
    assert got.absent == 2
    assert np.isnan(got.iou).tolist() == [False, False, True, True]


def test_a_class_only_predicted_counts_for_miou_but_not_for_mean_accuracy() -> None:
    got = score(classes(0, 0), classes(0, 1))
    assert got.miou == pytest.approx((1 / 2 + 0) / 2)
    assert got.mean_accuracy == pytest.approx(1 / 2)
    assert got.absent == 2


def test_a_predicted_void_on_a_labelled_pixel_is_wrong() -> None:
    got = score(classes(0, 0), classes(0, VOID), 1)
    assert (got.miou, got.pixel_accuracy, got.mean_accuracy) == (0.5, 0.5, 0.5)


def test_nothing_labelled_gives_nan() -> None:
    got = score(classes(VOID, VOID), classes(0, 1))
    assert math.isnan(got.miou)
    assert math.isnan(got.pixel_accuracy)
    assert math.isnan(got.mean_accuracy)
    assert got.absent == 4


def test_sixteen_bit_maps_have_void_65535() -> None:
    matrix = ConfusionMatrix(300, 65535)
    matrix.update(np.array([[299, 65535, 7]], np.uint16), np.array([[299, 1, 255]], np.uint16))
    assert matrix.compute().pixel_accuracy == 0.5
    assert matrix.counts[7, 255] == 1


@pytest.mark.parametrize("whose", ["truth", "prediction"])
def test_an_unknown_class_id_is_refused_by_name(whose: str) -> None:
    given = {"truth": classes(0), "prediction": classes(0), whose: classes(4)}
    with pytest.raises(BadInput, match=rf"the {whose} holds class ids \[4\]"):
        score(given["truth"], given["prediction"])


def test_different_sizes_are_refused() -> None:
    with pytest.raises(BadInput, match="resize the prediction"):
        score(classes(0, 1), classes(0))


def test_void_must_not_be_a_class() -> None:
    with pytest.raises(ValueError, match="void is 3"):
        ConfusionMatrix(4, 3)


def test_matrices_of_different_label_spaces_do_not_merge() -> None:
    with pytest.raises(ValueError, match="cannot merge"):
        ConfusionMatrix(4, VOID).merge(ConfusionMatrix(5, VOID))


@given(maps)
def test_a_perfect_prediction_scores_one(truth: Map) -> None:
    got = score(truth, truth)
    if (truth != VOID).any():
        assert (got.miou, got.pixel_accuracy, got.mean_accuracy) == (1.0, 1.0, 1.0)


@given(pairs)
def test_void_pixels_of_the_truth_are_ignored(pair: tuple[Map, Map]) -> None:
    truth, prediction = pair
    other = np.where(truth == VOID, (prediction + 1) % 4, prediction).astype(np.uint8)
    np.testing.assert_array_equal(score(truth, prediction).iou, score(truth, other).iou)


@given(pairs)
def test_iou_is_intersection_over_union_of_the_masks(pair: tuple[Map, Map]) -> None:
    truth, prediction = pair
    labelled = truth != VOID
    expected = []
    for c in range(4):
        true, predicted = (truth == c) & labelled, (prediction == c) & labelled
        union = (true | predicted).sum()
        expected.append((true & predicted).sum() / union if union else np.nan)
    np.testing.assert_allclose(score(truth, prediction).iou, expected)


@given(st.lists(pairs, max_size=5), st.integers(0, 5))
def test_merging_equals_one_accumulator(images: list[tuple[Map, Map]], cut: int) -> None:
    whole, head, tail = (ConfusionMatrix(4, VOID) for _ in range(3))
    for place, pair in enumerate(images):
        whole.update(*pair)
        (head if place < cut else tail).update(*pair)
    tail.merge(head)
    np.testing.assert_array_equal(tail.counts, whole.counts)
