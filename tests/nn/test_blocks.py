"""Blocks cell by cell are those of `resample`, their channels in another order."""

from __future__ import annotations

import pytest
import torch

from atrous.nn.blocks import cell_by_cell, joined_blocks, unfolded_blocks
from atrous.nn.decoder import BLOCK
from atrous.nn.resample import depth_to_space, space_to_depth

SIZES = [(1, 1), (5, 9), (13, 17), (8, 7), (4, 4)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_joined_blocks_are_those_of_space_to_depth(height: int, width: int) -> None:
    low = torch.randn(2, 3, height, width)
    blocks = space_to_depth(low, block=BLOCK, step=BLOCK)
    high = torch.randn(2, 5, *blocks.shape[-2:])
    truth = torch.cat([blocks[:, cell_by_cell(3)], high], dim=1)
    ours = joined_blocks(low, high)
    assert torch.equal(ours, truth)
    assert ours.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("parts", [1, 2, 4])
@pytest.mark.parametrize("size_hw", SIZES)
def test_unfolded_blocks_are_those_of_depth_to_space(size_hw: tuple[int, int], parts: int) -> None:
    rows, columns = (-(-side // BLOCK) for side in size_hw)
    x = torch.randn(2, 3 * BLOCK * BLOCK, rows, columns)
    truth = depth_to_space(x, block=BLOCK, step=BLOCK, size_hw=size_hw)
    blocks = x[:, cell_by_cell(3)].chunk(parts, dim=1)
    assert torch.equal(unfolded_blocks(blocks, size_hw), truth)
