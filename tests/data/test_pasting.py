from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from atrous.data.augment import generator
from atrous.data.pasting import paste
from atrous.types import Labelled, Region, Sample

IS_THING = np.array([False, True])


def crop(ids: list[list[int]], regions: tuple[Region, ...], level: int) -> Sample:
    grid = np.array(ids, np.int32)
    return Sample(str(level), np.full((*grid.shape, 3), level, np.uint8), Labelled(grid, regions))


BELOW = crop([[1, 1, 2], [1, 2, 2]], (Region(1, 0), Region(2, 1)), 10)
ABOVE = crop([[1, 7, 7], [1, 8, 9]], (Region(1, 0), Region(7, 1), Region(8, 1, is_crowd=True)), 200)


def pasted(step: int) -> Sample:
    return paste(BELOW, ABOVE, IS_THING, generator(0, step=step, slot=0))


def test_a_thing_comes_with_its_pixels_and_a_number_of_its_own() -> None:
    after = next(x for x in map(pasted, range(20)) if x is not BELOW)
    assert after.truth.ids.tolist() == [[1, 3, 3], [1, 2, 2]]
    assert after.image[..., 0].tolist() == [[10, 200, 200], [10, 10, 10]]
    assert after.truth.regions == (Region(1, 0), Region(2, 1), Region(3, 1))


def test_stuff_crowds_and_what_has_no_region_are_never_taken() -> None:
    for step in range(20):
        assert pasted(step).truth.ids[1].tolist() == [1, 2, 2]


def test_about_half_of_the_things_are_taken_as_chance_has_it() -> None:
    taken = sum(pasted(step) is not BELOW for step in range(200))
    assert 70 < taken < 130


def test_both_crops_stay_as_they_are() -> None:
    for step in range(20):
        pasted(step)
    assert BELOW.truth.ids.tolist() == [[1, 1, 2], [1, 2, 2]]
    assert (BELOW.image == 10).all()


def test_a_region_without_pixels_can_be_drawn_and_does_no_harm() -> None:
    empty = crop([[1, 1, 1], [1, 1, 1]], (Region(1, 0), Region(900, 1)), 200)
    for step in range(9):
        after = paste(BELOW, empty, IS_THING, generator(0, step=step, slot=0))
        assert np.array_equal(after.truth.ids, BELOW.truth.ids)


@given(st.integers(0, 1000))
def test_every_id_keeps_one_region(seed: int) -> None:
    rng = np.random.default_rng(seed)
    regions = tuple(Region(i, int(rng.integers(2))) for i in range(1, 6))
    two = [crop(rng.integers(0, 6, (6, 7)).tolist(), regions, level) for level in (1, 2)]
    after = paste(two[0], two[1], IS_THING, generator(seed, step=0, slot=0))
    ids = [r.id for r in after.truth.regions]
    assert len(set(ids)) == len(ids)
    assert set(np.unique(after.truth.ids)) <= {0, *ids}
    assert np.array_equal(after.image[..., 0] == 2, after.truth.ids > 5)
