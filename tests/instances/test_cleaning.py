"""What must hold where unsure pixels and small segments are taken away."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrous.instances.cleaning import cleaned
from atrous.labels import Label, LabelSpace, unnamed
from atrous.types import BadInput, Parse, Segment

LABELS = LabelSpace((Label("cat", (1, 2, 3), True, 1), Label("sky", (7, 8, 9), False, 3)))
NAMES = {7: 0, 5: 1, 2**31 - 1: 0}
SIZE = (4, 6)


def parse(ids: np.ndarray, confidence: np.ndarray) -> Parse:
    semantic = np.full(ids.shape, 255, np.uint8)
    segments = []
    for i, class_id in NAMES.items():
        mask = ids == i
        if mask.any():
            semantic[mask] = class_id
            segments.append(segment(i, mask, confidence, class_id=class_id))
    return Parse(ids, semantic, confidence, tuple(segments))


def segment(i: int, mask: np.ndarray, confidence: np.ndarray, *, class_id: int) -> Segment:
    ys, xs = np.nonzero(mask)
    box = int(ys.min()), int(xs.min()), int(ys.max()) + 1, int(xs.max()) + 1
    score = round(float(confidence[mask].astype(np.float64).mean()), 4)
    label = LABELS[class_id]
    return Segment(i, class_id, label.name, label.is_thing, score, int(mask.sum()), box)


ids = arrays(np.int32, SIZE, elements=st.sampled_from([0, *NAMES]))
confidences = arrays(np.float32, SIZE, elements=st.sampled_from([0, 0.25, 0.5, 0.75, 1]))


@given(ids, confidences, st.sampled_from([0.0, 0.25, 0.6, 1.0]), st.integers(0, 12))
def test_what_is_left_is_sure_large_and_measured_anew(
    ids: np.ndarray, confidence: np.ndarray, reject_below: float, least_area: int
) -> None:
    before = parse(ids, confidence)
    after = cleaned(before, labels=LABELS, reject_below=reject_below, least_area=least_area)
    sure = np.where(confidence >= reject_below, ids, 0)
    large = [i for i in NAMES if (sure == i).sum() >= max(least_area, 1)]
    np.testing.assert_array_equal(after.panoptic, np.where(np.isin(sure, large), sure, 0))
    expected = parse(after.panoptic, confidence)
    np.testing.assert_array_equal(after.semantic, expected.semantic)
    assert [(s.id, s.area, s.box) for s in after.segments] == [
        (s.id, s.area, s.box) for s in expected.segments
    ]
    assert [s.score for s in after.segments] == pytest.approx(
        [s.score for s in expected.segments], abs=1e-4
    )


@given(ids, confidences)
def test_the_parse_itself_is_not_changed(ids: np.ndarray, confidence: np.ndarray) -> None:
    before, kept = parse(ids, confidence), parse(ids.copy(), confidence.copy())
    cleaned(before, labels=LABELS, reject_below=0.6, least_area=3)
    for name in ("panoptic", "semantic", "confidence"):
        np.testing.assert_array_equal(getattr(before, name), getattr(kept, name))


def test_nothing_is_taken_by_default() -> None:
    before = parse(np.full(SIZE, 7, np.int32), np.zeros(SIZE, np.float32))
    assert cleaned(before, labels=LABELS) is before


def test_a_segment_that_loses_nothing_keeps_its_score() -> None:
    plain = parse(np.full(SIZE, 7, np.int32), np.ones(SIZE, np.float32))
    scored = replace(plain, segments=(replace(plain.segments[0], score=0.3),))
    assert cleaned(scored, labels=LABELS, reject_below=0.5).segments == scored.segments


def test_a_pixel_at_the_bound_is_kept_whatever_its_rounding() -> None:
    exact = parse(np.full(SIZE, 7, np.int32), np.full(SIZE, 0.9, np.float32))
    assert cleaned(exact, labels=LABELS, reject_below=0.9).segments == exact.segments


def test_a_pixel_without_a_number_is_rejected() -> None:
    confidence = np.ones(SIZE, np.float32)
    confidence[0] = math.nan
    after = cleaned(
        parse(np.full(SIZE, 7, np.int32), confidence), labels=LABELS, reject_below=0.001
    )
    assert (after.panoptic[0] == 0).all()
    assert after.segments[0].score == 1.0


def test_maps_of_many_classes_have_their_own_void() -> None:
    labels = unnamed(300)
    ids = np.full(SIZE, 7, np.int32)
    many = Parse(ids, np.full(SIZE, 299, np.uint16), np.zeros(SIZE, np.float32), ())
    assert (cleaned(many, labels=labels, reject_below=0.5).semantic == 65535).all()


@pytest.mark.parametrize("size", [(0, 3), (1, 1)])
def test_an_image_of_no_sure_pixel_is_all_void(size: tuple[int, int]) -> None:
    unsure = parse(np.full(size, 5, np.int32), np.zeros(size, np.float32))
    after = cleaned(unsure, labels=LABELS, reject_below=1.0)
    assert after.segments == ()
    assert not after.panoptic.any()


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"reject_below": 1.5}, r"reject-below is 1.5: .* from 0"),
        ({"reject_below": -0.1}, r"reject-below is -0.1"),
        ({"reject_below": math.nan}, r"reject-below is nan"),
        ({"least_area": -1}, r"least-area is -1: it is a whole number"),
        ({"least_area": 2.5}, r"least-area is 2.5"),
    ],
)
def test_a_bound_that_makes_no_sense_is_refused(bounds: dict[str, Any], message: str) -> None:
    plain = parse(np.full(SIZE, 7, np.int32), np.ones(SIZE, np.float32))
    with pytest.raises(BadInput, match=message):
        cleaned(plain, labels=LABELS, **bounds)
