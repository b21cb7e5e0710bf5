"""What must hold of masks as outlines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from atrous.formats import decode_mask, fill_rings, runs_within, trace_mask

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9))


def winding(ring: np.ndarray, y: float, x: float) -> int:
    """How often an outline of upright and level edges goes around a point, clockwise as seen."""
    turns = 0
    for (x0, y0), (_, y1) in zip(ring.tolist(), np.roll(ring, -1, axis=0).tolist(), strict=True):
        if x0 < x:
            turns += (y1 < y < y0) - (y0 < y < y1)
    return turns


@given(MASKS)
def test_filling_the_outlines_gives_the_mask_back(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(fill_rings(trace_mask(mask), mask.shape), mask)


@given(MASKS)
def test_outlines_go_once_around_each_pixel_and_never_around_others(mask: np.ndarray) -> None:
    rings = trace_mask(mask)
    for y, x in np.ndindex(mask.shape):
        assert sum(winding(ring, y + 0.5, x + 0.5) for ring in rings) == mask[y, x]


@given(MASKS)
def test_outlines_turn_at_each_corner(mask: np.ndarray) -> None:
    for ring in trace_mask(mask):
        steps = np.roll(ring, -1, axis=0) - ring
        assert ((steps == 0).sum(axis=1) == 1).all()
        assert (np.roll(steps, -1, axis=0)[:, 0] * steps[:, 0] == 0).all()


def test_a_hole_has_an_outline_of_its_own_the_other_way_round() -> None:
    mask = np.ones((3, 4), np.bool_)
    mask[1, 2] = False
    outer, hole = trace_mask(mask, (10, 20))
    assert sorted(map(tuple, outer.tolist())) == [(20, 10), (20, 13), (24, 10), (24, 13)]
    assert (winding(outer, 10.5, 20.5), winding(hole, 11.5, 22.5)) == (1, -1)


def test_pixels_that_meet_at_a_corner_are_apart() -> None:
    assert len(trace_mask(np.eye(3, dtype=np.bool_))) == 3


@given(MASKS, st.tuples(*[st.integers(0, 2)] * 4))
def test_a_part_has_the_runs_of_the_whole(
    mask: np.ndarray, margins: tuple[int, int, int, int]
) -> None:
    whole = np.pad(mask, (margins[:2], margins[2:]))
    runs = runs_within(mask, (margins[0], margins[2]), whole.shape)
    np.testing.assert_array_equal(decode_mask(runs, whole.shape), whole)
    assert (runs[1:] > 0).all()


@pytest.mark.parametrize(
    ("ring", "message"),
    [([(0, 0), (2, 1), (0, 2)], "slanted"), ([(0, 0), (9, 0), (9, 1), (0, 1)], "outside of 3x4")],
)
def test_outlines_that_no_mask_has_are_refused(ring: list[tuple[int, int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fill_rings([np.array(ring)], (3, 4))
