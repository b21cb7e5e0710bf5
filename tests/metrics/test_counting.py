from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from atrous.metrics.counting import (
    count_bytes,
    count_pairs,
    count_run_pairs,
    plain_count_bytes,
    plain_count_pairs,
)
from atrous.types import IdRuns


@st.composite
def flat_maps(draw: st.DrawFn, dtype: str, values: st.SearchStrategy[int]) -> NDArray[np.int64]:
    """(2, n) two maps of one length in runs of 1 to 40, of which some are noise."""
    sides = []
    size = draw(st.integers(0, 200))
    for _ in range(2):
        pieces = draw(st.lists(st.tuples(values, st.integers(1, 40)), min_size=1, max_size=12))
        side = np.concatenate([np.full(length, value) for value, length in pieces])
        noisy = draw(st.integers(0, 200))
        side = np.resize(side, size)
        side[noisy : noisy + 20] = np.arange(len(side[noisy : noisy + 20])) % 3
        sides.append(side)
    return np.array(sides).astype(dtype)


any_id = st.one_of(st.integers(0, 3), st.integers(-(2**31), 2**31 - 1))


@given(flat_maps("int32", any_id))
def test_kernel_counts_pairs_as_numpy_does(maps: NDArray[np.int32]) -> None:
    first, second = maps
    for ours, plain in zip(
        count_pairs(first, second), plain_count_pairs(first, second), strict=True
    ):
        np.testing.assert_array_equal(ours, plain)


def as_runs(numbers: NDArray[np.int32], extra: NDArray[np.int64]) -> IdRuns:
    """The map as runs, some of which are cut in two."""
    cuts = np.flatnonzero(np.diff(numbers)) + 1
    starts = np.unique(np.concatenate([[0], cuts, extra % max(numbers.size, 1)]))
    ends = np.append(starts, numbers.size).astype(np.int32)
    return IdRuns((1, numbers.size), ends, numbers[starts])


@given(flat_maps("int32", any_id), arrays(np.int64, 4, elements=st.integers(0, 200)))
def test_runs_count_as_their_maps_do(maps: NDArray[np.int32], extra: NDArray[np.int64]) -> None:
    first, second = maps
    if first.size == 0:
        return
    runs = as_runs(first, extra[:2]), as_runs(second, extra[2:])
    for one, numbers in zip(runs, maps, strict=True):
        np.testing.assert_array_equal(np.asarray(one)[0], numbers)
    for ours, plain in zip(count_run_pairs(*runs), plain_count_pairs(first, second), strict=True):
        np.testing.assert_array_equal(ours, plain)


@given(flat_maps("uint8", st.integers(0, 255)))
def test_kernel_counts_bytes_as_numpy_does(maps: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(count_bytes(*maps), plain_count_bytes(*maps))


@pytest.mark.parametrize("pairs", [496, 500, 503, 504, 505, 512, 4096, 70_000])
def test_any_number_of_pairs_is_counted(pairs: int) -> None:
    first = np.arange(pairs, dtype=np.int32).repeat(2)
    second = first[::-1].copy()
    for ours, plain in zip(
        count_pairs(first, second), plain_count_pairs(first, second), strict=True
    ):
        np.testing.assert_array_equal(ours, plain)


def test_pairs_of_ids_that_share_their_low_bits_are_told_apart() -> None:
    first = (np.arange(300, dtype=np.int32) << 16).repeat(3)
    keys, counts = count_pairs(first, first)
    assert len(keys) == 300
    assert set(counts.tolist()) == {3}
