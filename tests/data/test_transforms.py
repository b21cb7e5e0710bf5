from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.data.shapes import Shapes
from atrous.data.transforms import Augment, InputRule, augment, generator, pad, resized
from atrous.tensors import Frame
from atrous.types import BadInput, Labelled, Region, Sample

RULE = InputRule(longest_side=65)
PLAIN = Augment(crop=65, scales=(1, 1, 0.25), flip=0)


def sample(size_hw: tuple[int, int]) -> Sample:
    """A picture whose red and green levels are twice its row and column."""
    rows, columns = np.indices(size_hw)
    image = np.stack([rows * 2, columns * 2, rows * 0], axis=2).astype(np.uint8)
    ids = (rows // 8 * 100 + columns // 8 + 1).astype(np.int32)
    regions = tuple(Region(int(i), 0) for i in np.unique(ids))
    return Sample("x", image, Labelled(ids, regions))


def test_no_chance_and_no_scale_leaves_a_sample_as_it_is() -> None:
    before = sample((65, 65))
    after = augment(before, RULE, PLAIN, generator(0, step=0, slot=0))
    assert np.array_equal(before.image, after.image)
    assert np.array_equal(before.truth.ids, after.truth.ids)


def test_a_mirrored_sample_is_the_mirror_image() -> None:
    before = sample((65, 65))
    mirrored = Augment(crop=65, scales=(1, 1, 0.25), flip=1)
    after = augment(before, RULE, mirrored, generator(0, step=0, slot=0))
    assert np.array_equal(before.image[:, ::-1], after.image)
    assert np.array_equal(before.truth.ids[:, ::-1], after.truth.ids)


def test_a_crop_beyond_the_image_is_mean_and_void() -> None:
    after = augment(sample((33, 65)), RULE, PLAIN, generator(0, step=0, slot=0))
    assert (after.image[40:] == 128).all()
    assert (after.truth.ids[33:] == 0).all()
    assert (after.truth.ids[:33] > 0).all()


@given(st.integers(0, 1000), st.integers(0, 7))
def test_labels_are_never_blended(step: int, slot: int) -> None:
    before = sample((50, 80))
    settings = Augment(crop=33, scales=(0.5, 2.0, 0))
    after = augment(before, RULE, settings, generator(1, step=step, slot=slot))
    assert set(np.unique(after.truth.ids)) <= {0, *np.unique(before.truth.ids)}


@given(st.integers(0, 1000))
def test_image_and_label_move_together(step: int) -> None:
    before = sample((65, 65))
    settings = Augment(crop=65, scales=(2, 2, 0.25))
    after = augment(before, RULE, settings, generator(2, step=step, slot=0))
    rows, columns = (after.image[..., c] / 2 for c in (0, 1))
    expected = np.round(rows) // 8 * 100 + np.round(columns) // 8 + 1
    inside = (np.abs(rows % 8 - 3.5) < 3) & (np.abs(columns % 8 - 3.5) < 3)
    assert np.array_equal(after.truth.ids[inside], expected[inside])


def test_chance_is_a_function_of_seed_step_and_slot_alone() -> None:
    draws = {
        (seed, step, slot): generator(seed, step=step, slot=slot).random()
        for seed in (0, 1)
        for step in (0, 1)
        for slot in (0, 1)
    }
    assert len(set(draws.values())) == 8
    assert generator(1, step=0, slot=1).random() == draws[1, 0, 1]


def test_all_scale_steps_are_drawn() -> None:
    data, seen = Shapes("train", size_hw=(65, 65)), set()
    settings = Augment(crop=129, scales=(0.5, 1.5, 0.5), flip=0)
    for step in range(20):
        after = augment(data[0], RULE, settings, generator(0, step=step, slot=0))
        seen.add(int((after.truth.ids > 0).any(axis=1).sum()))
    assert seen in ({32, 65, 98}, {33, 65, 98}, {32, 65, 97}, {33, 65, 97})


@pytest.mark.parametrize(
    ("size", "expected"), [((130, 65), (65, 33)), ((40, 30), (40, 30)), ((20000, 3), (65, 1))]
)
def test_the_longer_side_is_reduced_and_never_enlarged(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert resized(np.zeros((*size, 3), np.uint8), RULE).shape[:2] in (
        expected,
        (expected[0], expected[1] - 1),
    )


def test_padding_goes_to_16_n_plus_1_with_the_mean_pixel() -> None:
    assert RULE.padded((65, 50)) == (65, 65)
    assert RULE.padded((1, 66)) == (1, 81)
    padded = pad(np.zeros((3, 4, 3), np.uint8), (17, 17), RULE)
    assert padded[:3, :4].max() == 0
    assert (padded[3:] == 128).all()


def test_a_frame_maps_corners_on_corners_without_resize() -> None:
    rows, columns = Frame((33, 65), (33, 65), (33, 65)).positions()
    assert rows.tolist() == list(range(33))
    assert columns.tolist() == list(range(65))


def test_a_frame_leads_back_to_the_pixel_that_the_resize_came_from() -> None:
    image = sample((100, 100)).image
    small = resized(image, InputRule(longest_side=50))
    rows, _ = Frame((100, 100), (50, 50), (65, 65)).positions()
    levels = np.interp(rows, np.arange(50), small[:, 25, 0].astype(float))
    assert np.abs(levels - image[:, 50, 0])[2:-2].max() <= 2


@pytest.mark.parametrize("crop", [0, 32, 320])
def test_a_crop_that_is_not_16_n_plus_1_is_refused(crop: int) -> None:
    with pytest.raises(BadInput, match=r"train\.crop"):
        Augment(crop)
