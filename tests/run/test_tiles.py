from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from atrous.data.transforms import InputRule
from atrous.run.predict import Eye, Views
from atrous.run.tiles import cuts, stitched, sum_of_shares
from atrous.tensors import KeypointMaps, Maps

RULE = InputRule(longest_side=0, multiple=16)
CPU = torch.device("cpu")


class Narrow(nn.Module):
    """A network that sees no further than 8 pixels, cell (i, j) on pixel (4 i, 4 j)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 46, 17, stride=4, padding=8)

    def forward(self, image: Tensor) -> Maps:
        semantic, heat, short, middle, long = self.conv(image).split([5, 5, 10, 16, 10], dim=1)
        return Maps(semantic, 4, keypoints=KeypointMaps(heat, short, middle, long))


def image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(st.integers(1, 60), st.integers(8, 30), st.sampled_from([8, 16, 32]))
def test_tiles_cover_a_side_and_fade_over_into_each_other(
    size: int, side: int, multiple: int
) -> None:
    whole, tile = size * multiple + 1, side * multiple + 1
    found = cuts(whole, side=tile, multiple=multiple)
    assert found[0].first == 0
    assert found[-1].first + found[-1].size == whole
    assert all(cut.first % multiple == 0 and cut.size <= tile for cut in found)
    total = sum_of_shares(
        found, cuts(1, side=1, multiple=1), stride=4, size=(size * multiple // 4 + 1, 1)
    )
    assert float(total.min()) >= 0.999


@pytest.mark.parametrize("size_hw", [(200, 310), (129, 500), (97, 97)])
def test_maps_of_tiles_are_those_of_the_whole_image(size_hw: tuple[int, int]) -> None:
    network = Narrow().eval()
    seen = [
        Eye(network, RULE, CPU, Views(tile=tile)).see([image(*size_hw)])[0][0].maps
        for tile in (8 * 4097, 129)
    ]
    for name in ("semantic", "keypoints.heatmap", "keypoints.short", "keypoints.long"):
        whole, tiled = (_named(maps, name) for maps in seen)
        assert whole.shape == tiled.shape
        assert torch.allclose(whole, tiled, atol=1e-4)


def _named(maps: Maps, name: str) -> Tensor:
    value: object = maps
    for part in name.split("."):
        value = getattr(value, part)
    assert isinstance(value, Tensor)
    return value


def test_what_stands_next_to_a_cut_counts_nothing() -> None:
    def seen(origin_yx: tuple[int, int], tile_hw: tuple[int, int]) -> Maps:
        answer = torch.zeros(1, 1, *((n - 1) // 4 + 1 for n in tile_hw))
        answer[..., 0] = answer[..., -1] = 7.0  # as padding would spoil it
        return Maps(answer, 4)

    down, along = cuts(33, side=129, multiple=16), cuts(257, side=129, multiple=16)
    maps = stitched(seen, down, along, input_hw=(33, 257))
    assert maps.semantic.shape == (1, 1, 9, 65)
    assert float(maps.semantic[..., 1:-1].abs().max()) == 0
    assert float(maps.semantic[..., 0].min()) == 7
