from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.formats.outlines import MAX_COORDINATE, Growing, narrowed

decimals = st.integers(-(10**6), 10**6).map(lambda n: n / 100)
any_number = st.floats(-MAX_COORDINATE, MAX_COORDINATE) | st.integers(-9, 9)
corners = st.integers(3, 6)


def outlines_of(numbers: st.SearchStrategy[float]) -> st.SearchStrategy[list[list[list[float]]]]:
    outline = corners.flatmap(lambda n: st.lists(numbers, min_size=2 * n, max_size=2 * n))
    return st.lists(st.lists(outline, min_size=1, max_size=3), max_size=4)


masks = outlines_of(decimals) | outlines_of(any_number) | outlines_of(decimals | any_number)


def grown(segmentations: list[list[list[float]]]) -> Growing:
    growing = Growing()
    for segmentation in segmentations:
        growing.take(segmentation)
    return growing


@given(segmentations=masks)
def test_every_coordinate_comes_back_exactly(
    segmentations: list[list[list[float]]],
) -> None:
    wanted = [outline for segmentation in segmentations for outline in segmentation]
    growing = grown(segmentations)
    assert growing.far() == frozenset()
    whole = pickle.loads(pickle.dumps(growing.whole()))
    assert [whole[i].tolist() for i in range(len(wanted))] == wanted
    backwards = whole.part(list(reversed(range(len(wanted)))))
    assert [backwards[i].tolist() for i in range(len(wanted))] == wanted[::-1]


def test_places_are_counted_over_all_masks() -> None:
    growing = Growing()
    assert growing.take([[0, 0, 1, 0, 1, 1]]) == range(1)
    assert growing.take([[0, 0, 2, 0, 2, 2], [1.5] * 8]) == range(1, 3)
    assert growing.outline(2) == [1.5] * 8


def test_two_decimals_take_two_bytes_and_one_odd_number_spoils_nothing() -> None:
    rows = np.arange(60_000).reshape(-1, 6) / 100
    assert grown([rows.tolist()]).whole().numbers.dtype == np.uint16
    rows[5, 5] = 1 / 3
    whole = grown([rows.tolist()]).whole()
    assert whole.numbers.dtype == np.uint16
    np.testing.assert_array_equal(whole[5], rows[5])
    assert grown([(rows + 1000).tolist()]).whole().numbers.dtype == np.int32
    assert grown([(rows / 7).tolist()]).whole().numbers.dtype == np.float64


@pytest.mark.parametrize(
    "segmentation",
    [
        None,
        [],
        "66",
        {"size": [3, 4]},
        [1.0, 2.0],
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5, 6, 7]],
        [[1, 2, 3, 4, 5, True]],
        [[1, 2, 3, 4, 5, "6"]],
        [[1, 2, 3, 4, 5, 10**400]],
        [[1, 2, 3, 4, 5, 6], None],
    ],
)
def test_what_is_no_list_of_outlines_is_left_as_it_is(segmentation: object) -> None:
    assert Growing().take(segmentation) is segmentation


def test_far_corners_are_found() -> None:
    near = [0.0, 0, 1, 0, MAX_COORDINATE, -MAX_COORDINATE]
    bad = [float("nan"), float("inf"), -float("inf"), 1e308, MAX_COORDINATE + 0.5]
    growing = Growing()
    growing.take([near, *([*near[:5], value] for value in bad), near])
    assert growing.far() == {1, 2, 3, 4, 5}
    assert growing.whole()[6].tolist() == near


@pytest.mark.parametrize(
    ("numbers", "kind"),
    [
        ([], "uint16"),
        ([0, 65535], "uint16"),
        ([-1], "int32"),
        ([65536], "int32"),
        ([2**31], "int64"),
    ],
)
def test_whole_numbers_take_the_smallest_type(numbers: list[int], kind: str) -> None:
    small = narrowed(np.array(numbers, np.int64))
    assert small.dtype == kind
    assert small.tolist() == numbers
