from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrous.instances import voting

MAPS = arrays(np.float32, (2, 5, 7), elements=st.floats(-10, 10, width=32))


@given(MAPS, st.floats(0, 4), st.floats(0, 6))
def test_sampling_is_bilinear(values: np.ndarray, y: float, x: float) -> None:
    i, j = min(int(y), 3), min(int(x), 5)
    fy, fx = y - i, x - j
    plain = (
        values[:, i, j] * (1 - fy) * (1 - fx)
        + values[:, i, j + 1] * (1 - fy) * fx
        + values[:, i + 1, j] * fy * (1 - fx)
        + values[:, i + 1, j + 1] * fy * fx
    )
    assert np.allclose(voting.sample(values, np.array([[y, x]]))[:, 0], plain, atol=1e-4)


def test_sampling_outside_gives_the_border() -> None:
    values = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    assert voting.sample(values, np.array([[-5.0, 1.0], [9.0, 9.0]])).tolist() == [[1, 5]]


@given(arrays(np.float32, (2, 5, 7), elements=st.floats(-2, 2, width=32)))
def test_votes_that_stay_inside_are_all_counted(offsets: np.ndarray) -> None:
    at = voting.goals(offsets, stride=1).reshape(5, 7, 2)
    inside = ((at >= 0) & (at <= np.array([4, 6]))).all(axis=2)
    votes = voting.hough(offsets, np.asarray(inside, dtype=np.float32), stride=1)
    assert np.isclose(votes.sum(), inside.sum(), atol=1e-4)


def test_a_vote_between_cells_is_shared() -> None:
    offsets = np.zeros((2, 3, 3), dtype=np.float32)
    offsets[:, 0, 0] = 2, 3
    weight = np.zeros((3, 3), dtype=np.float32)
    weight[0, 0] = 1
    votes = voting.hough(offsets, weight, stride=4)
    assert votes[:2, :2].tolist() == [[0.125, 0.375], [0.125, 0.375]]


def test_peaks_are_local_maxima_above_the_threshold_highest_first() -> None:
    votes = np.zeros((5, 5), dtype=np.float32)
    votes[1, 1], votes[1, 2], votes[4, 4], votes[0, 4] = 3, 2, 5, 0.005
    assert voting.peaks(votes, threshold=0.01, most=9).tolist() == [[4, 4], [1, 1]]
    assert voting.peaks(votes, threshold=0.01, most=1).tolist() == [[4, 4]]


def test_the_centroid_of_a_shared_vote_is_where_it_was_cast() -> None:
    offsets = np.zeros((2, 5, 5), dtype=np.float32)
    offsets[:, 0, 0] = 2.25, 1.5
    weight = np.zeros((5, 5), dtype=np.float32)
    weight[0, 0] = 1
    votes = voting.hough(offsets, weight, stride=1).astype(np.float32)
    top = voting.peaks(votes, threshold=0.01, most=1)
    assert np.allclose(voting.centroid(votes, top), [[2.25, 1.5]])


def test_a_box_that_overlaps_a_better_one_is_dropped() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]], dtype=float)
    kept = voting.suppress_boxes(boxes, np.array([0.5, 0.9, 0.1]), iou=0.5)
    assert kept.tolist() == [1, 2]
