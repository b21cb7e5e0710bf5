from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrous.instances import voting
from atrous.instances.keypoints import hough, peaks
from atrous.instances.keypoints.lattice import flat, lattice, sampled
from atrous.instances.keypoints.nearest import MOST

MAPS = arrays(np.float32, (2, 5, 7), elements=st.floats(-10, 10, width=32))
SIZE = 40, 50


def places(*at: tuple[float, float]) -> np.ndarray:
    """Up to `MOST` places as kernels keep them."""
    room = np.zeros((2, MOST), dtype=np.float32)
    room[:, : len(at)] = np.array(at, dtype=np.float32).reshape(-1, 2).T
    return room.reshape(-1)


def cast(votes: hough.Tiles, *at: tuple[float, float], plane: int = hough.SHORT) -> None:
    room, ones = hough.ballots(MOST), np.ones(MOST, dtype=np.float32)
    y, x = np.uint64(0), np.uint64(MOST)
    hough.share(votes, 1, places(*at), y, x, ones, np.zeros(MOST, np.int32), len(at), room)
    hough.cast(votes, plane, room, len(at))


def heights(votes: hough.Tiles, plane: int) -> np.ndarray:
    return np.array(
        [[hough.height_at(votes, 0, plane, i, j) for j in range(SIZE[1])] for i in range(SIZE[0])]
    )


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
    grid = lattice((5, 7), (5, 7), stride=1, map_stride=1)
    found = [sampled(flat(values), grid, 2, channel, y, x) for channel in (0, 1)]
    assert np.allclose(found, plain, atol=1e-4)


def test_sampling_outside_gives_the_border() -> None:
    field = flat(np.arange(6, dtype=np.float32).reshape(1, 2, 3))
    grid = lattice((2, 3), (2, 3), stride=1, map_stride=1)
    assert [sampled(field, grid, 1, 0, *at) for at in ((-5.0, 1.0), (9.0, 9.0))] == [1, 5]


@given(st.lists(st.tuples(st.floats(0, 39), st.floats(0, 49)), max_size=MOST))
def test_votes_that_stay_inside_are_all_counted(at: list[tuple[float, float]]) -> None:
    votes = hough.tiles(SIZE, 1)
    cast(votes, *at)
    hough.settle(votes, 1.0, 1.0, 0.0)
    assert np.isclose(heights(votes, hough.SHORT).sum(), len(at), atol=1e-4)


def test_a_vote_between_cells_is_shared_even_across_tiles() -> None:
    for y, x in ((0, 0), (14, 14), (15, 30), (38, 48)):
        votes = hough.tiles(SIZE, 1)
        cast(votes, (y + 0.5, x + 0.75))
        hough.settle(votes, 1.0, 1.0, 0.0)
        found = heights(votes, hough.SHORT)
        assert found[y : y + 2, x : x + 2].tolist() == [[0.125, 0.375], [0.125, 0.375]]
        assert np.count_nonzero(found) == 4


def test_votes_outside_are_lost() -> None:
    votes = hough.tiles(SIZE, 1)
    cast(votes, (-1.5, 3.0), (np.nan, 3.0), (3.0, np.inf), (40.0, 3.0), (1e30, -1e30))
    hough.settle(votes, 1.0, 1.0, 0.0)
    assert not heights(votes, hough.SHORT).any()


def test_only_tiles_that_somebody_votes_in_are_taken() -> None:
    votes = hough.tiles((4000, 6000), 5)
    cast(votes, (100.0, 100.0), (101.0, 101.0), (3000.0, 5000.0))
    assert votes.used[0] == 2


def maxima(*cells: tuple[int, int, int]) -> list[list[int]]:
    """Rows and columns of the maxima after (row, column, number of votes)."""
    votes = hough.tiles(SIZE, 1)
    for y, x, count in cells:
        cast(votes, *[(y, x)] * count)
    hough.settle(votes, 1.0, 1.0, 0.0)
    found, high = np.empty((9, 3), np.int64), np.empty(9, np.float32)
    count = peaks.find(votes, 1.5, found, high)
    return sorted(found[:count, 1:].tolist())


def test_peaks_are_local_maxima_above_the_threshold() -> None:
    assert maxima((1, 1, 3), (1, 2, 2), (4, 4, 5), (0, 4, 1)) == [[1, 1], [4, 4]]


def test_a_peak_is_compared_with_neighbours_in_other_tiles() -> None:
    assert maxima((14, 14, 3), (15, 15, 4), (30, 15, 2), (31, 15, 2)) == [
        [15, 15],
        [30, 15],
        [31, 15],
    ]


def test_the_centroid_of_a_shared_vote_is_where_it_was_cast() -> None:
    votes, at = hough.tiles(SIZE, 1), np.empty((1, 2))
    cast(votes, (15.25, 1.5))
    hough.settle(votes, 1.0, 1.0, 0.0)
    peaks.centroids(votes, np.array([[0, 15, 1]]), at)
    assert np.allclose(at, [[15.25, 1.5]])


def test_a_box_that_overlaps_a_better_one_is_dropped() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]], dtype=float)
    scores = np.array([0.5, 0.9, 0.1])
    assert voting.suppress_boxes(boxes, scores, iou=0.5).tolist() == [1, 2]
    assert voting.suppress_boxes(boxes, scores, iou=0.5, most=1).tolist() == [1]
