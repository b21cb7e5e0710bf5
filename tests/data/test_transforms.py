from __future__ import annotations

import numpy as np
import pytest

from atrous.data.transforms import InputRule, pad, resized
from atrous.tensors import Frame, Grid
from atrous.types import BadInput, Labelled, Region, Sample

RULE = InputRule(longest_side=65)


def sample(size_hw: tuple[int, int]) -> Sample:
    """A picture whose red and green levels are twice its row and column."""
    rows, columns = np.indices(size_hw)
    image = np.stack([rows * 2, columns * 2, rows * 0], axis=2).astype(np.uint8)
    ids = (rows // 8 * 100 + columns // 8 + 1).astype(np.int32)
    regions = tuple(Region(int(i), 0) for i in np.unique(ids))
    return Sample("x", image, Labelled(ids, regions))


@pytest.mark.parametrize(
    ("size", "expected"), [((130, 65), (65, 33)), ((40, 30), (40, 30)), ((20000, 3), (65, 1))]
)
def test_the_longer_side_is_reduced_and_never_enlarged(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    small = resized(np.zeros((*size, 3), np.uint8), RULE.sized(size))
    assert small.shape[:2] in (expected, (expected[0], expected[1] - 1))


def test_a_scale_goes_from_centre_to_centre_and_pads_alike() -> None:
    rule = InputRule(longest_side=513, enlarge=True, multiple=8, square=True)
    assert [max(rule.sized((300, 400), scale=s)) for s in (0.5, 1, 1.75)] == [257, 513, 897]
    assert rule.padded(rule.sized((300, 400), scale=0.5), scale=0.5) == (257, 257)
    assert rule.sized((1, 1000), scale=0.5) == (1, 257)


def test_padding_goes_to_16_n_plus_1_with_the_mean_pixel() -> None:
    assert RULE.padded((65, 50)) == (65, 65)
    assert RULE.padded((1, 66)) == (1, 81)
    padded = pad(np.zeros((3, 4, 3), np.uint8), (17, 17), RULE)
    assert padded[:3, :4].max() == 0
    assert (padded[3:] == 128).all()


def test_a_scale_of_zero_is_refused() -> None:
    with pytest.raises(BadInput, match=r"input\.scale.*no 0"):
        InputRule(scale=(1.0, 0.0, 1.0))


def test_a_frame_maps_corners_on_corners_without_resize() -> None:
    rows, columns = Frame((33, 65), (33, 65), (33, 65)).seen_at(Grid.of((33, 65)))
    assert rows.tolist() == list(range(33))
    assert columns.tolist() == list(range(65))


def test_a_frame_leads_back_to_the_pixel_that_the_resize_came_from() -> None:
    image = sample((100, 100)).image
    small = resized(image, InputRule(longest_side=50).sized((100, 100)))
    rows, _ = Frame((100, 100), (50, 50), (65, 65)).seen_at(Grid.of((100, 100)))
    levels = np.interp(rows, np.arange(50), small[:, 25, 0].astype(float))
    assert np.abs(levels - image[:, 50, 0])[2:-2].max() <= 2
