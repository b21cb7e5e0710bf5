from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from atrous.doctor.pieces import alone, borders, pieces, tally

MAPS = arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 2))


@given(ids=MAPS)
def test_pieces_are_those_of_opencv(ids: NDArray[np.int32]) -> None:
    found = pieces(ids)
    expected = []
    for value in np.unique(ids).tolist():
        count, where = cv2.connectedComponents((ids == value).astype(np.uint8), connectivity=8)
        for place in range(1, count):
            flat = np.flatnonzero(where == place)
            expected.append((value, len(flat), int(flat[0])))
    rows = zip(found.ids.tolist(), found.areas.tolist(), found.firsts.tolist(), strict=True)
    assert sorted(rows) == sorted(expected)


def regions(seed: int = 0, size: int = 96) -> NDArray[np.int32]:
    """Discs of the values 1 to 9 on 0."""
    random = np.random.default_rng(seed)
    ids = np.zeros((size, size), np.uint8)
    for value in range(1, 10):
        middle = random.integers(12, size - 12, 2).tolist()
        cv2.circle(ids, middle, int(random.integers(8, 16)), value, -1)
    return ids.astype(np.int32)


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.3, 2.0])
def test_borders_ramp_once_a_map_is_resized_smoothly(factor: float) -> None:
    clean = regions().astype(np.uint8)
    sharp, smooth = (
        cv2.resize(clean, None, fx=factor, fy=factor, interpolation=way).astype(np.int32)
        for way in (cv2.INTER_NEAREST, cv2.INTER_LINEAR)
    )
    found = borders(sharp), borders(smooth)
    shares = [x.ramps / (x.ramps + x.steps) for x in found]
    assert shares[0] < 0.06
    assert shares[1] > 0.4
    assert found[1].middles >= 3
    y, x = divmod(found[1].first, smooth.shape[1])
    near = smooth[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
    assert near.min() < smooth[y, x] < near.max()


def test_thin_things_are_no_ramps() -> None:
    ids = np.zeros((40, 60), np.int32)
    ids[:, 30:] = 9
    ids[:, 10:12], ids[:, 40], ids[20] = 4, 5, 7
    found = borders(ids)
    assert found.ramps == 0
    assert found.steps > 0


def test_ramps_that_leave_values_out_and_short_runs_that_are_none_are_counted() -> None:
    row = [0] * 4 + [1, 2] + [3] * 4 + [5, 6] + [8] * 4 + [2, 9] + [0] * 4
    ids = np.tile(np.array(row, np.int32), (5, 1))
    found = borders(ids)
    assert (found.steps, found.ramps, found.skips, found.jumbled) == (0, 10, 5, 5)


def test_rows_and_columns_count_alike() -> None:
    ids = regions(3)
    one, other = borders(ids), borders(np.ascontiguousarray(ids.T))
    assert dataclasses.replace(one, first=0) == dataclasses.replace(other, first=0)


def test_pixels_alone_are_counted_but_not_on_the_edge() -> None:
    ids = np.zeros((5, 5), np.int32)
    ids[2, 2] = ids[0, 4] = 1
    assert alone(ids) == 1
    assert alone(np.zeros((2, 9), np.int32)) == 0


@given(ids=MAPS)
def test_a_tally_is_that_of_numpy(ids: NDArray[np.int32]) -> None:
    assert tally(ids).tolist() == np.bincount(ids.ravel()).tolist()
