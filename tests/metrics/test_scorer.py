from __future__ import annotations

import math

import numpy as np
import pytest

from atrous.labels import Label, LabelSpace
from atrous.metrics.scorer import SegmentScorer
from atrous.metrics.scores import COMMON
from atrous.types import Labelled, Region

LABELS = LabelSpace(
    (
        Label("cat", (1, 1, 1), True, 1),
        Label("dog", (2, 2, 2), True, 2),
        Label("sky", (3, 3, 3), False, 3),
    )
)
CAT, DOG, SKY = range(3)


def strip(*classes: int) -> Labelled:
    """One segment of four pixels for each class, side by side."""
    ids = np.repeat(np.arange(1, len(classes) + 1, dtype=np.int32), 4)[None]
    return Labelled(ids, tuple(Region(i + 1, c) for i, c in enumerate(classes)))


def scored(truth: Labelled, answer: Labelled) -> SegmentScorer:
    scorer = SegmentScorer(LABELS)
    scorer.update(truth, answer)
    return scorer


def any_class(scorer: SegmentScorer) -> object:
    return scorer.compute().to_json()["panoptic"]["things_any_class"]["pq"]


def test_things_of_any_class_are_scored_by_their_shape_alone() -> None:
    scores = scored(strip(CAT, DOG, SKY), strip(DOG, CAT, SKY)).compute()
    assert scores.to_json()["panoptic"]["things"]["pq"] == 0
    assert scores.agnostic is not None
    assert scores.agnostic.pq == 1
    answer = scores.to_json()["panoptic"]["things_any_class"]
    assert answer == {"pq": 1.0, "sq": 1.0, "rq": 1.0, "classes": 1}


def test_two_things_taken_for_one_are_not_found_whatever_their_class() -> None:
    truth, answer = strip(CAT, DOG, SKY), strip(CAT, CAT, SKY)
    merged = Labelled(np.where(answer.ids == 2, 1, answer.ids).astype(np.int32), answer.regions)
    assert any_class(scored(truth, merged)) == 0


def test_a_thing_on_stuff_is_a_false_one_in_any_class() -> None:
    assert any_class(scored(strip(CAT, SKY), strip(CAT, DOG))) == pytest.approx(1 / 1.5)


def test_the_common_miou_leaves_out_classes_with_few_true_segments() -> None:
    rows = [CAT] * COMMON + [DOG] * (COMMON - 1)
    answer = [CAT] * COMMON + [CAT] * (COMMON - 1)
    scores = scored(strip(*rows), strip(*answer)).compute()
    common = scores.to_json()["semantic"][f"miou_{COMMON}"]
    assert common == pytest.approx(COMMON / (2 * COMMON - 1))
    rare = scored(strip(DOG, SKY), strip(DOG, SKY)).compute().to_json()
    assert rare["semantic"][f"miou_{COMMON}"] is None
    assert not math.isnan(rare["semantic"]["miou"])
